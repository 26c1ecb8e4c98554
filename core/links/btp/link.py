"""BTP as a link: whose connections are open, who dials whom, and packets over them both ways."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Final, final

from core.account import Account, AccountDirectory, AccountId
from core.clock import Clock
from core.control.usernames import canonical_username
from core.errors import SettingError
from core.links.btp import websocket as ws
from core.links.btp.connection import BtpConnection
from core.links.btp.dialer import BtpTarget, Dialer
from core.links.btp.exchange import Login
from core.links.btp.limits import BtpLimits
from core.links.descriptors import raised_limit
from core.links.http_message import RequestHead
from core.links.http_server import Problem, username_in
from core.links.link_states import LinkStates
from core.links.names import NameLookups
from core.links.strangers import QuietLog, Shares
from core.node_address import NodeAddress
from core.packet import ErrorCode, Prepare, Reject, Reply
from core.service import Explanation, Incoming, IncomingRequest, OutgoingRequest, Step, Verdict

log = logging.getLogger(__name__)

_PATHS: Final = frozenset({b"/", b"/btp", b"/ilp/btp"})
"""Where the token alone says who it is, as JavaScript's peers dial."""
_BUSY: Final = Problem(503, "this node takes no BTP connections now")
_HALF_OPEN_SHARE: Final = 8
"""Of so many files that the process may have open, strangers who have not logged in have one."""
_BOOKING_SECONDS: Final = 1.5
"""How long the end of a packet that is given up may take to be written down: a node is gone within 35 s."""


@final
class BtpLink:
    """Sends packets to the accounts that are connected over BTP, and gives those that come to the chain.

    It always returns a reply: T01 where the account is not connected or its connection ends, T03 where
    too much is under way, T00 where the answer is none, R00 when the packet's time is over. After R00
    the answer is still listened for, and given to `request.on_late_reply`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        address: NodeAddress,
        states: LinkStates,
        tls: Callable[[], ssl.SSLContext],
        limits: BtpLimits | None = None,
        names: NameLookups | None = None,
    ) -> None:
        """Dial nobody, and let nobody in, before `start`."""
        self.clock: Clock = clock
        self.address: NodeAddress = address
        self.states: LinkStates = states
        self.limits: BtpLimits = limits or _usual_limits()
        self.tls: Callable[[], ssl.SSLContext] = tls
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.now: float = self.loop.time()
        self.names: NameLookups = names or NameLookups(lookups_max=self.limits.lookups_max)
        self._next_turn = -math.inf
        self._incoming: Incoming | None = None
        self._directory = AccountDirectory()
        self._hash_token: Callable[[str], bytes] = str.encode
        self._connections: set[BtpConnection] = set()
        self._half_open: Shares[BtpConnection] = Shares()
        """Of the server's: those that have not said who they are."""
        self._open: dict[AccountId, list[BtpConnection]] = {}
        self._dialers: dict[AccountId, tuple[Dialer, asyncio.Task[None]]] = {}
        self._due: dict[int, tuple[asyncio.Task[None], BtpConnection, int]] = {}
        """Packets that came and were not answered: their tasks, and where the replies are to go."""
        self._next_due = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._strangers_log = QuietLog(log, "strangers on BTP")
        self._accounts_log = QuietLog(log, "connections over BTP", lines_max=1000)

    # --- Start and stop

    def start(
        self,
        incoming: Incoming,
        directory: AccountDirectory,
        hash_token: Callable[[str], bytes],
    ) -> None:
        """Let peers connect, and dial those that have a URL; who is not there is dialled again later."""
        self._incoming = incoming
        self._directory = directory
        self._hash_token = hash_token
        directory.watch(self._accounts_changed)
        self._sweep()
        self._accounts_changed()

    async def close(self, drain_seconds: float) -> None:
        """Send nothing more, wait so long for answers that are due, answer what came, and hang up."""
        self._is_closed = True
        deadline = self.loop.time() + drain_seconds
        while self.in_flight and self.loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        tasks = [task for task, _, _ in self._due.values()]
        for task in tasks:
            task.cancel()
        unbooked: set[asyncio.Task[None]] = set()
        if tasks:
            _, unbooked = await asyncio.wait(tasks, timeout=_BOOKING_SECONDS)
        if unbooked:
            # The store is slow, and may yet book a fulfillment: no answer at all is no wrong one.
            log.warning("%d packets could not be booked before BTP ended", len(unbooked))
        given_up = self.address.reject(
            ErrorCode.TRANSFER_TIMED_OUT, "This node stopped before the next hop had answered."
        )
        # A task that came to its end all the same has given the true answer, and is not among these.
        for task, connection, request_id in self._due.values():
            if task not in unbooked:
                connection.answer(request_id, given_up)
        self._due.clear()
        for connection in tuple(self._connections):
            connection.end(ws.GOING_AWAY, "This node is stopping.")
        for _, dialling in self._dialers.values():
            dialling.cancel()
        self._dialers.clear()
        await self._all_gone(self.limits.linger_seconds / 2)
        for connection in tuple(self._connections):
            connection.abort("This node has stopped.")
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.sleep(0)  # What is late is told to the books as the connections end.

    async def _all_gone(self, seconds: float) -> None:
        ends = [connection.closed for connection in self._connections]
        if ends:
            await asyncio.wait(ends, timeout=seconds)

    # --- Counting

    @property
    def connections(self) -> int:
        """How many sockets are open, those included that have not said who they are."""
        return len(self._connections)

    @property
    def half_open(self) -> int:
        return len(self._half_open)

    @property
    def in_flight(self) -> int:
        """How many packets were sent and have no answer, those given up on included."""
        return sum(
            connection.listened_for for found in self._open.values() for connection in found
        )

    def is_connected(self, account: AccountId) -> bool:
        """Tell whether a packet can be sent to it now."""
        return account in self._open

    async def dial_now(self, account: AccountId) -> bool:
        """Dial an account at once where it is not connected, as its operator wishes; return whether it is then.

        It is waited for until the attempt has come to something; that has a bound. Who is not dialled by
        us is not waited for, and who was dialled within the last second is not dialled again.
        """
        found = self._dialers.get(account)
        if found is not None and not self.is_connected(account):
            await found[0].dial_now()
        return self.is_connected(account)

    # --- Packets out

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        account = request.to_account
        connections = self._open.get(account.id)
        if connections is None or self._is_closed:
            return self._not_connected(account)
        connection = connections[0]
        if len(connections) > 1:
            connection = min(connections, key=_in_flight)
        now = self.loop.time()
        left_ms = request.prepare.expires_at_ms - self.clock.now_ms()
        if left_ms <= 0:
            return self.address.reject(
                ErrorCode.INSUFFICIENT_TIMEOUT,
                f"The packet expired before it could be sent to {account.username}.",
            )
        asked = connection.ask(request, now + left_ms / 1000)
        return asked if isinstance(asked, Reject) else await asked

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        account = request.to_account
        state, reason = self.states.state(account)
        facts = {"link_state": state.value}
        connections = self._open.get(account.id)
        if connections is None:
            reject = self._not_connected(account)
            sentence = f"{reject.message} {reason}"
            return (Step("btp link", Verdict.REJECTS, sentence, reject, facts),)
        count = sum(connection.in_flight for connection in connections)
        sentence = f"It is sent over BTP, where {count} packets wait for an answer. {reason}"
        return (Step("btp link", Verdict.SENDS, sentence, facts=facts),)

    def _not_connected(self, account: Account) -> Reject:
        if self._is_closed:
            sentence = "This node is stopping and sends nothing more."
        else:
            sentence = f"{account.username} is not connected over BTP."
        return self.address.reject(ErrorCode.PEER_UNREACHABLE, sentence)

    # --- Packets in

    def handle(self, connection: BtpConnection, request_id: int, packet: Prepare) -> None:
        """Give the packet to the chain, in a task that lives on when the connection does not."""
        assert connection.account_id is not None
        # As the account is now, not as it was when it connected.
        account = self._directory.by_id(connection.account_id)
        if account is None or self._incoming is None:
            sentence = "Your account has been removed from this node."
            connection.answer(request_id, self.address.reject(ErrorCode.UNREACHABLE, sentence))
            return
        self._next_due = number = self._next_due + 1
        task = self.loop.create_task(self._handle(number, account, packet))
        self._due[number] = task, connection, request_id

    async def _handle(self, number: int, account: Account, packet: Prepare) -> None:
        assert self._incoming is not None
        reply: Reply
        try:
            reply = await self._incoming.handle(IncomingRequest(account, packet))
        except Exception:
            log.exception("a packet from %s met a fault", account.username)
            reply = self.address.reject(
                ErrorCode.INTERNAL_ERROR, "The packet met a fault of this node."
            )
        if (due := self._due.pop(number, None)) is not None:
            _, connection, request_id = due
            connection.answer(request_id, reply)

    # --- Who connects

    def accept(self, head: RequestHead) -> asyncio.Protocol | None:
        """Return what a connection becomes whose first request is this; None where it is no matter of ours."""
        path, _, _ = head.target.partition(b"?")
        username = _username(path)
        if (username is None and path not in _PATHS) or not ws.asks_for_websocket(head.headers):
            return None
        if self._incoming is None or self._is_closed:
            return _Refusal(_BUSY)
        problem = ws.request_problem(head)
        if problem is not None:
            version = b"Sec-WebSocket-Version: %b\r\n" % ws.VERSION
            return _Refusal(Problem(400, problem, version))
        return BtpConnection(
            self,
            is_server=True,
            first_id=secrets.randbits(32),
            upgrade=ws.upgrade_response(
                head.headers[b"sec-websocket-key"], self.clock.now_ms()
            ),
            path_username=username,
        )

    def wait_for_turn(self) -> float:
        now = self.loop.time()
        turn = max(now, self._next_turn)
        self._next_turn = turn + self.limits.turn_seconds
        return turn - now

    def connection_to(self, account: Account, target: BtpTarget) -> BtpConnection:
        """Return the client's end of a connection that is to be made."""
        key = ws.new_key()
        return BtpConnection(
            self,
            is_server=False,
            first_id=secrets.randbits(32),
            upgrade=ws.upgrade_request(host=target.host_header, target=target.target, key=key),
            key=key,
            account=account,
            login=(target.token.reveal(), target.username),
        )

    def admit(self, connection: BtpConnection) -> bool:
        if self._is_closed:
            return False
        self._connections.add(connection)
        if connection.is_server:
            self._half_open.take(connection, connection.origin)
            if len(self._half_open) > self.limits.half_open_max:
                oldest = next(iter(self._half_open.most().holders))
                oldest.abort("Too many connections have not said who they are.")
        return True

    def who(
        self, login: Login, path_username: str | None, origin: str
    ) -> tuple[Account, bytes] | str:
        digest = self._hash_token(login.token)
        account = self._directory.by_btp_token_hash(digest) if login.token else None
        names = {canonical_username(name) for name in (path_username, login.username) if name}
        if account is None or names - {account.username}:
            self._note_refusal(path_username or login.username, origin)
            return "the token is not the one that this node's operator has set for this account"
        if not account.enabled:
            return "this account is paused by the operator of this node"
        if self._is_closed:
            return "this node is stopping"
        return account, digest

    def opened(self, connection: BtpConnection) -> None:
        self._half_open.give_back(connection, connection.origin)
        account_id = connection.account_id
        assert account_id is not None
        # A new list each time: whoever goes through the old one is not disturbed.
        connections = [*self._open.get(account_id, ()), connection]
        self._open[account_id] = connections
        if self.states.btp_opened(account_id):
            self._say(
                logging.INFO, connection.name, "%s is connected over BTP", connection.name
            )
        if len(connections) > self.limits.connections_per_account_max:
            connections[0].end(ws.POLICY, "The account has opened too many connections.")

    def ended(self, connection: BtpConnection) -> None:
        self._half_open.give_back(connection, connection.origin)
        account_id = connection.account_id
        if account_id is None:
            return
        connections = self._open.get(account_id, [])
        if connection not in connections:
            return
        left = [other for other in connections if other is not connection]
        if left:
            self._open[account_id] = left
        else:
            del self._open[account_id]
        if self.states.btp_closed(account_id, connection.reason):
            self._say(
                logging.INFO,
                connection.name,
                "%s is not connected over BTP any more: %s",
                connection.name,
                connection.reason,
            )
        if self._directory.by_id(account_id) is None:
            self.states.forget_btp(account_id)

    def gone(self, connection: BtpConnection) -> None:
        self._connections.discard(connection)

    def note_down(self, account: Account, problem: str) -> None:
        if self.states.btp_not_dialled(account.id, problem):
            # Once for each reason: a peer that is down for days fills no log.
            self._say(
                logging.WARNING,
                account.username,
                "%s cannot be connected over BTP: %s",
                account.username,
                problem,
            )

    def note_failing(self, connection: BtpConnection, reason: str) -> None:
        name = connection.name
        self._say(logging.WARNING, name, "the link to %s fails: %s", name, reason)

    def note_junk(self, connection: BtpConnection, problem: str) -> None:
        if connection.account_id is not None:
            self._say(logging.INFO, connection.name, "from %s: %s", connection.name, problem)
            return
        self._strangers_log.write(
            logging.INFO, connection.origin, self.now, "from %s: %s", connection.remote, problem
        )

    def _say(self, level: int, username: str, message: str, *args: object) -> None:
        """Write a line about an account; one whose connection comes and goes all the time fills no log."""
        self._accounts_log.write(level, username, self.now, message, *args)

    def _note_refusal(self, username: str | None, origin: str) -> None:
        """Tell the operator: perhaps it is a peer with an old token, perhaps somebody who guesses."""
        account = self._directory.by_username(canonical_username(username or ""))
        if (
            account is not None
            and account.ilp_over_btp_url is None
            and account.id not in self._open
        ):
            self.states.btp_refused(account.id)
        self._strangers_log.write(
            logging.WARNING,
            origin,
            self.now,
            "a BTP login from %s with a wrong token was refused, for %r",
            origin,
            (username or "")[:64],
        )

    # --- Changes of accounts

    def _accounts_changed(self) -> None:
        """Close what is not right any more, at once, and dial whom there is to dial."""
        if self._is_closed:
            return
        directory = self._directory
        for account_id, connections in tuple(self._open.items()):
            account = directory.by_id(account_id)
            for connection in connections:
                if account is not None:
                    connection.name = account.username
                if not connection.is_server:
                    continue
                reason = self._no_more(account, connection)
                if reason is not None:
                    connection.end(ws.POLICY, reason)
        for account_id, (dialer, _) in tuple(self._dialers.items()):
            account = directory.by_id(account_id)
            if account is None or self._target(account) != dialer.target:
                self._stop_dialling(account_id, account)
            else:
                dialer.account = account
        for account in directory.all():
            if account.id in self._dialers or not account.ilp_over_btp_url:
                continue
            target = self._target(account)
            if target is not None:
                dialer = Dialer(self, account, target)
                task = self.loop.create_task(dialer.run(), name=f"dial {account.username}")
                task.add_done_callback(_report)
                self._dialers[account.id] = dialer, task

    def _no_more(self, account: Account | None, connection: BtpConnection) -> str | None:
        """Return why an account may not go on with a connection that it has opened."""
        if account is None:
            return "Its account was deleted."
        if not account.enabled:
            return "Its account was paused."
        known = self._directory.by_btp_token_hash(connection.token_hash)
        if known is None or known.id != account.id:
            return "Its token was changed."
        return None

    def _stop_dialling(self, account_id: AccountId, account: Account | None) -> None:
        dialer, task = self._dialers.pop(account_id)
        task.cancel()
        if account is None:
            dialer.hang_up("Its account was deleted.")
        elif not account.enabled:
            dialer.hang_up("Its account was paused.")
        else:
            dialer.hang_up("Its address or token was changed.")
        state = self.states.btp(account_id)
        state.problem = state.trying = ""
        state.retry_at = None
        if account is None:
            self.states.forget_btp(account_id)

    def _target(self, account: Account) -> BtpTarget | None:
        if account.ilp_over_btp_url is None or not account.enabled:
            return None
        try:
            return BtpTarget.of(account.ilp_over_btp_url, account.ilp_over_btp_outgoing_token)
        except SettingError as error:
            self.note_down(account, f"It cannot be dialled: {error.problem}.")
            return None

    # --- Time

    def _sweep(self) -> None:
        """Look at the clocks, once a second or oftener."""
        self.now = self.loop.time()
        for connection in tuple(self._connections):
            connection.sweep(self.now)
        self._strangers_log.look_at_clock(self.now)
        self._accounts_log.look_at_clock(self.now)
        self._sweeper = self.loop.call_later(self.limits.sweep_seconds, self._sweep)


@final
class _Refusal(asyncio.Protocol):
    """Says why a WebSocket cannot be had, and closes."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._problem.response(date=b"", keep_alive=False))
        transport.close()


def _usual_limits() -> BtpLimits:
    """Return the defaults, with no more half-open handshakes than there are files for them."""
    usual = BtpLimits()
    return replace(
        usual, half_open_max=min(usual.half_open_max, raised_limit() // _HALF_OPEN_SHARE)
    )


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed", task.get_name(), exc_info=error)


def _in_flight(connection: BtpConnection) -> int:
    return connection.in_flight


def names_an_account(target: bytes) -> bool:
    """Tell whether a request's target is the BTP endpoint of an account, whatever it asks there."""
    return _username(target.partition(b"?")[0]) is not None


def _username(path: bytes) -> str | None:
    """Return the account that a path names, or None where it names none."""
    if not (path.startswith(b"/accounts/") and path.endswith(b"/ilp/btp")):
        return None
    segment = path[len(b"/accounts/") : -len(b"/ilp/btp")]
    if not segment or b"/" in segment:
        return None
    return username_in(segment)
