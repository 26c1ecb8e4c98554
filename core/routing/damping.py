"""Routes that come and go wait until they have been steady for a while: damping, as BGP knows it (RFC-2439).

Each time that a way goes or changes costs it a penalty, which halves as time goes by. Above one bound the way
is not used, below another one it is again. So one link that fails and heals does not shake every node behind
us. A peer whose whole table goes and comes, by its link or under another id, has a penalty of its own.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, final

WITHDRAWN: Final = 1_000.0
CHANGED: Final = 500.0
SUPPRESS_FROM: Final = 3_000.0
"""More than three times within a minute or so."""
REUSE_BELOW: Final = 1_000.0
PENALTY_MAX: Final = 6_000.0
"""So the longest wait is log2(6) half-lives, about two and a half minutes."""
HALF_LIFE_SECONDS: Final = 60.0
FORGET_BELOW: Final = 100.0
ENTRIES_MAX: Final = 10_000
"""Of one peer, about 2 MB. The penalty of the oldest is forgotten beyond it, and shared by all that the peer tells."""


@final
class _Penalty:
    """What one way, or one peer, has to wait off."""

    __slots__ = ("_since", "_value")

    def __init__(self) -> None:
        self._value = self._since = 0.0

    def at(self, now: float) -> float:
        return float(self._value * 0.5 ** ((now - self._since) / HALF_LIFE_SECONDS))

    def add(self, penalty: float, now: float) -> float:
        self._value, self._since = min(self.at(now) + penalty, PENALTY_MAX), now
        return self._value

    def reuse_at(self) -> float:
        """Return when it has waited long enough, unless more comes."""
        halves = math.log2(max(1.0, self._value / REUSE_BELOW))
        return self._since + HALF_LIFE_SECONDS * halves


@final
class Damping:
    """What comes and goes of one peer."""

    __slots__ = ("_due", "_penalties", "_whole", "all_wait", "most", "waiting")

    def __init__(self) -> None:
        self._penalties: OrderedDict[str, _Penalty] = OrderedDict()
        """By prefix, the one that changed last behind all others."""
        self._whole = _Penalty()
        self._due: list[tuple[float, str]] = []
        """A heap: when each of those that wait is to be looked at."""
        self.waiting: Final[set[str]] = set()
        """Prefixes that are not used for now."""
        self.all_wait = False
        """Whether none of its ways is."""
        self.most = ENTRIES_MAX
        """How many routes its table had at most."""

    def waits(self, prefix: str) -> bool:
        """Tell whether the way to a prefix is not used for now."""
        return self.all_wait or prefix in self.waiting

    def add(self, prefix: str, penalty: float, now: float) -> str | None:
        """Count one more change of a way; return the prefix that does not wait any more since there is no room."""
        known = self._penalties.pop(prefix, None) or _Penalty()
        self._penalties[prefix] = known
        if known.add(penalty, now) > SUPPRESS_FROM and prefix not in self.waiting:
            self._wait(prefix, known)
        if len(self._penalties) <= ENTRIES_MAX:
            return None
        oldest, forgotten = self._penalties.popitem(last=False)
        self.add_to_all(forgotten.at(now) / self.most, now)
        if oldest not in self.waiting:
            return None
        self.waiting.discard(oldest)
        return oldest

    def _wait(self, prefix: str, penalty: _Penalty) -> None:
        self.waiting.add(prefix)
        heapq.heappush(self._due, (penalty.reuse_at(), prefix))
        if len(self._due) > 2 * ENTRIES_MAX:  # half of them wait no more
            self._due = [(self._penalties[each].reuse_at(), each) for each in self.waiting]
            heapq.heapify(self._due)

    def add_to_all(self, penalty: float, now: float) -> None:
        """Count that the whole table went or changed once more."""
        if self._whole.add(penalty, now) > SUPPRESS_FROM:
            self.all_wait = True

    def release_all(self, now: float) -> bool:
        """Let all be used again that does not wait for itself, if it is time to; return whether it was."""
        if not self.all_wait or self._whole.at(now) >= REUSE_BELOW:
            return False
        self.all_wait = False
        return True

    def release(self, now: float, at_once: int) -> Sequence[str]:
        """Look at some of the ways that wait; return those that have been steady for long enough, and are used again."""
        released: list[str] = []
        for _ in range(at_once):
            if not self._due or self._due[0][0] > now:
                break
            _, prefix = heapq.heappop(self._due)
            if prefix not in self.waiting:
                continue
            known = self._penalties.get(prefix)
            if known is not None and (again := known.reuse_at()) > now:
                heapq.heappush(self._due, (again, prefix))
            else:
                self.waiting.discard(prefix)
                released.append(prefix)
        return released

    def forget_old(self, now: float, at_once: int) -> int:
        """Drop the oldest penalties that have all but vanished; return how many they were."""
        gone = 0
        while self._penalties and gone < at_once:
            prefix = next(iter(self._penalties))
            if self._penalties[prefix].at(now) >= FORGET_BELOW:
                break
            del self._penalties[prefix]
            gone += 1
        return gone

    def __len__(self) -> int:
        return len(self._penalties)
