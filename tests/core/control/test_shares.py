"""Shares come back as people write them, and are the same number."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from core.control.shares import SHARE_DENOMINATOR_MAX, read_share, share_text


@pytest.mark.parametrize(
    ("text", "share", "shown"),
    [
        ("0", Fraction(0), "0"),
        ("0.005", Fraction(1, 200), "0.005"),
        (" 0.50% ", Fraction(1, 200), "0.005"),
        ("1/200", Fraction(1, 200), "0.005"),
        ("1/3", Fraction(1, 3), "1/3"),
        ("1/3%", Fraction(1, 300), "1/300"),
        ("0.000000000000000001", Fraction(1, 10**18), "0.000000000000000001"),
    ],
)
def test_a_share_is_read_exactly_and_shown_plainly(
    text: str, share: Fraction, shown: str
) -> None:
    assert read_share("spread", text) == share
    assert share_text(share) == shown


@given(st.fractions(0, Fraction(999, 1000), max_denominator=SHARE_DENOMINATOR_MAX))
def test_what_is_shown_is_read_as_the_same_share(share: Fraction) -> None:
    assert read_share("spread", share_text(share)) == share
