"""What the pages' tables have in common: actions with keys, a menu, a place that stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

from PySide6.QtCore import QModelIndex, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QMenu,
    QStackedWidget,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.table import TableModel
from desktop.views.widgets import MARGIN, SPACE, TableView, TextLabel

GROW_AFTER_MS: Final = 60
GROWN_MAX: Final = 380
CELL_PADDING: Final = 26


def table_action(
    table: QTableView,
    text: str,
    key: str | QKeySequence.StandardKey,
    work: Callable[[], object],
) -> QAction:
    """Add an action to a table: it is in its menu, and its key works while the table has the focus."""
    action = QAction(text, table)
    action.setShortcut(QKeySequence(key))
    action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
    action.triggered.connect(lambda _checked=False: work())
    table.addAction(action)
    return action


def show_menu(table: QTableView, actions: list[QAction | None], place: QPoint) -> QMenu:
    """Show the actions where the pointer is; None is a line between groups."""
    menu = QMenu(table)
    for action in actions:
        if action is None:
            menu.addSeparator()
        else:
            menu.addAction(action)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    menu.popup(table.viewport().mapToGlobal(place))
    return menu


def copy(text: str) -> None:
    """Put text on the clipboard, as it may be seen now."""
    if text:
        QApplication.clipboard().setText(formatting.shown(text))


def selected_text(table: TableView) -> str:
    """Return the selected rows as a table that a spreadsheet reads, with headings."""
    columns = table.table_model.columns
    lines = ["\t".join(column.title for column in columns)]
    for row in table.selected_rows:
        cells = (column.text(row) for column in columns)
        lines.append("\t".join(_plain(cell) for cell in cells))
    return "\n".join(lines) if len(lines) > 1 else ""


def _plain(text: str) -> str:
    return " ".join(text.replace(formatting.GROUP, "").split())


@final
class KeepPlace(QObject):
    """Keeps what is read where it is while rows come and go above it; at the very top, the newest show."""

    def __init__(self, table: QTableView, model: TableModel[Any]) -> None:
        super().__init__(table)
        self._table = table
        model.rowsInserted.connect(self._inserted)
        model.rowsRemoved.connect(self._removed)

    def _inserted(self, _parent: QModelIndex, first: int, last: int) -> None:
        self._move(first, last - first + 1)

    def _removed(self, _parent: QModelIndex, first: int, last: int) -> None:
        self._move(first, first - last - 1)

    def _move(self, first: int, rows: int) -> None:
        bar = self._table.verticalScrollBar()
        height = self._table.verticalHeader().defaultSectionSize()
        if bar.value() > 0 and first * height <= bar.value():
            wanted = bar.value() + rows * height
            bar.setMaximum(max(bar.maximum(), wanted))
            bar.setValue(max(wanted, 0))


@final
class Follow(QObject):
    """Keeps the end of a table in sight while rows are added there, until the operator scrolls up."""

    def __init__(self, table: QTableView, model: TableModel[Any]) -> None:
        super().__init__(table)
        self._table = table
        self._at_end = True
        model.rowsAboutToBeInserted.connect(self._note)
        model.rowsInserted.connect(self._go)
        model.modelReset.connect(self._go)

    def to_end(self) -> None:
        """Go to the end, and stay there."""
        self._at_end = True
        self._go()

    def _note(self) -> None:
        bar = self._table.verticalScrollBar()
        self._at_end = bar.value() >= bar.maximum() - 2

    def _go(self) -> None:
        if self._at_end:
            self._table.scrollToBottom()


@final
class GrowColumns(QObject):
    """Widens columns whose text must be read whole, amounts before all; none shrinks by itself.

    Only what can be seen is measured, once in a while: a table of 100 000 rows costs no more than
    its window shows.
    """

    def __init__(
        self, table: TableView, texts: Mapping[int, Callable[[Any], str]] | None = None
    ) -> None:
        super().__init__(table)
        self._table = table
        columns = table.table_model.columns
        self._texts = {i: column.text for i, column in enumerate(columns) if column.right}
        self._texts |= texts or {}
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(GROW_AFTER_MS)
        self._pause.timeout.connect(self.measure)
        model = table.table_model
        for changed in (model.rowsInserted, model.modelReset, model.dataChanged):
            changed.connect(self._soon)
        table.verticalScrollBar().valueChanged.connect(self._soon)

    def _soon(self) -> None:
        if not self._pause.isActive():
            self._pause.start()

    def measure(self) -> None:
        """Widen what is too narrow for the rows that are seen."""
        table, model = self._table, self._table.table_model
        first = max(table.rowAt(0), 0)
        last = table.rowAt(table.viewport().height())
        rows = model.visible_rows[first : model.shown if last < 0 else last + 1]
        metrics, header = table.fontMetrics(), table.horizontalHeader()
        for column, text in self._texts.items():
            widest = max((metrics.horizontalAdvance(text(row)) for row in rows), default=0)
            wanted = min(widest + CELL_PADDING, GROWN_MAX)
            if not header.isSectionHidden(column) and wanted > header.sectionSize(column):
                header.resizeSection(column, wanted)
                table.fit_columns()


# --- Tabs of tables


@final
class TableTab(QWidget):
    """A table with its bars, its menu, and words that stand there while it is empty."""

    def __init__(
        self,
        title: str,
        model: TableModel[Any],
        nothing: str,
        number: Callable[[], int] | None = None,
    ) -> None:
        super().__init__()
        self.title = title
        self.model = model
        self.table = TableView(model)
        self._number = number
        self._actions: list[QAction | None] = []
        self.table.setAccessibleName(title)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._show_menu)
        GrowColumns(self.table)
        empty = TextLabel(nothing, role="muted")
        empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.table)
        self._stack.addWidget(empty)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self._layout.addWidget(self._stack, 1)

    @property
    def selected_row(self) -> Any:
        """The uppermost row that is selected, or None."""
        rows = self.table.selected_rows
        return rows[0] if rows else None

    @property
    def heading(self) -> str:
        """The title with how many there are, or how many of them count."""
        number = self.model.total if self._number is None else self._number()
        return f"{self.title} ({formatting.count(number)})" if number else self.title

    def put_above(self, widget: QWidget) -> None:
        """Put a bar above the table."""
        self._layout.insertWidget(self._layout.indexOf(self._stack), widget)

    def put_below(self, *parts: QWidget | None) -> None:
        """Put widgets side by side below the table; None takes what room is left."""
        bar = QHBoxLayout()
        bar.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        bar.setSpacing(SPACE)
        for part in parts:
            if part is None:
                bar.addStretch(1)
            else:
                bar.addWidget(part)
        self._layout.addLayout(bar)

    def add_menu(self, *actions: QAction | None) -> None:
        """Show these in the menu of a row, and how to copy rows; None is a line between groups."""
        copying = table_action(
            self.table,
            "Copy rows",
            QKeySequence.StandardKey.Copy,
            lambda: copy(selected_text(self.table)),
        )
        self._actions = [*actions, copying]

    def add_copy(self, words: str, text_of: Callable[[Any], str]) -> QAction:
        """Return an action that copies something of the selected row."""

        def work() -> None:
            if (row := self.selected_row) is not None:
                copy(text_of(row))

        return table_action(self.table, words, "", work)

    def show_or_say_nothing(self) -> None:
        """Show the table, or why there is none."""
        self._stack.setCurrentIndex(0 if self.model.total else 1)

    def _show_menu(self, place: QPoint) -> None:
        if self.table.selected_rows:
            show_menu(self.table, self._actions, place)


@final
class TableTabs(QTabWidget):
    """Tables side by side, each with its number in its title; `chosen` tells of the row to show details of."""

    chosen = Signal(object)
    """The selected row of the tab that is seen, or None."""

    def __init__(self) -> None:
        super().__init__()
        self.setDocumentMode(True)
        self.tabs: list[TableTab] = []
        self.currentChanged.connect(lambda _tab: self.tell())

    @property
    def tables(self) -> Sequence[TableView]:
        """The tables, from the left."""
        return [tab.table for tab in self.tabs]

    def add_table(
        self,
        title: str,
        model: TableModel[Any],
        nothing: str,
        number: Callable[[], int] | None = None,
    ) -> TableTab:
        """Add one; `number` is what stands in its title, where that is not how many rows there are."""
        tab = TableTab(title, model, nothing, number)
        self.tabs.append(tab)
        self.addTab(tab, title)
        model.counts_changed.connect(self.count_rows)
        tab.table.chosen.connect(self.chosen)
        return tab

    def count_rows(self) -> None:
        """Say how many there are."""
        for place, tab in enumerate(self.tabs):
            self.setTabText(place, tab.heading)
            tab.show_or_say_nothing()

    def tell(self) -> None:
        """Tell which row is selected, for its details: it may be another one, or say something else now."""
        self.count_rows()
        if self.tabs:
            self.chosen.emit(self.tabs[self.currentIndex()].selected_row)

    def select(self, key: str, *places: int) -> bool:
        """Go to the row with this key in the first of these tabs that has it."""
        for place in places:
            if self.tables[place].select_key(key):
                self.setCurrentIndex(place)
                return True
        return False


def count_words(shown: int, total: int, one: str) -> str:
    """Return how many there are, and how many of them are shown: `3 of 12 peers`, `1 peer`."""
    if shown == total:
        return formatting.counted(total, one)
    return f"{formatting.count(shown)} of {formatting.counted(total, one)}"
