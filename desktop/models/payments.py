"""Payments as they are shown: a quote, a payment and how far it is, requests for money, what came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from PySide6.QtCore import QObject

from desktop import formatting
from desktop.models.columns import amount_column, moment_column
from desktop.models.table import Column, TableModel

AssetText = tuple[str, int]
"""Code and scale."""

STATE_TEXTS: Final = {
    "pending": "Looking up",
    "sending": "Sending",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "interrupted": "Interrupted",
    "open": "Open",
    "paid": "Paid",
    "expired": "Expired",
}
UNDECIDED: Final = "undecided"
"""Among the states to filter by: of what ended undecidedly, whatever became of the rest."""
CUSTOMER_RELATIONS: Final = frozenset(("end point", "child"))
STATE_COLUMN: Final = 1
"""Of payments and of invoices: a delegate colours it."""
EXPIRY_CHOICES: Final = (
    ("", "never expires"),
    ("3600", "for an hour"),
    ("86400", "for a day"),
    ("604800", "for a week"),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """An account to pay from, in a list to choose from."""

    username: str
    name: str
    asset: AssetText
    relation: str = "end point"

    @property
    def is_customer(self) -> bool:
        """Whether it is somebody's account here, and not another node that routes for others."""
        return self.relation in CUSTOMER_RELATIONS

    @property
    def choice_text(self) -> str:
        """As it stands among the others: what is no customer is told apart."""
        kind = "" if self.is_customer else f", {self.relation}"
        return f"{self.name} ({self.asset[0]}{kind})"

    @property
    def warning(self) -> str:
        """What to think of before paying from it; empty for a customer."""
        if self.is_customer:
            return ""
        return (
            f"{self.name} is a {self.relation}, another node: what is paid from it is charged to that node "
            "as if it had sent the packets. Pay from a customer's account, unless it asked for this."
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PayForm:
    """What was typed, as text."""

    username: str
    receiver: str
    amount: str
    fixes_delivery: bool
    """The amount is what the receiver gets, not what is sent."""
    slippage: str = ""
    memo: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteShown:
    """What paying would cost and bring."""

    form: PayForm
    """That it was asked for: another one needs another quote."""
    sentence: str
    facts: Sequence[tuple[str, str]]
    problems: Sequence[str]
    """Why it cannot be paid as it is."""
    pay_text: str
    """For the button: `Pay 12.40 USD`."""
    warnings: Sequence[str] = ()
    """What is worth a thought before it is paid."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    """One payment; amounts with the asset that each counts."""

    id: str
    username: str
    name: str
    receiver: str
    destination: str
    asset: AssetText
    receiver_asset: AssetText | None
    source_amount: int | None
    delivered_amount: int | None
    sent: int
    in_flight: int
    undecided: int
    delivered: int
    delivered_exact: bool
    state: str
    cancel_requested: bool
    progress_percent: int
    packets: int
    rejects: int
    rate_text: str
    """Packets a second, while it sends."""
    reject_code: str
    triggered_by: str
    """Remote text."""
    reason: str
    sentence: str
    memo: str
    created_at_ms: int
    updated_at_ms: int
    ended_at_ms: int | None
    late: int = 0
    """Fulfilled too late: the receiver has it, the account was not charged, and it is our loss."""
    violations: Sequence[str] = ()
    """Partly remote text."""
    receipts: Sequence[tuple[int, int, str]] = ()
    """Of each stream: its number, the total that the receiver has signed, and the receipt in base64url."""
    receiver_text: str = ""
    """Remote text."""

    @property
    def is_open(self) -> bool:
        return self.state in ("pending", "sending")

    @property
    def state_text(self) -> str:
        if self.is_open and self.cancel_requested:
            return "Cancelling"
        if self.state == "sending":
            return f"Sending, {self.progress_percent} %"
        return STATE_TEXTS.get(self.state, self.state)

    @property
    def wanted_text(self) -> str:
        """What was asked for."""
        if self.source_amount is not None:
            return f"send {formatting.amount(self.source_amount, *self.asset)}"
        return f"deliver {self.theirs(self.delivered_amount or 0)}"

    @property
    def sent_text(self) -> str:
        return formatting.amount(self.sent, *self.asset)

    @property
    def delivered_text(self) -> str:
        at_least = "" if self.delivered_exact else "≥ "
        return f"{at_least}{self.theirs(self.delivered)}"

    @property
    def delivered_words(self) -> str:
        """As `delivered_text`, where there is room for words."""
        at_least = "" if self.delivered_exact else "at least "
        return f"{at_least}{self.theirs(self.delivered)}"

    def theirs(self, amount: int) -> str:
        """Return an amount in what the receiver counts."""
        if self.receiver_asset is None:
            return f"{formatting.count(amount)} of its units" if amount else "nothing"
        return formatting.amount(amount, *self.receiver_asset)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRow:
    """One request for money."""

    id: str
    username: str
    name: str
    asset: AssetText
    amount: int
    received: int
    description: str
    state: str
    payment_pointer: str
    url: str
    sentence: str
    created_at_ms: int
    expires_at_ms: int | None
    paid_at_ms: int | None

    @property
    def state_text(self) -> str:
        return STATE_TEXTS.get(self.state, self.state)

    @property
    def handed_out(self) -> str:
        """What who shall pay is given."""
        return self.payment_pointer or self.url

    @property
    def amount_text(self) -> str:
        return formatting.amount(self.amount, *self.asset)

    @property
    def received_text(self) -> str:
        return formatting.amount(self.received, *self.asset)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRow:
    """What came in over one connection."""

    number: int
    username: str
    name: str
    from_name: str
    asset: AssetText
    received: int
    packets: int
    destination: str
    invoice: str
    closed: bool
    first_at_ms: int
    last_at_ms: int
    payer_text: str = ""
    """Remote text."""

    @property
    def received_text(self) -> str:
        return formatting.amount(self.received, *self.asset)

    @property
    def state_text(self) -> str:
        return "Ended" if self.closed else "Open"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """What is left of the history: all that is set must hold."""

    text: str = ""
    state: str = ""

    def passes(self, row: PaymentRow) -> bool:
        wanted = self.text.casefold()
        state = not self.state or row.state == self.state
        if self.state == UNDECIDED:
            state = row.undecided > 0
        return state and (
            not wanted
            or wanted in row.receiver.casefold()
            or wanted in row.memo.casefold()
            or wanted in row.name.casefold()
        )

    def __bool__(self) -> bool:
        return bool(self.text or self.state)


PAYMENT_COLUMNS: Final[Sequence[Column[PaymentRow]]] = (
    moment_column("Started", lambda row: row.created_at_ms),
    Column(
        title="State",
        text=lambda row: row.state_text,
        sort_key=lambda row: row.state,
        tooltip=lambda row: row.reason or row.sentence,
        width=132,
    ),
    Column(title="From", text=lambda row: row.name, width=110, gives_way=2),
    Column(title="To", text=lambda row: row.receiver, width=200, stretch=True),
    amount_column(
        "Sent", lambda row: row.sent_text, lambda row: (row.asset, row.sent), width=120
    ),
    amount_column(
        "Delivered",
        lambda row: row.delivered_text,
        lambda row: (row.receiver_asset or ("", 0), row.delivered),
        width=120,
    ),
    Column(title="Note", text=lambda row: row.memo, width=140, gives_way=3),
    Column(
        title="Packets",
        text=lambda row: formatting.count(row.packets),
        sort_key=lambda row: row.packets,
        right=True,
        width=76,
        gives_way=4,
    ),
)

INVOICE_COLUMNS: Final[Sequence[Column[InvoiceRow]]] = (
    moment_column("Made", lambda row: row.created_at_ms),
    Column(
        title="State",
        text=lambda row: row.state_text,
        sort_key=lambda row: row.state,
        tooltip=lambda row: row.sentence,
        width=100,
    ),
    Column(title="For", text=lambda row: row.name, width=110),
    amount_column(
        "Asked", lambda row: row.amount_text, lambda row: (row.asset, row.amount), width=120
    ),
    amount_column(
        "Received",
        lambda row: row.received_text,
        lambda row: (row.asset, row.received),
        width=120,
        gives_way=1,
    ),
    Column(
        title="What for", text=lambda row: row.description, width=160, stretch=True, gives_way=2
    ),
    Column(
        title="Where to pay",
        text=lambda row: row.handed_out,
        width=260,
        gives_way=3,
    ),
)

RECEIVED_COLUMNS: Final[Sequence[Column[ReceivedRow]]] = (
    moment_column("Last packet", lambda row: row.last_at_ms),
    Column(title="For", text=lambda row: row.name, width=120),
    amount_column(
        "Received",
        lambda row: row.received_text,
        lambda row: (row.asset, row.received),
        width=130,
    ),
    Column(
        title="The payer wrote",
        text=lambda row: formatting.one_line(row.payer_text) or formatting.NOTHING,
        tooltip=lambda row: row.payer_text,
        width=180,
        stretch=True,
        gives_way=1,
    ),
    Column(title="Came through", text=lambda row: row.from_name, width=130, gives_way=2),
    Column(
        title="Packets",
        text=lambda row: formatting.count(row.packets),
        sort_key=lambda row: row.packets,
        right=True,
        width=80,
        gives_way=3,
    ),
    Column(title="Connection", text=lambda row: row.state_text, width=94, gives_way=4),
    Column(title="Address", text=lambda row: row.destination, width=240, gives_way=5),
)


class PaymentsModel(TableModel[PaymentRow]):
    """Payments, the newest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(PAYMENT_COLUMNS, lambda row: row.id, parent=parent)


class InvoicesModel(TableModel[InvoiceRow]):
    """Requests for money, the newest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(INVOICE_COLUMNS, lambda row: row.id, parent=parent)


class ReceivedModel(TableModel[ReceivedRow]):
    """What came in, the newest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(RECEIVED_COLUMNS, lambda row: row.number, parent=parent)
