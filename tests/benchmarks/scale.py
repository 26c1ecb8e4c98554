"""How a node with many accounts and routes starts, what it takes of memory, and how long a look-up takes.

The node is a process of its own, started on a store that was filled before; what is printed of it is what
the operating system says. Each start is measured several times, and the median is printed.

    python -m tests.benchmarks.scale --accounts 1000 --routes 100000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from core.account import NewTokens, Secret
from core.clock import WallClock
from core.packet import Prepare, address
from core.routing.table import Route, RouteSource, RoutingTable
from core.services.echo import PING_CONDITION
from core.stores import open_stores
from core.testing.builders import account
from tests.benchmarks.forwarding import TOKEN, Result, Subject, measure, ready, running
from tests.benchmarks.load import cpu_seconds

NODE_ADDRESS: Final = "test.node"
TARGETS: Final = {"start": "< 3 s", "look-up": "< 5 µs", "memory": "≤ 100 MB"}


def name(number: int) -> str:
    """Return an account's name; the first two are those that the load generator sends between."""
    return {0: "alice", 1: "bob"}.get(number, f"account{number}")


def prefixes(count: int) -> Sequence[str]:
    """Return so many prefixes of two to five segments, as another network's might be."""
    chance = random.Random(1)
    networks = [f"net{number}" for number in range(200)]
    found = {
        ".".join(
            [
                "test",
                chance.choice(networks),
                *(f"{chance.randrange(10**5):05d}" for _ in range(chance.randint(1, 3))),
            ]
        )
        for _ in range(count)
    }
    while len(found) < count:
        found.add(f"test.net0.more.{len(found)}")
    return sorted(found)


async def fill(store: str, accounts: int, routes: int, sink_port: int) -> None:
    """Make a store with so much in it."""
    stores = await open_stores(store, WallClock())
    ids = []
    for number in range(accounts):
        made = replace(
            account(name(number)),
            ilp_address=address(f"{NODE_ADDRESS}.{name(number)}"),
            ilp_over_http_url=f"http://127.0.0.1:{sink_port}/",
        )
        tokens = NewTokens(
            ilp_over_http_incoming=Secret(f"token-{name(number)}"),
            ilp_over_http_outgoing=Secret(f"token-{name(number)}"),
        )
        await stores.accounts.insert_account(made, tokens)
        ids.append(made.id)
    if routes:
        await stores.routes.replace_routes(
            {prefix: ids[number % len(ids)] for number, prefix in enumerate(prefixes(routes))}
        )
    await stores.settings.save_setting("ilp_address", NODE_ADDRESS)
    await stores.close()


@dataclass(frozen=True, slots=True)
class Started:
    """One node process that serves."""

    subject: Subject
    seconds: float
    cpu_seconds: float


@contextlib.contextmanager
def node(store: str, folder: Path) -> Iterator[Started]:
    """Start a node as an operator would, and measure how long that takes."""
    command = [
        sys.executable,
        "-m",
        "core",
        "run",
        "--store",
        store,
        "--http-bind",
        "127.0.0.1:0",
    ]
    began = time.perf_counter()
    with running(
        command, folder / "node.log", environment={"SIGNALBOX_ADMIN_TOKEN": TOKEN}
    ) as process:
        told: Result = ready(process)
        seconds = time.perf_counter() - began
        url = f"{told['url']}/accounts/alice/ilp"
        destination = f"{NODE_ADDRESS}.bob.benchmark"
        yield Started(
            Subject("node", process, process.pid, url, destination),
            seconds,
            cpu_seconds(process.pid),
        )


def send_from_each(subject: Subject, accounts: int) -> None:
    """Let each account send one packet, which the node itself answers and books."""
    host = subject.url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=10)
    for number in range(accounts):
        packet = Prepare.build(
            amount=1,
            expires_at_ms=time.time_ns() // 1_000_000 + 20_000,
            condition=PING_CONDITION,
            destination=NODE_ADDRESS,
            data=b"",
        )
        connection.request(
            "POST",
            f"/accounts/{name(number)}/ilp",
            bytes(packet.octets),
            {
                "Authorization": f"Bearer token-{name(number)}",
                "Content-Type": "application/octet-stream",
            },
        )
        response = connection.getresponse()
        body = response.read()
        if response.status != 200 or body[0] != 13:
            raise SystemExit(f"{name(number)}: {response.status} {body!r}")
    connection.close()


def measure_node(folder: Path, accounts: int, routes: int, asked: argparse.Namespace) -> str:
    """Return one row: a node with so much in its store."""
    with running(
        [sys.executable, "-m", "tests.benchmarks.load", "sink"], folder / "sink.log"
    ) as sink:
        store = f"sqlite:///{folder / f'{accounts}-{routes}' / 'node.db'}"
        asyncio.run(fill(store, accounts, routes, ready(sink)["port"]))
        seconds, cpu, memory = [], [], []
        after = "-"
        for round_number in range(asked.rounds):
            with node(store, folder) as started:
                seconds.append(started.seconds)
                cpu.append(started.cpu_seconds)
                memory.append(started.subject.memory_mb)
                if round_number == asked.rounds - 1 and accounts >= 2 and asked.seconds > 0:
                    send_from_each(started.subject, accounts)
                    told = measure(started.subject, 16, 0.5, asked.seconds)
                    packets = told["fulfilled"]
                    after = (
                        f"{started.subject.memory_mb:.0f} after {packets + accounts} packets"
                    )
                    if told["others"] or told["broken"]:
                        raise SystemExit(f"not all packets were fulfilled: {told}")
    return (
        f"| {accounts} | {routes} | {statistics.median(seconds):.2f} ({min(seconds):.2f}.."
        f"{max(seconds):.2f}) | {statistics.median(cpu):.2f} | {statistics.median(memory):.0f} "
        f"| {after} |"
    )


def measure_look_ups(routes: int) -> str:
    """Return one row: what finding the next hop costs in a table of so many routes."""
    known = prefixes(routes)
    table = RoutingTable(
        Route(prefix, account("alice").id, RouteSource.STATIC) for prefix in known
    )
    chance = random.Random(2)
    rows = []
    for kind, destinations in (
        (
            "two segments behind a route",
            [f"{chance.choice(known)}.alice.invoice" for _ in range(10_000)],
        ),
        (
            "an account's packet (STREAM)",
            [
                f"{chance.choice(known)}.bDSMJkmm7LaYZFbyy4OOSsAe8PmGd3SLlgbB0ymkyfo"
                for _ in range(10_000)
            ],
        ),
        ("nowhere", [f"test.nowhere.{number}.a.b.c.d" for number in range(10_000)]),
    ):
        best = min(_seconds(table, destinations) for _ in range(5))
        rows.append(f"| {routes} | {kind} | {best / len(destinations) * 1e6:.2f} |")
    return "\n".join(rows)


def _seconds(table: RoutingTable, destinations: Sequence[str]) -> float:
    look_up = table.look_up
    started = time.process_time()
    for destination in destinations:
        look_up(destination)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure how a node with many accounts and routes starts, and what it takes of memory.",
        epilog="; ".join(f"{what}: {target}" for what, target in TARGETS.items())
        + ", with a thousand accounts and a hundred thousand routes.",
    )
    parser.add_argument("--accounts", type=int, default=1_000, help="default: %(default)s")
    parser.add_argument("--routes", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument(
        "--rounds", type=int, default=3, help="starts of each node; default: %(default)s"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        help="of forwarding, before memory is read again; 0 forwards nothing; default: %(default)s",
    )
    asked = parser.parse_args()

    print("| accounts | routes | start s (min..max) | its CPU s | memory MB | memory MB |")
    print("|---" * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for accounts, routes in ((2, 0), (asked.accounts, 0), (asked.accounts, asked.routes)):
            print(measure_node(Path(folder), accounts, routes, asked), flush=True)
    print("\n| routes | destination | look-up µs |")
    print("|---" * 3 + "|")
    print(measure_look_ups(asked.routes))


if __name__ == "__main__":
    main()
