"""Our link between a port and a chain, and other sides of it that are spoken by aiohttp's WebSocket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType, web

from core.account import Account, AccountDirectory, Secret
from core.clock import WallClock
from core.links.btp import packet as btp
from core.links.btp.limits import BtpLimits
from core.links.btp.link import BtpLink
from core.links.btp.packet import BtpPacket, SubProtocol
from core.links.http_connection import HttpLimits
from core.links.http_front import HttpFront, serve
from core.links.link_states import LinkStates
from core.links.names import NameLookups
from core.node_address import NodeAddress
from core.packet import Prepare, Reply, address
from core.service import OutgoingRequest
from tests.core.links.conftest import LIMITS, Chain, account, hash_token, prepare, until

__all__ = ["until"]

QUICK = BtpLimits(
    retry_seconds=(0.02,), refused_seconds=0.05, reconnect_seconds=0.02, linger_seconds=0.5
)


def login(token: str, username: str | None = None, request_id: int = 7) -> BtpPacket:
    entries = [
        SubProtocol("auth", btp.OCTET_STREAM, b""),
        SubProtocol.of_text("auth_token", token),
    ]
    if username is not None:
        entries.append(SubProtocol.of_text("auth_username", username))
    return BtpPacket(btp.MESSAGE, request_id, tuple(entries))


def ilp(kind: int, request_id: int, octets: bytes | memoryview) -> BtpPacket:
    entry = SubProtocol("ilp", btp.OCTET_STREAM, bytes(octets))
    return BtpPacket(kind, request_id, (entry,))


@dataclass
class Socket:
    """One end of a WebSocket that a test speaks BTP on."""

    ws: ClientWebSocketResponse | web.WebSocketResponse

    async def say(self, packet: BtpPacket | bytes) -> None:
        await self.ws.send_bytes(packet if isinstance(packet, bytes) else packet.encode())

    async def hear(self) -> BtpPacket:
        async with asyncio.timeout(10):
            message = await self.ws.receive()
        assert message.type is WSMsgType.BINARY, message
        return btp.parse_packet(message.data)

    async def ends(self) -> tuple[int | None, str]:
        """Wait for the end; return the code and the reason that were given."""
        async with asyncio.timeout(10):
            while True:
                message = await self.ws.receive()
                if message.type is WSMsgType.CLOSE:
                    return message.data, message.extra or ""
                if message.type in {WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR}:
                    return self.ws.close_code, ""


@dataclass
class Scene:
    """A node's port, its link, and what is behind them."""

    link: BtpLink
    states: LinkStates
    directory: AccountDirectory
    chain: Chain
    front: HttpFront
    session: ClientSession
    late: list[Reply] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    tokens: dict[bytes, Any] = field(default_factory=dict)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    """Of connections that a test speaks on octet by octet."""

    def put(self, *changed: Account) -> None:
        """Let the directory be told of accounts as they are now."""
        self.accounts |= {one.username: one for one in changed}
        self.directory.replace([*self.accounts.values()], {}, self.tokens)

    def account(self, username: str, token: str = "", **fields: Any) -> Account:
        made = account(username, **fields)
        if token:
            made = account(username, has_ilp_over_btp_incoming_token=True, **fields)
            self.tokens[hash_token(token)] = made.id
        self.put(made)
        return made

    async def dial(self, path: str = "/accounts/alice/ilp/btp") -> Socket:
        url = f"http://127.0.0.1:{self.front.port}{path}"
        return Socket(await self.session.ws_connect(url, autoclose=True, max_msg_size=0))

    async def log_in(
        self, path: str = "/accounts/alice/ilp/btp", token: str = "a-token"
    ) -> Socket:
        socket = await self.dial(path)
        await socket.say(login(token))
        answer = await socket.hear()
        assert answer == BtpPacket(btp.RESPONSE, 7), answer
        return socket

    def request(self, to: Account, packet: Prepare | None = None) -> OutgoingRequest[Account]:
        packet = packet or prepare(b"hello")
        request = OutgoingRequest(
            account("somebody"), to, packet, packet.amount, packet.expires_at_ms
        )
        request.on_late_reply = self.late.append
        return request

    async def send(self, to: Account, packet: Prepare | None = None) -> Reply:
        async with asyncio.timeout(10):
            return await self.link.send(self.request(to, packet))


Setting: TypeAlias = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    """Start nodes that end with the test."""
    scenes: list[Scene] = []

    async def start(
        limits: BtpLimits = QUICK,
        http_limits: HttpLimits = LIMITS,
        names: NameLookups | None = None,
    ) -> Scene:
        clock, chain, directory = WallClock(), Chain(), AccountDirectory()
        states, own = LinkStates(clock), NodeAddress(address("test.node"))
        link = BtpLink(
            clock=clock,
            address=own,
            states=states,
            tls=ssl.create_default_context,
            limits=limits,
            names=names,
        )
        front = await serve(
            host="127.0.0.1",
            port=0,
            incoming=chain,
            accounts=directory,
            hash_token=hash_token,
            clock=clock,
            address=own,
            upgrade=link.accept,
            limits=http_limits,
        )
        link.start(chain, directory, hash_token)
        scene = Scene(
            link,
            states,
            directory,
            chain,
            front,
            ClientSession(connector=TCPConnector(limit=0)),
        )
        scene.account("alice", "a-token")
        scenes.append(scene)
        return scene

    yield start
    for scene in scenes:
        scene.chain.gate.set()
        await scene.link.close(0)
        await scene.front.close(1)
        for writer in scene.writers:
            writer.transport.abort()
        await scene.session.close()


@pytest.fixture
async def scene(setting: Setting) -> Scene:
    return await setting()


Script: TypeAlias = Callable[[Socket], Awaitable[None]]


@dataclass
class Listener:
    """A server that our node dials; each connection that has logged in is given to the script."""

    port: int = 0
    logins: list[BtpPacket] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    runner: web.AppRunner | None = None
    sockets: list[Socket] = field(default_factory=list)
    accepts: bool = True
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"btp+ws://127.0.0.1:{self.port}/accounts/node/ilp/btp"

    async def start(self, script: Script, port: int = 0) -> Self:
        async def handler(request: web.Request) -> web.StreamResponse:
            ws = web.WebSocketResponse(autoping=True)
            await ws.prepare(request)
            socket = Socket(ws)
            self.paths.append(request.path_qs)
            first = await socket.hear()
            self.logins.append(first)
            if self.accepts:
                await socket.say(BtpPacket(btp.RESPONSE, first.request_id))
            else:
                error = btp.BtpError("F00", "NotAcceptedError", 1_000, b"invalid auth_token")
                await socket.say(BtpPacket(btp.ERROR, first.request_id, error=error))
            self.sockets.append(socket)
            await script(socket)
            await ws.close()
            return ws

        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", port, ssl_context=self.tls)
        await site.start()
        self.port = self.runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        if self.runner is not None:
            for socket in self.sockets:
                await socket.ws.close()
            await self.runner.cleanup()
            self.runner = None


Listening: TypeAlias = Callable[..., Awaitable[Listener]]


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    """Start servers that end with the test."""
    started: list[Listener] = []

    async def start(script: Script, *, port: int = 0, accepts: bool = True) -> Listener:
        listener = Listener(accepts=accepts)
        started.append(listener)
        return await listener.start(script, port)

    yield start
    for listener in started:
        await listener.stop()


def bob_at(
    scene: Scene,
    url: str,
    token: str | None = "b-out",
    *,
    username: str = "bob",
    **fields: Any,
) -> Account:
    """Let bob, or another, be dialled at a URL."""
    return scene.account(
        username,
        ilp_over_btp_url=url,
        ilp_over_btp_outgoing_token=None if token is None else Secret(token),
        **fields,
    )
