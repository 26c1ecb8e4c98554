"""A node that is put together and not started: memory stores, both chains, a link that is told what to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

from core.account import Account, AccountId
from core.config import NodeConfig
from core.control.node_control import NodeControl
from core.control.place import Place
from core.control.sources import ControlSources, NodeFacts
from core.control.views import AccountDetails, AccountView, LinkState
from core.errors import SettingError
from core.ledger.books import Transfer, TransferId
from core.node import Node
from core.packet import Reply, address
from core.payments.payer import Payer
from core.rates.feeder import Fetch
from core.service import Explanation, OutgoingRequest
from core.settlement.store import EngineIdentity, EngineLease, EngineReport
from core.stores.memory import open_memory
from core.stores.record import Stores
from core.telemetry.records import LogLine
from core.testing.builders import CONDITION, FULFILLMENT
from core.testing.clock import FakeClock
from core.testing.payments import FakeResolver
from core.testing.services import FakeOutgoing


@final
class FakeLink:
    """The outgoing link: `services` has the last link's answers, and closing it is nothing."""

    def __init__(self, clock: FakeClock) -> None:
        self.fake = FakeOutgoing()
        self.clock = clock
        self.takes_ms = 0

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        self.clock.advance(milliseconds=self.takes_ms)
        return await self.fake.send(request)

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        return await self.fake.explain(request)

    async def close(self, drain_seconds: float) -> None:
        """Nothing is open."""


@final
class FakeLinks:
    """Link states as a test sets them."""

    def __init__(self) -> None:
        self.states: dict[str, tuple[LinkState, str]] = {}
        self.problems: dict[str, str] = {}
        self.dialled: list[str] = []

    def state(self, account: Account) -> tuple[LinkState, str]:
        if not account.enabled:
            return LinkState.PAUSED, "Paused by the operator: it sends and receives nothing."
        return self.states.get(
            account.username, (LinkState.NEVER, "No packet has been sent to it yet.")
        )

    def problem(self, account: Account) -> str:
        return self.problems.get(account.username, "")

    async def dial(self, account: Account) -> None:
        self.dialled.append(account.username)


async def no_offer(url: str, body: bytes, *, allow_private: bool) -> tuple[int, bytes]:
    """Nobody takes peers by itself here."""
    raise AssertionError(url)


@final
class FakeLog:
    """A log of lines that a test wrote."""

    def __init__(self) -> None:
        self.written: list[LogLine] = []
        self.level = "info"

    def lines(self, *, after_sequence: int, limit: int) -> Sequence[LogLine]:
        return [line for line in self.written if line.sequence > after_sequence][-limit:]

    def set_level(self, directive: str) -> str:
        if directive not in {"debug", "info", "warning"}:
            raise SettingError("log_level", f"{directive!r} is no level")
        self.level = directive
        return directive


@final
@dataclass(slots=True)
class Bench:
    """The operator's door, and everything behind it."""

    control: NodeControl
    sources: ControlSources
    node: Node
    stores: Stores
    clock: FakeClock
    link: FakeLink
    links: FakeLinks
    log: FakeLog
    problems: list[str] = field(default_factory=list)

    async def add(self, username: str, **changes: Any) -> AccountView:
        """Add an account in USD with two decimals, unless a test says otherwise."""
        return await self.control.create_account(details(username, **changes))

    def control_with(self, **sources: Any) -> NodeControl:
        """Return another door to the same node, with some of what is behind it exchanged."""
        return NodeControl(replace(self.sources, **sources))

    def id_of(self, username: str) -> AccountId:
        account = self.node.directory.by_username(username)
        assert account is not None
        return account.id

    async def prepare(self, sender: str, receiver: str, amount: int) -> TransferId:
        """Write a packet of this amount into the books, and leave it pending."""
        return await self.stores.books.prepare(
            Transfer(
                from_account=self.id_of(sender),
                to_account=self.id_of(receiver),
                incoming_amount=amount,
                outgoing_amount=amount,
                conversion=None,
                destination="test.node.bob.invoice",
                condition=CONDITION,
                expires_at_ms=self.clock.now_ms() + 10_000,
            )
        )

    async def pay(self, sender: str, receiver: str, amount: int) -> None:
        """Let a packet of this amount be fulfilled: the sender owes us, and we owe the receiver."""
        await self.stores.books.fulfill(
            await self.prepare(sender, receiver, amount), FULFILLMENT
        )

    async def crash(self) -> None:
        """Let the node's process end with what it has pending, and another one settle it by rule."""
        await self.stores.leases.sign_off()
        await self.stores.leases.sign_on("the next one")
        await self.stores.books.recover()

    async def start_engine(self, name: str = "ethereum", **report: Any) -> EngineLease:
        """Let an engine write of itself, as one that serves USD at scale 18."""
        lease = await self.stores.settlements.take_engine(
            EngineIdentity(
                name=name, kind="ethereum", asset_code="USD", ledger_scale=18, pid=4711
            )
        )
        plain = EngineReport(
            ledger="local test chain", address="0x" + "1" * 40, balance=10, head=120, problem=""
        )
        await self.stores.settlements.heartbeat(lease, replace(plain, **report))
        return lease


def details(username: str, **changes: Any) -> AccountDetails:
    """Return what an operator typed for an account in USD."""
    plain = AccountDetails(username=username, asset_code="USD", asset_scale=2)
    return replace(plain, **changes)


async def make_bench(
    *, fetch_rates: Fetch | None = None, stores: Stores | None = None
) -> Bench:
    """Return a node at test.node that has no account yet; `fetch_rates` answers for its sources of rates.

    Its stores are in memory, where a test brings no others.
    """
    clock = FakeClock()
    stores = stores or open_memory(clock)
    lease = await stores.leases.sign_on("bench")
    link, links, log = FakeLink(clock), FakeLinks(), FakeLog()
    node = Node(
        stores,
        clock,
        NodeConfig(store="memory:", ilp_address=address("test.node")),
        lambda _address, _clock: link,
        fetch_rates=fetch_rates,
    )
    node.gate.open()
    await node.refresh()
    problems: list[str] = []
    sources = ControlSources(
        facts=NodeFacts(
            version="1.2.3",
            node_number=lease.number,
            started_at_ms=clock.now_ms(),
            store_url="memory:",
            http_bind="127.0.0.1:7770",
            problems=lambda: problems,
        ),
        clock=clock,
        node_address=node.address,
        directory=node.directory,
        routing_table=node.routing_table,
        exchange=node.exchange,
        rate_table=node.rate_table,
        accounts=stores.accounts,
        routes=stores.routes,
        rates=stores.rates,
        rate_feed=stores.rate_feed,
        rate_feeder=node.rate_feeder,
        books=stores.books,
        leases=stores.leases,
        settlements=stores.settlements,
        history=stores.history,
        payments=stores.payments,
        payer=Payer(
            store=stores.payments,
            books=stores.books,
            directory=node.directory,
            incoming=node.incoming,
            resolver=FakeResolver(),
            clock=clock,
        ),
        notices=node.notices,
        place=Place(public_host=None, bound=lambda: "127.0.0.1:7770"),
        changes=stores.settings,
        traffic=node.recorder,
        links=links,
        log=log,
        incoming=node.incoming,
        link=link,
        dial=links.dial,
        pings=node.pings,
        parent=node.parent,
        post_offer=no_offer,
        changing=node.changing,
        refresh=node.refresh,
    )
    control = NodeControl(sources)
    return Bench(control, sources, node, stores, clock, link, links, log, problems)
