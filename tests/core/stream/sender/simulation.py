"""Paths that do not exist, on a clock that jumps: rates, limits, losses, liars, delays; a payment over them in no time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from random import Random
from typing import Final

from core.packet import (
    AMOUNT_MAX,
    ErrorCode,
    Fulfill,
    Prepare,
    Reject,
    Reply,
    max_packet_amount_data,
)
from core.stream.crypto import StreamKeys
from core.stream.frames import (
    ConnectionAssetDetails,
    ConnectionClose,
    Frame,
    StreamData,
    StreamMaxMoney,
)
from core.stream.packet import PacketType, StreamPacket
from core.stream.sender.connection import Sent
from core.stream.sender.exchange import Exchange, SenderLimits
from core.stream.sender.payment import Payment
from core.stream.sender.probe import Probe
from core.stream.sender.terms import Outcome, PaymentTerms, Quote
from core.testing.clock import START_MS

SECRET: Final = bytes(range(32))
ADDRESS: Final = "test.node.bob.token"
HOP: Final = "test.hop"
STEPS_MAX: Final = 60_000


USD: Final = ConnectionAssetDetails("USD", 2)


class DoesNotEnd(AssertionError):
    """The payment went on for more steps than any here may take."""


@dataclass(slots=True)
class Receiver:
    """A receiver that a test may make late, narrow or dishonest; keeps what really came."""

    keys: StreamKeys = field(default_factory=lambda: StreamKeys(SECRET))
    receive_max: int | None = None
    least: int = 0
    """While it takes anything, it takes what brings no more than this."""
    probe_code: ErrorCode = ErrorCode.FINAL_APPLICATION_ERROR
    short_code: ErrorCode = ErrorCode.FINAL_APPLICATION_ERROR
    claim: Callable[[int], int] = lambda amount: amount
    keeps_minimum: bool = True
    frames: Callable[[StreamPacket], tuple[Frame, ...]] = lambda packet: ()
    refuses: Callable[[StreamPacket], ErrorCode | None] = lambda packet: None
    speaks: bool = True
    asset: ConnectionAssetDetails | None = USD
    received: int = 0
    data: dict[int, bytes] = field(default_factory=dict)
    closed: bool = False
    packets: list[StreamPacket] = field(default_factory=list)

    def handle(self, prepare: Prepare, amount: int) -> Reply:
        packet = StreamPacket.decode(self.keys.decrypt(prepare.data))
        assert packet.packet_type is PacketType.PREPARE
        self.packets.append(packet)
        self.closed = self.closed or any(packet.of(ConnectionClose))
        fulfillment = self.keys.fulfillment(prepare.data)
        if sha256(fulfillment).digest() != prepare.condition:
            return self._reject(packet, amount, self.probe_code)
        code = self.refuses(packet)
        if code is not None:
            return self._reject(packet, amount, code)
        if self.keeps_minimum and amount < packet.amount:
            return self._reject(packet, amount, self.short_code)
        if self.receive_max is not None and amount > max(self._left, self._left and self.least):
            return self._reject(packet, amount, ErrorCode.FINAL_APPLICATION_ERROR)
        self.received += amount
        for frame in packet.of(StreamData):
            self.data[frame.offset] = frame.data
        return Fulfill.build(fulfillment, self._says(packet, PacketType.FULFILL, amount))

    @property
    def _left(self) -> int:
        return max(0, (self.receive_max or 0) - self.received)

    def _reject(self, packet: StreamPacket, amount: int, code: ErrorCode) -> Reject:
        return Reject.build(
            code,
            triggered_by=ADDRESS,
            message="",
            data=self._says(packet, PacketType.REJECT, amount),
        )

    def _says(self, packet: StreamPacket, kind: PacketType, amount: int) -> bytes:
        if not self.speaks:
            return b""
        frames: tuple[Frame, ...] = () if self.asset is None else (self.asset,)
        if self.receive_max is not None:
            frames += (StreamMaxMoney(1, self.receive_max, self.received),)
        said = StreamPacket(
            packet.sequence, kind, self.claim(amount), (*frames, *self.frames(packet))
        )
        return self.keys.encrypt(said.encode())


@dataclass(slots=True, kw_only=True)
class Path:
    """One hop between us and a receiver, with everything that a hop can do to a packet."""

    receiver: Receiver = field(default_factory=Receiver)
    rate: Callable[[float], Fraction] = lambda now: Fraction(1)
    maximum: int | None = None
    tells_maximum: bool = True
    maximum_is_nonsense: bool = False
    between: Fraction | None = None
    """The rate to a hop in between, which counts in whole units of its own."""
    liquidity: int | None = None
    """How much may be in flight: more is T04."""
    busy: float = 0.0
    """How often a packet is T05."""
    lost: float = 0.0
    """How often a packet is never answered before it expires: R00."""
    delay: tuple[float, float] = (0.01, 0.01)
    answers: Callable[[Prepare, float], Reply | None] = lambda prepare, now: None
    """What the hop says by itself, or None."""
    random: Random = field(default_factory=lambda: Random(1))
    in_flight: int = 0
    handed_over: int = 0
    """What we gave for good: the amounts of all that was fulfilled."""

    def send(self, prepare: Prepare, now: float) -> tuple[float, Reply]:
        """Return when the reply to a packet comes, and the reply."""
        at = now + self.random.uniform(*self.delay)
        if prepare.destination != ADDRESS:
            return at, _says(ErrorCode.UNREACHABLE)
        own = self.answers(prepare, now)
        if own is not None:
            return at, own
        amount = prepare.amount
        if self.maximum is not None and amount > self.maximum:
            return at, self._too_large(amount)
        if self.random.random() < self.busy:
            return at, _says(ErrorCode.RATE_LIMITED)
        if self.liquidity is not None and self.in_flight + amount > self.liquidity:
            return at, _says(ErrorCode.INSUFFICIENT_LIQUIDITY)
        if self.random.random() < self.lost:
            return (prepare.expires_at_ms - START_MS) / 1000, _says(
                ErrorCode.TRANSFER_TIMED_OUT
            )
        rate = self.rate(now)
        delivered = amount * rate.numerator // rate.denominator
        if self.between is not None:
            delivered = int(int(amount * self.between) * rate / self.between)
        if amount and not delivered:
            return at, _says(ErrorCode.INSUFFICIENT_SOURCE_AMOUNT)
        if delivered > AMOUNT_MAX:
            return at, _says(ErrorCode.AMOUNT_TOO_LARGE)
        reply = self.receiver.handle(prepare, delivered)
        if isinstance(reply, Fulfill):
            self.handed_over += amount
        return at, reply

    def _too_large(self, amount: int) -> Reject:
        assert self.maximum is not None
        data = max_packet_amount_data(received=amount, maximum=self.maximum)
        if self.maximum_is_nonsense:
            data = max_packet_amount_data(received=0, maximum=AMOUNT_MAX)
        return _says(ErrorCode.AMOUNT_TOO_LARGE, data if self.tells_maximum else b"")


def _says(code: ErrorCode, data: bytes = b"") -> Reject:
    return Reject.build(code, triggered_by=HOP, message="no", data=data)


@dataclass(slots=True)
class World:
    """Runs an exchange over a path until it is finished, jumping from event to event."""

    path: Path
    now: float = 0.0
    limits: SenderLimits = field(default_factory=SenderLimits)
    seed: int = 7
    sent: list[Sent] = field(default_factory=list)
    most_in_flight: int = 0
    most_amount_in_flight: int = 0
    before_step: Callable[[World, Exchange], None] = lambda world, exchange: None

    def run(self, exchange: Exchange) -> None:
        arrivals: list[tuple[float, int, Sent, Reply]] = []
        number = itertools.count()
        for _ in range(STEPS_MAX):
            self.before_step(self, exchange)
            while True:
                sent = exchange.next_packet(self.now, START_MS + round(self.now * 1000))
                if sent is None:
                    break
                self.sent.append(sent)
                at, reply = self.path.send(sent.prepare, self.now)
                self.path.in_flight += sent.amount
                heapq.heappush(arrivals, (at, next(number), sent, reply))
                flying = [packet.amount for _, _, packet, _ in arrivals]
                self.most_in_flight = max(self.most_in_flight, len(flying))
                self.most_amount_in_flight = max(self.most_amount_in_flight, sum(flying))
            if exchange.is_finished:
                return
            wake_at = exchange.wake_at()
            if arrivals and arrivals[0][0] <= wake_at:
                at, _, sent, reply = heapq.heappop(arrivals)
                self.now = max(self.now, at)
                self.path.in_flight -= sent.amount
                exchange.replied(sent, reply, self.now)
            else:
                assert wake_at > self.now or isinstance(exchange, Payment), (
                    "it wakes for nothing"
                )
                self.now = max(self.now, wake_at)
                if isinstance(exchange, Payment):
                    exchange.give_up(self.now)
        raise DoesNotEnd

    def quote(self, terms: PaymentTerms) -> Quote:
        probe = Probe(terms, self.limits, Random(self.seed), now=self.now)
        self.run(probe)
        return probe.quote(START_MS)

    def pay(self, terms: PaymentTerms, quote: Quote | None = None) -> Outcome:
        quote = quote or self.quote(terms)
        self.sent.clear()
        payment = Payment(terms, quote, self.limits, Random(self.seed), now=self.now)
        self.run(payment)
        return payment.outcome(self.now)


def terms(**changes: object) -> PaymentTerms:
    """Return terms for sending or delivering, as the test names it."""
    asked: dict[str, object] = {"destination": ADDRESS, "shared_secret": SECRET, **changes}
    return PaymentTerms(**asked)  # type: ignore[arg-type]
