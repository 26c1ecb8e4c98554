"""The lock's button: a click locks, its menu says when the window locks by itself."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QCursor
from PySide6.QtWidgets import QApplication, QMenu, QToolButton

from desktop.views.widgets import IconButton

KEYS: Final = "Ctrl+L"
_TIMES: Final = (
    (0, "Only when I lock it"),
    (1, "After a minute without input"),
    (5, "After 5 minutes without input"),
    (15, "After 15 minutes without input"),
    (60, "After an hour without input"),
)


@final
class LockButton(IconButton):
    """A click locks; the arrow beside it has the rest."""

    minutes_chosen = Signal(object)
    """Without input, until it locks by itself, as an int."""
    passphrase_wanted = Signal()
    """The operator wants to set the passphrase, or another one."""

    def __init__(self) -> None:
        super().__init__("lock")
        self.setObjectName("lock")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.setToolTip(f"Lock the window; the node goes on ({KEYS})")
        self.setAccessibleName("Lock the window")
        self.setAccessibleDescription("The arrow down opens a menu: when it locks by itself")
        menu = QMenu(self)
        self.lock_action = menu.addAction(f"Lock now\t{KEYS}")
        self.lock_action.triggered.connect(lambda _checked: self.click())
        menu.addSeparator()
        self._times = QActionGroup(self)
        self.times: dict[int, QAction] = {}
        for minutes, words in _TIMES:
            action = menu.addAction(words)
            action.setCheckable(True)
            action.triggered.connect(lambda _checked, m=minutes: self.minutes_chosen.emit(m))
            self._times.addAction(action)
            self.times[minutes] = action
        menu.addSeparator()
        self.passphrase_action = menu.addAction("")
        self.passphrase_action.triggered.connect(lambda _checked: self.passphrase_wanted.emit())
        menu.aboutToHide.connect(self._look_for_pointer, Qt.ConnectionType.QueuedConnection)
        self.setMenu(menu)
        self.mark(minutes=0, has_passphrase=False)

    def _look_for_pointer(self) -> None:
        """Look as where the pointer is now: Qt does not tell where it went while the menu was open."""
        if not self.rect().contains(self.mapFromGlobal(QCursor.pos())):
            self.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, on=False)
            QApplication.sendEvent(self, QEvent(QEvent.Type.Leave))

    def mark(self, *, minutes: int, has_passphrase: bool) -> None:
        """Show what is chosen."""
        for each, action in self.times.items():
            action.setChecked(each == minutes)
        self.passphrase_action.setText(
            "Change the passphrase…" if has_passphrase else "Set a passphrase…"
        )
