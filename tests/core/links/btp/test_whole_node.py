"""BTP through a whole node: its books, its operator and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from core.account import Secret
from core.config import Bind, NodeConfig
from core.control.views import AccountDetails, LinkState
from core.host import NodeHost
from core.links.btp import packet as btp
from core.links.btp.limits import BtpLimits
from core.links.btp.link import BtpLink
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, address, parse_reply
from tests.core.links.btp.conftest import Listening, Socket, ilp, login, until
from tests.core.links.conftest import CONDITION, FULFILLMENT, prepare
from tests.core.routing.network import told, way

TOKENS = {name: f"{name}-token-0123456789" for name in ("alice", "bob")}


@dataclass
class Whole:
    host: NodeHost
    session: ClientSession
    numbers: list[int] = field(default_factory=list)

    async def log_in(self, username: str) -> Socket:
        url = f"{self.host.url}/accounts/{username}/ilp/btp"
        socket = Socket(await self.session.ws_connect(url))
        await socket.say(login(TOKENS[username]))
        assert (await socket.hear()).kind == btp.RESPONSE
        return socket

    async def net(self, username: str) -> int:
        return (await self.host.control.account(username)).balance.net

    async def link(self, username: str) -> tuple[LinkState, str]:
        view = await self.host.control.account(username)
        return view.state, view.state_reason


def for_bob(data: bytes) -> Prepare:
    plain = prepare(data)
    return Prepare.build(
        amount=10,
        expires_at_ms=plain.expires_at_ms,
        condition=CONDITION,
        destination="test.node.bob.1",
        data=data,
    )


@pytest.fixture
async def whole() -> AsyncIterator[Whole]:
    config = NodeConfig(
        store="memory:",
        http_bind=Bind("127.0.0.1", 0),
        ilp_address=address("test.node"),
        admin_token=Secret("the-operators-own-token-0001"),
        drain_seconds=5,
    )
    host = await NodeHost.start(config)
    for name, token in TOKENS.items():
        await host.control.create_account(
            AccountDetails(
                username=name,
                asset_code="USD",
                asset_scale=9,
                ilp_over_btp_incoming_token=token,
            )
        )
    async with ClientSession() as session:
        yield Whole(host, session)
    await host.stop()


def heard(packet: btp.BtpPacket) -> Reply:
    assert packet.kind == btp.RESPONSE
    return parse_reply(packet.entries[0].data)


async def test_a_packet_is_forwarded_booked_and_fulfilled(whole: Whole) -> None:
    alice, bob = await whole.log_in("alice"), await whole.log_in("bob")
    await alice.say(ilp(btp.MESSAGE, 1, for_bob(b"one").octets))

    asked = await bob.hear()
    assert Prepare(bytearray(asked.entries[0].data)).amount == 10
    await bob.say(ilp(btp.RESPONSE, asked.request_id, Fulfill.build(FULFILLMENT).octets))

    assert isinstance(heard(await alice.hear()), Fulfill)
    assert (await whole.net("alice"), await whole.net("bob")) == (-10, 10)
    assert (await whole.link("bob"))[0] is LinkState.UP


async def test_a_token_that_the_operator_changes_ends_the_connection_at_once(
    whole: Whole,
) -> None:
    alice = await whole.log_in("alice")

    await whole.host.control.change_account(
        "alice", {"ilp_over_btp_incoming_token": "another-0123456789"}
    )

    assert (await alice.ends())[1] == "Its token was changed."
    state, reason = await whole.link("alice")
    assert state is LinkState.DEGRADED
    assert "Its token was changed." in reason


@pytest.mark.logs_warning
async def test_what_a_broken_connection_leaves_undecided_is_in_the_books_as_such(
    whole: Whole,
) -> None:
    alice, bob = await whole.log_in("alice"), await whole.log_in("bob")
    await alice.say(ilp(btp.MESSAGE, 1, for_bob(b"one").octets))
    await bob.hear()

    await bob.ws.close()

    reply = heard(await alice.hear())
    assert isinstance(reply, Reject)
    assert reply.code == b"T01"
    async with asyncio.timeout(10):
        while not await whole.host.control.unknown_transfers():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (left,) = await whole.host.control.unknown_transfers()
    assert left.outgoing_amount == 10
    assert (await whole.net("alice"), await whole.net("bob")) == (0, 0)


async def test_a_node_that_stops_takes_nothing_new_and_answers_everything_that_is_under_way(
    whole: Whole,
) -> None:
    alice, bob = await whole.log_in("alice"), await whole.log_in("bob")
    for number in range(20):
        await alice.say(ilp(btp.MESSAGE, number, for_bob(b"%d" % number).octets))
    asked = [await bob.hear() for _ in range(20)]

    stopping = asyncio.get_running_loop().create_task(whole.host.stop())
    await until(lambda: not whole.host.node.is_ready)
    await alice.say(ilp(btp.MESSAGE, 99, for_bob(b"too late").octets))
    refused = await alice.hear()
    assert refused.request_id == 99
    reject = heard(refused)
    assert isinstance(reject, Reject)
    assert reject.message == "This node is stopping."
    for packet in asked:
        await bob.say(ilp(btp.RESPONSE, packet.request_id, Fulfill.build(FULFILLMENT).octets))

    answers = [await alice.hear() for _ in range(20)]
    assert {answer.request_id for answer in answers} == set(range(20))
    assert all(isinstance(heard(answer), Fulfill) for answer in answers)
    assert (await alice.ends())[1] == "This node is stopping."
    assert (await bob.ends())[1] == "This node is stopping."
    await stopping


@pytest.mark.logs_warning
async def test_a_node_starts_though_its_peer_is_down_and_says_why_packets_go_nowhere(
    whole: Whole,
) -> None:
    await whole.host.control.create_account(
        AccountDetails(
            username="carol",
            asset_code="USD",
            asset_scale=9,
            ilp_over_btp_url="btp+ws://127.0.0.1:9",
            ilp_over_btp_outgoing_token="carols-token-0123456789",
        )
    )
    async with asyncio.timeout(10):
        while (await whole.link("carol"))[0] is not LinkState.DOWN:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    assert (
        "127.0.0.1:9 cannot be reached: nobody listens there." in (await whole.link("carol"))[1]
    )


@pytest.mark.logs_warning
async def test_a_stranger_who_calls_itself_a_peer_costs_it_no_route(whole: Whole) -> None:
    control, exchange = whole.host.control, whole.host.node.exchange
    await control.change_account("bob", {"routing_relation": "Peer"})
    account = whole.host.node.directory.by_username("bob")
    assert account is not None
    await exchange.take_update(
        account,
        told(way("test.far", account.ilp_address), speaker=account.ilp_address).encode(),
    )
    url = f"{whole.host.url}/accounts/bob/ilp/btp"
    socket = Socket(await whole.session.ws_connect(url))
    await socket.say(login("a-strangers-own-token"))
    assert (await socket.hear()).kind == btp.ERROR
    assert "wrong token" in (await whole.link("bob"))[1]
    looks = 0

    def looked() -> None:
        nonlocal looks
        looks += 1

    exchange.on_news, was = looked, exchange.on_news
    async with asyncio.timeout(20):
        while looks < 3:  # noqa: ASYNC110 - it looks once a second, and tells nobody else
            await asyncio.sleep(0.05)
    exchange.on_news = was
    assert "test.far" in exchange.learned.best


@pytest.fixture
def slow_to_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the nodes that are started from here on dial whom they could not reach ten minutes later."""
    limits = BtpLimits(retry_seconds=(600.0,), wish_seconds=0.0)
    monkeypatch.setattr("core.host.BtpLink", partial(BtpLink, limits=limits))


@pytest.mark.logs_warning
async def test_a_ping_dials_a_peer_that_would_be_dialled_later_and_says_when_if_it_is_not_there(
    slow_to_dial: None, whole: Whole, listening: Listening, unused_tcp_port: int
) -> None:
    port, control = unused_tcp_port, whole.host.control
    await control.create_account(
        AccountDetails(
            username="carol",
            asset_code="USD",
            asset_scale=9,
            ilp_over_btp_url=f"btp+ws://127.0.0.1:{port}",
            ilp_over_btp_outgoing_token="carols-token-0123456789",
        )
    )
    async with asyncio.timeout(20):
        while "dialled again in" not in (await whole.link("carol"))[1]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    nobody = await control.ping("carol")
    assert not nobody.answered
    assert nobody.sentence.startswith(
        f"carol did not answer: 127.0.0.1:{port} cannot be reached: nobody listens there."
        " It is dialled again in "
    )

    async def rejects(socket: Socket) -> None:
        async for message in socket.ws:
            asked = btp.parse_packet(message.data)
            no = Reject.build(ErrorCode.UNREACHABLE, triggered_by="test.node.carol", message="")
            await socket.say(ilp(btp.RESPONSE, asked.request_id, no.octets))

    await listening(rejects, port=port)
    assert (await control.ping("carol")).answered


@pytest.mark.logs_warning
async def test_a_node_starts_at_once_though_none_of_its_peers_can_be_reached(
    tmp_path: Path,
) -> None:
    config = NodeConfig(
        store=f"sqlite:///{tmp_path}/node.db",
        http_bind=Bind("127.0.0.1", 0),
        admin_token=Secret("the-operators-own-token-0001"),
        drain_seconds=0,
    )
    links: Sequence[dict[str, Any]] = (
        {"ilp_over_http_url": "http://127.0.0.1:9/ilp"},
        {"ilp_over_http_url": "https://nobody.invalid/ilp", "routing_relation": "Peer"},
        {"ilp_over_http_url": "http://127.0.0.1:9/ilp", "routing_relation": "Parent"},
        {"ilp_over_btp_url": "btp+ws://127.0.0.1:9", "routing_relation": "Peer"},
        {"ilp_over_btp_url": "btp+wss://nobody.invalid", "routing_relation": "Peer"},
        {"ilp_over_btp_incoming_token": "bobs-own-token-01234", "routing_relation": "Peer"},
    )
    for _ in range(2):
        async with asyncio.timeout(20):
            host = await NodeHost.start(config)
        assert host.node.is_ready
        for number, link in enumerate(links):
            if len(host.node.directory) < len(links):
                plain = AccountDetails(
                    username=f"peer-{number}", asset_code="USD", asset_scale=9
                )
                await host.control.create_account(replace(plain, **link))
        await host.stop()
