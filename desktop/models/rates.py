"""Rates as they are shown: prices with their age, where they come from, jumps that are held, spreads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from PySide6.QtCore import QObject

from desktop import formatting
from desktop.models.table import Column, TableModel

PRICE_STATE_COLUMN: Final = 2
SOURCE_STATE_COLUMN: Final = 1
KIND_CHOICES: Final = (
    ("ecb", "European Central Bank: once a working day"),
    ("coingecko", "CoinGecko, or one that answers as it does"),
    ("coincap", "CoinCap, or one that answers as it does"),
    ("cryptocompare", "CryptoCompare, or one that answers as it does"),
    ("json", "Any JSON, with a path to its prices"),
    ("fixed", "Fixed prices that you write down"),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """One price in force."""

    code: str
    price: str
    """In the reference asset: exact."""
    by_operator: bool
    sources: Sequence[str]
    age: str
    age_ms: int | None
    stale: bool
    held: bool
    sentence: str

    @property
    def state(self) -> str:
        if self.stale:
            return "too old"
        if self.held:
            return "jump held"
        return "set by you" if self.by_operator else "in force"

    @property
    def said_by(self) -> str:
        return "you" if self.by_operator else ", ".join(self.sources) or formatting.NOTHING


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One source of prices."""

    name: str
    kind: str
    url: str
    base: str
    assets: Sequence[tuple[str, str]]
    path: str
    inverted: bool
    prices: Sequence[tuple[str, str]]
    has_api_key: bool
    poll_seconds: int
    max_age_seconds: int | None
    enabled: bool
    works: bool
    sentence: str
    problem: str
    age: str
    age_ms: int | None
    answered: str
    answered_at_ms: int | None
    prices_count: int
    failures: int
    next_at_ms: int | None

    @property
    def state(self) -> str:
        if not self.enabled:
            return "paused"
        if self.works:
            return "works"
        return "fails" if self.failures or self.problem else "not asked yet"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadRow:
    """Our share of what is converted from one asset into another."""

    source: str
    target: str
    share: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJump:
    """A price that waits for the operator."""

    code: str
    sentence: str
    decided: bool
    """Refused already: it stays away until the sources say something else."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RatesState:
    """What the page says beside its tables."""

    reference: str
    spread: str
    guard: str
    jump_limit: str
    """As it is typed: `10%`; empty holds none."""
    jump_samples: str
    problems: Sequence[str]
    held: Sequence[HeldJump]
    codes: Sequence[str]
    """Every asset that can be converted."""
    polled_here: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceForm:
    """What was typed of a source, as text."""

    name: str
    kind: str
    url: str = ""
    base: str = ""
    assets: str = ""
    path: str = ""
    inverted: bool = False
    prices: str = ""
    api_key: str | None = None
    poll_seconds: str = ""
    max_age_seconds: str = ""
    enabled: bool = True


PRICE_COLUMNS: Final[Sequence[Column[PriceRow]]] = (
    Column(title="Asset", text=lambda row: row.code, width=100),
    Column(title="Price", text=lambda row: row.price, right=True, width=190),
    Column(title="State", text=lambda row: row.state, width=120),
    Column(
        title="Age",
        text=lambda row: row.age,
        sort_key=lambda row: row.age_ms if row.age_ms is not None else -1,
        right=True,
        width=96,
    ),
    Column(
        title="From",
        text=lambda row: row.said_by,
        width=180,
        stretch=True,
        gives_way=1,
    ),
    Column(
        title="How it stands",
        text=lambda row: row.sentence,
        width=240,
        stretch=True,
        gives_way=2,
    ),
)

SOURCE_COLUMNS: Final[Sequence[Column[SourceRow]]] = (
    Column(title="Source", text=lambda row: row.name, tooltip=lambda row: row.url, width=130),
    Column(title="State", text=lambda row: row.state, width=120),
    Column(title="Kind", text=lambda row: row.kind, width=110, gives_way=2),
    Column(
        title="Prices",
        text=lambda row: formatting.count(row.prices_count),
        sort_key=lambda row: row.prices_count,
        right=True,
        width=76,
    ),
    Column(
        title="Its data is",
        text=lambda row: row.age,
        sort_key=lambda row: row.age_ms if row.age_ms is not None else -1,
        right=True,
        width=96,
    ),
    Column(
        title="Answered",
        text=lambda row: row.answered,
        sort_key=lambda row: row.answered_at_ms or 0,
        right=True,
        width=100,
        gives_way=3,
    ),
    Column(
        title="How it does",
        text=lambda row: row.sentence,
        tooltip=lambda row: row.problem or row.sentence,
        width=260,
        stretch=True,
        gives_way=1,
    ),
)

SPREAD_COLUMNS: Final[Sequence[Column[SpreadRow]]] = (
    Column(title="From", text=lambda row: row.source, width=140),
    Column(title="Into", text=lambda row: row.target, width=140),
    Column(title="Your share", text=lambda row: row.share, right=True, width=140),
    Column(title="", text=lambda _row: "", width=10, stretch=True),
)


class PricesModel(TableModel[PriceRow]):
    """Prices by code."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(PRICE_COLUMNS, lambda row: row.code, parent=parent)


class SourcesModel(TableModel[SourceRow]):
    """Sources by name."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(SOURCE_COLUMNS, lambda row: row.name, parent=parent)


class SpreadsModel(TableModel[SpreadRow]):
    """Spreads by pair."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(SPREAD_COLUMNS, lambda row: (row.source, row.target), parent=parent)
