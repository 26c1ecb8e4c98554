"""The window: the rail, the health strip, the pages, the inspector and the status bar."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final, final

from PySide6.QtCore import QByteArray, QEvent, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QColor,
    QGuiApplication,
    QHideEvent,
    QIcon,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QButtonGroup,
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QStackedWidget,
    QStatusBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop.formatting import shortened
from desktop.models.overview import Mood, PillState, ShellState
from desktop.presenters.shell import ShellPresenter
from desktop.settings import SettingsFile
from desktop.theme import Theme, ThemeChoice, colours, figures, heading
from desktop.views.page import Page
from desktop.views.widgets import (
    ICON_SIZE,
    MARGIN,
    SPACE,
    Pill,
    Sparkline,
    TextLabel,
    Tone,
    action_button,
    icon,
    icon_button,
    pixmap,
)

WINDOW_WIDTH, WINDOW_HEIGHT = 1280, 800
WIDTH_MIN, HEIGHT_MIN = 960, 600
RAIL_WIDTH: Final = 176
RAIL_WIDTH_COLLAPSED: Final = 52
INSPECTOR_WIDTH: Final = 340
INSPECTOR_WIDTH_MIN: Final = 300
ADDRESS_LENGTH_MAX: Final = 44
ADDRESS_LENGTH_MIN: Final = 24
STRIP_WIDTH_FOR_PULSE: Final = 1180
STRIP_WIDTH_FOR_SHARE: Final = 1060
"""In a narrow window the strip leaves out what is told elsewhere too."""
MESSAGE_MS: Final = 10_000
UNDO_MS: Final = 600_000
LIVE_MS: Final = 500

_THEMES: Final = (
    (ThemeChoice.SYSTEM, "Follow the system"),
    (ThemeChoice.LIGHT, "Light"),
    (ThemeChoice.DARK, "Dark"),
)


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
        self._lay_out(pages)
        self._connect(shell, pages)
        self._add_shortcuts(pages)
        self._live_timer = QTimer(self)
        self._live_timer.setInterval(LIVE_MS)
        self._live_timer.timeout.connect(self._show_age)
        self._restore()

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
        self.strip.theme_chosen.connect(self._choose_theme)
        self.strip.copied.connect(self.status.say)
        self.inspector.open_changed.connect(self._note_inspector)
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
            self._add_action(
                f"Ctrl+{place}", page.title, functools.partial(self.show_page, page.key)
            )
        self._add_action("F4", "Inspector", self.inspector.toggle)
        self._add_action("F5", "Look again now", self._refresh)
        self._add_action("Ctrl+F", "Filter", self._focus_filter)
        self._add_action("/", "Filter", self._focus_filter)
        self._add_action("Ctrl+N", "Add a peer", self.add_peer)
        self._add_action("Ctrl+B", "Collapse the rail", self.rail.toggle)
        self._add_action("Ctrl+Q", "Quit", self.close_wanted.emit)

    def _add_action(self, keys: str, text: str, act: Callable[[], object]) -> None:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(keys))
        action.triggered.connect(lambda _checked: act())
        self.addAction(action)

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

    def let_go(self) -> None:
        """Close now: everything behind the window has ended."""
        self._settings.change(
            geometry=bytes(self.saveGeometry().data()), layout=bytes(self.saveState().data())
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
            self._current.focus_filter()

    def _restore(self) -> None:
        saved = self._settings.current
        if saved.geometry:
            self.restoreGeometry(QByteArray(saved.geometry))
        if saved.layout:
            self.restoreState(QByteArray(saved.layout))
        self.inspector.set_open(saved.inspector_open)
        self.strip.mark_theme(self._theme.choice)
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


# --- The rail


@final
class Rail(QWidget):
    """The pages, always in the same order; a badge counts problems, never mere things."""

    chosen = Signal(str)
    collapsed_changed = Signal(bool)

    def __init__(self, pages: Sequence[Page], *, collapsed: bool) -> None:
        super().__init__()
        self.setObjectName("rail")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.buttons = {
            page.key: RailButton(page.title, page.icon, place)
            for place, page in enumerate(pages, 1)
        }
        self._collapsed = collapsed
        self._group = QButtonGroup(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 10, 6, 8)
        layout.setSpacing(2)
        for key, button in self.buttons.items():
            self._group.addButton(button)
            button.clicked.connect(lambda _checked, key=key: self.chosen.emit(key))
            layout.addWidget(button)
        layout.addStretch()
        self.collapse_button = icon_button("menu", "Collapse the rail (Ctrl+B)")
        self.collapse_button.clicked.connect(self.toggle)
        layout.addWidget(self.collapse_button)
        self._apply()

    def mark(self, key: str) -> None:
        """Show which page is the current one."""
        self.buttons[key].setChecked(True)

    def show_badges(self, badges: dict[str, int]) -> None:
        """Show how many problems each page has."""
        for key, button in self.buttons.items():
            button.show_badge(badges.get(key, 0))

    def toggle(self) -> None:
        """Show icons alone, or with their words."""
        self._collapsed = not self._collapsed
        self._apply()
        self.collapsed_changed.emit(self._collapsed)

    def draw_icons(self) -> None:
        """Draw the icons in the colours that are in force now."""
        for button in self.buttons.values():
            button.draw_icon()

    def _apply(self) -> None:
        self.setFixedWidth(RAIL_WIDTH_COLLAPSED if self._collapsed else RAIL_WIDTH)
        for button in self.buttons.values():
            button.set_collapsed(collapsed=self._collapsed)


@final
class RailButton(QToolButton):
    """One page of the rail: it draws itself, badge and all."""

    def __init__(self, title: str, icon_name: str, place: int) -> None:
        super().__init__()
        self._title = title
        self._icon_name = icon_name
        self._keys = f"Ctrl+{place}"
        self._badge = 0
        self._collapsed = False
        self.setCheckable(True)
        self.setFixedHeight(36)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.draw_icon()
        self._name()

    @property
    def badge(self) -> int:
        """How many problems it shows."""
        return self._badge

    def show_badge(self, count: int) -> None:
        """Show so many problems; none at 0."""
        if count != self._badge:
            self._badge = count
            self._name()
            self.update()

    def set_collapsed(self, *, collapsed: bool) -> None:
        """Show the icon alone."""
        self._collapsed = collapsed
        self.update()

    def draw_icon(self) -> None:
        """Take the icon in the colours in force."""
        self.setIcon(icon(self._icon_name, self.palette()))
        self.update()

    def _name(self) -> None:
        problems = f", {self._badge} problems" if self._badge else ""
        self.setAccessibleName(f"{self._title}{problems}")
        self.setToolTip(f"{self._title} ({self._keys}){problems}")

    def paintEvent(self, _event: QPaintEvent) -> None:
        look = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = self.rect().adjusted(1, 1, -1, -1)
        painter.setPen(QColor(look.accent) if self.hasFocus() else Qt.PenStyle.NoPen)
        if self.isChecked():
            painter.setBrush(QColor(look.selection))
        elif self.underMouse():
            painter.setBrush(QColor(look.grid))
        else:
            painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 6, 6)
        state = QIcon.State.On if self.isChecked() else QIcon.State.Off
        top = (self.height() - ICON_SIZE) // 2
        image = self.icon().pixmap(QSize(ICON_SIZE, ICON_SIZE), QIcon.Mode.Normal, state)
        painter.drawPixmap(QPoint(10, top), image)
        if not self._collapsed:
            font = self.font()
            if self.isChecked():
                font = heading(font, steps=0)
            painter.setFont(font)
            painter.setPen(QColor(look.text if self.isChecked() else look.muted))
            painter.drawText(
                box.adjusted(40, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self._title
            )
        if self._badge:
            self._paint_badge(painter)

    def _paint_badge(self, painter: QPainter) -> None:
        look = colours(self.palette())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(look.bad))
        if self._collapsed:
            painter.drawEllipse(self.width() - 16, 6, 8, 8)
            return
        text = str(min(self._badge, 99))
        font = figures(self.font())
        font.setPointSizeF(font.pointSizeF() * 0.85)
        painter.setFont(font)
        width = max(18, painter.fontMetrics().horizontalAdvance(text) + 10)
        pill = self.rect().adjusted(self.width() - width - 8, 9, -8, -9)
        painter.drawRoundedRect(pill, 9, 9)
        painter.setPen(QColor(look.base))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)


# --- The health strip


@final
class HealthStrip(QWidget):
    """Always in sight: which network, who we are, and how everything is."""

    page_wanted = Signal(str)
    theme_chosen = Signal(object)
    """A ThemeChoice."""
    copied = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("strip")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedHeight(48)
        self.network = NetworkBadge()
        self.address = AddressButton()
        self.address.copied.connect(self.copied)
        self.pulse = Sparkline()
        self.rate = TextLabel()
        self.rate.setFont(figures(self.rate.font()))
        self.fulfilled = TextLabel(role="muted")
        self.fulfilled.setFont(figures(self.fulfilled.font()))
        self._pills: dict[str, Pill] = {}
        self._targets: dict[str, str] = {}
        layout = QHBoxLayout(self)
        layout.setContentsMargins(MARGIN, 0, 10, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(self.network)
        layout.addWidget(self.address)
        layout.addSpacing(SPACE)
        self._pill_row = QHBoxLayout()
        self._pill_row.setSpacing(6)
        layout.addLayout(self._pill_row)
        layout.addStretch()
        layout.addWidget(self.pulse)
        layout.addWidget(self.rate)
        layout.addWidget(self.fulfilled)
        layout.addWidget(self._theme_button())
        self.pulse.setToolTip("Packets a second, of the last two minutes")
        self.fulfilled.setToolTip("Share of the last minute's packets that were fulfilled")

    def _theme_button(self) -> QToolButton:
        button = icon_button("theme", "Light or dark")
        self._theme_menu = QMenu(self)
        self._theme_actions = {}
        for choice, words in _THEMES:
            action = self._theme_menu.addAction(words)
            action.setCheckable(True)
            action.triggered.connect(lambda _checked, choice=choice: self._choose(choice))
            self._theme_actions[choice] = action
        button.clicked.connect(
            lambda: self._theme_menu.popup(button.mapToGlobal(QPoint(0, button.height())))
        )
        return button

    def _choose(self, choice: ThemeChoice) -> None:
        self.mark_theme(choice)
        self.theme_chosen.emit(choice)

    def mark_theme(self, choice: ThemeChoice) -> None:
        """Show which theme is chosen."""
        for each, action in self._theme_actions.items():
            action.setChecked(each is choice)

    def show_state(self, state: ShellState) -> None:
        """Show all of it; only what is different is drawn."""
        self.network.say(state.network, state.network_mood, state.network_reason)
        self.address.show_address(state.ilp_address)
        self.rate.setText(state.rate)
        self.fulfilled.setText(state.fulfilled)
        self.pulse.show_values(state.pulse)
        for pill in state.pills:
            self._show_pill(pill)
        shown = {pill.key for pill in state.pills}
        for key, widget in self._pills.items():
            widget.setVisible(key in shown)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.pulse.setVisible(self.width() >= STRIP_WIDTH_FOR_PULSE)
        self.fulfilled.setVisible(self.width() >= STRIP_WIDTH_FOR_SHARE)
        self.address.set_length(
            ADDRESS_LENGTH_MAX if self.width() >= STRIP_WIDTH_FOR_PULSE else ADDRESS_LENGTH_MIN
        )

    def pill(self, key: str) -> Pill | None:
        """Return a component's pill."""
        return self._pills.get(key)

    def _show_pill(self, state: PillState) -> None:
        pill = self._pills.get(state.key)
        if pill is None:
            pill = Pill(clickable=True)
            pill.clicked.connect(lambda: self.page_wanted.emit(self._targets[state.key]))
            self._pills[state.key] = pill
            # The peers stand behind the node, and the database stays the last: engines come and go between.
            last = "store" in self._pills and state.key != "store"
            place = 1 if state.key == "peers" else self._pill_row.count() - (1 if last else 0)
            self._pill_row.insertWidget(place, pill)
        self._targets[state.key] = state.page
        pill.set(state.text, _tone(state.mood), state.reason)


@final
class NetworkBadge(QLabel):
    """Which network this is, from the address: real money must not be mistaken for play."""

    def __init__(self) -> None:
        super().__init__()
        self._mood = Mood.PLAIN
        self.setFont(heading(self.font(), steps=0))
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setContentsMargins(8, 3, 8, 3)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def say(self, text: str, mood: Mood, reason: str) -> None:
        """Show the network."""
        if (text, mood) != (self.text(), self._mood):
            self._mood = mood
            self.setText(text)
            self.setToolTip(reason)
            self.setAccessibleName(f"Network: {text}. {reason}")

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self.text():
            return
        look = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = _tone(self._mood).colour(look)
        painter.setPen(QColor(colour))
        painter.setBrush(QColor(_tone(self._mood).ground(look)))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 5, 5)
        painter.setFont(self.font())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())


@final
class AddressButton(QToolButton):
    """Our ILP address; a click copies it."""

    copied = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._address = ""
        self._length = ADDRESS_LENGTH_MAX
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setIconSize(QSize(16, 16))
        self.clicked.connect(self._copy)
        self._draw()

    def show_address(self, address: str) -> None:
        """Show this address."""
        if address != self._address:
            self._address = address
            self.setText(shortened(address, self._length))
            self.setToolTip(f"{address}\nClick to copy")
            self.setAccessibleName(f"Our ILP address, {address}: copy")

    def set_length(self, length: int) -> None:
        """Show so many characters of it."""
        if length != self._length:
            self._length = length
            self.setText(shortened(self._address, length))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._address)
        self.copied.emit(f"Copied {self._address}")

    def _draw(self) -> None:
        self.setIcon(icon("copy", self.palette(), size=16))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()


# --- Banner, inspector, status


@final
class Banner(QWidget):
    """What must not be overlooked: it stays until it is over, or hidden until it changes."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._hidden_text = ""
        self.text = TextLabel(role="bad", wrap=True)
        self.hide_button = icon_button("close", "Hide until it changes")
        self.hide_button.clicked.connect(self._hide_text)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(MARGIN, 6, 10, 6)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.hide_button)
        self.hide()

    def say(self, text: str) -> None:
        """Show this; nothing where it is empty."""
        self.text.setText(text)
        self.setVisible(bool(text) and text != self._hidden_text)
        if not text:
            self._hidden_text = ""

    def _hide_text(self) -> None:
        self._hidden_text = self.text.text()
        self.hide()


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


@final
class StatusLine(QStatusBar):
    """The last action, what runs, and how old what is shown is."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeGripEnabled(False)
        self.setContentsMargins(MARGIN - 4, 0, 10, 0)
        self.message = TextLabel(elide=True)
        self.running = TextLabel(role="muted")
        self.age = TextLabel(role="ok")
        self.age.setFont(figures(self.age.font()))
        self.age.setMinimumWidth(92)
        self.age.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.undo_button = action_button("Undo")
        self.undo_button.setProperty("kind", "range")
        self.undo_button.hide()
        self._undo: Callable[[], object] | None = None
        self.undo_button.clicked.connect(self._take_back)
        self.addWidget(self.message, 1)
        self.addPermanentWidget(self.undo_button)
        self.addPermanentWidget(self.running)
        self.addPermanentWidget(self.age)
        self._clear = QTimer(self)
        self._clear.setSingleShot(True)
        self._clear.setInterval(MESSAGE_MS)
        self._clear.timeout.connect(lambda: self.message.setText(""))
        self._forget = QTimer(self)
        self._forget.setSingleShot(True)
        self._forget.setInterval(UNDO_MS)
        self._forget.timeout.connect(self.undo_button.hide)

    def offer_undo(self, text: str, undo: object) -> None:
        """Show what was done, with a button that takes it back, for ten minutes."""
        assert callable(undo)
        self.say(text)
        self._undo = undo
        self.undo_button.setText(f"Undo: {text}".replace("&", "&&"))
        self.undo_button.show()
        self._forget.start()

    def _take_back(self) -> None:
        self.undo_button.hide()
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def say(self, text: str) -> None:
        """Show what was done, for a while."""
        self.message.set_role("text")
        self.message.setText(text)
        self._clear.start()

    def say_failure(self, text: str) -> None:
        """Show what was not done, until the next action."""
        self.message.set_role("bad")
        self.message.setText(text)
        self._clear.stop()

    def show_running(self, names: Sequence[str]) -> None:
        """Show what is under way."""
        words = "" if not names else names[0] if len(names) == 1 else f"{len(names)} tasks"
        self.running.setText(f"{words}…" if words else "")
        self.running.setToolTip("\n".join(names))

    def show_age(self, text: str, mood: Mood) -> None:
        """Show how old what is on the screen is."""
        shape = _tone(mood).value
        self.age.set_role(mood.value if mood is not Mood.PLAIN else "muted")
        self.age.setText(f"{shape} {text}")


def _tone(mood: Mood) -> Tone:
    return Tone[mood.name]
