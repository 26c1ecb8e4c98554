"""What one asset was worth in another: each change of a pair's rate, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from PySide6.QtCore import QObject

from desktop import formatting
from desktop.models.table import Column, TableModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateChangeRow:
    """From when on a rate was in force."""

    id: int
    """Of the set of prices that it came with: packets name it."""
    at_ms: int
    rate: str
    """Whole units, as text: `1 EUR = 1.0721 USD`."""
    change: str
    """Against the rate before: `+0.4 %`; empty for the oldest that is known."""
    change_value: float
    """For sorting."""
    sources: str


RATE_CHANGE_COLUMNS: Final[Sequence[Column[RateChangeRow]]] = (
    Column(
        title="From",
        text=lambda row: formatting.moment(row.at_ms),
        sort_key=lambda row: row.at_ms,
        width=190,
    ),
    Column(title="Rate", text=lambda row: row.rate, right=True, width=230),
    Column(
        title="Change",
        text=lambda row: row.change,
        sort_key=lambda row: row.change_value,
        right=True,
        width=110,
    ),
    Column(title="Said by", text=lambda row: row.sources, width=200, stretch=True, gives_way=1),
    Column(
        title="Prices",
        text=lambda row: f"no. {row.id}",
        sort_key=lambda row: row.id,
        width=100,
        gives_way=2,
    ),
)


class RateChangesModel(TableModel[RateChangeRow]):
    """Changes of one pair's rate."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(RATE_CHANGE_COLUMNS, lambda row: row.id, parent=parent)
