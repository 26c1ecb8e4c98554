"""The log page: lines as they are written, and how much is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, Signal

from core.clock import Clock
from core.control.operator import Operator
from desktop.models.logs import LogFilter, LogRow, LogsModel
from desktop.presenters.page import PagePresenter

EVERY_SECONDS: Final = 0.5
FETCH_MAX: Final = 2_000


class LogsPresenter(PagePresenter):
    """Follows the node's log."""

    every_seconds = EVERY_SECONDS

    waiting_changed = Signal(object)
    """How many lines came while it was held, as an int."""
    components_changed = Signal(object)
    """The components that wrote anything."""
    level_changed = Signal(str)
    """The directive that is in force."""
    loaded_changed = Signal(bool)

    def __init__(self, operator: Operator, clock: Clock, parent: QObject | None = None) -> None:
        super().__init__(operator, clock, parent)
        self.model = LogsModel(self)
        self.loaded = False
        self._last_sequence = 0
        self._components: set[str] = set()

    async def update(self) -> None:
        lines = await self.operator.logs(after_sequence=self._last_sequence, limit=FETCH_MAX)
        if lines:
            self._last_sequence = lines[-1].sequence
            self.model.add(
                [
                    LogRow(
                        line.sequence, line.at_ms, line.level.upper(), line.component, line.text
                    )
                    for line in lines
                ]
            )
            components = self._components | {line.component for line in lines}
            if components != self._components:
                self._components = components
                self.components_changed.emit(sorted(components))
            if self.model.held:
                self.waiting_changed.emit(self.model.waiting)
        if not self.loaded:
            self.loaded = True
            self.loaded_changed.emit(True)

    # --- What the operator does

    def hold(self, *, held: bool) -> None:
        """Stop the table while lines go on, or show what waited."""
        self.model.hold(held=held)
        self.waiting_changed.emit(self.model.waiting)

    def filter(self, wanted: LogFilter) -> None:
        """Leave only the lines that pass."""
        self.model.set_filter(wanted.passes)

    def set_level(self, directive: str) -> None:
        """Have the node write more, or less: `info`, or `info,core.links=debug`."""

        async def work() -> str:
            level = await self.operator.set_log_level(directive)
            self.level_changed.emit(level)
            return f"the log's level is {level}"

        self.run(work, name="setting the log's level")

    def copy_text(self, rows: Sequence[LogRow]) -> str:
        """Return lines as text."""
        return "\n".join(row.as_text() for row in rows)
