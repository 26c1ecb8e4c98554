"""Packets out of nothing and into nothing: the source and the sink of the benchmarks.

Both speak only the HTTP, or the BTP, that they need, so that they cost little beside the node between
them. Each packet's data is unique: a connector may answer what it has seen from a cache.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import deque
from hashlib import sha256
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import uvloop

from core.packet import Fulfill, Prepare

FULFILLMENT: Final = bytes(32)
CONDITION: Final = sha256(FULFILLMENT).digest()
DATA_OCTETS: Final = 64
EXPIRES_IN_MS: Final = 30_000
PACE_SECONDS: Final = 0.002
TICKS: Final = os.sysconf("SC_CLK_TCK")


def body_length(head: bytes, known: dict[bytes, int]) -> int:
    """Return the Content-Length of a head; heads repeat, and are read once."""
    length = known.get(head)
    if length is None:
        if len(known) > 1000:
            known.clear()
        lines = head.lower().split(b"\r\n")
        length = known[head] = int(
            next(line for line in lines if line.startswith(b"content-length:"))[15:]
        )
    return length


def cpu_seconds(pid: int) -> float:
    """Return what a process and all of its threads have used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Sink(asyncio.Protocol):
    """Fulfills whatever comes."""

    body: Final = bytes(Fulfill.build(FULFILLMENT).octets)
    answer: Final = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )

    def __init__(self) -> None:
        self.pending = b""
        self.known: dict[bytes, int] = {}
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        if self.pending:
            data = self.pending + data
            self.pending = b""
        while data:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4 or len(data) < (end := at + body_length(data[:at], self.known)):
                self.pending = data
                return
            self.transport.write(self.answer)
            data = data[end:]


class Source(asyncio.Protocol):
    """One connection with one packet in flight, again and again."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.pending = b""
        self.transport: asyncio.Transport | None = None
        self.sent_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost(self)

    def send(self) -> None:
        assert self.transport is not None
        self.sent_at = time.perf_counter_ns()
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        if self.pending:
            data = self.pending + data
            self.pending = b""
        at = data.find(b"\r\n\r\n") + 4
        if at < 4 or len(data) < at + body_length(data[:at], self.load.known):
            self.pending = data
            return
        if self.load.answered(
            data[9:12] == b"200" and data[at] == 13, time.perf_counter_ns() - self.sent_at
        ):
            self.send()
        else:
            self.load.rest(self)


class BtpClient(asyncio.Protocol):
    """One BTP connection that has logged in; masks with zeros, so that masking costs nothing."""

    def __init__(self, url: str, token: str) -> None:
        self.parts = urlsplit(url.removeprefix("btp+"))
        self.token = token.encode()
        self.pending = b""
        self.transport: asyncio.Transport | None = None
        self.is_upgraded = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        host, port = self.parts.hostname or "", self.parts.port or 80
        await loop.create_connection(lambda: self, host, port)
        await self.ready

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            f"GET {self.parts.path or '/'} HTTP/1.1\r\nHost: {self.parts.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost()

    def lost(self) -> None:
        """The connection has ended."""

    def received(self, message: bytes, out: list[bytes]) -> None:
        """Take a BTP packet; put what is to be sent for it into `out`."""

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        if self.pending:
            data = self.pending + data
            self.pending = b""
        if not self.is_upgraded:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                self.pending = data
                return
            assert data.startswith(b"HTTP/1.1 101"), data
            self.is_upgraded = True
            data = data[at:]
            token = bytes((len(self.token),)) + self.token
            entries = b"\x01\x02\x04auth\x00\x00\x0aauth_token\x01" + token
            self.transport.write(
                masked(b"\x06\x00\x00\x00\x01" + btp_length(entries) + entries)
            )
        out: list[bytes] = []
        at, size = 0, len(data)
        while size - at >= 2:
            start, length = at + 2, data[at + 1]
            if length == 126:
                start += 2
                length = int.from_bytes(data[at + 2 : at + 4], "big")
            if size < start + length:
                break
            message = data[start : start + length]
            if data[at] & 0x0F == 9:
                out.append(b"\x8a\x80\x00\x00\x00\x00")
            elif not self.ready.done():
                assert message[0] == 1, message
                self.ready.set_result(None)
            elif data[at] & 0x0F == 2:
                self.received(message, out)
            at = start + length
        self.pending = data[at:]
        if out:
            self.transport.write(b"".join(out))


def masked(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes((0x82, 0x80 | size)) if size < 126 else b"\x82\xfe" + size.to_bytes(2, "big")
    return b"".join((head, b"\x00\x00\x00\x00", payload))


def btp_length(octets: bytes) -> bytes:
    size = len(octets)
    if size < 128:
        return bytes((size,))
    return b"\x81" + bytes((size,)) if size < 256 else b"\x82" + size.to_bytes(2, "big")


def btp_ilp(packet: bytes) -> bytes:
    """Return the contents of a BTP packet that carries an ILP packet."""
    entry = b"\x01\x01\x03ilp\x00" + btp_length(packet) + packet
    return btp_length(entry) + entry


class BtpSink(BtpClient):
    """Fulfills whatever comes."""

    answer: Final = btp_ilp(Sink.body)

    def received(self, message: bytes, out: list[bytes]) -> None:
        if message[0] == 6:
            out.append(masked(b"\x01" + message[1:5] + self.answer))


class BtpSource(BtpClient):
    """One connection with many packets in flight; each answer makes room for the next."""

    def __init__(self, load: Load, url: str, token: str) -> None:
        super().__init__(url, token)
        self.load = load
        self.number = 0
        self.sent_at: dict[int, int] = {}

    def lost(self) -> None:
        self.load.broken += 0 if self.load.is_over else len(self.sent_at) + self.load.idle

    def packet(self) -> bytes:
        self.number += 1
        self.sent_at[self.number] = time.perf_counter_ns()
        return masked(b"\x06" + self.number.to_bytes(4, "big") + btp_ilp(self.load.request()))

    def send(self, count: int) -> None:
        assert self.transport is not None
        self.transport.write(b"".join(self.packet() for _ in range(count)))

    def received(self, message: bytes, out: list[bytes]) -> None:
        sent_at = self.sent_at.pop(int.from_bytes(message[1:5], "big"), 0)
        at = message.find(b"\x03ilp\x00", 5, 20) + 5
        first = message[at]
        kind = message[at + 1 + (first & 0x7F if first >= 0x80 else 0)]
        if self.load.answered(message[0] == 1 and kind == 13, time.perf_counter_ns() - sent_at):
            out.append(self.packet())
        else:
            self.load.idle += 1


class Load:
    """Packets in a closed loop, or so many a second; counted once it is warm."""

    def __init__(self, url: str, token: str, destination: str, rate: float = 0.0) -> None:
        self.url, self.token = url, token
        self.is_btp = url.startswith("btp+")
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        packet = Prepare.build(
            amount=10,
            expires_at_ms=self.expiry(),
            condition=CONDITION,
            destination=destination,
            data=bytes(DATA_OCTETS),
        )
        head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Length: {len(packet.octets)}\r\n\r\n"
        ).encode()
        head = b"" if self.is_btp else head
        self.head = head
        self.packet = packet
        self.octets = bytearray(head + packet.octets)
        self.serial = int.from_bytes(os.urandom(8), "big") >> 1
        self.known: dict[bytes, int] = {}
        self.connections: list[Source] = []
        self.rate = rate
        """Packets a second; 0 is a closed loop."""
        self.idle = 0
        self.resting: deque[Source] = deque()
        self.skipped = 0
        """Packets that were due while every connection waited for an answer."""
        self.is_counting = False
        self.is_over = False
        self.latencies: list[int] = []
        self.fulfilled = 0
        self.others = 0
        self.broken = 0

    def expiry(self) -> int:
        return time.time_ns() // 1_000_000 + EXPIRES_IN_MS

    def request(self) -> bytes:
        self.serial += 1
        self.octets[-DATA_OCTETS : 8 - DATA_OCTETS] = self.serial.to_bytes(8, "big")
        return bytes(self.octets)

    def answered(self, is_fulfill: bool, nanoseconds: int) -> bool:
        """Count an answer; return whether another packet is to be sent."""
        if self.is_over:
            return False
        if self.is_counting:
            if is_fulfill:
                self.fulfilled += 1
                self.latencies.append(nanoseconds)
            else:
                self.others += 1
        return not self.rate

    def rest(self, source: Source) -> None:
        """Keep a connection until it is wanted again."""
        self.idle += 1
        self.resting.append(source)

    async def pace(self) -> None:
        """Send what is due, on connections that wait for nothing."""
        loop = asyncio.get_running_loop()
        started, sent = loop.time(), 0
        while not self.is_over:
            due = int((loop.time() - started) * self.rate) - sent
            sent += due
            for _ in range(min(due, len(self.resting))):
                self.idle -= 1
                due -= 1
                self.resting.popleft().send()
            self.skipped += due
            await asyncio.sleep(PACE_SECONDS)

    def lost(self, source: Source) -> None:
        if not self.is_over:
            self.broken += 1

    async def renew_expiry(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self.packet.expires_at_ms = self.expiry()
            self.octets[len(self.head) : len(self.head) + 40] = self.packet.octets[:40]

    async def run(
        self, in_flight: int, warm_seconds: float, seconds: float, pids: list[int]
    ) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        renewing = loop.create_task(self.renew_expiry())
        btp = BtpSource(self, self.url, self.token) if self.is_btp else None
        if btp is not None:
            await btp.connect()
            btp.send(in_flight)
        for _ in range(0 if self.is_btp else in_flight):
            _, source = await loop.create_connection(lambda: Source(self), self.host, self.port)
            self.connections.append(source)
        for source in self.connections:
            if self.rate:
                self.rest(source)
            else:
                source.send()
        pacing = loop.create_task(self.pace()) if self.rate else None
        await asyncio.sleep(warm_seconds)
        before = [cpu_seconds(pid) for pid in pids]
        own_before = time.process_time()
        started = time.perf_counter()
        self.is_counting = True
        await asyncio.sleep(seconds)
        self.is_counting = False
        elapsed = time.perf_counter() - started
        own = time.process_time() - own_before
        after = [cpu_seconds(pid) for pid in pids]
        self.is_over = True
        for _ in range(200):
            if self.idle + self.broken >= in_flight:
                break
            await asyncio.sleep(0.01)
        renewing.cancel()
        if pacing is not None:
            await pacing
        transports = [source.transport for source in self.connections]
        if btp is not None:
            transports.append(btp.transport)
        for transport in transports:
            if transport is not None:
                transport.abort()
        latencies = sorted(self.latencies)
        count = len(latencies) or 1
        return {
            "fulfilled": self.fulfilled,
            "others": self.others,
            "broken": self.broken,
            "skipped": self.skipped,
            "seconds": elapsed,
            "cpu_seconds": [late - early for early, late in zip(before, after, strict=True)],
            "source_cpu_seconds": own,
            "p50_us": latencies[count // 2] / 1000 if latencies else 0.0,
            "p99_us": latencies[min(count - 1, count * 99 // 100)] / 1000 if latencies else 0.0,
        }


async def sink(port: int, btp: str, token: str) -> None:
    loop = asyncio.get_running_loop()
    if btp:
        client = BtpSink(btp, token)
        await client.connect()
        print("READY " + json.dumps({"pid": os.getpid()}), flush=True)
        await loop.run_in_executor(None, sys.stdin.buffer.read)
        return
    server = await loop.create_server(Sink, "127.0.0.1", port)
    told = {"port": server.sockets[0].getsockname()[1], "pid": os.getpid()}
    print("READY " + json.dumps(told), flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


async def source(asked: argparse.Namespace) -> None:
    load = Load(asked.url, asked.token, asked.destination, asked.rate)
    result = await load.run(asked.in_flight, asked.warm, asked.seconds, asked.pid)
    print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The source and the sink of the benchmarks.")
    commands = parser.add_subparsers(dest="command", required=True)
    to = commands.add_parser("sink", help="fulfill what comes, until standard input ends")
    to.add_argument("--port", type=int, default=0)
    to.add_argument("--btp", default="", help="dial this URL over BTP, and listen on no port")
    to.add_argument("--token", default="")
    out = commands.add_parser("source", help="send packets, and print what came of it")
    out.add_argument("url", help="http://…, or btp+ws://… for one connection over BTP")
    out.add_argument("--token", required=True)
    out.add_argument("--destination", required=True)
    out.add_argument("--in-flight", type=int, default=1)
    out.add_argument(
        "--rate",
        type=float,
        default=0.0,
        help="packets a second; 0, the default, is a closed loop",
    )
    out.add_argument("--warm", type=float, default=0.5, help="seconds that are not counted")
    out.add_argument("--seconds", type=float, default=3.0)
    out.add_argument("--pid", type=int, action="append", default=[], help="whose CPU is read")
    asked = parser.parse_args()
    uvloop.run(
        sink(asked.port, asked.btp, asked.token) if asked.command == "sink" else source(asked)
    )


if __name__ == "__main__":
    main()
