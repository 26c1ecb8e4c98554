"""The port: ILP packets are answered here, straight from the socket; all else is handed to the API.

What aiohttp does for a request costs several times what a packet costs in the whole chain, so the
ILP endpoints have a protocol of their own. The first request on a connection that is none of theirs
gives the connection to the web application, with what has been received of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import errno
import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, cast, final

from core.account import Account, AccountDirectory
from core.clock import Clock
from core.errors import PacketError, SettingError
from core.links.http_message import (
    BODY_OCTETS_MAX,
    HEAD_END,
    HEAD_OCTETS_MAX,
    BadMessage,
    BodyTooLarge,
    ChunkedBody,
    RequestHead,
    parse_request_head,
    remember,
)
from core.links.http_server import (
    BODY_TOO_LARGE,
    CONTINUE,
    FAILED,
    HEAD_TOO_LARGE,
    NOT_HERE,
    TOO_MANY_CONNECTIONS,
    TOO_SLOW,
    UNAUTHORIZED,
    IlpEndpoint,
    IlpRequest,
    Problem,
    bad_head,
    bad_packet,
    reply_response,
)
from core.node_address import NodeAddress
from core.packet import ErrorCode, Prepare, Reject
from core.service import Incoming, IncomingRequest

log = logging.getLogger(__name__)

_LINGER_OCTETS_MAX: Final = 1024 * 1024
_FLUSH_SECONDS: Final = 1.0
_BOOKING_SECONDS: Final = 2.0
"""How long the end of a packet that is given up may take to be written down: a node is gone within 35 s."""
_BACKLOG: Final = 1024


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much of this process a stranger may hold, and for how long."""

    connections_max: int = 4096
    connections_per_address_max: int = 512
    in_flight_per_connection_max: int = 16
    """Packets that one connection may have under way; what it sends beyond them is read later."""
    header_seconds: float = 10.0
    """From the first octet of a head to its last."""
    body_seconds: float = 10.0
    """From the end of a head to the end of its body."""
    idle_seconds: float = 60.0
    write_seconds: float = 30.0
    """How long the other side may leave answers unread."""
    linger_seconds: float = 2.0
    """How long a refused request is read and dropped, so that its sender sees why."""


@final
class _Exchange:
    """One request in the order it came, and its answer once there is one."""

    __slots__ = ("http_1_0", "is_head", "keep_alive", "octets", "task")

    def __init__(self, *, keep_alive: bool, http_1_0: bool, is_head: bool) -> None:
        self.keep_alive = keep_alive
        self.http_1_0 = http_1_0
        self.is_head = is_head
        self.octets: bytes | None = None
        self.task: asyncio.Task[None] | None = None


class _State(enum.Enum):
    """What a connection does with what it receives."""

    READS = "reads"
    LAST = "last"
    """A request has said that it is the last one: what follows is dropped."""
    LINGERS = "lingers"
    """A refusal was written: what follows is dropped, for a while."""


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
        self.endpoint: Final = IlpEndpoint(accounts, hash_token)
        self.delegate: Final = delegate
        self.upgrade: Final = upgrade
        self.limits: Final = limits
        self._clock = clock
        self.loop: Final = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._connections: set[_Connection] = set()
        self._by_address: dict[str, int] = {}
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
    def in_flight(self) -> int:
        """How many packets that came in here have no answer yet."""
        return len(self._tasks)

    async def listen(self, host: str, port: int) -> None:
        """Open the port.

        Raises:
            SettingError: it cannot be opened; says which, and why.
        """
        try:
            self._server = await self.loop.create_server(
                lambda: _Connection(self), host, port, backlog=_BACKLOG
            )
        except (OSError, OverflowError) as error:
            raise SettingError("http_bind", _why_not(host, port, error)) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweep()

    async def close(self, drain_seconds: float) -> None:
        """Accept nothing more, answer what has come in, and close; at most so many seconds.

        A packet that has no answer by then gets a Reject. The next hop may yet fulfill it, as after
        any packet whose time was up, and the books go on saying so.

        Connections that were handed to the web application are its own to close.
        """
        deadline = self.loop.time() + drain_seconds
        self.is_draining = True
        if self._server is not None:
            self._server.close()
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

    def admit(self, connection: _Connection, remote: str) -> bool:
        """Count a new connection; return False where there are too many."""
        count = self._by_address.get(remote, 0)
        if (
            self.is_draining
            or len(self._connections) >= self.limits.connections_max
            or count >= self.limits.connections_per_address_max
        ):
            return False
        self._connections.add(connection)
        self._by_address[remote] = count + 1
        return True

    def leave(self, connection: _Connection, remote: str) -> None:
        """Uncount a connection that is gone."""
        self._connections.discard(connection)
        count = self._by_address[remote] - 1
        if count:
            self._by_address[remote] = count
        else:
            del self._by_address[remote]
        if self.is_draining and self._is_empty():
            self._gone.set()

    def handle(
        self, connection: _Connection, exchange: _Exchange, account: Account, prepare: Prepare
    ) -> None:
        """Give the packet to the chain, in a task that lives on when the connection does not."""
        task = self.loop.create_task(self._handle(connection, exchange, account, prepare))
        exchange.task = task
        self._tasks.add(task)

    async def _handle(
        self, connection: _Connection, exchange: _Exchange, account: Account, prepare: Prepare
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
        """End what has taken too long, and look at the clocks; once a second or oftener."""
        limits = self.limits
        self.now = self.loop.time()
        date = formatdate(self._clock.now_ms() // 1000, usegmt=True)
        self.date = b"Date: %b\r\n" % date.encode()
        for connection in tuple(self._connections):
            if connection.deadline <= self.now:
                connection.time_out()
        shortest = min(limits.header_seconds, limits.body_seconds, limits.idle_seconds)
        self._sweeper = self.loop.call_later(min(1.0, shortest / 4), self._sweep)


@final
class _Connection(asyncio.Protocol):
    """One connection: requests in, answers out in the same order, until it is handed on or ends."""

    __slots__ = (
        "_account", "_body", "_chunks", "_delegate", "_exchanges", "_front", "_in_head",
        "_is_reading", "_is_writable", "_known_heads", "_left", "_linger_left", "_owes_continue",
        "_pending", "_problem", "_remote", "_request", "_state", "_transport", "deadline",
    )  # fmt: skip

    def __init__(self, front: HttpFront) -> None:
        self._front = front
        self._transport: asyncio.Transport | None = None
        self._remote = ""
        self._delegate: asyncio.Protocol | None = None
        self._state = _State.READS
        self._known_heads: dict[bytes, IlpRequest] = {}
        self._pending = b""
        """Received and not yet read: the beginning of a head, or what there is no room for now."""
        self._in_head = False
        self._is_reading = True
        self._is_writable = True
        self._exchanges: deque[_Exchange] = deque()
        self._linger_left = _LINGER_OCTETS_MAX
        self.deadline = math.inf
        """When, on the loop's clock, what goes on now has taken too long."""
        # The request whose body is being read.
        self._request: IlpRequest | None = None
        self._account: Account | None = None
        self._problem: Problem | None = None
        self._body = bytearray()
        self._left = 0
        self._chunks: ChunkedBody | None = None
        self._owes_continue = False

    # --- What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        opened = cast("asyncio.Transport", transport)
        peer = opened.get_extra_info("peername")
        self._remote = str(peer[0]) if peer else ""
        if self._front.admit(self, self._remote):
            self._transport = opened
            self.deadline = self._front.now + self._front.limits.idle_seconds
            return
        self._state = _State.LAST
        opened.write(TOO_MANY_CONNECTIONS.response(date=self._front.date, keep_alive=False))
        opened.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        self._transport = None
        self.deadline = math.inf
        self._pending = b""
        self._front.leave(self, self._remote)
        if self._delegate is not None:
            self._delegate.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._delegate is not None:
            self._delegate.data_received(data)
        elif self._state is _State.READS:
            if self._pending:
                data = self._pending + data
                self._pending = b""
            self._read(data)
        elif self._state is _State.LINGERS and self._is_reading:
            self._linger_left -= len(data)
            if self._linger_left < 0:
                self._pause_reading()

    def eof_received(self) -> bool | None:
        if self._delegate is not None:
            return self._delegate.eof_received()
        if not self._exchanges:
            return None
        # The other side has said all, and may still be reading: the answers come, then the end.
        self._exchanges[-1].keep_alive = False
        self._state = _State.LAST
        return True

    def pause_writing(self) -> None:
        if self._delegate is not None:
            self._delegate.pause_writing()
            return
        self._is_writable = False
        self.deadline = self._front.now + self._front.limits.write_seconds

    def resume_writing(self) -> None:
        if self._delegate is not None:
            self._delegate.resume_writing()
            return
        self._is_writable = True
        self.deadline = math.inf
        self.flush()

    # --- What the front calls

    @property
    def is_delegated(self) -> bool:
        return self._delegate is not None

    def time_out(self) -> None:
        """End what has taken too long."""
        self.deadline = math.inf
        if not self._is_writable or self._state is not _State.READS:
            self.abort()
        elif self._request is not None or self._in_head:
            self._refuse(TOO_SLOW)
        else:
            self._close()

    def drain(self) -> None:
        """Close at once where no packet is under way, else behind the last answer."""
        if self._delegate is None and not self._exchanges:
            self._close()

    def give_up(self, reject: Reject) -> None:
        """Answer with this whatever has no answer yet."""
        for exchange in self._exchanges:
            if exchange.octets is None:
                self.say_last(exchange)
                exchange.octets = reply_response(
                    reject,
                    date=self._front.date,
                    keep_alive=exchange.keep_alive,
                    http_1_0=exchange.http_1_0,
                )
        if self._exchanges:
            self.flush()

    def abort(self) -> None:
        """Drop the connection as it is."""
        if self._transport is not None and self._delegate is None:
            self._transport.abort()

    def say_last(self, exchange: _Exchange) -> None:
        """Let the answer say that no other follows, where it is the last one due."""
        if self._exchanges and self._exchanges[-1] is exchange:
            exchange.keep_alive = False
            self._state = _State.LAST

    def answer_problem(self, exchange: _Exchange, problem: Problem) -> None:
        """Answer with what is wrong."""
        exchange.octets = problem.response(
            date=self._front.date,
            keep_alive=exchange.keep_alive,
            with_body=not exchange.is_head,
        )
        self.flush()

    def flush(self) -> None:
        """Write the answers that are due, in order, as fast as the other side takes them."""
        transport = self._transport
        if transport is None:
            return
        exchanges = self._exchanges
        while exchanges and self._is_writable:
            exchange = exchanges[0]
            if exchange.octets is None:
                break
            exchanges.popleft()
            transport.write(exchange.octets)
            if not exchange.keep_alive:
                self._end(transport)
                return
        if not self._is_writable:
            return
        if not exchanges:
            if self._front.is_draining:
                self._close()
                return
            if self._owes_continue:
                self._owes_continue = False
                transport.write(CONTINUE)
            if self._request is None and not self._in_head:
                self.deadline = self._front.now + self._front.limits.idle_seconds
        if not self._is_reading:
            self._is_reading = True
            transport.resume_reading()
            pending, self._pending = self._pending, b""
            self._read(pending)

    # --- Reading

    def _read(self, data: bytes) -> None:
        """Take requests from `data`, as many as are whole and as there is room for."""
        limits = self._front.limits
        at, size = 0, len(data)
        while at < size and self._state is _State.READS:
            if self._request is not None:
                at = self._read_body(data, at)
                continue
            if data[at] == 13 and data.startswith(b"\r\n", at):
                at += 2  # RFC-9112 §2.2: an empty line before a request is passed over.
                continue
            if len(self._exchanges) >= limits.in_flight_per_connection_max:
                self._hold(data[at:])
                return
            end = data.find(HEAD_END, at)
            if end < 0:
                self._await_head(data[at:])
                return
            end += len(HEAD_END)
            head = data[at:end]
            request = self._known_heads.get(head)
            if request is None:
                if len(head) > HEAD_OCTETS_MAX:
                    self._refuse(HEAD_TOO_LARGE)
                    return
                try:
                    parsed = parse_request_head(head)
                    request = self._front.endpoint.examine(parsed)
                except BadMessage as error:
                    self._refuse(bad_head(str(error)))
                    return
                if request is None:
                    self._hand_on(parsed, data[at:])
                    return
                remember(self._known_heads, head, request)
            at = end
            self._in_head = False
            length = request.length
            if length and size - at >= length and request.problem is None:
                # The usual case: a packet that came whole, from somebody we know.
                account = self._front.endpoint.account(request)
                if account is not None:
                    body = bytearray(data[at : at + length])
                    at += length
                    self._complete(request, account, None, body)
                    continue
            self._begin(request, octets_here=size - at)

    def _await_head(self, beginning: bytes) -> None:
        """Keep the beginning of a head; the time for all of it runs from its first octet."""
        if len(beginning) > HEAD_OCTETS_MAX:
            self._refuse(HEAD_TOO_LARGE)
            return
        if not self._in_head:
            self._in_head = True
            self.deadline = self._front.loop.time() + self._front.limits.header_seconds
        self._pending = beginning

    def _begin(self, request: IlpRequest, *, octets_here: int) -> None:
        """Make ready for a request's body; what its head alone decides is decided now."""
        account = self._front.endpoint.account(request)
        problem = request.problem
        if problem is None and account is None:
            problem = UNAUTHORIZED
        if problem is not None and (request.expects_continue or not request.is_bounded):
            self._refuse(problem, is_head=request.is_head)
            return
        self._request = request
        self._account = account
        self._problem = problem
        self._body = bytearray()
        length = request.length
        if length is None:
            self._chunks = ChunkedBody(BODY_OCTETS_MAX)
        elif length == 0:
            self._finish_body(request)
            return
        else:
            self._left = length
            if octets_here >= length:
                return
        self.deadline = self._front.loop.time() + self._front.limits.body_seconds
        if request.expects_continue and not octets_here and self._transport is not None:
            if self._exchanges:
                self._owes_continue = True
            else:
                self._transport.write(CONTINUE)

    def _read_body(self, data: bytes, at: int) -> int:
        """Take what there is of the body; return the octet behind it."""
        request = self._request
        assert request is not None
        self._owes_continue = False
        if self._chunks is not None:
            try:
                at, is_whole = self._chunks.feed(data, at)
            except BadMessage as error:
                self._refuse(bad_head(str(error)))
                return len(data)
            except BodyTooLarge:
                self._refuse(BODY_TOO_LARGE)
                return len(data)
            if is_whole:
                self._body = self._chunks.body
                self._chunks = None
                self._finish_body(request)
            return at
        part = data[at : at + self._left]
        if self._problem is None:
            self._body += part
        self._left -= len(part)
        if self._left == 0:
            self._finish_body(request)
        return at + len(part)

    def _finish_body(self, request: IlpRequest) -> None:
        account, problem = self._account, self._problem
        self._request = self._account = self._problem = None
        self._complete(request, account, problem, self._body)

    def _complete(
        self,
        request: IlpRequest,
        account: Account | None,
        problem: Problem | None,
        body: bytearray,
    ) -> None:
        """Answer a request that has come in whole, or let the chain answer it."""
        self.deadline = math.inf
        if not request.keep_alive:
            self._state = _State.LAST
        exchange = _Exchange(
            keep_alive=request.keep_alive, http_1_0=request.http_1_0, is_head=request.is_head
        )
        self._exchanges.append(exchange)
        if problem is None and account is not None:
            try:
                prepare = Prepare(body)
            except PacketError as error:
                problem = bad_packet(error)
            else:
                self._front.handle(self, exchange, account, prepare)
                return
        self.answer_problem(exchange, problem or UNAUTHORIZED)

    def _hand_on(self, head: RequestHead, received: bytes) -> None:
        """Give the connection to whom it is for, BTP or the web application, from this request on."""
        if self._exchanges:
            self._hold(received)  # The answers that are due come first.
            return
        upgrade, delegate = self._front.upgrade, self._front.delegate
        taker = None if upgrade is None else upgrade(head)
        if taker is None and delegate is not None:
            taker = delegate()
        if taker is None or self._transport is None:
            self._refuse(NOT_HERE)
            return
        self.deadline = math.inf
        self._known_heads.clear()
        self._delegate = taker
        taker.connection_made(self._transport)
        taker.data_received(received)

    def _hold(self, rest: bytes) -> None:
        """Keep what cannot be read now, and receive no more until it is."""
        self._pending = rest
        self._in_head = False
        self._pause_reading()

    def _pause_reading(self) -> None:
        if self._transport is not None and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    # --- Ending

    def _refuse(self, problem: Problem, *, is_head: bool = False) -> None:
        """Say what is wrong behind the answers that are due, and end; what still comes is dropped."""
        self._state = _State.LINGERS
        self._request = self._chunks = None
        self._in_head = False
        self.deadline = math.inf
        exchange = _Exchange(keep_alive=False, http_1_0=False, is_head=is_head)
        self._exchanges.append(exchange)
        self.answer_problem(exchange, problem)

    def _end(self, transport: asyncio.Transport) -> None:
        """End behind what was just written.

        Closed with octets unread, the system would reset the connection, and the other side might
        never see the refusal: so a refused request is read on for a while.
        """
        if self._state is _State.LINGERS and transport.can_write_eof():
            transport.write_eof()
            self.deadline = self._front.loop.time() + self._front.limits.linger_seconds
        else:
            self._close()

    def _close(self) -> None:
        """Close once what was written has gone, or after a while."""
        self._state = _State.LAST
        self.deadline = self._front.now + self._front.limits.write_seconds
        if self._transport is not None:
            self._transport.close()


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
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{place} is in use by another program, perhaps another node: "
                "stop it, or choose another port"
            )
        case errno.EACCES:
            return f"{place} needs rights that this process does not have: choose a port above 1023"
        case (
            errno.EADDRNOTAVAIL | None
        ):  # None where asyncio tried several, or found none to try
            return f"{place} is no address of this machine"
        case _:
            return f"{place} cannot be listened on: {error}"
