"""The window: the rail, the health strip, the pages, the inspector and the status bar."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import QByteArray, QEvent, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QHideEvent,
    QIcon,
    QKeySequence,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.overview import ShellState
from desktop.models.palette import Entry, Kind
from desktop.presenters.lock import LockPresenter
from desktop.presenters.palette import LOOK_UP, PAY
from desktop.presenters.shell import ShellPresenter
from desktop.settings import SettingsFile
from desktop.theme import Theme, ThemeChoice
from desktop.views.banner import Banner
from desktop.views.commands import Commands
from desktop.views.discreet import tell_everything_again
from desktop.views.eye_button import KEYS as EYE_KEYS
from desktop.views.health_strip import HealthStrip
from desktop.views.inspector import Inspector
from desktop.views.lock_button import KEYS as LOCK_KEYS
from desktop.views.lock_cover import QUIT_KEYS
from desktop.views.node_names_dialog import NodeNamesDialog
from desktop.views.page import Page
from desktop.views.palette import Palette
from desktop.views.rail import Rail
from desktop.views.status_line import StatusLine
from desktop.views.widgets import pixmap
from desktop.views.window_lock import WindowLock

WINDOW_WIDTH, WINDOW_HEIGHT = 1280, 800
WIDTH_MIN, HEIGHT_MIN = 960, 600
LIVE_MS: Final = 500


@final
class MainWindow(QMainWindow):
    """Everything the operator sees. Closing it begins the shutdown, which closes it in the end."""

    close_wanted = Signal()
    """The operator closes the window; it stays until `let_go`."""

    def __init__(
        self, shell: ShellPresenter, pages: Sequence[Page], settings: SettingsFile, theme: Theme
    ) -> None:
        super().__init__()
        self._shell = shell
        self._pages = {page.key: page for page in pages}
        self._settings = settings
        self._theme = theme
        self._may_close = False
        self._current: Page | None = None
        self.setWindowTitle("Signalbox")
        self.setWindowIcon(QIcon(pixmap("signalbox", "#ffffff", size=64)))
        self.setMinimumSize(WIDTH_MIN, HEIGHT_MIN)
        self.resize(WINDOW_WIDTH, WINDOW_HEIGHT)
        # Not animated: each step of it lays the page out anew.
        self.setDockOptions(QMainWindow.DockOption.AllowTabbedDocks)

        self.strip = HealthStrip()
        self.banner = Banner()
        self.rail = Rail(pages, collapsed=settings.current.rail_collapsed)
        self.stack = QStackedWidget()
        self.inspector = Inspector(self)
        self.status = StatusLine()
        self.commands = Commands(self)
        self._lay_out(pages)
        self._connect(shell, pages)
        presenter = LockPresenter(settings, shell.watch.clock, self)
        self.lock = WindowLock(self, presenter, self.strip.lock_button)
        self.lock.quit_wanted.connect(self.close_wanted)
        self._add_shortcuts(pages)
        self.palette_over = self._make_palette()
        self._live_timer = QTimer(self)
        self._live_timer.setInterval(LIVE_MS)
        self._live_timer.timeout.connect(self._show_age)
        self._restore()
        self.lock.begin()

    def _lay_out(self, pages: Sequence[Page]) -> None:
        for page in pages:
            self.stack.addWidget(page)
        right = QWidget()
        column = QVBoxLayout(right)
        # The page must not cover the line between it and the inspector.
        column.setContentsMargins(0, 0, 1, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.stack, 1)
        middle = QWidget()
        row = QHBoxLayout(middle)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.rail)
        row.addWidget(right, 1)
        self.setMenuWidget(self.strip)
        self.setCentralWidget(middle)
        self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.inspector)
        self.setStatusBar(self.status)

    def _connect(self, shell: ShellPresenter, pages: Sequence[Page]) -> None:
        shell.state_changed.connect(self._show_state)
        shell.watch.failed.connect(self.status.say_failure)
        shell.reported.connect(self.status.say)
        self.rail.chosen.connect(self.show_page)
        self.rail.collapsed_changed.connect(
            lambda collapsed: self._settings.change(rail_collapsed=collapsed)
        )
        self.strip.page_wanted.connect(self.show_page)
        self.banner.page_wanted.connect(self.show_page)
        self.strip.theme_chosen.connect(self._choose_theme)
        self.strip.eye.hiding.connect(self.hide_amounts)
        self.strip.copied.connect(self.status.say)
        self.inspector.open_changed.connect(self._note_inspector)
        self.inspector.detached_changed.connect(
            lambda detached: self._settings.change(inspector_detached=detached)
        )
        self._theme.changed.connect(self.rail.draw_icons)
        for page in pages:
            presenter = page.presenter
            page.inspector_wanted.connect(functools.partial(self._want_inspector, page))
            page.navigated.connect(self.navigate)
            presenter.failed.connect(self.status.say_failure)
            presenter.reported.connect(self.status.say)
            presenter.undoable.connect(self.status.offer_undo)
            presenter.tasks.running_changed.connect(self._show_running)

    def _add_shortcuts(self, pages: Sequence[Page]) -> None:
        for place, page in enumerate(pages, 1):
            show = functools.partial(self.show_page, page.key)
            self.commands.add_page(page, show, f"Ctrl+{place}")
        add, inspector = self.commands.add, self.inspector
        add("Inspector", inspector.toggle, "F4")
        add("Inspector: a window of its own, or beside the page", inspector.toggle_detached)
        add("Look again now", self._refresh, "F5")
        add("Filter", self._focus_filter, "Ctrl+F", "/")
        add("Add a peer", self.add_peer, "Ctrl+N")
        add("Collapse the rail", self.rail.toggle, "Ctrl+B")
        add("Hide or show amounts", self._turn_eye, EYE_KEYS)
        add("Lock the window", self.lock.lock, LOCK_KEYS)
        add("Quit", self.close_wanted.emit, QUIT_KEYS)

    def _make_palette(self) -> Palette:
        strip, status, add = self.strip, self.status, self.commands.add
        add("Copy our ILP address", strip.address.click)
        add("Our address as a QR code", self.show_node_names)
        for choice, action in strip.theme_actions.items():
            self.commands.adopt(action, f"Theme: {choice.value}", words="colours look")
        undo = status.undo_button
        add("Undo the last action", undo.click, possible=undo.isVisible)
        palette = Palette(
            self._shell.palette, lambda: self.commands.offered(self._current), self
        )
        # Not in the palette itself.
        action = QAction("Palette", self)
        action.setShortcuts([QKeySequence("Ctrl+K"), QKeySequence(":")])
        action.triggered.connect(palette.toggle)
        self.addAction(action)
        palette.chosen.connect(self._do)
        strip.search_button.clicked.connect(palette.toggle)
        strip.address.code_wanted.connect(self.show_node_names)
        self.inspector.share([*self.commands.actions, action])
        return palette

    # --- What the application calls

    @property
    def current_page(self) -> Page | None:
        """The page that is shown."""
        return self._current

    def show_page(self, key: str) -> None:
        """Show another page: its presenter starts, the former one's stops."""
        page = self._pages.get(key)
        if page is None or page is self._current:
            return
        if self._current is not None:
            self._current.presenter.stop()
        self._current = page
        self.stack.setCurrentWidget(page)
        self.rail.mark(key)
        self.inspector.show_widget(page.inspector, page.title, wanted=page.wants_inspector)
        self._settings.change(page=key)
        if self.isVisible():
            page.presenter.start()

    def navigate(self, key: str, target: str) -> None:
        """Show a page and, on it, what another page was asked for."""
        self.show_page(key)
        if target and self._current is not None:
            self._current.open(target)

    def add_peer(self) -> None:
        """Go to the peers and begin a new one."""
        self.show_page("peers")
        if self._current is not None and self._current.key == "peers":
            self._current.add()

    def hide_amounts(self, hidden: bool) -> None:  # noqa: FBT001 # a signal's
        """Hide every amount in the window, or let them be seen again."""
        formatting.hide_amounts(hidden=hidden)
        self.strip.eye.mark(hidden=hidden)
        tell_everything_again()
        self._settings.change(amounts_hidden=hidden)

    def show_node_names(self) -> None:
        """Show this node's address as a QR code."""
        dialog = NodeNamesDialog(self._shell.node_names, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def let_go(self) -> None:
        """Close now: everything behind the window has ended."""
        self._settings.change(
            inspector_geometry=self.inspector.geometry_of_own,
            geometry=bytes(self.saveGeometry().data()),
            layout=bytes(self.saveState().data()),
        )
        self._may_close = True
        self.close()

    def say_closing(self, what: str) -> None:
        """Say what the shutdown waits for."""
        self.setEnabled(False)
        self.status.say(what)

    # --- Within

    def _show_state(self, state: ShellState) -> None:
        self.strip.show_state(state)
        self.banner.say(state.banner)
        self.rail.show_badges(state.badges)
        self.status.clock.show_clock(state.clock)
        self.status.show_version(state.version)
        self._show_age()

    def _show_age(self) -> None:
        self.status.show_age(*self._shell.live())

    def _show_running(self) -> None:
        running = [
            name for page in self._pages.values() for name in page.presenter.tasks.running
        ]
        self.status.show_running(running)

    def _choose_theme(self, choice: ThemeChoice) -> None:
        self._theme.choose(choice)
        self._settings.change(theme=choice)

    def _turn_eye(self) -> None:
        self.hide_amounts(not formatting.amounts_hidden())

    def _do(self, entry: Entry) -> None:
        """Do what was chosen in the palette."""
        if entry.kind is Kind.PEER:
            self.navigate("peers", entry.key)
            self.inspector.set_open(True)
            self._note_inspector(True)
        elif entry.kind is not Kind.QUESTION:
            self.commands.run(entry)
        elif entry.key.startswith(LOOK_UP):
            self.navigate("routes", entry.key.removeprefix(LOOK_UP))
        elif entry.key.startswith(PAY):
            self.navigate("payments", entry.key.removeprefix(PAY))
        else:
            self.navigate("routes", entry.key)

    def _note_inspector(self, is_open: bool) -> None:  # noqa: FBT001 # a signal's
        self._settings.change(inspector_open=is_open)

    def _want_inspector(self, page: Page, wanted: bool) -> None:  # noqa: FBT001 # a signal's
        if page is self._current:
            self.inspector.set_wanted(wanted)

    def _refresh(self) -> None:
        self._shell.watch.refresh()
        if self._current is not None:
            self._current.presenter.refresh()

    def _focus_filter(self) -> None:
        if self._current is not None:
            self.activateWindow()
            self._current.focus_filter()

    def _restore(self) -> None:
        saved = self._settings.current
        if saved.geometry:
            self.restoreGeometry(QByteArray(saved.geometry))
        if saved.layout:
            self.restoreState(QByteArray(saved.layout))
        self.inspector.set_open(saved.inspector_open)
        self.inspector.restore(
            is_detached=saved.inspector_detached, geometry=saved.inspector_geometry
        )
        self.strip.mark_theme(self._theme.choice)
        if saved.amounts_hidden:
            self.hide_amounts(hidden=True)
        self.show_page(saved.page if saved.page in self._pages else next(iter(self._pages)))

    # --- What Qt calls

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._live_timer.start()
        self._shell.watch.start()
        self.stack.setFocus()
        if self._current is not None:
            self._current.presenter.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._live_timer.stop()
        if self._current is not None:
            self._current.presenter.stop()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange and self._current is not None:
            if self.isMinimized():
                self._current.presenter.stop()
            elif self.isVisible():
                self._current.presenter.start()

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._may_close:
            event.accept()
        else:
            event.ignore()
            self.close_wanted.emit()
