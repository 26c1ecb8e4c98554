"""The inspector: details of what is selected, at the window's side or in a window of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import QByteArray, QEvent, QObject, QRect, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
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
OWN_WIDTH, OWN_HEIGHT = 420, 640
OWN_HEIGHT_MIN: Final = 280
GRIP_WIDTH, GRIP_HEIGHT = 120, 40
"""So much of a window's upper edge is to be on a screen: it can be taken hold of there."""


@final
class Inspector(QDockWidget):
    """Details of what is selected on the page; can be made a window of its own, for a second screen.

    Beside the page it steps aside while there is nothing to show, for the page can use the room. Its own
    window stays, and says so.
    """

    open_changed = Signal(bool)
    detached_changed = Signal(bool)

    def __init__(self, window: QMainWindow) -> None:
        super().__init__("Inspector", window)
        self._window = window
        self._wide = INSPECTOR_WIDTH
        self.setObjectName("inspector")
        self.setAllowedAreas(
            Qt.DockWidgetArea.RightDockWidgetArea | Qt.DockWidgetArea.LeftDockWidgetArea
        )
        # Qt's own floating has neither a frame nor a place in the list of windows.
        self.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetClosable
            | QDockWidget.DockWidgetFeature.DockWidgetMovable
        )
        self.setMinimumWidth(INSPECTOR_WIDTH_MIN)
        self._is_open = True
        self._wanted = False
        self._has_content = False
        self._detached = False
        self._stack = QStackedWidget()
        self.nothing = TextLabel("This page has no details to show.", role="muted", wrap=True)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.nothing.setContentsMargins(MARGIN, SPACE, MARGIN, MARGIN)
        self._stack.addWidget(self.nothing)
        self._docked = _Holder()
        self._docked.hold(self._stack)
        self.setWidget(self._docked)
        self.own_window = OwnWindow(window)
        self.own_window.closed.connect(self._close)
        self._bar = _Bar("detach", "Show the inspector in a window of its own")
        self._own_bar = _Bar("dock", "Put the inspector back beside the page")
        self.detach_button = self._bar.move_button
        self.dock_button = self._own_bar.move_button
        for bar in (self._bar, self._own_bar):
            bar.move_button.clicked.connect(self.toggle_detached)
            bar.close_button.clicked.connect(self._close)
        self.own_window.set_bar(self._own_bar)
        self.setTitleBarWidget(self._bar)
        window.installEventFilter(self)

    # --- What the window calls

    def show_widget(self, widget: QWidget | None, title: str, *, wanted: bool) -> None:
        """Show a page's inspector, once there is something to show in it; a page without one has none."""
        if widget is not None and self._stack.indexOf(widget) < 0:
            self._stack.addWidget(widget)
        self._stack.setCurrentWidget(self.nothing if widget is None else widget)
        self._bar.title.setText(title)
        self._own_bar.title.setText(title)
        self.own_window.setWindowTitle(f"{title} – Signalbox inspector")
        self._has_content = widget is not None
        self._wanted = wanted
        self._show_or_hide()

    def toggle(self) -> None:
        """Open or close it, where there is one."""
        if self._has_content or self._detached:
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

    def share(self, actions: Sequence[QAction]) -> None:
        """Have the window's keys work in the inspector's own window too."""
        self.own_window.addActions(list(actions))

    # --- Its own window

    @property
    def is_detached(self) -> bool:
        """Whether it has, or will have, a window of its own."""
        return self._detached

    @property
    def geometry_of_own(self) -> bytes:
        """Where its own window stands, as Qt writes it; nothing where it never did."""
        own = self.own_window
        return bytes(own.saveGeometry().data()) if own.was_shown else b""

    def restore(self, *, is_detached: bool, geometry: bytes) -> None:
        """Be as it was left; its own window comes back to a screen that is there."""
        self.setFloating(False)
        if geometry:
            self.own_window.restoreGeometry(QByteArray(geometry))
            self.own_window.was_shown = True
        if is_detached != self._detached:
            self._move()
        self._show_or_hide()

    def toggle_detached(self) -> None:
        """Give it a window of its own, or put it back beside the page; either way it is open then."""
        if not self._detached and not self.own_window.was_shown:
            self.own_window.stand_beside(self)
        self._move()
        self._is_open = True
        self._show_or_hide()
        (self.own_window if self._detached else self._window).activateWindow()
        self.detached_changed.emit(self._detached)
        self.open_changed.emit(True)

    def _move(self) -> None:
        self._detached = not self._detached
        holder = self.own_window.holder if self._detached else self._docked
        holder.hold(self._stack)

    def _show_or_hide(self) -> None:
        self._show_or_hide_docked()
        own = self.own_window
        shown = self._detached and self._is_open and self._window.isVisible()
        if shown and not own.isVisible():
            own.come_to_a_screen()
            own.show()
        elif not shown:
            own.hide()

    def _show_or_hide_docked(self) -> None:
        shown = self._is_open and self._wanted and self._has_content and not self._detached
        if not shown and self.isVisible():
            self._wide = self.width()
        comes_back = shown and self.isHidden()
        self.setVisible(shown)
        if comes_back:
            QTimer.singleShot(0, self, self._take_width)

    def _take_width(self) -> None:
        """Be as wide as when it was last seen: Qt gives a dock that comes back its least width."""
        if self.isVisible():
            self._window.resizeDocks([self], [self._wide], Qt.Orientation.Horizontal)

    def _close(self) -> None:
        self.set_open(False)
        self.open_changed.emit(False)

    # --- What Qt calls

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._window:
            if event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
                QTimer.singleShot(0, self, self._show_or_hide)
            elif event.type() == QEvent.Type.EnabledChange:
                self.own_window.setEnabled(self._window.isEnabled())
        return super().eventFilter(watched, event)

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self._close()


@final
class OwnWindow(QWidget):
    """The inspector's own window: the window system moves it, to whichever screen."""

    closed = Signal()
    """The operator closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.was_shown = False
        """Whether it has a place of its own already."""
        self.setMinimumSize(INSPECTOR_WIDTH_MIN, OWN_HEIGHT_MIN)
        self.resize(OWN_WIDTH, OWN_HEIGHT)
        self.holder = _Holder()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(self.holder, 1)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.screenRemoved.connect(self._screen_gone)

    def set_bar(self, bar: QWidget) -> None:
        """Have this at its upper edge."""
        self._column.insertWidget(0, bar)

    def stand_beside(self, widget: QWidget) -> None:
        """Take a first place: where the widget is, a little to the side."""
        corner = widget.window().frameGeometry().topRight()
        if widget.isVisible():
            corner = widget.mapToGlobal(widget.rect().topRight())
        self.move(corner.x() - OWN_WIDTH + 4 * MARGIN, corner.y() + 2 * MARGIN)

    def come_to_a_screen(self) -> None:
        """Move to where it can be seen and taken hold of, if the screen that it was on is not there."""
        screens = [screen.availableGeometry() for screen in QGuiApplication.screens()]
        wanted = on_a_screen(self.geometry(), screens)
        if wanted != self.geometry():
            self.setGeometry(wanted)

    def _screen_gone(self) -> None:
        # By then the window system may have moved it already.
        QTimer.singleShot(0, self, self.come_to_a_screen)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.was_shown = True

    def closeEvent(self, event: QCloseEvent) -> None:
        event.ignore()
        self.closed.emit()


def on_a_screen(window: QRect, screens: Sequence[QRect]) -> QRect:
    """Return where a window is to stand so that its upper edge is on one of these screens, the first being the main one."""
    edge = QRect(window.topLeft(), window.size())
    edge.setHeight(GRIP_HEIGHT)
    for screen in screens:
        seen = edge.intersected(screen)
        if seen.width() >= GRIP_WIDTH and seen.height() >= GRIP_HEIGHT:
            return window
    if not screens:
        return window
    screen = screens[0]
    result = QRect(window)
    result.setSize(window.size().boundedTo(screen.size()))
    result.moveCenter(screen.center())
    return result


@final
class _Holder(QWidget):
    """Where the details are for now."""

    def __init__(self) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)

    def hold(self, widget: QWidget) -> None:
        """Take it from where it was."""
        self._column.addWidget(widget)
        widget.show()


@final
class _Bar(QWidget):
    """What is shown, and the buttons that move and close the inspector."""

    def __init__(self, icon_name: str, tooltip: str) -> None:
        super().__init__()
        self.title = TextLabel(role="muted")
        # It is where the dock is taken hold of.
        self.title.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        self.move_button = icon_button(icon_name, tooltip)
        self.close_button = icon_button("close", "Close the inspector (F4)")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(MARGIN, 6, SPACE, 0)
        layout.addWidget(self.title, 1)
        layout.addWidget(self.move_button)
        layout.addWidget(self.close_button)
