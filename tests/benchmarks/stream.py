"""What a STREAM payment of a thousand packets costs: our sender, and JavaScript's, to the same receiver.

One receiver (ilp-protocol-stream) behind this node, which converts nothing and books everything:

* `signalbox`: our sender, in the node's own process, as the node pays
* `ilp-protocol-stream`: JavaScript's sender, a process of its own behind an account of the same node
* `javascript alone`: the same sender and a second such receiver, with ilp-connector between them

A payment is measured from the first probe to the end of the connection. The subjects take turns. CPU
is user and system time of all threads, per packet that moved money, a process each and together:
what an operator's machine has to do for the payment.

    python -m tests.benchmarks.stream --rounds 7
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.account import Secret
from core.clock import WallClock
from core.config import Bind, NodeConfig
from core.host import NodeHost
from core.packet import Prepare, Reply, address
from core.service import IncomingRequest
from core.stream.sender.sender import StreamSender
from core.stream.sender.terms import PaymentTerms
from core.tasks import TaskOwner
from tests.benchmarks.forwarding import PEERS, TOKEN, call, free_port, ready, running

AMOUNT: Final = 1_000_000
MAX_PACKET: Final = 1_000
PACKETS: Final = AMOUNT // MAX_PACKET
TICKS: Final = os.sysconf("SC_CLK_TCK")

OURS: Final = "signalbox"
THEIRS: Final = "ilp-protocol-stream"
ALONE: Final = "javascript alone"


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass
class Figures:
    """What the payments of one subject took."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)

    @property
    def together_us(self) -> float:
        return sum(statistics.median(each) for each in self.cpu_us.values())


@dataclass
class Talk:
    """A program that answers each line with one."""

    process: subprocess.Popen[bytes]

    def ask(self, question: object) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a program ended in the middle of a payment")
        told: dict[str, Any] = json.loads(line.partition(b" ")[2])
        return told


# --- The node with our sender in it, as a process


async def serve_and_pay(store: str, port: int) -> None:
    """Run a node, and make a payment from alice for each line on standard input."""
    host = await NodeHost.start(
        NodeConfig(
            store=store,
            ilp_address=address("test.node"),
            http_bind=Bind("127.0.0.1", port),
            admin_token=Secret(TOKEN),
        )
    )
    tasks = TaskOwner("payments", tasks_max=1_000)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("READY {}", flush=True)

    async def send(prepare: Prepare) -> Reply:
        alice = host.node.directory.by_username("alice")
        assert alice is not None
        return await host.node.incoming.handle(IncomingRequest(alice, prepare))

    sender = StreamSender(send=send, clock=WallClock(), tasks=tasks)
    while line := await lines.readline():
        order = json.loads(line)
        terms = PaymentTerms(
            destination=order["address"],
            shared_secret=base64.b64decode(order["sharedSecret"]),
            source_amount=int(order["amount"]),
        )
        outcome = await sender.pay(terms, await sender.quote(terms))
        assert outcome.is_completed, outcome
        paid = {
            "sent": str(outcome.source_sent),
            "delivered": str(outcome.delivered),
            "packets": outcome.next_sequence - 1,
        }
        print(f"PAID {json.dumps(paid)}", flush=True)
    await host.stop()


# --- The subjects


@dataclass
class Subject:
    """A way to pay, and the processes that take part in it."""

    name: str
    pay: Callable[[dict[str, Any]], dict[str, Any]]
    receiver: Talk
    processes: dict[str, int]
    figures: Figures = field(default_factory=Figures)

    def measure(self, *, counts: bool) -> None:
        """Make one payment, and check it to the unit."""
        credentials = self.receiver.ask(None)
        before = {name: cpu_seconds(pid) for name, pid in self.processes.items()}
        started = time.perf_counter()
        paid = self.pay({**credentials, "amount": str(AMOUNT)})
        wall = time.perf_counter() - started
        spent = {name: cpu_seconds(pid) - before[name] for name, pid in self.processes.items()}
        received = int(self.receiver.ask(None)["received"]) - int(credentials["received"])
        assert int(paid["sent"]) == int(paid["delivered"]) == received == AMOUNT, paid
        if counts:
            self.figures.wall_ms.append(wall * 1000)
            for name, seconds in spent.items():
                self.figures.cpu_us.setdefault(name, []).append(seconds * 1e6 / PACKETS)


@contextlib.contextmanager
def program(role: str, settings: dict[str, Any], folder: Path, name: str) -> Iterator[Talk]:
    command = ["node", str(PEERS / "stream_bench.js"), role, json.dumps(settings)]
    with running(command, folder / f"{name}.log") as process:
        yield Talk(process)


@contextlib.contextmanager
def over_our_node(folder: Path) -> Iterator[tuple[Subject, Subject]]:
    port, ports = free_port(), {"alice": free_port(), "bob": free_port()}
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "tests.benchmarks.stream",
        "--serve", f"sqlite:///{folder}/signalbox.db", "--port", str(port),
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(running(command, folder / "node.log"))
        ready(node)
        plugins = {}
        for name in ("alice", "bob"):
            details = {
                "username": name,
                "asset_code": "USD",
                "asset_scale": 9,
                "routing_relation": "Child",
                "max_packet_amount": MAX_PACKET,
                "packets_per_minute_limit": None,
                "ilp_over_http_url": f"http://127.0.0.1:{ports[name]}/",
                "ilp_over_http_incoming_token": f"from-{name}-0123456789",
                "ilp_over_http_outgoing_token": f"to-{name}-0123456789",
            }
            call(f"{url}/accounts", "POST", details)
            plugins[name] = {
                "listen": ports[name],
                "url": f"{url}/accounts/{name}/ilp",
                "incomingToken": f"to-{name}-0123456789",
                "outgoingToken": f"from-{name}-0123456789",
            }
        receiver = stack.enter_context(program("server", plugins["bob"], folder, "receiver"))
        client = stack.enter_context(program("client", plugins["alice"], folder, "client"))
        ours = Talk(node)
        common = {"node": node.pid, "receiver": receiver.process.pid}
        yield (
            Subject(OURS, ours.ask, receiver, common),
            Subject(THEIRS, client.ask, receiver, {"sender": client.process.pid, **common}),
        )


@contextlib.contextmanager
def javascript_alone(folder: Path) -> Iterator[Subject]:
    inward = {"alice": free_port(), "bob": free_port()}
    outward = {"alice": free_port(), "bob": free_port()}
    limit = {"refillPeriod": 60_000, "refillCount": 10**9, "capacity": 10**9}
    config = folder / "connector.json"
    config.write_text(
        json.dumps({
            "env": "test",
            "ilpAddress": "test.conn",
            "backend": "one-to-one",
            "spread": 0,
            "store": "memory",
            "initialConnectTimeout": 5000,
            "accounts": {
                name: {
                    "relation": "child",
                    "assetCode": "USD",
                    "assetScale": 9,
                    "maxPacketAmount": str(MAX_PACKET),
                    "balance": {"minimum": "-Infinity", "maximum": str(10**18)},
                    "rateLimit": limit,
                    "plugin": "ilp-plugin-http",
                    "options": {
                        "incoming": {"port": inward[name], "staticToken": f"from-{name}"},
                        "outgoing": {
                            "url": f"http://127.0.0.1:{outward[name]}/",
                            "staticToken": f"to-{name}",
                        },
                    },
                }
                for name in ("alice", "bob")
            },
        })
    )  # fmt: skip
    plugins = {
        name: {
            "listen": outward[name],
            "url": f"http://127.0.0.1:{inward[name]}/",
            "incomingToken": f"to-{name}",
            "outgoingToken": f"from-{name}",
        }
        for name in ("alice", "bob")
    }
    command = ["node", str(PEERS / "connector.js"), str(config)]
    with contextlib.ExitStack() as stack:
        connector = stack.enter_context(running(command, folder / "connector.log"))
        pid = int(ready(connector)["pid"])
        receiver = stack.enter_context(program("server", plugins["bob"], folder, "receiver2"))
        client = stack.enter_context(program("client", plugins["alice"], folder, "client2"))
        yield Subject(
            ALONE,
            client.ask,
            receiver,
            {"sender": client.process.pid, "node": pid, "receiver": receiver.process.pid},
        )


def report(subjects: list[Subject]) -> None:
    base = next(subject for subject in subjects if subject.name == THEIRS).figures
    print(f"{AMOUNT:,} units in {PACKETS:,} packets, median of {len(base.wall_ms)} payments")
    print(
        f"{'':<21}{'wall ms':>9}{'best':>8}{'packets/s':>11}"
        f"{'sender µs':>11}{'node µs':>9}{'receiver µs':>13}{'together':>10}{'wall ×':>8}{'CPU ×':>7}"
    )
    for subject in subjects:
        figures = subject.figures
        wall = statistics.median(figures.wall_ms)
        cpu = {name: statistics.median(each) for name, each in figures.cpu_us.items()}
        sender = f"{cpu['sender']:.0f}" if "sender" in cpu else "in node"
        print(
            f"{subject.name:<21}{wall:>9.0f}{min(figures.wall_ms):>8.0f}{PACKETS / wall * 1000:>11.0f}"
            f"{sender:>11}{cpu['node']:>9.0f}{cpu['receiver']:>13.0f}{figures.together_us:>10.0f}"
            f"{wall / statistics.median(base.wall_ms):>8.2f}{figures.together_us / base.together_us:>7.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=2, help="payments before any counts")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--serve", metavar="STORE", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        import uvloop

        uvloop.run(serve_and_pay(asked.serve, asked.port))
        return
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        subjects = [
            *stack.enter_context(over_our_node(folder)),
            stack.enter_context(javascript_alone(folder)),
        ]
        for turn in range(asked.warm_up + asked.rounds):
            for subject in subjects:
                subject.measure(counts=turn >= asked.warm_up)
        report(subjects)
        if asked.json:
            found = {
                subject.name: {
                    "wall_ms": subject.figures.wall_ms,
                    "cpu_us_per_packet": subject.figures.cpu_us,
                }
                for subject in subjects
            }
            asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
