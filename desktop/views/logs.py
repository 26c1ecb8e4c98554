"""The log page: what the node writes, live, filtered and copied."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QFontDatabase, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from desktop import formatting
from desktop.models.logs import LEVELS, LogFilter, LogRow
from desktop.presenters.logs import LogsPresenter
from desktop.views.cells import level_cell
from desktop.views.detail import DetailPanel
from desktop.views.inputs import Choice
from desktop.views.page import Page
from desktop.views.states import States
from desktop.views.tables import Follow, KeepPlace, copy, count_words, show_menu, table_action
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    EmptyState,
    FilterLine,
    TableView,
    TextLabel,
    Tone,
    action_button,
    type_into,
)

ROW_HEIGHT: Final = 24
LEVEL_COLUMN: Final = 1
EVERY_COMPONENT: Final = ("", "All components")
SHOWN_LEVELS: Final = tuple(
    (level, f"{level.capitalize()} and worse" if level != "DEBUG" else "All levels")
    for level in LEVELS[:-1]
)
WRITTEN_LEVELS: Final = (
    ("debug", "debug"),
    ("info", "info"),
    ("warning", "warning"),
    ("error", "error"),
)
_TONES: Final = {"WARNING": Tone.WARN, "ERROR": Tone.BAD, "CRITICAL": Tone.BAD}


@final
class LogsPage(Page):
    """Log lines, the newest at the end."""

    key = "logs"
    title = "Logs"
    icon = "logs"

    def __init__(self, presenter: LogsPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.logs = presenter
        self.filter_line = FilterLine("Filter: text")
        self.level = Choice(SHOWN_LEVELS)
        self.component = Choice((EVERY_COMPONENT,))
        self.directive = Choice(WRITTEN_LEVELS, editable=True)
        self.directive.choose("info")
        self.set_button = action_button("Set")
        self.pause_button = action_button("Pause")
        self.pause_button.setCheckable(True)
        self.pause_button.setToolTip("Space: the table stands still, the log goes on")
        self.end_button = action_button("↓ To the end")
        self.waiting = TextLabel(role="warn")
        self.count = TextLabel(role="muted")
        self.table = TableView(presenter.model, row_height=ROW_HEIGHT)
        self.table.setAccessibleName("Log lines")
        self.table.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.line_inspector = DetailPanel("Select a line to read all of it.")
        self.inspector = self.line_inspector
        empty = EmptyState(
            "logs", "Nothing was logged yet", "What the node writes appears here."
        )
        self.states = States(self._content(), empty)
        self.setFocusProxy(self.table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.states)
        KeepPlace(self.table, presenter.model)
        self._follow = Follow(self.table, presenter.model)
        self._actions = self._make_actions()
        self._connect()
        self._count()

    # --- What the window calls

    def open(self, target: str) -> None:
        """Show only lines with this text."""
        self.filter_line.setText(target)
        self._filter()

    def focus_filter(self) -> None:
        type_into(self.filter_line)

    # --- How it is built

    def _content(self) -> QWidget:
        content = QWidget()
        bar = QHBoxLayout()
        bar.setContentsMargins(MARGIN, 12, MARGIN, SPACE)
        bar.setSpacing(SPACE)
        bar.addWidget(self.filter_line, 1)
        for choice, name, width in (
            (self.level, "Levels shown", 170),
            (self.component, "Component", 190),
        ):
            choice.setAccessibleName(name)
            choice.setFixedWidth(width)
            bar.addWidget(choice)
        bar.addWidget(self.pause_button)
        self.table.setItemDelegateForColumn(LEVEL_COLUMN, level_cell(self.table))
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        foot = QHBoxLayout()
        foot.setContentsMargins(MARGIN, 6, MARGIN, 6)
        foot.setSpacing(SPACE)
        foot.addWidget(TextLabel("The node writes", role="muted"))
        self.directive.setAccessibleName("Level that the node writes")
        self.directive.setToolTip("a level, or `info,core.links=debug` for one component")
        self.directive.setFixedWidth(220)
        foot.addWidget(self.directive)
        foot.addWidget(self.set_button)
        foot.addStretch()
        for widget in (self.waiting, self.count, self.end_button):
            foot.addWidget(widget)
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.table, 1)
        layout.addLayout(foot)
        return content

    def _make_actions(self) -> list[QAction | None]:
        table = self.table
        return [
            table_action(table, "Pause or go on", "Space", self.pause_button.toggle),
            table_action(table, "Only this component", "", self._only_component),
            None,
            table_action(table, "Copy lines", QKeySequence.StandardKey.Copy, self._copy_lines),
        ]

    def _connect(self) -> None:
        presenter = self.logs
        presenter.loaded_changed.connect(self.states.set_loaded)
        presenter.problem_changed.connect(self.states.set_problem)
        presenter.model.counts_changed.connect(self._count)
        presenter.waiting_changed.connect(self._show_waiting)
        presenter.components_changed.connect(self._show_components)
        presenter.level_changed.connect(self.directive.choose)
        self.states.retried.connect(presenter.refresh)
        self.filter_line.filtered.connect(self._filter)
        self.level.chosen.connect(self._filter)
        self.component.chosen.connect(self._filter)
        self.set_button.clicked.connect(lambda: presenter.set_level(self.directive.value))
        self.pause_button.toggled.connect(self._hold)
        self.end_button.clicked.connect(self._follow.to_end)
        self.table.chosen.connect(self._choose)
        self.table.customContextMenuRequested.connect(self._show_menu)

    # --- What the presenter tells

    def _count(self) -> None:
        model = self.logs.model
        self.states.set_empty(is_empty=model.total == 0 and not model.waiting)
        self.count.setText(count_words(model.shown, model.total, "line"))

    def _show_waiting(self, waiting: int) -> None:
        self.waiting.setText(f"{formatting.count(waiting)} new" if waiting else "")

    def _show_components(self, components: list[str]) -> None:
        self.component.set_choices([EVERY_COMPONENT, *((name, name) for name in components)])

    # --- What the operator does

    def _filter(self) -> None:
        self.logs.filter(
            LogFilter(
                level=self.level.value,
                component=self.component.value,
                text=self.filter_line.text().strip(),
            )
        )

    def _hold(self, held: bool) -> None:  # noqa: FBT001 # a signal's argument
        self.pause_button.setText("Go on" if held else "Pause")
        self.logs.hold(held=held)

    def _choose(self, row: object) -> None:
        self.want_inspector(row is not None)
        if not isinstance(row, LogRow):
            self.line_inspector.show_nothing()
            return
        self.line_inspector.show_details(
            row.component,
            (row.level.capitalize(), _TONES.get(row.level, Tone.PLAIN)),
            (("Time", formatting.exact_moment(row.at_ms)), ("Text", row.text)),
        )

    def _only_component(self) -> None:
        for row in self.table.selected_rows[:1]:
            self.component.choose(row.component)
            self._filter()

    def _copy_lines(self) -> None:
        copy(self.logs.copy_text(self.table.selected_rows))

    def _show_menu(self, place: QPoint) -> None:
        show_menu(self.table, self._actions, place)
