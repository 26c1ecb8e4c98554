"""A page's tasks have an owner: it reports their failures as sentences, and ends them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final, final

from PySide6.QtCore import QObject, Signal

from core.errors import InterledgerError

log = logging.getLogger(__name__)

UNEXPECTED: Final = "Something went wrong inside Signalbox; the log has the details."


@final
class TaskScope(QObject):
    """Runs coroutines that slots start, until they end or their page does.

    A failure that the node raised on purpose becomes `failed` with its own sentence. Any other is a
    bug: it is logged with its traceback, and `failed` says where to look.
    """

    failed = Signal(str)
    """A sentence for the operator."""
    running_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks: dict[asyncio.Task[None], str] = {}

    def start(self, work: Coroutine[None, None, None], *, name: str = "") -> None:
        """Run `work` in the background; `name` is what the status bar calls it, empty for what goes on all the time."""
        _task = self.spawn(work, name=name)

    def spawn(self, work: Coroutine[None, None, None], *, name: str = "") -> asyncio.Task[None]:
        """As `start`, for a caller that wants to cancel it before the page ends."""
        task = asyncio.get_running_loop().create_task(work, name=name or None)
        self._tasks[task] = name
        task.add_done_callback(self._done)
        if name:
            self.running_changed.emit()
        return task

    @property
    def running(self) -> tuple[str, ...]:
        """What is under way, as the operator knows it."""
        return tuple(name for name in self._tasks.values() if name)

    async def finish(self) -> None:
        """Wait for everything that runs."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def cancel(self) -> None:
        """End everything that runs, and wait for its end."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.finish()

    def _done(self, task: asyncio.Task[None]) -> None:
        name = self._tasks.pop(task)
        if not task.cancelled():
            self._report(task.exception(), name)
        if name:
            self.running_changed.emit()

    def _report(self, error: BaseException | None, name: str) -> None:
        if isinstance(error, InterledgerError):
            self.failed.emit(sentence(error))
        elif error is not None:
            log.error("%s failed", name or "a background task", exc_info=error)
            self.failed.emit(UNEXPECTED)


def sentence(error: InterledgerError) -> str:
    """Return the error's message with a capital and a full stop, as a sentence on the screen has."""
    text = str(error)
    if not text:
        return UNEXPECTED
    if text[0].islower() and not text.partition(":")[0].isidentifier():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
