"""Prices and the spread in memory."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import final

from core.rates.rate import RateStore
from core.stores.memory.state import MemoryState
from core.stores.rate_rules import refuse_impossible_prices, refuse_impossible_spread


@final
class MemoryRates(RateStore):
    """What the operator set, exactly."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._prices: dict[str, Decimal] = {}
        self._spread = Fraction(0)

    async def load_prices(self) -> Mapping[str, Decimal]:
        return dict(self._prices)

    async def replace_prices(self, prices: Mapping[str, Decimal]) -> None:
        refuse_impossible_prices(prices)
        self._prices = dict(prices)
        self._state.changed("rates")

    async def load_spread(self) -> Fraction:
        return self._spread

    async def save_spread(self, spread: Fraction) -> None:
        refuse_impossible_spread(spread)
        self._spread = spread
        self._state.changed("rates")
