"""Rates and rounding against an oracle that works in another way: decimals of a thousand digits."""

from __future__ import annotations

import random
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from hypothesis import given, strategies as st

from core.account import Asset
from core.rates.rate import RateTable, convert, largest_convertible

EDGES = (0, 1, 2, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1)
WIDE = Context(prec=1200, rounding=ROUND_FLOOR)


def test_a_hundred_thousand_conversions_agree_with_decimals_to_the_unit() -> None:
    """out = floor(amount × numerator × (shares − share) ÷ (denominator × shares)), by long division."""
    dice = random.Random(20_261_124)
    for number in range(100_000):
        amount = EDGES[number % 10] if number % 3 else dice.randrange(2**64)
        rate = Fraction(dice.randrange(1, 10**12), dice.randrange(1, 10**12))
        spread = Fraction(dice.randrange(1000), 1000) if number % 2 else Fraction(0)

        outgoing_amount, conversion = convert(amount, rate, spread)

        product = Decimal(amount) * rate.numerator * (spread.denominator - spread.numerator)
        expected = WIDE.divide_int(product, Decimal(rate.denominator * spread.denominator))
        assert outgoing_amount == int(expected)
        assert 0 <= conversion.remainder < 2
        assert (
            amount * rate == outgoing_amount + conversion.spread_amount + conversion.remainder
        )


def test_dust_never_adds_up_to_more_than_it_was_worth() -> None:
    dice = random.Random(1)
    rate, spread = Fraction(7, 3), Fraction(1, 1000)

    amounts = [dice.randrange(1, 10) for _ in range(100_000)]

    paid_out = sum(convert(amount, rate, spread)[0] for amount in amounts)
    assert paid_out <= sum(amounts) * rate * (1 - spread)


@given(
    st.fractions(min_value=Fraction(1, 10**20), max_value=10**20),
    st.fractions(min_value=0, max_value=Fraction(999, 1000)),
    st.integers(0, 2**64),
)
def test_the_largest_convertible_is_the_last_that_fits(
    rate: Fraction, spread: Fraction, maximum: int
) -> None:
    largest = largest_convertible(rate, spread, maximum=maximum)

    assert largest < 0 or convert(largest, rate, spread)[0] <= maximum
    assert convert(largest + 1, rate, spread)[0] > maximum


def test_a_rate_is_price_over_price_times_ten_to_the_difference_of_scales() -> None:
    table = RateTable()
    table.replace({"USD": Decimal(1), "XRP": Decimal("0.3")}, Fraction(0))

    assert table.rate(Asset("USD", 2), Asset("XRP", 9)) == Fraction(10**8, 3)
    assert table.rate(Asset("USD", 2), Asset("USD", 255)) == 10**253
    assert table.rate(Asset("EUR", 2), Asset("EUR", 0)) == Fraction(1, 100)
    assert table.rate(Asset("USD", 2), Asset("EUR", 2)) is None


def test_new_prices_hold_at_once() -> None:
    table = RateTable()
    table.replace({"A": Decimal(1), "B": Decimal(2)}, Fraction(0))
    before = table.rate(Asset("A", 0), Asset("B", 0))

    table.replace({"A": Decimal(1), "B": Decimal(4)}, Fraction(1, 2))

    assert (before, table.rate(Asset("A", 0), Asset("B", 0))) == (
        Fraction(1, 2),
        Fraction(1, 4),
    )
    assert table.spread == Fraction(1, 2)
