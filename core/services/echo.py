"""Incoming: ping. What is addressed to this node itself is answered, so that others can measure the way.

Two protocols are spoken. An echo request (ilp-ping) carries the address to answer to: the same
amount and condition go back there, and whoever asked fulfills its own condition. A one-way ping
has a condition that everybody knows the fulfillment of, and is fulfilled here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import Asset
from core.clock import Clock
from core.errors import PacketError
from core.node_address import NodeAddress
from core.packet import Address, ErrorCode, Fulfill, Prepare, Reply
from core.packet.address import parse_address
from core.packet.oer import read_octets, write_octets
from core.service import (
    Conversion,
    Explanation,
    IncomingRequest,
    IncomingService,
    OutgoingRequest,
    OutgoingService,
    Step,
    Verdict,
    outgoing,
)

ECHO_PREFIX: Final = b"ECHOECHOECHOECHO"
ECHO_REQUEST: Final = 0
ECHO_RESPONSE: Final = 1
PING_FULFILLMENT: Final = b"ping" * 8
PING_CONDITION: Final = sha256(PING_FULFILLMENT).digest()
PINGS_MAX: Final = 1_000
"""Pings of ours that may wait for their echo; the oldest is forgotten for one more."""

_PING_INCOME: Final = Fraction(1)


def echo_request_data(source: str) -> bytes:
    """Return what an echo request carries: where the answer is to go."""
    return ECHO_PREFIX + bytes((ECHO_REQUEST,)) + write_octets(source.encode())


@final
@dataclass(frozen=True, slots=True)
class Arrival:
    """What came back of a ping, and what it counts."""

    amount: int
    asset: Asset


@final
class Pings:
    """The pings that we sent ourselves, each with the fulfillment of its condition."""

    __slots__ = ("_arrived", "_clock", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[bytes, tuple[bytes, int]] = {}
        self._arrived: dict[bytes, Arrival] = {}

    def sent(self, fulfillment: bytes, *, expires_at_ms: int) -> bytes:
        """Wait for the echo of a ping that can be fulfilled so, and return its condition."""
        condition = sha256(fulfillment).digest()
        while len(self._waiting) >= PINGS_MAX:
            self.done(next(iter(self._waiting)))
        self._waiting[condition] = (fulfillment, expires_at_ms)
        return condition

    def done(self, condition: bytes) -> Arrival | None:
        """Wait for it no longer; return what came back, if it has."""
        self._waiting.pop(condition, None)
        return self._arrived.pop(condition, None)

    def arrived(self, condition: bytes, amount: int, asset: Asset) -> None:
        """Note that an echo is here; one that nobody waits for is not noted."""
        if condition in self._waiting:
            self._arrived[condition] = Arrival(amount, asset)

    def fulfillment(self, condition: bytes) -> bytes | None:
        """Return what fulfills a ping of ours, or None where there is no such ping under way."""
        if condition == PING_CONDITION:
            return PING_FULFILLMENT
        fulfillment, expires_at_ms = self._waiting.get(condition, (None, 0))
        return fulfillment if expires_at_ms > self._clock.now_ms() else None


class EchoAccount(Protocol):
    """An account whose echo counts something."""

    @property
    def username(self) -> str: ...
    @property
    def asset(self) -> Asset: ...


A = TypeVar("A", bound=EchoAccount)


@final
@dataclass(frozen=True, slots=True)
class PingAnswerService(Generic[A]):
    """Outgoing, and the last: fulfill a ping. The money that it carried is ours, and is booked before us."""

    pings: Pings
    address: NodeAddress

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        fulfillment = self.pings.fulfillment(bytes(request.prepare.condition))
        if fulfillment is None:
            return self.address.reject(
                ErrorCode.WRONG_CONDITION, "The ping that this echo answers is over."
            )
        return Fulfill.build(fulfillment, request.prepare.data)

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        return (Step("echo", Verdict.ANSWERS, "This node fulfills the ping itself."),)


@final
@dataclass(frozen=True, slots=True)
class EchoService(Generic[A]):
    """Answer what is addressed to this node itself and is a ping; everything else passes.

    An echo goes back through the rest of the chain as a packet of its own, so both ways are booked,
    and it is the one packet that may return to the account it came from. `collect` books what a
    one-way ping carried, and ends in a `PingAnswerService`.
    """

    next: IncomingService[A]
    collect: OutgoingService[A]
    pings: Pings
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        if request.prepare.destination != self.address.current:
            return await self.next.handle(request)
        data = request.prepare.data
        if bytes(data[: len(ECHO_PREFIX)]) == ECHO_PREFIX:
            try:
                source = _read_echo(data)
            except PacketError as error:
                return self.address.reject(ErrorCode.INVALID_PACKET, _malformed(error))
            if source == self.address.current:
                return await self._collect(request)  # our own ping of ourselves
            if source is not None:
                return await self.next.handle(_echo(request, source))
        elif request.prepare.condition != PING_CONDITION:
            return await self.next.handle(request)
        return await self._collect(request)

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        if request.prepare.destination != self.address.current:
            return await self.next.explain(request)
        data = request.prepare.data
        if bytes(data[: len(ECHO_PREFIX)]) == ECHO_PREFIX:
            try:
                source = _read_echo(data)
            except PacketError as error:
                return self._rejects(_malformed(error))
            if source not in {None, self.address.current}:
                sentence = (
                    f"The packet is an echo request: this node sends the answer to {source}."
                )
                step = Step("echo", Verdict.PASSES, sentence)
                return (step, *await self.next.explain(_echo(request, source)))
        elif request.prepare.condition != PING_CONDITION:
            return await self.next.explain(request)
        if self.pings.fulfillment(bytes(request.prepare.condition)) is None:
            return self._rejects(NO_SUCH_PING)
        return await self.collect.explain(_income(request))

    async def _collect(self, request: IncomingRequest[A]) -> Reply:
        """Book and fulfill a ping that ends here."""
        condition = bytes(request.prepare.condition)
        if self.pings.fulfillment(condition) is None:
            return self.address.reject(ErrorCode.INVALID_PACKET, NO_SUCH_PING)
        amount = request.prepare.amount
        reply = await self.collect.send(_income(request))
        if isinstance(reply, Fulfill):
            self.pings.arrived(condition, amount, request.from_account.asset)
        return reply

    def _rejects(self, sentence: str) -> Explanation:
        reject = self.address.reject(ErrorCode.INVALID_PACKET, sentence)
        return (Step("echo", Verdict.REJECTS, sentence, reject),)


NO_SUCH_PING: Final = "The packet is an echo, and answers no ping of this node."


def _read_echo(data: memoryview) -> Address | None:
    """Return where an echo request wants its answer, or None for a response.

    Raises:
        PacketError: it is neither, or the address is none.
    """
    at = len(ECHO_PREFIX)
    if len(data) == at:
        raise PacketError("the packet ends where its type is due", octet=at)
    if data[at] == ECHO_RESPONSE:
        return None
    if data[at] != ECHO_REQUEST:
        raise PacketError(f"its type is {data[at]}, and there are 0 and 1", octet=at)
    source, _ = read_octets(data, at + 1)
    return parse_address(source, octet=at + 1)


def _malformed(error: PacketError) -> str:
    return f"The packet is a malformed echo: {error}."


def _echo(request: IncomingRequest[A], source: Address) -> IncomingRequest[A]:
    prepare = request.prepare
    response = Prepare.build(
        amount=prepare.amount,
        expires_at_ms=prepare.expires_at_ms,
        condition=prepare.condition,
        destination=source,
        data=ECHO_PREFIX + bytes((ECHO_RESPONSE,)),
    )
    return IncomingRequest(request.from_account, response, request.trace, may_return=True)


def _income(request: IncomingRequest[A]) -> OutgoingRequest[A]:
    """Return the ping as a packet that carries nothing further: all that came with it is our income."""
    kept = outgoing(request, request.from_account)
    kept.prepare.amount = 0
    if kept.incoming_amount:
        kept.conversion = Conversion(
            rate=_PING_INCOME,
            spread=_PING_INCOME,
            spread_amount=kept.incoming_amount,
            remainder=Fraction(0),
        )
    return kept
