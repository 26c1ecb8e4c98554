"""Graphs from the node's history, which outlives the window: a range is only a view of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, final

from core.account import Asset
from core.clock import Clock
from core.control.operator import Operator
from core.control.views import AccountView, History, HistorySample, SettlementRow
from core.settlement.records import Direction, SettlementState
from desktop import formatting
from desktop.models.graph import Curve, GraphData, Line, Mark
from desktop.models.traffic import ORDINARY_REJECTS

SAMPLES_MAX: Final = 600
"""About a point for each pixel."""
TAIL_STEPS: Final = 12
"""After the first look only the newest steps are fetched; those before them no longer change."""
THROUGHPUT_POINTS: Final = 180
REJECT_POINTS: Final = 60
"""Single seconds are noise; a point stands for the mean of its span."""
CODES_SHOWN: Final = 6
CODE_COLOURS: Final = ("series:0", "series:3", "series:4", "series:6", "series:5", "series:2")
"""Not the green of what was fulfilled; what is ordinary has none."""
ORDINARY_COLOUR: Final = "muted"
OTHER_COLOUR: Final = "text"
LAG_SECONDS: Final = 2
"""A second is in the history once it is over and written; a point before that would always dip."""
MARKS_MAX: Final = 60


@final
class HistoryFeed:
    """One view of history, kept up to date at the price of its newest steps."""

    def __init__(self, operator: Operator, clock: Clock) -> None:
        self._operator = operator
        self._clock = clock
        self._asked: tuple[int, str | None] = (0, None)
        self._step_s = 0
        self._samples: dict[int, HistorySample] = {}
        self._loaded_at = float("-inf")

    async def load(self, seconds: int, username: str | None = None) -> History:
        """Return the last so many seconds, of one account or of all."""
        now = self._clock.monotonic()
        tail = max(TAIL_STEPS * self._step_s, TAIL_STEPS)
        history = None
        if self._asked == (seconds, username) and now - self._loaded_at < tail / 2:
            history = await self._operator.history(
                seconds=tail, username=username, samples_max=TAIL_STEPS
            )
        if history is None or history.step_s != self._step_s:
            history = await self._operator.history(
                seconds=seconds, username=username, samples_max=SAMPLES_MAX
            )
            self._samples.clear()
        self._asked, self._loaded_at, self._step_s = (seconds, username), now, history.step_s
        self._samples |= {sample.at_s: sample for sample in history.samples}
        from_s = (history.until_s - seconds) // history.step_s * history.step_s
        self._samples = {at: sample for at, sample in self._samples.items() if at >= from_s}
        return History(
            step_s=history.step_s,
            from_s=from_s,
            until_s=history.until_s,
            samples=[self._samples[at] for at in sorted(self._samples)],
        )


def every_seconds(range_seconds: int) -> float:
    """Return how often a graph of this range is worth drawing anew: once for each step of it."""
    return min(30.0, max(1.0, range_seconds / SAMPLES_MAX))


# --- The node's packets


def throughput(history: History) -> GraphData:
    """Return packets a second: prepared, fulfilled and rejected; rejects that are ordinary stand apart."""
    series: list[tuple[str, str, Callable[[HistorySample], int]]] = [
        ("Prepared", "series:0", lambda sample: sample.prepares),
        ("Fulfilled", "series:1", lambda sample: sample.fulfills),
        ("Rejected", "series:2", lambda sample: sample.rejects - _ordinary(sample)),
    ]
    if any(_ordinary(sample) for sample in history.samples):
        series.append(("Too large (F08)", ORDINARY_COLOUR, _ordinary))
    return _rates(history, series, points_max=THROUGHPUT_POINTS)


def _ordinary(sample: HistorySample) -> int:
    return sum(sample.reject_codes.get(code, 0) for code in ORDINARY_REJECTS)


def reject_codes(history: History) -> GraphData:
    """Return rejects a minute by code, the most frequent codes of the range, the others together."""
    totals: Counter[str] = Counter()
    for sample in history.samples:
        totals.update(sample.reject_codes)
    shown = sorted(code for code, _ in totals.most_common(CODES_SHOWN))
    colour = iter(CODE_COLOURS)
    series: list[tuple[str, str, Callable[[HistorySample], int]]] = [
        (
            code,
            ORDINARY_COLOUR if code in ORDINARY_REJECTS else next(colour),
            _code_count(code),
        )
        for code in shown
    ]
    if len(totals) > len(shown):
        known = frozenset(shown)
        series.append(
            (
                "Other",
                OTHER_COLOUR,
                lambda sample: sum(
                    n for code, n in sample.reject_codes.items() if code not in known
                ),
            )
        )
    return _rates(history, series, points_max=REJECT_POINTS, per_seconds=60)


def _code_count(code: str) -> Callable[[HistorySample], int]:
    return lambda sample: sample.reject_codes.get(code, 0)


def _rates(
    history: History,
    series: Iterable[tuple[str, str, Callable[[HistorySample], int]]],
    *,
    points_max: int,
    per_seconds: int = 1,
) -> GraphData:
    spans = _spans(history, points_max)
    by_span: dict[int, list[HistorySample]] = {}
    if spans:
        for sample in history.samples:
            by_span.setdefault((sample.at_s - spans.start) // spans.step, []).append(sample)
    middles = [start + spans.step / 2 for start in spans]
    curves = []
    for name, colour, count in series:
        values = [
            sum(map(count, by_span.get(i, ()))) * per_seconds / spans.step
            for i in range(len(spans))
        ]
        newest = values[-1] if values else 0.0
        latest = f"{newest:.1f}" if newest < 10 else f"{newest:.0f}"
        curves.append(Curve(name=name, colour=colour, x=middles, y=values, latest=latest))
    return GraphData(
        from_s=history.from_s,
        until_s=history.until_s,
        curves=curves if history.samples else (),
        summary=", ".join(f"{curve.name} {curve.latest}" for curve in curves),
    )


def _spans(history: History, points_max: int) -> range:
    """Return the starts of spans of whole steps that are over and written."""
    steps = (history.until_s - history.from_s) // history.step_s
    span = -(-steps // points_max) * history.step_s
    end = history.until_s - 2 * history.step_s - LAG_SECONDS // history.step_s * history.step_s
    # Spans stand on a grid of their own, so that a point keeps its value while the range moves on.
    return range(-(-history.from_s // span) * span, end // span * span, span)


def _whole_steps(history: History) -> Sequence[int]:
    """Return the starts of the steps that are over: the running one would always dip."""
    return range(history.from_s, history.until_s - 2 * history.step_s + 1, history.step_s)


# --- One account's balance


def balance(
    history: History, view: AccountView, settlements: Iterable[SettlementRow] = ()
) -> GraphData:
    """Return an account's balance, from our side: above zero it owes us; with its limits and settlements."""
    asset = view.account.asset
    points = [(sample.at_s, sample.net) for sample in history.samples if sample.net is not None]
    x = [at for at, _ in points]
    y = [_units(-net, asset) for _, net in points]
    x.append(history.until_s - history.step_s)
    y.append(_units(-view.balance.net, asset))
    created_s = view.account.created_at_ms // 1000
    if created_s > history.from_s:
        x.insert(0, min(created_s, x[0]))
        y.insert(0, 0.0)
    elif x[0] > history.from_s:
        x.insert(0, history.from_s)
        y.insert(0, y[0])
    return GraphData(
        from_s=history.from_s,
        until_s=history.until_s,
        curves=(
            Curve(
                name="Balance",
                colour="series:0",
                x=x,
                y=y,
                latest=formatting.signed_amount(-view.balance.net, asset.code, asset.scale),
                stepped=True,
            ),
        ),
        lines=tuple(_limit_lines(view)),
        marks=tuple(_settlement_marks(history, settlements, x, y)),
        from_zero=False,
        summary=view.summary,
    )


def _limit_lines(view: AccountView) -> Iterable[Line]:
    account = view.account
    if account.min_balance is not None:
        yield Line("credit you give", "bad", _units(-account.min_balance, account.asset))
    yield Line("even", "muted", 0.0)
    if account.settle_threshold is not None:
        yield Line(
            "you settle at", "owed_by_us", _units(-account.settle_threshold, account.asset)
        )
    if account.settle_to:
        yield Line("down to", "muted", _units(-account.settle_to, account.asset))


def _settlement_marks(
    history: History,
    settlements: Iterable[SettlementRow],
    x: Sequence[float],
    y: Sequence[float],
) -> Iterable[Mark]:
    shown = [row for row in settlements if history.from_s * 1000 <= row.created_at_ms]
    for row in shown[:MARKS_MAX]:
        at_s = row.created_at_ms / 1000
        before = [value for at, value in zip(x, y, strict=True) if at <= at_s]
        failed = row.state in (SettlementState.FAILED, SettlementState.REVERSED)
        verb = "you paid" if row.direction is Direction.OUT else "paid you"
        shown_amount = formatting.amount(row.amount, row.asset.code, row.asset.scale)
        yield Mark(
            at_s=at_s,
            y=before[-1] if before else y[0],
            text=f"{verb} {shown_amount}: {row.state.value}",
            colour="bad" if failed else "in_flight",
        )


def _units(amount: int, asset: Asset) -> float:
    """Return an amount as a height on the screen."""
    return float(amount / 10**asset.scale)


# --- Exposure


def exposure(
    histories: Mapping[str, History], accounts: Iterable[AccountView], asset: Asset
) -> GraphData:
    """Return what is owed to us and what we owe in one asset, from its accounts' balances."""
    views = [view for view in accounts if view.account.asset == asset]
    some = next(iter(histories.values()), None)
    if some is None:
        return GraphData(from_s=0, until_s=1)
    steps = [*_whole_steps(some), some.until_s - some.step_s]
    to_us, by_us = [0] * len(steps), [0] * len(steps)
    for view in views:
        nets = _filled(histories.get(view.account.username), steps, view)
        for i, net in enumerate(nets):
            to_us[i] += max(0, -net)
            by_us[i] += max(0, net)
    return GraphData(
        from_s=some.from_s,
        until_s=some.until_s,
        curves=(
            _exposure_curve("Owed to you", "owed_to_us", steps, to_us, asset),
            _exposure_curve("You owe", "owed_by_us", steps, by_us, asset),
        ),
    )


def _exposure_curve(
    name: str, colour: str, steps: Sequence[int], amounts: Sequence[int], asset: Asset
) -> Curve:
    return Curve(
        name=name,
        colour=colour,
        x=steps,
        y=[_units(amount, asset) for amount in amounts],
        latest=formatting.amount(amounts[-1], asset.code, asset.scale) if amounts else "",
        stepped=True,
    )


def _filled(history: History | None, steps: Sequence[int], view: AccountView) -> Sequence[int]:
    """Return a balance at each step: what it was at the last one that is known; the last is now's."""
    now, created_s = view.balance.net, view.account.created_at_ms // 1000
    known = [(s.at_s, s.net) for s in history.samples if s.net is not None] if history else []
    nets, i, net = [], 0, known[0][1] if known else now
    for at in steps:
        while i < len(known) and known[i][0] <= at:
            net = known[i][1]
            i += 1
        nets.append(net if at >= created_s else 0)
    nets[-1] = now
    return nets
