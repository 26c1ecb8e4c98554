"""The eye: one click hides every amount in the window, the next lets them be seen."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import Signal

from desktop.views.widgets import IconButton

KEYS: Final = "Ctrl+H"


@final
class EyeButton(IconButton):
    """Open while amounts are seen, crossed out while they are hidden."""

    hiding = Signal(bool)
    """The operator wants amounts hidden, or seen again."""

    def __init__(self) -> None:
        super().__init__("eye")
        self._hidden = False
        self.clicked.connect(lambda: self.hiding.emit(not self._hidden))
        self.mark(hidden=False)

    def mark(self, *, hidden: bool) -> None:
        """Show whether amounts are hidden."""
        self._hidden = hidden
        words = "Show amounts" if hidden else "Hide amounts"
        self.setToolTip(f"{words} ({KEYS})")
        self.setAccessibleName(words)
        self.set_icon("eye_off" if hidden else "eye")
