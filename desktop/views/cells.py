"""Cells that are drawn: a state with its shape, a gauge, a trend, a step of a ladder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from desktop.formatting import amounts_hidden, shown
from desktop.models.logs import LogRow
from desktop.models.peers import STATE_TEXTS, PeerRow
from desktop.models.settlements import LADDER, DueRow, SettlementEntry
from desktop.models.table import ROW_ROLE
from desktop.models.traffic import PacketRow
from desktop.theme import Colours, colours
from desktop.views.gauge import draw_gauge
from desktop.views.widgets import Tone, draw_shape, draw_sparkline

PADDING: Final = 11
"""Where Qt's own cells begin their text: the stylesheet's 8 and the style's 3."""
SHAPE_SIZE: Final = 9.0
PIXMAPS_MAX: Final = 600
WIDTH_MIN: Final = 8
_LEFT: Final = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft

STATE_TONES: Final = {
    "up": Tone.OK,
    "idle": Tone.PLAIN,
    "degraded": Tone.WARN,
    "down": Tone.BAD,
    "paused": Tone.PAUSED,
    "never": Tone.PLAIN,
}
LEVEL_TONES: Final = {
    "WARNING": Tone.WARN,
    "ERROR": Tone.BAD,
    "CRITICAL": Tone.BAD,
}
_Index = QModelIndex | QPersistentModelIndex


class Cell(QStyledItemDelegate):
    """Draws the ground that the style wants, selected or not, and a picture on it.

    A picture is drawn once for what it shows and then kept, as many as fit: most cells of a table
    that is followed show what another cell, or the same one a second ago, has shown.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pixmaps: OrderedDict[Hashable, QPixmap] = OrderedDict()

    def shows(self, row: Any) -> Hashable:
        """Return what the picture depends on; rows for which that is equal look alike."""
        raise NotImplementedError

    def picture(
        self, painter: QPainter, box: QRectF, row: Any, look: Colours, metrics: QFontMetrics
    ) -> None:
        """Draw the picture, from the box's upper left corner at 0, 0."""
        raise NotImplementedError

    # --- What Qt calls

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        ground = QStyleOptionViewItem(option)
        ground.state &= ~QStyle.StateFlag.State_HasFocus
        QApplication.style().drawControl(
            QStyle.ControlElement.CE_ItemViewItem, ground, painter, option.widget
        )
        box = option.rect.adjusted(PADDING, 0, -PADDING, -2)
        size = box.size()
        if size.width() < WIDTH_MIN or size.height() < WIDTH_MIN:
            return
        row = index.data(ROW_ROLE)
        look = colours(option.palette)
        ratio = painter.device().devicePixelRatioF()
        key = (
            self.shows(row),
            size.width(),
            size.height(),
            ratio,
            look.dark,
            option.font.key(),
        )
        pixmap = self._pixmaps.get(key)
        if pixmap is None:
            pixmap = self._drawn(size, ratio, row, look, option)
            self._pixmaps[key] = pixmap
            if len(self._pixmaps) > PIXMAPS_MAX:
                self._pixmaps.popitem(last=False)
        else:
            self._pixmaps.move_to_end(key)
        painter.drawPixmap(box.topLeft(), pixmap)

    def _drawn(
        self, size: QSize, ratio: float, row: Any, look: Colours, option: QStyleOptionViewItem
    ) -> QPixmap:
        pixmap = QPixmap(QSize(round(size.width() * ratio), round(size.height() * ratio)))
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setFont(option.font)
        box = QRectF(0, 0, size.width(), size.height())
        self.picture(painter, box, row, look, option.fontMetrics)
        painter.end()
        return pixmap


class ToneCell(Cell):
    """A shape and a text in a colour that says the same."""

    def __init__(
        self,
        tone_of: Callable[[Any], Tone | None],
        text_of: Callable[[Any], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._tone_of = tone_of
        self._text_of = text_of

    def shows(self, row: Any) -> Hashable:
        return self._tone_of(row), shown(self._text_of(row))

    def picture(
        self, painter: QPainter, box: QRectF, row: Any, look: Colours, metrics: QFontMetrics
    ) -> None:
        tone = self._tone_of(row)
        if tone is not None:
            shape = QRectF(0, box.center().y() - SHAPE_SIZE / 2, SHAPE_SIZE, SHAPE_SIZE)
            draw_shape(painter, tone, shape, tone.colour(look))
            box = box.adjusted(SHAPE_SIZE + 7, 0, 0, 0)
        loud = tone in (Tone.WARN, Tone.BAD)
        painter.setPen(QColor(tone.colour(look) if tone is not None and loud else look.text))
        text = metrics.elidedText(
            shown(self._text_of(row)), Qt.TextElideMode.ElideRight, int(box.width())
        )
        painter.drawText(box, _LEFT, text)


class GaugeCell(Cell):
    """A peer's balance between its limits."""

    def shows(self, row: PeerRow) -> Hashable:
        return row.gauge

    def picture(
        self, painter: QPainter, box: QRectF, row: PeerRow, look: Colours, metrics: QFontMetrics
    ) -> None:
        draw_gauge(painter, box, row.gauge, look)


class TrendCell(Cell):
    """A peer's balance over the last minutes."""

    def shows(self, row: PeerRow) -> Hashable:
        return tuple(row.nets)

    def picture(
        self, painter: QPainter, box: QRectF, row: PeerRow, look: Colours, metrics: QFontMetrics
    ) -> None:
        first = row.nets[0] if row.nets else 0
        values = [float(first - net) for net in row.nets]
        draw_sparkline(painter, box.adjusted(0, 6, 0, -6), values, look.accent)


def balance_text(row: PeerRow, metrics: QFontMetrics, width: int) -> str:
    """Return as much of who owes whom as there is room for."""
    texts = (row.words, row.short_words, row.signed)
    fitting = (text for text in texts if metrics.horizontalAdvance(text) <= width)
    elided = Qt.TextElideMode.ElideRight
    # What is cut has lost its asset, by which an amount is known: it is hidden before.
    return shown(next(fitting, metrics.elidedText(shown(texts[-1]), elided, width)))


class BalanceCell(Cell):
    """Who owes whom: the whole sentence where it fits, else without the name, else by the sign.

    An amount is never cut without saying so, and never without whose it is.
    """

    def shows(self, row: PeerRow) -> Hashable:
        return row.name, row.gauge.owed, row.asset_code, row.asset_scale, amounts_hidden()

    def picture(
        self, painter: QPainter, box: QRectF, row: PeerRow, look: Colours, metrics: QFontMetrics
    ) -> None:
        painter.setPen(QColor(look.text if row.gauge.owed else look.muted))
        painter.drawText(box, _LEFT, balance_text(row, metrics, int(box.width())))


class LadderCell(Cell):
    """How far a settlement is: a segment for each step, filled where it is done, and the state."""

    SEGMENT: Final = 12.0

    def shows(self, row: SettlementEntry) -> Hashable:
        return row.state, row.state_text, bool(row.problem)

    def picture(
        self,
        painter: QPainter,
        box: QRectF,
        row: SettlementEntry,
        look: Colours,
        metrics: QFontMetrics,
    ) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tone = settlement_tone(row)
        colour = QColor(tone.colour(look))
        if row.state in LADDER:
            for i in range(len(LADDER)):
                step = QRectF(i * (self.SEGMENT + 2), box.center().y() - 3, self.SEGMENT, 6)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour if i < row.steps_done else QColor(look.border))
                painter.drawRoundedRect(step, 2, 2)
            left = len(LADDER) * (self.SEGMENT + 2) + 6
        else:
            shape = QRectF(0, box.center().y() - SHAPE_SIZE / 2, SHAPE_SIZE, SHAPE_SIZE)
            draw_shape(painter, tone, shape, colour.name())
            left = SHAPE_SIZE + 7
        painter.setPen(QColor(look.text) if tone is not Tone.BAD else colour)
        text = metrics.elidedText(
            row.state_text, Qt.TextElideMode.ElideRight, int(box.width() - left)
        )
        painter.drawText(box.adjusted(left, 0, 0, 0), _LEFT, text)


def settlement_tone(row: SettlementEntry) -> Tone:
    """Return what a settlement's state means."""
    if row.state in ("failed", "reversed"):
        return Tone.BAD
    if row.state in ("final", "credited"):
        return Tone.OK
    return Tone.WARN if row.problem else Tone.PLAIN


def state_cell(parent: QObject) -> ToneCell:
    """Return the delegate of a peer's state."""
    return ToneCell(
        lambda row: STATE_TONES[row.state], lambda row: STATE_TEXTS[row.state], parent
    )


def verdict_cell(parent: QObject) -> ToneCell:
    """Return the delegate of a packet's verdict."""
    return ToneCell(verdict_tone, lambda row: row.verdict, parent)


def verdict_tone(row: PacketRow) -> Tone:
    """Return what a packet's end means."""
    if row.fulfilled:
        return Tone.OK
    return Tone.PLAIN if row.is_ordinary else Tone.BAD


def level_cell(parent: QObject) -> ToneCell:
    """Return the delegate of a log line's level."""

    def tone(row: LogRow) -> Tone | None:
        return LEVEL_TONES.get(row.level)

    return ToneCell(tone, lambda row: row.level, parent)


def due_cell(parent: QObject) -> ToneCell:
    """Return the delegate of why a peer settles, or does not."""

    def tone(row: DueRow) -> Tone | None:
        return Tone.WARN if row.due else None

    return ToneCell(tone, lambda row: row.reason, parent)
