"""The log's lines: a bounded list, filtered by level, component and text, that can be held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from PySide6.QtCore import QObject

from desktop import formatting
from desktop.models.live import LiveModel
from desktop.models.table import Column

LINES_MAX: Final = 10_000
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@final
@dataclass(frozen=True, slots=True)
class LogRow:
    """One line."""

    sequence: int
    at_ms: int
    level: str
    component: str
    text: str

    @property
    def severity(self) -> int:
        return LEVELS.index(self.level) if self.level in LEVELS else 1

    @property
    def first_line(self) -> str:
        first, _, rest = self.text.partition("\n")
        return f"{first} …" if rest else first

    def as_text(self) -> str:
        """Return the line as it is copied."""
        return f"{formatting.timestamp(self.at_ms)} {self.level} {self.component}: {self.text}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """What is left of the log: all that is set must hold."""

    level: str = "DEBUG"
    """This one and what is worse."""
    component: str = ""
    text: str = ""

    def passes(self, row: LogRow) -> bool:
        return (
            row.severity >= LEVELS.index(self.level)
            and (
                not self.component
                or row.component == self.component
                or row.component.startswith(f"{self.component}.")
            )
            and (not self.text or self.text.lower() in row.text.lower())
        )


COLUMNS: Final[Sequence[Column[LogRow]]] = (
    Column(
        title="Time",
        text=lambda row: formatting.clock_time(row.at_ms),
        sort_key=lambda row: row.sequence,
        tooltip=lambda row: formatting.exact_moment(row.at_ms),
        width=132,
    ),
    Column(
        title="Level",
        text=lambda row: row.level,
        sort_key=lambda row: row.severity,
        width=104,
    ),
    Column(title="Component", text=lambda row: row.component, width=180),
    Column(
        title="What happened",
        text=lambda row: row.first_line,
        tooltip=lambda row: row.text,
        accessible=lambda row: row.text,
        width=600,
        stretch=True,
    ),
)


class LogsModel(LiveModel[LogRow]):
    """The newest lines at the end."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, lambda row: row.sequence, rows_max=LINES_MAX, parent=parent)
