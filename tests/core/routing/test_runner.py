"""Route exchange as a node keeps it going: on the machine's own clock, from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from core.account import Account
from core.clock import WallClock
from core.errors import StoreUnavailable
from core.routing.exchange import Timing
from core.routing.runner import RouteExchangeRunner
from core.routing.store import LearnedRouteStore, StoredPeer, StoredRoute
from core.stores.memory.learned import MemoryLearnedRoutes
from tests.core.routing.network import Net, Node, told, way
from tests.core.routing.test_keeper import Crashing

TIMING = Timing(interval_ms=200, hold_down_ms=1_000)


@asynccontextmanager
async def running(node: Node, store: LearnedRouteStore) -> AsyncIterator[RouteExchangeRunner]:
    def is_gone(account: Account) -> bool:
        return account.username in node.gone

    runner = RouteExchangeRunner(
        node.exchange,
        store,
        node.wire,
        speaks=lambda _: True,
        is_gone=is_gone,
        came_up=lambda _: 0,
    )
    await runner.start()
    yield runner
    await runner.stop()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - whatever it is, it tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
def net() -> Net:
    return Net(clock=WallClock(), timing=TIMING)


async def test_two_nodes_are_in_step_stay_so_and_part(net: Net) -> None:
    one, two = net.node("one"), net.node("two")
    await net.connect("one", "two")
    async with running(one, one.store), running(two, two.store):
        await until(lambda: one.path("test.two") is not None)
        await until(lambda: two.path("test.one") is not None)
        await asyncio.sleep(1.2)
        assert one.path("test.two") is not None, "signs of life keep it"

        one.gone.add("two")
        await until(lambda: one.path("test.two") is None)

        two.is_dead = one.is_dead = True
        await until(lambda: two.path("test.one") is None)


async def test_what_is_heard_is_saved_soon_and_what_is_not_yet_at_the_end(net: Net) -> None:
    node = net.node("one")
    await node.add("two")
    async with running(node, node.store):
        await node.hear("two", told(way("test.x", "test.two"), speaker="test.two"))
        peer = node.exchange.peers[node.accounts["two"].id]
        await until(lambda: peer.version > 0)
        assert len(await node.store.load_peers()) == 1
        await node.hear(
            "two", told(way("test.y", "test.two"), speaker="test.two", start=1, end=2)
        )

    (stored,) = await node.store.load_peers()
    rows = await node.store.load_learned(stored, after_version=0, after_prefix="", limit=9)
    assert [row.prefix for row in rows] == ["test.x", "test.y"]
    assert stored.epoch == 2


class Full(Crashing):
    """A store that cannot be written for a while."""

    def __init__(self, kept: LearnedRouteStore) -> None:
        super().__init__(kept, saves=1_000)
        self.is_full = True
        self.tried = 0

    async def save_learned(
        self, peer: StoredPeer, routes: Sequence[StoredRoute]
    ) -> StoredPeer | None:
        self.tried += 1
        if self.is_full:
            raise StoreUnavailable("the disk is full")
        return await super().save_learned(peer, routes)


@pytest.mark.logs_warning
async def test_a_store_that_is_full_costs_no_route_and_is_written_once_there_is_room(
    net: Net, caplog: pytest.LogCaptureFixture
) -> None:
    node = net.node("one")
    await node.add("two")
    assert isinstance(node.store, MemoryLearnedRoutes)
    store = Full(node.store)
    async with running(node, store):
        await node.hear("two", told(way("test.x", "test.two"), speaker="test.two"))
        await until(lambda: store.tried >= 3)
        assert node.path("test.x") is not None
        store.is_full = False
        tried = store.tried
        await until(lambda: store.tried > tried)

    (peer,) = await node.store.load_peers()
    rows = await node.store.load_learned(peer, after_version=0, after_prefix="", limit=9)
    assert [row.prefix for row in rows] == ["test.x"]
    warned = [r for r in caplog.records if "learned routes cannot be kept" in r.getMessage()]
    assert len(warned) == 1
