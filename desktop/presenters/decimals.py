"""Exact fractions as decimal text, with as many digits as a person reads."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from core.control.shares import share_text
from desktop import formatting

RATE_DIGITS: Final = 6


def rate_text(rate: Fraction, ours: tuple[str, int], theirs: tuple[str, int]) -> str:
    """Return a rate of smallest units in whole ones: `1 USD = 0.9125 EUR`."""
    whole = rate * Fraction(10) ** (ours[1] - theirs[1])
    return f"1 {ours[0]} = {decimal_text(whole)} {theirs[0]}"


def decimal_text(value: Fraction, digits: int = RATE_DIGITS) -> str:
    """Return a number with so many digits that count, cut off and marked where it goes on."""
    if value == 0:
        return "0"
    sign = formatting.MINUS if value < 0 else ""
    value = abs(value)
    decimals = 0
    while decimals < 30 and value * 10**decimals < 10 ** (digits - 1):
        decimals += 1
    scaled = value * 10**decimals
    text = formatting.plain_number(int(scaled), decimals)
    exact = scaled.denominator == 1
    if "." in text and exact:
        text = text.rstrip("0").rstrip(".")
    whole, point, rest = text.partition(".")
    return f"{sign}{formatting.count(int(whole))}{point}{rest}{'' if exact else '…'}"


def typed_share(share: Fraction) -> str:
    """Return a share as a field holds it, so that it reads as the tables do: `0.5%`."""
    return f"{share_text(share * 100)}%"
