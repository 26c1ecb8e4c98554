"""A STREAM payment between two programs that we did not write, over our node, both ways, settled on a chain.

`ilp-protocol-stream` on both ends, `ilp-plugin-http` as their link; our node between them converts from
one scale to the other, books every packet, and pays what it owes with its own engine. The other side of
that payment is a second set of books, credited by an engine of its own from what it sees on the chain.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import ClientSession

from core.practice.process import Child
from tests.end_to_end.programs import free_port

PEERS = Path(__file__).parents[1] / "peers"
ADMIN_TOKEN = "admin-token-of-the-test"
AMOUNT = 1_000_000
MAX_PACKET = 1_000
GWEI = 10**9


@dataclass(frozen=True)
class Api:
    """A node's operator API, as the test calls it."""

    url: str

    async def call(self, method: str, path: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with (
            ClientSession(self.url) as session,
            session.request(method, path, headers=headers, **body) as response,
        ):
            assert response.status < 300, await response.text()
            return await response.json()

    async def exact_balance(self, username: str) -> int:
        return int((await self.call("GET", f"/accounts/{username}/balance"))["net"])


async def start_node(directory: Path, name: str) -> tuple[Child, Api, str]:
    store = f"sqlite:///{directory}/{name}/signalbox.db"
    node = Child(
        name,
        "core",
        (
            "run",
            "--store",
            store,
            "--ilp-address",
            f"test.{name}",
            "--http-bind",
            "127.0.0.1:0",
        ),
    )
    ready = await node.start(environment={"SIGNALBOX_ADMIN_TOKEN": ADMIN_TOKEN})
    return node, Api(str(ready["url"])), store


async def start_engine(store: str, rpc: str) -> tuple[Child, str]:
    engine = Child(
        "engine",
        "core.settlement",
        (
            "ethereum",
            "--store",
            store,
            "--rpc",
            rpc,
            "--confirmations",
            "2",
            "--poll-seconds",
            "0.2",
        ),
    )
    ready = await engine.start()
    return engine, str(ready["address"])


@dataclass(frozen=True)
class Scene:
    """Our node with alice in gwei and bob in thousandths of a gwei, and bob's own books."""

    node: Api
    bobs_books: Api
    rpc: str
    our_address: str
    bobs_address: str
    plugins: dict[str, dict[str, Any]]


async def rpc_call(rpc: str, method: str, *params: Any) -> Any:
    async with (
        ClientSession() as session,
        session.post(
            rpc, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        ) as response,
    ):
        answer = await response.json()
    assert "error" not in answer, answer
    return answer["result"]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    children: list[Child] = []
    try:
        chain = Child("chain", "core.settlement", ("chain", "--port", "0"))
        children.append(chain)
        rpc = str((await chain.start())["rpc"])

        child, node, store = await start_node(tmp_path, "signalbox")
        children.append(child)
        child, our_address = await start_engine(store, rpc)
        children.append(child)
        child, bobs_books, bobs_store = await start_node(tmp_path, "bob")
        children.append(child)
        child, bobs_address = await start_engine(bobs_store, rpc)
        children.append(child)
        await rpc_call(rpc, "signalbox_fund", our_address, hex(10**18))

        plugins = {}
        for name, scale in (("alice", 9), ("bob", 12)):
            port = free_port()
            await node.call(
                "POST",
                "/accounts",
                json={
                    "username": name,
                    "asset_code": "ETH",
                    "asset_scale": scale,
                    "routing_relation": "Child",
                    "max_packet_amount": MAX_PACKET * 10 ** (scale - 9),
                    "ilp_over_http_url": f"http://127.0.0.1:{port}/",
                    "ilp_over_http_incoming_token": f"from-{name}-0123456789",
                    "ilp_over_http_outgoing_token": f"to-{name}-0123456789",
                    # Bob is paid once we owe him 200,000 gwei, down to nothing.
                    **(
                        {
                            "settle_threshold": 200_000_000,
                            "settle_to": 0,
                            "settlement_engine_url": "signalbox:ethereum",
                            "settlement_address": bobs_address,
                        }
                        if name == "bob"
                        else {}
                    ),
                },
            )
            plugins[name] = {
                "listen": port,
                "url": f"{node.url}/accounts/{name}/ilp",
                "incomingToken": f"to-{name}-0123456789",
                "outgoingToken": f"from-{name}-0123456789",
            }
        await bobs_books.call(
            "POST",
            "/accounts",
            json={
                "username": "signalbox",
                "asset_code": "ETH",
                "asset_scale": 12,
                "settlement_engine_url": "signalbox:ethereum",
                "settlement_address": our_address,
            },
        )
        yield Scene(node, bobs_books, rpc, our_address, bobs_address, plugins)
    finally:
        for child in reversed(children):
            await child.stop()


class Receiver:
    """A STREAM server in a process of its own."""

    def __init__(self, plugin: dict[str, Any]) -> None:
        self._plugin = plugin

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "node",
            str(PEERS / "stream_server.js"),
            json.dumps(self._plugin),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.credentials = await self._line("READY")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()

    async def received(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(b"total\n")
        return int((await self._line("TOTAL"))["received"])

    async def _line(self, word: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode()
        assert line.startswith(word), line
        answer: dict[str, Any] = json.loads(line.removeprefix(word))
        return answer


async def pay(plugin: dict[str, Any], receiver: Receiver, amount: int) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(PEERS / "stream_client.js"),
        json.dumps({**plugin, **receiver.credentials, "amount": str(amount)}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    answer: dict[str, Any] = json.loads(out.decode().removeprefix("PAID"))
    return answer


@pytest.mark.timeout(300)
async def test_a_million_units_each_way_leave_the_same_numbers_everywhere(scene: Scene) -> None:
    # alice → bob: gwei become thousandths; nothing is lost, the rate is one thousand exactly.
    async with Receiver(scene.plugins["bob"]) as bob:
        paid = await pay(scene.plugins["alice"], bob, AMOUNT)
        assert int(paid["sent"]) == AMOUNT
        assert int(paid["delivered"]) == AMOUNT * 1000 == await bob.received()
        assert int(paid["packets"]) >= AMOUNT // MAX_PACKET
    assert await scene.node.exact_balance("alice") == -AMOUNT

    # We owed bob more than the threshold: our engine paid, on the chain and in both books.
    settled = await settled_with_bob(scene, at_least=AMOUNT * 1000 - 200_000_000)
    assert await scene.node.exact_balance("bob") == AMOUNT * 1000 - settled

    # bob → alice, back again.
    async with Receiver(scene.plugins["alice"]) as alice:
        paid = await pay(scene.plugins["bob"], alice, AMOUNT * 1000)
        assert int(paid["sent"]) == AMOUNT * 1000
        assert int(paid["delivered"]) == AMOUNT == await alice.received()
    assert await scene.node.exact_balance("alice") == 0
    assert await scene.node.exact_balance("bob") == -settled

    audit = await scene.node.call("GET", "/audit")
    assert audit["passed"], audit
    assert (await scene.bobs_books.call("GET", "/audit"))["passed"]


async def settled_with_bob(scene: Scene, *, at_least: int) -> int:
    """Wait until what we paid is final with us and credited by bob, to the unit; return it in bob's units."""
    async with asyncio.timeout(90):
        while True:
            ours = await scene.node.call("GET", "/settlements")
            done = [row for row in ours if row["state"] == "final"]
            paid = sum(int(row["amount"]) for row in done)
            credited = -await scene.bobs_books.exact_balance("signalbox")
            if paid >= at_least and len(done) == len(ours) and abs(credited) == paid:
                break
            await asyncio.sleep(0.2)
    on_chain = int(
        await rpc_call(scene.rpc, "eth_getBalance", scene.bobs_address, "latest"), 16
    )
    assert on_chain == paid * 10**6
    theirs = await scene.bobs_books.call("GET", "/settlements")
    assert sum(int(row["ledger_amount"]) for row in theirs) == on_chain
    assert all(row["transaction"] for row in ours + theirs)
    return paid
