"""How smooth the window stays while its node forwards packets, what it takes of memory, and who holds it up.

The window runs here, without a display, put together as the application does; packets come from one
process and end in another. A precise timer of Qt's is to fire every 16 ms: how much more lies between two
of its ticks is how long something has held up the window, be it another program that had the processor: what a
busy machine does to a window that does nothing is the first line. `busy` is what the window's own thread
has computed from one tick to the next, which other programs hardly change: a tick that is late while the thread
computed for less than 16 ms has waited for the processor, and `computing in` counts the others.

    python -m tests.benchmarks.window --seconds 60
    python -m tests.benchmarks.window --seconds 600 --page all --who
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any, Final

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_API", "pyside6")

from desktop.qt_imports import load_qt

load_qt()  # first, as the application does: it is a matter of the memory that is measured

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from core.config import Bind, NodeConfig
from core.control.views import AccountDetails
from core.packet import address
from desktop.app import Desktop, Options, set_up_application
from desktop.event_loop import new_event_loop
from desktop.settings import SettingsFile
from desktop.theme import Theme, ThemeChoice

ROOT: Final = Path(__file__).parents[2]
TICK_MS: Final = 16
PERIOD_SECONDS: Final = 5.0
"""How often a line is printed, and with `--page all` the page is changed."""
HELD_UP_MS: Final = 16.0
WATCH_SECONDS: Final = 0.004
CONNECTIONS: Final = 20
TARGETS: Final = "jitter p99 ≤ 30 ms, RSS ≤ 250 MB and flat"


def percentile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else 0.0


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Ticks:
    """The timer, and how much too late each of its ticks is."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.busy_ms: list[float] = []
        self.last = time.perf_counter()
        self._used = time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late_ms.append(max(0.0, (now - self.last) * 1000 - TICK_MS))
        self.last = now
        used = time.thread_time()
        self.busy_ms.append((used - self._used) * 1000)
        self._used = used

    def used_ms(self) -> float:
        """Return what the window's thread has computed since the last tick."""
        return (time.thread_time() - self._used) * 1000

    def take(self) -> tuple[list[float], list[float]]:
        """Return what there is since the last call: how late each was, and how busy it was till then."""
        taken = self.late_ms, self.busy_ms
        self.late_ms, self.busy_ms = [], []
        return taken


@dataclass(slots=True)
class Callbacks:
    """How long asyncio's callbacks take: a slice of the loop cannot end within one."""

    longest: float = 0.0
    over: collections.Counter[str] = field(default_factory=collections.Counter)

    def watch(self) -> None:
        """Time every callback from now on."""
        run = asyncio.Handle._run
        clock = time.perf_counter

        def timed(handle: Any) -> None:
            started = clock()
            run(handle)
            took = (clock() - started) * 1000
            if took > self.longest:
                self.longest = took
            if took > HELD_UP_MS:
                self.over[_name(handle)] += 1

        asyncio.Handle._run = timed  # type: ignore[assignment,method-assign]

    def take(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest


def _name(handle: Any) -> str:
    owner = getattr(handle._callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"task {owner.get_coro().__qualname__}"  # type: ignore[union-attr]
    return getattr(handle._callback, "__qualname__", repr(handle._callback))


class Watchdog:
    """Looks every few milliseconds what the window is at, if a tick is overdue.

    By a signal, so that it runs in the window's own thread: another thread that holds a frame ends what
    was painted with, when it lets go of it, and the process with that.
    """

    def __init__(self, ticks: Ticks) -> None:
        self.seen: collections.Counter[str] = collections.Counter()
        self._ticks = ticks
        self._looking = False
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, WATCH_SECONDS, WATCH_SECONDS)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        if self._looking:
            return  # a look that takes longer than a period must not look at itself
        self._looking = True
        overdue = (time.perf_counter() - self._ticks.last) * 1000 - TICK_MS
        if self._ticks.used_ms() > HELD_UP_MS:
            self.seen[f"computing: {_where(frame)}"] += 1
        elif overdue > HELD_UP_MS:
            # It has not computed that long: another program had the processor.
            self.seen["waiting for the processor"] += 1
        self._looking = False

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _where(frame: FrameType | None) -> str:
    """Return the innermost frames of ours."""
    stack = traceback.extract_stack(frame)
    ours = [
        f"{Path(entry.filename).relative_to(ROOT)}:{entry.lineno} {entry.name}"
        for entry in stack
        if entry.filename.startswith((str(ROOT / "core"), str(ROOT / "desktop")))
    ]
    return " < ".join(reversed(ours[-3:]))


@contextlib.asynccontextmanager
async def opened(application: QApplication, folder: str) -> AsyncIterator[Desktop]:
    """Open the window as the application does, on a node of its own, with two accounts to come."""
    stylesheet = files("resources").joinpath("styles", "app.qss").read_text()
    theme = Theme(application, stylesheet, ThemeChoice.LIGHT)
    config = NodeConfig(
        store=f"sqlite:///{folder}/node/signalbox.db",
        http_bind=Bind("127.0.0.1", 0),
        ilp_address=address("test.node"),
    )
    async with Desktop.opened(Options(config=config), SettingsFile(None), theme) as desktop:
        closing = asyncio.Event()
        serving = asyncio.get_running_loop().create_task(desktop.serve(closing))
        yield desktop
        closing.set()
        await serving


async def program(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.load", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )


async def add_accounts(desktop: Desktop, sink_port: int, count: int) -> None:
    names = ["alice", "bob", *(f"peer{number}" for number in range(2, count))]
    for name in names:
        await desktop.node.operator.create_account(
            AccountDetails(
                username=name,
                asset_code="USD",
                asset_scale=9,
                ilp_over_http_url=f"http://127.0.0.1:{sink_port}/",
                ilp_over_http_outgoing_token=f"token-{name}",
                ilp_over_http_incoming_token=f"token-{name}",
            )
        )


@dataclass(slots=True)
class Measured:
    """What the probes have found, period by period."""

    ticks: Ticks
    callbacks: Callbacks
    late_ms: array[float] = field(default_factory=lambda: array("f"))
    """Four octets a tick, lest what is measured be the probe's own memory."""
    busy_ms: array[float] = field(default_factory=lambda: array("f"))
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, and MB."""
    longest: float = 0.0

    async def period(self, desktop: Desktop, name: str, seconds: float, since: float) -> None:
        """Let a while pass, and print a line about it."""
        before = await desktop.node.operator.status()
        self.ticks.take()
        self.callbacks.take()
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        took = time.perf_counter() - began
        cpu = time.process_time() - cpu
        (late, busy), longest = self.ticks.take(), self.callbacks.take()
        after = await desktop.node.operator.status()
        memory = resident_mb()
        self.late_ms.extend(late)
        self.busy_ms.extend(busy)
        self.longest = max(self.longest, longest)
        self.memory.append((time.perf_counter() - since, memory))
        print(
            f"{name:14} {(after.fulfills - before.fulfills) / took:6.0f}/s  CPU {cpu / took:4.0%}  "
            f"{self.late(late, busy)}  {self.busy(busy)}  longest callback {longest:5.1f} ms  RSS {memory:5.1f} MB",
            flush=True,
        )

    @staticmethod
    def late(late: Sequence[float], busy: Sequence[float]) -> str:
        """Say how late ticks were, and of the late ones how many were so because the window was computing."""
        shares = [percentile(late, share) for share in (0.5, 0.99, 1.0)]
        held = [used for each, used in zip(late, busy, strict=True) if each > HELD_UP_MS]
        ours = sum(1 for used in held if used > HELD_UP_MS)
        return (
            f"late by p50 {shares[0]:4.1f}  p99 {shares[1]:5.1f}  max {shares[2]:6.1f} ms  "
            f"> {HELD_UP_MS:.0f} ms: {len(held)} of {len(late)}, computing in {ours}"
        )

    @staticmethod
    def busy(busy: Sequence[float]) -> str:
        return f"busy p99 {percentile(busy, 0.99):4.1f}  max {max(busy, default=0.0):5.1f} ms"

    def growth(self) -> float:
        """Return how many MB a minute memory has grown in the second half, by least squares."""
        half = self.memory[len(self.memory) // 2 :]
        if len(half) < 2:
            return 0.0
        mean_s = sum(at for at, _ in half) / len(half)
        mean_mb = sum(mb for _, mb in half) / len(half)
        above = sum((at - mean_s) * (mb - mean_mb) for at, mb in half)
        return 60 * above / sum((at - mean_s) ** 2 for at, _ in half)


async def measure(application: QApplication, asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with opened(application, folder) as desktop:
            await look(desktop, asked)


async def look(desktop: Desktop, asked: argparse.Namespace) -> None:
    sink = await program("sink")
    assert sink.stdout is not None
    line = await sink.stdout.readline()
    await add_accounts(desktop, json.loads(line.removeprefix(b"READY "))["port"], asked.peers)
    keys = [page.key for page in desktop.pages]
    shown = keys if asked.page == "all" else [asked.page]
    desktop.window.show_page(shown[0])
    await asyncio.sleep(2)

    measured = Measured(Ticks(), Callbacks())
    measured.callbacks.watch()
    since = time.perf_counter()
    await measured.period(desktop, "no packets", PERIOD_SECONDS, since)
    del measured.late_ms[:], measured.busy_ms[:]
    measured.memory.clear()
    measured.longest = 0.0
    watchdog = Watchdog(measured.ticks) if asked.who else None
    source = await program(
        *("source", f"{desktop.node.url}/accounts/alice/ilp"),
        *("--token", "token-alice", "--destination", "test.node.bob.benchmark"),
        *("--rate", str(asked.rate), "--in-flight", str(CONNECTIONS)),
        *("--warm", "2", "--seconds", str(asked.seconds + 2)),
    )
    await asyncio.sleep(2)
    for number in range(max(1, round(asked.seconds / PERIOD_SECONDS))):
        key = shown[number % len(shown)]
        desktop.window.show_page(key)
        await measured.period(desktop, key, PERIOD_SECONDS, since)
    said, _ = await source.communicate()
    await sink.communicate(b"")
    told = json.loads(said)
    print(
        f"\nall            {told['fulfilled'] / told['seconds']:6.0f}/s, not fulfilled "
        f"{told['others'] + told['broken']}, not sent {told['skipped']}; answered after p50 "
        f"{told['p50_us'] / 1000:.1f} ms, p99 {told['p99_us'] / 1000:.1f} ms\n"
        f"               {measured.late(measured.late_ms, measured.busy_ms)}  {measured.busy(measured.busy_ms)}  longest callback {measured.longest:.1f} ms\n"
        f"               RSS {measured.memory[0][1]:.1f} MB at first, {measured.memory[-1][1]:.1f} MB at last, "
        f"in the second half {measured.growth():+.2f} MB a minute   (wanted: {TARGETS})"
    )
    for name, count in measured.callbacks.over.most_common(10):
        print(f"  callback > {HELD_UP_MS:.0f} ms: {count:4} × {name}")
    if watchdog is not None:
        watchdog.stop()
        for where, count in watchdog.seen.most_common(20):
            print(f"  overdue, seen {count:4} × {where}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure how smooth the window stays while its node forwards packets.",
        epilog=f"A tick that is late by L ms means that something held up the window for L ms. Wanted: {TARGETS}. "
        f"A line is printed every {PERIOD_SECONDS:.0f} s; ten minutes are --seconds 600.",
    )
    parser.add_argument(
        "--rate", type=float, default=500.0, help="packets a second; default: %(default)s"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of traffic; default: %(default)s"
    )
    parser.add_argument(
        "--peers",
        type=int,
        default=20,
        help="accounts, two of which have traffic; default: %(default)s",
    )
    parser.add_argument(
        "--page",
        default="all",
        help="which page is shown; `all` goes through them; default: %(default)s",
    )
    parser.add_argument(
        "--who",
        action="store_true",
        help="look what the window is at while it is held up; costs a little",
    )
    asked = parser.parse_args()
    application = set_up_application()
    with asyncio.Runner(loop_factory=lambda: new_event_loop(application)) as runner:
        runner.run(measure(application, asked))


if __name__ == "__main__":
    main()
