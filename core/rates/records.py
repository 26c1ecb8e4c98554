"""What a feed of rates is made of: sources, samples, prices in force, jumps that are held."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final, NewType, final

from core.account import Secret

RateId = NewType("RateId", int)
"""Names one set of prices that was in force; each packet that was converted keeps the one it was converted by."""

REFERENCE_DEFAULT: Final = "USD"
JUMP_LIMIT_DEFAULT: Final = Fraction(1, 10)
"""Currencies do not move a tenth in a minute; who loses a digit or a point does."""
JUMP_SAMPLES_DEFAULT: Final = 0
"""Who is alone may insist as long as it likes: other sources confirm a jump, or the operator."""
POLL_SECONDS_DEFAULT: Final = 60
MAX_AGE_SECONDS_DEFAULT: Final = 600
ECB_POLL_SECONDS_DEFAULT: Final = 3_600
ECB_MAX_AGE_SECONDS_DEFAULT: Final = 6 * 86_400
"""It is made on working days, about 16:00 CET: Easter has four days without."""


class SourceKind(enum.Enum):
    """How a source is asked, and how its answer is read."""

    FIXED = "fixed"
    """Prices that the operator wrote down; never stale."""
    ECB = "ecb"
    """The European Central Bank's reference rates, its XML, from a URL or a file."""
    COINGECKO = "coingecko"
    COINCAP = "coincap"
    CRYPTOCOMPARE = "cryptocompare"
    JSON = "json"
    """Any JSON, and the path in it to a number or to an object of numbers."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateSource:
    """One place where prices come from, as the operator described it."""

    name: str
    kind: SourceKind
    url: str = ""
    """`https://…`, or `file:///…`; empty for fixed prices."""
    base: str = REFERENCE_DEFAULT
    """What its prices are counted in."""
    assets: Mapping[str, str] = field(default_factory=dict)
    """Its names for assets and our codes, `bitcoin` to `BTC`; where it is not empty, only these are taken."""
    path: str = ""
    """JSON: dots between the names on the way to the number, or to the object of numbers: `data.rates`."""
    inverted: bool = False
    """JSON: its numbers say how much of an asset one base buys, not what one of the asset costs."""
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """Fixed: in `base`."""
    poll_seconds: int = POLL_SECONDS_DEFAULT
    max_age_seconds: int = MAX_AGE_SECONDS_DEFAULT
    """How old its data may be: by its own stamp where it has one, else by when it was fetched."""
    enabled: bool = True
    api_key: Secret | None = None

    @property
    def max_age_ms(self) -> int | None:
        """How old its data may be; None where it never ages."""
        return None if self.kind is SourceKind.FIXED else self.max_age_seconds * 1000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a source said at one time; every price is above zero, and the base's is 1."""

    base: str
    prices: Mapping[str, Fraction]
    at_ms: int
    """By its own stamp where it has one."""
    problems: Sequence[str] = ()
    """What of it could not be used, a sentence each."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price in force, in the reference asset."""

    price: Decimal
    at_ms: int | None = None
    """When it was so; None for what the operator set, which does not age."""
    max_age_ms: int | None = None
    sources: tuple[str, ...] = ()
    """The sources that it is the median of; none for what the operator set."""

    @property
    def stale_at_ms(self) -> int | None:
        if self.at_ms is None or self.max_age_ms is None:
            return None
        return self.at_ms + self.max_age_ms


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateSnapshot:
    """All prices that were in force together, from `at_ms` until the next one."""

    id: RateId
    at_ms: int
    reference: str
    prices: Mapping[str, Price]


class HoldState(enum.Enum):
    """What became of a jump."""

    HELD = "held"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJump:
    """A price that moved further than may be, and is not in force."""

    code: str
    from_price: Decimal
    to_price: Decimal
    since_ms: int
    samples: int
    """How many samples have said so, one after another."""
    sources: tuple[str, ...]
    state: HoldState = HoldState.HELD


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """How a source does, as whoever polls it last wrote down."""

    tried_at_ms: int | None = None
    answered_at_ms: int | None = None
    data_at_ms: int | None = None
    prices: int = 0
    failures: int = 0
    """One after another, up to now."""
    problem: str = ""
    """Why the last attempt failed, or what of its answer could not be used; empty where all is well."""
    next_at_ms: int | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """What holds for all sources together."""

    reference: str = REFERENCE_DEFAULT
    """What all prices in force are counted in."""
    jump_limit: Fraction | None = JUMP_LIMIT_DEFAULT
    """A price that moves by more than this share at once is held; None holds none."""
    jump_samples: int = JUMP_SAMPLES_DEFAULT
    """So many samples one after another confirm a jump that one source alone speaks of; 0 leaves that to the operator."""
    watched: tuple[str, ...] = ()
    """Codes whose prices are kept though no account counts in them."""
