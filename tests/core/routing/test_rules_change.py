"""What the operator changes is in force for what was told before, whether or not the peer ever speaks again."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from core.packet import address
from core.routing.forwarding import EPOCHS_MAX
from core.routing.peer import Heard
from tests.core.routing.network import (
    END_USER,
    ROUTES_AT_ONCE,
    STEP_MS,
    Net,
    Node,
    sizes,
    told,
    way,
)


@pytest.fixture
async def node() -> Node:
    node = Net().node("a")
    await node.add("b")
    return node


def heard(node: Node) -> Heard:
    return node.exchange.peers[node.accounts["b"].id].heard


async def test_a_narrower_import_filter_drops_what_is_outside_of_it(node: Node) -> None:
    await node.hear(
        "b", told(way("test.red", "test.b"), way("test.x", "test.b"), speaker="test.b")
    )

    await node.change("b", import_prefixes=("test.red",))

    assert set(node.exchange.learned.best) == {"test.red"}
    assert "test.x is outside of what may be imported" in heard(node).problem
    asking = node.exchange.peers[node.accounts["b"].id].asking
    assert asking.due is not None, "and it is asked for what was refused before"


async def test_a_smaller_bound_leaves_the_oldest_routes(node: Node) -> None:
    await node.hear(
        "b", told(*(way(f"test.n{n}", "test.b") for n in range(9)), speaker="test.b")
    )

    await node.change("b", routes_max=3)

    assert set(node.exchange.learned.best) == {"test.n0", "test.n1", "test.n2"}
    assert (
        "6 of its routes were not taken; the last, because it has 3 routes here"
        in heard(node).problem
    )


async def test_another_address_of_ours_drops_what_leads_through_it_or_is_under_it(
    node: Node,
) -> None:
    await node.hear(
        "b",
        told(
            way("test.x", "test.b", "test.new", "test.x"),
            way("test.new.shop", "test.b"),
            way("test.y", "test.b"),
            speaker="test.b",
        ),
    )

    node.address.current = address("test.new")
    await node.exchange.follow_address()

    assert set(node.exchange.learned.best) == {"test.y"}


async def test_a_peer_that_calls_itself_as_an_account_that_is_added_tells_nothing(
    node: Node,
) -> None:
    await node.hear("b", told(way("test.x", "test.new"), way("test.y"), speaker="test.new"))
    assert set(node.exchange.learned.best) == {"test.x", "test.y"}

    await node.add("new")

    assert not node.exchange.learned.best
    assert "in the name of test.new, another account here" in heard(node).problem


async def test_many_routes_are_looked_at_a_few_hundred_at_a_time(node: Node) -> None:
    count = 10 * ROUTES_AT_ONCE
    await node.hear(
        "b", told(*(way(f"test.n{n}", "test.b") for n in range(count)), speaker="test.b")
    )

    seen = await sizes(node, node.change("b", import_prefixes=("test.red",)))

    assert (seen[0], seen[-1]) == (count, 0)
    assert max(one - two for one, two in pairwise(seen)) <= ROUTES_AT_ONCE


async def test_a_node_whose_epochs_come_to_an_end_tells_all_anew() -> None:
    net = Net()
    a, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await net.run(2)
    assert a.exchange.log is not None
    a.exchange.log.current = EPOCHS_MAX

    await net.run(5)

    assert a.exchange.log.current < 10
    assert b.path("test.a") == ("test.a",)
    assert a.wire.updates("b")[-1].table_id != a.wire.updates("b")[0].table_id


async def test_what_is_told_while_our_address_changes_follows_what_was_told() -> None:
    net = Net()
    a, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    kid = await a.add("kid", END_USER, ilp_address=address("test.kid"))
    a.static = {f"test.far{n}": kid.id for n in range(10 * ROUTES_AT_ONCE)}
    await a.configure()
    await net.run(10)
    assert len(b.exchange.learned.best) > 10 * ROUTES_AT_ONCE

    async def go_on() -> None:
        while True:
            net.fake_clock.advance(milliseconds=STEP_MS)
            a.speaker.tick()
            await asyncio.sleep(0)

    a.address.current = address("test.new")
    a.exchange.start_telling_anew(a.exchange.peers[a.accounts["b"].id])
    a.speaker.tick()  # it is about to be told the old one
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(go_on())
        await a.exchange.follow_address()
        telling.cancel()
    await net.run(10)

    assert all(update.from_epoch <= update.to_epoch for update in a.wire.updates("b"))
    assert a.exchange.peers[a.accounts["b"].id].telling.problem == ""
    assert {route.path for route in b.exchange.learned.best.values()} == {("test.new",)}
    assert len(b.exchange.learned.best) > 10 * ROUTES_AT_ONCE
