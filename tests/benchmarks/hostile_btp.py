"""What a node's peers notice while strangers open 10,000 BTP connections and never say who they are.

A packet stream of one peer is measured alone, then under each attack in turn: half-open handshakes,
forged logins, and connections that send one octet of a handshake and no more. The strangers come from
many addresses of the loopback network, as from many machines.

And for how long a peer that has logged in holds up all others, with as many pings, pieces of nothing
or packets as one read from a socket takes: CPU time of the longest turn of the loop.

    python -m tests.benchmarks.hostile_btp
    python -m tests.benchmarks.hostile_btp --only pings
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

from core.account import AccountDirectory
from core.clock import WallClock
from core.links.btp import packet as btp, websocket as ws
from core.links.btp.link import BtpLink
from core.links.btp.packet import BtpPacket, SubProtocol
from core.links.http_message import parse_request_head
from core.links.link_states import LinkStates
from core.node_address import NodeAddress
from core.packet import address
from tests.benchmarks.forwarding import ROOT, Subject, signalbox
from tests.core.links.conftest import Chain, Wire, account, hash_token, prepare

PER_ADDRESS: Final = 400
AT_ONCE: Final = 200

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def half_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Become a WebSocket, and say nothing."""
    writer.write(ws.upgrade_request(host="node", target="/btp", key=ws.new_key()))
    await reader.readuntil(b"\r\n\r\n")


async def forged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Log in with a token that nobody has."""
    await half_open(reader, writer)
    entries = (SubProtocol("auth", 0, b""), SubProtocol.of_text("auth_token", "guess"))
    login = BtpPacket(btp.MESSAGE, 1, entries).encode()
    writer.write(ws.FrameWriter(is_server=False).frame(login))
    await reader.read(500)


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a frame, and never end it."""
    await half_open(reader, writer)
    writer.write(b"\x82")


ATTACKS: Final[dict[str, Attack]] = {
    "half-open handshakes": half_open,
    "forged logins": forged,
    "frames that do not end": slow,
}


READ: Final = 256 * 1024
"""What asyncio reads from a socket at once."""
FLOODS: Final = {
    "empty pings": b"\x89\x80abcd",
    "empty pieces": b"\x00\x80abcd",
    "messages that are no packet": b"\x82\x80abcd",
    "packets": ws.FrameWriter(is_server=False).frame(
        btp.write_ilp(btp.MESSAGE, 1, prepare(bytes(100)).octets)
    ),
}


async def longest_hold(piece: bytes) -> tuple[float, int]:
    """Let one read's worth come on a connection; return the longest turn's milliseconds, and how many there were."""
    link = BtpLink(
        clock=WallClock(),
        address=NodeAddress(address("test.node")),
        states=LinkStates(WallClock()),
        tls=ssl.create_default_context,
    )
    alice, directory = (
        account("alice", has_ilp_over_btp_incoming_token=True),
        AccountDirectory(),
    )
    directory.replace([alice], {}, {hash_token("a-token"): alice.id})
    link.start(Chain(), directory, hash_token)
    asked = ws.upgrade_request(host="node", target="/btp", key=ws.new_key())
    connection = link.accept(parse_request_head(asked))
    assert connection is not None
    wire = Wire()
    connection.connection_made(wire)
    entries = (SubProtocol("auth", 0, b""), SubProtocol.of_text("auth_token", "a-token"))
    login = BtpPacket(btp.MESSAGE, 1, entries).encode()
    start = b"\x02\x80abcd" if piece[0] == 0 else b""
    flood = start + piece * (READ // len(piece))
    connection.data_received(asked + ws.FrameWriter(is_server=False).frame(login))
    turns: list[float] = []
    since = time.thread_time()
    connection.data_received(flood)
    while not turns or (wire.is_paused and not wire.is_closed):
        await asyncio.sleep(0)
        turns.append((time.thread_time() - since) * 1000)
        since = time.thread_time()
    connection.connection_lost(None)
    await link.close(0)
    return max(turns), len(turns)


def floods() -> None:
    print("| 256 KiB of | longest hold, CPU ms | turns |")
    print("|---|---|---|")
    for name, piece in FLOODS.items():
        found = [asyncio.run(longest_hold(piece)) for _ in range(5)]
        print(f"| {name} | {median(hold for hold, _ in found):.2f} | {found[0][1]} |")


async def attack(port: int, count: int, how: Attack) -> int:
    """Open so many connections, each kept open as long as the node keeps it; return how many were made."""
    made: list[asyncio.StreamWriter] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        source = f"127.0.{1 + number // PER_ADDRESS // 250}.{1 + number // PER_ADDRESS % 250}"
        async with gate:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, local_addr=(source, 0)
                )
                made.append(writer)
                await how(reader, writer)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    for writer in made:
        writer.transport.abort()
    return len(made)


def stream(subject: Subject, seconds: float) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "tests.benchmarks.load", "source", subject.url,
        "--token", "token-alice", "--destination", subject.destination, "--in-flight", "16",
        "--warm", "1", "--seconds", str(seconds), "--pid", str(subject.pid),
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def told(name: str, subject: Subject, source: subprocess.Popen[bytes]) -> None:
    out, _ = source.communicate()
    found: dict[str, Any] = json.loads(out)
    print(
        f"| {name} | {found['fulfilled'] / found['seconds']:.0f} | {found['p50_us'] / 1000:.1f} "
        f"| {found['p99_us'] / 1000:.1f} | {found['others'] + found['broken']} "
        f"| {subject.memory_mb:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5.0, help="default: %(default)s")
    parser.add_argument("--only", choices=["strangers", "pings"], help="default: both")
    asked = parser.parse_args()
    if asked.only != "strangers":
        floods()
    if asked.only == "pings":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    node = [sys.executable, "-m", "core", "run"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with signalbox(
            "node", node, f"sqlite:///{folder / 'signalbox.db'}", folder, None
        ) as subject:
            port = int(subject.url.split(":")[2].partition("/")[0])
            print(
                "| a peer's packets | packets/s | p50 ms | p99 ms | not fulfilled | node, MB |"
            )
            print("|---|---|---|---|---|---|")
            told("alone", subject, stream(subject, asked.seconds))
            for title, how in ATTACKS.items():
                source = stream(subject, asked.seconds)
                made = asyncio.run(attack(port, asked.count, how))
                told(f"beside {made} {title}", subject, source)
            told("alone again", subject, stream(subject, asked.seconds))


if __name__ == "__main__":
    main()
