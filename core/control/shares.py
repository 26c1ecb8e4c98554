"""Shares of a whole, as a spread is: read and written exactly, as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from core.errors import SettingError

SHARE_CHARACTERS_MAX: Final = 60
SHARE_DENOMINATOR_MAX: Final = 10**18
"""A share is multiplied on the packet's path: it stays small enough for that."""
_SHARE: Final = re.compile(r"[0-9]+(?:\.[0-9]+|/[0-9]+)?%?")


def read_share(field: str, text: str) -> Fraction:
    """Return a share: `0.005`, `1/200` or `0.5%`, exact.

    Raises:
        SettingError: it is none, or not at least 0 and below 1.
    """
    return checked_share(field, read_fraction(field, text))


def read_fraction(field: str, text: str) -> Fraction:
    """Return a number that is written as a share is, of any size.

    Raises:
        SettingError: it is none.
    """
    plain = text.strip()
    if len(plain) > SHARE_CHARACTERS_MAX or _SHARE.fullmatch(plain) is None:
        raise SettingError(
            field, f"{text[:SHARE_CHARACTERS_MAX]!r} was found; it needs a number like 0.005, 1/200 or 0.5%"
        )  # fmt: skip
    try:
        return Fraction(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ZeroDivisionError:
        raise SettingError(field, f"{text!r} was found; nothing is divided by 0") from None


def checked_share(field: str, share: Fraction) -> Fraction:
    """Return the share, if it is one of which something is left to send on.

    Raises:
        SettingError: it is not at least 0 and below 1, or is finer than can be reckoned with.
    """
    if not 0 <= share < 1:
        raise SettingError(field, f"{share} was found; it needs 0 or more and less than 1")
    if share.denominator > SHARE_DENOMINATOR_MAX:
        raise SettingError(field, "it has more than 18 decimals")
    return share


def share_text(share: Fraction) -> str:
    """Return it as a decimal number, or as a fraction where it has no last decimal: `0.005`, `1/3`."""
    rest, decimals = share.denominator, 0
    for factor in (2, 5):
        count = 0
        while rest % factor == 0:
            rest //= factor
            count += 1
        decimals = max(decimals, count)
    if rest != 1:
        return str(share)
    if not decimals:
        return str(share.numerator)
    digits = str(share.numerator * 10**decimals // share.denominator).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"
