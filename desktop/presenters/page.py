"""What every page's presenter is: it looks at the node while its page is seen, and says how that went."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from PySide6.QtCore import QObject, Signal

from core.clock import Clock
from core.control.operator import Operator
from core.errors import InterledgerError
from desktop.tasks import TaskScope, sentence

REFRESH_SECONDS: Final = 1.0
AFTER_MISTAKE_SECONDS: Final = 5.0


class PagePresenter(QObject):
    """Polls the node while its page is visible, and runs what the operator asks for.

    A page overrides `update`, which loads what it shows, and `every_seconds` where a second is not
    right. `start` and `stop` are called by the window when the page is shown and hidden; `refresh`
    looks again at once.
    """

    every_seconds: float = REFRESH_SECONDS

    failed = Signal(str)
    """An action did not succeed: a sentence, shown until the next action."""
    reported = Signal(str)
    """An action succeeded, for the status bar: `carol saved`."""
    undoable = Signal(str, object)
    """An action succeeded and can be taken back: the sentence, and what to call for that."""
    problem_changed = Signal(str)
    """The node could not be looked at: a sentence; empty once it can be again."""
    refreshed = Signal()
    """What the page shows is as of now."""
    badge_changed = Signal(object)
    """How many problems the page has to show, as an int."""

    def __init__(self, operator: Operator, clock: Clock, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.operator = operator
        self.clock = clock
        self.tasks = TaskScope(self)
        self.tasks.failed.connect(self.failed)
        self._problem = ""
        self._polling: asyncio.Task[None] | None = None
        self._wanted = False
        self._again = asyncio.Event()

    async def update(self) -> None:
        """Load from the node what the page shows."""
        raise NotImplementedError

    def start(self) -> None:
        """Look at the node, at once and then again and again."""
        self._wanted = True
        if self._polling is None:
            self._polling = self.tasks.spawn(self._poll())
            self._polling.add_done_callback(self._poll_ended)

    def stop(self) -> None:
        """Stop looking; what was started by the operator goes on."""
        self._wanted = False
        if self._polling is not None:
            self._polling.cancel()
            self._polling = None

    def refresh(self) -> None:
        """Look again now."""
        if self._polling is None:
            self.tasks.start(self.update_and_report())
        else:
            self._again.set()

    def run(self, work: Callable[[], Awaitable[str]], *, name: str) -> None:
        """Do what the operator asked for, report the sentence that `work` returns, and look again."""
        self.tasks.start(self._run(work), name=name)

    async def close(self) -> None:
        """End everything; the page is not used again."""
        self.stop()
        await self.tasks.cancel()

    async def update_and_report(self) -> None:
        """Load what the page shows; a node that cannot be asked is a problem to show, no failure."""
        try:
            await self.update()
        except InterledgerError as error:
            self._set_problem(sentence(error))
        else:
            self._set_problem("")
            self.refreshed.emit()

    async def _poll(self) -> None:
        while True:
            self._again.clear()
            await self.update_and_report()
            try:
                async with asyncio.timeout(self.every_seconds):
                    await self._again.wait()
            except TimeoutError:
                pass

    def _poll_ended(self, task: asyncio.Task[None]) -> None:
        """After a mistake of ours, which the task's owner has reported, go on looking: a page never freezes."""
        if task is self._polling:
            self._polling = None
            if not task.cancelled():
                task.get_loop().call_later(AFTER_MISTAKE_SECONDS, self._start_if_wanted)

    def _start_if_wanted(self) -> None:
        if self._wanted:
            self.start()

    async def _run(self, work: Callable[[], Awaitable[str]]) -> None:
        self.reported.emit(await work())
        self.refresh()

    def _set_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self.problem_changed.emit(problem)
