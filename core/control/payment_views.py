"""What the operator is shown of payments: frozen values, amounts as exact integers with their asset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

from core.account import Asset
from core.payments.records import InvoiceState, PaymentState


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOrder:
    """A payment as the operator asks for it: unchecked. Exactly one of the two amounts is given."""

    username: str
    receiver: str
    """A payment pointer, `$example.com/bob`, or an SPSP URL."""
    source_amount: int | None = None
    """What is to leave the account, in its smallest unit."""
    delivered_amount: int | None = None
    """What the receiver is to get, in its smallest unit."""
    source_amount_max: int | None = None
    """With `delivered_amount`: send no more than this, whatever the rate."""
    slippage: Fraction | None = None
    """How far below the probed rate is still accepted, 0 ≤ slippage < 1; None takes 0.015."""
    memo: str = ""
    """The operator's own note; the receiver does not see it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentQuote:
    """What a payment would cost and bring: probed with packets that nobody can fulfill, so no money moved."""

    username: str
    asset: Asset
    receiver: str
    destination: str
    receiver_asset: Asset | None
    """None where the receiver does not say what it counts."""
    source_amount: int
    """At most so much leaves the account."""
    delivered_amount: int
    """What arrives at the probed rate."""
    delivered_amount_min: int
    """At least so much arrives, or the payment ends before all is sent."""
    rate: Fraction
    """Receiver's smallest units for one of the account's, as probed."""
    min_rate: Fraction
    fees: Fraction | None
    """The share of the market rate that the path keeps; None where the node knows no price of the receiver's asset."""
    packet_amount_max: int | None
    """The largest packet that the path carries; None where it set no limit."""
    available: int | None
    """What the account has left to send; None for no limit."""
    expires_at_ms: int
    """The rate was seen now; it is not promised for longer."""
    sentence: str
    """In words: `12.40 USD buy 11.30 EUR, of which at least 11.13 EUR arrive.`"""
    problems: Sequence[str] = ()
    """Why paying would not succeed as it is, a sentence each; empty where it would."""
    lost_by_rounding: Fraction = Fraction(0)
    """Of what a packet is worth, at most so large a share is lost: less than a whole unit is not delivered."""
    warnings: Sequence[str] = ()
    """What is worth a thought before paying, a sentence each."""


@final
@dataclass(frozen=True, slots=True)
class ReceiptView:
    """What the receiver has signed for one stream; whoever has the receipts' key can check it."""

    stream: int
    total: int
    """In the receiver's smallest unit, as the receipt says."""
    receipt: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentView:
    """A payment and how far it is."""

    id: str
    username: str
    asset: Asset
    receiver: str
    destination: str
    """The ILP address; empty until the receiver was looked up."""
    receiver_asset: Asset | None
    source_amount: int | None
    delivered_amount: int | None
    source_amount_max: int
    slippage: Fraction
    min_rate: Fraction | None
    memo: str
    state: PaymentState
    cancel_requested: bool
    sent: int
    """What left the account, as booked."""
    in_flight: int
    undecided: int
    """What a crash left undecided: the account was not charged, and the receiver may yet have it."""
    delivered: int
    delivered_exact: bool
    """False: at least so much was delivered, and how much more is not known."""
    packets: int
    rejects: int
    packets_per_second: float
    """While it sends; a figure for the eye."""
    reject_code: str
    """Of the reject that ended it; empty where none did."""
    triggered_by: str
    """The hop that gave the reject: remote text."""
    reason: str
    """Why it ended as it did; empty while it runs."""
    sentence: str
    """In words: `5.00 of 12.40 USD sent, 4.53 EUR delivered.`"""
    progress: float
    """0 to 1; a figure for the eye."""
    change: int
    """Grows whenever anything of it changes."""
    created_at_ms: int
    updated_at_ms: int
    ended_at_ms: int | None
    late: int = 0
    """What the receiver has though the account was not charged: it was fulfilled too late, and is our loss."""
    violations: Sequence[str] = ()
    """What the receiver, or somebody in its name, did against the protocol, a sentence each: the first few."""
    receipts: Sequence[ReceiptView] = ()
    """The last of each stream."""
    receiver_text: str = ""
    """What the receiver wrote back, at most a thousand characters: remote text, to be shown as the receiver's words."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedOfPeer:
    """What was left undecided with one peer: it may say that it has it."""

    username: str
    asset: Asset
    amount: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedOfPayment:
    """What was left undecided of one payment: its account was not charged for it."""

    id: str
    username: str
    receiver: str
    asset: Asset
    amount: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedSums:
    """What was left undecided, added up in two ways: of what is forwarded, no payment knows."""

    peers: Sequence[UndecidedOfPeer]
    payments: Sequence[UndecidedOfPayment]
    """The newest."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentQuery:
    """Which payments, newest first; everything that is None is not asked about."""

    username: str | None = None
    state: PaymentState | None = None
    text: str = ""
    """Found in the receiver or the memo, in any case."""
    undecided: bool = False
    """Only those of which something is undecided."""
    from_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None
    """The `next` of the page before."""
    limit: int = 100


@final
@dataclass(frozen=True, slots=True)
class PaymentPage:
    """Payments, newest first."""

    rows: Sequence[PaymentView]
    next: int | None
    """For `before` of the next page; None where this is the last."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedView:
    """What came in over one connection."""

    number: int
    username: str
    from_username: str
    """Which account its packets came from; who is behind that is not known."""
    asset: Asset
    received: int
    packets: int
    destination: str
    connection: str
    invoice: str | None
    first_at_ms: int
    last_at_ms: int
    closed: bool
    """Whether the sender has said that it is done."""
    payer_text: str = ""
    """What the payer wrote with it, at most a thousand characters: remote text, to be shown as the payer's words."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedQuery:
    """Which received payments, newest first."""

    username: str | None = None
    invoice: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None
    limit: int = 100


@final
@dataclass(frozen=True, slots=True)
class ReceivedPage:
    """Received payments, newest first."""

    rows: Sequence[ReceivedView]
    next: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceOrder:
    """A request for money as the operator makes it: unchecked."""

    username: str
    amount: int
    """In the account's smallest unit."""
    description: str = ""
    expires_in_seconds: int | None = None
    """None: it stays open until it is paid or cancelled."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceView:
    """A request for money, and what was paid of it."""

    id: str
    username: str
    asset: Asset
    amount: int
    received: int
    description: str
    state: InvoiceState
    payment_pointer: str | None
    """`$host/…`; None where nobody outside this machine reaches the node."""
    url: str
    """Where its details are asked for by SPSP: what is handed to who shall pay."""
    sentence: str
    created_at_ms: int
    expires_at_ms: int | None
    paid_at_ms: int | None
    cancelled_at_ms: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceQuery:
    """Which invoices, newest first."""

    username: str | None = None
    state: InvoiceState | None = None
    before: int | None = None
    limit: int = 100


@final
@dataclass(frozen=True, slots=True)
class InvoicePage:
    """Invoices, newest first."""

    rows: Sequence[InvoiceView]
    next: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveAddress:
    """How an account is paid without an invoice."""

    username: str
    payment_pointer: str | None
    url: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingNotice:
    """One packet that was fulfilled for one of our accounts, or the end of its connection."""

    to_username: str
    from_username: str
    destination: str
    amount: int
    asset: Asset
    at_ms: int
    sequence: int
    """Counts the packets of the connection, as its sender does."""
    connection_closed: bool
    connection: str
    received: int | None
    """What its connection has brought so far, this packet included; None for a packet without money."""
    invoice: str | None
