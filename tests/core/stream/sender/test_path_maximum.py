"""How large a packet may be: exact where somebody says so, halved where not, and never a loop."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.packet import AMOUNT_MAX, max_packet_amount_data
from core.stream.sender.path_maximum import PathMaximum

amounts = st.integers(1, AMOUNT_MAX)


def told(received: int, maximum: int) -> bytes:
    return max_packet_amount_data(received=received, maximum=maximum)


def test_what_a_hop_counts_in_another_unit_is_counted_in_ours() -> None:
    path = PathMaximum()
    path.refused(1_000, told(received=333, maximum=100))
    assert path.limit == 300


def test_no_product_is_too_large() -> None:
    path = PathMaximum()
    path.refused(AMOUNT_MAX, told(received=AMOUNT_MAX, maximum=AMOUNT_MAX - 1))
    assert path.limit == AMOUNT_MAX - 1


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 15, told(0, 10), told(10, 20), told(10, 10)],
    ids=["none", "cut", "received nothing", "more than was sent", "as much as was sent"],
)
def test_data_that_says_nothing_of_use_halves_the_amount(data: bytes) -> None:
    path = PathMaximum()
    path.refused(1_000, data)
    assert path.limit == 500


def test_packets_sent_before_we_knew_do_not_halve_it_again() -> None:
    path = PathMaximum()
    for _ in range(10):
        path.refused(1_000, b"")
    assert path.limit == 500


def test_what_was_halved_too_far_is_raised_until_it_is_nearly_exact() -> None:
    path, maximum, refusals = PathMaximum(), 700, 0
    for _ in range(100):
        amount = min(path.trial or path.limit, 1_000)
        path.tried(amount)
        if amount > maximum:
            path.refused(amount, b"")
            refusals += 1
        else:
            path.passed(amount)
    assert maximum * 8 // 9 <= path.limit <= maximum
    assert refusals <= 5


@given(
    amounts, st.lists(st.binary(max_size=17) | st.builds(told, amounts, amounts), max_size=5)
)
def test_whatever_a_hop_says_the_amount_falls_to_nothing_in_a_few_steps(
    amount: int, said: list[bytes]
) -> None:
    path = PathMaximum()
    for step in range(200):
        tried = min(amount, path.limit)
        if not tried:
            break
        path.refused(tried, said[step % len(said)] if said else b"")
        assert path.limit < tried
    assert path.limit == 0
