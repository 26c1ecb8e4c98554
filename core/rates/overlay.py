"""What is in force: the sources' prices, and over them those that the operator set."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from core.rates.feed import rounded
from core.rates.records import Price


def overlaid(
    said: Mapping[str, Price], by_operator: Mapping[str, Decimal], reference: str
) -> Mapping[str, Price]:
    """Return both together. The operator's word wins, and does not age.

    The operator's prices are counted in whatever its own price of the reference asset says; where
    the sources say nothing, they stay as they were written.
    """
    unit = by_operator.get(reference, Decimal(1))
    if not said or unit == 1:
        own = {code: Price(price=price) for code, price in by_operator.items()}
    else:
        own = {
            code: Price(price=rounded(Fraction(price) / Fraction(unit)))
            for code, price in by_operator.items()
        }
    return {**said, **own}


def has_moved(before: Mapping[str, Price], after: Mapping[str, Price]) -> bool:
    """Tell whether any price is another one, or has come or gone; who said so, and when, does not count."""
    return {code: price.price for code, price in before.items()} != {
        code: price.price for code, price in after.items()
    }


def by_sources(prices: Mapping[str, Price], reference: str) -> Mapping[str, Price]:
    """Return what of it the sources said, with the reference asset where they said anything."""
    found = {code: price for code, price in prices.items() if price.sources}
    return {**found, reference: Price(price=Decimal(1))} if found else found
