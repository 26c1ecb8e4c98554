"""RFC-0023, one connection's requests and answers, without the connection: what came becomes an event.

Both sides number their requests, each for itself, and each connection anew: whoever answers a number
that it was not asked is not heard. An answer that was not expected, and a packet that cannot be
read, are never answered, so that two nodes cannot keep each other busy with them.

Interledger.rs sends the two types the wrong way round, Prepares as Responses and replies as Messages.
So it is the ILP packet that says which of the two it is; and whoever sends them so gets them so.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, final

from core.errors import PacketError
from core.links.btp.packet import (
    ERROR,
    MESSAGE,
    NAMES,
    NOT_ACCEPTED,
    OCTET_STREAM,
    REQUEST_ID_MAX,
    RESPONSE,
    TRANSFER,
    BtpError,
    BtpPacket,
    SubProtocol,
    parse_packet,
    read_ilp,
    write_ilp,
)

_PREPARE: Final = 12
_REPLIES: Final = frozenset({13, 14})
KEPT_FREE_MAX: Final = 8
"""Of the packets that may be under way, for the few questions of ours."""


class Waiting(Protocol):
    """A request of ours that has no answer yet."""

    deadline: float
    """When whoever asked stops waiting, on any clock that the caller keeps to."""


W = TypeVar("W", bound=Waiting)


class Phase(enum.Enum):
    """How far a connection has come."""

    UNKNOWN = "unknown"
    """We are the server: who it is, is still to be said."""
    LOGGING_IN = "logging in"
    """We are the client: our token has not been answered yet."""
    OPEN = "open"
    OVER = "over"


# --- What may have come


@final
@dataclass(slots=True)
class Asked:
    """The other side sent an ILP packet and waits for its reply, under this number."""

    request_id: int
    packet: bytes


@final
@dataclass(slots=True)
class Answered(Generic[W]):
    """The other side answered a request of ours: with an ILP packet, or with none."""

    waiting: W
    packet: bytes | None


@final
@dataclass(slots=True)
class Failed(Generic[W]):
    """It answered a request of ours with a BTP Error."""

    waiting: W
    error: BtpError


@final
@dataclass(frozen=True, slots=True)
class Login:
    """Somebody says who it is, at first or once more; `accept` or `refuse` answers."""

    token: str
    username: str


@final
@dataclass(frozen=True, slots=True)
class Opened:
    """The server has taken our token."""


@final
@dataclass(frozen=True, slots=True)
class Refused:
    """The server has not taken our token, and says why."""

    error: BtpError


@final
@dataclass(frozen=True, slots=True)
class Say:
    """Nothing for us, but an answer is due."""

    octets: bytes


@final
@dataclass(frozen=True, slots=True)
class Violation:
    """The other side cannot be spoken with: the connection ends, after `octets` where there are any."""

    problem: str
    octets: bytes | None = None


@final
@dataclass(frozen=True, slots=True)
class Ignored:
    """It means nothing to us, and is not answered."""

    problem: str


Event: TypeAlias = (
    Asked | Answered[W] | Failed[W] | Login | Opened | Refused | Say | Violation | Ignored
)


@final
class Exchange(Generic[W]):
    """What is under way on one connection."""

    __slots__ = (
        "_in_flight", "_in_flight_max", "_is_inverted", "_is_server", "_late", "_login_id", "_next_id",
        "phase",
    )  # fmt: skip

    def __init__(self, *, is_server: bool, first_id: int, in_flight_max: int) -> None:
        self.phase = Phase.UNKNOWN if is_server else Phase.LOGGING_IN
        self._is_server = is_server
        self._next_id = first_id & REQUEST_ID_MAX
        self._in_flight_max = in_flight_max
        self._in_flight: dict[int, W] = {}
        self._late: dict[int, W] = {}
        """Asked, and not waited for any more: an answer may still come; oldest first."""
        self._login_id: int | None = None
        self._is_inverted = False

    @property
    def in_flight(self) -> int:
        """How many requests of ours have no answer and are waited for."""
        return len(self._in_flight)

    @property
    def late(self) -> int:
        """How many are listened for only."""
        return len(self._late)

    # --- Logging in

    def login(self, token: str, username: str) -> bytes:
        """Return the first packet of a client: who it is.

        Without a username there is no word of it: an empty one is refused by the Interledger.rs of 2020, whose tokens have it.
        """
        self._login_id = self._take_id()
        entries = [
            SubProtocol("auth", OCTET_STREAM, b""),
            SubProtocol.of_text("auth_token", token),
        ]
        if username:
            entries.append(SubProtocol.of_text("auth_username", username))
        return BtpPacket(MESSAGE, self._login_id, tuple(entries)).encode()

    def accept(self) -> bytes:
        """Return the answer to who was let in."""
        assert self._login_id is not None
        self.phase = Phase.OPEN
        return BtpPacket(RESPONSE, self._login_id).encode()

    def refuse(self, sentence: str, now_ms: int) -> bytes:
        """Return the answer to who was not."""
        assert self._login_id is not None
        self.phase = Phase.OVER
        return error_packet(self._login_id, NOT_ACCEPTED, sentence, now_ms)

    # --- Asking

    def ask(
        self, waiting: W, packet: bytes | memoryview, *, goes_first: bool = False
    ) -> bytes | None:
        """Return the packet that asks for a reply; None where as much is under way as may be.

        What goes first has some room of its own, so that those who send through us cannot keep it out.
        """
        kept_free = 0 if goes_first else min(KEPT_FREE_MAX, self._in_flight_max // 10)
        if len(self._in_flight) >= self._in_flight_max - kept_free:
            return None
        request_id = self._take_id()
        self._in_flight[request_id] = waiting
        return write_ilp(RESPONSE if self._is_inverted else MESSAGE, request_id, packet)

    def answer(self, request_id: int, packet: bytes | memoryview) -> bytes:
        """Return the packet that answers a request of the other side's."""
        return write_ilp(MESSAGE if self._is_inverted else RESPONSE, request_id, packet)

    def expire(self, now: float) -> list[W]:
        """Return what need not be waited for any more; its answer is still listened for."""
        over = [entry for entry in self._in_flight.items() if entry[1].deadline <= now]
        for request_id, waiting in over:
            del self._in_flight[request_id]
            self._late[request_id] = waiting
        return [waiting for _, waiting in over]

    def next_deadline(self) -> float | None:
        """Return when the first of those that are waited for is over."""
        return min((waiting.deadline for waiting in self._in_flight.values()), default=None)

    def forget_late(self, deadline: float) -> list[W]:
        """Return, and listen no more for, what was over at `deadline`, and the oldest beyond the bound."""
        surplus = len(self._late) - self._in_flight_max
        gone = [
            request_id
            for number, (request_id, waiting) in enumerate(self._late.items())
            if waiting.deadline <= deadline or number < surplus
        ]
        return [self._late.pop(request_id) for request_id in gone]

    def end(self) -> tuple[list[W], list[W]]:
        """Return what was waited for and what was listened for: no answer comes any more."""
        self.phase = Phase.OVER
        waited, late = list(self._in_flight.values()), list(self._late.values())
        self._in_flight.clear()
        self._late.clear()
        return waited, late

    # --- Hearing

    def receive(self, octets: bytes, now_ms: Callable[[], int]) -> Event[W]:
        """Return what a packet means here; `now_ms` is asked for where an Error answers it."""
        plain = read_ilp(octets)
        if plain is not None and self.phase is Phase.OPEN:
            return self._ilp(*plain)
        try:
            packet = parse_packet(octets)
        except PacketError as error:
            if self.phase is Phase.OPEN:
                return Ignored(f"what came is no BTP packet: {error}")
            return Violation(f"what came first is no BTP packet: {error}")
        if self.phase is Phase.UNKNOWN:
            return self._first(packet, now_ms)
        if self.phase is Phase.LOGGING_IN:
            return self._login_answer(packet)
        if self.phase is Phase.OVER:
            return Ignored("the connection is over")
        return self._other(packet, now_ms)

    def _ilp(self, kind: int, request_id: int, packet: bytes) -> Event[W]:
        first = packet[0] if packet else 0
        if first == _PREPARE:
            self._is_inverted = kind == RESPONSE
            return Asked(request_id, packet)
        if kind == RESPONSE or first in _REPLIES:
            waiting = self._take_waiting(request_id)
            if waiting is None:
                return Ignored(
                    f"an answer came for request {request_id}, which is not under way"
                )
            self._is_inverted = kind != RESPONSE
            return Answered(waiting, packet)
        return Asked(request_id, packet)

    def _first(self, packet: BtpPacket, now_ms: Callable[[], int]) -> Event[W]:
        """Return what a client's first packet is: it has to say who it is."""
        problem = None
        if packet.kind != MESSAGE:
            problem = "the first packet has to be a Message that says who you are"
        elif not packet.entries or packet.entries[0].name != "auth":
            problem = "the first sub-protocol of the first packet has to be auth"
        elif packet.entry("auth_token") is None:
            problem = "the first packet needs the sub-protocol auth_token"
        if problem is not None:
            self.phase = Phase.OVER
            # An answer that nobody waits for may not be answered (RFC-0023).
            answer = (
                error_packet(packet.request_id, NOT_ACCEPTED, problem, now_ms())
                if packet.kind in {MESSAGE, TRANSFER}
                else None
            )
            return Violation(problem, answer)
        return self._login_of(packet)

    def _login_of(self, packet: BtpPacket) -> Login:
        self._login_id = packet.request_id
        token, username = packet.entry("auth_token"), packet.entry("auth_username")
        return Login(
            "" if token is None else token.text, "" if username is None else username.text
        )

    def _login_answer(self, packet: BtpPacket) -> Event[W]:
        if packet.request_id != self._login_id or packet.kind not in {RESPONSE, ERROR}:
            return Ignored("something else came before our token was answered")
        if packet.error is not None:
            self.phase = Phase.OVER
            return Refused(packet.error)
        self.phase = Phase.OPEN
        return Opened()

    def _other(self, packet: BtpPacket, now_ms: Callable[[], int]) -> Event[W]:
        """Return what a packet is that carries more than ILP, or none."""
        request_id = packet.request_id
        if packet.error is not None:
            waiting = self._take_waiting(request_id)
            if waiting is None:
                return Ignored(
                    f"an Error came for request {request_id}, which is not under way"
                )
            return Failed(waiting, packet.error)
        if packet.kind == TRANSFER:
            sentence = "this node settles by its engines, and takes no Transfer"
            return Say(error_packet(request_id, NOT_ACCEPTED, sentence, now_ms()))
        ilp = packet.entry("ilp")
        if ilp is not None and ilp.data:
            return self._ilp(packet.kind, request_id, ilp.data)
        if packet.kind == RESPONSE:
            waiting = self._take_waiting(request_id)
            if waiting is None:
                return Ignored(
                    f"an answer came for request {request_id}, which is not under way"
                )
            return Answered(waiting, None)
        if self._is_server and packet.entries and packet.entries[0].name == "auth":
            return self._login_of(packet)
        return Say(BtpPacket(RESPONSE, request_id).encode())

    def _take_waiting(self, request_id: int) -> W | None:
        waiting = self._in_flight.pop(request_id, None)
        return self._late.pop(request_id, None) if waiting is None else waiting

    def _take_id(self) -> int:
        request_id = self._next_id
        while request_id in self._in_flight or request_id in self._late:
            request_id = (request_id + 1) & REQUEST_ID_MAX
        self._next_id = (request_id + 1) & REQUEST_ID_MAX
        return request_id


def error_packet(request_id: int, code: str, sentence: str, now_ms: int) -> bytes:
    """Return an Error with a sentence for a person.

    JavaScript's peers read no other time than one with three decimals, and RFC-0030 allows no
    zeros at its end: so a stamp that ends in zero is told a millisecond later than it was.
    """
    stamp = now_ms if now_ms % 10 else now_ms + 1
    error = BtpError(code, NAMES[code], stamp, sentence.encode())
    return BtpPacket(ERROR, request_id, error=error).encode()
