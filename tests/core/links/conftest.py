"""Two accounts, a chain that can be told what to answer, and sockets without a client library."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, TypeAlias

import pytest

from core.account import Account, AccountDirectory, AccountId, Asset, Secret
from core.clock import WallClock
from core.links.http_client import HttpLink, HttpLinkLimits
from core.links.http_connection import HttpLimits
from core.links.http_front import HttpFront, serve
from core.links.link_states import LinkStates
from core.links.names import NameLookups
from core.node_address import NodeAddress
from core.packet import Fulfill, Prepare, Reply, address
from core.service import Explanation, IncomingRequest, OutgoingRequest

FULFILLMENT = bytes(32)
CONDITION = sha256(FULFILLMENT).digest()
LIMITS = HttpLimits(header_seconds=5, body_seconds=5, idle_seconds=5, linger_seconds=0.5)


def hash_token(token: str) -> bytes:
    return sha256(token.encode()).digest()


def account(username: str, **fields: object) -> Account:
    plain = Account(
        id=AccountId(f"id-{username}"),
        username=username,
        ilp_address=address(f"test.node.{username}"),
        asset=Asset("USD", 9),
        max_packet_amount=2**63 - 1,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def prepare(data: bytes = b"", *, amount: int = 7, expires_in_ms: int = 30_000) -> Prepare:
    return Prepare.build(
        amount=amount,
        expires_at_ms=WallClock().now_ms() + expires_in_ms,
        condition=CONDITION,
        destination="test.node.bob.1",
        data=data,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until it is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


@dataclass
class Chain:
    """Fulfills each packet with its own data, once it is allowed to."""

    seen: list[tuple[str, bytes]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most_under_way: int = 0
    fault: Exception | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    async def handle(self, request: IncomingRequest[Account]) -> Reply:
        data = bytes(request.prepare.data)
        self.seen.append((request.from_account.username, data))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
        finally:
            self.under_way -= 1
        if self.fault is not None:
            raise self.fault
        return Fulfill.build(FULFILLMENT, data)

    async def explain(self, request: IncomingRequest[Account]) -> Explanation:
        return ()


class Wire(asyncio.Transport):
    """A socket that says what was done with it."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__({"peername": (host, 1)})
        self.written = bytearray()
        self.is_paused = False
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """A raw connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def response(self, *, has_body: bool = True) -> Response:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            length = int(headers.get("content-length", "0")) if has_body else 0
            return Response(
                int(first.split()[1]), headers, await self.reader.readexactly(length)
            )

    async def ends(self) -> bool:
        """Wait for the end of the connection; tell whether nothing came before it."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    def reset(self) -> None:
        """End the connection with a reset, as a process that dies does."""
        reset(self.writer)

    def close(self) -> None:
        self.writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()


@dataclass
class Served:
    front: HttpFront
    chain: Chain
    directory: AccountDirectory
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.front.port))
        self.clients.append(client)
        return client


Serve: TypeAlias = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serving() -> AsyncIterator[Serve]:
    """Start servers that end with the test."""
    started: list[Served] = []

    async def start(
        limits: HttpLimits = LIMITS, delegate: Callable[[], asyncio.Protocol] | None = None
    ) -> Served:
        chain, directory = Chain(), AccountDirectory()
        alice, bob = account("alice"), account("bob")
        directory.replace(
            [alice, bob], {hash_token("a-token"): alice.id, hash_token("b-token"): bob.id}
        )
        front = await serve(
            host="127.0.0.1",
            port=0,
            incoming=chain,
            accounts=directory,
            hash_token=hash_token,
            clock=WallClock(),
            address=NodeAddress(address("test.node")),
            delegate=delegate,
            limits=limits,
        )
        served = Served(front, chain, directory)
        started.append(served)
        return served

    yield start
    for served in started:
        for client in served.clients:
            client.close()
        served.chain.gate.set()
        await served.front.close(2)


@pytest.fixture
async def served(serving: Serve) -> Served:
    return await serving()


def post(
    body: bytes | memoryview,
    *,
    path: str = "/accounts/alice/ilp",
    token: str | None = "Bearer a-token",
    headers: str = "Content-Type: application/octet-stream\r\n",
    method: str = "POST",
    version: str = "1.1",
) -> bytes:
    authorization = "" if token is None else f"Authorization: {token}\r\n"
    return (
        f"{method} {path} HTTP/{version}\r\nHost: node\r\n{authorization}{headers}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + bytes(body)


Answer: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]
]


@dataclass
class Peer:
    """A server that behaves as the test says; each request's body is given to `answer`."""

    port: int
    heads: list[str]
    bodies: list[bytes]
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ilp"


@pytest.fixture
async def peering() -> AsyncIterator[Callable[[Answer], Awaitable[Peer]]]:
    """Start peers that end with the test."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def start(answer: Answer) -> Peer:
        peer = Peer(0, [], [])

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            peer.connections += 1
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    peer.heads.append(head)
                    length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                    body = await reader.readexactly(length)
                    peer.bodies.append(body)
                    await answer(reader, writer, body)
                    await writer.drain()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        servers.append(server)
        peer.port = server.sockets[0].getsockname()[1]
        return peer

    yield start
    for server in servers:
        server.close()
    for writer in writers:
        writer.close()


@dataclass
class Linked:
    """A link, and what it said too late."""

    link: HttpLink
    states: LinkStates
    late: list[Reply] = field(default_factory=list)

    def request(self, to: Account, packet: Prepare) -> OutgoingRequest[Account]:
        request = OutgoingRequest(
            account("alice"), to, packet, packet.amount, packet.expires_at_ms
        )
        request.on_late_reply = self.late.append
        return request

    async def send(self, to: Account, packet: Prepare | None = None) -> Reply:
        async with asyncio.timeout(10):
            return await self.link.send(self.request(to, packet or prepare(b"hello")))


class SilentServer:
    """A look-up of names that ends only when it is told to."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def __call__(self, *_: object) -> list[tuple[Any, ...]]:
        self.asked += 1
        self.answers.wait(10)
        raise socket.gaierror("no such name")


@pytest.fixture
async def linking() -> AsyncIterator[Callable[..., Linked]]:
    started: list[Linked] = []

    def start(limits: HttpLinkLimits | None = None, names: NameLookups | None = None) -> Linked:
        states = LinkStates(WallClock())
        link = HttpLink(
            clock=WallClock(),
            address=NodeAddress(address("test.node")),
            states=states,
            limits=limits,
            names=names,
        )
        linked = Linked(link, states)
        started.append(linked)
        return linked

    yield start
    for linked in started:
        await linked.link.close(0)


def bob_at(url: str | None, token: str | None = "b-out") -> Account:
    return account(
        "bob",
        ilp_over_http_url=url,
        ilp_over_http_outgoing_token=None if token is None else Secret(token),
    )
