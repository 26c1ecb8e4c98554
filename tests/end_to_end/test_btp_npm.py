"""Our node and programs that we did not write, over BTP: each side dials, packets go both ways.

`ilp-plugin-btp` dials us, and listens for us; `ilp-connector` does both at once, with packets through it
and through us; `ilp-protocol-stream` pays over both, from one end of the chain to the other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.practice.process import Child
from tests.end_to_end.programs import free_port
from tests.end_to_end.test_stream_npm import PEERS, Api, Receiver, pay, start_node

TOKEN = "a-token-of-twenty-four-c"
AMOUNT = 250_000
"""Each way, and by each way of connecting: a million together."""
MAX_PACKET = 1_000


@dataclass
class Program:
    """One of the programs from npm."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    async def line(self, word: str) -> Any:
        assert self.process.stdout is not None
        async with asyncio.timeout(40):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith(word), line
        return json.loads(line.removeprefix(word))

    async def ask(self, word: str, **asked: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        return await self.line(word)


@asynccontextmanager
async def program(script: str, *arguments: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(PEERS / script),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass(frozen=True)
class Our:
    """Our node."""

    child: Child
    api: Api

    def btp(self, username: str = "") -> str:
        path = f"/accounts/{username}/ilp/btp" if username else "/"
        return f"btp+ws://:{TOKEN}{username}@{self.api.url.removeprefix('http://')}{path}"

    async def account(self, username: str, **fields: Any) -> None:
        body = {
            "username": username,
            "asset_code": "USD",
            "asset_scale": 9,
            "routing_relation": "Child",
            **fields,
        }
        await self.api.call("POST", "/accounts", json=body)

    async def dialled_by(self, username: str, **fields: Any) -> str:
        """Make an account that dials us; return where."""
        await self.account(username, ilp_over_btp_incoming_token=TOKEN + username, **fields)
        return self.btp(username)

    async def dials(self, username: str, port: int, **fields: Any) -> dict[str, Any]:
        """Make an account that we dial; return what its plug-in needs to listen."""
        await self.account(
            username,
            ilp_over_btp_url=f"btp+ws://127.0.0.1:{port}",
            ilp_over_btp_outgoing_token=TOKEN + username,
            **fields,
        )
        return {"listen": port, "secret": TOKEN + username}

    async def link(self, username: str) -> tuple[str, str]:
        shown = await self.api.call("GET", f"/accounts/{username}/overview")
        return shown["state"], shown["state_reason"]

    async def until(self, username: str, state: str, words: str) -> None:
        async with asyncio.timeout(20):
            while True:
                found, reason = await self.link(username)
                if found == state and words in reason:
                    return
                await asyncio.sleep(0.05)


@pytest.fixture
async def our(tmp_path: Path) -> AsyncIterator[Our]:
    child, api, _ = await start_node(tmp_path, "signalbox")
    yield Our(child, api)
    await child.stop()


async def test_the_plugin_dials_us_and_listens_for_us_and_packets_go_both_ways(
    our: Our,
) -> None:
    url = await our.dialled_by("alice")
    port = free_port()
    bob_listens = await our.dials("bob", port)
    async with (
        program("btp_peer.js", json.dumps(bob_listens)) as bob,
        program("btp_peer.js", json.dumps({"server": url})) as alice,
    ):
        await bob.line("LISTENING")
        await bob.line("READY")
        await alice.line("READY")

        sent = await alice.ask("SENT", send=200, to="test.signalbox.bob.x")
        assert sent == {"fulfilled": 200, "rejected": 0, "first": None}
        sent = await bob.ask("SENT", send=200, to="test.signalbox.alice.x")
        assert sent == {"fulfilled": 200, "rejected": 0, "first": None}

        assert await bob.ask("COUNT", count=True) == {"received": 200}
        assert await alice.ask("COUNT", count=True) == {"received": 200}
        assert (await our.link("alice"))[0] == "up"
        assert "Connected over BTP" in (await our.link("bob"))[1]

        # A reject of ours is a Reject for the plug-in, with its sentence.
        sent = await alice.ask("SENT", send=1, to="test.elsewhere")
        assert sent["first"]["code"] == "F02"
    assert (await our.api.call("GET", "/audit"))["passed"]


async def test_the_plugin_is_dialled_again_when_it_comes_back_and_dials_again_itself(
    our: Our,
) -> None:
    url = await our.dialled_by("alice")
    port = free_port()
    bob_listens = await our.dials("bob", port)
    await our.until("bob", "down", "nobody listens there")
    async with program("btp_peer.js", json.dumps({"server": url})) as alice:
        await alice.line("READY")
        sent = await alice.ask("SENT", send=1, to="test.signalbox.bob.x")
        assert sent["first"]["code"] == "T01"
        assert sent["first"]["message"] == "bob is not connected over BTP."
        for _ in range(2):
            async with program("btp_peer.js", json.dumps(bob_listens)) as bob:
                await bob.line("LISTENING")
                await bob.line("READY")
                sent = await alice.ask("SENT", send=20, to="test.signalbox.bob.x")
                assert sent["fulfilled"] == 20
            await our.until("bob", "degraded", "dialled again")

        # A token that is changed ends the connection at once; the plug-in dials again and is refused.
        await our.api.call(
            "PUT", "/accounts/alice/settings", json={"ilp_over_btp_incoming_token": "x" * 24}
        )
        await our.until("alice", "degraded", "Its token was changed.")


async def test_a_plugin_that_refuses_our_token_is_shown_with_its_reason(our: Our) -> None:
    port = free_port()
    bob_listens = await our.dials("bob", port)
    async with program("btp_peer.js", json.dumps(bob_listens | {"secret": "another"})) as bob:
        await bob.line("LISTENING")

        await our.until("bob", "down", "It does not accept our token: F00 NotAcceptedError")


CONNECTOR = {
    "env": "test",
    "ilpAddress": "test.conn",
    "backend": "one-to-one",
    "spread": 0,
    "store": "memory",
    "initialConnectTimeout": 1000,
}
PLUGIN = {
    "relation": "child",
    "assetCode": "USD",
    "assetScale": 9,
    "plugin": "ilp-plugin-btp",
    "rateLimit": {"refillPeriod": 60_000, "refillCount": 10**9, "capacity": 10**9},
}


@pytest.mark.parametrize("we_dial", [True, False], ids=["we dial it", "it dials us"])
async def test_a_connector_and_stream_pay_over_us_both_ways(
    our: Our, tmp_path: Path, we_dial: bool
) -> None:
    # STREAM client → our node → ilp-connector → STREAM server, and back, every link BTP.
    ports = {"node": free_port(), "carol": free_port()}
    if we_dial:
        await our.dials("conn", ports["node"])
        node_link: dict[str, Any] = {
            "listener": {"port": ports["node"], "secret": TOKEN + "conn"}
        }
    else:
        node_link = {"server": await our.dialled_by("conn")}
    alice = {"btp": {"server": await our.dialled_by("alice", max_packet_amount=MAX_PACKET)}}
    await our.api.call("PUT", "/routes/static", json={"test.conn": "conn"})
    carol_listens = {"listener": {"port": ports["carol"], "secret": TOKEN + "carol"}}
    carol = {"btp": {"server": f"btp+ws://:{TOKEN}carol@127.0.0.1:{ports['carol']}"}}
    config = tmp_path / "connector.json"
    config.write_text(
        json.dumps(
            CONNECTOR
            | {
                "accounts": {
                    "node": PLUGIN | {"options": node_link},
                    "carol": PLUGIN | {"options": carol_listens, "maxPacketAmount": "1000"},
                },
                "routes": [{"targetPrefix": "test.signalbox", "peerId": "node"}],
            }
        )
    )
    async with program("connector.js", str(config)) as connector:
        await connector.line("READY")
        await our.until("conn", "up", "Connected over BTP")

        async with Receiver(carol) as receiver:
            paid = await pay(alice, receiver, AMOUNT)
            assert int(paid["sent"]) == int(paid["delivered"]) == await receiver.received()
            assert int(paid["sent"]) == AMOUNT
        async with Receiver(alice) as receiver:
            paid = await pay(carol, receiver, AMOUNT)
            assert int(paid["sent"]) == int(paid["delivered"]) == await receiver.received()
            assert int(paid["sent"]) == AMOUNT

    assert await our.api.exact_balance("alice") == 0
    assert await our.api.exact_balance("conn") == 0
    assert (await our.api.call("GET", "/audit"))["passed"]
