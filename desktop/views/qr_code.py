"""Draws a QR code, to be read from the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.models.qr_code import QUIET_ZONE, qr_squares
from desktop.theme import INK, PAPER

SIDE_MIN: Final = 296


@final
class QrCode(QWidget):
    """Draws a text as a QR code: black on white in every theme, whole pixels to a square."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._squares: Sequence[Sequence[bool]] = ()
        self.setMinimumSize(SIDE_MIN, SIDE_MIN)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def text(self) -> str:
        """What it says."""
        return self._text

    def show_text(self, text: str) -> None:
        """Draw this; nothing where it is too long for a code."""
        if text != self._text:
            self._text = text
            self._squares = qr_squares(text)
            self.setAccessibleName(f"QR code of {text}")
            self.update()

    @property
    def square(self) -> int:
        """How many pixels wide a square is."""
        return min(self.width(), self.height()) // (len(self._squares) + 2 * QUIET_ZONE)

    @property
    def paper(self) -> QRect:
        """Where the code is, its quiet zone included."""
        side = self.square * (len(self._squares) + 2 * QUIET_ZONE)
        return QRect((self.width() - side) // 2, (self.height() - side) // 2, side, side)

    # --- What Qt calls

    def sizeHint(self) -> QSize:
        return QSize(SIDE_MIN, SIDE_MIN)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._squares:
            return
        painter = QPainter(self)
        paper, square = self.paper, self.square
        painter.fillRect(paper, QColor(PAPER))
        ink = QColor(INK)
        left, top = (each + QUIET_ZONE * square for each in (paper.left(), paper.top()))
        for y, row in enumerate(self._squares):
            for x, dark in enumerate(row):
                if dark:
                    painter.fillRect(left + x * square, top + y * square, square, square, ink)
