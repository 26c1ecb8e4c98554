"""Rows that come by themselves, the newest so many of them: while they are held, what comes waits and is counted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from PySide6.QtCore import QObject

from desktop.models.table import Column, TableModel

R = TypeVar("R")


class LiveModel(TableModel[R]):
    """A table that goes on filling, and can be held."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        key: Callable[[R], Hashable],
        *,
        rows_max: int,
        newest_first: bool = False,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(columns, key, newest_first=newest_first, parent=parent)
        self._rows_max = rows_max
        self._held = False
        self._waiting: list[R] = []

    @property
    def held(self) -> bool:
        return self._held

    @property
    def waiting(self) -> int:
        """How many rows came while it was held."""
        return len(self._waiting)

    def add(self, rows: Sequence[R]) -> None:
        """Add rows, oldest first."""
        if self._held:
            self._waiting = [*self._waiting, *rows][-self._rows_max :]
        else:
            self.append(rows, rows_max=self._rows_max)

    def hold(self, *, held: bool) -> None:
        """Stop showing what comes, or show all that waited."""
        self._held = held
        if not held:
            waiting, self._waiting = self._waiting, []
            self.append(waiting, rows_max=self._rows_max)
