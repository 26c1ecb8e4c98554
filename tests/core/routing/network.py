"""Several nodes' route exchange in one process, on one clock: what they send each other passes through their services."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from core.account import Account, AccountId, RoutingRelation
from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply, address
from core.routing.ccp import UPDATE_DESTINATION, RouteUpdate, ToldRoute
from core.routing.exchange import RouteExchange, Timing
from core.routing.keeper import Keeper
from core.routing.routes import build_routes
from core.routing.speaker import Speaker
from core.routing.store import LearnedRouteStore
from core.routing.table import RoutingTable
from core.routing.turns import ROUTE, TURN
from core.service import IncomingRequest, OutgoingRequest
from core.services.route_exchange import RouteExchangeService
from core.stores.memory.learned import MemoryLearnedRoutes
from core.stores.memory.state import MemoryState
from core.tasks import TaskOwner
from core.testing.builders import account
from core.testing.clock import FakeClock
from core.testing.services import FakeIncoming

TIMING: Final = Timing(interval_ms=30_000, hold_down_ms=45_000)
STEP_MS: Final = 150
ROUTES_AT_ONCE: Final = TURN // ROUTE
"""So many are put or dropped before others have their turn."""

PEER = RoutingRelation.PEER
PARENT = RoutingRelation.PARENT
CHILD = RoutingRelation.CHILD
END_USER = RoutingRelation.NON_ROUTING_ACCOUNT


@dataclass
class Wire:
    """A node's links: an account's username leads to a node of the network, unless it is cut."""

    net: Net
    node: str
    cut: set[str] = field(default_factory=set)
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)
    answers: dict[str, Reply] = field(default_factory=dict)
    """What a peer that is no node of the network answers."""
    meanwhile: Callable[[], Awaitable[None]] | None = None
    """What happens, once, while a message is under way."""

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        name = request.to_account.username
        packet = request.prepare
        self.sent.append((name, packet.destination, bytes(packet.data)))
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            await happens()
        if name in self.answers:
            return self.answers[name]
        other = self.net.nodes.get(name)
        if other is None or name in self.cut or other.is_dead:
            return self.net.nodes[self.node].address.reject(
                ErrorCode.PEER_UNREACHABLE, f"{name} cannot be reached."
            )
        return await other.receive(self.node, packet)

    async def explain(self, request: OutgoingRequest[Account]) -> Any:
        raise NotImplementedError

    def updates(self, to: str) -> Sequence[RouteUpdate]:
        """Return the updates that went to a peer."""
        return [
            RouteUpdate.decode(octets)
            for name, destination, octets in self.sent
            if name == to and destination == UPDATE_DESTINATION
        ]

    def controls(self, to: str) -> int:
        """Return how many control messages went to a peer."""
        return sum(
            name == to and destination != UPDATE_DESTINATION
            for name, destination, _ in self.sent
        )


class Node:
    """One node of the network."""

    def __init__(
        self, net: Net, name: str, store: LearnedRouteStore, state: MemoryState
    ) -> None:
        self.net, self.name = net, name
        self.address = NodeAddress(address(f"test.{name}"))
        self.table = RoutingTable()
        self.exchange = RouteExchange(
            clock=net.clock,
            address=self.address,
            table=self.table,
            timing=net.timing,
        )
        self.exchange.secret = name.encode().ljust(32, b"-")
        self.wire = Wire(net, name)
        self.tasks = TaskOwner(name, tasks_max=100)
        self.talks = True
        self.leaves: set[str] = set()
        """To whom another process on its store talks."""
        self.speaker = Speaker(self.exchange, self.wire, self.tasks, speaks=self._speaks)
        self.store, self.state = store, state
        self.keeper = Keeper(self.exchange, store)
        self.service: RouteExchangeService[Account] = RouteExchangeService(
            FakeIncoming(), self.exchange, self.address
        )
        self.accounts: dict[str, Account] = {}
        self.static: dict[str, AccountId] = {}
        self.gone: set[str] = set()
        self.ups: dict[str, int] = {}
        """How often the links to others were back."""
        self.is_dead = False

    def _speaks(self, to: Account) -> bool:
        return self.talks and to.username not in self.leaves

    async def add(self, name: str, relation: RoutingRelation = PEER, **changes: Any) -> Account:
        changes.setdefault("ilp_address", address(f"test.{name}"))
        self.accounts[name] = account(name, routing_relation=relation, **changes)
        await self.configure()
        return self.accounts[name]

    async def change(self, name: str, **changes: Any) -> None:
        self.accounts[name] = replace(self.accounts[name], **changes)
        await self.configure()

    async def remove(self, name: str) -> None:
        del self.accounts[name]
        await self.configure()

    async def route(self, prefix: str, name: str) -> None:
        self.static[prefix] = self.accounts[name].id
        await self.configure()

    async def configure(self) -> None:
        accounts = list(self.accounts.values())
        self.state.accounts = {each.id: each for each in accounts}
        self.table.replace(build_routes(accounts, self.static))
        await self.exchange.configure(accounts, self.static)

    async def receive(self, sender: str, packet: Any) -> Reply:
        return await self.service.handle(IncomingRequest(self.accounts[sender], packet.copy()))

    async def hear(self, sender: str, update: RouteUpdate) -> None:
        """Let a peer that is no node of the network tell something."""
        await self.exchange.take_update(self.accounts[sender], update.encode())
        await self.clear()

    async def clear(self) -> None:
        more = True
        while more:
            more = self.exchange.catch_up()
            await asyncio.sleep(0)

    def next_hop(self, destination: str) -> str | None:
        """Return who gets a packet for this destination."""
        route = self.table.look_up(destination)
        if route is None:
            return None
        names = {each.id: name for name, each in self.accounts.items()}
        return names[route.next_hop]

    def path(self, prefix: str) -> tuple[str, ...] | None:
        route = self.exchange.learned.best.get(prefix)
        return None if route is None else route.path

    def tick(self) -> None:
        names = {each.id: name for name, each in self.accounts.items()}
        self.exchange.tick(
            lambda each: names.get(each.id) in self.gone,
            lambda each: self.ups.get(names.get(each, ""), 0),
        )


class Net:
    """The nodes, and their time."""

    def __init__(self, clock: Clock | None = None, timing: Timing = TIMING) -> None:
        """Stand still until `run`, unless the clock goes by itself."""
        self.fake_clock = FakeClock()
        self.clock: Clock = clock or self.fake_clock
        self.timing = timing
        self.nodes: dict[str, Node] = {}

    def node(self, name: str, store: LearnedRouteStore | None = None) -> Node:
        state = MemoryState()
        self.nodes[name] = Node(self, name, store or MemoryLearnedRoutes(state), state)
        return self.nodes[name]

    async def connect(
        self, one: str, two: str, relation: RoutingRelation = PEER, **changes: Any
    ) -> None:
        """Let two nodes have accounts for each other; `relation` is what the second is to the first."""
        back = {PEER: PEER, PARENT: CHILD, CHILD: PARENT}[relation]
        await self.nodes[one].add(two, relation, **changes)
        await self.nodes[two].add(one, back, **changes)

    async def run(self, seconds: float = 2.0, until: Callable[[], bool] | None = None) -> float:
        """Let time pass, in steps; return the seconds it took until something was so."""
        steps = round(seconds * 1000 / STEP_MS)
        for step in range(steps):
            for node in self.nodes.values():
                if node.is_dead:
                    continue
                node.tick()
                await node.clear()
                if node.exchange.own_is_old:
                    await node.exchange.retell_own()
                node.speaker.tick()
            for node in self.nodes.values():
                await node.tasks.finish(5)
            if until is not None and until():
                return step * STEP_MS / 1000
            self.fake_clock.advance(milliseconds=STEP_MS)
        assert until is None, "it did not come about in time"
        return seconds


def told(
    *routes: ToldRoute,
    speaker: str,
    table: bytes = b"t" * 16,
    start: int = 0,
    end: int = 1,
    withdrawn: Sequence[str] = (),
    hold_down_ms: int = 45_000,
) -> RouteUpdate:
    """Return what a peer tells."""
    return RouteUpdate(
        table_id=table,
        current_epoch=end,
        from_epoch=start,
        to_epoch=end,
        hold_down_ms=hold_down_ms,
        speaker=address(speaker),
        new_routes=routes,
        withdrawn=tuple(withdrawn),
    )


def way(prefix: str, *path: str, auth: bytes = bytes(32)) -> ToldRoute:
    """Return a route as a peer tells it."""
    return ToldRoute(prefix, tuple(address(hop) for hop in path), auth)


async def sizes(node: Node, work: Awaitable[object]) -> list[int]:
    """Do the work; return how many routes are used at first, whenever others have their turn, and at the end."""
    best = node.exchange.learned.best
    seen = [len(best)]

    async def watch() -> None:
        while True:
            seen.append(len(best))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await work
        watching.cancel()
    return [*seen, len(best)]


REFUSED = Reject.build(ErrorCode.UNREACHABLE, triggered_by="test.static", message="no")
