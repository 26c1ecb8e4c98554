"""Settlements: what is due, what is under way, what became of the rest, and the engines that do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from PySide6.QtCore import QObject

from desktop import formatting
from desktop.models.columns import amount_column, moment_column
from desktop.models.table import Column, TableModel

LADDER: Final = ("intent", "signed", "sent", "final")
"""The steps of a payment that we make, in order."""
LADDER_TEXTS: Final = {
    "intent": "Decided",
    "signed": "Signed",
    "sent": "On its way",
    "final": "Final",
    "failed": "Failed",
    "credited": "Credited",
    "reversed": "Reversed",
}
LADDER_COLUMN: Final = 2
_HASH_LENGTH: Final = 14


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementEntry:
    """One settlement; each amount with the asset it counts."""

    id: str
    username: str
    name: str
    """What the peer is called on the screen."""
    outgoing: bool
    state: str
    engine: str
    amount: int
    asset: tuple[str, int]
    ledger_amount: int
    ledger_asset: tuple[str, int]
    transaction: str
    confirmations: int | None
    fee: int | None
    attempts: int
    problem: str
    created_at_ms: int
    updated_at_ms: int

    @property
    def steps_done(self) -> int:
        """How many steps of the ladder are behind it."""
        return LADDER.index(self.state) + 1 if self.state in LADDER else 0

    @property
    def state_text(self) -> str:
        text = LADDER_TEXTS.get(self.state, self.state)
        if self.confirmations is not None and self.state in ("sent", "final"):
            return f"{text}, {formatting.count(self.confirmations)} confirmations"
        return text

    @property
    def amount_text(self) -> str:
        return formatting.amount(self.amount, *self.asset)

    @property
    def ledger_text(self) -> str:
        return formatting.amount(self.ledger_amount, *self.ledger_asset)

    @property
    def fee_text(self) -> str:
        if self.fee is None:
            return formatting.NOTHING
        return formatting.amount(self.fee, *self.ledger_asset)

    @property
    def who(self) -> str:
        return f"→ {self.name}" if self.outgoing else f"← {self.name}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DueRow:
    """One peer and how far it is from settling."""

    username: str
    name: str
    asset: tuple[str, int]
    owed: int
    threshold: int | None
    settle_to: int | None
    engine: str
    due: bool
    reason: str

    @property
    def owed_text(self) -> str:
        return formatting.amount(self.owed, *self.asset)

    @property
    def threshold_text(self) -> str:
        if self.threshold is None:
            return "never by itself"
        return formatting.amount(self.threshold, *self.asset)

    @property
    def settle_to_text(self) -> str:
        if self.settle_to is None:
            return formatting.NOTHING
        return formatting.amount(self.settle_to, *self.asset)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedEntry:
    """Money that came in from nobody we know."""

    key: str
    engine: str
    sender: str
    amount: int
    asset: tuple[str, int]
    transaction: str
    seen_at_ms: int

    @property
    def amount_text(self) -> str:
        return formatting.amount(self.amount, *self.asset)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEntry:
    """A packet that a crash or a lost answer left undecided; `id` as text, for it has more than 32 bits."""

    id: str
    from_name: str
    to_name: str
    destination: str
    amount: int
    asset: tuple[str, int]
    created_at_ms: int
    payment: str = ""
    """The id of the payment of ours that it is a part of; empty for what was forwarded."""

    @property
    def amount_text(self) -> str:
        return formatting.amount(self.amount, *self.asset)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCard:
    """One engine: its process, its ledger and its wallet."""

    name: str
    alive: bool
    sentence: str
    problem: str
    """In a sentence; what the process last wrote is in `last_words`."""
    facts: Sequence[tuple[str, str]]
    address: str
    can_start: bool = False
    can_stop: bool = False
    set_up: bool = True
    """It has a ledger; where not, that it does not run is no problem."""
    state: str = "Running"
    """In a word or two, for the pill."""
    last_words: Sequence[str] = ()


SETTLEMENT_COLUMNS: Final[Sequence[Column[SettlementEntry]]] = (
    moment_column(
        "When",
        lambda row: row.updated_at_ms,
        tooltip=lambda row: (
            f"decided {formatting.moment(row.created_at_ms)}, "
            f"last change {formatting.moment(row.updated_at_ms)}"
        ),
    ),
    Column(
        title="Peer",
        text=lambda row: row.who,
        tooltip=lambda row: f"we pay {row.name}" if row.outgoing else f"{row.name} pays us",
        accessible=lambda row: f"we pay {row.name}" if row.outgoing else f"{row.name} pays us",
        width=110,
    ),
    Column(
        title="State",
        text=lambda row: row.state_text,
        sort_key=lambda row: (row.steps_done, row.state),
        width=264,
    ),
    amount_column(
        "Amount", lambda row: row.amount_text, lambda row: (row.asset, row.amount), width=130
    ),
    amount_column(
        "On the ledger",
        lambda row: row.ledger_text,
        lambda row: (row.ledger_asset, row.ledger_amount),
        width=140,
        gives_way=3,
    ),
    amount_column(
        "Fee", lambda row: row.fee_text, lambda row: row.fee or 0, width=120, gives_way=5
    ),
    Column(
        title="Transaction",
        text=lambda row: (
            formatting.shortened(row.transaction, _HASH_LENGTH) or "not on the ledger yet"
        ),
        tooltip=lambda row: row.transaction or "not on the ledger yet",
        width=160,
        stretch=True,
    ),
    Column(title="Engine", text=lambda row: row.engine, width=90, gives_way=6),
    Column(
        title="Problem",
        text=lambda row: row.problem or formatting.NOTHING,
        tooltip=lambda row: row.problem or "none",
        width=200,
        gives_way=1,
    ),
)

DUE_COLUMNS: Final[Sequence[Column[DueRow]]] = (
    Column(
        title="Peer", text=lambda row: row.name, tooltip=lambda row: row.username, width=110
    ),
    amount_column(
        "You owe", lambda row: row.owed_text, lambda row: (row.asset, row.owed), width=130
    ),
    amount_column(
        "Settles at",
        lambda row: row.threshold_text,
        lambda row: (row.asset, row.threshold or 0),
        width=110,
        gives_way=1,
    ),
    Column(
        title="Why",
        text=lambda row: row.reason,
        sort_key=lambda row: (not row.due, row.reason),
        width=280,
        stretch=True,
    ),
    amount_column(
        "Down to",
        lambda row: row.settle_to_text,
        lambda row: (row.asset, row.settle_to or 0),
        width=100,
        gives_way=2,
    ),
    Column(title="Engine", text=lambda row: row.engine or "none", width=150, gives_way=3),
)

UNMATCHED_COLUMNS: Final[Sequence[Column[UnmatchedEntry]]] = (
    moment_column("Seen", lambda row: row.seen_at_ms),
    amount_column(
        "Amount", lambda row: row.amount_text, lambda row: (row.asset, row.amount), width=150
    ),
    Column(title="From", text=lambda row: row.sender, width=320),
    Column(title="Engine", text=lambda row: row.engine, width=100, gives_way=3),
    Column(
        title="Transaction",
        text=lambda row: row.transaction,
        width=300,
        gives_way=2,
        stretch=True,
    ),
)

UNKNOWN_COLUMNS: Final[Sequence[Column[UnknownEntry]]] = (
    moment_column("Since", lambda row: row.created_at_ms),
    Column(title="From", text=lambda row: row.from_name, width=110),
    Column(title="To", text=lambda row: row.to_name, width=110),
    amount_column(
        "Amount out",
        lambda row: row.amount_text,
        lambda row: (row.asset, row.amount),
        width=140,
    ),
    Column(
        title="Destination",
        text=lambda row: row.destination,
        width=240,
        gives_way=1,
        stretch=True,
    ),
    Column(
        title="Transfer",
        text=lambda row: row.id,
        sort_key=lambda row: int(row.id),
        width=140,
        gives_way=2,
    ),
)


class SettlementsModel(TableModel[SettlementEntry]):
    """Settlements of one kind, as they come: the newest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(SETTLEMENT_COLUMNS, lambda row: row.id, parent=parent)


class DueModel(TableModel[DueRow]):
    """Peers by how soon they settle."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(DUE_COLUMNS, lambda row: row.username, parent=parent)


class UnmatchedModel(TableModel[UnmatchedEntry]):
    """Money to assign."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(UNMATCHED_COLUMNS, lambda row: row.key, parent=parent)


class UnknownModel(TableModel[UnknownEntry]):
    """Packets to decide."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(UNKNOWN_COLUMNS, lambda row: row.id, parent=parent)
