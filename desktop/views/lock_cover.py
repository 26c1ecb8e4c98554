"""What covers the window while it is locked: nothing is seen through it, and only the passphrase opens it."""

from __future__ import annotations

import math
from typing import Final, final

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QContextMenuEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from desktop.presenters.lock import LENGTH_MAX, WHAT_GOES_ON, LockPresenter
from desktop.theme import colours
from desktop.views.widgets import SPACE, Heading, TextLabel, action_button, pixmap

WIDTH: Final = 430
LOOK_MS: Final = 200
ICON_SIZE: Final = 48
QUIT_KEYS: Final = "Ctrl+Q"
OPEN, TRYING = "Open", "Trying…"


@final
class LockCover(QWidget):
    """As large as the window, and in front of all that is in it."""

    quit_wanted = Signal()

    def __init__(self, lock: LockPresenter, window: QWidget) -> None:
        super().__init__(window)
        self._lock = lock
        self._told = ""
        self.setAutoFillBackground(True)
        self.setAccessibleName("The window is locked")
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.line = QLineEdit()
        self.line.setEchoMode(QLineEdit.EchoMode.Password)
        self.line.setMaxLength(LENGTH_MAX)
        self.line.setPlaceholderText("Passphrase")
        self.line.setAccessibleName("Passphrase")
        self.open_button = action_button(TRYING, primary=True)
        # Of the longer of its words: the line beside it keeps its width.
        self.open_button.ensurePolished()
        self.open_button.setMinimumWidth(self.open_button.sizeHint().width())
        self.quit_button = action_button("Quit")
        self.quit_button.setToolTip(f"Ends the node too ({QUIT_KEYS})")
        self.message = TextLabel(role="bad", wrap=True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._build()
        self._clock = QTimer(self)
        self._clock.setInterval(LOOK_MS)
        self._clock.timeout.connect(self._show_state)
        self.line.returnPressed.connect(self._open)
        self.line.textEdited.connect(lambda _text: self._tell(""))
        self.open_button.clicked.connect(self._open)
        self.quit_button.clicked.connect(self.quit_wanted)
        lock.refused.connect(self._tell)
        lock.changed.connect(self._show_state)
        self._draw()
        self.hide()

    def _build(self) -> None:
        inner = QWidget()
        inner.setFixedWidth(WIDTH)
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE)
        title = Heading("Signalbox is locked", steps=3)
        words = TextLabel(WHAT_GOES_ON, role="muted", wrap=True)
        way_out = TextLabel(self._lock.way_out, role="muted", wrap=True)
        for label in (title, words, way_out):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(self._picture)
        column.addWidget(title)
        column.addWidget(words)
        column.addSpacing(SPACE)
        row = QHBoxLayout()
        row.setSpacing(SPACE)
        row.addWidget(self.line, 1)
        row.addWidget(self.open_button)
        column.addLayout(row)
        # Its line is there also while it is empty: nothing moves when it is not.
        self.message.setMinimumHeight(self.message.fontMetrics().height())
        column.addWidget(self.message)
        column.addSpacing(2 * SPACE)
        column.addWidget(way_out)
        column.addWidget(self.quit_button, 0, Qt.AlignmentFlag.AlignHCenter)
        middle = QHBoxLayout()
        middle.addStretch()
        middle.addWidget(inner)
        middle.addStretch()
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        layout.addLayout(middle)
        layout.addStretch(3)

    def _open(self) -> None:
        if not self._lock.is_working and self._lock.wait_seconds <= 0 and self.line.text():
            self._tell("")
            self._lock.open(self.line.text())
            self.line.clear()

    def _tell(self, sentence: str) -> None:
        self._told = sentence
        self._show_state()

    def _show_state(self) -> None:
        wait = math.ceil(self._lock.wait_seconds)
        working = self._lock.is_working
        words = f"{self._told} Wait {wait} s before the next try." if wait else self._told
        self.message.setText(f"✖ {words.strip()}" if words else "")
        self.open_button.setText(TRYING if working else OPEN)
        self.open_button.setEnabled(not working and not wait)
        ticking = self.isVisible() and wait > 0
        if ticking != self._clock.isActive():
            (self._clock.start if ticking else self._clock.stop)()

    def _draw(self) -> None:
        self._picture.setPixmap(pixmap("lock", colours(self.palette()).muted, size=ICON_SIZE))

    # --- What Qt calls

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.line.clear()
        self._tell("")
        self.line.setFocus()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.accept()  # the window's own menu would come

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()
