"""Locks the window: covers it, takes its keys and menus away, and puts every other window of ours aside."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QDialog, QMainWindow, QMenu, QWidget
from shiboken6 import isValid

from desktop.presenters.lock import LockPresenter
from desktop.views.eye_button import KEYS as EYE_KEYS
from desktop.views.lock_button import KEYS as LOCK_KEYS, LockButton
from desktop.views.lock_cover import QUIT_KEYS, LockCover
from desktop.views.passphrase_dialog import PassphraseDialog

LOOK_MS: Final = 1_000
_INPUT: Final = frozenset(
    (
        QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove,
        QEvent.Type.Wheel, QEvent.Type.TouchBegin, QEvent.Type.TabletPress,
    )
)  # fmt: skip


@final
class WindowLock(QObject):
    """Between the lock and the window; what the operator had open comes back as it was."""

    quit_wanted = Signal()

    def __init__(
        self, window: QMainWindow, presenter: LockPresenter, button: LockButton
    ) -> None:
        super().__init__(window)
        self.presenter = presenter
        self.cover = LockCover(presenter, window)
        self._window = window
        self._button = button
        self._covered = False
        self._focus: QWidget | None = None
        self._disabled: list[QWidget | QAction] = []
        self._aside: list[tuple[QWidget, bool]] = []
        """Other windows that were open, and whether they were modal."""
        self._filtering = False
        self._idle = QTimer(self)
        self._idle.setInterval(LOOK_MS)
        self._idle.timeout.connect(presenter.look)
        button.clicked.connect(self.lock)
        button.minutes_chosen.connect(self._choose_minutes)
        button.passphrase_wanted.connect(lambda: self._ask_passphrase("Save"))
        self.cover.quit_wanted.connect(self.quit_wanted)
        presenter.changed.connect(self._follow)
        window.installEventFilter(self)

    def begin(self) -> None:
        """Be locked where it was when the window was last closed; the window has all its keys now."""
        self._follow()

    def lock(self) -> None:
        """Lock now, or ask for the passphrase first where there is none."""
        if self.presenter.has_passphrase:
            self.presenter.lock()
        elif not isinstance(QApplication.activeModalWidget(), PassphraseDialog):
            dialog = self._ask_passphrase("Set it and lock")
            dialog.accepted.connect(self.presenter.lock)

    def _choose_minutes(self, minutes: int) -> None:
        if self.presenter.has_passphrase or not minutes:
            self.presenter.lock_after(minutes)
            return
        self._follow()  # what was clicked is not chosen yet
        dialog = self._ask_passphrase("Set it")
        dialog.accepted.connect(lambda: self.presenter.lock_after(minutes))

    def _ask_passphrase(self, action: str) -> PassphraseDialog:
        dialog = PassphraseDialog(self.presenter, self._window, action=action)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def _follow(self) -> None:
        """Be as the presenter says."""
        presenter = self.presenter
        self._button.mark(minutes=presenter.minutes, has_passphrase=presenter.has_passphrase)
        if presenter.is_locked != self._covered:
            (self._put_cover if presenter.is_locked else self._take_cover)()
        watches = presenter.minutes > 0 and not presenter.is_locked
        if watches != self._idle.isActive():
            (self._idle.start if watches else self._idle.stop)()
        filters = watches or presenter.is_locked
        application = QApplication.instance()
        if filters != self._filtering and application is not None:
            # Every event of the program passes through it: only while there is something to see.
            self._filtering = filters
            (application.installEventFilter if filters else application.removeEventFilter)(self)

    def _share_keys(self) -> None:
        """Have the keys that hide something work in a dialog too, which has all keys for itself."""
        dialog = QApplication.activeModalWidget()
        if dialog is not None:
            both, actions = (EYE_KEYS, LOCK_KEYS), self._window.actions()
            dialog.addActions([each for each in actions if each.shortcut().toString() in both])

    # --- Covering

    def _put_cover(self) -> None:
        self._covered = True
        self._focus = QApplication.focusWidget()
        for widget in QApplication.topLevelWidgets():
            if widget is not self._window and widget.isVisible():
                self._put_aside(widget)
        direct = Qt.FindChildOption.FindDirectChildrenOnly
        inside = self._window.findChildren(QWidget, options=direct)
        parts = [part for part in inside if part is not self.cover and not part.isWindow()]
        keys = [key for key in self._window.actions() if key.shortcut().toString() != QUIT_KEYS]
        able: tuple[QWidget | QAction, ...] = (*parts, *keys)
        self._disabled = [part for part in able if part.isEnabled()]
        for part in self._disabled:
            part.setEnabled(False)
        self._fit()
        self.cover.show()
        self.cover.raise_()
        self.cover.line.setFocus()

    def _take_cover(self) -> None:
        self._covered = False
        for part in self._disabled:
            if isValid(part):
                part.setEnabled(True)
        self._disabled = []
        self.cover.hide()
        aside, self._aside = self._aside, []
        if self._focus is not None and isValid(self._focus):
            self._focus.setFocus()
        self._focus = None
        for widget, was_modal in aside:
            if not isValid(widget):
                continue
            if was_modal and isinstance(widget, QDialog):
                widget.open()
            else:
                widget.show()

    def _put_aside(self, widget: QWidget) -> None:
        """Hide another window of ours, and remember it; what was open for a moment only is closed."""
        if isinstance(widget, QMenu) or widget.windowType() in (
            Qt.WindowType.Popup,
            Qt.WindowType.ToolTip,
        ):
            widget.close()
            return
        if all(widget is not known for known, _ in self._aside):
            self._aside.append((widget, widget.isModal()))
        widget.hide()

    def _put_late_one_aside(self, widget: QWidget) -> None:
        if self._covered and isValid(widget) and widget.isVisible():
            self._put_aside(widget)
            self._window.activateWindow()
            self.cover.line.setFocus()

    def _is_of_cover(self, widget: QWidget) -> bool:
        """Return whether a window belongs to the cover, as the menu of its line does."""
        parent = widget.parentWidget()
        while parent is not None and parent is not self.cover:
            parent = parent.parentWidget()
        return parent is self.cover

    def _fit(self) -> None:
        self.cover.setGeometry(self._window.rect())

    # --- What Qt calls

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind in _INPUT:
            self.presenter.note_input()
        elif watched is self._window and kind == QEvent.Type.WindowBlocked:
            self._share_keys()
        elif not self._covered:
            return False
        elif watched is self._window and kind == QEvent.Type.Resize:
            self._fit()
        elif kind == QEvent.Type.Show and isinstance(watched, QWidget):
            self._keep_down(watched)
        return False

    def _keep_down(self, widget: QWidget) -> None:
        """Put aside a window that something still under way opens while it is locked."""
        if widget is self._window or not widget.isWindow() or self._is_of_cover(widget):
            return
        QTimer.singleShot(0, self, lambda: self._put_late_one_aside(widget))
