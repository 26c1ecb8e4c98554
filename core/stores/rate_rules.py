"""Which prices and spreads may be kept: the same on every backend."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from core.errors import SettingError


def refuse_impossible_prices(prices: Mapping[str, Decimal]) -> None:
    """Let only prices pass that something can be divided by.

    Raises:
        SettingError: names the asset whose price is not above zero and finite.
    """
    for code, price in prices.items():
        if not price.is_finite() or price <= 0:
            raise SettingError(f"price of {code}", f"{price} was found, above zero is needed")


def refuse_impossible_spread(spread: Fraction) -> None:
    """Let only a share of a whole pass.

    Raises:
        SettingError: it is below zero, or nothing would be left to send on.
    """
    if not 0 <= spread < 1:
        raise SettingError("spread", f"{spread} was found, 0 ≤ spread < 1 is needed")
