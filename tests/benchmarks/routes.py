"""What it costs to learn a hundred thousand routes from a peer: time, how long the loop is held, memory.

Updates as large as a packet carries come in through the service of the chain, one after the other, while a
task beside them looks how late it is woken; what is learned is written to a SQLite store behind it. Then the
same routes are looked up, loaded by a node that is started anew, told to another peer, and withdrawn.

    python -m tests.benchmarks.routes --routes 100000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.account import Account, NewTokens, RoutingRelation
from core.clock import WallClock
from core.garbage import calm_garbage_collector
from core.node_address import NodeAddress
from core.packet import Fulfill, Prepare, address
from core.routing.auth import origin_auth
from core.routing.ccp import (
    CONDITION,
    FULFILLMENT,
    NO_TABLE,
    UPDATE_DESTINATION,
    Mode,
    RouteControl,
    RouteUpdate,
    ToldRoute,
)
from core.routing.exchange import RouteExchange, Timing
from core.routing.keeper import Keeper
from core.routing.routes import build_routes
from core.routing.runner import SAVE_SECONDS
from core.routing.speaker import UPDATE_GAP_SECONDS, Speaker
from core.routing.table import RoutingTable
from core.service import IncomingRequest, OutgoingRequest
from core.services.route_exchange import RouteExchangeService
from core.stores import Stores, open_stores
from core.tasks import TaskOwner
from core.testing.builders import account
from core.testing.services import FakeIncoming
from tests.benchmarks.scale import prefixes

UPDATE_OCTETS: Final = 32_000
TARGETS: Final = {"applied": "< 3 s", "loop held": "< 16 ms", "look-up": "< 5 µs"}
PEER: Final = address("test.peer")
OWN: Final = address("test.node")


def updates(count: int) -> Sequence[bytes]:
    """Return so many routes as a peer tells them, in updates as large as may be; one path in a hundred is another."""
    secret = bytes(32)
    paths = [(PEER, address(f"test.hop{n}"), address(f"test.end{n}")) for n in range(100)]
    made: list[bytes] = []
    batch: list[ToldRoute] = []
    size = 0
    for number, prefix in enumerate(prefixes(count)):
        route = ToldRoute(prefix, paths[number % 100], origin_auth(secret, prefix))
        octets = len(route.encode())
        if size + octets > UPDATE_OCTETS:
            made.append(_update(batch, len(made)))
            batch, size = [], 0
        batch.append(route)
        size += octets
    made.append(_update(batch, len(made)))
    return made


def _update(routes: Sequence[ToldRoute], epoch: int) -> bytes:
    return RouteUpdate(
        table_id=b"t" * 16,
        current_epoch=2**20,
        from_epoch=epoch,
        to_epoch=epoch + 1,
        hold_down_ms=45_000,
        speaker=PEER,
        new_routes=tuple(routes),
    ).encode()


@dataclass
class Lateness:
    """How long the loop was held at the longest, as a task beside the work sees it."""

    worst_ms: float = 0.0
    worst_cpu_ms: float = 0.0
    """What this thread itself worked meanwhile: on a machine that others use too, this is ours."""
    began: float = field(default_factory=time.perf_counter)
    cpu_began: float = field(default_factory=time.thread_time)

    async def watch(self) -> None:
        while True:
            began, cpu_began = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0)
            self.worst_ms = max(self.worst_ms, (time.perf_counter() - began) * 1000)
            cpu = (time.thread_time() - cpu_began) * 1000
            self.worst_cpu_ms = max(self.worst_cpu_ms, cpu)


@asynccontextmanager
async def watched(keeper: Keeper | None = None) -> AsyncIterator[Lateness]:
    """Watch the loop, with `keeper` saving beside it as a node does."""
    lateness = Lateness()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(lateness.watch())
        ended = asyncio.Event()
        if keeper is not None:
            group.create_task(saving(keeper, ended))
        try:
            yield lateness
        finally:
            task.cancel()
            ended.set()


async def saving(keeper: Keeper, ended: asyncio.Event) -> None:
    """Save as often as a node does; a save that is under way at the end is not broken off."""
    while not ended.is_set():
        await keeper.save()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAVE_SECONDS):
                await ended.wait()


class Peer:
    """Whoever is told: it takes everything, and counts."""

    def __init__(self) -> None:
        self.updates = self.routes = 0

    async def send(self, request: OutgoingRequest[Account]) -> Fulfill:
        if request.prepare.destination == UPDATE_DESTINATION:
            self.updates += 1
            self.routes += len(RouteUpdate.decode(request.prepare.data).new_routes)
        return Fulfill.build(FULFILLMENT)

    async def explain(self, request: OutgoingRequest[Account]) -> Any:
        raise NotImplementedError


class Unhurried:
    """A clock on which two updates are never too close together."""

    def __init__(self) -> None:
        self._wall = WallClock()
        self.passed = 0.0

    def now_ms(self) -> int:
        return self._wall.now_ms()

    def monotonic(self) -> float:
        return self._wall.monotonic() + self.passed


class Bench:
    """A node's route exchange on a store."""

    def __init__(self, stores: Stores, accounts: Sequence[Account]) -> None:
        self.clock = Unhurried()
        self.table = RoutingTable()
        own = NodeAddress(OWN)
        self.exchange = RouteExchange(
            clock=self.clock, address=own, table=self.table, timing=Timing()
        )
        self.keeper = Keeper(self.exchange, stores.learned)
        self.peer = Peer()
        self.tasks = TaskOwner("bench", tasks_max=10)
        self.speaker = Speaker(self.exchange, self.peer, self.tasks, speaks=lambda _: True)
        self.service: RouteExchangeService[Account] = RouteExchangeService(
            FakeIncoming(), self.exchange, own
        )
        self.accounts = accounts

    async def configure(self) -> None:
        self.table.replace(build_routes(self.accounts, {}))
        await self.exchange.configure(self.accounts, {})

    async def take(self, update: bytes) -> None:
        packet = Prepare.build(
            amount=0,
            expires_at_ms=self.clock.now_ms() + 30_000,
            condition=CONDITION,
            destination=UPDATE_DESTINATION,
            data=update,
        )
        self.clock.passed += 0.05  # as a peer that keeps to twenty a second
        reply = await self.service.handle(IncomingRequest(self.accounts[0], packet))
        assert isinstance(reply, Fulfill), reply


def resident_mb() -> float:
    """Return how much memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def row(what: str, lateness: Lateness, more: str = "") -> None:
    seconds = time.perf_counter() - lateness.began
    cpu = time.thread_time() - lateness.cpu_began
    print(
        f"| {what} | {seconds:.2f} | {cpu:.2f} | {lateness.worst_ms:.1f} "
        f"| {lateness.worst_cpu_ms:.1f} | {more} |",
        flush=True,
    )


async def measure(routes: int, folder: Path) -> None:
    store = f"sqlite:///{folder}/node.db"
    stores = await open_stores(store, WallClock())
    accounts = [
        account("peer", routing_relation=RoutingRelation.PEER, ilp_address=PEER),
        account(
            "other", routing_relation=RoutingRelation.PEER, ilp_address=address("test.other")
        ),
    ]
    for each in accounts:
        await stores.accounts.insert_account(each, NewTokens())
    told = updates(routes)
    bench = Bench(stores, accounts)
    await bench.configure()
    calm_garbage_collector()  # as a node does
    before = resident_mb()

    async with watched(bench.keeper) as lateness:
        for update in told:
            await bench.take(update)
            await asyncio.sleep(0)
        grown = resident_mb() - before
        row("applied", lateness, f"{grown:.0f} MB with the store's, {len(told)} updates")
    assert len(bench.exchange.learned.best) == routes

    async with watched() as lateness:
        await bench.keeper.save()
        row("saved", lateness, "what was not saved by then")

    chance = random.Random(2)
    known = list(bench.exchange.learned.best)
    wanted = [f"{chance.choice(known)}.alice.invoice" for _ in range(100_000)]
    lateness = Lateness()
    for destination in wanted:
        bench.table.look_up(destination)
    cpu = time.thread_time() - lateness.cpu_began
    row("looked up", lateness, f"{cpu / len(wanted) * 1e6:.2f} µs each")

    again = Bench(stores, accounts)
    await again.configure()
    async with watched() as lateness:
        await again.keeper.load()
        row("loaded after a restart", lateness)
    assert len(again.exchange.learned.best) == routes
    del again

    before = resident_mb()
    async with watched() as lateness:
        await bench.exchange.take_control(accounts[1], RouteControl(Mode.SYNC, NO_TABLE, 0))
        while bench.peer.routes <= routes:
            bench.speaker.tick()
            await bench.tasks.finish(5)
            bench.clock.passed += UPDATE_GAP_SECONDS
        pauses = bench.peer.updates * UPDATE_GAP_SECONDS
        row(
            "told to another peer",
            lateness,
            f"{resident_mb() - before:.0f} MB, {bench.peer.updates} updates: "
            f"{pauses:.0f} s with the pause between two",
        )

    async with watched() as lateness:
        bench.exchange.withdraw_all(bench.exchange.peers[accounts[0].id], "the end")
        more = True
        while more:
            more = bench.exchange.catch_up()
            await asyncio.sleep(0)
        row("withdrawn", lateness)
    assert not bench.exchange.learned.best
    await stores.close()


async def measure_hostile(prefixes_told: int, folder: Path) -> None:
    """One peer tells far more prefixes than it may have: what that takes, and what is said of it."""
    stores = await open_stores(f"sqlite:///{folder}/hostile.db", WallClock())
    mallory = account("mallory", routing_relation=RoutingRelation.PEER, ilp_address=PEER)
    await stores.accounts.insert_account(mallory, NewTokens())
    bench = Bench(stores, [mallory])
    await bench.configure()
    told = updates(prefixes_told)
    gc.collect()
    before = resident_mb()
    async with watched(bench.keeper) as lateness:
        for update in told:
            await bench.take(update)
            await asyncio.sleep(0)
        row(
            f"a peer tells {prefixes_told}",
            lateness,
            f"{resident_mb() - before:.0f} MB, {len(bench.exchange.learned.best)} are taken",
        )
    print(f"\n{bench.exchange.peers[mallory.id].heard.problem}")
    await stores.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure what learning many routes costs.",
        epilog="; ".join(f"{what}: {target}" for what, target in TARGETS.items()),
    )
    parser.add_argument("--routes", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument(
        "--hostile",
        type=int,
        default=0,
        metavar="N",
        help="let a peer tell so many, far more than it may have; 0 does not; default: %(default)s",
    )
    asked = parser.parse_args()
    print(f"| {asked.routes} routes | s | of CPU | loop held at most, ms | of CPU | |")
    print("|---" * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(asked.routes, Path(folder)))
        if asked.hostile:
            asyncio.run(measure_hostile(asked.hostile, Path(folder)))


if __name__ == "__main__":
    main()
