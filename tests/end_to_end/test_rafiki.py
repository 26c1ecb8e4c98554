"""A node of ours and one that behaves as Rafiki: made peers by its auto-peering, and packets both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from core.account import Secret
from core.config import Bind, NodeConfig
from core.control.peering_views import AddressSource, AutoPeerRequest
from core.control.views import AccountDetails, LinkState
from core.errors import Conflict, SettingError
from core.host import NodeHost
from core.packet import Fulfill, Prepare, Reject, Reply, address
from core.service import IncomingRequest
from core.services.echo import PING_CONDITION
from tests.end_to_end.rafiki import ADDRESS, CONDITION, RafikiLike

EXPIRES_IN_MS = 20_000


@dataclass
class Scene:
    host: NodeHost
    rafiki: RafikiLike

    def request(self, **changes: Any) -> AutoPeerRequest:
        plain: dict[str, Any] = {
            "url": f"{self.rafiki.url}/autopeer",
            "asset_code": "usd",
            "asset_scale": 2,
            "our_url": self.host.url,
            "min_balance": -1_000,
            "allow_private": True,
        }
        return AutoPeerRequest(**{**plain, **changes})

    def packet(self, to: str, amount: int, condition: bytes = CONDITION) -> Prepare:
        return Prepare.build(
            amount=amount,
            expires_at_ms=self.host.node.clock.now_ms() + EXPIRES_IN_MS,
            condition=condition,
            destination=address(to),
        )

    async def pay(self, to: str, amount: int, sender: str = "alice") -> Reply:
        account = self.host.node.directory.by_username(sender)
        assert account is not None
        return await self.host.node.incoming.handle(
            IncomingRequest(account, self.packet(to, amount))
        )


async def start(**config: Any) -> NodeHost:
    return await NodeHost.start(
        NodeConfig(
            store="memory:",
            http_bind=Bind("127.0.0.1", 0),
            admin_token=Secret("admin-token-of-the-test"),
            **config,
        )
    )


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    rafiki = RafikiLike()
    async with TestServer(rafiki.app(), host="127.0.0.1") as server:
        rafiki.url = str(server.make_url("")).rstrip("/")
        host = await start(ilp_address=address("test.ours"))
        try:
            await host.control.create_account(
                AccountDetails(
                    username="alice", asset_code="USD", asset_scale=2, min_balance=-100_000
                )
            )
            yield Scene(host, rafiki)
        finally:
            await host.stop()


async def test_an_offer_makes_two_peers_and_packets_go_both_ways(scene: Scene) -> None:
    result = await scene.host.control.auto_peer(scene.request())

    account = result.account.account
    assert (account.username, account.ilp_address) == ("rafiki-money", ADDRESS)
    assert account.label == "Rafiki Money"
    (offer,) = scene.rafiki.offers
    assert offer["staticIlpAddress"] == "test.ours"
    assert offer["asset"] == {"code": "USD", "scale": 2}
    assert "maxPacketAmount" not in offer

    assert isinstance(await scene.pay("test.rafiki.wallet", 250), Fulfill)
    back = await scene.rafiki.send(scene.packet("test.ours", 100, PING_CONDITION))

    assert isinstance(back, Fulfill)
    balance = (await scene.host.control.account("rafiki-money")).balance
    assert balance.net == 250 - 100
    assert (await scene.host.control.audit()).passed


async def test_what_it_calls_itself_is_a_label_and_a_username_and_no_command_to_a_screen(
    scene: Scene,
) -> None:
    scene.rafiki.answer = {"name": " The \x1b[31mBank\n" + "x" * 500}

    account = (await scene.host.control.auto_peer(scene.request())).account.account

    assert account.label == "The [31mBank" + "x" * (64 - len(" The \x1b[31mBank\n"))
    assert account.username.startswith("the-31mbank")


async def test_an_asset_that_it_does_not_have_is_said_and_no_account_is_left(
    scene: Scene,
) -> None:
    with pytest.raises(
        Conflict, match=r"does not have this asset with this scale.*UnknownAsset"
    ):
        await scene.host.control.auto_peer(scene.request(asset_scale=9))

    assert len(await scene.host.control.accounts()) == 1


async def test_a_second_offer_leaves_a_live_peer_alone_unless_it_is_to_be_replaced(
    scene: Scene,
) -> None:
    control = scene.host.control
    first = (await control.auto_peer(scene.request(username="bank"))).account.account
    # So that nothing is on its way with the old token while that is replaced.
    await control.change_account("bank", {"send_routes": False, "receive_routes": False})
    await asyncio.sleep(0.1)

    with pytest.raises(Conflict, match="there is an account bank already"):
        await control.auto_peer(scene.request(username="bank"))
    assert len(scene.rafiki.offers) == 1, "nothing was sent"
    again = await control.auto_peer(scene.request(username="bank", replace=True))

    assert again.was_replaced
    assert again.account.account.id == first.id
    assert isinstance(await scene.pay("test.rafiki.wallet", 5), Fulfill)
    assert isinstance(
        await scene.rafiki.send(scene.packet("test.ours", 5, PING_CONDITION)), Fulfill
    )


async def test_an_address_that_an_account_has_already_is_told_with_the_way_out(
    scene: Scene,
) -> None:
    await scene.host.control.auto_peer(scene.request(username="bank"))

    with pytest.raises(Conflict, match=r"offer again with that account's username"):
        await scene.host.control.auto_peer(scene.request(username="other"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"staticIlpAddress": "not an address"}, "staticIlpAddress"),
        ({"staticIlpAddress": "peer.them"}, "for one link only"),
        ({"ilpConnectorUrl": "ftp://them/"}, "no http:// or https:// URL"),
        ({"ilpConnectorUrl": "http://169.254.169.254/latest"}, "where no peer can be"),
        ({"httpToken": ""}, "it has no httpToken"),
        ({"httpToken": "with blanks"}, "a header cannot carry"),
        ({"httpToken": 7}, "it has no httpToken"),
        ({"name": "x" * 20_000}, "more than 16384 octets"),
    ],
)
async def test_an_answer_of_no_use_is_said_and_adds_nothing(
    scene: Scene, answer: dict[str, object], words: str
) -> None:
    scene.rafiki.answer = answer

    with pytest.raises(Conflict, match=words):
        await scene.host.control.auto_peer(scene.request())

    assert len(await scene.host.control.accounts()) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"url": "http://127.0.0.1:1/", "allow_private": True},
            "did not reach http://127.0.0.1:1/",
        ),
        ({"url": "https://127.0.0.1/"}, "no public address"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "no public address"),
        ({"url": "https://localhost/"}, "no public address"),
        ({"url": "http://rafiki.example/"}, "a token in it"),
        ({"url": "file:///etc/passwd"}, "does not start with"),
        ({"url": "https://me:pass@rafiki.example/"}, "do not belong into a URL"),
    ],
)
async def test_an_offer_goes_nowhere_that_only_this_node_can_reach(
    scene: Scene, changes: dict[str, object], words: str
) -> None:
    public = {"our_url": "https://ours.example", "allow_private": False}

    with pytest.raises(Conflict, match=words):
        await scene.host.control.auto_peer(scene.request(**{**public, **changes}))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"asset_code": ""}, "asset_code"),
        ({"asset_scale": 256}, "asset_scale"),
        ({"max_packet_amount": 0}, "max_packet_amount"),
        ({"our_url": "ours.example"}, "our_url"),
        ({"our_url": "http://127.0.0.1:7770", "allow_private": False}, "our_url"),
        ({"username": "a b"}, "username"),
        ({"replace": True}, "username"),
        ({"username": "alice", "replace": True, "asset_code": "EUR"}, "asset_code"),
    ],
)
async def test_an_offer_that_cannot_be_is_refused_before_anything_is_sent(
    scene: Scene, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(SettingError) as caught:
        await scene.host.control.auto_peer(scene.request(**changes))

    assert caught.value.field == field
    assert scene.rafiki.offers == []


async def test_what_rafiki_does_not_speak_is_no_fault_of_the_peer(scene: Scene) -> None:
    """It answers F02 to IL-DCP and to route exchange: the link stays up, and nobody asks hot."""
    await scene.host.control.auto_peer(scene.request(username="bank"))
    await scene.pay("test.rafiki.wallet", 1)
    await asyncio.sleep(2.2)

    asked = [
        packet for packet in scene.rafiki.packets if packet.destination.startswith("peer.")
    ]
    assert len(asked) <= 2
    view = await scene.host.control.account("bank")
    assert view.state is LinkState.UP
    assert isinstance(await scene.pay("test.rafiki.wallet", 1), Fulfill)


async def test_a_rafiki_as_parent_leaves_this_node_its_address_and_says_why() -> None:
    rafiki = RafikiLike()
    async with TestServer(rafiki.app(), host="127.0.0.1") as server:
        rafiki.url = str(server.make_url("")).rstrip("/")
        host = await start()
        try:
            scene = Scene(host, rafiki)
            await host.control.auto_peer(scene.request(username="bank"))
            await host.control.change_account("bank", {"routing_relation": "Parent"})

            view = await host.control.ask_parent()

            assert (view.ilp_address, view.source) == ("test.signalbox", AddressSource.STORED)
            assert "gives no addresses (F02: unknown destination account)" in view.sentence
        finally:
            await host.stop()


@pytest.mark.logs_warning
async def test_its_texts_become_rejects_with_a_reason(scene: Scene) -> None:
    await scene.host.control.auto_peer(scene.request(username="bank"))
    scene.rafiki.peers.clear()

    reply = await scene.pay("test.rafiki.wallet", 1)

    assert isinstance(reply, Reject)
    assert reply.message == "bank did not take the packet."
    view = await scene.host.control.account("bank")
    assert "does not accept this node's token" in view.state_reason
