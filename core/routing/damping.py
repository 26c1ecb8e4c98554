"""Routes that come and go wait until they have been steady for a while: damping, as BGP knows it (RFC-2439).

Each time that a peer takes a route back costs it a penalty, which halves as time goes by. Above one bound
the route is not used, below another one it is again. So one link that fails and heals does not shake every
node behind us.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, final

from core.account import AccountId

WITHDRAWN: Final = 1_000.0
CHANGED: Final = 500.0
SUPPRESS_FROM: Final = 3_000.0
"""More than three times within a minute or so."""
REUSE_BELOW: Final = 1_000.0
PENALTY_MAX: Final = 6_000.0
"""So the longest wait is log2(6) half-lives, about two and a half minutes."""
HALF_LIFE_SECONDS: Final = 60.0
FORGET_BELOW: Final = 100.0
ENTRIES_MAX: Final = 20_000
"""About 3 MB; beyond it the oldest is forgotten, which at worst lets a flapping route be used."""


@final
class Damping:
    """The penalties of ways that came and went of late."""

    __slots__ = ("_penalties",)

    def __init__(self) -> None:
        self._penalties: OrderedDict[tuple[AccountId, str], tuple[float, float]] = OrderedDict()

    def add(self, way: tuple[AccountId, str], penalty: float, now: float) -> bool:
        """Count one more change; return whether the way is to wait from now on."""
        found = min(self._penalty(way, now) + penalty, PENALTY_MAX)
        self._penalties.pop(way, None)  # so that the order is that of the last change
        self._penalties[way] = (found, now)
        if len(self._penalties) > ENTRIES_MAX:
            self._penalties.popitem(last=False)
        return found > SUPPRESS_FROM

    def may_be_used(self, way: tuple[AccountId, str], now: float) -> bool:
        """Tell whether a way that waits has been steady for long enough."""
        return self._penalty(way, now) < REUSE_BELOW

    def forget_old(self, now: float, *, at_once: int = 1_000) -> None:
        """Drop the oldest entries whose penalty has all but vanished."""
        for way in list(self._oldest(at_once)):
            if self._penalty(way, now) >= FORGET_BELOW:
                return
            del self._penalties[way]

    def _oldest(self, count: int) -> Sequence[tuple[AccountId, str]]:
        return [way for way, _ in zip(self._penalties, range(count), strict=False)]

    def _penalty(self, way: tuple[AccountId, str], now: float) -> float:
        penalty, since = self._penalties.get(way, (0.0, now))
        return float(penalty * 0.5 ** ((now - since) / HALF_LIFE_SECONDS))

    def __len__(self) -> int:
        return len(self._penalties)
