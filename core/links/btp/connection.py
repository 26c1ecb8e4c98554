"""One BTP connection: the WebSocket below, the exchange above, and the octets between them.

What comes in one piece is read in one go, and what is said during one turn of the loop is written
together: most of what a packet costs on a socket is the calls, not the octets.
"""

from __future__ import annotations

import asyncio
import enum
import math
from typing import Final, Protocol, cast, final

from core.account import Account, AccountId
from core.clock import Clock
from core.errors import PacketError
from core.links.btp import websocket as ws
from core.links.btp.exchange import (
    Answered,
    Asked,
    Exchange,
    Failed,
    Ignored,
    Login,
    Opened,
    Refused,
    Say,
    Violation,
)
from core.links.btp.limits import BtpLimits
from core.links.http_message import (
    HEAD_END,
    HEAD_OCTETS_MAX,
    BadMessage,
    date_of,
    parse_response_head,
)
from core.links.link_states import Failure, LinkHistory, LinkStates, asks_itself
from core.links.strangers import neighbourhood
from core.links.transports import abort
from core.node_address import NodeAddress
from core.packet import ErrorCode, Prepare, Reject, Reply, parse_reply
from core.service import OutgoingRequest


@final
class Waiting:
    """A packet that was sent over a connection and has no answer yet."""

    __slots__ = ("deadline", "future", "request")

    def __init__(
        self, request: OutgoingRequest[Account], future: asyncio.Future[Reply], deadline: float
    ) -> None:
        self.request = request
        self.future = future
        self.deadline = deadline


class Stage(enum.Enum):
    """What a connection does with what it receives."""

    HEAD = "head"
    """The HTTP in front of the WebSocket is still to come."""
    LOGIN = "login"
    OPEN = "open"
    ENDING = "ending"
    """We have said that it ends: what follows is dropped."""
    OVER = "over"


class Owner(Protocol):
    """What a connection asks of the link that it belongs to."""

    limits: BtpLimits
    clock: Clock
    address: NodeAddress
    states: LinkStates
    loop: asyncio.AbstractEventLoop
    now: float
    """The loop's clock, as of the last look at it: exact enough for whoever counts in seconds."""

    def admit(self, connection: BtpConnection) -> bool:
        """Count it; return False where no more can be taken."""

    def who(
        self, login: Login, path_username: str | None, origin: str
    ) -> tuple[Account, bytes] | str:
        """Return who says so and the hash of the token, or the sentence that refuses."""

    def opened(self, connection: BtpConnection) -> None:
        """Packets may be sent over it from now on."""

    def ended(self, connection: BtpConnection) -> None:
        """Nothing more may be sent over it."""

    def gone(self, connection: BtpConnection) -> None:
        """Its socket is closed."""

    def handle(self, connection: BtpConnection, request_id: int, packet: Prepare) -> None:
        """Give a packet to the chain; the reply goes back by `answer`."""

    def note_failing(self, connection: BtpConnection, reason: str) -> None:
        """It worked until now, and does not any more."""

    def note_junk(self, connection: BtpConnection, problem: str) -> None:
        """It was sent what means nothing."""


@final
class BtpConnection(asyncio.Protocol):
    """One connection of either side.

    As the server it is given the answer to the request that opened it, as the client the request.
    """

    __slots__ = (
        "_asked_at", "_exchange", "_frames_in", "_frames_out", "_has_sent_junk", "_idle", "_is_behind",
        "_is_flushing", "_is_writable", "_key", "_login", "_messages", "_out", "_owner",
        "_path_username", "_pending", "_pinged_at", "_pong", "_pongs", "_second", "_stuck",
        "_stuck_since", "_timer", "_timer_at", "_transport", "_unanswered", "_upgrade", "_will_catch_up",
        "account_id", "closed", "deadline", "failed_login", "history", "is_server", "last_received",
        "name", "opened_at", "origin", "reason", "settled", "stage", "stalled_since", "token_hash",
        "was_useful",
    )  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        *,
        is_server: bool,
        first_id: int,
        upgrade: bytes,
        path_username: str | None = None,
        key: bytes = b"",
        account: Account | None = None,
        login: tuple[str, str] = ("", ""),
    ) -> None:
        """Wait for the socket.

        Args:
            owner: The link that it belongs to.
            is_server: Whether the other side dialled.
            first_id: The number of its first request; chosen by chance.
            upgrade: What is said first, HTTP: the answer of the server, the request of the client.
            path_username: The account that the server's path names.
            key: The client's Sec-WebSocket-Key, whose answer is checked.
            account: Whom the client dials.
            login: The client's token and username.
        """
        limits = owner.limits
        self._owner = owner
        self.is_server: Final = is_server
        self._upgrade = upgrade
        self._path_username = path_username
        self._key = key
        self._login = login
        self._exchange: Exchange[Waiting] = Exchange(
            is_server=is_server, first_id=first_id, in_flight_max=limits.in_flight_max
        )
        self._frames_in = ws.FrameReader(
            is_server=is_server,
            octets_max=limits.message_octets_max,
            frames_max=limits.frames_at_once,
        )
        self._frames_out = ws.FrameWriter(is_server=is_server)
        self._transport: asyncio.Transport | None = None
        self._pending = b""
        self._out: list[bytes] = []
        self._is_flushing = False
        self._is_writable = True
        self._is_behind = False
        """Whether more has come than was read: the rest has its turn when others had theirs."""
        self._will_catch_up = False
        self._unanswered = 0
        self._has_sent_junk = False
        self._second = 0.0
        """When the present second began, of which is counted:"""
        self._idle = 0
        """frames that carried no packet,"""
        self._pongs = 0
        """and pings that were answered."""
        self._pong: bytes | None = None
        """What the last ping said that was not answered."""
        self._messages = 0
        self._stuck = -1
        self._stuck_since = 0.0
        self._pinged_at: float | None = None
        self._asked_at = 0.0
        """When the client asked for the connection, on the clock's monotonic hand."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self.stage = Stage.HEAD
        self.account_id: AccountId | None = None if account is None else account.id
        self.name = "" if account is None else account.username
        self.history: LinkHistory | None = None
        self.token_hash = b""
        """Of the token that the other side has logged in with; empty where we dialled."""
        self.failed_login = False
        """Whether it ended because our token was refused."""
        self.origin = ""
        """Where the other side comes from, as far as one host is told from others by it."""
        self.opened_at = 0.0
        self.last_received = owner.now
        self.stalled_since: float | None = None
        """Since when the other side reads too slowly."""
        self.deadline = math.inf
        """When, on the loop's clock, the handshake or the end has taken too long."""
        self.was_useful = False
        """Whether the other side has sent a packet, or answered one, over it."""
        self.reason = ""
        """Why it ended, a sentence."""
        self.settled: asyncio.Future[None] = owner.loop.create_future()
        """Done once packets may go over it, or never will."""
        self.closed: asyncio.Future[None] = owner.loop.create_future()

    @property
    def in_flight(self) -> int:
        """How many packets of ours wait for an answer."""
        return self._exchange.in_flight

    @property
    def listened_for(self) -> int:
        """How many of them wait, or have waited too long and may still be answered."""
        return self._exchange.in_flight + self._exchange.late

    @property
    def unanswered(self) -> int:
        """How many packets of the other side's have no answer yet."""
        return self._unanswered

    @property
    def remote(self) -> str:
        """Where the other side is, for the log."""
        if self._transport is None:
            return "nowhere"
        peer = self._transport.get_extra_info("peername")
        return f"{peer[0]}:{peer[1]}" if peer else "an unknown place"

    # --- Sending

    def ask(
        self, request: OutgoingRequest[Account], deadline: float
    ) -> asyncio.Future[Reply] | Reject:
        """Send a packet; the future ends with its answer, or with R00 at the deadline."""
        owner = self._owner
        if not self._is_writable:
            return owner.address.reject(
                ErrorCode.CONNECTOR_BUSY,
                f"{self.name} reads more slowly than packets come for it.",
            )
        waiting = Waiting(request, owner.loop.create_future(), deadline)
        octets = self._exchange.ask(
            waiting, request.prepare.octets, goes_first=asks_itself(request)
        )
        if octets is None:
            return owner.address.reject(
                ErrorCode.CONNECTOR_BUSY,
                f"{self._exchange.in_flight} packets wait for an answer of {self.name} already.",
            )
        self._send(octets)
        if deadline < self._timer_at:
            self._set_timer(deadline)
        return waiting.future

    def answer(self, request_id: int, reply: Reply) -> None:
        """Send the reply to a packet that came by this connection; one that is gone says nothing."""
        self._unanswered -= 1
        if self.stage is Stage.OPEN:
            self._send(self._exchange.answer(request_id, reply.octets))

    def end(self, code: int, reason: str, *, last: bytes | None = None) -> None:
        """Say that the connection ends, and why, after `last`; the socket is closed soon after."""
        if self.stage in {Stage.ENDING, Stage.OVER}:
            return
        transport = self._transport
        was_upgraded = self.stage is not Stage.HEAD
        self._end_exchange(reason)
        if transport is None:
            self.stage = Stage.OVER
            return
        if not was_upgraded:
            self.abort(reason)
            return
        if last is not None:
            self._out.append(self._frames_out.frame(last))
        self._out.append(self._frames_out.close(code, reason))
        self._flush()
        self.deadline = self._owner.loop.time() + self._owner.limits.linger_seconds

    def abort(self, reason: str) -> None:
        """Drop the connection as it is."""
        if self.stage is not Stage.OVER:
            self._end_exchange(reason)
        if self._transport is not None:
            abort(self._transport)

    def _send(self, octets: bytes, kind: int = ws.BINARY) -> None:
        self._out.append(self._frames_out.frame(octets, kind))
        if not self._is_flushing:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._owner.loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write together what was said since the last time."""
        self._is_flushing = False
        out, transport = self._out, self._transport
        if self._pong is not None and self._pongs < self._owner.limits.pongs_max:
            self._pongs += 1
            out.append(self._frames_out.frame(self._pong, ws.PONG))
            self._pong = None
        if not out or transport is None:
            return
        transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()
        if transport.get_write_buffer_size() > self._owner.limits.unsent_octets_end:
            self.abort("It does not read what it is sent.")

    # --- What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = opened = cast("asyncio.Transport", transport)
        peer = opened.get_extra_info("peername")
        self.origin = neighbourhood(str(peer[0])) if peer else ""
        opened.set_write_buffer_limits(high=self._owner.limits.unsent_octets_max)
        self.last_received = self._owner.loop.time()
        self.deadline = self.last_received + self._owner.limits.handshake_seconds
        if not self._owner.admit(self):
            self.abort("Too many connections are open already.")
            return
        self._asked_at = self._owner.clock.monotonic()
        opened.write(self._upgrade)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.stage not in {Stage.ENDING, Stage.OVER}:
            self._end_exchange("It closed the connection.")
        self.stage = Stage.OVER
        self._transport = None
        self._out.clear()
        self._pending = b""
        self._owner.gone(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        # Who does not read is not read either: its answers would have nowhere to go.
        self._is_writable = False
        self.stalled_since = self._owner.loop.time()
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_writable = True
        self.stalled_since = None
        if self._is_behind:
            self._catch_up_soon()
        else:
            self._resume_reading()

    def data_received(self, data: bytes) -> None:
        self.last_received = self._owner.now
        self._pinged_at = None
        if self.stage is Stage.HEAD:
            found = self._read_head(data)
            if found is None:
                return
            data = found
        if self._is_behind:  # a transport that does not stop at once
            self._frames_in.keep(data)
        else:
            self._read(data)

    def _catch_up_soon(self) -> None:
        if not self._will_catch_up:
            self._will_catch_up = True
            self._owner.loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        """Go on with what could not be read in one turn of the loop."""
        self._will_catch_up = False
        if not self._is_behind or not self._is_writable or self._transport is None:
            return
        self._is_behind = False
        self._read(b"")
        if not self._is_behind and self._is_writable:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _read(self, data: bytes) -> None:
        """Take so many frames of what came, and leave the rest for later: one peer is not all that there is."""
        reader = self._frames_in
        scraps = reader.scraps
        try:
            frames = reader.feed(data)
        except ws.BadFrame as error:
            self.end(error.code, f"It sent what is no WebSocket frame of ours: {error}.")
            return
        self._messages += len(frames)
        for kind, payload in frames:
            if kind == ws.BINARY:
                if self.stage is Stage.OPEN or self.stage is Stage.LOGIN:
                    self._packet(payload)
            else:
                self._control(kind, payload)
        if reader.scraps != scraps:
            self._count_idle(
                reader.scraps - scraps, "pieces of messages with next to nothing in them"
            )
        transport = self._transport
        if reader.has_more and transport is not None and not transport.is_closing():
            self._is_behind = True
            transport.pause_reading()
            self._catch_up_soon()

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == ws.CLOSE:
            self._hang_up(payload)
        elif kind == ws.TEXT:
            self._ignore("a text frame came, and packets are binary")
        else:
            self._count_idle(1, "pings and pongs")
            # Of several pings that wait for their answer only the last needs one (RFC-6455 §5.5.3).
            if kind == ws.PING and self.stage is not Stage.ENDING:
                self._pong = payload
                self._flush_soon()

    def _count_idle(self, count: int, what: str) -> None:
        """Count frames that carry no packet, and end the connection where they are too many."""
        self._idle += count
        limits = self._owner.limits
        is_stranger = self.is_server and self.stage is Stage.LOGIN
        most = limits.idle_before_login_max if is_stranger else limits.idle_max
        if self._idle <= most:
            return
        if self.stage is Stage.ENDING:
            self.abort(self.reason)
        else:
            self.end(
                ws.POLICY,
                f"It sent more than {most} frames in a second that carry no packet, at last {what}.",
            )

    def _hang_up(self, payload: bytes) -> None:
        """Close: the other side has said that this is its end."""
        if self.stage is not Stage.ENDING:
            self._end_exchange(f"It closed the connection {ws.close_words(payload)}.")
            code = payload[:2] if len(payload) >= 2 else b""
            self._out.append(self._frames_out.frame(code, ws.CLOSE))
            self._flush()
            self.deadline = self._owner.loop.time() + self._owner.limits.linger_seconds
        if self._transport is not None:
            self._transport.close()

    # --- The handshake

    def _read_head(self, data: bytes) -> bytes | None:
        """Pass over the HTTP in front; return what stands behind it once it is whole and as it should be."""
        data = self._pending + data
        end = data.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END):
            self._pending = data
            if len(data) > HEAD_OCTETS_MAX:
                self.abort("It answered with what is no HTTP.")
            return None
        self._pending = b""
        if not self.is_server:
            date_ms = None
            try:
                head = parse_response_head(data[:end])
                problem = ws.response_problem(head, self._key)
                date_ms = date_of(head.headers)
            except BadMessage:
                problem = "answered with what is no HTTP"
            if problem is not None:
                self.abort(f"It {problem}.")
                return None
            self._owner.states.times.tell(
                self.name,
                date_ms,
                asked_at=self._asked_at,
                answered_at=self._owner.clock.monotonic(),
            )
            self.stage = Stage.LOGIN
            self._send(self._exchange.login(*self._login))
        else:
            self.stage = Stage.LOGIN
        return data[end:]

    def _log_in(self, login: Login) -> None:
        found = self._owner.who(login, self._path_username, self.origin)
        if isinstance(found, str):
            octets = self._exchange.refuse(found, self._owner.clock.now_ms())
            self.end(ws.POLICY, found, last=octets)
            return
        account, token_hash = found
        if self.stage is Stage.OPEN and account.id != self.account_id:
            sentence = f"this connection is {self.name}'s, and the token is another account's"
            octets = self._exchange.refuse(sentence, self._owner.clock.now_ms())
            self.end(ws.POLICY, sentence, last=octets)
            return
        self.token_hash = token_hash
        if self.stage is Stage.OPEN:
            self._send(self._exchange.accept())
            self._count_idle(1, "messages that say once more who it is")
            return
        self.account_id, self.name = account.id, account.username
        self._send(self._exchange.accept())
        self._open()

    def _open(self) -> None:
        assert self.account_id is not None
        self.history = self._owner.states.history(self.account_id)
        self.stage = Stage.OPEN
        self.deadline = math.inf
        self.opened_at = self._owner.loop.time()
        self._owner.opened(self)
        self._settle()

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)

    # --- Packets

    def _packet(self, payload: bytes) -> None:
        event = self._exchange.receive(payload, self._owner.clock.now_ms)
        if isinstance(event, Asked):
            self._asked(event)
        elif isinstance(event, Answered):
            self._answered(event.waiting, event.packet)
        elif isinstance(event, Failed):
            self._failed(event)
        elif isinstance(event, Ignored):
            self._ignore(event.problem)
        elif isinstance(event, Say):
            self._send(event.octets)
            self._count_idle(1, "messages without an ILP packet")
        elif isinstance(event, Login):
            self._log_in(event)
        elif isinstance(event, Opened):
            self._open()
        elif isinstance(event, Refused):
            self.failed_login = True
            self.end(ws.NORMAL, f"It does not accept our token: {event.error.words}.")
        else:
            self._violated(event)

    def _asked(self, asked: Asked) -> None:
        self._unanswered += 1
        if self._unanswered > self._owner.limits.in_flight_max:
            self.answer(
                asked.request_id,
                self._owner.address.reject(
                    ErrorCode.CONNECTOR_BUSY,
                    f"{self._unanswered - 1} packets of this connection wait for their replies already.",
                ),
            )
            return
        try:
            packet = Prepare(bytearray(asked.packet))
        except PacketError as error:
            sentence = f"This is no ILP Prepare: {error}."
            reject = self._owner.address.reject(ErrorCode.INVALID_PACKET, sentence)
            self.answer(asked.request_id, reject)
            self._count_idle(1, "what is no ILP Prepare")
            return
        self.was_useful = True
        self._owner.handle(self, asked.request_id, packet)

    def _answered(self, waiting: Waiting, packet: bytes | None) -> None:
        owner = self._owner
        assert self.history is not None
        if packet is None:
            self._broken(waiting, "It answered without an ILP packet.")
            return
        try:
            reply = parse_reply(packet)
        except PacketError as error:
            self._broken(waiting, f"It answered with what is no ILP reply: {error}.")
            return
        owner.states.worked(self.history)
        self.was_useful = True
        if not waiting.future.done():
            waiting.future.set_result(reply)
        elif waiting.request.on_late_reply is not None:
            waiting.request.on_late_reply(reply)

    def _failed(self, failed: Failed[Waiting]) -> None:
        """Say that it did not take a packet: an Error is no promise, so nothing of it is left open."""
        error, request = failed.error, failed.waiting.request
        is_temporary = error.code.startswith("T")
        code = ErrorCode.PEER_UNREACHABLE if is_temporary else ErrorCode.INTERNAL_ERROR
        reason = f"It answered with the BTP error {error.words}."
        self._note_failure(reason, Failure.ANSWERED)
        # It is the other side that says no, so it counts as its Reject, also where it comes late.
        reject = Reject.build(
            code,
            triggered_by=request.to_account.ilp_address,
            message=f"{self.name} did not take the packet.",
        )
        if not failed.waiting.future.done():
            failed.waiting.future.set_result(reject)
        elif request.on_late_reply is not None:
            request.on_late_reply(reject)

    def _broken(self, waiting: Waiting, reason: str) -> None:
        """Say that its answer was none: it may have fulfilled all the same."""
        self._note_failure(reason, Failure.ANSWERED)
        sentence = f"{self.name} answered with what is no ILP packet."
        reject = self._owner.address.reject(ErrorCode.INTERNAL_ERROR, sentence)
        self._leave_open(waiting, reject)

    def _leave_open(self, waiting: Waiting, reject: Reject) -> None:
        """Tell whoever waits, and the books, which keep the other side's leg open."""
        request = waiting.request
        if not waiting.future.done():
            request.left_open = True
            waiting.future.set_result(reject)
        if request.on_late_reply is not None:
            request.on_late_reply(reject)

    def _note_failure(self, reason: str, failure: Failure) -> None:
        if self.history is not None and self._owner.states.failed(
            self.history, reason, failure
        ):
            self._owner.note_failing(self, reason)

    def _violated(self, violation: Violation) -> None:
        self._owner.note_junk(self, violation.problem)
        self.end(ws.POLICY, f"{violation.problem}.", last=violation.octets)

    def _ignore(self, problem: str) -> None:
        if not self._has_sent_junk:
            self._has_sent_junk = True
            self._owner.note_junk(self, problem)
        self._count_idle(1, f"what means nothing: {problem}")

    def _end_exchange(self, reason: str) -> None:
        """Give up what is under way: no answer comes any more, and what was sent may have been fulfilled."""
        self.stage = Stage.ENDING
        self._pong = None
        self.reason = reason
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waited, late = self._exchange.end()
        self._owner.ended(self)
        self._settle()
        if not waited and not late:
            return
        reject = self._owner.address.reject(
            ErrorCode.PEER_UNREACHABLE,
            f"The connection to {self.name} ended before it had answered.",
        )
        if waited:
            self._note_failure(
                f"Its connection ended before it had answered: {reason}", Failure.UNREACHABLE
            )
        for waiting in (*waited, *late):
            self._leave_open(waiting, reject)

    # --- Time

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._owner.loop.call_at(deadline, self._look_at_time)

    def _look_at_time(self) -> None:
        """Answer R00 to what has waited long enough, and go on listening: it may still be fulfilled."""
        self._timer = None
        self._timer_at = math.inf
        over = [
            waiting
            for waiting in self._exchange.expire(self._owner.loop.time())
            if not waiting.future.done()
        ]
        if any(asks_itself(waiting.request) for waiting in over):
            self._note_failure(
                "It did not answer a question of this node.", Failure.UNREACHABLE
            )
        elif over:
            self._note_failure("It did not answer before a packet expired.", Failure.UNCLEAR)
        for waiting in over:
            waiting.request.left_open = True
            waiting.future.set_result(
                self._owner.address.reject(
                    ErrorCode.TRANSFER_TIMED_OUT,
                    f"{self.name} did not answer before the packet expired.",
                )
            )
        deadline = self._exchange.next_deadline()
        if deadline is not None:
            self._set_timer(deadline)

    def sweep(self, now: float) -> None:
        """End what has taken too long, and ask whether the other side is there; about once a second."""
        limits = self._owner.limits
        if now >= self.deadline:
            if self.stage is Stage.HEAD or self.stage is Stage.LOGIN:
                who = (
                    "its client did not say who it is"
                    if self.is_server
                    else "It did not answer"
                )
                self.end(ws.POLICY, f"{who} within {limits.handshake_seconds:g} seconds.")
            else:
                self.abort(self.reason)
            return
        if self.stalled_since is not None and now - self.stalled_since >= limits.write_seconds:
            self.abort(f"It read nothing for {limits.write_seconds:g} seconds.")
            return
        if now - self._second >= 1:
            self._second, self._idle, self._pongs = now, 0, 0
            if self._pong is not None:
                self._flush_soon()
        if self._frames_in.is_within and self._is_writable:
            if self._stuck != self._messages:
                self._stuck, self._stuck_since = self._messages, now
            elif now - self._stuck_since >= limits.frame_seconds:
                self.end(
                    ws.POLICY,
                    f"A frame of it did not end within {limits.frame_seconds:g} seconds.",
                )
                return
        else:
            self._stuck = -1
        if self._exchange.late:
            reject = self._owner.address.reject(
                ErrorCode.TRANSFER_TIMED_OUT,
                f"{self.name} did not answer, even after the packet had expired.",
            )
            for waiting in self._exchange.forget_late(now - limits.late_seconds):
                if waiting.request.on_late_reply is not None:
                    waiting.request.on_late_reply(reject)
        if self.stage is not Stage.OPEN:
            return
        if self._pinged_at is not None:
            if now - self._pinged_at >= limits.pong_seconds:
                self.abort(f"It did not answer a ping for {limits.pong_seconds:g} seconds.")
        elif now - self.last_received >= limits.ping_seconds:
            self._pinged_at = now
            self._send(b"", ws.PING)
