"""Looks at the node once a second for the whole window: whatever page is shown, the frame is as of now."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, final

from PySide6.QtCore import QObject, Signal

from core.clock import Clock
from core.control.operator import Operator
from desktop.engine_supervisor import EngineSupervisor
from desktop.models.overview import Incident
from desktop.presenters.incidents import Snapshot, find_incidents, rejecting
from desktop.presenters.names import Names
from desktop.presenters.page import PagePresenter

DETAILS_SECONDS: Final = 3.0
"""Accounts and settlements are looked at this often, and at once when something was changed."""
PULSE_SAMPLES: Final = 120
PACE_SECONDS: Final = 300.0
"""A balance's pace is that of its last five minutes."""
PACE_SECONDS_MIN: Final = 60.0
"""What moved for less than a minute has no pace yet."""
PACE_ACCOUNTS_MAX: Final = 2_000
SETTLEMENTS_LOOKED_AT: Final = 200


@final
class NodeWatch(PagePresenter):
    """Keeps a snapshot of the node, and what came of it over the last minutes."""

    looked = Signal()
    """The snapshot is new."""

    def __init__(
        self,
        operator: Operator,
        clock: Clock,
        supervisor: EngineSupervisor | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(operator, clock, parent)
        self.names = Names()
        self.snapshot: Snapshot | None = None
        self.incidents: Sequence[Incident] = ()
        self.problem = ""
        """Why the node cannot be looked at; empty while it can."""
        self.seen_at: float | None = None
        """When it last answered, on the monotonic clock."""
        self.pulse: deque[float] = deque(maxlen=PULSE_SAMPLES)
        self._counters: deque[tuple[float, int, int]] = deque(maxlen=PULSE_SAMPLES)
        self._nets: dict[str, deque[tuple[float, int]]] = {}
        self._supervisor = supervisor
        self._details_at = float("-inf")
        self._last_change = -1
        self.problem_changed.connect(self._note_problem)
        if supervisor is not None:
            supervisor.changed.connect(self._look_at_processes)

    async def update(self) -> None:
        now = self.clock.monotonic()
        status = await self.operator.status()
        details_due = (
            now - self._details_at >= DETAILS_SECONDS
            or status.last_change != self._last_change
            or self.snapshot is None
        )
        if details_due:
            snapshot = await self._details(Snapshot(status=status))
            self._details_at, self._last_change = now, status.last_change
        else:
            assert self.snapshot is not None
            snapshot = self._with(self.snapshot, status=status)
        self.seen_at = self.clock.monotonic()
        self._remember(now, snapshot, with_nets=details_due)
        self._show(snapshot)

    @property
    def age_seconds(self) -> float | None:
        """How old what is shown is; None where nothing is."""
        return None if self.seen_at is None else self.clock.monotonic() - self.seen_at

    def last_minute(self) -> tuple[int, int]:
        """Return how many packets were fulfilled and rejected in the last minute."""
        if len(self._counters) < 2:
            return 0, 0
        newest = self._counters[-1]
        oldest = next(each for each in self._counters if newest[0] - each[0] <= 60.5)
        return max(0, newest[1] - oldest[1]), max(0, newest[2] - oldest[2])

    def pace(self, username: str) -> float:
        """Return how fast an account's net balance moves, in units a second."""
        points = self._nets.get(username)
        if points is None or points[-1][0] - points[0][0] < PACE_SECONDS_MIN:
            return 0.0
        return (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])

    def trend(self, username: str) -> Sequence[float]:
        """Return an account's net balances of the last minutes, oldest first."""
        return [float(net) for _, net in self._nets.get(username, ())]

    async def _details(self, snapshot: Snapshot) -> Snapshot:
        operator = self.operator
        return self._with(
            snapshot,
            accounts=await operator.accounts(),
            engines=await operator.engines(),
            settlements=await operator.settlements(limit=SETTLEMENTS_LOOKED_AT),
            due=await operator.settlements_due(),
            unmatched=await operator.unmatched(),
            unknown=await operator.unknown_transfers(),
            exposures=await operator.exposure(),
            rate_problems=tuple((await operator.rate_feed()).problems),
            parent=await operator.parent(),
        )

    def _with(self, snapshot: Snapshot, **changes: object) -> Snapshot:
        values = {name: getattr(snapshot, name) for name in Snapshot.__slots__} | changes
        values["processes"] = () if self._supervisor is None else self._supervisor.statuses
        return Snapshot(**values)

    def _show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.names.learn(snapshot.accounts)
        told = {incident.key for incident in self.incidents}
        self.incidents = [
            *rejecting(*self.last_minute()),
            *find_incidents(snapshot, told),
        ]
        self.looked.emit()

    def _remember(self, now: float, snapshot: Snapshot, *, with_nets: bool) -> None:
        status = snapshot.status
        self.pulse.append(status.packets_per_second)
        self._counters.append((now, status.fulfills, status.rejects))
        if not with_nets:
            return
        nets: Mapping[str, int] = {
            view.account.username: view.balance.net
            for view in snapshot.accounts[:PACE_ACCOUNTS_MAX]
        }
        self._nets = {name: self._nets.get(name, deque()) for name in nets}
        for name, net in nets.items():
            points = self._nets[name]
            points.append((now, net))
            while now - points[0][0] > PACE_SECONDS:
                points.popleft()

    def _note_problem(self, problem: str) -> None:
        self.problem = problem
        self.looked.emit()

    def _look_at_processes(self) -> None:
        if self.snapshot is not None:
            self._show(self._with(self.snapshot))
