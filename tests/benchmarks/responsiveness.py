"""How smooth the window stays while its node forwards packets, page by page, and what memory it takes.

    python tests/benchmarks/responsiveness.py --rate 500 --seconds 20

The window runs in this process, without a display; packets come from one process and end in another.
A precise timer of Qt's is to fire every 16 ms: how far apart its ticks really are is the jitter that
a person would see.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_API", "pyside6")

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from core.config import Bind, NodeConfig
from core.control.views import AccountDetails
from desktop.app import Desktop, Options, set_up_application
from desktop.event_loop import new_event_loop
from desktop.settings import SettingsFile
from desktop.theme import Theme, ThemeChoice

TICK_MS = 16
TOKEN = "token-alice"
CONNECTIONS = 20
LOAD = Path(__file__).with_name("load.py")
STYLE = Path(__file__).parents[2] / "resources" / "styles" / "app.qss"


def percentile(values: list[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else 0.0


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


class Ticks:
    """How far apart the ticks of a 16 ms timer are."""

    def __init__(self) -> None:
        self.intervals: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.intervals.append((now - self._last) * 1000)
        self._last = now

    def stop(self) -> None:
        self._timer.stop()


async def paced_source(url: str, rate: float) -> None:
    """Send `rate` packets a second until standard input ends."""
    from aiohttp import ClientSession, TCPConnector

    from core.packet import Prepare
    from tests.benchmarks.load import CONDITION, EXPIRES_IN_MS

    async def lane(session: ClientSession, number: int) -> None:
        interval = CONNECTIONS / rate
        due = time.monotonic() + interval * number / CONNECTIONS
        serial = number << 48
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + interval, time.monotonic() - 1)
            serial += 1
            packet = Prepare.build(
                amount=10,
                expires_at_ms=time.time_ns() // 1_000_000 + EXPIRES_IN_MS,
                condition=CONDITION,
                destination="test.node.bob.benchmark",
                data=serial.to_bytes(8, "big"),
            )
            async with session.post(
                url,
                data=bytes(packet.octets),
                headers={
                    "Authorization": f"Bearer {TOKEN}",
                    "Content-Type": "application/octet-stream",
                },
            ) as response:
                body = await response.read()
                counts["fulfilled" if body[:1] == b"\x0d" else "others"] += 1

    counts = {"fulfilled": 0, "others": 0}
    async with ClientSession(connector=TCPConnector(limit=CONNECTIONS)) as session:
        lanes = [
            asyncio.get_running_loop().create_task(lane(session, i)) for i in range(CONNECTIONS)
        ]
        await asyncio.to_thread(sys.stdin.buffer.read)
        for each in lanes:
            each.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
    print(json.dumps(counts), flush=True)


async def measure(application: QApplication, rate: float, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        theme = Theme(application, STYLE.read_text(), ThemeChoice.LIGHT)
        config = NodeConfig(
            store=f"sqlite:///{folder}/node/signalbox.db",
            http_bind=Bind("127.0.0.1", 0),
            ilp_address="test.node",  # type: ignore[arg-type]  # it is one
        )
        options = Options(config=config)
        async with Desktop.opened(options, SettingsFile(None), theme) as desktop:
            closing = asyncio.Event()
            serving = asyncio.get_running_loop().create_task(desktop.serve(closing))
            await look(desktop, rate, seconds)
            closing.set()
            await serving


async def look(desktop: Desktop, rate: float, seconds: float) -> None:
    pipe = asyncio.subprocess.PIPE
    sink = await asyncio.create_subprocess_exec(
        sys.executable, str(LOAD), "sink", stdin=pipe, stdout=pipe
    )
    assert sink.stdout is not None
    port = json.loads((await sink.stdout.readline()).removeprefix(b"READY "))["port"]
    for name in ("alice", "bob"):
        await desktop.node.operator.create_account(
            AccountDetails(
                username=name,
                asset_code="USD",
                asset_scale=9,
                ilp_over_http_url=f"http://127.0.0.1:{port}/",
                ilp_over_http_outgoing_token=f"token-{name}",
                ilp_over_http_incoming_token=f"token-{name}",
            )
        )
    await report(desktop, "no packets, overview", seconds)
    source = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--source",
        f"{desktop.node.url}/accounts/alice/ilp",
        "--rate",
        str(rate),
        stdin=pipe,
        stdout=pipe,
    )
    await asyncio.sleep(2)
    for page in desktop.pages:
        desktop.window.show_page(page.key)
        await asyncio.sleep(2)
        await report(desktop, f"{rate:.0f} packets/s, {page.key}", seconds)
    said, _ = await source.communicate(b"")
    sys.stdout.write(f"source: {said.decode().strip()}\n")
    await sink.communicate(b"")


async def report(desktop: Desktop, name: str, seconds: float) -> None:
    before = await desktop.node.operator.status()
    cpu = time.process_time()
    ticks = Ticks()
    await asyncio.sleep(seconds)
    ticks.stop()
    cpu = time.process_time() - cpu
    after = await desktop.node.operator.status()
    packets = (after.fulfills - before.fulfills) / seconds
    spread = [percentile(ticks.intervals, share) for share in (0.5, 0.95, 0.99, 1.0)]
    sys.stdout.write(
        f"{name:34} {packets:6.0f}/s  cpu {cpu / seconds * 100:3.0f} %  16 ms ticks: p50 {spread[0]:5.1f}  "
        f"p95 {spread[1]:5.1f}  p99 {spread[2]:5.1f}  max {spread[3]:5.1f} ms  rss {resident_mb():4.0f} MB\n"
    )
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rate", type=float, default=500.0, help="packets a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each page")
    parser.add_argument("--source", metavar="URL", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.source:
        asyncio.run(paced_source(asked.source, asked.rate))
        return
    application = set_up_application()
    with asyncio.Runner(loop_factory=lambda: new_event_loop(application)) as runner:
        runner.run(measure(application, asked.rate, asked.seconds))


if __name__ == "__main__":
    main()
