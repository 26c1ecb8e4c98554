"""Settlement engines, and the local test chain, as processes of their own: started, watched, started again.

A child lives no longer than we do: it ends when its stdin does, which the system closes however we
end. It is started again after 1, 2, 4, … 60 seconds; where it ends again and again, the supervisor
gives up and says so, with the last lines that it wrote.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from PySide6.QtCore import QObject, Signal

from core.errors import ControlError

log = logging.getLogger(__name__)

ETHEREUM: Final = "ethereum"
BUNDLED: Final = (ETHEREUM,)

BACK_OFF_SECONDS_MIN: Final = 1.0
BACK_OFF_SECONDS_MAX: Final = 60.0
HEALTHY_SECONDS: Final = 60.0
"""A process that ran so long starts anew with the shortest wait."""
FAILURES_MAX: Final = 6
"""After so many ends in a row, none of which ran healthily before, it is given up: a minute of trying."""
STOP_SECONDS: Final = 5.0
"""For closing its stdin, and again for SIGTERM; then it is killed."""
READY_SECONDS: Final = 60.0
HOW_TO_SET_UP: Final = (
    "start Signalbox once with --ethereum-rpc URL, or try it out on the practice network"
)
LINES_KEPT: Final = 20
LINE_OCTETS_MAX: Final = 16 * 1024


class ProcessState(enum.Enum):
    """How a supervised process is."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It ended by itself and is started again soon."""
    GAVE_UP = "gave up"
    STOPPED = "stopped"
    """By the operator."""
    NOT_SET_UP = "not set up"
    """The operator has named no ledger for it, so that it cannot be started."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """What the window shows of one process."""

    name: str
    state: ProcessState
    sentence: str
    pid: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    last_lines: Sequence[str] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is started: arguments behind the program's own name."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def engine_command(program: Program) -> Sequence[str]:
    """Return the command that runs a bundled engine, from a checkout or from a bundle."""
    if getattr(sys, "frozen", False):
        return (str(Path(sys.executable).with_name("signalbox-engine")), *program.arguments)
    return (sys.executable, "-m", "core.settlement", *program.arguments)


@final
class EngineSupervisor(QObject):
    """All processes that this window has started."""

    changed = Signal(str)
    """The process of this name has another status."""

    def __init__(
        self,
        store_url: str,
        *,
        command: Callable[[Program], Sequence[str]] = engine_command,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        stop_seconds: float = STOP_SECONDS,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._store_url = store_url
        self._means = _Means(command, sleep, monotonic, stop_seconds, self.changed.emit)
        self._supervised: dict[str, _Supervised] = {}

    @property
    def statuses(self) -> Sequence[ProcessStatus]:
        """Every process that was started, by name."""
        return tuple(self._supervised[name].status for name in sorted(self._supervised))

    def status(self, name: str) -> ProcessStatus | None:
        """Return one, or None where it was never started."""
        found = self._supervised.get(name)
        return None if found is None else found.status

    # --- Engines

    async def start_engine(
        self, name: str, *, rpc_url: str, options: Sequence[str] = ()
    ) -> None:
        """Start a bundled engine on our store, and return once it works.

        Raises:
            ControlError: it runs already, or ended before it was ready; with its last words.
        """
        await self.start(self._engine(name, rpc_url, options))

    async def stop_engine(self, name: str) -> None:
        """Stop it; nothing where it does not run."""
        await self.stop(name)

    def supervise_engine(self, name: str, *, rpc_url: str) -> None:
        """Start a bundled engine and keep it going, however its first attempts end."""
        self.supervise(self._engine(name, rpc_url))

    def _engine(self, name: str, rpc_url: str, options: Sequence[str] = ()) -> Program:
        arguments = (
            *(name, "--store", self._store_url, "--rpc", rpc_url),
            *options,
            "--stop-with-stdin",
        )
        return Program(name=name, arguments=arguments)

    # --- Any program

    async def start(self, program: Program) -> Mapping[str, object]:
        """Start it, and return what its READY line says. Raises as `start_engine`."""
        supervised = self._begin(program, patient=False)
        try:
            return await supervised.ready()
        except BaseException:
            await supervised.stop()
            raise

    def supervise(self, program: Program) -> None:
        """Start it and keep it going."""
        self._begin(program, patient=True)

    async def stop(self, name: str) -> None:
        """Stop it; nothing where it does not run."""
        if (found := self._supervised.get(name)) is not None:
            await found.stop()

    async def restart(self, name: str) -> None:
        """Stop it and start it anew, with a clean slate."""
        found = self._supervised.get(name)
        if found is None:
            raise ControlError(f"{name} was never started here")
        await found.stop()
        self._begin(found.program, patient=True)

    async def close(self) -> None:
        """Stop everything."""
        await asyncio.gather(*(each.stop() for each in self._supervised.values()))

    def _begin(self, program: Program, *, patient: bool) -> _Supervised:
        known = self._supervised.get(program.name)
        if known is not None and known.is_active:
            raise ControlError(f"{program.name} runs already")
        supervised = _Supervised(self._means, program, patient=patient)
        self._supervised[program.name] = supervised
        supervised.begin()
        return supervised


@final
class BundledEngines:
    """The engines that come with Signalbox, started or not.

    An engine runs on the ledger that the operator has named, and on no other: real debts must not be
    settled with play money.
    """

    def __init__(
        self, supervisor: EngineSupervisor, configured: Callable[[], Mapping[str, str]]
    ) -> None:
        self._supervisor = supervisor
        self._configured = configured

    @property
    def statuses(self) -> Sequence[ProcessStatus]:
        """Every engine that can be started from here, and every process that was."""
        started = self._supervisor.statuses
        names = {status.name for status in started}
        never = [self._never_started(name) for name in BUNDLED if name not in names]
        return (*started, *never)

    def status(self, name: str) -> ProcessStatus | None:
        """Return one, or None where there is no such engine."""
        found = self._supervisor.status(name)
        return self._never_started(name) if found is None and name in BUNDLED else found

    async def stop(self, name: str) -> None:
        """Stop it."""
        await self._supervisor.stop(name)

    async def restart(self, name: str) -> None:
        """Start it anew, whether it runs or not; raises ControlError with its last words."""
        if self._supervisor.status(name) is not None:
            await self._supervisor.restart(name)
            return
        if name not in BUNDLED:
            raise ControlError(f"there is no engine {name!r}")
        rpc_url = self._configured().get(name)
        if rpc_url is None:
            raise ControlError(f"no chain is named for the engine {name}: {HOW_TO_SET_UP}")
        await self._supervisor.start_engine(name, rpc_url=rpc_url)

    def _never_started(self, name: str) -> ProcessStatus:
        if name in self._configured():
            state, sentence = ProcessState.STOPPED, f"{name} has not been started."
        else:
            state = ProcessState.NOT_SET_UP
            sentence = f"No chain is named for this engine: {HOW_TO_SET_UP}."
        return ProcessStatus(name=name, state=state, sentence=sentence)


@final
@dataclass(frozen=True, slots=True)
class _Means:
    """What a supervised process is started with, and who is told."""

    command: Callable[[Program], Sequence[str]]
    sleep: Callable[[float], Awaitable[None]]
    monotonic: Callable[[], float]
    stop_seconds: float
    on_change: Callable[[str], object]


@final
class _Supervised:
    """One process and the task that keeps it going."""

    def __init__(self, means: _Means, program: Program, *, patient: bool) -> None:
        self.program = program
        self._means = means
        self._patient = patient
        """Whether it is tried again where it has never been ready."""
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._ready: asyncio.Future[Mapping[str, object]] = (
            asyncio.get_running_loop().create_future()
        )
        self._restarts = 0
        self._exit_code: int | None = None
        self._state = ProcessState.STARTING
        self._sentence = f"{program.name} is starting."

    @property
    def is_active(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def status(self) -> ProcessStatus:
        return ProcessStatus(
            name=self.program.name,
            state=self._state,
            sentence=self._sentence,
            pid=None if self._process is None else self._process.pid,
            restarts=self._restarts,
            exit_code=self._exit_code,
            last_lines=tuple(self._lines),
        )

    def begin(self) -> None:
        """Keep it going from now on."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._keep(), name=f"keep {self.program.name}")
        self._means.on_change(self.program.name)

    async def ready(self) -> Mapping[str, object]:
        """Wait until it says READY for the first time; raises ControlError where it ends before."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await asyncio.shield(self._ready)
        except TimeoutError:
            raise ControlError(
                f"{self.program.name} was not ready within {READY_SECONDS:.0f} s; "
                f"it last wrote: {self._last_words()}"
            ) from None

    async def stop(self) -> None:
        """End it for good."""
        if self.is_active:
            assert self._task is not None
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._set(ProcessState.STOPPED, f"{self.program.name} is stopped.")
        if not self._ready.cancel() and not self._ready.cancelled():
            self._ready.exception()  # looked at: nobody waits for it any more

    async def _keep(self) -> None:
        failures, wait = 0, BACK_OFF_SECONDS_MIN
        while True:
            began = self._means.monotonic()
            self._set(ProcessState.STARTING, f"{self.program.name} is starting.")
            why = await self._run()
            if self._means.monotonic() - began >= HEALTHY_SECONDS:
                failures, wait = 0, BACK_OFF_SECONDS_MIN
            failures += 1
            if not self._patient and not self._ready.done():
                self._set(ProcessState.GAVE_UP, why)
                self._ready.set_exception(ControlError(why.rstrip(".")))
                return
            if failures >= FAILURES_MAX:
                self._set(
                    ProcessState.GAVE_UP, f"{why} It was tried {failures} times: given up."
                )
                log.error("%s", self._sentence)
                return
            self._set(ProcessState.WAITING, f"{why} Started again in {wait:.0f} s.")
            log.warning("%s", self._sentence)
            await self._means.sleep(wait)
            wait = min(wait * 2, BACK_OFF_SECONDS_MAX)
            self._restarts += 1

    async def _run(self) -> str:
        """Run it once, to its end; return a sentence on how that was."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._means.command(self.program),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, **self.program.environment},
                start_new_session=True,
                limit=LINE_OCTETS_MAX,
            )
        except OSError as error:
            self._lines.append(str(error))
            return f"{self.program.name} cannot be started: {error}."
        self._process = process
        try:
            await self._read(process)
            self._exit_code = await process.wait()
        finally:
            await _end(process, self._means.stop_seconds)
            self._process = None
        return f"{self.program.name} {_how_ended(self._exit_code)}: {self._last_words()}."

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than the limit: what was read of it is dropped
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if text.startswith("READY"):
                self._say_ready(text.removeprefix("READY"))
            elif text:
                self._lines.append(text)

    def _say_ready(self, said: str) -> None:
        self._set(ProcessState.RUNNING, f"{self.program.name} is running.")
        if self._ready.done():
            return
        try:
            words = json.loads(said or "{}")
        except ValueError:
            words = {}
        self._ready.set_result(words if isinstance(words, dict) else {})

    def _last_words(self) -> str:
        return (
            f"it last wrote “{self._lines[-1].rstrip('.')}”"
            if self._lines
            else "it wrote nothing"
        )

    def _set(self, state: ProcessState, sentence: str) -> None:
        self._state, self._sentence = state, sentence
        self._means.on_change(self.program.name)


def _how_ended(exit_code: int | None) -> str:
    if exit_code is None:
        return "ended"
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with status {exit_code}"


async def _end(process: asyncio.subprocess.Process, stop_seconds: float) -> None:
    """See to it that a process has ended: its stdin closes, it is asked, it is made to."""
    if process.returncode is not None:
        return
    assert process.stdin is not None
    process.stdin.close()
    for insist in (process.terminate, process.kill):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_drained(process), stop_seconds)
            return
        with contextlib.suppress(ProcessLookupError):
            insist()
    await _drained(process)


async def _drained(process: asyncio.subprocess.Process) -> None:
    """Wait for its end, and read away what it still writes: a full pipe must not keep it."""
    assert process.stdout is not None
    while await process.stdout.read(LINE_OCTETS_MAX):
        pass
    await process.wait()
