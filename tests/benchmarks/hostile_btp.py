"""What a node's peers notice while strangers open BTP connections, thousands a second, and never say who they are.

A packet stream of one peer is measured alone, then under each attack in turn: half-open handshakes,
forged logins, connections that send one octet of a handshake and no more, and others. The peer sends either
so many packets a second (the latency of an ordinary load), or as many as the node takes. Meanwhile newcomers log in, one
after the other. The strangers come from many addresses of the loopback network, as from many machines.

The strangers' program runs at the lowest priority there is, so that it has only what the node and its
peers leave of the machine; what the node itself spends on each stranger is counted beside. `--pinned` gives the
node a core of its own, and everything else the other cores: what is seen then is the node's doing alone.

And for how long a peer that has logged in holds up all others, with as many pings, pieces of nothing
or packets as one read from a socket takes: CPU time of the longest turn of the loop.

    python -m tests.benchmarks.hostile_btp --load 200 --pinned
    python -m tests.benchmarks.hostile_btp --load 0
    python -m tests.benchmarks.hostile_btp --only pings
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import itertools
import math
import multiprocessing
import os
import resource
import select
import socket
import ssl
import struct
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop

from core.account import AccountDirectory
from core.clock import WallClock
from core.links.btp import packet as btp, websocket as ws
from core.links.btp.link import BtpLink
from core.links.btp.packet import BtpPacket, SubProtocol
from core.links.http_message import parse_request_head
from core.links.link_states import LinkStates
from core.node_address import NodeAddress
from core.packet import address
from tests.benchmarks.forwarding import Subject, call, pin, signalbox
from tests.benchmarks.load import BtpClient, BtpSource, Load, cpu_seconds
from tests.core.links.conftest import Chain, Wire, account, hash_token, prepare

AT_ONCE: Final = 200
"""Connections that the strangers have under way at a time."""
HELD: Final = 10_000
"""And so many they keep, as long as the node does."""
IN_FLIGHT: Final = 16
"""Packets that the peer has under way where it sends as many as the node takes."""
NEWCOMER_SECONDS: Final = 0.1
"""From one newcomer's login to the next one's coming."""


def login(token: str) -> bytes:
    entries = (SubProtocol("auth", 0, b""), SubProtocol.of_text("auth_token", token))
    return ws.FrameWriter(is_server=False).frame(BtpPacket(btp.MESSAGE, 1, entries).encode())


UPGRADE: Final = ws.upgrade_request(host="node", target="/btp", key=ws.new_key())


@dataclass(frozen=True)
class Attack:
    """What a stranger says, and what it does then."""

    says: bytes
    is_answered: bool = True
    """Whether it waits for an answer before the next stranger comes."""
    stays: bool = True


ATTACKS: Final[dict[str, Attack]] = {
    "half-open handshakes": Attack(UPGRADE),
    "forged logins": Attack(UPGRADE + login("guess"), stays=False),
    "frames that do not end": Attack(UPGRADE + b"\x82"),
    "strangers that say nothing": Attack(b"", is_answered=False),
    "strangers that go at once": Attack(UPGRADE, is_answered=False, stays=False),
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
    start = b"\x02\x80abcd" if piece[0] == 0 else b""
    flood = start + piece * (READ // len(piece))
    connection.data_received(asked + login("a-token"))
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


# --- The strangers


def give_way() -> None:
    """Let this process have only what every other leaves of the machine."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, PermissionError):
        os.nice(19)


def sources(per_address: int) -> Iterator[tuple[str, int]]:
    """Return the addresses that strangers come from, each so many times in a row."""
    for number in itertools.count():
        host = number // per_address % (250 * 250)
        yield f"127.1.{1 + host // 250}.{1 + host % 250}", 0


def strangers(
    port: int, how: Attack, per_address: int, until: float, made: Synchronized[int]
) -> None:
    """Open connections as fast as can be, without a library between; count those that the node has taken."""
    give_way()
    poll = select.epoll()
    under_way: dict[int, socket.socket] = {}
    held: deque[socket.socket] = deque()
    at_once = struct.pack("ii", 1, 0)
    come_from = sources(per_address)
    while time.monotonic() < until:
        while len(under_way) < AT_ONCE:
            stranger = socket.socket()
            stranger.setblocking(False)
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            stranger.bind(next(come_from))
            if stranger.connect_ex(("127.0.0.1", port)) not in {0, errno.EINPROGRESS}:
                stranger.close()
                continue
            under_way[stranger.fileno()] = stranger
            poll.register(stranger, select.EPOLLOUT)
        for descriptor, events in poll.poll(0.05):
            stranger = under_way[descriptor]
            if events == select.EPOLLOUT:
                made.value += 1
                if how.says:
                    with contextlib.suppress(OSError):
                        stranger.send(how.says)
                if how.is_answered:
                    poll.modify(stranger, select.EPOLLIN)
                    continue
            poll.unregister(stranger)
            del under_way[descriptor]
            if how.stays:
                held.append(stranger)
            else:
                stranger.close()
            if len(held) > HELD:
                held.popleft().close()


# --- The peer, and those who come meanwhile


class Newcomer(BtpClient):
    """A peer that logs in, and may be sent away before it has."""

    def lost(self) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("it was sent away"))

    def data_received(self, data: bytes) -> None:
        if self.is_upgraded or b"HTTP/1.1 101".startswith(data[:12]):
            super().data_received(data)
        elif self.transport is not None:
            self.transport.abort()


async def newcomers(url: str, begin: float, until: float) -> tuple[list[float], int]:
    """Log in again and again; return how long each took, with every attempt it needed, and how many were in vain."""
    took: list[float] = []
    in_vain = 0
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        since = loop.time()
        while True:
            client = Newcomer(url, "token-carol")
            try:
                async with asyncio.timeout(10):
                    await client.connect()
                break
            except (OSError, TimeoutError):
                in_vain += 1
                await asyncio.sleep(0.01)
            finally:
                if client.transport is not None:
                    client.transport.abort()
        if since >= begin:
            took.append(loop.time() - since)
        await asyncio.sleep(NEWCOMER_SECONDS)
    return took, in_vain


async def peer(
    url: str, destination: str, rate: float, begin: float, until: float
) -> dict[str, Any]:
    """Send packets, and measure those that are sent between the two moments."""
    load = Load(url, "token-alice", destination, rate)
    source = BtpSource(load, url, "token-alice")
    await source.connect()
    loop = asyncio.get_running_loop()
    renewing = loop.create_task(load.renew_expiry())
    coming = loop.create_task(newcomers(url.replace("alice", "carol"), begin, until))
    started, sent = loop.time(), 0
    if not rate:
        source.send(IN_FLIGHT)
    while (now := loop.time()) < until:
        load.is_counting = now >= begin
        due = int((now - started) * rate) - sent
        if due:
            source.send(due)
            sent += due
        await asyncio.sleep(0.001)
    load.is_over = True
    load.is_counting = False
    renewing.cancel()
    took, in_vain = await coming
    a_second_ago = time.perf_counter_ns() - 10**9
    overdue = sum(since < a_second_ago for since in source.sent_at.values()) if rate else 0
    return {
        "latencies": load.latencies,
        "lost": load.others + load.broken + overdue,
        "newcomers": took,
        "in_vain": in_vain,
    }


def peer_program(
    url: str, destination: str, rate: float, begin: float, until: float, told: Connection
) -> None:
    told.send(uvloop.run(peer(url, destination, rate, begin, until)))


# --- One row of the table


@dataclass
class Asked:
    """What is measured, and how."""

    load: float
    warm: float
    seconds: float
    per_address: int


def at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else math.nan


def row(title: str, subject: Subject, how: Attack | None, asked: Asked, alone: float) -> float:
    """Measure, print, and return the node's CPU seconds a second."""
    spawn = multiprocessing.get_context("spawn")
    port = int(subject.url.split(":")[2].partition("/")[0])
    begin = time.monotonic() + 1 + asked.warm
    until = begin + asked.seconds
    made: Synchronized[int] = spawn.Value("q", 0)
    told, tells = spawn.Pipe(duplex=False)
    programs = [
        spawn.Process(
            target=peer_program,
            args=(subject.url, subject.destination, asked.load, begin, until, tells),
        )
    ]
    if how is not None:
        programs.append(
            spawn.Process(target=strangers, args=(port, how, asked.per_address, until, made))
        )
    for program in programs:
        program.start()
    time.sleep(max(0.0, begin - time.monotonic()))
    cpu, count = cpu_seconds(subject.pid), made.value
    time.sleep(max(0.0, until - time.monotonic()))
    cpu, count = cpu_seconds(subject.pid) - cpu, made.value - count
    found = told.recv()
    for program in programs:
        program.join()
    latencies = sorted(nanoseconds / 1e6 for nanoseconds in found["latencies"])
    came = sorted(1000 * seconds for seconds in found["newcomers"])
    each = (cpu - alone * asked.seconds) / count * 1e6 if count else 0.0
    print(
        f"| {title} | {count} | {len(latencies) / asked.seconds:.0f} | {at(latencies, 0.5):.1f} "
        f"| {at(latencies, 0.99):.1f} | {at(latencies, 1):.1f} | {found['lost']} "
        f"| {at(came, 0.5):.0f} | {at(came, 1):.0f} | {found['in_vain']} "
        f"| {cpu:.2f} | {each:.0f} | {subject.memory_mb:.0f} |",
        flush=True,
    )
    return cpu / asked.seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--load",
        type=float,
        default=200.0,
        help="packets a second of the peer; 0: as many as the node takes; default: %(default)s",
    )
    parser.add_argument("--warm", type=float, default=1.0, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=4.0, help="default: %(default)s")
    parser.add_argument(
        "--per-address",
        type=int,
        default=1,
        help="strangers that come from one address after another; default: %(default)s",
    )
    parser.add_argument("--pinned", action="store_true", help="give the node a core of its own")
    parser.add_argument("--only", choices=["strangers", "pings"], help="default: both")
    parser.add_argument("--attack", choices=list(ATTACKS), help="default: all")
    parser.add_argument("--log", type=Path, help="keep the node's log here")
    asked = parser.parse_args()
    if asked.only != "strangers":
        floods()
    if asked.only == "pings":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = Asked(asked.load, asked.warm, asked.seconds, asked.per_address)
    node = [sys.executable, "-m", "core", "run"]
    cores = os.sched_getaffinity(0)
    if asked.pinned:
        os.sched_setaffinity(0, cores - {min(cores)})
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = f"sqlite:///{folder / 'signalbox.db'}"
        subject = stack.enter_context(signalbox("node", node, store, folder, None))
        if asked.pinned:
            pin(subject.pid, {min(cores)})
        url = "http://" + subject.url.split("/")[2]
        fields = {"username": "carol", "asset_code": "USD", "asset_scale": 9}
        call(f"{url}/accounts", "POST", fields | {"ilp_over_btp_incoming_token": "token-carol"})
        print(
            "| a peer's packets | strangers | packets/s | p50 ms | p99 ms | max ms | not fulfilled "
            "| newcomers p50 ms | max ms | sent away | node's CPU s | µs a stranger | node, MB |"
        )
        print("|---" * 13 + "|", flush=True)
        alone = row("alone", subject, None, wanted, 0.0)
        for title, how in ATTACKS.items():
            if asked.attack in {None, title}:
                row(f"beside {title}", subject, how, wanted, alone)
        row("alone again", subject, None, wanted, 0.0)
        if asked.log is not None:
            asked.log.write_bytes((folder / "node.log").read_bytes())


if __name__ == "__main__":
    main()
