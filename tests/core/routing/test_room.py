"""What the routes of one peer, and of all, may take: bounded by what they take, and shared so that nobody starves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.routing.ccp import ToldRoute
from core.routing.held import UNSAVED_MAX
from core.routing.peer import Heard
from core.routing.room import Room, octets_of
from tests.core.routing.network import Net, Node, told, way
from tests.core.routing.test_keeper import started

COUNT = 400


@pytest.fixture
async def node() -> Node:
    return Net().node("a")


def heard(node: Node, name: str) -> Heard:
    return node.exchange.peers[node.accounts[name].id].heard


def long_ways(name: str, count: int) -> Iterator[ToldRoute]:
    for number in range(count):
        hops = [f"test.h{hop}-{number}-{'x' * 90}" for hop in range(31)]
        yield way(f"test.n{number}", f"test.{name}", *hops)


def short_ways(name: str, count: int) -> Iterator[ToldRoute]:
    for number in range(count):
        yield way(f"test.n{number}", f"test.{name}")


async def test_a_peer_with_long_ways_may_have_fewer_of_them(node: Node) -> None:
    await node.add("b", routes_max=1_000)

    await node.hear("b", told(*long_ways("b", COUNT), speaker="test.b"))

    it = heard(node, "b")
    assert 150 < len(it.routes) < 200
    assert it.octets == sum(map(octets_of, it.routes.values())) <= 1_000_000
    assert it.refused == COUNT - len(it.routes)
    assert "its routes may take 1 MB here, and take that" in it.problem


async def test_what_is_withdrawn_replaced_or_ended_leaves_its_room(node: Node) -> None:
    await node.add("b", routes_max=1_000)
    it = heard(node, "b")
    await node.hear("b", told(*long_ways("b", 100), speaker="test.b"))
    before = it.octets

    await node.hear("b", told(*short_ways("b", 100), speaker="test.b", start=1, end=2))
    assert it.octets == sum(map(octets_of, it.routes.values())) < before / 5
    await node.hear(
        "b", told(speaker="test.b", start=2, end=3, withdrawn=["test.n7", "test.n8"])
    )
    assert it.octets == sum(map(octets_of, it.routes.values()))
    await node.hear("b", told(way("test.x", "test.b"), speaker="test.b", table=b"n" * 16))

    assert it.octets == octets_of(it.routes["test.x"])


async def test_nobody_takes_the_share_of_another(node: Node) -> None:
    """Two hogs come first; the one that comes last still gets a quarter of the half that is shared out."""
    size = 600
    node.exchange.held.room = Room(2 * 4 * 100 * size)
    for name in ("hog", "boar", "mouse", "late"):
        await node.add(name)
    for name in ("hog", "boar"):
        await node.hear(name, told(*short_ways(name, COUNT), speaker=f"test.{name}"))

    await node.hear("mouse", told(*short_ways("mouse", COUNT), speaker="test.mouse"))

    taken = [len(heard(node, name).routes) for name in ("hog", "boar", "mouse", "late")]
    assert taken[0] == COUNT, "the half that is shared and all that is free of the other"
    assert 200 <= taken[1] < COUNT
    assert 100 <= taken[2] < 110
    assert "its share of the room for all peers' routes is" in heard(node, "mouse").problem
    assert len(node.exchange.learned.best) == COUNT, "ways count, not prefixes"
    await node.hear("late", told(*short_ways("late", 100), speaker="test.late"))
    assert len(heard(node, "late").routes) == 100


async def test_what_one_leaves_others_may_take(node: Node) -> None:
    node.exchange.held.room = Room(2 * 100 * 600)
    await node.add("hog")
    await node.hear("hog", told(*short_ways("hog", COUNT), speaker="test.hog"))
    assert 200 <= len(heard(node, "hog").routes) < 220, "all of it"
    await node.add("mouse")
    await node.hear("mouse", told(*short_ways("mouse", COUNT), speaker="test.mouse"))
    assert 50 <= len(heard(node, "mouse").routes) < 60, "its share, though there is no room"

    await node.remove("hog")
    await node.clear()
    await node.hear(
        "mouse", told(*short_ways("mouse", COUNT), speaker="test.mouse", table=b"n" * 16)
    )

    assert 200 <= len(heard(node, "mouse").routes) < 220


async def test_tables_that_end_one_after_the_other_are_not_all_kept(node: Node) -> None:
    await node.add("b")
    account = node.accounts["b"]
    for number in range(9):
        routes = [way(f"test.{number}-{n}", "test.b") for n in range(COUNT)]
        await node.exchange.take_update(
            account,
            told(*routes, speaker="test.b", table=bytes([number + 1]) * 16).encode(),
        )
        assert len(node.exchange.learned.best) <= 2 * COUNT


async def test_what_waits_for_a_store_that_cannot_be_written_is_bounded(node: Node) -> None:
    await node.add("b")
    peer = node.exchange.peers[node.accounts["b"].id]
    await node.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    at_once = UNSAVED_MAX // 8
    for epoch in range(1, 25, 2):
        names = [f"test.{epoch}-{n}" for n in range(at_once)]
        await node.hear(
            "b",
            told(
                *(way(n, "test.b") for n in names), speaker="test.b", start=epoch, end=epoch + 1
            ),
        )
        await node.hear(
            "b", told(speaker="test.b", start=epoch + 1, end=epoch + 2, withdrawn=names)
        )
        assert len(peer.unsaved) <= UNSAVED_MAX + at_once + 1

    await node.keeper.save()
    again = await started(node.net, node)
    assert set(again.exchange.learned.best) == {"test.x"}


async def test_what_the_store_has_is_taken_by_the_rules_and_within_the_bounds(
    node: Node,
) -> None:
    await node.add("b")
    await node.hear("b", told(way("test.red", "test.b"), *short_ways("b", 9), speaker="test.b"))
    await node.keeper.save()
    for changes, count in (
        ({"import_prefixes": ("test.red",)}, 1),
        ({"routes_max": 3}, 3),
        ({}, 10),
    ):
        net = Net()
        other = net.node("a", node.store)
        await other.add("b", **changes)
        await other.keeper.load()

        assert len(other.exchange.learned.best) == count
        it = heard(other, "b")
        assert it.octets == sum(map(octets_of, it.routes.values()))
