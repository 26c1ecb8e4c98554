"""History in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from core.account import AccountId
from core.stores.history_steps import KEPT_SECONDS, add_points, step_start
from core.stores.memory.state import MemoryState
from core.telemetry.history import HistoryPoint, HistoryStore, Resolution


@final
class MemoryHistory(HistoryStore):
    """One dictionary a resolution, from step and account to point."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._points: dict[Resolution, dict[tuple[int, AccountId], HistoryPoint]] = {
            resolution: {} for resolution in Resolution
        }

    async def add(self, points: Sequence[HistoryPoint]) -> None:
        known = self._state.accounts.keys() | self._state.deleted.keys()
        for point in points:
            if point.account not in known:
                continue
            for resolution, steps in self._points.items():
                start = step_start(point.at_s, resolution)
                earlier = steps.get((start, point.account))
                steps[start, point.account] = (
                    replace(point, at_s=start)
                    if earlier is None
                    else add_points(earlier, point)
                )

    async def read(
        self,
        resolution: Resolution,
        *,
        from_s: int,
        until_s: int,
        account: AccountId | None = None,
        points_max: int,
    ) -> Sequence[HistoryPoint]:
        found = [
            point
            for point in self._points[resolution].values()
            if from_s <= point.at_s < until_s and account in (None, point.account)
        ]
        found.sort(key=lambda point: point.at_s)
        return found[-points_max:] if points_max > 0 else []

    async def prune(self, *, now_s: int) -> None:
        for resolution, kept_seconds in KEPT_SECONDS.items():
            steps = self._points[resolution]
            for key in [key for key in steps if key[0] < now_s - kept_seconds]:
                del steps[key]
