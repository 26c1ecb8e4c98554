"""How much may be on its way at once: doubled until the path says stop, then felt for in small steps."""

from __future__ import annotations

from typing import Final, final

from core.packet import AMOUNT_MAX

DECREASE: Final = 2


@final
class Window:
    """Additive increase, multiplicative decrease; counts packets or amounts, as its user does."""

    __slots__ = ("_credit", "increase", "maximum", "size", "slow_start")

    def __init__(
        self, size: int, *, increase: int, maximum: int = AMOUNT_MAX, slow_start: bool = True
    ) -> None:
        self.size = max(1, min(size, maximum))
        self.increase = increase
        """What is added once a whole window has been fulfilled."""
        self.maximum = maximum
        self.slow_start = slow_start
        self._credit = 0

    def fulfilled(self, count: int) -> None:
        """Open it for what came through."""
        if self.slow_start:
            self.size = min(self.size + count, self.maximum)
            return
        self._credit += self.increase * count
        if self._credit >= self.size:
            steps, self._credit = divmod(self._credit, self.size)
            self.size = min(self.size + steps, self.maximum)

    def congested(self) -> None:
        """Close it by half; called once a round trip, however many packets were refused in it."""
        self.slow_start = False
        self._credit = 0
        self.size = max(1, self.size // DECREASE)
