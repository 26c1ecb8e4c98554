"""What takes a while, is done once at a time, and can be cancelled: what dialogs begin and show the end of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from PySide6.QtCore import QObject, Signal

from desktop.tasks import TaskScope


class OneAtATime(QObject):
    """Runs what a form asks for; a second request while one is under way is passed over."""

    working_changed = Signal(bool)
    """Whether something is under way."""
    refused = Signal(str, str)
    """A field of the form, or nothing, and why nothing came of it."""

    def __init__(self, tasks: TaskScope, cancelled: str, parent: QObject | None) -> None:
        """`cancelled` is what is said once it was cancelled."""
        super().__init__(parent)
        self._tasks = tasks
        self._cancelled = cancelled
        self._task: asyncio.Task[None] | None = None

    @property
    def is_working(self) -> bool:
        return self._task is not None

    def cancel(self) -> None:
        """Wait no longer for what is under way."""
        if self._task is not None:
            self._task.cancel()

    def begin(self, work: Callable[[], Coroutine[None, None, None]], *, name: str) -> None:
        """Do it, unless something is under way already."""
        if self._task is None:
            self._task = self._tasks.spawn(work(), name=name)
            self._task.add_done_callback(self._ended)
            self.working_changed.emit(True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self.working_changed.emit(False)
        if task.cancelled():
            self.refused.emit("", self._cancelled)
