"""A packet that comes again long after its answer, over HTTP to a whole node: its peer has it once.

The node's clock is the test's: half a minute, after which a process has forgotten an answer, passes at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from core.account import Secret
from core.config import Bind, NodeConfig
from core.control.views import AccountDetails
from core.host import NodeHost
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, address, parse_reply
from core.services.duplicates import REMEMBER_SECONDS
from core.testing.builders import FULFILLMENT, fulfill, prepare
from core.testing.clock import FakeClock

ALICE: Final = "token-of-alice"
AN_HOUR_MS: Final = 3_600_000


@dataclass(slots=True)
class Bob:
    """A peer that counts what it is sent, and answers as it is told."""

    reply: Reply = field(default_factory=lambda: fulfill(b"of bob"))
    packets: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        if Prepare(bytearray(await request.read())).amount:
            self.packets += 1
        return web.Response(
            body=bytes(self.reply.octets), content_type="application/octet-stream"
        )


@dataclass(slots=True)
class World:
    """The node between alice, who is the test, and bob."""

    config: NodeConfig
    session: ClientSession
    bob: Bob
    clock: FakeClock = field(default_factory=FakeClock)
    host: NodeHost | None = None

    @property
    def node(self) -> NodeHost:
        assert self.host is not None
        return self.host

    async def start(self) -> None:
        self.host = await NodeHost.start(self.config, self.clock)

    async def stop(self) -> None:
        if self.host is not None:
            await self.host.stop()
            self.host = None

    async def send(self, packet: Prepare) -> Reply:
        async with self.session.post(
            f"{self.node.url}/accounts/alice/ilp",
            data=bytes(packet.octets),
            headers={
                "Authorization": f"Bearer {ALICE}",
                "Content-Type": "application/octet-stream",
            },
        ) as response:
            return parse_reply(await response.read())

    async def nets(self) -> list[int]:
        report = await self.node.stores.books.audit()
        assert report.findings == ()
        return [
            (await self.node.control.account(name)).balance.net for name in ("alice", "bob")
        ]


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    bob = Bob()
    app = web.Application()
    app.router.add_post("/ilp", bob.answer)
    config = NodeConfig(
        store="memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'node.db'}",
        ilp_address=address("test.node"),
        http_bind=Bind("127.0.0.1", 0),
        admin_token=Secret("admin-token-of-the-test"),
        drain_seconds=0,
    )
    async with TestServer(app) as server, ClientSession() as session:
        made = World(config, session, bob)
        try:
            await made.start()
            for name, token, url in (
                ("alice", ALICE, None),
                ("bob", None, str(server.make_url("/ilp"))),
            ):
                await made.node.control.create_account(
                    AccountDetails(
                        username=name,
                        asset_code="USD",
                        asset_scale=2,
                        ilp_over_http_incoming_token=token,
                        ilp_over_http_url=url,
                    )
                )
            yield made
        finally:
            await made.stop()


async def test_a_copy_that_comes_when_its_answer_is_forgotten_has_the_stored_one(
    world: World,
) -> None:
    packet = prepare(100, expires_in_ms=AN_HOUR_MS)
    assert await world.send(packet) == fulfill(b"of bob")
    assert await world.send(packet) == fulfill(b"of bob")

    for seconds in (int(REMEMBER_SECONDS) + 1, 300, 200):
        world.clock.advance(seconds=seconds)
        assert await world.send(packet) == Fulfill.build(FULFILLMENT)

    assert world.bob.packets == 1
    assert await world.nets() == [-100, 100]


async def test_a_copy_that_comes_after_the_expiry_is_told_so(world: World) -> None:
    packet = prepare(100, expires_in_ms=60_000)
    await world.send(packet)
    world.clock.advance(seconds=60)

    reply = await world.send(packet)

    assert isinstance(reply, Reject)
    assert (reply.code, "expired" in reply.message) == (b"R00", True)
    assert (world.bob.packets, await world.nets()) == (1, [-100, 100])


async def test_what_was_rejected_is_sent_again(world: World) -> None:
    packet = prepare(100, expires_in_ms=AN_HOUR_MS)
    world.bob.reply = no = Reject.build(
        ErrorCode.INSUFFICIENT_LIQUIDITY, triggered_by="test.bob", message="not now"
    )
    assert await world.send(packet) == no
    world.bob.reply = fulfill()
    assert await world.send(packet) == no
    world.clock.advance(seconds=int(REMEMBER_SECONDS) + 1)

    assert await world.send(packet) == fulfill()

    assert (world.bob.packets, await world.nets()) == (2, [-100, 100])


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
async def test_a_copy_that_comes_to_the_next_process_has_the_stored_answer(
    world: World,
) -> None:
    packet = prepare(100, expires_in_ms=AN_HOUR_MS)
    await world.send(packet)
    world.clock.advance(seconds=300)
    await world.stop()
    await world.start()

    for seconds in (0, 200):
        world.clock.advance(seconds=seconds)
        assert await world.send(packet) == Fulfill.build(FULFILLMENT)

    assert (world.bob.packets, await world.nets()) == (1, [-100, 100])
