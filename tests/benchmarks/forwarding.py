"""What forwarding a packet costs: this node, this node inside its window, and ilp-connector, in turns.

Every round measures each subject at each number of packets in flight, so that whatever else the
machine does meets them all alike; the median of the rounds is printed. The figure to compare is the
CPU time of the forwarding process, all its threads, per packet: it does not depend on how many
cores the source and the sink share with it.

    python -m tests.benchmarks.forwarding --rounds 5
    python -m tests.benchmarks.forwarding --rounds 5 --link btp
    python -m tests.benchmarks.forwarding --rounds 5 --pinned
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

ROOT: Final = Path(__file__).parents[2]
PEERS: Final = ROOT / "tests" / "peers"
TOKEN: Final = "benchmark-0123456789"
BASELINE: Final = "ilp-connector"
ON_DESKTOP_LOOP: Final = """
import gc
import sys
import core.__main__ as node
from desktop.app import set_up_application
from desktop.event_loop import new_event_loop
application = set_up_application()
gc.freeze()
node._loop_factory = lambda: lambda: new_event_loop(application)
sys.exit(node.main())
"""
"""The headless node on the window's event loop, with no widget there: what the loop costs by itself.

What Qt has loaded is kept out of the garbage collector's sight, as in the window.
"""

Result: TypeAlias = dict[str, Any]


@dataclass
class Subject:
    """Something that forwards packets from alice to bob."""

    name: str
    process: subprocess.Popen[bytes]
    pid: int
    url: str
    destination: str

    @property
    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], log: Path, *, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the background; end it, and show its log where it failed."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        if process.poll() not in {None, 0}:
            sys.stderr.write(f"{command[0]} ended with {process.poll()}:\n{log.read_text()}\n")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ready(process: subprocess.Popen[bytes]) -> Result:
    """Wait for the READY line, and return what it says."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(b"READY "):
            told: Result = json.loads(line[6:])
            return told
    raise SystemExit("a program ended before it was ready")


def call(url: str, method: str, body: object = None) -> None:
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        response.read()


def set_up_accounts(url: str, sink_port: int | None) -> None:
    """Make the two accounts by the operator's API, as an operator would; without a sink's port, for BTP."""
    for name in ("alice", "bob"):
        link = {"ilp_over_btp_incoming_token": f"token-{name}"}
        if sink_port is not None:
            link = {
                "ilp_over_http_url": f"http://127.0.0.1:{sink_port}/",
                "ilp_over_http_incoming_token": f"token-{name}",
                "ilp_over_http_outgoing_token": f"token-{name}",
            }
        call(
            f"{url}/accounts",
            "POST",
            {
                "username": name,
                "asset_code": "USD",
                "asset_scale": 9,
                **link,
            },
        )


@contextlib.contextmanager
def btp_sink(folder: Path, name: str, url: str) -> Iterator[None]:
    """Run a sink that has dialled bob's side."""
    command = [sys.executable, "-m", "tests.benchmarks.load", "sink", "--btp", url]
    with running([*command, "--token", "token-bob"], folder / f"{name}-sink.log") as process:
        ready(process)
        yield


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program answers on its port."""
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit("a program ended before it answered")
        with contextlib.suppress(OSError):
            call(f"{url}/status", "GET")
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing answers at {url}")


@contextlib.contextmanager
def signalbox(
    name: str, command: list[str], store: str, folder: Path, sink_port: int | None
) -> Iterator[Subject]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [*command, "--store", store, "--http-bind", f"127.0.0.1:{port}"]
    environment = {
        "SIGNALBOX_ADMIN_TOKEN": TOKEN,
        "SIGNALBOX_ILP_ADDRESS": "test.node",
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
    }
    with running(arguments, folder / f"{name}.log", environment=environment) as process:
        wait_for(url, process)
        set_up_accounts(url, sink_port)
        destination = "test.node.bob.benchmark"
        if sink_port is None:
            websocket = f"btp+ws://127.0.0.1:{port}/accounts"
            with btp_sink(folder, name, f"{websocket}/bob/ilp/btp"):
                dialled = f"{websocket}/alice/ilp/btp"
                yield Subject(name, process, process.pid, dialled, destination)
            return
        yield Subject(name, process, process.pid, f"{url}/accounts/alice/ilp", destination)


def connector_link(name: str, port: int, sink_port: int | None) -> Result:
    """Return plug-in and options of one of ilp-connector's accounts; over BTP it listens, as our node does."""
    if sink_port is None:
        listener = {"port": port, "secret": f"token-{name}"}
        return {"plugin": "ilp-plugin-btp", "options": {"listener": listener}}
    return {
        "plugin": "ilp-plugin-http",
        "options": {
            "incoming": {"port": port, "staticToken": f"token-{name}"},
            "outgoing": {
                "url": f"http://127.0.0.1:{sink_port}/",
                "staticToken": f"token-{name}",
            },
        },
    }


@contextlib.contextmanager
def ilp_connector(folder: Path, sink_port: int | None, *, balance: bool) -> Iterator[Subject]:
    ports = {"alice": free_port(), "bob": free_port()}
    limit = {"refillPeriod": 60_000, "refillCount": 10**9, "capacity": 10**9}
    accounts = {
        name: {
            "relation": "child",
            "assetCode": "USD",
            "assetScale": 9,
            "rateLimit": limit,
            **(
                {"balance": {"minimum": "-Infinity", "maximum": str(10**18)}} if balance else {}
            ),
            **connector_link(name, port, sink_port),
        }
        for name, port in ports.items()
    }
    config = folder / f"connector-{balance}.json"
    config.write_text(
        json.dumps({
            "env": "test",
            "ilpAddress": "test.conn",
            "accounts": accounts,
            "backend": "one-to-one",
            "spread": 0,
            "store": "memory",
            # With a BTP listener it is ready only once a client has come, or this time has passed.
            "initialConnectTimeout": 1000 if sink_port is None else 5000,
        })
    )  # fmt: skip
    name = "ilp-connector+balance" if balance else "ilp-connector"
    command = ["node", str(PEERS / "connector.js"), str(config)]
    with running(command, folder / f"{name}.log") as process:
        told = ready(process)
        destination = "test.conn.bob.benchmark"
        if sink_port is None:
            with btp_sink(folder, name, f"btp+ws://127.0.0.1:{ports['bob']}"):
                dialled = f"btp+ws://127.0.0.1:{ports['alice']}"
                yield Subject(name, process, told["pid"], dialled, destination)
            return
        url = f"http://127.0.0.1:{ports['alice']}/"
        yield Subject(name, process, told["pid"], url, destination)


def pin(pid: int, cores: set[int]) -> None:
    """Keep a program, with all threads that it has, on these cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


def subjects(
    folder: Path, sink_port: int | None, window: str
) -> dict[str, Callable[[], contextlib.AbstractContextManager[Subject]]]:
    node = [sys.executable, "-m", "core", "run"]
    without_uvloop = "import sys; sys.modules['uvloop'] = None; from core.__main__ import main; sys.exit(main())"
    plain = [sys.executable, "-c", without_uvloop, "run"]
    desktop_loop = [sys.executable, "-c", ON_DESKTOP_LOOP, "run"]

    def file(name: str) -> str:
        return f"sqlite:///{folder / name / 'signalbox.db'}"

    return {
        "node": lambda: signalbox("node", node, file("node"), folder, sink_port),
        "node-memory": lambda: signalbox("node-memory", node, "memory:", folder, sink_port),
        "node-asyncio": lambda: signalbox(
            "node-asyncio", plain, file("node-asyncio"), folder, sink_port
        ),
        "node-desktop-loop": lambda: signalbox(
            "node-desktop-loop", desktop_loop, file("node-desktop-loop"), folder, sink_port
        ),
        "window": lambda: signalbox(
            "window", window.split(), file("window"), folder, sink_port
        ),
        "ilp-connector": lambda: ilp_connector(folder, sink_port, balance=False),
        "ilp-connector+balance": lambda: ilp_connector(folder, sink_port, balance=True),
    }


def measure(subject: Subject, in_flight: int, warm: float, seconds: float) -> Result:
    command = [
        sys.executable, "-m", "tests.benchmarks.load", "source", subject.url,
        "--token", "token-alice", "--destination", subject.destination,
        "--in-flight", str(in_flight), "--warm", str(warm), "--seconds", str(seconds),
        "--pid", str(subject.pid),
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    told: Result = json.loads(done.stdout)
    count = max(1, told["fulfilled"])
    return {
        **told,
        "packets_per_second": told["fulfilled"] / told["seconds"],
        "cpu_us": told["cpu_seconds"][0] / count * 1e6,
        "cpu_share": told["cpu_seconds"][0] / told["seconds"],
    }


def table(results: dict[tuple[str, int], list[Result]], baseline: str) -> str:
    """Return the medians, and each cost as a multiple of the baseline's at the same load."""
    columns = (
        "subject",
        "in flight",
        "packets/s (min..max)",
        "CPU µs/packet (min..max)",
        f"× {baseline}",
        "CPU",
        "p50 ms",
        "p99 ms",
        "not fulfilled",
    )
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]

    def middle(runs: list[Result], key: str) -> float:
        return statistics.median(float(run[key]) for run in runs)

    def spread(runs: list[Result], key: str) -> str:
        values = [float(run[key]) for run in runs]
        return f"{statistics.median(values):.0f} ({min(values):.0f}..{max(values):.0f})"

    for (name, in_flight), runs in results.items():
        beside = results.get((baseline, in_flight))
        ratio = f"{middle(runs, 'cpu_us') / middle(beside, 'cpu_us'):.2f}" if beside else "-"
        lost = sum(int(run["others"]) + int(run["broken"]) for run in runs)
        lines.append(
            f"| {name} | {in_flight} | {spread(runs, 'packets_per_second')} | {spread(runs, 'cpu_us')} "
            f"| {ratio} | {middle(runs, 'cpu_share'):.0%} | {middle(runs, 'p50_us') / 1000:.2f} "
            f"| {middle(runs, 'p99_us') / 1000:.2f} | {lost} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure what forwarding a packet costs, beside ilp-connector.",
        epilog="ilp-connector comes from npm: `npm ci` in tests/peers. Subjects: node (SQLite, durable, "
        "default settings), node-memory, node-asyncio (without uvloop), node-desktop-loop (on the window's event loop, without a window), window (the same inside the offscreen window), ilp-connector "
        "(default: it keeps no balance), ilp-connector+balance (in memory).",
    )
    parser.add_argument("--subjects", default="node,ilp-connector", help="default: %(default)s")
    parser.add_argument(
        "--link",
        choices=("http", "btp"),
        default="http",
        help="over BTP both sides dial, and each has one connection; default: %(default)s",
    )
    parser.add_argument("--in-flight", default="1,16,64", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="counted, a run; default: %(default)s"
    )
    parser.add_argument(
        "--warm", type=float, default=0.5, help="not counted, a run; default: %(default)s"
    )
    parser.add_argument(
        "--first-warm",
        type=float,
        default=3.0,
        help="once a subject, before all rounds; default: %(default)s",
    )
    parser.add_argument(
        "--window-command",
        default=f"{Path(sys.executable).parent / 'signalbox'}",
        help="what starts the window; --store and --http-bind are added; default: %(default)s",
    )
    parser.add_argument(
        "--folder", type=Path, help="where stores and logs go; default: a temporary one"
    )
    parser.add_argument(
        "--pinned",
        action="store_true",
        help="give what forwards a core of its own, as where its peers are on other machines",
    )
    parser.add_argument("--json", type=Path, help="write every run to this file")
    asked = parser.parse_args()
    loads = [int(part) for part in asked.in_flight.split(",")]
    cores = os.sched_getaffinity(0)
    if asked.pinned:
        os.sched_setaffinity(0, cores - {min(cores)})

    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        sink_port = None
        if asked.link == "http":
            sink = stack.enter_context(
                running(
                    [sys.executable, "-m", "tests.benchmarks.load", "sink"], folder / "sink.log"
                )
            )
            sink_port = int(ready(sink)["port"])
        known = subjects(folder, sink_port, asked.window_command)
        names = asked.subjects.split(",")
        if unknown := set(names) - set(known):
            parser.error(
                f"no subject {', '.join(sorted(unknown))}; there are {', '.join(known)}"
            )
        started = [stack.enter_context(known[name]()) for name in names]
        for subject in started:
            if asked.pinned:
                pin(subject.pid, {min(cores)})
            measure(subject, 16, asked.first_warm, 0.2)
        results: dict[tuple[str, int], list[Result]] = {}
        for number in range(asked.rounds):
            for in_flight in loads:
                for subject in started:
                    result = measure(subject, in_flight, asked.warm, asked.seconds)
                    results.setdefault((subject.name, in_flight), []).append(result)
            sys.stderr.write(f"round {number + 1} of {asked.rounds}\n")
        print(
            table(
                dict(sorted(results.items(), key=lambda entry: names.index(entry[0][0]))),
                BASELINE,
            )
        )
        print(
            "\nresident memory, MB:", ", ".join(f"{s.name} {s.memory_mb:.0f}" for s in started)
        )
        if asked.json is not None:
            asked.json.write_text(
                json.dumps([
                    {"subject": name, "in_flight": in_flight, **run}
                    for (name, in_flight), runs in results.items()
                    for run in runs
                ], indent=1)
            )  # fmt: skip


if __name__ == "__main__":
    main()
