"""The overview: what needs the operator, what is owed, and how the node does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, final

from PySide6.QtCore import QObject, Signal

from core.account import Asset
from core.clock import Clock
from core.control.operator import Operator
from core.control.views import AccountView, Exposure, History, NodeStatus, SettlementRow
from core.settlement.records import SettlementState
from desktop import formatting
from desktop.engine_supervisor import EngineSupervisor
from desktop.models.overview import (
    ExposureRow,
    LimitRow,
    Mood,
    OverviewState,
    QueueState,
)
from desktop.presenters import graphs
from desktop.presenters.incidents import Snapshot, limit_key, percent_used
from desktop.presenters.page import PagePresenter
from desktop.presenters.pieces import next_frame
from desktop.presenters.watch import NodeWatch

LIMITS_SHOWN: Final = 6
PACE_SHOWN_SECONDS: Final = 24 * 3600
"""A limit that is further away than this is not near."""
ACCOUNTS_IN_EXPOSURE_MAX: Final = 16
"""Of the accounts of an asset, so many that owe or are owed most have their history drawn."""
EXPOSURE_SAMPLES: Final = 180
EXPOSURE_SECONDS: Final = 15.0
_UNDER_WAY: Final = (SettlementState.INTENT, SettlementState.SIGNED, SettlementState.SENT)
_FAILED: Final = (SettlementState.FAILED, SettlementState.REVERSED)


@final
class OverviewPresenter(PagePresenter):
    """Turns what the watch saw, and history, into what the overview shows."""

    state_changed = Signal(object)
    """An OverviewState."""
    throughput_changed = Signal(object)
    """A GraphData, as of the two below."""
    rejects_changed = Signal(object)
    exposure_changed = Signal(object)
    range_changed = Signal(object)
    """Seconds, as an int."""
    peer_wanted = Signal()
    """The operator wants to add a peer."""
    practice_wanted = Signal()
    """The operator wants to start the practice network."""
    practice_changed = Signal(bool, str)
    """Whether the practice network may be started now, and what it is doing."""

    def __init__(
        self,
        operator: Operator,
        clock: Clock,
        watch: NodeWatch,
        supervisor: EngineSupervisor | None = None,
        *,
        range_seconds: int = 900,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(operator, clock, parent)
        self.watch = watch
        self.range_seconds = range_seconds
        self.asset: Asset | None = None
        """Whose exposure is drawn."""
        self._supervisor = supervisor
        self._drawn_accounts: Sequence[AccountView] = ()
        self._histories: dict[str, History] = {}
        """Of the accounts in that asset."""
        self._feed = graphs.HistoryFeed(operator, clock)
        self._drawn_at = float("-inf")
        self._exposure_at = float("-inf")
        self.can_practise = False
        """Whether the practice network can be started from here; the application says so."""
        watch.looked.connect(self._show)

    async def update(self) -> None:
        if self.watch.snapshot is None:
            await self.watch.update()
        now = self.clock.monotonic()
        if now - self._drawn_at >= graphs.every_seconds(self.range_seconds) - 0.1:
            self._drawn_at = now
            history = await self._feed.load(self.range_seconds)
            self.throughput_changed.emit(graphs.throughput(history))
            await next_frame()
            self.rejects_changed.emit(graphs.reject_codes(history))
        if now - self._exposure_at >= EXPOSURE_SECONDS:
            self._exposure_at = now
            await next_frame()
            await self._load_exposure()

    def refresh(self) -> None:
        self._drawn_at = self._exposure_at = float("-inf")
        super().refresh()

    def show_range(self, seconds: int) -> None:
        """Show the last so many seconds in the graphs."""
        self.range_seconds = seconds
        self.range_changed.emit(seconds)
        self.refresh()

    def show_asset(self, code: str, scale: int) -> None:
        """Draw the exposure in this asset."""
        self.asset = Asset(code, scale)
        self._histories = {}
        self.refresh()

    def start_practice(self) -> None:
        """Have the practice network started, where it is not already."""
        if self.can_practise:
            self.practice_wanted.emit()

    def say_practice(self, *, available: bool, progress: str) -> None:
        """Show whether the practice network can be started, and what it does."""
        self.can_practise = available
        self.practice_changed.emit(available, progress)

    def settle(self, username: str) -> None:
        """Settle with an account now, down to where it settles to."""

        async def work() -> str:
            await self.operator.settle_now(username)
            return f"Settlement with {self.watch.names.of(username)} started"

        self.run(work, name=f"settling with {self.watch.names.of(username)}")

    def restart(self, name: str) -> None:
        """Start an engine anew."""
        supervisor = self._supervisor
        if supervisor is None:
            return

        async def work() -> str:
            await supervisor.restart(name)
            return f"{name.capitalize()} engine started again"

        self.run(work, name=f"restarting {name}")

    async def _load_exposure(self) -> None:
        seen = self.watch.snapshot
        if seen is None or not seen.exposures:
            return
        assets = [row.asset for row in seen.exposures]
        if self.asset not in assets:
            prices = (await self.operator.rates()).prices
            self.asset = max(seen.exposures, key=lambda row: _weight(row, prices)).asset
        assert self.asset is not None
        views = [view for view in seen.accounts if view.account.asset == self.asset]
        views.sort(key=lambda view: -abs(view.balance.net))
        histories: dict[str, History] = {}
        for view in views[:ACCOUNTS_IN_EXPOSURE_MAX]:
            username = view.account.username
            histories[username] = await self.operator.history(
                seconds=self.range_seconds, username=username, samples_max=EXPOSURE_SAMPLES
            )
        self._histories = histories
        self._draw_exposure(seen)

    def _draw_exposure(self, seen: Snapshot) -> None:
        """Draw what is owed up to now: the graph and the table beside it never disagree."""
        if self._histories and self.asset is not None:
            self.exposure_changed.emit(
                graphs.exposure(self._histories, seen.accounts, self.asset)
            )

    def _show(self) -> None:
        seen = self.watch.snapshot
        if seen is None:
            return
        status = seen.status
        incidents = self.watch.incidents
        self.badge_changed.emit(len(incidents))
        if seen.accounts is not self._drawn_accounts:
            self._drawn_accounts = seen.accounts
            self._draw_exposure(seen)
        self.state_changed.emit(
            OverviewState(
                has_peers=status.accounts > 0,
                incidents=incidents,
                exposures=tuple(exposure_row(row) for row in seen.exposures),
                limits=self._limits(seen.accounts),
                queue=queue_of(seen),
                since_start=_since_start(status),
            )
        )

    def _limits(self, views: Iterable[AccountView]) -> Sequence[LimitRow]:
        used = [
            (percent, view) for view in views if (percent := percent_used(view)) is not None
        ]
        ranked = sorted(used, key=lambda pair: (-pair[0], pair[1].account.username))
        moods = {incident.key: incident.mood for incident in self.watch.incidents}
        return tuple(
            self._limit_row(view, percent, moods.get(limit_key(view.account.username), Mood.OK))
            for percent, view in ranked[:LIMITS_SHOWN]
        )

    def _limit_row(self, view: AccountView, percent: int, mood: Mood) -> LimitRow:
        account = view.account
        asset = account.asset
        username = account.username
        trend = [-net for net in self.watch.trend(username)]
        if len(trend) < len(view.recent_net):
            trend = [float(-net) for net in view.recent_net]
        credit = formatting.amount(-(account.min_balance or 0), asset.code, asset.scale)
        owes = formatting.number(max(0, -view.balance.net), asset.scale)
        return LimitRow(
            username=username,
            name=account.name,
            percent=percent,
            words=f"{owes} of {credit}",
            pace=pace_words(view, self.watch.pace(username)),
            mood=mood,
            trend=trend,
        )


def _since_start(status: NodeStatus) -> str:
    ended = status.fulfills + status.rejects
    share = f", {formatting.percent(status.fulfills, ended)} fulfilled" if ended else ""
    return f"{formatting.count(status.prepares)} packets since the node started{share}"


def pace_words(view: AccountView, units_a_second: float) -> str:
    """Say when a peer's credit is used up at its pace; empty where it is not coming nearer."""
    available = view.balance.available(view.account.min_balance)
    if available is None:
        return ""
    if available <= 0:
        return "full"
    if units_a_second >= 0:
        return ""
    seconds = available / -units_a_second
    return "" if seconds > PACE_SHOWN_SECONDS else f"full in {formatting.duration(seconds)}"


def exposure_row(row: Exposure) -> ExposureRow:
    """Return one asset's exposure in words."""
    scale = row.asset.scale
    total = row.owed_to_us + row.owed_by_us
    return ExposureRow(
        code=row.asset.code,
        scale=scale,
        owed_to_us=formatting.number(row.owed_to_us, scale),
        owed_by_us=formatting.number(row.owed_by_us, scale),
        in_flight=formatting.number(row.in_flight, scale),
        unknown=formatting.number(row.unknown, scale) if row.unknown else "",
        share_to_us=float(row.owed_to_us / total) if total else None,
    )


def queue_of(seen: Snapshot) -> QueueState:
    """Return how settlement stands."""
    under_way = [row for row in seen.settlements if row.state in _UNDER_WAY]
    oldest = min((row.created_at_ms for row in under_way), default=None)
    return QueueState(
        due=sum(1 for row in seen.due if row.due),
        under_way=len(under_way),
        failed=sum(1 for row in seen.settlements if _failed(row)),
        oldest=""
        if oldest is None
        else formatting.duration((seen.status.now_ms - oldest) / 1000),
    )


def _failed(row: SettlementRow) -> bool:
    return row.state in _FAILED


def _weight(row: Exposure, prices: Mapping[str, str]) -> Fraction:
    """Return what an exposure is worth; one without a price weighs nothing."""
    price = Fraction(prices.get(row.asset.code, "0"))
    return Fraction(row.owed_to_us + row.owed_by_us, 10**row.asset.scale) * price
