"""What a request for money takes of the packet that brings the last of it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.service import Receivable

amounts = st.integers(1, 10**6)


@pytest.mark.parametrize(
    ("left", "asked", "incoming", "outgoing", "takes"),
    [
        (10, 10, 10, 10, True),
        (10, 10, 11, 11, False),
        (0, 10, 1, 1, False),
        (6, 50_000, 1, 93, True),  # its sender cannot send less than one
        (6, 50, 1, 93, True),
        (94, 5_000, 2, 186, True),  # of two, one would have been 93
        (93, 5_000, 2, 186, False),  # one would have been enough
        (12_345, 12_345, 125, 12_437, True),
        (9_900, 10_000, 10_000, 10_000, True),  # a hundredth over
        (9_899, 10_000, 10_000, 10_000, False),
    ],
)
def test_the_last_packet_may_bring_what_its_sender_cannot_make_less_or_a_hundredth(
    left: int, asked: int, incoming: int, outgoing: int, takes: bool
) -> None:
    assert Receivable(left, asked).takes(incoming, outgoing) is takes


@given(amounts, amounts, amounts)
def test_of_a_sender_with_our_unit_it_takes_no_more_than_a_hundredth_over(
    left: int, paid: int, amount: int
) -> None:
    asked = left + paid
    over = amount - left

    assert Receivable(left, asked).takes(amount, amount) is (over * 100 <= asked)


@given(amounts, amounts, amounts)
def test_whatever_its_unit_a_sender_can_pay_all_without_a_whole_unit_too_much(
    asked: int, unit: int, most: int
) -> None:
    """A sender that makes its packet one unit smaller whenever it is refused gets through."""
    receivable, amount = Receivable(asked), most
    while amount and not receivable.takes(amount, amount * unit):
        amount = min(amount - 1, -(-asked // unit))

    assert amount
    assert amount * unit < asked + unit or amount * unit <= asked
