"""BTP on a connection that the API has taken over, as a reverse proxy with one pool asks for it."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web

from core.account import AccountDirectory
from core.clock import WallClock
from core.links.btp import packet as btp, websocket as ws
from core.links.btp.link import BtpLink
from core.links.btp.packet import BtpPacket, parse_packet
from core.links.btp.shared import btp_upgrades
from core.links.link_states import LinkStates
from core.node_address import NodeAddress
from core.packet import address
from tests.core.links.btp.conftest import QUICK, ilp, login, until
from tests.core.links.conftest import Chain, account, hash_token, prepare


@dataclass
class Api:
    link: BtpLink
    chain: Chain
    port: int


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async def call(request: web.Request) -> web.Response:
        return web.Response(text="the API")

    directory, chain = AccountDirectory(), Chain()
    alice = account("alice")
    directory.replace([alice], {}, {hash_token("a-token"): alice.id})
    clock = WallClock()
    link = BtpLink(
        clock=clock,
        address=NodeAddress(address("test.node")),
        states=LinkStates(clock),
        tls=ssl.create_default_context,
        limits=QUICK,
    )
    link.start(chain, directory, hash_token)
    app = web.Application(middlewares=[btp_upgrades(link)])
    app.router.add_get("/accounts/alice", call)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Api(link, chain, runner.addresses[0][1])
    await link.close(0)
    await runner.cleanup()


async def connect(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection on which a call of the API has been answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"GET /accounts/alice HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"the API")).startswith(b"HTTP/1.1 200")
    return reader, writer


async def test_a_connection_of_the_api_becomes_one_of_btp(api: Api) -> None:
    reader, writer = await connect(api)
    key = base64.b64encode(os.urandom(16))
    writer.write(ws.upgrade_request(host="x", target="/accounts/alice/ilp/btp", key=key))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert ws.accept_key(key) in head

    frames, replies = (
        ws.FrameWriter(is_server=False),
        ws.FrameReader(is_server=False, octets_max=9999, frames_max=99),
    )
    writer.write(frames.frame(login("a-token").encode()))
    ((_, answer),) = replies.feed(await reader.read(1000))
    assert parse_packet(answer) == BtpPacket(btp.RESPONSE, 7)
    writer.write(frames.frame(ilp(btp.MESSAGE, 8, prepare(b"hello").octets).encode()))
    ((_, answer),) = replies.feed(await reader.read(1000))

    assert parse_packet(answer).request_id == 8
    assert api.chain.seen == [("alice", b"hello")]
    writer.close()
    await until(lambda: api.link.connections == 0)


async def test_a_request_for_something_else_at_the_endpoint_is_told_what_is_spoken_there(
    api: Api,
) -> None:
    reader, writer = await connect(api)
    writer.write(
        b"GET /accounts/alice/ilp/btp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )

    answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 426")
    assert b"over a WebSocket" in answer
    writer.close()
