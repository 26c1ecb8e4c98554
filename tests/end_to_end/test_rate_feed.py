"""A whole node that asks a real server for its rates: into packets, into the file, and over a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, final

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from core.config import Bind, NodeConfig
from core.host import NodeHost
from core.packet import Fulfill, Prepare, Reject, Reply, parse_reply

FULFILLMENT: Final = bytes(range(32))
ALICE: Final = "token-of-alice-0123456789"


@final
class World:
    """A server that plays the source and the next hop, and the node between them."""

    def __init__(self, database: Path) -> None:
        self.rates: Any = {"base": "USD", "data": {"rates": {"EUR": 1.25}}}
        self.asked = 0
        self.received: list[int] = []
        self.config = NodeConfig(
            store=f"sqlite:///{database}", http_bind=Bind("127.0.0.1", 0), drain_seconds=1
        )
        app = web.Application()
        app.router.add_get("/rates", self._rates)
        app.router.add_post("/ilp", self._ilp)
        self.server = TestServer(app, host="127.0.0.1")
        self.host: NodeHost | None = None
        self.session: ClientSession | None = None
        self.sent = 0

    async def _rates(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.rates is None:
            raise web.HTTPServiceUnavailable
        return web.json_response(self.rates)

    async def _ilp(self, request: web.Request) -> web.Response:
        self.received.append(Prepare(bytearray(await request.read())).amount)
        return web.Response(
            body=bytes(Fulfill.build(FULFILLMENT).octets),
            content_type="application/octet-stream",
        )

    async def start(self) -> None:
        self.host = await NodeHost.start(self.config)

    async def stop(self) -> None:
        if self.host is not None:
            await self.host.stop()
            self.host = None

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        assert self.host is not None
        assert self.session is not None
        token = self.host.admin_token.reveal()
        async with self.session.request(
            method,
            f"{self.host.url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        ) as response:
            answer = json.loads(await response.text())
            assert response.status == 200, answer
            return answer

    async def send(self, amount: int) -> Reply:
        """Send a packet from alice to bob, over HTTP, as another node would."""
        assert self.host is not None
        assert self.session is not None
        self.sent += 1
        packet = Prepare.build(
            amount=amount,
            expires_at_ms=self.host.node.clock.now_ms() + 20_000,
            condition=sha256(FULFILLMENT).digest(),
            destination="test.signalbox.bob.x",
            data=self.sent.to_bytes(4, "big"),
        )
        async with self.session.post(
            f"{self.host.url}/accounts/alice/ilp",
            data=bytes(packet.octets),
            headers={
                "Authorization": f"Bearer {ALICE}",
                "Content-Type": "application/octet-stream",
            },
        ) as response:
            return parse_reply(await response.read())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path / "node.db")
    async with made.server, ClientSession() as session:
        made.session = session
        await made.start()
        try:
            await made.call(
                "POST",
                "/accounts",
                {"username": "alice", "asset_code": "USD", "asset_scale": 2, "ilp_over_http_incoming_token": ALICE},
            )  # fmt: skip
            await made.call(
                "POST",
                "/accounts",
                {
                    "username": "bob", "asset_code": "EUR", "asset_scale": 2,
                    "ilp_over_http_url": f"http://127.0.0.1:{made.server.port}/ilp",
                },
            )  # fmt: skip
            yield made
        finally:
            await made.stop()


@pytest.mark.logs_warning
async def test_a_price_goes_from_a_server_into_packets_the_books_and_over_a_restart(
    world: World,
) -> None:
    source = {
        "name": "bank", "kind": "json", "url": f"http://127.0.0.1:{world.server.port}/rates",
        "path": "data.rates", "poll_seconds": 5, "max_age_seconds": 15,
    }  # fmt: skip
    refused = await world.send(1_000)
    assert isinstance(refused, Reject)
    assert "no exchange rate from USD to EUR" in refused.message

    feed = await world.call("POST", "/rates/sources", source)
    assert feed["polled_here"]
    assert [source["works"] for source in feed["sources"]] == [True]
    assert isinstance(await world.send(1_000), Fulfill)
    assert world.received == [800]
    assert world.host is not None
    transfer = (world.host.node.lease.number if world.host.node.lease else 0) << 42
    told = await world.call("GET", f"/rates/transfers/{transfer}")
    assert (told["rate"], told["rate_id"]) == ("4/5", feed["rate_id"])
    assert told["prices"]["prices"][0]["price"] == "1.25"

    # The source is gone, the node begins anew: what was in force still is, as long as it is fresh.
    world.rates = None
    asked = world.asked
    await world.stop()
    await world.start()
    assert isinstance(await world.send(1_000), Fulfill)
    assert world.received == [800, 800]
    again = await world.call("GET", f"/rates/transfers/{transfer}")
    assert again == told

    stale: Reply | None = None
    for _ in range(50):
        stale = await world.send(1_000)
        if isinstance(stale, Reject):
            break
        await asyncio.sleep(0.5)
    assert isinstance(stale, Reject)
    assert "at most 15 s are allowed" in stale.message
    assert world.asked >= asked + 3
    feed = await world.call("GET", "/rates/feed")
    assert any("the status 503" in line for line in feed["problems"])

    await world.call("PUT", "/rates", {"EUR": "2"})
    assert isinstance(await world.send(1_000), Fulfill)
    assert world.received[-1] == 500


async def test_of_two_nodes_on_one_file_one_asks_and_both_convert(world: World) -> None:
    assert world.host is not None
    source = {
        "name": "bank", "kind": "json", "url": f"http://127.0.0.1:{world.server.port}/rates",
        "path": "data.rates", "poll_seconds": 5, "max_age_seconds": 600,
    }  # fmt: skip
    other = await NodeHost.start(replace(world.config, name="the other"))
    try:
        await world.call("POST", "/rates/sources", source)
        for _ in range(100):
            if "EUR" in other.node.rate_table.prices:
                break
            await asyncio.sleep(0.1)

        assert world.host.node.rate_feeder.polls_here
        assert not other.node.rate_feeder.polls_here
        assert other.node.rate_table.rate_id == world.host.node.rate_table.rate_id
        asked = world.asked
        await asyncio.sleep(1.5)
        assert world.asked <= asked + 1
    finally:
        await other.stop()
