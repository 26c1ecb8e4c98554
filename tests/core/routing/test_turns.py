"""Whatever is done with many routes is done a little at a time: between two turns packets have theirs."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from core.packet import Fulfill
from core.routing.ccp import FULFILLMENT, NO_TABLE, Mode, RouteControl
from core.routing.turns import ROUTE, TURN, Work
from tests.core.routing.network import ROUTES_AT_ONCE, Net, Node, sizes, told, way
from tests.core.routing.test_keeper import twin

COUNT = 5 * ROUTES_AT_ONCE
NAMES = [f"test.n{number}" for number in range(COUNT)]


@pytest.fixture
async def node() -> Node:
    node = Net().node("a")
    await node.add("b")
    return node


def steps(seen: list[int]) -> int:
    """Return how many routes came or went at once, at most."""
    return max(abs(two - one) for one, two in pairwise(seen))


async def tell_many(node: Node) -> list[int]:
    routes = (way(name, "test.b") for name in NAMES)
    return await sizes(node, node.hear("b", told(*routes, speaker="test.b")))


async def test_what_a_peer_tells_and_takes_back(node: Node) -> None:
    seen = await tell_many(node)
    assert (seen[-1], steps(seen) <= ROUTES_AT_ONCE) == (COUNT, True)

    update = told(speaker="test.b", start=1, end=2, withdrawn=NAMES)
    seen = await sizes(node, node.hear("b", update))

    assert (seen[-1], steps(seen) <= ROUTES_AT_ONCE) == (0, True)


async def test_what_many_peers_tell_at_the_same_moment(node: Node) -> None:
    names = [f"n{number}" for number in range(20)]
    for name in names:
        await node.add(name)

    async def all_tell() -> None:
        async with asyncio.TaskGroup() as group:
            for name in names:
                ways = (way(f"test.{name}-{n}", f"test.{name}") for n in range(ROUTES_AT_ONCE))
                update = told(*ways, speaker=f"test.{name}")
                group.create_task(node.hear(name, update))

    seen = await sizes(node, all_tell())

    count = len(names) * ROUTES_AT_ONCE
    assert (seen[-1], steps(seen) <= ROUTES_AT_ONCE) == (count, True)


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "another table"])
async def test_a_table_that_ends(node: Node, silent: bool) -> None:
    await tell_many(node)

    if silent:
        node.gone.add("b")
        node.tick()
        seen = await sizes(node, node.clear())
    else:
        seen = await sizes(node, node.hear("b", told(speaker="test.b", table=b"n" * 16)))

    assert (seen[-1], steps(seen) <= ROUTES_AT_ONCE) == (0, True)


async def test_what_many_peers_are_told_at_the_same_moment(node: Node) -> None:
    names = [f"n{number}" for number in range(20)]
    for name in names:
        node.wire.answers[name] = Fulfill.build(FULFILLMENT)
        await node.add(name)
        control = RouteControl(Mode.SYNC, NO_TABLE, 0)
        await node.exchange.take_control(node.accounts[name], control)
    sent: list[int] = []

    async def watch() -> None:
        while True:
            sent.append(sum(len(node.wire.updates(name)) for name in names))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        node.speaker.tick()
        await node.tasks.finish(5)
        watching.cancel()

    assert (sent[-1], steps(sent)) == (len(names), 1)


async def test_what_the_store_has(node: Node) -> None:
    await tell_many(node)
    await node.keeper.save()
    again = twin(node.net, node)
    await again.configure()

    seen = await sizes(again, again.keeper.load())

    assert (seen[-1], steps(seen) <= ROUTES_AT_ONCE) == (COUNT, True)


async def test_routes_that_many_tell_are_compared_a_few_at_a_time(node: Node) -> None:
    names = [f"n{number}" for number in range(50)]
    routes = ROUTES_AT_ONCE
    for name in names:
        await node.add(name)
        ways = (way(f"test.r{number}", f"test.{name}") for number in range(routes))
        await node.hear(name, told(*ways, speaker=f"test.{name}"))

    turns = len(await sizes(node, node.change("n7", route_weight=1)))

    assert turns > len(names) * routes / TURN
    assert node.next_hop("test.r0") == "n7"


def test_a_turn_is_over_when_enough_is_done_whoever_does_it() -> None:
    work = Work()
    work.did(TURN - ROUTE)
    assert not work.is_over()

    assert work.is_over(ROUTE)

    assert not work.is_over(TURN - 1), "the next one has begun"
    assert work.is_over()
