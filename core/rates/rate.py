"""Exact rates: an asset's price is a decimal, a rate a fraction, and rounding is written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from typing import Protocol, final, runtime_checkable

from core.account import Asset
from core.rates.records import REFERENCE_DEFAULT, Price, RateId, RateSnapshot
from core.service import Conversion


@runtime_checkable
class RateStore(Protocol):
    """Where prices and the spread that the operator set are kept."""

    async def load_prices(self) -> Mapping[str, Decimal]:
        """Return what the operator set: the price of each asset code, in whole units of one common measure."""

    async def replace_prices(self, prices: Mapping[str, Decimal]) -> None:
        """Replace all that the operator set, in one step, and put them into force over the sources' prices."""

    async def load_spread(self) -> Fraction:
        """Return the share of each conversion that is ours, 0 ≤ spread < 1."""

    async def save_spread(self, spread: Fraction) -> None:
        """Replace it."""


@final
@dataclass(frozen=True, slots=True)
class Quote:
    """How one asset becomes another, and until when that holds."""

    rate: Fraction
    """Target smallest units for one source smallest unit."""
    spread: Fraction
    """The pair's, or the node's."""
    rate_id: RateId | None = None
    """The prices that it comes from; None where none are needed."""
    oldest: str = ""
    """The code whose price is the first to be too old."""
    at_ms: int = 0
    max_age_ms: int = 0
    stale_at_ms: int | None = None
    """When it is; None where neither price ages."""


@final
class RateTable:
    """Prices in memory, for the packet's path; replaced as a whole when the store changes."""

    __slots__ = ("_pairs", "_prices", "_quotes", "_rate_id", "reference", "spread")

    def __init__(self) -> None:
        self._prices: Mapping[str, Price] = {}
        self._pairs: Mapping[tuple[str, str], Fraction] = {}
        self._quotes: dict[tuple[Asset, Asset], Quote | None] = {}
        self._rate_id: RateId | None = None
        self.reference = REFERENCE_DEFAULT
        self.spread = Fraction(0)

    def replace(self, prices: Mapping[str, Decimal], spread: Fraction) -> None:
        """Serve prices that do not age."""
        self._prices = {code: Price(price=price) for code, price in prices.items()}
        self._rate_id, self._pairs, self.spread = None, {}, spread
        self._quotes = {}

    def serve(
        self,
        snapshot: RateSnapshot | None,
        spread: Fraction,
        pair_spreads: Mapping[tuple[str, str], Fraction],
    ) -> None:
        """Serve what is in force from now on."""
        self._prices = {} if snapshot is None else snapshot.prices
        self._rate_id = None if snapshot is None else snapshot.id
        self.reference = REFERENCE_DEFAULT if snapshot is None else snapshot.reference
        self._pairs, self.spread = pair_spreads, spread
        self._quotes = {}

    @property
    def prices(self) -> Mapping[str, Decimal]:
        return {code: price.price for code, price in self._prices.items()}

    @property
    def in_force(self) -> Mapping[str, Price]:
        """The prices with their ages and sources."""
        return self._prices

    @property
    def rate_id(self) -> RateId | None:
        return self._rate_id

    @property
    def pair_spreads(self) -> Mapping[tuple[str, str], Fraction]:
        return self._pairs

    def rate(self, source: Asset, target: Asset) -> Fraction | None:
        """Return target smallest units for one source smallest unit, or None where a price is missing."""
        found = self.quote(source, target)
        return None if found is None else found.rate

    def quote(self, source: Asset, target: Asset) -> Quote | None:
        """Return how one asset becomes the other, or None where a price is missing."""
        key = (source, target)
        try:
            return self._quotes[key]
        except KeyError:
            found = self._quotes[key] = self._quote(source, target)
            return found

    def _quote(self, source: Asset, target: Asset) -> Quote | None:
        scaling = Fraction(10) ** (target.scale - source.scale)
        spread = self._pairs.get((source.code, target.code), self.spread)
        if source.code == target.code:
            return Quote(scaling, spread)
        first, second = self._prices.get(source.code), self._prices.get(target.code)
        if first is None or second is None:
            return None
        rate = Fraction(first.price) / Fraction(second.price) * scaling
        aging = [
            (price.stale_at_ms, code, price)
            for code, price in ((source.code, first), (target.code, second))
            if price.stale_at_ms is not None
        ]
        if not aging:
            return Quote(rate, spread, self._rate_id)
        stale_at_ms, code, price = min(aging, key=itemgetter(0))
        return Quote(
            rate,
            spread,
            self._rate_id,
            oldest=code,
            at_ms=price.at_ms or 0,
            max_age_ms=price.max_age_ms or 0,
            stale_at_ms=stale_at_ms,
        )


def convert(
    amount: int, rate: Fraction, spread: Fraction, rate_id: RateId | None = None
) -> tuple[int, Conversion]:
    """Return what the next hop gets, and where the rest went. Fractions stay with us: both are floored.

    In whole numbers, since it is on the packet's path: over the common denominator of rate and
    spread, what the next hop gets is one `divmod`, and what is left of it is the remainder.
    """
    share, shares = spread.numerator, spread.denominator
    whole = rate.denominator * shares
    unit = amount * rate.numerator
    outgoing_amount, left = divmod(unit * (shares - share), whole)
    if not share:
        return outgoing_amount, Conversion(rate, spread, 0, Fraction(left, whole), rate_id)
    spread_amount, left_of_spread = divmod(unit * share, whole)
    remainder = Fraction(left + left_of_spread, whole)
    return outgoing_amount, Conversion(rate, spread, spread_amount, remainder, rate_id)


def largest_convertible(rate: Fraction, spread: Fraction, *, maximum: int) -> int:
    """Return the largest amount that `convert` turns into no more than `maximum`; the rate is above zero."""
    # floor(amount × net) ≤ maximum exactly where amount × net < maximum + 1.
    return -(-(maximum + 1) // (rate * (1 - spread))) - 1
