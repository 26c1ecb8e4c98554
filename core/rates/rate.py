"""Exact rates: an asset's price is a decimal, a rate a fraction, and rounding is written out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Protocol, final, runtime_checkable

from core.account import Asset
from core.service import Conversion


@runtime_checkable
class RateStore(Protocol):
    """Where prices and the spread that the operator set are kept."""

    async def load_prices(self) -> Mapping[str, Decimal]:
        """Return the price of each asset code, in whole units of one common measure."""

    async def replace_prices(self, prices: Mapping[str, Decimal]) -> None:
        """Replace all prices in one step; each is above zero and finite."""

    async def load_spread(self) -> Fraction:
        """Return the share of each conversion that is ours, 0 ≤ spread < 1."""

    async def save_spread(self, spread: Fraction) -> None:
        """Replace it."""


@final
class RateTable:
    """Prices in memory, for the packet's path; replaced as a whole when the store changes."""

    __slots__ = ("_cache", "_prices", "spread")

    def __init__(self) -> None:
        self._prices: Mapping[str, Decimal] = {}
        self._cache: dict[tuple[Asset, Asset], Fraction | None] = {}
        self.spread = Fraction(0)

    def replace(self, prices: Mapping[str, Decimal], spread: Fraction) -> None:
        """Serve these from now on."""
        self._prices = dict(prices)
        self._cache = {}
        self.spread = spread

    @property
    def prices(self) -> Mapping[str, Decimal]:
        return self._prices

    def rate(self, source: Asset, target: Asset) -> Fraction | None:
        """Return target smallest units for one source smallest unit, or None where a price is missing."""
        key = (source, target)
        if key not in self._cache:
            self._cache[key] = self._rate(source, target)
        return self._cache[key]

    def _rate(self, source: Asset, target: Asset) -> Fraction | None:
        scaling = Fraction(10) ** (target.scale - source.scale)
        if source.code == target.code:
            return scaling
        source_price, target_price = (
            self._prices.get(source.code),
            self._prices.get(target.code),
        )
        if source_price is None or target_price is None:
            return None
        return Fraction(source_price) / Fraction(target_price) * scaling


def convert(amount: int, rate: Fraction, spread: Fraction) -> tuple[int, Conversion]:
    """Return what the next hop gets, and where the rest went. Fractions stay with us: both are floored.

    In whole numbers, since it is on the packet's path: over the common denominator of rate and
    spread, what the next hop gets is one `divmod`, and what is left of it is the remainder.
    """
    share, shares = spread.numerator, spread.denominator
    whole = rate.denominator * shares
    unit = amount * rate.numerator
    outgoing_amount, left = divmod(unit * (shares - share), whole)
    if not share:
        return outgoing_amount, Conversion(rate, spread, 0, Fraction(left, whole))
    spread_amount, left_of_spread = divmod(unit * share, whole)
    remainder = Fraction(left + left_of_spread, whole)
    return outgoing_amount, Conversion(rate, spread, spread_amount, remainder)


def largest_convertible(rate: Fraction, spread: Fraction, *, maximum: int) -> int:
    """Return the largest amount that `convert` turns into no more than `maximum`; the rate is above zero."""
    # floor(amount × net) ≤ maximum exactly where amount × net < maximum + 1.
    return -(-(maximum + 1) // (rate * (1 - spread))) - 1
