"""Our sender pays receivers that we did not write, over our node: every unit is the same on both sides."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import ClientSession

from core.account import Asset, Secret
from core.clock import WallClock
from core.config import Bind, NodeConfig
from core.host import NodeHost
from core.packet import Prepare, Reply, address
from core.service import IncomingRequest
from core.stream.sender.exchange import SenderLimits
from core.stream.sender.sender import StreamSender
from core.stream.sender.terms import OutcomeState, PaymentTerms, Progress
from core.tasks import TaskOwner
from tests.end_to_end.programs import free_port

PEERS = Path(__file__).parents[1] / "peers"
MAX_PACKET = 1_000
SERVER = "stream_server.js"
RECEIVERS = [
    pytest.param(SERVER, {}, id="ilp-protocol-stream"),
    pytest.param(
        "stream_receiver.js", {"package": "@interledger/stream-receiver"}, id="stream-receiver"
    ),
    pytest.param(
        "stream_receiver.js", {"package": "stream-receiver-alpha"}, id="stream-receiver-alpha"
    ),
]


@dataclass
class Program:
    """A Node program that prints READY once it is, and what we ask it for on its standard input."""

    script: str
    settings: dict[str, Any] | Path
    ready: dict[str, Any] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        given = self.settings
        self._process = await asyncio.create_subprocess_exec(
            "node",
            str(PEERS / self.script),
            str(given) if isinstance(given, Path) else json.dumps(given),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.ready = await self._line("READY")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
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
        told: dict[str, Any] = json.loads(line.removeprefix(word))
        return told


@dataclass
class Scene:
    """A node in this process, and a sender that pays from one of its accounts."""

    host: NodeHost
    tasks: TaskOwner

    def sender(self, username: str, limits: SenderLimits | None = None) -> StreamSender:
        account = self.host.node.directory.by_username(username)
        assert account is not None

        async def send(prepare: Prepare) -> Reply:
            return await self.host.node.incoming.handle(IncomingRequest(account, prepare))

        return StreamSender(
            send=send, clock=WallClock(), tasks=self.tasks, limits=limits or SenderLimits()
        )

    async def account(self, username: str, **details: Any) -> dict[str, Any]:
        """Make an account and return what a program of npm needs to be behind it."""
        port = free_port()
        created = await self.call(
            "POST",
            "/accounts",
            json={
                "username": username,
                "asset_code": "USD",
                "asset_scale": 9,
                "routing_relation": "Child",
                "ilp_over_http_url": f"http://127.0.0.1:{port}/",
                "ilp_over_http_incoming_token": f"from-{username}-0123456789",
                "ilp_over_http_outgoing_token": f"to-{username}-0123456789",
                **details,
            },
        )
        assert created["username"] == username
        return {
            "listen": port,
            "url": f"{self.host.url}/accounts/{username}/ilp",
            "incomingToken": f"to-{username}-0123456789",
            "outgoingToken": f"from-{username}-0123456789",
        }

    async def account_behind(self, link: str, username: str, **details: Any) -> dict[str, Any]:
        """Make an account whose program speaks HTTP with us, or dials us over BTP."""
        plugin = await self.account(
            username, **details, ilp_over_btp_incoming_token=f"btp-{username}-0123456789"
        )
        if link == "http":
            return plugin
        host = self.host.url.removeprefix("http://")
        token = f"btp-{username}-0123456789"
        return {"btp": {"server": f"btp+ws://:{token}@{host}/accounts/{username}/ilp/btp"}}

    async def balance(self, username: str) -> int:
        return int((await self.call("GET", f"/accounts/{username}/balance"))["net"])

    async def audited(self) -> bool:
        return bool((await self.call("GET", "/audit"))["passed"])

    async def call(self, method: str, path: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.host.admin_token.reveal()}"}
        async with (
            ClientSession(self.host.url) as session,
            session.request(method, path, headers=headers, **body) as response,
        ):
            assert response.status < 300, await response.text()
            return await response.json()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    host = await NodeHost.start(
        NodeConfig(
            store=f"sqlite:///{tmp_path}/signalbox.db",
            ilp_address=address("test.node"),
            http_bind=Bind("127.0.0.1", 0),
            admin_token=Secret("admin-token-of-the-test"),
        )
    )
    tasks = TaskOwner("payments of the test", tasks_max=1_000)
    try:
        yield Scene(host, tasks)
    finally:
        await tasks.finish(5)
        await host.stop()


def terms(receiver: Program, **asked: Any) -> PaymentTerms:
    return PaymentTerms(
        destination=receiver.ready["address"],
        shared_secret=base64.b64decode(receiver.ready["sharedSecret"]),
        **asked,
    )


@pytest.mark.parametrize("link", ["http", "btp"])
@pytest.mark.parametrize(("script", "settings"), RECEIVERS)
async def test_a_fixed_amount_is_sent_and_all_of_it_arrives(
    scene: Scene, script: str, settings: dict[str, Any], link: str
) -> None:
    await scene.account("alice", max_packet_amount=MAX_PACKET)
    bob = await scene.account_behind(link, "bob", asset_scale=12)
    async with Program(script, {**settings, **bob}) as receiver:
        sender, asked = scene.sender("alice"), terms(receiver, source_amount=100_000)
        quote = await sender.quote(asked)
        assert quote.rate_low == 1000
        assert quote.path_maximum == MAX_PACKET
        assert quote.destination_asset == Asset("USD", 12)
        assert await scene.balance("alice") == 0

        seen: list[Progress] = []
        outcome = await sender.pay(asked, quote, on_progress=seen.append)

        assert outcome.state is OutcomeState.COMPLETED
        assert (outcome.source_sent, outcome.delivered) == (100_000, 100_000_000)
        assert outcome.packets_fulfilled == 100
        assert await receiver.received() == 100_000_000
        assert seen[-1].source_sent == 100_000
        assert not outcome.violations
    assert await scene.balance("alice") == -100_000
    assert await scene.balance("bob") == 100_000_000
    assert await scene.audited()


@pytest.mark.parametrize(("script", "settings"), RECEIVERS)
async def test_a_fixed_amount_is_delivered_and_costs_what_the_rate_says(
    scene: Scene, script: str, settings: dict[str, Any]
) -> None:
    await scene.account("alice", asset_scale=12, max_packet_amount=1_500_000)
    bob = await scene.account("bob")
    async with Program(script, {**settings, **bob}) as receiver:
        asked = terms(receiver, delivered_amount=50_001, min_rate=Fraction(1, 1000))
        sender = scene.sender("alice")
        quote = await sender.quote(asked)
        outcome = await sender.pay(asked, quote)

        assert outcome.is_completed, outcome
        assert (outcome.source_sent, outcome.delivered) == (50_001_000, 50_001)
        assert await receiver.received() == 50_001
    assert await scene.balance("alice") == -50_001_000
    assert await scene.balance("bob") == 50_001
    assert await scene.audited()


@pytest.mark.parametrize(("script", "settings"), RECEIVERS)
async def test_small_packets_into_cents_lose_little_and_fail_for_no_rounding(
    scene: Scene, script: str, settings: dict[str, Any]
) -> None:
    """Five cents of a dollar a packet are four and a half of a euro, of which the half would be lost."""
    await scene.host.control.set_rates({"USD": Decimal(1), "EUR": Decimal(10) / 9})
    await scene.account("alice", asset_scale=6, max_packet_amount=50_000)
    bob = await scene.account("bob", asset_code="EUR", asset_scale=2)
    async with Program(script, {**settings, **bob}) as receiver:
        sender, asked = scene.sender("alice"), terms(receiver, source_amount=1_987_654)
        quote = await sender.quote(asked)
        outcome = await sender.pay(asked, quote)

        assert outcome.is_completed, outcome
        assert quote.lost_by_rounding < Fraction(1, 50)
        assert outcome.packets_rejected < 10
        assert 175 <= outcome.delivered <= 178  # 178.9 cents, if nothing were lost
        assert await receiver.received() == outcome.delivered
        assert not outcome.violations
    assert await scene.balance("alice") == -outcome.source_sent
    assert await scene.balance("bob") == outcome.delivered
    assert await scene.audited()


@contextlib.asynccontextmanager
async def connector(scene: Scene, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Run an ilp-connector behind our node; yield what a program behind that one needs."""
    ours = await scene.account(
        "connector", ilp_address="test.conn", routing_relation="NonRoutingAccount"
    )
    bob, bobs_connector = free_port(), free_port()
    limit = {"refillPeriod": 60_000, "refillCount": 10**9, "capacity": 10**9}
    common = {
        "relation": "child",
        "assetCode": "USD",
        "assetScale": 9,
        "plugin": "ilp-plugin-http",
        "rateLimit": limit,
    }
    config = folder / "connector.json"
    config.write_text(
        json.dumps({
            "env": "test",
            "ilpAddress": "test.conn",
            "backend": "one-to-one",
            "spread": 0,
            "store": "memory",
            "initialConnectTimeout": 5000,
            "accounts": {
                "signalbox": {
                    **common,
                    "options": {
                        "incoming": {"port": ours["listen"], "staticToken": ours["incomingToken"]},
                        "outgoing": {"url": ours["url"], "staticToken": ours["outgoingToken"]},
                    },
                },
                "bob": {
                    **common,
                    "maxPacketAmount": "700",
                    "options": {
                        "incoming": {"port": bobs_connector, "staticToken": "from-bob"},
                        "outgoing": {"url": f"http://127.0.0.1:{bob}/", "staticToken": "to-bob"},
                    },
                },
            },
        })
    )  # fmt: skip
    async with Program("connector.js", config):
        yield {
            "listen": bob,
            "url": f"http://127.0.0.1:{bobs_connector}/",
            "incomingToken": "to-bob",
            "outgoingToken": "from-bob",
        }


@pytest.mark.parametrize(("script", "settings"), RECEIVERS)
async def test_a_payment_goes_through_a_connector_that_we_did_not_write(
    scene: Scene, tmp_path: Path, script: str, settings: dict[str, Any]
) -> None:
    await scene.account("alice", max_packet_amount=MAX_PACKET)
    async with (
        connector(scene, tmp_path) as bob,
        Program(script, {**settings, **bob}) as receiver,
    ):
        asked, sender = terms(receiver, source_amount=50_000), scene.sender("alice")
        outcome = await sender.pay(asked, await sender.quote(asked))

        assert outcome.is_completed, outcome
        assert (outcome.source_sent, outcome.delivered) == (50_000, 50_000)
        assert await receiver.received() == 50_000
    assert await scene.balance("alice") == -50_000
    assert await scene.balance("connector") == 50_000
    assert await scene.audited()


@pytest.mark.parametrize(("script", "settings"), RECEIVERS[1:])
async def test_the_best_receipt_says_how_much_was_delivered(
    scene: Scene, script: str, settings: dict[str, Any]
) -> None:
    await scene.account("alice", max_packet_amount=MAX_PACKET)
    bob = await scene.account("bob")
    nonce, secret = secrets.token_bytes(16), secrets.token_bytes(32)
    settings = {
        **settings,
        "receipts": {
            "nonce": base64.b64encode(nonce).decode(),
            "secret": base64.b64encode(secret).decode(),
        },
    }
    async with Program(script, {**settings, **bob}) as receiver:
        asked, sender = terms(receiver, source_amount=20_000), scene.sender("alice")
        outcome = await sender.pay(asked, await sender.quote(asked))

    receipt = outcome.receipts[1]
    assert receipt[1:17] == nonce
    assert int.from_bytes(receipt[18:26], "big") == 20_000
    assert receipt[26:] == hmac.digest(secret, receipt[:26], "sha256")


async def test_a_cancelled_payment_has_sent_what_the_receiver_has(scene: Scene) -> None:
    await scene.account("alice", max_packet_amount=MAX_PACKET)
    bob = await scene.account("bob")
    async with Program(SERVER, bob) as receiver:
        asked, sender = terms(receiver, source_amount=10**9), scene.sender("alice")
        quote = await sender.quote(asked)
        cancel = asyncio.Event()

        async def cancel_soon() -> None:
            await asyncio.sleep(0.5)
            cancel.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(cancel_soon())
            outcome = await sender.pay(asked, quote, cancel=cancel)

        assert outcome.state is OutcomeState.CANCELLED
        assert 0 < outcome.source_sent < 10**9
        assert await receiver.received() == outcome.source_sent == outcome.delivered
    assert await scene.balance("alice") == -outcome.source_sent
    assert await scene.audited()


@pytest.mark.logs_warning
async def test_a_receiver_that_dies_ends_it_with_who_said_so_and_what_was_sent(
    scene: Scene,
) -> None:
    await scene.account("alice", max_packet_amount=MAX_PACKET)
    bob = await scene.account("bob")
    receiver = Program(SERVER, bob)
    async with receiver:
        asked = terms(receiver, source_amount=10**9)
        sender = scene.sender("alice", SenderLimits(idle_seconds=1.0))
        quote = await sender.quote(asked)

        async def die() -> None:
            await asyncio.sleep(0.5)
            await receiver.__aexit__()

        async with asyncio.TaskGroup() as group:
            group.create_task(die())
            outcome = await sender.pay(asked, quote)

    assert outcome.state is OutcomeState.IDLE
    assert (outcome.reject_code, outcome.triggered_by) == ("T01", "test.node")
    assert "T01 Peer Unreachable by test.node" in outcome.reason
    assert 0 < outcome.source_sent == outcome.delivered < 10**9
    assert await scene.balance("alice") == -outcome.source_sent
    assert await scene.audited()
