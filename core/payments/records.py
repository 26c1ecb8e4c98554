"""Payments, received payments and invoices, as they are kept."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, final

from core.account import AccountId, Asset
from core.service import PaymentNumber, Receivable

SLIPPAGE_DEFAULT: Final = Fraction(15, 1000)
"""How far below the expected rate a packet may be delivered; interledger-rs's 1.5 %."""


class PaymentState(enum.Enum):
    """Where a payment stands; the last four are ends."""

    PENDING = "pending"
    """Its receiver is being looked up and its path probed: nothing was sent."""
    SENDING = "sending"
    COMPLETED = "completed"
    FAILED = "failed"
    """It ended before all was sent; what was sent until then stays sent."""
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The node process that made it is gone; nobody goes on with it."""

    @property
    def is_final(self) -> bool:
        return self not in {PaymentState.PENDING, PaymentState.SENDING}


OPEN_STATES: Final = (PaymentState.PENDING, PaymentState.SENDING)


class InvoiceState(enum.Enum):
    """Where a request for money stands."""

    OPEN = "open"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NewPayment:
    """What was asked for: a fixed amount to send, or a fixed one to deliver."""

    id: str
    account: AccountId
    receiver: str
    """A payment pointer or URL, as it was given."""
    source_amount: int | None
    """In the account's smallest unit; None where `delivered_amount` is fixed."""
    delivered_amount: int | None
    """In the receiver's smallest unit; None where `source_amount` is fixed."""
    source_amount_max: int
    """The books let the payment send no more than this."""
    slippage: Fraction
    memo: str
    idempotency_key: str | None
    body_hash: bytes
    """Of the whole order: the same key with another one is refused."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment as the store has it; `sent`, `in_flight` and `undecided` are the books' own sums."""

    number: PaymentNumber
    id: str
    account: AccountId
    node: int
    """The process that makes it: who is gone leaves it INTERRUPTED."""
    receiver: str
    destination: str
    source_amount: int | None
    delivered_amount: int | None
    source_amount_max: int
    slippage: Fraction
    min_rate: Fraction | None
    """The least that is delivered for one unit sent, once the path has been probed."""
    memo: str
    state: PaymentState
    cancel_requested: bool
    sent: int
    """What left the account for good: the incoming amounts of its fulfilled transfers, added in their transaction."""
    in_flight: int
    undecided: int
    """What a crash or a late answer leaves undecided: the account was not charged, the receiver may have it."""
    late: int
    """What the receiver has though the account was not charged: it was fulfilled too late, and is our loss."""
    delivered: int
    """What the receiver has said it got, as of `delivered_for` sent."""
    delivered_for: int
    receiver_asset_code: str | None
    receiver_asset_scale: int | None
    packets: int
    rejects: int
    reject_code: str
    triggered_by: str
    reason: str
    """Why it ended as it did, a sentence."""
    version: int
    """Grows whenever anything of it changes."""
    created_at_ms: int
    updated_at_ms: int
    ended_at_ms: int | None
    delivered_is_least: bool = False
    """Whether the receiver has taken packets without a word on how much of them it got: their least is counted."""
    violations: tuple[str, ...] = ()
    """What the receiver, or somebody in its name, did against the protocol, a sentence each: the first few."""
    receipts: Mapping[int, bytes] = field(default_factory=dict)
    """The receipt with the highest total of each stream, as RFC 39 has it: for whoever can check it."""
    receiver_text: str = ""
    """What the receiver wrote back: remote text, cleaned and cut."""

    @property
    def is_delivered_exact(self) -> bool:
        """Whether `delivered` is all; otherwise at least so much was delivered."""
        is_open = self.undecided or self.late or self.in_flight
        is_told = self.delivered_for == self.sent and not self.delivered_is_least
        return is_told and not is_open


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What looking the receiver up and probing the path has found: from now on it may send."""

    destination: str
    min_rate: Fraction
    source_amount_max: int
    receiver_asset_code: str | None
    receiver_asset_scale: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a payment's sender says that it is."""

    delivered: int = 0
    delivered_for: int = 0
    """What the fulfilled packets carried when `delivered` was all that the receiver had said."""
    packets: int = 0
    rejects: int = 0
    delivered_is_least: bool = False
    violations: tuple[str, ...] = ()
    receipts: Mapping[int, bytes] = field(default_factory=dict)
    receiver_text: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a payment ended."""

    state: PaymentState
    reason: str
    reject_code: str = ""
    triggered_by: str = ""
    receiver_asset: Asset | None = None
    """What the receiver counts in, where that was heard of a payment that never came to send."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedPayment:
    """What came in over one STREAM connection, added up in the transactions that booked it."""

    number: int
    account: AccountId
    from_account: AccountId
    """Which of our accounts its packets came from; who is behind that is not known."""
    connection: str
    destination: str
    invoice: str | None
    received: int
    streams: Mapping[int, int]
    """The same sum, by stream."""
    packets: int
    first_at_ms: int
    last_at_ms: int
    closed_at_ms: int | None
    payer_text: str = ""
    """What the payer wrote with it: remote text, cleaned and cut."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """A request for money, paid over as many connections as it takes."""

    number: int
    id: str
    account: AccountId
    amount: int
    received: int
    description: str
    created_at_ms: int
    expires_at_ms: int | None
    cancelled_at_ms: int | None
    paid_at_ms: int | None

    def state(self, now_ms: int) -> InvoiceState:
        """Return where it stands; what was paid before its end stays paid."""
        if self.paid_at_ms is not None:
            return InvoiceState.PAID
        if self.cancelled_at_ms is not None:
            return InvoiceState.CANCELLED
        if self.expires_at_ms is not None and self.expires_at_ms <= now_ms:
            return InvoiceState.EXPIRED
        return InvoiceState.OPEN

    @property
    def ended_at_ms(self) -> int | None:
        """When it was paid, was cancelled or expires; None where it stays open until one of them."""
        ends = (self.paid_at_ms, self.cancelled_at_ms, self.expires_at_ms)
        return next((at_ms for at_ms in ends if at_ms is not None), None)

    def receivable(self, now_ms: int) -> Receivable:
        """Return how much more it takes now."""
        if self.state(now_ms) is not InvoiceState.OPEN:
            return Receivable()
        return Receivable(max(0, self.amount - self.received), self.amount)
