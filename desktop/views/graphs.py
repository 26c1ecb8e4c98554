"""Live graphs that pages share, drawn by pyqtgraph.

To load it takes half a second and each plot costs a frame or two: `prepare` does both while no packet
waits for it, before the node is started. A graph that finds nothing prepared makes its own.

A graph is handed a `GraphData` and draws it: no graph has a timer, or asks anybody for anything.
While it cannot be seen it only remembers the newest data, and draws them when it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, final

from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QButtonGroup,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.graph import RANGES, Curve, GraphData
from desktop.theme import Colours, colours, figures
from desktop.views.discreet import Discreet
from desktop.views.widgets import SPACE, action_button

HEADROOM: Final = 1.12
"""The y axis ends above the highest point, so that a new peak does not move it at once."""
SHRINK_BELOW: Final = 0.5
"""It comes down only when what is shown would fill less than half of it."""
LEFT_AXIS_WIDTH: Final = 52
MIDDLE_ONLY: Final = -1.0
"""In place of a spacing between ticks, where there is one alone."""
WHOLE_STEPS: Final = (1, 60, 300, 900, 3_600, 86_400)
LEGEND_LINES_MAX: Final = 4
"""More would leave no room for the graph."""

PREPARED: Final = 6
"""As many as all pages have together: to be made before the first packet comes."""

_stock: list[_Canvas] = []


def prepare(count: int = PREPARED) -> None:
    """Make plots in advance, for whichever graphs are shown first."""
    look = colours(QApplication.palette())
    sample = Curve(name="", colour="series:0", x=(0, 1), y=(0, 1))
    for _ in range(count):
        canvas = _Canvas()
        canvas.widget.resize(480, 160)
        canvas.draw(GraphData(from_s=0, until_s=1, curves=(sample,)), look, look.base)
        canvas.widget.grab()
        _stock.append(canvas)


def discard_prepared() -> None:
    """Delete the plots that no graph took."""
    while _stock:
        _stock.pop().widget.deleteLater()


def colour_of(name: str, look: Colours) -> str:
    """Return a colour by its name in Colours, or by its place among the series."""
    kind, _, place = name.partition(":")
    return look.series[int(place) % len(look.series)] if place else str(getattr(look, kind))


@final
class RangeBar(QWidget):
    """How far back graphs look; changing it is only another view of the same history."""

    chosen = Signal(object)
    """Seconds, as an int."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self._group = QButtonGroup(self)
        for words, span in RANGES:
            button = action_button(words)
            button.setProperty("kind", "range")
            button.setCheckable(True)
            button.setChecked(span == seconds)
            button.setAccessibleName(f"Show the last {words}")
            self._group.addButton(button, span)
            layout.addWidget(button)
        self._group.idClicked.connect(self.chosen.emit)

    def show_range(self, seconds: int) -> None:
        """Mark another range, chosen elsewhere."""
        if (button := self._group.button(seconds)) is not None:
            button.setChecked(True)


@final
class Legend(Discreet, QWidget):
    """What the curves are called and where they stand; at the left the moment, if one is pointed at."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[tuple[str, str, str]] = ()
        self._moment = ""
        self.setFont(figures(self.font()))
        self._line_height = self.fontMetrics().height() + 4
        self.setFixedHeight(self._line_height)

    @property
    def text(self) -> str:
        """What it says."""
        return formatting.shown(self._words)

    @property
    def _words(self) -> str:
        parts = [self._moment, *(f"{name} {value}" for _, name, value in self._entries)]
        return "  ".join(part for part in parts if part)

    def tell_again(self) -> None:
        super().tell_again()
        self.update()

    def show_entries(self, entries: Sequence[tuple[str, str, str]], moment: str = "") -> None:
        """Show these: colour, name and value."""
        if (tuple(entries), moment) != (self._entries, self._moment):
            self._entries, self._moment = tuple(entries), moment
            self.setAccessibleName(self._words)
            # Not lower than before: the graph below would jump under the pointer.
            self._fit(at_least=self.height())
            self.update()

    def _places(self) -> Sequence[tuple[int, int]]:
        """Return where each entry begins, and on which line: none is left out where the room is narrow."""
        metrics = self.fontMetrics()
        x = metrics.horizontalAdvance(self._moment) + 2 * SPACE if self._moment else 0
        line, places = 0, []
        for _, name, value in self._entries:
            needed = 19 + metrics.horizontalAdvance(name) + metrics.horizontalAdvance(value)
            if x and x + needed > self.width():
                x, line = 0, line + 1
            places.append((x, line))
            x += needed + 2 * SPACE
        return places

    def _fit(self, *, at_least: int = 0) -> None:
        """Be as high as its lines need."""
        lines = max((line for _, line in self._places()), default=0) + 1
        self.setFixedHeight(max(at_least, min(lines, LEGEND_LINES_MAX) * self._line_height))

    # --- What Qt calls

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def paintEvent(self, _event: QPaintEvent) -> None:
        look = colours(self.palette())
        painter = QPainter(self)
        metrics = self.fontMetrics()
        first = metrics.ascent() + 2
        painter.setPen(QColor(look.muted))
        painter.drawText(0, first, formatting.shown(self._moment))
        for (colour, name, value), (x, line) in zip(self._entries, self._places(), strict=True):
            base = first + line * self._line_height
            painter.fillRect(x, base - 8, 9, 9, QColor(colour_of(colour, look)))
            painter.setPen(QColor(look.muted))
            painter.drawText(x + 14, base, name)
            painter.setPen(QColor(look.text))
            painter.drawText(
                x + 19 + metrics.horizontalAdvance(name), base, formatting.shown(value)
            )


class Graph(Discreet, QWidget):
    """Curves over time with a legend that says their newest values.

    Under the pointer, a line of text says the exact values at that moment.
    """

    def __init__(
        self,
        *,
        unit: str = "",
        empty: str = "No traffic in this range",
        of_amounts: bool = False,
    ) -> None:
        """`of_amounts` says that its heights are amounts: they have no figures while amounts are hidden."""
        super().__init__()
        self._of_amounts = of_amounts
        self.unit = unit
        """Written behind the values under the pointer, where the graph's title does not say it."""
        self._empty = empty
        self._data: GraphData | None = None
        self._canvas: _Canvas | None = None
        self._stale = False
        self.legend = Legend()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(SPACE // 2)
        self._layout.addWidget(self.legend)
        self.setMinimumHeight(120)

    @property
    def data(self) -> GraphData | None:
        """What is shown."""
        return self._data

    def show_data(self, data: GraphData) -> None:
        """Show this from now on."""
        self._data = data
        self.setAccessibleName(data.summary or self._empty)
        if self.isVisible():
            self._draw()
        else:
            self._stale = True

    def show_latest(self, *values: str) -> None:
        """Let the legend say these newest values, one for each curve, until there are new data."""
        if self._data is None or len(values) != len(self._data.curves):
            return
        curves = [
            replace(curve, latest=value)
            for curve, value in zip(self._data.curves, values, strict=True)
        ]
        self._data = replace(self._data, curves=curves)
        if self._canvas is not None and not self._canvas.is_pointed_at:
            self._say(None)

    def tell_again(self) -> None:
        super().tell_again()
        if not self._of_amounts:
            return
        if self._canvas is not None:
            self._canvas.hide_figures(hidden=formatting.amounts_hidden())
        if self.isVisible():
            self._draw()
        else:
            self._stale = True

    def _draw(self) -> None:
        if self._data is None:
            return
        if self._canvas is None:
            self._canvas = _stock.pop() if _stock else _Canvas()
            self._canvas.say_empty(self._empty)
            self._canvas.pointed.connect(self._say)
            if self._of_amounts:
                self._canvas.hide_figures(hidden=formatting.amounts_hidden())
            self._layout.addWidget(self._canvas.widget, 1)
        self._stale = False
        look = colours(self.palette())
        self._canvas.draw(self._data, look, look.base if _is_on_card(self) else look.window)
        if not self._canvas.is_pointed_at:
            self._say(None)

    def _say(self, at_s: float | None) -> None:
        """Write the newest values, or those at a moment, into the legend."""
        if self._data is None:
            return
        entries = [
            (
                curve.colour,
                curve.name,
                curve.latest if at_s is None else self._value_at(curve, at_s),
            )
            for curve in self._data.curves
        ]
        self.legend.show_entries(entries, self._moment(at_s))

    def _value_at(self, curve: Curve, at_s: float) -> str:
        if self._of_amounts and formatting.amounts_hidden():
            return formatting.HIDDEN
        return value_at(curve, at_s, self.unit)

    def _moment(self, at_s: float | None) -> str:
        if at_s is None:
            return ""
        when = datetime.fromtimestamp(at_s).astimezone()  # in the operator's zone
        return f"{when:%d %b %H:%M:%S}{self._mark_near(at_s)}"

    def _mark_near(self, at_s: float) -> str:
        if self._data is None:
            return ""
        near = (self._data.until_s - self._data.from_s) / 100
        for mark in self._data.marks:
            if abs(mark.at_s - at_s) <= near:
                return f"  ◆ {mark.text}"
        return ""

    # --- What Qt calls

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale or self._canvas is None:
            self._draw()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._stale = True
            if self.isVisible():
                self._draw()


def _is_on_card(widget: QWidget) -> bool:
    parent = widget.parentWidget()
    return parent is not None and (parent.objectName() == "card" or _is_on_card(parent))


def value_at(curve: Curve, at_s: float, unit: str) -> str:
    """Return a curve's value at a moment, in words."""
    value = None
    for x, y in zip(curve.x, curve.y, strict=True):
        if x > at_s:
            break
        value = y
    return "–" if value is None else f"{value:,.6g}\u00a0{unit}".replace(",", "\u202f").rstrip()


def y_range(data: GraphData, before: tuple[float, float] | None) -> tuple[float, float]:
    """Return what the y axis spans: stable while it fits, so that a graph does not jump each second."""
    values = [value for curve in data.curves for value in curve.y]
    values += [line.y for line in data.lines]
    high = max(values, default=0.0)
    low = min(0.0, min(values, default=0.0)) if data.from_zero else min(values, default=0.0)
    span = high - low or max(1.0, abs(high))
    if before is not None and before[0] <= low and high <= before[1]:
        fills = span / (before[1] - before[0])
        if fills >= SHRINK_BELOW:
            return before
    pad = span * (HEADROOM - 1)
    return (low if data.from_zero and low == 0 else low - pad), high + pad


@final
class _Canvas(QWidget):
    """One pyqtgraph plot. It is made once and changed in place: that is what makes it cheap."""

    pointed = Signal(object)
    """The moment under the pointer, in seconds, or None."""

    def __init__(self) -> None:
        super().__init__()
        import pyqtgraph as pg  # noqa: PLC0415 # half a second: see the module

        self._pg = pg
        pg.setConfigOptions(antialias=False, useOpenGL=False)
        self.widget: Any = pg.PlotWidget(
            axisItems={"bottom": _time_axis(pg), "left": _axis(pg)}
        )
        # A kept background would still have the old theme's colour.
        self.widget.setCacheMode(self.widget.CacheModeFlag.CacheNone)
        self.widget.setFrameShape(self.widget.Shape.NoFrame)
        for part in (self.widget, self.widget.viewport()):
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        plot = self.widget.getPlotItem()
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(x=False, y=False)
        plot.disableAutoRange()
        plot.setContentsMargins(0, 4, 4, 0)
        plot.showGrid(x=False, y=True, alpha=1.0)
        for name in ("left", "bottom"):
            plot.getAxis(name).setZValue(-10)  # its grid lies behind the curves
        plot.getAxis("left").setWidth(LEFT_AXIS_WIDTH)
        plot.getAxis("bottom").setHeight(22)
        self._plot = plot
        self._curves: list[Any] = []
        self._lines: list[Any] = []
        self._scatter = pg.ScatterPlotItem(symbol="d", size=11, pxMode=True)
        self._scatter.setZValue(10)
        plot.addItem(self._scatter)
        self._crosshair = pg.InfiniteLine(angle=90, movable=False)
        self._crosshair.hide()
        plot.addItem(self._crosshair, ignoreBounds=True)
        self._nothing = pg.TextItem("", anchor=(0.5, 0.5))
        plot.addItem(self._nothing, ignoreBounds=True)
        self._y: tuple[float, float] | None = None
        self._span: float | None = None
        self._look: Colours | None = None
        self._ground = ""
        self.is_pointed_at = False
        self.widget.scene().sigMouseMoved.connect(self._moved)
        self.widget.leaveEvent = self._left

    def hide_figures(self, *, hidden: bool) -> None:
        """Write no figures at the left, or write them again."""
        axis = self._plot.getAxis("left")
        axis.figures_hidden = hidden
        axis.picture = None  # it is drawn once and kept
        axis.update()

    def say_empty(self, text: str) -> None:
        """Write this where there is nothing to draw."""
        self._nothing.setText(text)

    def draw(self, data: GraphData, look: Colours, ground: str) -> None:
        """Draw it all, on the colour of what it stands on."""
        if (look, ground) != (self._look, self._ground):
            self._take_colours(look, ground)
        # One pixel of the eye's: a wider pen costs five times as much where there are many points.
        width = max(1, round(self.widget.devicePixelRatioF()))
        while len(self._curves) < len(data.curves):
            item = self._pg.PlotDataItem(skipFiniteCheck=True)
            self._plot.addItem(item)
            self._curves.append(item)
        for item, curve in zip(self._curves, data.curves, strict=False):
            item.setPen(self._pg.mkPen(colour_of(curve.colour, look), width=width))
            x, y = _steps(curve.x, curve.y) if curve.stepped else (curve.x, curve.y)
            item.setData(list(x), list(y))
        for item in self._curves[len(data.curves) :]:
            item.setData([], [])
        self._draw_lines(data, look)
        self._draw_marks(data, look)
        if data.until_s - data.from_s != self._span:
            self._span, self._y = data.until_s - data.from_s, None
        self._y = y_range(data, self._y)
        self._plot.setXRange(data.from_s, data.until_s, padding=0)
        self._plot.setYRange(*self._y, padding=0)
        self._nothing.setVisible(data.is_empty)
        self._nothing.setPos((data.from_s + data.until_s) / 2, sum(self._y) / 2)

    def _draw_lines(self, data: GraphData, look: Colours) -> None:
        while len(self._lines) < len(data.lines):
            line = self._pg.InfiniteLine(
                angle=0,
                movable=False,
                label="",
                labelOpts={"position": 0.02, "anchors": [(0, 0), (0, 1)]},
            )
            self._plot.addItem(line, ignoreBounds=True)
            self._lines.append(line)
        for item, line in zip(self._lines, data.lines, strict=False):
            colour = colour_of(line.colour, look)
            item.setPen(self._pg.mkPen(colour, width=1, style=Qt.PenStyle.DashLine))
            item.setValue(line.y)
            item.label.setFormat(line.name)
            item.label.setColor(colour)
            item.show()
        for item in self._lines[len(data.lines) :]:
            item.hide()

    def _draw_marks(self, data: GraphData, look: Colours) -> None:
        self._scatter.setData(
            [
                {
                    "pos": (mark.at_s, mark.y),
                    "brush": QColor(colour_of(mark.colour, look)),
                    "pen": self._pg.mkPen(look.base, width=1),
                }
                for mark in data.marks
            ]
        )

    def _take_colours(self, look: Colours, ground: str) -> None:
        self._look, self._ground = look, ground
        self.widget.setBackground(ground)
        for name in ("left", "bottom"):
            axis = self._plot.getAxis(name)
            axis.setPen(self._pg.mkPen(look.border, width=1))
            axis.setTickPen(self._pg.mkPen(look.grid, width=1))
            axis.setTextPen(self._pg.mkPen(look.muted))
            axis.setStyle(tickLength=0 if name == "left" else -4, tickTextOffset=6)
        self._crosshair.setPen(self._pg.mkPen(look.muted, width=1))
        self._nothing.setColor(look.muted)

    def _moved(self, at: QPointF) -> None:
        box = self._plot.getViewBox()
        if not self._plot.sceneBoundingRect().contains(at):
            self._left(None)
            return
        self.is_pointed_at = True
        moment = box.mapSceneToView(at).x()
        self._crosshair.setPos(moment)
        self._crosshair.show()
        self.pointed.emit(moment)

    def _left(self, _event: object) -> None:
        if self.is_pointed_at:
            self.is_pointed_at = False
            self._crosshair.hide()
            self.pointed.emit(None)


def _axis(pg: Any) -> Any:
    class _Axis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
        """Plain numbers, without exponents."""

        figures_hidden = False

        def tickStrings(
            self, values: Sequence[float], _scale: float, spacing: float
        ) -> list[str]:
            decimals = max(0, -math.floor(math.log10(spacing))) if spacing > 0 else 0
            if self.figures_hidden:
                return [formatting.HIDDEN if value else "0" for value in values]
            return [_short(value, decimals) for value in values]

    return _Axis("left")


def _time_axis(pg: Any) -> Any:
    class _TimeAxis(pg.DateAxisItem):  # type: ignore[misc]  # pyqtgraph has no types
        """Moments; where the graph is so narrow that none of the usual ones falls into it, its middle."""

        def tickValues(
            self, low: float, high: float, size: float
        ) -> Sequence[tuple[float, Sequence[float]]]:
            usual: Sequence[tuple[float, Sequence[float]]] = super().tickValues(low, high, size)
            # At the edge there is no room for a label.
            room = (high - low) / 8
            if any(low + room <= at <= high - room for _, places in usual for at in places):
                return usual
            return [(MIDDLE_ONLY, [middle_of(low, high)])]

        def tickStrings(
            self, values: Sequence[float], scale: float, spacing: float
        ) -> Sequence[str]:
            if spacing != MIDDLE_ONLY:
                strings: Sequence[str] = super().tickStrings(values, scale, spacing)
                return strings
            low, high = self.range
            return [time_words(value, high - low) for value in values]

    return _TimeAxis(orientation="bottom")


def middle_of(low: float, high: float) -> float:
    """Return a whole second, minute, hour or day near the middle of a range."""
    step = max((each for each in WHOLE_STEPS if each <= (high - low) / 4), default=1)
    return round((low + high) / 2 / step) * step


def time_words(at_s: float, span_s: float) -> str:
    """Return a moment as short as it can be in a range that is so long."""
    when = datetime.fromtimestamp(at_s).astimezone()  # in the operator's zone
    return (
        f"{when:{'%H:%M:%S' if span_s < 240 else '%H:%M' if span_s < 2 * 86_400 else '%d %b'}}"
    )


def _short(value: float, decimals: int) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            unit = 1e3 if letter == "k" else size
            return f"{value / unit:.4g}{letter}".replace("-", "−")
    return f"{value:.{min(decimals, 9)}f}".replace("-", "−")


def _steps(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the corners of a line that keeps each value until the next."""
    xs: list[float] = []
    ys: list[float] = []
    for i, (at, value) in enumerate(zip(x, y, strict=True)):
        if i:
            xs.append(at)
            ys.append(ys[-1])
        xs.append(at)
        ys.append(value)
    return xs, ys
