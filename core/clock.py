"""The clock is an argument: whatever has a deadline or stamps a row is handed one."""

from __future__ import annotations

import time
from typing import Protocol, final


class Clock(Protocol):
    """Two hands: the wall's for stamps and expiries, a monotonic one for holds and intervals."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never jumps."""


@final
class WallClock:
    """The machine's own clock."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    """Itself, not in a function of ours: a packet asks eight times what time it is."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
