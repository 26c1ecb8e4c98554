"""A clock that stands until a test moves it."""

from __future__ import annotations

from typing import Final, final

START_MS: Final = 1_800_000_000_000


@final
class FakeClock:
    """Both hands move together, unless a test moves only the wall's."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._wall_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        return self._wall_ms

    def monotonic(self) -> float:
        return self._monotonic_ms / 1000

    def advance(self, *, milliseconds: int = 0, seconds: int = 0) -> None:
        """Let time pass."""
        self._wall_ms += milliseconds + seconds * 1000
        self._monotonic_ms += milliseconds + seconds * 1000

    def jump(self, *, milliseconds: int) -> None:
        """Set the wall clock forward or back, as an administrator would."""
        self._wall_ms += milliseconds

    async def sleep(self, seconds: float) -> None:
        """Pass the time instead of waiting for it."""
        self.advance(milliseconds=round(seconds * 1000))
