"""A node that is given another address takes with it what stands under the old one, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.account import Account, NewTokens, RoutingRelation
from core.config import NodeConfig
from core.errors import PacketError
from core.ildcp_message import CONDITION, FULFILLMENT, IldcpAnswer
from core.node import Node
from core.own_address import ADDRESS_SETTING
from core.packet import Fulfill, address
from core.peering.parent import AGAIN_SECONDS, ParentAddress
from core.peering.readdress import moves
from core.testing.builders import account, prepare
from core.testing.chain import Chain, FakeLink

NEW = address("test.mum.us")


def at(username: str, where: str) -> Account:
    return account(username, ilp_address=address(where))


CHILD = account(
    "alice", ilp_address=address("test.node.alice"), routing_relation=RoutingRelation.CHILD
)
DEEP = at("shop", "test.node.shops.west")
PEER = at("bob", "test.bob")
NEAR = at("carol", "test.nodes.carol")
"""Begins with the same letters, and is another segment."""


def test_what_stands_under_the_old_address_moves_and_the_rest_stays() -> None:
    found = moves(
        [CHILD, DEEP, PEER, NEAR],
        {"test.node": PEER.id, "test.node.x": PEER.id, "test.far": PEER.id, "": PEER.id},
        old="test.node",
        new=NEW,
    )

    assert [(one.username, one.ilp_address) for one in found.accounts] == [
        ("alice", "test.mum.us.alice"),
        ("shop", "test.mum.us.shops.west"),
    ]
    assert found.routes == {"test.node": "test.mum.us", "test.node.x": "test.mum.us.x"}


def test_an_address_that_another_account_has_is_left_to_it() -> None:
    other = at("bob", "test.mum.us.alice")

    assert moves([CHILD, other], {}, old="test.node", new=NEW).accounts == []


def test_a_route_that_there_is_already_is_left_as_it_is() -> None:
    static = {"test.node.x": PEER.id, "test.mum.us.x": CHILD.id, "test.node.y": PEER.id}

    assert moves([], static, old="test.node", new=NEW).routes == {
        "test.node.y": "test.mum.us.y"
    }
    deeper = moves(
        [],
        {"test.node": PEER.id, "test.node.a": CHILD.id},
        old="test.node",
        new=address("test.node.a"),
    )
    assert deeper.routes == {"test.node": "test.node.a", "test.node.a": "test.node.a.a"}


def test_an_address_that_would_be_too_long_is_refused_before_anything_moves() -> None:
    with pytest.raises(PacketError):
        moves([CHILD], {}, old="test.node", new=address("test." + "a" * 1015))
    with pytest.raises(PacketError):
        moves(
            [], {"test.node.far": PEER.id}, old="test.node", new=address("test." + "a" * 1015)
        )


async def test_the_node_is_called_so_in_the_store_and_its_children_are_told_when_they_ask() -> (
    None
):
    chain = await Chain.build(
        CHILD, PEER, static={"test.node.extra": "bob", "": "bob", "test.far": "bob"}
    )

    await chain.node.own_address.move_to(NEW)

    assert chain.node.address.current == NEW
    assert await chain.stores.settings.load_setting(ADDRESS_SETTING) == NEW
    assert set(await chain.stores.routes.load_routes()) == {"test.mum.us.extra", "", "test.far"}
    route = chain.node.routing_table.look_up("test.mum.us.alice.1")
    assert route is not None
    assert route.next_hop == CHILD.id
    reply = await chain.handle(prepare(0, destination="peer.config", condition=CONDITION))
    assert isinstance(reply, Fulfill)
    assert IldcpAnswer.decode(reply.data).address == "test.mum.us.alice"


async def test_a_parent_without_an_address_is_called_so_in_the_store_and_goes_with_its_own() -> (
    None
):
    mum = replace(at("mum", "test.node.mum"), routing_relation=RoutingRelation.PARENT)
    chain = await Chain.build(CHILD, mum)
    asker = ParentAddress(
        directory=chain.node.directory,
        link=chain.link.far_side,
        clock=chain.clock,
        address=chain.node.address,
        adopt=chain.node.own_address.move_to,
        name=chain.node.own_address.name_parent,
        named=chain.node.own_address.named_parent,
        came_up=lambda _: 0,
        is_given=False,
    )
    found = []
    for given in ("test.mum.us", "test.far.mum.us"):
        answer = IldcpAnswer(address(given), mum.asset).encode()
        chain.link.far_side.reply = Fulfill.build(FULFILLMENT, answer)
        await asker.step()
        assert asker.parent is not None
        found.append((chain.node.address.current, asker.parent.ilp_address))
        chain.clock.advance(seconds=int(AGAIN_SECONDS))

    assert found == [("test.mum.us", "test.mum"), ("test.far.mum.us", "test.far.mum")]
    stored = {
        one.username: one.ilp_address for one in await chain.stores.accounts.load_accounts()
    }
    assert stored == {"alice": "test.far.mum.us.alice", "mum": "test.far.mum"}


async def test_a_parent_that_the_operator_has_named_meanwhile_keeps_that_name() -> None:
    mum = replace(at("mum", "test.dad"), routing_relation=RoutingRelation.PARENT)
    chain = await Chain.build(CHILD, mum)

    await chain.node.own_address.name_parent(
        replace(mum, ilp_address=address("test.node.mum")), address("test.mum")
    )

    (stored,) = [one for one in await chain.stores.accounts.load_accounts() if one.id == mum.id]
    assert stored.ilp_address == "test.dad"


async def test_addresses_that_stand_in_each_other_s_way_move_one_after_the_other() -> None:
    chain = await Chain.build(
        at("a", "test.node.x"), at("b", "test.node.y.x"), at("c", "test.node.y.y.x")
    )

    await chain.node.own_address.move_to(address("test.node.y"))

    assert {one.username: one.ilp_address for one in chain.node.directory.all()} == {
        "a": "test.node.y.x",
        "b": "test.node.y.y.x",
        "c": "test.node.y.y.y.x",
    }


async def test_a_node_that_shares_the_store_follows_unless_its_operator_gave_it_an_address() -> (
    None
):
    chain = await Chain.build(CHILD)
    config = NodeConfig(store="memory:", name="another")
    follower = Node(chain.stores, chain.clock, config, lambda *_: FakeLink())
    given = Node(
        chain.stores,
        chain.clock,
        replace(config, ilp_address=address("test.given")),
        lambda *_: FakeLink(),
    )
    await chain.node.own_address.move_to(NEW)

    await follower.refresh_if_changed()
    await given.refresh_if_changed()

    assert follower.address.current == NEW
    assert given.address.current == "test.given"


async def test_nobody_sees_the_new_name_with_accounts_of_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await Chain.build(CHILD)
    load_accounts = chain.stores.accounts.load_accounts
    seen = set()

    def look() -> None:
        (child,) = chain.node.directory.all()
        seen.add((chain.node.address.current, child.ilp_address))

    async def looking() -> Sequence[Account]:
        look()
        return await load_accounts()

    monkeypatch.setattr(chain.stores.accounts, "load_accounts", looking)
    await chain.node.own_address.move_to(NEW)
    look()

    assert seen == {("test.node", "test.node.alice"), (NEW, "test.mum.us.alice")}


async def test_what_a_kill_left_half_done_the_next_answer_completes() -> None:
    chain = await Chain.build(CHILD, DEEP)
    moved = moves([CHILD], {}, old="test.node", new=NEW).accounts[0]
    await chain.stores.accounts.update_account(moved, NewTokens())

    await chain.node.own_address.move_to(NEW)

    assert {one.ilp_address for one in chain.node.directory.all()} == {
        "test.mum.us.alice",
        "test.mum.us.shops.west",
    }
