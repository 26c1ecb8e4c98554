"""One connection of the port: requests of ILP in, answers out in the same order, or handed on to whom it is for."""

from __future__ import annotations

import asyncio
import enum
import math
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast, final

from core.account import Account
from core.errors import PacketError
from core.links.door import Guest
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
from core.links.strangers import neighbourhood
from core.links.transports import abort
from core.packet import Prepare, Reject

_LINGER_OCTETS_MAX: Final = 1024 * 1024
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much of this process a stranger may hold, and for how long."""

    connections_max: int = 4096
    """Once there are so many, one more makes the address with most of them give one up that is idle."""
    connections_per_address_max: int = 2048
    """Of one IPv4 address, or one /64 network of IPv6: a proxy's are those of all who come through it."""
    strangers_per_second: float = 1_000.0
    """Connections that are let in, and requests of strangers that are looked at: each costs 100 to 300 µs."""
    strangers_at_once: int = 64
    """And so many after a while in which there were none, one in a turn of the loop."""
    waiting_max: int = 512
    """Of those that wait for their turn; one more sends away the oldest of the host that has most."""
    in_flight_per_connection_max: int = 16
    """Packets that one connection may have under way; what it sends beyond them is read later."""
    requests_at_once: int = 32
    """What is read of one connection in one turn of the loop, before others have theirs."""
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
class HttpExchange:
    """One request in the order it came, and its answer once there is one."""

    __slots__ = ("http_1_0", "is_head", "keep_alive", "octets", "task")

    def __init__(self, *, keep_alive: bool, http_1_0: bool, is_head: bool) -> None:
        self.keep_alive = keep_alive
        self.http_1_0 = http_1_0
        self.is_head = is_head
        self.octets: bytes | None = None
        self.task: asyncio.Task[None] | None = None


class State(enum.Enum):
    """What a connection does with what it receives."""

    READS = "reads"
    LAST = "last"
    """A request has said that it is the last one: what follows is dropped."""
    LINGERS = "lingers"
    """A refusal was written: what follows is dropped, for a while."""


class Front(Protocol):
    """What a connection asks of the port that it came in by."""

    endpoint: IlpEndpoint
    delegate: Callable[[], asyncio.Protocol] | None
    upgrade: Callable[[RequestHead], asyncio.Protocol | None] | None
    limits: HttpLimits
    loop: asyncio.AbstractEventLoop
    is_draining: bool
    now: float
    date: bytes

    def admit(self, connection: HttpConnection, origin: str) -> bool:
        """Count a new connection; return False where there are too many."""

    def leave(self, connection: HttpConnection, origin: str) -> None:
        """Uncount a connection that is gone, or that BTP has; once is enough."""

    def known(self, connection: HttpConnection, origin: str) -> None:
        """Count a connection as a peer's."""

    def handed_on(self, connection: HttpConnection, origin: str) -> None:
        """Count a connection as the web application's."""

    def wait(self, guest: Guest, origin: str) -> None:
        """Let a stranger's next request have its turn among all strangers'."""

    def forget(self, guest: Guest, origin: str) -> None:
        """Let it wait no more: it has gone."""

    def handle(
        self,
        connection: HttpConnection,
        exchange: HttpExchange,
        account: Account,
        prepare: Prepare,
    ) -> None:
        """Give the packet to the chain; the answer goes into the exchange."""


@final
class HttpConnection(asyncio.Protocol):
    """One connection: requests in, answers out in the same order, until it is handed on or ends."""

    __slots__ = (
        "_account",
        "_body",
        "_chunks",
        "_delegate",
        "_exchanges",
        "_front",
        "_in_head",
        "_is_behind",
        "_is_known",
        "_is_reading",
        "_is_writable",
        "_known_heads",
        "_left",
        "_linger_left",
        "_origin",
        "_owes_continue",
        "_pending",
        "_problem",
        "_request",
        "_state",
        "_transport",
        "_was_refused",
        "deadline",
    )  # fmt: skip

    def __init__(self, front: Front, origin: str = "") -> None:
        """Wait for the socket, which comes from `origin`; where that is not said, it is asked."""
        self._front = front
        self._transport: asyncio.Transport | None = None
        self._origin = origin
        self._is_known = False
        """Whether a peer's packet has come by it."""
        self._was_refused = False
        """Whether a request was answered that was no peer's, since the last turn that it had."""
        self._delegate: asyncio.Protocol | None = None
        self._state = State.READS
        self._known_heads: dict[bytes, IlpRequest] = {}
        self._pending = b""
        """Received and not yet read: the beginning of a head, or what there is no room for now."""
        self._in_head = False
        self._is_reading = True
        self._is_behind = False
        """Whether more has come than was read: the rest has its turn when others had theirs."""
        self._is_writable = True
        self._exchanges: deque[HttpExchange] = deque()
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
        if not self._origin:
            peer = opened.get_extra_info("peername")
            self._origin = neighbourhood(str(peer[0])) if peer else ""
        if self._front.admit(self, self._origin):
            self._transport = opened
            self.deadline = self._front.now + self._front.limits.idle_seconds
            return
        self._state = State.LAST
        opened.write(TOO_MANY_CONNECTIONS.response(date=self._front.date, keep_alive=False))
        opened.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        self._transport = None
        self.deadline = math.inf
        self._pending = b""
        if self._was_refused:
            self._front.forget(self, self._origin)
        self._front.leave(self, self._origin)
        if self._delegate is not None:
            self._delegate.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._delegate is not None:
            self._delegate.data_received(data)
        elif self._is_behind:  # a transport that does not stop at once
            self._pending += data
        elif self._state is State.READS:
            if self._pending:
                data = self._pending + data
                self._pending = b""
            self._read(data)
        elif self._state is State.LINGERS and self._is_reading:
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
        self._state = State.LAST
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

    @property
    def may_give_way(self) -> bool:
        """Whether it carries no packet now."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and not self._exchanges

    def give_way(self) -> None:
        """Make room for another one, whoever has it now."""
        if self._transport is not None:
            abort(self._transport)

    def time_out(self) -> None:
        """End what has taken too long."""
        self.deadline = math.inf
        if not self._is_writable or self._state is not State.READS:
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
            abort(self._transport)

    def say_last(self, exchange: HttpExchange) -> None:
        """Let the answer say that no other follows, where it is the last one due."""
        if self._exchanges and self._exchanges[-1] is exchange:
            exchange.keep_alive = False
            self._state = State.LAST

    def answer_problem(self, exchange: HttpExchange, problem: Problem) -> None:
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
        if not self._is_reading and not self._is_behind:
            self._is_reading = True
            transport.resume_reading()
            pending, self._pending = self._pending, b""
            self._read(pending)

    # --- Reading

    def _read(self, data: bytes) -> None:
        """Take requests from `data`, as many as are whole and as there is room for."""
        limits = self._front.limits
        at, size, requests_left = 0, len(data), limits.requests_at_once
        while at < size and self._state is State.READS:
            if self._request is not None:
                at = self._read_body(data, at)
                continue
            empty = _EMPTY_LINES.match(data, at)
            if empty is not None:
                # RFC-9112 §2.2: an empty line before a request is passed over.
                at = empty.end()
                continue
            if self._was_refused and not self._is_known:
                self._hold_for_its_turn(data[at:])
                return
            if not requests_left:
                self._hold_for_a_turn(data[at:])
                return
            requests_left -= 1
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
            self._state = State.LAST
        exchange = HttpExchange(
            keep_alive=request.keep_alive, http_1_0=request.http_1_0, is_head=request.is_head
        )
        self._exchanges.append(exchange)
        if problem is None and account is not None:
            try:
                prepare = Prepare(body)
            except PacketError as error:
                problem = bad_packet(error)
            else:
                if not self._is_known:
                    self._is_known = True
                    self._front.known(self, self._origin)
                self._front.handle(self, exchange, account, prepare)
                return
        self._was_refused = True
        self.answer_problem(exchange, problem or UNAUTHORIZED)

    def _hand_on(self, head: RequestHead, received: bytes) -> None:
        """Give the connection to whom it is for, BTP or the web application, from this request on."""
        if self._exchanges:
            self._hold(received)  # The answers that are due come first.
            return
        upgrade, delegate = self._front.upgrade, self._front.delegate
        taker = None if upgrade is None else upgrade(head)
        if taker is not None:
            # BTP has bounds of its own; and peers that come through one proxy are many at one address.
            self._front.leave(self, self._origin)
        if taker is None and delegate is not None:
            taker = delegate()
        if taker is None or self._transport is None:
            self._refuse(NOT_HERE)
            return
        self._front.handed_on(self, self._origin)
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

    def _hold_for_a_turn(self, rest: bytes) -> None:
        """Let others have their turn: one connection is not all that there is."""
        self._hold(rest)
        self._is_behind = True
        self._front.loop.call_soon(self._go_on)

    def _hold_for_its_turn(self, rest: bytes) -> None:
        """Let a stranger that was refused wait for the turn that it has among all strangers."""
        self._hold(rest)
        self._is_behind = True
        self._front.wait(self, self._origin)

    def come_in(self) -> None:
        """Go on: it is the turn of this stranger."""
        self._was_refused = False
        self._go_on()

    def turn_away(self) -> None:
        """End: too many strangers wait, and most of them come from where this one does."""
        self.abort()

    def _go_on(self) -> None:
        self._is_behind = False
        self.flush()

    def _pause_reading(self) -> None:
        if self._transport is not None and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    # --- Ending

    def _refuse(self, problem: Problem, *, is_head: bool = False) -> None:
        """Say what is wrong behind the answers that are due, and end; what still comes is dropped."""
        self._state = State.LINGERS
        self._request = self._chunks = None
        self._in_head = False
        self.deadline = math.inf
        exchange = HttpExchange(keep_alive=False, http_1_0=False, is_head=is_head)
        self._exchanges.append(exchange)
        self.answer_problem(exchange, problem)

    def _end(self, transport: asyncio.Transport) -> None:
        """End behind what was just written.

        Closed with octets unread, the system would reset the connection, and the other side might
        never see the refusal: so a refused request is read on for a while.
        """
        if self._state is State.LINGERS and transport.can_write_eof():
            transport.write_eof()
            self.deadline = self._front.loop.time() + self._front.limits.linger_seconds
        else:
            self._close()

    def _close(self) -> None:
        """Close once what was written has gone, or after a while."""
        self._state = State.LAST
        self.deadline = self._front.now + self._front.limits.write_seconds
        if self._transport is not None:
            self._transport.close()
