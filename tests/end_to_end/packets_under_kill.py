"""A source and a sink of packets that remember each of them, beside a node that is killed under way.

Whatever the node's books say afterwards is held against these two memories: they are of programs that nobody
kills, and that know nothing of the node but HTTP.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from core.clock import WallClock
from core.packet import ErrorCode, Fulfill, Prepare, Reject, parse_reply
from tests.end_to_end.minimal_http import read_message, request, response

CLOCK: Final = WallClock()
EXPIRES_IN_MS: Final = 20_000


class Seen(enum.Enum):
    """What the source knows of a packet."""

    SENT = "sent"
    FULFILLED = "fulfilled"
    REJECTED = "rejected"
    LOST = "lost"
    """The node died before it answered."""
    REFUSED = "refused"
    """It was lost, was sent again, and was rejected then."""


@dataclass(slots=True)
class Source:
    """Sends packets one after the other on each of its connections."""

    account: str
    token: str
    destination: str
    chance: random.Random
    packets: dict[bytes, Seen] = field(default_factory=dict)
    """By condition."""
    rejects: Counter[str] = field(default_factory=Counter)
    sent_again: int = 0
    _recent: list[bytes] = field(default_factory=list)
    _lost: list[tuple[bytes, Prepare]] = field(default_factory=list)

    def take_recent(self) -> Mapping[bytes, Seen]:
        """Return what became of the packets that were sent since the last call."""
        recent, self._recent = self._recent, []
        return {condition: self.packets[condition] for condition in recent}

    async def send_until_it_dies(self, port: int, connections: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(self._send(port))

    async def send_again(self, port: int) -> None:
        """Send every other packet that was lost once more, as it was: whoever lost a connection may."""
        lost, self._lost = self._lost[::2], []
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for condition, prepare in lost:
            self.sent_again += 1
            self._recent.append(condition)
            writer.write(self._request(prepare))
            status, body = await read_message(reader)
            self._answered(condition, status, body)
            if self.packets[condition] is Seen.REJECTED:
                self.packets[condition] = Seen.REFUSED
        writer.close()

    async def _send(self, port: int) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        condition, prepare = self._packet()
        try:
            while True:
                self.packets[condition] = Seen.SENT
                self._recent.append(condition)
                writer.write(self._request(prepare))
                status, body = await read_message(reader)
                self._answered(condition, status, body)
                condition, prepare = self._packet()
        except ConnectionError:
            if self.packets.get(condition) is Seen.SENT:
                self.packets[condition] = Seen.LOST
                self._lost.append((condition, prepare))
        finally:
            writer.close()

    def _request(self, prepare: Prepare) -> bytes:
        path = f"/accounts/{self.account}/ilp"
        return request(path, "node", self.token, bytes(prepare.octets))

    def _packet(self) -> tuple[bytes, Prepare]:
        fulfillment = self.chance.randbytes(32)
        condition = sha256(fulfillment).digest()
        return condition, Prepare.build(
            amount=self.chance.randint(10, 100_000),
            expires_at_ms=CLOCK.now_ms() + EXPIRES_IN_MS,
            condition=condition,
            destination=self.destination,
            data=fulfillment + self.chance.randbytes(1),
        )

    def _answered(self, condition: bytes, status: bytes, body: bytes) -> None:
        assert b" 200 " in status, (status, body)
        reply = parse_reply(bytearray(body))
        if isinstance(reply, Fulfill):
            assert sha256(reply.fulfillment).digest() == condition
            self.packets[condition] = Seen.FULFILLED
        else:
            assert isinstance(reply, Reject)
            self.packets[condition] = Seen.REJECTED
            self.rejects[bytes(reply.code).decode()] += 1


@dataclass(slots=True)
class Sink:
    """Fulfills most packets at once, some after a while, and rejects the rest, as their data says."""

    fulfilled: Counter[bytes] = field(default_factory=Counter)
    """How often, by condition; noted before the answer is written."""
    port: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._connections:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                _, body = await read_message(reader)
                writer.write(response(await self._answer(bytearray(body))))
        except ConnectionError:
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, body: bytearray) -> bytes:
        prepare = Prepare(body)
        fulfillment, mood = bytes(prepare.data[:32]), prepare.data[32]
        if mood < 32:
            return bytes(
                Reject.build(
                    ErrorCode.FINAL_APPLICATION_ERROR,
                    triggered_by="test.sink",
                    message="Not today.",
                ).octets
            )
        if mood < 64:
            await asyncio.sleep(mood / 4000)
        self.fulfilled[bytes(prepare.condition)] += 1
        return bytes(Fulfill.build(fulfillment).octets)
