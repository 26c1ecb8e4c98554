"""Prices and the spread in memory."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import final

from core.clock import Clock
from core.rates.rate import RateStore
from core.stores.memory.rate_feed import MemoryRateFeed
from core.stores.memory.state import MemoryState
from core.stores.rate_rules import refuse_impossible_prices, refuse_impossible_spread


@final
class MemoryRates(RateStore):
    """What the operator set, exactly."""

    def __init__(self, state: MemoryState, feed: MemoryRateFeed, clock: Clock) -> None:
        self._state = state
        self._feed = feed
        self._clock = clock
        self._spread = Fraction(0)

    async def load_prices(self) -> Mapping[str, Decimal]:
        return dict(self._feed.own)

    async def replace_prices(self, prices: Mapping[str, Decimal]) -> None:
        refuse_impossible_prices(prices)
        self._feed.own = dict(prices)
        self._feed.renew(self._clock.now_ms())

    async def load_spread(self) -> Fraction:
        return self._spread

    async def save_spread(self, spread: Fraction) -> None:
        refuse_impossible_spread(spread)
        self._spread = spread
        self._state.changed("rates")
