"""The operator's prices and spread, exact."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, final

from core.control.account_fields import read_asset_code
from core.control.refresh import Refresh, refresh_now
from core.control.shares import checked_share
from core.control.views import RatesView
from core.errors import SettingError
from core.rates.rate import RateStore, RateTable

log = logging.getLogger(__name__)

PRICE_EXPONENT_MAX: Final = 30
PRICE_DIGITS_MAX: Final = 40
"""Prices are exact fractions: with a bound they stay small enough for a packet's path."""
PRICES_MAX: Final = 10_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateDesk:
    """What the operator does with rates."""

    table: RateTable
    store: RateStore
    refresh: Refresh

    def view(self) -> RatesView:
        return RatesView(
            prices={
                code: price_text(price) for code, price in sorted(self.table.prices.items())
            },
            spread=self.table.spread,
        )

    async def set_prices(self, prices: Mapping[str, Decimal]) -> RatesView:
        checked: dict[str, Decimal] = {}
        for given, price in prices.items():
            code = read_asset_code(given)
            if code in checked:
                raise SettingError(code, "it stands there twice, and has one price")
            checked[code] = checked_price(code, price)
        if len(checked) > PRICES_MAX:
            raise SettingError(
                "rates", f"there are {len(checked)}, and {PRICES_MAX} are allowed"
            )
        await self.store.replace_prices(checked)
        log.info("all prices were replaced, there are %d now", len(checked))
        await refresh_now(self.refresh)
        return RatesView(
            prices={code: price_text(price) for code, price in sorted(checked.items())},
            spread=self.table.spread,
        )

    async def set_spread(self, spread: Fraction) -> RatesView:
        checked_share("spread", spread)
        await self.store.save_spread(spread)
        log.info("the spread is %s now", spread)
        await refresh_now(self.refresh)
        return RatesView(prices=self.view().prices, spread=spread)


def price_text(price: Decimal) -> str:
    """Return a price as plain decimal text, without an exponent and without trailing zeros."""
    text = format(price, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def checked_price(code: str, price: Decimal) -> Decimal:
    """Return a price that can be reckoned with; raises SettingError under its code for another."""
    if not price.is_finite() or price <= 0:
        raise SettingError(code, f"it has the price {price}; it needs a number above zero")
    if (
        len(price.as_tuple().digits) > PRICE_DIGITS_MAX
        or abs(price.adjusted()) > PRICE_EXPONENT_MAX
    ):
        raise SettingError(
            code,
            f"it has a price of more than {PRICE_DIGITS_MAX} digits, or beyond 10^±{PRICE_EXPONENT_MAX}",
        )
    return price
