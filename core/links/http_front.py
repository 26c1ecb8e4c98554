"""The port: ILP packets are answered here, straight from the socket; all else is handed to the API.

What aiohttp does for a request costs several times what a packet costs in the whole chain, so the
ILP endpoints have a protocol of their own. The first request on a connection that is none of theirs
gives the connection to the web application, with what has been received of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import os
import socket
from collections.abc import Callable
from typing import Final, cast, final

from core.account import Account, AccountDirectory
from core.clock import Clock
from core.errors import SettingError
from core.links.door import Door, Guest
from core.links.http_connection import HttpConnection, HttpExchange, HttpLimits
from core.links.http_message import RequestHead, date_text
from core.links.http_server import FAILED, IlpEndpoint, reply_response
from core.links.strangers import Shares
from core.node_address import NodeAddress
from core.packet import ErrorCode, Prepare
from core.service import Incoming, IncomingRequest

log = logging.getLogger(__name__)

_FLUSH_SECONDS: Final = 1.0
_BOOKING_SECONDS: Final = 2.0
"""How long the end of a packet that is given up may take to be written down: a node is gone within 35 s."""
_BACKLOG: Final = 1024
_SECOND_MS: Final = 1000
_TICK_MS_MIN: Final = 5


@final
class HttpFront:
    """The listening port, and every connection that came in by it."""

    def __init__(
        self,
        *,
        incoming: Incoming,
        accounts: AccountDirectory,
        hash_token: Callable[[str], bytes],
        clock: Clock,
        address: NodeAddress,
        delegate: Callable[[], asyncio.Protocol] | None,
        upgrade: Callable[[RequestHead], asyncio.Protocol | None] | None,
        limits: HttpLimits,
    ) -> None:
        self._incoming = incoming
        self._address = address
        self.endpoint: IlpEndpoint = IlpEndpoint(accounts, hash_token)
        self.delegate: Callable[[], asyncio.Protocol] | None = delegate
        self.upgrade: Callable[[RequestHead], asyncio.Protocol | None] | None = upgrade
        self.limits: HttpLimits = limits
        self._clock = clock
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._door = Door(
            self.loop,
            per_second=limits.strangers_per_second,
            at_once=limits.strangers_at_once,
            waiting_max=max(1, min(limits.waiting_max, limits.connections_max // 4)),
        )
        self._openings: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._connections: Shares[HttpConnection] = Shares()
        self._strangers: Shares[HttpConnection] = Shares()
        """Of them: those that have neither sent a peer's packet nor been handed on."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone: asyncio.Event = asyncio.Event()
        self.is_draining = False
        self.port = 0
        """The port that is listened on: the one asked for, or the one that the system chose for 0."""
        self.now = self.loop.time()
        """The loop's clock, as of the last sweep: exact enough for whoever has been idle for a minute."""
        self.date = b""
        """The Date line of this second."""

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def waiting(self) -> int:
        """How many wait for their turn: connections, and strangers' requests."""
        return self._door.waiting

    @property
    def in_flight(self) -> int:
        """How many packets that came in here have no answer yet."""
        return len(self._tasks)

    @property
    def next_date_at(self) -> float:
        """When the Date is renewed, on the loop's clock; never once the port is closed."""
        ticker = self._ticker
        return math.inf if ticker is None or ticker.cancelled() else ticker.when()

    async def listen(self, host: str, port: int) -> None:
        """Open the port.

        Raises:
            SettingError: it cannot be opened; says which, and why.
        """
        try:
            self._server = await self.loop.create_server(
                lambda: HttpConnection(self), host, port, backlog=_BACKLOG, start_serving=False
            )
            bound = [socket.socket(fileno=os.dup(one.fileno())) for one in self._server.sockets]
            try:
                self._door.open(bound, _BACKLOG, self._let_in)
            except NotImplementedError:
                # Windows: asyncio's own way in, where strangers have no turns.
                await self._server.start_serving()
        except (OSError, OverflowError) as error:
            if self._server is not None:
                self._server.close()
            raise SettingError("http_bind", _why_not(host, port, error)) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweep()
        self._tell_time()

    def _let_in(self, connection: socket.socket, origin: str) -> None:
        task = self.loop.create_task(self._open(connection, origin))
        self._openings.add(task)
        task.add_done_callback(self._openings.discard)

    async def _open(self, connection: socket.socket, origin: str) -> None:
        try:
            await self.loop.connect_accepted_socket(
                lambda: HttpConnection(self, origin), connection
            )
        except OSError:
            connection.close()

    async def close(self, drain_seconds: float) -> None:
        """Accept nothing more, answer what has come in, and close; at most so many seconds.

        A packet that has no answer by then gets a Reject. The next hop may yet fulfill it, as after
        any packet whose time was up, and the books go on saying so.

        Connections that were handed to the web application are its own to close.
        """
        deadline = self.loop.time() + drain_seconds
        self.is_draining = True
        self._door.close()
        if self._server is not None:
            self._server.close()
        if self._openings:
            # A turn of the loop, in which each finds no room and is closed: one cancelled before
            # its first step would leave its socket open.
            await asyncio.wait(self._openings)
        for connection in tuple(self._connections):
            connection.drain()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, deadline - self.loop.time()))
        if self._tasks:
            log.warning("%d packets were not answered before the port closed", self.in_flight)
        for task in tuple(self._tasks):
            task.cancel()
        unbooked: set[asyncio.Task[None]] = set()
        if self._tasks:
            _, unbooked = await asyncio.wait(self._tasks, timeout=_BOOKING_SECONDS)
        # Only now: a task that came to its end all the same has given the true answer.
        if unbooked:
            # The store is slow, and may yet book a fulfillment: no answer at all is no wrong one.
            log.warning("%d packets could not be booked before the port closed", len(unbooked))
        else:
            given_up = self._address.reject(
                ErrorCode.TRANSFER_TIMED_OUT,
                "This node stopped before the next hop had answered.",
            )
            for connection in tuple(self._connections):
                connection.give_up(given_up)
        if not self._is_empty():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), _FLUSH_SECONDS)
        for connection in tuple(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._ticker is not None:
            self._ticker.cancel()

    def admit(self, connection: HttpConnection, origin: str) -> bool:
        """Count a new connection; return False where there are too many."""
        if (
            self.is_draining
            or self._connections.held(origin) >= self.limits.connections_per_address_max
            or (
                len(self._connections) >= self.limits.connections_max
                and not self._makes_room(origin)
            )
        ):
            return False
        self._connections.take(connection, origin)
        self._strangers.take(connection, origin)
        return True

    def _makes_room(self, origin: str) -> bool:
        """Close a stranger's connection, or an idle one of the origin that has most for one that has fewer.

        Strangers' go whoever comes: else as many of them as there are places, each from a host of
        its own, would keep all others out until they are idle for too long.
        """
        strangers, crowd = self._strangers.most(), self._connections.most()
        if strangers.holders:
            oldest = next(iter(strangers.holders))
            oldest.give_way()
            self.leave(oldest, strangers.origin)
            return True
        if self._connections.held(origin) + 1 >= len(crowd.holders):
            return False
        for connection in crowd.holders:
            if connection.may_give_way:
                connection.give_way()
                self.leave(connection, crowd.origin)
                return True
        return False

    def leave(self, connection: HttpConnection, origin: str) -> None:
        """Uncount a connection that is gone, or that BTP has; once is enough."""
        self._strangers.give_back(connection, origin)
        self._connections.give_back(connection, origin)
        if self.is_draining and self._is_empty():
            self._gone.set()

    def known(self, connection: HttpConnection, origin: str) -> None:
        """Count a connection as a peer's: it was let in as a stranger's."""
        self._strangers.give_back(connection, origin)
        self._door.give_back()

    def handed_on(self, connection: HttpConnection, origin: str) -> None:
        """Count a connection as the web application's."""
        self._strangers.give_back(connection, origin)

    def wait(self, guest: Guest, origin: str) -> None:
        """Let a stranger's next request have its turn among all strangers'."""
        self._door.wait(guest, origin)

    def forget(self, guest: Guest, origin: str) -> None:
        """Let it wait no more: it has gone."""
        self._door.forget(guest, origin)

    def handle(
        self,
        connection: HttpConnection,
        exchange: HttpExchange,
        account: Account,
        prepare: Prepare,
    ) -> None:
        """Give the packet to the chain, in a task that lives on when the connection does not."""
        task = self.loop.create_task(self._handle(connection, exchange, account, prepare))
        exchange.task = task
        self._tasks.add(task)

    async def _handle(
        self,
        connection: HttpConnection,
        exchange: HttpExchange,
        account: Account,
        prepare: Prepare,
    ) -> None:
        try:
            reply = await self._incoming.handle(IncomingRequest(account, prepare))
        except Exception:
            log.exception("a packet from %s met a fault", account.username)
            connection.answer_problem(exchange, FAILED)
        else:
            if self.is_draining:
                connection.say_last(exchange)
            exchange.octets = reply_response(
                reply,
                date=self.date,
                keep_alive=exchange.keep_alive,
                http_1_0=exchange.http_1_0,
            )
            connection.flush()
        finally:
            self._tasks.discard(cast("asyncio.Task[None]", exchange.task))

    def _is_empty(self) -> bool:
        return all(connection.is_delegated for connection in self._connections)

    def _sweep(self) -> None:
        """End what has taken too long, and look at the loop's clock; once a second or oftener."""
        limits = self.limits
        self.now = self.loop.time()
        for connection in tuple(self._connections):
            if connection.deadline <= self.now:
                connection.time_out()
        shortest = min(limits.header_seconds, limits.body_seconds, limits.idle_seconds)
        self._sweeper = self.loop.call_later(min(1.0, shortest / 4), self._sweep)

    def _tell_time(self) -> None:
        """Write the Date anew, at the beginning of each second: peers learn from it how their clocks go."""
        now_ms = self._clock.now_ms()
        self.date = b"Date: %b\r\n" % date_text(now_ms)
        left_ms = max(_TICK_MS_MIN, _SECOND_MS - now_ms % _SECOND_MS)
        self._ticker = self.loop.call_later(left_ms / 1000, self._tell_time)


async def serve(
    *,
    host: str,
    port: int,
    incoming: Incoming,
    accounts: AccountDirectory,
    hash_token: Callable[[str], bytes],
    clock: Clock,
    address: NodeAddress,
    delegate: Callable[[], asyncio.Protocol] | None = None,
    upgrade: Callable[[RequestHead], asyncio.Protocol | None] | None = None,
    limits: HttpLimits | None = None,
) -> HttpFront:
    """Listen for packets and, where there is a `delegate`, for everything else.

    Args:
        host: A name or an address of this machine.
        port: 0 lets the system choose one.
        incoming: The chain.
        accounts: Who may send, by the keyed hash of their token.
        hash_token: `AccountStore.hash_token`.
        clock: For the Date that answers carry.
        address: Ours, for the Reject of a packet that is under way when the port closes.
        delegate: Makes the protocol for a connection that asks for anything but an ILP endpoint:
            `runner.server` of an `aiohttp.web.AppRunner` that is set up. Close this first, and
            clean up the runner then.
        upgrade: Makes the protocol for a connection that asks for a WebSocket of BTP: `BtpLink.accept`.
        limits: What a stranger may take up.

    Raises:
        SettingError: the port cannot be opened; says why.
    """
    front = HttpFront(
        incoming=incoming,
        accounts=accounts,
        hash_token=hash_token,
        clock=clock,
        address=address,
        delegate=delegate,
        upgrade=upgrade,
        limits=limits or HttpLimits(),
    )
    await front.listen(host, port)
    return front


def _why_not(host: str, port: int, error: OSError | OverflowError) -> str:
    """Return the sentence for a port that cannot be opened."""
    place = f"{host}:{port}"
    if isinstance(error, OverflowError):
        return f"{place} has no port: one is between 0 and 65535"
    if isinstance(error, socket.gaierror):
        return f"{place} is nowhere: no host is called {host!r}"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{place} is in use by another program, perhaps another node: "
                "stop it, or choose another port"
            )
        case errno.EACCES:
            return f"{place} needs rights that this process does not have: choose a port above 1023"
        # None where asyncio tried several, or found none to try.
        case errno.EADDRNOTAVAIL | None:
            return f"{place} is no address of this machine"
        case _:
            return f"{place} cannot be listened on: {error}"
