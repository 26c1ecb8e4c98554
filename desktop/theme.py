"""Light and dark: our own palettes on Qt's Fusion style, and colours that mean something.

A widget that draws asks `colours(palette)` with the palette it is drawn with, so that a change of
theme reaches everything that is painted afterwards and nobody keeps a colour.
"""

from __future__ import annotations

import enum
import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Final, final

import shiboken6
from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QGraphicsView,
    QHeaderView,
    QWidget,
)

CONTRAST_MIN: Final = 4.5
"""WCAG 2.2, level AA, for text."""
PAPER, INK = "#ffffff", "#000000"
"""For what cameras read, in every theme."""
STEP_SECONDS: Final = 0.005
"""A change of theme goes through the widgets in steps, so that packets and frames pass in between."""


class ThemeChoice(enum.Enum):
    """What the operator chose."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """Colours by what they mean, as #rrggbb."""

    window: str
    """Behind everything."""
    base: str
    """Tables, fields and cards."""
    raised: str
    """Every second row, headers, buttons."""
    border: str
    grid: str
    """Lines in graphs."""
    text: str
    muted: str
    """Text that is less important, still to be read."""
    accent: str
    accent_text: str
    """On the accent."""
    selection: str
    """Behind selected rows; text keeps its colour on it."""
    ok: str
    warn: str
    bad: str
    paused: str
    ok_soft: str
    warn_soft: str
    bad_soft: str
    """Behind text of the same meaning."""
    owed_to_us: str
    """Blue and orange, not green and red: the sign of a balance is no judgement."""
    owed_by_us: str
    in_flight: str
    series: tuple[str, ...]
    """For curves, in order; each can be told from the ones before on `base`."""
    dark: bool


LIGHT: Final = Colours(
    window="#f3f4f6", base="#ffffff", raised="#f7f8fa", border="#d8dce2", grid="#e6e9ed",
    text="#1b2027", muted="#57606c", accent="#0f5fb8", accent_text="#ffffff", selection="#dbe9fa",
    ok="#17703a", warn="#835200", bad="#b3261e", paused="#57606c",
    ok_soft="#e3f3e8", warn_soft="#fdf0d5", bad_soft="#fce8e6",
    owed_to_us="#0b5cad", owed_by_us="#9a4600", in_flight="#6b3fa0",
    series=("#0f5fb8", "#17703a", "#b3261e", "#835200", "#6b3fa0", "#0a6b74", "#a3306e", "#57606c"),
    dark=False,
)  # fmt: skip
DARK: Final = Colours(
    window="#15181c", base="#1b1f24", raised="#21262c", border="#343b44", grid="#2a3038",
    text="#e4e7eb", muted="#9ba5b1", accent="#6db1ff", accent_text="#0c1520", selection="#22395a",
    ok="#5cc47a", warn="#e2b155", bad="#ff8a80", paused="#9ba5b1",
    ok_soft="#1b3325", warn_soft="#39301a", bad_soft="#3f2423",
    owed_to_us="#74b5ff", owed_by_us="#f2a65e", in_flight="#c0a0f5",
    series=("#6db1ff", "#5cc47a", "#ff8a80", "#e2b155", "#c0a0f5", "#5cc9d4", "#f08cc0", "#9ba5b1"),
    dark=True,
)  # fmt: skip


STYLESHEET_ROLES: Final[Mapping[str, str]] = {
    "window": "window",
    "base": "base",
    "raised": "alternate-base",
    "border": "mid",
    "grid": "midlight",
    "text": "window-text",
    "muted": "placeholder-text",
    "accent": "accent",
    "accent_text": "light",
    "selection": "highlight",
    "bad": "bright-text",
    "bad_soft": "link-visited",
}
"""The palette's role of each colour that the stylesheet uses; the last of the list has no use of its own here."""


def colours(palette: QPalette) -> Colours:
    """Return the colours that belong to what is painted with this palette."""
    return DARK if palette.color(QPalette.ColorRole.Window).lightness() < 128 else LIGHT


def contrast(first: str, second: str) -> float:
    """Return how far two colours are apart, 1 to 21, as WCAG counts it."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def mixed(first: str, second: str, share: float) -> str:
    """Return `first` with `share` of `second` in it: opaque, so that it paints fast."""
    parts = (round(a + (b - a) * share) for a, b in zip(_rgb(first), _rgb(second), strict=True))
    return "#{:02x}{:02x}{:02x}".format(*parts)


def palette_of(look: Colours) -> QPalette:
    """Return the palette that Qt's own widgets are drawn with."""
    palette = QPalette()
    role = QPalette.ColorRole
    for where, colour in (
        (role.Window, look.window), (role.WindowText, look.text), (role.Base, look.base),
        (role.AlternateBase, look.raised), (role.Text, look.text), (role.Button, look.raised),
        (role.ButtonText, look.text), (role.BrightText, look.bad), (role.Link, look.accent),
        (role.LinkVisited, look.bad_soft), (role.Highlight, look.selection),
        (role.HighlightedText, look.text), (role.ToolTipBase, look.raised),
        (role.ToolTipText, look.text), (role.PlaceholderText, look.muted),
        (role.Accent, look.accent), (role.Mid, look.border), (role.Midlight, look.grid),
        (role.Dark, look.border), (role.Light, look.accent_text), (role.Shadow, look.border),
    ):  # fmt: skip
        palette.setColor(where, QColor(colour))
    disabled = QPalette.ColorGroup.Disabled
    for where in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        palette.setColor(disabled, where, QColor(mixed(look.muted, look.window, 0.3)))
    return palette


def heading(font: QFont, *, steps: int = 1) -> QFont:
    """Return the font, larger by so many steps of an eighth, and semi-bold."""
    larger = QFont(font)
    larger.setPointSizeF(font.pointSizeF() * (1 + steps / 8))
    larger.setWeight(QFont.Weight.DemiBold)
    return larger


def figures(font: QFont) -> QFont:
    """Return the font with digits that are all equally wide, so that columns of numbers line up."""
    tabular = QFont(font)
    tabular.setFeature(QFont.Tag.fromString("tnum"), 1)
    return tabular


@final
class Theme(QObject):
    """Puts the choice in force, and follows the system where it is left to that.

    The stylesheet names colours by the palette's roles and is set once: to parse it anew, and match it
    with every widget, costs a second. A change of theme changes the palette and has each widget take
    it, those that are seen first, in steps that are shorter than a frame. Tables and graphs are painted
    after the rest of their window, one by one: together they would take longer than a frame too.
    """

    changed = Signal()
    """Light became dark, or dark light; what can be seen has its colours already."""

    def __init__(self, application: QApplication, stylesheet: str, choice: ThemeChoice) -> None:
        super().__init__(application)
        self._application = application
        self._choice = choice
        self._applied: Colours | None = None
        self._seen: deque[QWidget] = deque()
        self._unseen: deque[QWidget] = deque()
        self._laborious: deque[QWidget] = deque()
        """Tables and graphs that are seen, and are not to be painted yet."""
        self._held: list[QWidget] = []
        self._telling = False
        self._steps = QTimer(self)
        self._steps.timeout.connect(self._step)
        application.setStyle("Fusion")
        application.setPalette(palette_of(self.colours))
        application.setStyleSheet(
            Template(stylesheet).substitute(
                {name: f"palette({role})" for name, role in STYLESHEET_ROLES.items()}
            )
        )
        application.styleHints().colorSchemeChanged.connect(self._apply)
        self._applied = self.colours

    @property
    def choice(self) -> ThemeChoice:
        return self._choice

    @property
    def colours(self) -> Colours:
        """What is in force."""
        if self._choice is ThemeChoice.LIGHT:
            return LIGHT
        if self._choice is ThemeChoice.DARK:
            return DARK
        scheme = self._application.styleHints().colorScheme()
        return DARK if scheme == Qt.ColorScheme.Dark else LIGHT

    def choose(self, choice: ThemeChoice) -> None:
        """Put this choice in force, as soon as the event loop comes to it."""
        self._choice = choice
        self._apply()

    def finish(self) -> None:
        """Do at once what is left of a change."""
        while self._steps.isActive():
            self._step()

    def _apply(self) -> None:
        look = self.colours
        if look is self._applied:
            return
        self._applied = look
        widgets = self._application.allWidgets()
        self._seen = deque(widget for widget in widgets if widget.isVisible())
        self._unseen = deque(widget for widget in widgets if not widget.isVisible())
        for widget in self._seen:
            if _is_laborious(widget) and widget.updatesEnabled():
                widget.setUpdatesEnabled(False)
                self._laborious.append(widget)
        for window in self._application.topLevelWidgets():
            if window.isVisible() and window.updatesEnabled():
                # Nobody is to see a window half in the one theme and half in the other.
                window.setUpdatesEnabled(False)
                self._held.append(window)
        self._application.setPalette(palette_of(look))
        self._telling = True
        self._steps.start(0)

    def _step(self) -> None:
        until = time.perf_counter() + STEP_SECONDS
        while time.perf_counter() < until:
            if self._seen:
                _take_palette(self._seen.popleft())
            elif self._telling:
                self._tell()
                return
            elif self._laborious:
                _let_go(self._laborious.popleft())
                return
            elif self._unseen:
                _take_palette(self._unseen.popleft())
            else:
                self._steps.stop()
                return

    def _tell(self) -> None:
        self._telling = False
        held, self._held = self._held, []
        for window in held:
            _let_go(window)
            _ask_to_paint(window)
        self.changed.emit()


def _is_laborious(widget: QWidget) -> bool:
    # Headers are views too, and are painted with their tables.
    is_view = isinstance(widget, QAbstractItemView | QGraphicsView)
    return is_view and not isinstance(widget, QHeaderView)


def _let_go(widget: QWidget) -> None:
    """Have a widget painted again, if it is still there."""
    if shiboken6.isValid(widget):
        widget.setUpdatesEnabled(True)


def _ask_to_paint(window: QWidget) -> None:
    """Have Qt paint a window, also where it came to that while the window was held.

    It painted nothing then, and believes ever since that it still has a request to paint.
    """
    if shiboken6.isValid(window):
        QApplication.postEvent(window, QEvent(QEvent.Type.UpdateRequest))


def _take_palette(widget: QWidget) -> None:
    """Have a widget work out its colours anew: Qt itself does that only for a new stylesheet."""
    if not shiboken6.isValid(widget):
        return
    style = widget.style()
    style.unpolish(widget)
    style.polish(widget)
    QApplication.sendEvent(widget, QEvent(QEvent.Type.PaletteChange))


def _luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else math.pow((part + 0.055) / 1.055, 2.4)
        for part in (octet / 255 for octet in _rgb(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
