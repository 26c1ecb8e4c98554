"""The health strip: which network, who we are, and how everything is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, final

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from desktop.formatting import shortened
from desktop.models.overview import Mood, PillState, ShellState
from desktop.theme import ThemeChoice, colours, figures, heading
from desktop.views.eye_button import EyeButton
from desktop.views.lock_button import LockButton
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    Pill,
    Sparkline,
    TextLabel,
    Tone,
    icon,
    icon_button,
    tone_of,
)

ADDRESS_LENGTH_MAX: Final = 44
ADDRESS_LENGTH_MIN: Final = 24
STRIP_WIDTH_FOR_RATES: Final = 1264
STRIP_WIDTH_FOR_PULSE: Final = 1180
STRIP_WIDTH_FOR_SHARE: Final = 1060
"""In a narrow window the strip leaves out what is told elsewhere too."""
PILLS_THAT_GIVE_WAY: Final = ("clock", "rates", "store")
"""In this order, behind the pulse, where there is no room, and as long as they have nothing to say: the status bar has
the clock, the logs the database. The pace of packets, and engines that are well, follow."""

_THEMES: Final = (
    (ThemeChoice.SYSTEM, "Follow the system"),
    (ThemeChoice.LIGHT, "Light"),
    (ThemeChoice.DARK, "Dark"),
)


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
        self.eye = EyeButton()
        self.lock_button = LockButton()
        self._pills: dict[str, Pill] = {}
        self._targets: dict[str, str] = {}
        self._wanted: frozenset[str] = frozenset()
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
        layout.addWidget(self.eye)
        layout.addWidget(self.lock_button)
        self.search_button = icon_button("search", "Go anywhere, do anything (Ctrl+K)")
        layout.addWidget(self.search_button)
        layout.addWidget(self._theme_button())
        self.pulse.setToolTip("Packets a second, of the last two minutes")
        self.fulfilled.setToolTip("Share of the last minute's packets that were fulfilled")

    def _theme_button(self) -> QToolButton:
        button = icon_button("theme", "Light or dark")
        self._theme_menu = QMenu(self)
        self._theme_actions: dict[ThemeChoice, QAction] = {}
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

    @property
    def theme_actions(self) -> Mapping[ThemeChoice, QAction]:
        """What the menu of themes has."""
        return self._theme_actions

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
        self._wanted = frozenset(pill.key for pill in state.pills)
        self._fit_pills()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fulfilled.setVisible(self.width() >= STRIP_WIDTH_FOR_SHARE)
        self.address.set_length(
            ADDRESS_LENGTH_MAX if self.width() >= STRIP_WIDTH_FOR_PULSE else ADDRESS_LENGTH_MIN
        )
        self._fit_pills()

    def _fit_pills(self) -> None:
        quiet = (
            () if self.width() >= STRIP_WIDTH_FOR_RATES else (*self._quiet_ones(("rates",)),)
        )
        for key, widget in self._pills.items():
            widget.setVisible(key in self._wanted and widget not in quiet)
        # What is wrong stays; the pace of packets is on the overview too.
        self.rate.setVisible(True)
        self.pulse.setVisible(self.width() >= STRIP_WIDTH_FOR_PULSE)
        engines = [key for key in self._pills if key.startswith("engine:")]
        for gives_way in (
            self.pulse,
            *self._quiet_ones(PILLS_THAT_GIVE_WAY),
            self.rate,
            *self._quiet_ones(engines),
            *self._quiet_ones(("peers", "node")),
        ):
            if not self._fits:
                gives_way.setVisible(False)

    def _quiet_ones(self, keys: Iterable[str]) -> Iterable[Pill]:
        for key in keys:
            pill = self._pills.get(key)
            if pill is not None and pill.tone in (Tone.OK, Tone.PLAIN):
                yield pill

    @property
    def _fits(self) -> bool:
        layout = self.layout()
        self._pill_row.invalidate()  # Qt does so for a layout within another only when it lays out anew.
        return layout is None or layout.minimumSize().width() <= self.width()

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
        pill.set(state.text, tone_of(state.mood), state.reason)


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
        colour = tone_of(self._mood).colour(look)
        painter.setPen(QColor(colour))
        painter.setBrush(QColor(tone_of(self._mood).ground(look)))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 5, 5)
        painter.setFont(self.font())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())


@final
class AddressButton(QToolButton):
    """Our ILP address; a click copies it, the other button, or the menu key, shows it as a QR code."""

    copied = Signal(str)
    code_wanted = Signal()

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
            self.setToolTip(f"{address}\nClick to copy, right-click for a QR code")
            self.setAccessibleName(f"Our ILP address, {address}: copy")
            self.setAccessibleDescription("The menu key shows it as a QR code")

    def set_length(self, length: int) -> None:
        """Show so many characters of it."""
        if length != self._length:
            self._length = length
            self.setText(shortened(self._address, length))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._address)
        self.copied.emit(f"Copied {self._address}")

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.accept()
        self.code_wanted.emit()

    def _draw(self) -> None:
        self.setIcon(icon("copy", self.palette(), size=16))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()
