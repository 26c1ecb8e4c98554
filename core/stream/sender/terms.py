"""What a payment is asked to be, what its path was found to give, and what became of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, final

from core.account import Asset
from core.errors import SettingError
from core.packet import AMOUNT_MAX, is_prefix

SLIPPAGE_DEFAULT: Final = Fraction(15, 1000)
"""How far below the probed rate a packet may be delivered; Interledger.rs's 1.5 %."""

DATA_OCTETS_SENT_MAX: Final = 65_536
"""What a payment carries for its receiver: a reference or a form, not a file."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTerms:
    """Who is paid how much, and at which rate at worst. Rates are delivered units for one unit sent."""

    destination: str
    shared_secret: bytes = field(repr=False)
    source_amount: int | None = None
    """Send so much; what is delivered follows from the rate. Either this or `delivered_amount`."""
    delivered_amount: int | None = None
    """Deliver so much; what is sent follows from the rate, and never passes `source_amount_max`."""
    source_amount_max: int | None = None
    """With `delivered_amount`: the most that may be sent. Without one it follows from the least rate."""
    min_rate: Fraction | None = None
    """The least rate, exact: no slippage is taken off it, and a packet that would be delivered for less
    is refused by its receiver. None takes the probed rate less `slippage`: then a path that is bad from
    the start is taken for what it is."""
    slippage: Fraction = SLIPPAGE_DEFAULT
    destination_asset: Asset | None = None
    """What the receiver counts in, where that is known: then it is not asked."""
    source_asset: Asset | None = None
    """What the payer counts in, where that is known: for sentences alone."""
    data: bytes = field(default=b"", repr=False)
    """Octets for the receiver, sent on the stream that carries the money."""
    first_sequence: int = 1
    """Above every sequence number that was used with this secret before."""

    def __post_init__(self) -> None:
        if (self.source_amount is None) == (self.delivered_amount is None):
            raise SettingError(
                "source_amount", "either it or delivered_amount is needed, and not both"
            )
        for name in ("source_amount", "delivered_amount", "source_amount_max"):
            amount: int | None = getattr(self, name)
            if amount is not None and not 0 < amount <= AMOUNT_MAX:
                raise SettingError(name, f"needs 1 to {AMOUNT_MAX}, not {amount}")
        if self.source_amount is not None and self.source_amount_max is not None:
            raise SettingError("source_amount_max", "is only of use with delivered_amount")
        if self.min_rate is not None and self.min_rate < 0:
            raise SettingError("min_rate", f"cannot be below zero, and is {self.min_rate}")
        if not 0 <= self.slippage < 1:
            raise SettingError("slippage", f"needs 0 to below 1, not {self.slippage}")
        if len(self.data) > DATA_OCTETS_SENT_MAX:
            raise SettingError(
                "data", f"has {len(self.data)} octets, {DATA_OCTETS_SENT_MAX} are allowed"
            )
        if "." not in self.destination or not is_prefix(self.destination):
            raise SettingError("destination", f"{self.destination!r} is no ILP address")
        if self.first_sequence < 1:
            raise SettingError("first_sequence", f"needs at least 1, not {self.first_sequence}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What the path was found to give, and what may come of the payment at worst."""

    min_rate: Fraction
    """The least rate that every packet is held to."""
    rate_low: Fraction
    """What the largest probe that passed was delivered for, as exact as its rounding allows…"""
    rate_high: Fraction
    """…and what the rate is below."""
    source_amount: int
    """What is sent, with a fixed source amount; the most that may be sent, with a fixed delivery."""
    delivered_min: int
    """The least that is delivered once the payment is complete."""
    delivered_estimate: int
    """What is delivered at the rate that was found."""
    source_estimate: int
    """What is sent at the rate that was found."""
    path_maximum: int | None
    """The largest packet that the path lets through, as far as the probes met its limit."""
    passed: int = AMOUNT_MAX
    """The largest probe that came through: as much there was room for at once."""
    best_amount: int = 0
    """The probe that brought most for what it carried: where hops round, others may bring less."""
    packet_amount: int = 0
    """What the first packet would carry, and…"""
    packet_units: int = 0
    """…how many whole units it buys at the rate that was found."""
    lost_by_rounding: Fraction = Fraction(0)
    """Of what such a packet is worth, at most so large a share is lost because less than a unit is not delivered."""
    destination_asset: Asset | None
    quoted_at_ms: int
    next_sequence: int
    """Where the payment goes on counting."""


class OutcomeState(enum.Enum):
    """How a payment ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    """Somebody on the way, or the receiver, said no for good: see code, hop and reason."""
    RATE_TOO_LOW = "rate_too_low"
    """What was delivered kept falling short of the least rate."""
    PATH_TOO_NARROW = "path_too_narrow"
    """No packet that fits the path buys one unit at the least rate."""
    CLOSED = "closed"
    """The receiver closed the connection or the stream."""
    RECEIVER_FULL = "receiver_full"
    """The receiver takes no more money."""
    IDLE = "idle"
    """Nothing was fulfilled for too long."""
    DEADLINE = "deadline"
    VIOLATION = "violation"
    """The receiver broke the protocol: it took money for less than it had to deliver, or lied about it."""
    EXHAUSTED = "exhausted"
    """The connection has carried as many packets as one secret may."""
    SOURCE_SPENT = "source_spent"
    """The most that may be sent is sent, and less than the fixed amount was delivered."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a payment is."""

    source_sent: int
    delivered: int
    delivered_exact: bool = True
    """False where the receiver did not say what it got of a packet that it took: at least so much."""
    in_flight: int
    """Sent and not answered yet, in the source's unit."""
    packets_in_flight: int
    packets_fulfilled: int
    packets_rejected: int
    packet_amount: int
    """How large a packet may be at the moment."""
    window: int
    """How many may be in flight at once at the moment."""
    waits: bool
    """Whether it holds back because of the last reject."""
    last_reject_code: str
    next_sequence: int
    violations: tuple[str, ...] = ()
    receipts: Mapping[int, bytes] = field(default_factory=dict)
    received_data: bytes = b""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a payment; the amounts are what was fulfilled, however it ended."""

    state: OutcomeState
    reason: str
    """A sentence for a person, also where it was completed."""
    source_sent: int
    delivered: int
    """What the receiver said, in replies that only it can have written, that it got."""
    delivered_exact: bool = True
    """False where it did not say what it got of a packet that it took: its least is counted, and it may be more."""
    unanswered: int = 0
    """Sent, and not answered long after it had to be: whether it arrived is not known, and it is in neither sum."""
    reject_code: str = ""
    """The code that ended it, or, where it ended otherwise, of the last reject."""
    triggered_by: str = ""
    """The address that gave the code; empty where it did not say."""
    packets_fulfilled: int = 0
    packets_rejected: int = 0
    violations: tuple[str, ...] = ()
    """What the receiver, or somebody in its name, did that the protocol does not allow; the first few."""
    receipts: Mapping[int, bytes] = field(default_factory=dict)
    """The receipt with the highest total of each stream, as RFC 39 has it."""
    received_data: bytes = b""
    """What the receiver sent back on the payment's stream, in order, without gaps."""
    data_sent: int = 0
    """How many octets of the terms' data the receiver has acknowledged."""
    destination_asset: Asset | None = None
    seconds: float = 0.0
    next_sequence: int = 1

    @property
    def is_completed(self) -> bool:
        return self.state is OutcomeState.COMPLETED
