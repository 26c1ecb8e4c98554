"""How long nothing is sent after a temporary reject: longer each time, never the same for two senders."""

from __future__ import annotations

from random import Random
from typing import Final, final

FIRST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 4.0
"""Below any idle time-out, so that a path that comes back is tried before the payment gives up."""
JITTER: Final = 0.25


@final
class Pauses:
    """Doubles from a tenth of a second up to a bound, each with a random part."""

    __slots__ = ("_random", "_seconds", "until")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._seconds = 0.0
        self.until = 0.0
        """Nothing is sent before this moment."""

    def refused(self, now: float) -> None:
        """Begin the next, longer pause."""
        self._seconds = min(max(FIRST_SECONDS, self._seconds * 2), LONGEST_SECONDS)
        self.until = now + self._seconds * self._random.uniform(1 - JITTER, 1 + JITTER)

    def fulfilled(self) -> None:
        """Begin with the shortest again."""
        self._seconds = 0.0
