"""The banner under the strip: what must not be overlooked, one thing at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from desktop.models.overview import Mood, Notice
from desktop.theme import colours
from desktop.views.discreet import Discreet
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    TextLabel,
    action_button,
    icon_button,
    tone_of,
)

HIDE: Final = "Hide until it changes"


@final
class Banner(Discreet, QWidget):
    """Says the worst first. Each notice stays until it is over, or is hidden until it changes."""

    page_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._notices: Sequence[Notice] = ()
        self._hidden: set[str] = set()
        self._shown: Notice | None = None
        self.shape = TextLabel()
        self.text = TextLabel(wrap=True)
        self.place = TextLabel(role="muted")
        self.action = action_button("")
        self.action.setAutoDefault(False)
        self.action.clicked.connect(self._go)
        self.hide_button = icon_button("close", HIDE)
        self.hide_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.hide_button.clicked.connect(self._hide_shown)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(MARGIN, 6, 10, 6)
        layout.setSpacing(SPACE)
        for widget in (self.shape, self.text, self.place, self.action, self.hide_button):
            layout.addWidget(widget, 1 if widget is self.text else 0)
        self.hide()

    def say(self, notices: Sequence[Notice]) -> None:
        """Show the first of them that was not hidden; nothing where there is none."""
        self._notices = notices
        # What was over and comes back is shown again.
        self._hidden &= {notice.key for notice in notices}
        self._show()

    def _show(self) -> None:
        left = [notice for notice in self._notices if notice.key not in self._hidden]
        if not left:
            self._shown = None
            self.hide()
            return
        notice = left[0]
        if notice != self._shown:
            self._shown = notice
            self._draw(notice)
        self.place.setText(f"1 of {len(left)}" if len(left) > 1 else "")
        self.place.setVisible(len(left) > 1)
        self.show()

    def _draw(self, notice: Notice) -> None:
        role = "bad" if notice.mood is Mood.BAD else "warn"
        for label in (self.shape, self.text):
            label.set_role(role)
        self.shape.setText(tone_of(notice.mood).value)
        self.text.setText(notice.text)
        self.action.setText(notice.label)
        self.action.setVisible(bool(notice.label))
        self.setAccessibleName(notice.text)
        self.hide_button.setAccessibleDescription(notice.text)
        self.update()

    def _go(self) -> None:
        if self._shown is not None:
            self.page_wanted.emit(self._shown.page)

    def _hide_shown(self) -> None:
        if self._shown is not None:
            self._hidden.add(self._shown.key)
        self._show()

    # --- What Qt calls

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._shown is None:
            return
        tone, look = tone_of(self._shown.mood), colours(self.palette())
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(tone.ground(look)))
        painter.setPen(QColor(tone.colour(look)))
        painter.drawLine(self.rect().bottomLeft(), self.rect().bottomRight())
