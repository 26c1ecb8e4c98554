"""The eye: one click hides every amount in the window, the next lets them be seen."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import QEvent, QSize, Signal
from PySide6.QtWidgets import QApplication, QToolButton

from desktop.views.widgets import ICON_SIZE, icon

KEYS: Final = "Ctrl+H"


@final
class EyeButton(QToolButton):
    """Open while amounts are seen, crossed out while they are hidden."""

    hiding = Signal(bool)
    """The operator wants amounts hidden, or seen again."""

    def __init__(self) -> None:
        super().__init__()
        self._hidden = False
        self.setAutoRaise(True)
        self.setIconSize(QSize(ICON_SIZE, ICON_SIZE))
        self.clicked.connect(lambda: self.hiding.emit(not self._hidden))
        self.mark(hidden=False)

    def mark(self, *, hidden: bool) -> None:
        """Show whether amounts are hidden."""
        self._hidden = hidden
        words = "Show amounts" if hidden else "Hide amounts"
        self.setToolTip(f"{words} ({KEYS})")
        self.setAccessibleName(words)
        self._draw()

    def _draw(self) -> None:
        name = "eye_off" if self._hidden else "eye"
        self.setIcon(icon(name, QApplication.palette(self)))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()
