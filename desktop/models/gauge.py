"""The gauge: where a balance stands between its limits, in numbers, before anything is painted.

The scale is read from our side. To the right of zero the other side owes us, up to the credit that
we give; to the left we owe the other side, down to where we settle.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, final

NEAR_PERCENT: Final = 80
FULL_PERCENT: Final = 97

STEPS: Final = 10_000
"""Positions are whole ten-thousandths of the gauge: exact for amounts of any size."""


class Level(enum.Enum):
    """How far it is to the limit that turns packets away."""

    OK = "ok"
    NEAR = "near"
    FULL = "full"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One account's numbers, in its smallest unit; `owed` above zero means that they owe us."""

    owed: int
    incoming: int = 0
    """Prepared by them: what they may owe us on top, soon."""
    outgoing: int = 0
    """Prepared to them: what we may owe them on top, soon."""
    unknown: int = 0
    """What we may owe them, left undecided by a crash."""
    limit: int | None = None
    """The credit that we give; None is unlimited."""
    settle_at: int | None = None
    """We settle when we owe them this much."""
    settle_to: int | None = None
    """Down to which debt we settle."""

    @property
    def low(self) -> int:
        """The left end: the larger of what we may come to owe and where we settle."""
        deepest = max(
            -self.owed + self.outgoing + self.unknown,
            self.settle_at or 0,
            self.settle_to or 0,
            0,
        )
        return -(deepest + deepest // 10)

    @property
    def high(self) -> int:
        """The right end: the credit we give, or what they owe where that has no limit or is more."""
        most = max(self.owed + self.incoming, 0)
        if self.limit is not None and self.limit >= most:
            return self.limit
        return most + most // 10

    @property
    def used_percent(self) -> int | None:
        """How much of the credit is used, in flight included; None where none is given, or no end."""
        if not self.limit:
            return None
        return max(self.owed + self.incoming, 0) * 100 // self.limit

    @property
    def level(self) -> Level:
        used = self.used_percent
        if used is None or used < NEAR_PERCENT:
            return Level.OK
        return Level.FULL if used >= FULL_PERCENT else Level.NEAR

    @property
    def headroom(self) -> int | None:
        """How much more they may send before packets are turned away; None for no limit."""
        return None if self.limit is None else max(self.limit - self.owed - self.incoming, 0)

    def place(self, amount: int) -> int:
        """Return where an amount (they owe us: above zero) stands, 0 to STEPS from the left."""
        low, high = self.low, self.high
        if high <= low:
            return STEPS // 2
        return min(max((amount - low) * STEPS // (high - low), 0), STEPS)
