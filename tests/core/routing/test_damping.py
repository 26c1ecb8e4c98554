"""What comes and goes waits until it is steady: single routes, and whole peers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import pairwise

import pytest

from core.routing.ccp import WITHDRAWN_MAX
from core.routing.damping import ENTRIES_MAX, HALF_LIFE_SECONDS, SUPPRESS_FROM, Damping
from core.routing.exchange import CHANGES_KEPT
from core.routing.peer import Peer
from tests.core.routing.network import ROUTES_AT_ONCE, Net, Node, sizes, told, way

LONG = 600_000


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
async def node(net: Net) -> Node:
    node = net.node("a")
    await node.add("b")
    return node


def peer_of(node: Node, name: str = "b") -> Peer:
    return node.exchange.peers[node.accounts[name].id]


async def tell(node: Node, prefixes: Iterable[str], name: str = "b") -> None:
    """Let a peer tell that it leads to these, after what it told before."""
    epoch = peer_of(node, name).heard.epoch
    routes = (way(prefix, f"test.{name}") for prefix in prefixes)
    await node.hear(
        name,
        told(*routes, speaker=f"test.{name}", start=epoch, end=epoch + 1, hold_down_ms=LONG),
    )


async def take_back(node: Node, prefixes: Iterable[str], name: str = "b") -> None:
    gone = list(prefixes)
    for at in range(0, len(gone), WITHDRAWN_MAX):
        epoch = peer_of(node, name).heard.epoch
        await node.hear(
            name,
            told(
                speaker=f"test.{name}",
                start=epoch,
                end=epoch + 1,
                withdrawn=gone[at : at + WITHDRAWN_MAX],
                hold_down_ms=LONG,
            ),
        )


async def flap(node: Node, prefixes: Iterable[str], name: str = "b", times: int = 4) -> None:
    prefixes = list(prefixes)
    for _ in range(times):
        await tell(node, prefixes, name)
        await take_back(node, prefixes, name)
    await tell(node, prefixes, name)


async def test_a_route_that_comes_and_goes_waits_and_is_used_again_once_steady(
    net: Net,
) -> None:
    a = net.node("a")
    await a.add("b")
    epoch = 0
    for _ in range(4):
        await a.hear(
            "b",
            told(way("test.x", "test.b"), speaker="test.b", start=epoch, end=epoch + 1),
        )
        await a.hear(
            "b",
            told(speaker="test.b", start=epoch + 1, end=epoch + 2, withdrawn=["test.x"]),
        )
        epoch += 2
        net.fake_clock.advance(seconds=1)
    await a.hear(
        "b",
        told(
            way("test.x", "test.b"),
            way("test.calm", "test.b"),
            speaker="test.b",
            start=epoch,
            end=epoch + 1,
            hold_down_ms=600_000,
        ),
    )
    assert a.path("test.x") is None
    assert a.path("test.calm") == ("test.b",)
    (waiting,) = a.exchange.learned.ways("test.x")
    assert "comes and goes too often" in a.exchange.learned.unusable(waiting)

    await net.run(200, until=lambda: a.path("test.x") == ("test.b",))


async def test_a_route_whose_proof_alone_changes_again_and_again_waits(node: Node) -> None:
    for epoch in range(8):
        await node.hear(
            "b",
            told(
                way("test.x", "test.b", auth=bytes([epoch]) * 32),
                way("test.calm", "test.b"),
                speaker="test.b",
                start=epoch,
                end=epoch + 1,
            ),
        )

    assert set(node.exchange.learned.best) == {"test.calm"}


async def test_a_peer_that_tells_one_table_after_the_other_waits_as_a_whole(
    net: Net, node: Node
) -> None:
    await node.add("calm")
    await tell(node, ["test.x", "test.steady"], "calm")
    for number in range(9):
        routes = [way("test.x", "test.b"), way("test.y", "test.b")] if number % 2 else []
        await node.hear(
            "b",
            told(
                way("test.z", "test.b"),
                *routes,
                speaker="test.b",
                table=bytes([number + 1]) * 16,
                hold_down_ms=LONG,
            ),
        )

    assert node.next_hop("test.x") == "calm"
    assert node.path("test.z") is None
    (waiting,) = node.exchange.learned.ways("test.z")
    assert "waits until it has been steady" in node.exchange.learned.unusable(waiting)
    assert set(node.exchange.learned.best) == {"test.x", "test.steady"}
    assert node.next_hop("test.b") == "b", "its own address is its account's"
    await net.run(200, until=lambda: node.path("test.z") == ("test.b",))


async def test_a_new_table_that_we_asked_for_costs_nothing(node: Node) -> None:
    for number in range(9):
        node.exchange.ask_anew(peer_of(node))
        await node.hear(
            "b", told(way("test.x", "test.b"), speaker="test.b", table=bytes([number + 1]) * 16)
        )

    assert node.path("test.x") == ("test.b",)


async def test_a_peer_whose_link_goes_up_and_down_waits_as_a_whole(
    net: Net, node: Node
) -> None:
    routes = [way("test.x", "test.b"), way("test.y", "test.b")]
    for _ in range(4):
        node.gone.clear()
        await node.hear("b", told(*routes, speaker="test.b", hold_down_ms=LONG))
        assert node.path("test.x") == ("test.b",)
        node.gone.add("b")
        node.tick()
        await node.clear()
        assert node.path("test.x") is None
        net.fake_clock.advance(seconds=1)
    node.gone.clear()

    await node.hear("b", told(*routes, speaker="test.b", hold_down_ms=LONG))

    assert node.path("test.x") is None
    await tell(node, ["test.later"])
    assert node.path("test.later") is None
    await net.run(200, until=lambda: node.path("test.x") == ("test.b",))
    assert set(node.exchange.learned.best) == {"test.x", "test.y", "test.later"}


async def test_a_peer_that_is_silent_again_and_again_waits_as_a_whole(
    net: Net, node: Node
) -> None:
    for _ in range(4):
        await node.hear(
            "b", told(way("test.x", "test.b"), speaker="test.b", hold_down_ms=1_000)
        )
        net.fake_clock.advance(seconds=2)
        node.tick()
        await node.clear()

    await node.hear("b", told(way("test.x", "test.b"), speaker="test.b"))

    assert node.path("test.x") is None


async def test_one_peers_flaps_are_not_forgotten_for_anothers(node: Node) -> None:
    await node.add("hog")
    await flap(node, ["test.x"])
    assert node.path("test.x") is None

    await flap(node, (f"test.n{n}" for n in range(ENTRIES_MAX + 9)), "hog", times=2)

    assert node.path("test.x") is None
    assert len(peer_of(node, "hog").damping) == ENTRIES_MAX
    assert len(node.exchange.changes) == CHANGES_KEPT


async def test_a_route_whose_flaps_are_forgotten_is_used_again(node: Node) -> None:
    await flap(node, ["test.x"])
    assert node.path("test.x") is None
    many = [f"test.n{n}" for n in range(ENTRIES_MAX)]
    await tell(node, many)

    await take_back(node, many)

    assert node.path("test.x") == ("test.b",)


async def test_more_flaps_than_are_remembered_make_the_whole_peer_wait(node: Node) -> None:
    many = [f"test.n{n}" for n in range(2 * ENTRIES_MAX)]
    await tell(node, ["test.steady"])
    await flap(node, many, times=1)
    assert len(node.exchange.learned.best) == 1 + len(many), "once is nothing"

    await flap(node, many, times=4)

    assert peer_of(node).damping.all_wait
    assert not node.exchange.learned.best


async def test_what_waited_is_used_again_a_few_hundred_at_a_time(net: Net, node: Node) -> None:
    many = [f"test.n{n}" for n in range(5 * ROUTES_AT_ONCE)]
    await flap(node, many)
    assert not node.exchange.learned.best
    net.fake_clock.advance(seconds=round(4 * HALF_LIFE_SECONDS))
    node.tick()

    seen = await sizes(node, node.clear())

    assert seen[-1] == len(many)
    assert max(two - one for one, two in pairwise(seen)) <= ROUTES_AT_ONCE


async def test_a_whole_peer_is_used_again_a_few_hundred_routes_at_a_time(
    net: Net, node: Node
) -> None:
    many = [f"test.n{n}" for n in range(5 * ROUTES_AT_ONCE)]
    await tell(node, many)
    peer_of(node).damping.add_to_all(2 * SUPPRESS_FROM, net.clock.monotonic())
    await take_back(node, many)
    await tell(node, many)
    assert not node.exchange.learned.best
    net.fake_clock.advance(seconds=round(4 * HALF_LIFE_SECONDS))
    node.tick()

    seen = await sizes(node, node.clear())

    assert seen[-1] == len(many)
    assert max(two - one for one, two in pairwise(seen)) <= ROUTES_AT_ONCE


def test_a_way_that_changes_while_it_waits_waits_longer() -> None:
    damping = Damping()
    for _ in range(4):
        damping.add("test.x", 1_000.0, 0.0)
    damping.add("test.x", 2_000.0, 60.0)

    assert damping.release(125.0, 9) == [], "4,000 would have waited for 120 s"
    assert damping.waits("test.x")
    assert damping.release(181.0, 9) == ["test.x"]
    assert not damping.waits("test.x")
    assert damping.release(999.0, 9) == []


def test_what_is_remembered_of_a_peer_is_bounded_whatever_it_does() -> None:
    damping = Damping()
    forgotten = 0
    for number in range(3 * ENTRIES_MAX):
        for _ in range(4):
            forgotten += damping.add(f"test.n{number}", 1_000.0, 0.0) is not None
        assert len(damping) <= ENTRIES_MAX
    assert len(damping.waiting) == ENTRIES_MAX
    assert forgotten == 2 * ENTRIES_MAX, "whoever does not wait any more is told"
    assert len(damping._due) <= 2 * ENTRIES_MAX + 1


def test_penalties_that_have_all_but_vanished_are_forgotten_a_few_at_a_time() -> None:
    damping = Damping()
    for number in range(10):
        damping.add(f"test.n{number}", 500.0, 0.0)
    damping.add("test.late", 500.0, 300.0)

    assert damping.forget_old(100.0, 99) == 0
    assert damping.forget_old(300.0, 4) == 4
    assert damping.forget_old(300.0, 99) == 6
    assert len(damping) == 1


async def test_a_peer_that_comes_and_goes_for_hours_fills_no_log(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "core.routing")
    for number in range(300):
        table = number.to_bytes(15, "big") + b"-"
        routes = (way("test.x", "test.b"),) if number % 2 else ()
        await node.hear("b", told(*routes, speaker="test.b", table=table, hold_down_ms=1))
        node.net.fake_clock.advance(seconds=2)
        node.tick()
        await node.clear()

    assert 2 <= len(caplog.records) < 30
