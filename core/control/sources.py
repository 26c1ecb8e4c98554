"""What the operator's door needs of the running node, as protocols: whoever builds the node hands it in.

The stores' own protocols (accounts, books, routes, …) are beside the parts that use them and are
named in `ControlSources` as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, final

from core.account import Account, AccountDirectory, AccountId, AccountStore
from core.clock import Clock
from core.control.node_warnings import NodeWarning
from core.control.place import Place
from core.control.views import LinkState
from core.ledger.books import Books
from core.ledger.lease import LeaseStore
from core.node_address import NodeAddress
from core.payments.notices import Notices
from core.payments.payer import Payer
from core.payments.store import PaymentStore
from core.peering.auto_peering import PostOffer
from core.peering.parent import ParentAddress
from core.rates.rate import RateStore, RateTable
from core.rates.records import RateSource, Sample
from core.rates.store import RateFeedStore
from core.routing.exchange import RouteExchange
from core.routing.table import RouteStore, RoutingTable
from core.service import Incoming, Outgoing
from core.services.echo import Pings
from core.settlement.records import SettlementView
from core.settlement.store import ENGINE_LEASE_MS
from core.telemetry.history import HistoryStore
from core.telemetry.peer_time import ClockReading
from core.telemetry.records import LogLine, PacketRecord, TrafficCounters


class TrafficSource(Protocol):
    """The telemetry recorder, as the operator's door reads it; all of it is in memory."""

    def totals(self) -> TrafficCounters:
        """Return the whole node's counters."""

    def counters(self, account: AccountId) -> TrafficCounters:
        """Return one account's counters, zeros where it did nothing yet."""

    def in_flight(self) -> int:
        """Return how many packets have come in and not ended."""

    def packets(self, *, after_sequence: int, limit: int) -> Iterator[PacketRecord]:
        """Return packets that ended since, oldest first, the newest `limit` of them."""


class LogSource(Protocol):
    """The log's memory, and its level."""

    def lines(self, *, after_sequence: int, limit: int) -> Sequence[LogLine]:
        """Return lines since, oldest first, the newest `limit` of them."""

    def set_level(self, directive: str) -> str:
        """Put a directive in force, `info,core.links=debug`, and return what is in force.

        Raises:
            SettingError: it is no directive; says which part.
        """


class LinkSource(Protocol):
    """How the links to the accounts are."""

    def state(self, account: Account) -> tuple[LinkState, str]:
        """Return whether it can be reached, and the reason in a sentence."""

    def problem(self, account: Account) -> str:
        """Return why it could not be reached the last time, a sentence; empty where that is not known."""


class Feeder(Protocol):
    """What asks the sources in this process."""

    @property
    def polls_here(self) -> bool: ...

    async def ask(self, source: RateSource) -> Sample:
        """Return what a source says now; raises RateSourceError."""

    async def poll_now(self) -> None:
        """Ask what is due and wait for it; nothing where another process asks."""


class ChangeSource(Protocol):
    """What has changed in the store, by anybody."""

    async def versions(self) -> Mapping[str, int]:
        """Return a number a kind that grows with each change."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What is true of the process as long as it runs."""

    version: str
    node_number: int
    started_at_ms: int
    store_url: str
    http_bind: str
    store_octets: Callable[[], int | None] = lambda: None
    """How large the store is now; None where it is no file."""
    bound: Callable[[], str | None] = lambda: None
    """Where the port really is, where 0 was asked for; None where it is as `http_bind` says."""
    problems: Callable[[], Sequence[str]] = tuple
    """What keeps the node from working now, a sentence each."""
    warnings: Callable[[], Sequence[NodeWarning]] = tuple
    """What should not stay as it is, but for the clock."""
    clock_reading: Callable[[], ClockReading | None] = lambda: None
    """This machine's clock beside those of its peers."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSources:
    """Everything that the operator's door is built from."""

    facts: NodeFacts
    clock: Clock
    node_address: NodeAddress
    directory: AccountDirectory
    routing_table: RoutingTable
    exchange: RouteExchange
    rate_table: RateTable
    accounts: AccountStore
    routes: RouteStore
    rates: RateStore
    rate_feed: RateFeedStore
    rate_feeder: Feeder
    """What asks the sources of rates in this process."""
    books: Books
    leases: LeaseStore
    settlements: SettlementView
    history: HistoryStore
    payments: PaymentStore
    payer: Payer
    notices: Notices
    place: Place
    changes: ChangeSource
    traffic: TrafficSource
    links: LinkSource
    log: LogSource
    incoming: Incoming
    """The whole incoming chain, for explaining."""
    link: Outgoing
    """The outgoing link alone, for pings: they meet no rate, no balance and no route."""
    dial: Callable[[Account], Awaitable[None]]
    """Dial an account now that would be dialled later, and wait for what comes of it."""
    pings: Pings
    """What waits for its echo."""
    parent: ParentAddress
    post_offer: PostOffer
    """Sends an auto-peering offer to whoever takes peers by itself."""
    refresh: Callable[[], Awaitable[None]]
    """Load accounts, routes and rates from the store into the packet path's memory, now."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an account is read, changed and written: by the door, and by a node that gets another address."""
    engine_alive_ms: int = ENGINE_LEASE_MS
    """An engine that has not written of itself for so long counts as gone."""


__all__ = [
    "ChangeSource",
    "ControlSources",
    "Feeder",
    "LinkSource",
    "LogSource",
    "NodeFacts",
    "PacketRecord",
    "TrafficCounters",
    "TrafficSource",
]
