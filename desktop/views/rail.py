"""The rail: every page of the window, always in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QIcon,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import (
    QButtonGroup,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop.theme import colours, figures, heading
from desktop.views.page import Page
from desktop.views.widgets import (
    ICON_SIZE,
    icon,
    icon_button,
)

RAIL_WIDTH: Final = 176
BADGE_MAX: Final = 99
RAIL_WIDTH_COLLAPSED: Final = 52


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
        text = str(self._badge) if self._badge <= BADGE_MAX else f"{BADGE_MAX}+"
        font = figures(self.font())
        font.setPointSizeF(font.pointSizeF() * 0.85)
        painter.setFont(font)
        width = max(18, painter.fontMetrics().horizontalAdvance(text) + 10)
        pill = self.rect().adjusted(self.width() - width - 8, 9, -8, -9)
        painter.drawRoundedRect(pill, 9, 9)
        painter.setPen(QColor(look.base))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)
