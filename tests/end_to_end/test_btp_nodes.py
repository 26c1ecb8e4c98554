"""Two of our nodes, connected over BTP: packets through both, one killed amid them, and what both books say then."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from core.links.btp import packet as btp
from core.packet import Fulfill, Prepare, parse_reply
from core.practice.process import Child
from tests.core.links.btp.conftest import Socket, ilp, login
from tests.core.links.conftest import CONDITION, FULFILLMENT, prepare
from tests.end_to_end.programs import free_port
from tests.end_to_end.test_stream_npm import ADMIN_TOKEN, Api

AMOUNT = 10
TOKEN = "a-token-of-twenty-four-c"


class OurNode:
    """A node process that can be killed and started again on its port and store."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.port = free_port()
        self.api = Api(f"http://127.0.0.1:{self.port}")
        self._store = f"sqlite:///{directory}/{name}.db"
        self._child: Child | None = None

    async def start(self) -> None:
        arguments = ("run", "--store", self._store, "--ilp-address", f"test.{self.name}")
        bind = ("--http-bind", f"127.0.0.1:{self.port}")
        self._child = Child(self.name, "core", (*arguments, *bind))
        await self._child.start(environment={"SIGNALBOX_ADMIN_TOKEN": ADMIN_TOKEN})

    async def kill(self) -> None:
        assert self._child is not None
        assert self._child.pid is not None
        os.kill(self._child.pid, signal.SIGKILL)
        await self._child.stop()

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()

    async def account(self, username: str, **fields: Any) -> None:
        body = {"username": username, "asset_code": "USD", "asset_scale": 9, **fields}
        await self.api.call("POST", "/accounts", json=body)

    async def books(self, username: str) -> dict[str, int]:
        shown = await self.api.call("GET", f"/accounts/{username}/balance")
        names = ("net", "pending_in", "pending_out", "unknown_out")
        return {name: int(shown[name]) for name in names}

    async def connected(self, username: str) -> None:
        async with asyncio.timeout(30):
            while True:
                shown = await self.api.call("GET", f"/accounts/{username}/overview")
                if shown["state"] == "up":
                    return
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def log_in(self, username: str) -> AsyncIterator[Socket]:
        async with (
            ClientSession() as session,
            session.ws_connect(f"{self.api.url}/accounts/{username}/ilp/btp") as ws,
        ):
            socket = Socket(ws)
            await socket.say(login(TOKEN + username))
            assert (await socket.hear()).kind == btp.RESPONSE
            yield socket


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[OurNode, OurNode]]:
    """`near` dials `far`; alice is at the one, bob at the other."""
    near, far = OurNode("near", tmp_path), OurNode("far", tmp_path)
    try:
        await near.start()
        await far.start()
        await far.account("near", ilp_over_btp_incoming_token=TOKEN + "near")
        await far.account("bob", ilp_over_btp_incoming_token=TOKEN + "bob")
        await near.account("alice", ilp_over_btp_incoming_token=TOKEN + "alice")
        await near.account(
            "far",
            ilp_address="test.far",
            ilp_over_btp_url=f"btp+ws://127.0.0.1:{far.port}/btp",
            ilp_over_btp_outgoing_token=TOKEN + "near",
        )
        await near.connected("far")
        yield near, far
    finally:
        await near.stop()
        await far.stop()


def packet_for_bob(number: int) -> Prepare:
    return Prepare.build(
        amount=AMOUNT,
        expires_at_ms=prepare().expires_at_ms,
        condition=CONDITION,
        destination="test.far.bob.1",
        data=number.to_bytes(4, "big"),
    )


async def fulfill_everything(bob: Socket, some: asyncio.Event | None = None) -> None:
    """Answer each packet; `some` is set once there were three hundred."""
    answered = 0
    async for message in bob.ws:
        asked = btp.parse_packet(message.data)
        if asked.kind == btp.MESSAGE:
            octets = Fulfill.build(FULFILLMENT).octets
            await bob.say(ilp(btp.RESPONSE, asked.request_id, octets))
            answered += 1
            if some is not None and answered == 300:
                some.set()


async def send(alice: Socket, numbers: range) -> int:
    """Send these packets at once; return how many were fulfilled, each having got a reply."""
    for number in numbers:
        await alice.say(ilp(btp.MESSAGE, number, packet_for_bob(number).octets))
    fulfilled = 0
    for _ in numbers:
        answer = await alice.hear()
        assert answer.kind == btp.RESPONSE
        assert answer.request_id in numbers
        fulfilled += isinstance(parse_reply(answer.entries[0].data), Fulfill)
    return fulfilled


@pytest.mark.timeout(180)
async def test_a_node_that_is_killed_amid_packets_loses_none_of_them_and_is_dialled_again(
    nodes: tuple[OurNode, OurNode],
) -> None:
    near, far = nodes
    loop = asyncio.get_running_loop()
    async with near.log_in("alice") as alice:
        async with far.log_in("bob") as bob:
            amid = asyncio.Event()
            answering = loop.create_task(fulfill_everything(bob, amid))
            assert await send(alice, range(100)) == 100
            assert (await near.books("far"))["net"] == 100 * AMOUNT
            assert (await far.books("near"))["net"] == -100 * AMOUNT

            sending = loop.create_task(send(alice, range(100, 1100)))
            await amid.wait()
            await far.kill()
            first = 100 + await sending
            await answering
        assert first < 1100, "the node was killed too late for the test"

        await far.start()
        await near.connected("far")
        async with far.log_in("bob") as bob:
            answering = loop.create_task(fulfill_everything(bob))
            fulfilled = first + await send(alice, range(2000, 2100))
        await answering
        assert fulfilled == first + 100

    ours, theirs = await near.books("far"), await far.books("near")
    assert ours["net"] == fulfilled * AMOUNT
    assert ours["pending_out"] == theirs["pending_in"] == 0
    # What they have fulfilled and we have not heard of is among what we call unknown, and nowhere else.
    assert ours["net"] <= -theirs["net"] <= ours["net"] + ours["unknown_out"]
    for node in (near, far):
        assert (await node.api.call("GET", "/audit"))["passed"]
