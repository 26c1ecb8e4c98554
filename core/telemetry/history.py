"""History: what happened, second by second for an hour, then coarser, in the database."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, final, runtime_checkable

from core.account import AccountId


class Resolution(enum.IntEnum):
    """Seconds a point stands for, and so how long it is kept: an hour, a month, for ever."""

    SECOND = 1
    MINUTE = 60
    HOUR = 3600


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPoint:
    """What one account did within one step of time; a step without traffic has no point."""

    at_s: int
    """Start of the step, Unix seconds, a multiple of the resolution."""
    account: AccountId
    prepares: int = 0
    """Packets that came in from it."""
    fulfills: int = 0
    rejects: int = 0
    incoming_amount: int = 0
    """Value of its fulfilled packets, in its units."""
    outgoing_amount: int = 0
    """Value fulfilled by it, in its units."""
    net: int | None = None
    """Its balance at the end of the step; None where it is not known."""
    latency_us_sum: int = 0
    latency_us_max: int = 0
    reject_codes: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class HistoryStore(Protocol):
    """Where history is kept. Writing is off the packet's path and may be lost by a crash: seconds at most."""

    async def add(self, points: Sequence[HistoryPoint]) -> None:
        """Add one second's points, and to the minute and the hour that they are in."""

    async def read(
        self,
        resolution: Resolution,
        *,
        from_s: int,
        until_s: int,
        account: AccountId | None = None,
        points_max: int,
    ) -> Sequence[HistoryPoint]:
        """Return points in order of time, of one account or of all; at most `points_max`, the newest."""

    async def prune(self, *, now_s: int) -> None:
        """Drop what is older than its resolution is kept."""
