"""What a node's peers notice while strangers open 10,000 BTP connections and never say who they are.

A packet stream of one peer is measured alone, then under each attack in turn: half-open handshakes,
forged logins, and connections that send one octet of a handshake and no more. The strangers come from
many addresses of the loopback network, as from many machines.

    python -m tests.benchmarks.hostile_btp
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from core.links.btp import packet as btp, websocket as ws
from core.links.btp.packet import BtpPacket, SubProtocol
from tests.benchmarks.forwarding import ROOT, Subject, signalbox

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
    asked = parser.parse_args()
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
