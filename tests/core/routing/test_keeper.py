"""Learned routes and the store: written behind, there at once after a start, shared by the nodes of one store."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from core.packet import address
from core.routing.ccp import NO_TABLE, Mode, RouteControl
from core.routing.keeper import Keeper
from core.routing.store import ROWS_AT_ONCE, LearnedRouteStore, StoredPeer, StoredRoute
from tests.core.routing.network import CHILD, REFUSED, Net, Node, told, way


@pytest.fixture
def net() -> Net:
    return Net()


def twin(net: Net, node: Node) -> Node:
    """Return another process of the same node, on the same store."""
    other = Node(net, node.name, node.store, node.state)
    other.accounts, other.static = dict(node.accounts), dict(node.static)
    return other


async def started(net: Net, node: Node) -> Node:
    other = twin(net, node)
    await other.configure()
    await other.keeper.load()
    return other


async def test_a_restarted_node_has_its_routes_at_once_and_asks_from_where_it_was(
    net: Net,
) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear(
        "b", told(way("test.x", "test.b"), way("test.y", "test.b"), speaker="test.b", end=9)
    )
    await a.keeper.save()

    again = await started(net, a)

    assert again.next_hop("test.x.1") == "b"
    assert again.path("test.y") == ("test.b",)
    heard = again.exchange.peers[a.accounts["b"].id].heard
    assert (heard.table_id, heard.epoch) == (b"t" * 16, 9)


async def test_its_routes_hold_for_a_whole_hold_down_after_the_start_and_then_go(
    net: Net,
) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    await a.keeper.save()
    net.fake_clock.advance(seconds=3_600)

    again = await started(net, a)
    net.fake_clock.advance(seconds=44)
    again.tick()
    assert again.path("test.x") == ("test.b",)
    net.fake_clock.advance(seconds=1)
    again.tick()
    await again.clear()

    assert again.path("test.x") is None


async def test_what_was_withdrawn_before_the_end_does_not_come_back(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    await a.keeper.save()
    await a.hear("b", told(speaker="test.b", start=1, end=2, withdrawn=["test.x"]))
    await a.hear("b", told(way("test.z", "test.b"), speaker="test.b", start=2, end=3))
    await a.keeper.save()
    assert set((await started(net, a)).exchange.learned.best) == {"test.z"}

    await a.hear("b", told(way("test.n", "test.b"), speaker="test.b", table=b"n" * 16))
    await a.keeper.save()

    assert set((await started(net, a)).exchange.learned.best) == {"test.n"}


async def test_after_a_crash_between_two_saves_the_epoch_is_one_that_the_routes_are_whole_for(
    net: Net,
) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.first", "test.b"), speaker="test.b", end=1))
    await a.keeper.save()
    routes = [way(f"test.n{n}", "test.b") for n in range(ROWS_AT_ONCE + 1)]
    await a.hear("b", told(*routes, speaker="test.b", start=1, end=2))
    a.keeper._store = Crashing(a.store, saves=1)

    with pytest.raises(ZeroDivisionError):
        await a.keeper.save()

    again = await started(net, a)
    heard = again.exchange.peers[a.accounts["b"].id].heard
    assert heard.epoch == 1, "one row is missing, so that the peer has to tell epoch 1 again"
    assert len(heard.routes) == 1 + ROWS_AT_ONCE


class Crashing(LearnedRouteStore):
    """A store that keeps so many saves, and then none."""

    def __init__(self, kept: LearnedRouteStore, *, saves: int) -> None:
        self._kept = kept
        self._saves = saves

    async def load_peers(self) -> Sequence[StoredPeer]:
        return await self._kept.load_peers()

    async def load_learned(
        self, peer: StoredPeer, *, after_version: int, after_prefix: str, limit: int
    ) -> Sequence[StoredRoute]:
        return await self._kept.load_learned(
            peer, after_version=after_version, after_prefix=after_prefix, limit=limit
        )

    async def save_learned(
        self, peer: StoredPeer, routes: Sequence[StoredRoute]
    ) -> StoredPeer | None:
        if not self._saves:
            raise ZeroDivisionError
        self._saves -= 1
        return await self._kept.save_learned(peer, routes)

    async def sweep_learned(self, *, rows_max: int) -> bool:
        return await self._kept.sweep_learned(rows_max=rows_max)


async def test_a_sweep_goes_on_until_all_rows_have_been_looked_at(net: Net) -> None:
    class Long(Crashing):
        left = 500

        async def sweep_learned(self, *, rows_max: int) -> bool:
            self.left -= 1
            return self.left > 0

    node = net.node("a")
    store = Long(node.store, saves=0)

    await Keeper(node.exchange, store).sweep()

    assert store.left == 0, "however many a peer has written meanwhile"


async def test_a_peer_that_tells_without_end_keeps_no_other_from_being_saved(net: Net) -> None:
    node = net.node("a")
    for name in ("b", "c"):
        await node.add(name)
        await node.hear(
            name, told(way(f"test.{name}.x", f"test.{name}"), speaker=f"test.{name}")
        )
    noisy, other = (node.exchange.peers[node.accounts[name].id] for name in ("b", "c"))

    class Slow(Crashing):
        async def save_learned(
            self, peer: StoredPeer, routes: Sequence[StoredRoute]
        ) -> StoredPeer | None:
            await node.hear("b", told(speaker="test.b", start=1, end=1))  # a sign of life
            return await super().save_learned(peer, routes)

    node.keeper._store = Slow(node.store, saves=10)

    await node.keeper.save()

    assert other.version == 1
    assert noisy.version == 1
    assert noisy.is_unsaved


async def test_a_second_node_on_the_store_uses_what_the_first_one_heard(net: Net) -> None:
    one = net.node("a")
    await one.add("b")
    two = await started(net, one)
    await one.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    await one.keeper.save()
    await two.keeper.look()
    assert two.next_hop("test.x") == "b"

    await one.hear(
        "b",
        told(way("test.y", "test.b"), speaker="test.b", start=1, end=2, withdrawn=["test.x"]),
    )
    await one.keeper.save()
    await two.keeper.look()

    assert set(two.exchange.learned.best) == {"test.y"}
    assert two.exchange.peers[one.accounts["b"].id].heard.epoch == 2


async def test_how_far_a_peers_table_goes_is_known_to_the_second_node_too(net: Net) -> None:
    one = net.node("a")
    await one.add("b")
    await one.hear("b", told(way("test.x", "test.b"), speaker="test.b", end=9))
    await one.keeper.save()
    two = await started(net, one)
    heard = two.exchange.peers[one.accounts["b"].id].heard
    assert (heard.epoch, heard.current_epoch) == (9, 9)

    await one.hear("b", told(speaker="test.b", table=b"u" * 16, end=2))
    await one.keeper.save()
    await two.keeper.look()

    assert (heard.epoch, heard.current_epoch) == (2, 2)


async def test_a_peer_may_tell_one_part_to_one_node_and_the_next_to_another(net: Net) -> None:
    one = net.node("a")
    await one.add("b")
    two = await started(net, one)
    await one.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    await one.keeper.save()
    await two.keeper.look()
    await two.hear("b", told(way("test.y", "test.b"), speaker="test.b", start=1, end=2))
    await two.keeper.save()
    await one.keeper.look()

    for node in (one, two):
        assert set(node.exchange.learned.best) == {"test.x", "test.y"}


async def test_of_two_nodes_that_heard_different_things_the_later_gives_way(net: Net) -> None:
    one = net.node("a")
    await one.add("b")
    two = await started(net, one)
    await one.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    await two.hear("b", told(way("test.y", "test.b"), speaker="test.b"))

    await one.keeper.save()
    await two.keeper.save()

    await two.clear()
    assert set(two.exchange.learned.best) == {"test.x"}


async def test_the_hold_down_that_one_node_sees_renewed_holds_for_the_other(net: Net) -> None:
    one = net.node("a")
    await one.add("b")
    await one.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    await one.keeper.save()
    two = await started(net, one)
    net.fake_clock.advance(seconds=30)
    await one.hear("b", told(speaker="test.b", start=1, end=1))
    await one.keeper.save()
    await two.keeper.look()

    net.fake_clock.advance(seconds=40)
    two.tick()
    assert two.path("test.x") == ("test.b",)
    net.fake_clock.advance(seconds=6)
    two.tick()
    await two.clear()

    assert two.path("test.x") is None


async def test_a_peer_that_asked_one_node_is_told_by_the_one_that_talks(net: Net) -> None:
    one = net.node("a")
    await one.add("b")
    two = await started(net, one)
    two.talks = False
    await two.exchange.take_control(two.accounts["b"], RouteControl(Mode.SYNC, NO_TABLE, 0))
    await two.keeper.save()
    await one.keeper.look()

    two.speaker.tick()
    await two.tasks.finish(1)
    assert two.wire.sent == [], "it leaves talking to the other"
    one.speaker.tick()
    await one.tasks.finish(1)

    assert one.wire.updates("b")[0].new_routes[0].prefix == "test.a"


async def test_a_peer_that_was_told_by_another_node_meanwhile_is_told_anew(net: Net) -> None:
    one, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await one.add("shop", CHILD, ilp_address=address("test.shop"))
    await net.run(1)
    await one.keeper.save()
    two = await started(net, one)

    async def speaks(node: Node) -> None:
        one.talks, two.talks = node is one, node is two
        net.nodes["a"] = node  # where what b says goes
        one.wire.sent.clear()
        for _ in range(3):
            net.fake_clock.advance(milliseconds=200)
            for each in (one, two, b):
                each.speaker.tick()
                await each.tasks.finish(5)
            await b.clear()
            assert b.path("test.shop") == ("test.a",), "nothing is taken back between the two"

    heard = b.exchange.peers[b.accounts["a"].id].heard
    tables = [heard.table_id]
    for node in (two, one):
        await speaks(node)
        tables.append(heard.table_id)

    assert len(set(tables)) == 3, "each tells a table of its own"
    assert [update.from_epoch for update in one.wire.updates("b")] == [0], (
        "and from its beginning"
    )


async def test_a_peer_without_the_protocol_is_told_of_by_a_node_that_does_not_ask_it(
    net: Net,
) -> None:
    """What it has refused is known to the process alone that asks it."""
    one, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await one.add("static")
    one.wire.answers["static"] = REFUSED
    await net.run(1)
    await one.keeper.save()
    two = await started(net, one)
    two.wire.answers["static"] = REFUSED
    one.leaves, two.leaves = {"b"}, {"static"}
    net.nodes["a"] = two  # where b says what it says

    await net.run(5)

    assert b.path("test.static") == ("test.a",)
    assert two.wire.controls("static") == 0
    two.leaves = set()  # the other has died
    for _ in range(40):
        await net.run(1)
        assert b.path("test.static") == ("test.a",), (
            "that it has to be asked anew is no news of it"
        )
    assert two.wire.controls("static") > 0


async def test_a_peer_that_speaks_for_itself_is_told_with_what_it_told_another_node(
    net: Net,
) -> None:
    one, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await one.add("c")
    await net.run(1)
    two = await started(net, one)
    one.leaves, two.leaves = {"b"}, {"c"}
    net.nodes["a"] = two
    await net.run(2)
    assert b.path("test.c") == ("test.a",), "so far it has told nobody of itself"

    await one.hear("c", told(way("test.c", "test.c"), speaker="test.c"))
    await one.keeper.save()
    await two.keeper.look()
    await net.run(2)

    assert b.path("test.c") == ("test.a", "test.c")


async def test_a_restarted_node_goes_on_telling_those_who_had_asked(net: Net) -> None:
    a, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await net.run(1)
    await a.keeper.save()

    again = await started(net, a)
    net.nodes["a"] = again
    await again.route("test.new", "b")
    b.wire.sent.clear()
    await net.run(1)

    assert again.wire.updates("b")[0].from_epoch == 0
    assert b.path("test.a") == ("test.a",)


async def test_a_deleted_accounts_routes_are_not_saved(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    a.state.accounts.clear()

    await a.keeper.save()

    assert await a.store.load_peers() == []
