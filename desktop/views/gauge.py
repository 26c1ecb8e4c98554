"""The gauge drawn: a balance between its limits, in a table's cell or large with its words."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.formatting import shown
from desktop.models.gauge import STEPS, Gauge, Level
from desktop.theme import Colours, colours, figures
from desktop.views.discreet import Discreet

BAR_HEIGHT: Final = 8.0
TICK_SIZE: Final = 6.0
LARGE_BAR_HEIGHT: Final = 14.0
LARGE_TICK_SIZE: Final = 8.0


def draw_gauge(
    painter: QPainter,
    box: QRectF,
    gauge: Gauge,
    look: Colours,
    *,
    bar_height: float = BAR_HEIGHT,
    tick_size: float = TICK_SIZE,
) -> None:
    """Draw the bar in the middle of the box, and its ticks above the bar.

    The fill begins at zero: to the right they owe us, to the left we owe them. What is in flight is
    hatched; near the limit, what is left is dotted as a warning. A full triangle is where we settle, an empty one down to where.
    """
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    bar = QRectF(box.left(), box.center().y() - bar_height / 2 + 2, box.width(), bar_height)
    _draw_track(painter, bar, gauge, look)
    zero, here = _x(bar, gauge, 0), _x(bar, gauge, gauge.owed)
    if gauge.level is Level.NEAR and gauge.limit is not None:
        # The little that is left, not the fill: its colour says who owes.
        left = QBrush(QColor(look.warn), Qt.BrushStyle.Dense4Pattern)
        _fill(painter, bar, here, _x(bar, gauge, gauge.limit), left)
    _fill(painter, bar, zero, here, QBrush(QColor(fill_colour(gauge, look))))
    _hatch(painter, bar, here, _x(bar, gauge, gauge.owed + gauge.incoming), look.in_flight)
    out = gauge.outgoing + gauge.unknown
    _hatch(painter, bar, _x(bar, gauge, gauge.owed - out), here, look.in_flight)
    painter.setPen(QPen(QColor(look.text), 1))
    painter.drawLine(QPointF(zero, bar.top() - 2), QPointF(zero, bar.bottom() + 2))
    if gauge.settle_at is not None:
        _tick(painter, _x(bar, gauge, -gauge.settle_at), bar, tick_size, look, filled=True)
    if gauge.settle_to is not None:
        _tick(painter, _x(bar, gauge, -gauge.settle_to), bar, tick_size, look, filled=False)
    painter.restore()


def fill_colour(gauge: Gauge, look: Colours) -> str:
    """Return the fill's colour: who owes, whatever is left; red where nothing is."""
    if gauge.level is Level.FULL:
        return look.bad
    return look.owed_to_us if gauge.owed > 0 else look.owed_by_us


def _x(bar: QRectF, gauge: Gauge, amount: int) -> float:
    return bar.left() + bar.width() * gauge.place(amount) / STEPS


def _draw_track(painter: QPainter, bar: QRectF, gauge: Gauge, look: Colours) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(look.border))
    painter.drawRoundedRect(bar, 2, 2)
    if gauge.limit is None:
        # No limit: the right end is open, drawn as dots that go on.
        painter.setBrush(QColor(look.base))
        for i in range(3):
            gap = QRectF(bar.right() - 4 - i * 6, bar.top(), 2, bar.height())
            painter.drawRect(gap)
    elif gauge.limit > 0:
        end = _x(bar, gauge, gauge.limit)
        painter.setPen(QPen(QColor(look.muted), 1))
        painter.drawLine(
            QPointF(end - 0.5, bar.top() - 2), QPointF(end - 0.5, bar.bottom() + 2)
        )


def _fill(painter: QPainter, bar: QRectF, start: float, end: float, brush: QBrush) -> None:
    left, right = sorted((start, end))
    if right - left < 0.5:
        return
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(brush)
    painter.drawRect(QRectF(left, bar.top(), right - left, bar.height()))


def _hatch(painter: QPainter, bar: QRectF, start: float, end: float, colour: str) -> None:
    left, right = sorted((start, end))
    if right - left < 0.5:
        return
    part = QRectF(left, bar.top(), max(right - left, 2), bar.height())
    painter.setPen(QPen(QColor(colour), 1))
    painter.setBrush(QBrush(QColor(colour), Qt.BrushStyle.BDiagPattern))
    painter.drawRect(part)


def _tick(
    painter: QPainter, x: float, bar: QRectF, size: float, look: Colours, *, filled: bool
) -> None:
    x = min(max(x, bar.left() + size / 2), bar.right() - size / 2)
    top = bar.top() - size - 1
    painter.setPen(QPen(QColor(look.text), 1))
    painter.setBrush(QColor(look.text) if filled else QColor(look.base))
    painter.drawPolygon(
        QPolygonF(
            [
                QPointF(x - size / 2, top),
                QPointF(x + size / 2, top),
                QPointF(x, top + size - 1),
            ]
        )
    )


@final
class GaugeWidget(Discreet, QWidget):
    """The gauge, large, with its ends and its limit in words below."""

    def __init__(self) -> None:
        super().__init__()
        self._gauge: Gauge | None = None
        self._left = ""
        self._right = ""
        self._middle = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFont(figures(self.font()))

    def show_gauge(
        self, gauge: Gauge, *, left: str, middle: str, right: str, words: str
    ) -> None:
        """Draw this; the texts stand under its left end, its zero and its right end."""
        self._gauge = gauge
        self._left, self._middle, self._right = left, middle, right
        self.setAccessibleName(words)
        self.setToolTip("")
        self.update()

    def tell_again(self) -> None:
        super().tell_again()
        self.update()

    # --- What Qt calls

    def sizeHint(self) -> QSize:
        return QSize(260, 34 + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._gauge is None:
            return
        look = colours(self.palette())
        painter = QPainter(self)
        words = self.fontMetrics().height()
        box = QRectF(1, 0, self.width() - 2, self.height() - words - 4)
        draw_gauge(
            painter,
            box,
            self._gauge,
            look,
            bar_height=LARGE_BAR_HEIGHT,
            tick_size=LARGE_TICK_SIZE,
        )
        painter.setPen(QColor(look.muted))
        below = QRectF(0, self.height() - words, self.width(), words)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, shown(self._left))
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, shown(self._right))
        self._draw_zero(painter, below)

    def _draw_zero(self, painter: QPainter, below: QRectF) -> None:
        """Write the middle text under the zero, unless it would run into another."""
        assert self._gauge is not None
        metrics = self.fontMetrics()
        width = metrics.horizontalAdvance(self._middle) + 6
        x = self.width() * self._gauge.place(0) / STEPS
        left_end = metrics.horizontalAdvance(self._left) + 6 if self._left else 0
        right_start = self.width() - metrics.horizontalAdvance(self._right) - 6
        if left_end <= x - width / 2 and x + width / 2 <= right_start:
            place = QRectF(x - width / 2, below.top(), width, below.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignHCenter, self._middle)
