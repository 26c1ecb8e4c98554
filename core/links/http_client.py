"""RFC-0035, the client's side: each packet is a POST to the next hop, and its answer is the reply.

Every peer has connections of its own, so that one that never answers holds up nobody else. A packet
is sent once and never again: whether it arrived is for its answer, or its expiry, to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final, cast, final

from core.account import Account, AccountId
from core.clock import Clock
from core.errors import PacketError, SettingError, connect_problem
from core.links.http_message import (
    BODY_OCTETS_MAX,
    HEAD_END,
    HEAD_OCTETS_MAX,
    BadMessage,
    BodyTooLarge,
    ChunkedBody,
    ResponseHead,
    date_of,
    is_plain,
    media_type,
    parse_response_head,
    remember,
)
from core.links.http_server import CONTENT_TYPES
from core.links.link_states import (
    Failure,
    LinkHistory,
    LinkStates,
    asks_itself,
    of_connecting,
)
from core.links.names import Host, NameLookups
from core.links.strangers import QuietLog
from core.links.transports import abort
from core.links.urls import read_endpoint
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply, parse_reply
from core.service import Explanation, OutgoingRequest, Step, Verdict
from core.telemetry.peer_time import ASK_SECONDS

log = logging.getLogger(__name__)

_UNDECIDED_STATUSES: Final = frozenset({200, 504})
"""It took the packet and what came back is none, or a gateway before it grew tired of waiting."""
_PORTS: Final = {"http": 80, "https": 443}
_MEANS: Final = {
    ErrorCode.BAD_REQUEST: "did not take the packet",
    ErrorCode.CONNECTOR_BUSY: "takes no more packets for now",
    ErrorCode.PEER_UNREACHABLE: "is not available",
    ErrorCode.INTERNAL_ERROR: "answered with what is no ILP packet",
}
"""What is said upstream where no packet follows: what exactly it was is between the peer and our operator."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLinkLimits:
    """What one peer may hold of this process, and for how long."""

    connections_max: int = 128
    """Packets under way to one peer, each on a connection of its own."""
    waiting_max: int = 1024
    """Packets that wait for a connection to become free."""
    connect_seconds: float = 10.0
    idle_seconds: float = 4.0
    """Less than the five seconds after which most servers close: a packet must not meet that."""
    late_seconds: float = 30.0
    """How long after its expiry a packet's answer is still listened for."""


@final
@dataclass(frozen=True, slots=True)
class Target:
    """Where an account's packets go, ready for use."""

    url: str
    host: str
    port: int
    is_tls: bool
    head: bytes
    """A request's head, up to where the length is due."""

    @classmethod
    def of(cls, url: str, token: str | None) -> Target:
        """Read a URL as the operator gave it.

        Raises:
            SettingError: nothing can be posted to it; says why.
        """
        place = read_endpoint(
            "ilp_over_http_url", url, _PORTS, beginnings="http:// or https://"
        )
        lines = [f"POST {place.target} HTTP/1.1", f"Host: {place.host_header}"]
        if token:
            if not (token.isascii() and token.isprintable()):
                raise SettingError(
                    "ilp_over_http_outgoing_token",
                    "a token in a header has letters, digits and ASCII signs only",
                )
            lines.append(f"Authorization: Bearer {token}")
        lines.append("Content-Type: application/octet-stream")
        lines.append("Content-Length: ")
        return cls(
            url,
            place.host,
            place.port,
            place.scheme == "https",
            "\r\n".join(lines).encode(),
        )


@final
class HttpLink:
    """Sends packets to the accounts that have an ILP-over-HTTP URL, and hands back what they answer.

    It always returns a reply: T01 where the peer cannot be reached, T00 where its answer is none,
    F00 where it does not know us, T03 where too much is under way, R00 when the packet's time is
    over. After R00 the answer is still listened for, and given to `request.on_late_reply`. Where the
    packet was sent and what came back is no answer, the request is left open: the peer may have fulfilled.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        address: NodeAddress,
        states: LinkStates,
        limits: HttpLinkLimits | None = None,
        tls: ssl.SSLContext | None = None,
        names: NameLookups | None = None,
    ) -> None:
        """Send nothing yet; `tls` replaces the verifying context made from the system's certificates."""
        self.clock: Final = clock
        self.address: Final = address
        self.states: Final = states
        self.limits: Final = limits or HttpLinkLimits()
        self.names: Final = names or NameLookups()
        self.log: Final = QuietLog(log, "links over HTTP", lines_max=1000)
        self._tls = tls
        self._pools: dict[AccountId, _Pool] = {}
        self._retired: set[_Pool] = set()
        self._is_closed = False

    @property
    def connections(self) -> int:
        """How many connections are open, idle ones included."""
        return sum(len(pool.connections) for pool in (*self._pools.values(), *self._retired))

    @property
    def in_flight(self) -> int:
        """How many packets have been sent and not been answered, those given up on included."""
        return sum(
            len(pool.connections) - len(pool.idle)
            for pool in (*self._pools.values(), *self._retired)
        )

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        account = request.to_account
        pool = self._pools.get(account.id)
        if pool is None or pool.account is not account or self._is_closed:
            found = self._pool(account)
            if isinstance(found, Reject):
                return found
            pool = found
        prepare = request.prepare
        now = pool.loop.time()
        deadline = now + (prepare.expires_at_ms - self.clock.now_ms()) / 1000
        if deadline <= now:
            return self.address.reject(
                ErrorCode.INSUFFICIENT_TIMEOUT,
                f"The packet expired before it could be sent to {account.username}.",
            )
        connection = pool.take_idle(now)
        if connection is None:
            opened = await pool.connect(deadline, goes_first=asks_itself(request))
            if isinstance(opened, Reject):
                return opened
            connection = opened
        if now >= pool.time_due:
            connection.asked_at = self.clock.monotonic()
            pool.time_due = now + ASK_SECONDS
        octets = prepare.octets
        return await connection.post(
            b"%b%d\r\n\r\n%b" % (pool.target.head, len(octets), bytes(octets)),
            request,
            deadline,
        )

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        account = request.to_account
        try:
            target = _target(account)
        except SettingError as error:
            reject = self._unusable(account)
            sentence = f"Packets cannot be sent to {account.username}: {error.problem}."
            return (Step("http link", Verdict.REJECTS, sentence, reject),)
        state, reason = self.states.state(account)
        return (
            Step(
                "http link",
                Verdict.SENDS,
                f"It is posted to {target.url}. {reason}",
                facts={"url": target.url, "link_state": state.value},
            ),
        )

    async def close(self, drain_seconds: float) -> None:
        """Send nothing more; wait for the answers that are due, at most so long, then hang up."""
        self._is_closed = True
        pools = {*self._pools.values(), *self._retired}
        for pool in pools:
            pool.retire()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                for pool in pools:
                    await pool.is_empty.wait()
        for pool in pools:
            pool.abort()
        await asyncio.sleep(0)  # What is late is told to the books as the connections end.

    def forget(self, pool: _Pool) -> None:
        """Drop a pool that has no connection left."""
        self._retired.discard(pool)
        if self._pools.get(pool.account.id) is pool:
            del self._pools[pool.account.id]

    def tls(self) -> ssl.SSLContext:
        """Return the context for https; loading the certificates takes a while, and is done once."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _pool(self, account: Account) -> _Pool | Reject:
        """Return the connections to an account as it is now."""
        if self._is_closed:
            return self.address.reject(
                ErrorCode.PEER_UNREACHABLE, "This node is stopping and sends nothing more."
            )
        try:
            target = _target(account)
        except SettingError:
            return self._unusable(account)
        pool = self._pools.get(account.id)
        if pool is not None:
            if pool.target == target:
                pool.account = account
                return pool
            self._retired.add(pool)
            pool.retire()
            self.states.forget(account.id)
        pool = self._pools[account.id] = _Pool(self, account, target)
        return pool

    def _unusable(self, account: Account) -> Reject:
        """Say upstream that it is so; what is wrong with a URL is for the operator alone."""
        why = "." if account.ilp_over_http_url else ": it has no ILP-over-HTTP URL."
        return self.address.reject(
            ErrorCode.UNREACHABLE, f"Packets cannot be sent to {account.username}{why}"
        )


def _target(account: Account) -> Target:
    """Return where an account's packets go.

    Raises:
        SettingError: they cannot be posted; says why.
    """
    url, token = account.ilp_over_http_url, account.ilp_over_http_outgoing_token
    if url is None:
        raise SettingError("ilp_over_http_url", "it has no ILP-over-HTTP URL")
    return Target.of(url, None if token is None else token.reveal())


@final
class _Pool:
    """The connections to one peer."""

    def __init__(self, link: HttpLink, account: Account, target: Target) -> None:
        self.link: Final = link
        self.account = account
        self.target: Final = target
        self.loop: Final = asyncio.get_running_loop()
        self.history: Final[LinkHistory] = link.states.history(account.id)
        self._host = Host(link.names, target.host, target.port)
        self.connections: set[_Connection] = set()
        self.idle: list[_Connection] = []
        """The one used last is used first, so that surplus ones grow old and are dropped."""
        self.is_empty: Final = asyncio.Event()
        self.known_heads: dict[bytes, _KnownHead] = {}
        self.time_due = 0.0
        """When, on the loop's clock, an answer is next asked what time it is."""
        self._opening = 0
        self._waiting: deque[asyncio.Future[_Connection | None]] = deque()
        self._is_retired = False

    # --- Connections

    def take_idle(self, now: float) -> _Connection | None:
        """Return a connection that is free and fresh."""
        while self.idle:
            connection = self.idle.pop()
            if connection.deadline > now and connection.is_open:
                return connection
            connection.close()
        return None

    async def connect(self, deadline: float, *, goes_first: bool) -> _Connection | Reject:
        """Return a new connection, or one that becomes free, or why there is none before the deadline.

        What goes first waits for no other: the few questions of ours must not look unanswered where
        those who send through us keep all connections busy.
        """
        while not self._is_retired:
            count = len(self.connections) + self._opening
            if goes_first or count < self.link.limits.connections_max:
                return await self._open(deadline)
            if len(self._waiting) >= self.link.limits.waiting_max:
                return self.reject(
                    ErrorCode.CONNECTOR_BUSY,
                    f"Too many packets are on their way to {self.account.username} already.",
                )
            turn: asyncio.Future[_Connection | None] = self.loop.create_future()
            self._waiting.append(turn)
            has_come = False
            try:
                async with asyncio.timeout_at(deadline):
                    connection = await turn
                has_come = True
            except TimeoutError:
                # Never sent, so certainly not fulfilled: no R00, which would keep the books waiting.
                return self.reject(
                    ErrorCode.CONNECTOR_BUSY,
                    f"The packet's time ran out while it waited for its turn to {self.account.username}.",
                )
            finally:
                if not has_come:
                    self._pass_on(turn)
            if connection is not None and connection.is_open:
                return connection
        return self.reject(
            ErrorCode.PEER_UNREACHABLE,
            f"The address of {self.account.username} was changed, or this node is stopping.",
        )

    def release(self, connection: _Connection) -> None:
        """Take back a connection whose exchange is over."""
        if self._is_retired:
            connection.close()
            return
        if self._waiting and self._wake(connection):
            return
        connection.deadline = self.loop.time() + connection.idle_seconds
        self.idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self._wake(None)
        self._look_if_empty()

    def retire(self) -> None:
        """Give out no more connections, and close those that are free."""
        self._is_retired = True
        for connection in tuple(self.idle):
            connection.close()
        while self._wake(None):
            pass
        self._look_if_empty()

    def abort(self) -> None:
        for connection in tuple(self.connections):
            connection.abort()

    async def _open(self, deadline: float) -> _Connection | Reject:
        target = self.target
        tls = self.link.tls() if target.is_tls else None
        limit = self.loop.time() + self.link.limits.connect_seconds
        failure = Failure.UNREACHABLE
        self._opening += 1
        try:
            async with asyncio.timeout_at(min(deadline, limit)):
                connection = await self._host.connect(
                    lambda: _Connection(self),
                    tls=tls,
                    seconds=self.link.limits.connect_seconds,
                )
        except TimeoutError:
            why = "it did not take the connection in time"
            if deadline < limit:  # the packet's time, and not the connection's
                failure = Failure.UNCLEAR
        except OSError as error:
            why = connect_problem(error)
            if not isinstance(error, ssl.SSLError):
                failure = of_connecting(error)
        except asyncio.CancelledError:
            self._wake(None)
            raise
        else:
            if connection.is_open:
                return connection
            why = "it closed the connection at once"
        finally:
            self._opening -= 1
        self._wake(None)
        self._look_if_empty()
        self.failed(f"{target.host}:{target.port} cannot be reached: {why}.", failure)
        return self.reject(
            ErrorCode.PEER_UNREACHABLE, f"{self.account.username} cannot be reached."
        )

    def _wake(self, connection: _Connection | None) -> bool:
        """Give the longest waiting packet a connection, or the chance to open one."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _pass_on(self, turn: asyncio.Future[_Connection | None]) -> None:
        """Give to the next what a packet was given just when its time ran out."""
        if not turn.done() or turn.cancelled():
            turn.cancel()
            if turn in self._waiting:
                self._waiting.remove(turn)
        elif (connection := turn.result()) is not None and connection.is_open:
            self.release(connection)
        else:
            self._wake(None)

    def _look_if_empty(self) -> None:
        if not self.connections and not self._opening and not self._waiting:
            self.is_empty.set()
            self.link.forget(self)

    # --- Answers

    def reject(self, code: ErrorCode, message: str) -> Reject:
        return self.link.address.reject(code, message)

    def failed(self, reason: str, failure: Failure) -> None:
        if self.link.states.failed(self.history, reason, failure):
            # Whoever lets packets run out between others that are answered fills no log with it.
            name = self.account.username
            message = "the link to %s fails: %s"
            self.link.log.write(logging.WARNING, name, self.loop.time(), message, name, reason)

    def judge(self, head: _KnownHead, body: bytearray) -> tuple[Reply, bool]:
        """Return the reply that an answer is, and whether the peer may have fulfilled all the same."""
        problem = head.problem
        if problem is None:
            try:
                reply = parse_reply(body)
            except PacketError as error:
                reason = f"Its answer is no ILP packet: {error}."
                return self.misunderstood(reason), True
            self.link.states.worked(self.history)
            return reply, False
        code, sentence, advice = problem
        self.failed(f"It {sentence}{advice}.", Failure.ANSWERED)
        return self.reject(code, f"{self.account.username} {_MEANS[code]}."), head.is_undecided

    def told_time(self, head: ResponseHead, asked_at: float) -> None:
        """Note when an answer was made, by the peer's clock."""
        self.link.states.times.tell(
            self.account.username,
            date_of(head.headers),
            asked_at=asked_at,
            answered_at=self.link.clock.monotonic(),
        )

    def misunderstood(self, reason: str) -> Reject:
        """Return the reply for an answer that is none."""
        self.failed(reason, Failure.ANSWERED)
        return self.reject(
            ErrorCode.INTERNAL_ERROR,
            f"{self.account.username} {_MEANS[ErrorCode.INTERNAL_ERROR]}.",
        )


@final
@dataclass(frozen=True, slots=True)
class _KnownHead:
    """A response's head, and what it means."""

    head: ResponseHead
    problem: tuple[ErrorCode, str, str] | None
    """Where no packet follows: the code, what the peer did, and what the operator may do about it."""
    is_undecided: bool
    """Whether the peer may have fulfilled all the same: any other status but these says that it has not."""
    idle_seconds: float
    """How long the peer keeps the connection, as far as it says."""


def _known_head(octets: bytes, limits: HttpLinkLimits) -> _KnownHead:
    head = parse_response_head(octets)
    idle_seconds = limits.idle_seconds
    for part in head.headers.get(b"keep-alive", b"").split(b","):
        name, _, value = part.strip().partition(b"=")
        if name.lower() == b"timeout" and value.isdigit() and len(value) < 6:
            idle_seconds = min(idle_seconds, max(0.0, int(value) - 1.0))
    problem = _problem(head)
    is_undecided = problem is not None and head.status in _UNDECIDED_STATUSES
    return _KnownHead(head, problem, is_undecided, idle_seconds)


def _problem(head: ResponseHead) -> tuple[ErrorCode, str, str] | None:
    """Return why no packet follows, or None."""
    status = head.status
    said = f"answered with HTTP {status}"
    if status == 200:
        kind = media_type(head.headers)
        if kind not in CONTENT_TYPES:
            shown = kind[:40].decode("ascii", "replace")
            return (
                ErrorCode.INTERNAL_ERROR,
                f"answered with {shown}, not with an ILP packet",
                "",
            )
        if not is_plain(head.headers):
            return ErrorCode.INTERNAL_ERROR, "answered with a compressed body", ""
        return None
    if status in {401, 403}:
        return (
            ErrorCode.BAD_REQUEST,
            f"{said}: it does not accept this node's token",
            ", so the outgoing token is not the one that was agreed on",
        )
    if status == 404:
        return (
            ErrorCode.BAD_REQUEST,
            f"{said}: there is no ILP endpoint at this path",
            ", so the URL is not the one that was agreed on",
        )
    if status == 429:
        return ErrorCode.CONNECTOR_BUSY, f"{said}: it takes no more packets for now", ""
    if 400 <= status < 500:
        return ErrorCode.BAD_REQUEST, f"{said}: it does not take the packet", ""
    if status in {502, 503, 504}:
        return ErrorCode.PEER_UNREACHABLE, f"{said}: it is not available", ""
    if status >= 500:
        return ErrorCode.INTERNAL_ERROR, f"{said}: it met an error of its own", ""
    if 300 <= status < 400:
        return (
            ErrorCode.INTERNAL_ERROR,
            f"{said}: it points elsewhere, and packets follow no redirect",
            ", so the URL is not the one that was agreed on",
        )
    return ErrorCode.INTERNAL_ERROR, f"{said}, not with an ILP packet", ""


@final
class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    __slots__ = (
        "_body", "_chunks", "_future", "_head", "_left", "_pending", "_pool", "_request", "_timer",
        "_timer_at", "_transport", "asked_at", "deadline", "idle_seconds",
    )  # fmt: skip

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._request: OutgoingRequest[Account] | None = None
        """Whose answer is due."""
        self._future: asyncio.Future[Reply] | None = None
        """Who waits for it; None where nobody does any more."""
        self.deadline = 0.0
        """When, on the loop's clock, nobody waits any more, or the connection is idle for too long."""
        self.idle_seconds = pool.link.limits.idle_seconds
        self.asked_at: float | None = None
        """When this request was sent, on the clock's monotonic hand; None where its answer's Date is not looked at."""
        # One timer serves many exchanges: it looks whether the deadline has come, and sleeps on.
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        # The answer that is being read.
        self._pending = b""
        self._head: _KnownHead | None = None
        self._body = bytearray()
        self._left = 0
        self._chunks: ChunkedBody | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def post(
        self, octets: bytes, request: OutgoingRequest[Account], deadline: float
    ) -> asyncio.Future[Reply]:
        """Send a request, whole; the future ends with the answer, or with R00 at the deadline."""
        transport = self._transport
        assert transport is not None
        future: asyncio.Future[Reply] = self._pool.loop.create_future()
        self._request = request
        self._future = future
        self.deadline = deadline
        if self._timer is None or deadline < self._timer_at:
            self._set_timer()
        transport.write(octets)
        return future

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            abort(self._transport)

    # --- What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._pool.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._request is not None:
            head = self._head
            if exc is None and head is not None and self._ends_with_connection(head):
                self._deliver(*self._pool.judge(head, self._body))
            else:
                when = "without an"
                if head is not None or self._pending:
                    when = "in the middle of its"
                pool = self._pool
                what = f"closed the connection {when} answer"
                # A server that is tired of a slow receiver may hang up on its packet: that is not its own end.
                is_own = asks_itself(self._request)
                pool.failed(f"It {what}.", Failure.UNREACHABLE if is_own else Failure.UNCLEAR)
                sentence = f"{pool.account.username} {what}."
                reject = pool.reject(ErrorCode.PEER_UNREACHABLE, sentence)
                self._deliver(reject, is_undecided=True)
        self._pool.lost(self)

    def data_received(self, data: bytes) -> None:
        if self._request is None:
            self.close()  # Nothing was asked: whatever this is, it answers no packet.
            return
        if self._pending:
            data = self._pending + data
            self._pending = b""
        try:
            self._read(data)
        except BadMessage as error:
            self._give_up(
                self._pool.misunderstood(f"It answered with what is no HTTP: {error}.")
            )
        except BodyTooLarge:
            self._give_up(
                self._pool.misunderstood(
                    f"It answered with more than {BODY_OCTETS_MAX} octets."
                )
            )

    # --- Reading

    def _read(self, data: bytes) -> None:
        head = self._head
        at = 0
        while head is None:
            end = data.find(HEAD_END, at) + len(HEAD_END)
            if (end if end >= len(HEAD_END) else len(data)) - at > HEAD_OCTETS_MAX:
                raise BadMessage(f"its head has more than {HEAD_OCTETS_MAX} octets")
            if end < len(HEAD_END):
                self._pending = data[at:]
                return
            head = self._known(data[at:end])
            at = end
            if head.head.status < 200:
                head = None  # 100 Continue and its like: the answer is still to come.
                continue
            if self.asked_at is not None:
                self._pool.told_time(head.head, self.asked_at)
                self.asked_at = None
            length = head.head.length
            if length is not None:
                if length > BODY_OCTETS_MAX:
                    raise BodyTooLarge
                if len(data) - at == length:
                    self._complete(head, bytearray(memoryview(data)[at:]), is_clean=True)
                    return
                self._left = length
            elif head.head.chunked:
                self._chunks = ChunkedBody(BODY_OCTETS_MAX)
            self._head = head
            self._body = bytearray()
        if self._chunks is not None:
            at, is_whole = self._chunks.feed(data, at)
            if is_whole:
                self._complete(head, self._chunks.body, is_clean=at == len(data))
        elif head.head.length is None:
            if len(self._body) + len(data) - at > BODY_OCTETS_MAX:
                raise BodyTooLarge
            self._body += data[at:]
        else:
            part = data[at : at + self._left]
            self._body += part
            self._left -= len(part)
            if self._left == 0:
                self._complete(head, self._body, is_clean=at + len(part) == len(data))

    def _known(self, octets: bytes) -> _KnownHead:
        """Return what a head means; for one that has come before, without parsing it again."""
        known_heads = self._pool.known_heads
        head = known_heads.get(octets)
        if head is None:
            head = _known_head(octets, self._pool.link.limits)
            remember(known_heads, octets, head)
        return head

    def _complete(self, head: _KnownHead, body: bytearray, *, is_clean: bool) -> None:
        """Hand over an answer that is whole, and the connection where it can be used again."""
        self._deliver(*self._pool.judge(head, body))
        if is_clean and head.head.keep_alive and head.idle_seconds > 0 and self.is_open:
            self.idle_seconds = head.idle_seconds
            self._pool.release(self)
        else:
            self.close()

    def _give_up(self, reject: Reject) -> None:
        self._deliver(reject, is_undecided=True)
        self.abort()

    def _deliver(self, reply: Reply, is_undecided: bool) -> None:  # noqa: FBT001
        """Give the reply to whoever waits, or, where nobody does any more, to the books.

        What is undecided is for both: the sender is told, and its leg with the peer stays open.
        """
        request, future = self._request, self._future
        self._request = self._future = self._head = self._chunks = None
        is_late = future is None or future.done()
        if future is not None and not is_late:
            if request is not None:
                request.left_open = is_undecided
            future.set_result(reply)
        if request is not None and request.on_late_reply and (is_late or is_undecided):
            request.on_late_reply(reply)

    @staticmethod
    def _ends_with_connection(head: _KnownHead) -> bool:
        return head.head.length is None and not head.head.chunked

    # --- Time

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = self._pool.loop
        # Often enough that an idle connection is seen in time, whenever it became idle.
        self._timer_at = min(self.deadline, loop.time() + self.idle_seconds / 2)
        self._timer = loop.call_at(self._timer_at, self._look_at_time)

    def _look_at_time(self) -> None:
        self._timer = None
        now = self._pool.loop.time()
        if now >= self.deadline:
            if self._request is None:
                self.close()
                return
            if self._future is None:
                # Its silence was noted when the packet expired.
                name = self._pool.account.username
                self._give_up(
                    self._pool.reject(
                        ErrorCode.TRANSFER_TIMED_OUT,
                        f"{name} did not answer, even after the packet had expired.",
                    )
                )
                return
            if not self._future.done():
                self._time_out(self._request, self._future)
            self._future = None
            self.deadline = now + self._pool.link.limits.late_seconds
        self._set_timer()

    def _time_out(
        self, request: OutgoingRequest[Account], future: asyncio.Future[Reply]
    ) -> None:
        """Answer R00, and go on listening: the next hop may still fulfill."""
        request.left_open = True
        if asks_itself(request):
            reason, failure = "It did not answer a question of this node.", Failure.UNREACHABLE
        else:
            reason, failure = "It did not answer before a packet expired.", Failure.UNCLEAR
        self._pool.failed(reason, failure)
        future.set_result(
            self._pool.reject(
                ErrorCode.TRANSFER_TIMED_OUT,
                f"{self._pool.account.username} did not answer before the packet expired.",
            )
        )
