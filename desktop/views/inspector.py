"""The inspector: the dock with the details of what is selected."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
)
from PySide6.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QWidget,
)

from desktop.views.widgets import (
    MARGIN,
    SPACE,
    TextLabel,
    icon_button,
)

INSPECTOR_WIDTH: Final = 340
INSPECTOR_WIDTH_MIN: Final = 300


@final
class Inspector(QDockWidget):
    """Details of what is selected on the page; can be made a window of its own."""

    open_changed = Signal(bool)

    def __init__(self, window: QMainWindow) -> None:
        super().__init__("Inspector", window)
        self._window = window
        self._wide = INSPECTOR_WIDTH
        self.setObjectName("inspector")
        self.setAllowedAreas(
            Qt.DockWidgetArea.RightDockWidgetArea | Qt.DockWidgetArea.LeftDockWidgetArea
        )
        self.setMinimumWidth(INSPECTOR_WIDTH_MIN)
        self._is_open = True
        self._wanted = False
        self._has_content = False
        self._title = TextLabel(role="muted")
        self._stack = QStackedWidget()
        self.setWidget(self._stack)
        self.setTitleBarWidget(self._title_bar())

    def _title_bar(self) -> QWidget:
        bar = QWidget()
        close = icon_button("close", "Close the inspector (F4)")
        close.clicked.connect(self.close)
        layout = QHBoxLayout(bar)
        layout.setContentsMargins(MARGIN, 6, SPACE, 0)
        layout.addWidget(self._title, 1)
        layout.addWidget(close)
        return bar

    def show_widget(self, widget: QWidget | None, title: str, *, wanted: bool) -> None:
        """Show a page's inspector, once there is something to show in it; a page without one has none."""
        if widget is not None:
            if self._stack.indexOf(widget) < 0:
                self._stack.addWidget(widget)
            self._stack.setCurrentWidget(widget)
            self._title.setText(title)
        self._has_content = widget is not None
        self._wanted = wanted
        self._show_or_hide()

    def toggle(self) -> None:
        """Open or close it, where the page has one."""
        if self._has_content:
            self.set_open(not self._is_open)
            self.open_changed.emit(self._is_open)

    @property
    def is_open(self) -> bool:
        """Whether the operator wants to see it, once there is something to see."""
        return self._is_open

    def set_open(self, is_open: bool) -> None:  # noqa: FBT001
        """Open or close it."""
        self._is_open = is_open
        self._show_or_hide()

    def set_wanted(self, wanted: bool) -> None:  # noqa: FBT001 # a signal's
        """Step aside while nothing is selected or the page needs the room, and come back afterwards."""
        self._wanted = wanted
        self._show_or_hide()

    def _show_or_hide(self) -> None:
        shown = self._is_open and self._wanted and self._has_content
        if not shown and self.isVisible() and not self.isFloating():
            self._wide = self.width()
        comes_back = shown and self.isHidden()
        self.setVisible(shown)
        if comes_back:
            QTimer.singleShot(0, self, self._take_width)

    def _take_width(self) -> None:
        """Be as wide as when it was last seen: Qt gives a dock that comes back its least width."""
        if self.isVisible() and not self.isFloating():
            self._window.resizeDocks([self], [self._wide], Qt.Orientation.Horizontal)

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self._is_open = False
        self.open_changed.emit(False)
