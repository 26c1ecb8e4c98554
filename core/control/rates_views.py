"""What the operator is shown of the rate feed: frozen values, prices as exact decimal text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import final

from core.account import Asset
from core.rates.records import HoldState, SourceKind


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateSourceDetails:
    """What makes a source, as the operator types it: unchecked, None where nothing was said."""

    name: str
    """2 to 32 of a-z 0-9 - _."""
    kind: str
    """`fixed`, `ecb`, `coingecko`, `coincap`, `cryptocompare` or `json`."""
    url: str = ""
    """Left empty, the kind's own public address is taken, where it has one."""
    base: str = ""
    """What its prices are counted in; empty takes the kind's own: EUR for ecb, else USD."""
    assets: Mapping[str, str] = field(default_factory=dict)
    """Its names for assets and our codes, `bitcoin` to `BTC`."""
    path: str = ""
    inverted: bool = False
    prices: Mapping[str, str] = field(default_factory=dict)
    """Fixed prices, as decimal text."""
    api_key: str | None = field(default=None, repr=False)
    """None keeps what is stored, empty clears it."""
    poll_seconds: int | None = None
    max_age_seconds: int | None = None
    enabled: bool = True


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateSourceView:
    """A source, and how it does."""

    name: str
    kind: SourceKind
    url: str
    base: str
    assets: Mapping[str, str]
    path: str
    inverted: bool
    prices: Mapping[str, str]
    has_api_key: bool
    poll_seconds: int
    max_age_seconds: int | None
    enabled: bool
    works: bool
    """Whether its last answer could be used and is not too old."""
    sentence: str
    """How it does: `It answered 12 s ago with 31 prices.` or why it does not."""
    tried_at_ms: int | None
    answered_at_ms: int | None
    data_at_ms: int | None
    """What its data is stamped with."""
    age_ms: int | None
    prices_count: int
    failures: int
    problem: str
    """Its last error, a sentence; empty where there is none."""
    next_at_ms: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJumpView:
    """A price that moved too far at once and waits for a decision."""

    code: str
    from_price: str
    to_price: str
    change: Fraction
    """`to / from − 1`."""
    since_ms: int
    samples: int
    sources: Sequence[str]
    state: HoldState
    sentence: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PriceView:
    """A price in force."""

    code: str
    price: str
    """In the reference asset, exact."""
    by_operator: bool
    """Whether the operator set it by hand, which wins over all sources and does not age."""
    sources: Sequence[str]
    at_ms: int | None
    age_ms: int | None
    max_age_ms: int | None
    stale: bool
    """Packets that need it are rejected."""
    held: HeldJumpView | None
    sentence: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PairSpread:
    """Our share of what is converted from one asset into another."""

    source: str
    target: str
    spread: Fraction


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateFeedView:
    """Everything about rates at a glance."""

    reference: str
    prices: Sequence[PriceView]
    """By code."""
    sources: Sequence[RateSourceView]
    """By name."""
    held: Sequence[HeldJumpView]
    spread: Fraction
    """The node's own, where neither the account nor the pair has one."""
    pair_spreads: Sequence[PairSpread]
    jump_limit: Fraction | None
    jump_samples: int
    watched: Sequence[str]
    rate_id: int | None
    """Names the prices in force; each packet that is converted keeps it."""
    rate_at_ms: int | None
    polled_here: bool
    """Whether this node process asks the sources: of several on one store, one does."""
    problems: Sequence[str]
    """What needs the operator, a sentence each: stale prices, sources that fail, jumps that are held."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateSourceTest:
    """What a source answered just now; nothing of it came into force."""

    worked: bool
    sentence: str
    base: str
    prices: Mapping[str, str]
    """By code, at most 1,000."""
    data_at_ms: int | None
    latency_ms: int
    problems: Sequence[str] = ()
    """What of the answer could not be used."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateConversion:
    """What an amount would become now, exactly; amounts in smallest units."""

    source: Asset
    target: Asset
    amount: int
    delivered: int
    """What the next hop would get: floored."""
    rate: Fraction
    """Target smallest units for one source smallest unit, before the spread."""
    unit_rate: str
    """Whole target units for one whole source unit, decimal text; `…` behind it where it goes on."""
    spread: Fraction
    spread_amount: int
    remainder: Fraction
    rate_id: int | None
    age_ms: int | None
    """Of the older of the two prices; None where neither ages."""
    sentence: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateSnapshotView:
    """Prices that were in force together."""

    id: int
    at_ms: int
    reference: str
    prices: Sequence[PriceView]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRate:
    """The rate by which one packet was converted."""

    transfer: int
    rate: Fraction | None
    """None where both sides count alike and nothing was converted."""
    spread: Fraction
    snapshot: RateSnapshotView | None
    """The prices it came from; None where none were needed, or where they are no longer kept."""
    rate_id: int | None
    sentence: str
