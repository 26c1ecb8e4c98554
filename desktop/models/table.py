"""The one table model: rows in a list, sorted and filtered here, changed without losing the selection.

Qt's own sort-and-filter proxy asks a Python model for millions of cells to sort a long table; a
Python list sorts itself a hundred times faster. Rows are values with a key: `replace` compares the
new ones with the old and tells Qt only what is different.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Generic, TypeVar

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from desktop.formatting import shown, tooltip

R = TypeVar("R")

ROW_ROLE: Final = int(Qt.ItemDataRole.UserRole) + 1
"""The row itself, for delegates and inspectors."""

BLOCKS_MAX: Final = 200
"""More separate insertions or removals than this are told as a reset: Qt is faster so."""

_LEFT: Final = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT: Final = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

# As plain numbers: Qt asks for ten roles a cell, and comparing its enumerations costs more than the rest.
_DISPLAY: Final = int(Qt.ItemDataRole.DisplayRole)
_ALIGNMENT: Final = int(Qt.ItemDataRole.TextAlignmentRole)
_TOOLTIP: Final = int(Qt.ItemDataRole.ToolTipRole)
_ACCESSIBLE: Final = int(Qt.ItemDataRole.AccessibleTextRole)
_ROLES: Final = frozenset((_DISPLAY, ROW_ROLE, _ALIGNMENT, _TOOLTIP, _ACCESSIBLE))

_Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, kw_only=True)  # with slots, `Column[Row](…)` does not work before 3.12
class Column(Generic[R]):
    """One column: what it shows of a row, and how wide it starts."""

    title: str
    text: Callable[[R], str]
    """Short and ready to show. Numbers as text, with their unit."""
    sort_key: Callable[[R], Any] | None = None
    """What it is sorted by; None sorts by the text, without regard to case."""
    tooltip: Callable[[R], str] | None = None
    accessible: Callable[[R], str] | None = None
    """What a screen reader says where the cell is drawn; None says the text."""
    right: bool = False
    """Numbers stand at the right."""
    width: int = 110
    stretch: bool = False
    """Takes what room is left; one column of a table does."""
    gives_way: int = 0
    """In a narrow window, the columns with the largest number are left out first; 0 is always shown."""


class TableModel(QAbstractTableModel, Generic[R]):
    """Rows of one kind, in the order and with the filter that the operator chose."""

    counts_changed = Signal()
    """`shown` or `total` is different."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        key: Callable[[R], Hashable],
        *,
        newest_first: bool = False,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self.hold_order = False
        """While True, known rows stay where they are: the pointer is over them."""
        self._key = key
        self._newest_first = newest_first
        self._rows: list[R] = []
        self._view: list[R] = []
        self._filter: Callable[[R], bool] | None = None
        self._sort_column = -1
        self._descending = False

    # --- What a presenter calls

    @property
    def rows(self) -> Sequence[R]:
        """All rows, filtered or not, in the order in which they came."""
        return self._rows

    @property
    def visible_rows(self) -> Sequence[R]:
        """The rows that are shown, in the order in which they are."""
        return self._view

    @property
    def total(self) -> int:
        return len(self._rows)

    @property
    def shown(self) -> int:
        return len(self._view)

    def row(self, index: int) -> R:
        """Return the row that stands at this place of the table."""
        return self._view[index]

    def place_of(self, key: Hashable) -> int | None:
        """Return where the row with this key stands, or None where it is not shown."""
        return next((i for i, row in enumerate(self._view) if self._key(row) == key), None)

    def replace(self, rows: Iterable[R]) -> None:
        """Show these rows from now on; rows that are known by their key keep their selection."""
        self._rows = list(rows)
        self._show(hold=self.hold_order)

    def append(self, rows: Sequence[R], *, rows_max: int) -> None:
        """Add rows at the end (or the top, newest first) and drop the oldest beyond `rows_max`."""
        if not rows:
            return
        rows = rows[-rows_max:]
        dropped = self._rows[: max(0, len(self._rows) + len(rows) - rows_max)]
        self._rows = self._rows[len(dropped) :] + list(rows)
        if self._sort_column >= 0:
            self._show(hold=self.hold_order)
            return
        passing = self._filter or (lambda _row: True)
        self._drop_oldest(sum(1 for row in dropped if passing(row)))
        self._add_newest([row for row in rows if passing(row)])
        self.counts_changed.emit()

    def set_filter(self, passes: Callable[[R], bool] | None) -> None:
        """Show only rows for which `passes` is true; None shows all."""
        self._filter = passes
        self._show(hold=False)

    # --- How rows move

    def _drop_oldest(self, count: int) -> None:
        if not count:
            return
        first = len(self._view) - count if self._newest_first else 0
        self.beginRemoveRows(QModelIndex(), first, first + count - 1)
        del self._view[first : first + count]
        self.endRemoveRows()

    def _add_newest(self, rows: list[R]) -> None:
        if not rows:
            return
        first = 0 if self._newest_first else len(self._view)
        self.beginInsertRows(QModelIndex(), first, first + len(rows) - 1)
        self._view[first:first] = rows[::-1] if self._newest_first else rows
        self.endInsertRows()

    def _arranged(self) -> list[R]:
        rows = self._rows if self._filter is None else list(filter(self._filter, self._rows))
        if self._sort_column < 0:
            return rows[::-1] if self._newest_first else list(rows)
        column = self.columns[self._sort_column]
        key = column.sort_key or (lambda row: column.text(row).casefold())
        return sorted(rows, key=key, reverse=self._descending)

    def _show(self, *, hold: bool) -> None:
        wanted = self._arranged()
        if hold:
            place = {self._key(row): i for i, row in enumerate(self._view)}
            wanted.sort(key=lambda row: place.get(self._key(row), len(place)))
        before = (len(self._view), len(self._rows))
        if not self._view:
            self._reset(wanted)
        elif len(wanted) == len(self._view) and all(
            self._key(row) == self._key(fresh)
            for row, fresh in zip(self._view, wanted, strict=True)
        ):
            self._refresh(wanted)
        else:
            self._find_changes(wanted)
        if before != (len(self._view), len(self._rows)):
            self.counts_changed.emit()

    def _reset(self, wanted: list[R]) -> None:
        if wanted:
            self.beginResetModel()
            self._view = wanted
            self.endResetModel()

    def _refresh(self, wanted: list[R]) -> None:
        """Show other values of the same rows in the same places: what most looks at the node bring."""
        before, self._view = self._view, wanted
        pairs = enumerate(zip(before, wanted, strict=True))
        self._tell_changed(
            [i for i, (row, fresh) in pairs if fresh is not row and fresh != row]
        )

    def _tell_changed(self, places: Sequence[int]) -> None:
        last_column = len(self.columns) - 1
        for first, last in _blocks(places):
            self.dataChanged.emit(self.index(first, 0), self.index(last, last_column))

    def _find_changes(self, wanted: list[R]) -> None:
        new = {self._key(row): row for row in wanted}
        old = {self._key(row) for row in self._view}
        gone = _blocks([i for i, row in enumerate(self._view) if self._key(row) not in new])
        come = _blocks([i for i, row in enumerate(wanted) if self._key(row) not in old])
        if len(gone) + len(come) > BLOCKS_MAX:
            self.beginResetModel()
            self._view = wanted
            self.endResetModel()
        else:
            self._change(wanted, new, gone, come, old)

    def _change(
        self,
        wanted: list[R],
        new: dict[Hashable, R],
        gone: Sequence[tuple[int, int]],
        come: Sequence[tuple[int, int]],
        old: set[Hashable],
    ) -> None:
        for first, last in reversed(gone):
            self.beginRemoveRows(QModelIndex(), first, last)
            del self._view[first : last + 1]
            self.endRemoveRows()
        order = [self._key(row) for row in wanted if self._key(row) in old]
        if order != [self._key(row) for row in self._view]:
            self._reorder([new[key] for key in order])
        changed = []
        for i, row in enumerate(self._view):
            fresh = new[self._key(row)]
            if fresh is not row and fresh != row:
                changed.append(self._key(row))
            self._view[i] = fresh
        for first, last in come:
            self.beginInsertRows(QModelIndex(), first, last)
            self._view[first:first] = wanted[first : last + 1]
            self.endInsertRows()
        if changed:
            dirty = set(changed)
            self._tell_changed(
                [i for i, row in enumerate(self._view) if self._key(row) in dirty]
            )

    def _reorder(self, rows: list[R]) -> None:
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        keys = [self._key(self._view[index.row()]) for index in before]
        kept = frozenset(keys)
        place = (
            {self._key(row): i for i, row in enumerate(rows) if self._key(row) in kept}
            if kept
            else {}
        )
        self._view = rows
        after = [
            self.index(place[key], index.column())
            for key, index in zip(keys, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    # --- What Qt asks for

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 # Qt's default
        return 0 if parent.isValid() else len(self._view)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 # Qt's default
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role not in _ROLES or not index.isValid():
            return None
        place = index.row()
        if place >= len(self._view):
            return None
        column = self.columns[index.column()]
        if role == _ALIGNMENT:
            return _RIGHT if column.right else _LEFT
        row = self._view[place]
        if role == _DISPLAY:
            return shown(column.text(row))
        if role == ROW_ROLE:
            return row
        if role == _TOOLTIP:
            return tooltip(shown((column.tooltip or column.text)(row))) or None
        return f"{column.title}: {shown((column.accessible or column.text)(row))}"

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> object:
        if orientation is not Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].title
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if self.columns[section].right else _LEFT
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._sort_column = column
        self._descending = order is Qt.SortOrder.DescendingOrder
        if self._view:
            self._reorder(self._arranged())


def _blocks(places: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs of neighbouring numbers in a rising sequence, as first and last."""
    if not places:
        return []
    starts = [places[0], *(b for a, b in pairwise(places) if b != a + 1)]
    ends = [*(a for a, b in pairwise(places) if b != a + 1), places[-1]]
    return list(zip(starts, ends, strict=True))
