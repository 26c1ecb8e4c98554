"""Prices and the spread, on every backend: exactly what was put in."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from core.errors import SettingError
from core.stores import Stores


async def test_prices_come_back_digit_by_digit(stores: Stores) -> None:
    prices = {
        "USD": Decimal("1.000"),
        "SHIB": Decimal("0.00000000000000000000000000000123456789012345678901234567890123"),
        "BTC": Decimal("98765.4321"),
        "BIG": Decimal("1E+30"),
    }

    await stores.rates.replace_prices(prices)

    loaded = await stores.rates.load_prices()
    assert loaded == prices
    assert str(loaded["USD"]) == "1.000"


async def test_replacing_prices_drops_those_not_named(stores: Stores) -> None:
    await stores.rates.replace_prices({"USD": Decimal(1), "EUR": Decimal("1.1")})

    await stores.rates.replace_prices({"EUR": Decimal("1.2")})

    assert await stores.rates.load_prices() == {"EUR": Decimal("1.2")}

    await stores.rates.replace_prices({})

    assert await stores.rates.load_prices() == {}


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity", "-0.0", "sNaN"])
async def test_a_price_that_cannot_be_is_refused_and_nothing_changes(
    stores: Stores, price: str
) -> None:
    await stores.rates.replace_prices({"USD": Decimal(1)})

    with pytest.raises(SettingError, match="price of EUR"):
        await stores.rates.replace_prices({"USD": Decimal(2), "EUR": Decimal(price)})

    assert await stores.rates.load_prices() == {"USD": Decimal(1)}


async def test_the_spread_is_a_fraction_and_zero_at_first(stores: Stores) -> None:
    assert await stores.rates.load_spread() == 0

    await stores.rates.save_spread(Fraction(1, 3))

    assert await stores.rates.load_spread() == Fraction(1, 3)


@pytest.mark.parametrize("spread", [Fraction(-1, 10**9), Fraction(1), Fraction(3, 2)])
async def test_a_spread_that_cannot_be_is_refused(stores: Stores, spread: Fraction) -> None:
    await stores.rates.save_spread(Fraction(1, 200))

    with pytest.raises(SettingError, match="spread"):
        await stores.rates.save_spread(spread)

    assert await stores.rates.load_spread() == Fraction(1, 200)
