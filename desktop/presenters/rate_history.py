"""How a pair's rate moved: from the sets of prices that were in force, the newest few hundred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, final

from PySide6.QtCore import QObject, Signal

from core.clock import Clock
from core.control.operator import Operator
from core.control.rates_views import RateSnapshotView
from desktop import formatting
from desktop.models.graph import Curve, GraphData
from desktop.models.rate_history import RateChangeRow, RateChangesModel
from desktop.presenters.decimals import decimal_text
from desktop.presenters.pieces import next_frame

PAGE: Final = 50
"""Sets of prices that are asked for at a time: each is turned into views while packets wait."""
SETS_MAX: Final = 500


@final
@dataclass(frozen=True, slots=True)
class _Prices:
    """What of a set of prices is drawn."""

    id: int
    at_ms: int
    prices: Mapping[str, Fraction]
    sources: Mapping[str, str]

    def rate(self, source: str, target: str) -> Fraction | None:
        """Return whole target units for one of the source, or None where a price was not known."""
        ours, theirs = self.prices.get(source), self.prices.get(target)
        return None if ours is None or not theirs else ours / theirs


@final
class RateHistoryPresenter(QObject):
    """Looks back only while it is looked at, and then asks for what is new alone."""

    drawn = Signal(object)
    """The pair's rate over time, as GraphData."""

    def __init__(self, operator: Operator, clock: Clock, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.changes = RateChangesModel(self)
        self.pair = ("", "")
        self.is_seen = False
        self._operator = operator
        self._clock = clock
        self._sets: list[_Prices] = []
        """The newest first."""

    def show_pair(self, source: str, target: str) -> None:
        """Show how this pair moved."""
        if (source, target) != self.pair:
            self.pair = (source, target)
            self.draw()

    async def update(self) -> None:
        """Load what is new; where nothing was loaded, as much as is shown."""
        known = self._sets[0].id if self._sets else None
        found: list[_Prices] = []
        before: int | None = None
        while len(found) < SETS_MAX:
            page = await self._operator.rate_snapshots(limit=PAGE, before=before)
            found += [_prices(view) for view in page if known is None or view.id > known]
            if len(page) < PAGE or (known is not None and page[-1].id <= known):
                break
            before = page[-1].id
            await next_frame()
        if found or known is None:
            self._sets = [*found, *self._sets][:SETS_MAX]
        self.draw()

    def draw(self) -> None:
        """Show the pair from what is loaded."""
        source, target = self.pair
        rows: list[RateChangeRow] = []
        points: list[tuple[float, Fraction]] = []
        last: Fraction | None = None
        for each in reversed(self._sets):
            rate = each.rate(source, target)
            if rate is None or rate == last:
                continue
            rows.append(_row(each, self.pair, rate, last))
            points.append((each.at_ms / 1000, rate))
            last = rate
        self.changes.replace(reversed(rows))
        self.drawn.emit(self._graph(points))

    def _graph(self, points: Sequence[tuple[float, Fraction]]) -> GraphData:
        until_s = self._clock.now_ms() / 1000
        if not points:
            return GraphData(from_s=until_s - 60, until_s=until_s, from_zero=False)
        newest = decimal_text(points[-1][1])
        words = f"1 {self.pair[0]} in {self.pair[1]}"
        curve = Curve(
            name=words,
            colour="series:0",
            x=[*(at for at, _ in points), until_s],
            y=[*(float(rate) for _, rate in points), float(points[-1][1])],
            latest=newest,
            stepped=True,
        )
        return GraphData(
            from_s=min(points[0][0], until_s - 60),
            until_s=until_s,
            curves=(curve,),
            from_zero=False,
            summary=f"{words}: {newest} now, {formatting.counted(len(points) - 1, 'change')}",
        )


def _prices(view: RateSnapshotView) -> _Prices:
    prices = {price.code: Fraction(price.price) for price in view.prices}
    sources = {
        price.code: "you" if price.by_operator else ", ".join(price.sources)
        for price in view.prices
    }
    return _Prices(view.id, view.at_ms, {view.reference: Fraction(1)} | prices, sources)


def _row(
    found: _Prices, pair: tuple[str, str], rate: Fraction, before: Fraction | None
) -> RateChangeRow:
    change = None if before is None else rate / before - 1
    said = [words for code in pair if (words := found.sources.get(code, ""))]
    return RateChangeRow(
        id=found.id,
        at_ms=found.at_ms,
        rate=f"1 {pair[0]} = {decimal_text(rate)} {pair[1]}",
        change="" if change is None else change_text(change),
        change_value=0.0 if change is None else float(change),
        sources="; ".join(dict.fromkeys(said)),
    )


def change_text(change: Fraction) -> str:
    """Return a change in percent with its sign, to three digits: `+0.42 %`."""
    sign = "+" if change > 0 else ""
    return f"{sign}{decimal_text(change * 100, 3).rstrip('…')}\u00a0%"
