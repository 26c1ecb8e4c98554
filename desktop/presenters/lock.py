"""The lock: whether the window is covered, and what opens it again.

It keeps onlookers away from a window that is left alone, and nobody who has the user's files: what
is kept of the passphrase stands in the settings file, and is deleted there by whoever has forgotten it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final, final

from PySide6.QtCore import QObject, Signal

from core.clock import Clock
from desktop import formatting, passphrase
from desktop.settings import SettingsFile
from desktop.tasks import TaskScope

LENGTH_MIN: Final = 6
LENGTH_MAX: Final = 1_000
WAIT_SECONDS_MAX: Final = 60.0
WHAT_GOES_ON: Final = "The node goes on: packets are forwarded, and settlements are made."


@final
class LockPresenter(QObject):
    """Locks, and opens for who knows the passphrase; wrong ones make the next one wait, twice as long each time."""

    changed = Signal()
    """It is locked or no longer is, works or waits, or has another passphrase."""
    refused = Signal(str)
    """What was typed does not do: a sentence."""
    passphrase_set = Signal()

    def __init__(
        self, settings: SettingsFile, clock: Clock, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._clock = clock
        self._tasks = TaskScope(self)
        self._tasks.failed.connect(self.refused)
        self._is_locked = settings.current.locked and self.has_passphrase
        self._is_working = False
        self._wrong = 0
        self._wait_until = float("-inf")
        self._input_at = clock.monotonic()

    @property
    def is_locked(self) -> bool:
        return self._is_locked

    @property
    def is_working(self) -> bool:
        """Whether a passphrase is being tried."""
        return self._is_working

    @property
    def has_passphrase(self) -> bool:
        return bool(self._settings.current.passphrase)

    @property
    def minutes(self) -> int:
        """After how long without input it locks by itself; 0 is never."""
        minutes = self._settings.current.lock_after_minutes
        return max(0, minutes) if self.has_passphrase else 0

    @property
    def wait_seconds(self) -> float:
        """How long no passphrase is tried, after wrong ones."""
        return max(0.0, self._wait_until - self._clock.monotonic())

    @property
    def way_out(self) -> str:
        """What helps who has forgotten the passphrase."""
        path = self._settings.path
        if path is None:
            return "Forgotten? It is kept only until Signalbox is closed."
        return f"Forgotten? Quit Signalbox, delete the entry “passphrase” in {path}, and start it again."

    async def close(self) -> None:
        """End what is under way; it is not used again."""
        await self._tasks.cancel()

    # --- Locking

    def lock(self) -> None:
        """Lock now; without a passphrase nothing could open it, and it stays open."""
        if self.has_passphrase and not self._is_locked:
            self._is_locked = True
            self._settings.change(locked=True)
            self.changed.emit()

    def lock_after(self, minutes: int) -> None:
        """Lock by itself after so long without input."""
        self._input_at = self._clock.monotonic()
        self._settings.change(lock_after_minutes=minutes)
        self.changed.emit()

    def note_input(self) -> None:
        """Somebody is there."""
        self._input_at = self._clock.monotonic()

    def look(self) -> None:
        """Lock where nobody has been there for too long; to be called now and then."""
        if self.minutes and self._clock.monotonic() - self._input_at >= self.minutes * 60:
            self.lock()

    # --- The passphrase

    def open(self, typed: str) -> None:
        """Open, where this is the passphrase; that takes a moment, and `changed` or `refused` tells how it went."""

        async def work() -> None:
            if not await self._is_right(typed):
                return
            self._is_locked = False
            self._settings.change(locked=False)
            self.note_input()

        self._begin(work)

    def set_passphrase(self, new: str, again: str, *, current: str = "") -> None:
        """Have this open it from now on; where there is a passphrase already, that one must be known."""
        if problem := _problem_of(new, again):
            self.refused.emit(problem)
            return

        async def work() -> None:
            if self.has_passphrase and not await self._is_right(current):
                return
            kept = await asyncio.to_thread(passphrase.hash_of, new)
            self._settings.change(passphrase=kept)
            self.passphrase_set.emit()

        self._begin(work)

    def _begin(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        if self._is_working or self.wait_seconds > 0:
            return
        self._is_working = True
        self.changed.emit()
        self._tasks.start(self._work(work))

    async def _work(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await work()
        finally:
            self._is_working = False
            self.changed.emit()

    async def _is_right(self, typed: str) -> bool:
        kept = self._settings.current.passphrase
        # It costs a tenth of a second by design: not of the loop that forwards packets.
        if await asyncio.to_thread(passphrase.fits, typed[:LENGTH_MAX], kept):
            self._wrong = 0
            return True
        self._wrong += 1
        wait = min(2.0 ** min(self._wrong - 1, 16), WAIT_SECONDS_MAX)
        self._wait_until = self._clock.monotonic() + wait
        self.refused.emit("That is not the passphrase.")
        return False


def _problem_of(new: str, again: str) -> str:
    if len(new) < LENGTH_MIN:
        return f"It needs at least {formatting.counted(LENGTH_MIN, 'letter')}."
    if len(new) > LENGTH_MAX:
        return f"It may have at most {formatting.counted(LENGTH_MAX, 'letter')}."
    return "" if new == again else "The two are not the same."
