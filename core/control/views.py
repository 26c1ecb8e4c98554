"""What the operator is shown: frozen values, amounts as exact integers with their asset."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import final

from core.account import Account, Asset
from core.control.node_warnings import NodeWarning
from core.ledger.books import AuditReport, Balance
from core.service import Explanation
from core.settlement.records import Direction, EngineStatus, SettlementState
from core.telemetry.peer_time import ClockReading
from core.telemetry.records import LogLine


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """The node at a glance."""

    ilp_address: str
    version: str
    ready: bool
    problems: Sequence[str]
    """What keeps it from working, a sentence each; empty where all is well."""
    node_number: int
    nodes_alive: int
    """Processes that share the store, this one included."""
    started_at_ms: int
    now_ms: int
    store_url: str
    store_octets: int | None
    http_bind: str
    accounts: int
    routes: int
    in_flight: int
    packets_per_second: float
    """Prepares a second, over the last ten seconds; a figure for the eye."""
    prepares: int
    fulfills: int
    rejects: int
    unknown_transfers: int
    last_change: int
    """Grows whenever accounts, routes, rates or engines change: a cheap reason to look again."""
    warnings: Sequence[NodeWarning] = ()
    """What does not keep it from working, and should not stay so: clocks that are wrong, secrets that are none."""
    clock: ClockReading | None = None
    """This machine's clock beside the peers'; None while no peer has told the time lately."""


class LinkState(enum.Enum):
    """Whether the other side can be reached; always with a reason."""

    UP = "up"
    IDLE = "idle"
    DEGRADED = "degraded"
    DOWN = "down"
    PAUSED = "paused"
    NEVER = "never connected"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account with what it owes, what it does, and how its link is."""

    account: Account
    balance: Balance
    state: LinkState
    state_reason: str
    summary: str
    """In words: `bob owes you 12.40 USD`."""
    prepares: int
    fulfills: int
    rejects: int
    packets_per_second: float
    last_packet_at_ms: int | None
    last_reject: str
    """Code, name and message of its last reject; empty where there was none."""
    engine_url: str | None
    """The engine that serves it, its own or its asset's."""
    open_settlement: bool
    recent_net: Sequence[int] = ()
    """Its net balance of the last minutes, oldest first, for a sparkline."""
    last_reject_is_ours: bool = False
    """Whether this node wrote the text of the last reject."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDetails:
    """What makes an account, as the operator types it: unchecked, None where nothing was said."""

    username: str
    asset_code: str
    asset_scale: int
    ilp_address: str | None = None
    max_packet_amount: int | None = None
    min_balance: int | None = None
    ilp_over_http_url: str | None = None
    ilp_over_http_incoming_token: str | None = field(default=None, repr=False)
    ilp_over_http_outgoing_token: str | None = field(default=None, repr=False)
    ilp_over_btp_url: str | None = None
    ilp_over_btp_incoming_token: str | None = field(default=None, repr=False)
    ilp_over_btp_outgoing_token: str | None = field(default=None, repr=False)
    settle_threshold: int | None = None
    settle_to: int | None = None
    settlement_engine_url: str | None = None
    settlement_address: str | None = None
    routing_relation: str | None = None
    round_trip_time: int | None = None
    packets_per_minute_limit: int | None = None
    amount_per_minute_limit: int | None = None
    packet_burst_limit: int | None = None
    amount_burst_limit: int | None = None
    packets_in_flight_limit: int | None = None
    amount_in_flight_limit: int | None = None
    outgoing_amount_per_minute_limit: int | None = None
    spread: str | None = None
    """As people write a share: `0.005`, `1/200` or `0.5%`."""
    send_routes: bool | None = None
    receive_routes: bool | None = None
    import_prefixes: Sequence[str] = ()
    export_prefixes: Sequence[str] = ()
    routes_max: int | None = None
    route_weight: int = 0
    enabled: bool = True
    label: str = ""
    notes: str = ""


@final
@dataclass(frozen=True, slots=True)
class FieldProblem:
    """Why a field cannot be as it is; a sentence that says what was found and what is needed."""

    field: str
    problem: str


@final
@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What the details would mean, before anything is saved."""

    problems: Sequence[FieldProblem]
    """Each must be mended before saving."""
    warnings: Sequence[FieldProblem]
    """Each is allowed and probably not meant."""
    summary: Sequence[str]
    """Plain sentences: `bob may owe you up to 100.00 USD.`"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PingResult:
    """Whether the other side answered, and how fast."""

    answered: bool
    latency_us: int
    sentence: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteView:
    """One line of the routing table."""

    prefix: str
    next_hop: str
    """A username."""
    source: str
    """`static`, `account`, `learned` or `default`."""
    path: Sequence[str] = ()
    """Of a learned one: the nodes on the way, the next hop first."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAnswer:
    """Where a packet would go, and why: the chain walked dry."""

    forwarded: bool
    sentence: str
    prefix: str | None
    next_hop: str | None
    incoming_amount: int
    incoming_asset: Asset | None
    outgoing_amount: int | None
    outgoing_asset: Asset | None
    expires_in_ms: int | None
    """What the next hop would be given."""
    alternatives: Sequence[RouteView]
    """Shorter prefixes that cover it too, longest first."""
    steps: Explanation


class PacketVerdict(enum.Enum):
    """How a packet ended."""

    FULFILLED = "fulfilled"
    REJECTED = "rejected"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PacketView:
    """One packet that went through."""

    sequence: int
    """Counts packets of this process, gaps mean that the view could not keep up."""
    at_ms: int
    from_username: str
    to_username: str | None
    destination: str
    incoming_amount: int
    incoming_asset: Asset
    outgoing_amount: int | None
    outgoing_asset: Asset | None
    transfer: int | None
    """Its row in the books, of which `rate_of_transfer` tells by which rate it was converted; None where it
    was not booked."""
    verdict: PacketVerdict
    code: str
    triggered_by: str
    message: str
    """Of a reject, as its sender wrote it: remote text."""
    advice: str
    """What the code means here and what to do, ours; empty for a fulfill."""
    latency_us: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRow:
    """One settlement with its account's name and asset."""

    id: str
    username: str
    asset: Asset
    engine: str
    direction: Direction
    state: SettlementState
    amount: int
    ledger_amount: int
    ledger_asset: Asset
    transaction: str | None
    confirmations: int | None
    fee: int | None
    attempts: int
    problem: str
    created_at_ms: int
    updated_at_ms: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementDue:
    """An account that owes or is owed, and how far it is from settling."""

    username: str
    asset: Asset
    owed: int
    """What we owe, net of what they owe us, in its units; never below zero."""
    settle_threshold: int | None
    settle_to: int | None
    engine_url: str | None
    due: bool
    reason: str
    """Why it settles now, or why it does not."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineView:
    """An engine, as it last wrote of itself, and whether that is recent."""

    status: EngineStatus
    alive: bool
    sentence: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedRow:
    """Money that came in from somebody no account names."""

    key: str
    engine: str
    sender: str
    ledger_amount: int
    ledger_asset: Asset
    transaction: str
    seen_at_ms: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownRow:
    """A leg left undecided by a crash or a lost answer."""

    id: int
    from_username: str
    to_username: str
    outgoing_amount: int
    outgoing_asset: Asset
    destination: str
    created_at_ms: int
    payment: str | None = None
    """The id of the payment of ours that it is a part of; None for what was forwarded."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownResolved:
    """What one call resolved of what was left undecided."""

    transfers: int
    sums: Mapping[Asset, int]
    """What they carried to their peers, per asset."""
    more: bool
    """Whether there were more than one call resolves: the same call again resolves those."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySample:
    """One step of time, summed over what was asked for."""

    at_s: int
    prepares: int
    fulfills: int
    rejects: int
    latency_us_mean: int
    latency_us_max: int
    reject_codes: Mapping[str, int] = field(default_factory=dict)
    incoming_amount: int = 0
    """Only where one account was asked for: amounts of different assets do not add up."""
    outgoing_amount: int = 0
    net: int | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Samples in order of time; steps without traffic are left out."""

    step_s: int
    from_s: int
    until_s: int
    samples: Sequence[HistorySample]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What we owe and are owed in one asset, over all accounts."""

    asset: Asset
    owed_to_us: int
    owed_by_us: int
    in_flight: int
    unknown: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RatesView:
    """Prices and the spread, exact; prices as decimal text."""

    prices: Mapping[str, str]
    spread: Fraction


__all__ = [
    "AccountCheck",
    "AccountDetails",
    "AccountView",
    "AuditReport",
    "EngineView",
    "Exposure",
    "FieldProblem",
    "History",
    "HistorySample",
    "LinkState",
    "LogLine",
    "NodeStatus",
    "PacketVerdict",
    "PacketView",
    "PingResult",
    "RatesView",
    "RouteAnswer",
    "RouteView",
    "SettlementDue",
    "SettlementRow",
    "UnknownResolved",
    "UnknownRow",
    "UnmatchedRow",
]
