"""A task has an owner that waits for it: the owner's errors are reported, its end is awaited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, final

log = logging.getLogger(__name__)

ANEW_SECONDS: Final = 1.0
ANEW_SECONDS_MAX: Final = 60.0


async def begun_anew(
    work: Callable[[], Awaitable[None]],
    name: str,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run what is to go on until it ends by itself; where a fault of ours ends it, say so and begin it anew.

    Each time after twice as long, so that a fault that stays neither fills the log nor costs much.
    """
    pause = ANEW_SECONDS
    while True:
        try:
            return await work()
        except Exception:
            log.exception("%s failed, and begins anew in %g s", name, pause)
        await sleep(pause)
        pause = min(2 * pause, ANEW_SECONDS_MAX)


@final
class TaskOwner:
    """Runs tasks in the background, bounded in number, and ends them all when it is closed.

    For what must outlive the call that started it (a late reply, a poll); for tasks that end with
    their caller an `asyncio.TaskGroup` is the better owner.
    """

    def __init__(self, name: str, *, tasks_max: int) -> None:
        self._name = name
        self._tasks_max = tasks_max
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None], *, name: str = "") -> bool:
        """Start `work`; return False, and do not start it, when too many already run."""
        if self.is_full:
            work.close()
            log.error(
                "%s: %d tasks run already, %s was not started",
                self._name,
                len(self._tasks),
                name,
            )
            return False
        task = asyncio.get_running_loop().create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return True

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def is_full(self) -> bool:
        """Whether no more would be started now."""
        return len(self._tasks) >= self._tasks_max

    async def settled(self) -> None:
        """Wait for what runs now; what is started meanwhile is not waited for."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def finish(self, timeout_seconds: float) -> None:
        """Wait for what runs, at most so long, then cancel the rest and wait for its end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: %s failed", self._name, task.get_name(), exc_info=error)
