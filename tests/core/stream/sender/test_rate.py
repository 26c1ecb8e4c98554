"""Which amounts pass at a rate, and what the rate is: exact, to the unit."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import assume, given, strategies as st

from core.packet import AMOUNT_MAX
from core.stream.sender.rate import (
    RateEstimate,
    amount_to_deliver,
    amount_to_finish,
    amount_to_send,
    largest_carried,
    passes,
    per_ceil,
    per_floor,
    times_ceil,
    times_floor,
)

amounts = st.integers(1, AMOUNT_MAX)
rates = st.builds(Fraction, st.integers(1, 10**6), st.integers(1, 10**6))
slippages = st.builds(Fraction, st.integers(0, 200), st.just(1000))


@given(amounts, rates)
def test_amounts_round_as_their_names_say(amount: int, rate: Fraction) -> None:
    assert times_floor(amount, rate) <= amount * rate < times_floor(amount, rate) + 1
    assert times_ceil(amount, rate) - 1 < amount * rate <= times_ceil(amount, rate)
    assert per_floor(amount, rate) * rate <= amount < (per_floor(amount, rate) + 1) * rate
    assert (per_ceil(amount, rate) - 1) * rate < amount <= per_ceil(amount, rate) * rate


small = st.integers(1, 60)


@given(amounts, amounts, rates, slippages)
def test_a_part_fits_and_passes_where_rounding_leaves_it_room(
    remaining: int, limit: int, rate: Fraction, slippage: Fraction
) -> None:
    min_rate = rate * (1 - slippage)
    amount = amount_to_send(remaining, limit=limit, rate=rate, min_rate=min_rate)
    assert 0 <= amount <= min(remaining, limit)
    delivering = amount_to_deliver(remaining, limit=limit, rate=rate, min_rate=min_rate)
    assert 0 <= delivering <= limit
    if slippage * times_floor(min(remaining, limit), rate) >= 2:
        assert amount
        assert passes(amount, rate, min_rate)
    if slippage * times_floor(limit, rate) >= 2:
        assert delivering
        assert passes(delivering, rate, min_rate)


@given(small, small, st.builds(Fraction, small, small), slippages)
def test_a_part_passes_wherever_any_does(
    remaining: int, limit: int, rate: Fraction, slippage: Fraction
) -> None:
    min_rate = rate * (1 - slippage)

    def one_of(most: int) -> bool:
        return any(passes(amount, rate, min_rate) for amount in range(1, most + 1))

    amount = amount_to_send(remaining, limit=limit, rate=rate, min_rate=min_rate)
    if one_of(min(remaining, limit)):
        assert amount
        assert passes(amount, rate, min_rate)
    amount = amount_to_deliver(remaining, limit=limit, rate=rate, min_rate=min_rate)
    if one_of(limit):
        assert amount
        assert passes(amount, rate, min_rate)


@given(st.integers(1, 10**6), st.integers(1, 3_000), st.integers(1, 50))
def test_all_of_an_amount_is_sent_in_parts_that_buy_whole_units(
    units: int, per_unit: int, at_once: int
) -> None:
    assume(units <= 20_000)
    rate = Fraction(1, per_unit)
    left, packets = units * per_unit, 0
    while left:
        amount = amount_to_send(
            left, limit=per_unit * at_once, rate=rate, min_rate=rate * Fraction(99, 100)
        )
        assert amount
        left -= amount
        packets += 1
    assert packets <= -(-units // at_once) + 1


@given(st.integers(1, 10**9), amounts, rates, slippages)
def test_what_finishes_brings_all_and_costs_no_more_than_the_least_rate_rounded_up(
    units: int, limit: int, rate: Fraction, slippage: Fraction
) -> None:
    min_rate = rate * (1 - slippage)
    amount = amount_to_finish(units, limit=limit, rate=rate, min_rate=min_rate)
    if amount:
        assert amount <= min(limit, per_ceil(units, min_rate))
        assert times_floor(amount, rate) >= units > times_floor(amount - 1, rate)
    else:
        assert times_floor(limit, rate) < units


def test_the_rest_is_no_crumb() -> None:
    found, left = [], 1_001
    while left:
        found.append(
            amount_to_send(left, limit=1_000, rate=Fraction(1, 2), min_rate=Fraction(99, 200))
        )
        left -= found[-1]
    assert found == [501, 500]


def test_a_limit_that_cuts_units_apart_is_not_used_up() -> None:
    # 1,500 would buy one unit, and have to buy two.
    rate = Fraction(1, 1000)
    amount = amount_to_send(10_000, limit=1_500, rate=rate, min_rate=rate * Fraction(985, 1000))
    assert amount == 1_000


def test_where_packets_buy_few_units_they_are_cut_at_whole_ones_however_much_slippage_would_bear() -> (
    None
):
    rate = Fraction(4, 445)
    amount = amount_to_send(10_000, limit=500, rate=rate, min_rate=rate / 2)
    assert amount == 445
    assert amount_to_send(500, limit=500, rate=rate, min_rate=rate / 2) == 500  # all, at once


def test_where_rounding_leaves_no_room_amounts_are_what_loses_nothing() -> None:
    rate = Fraction(3_339, 1_000)
    assert amount_to_send(60_899, limit=2_105, rate=rate, min_rate=rate) == 2_000
    assert amount_to_deliver(60_899, limit=2_105, rate=rate, min_rate=rate) == 2_000


def test_what_buys_no_unit_is_not_sent() -> None:
    rate = Fraction(1, 1000)
    assert amount_to_send(999, limit=AMOUNT_MAX, rate=rate, min_rate=rate) == 0
    assert amount_to_deliver(1, limit=999, rate=rate, min_rate=rate) == 0


def test_without_a_least_rate_everything_is_sent() -> None:
    assert amount_to_send(7, limit=3, rate=Fraction(0), min_rate=Fraction(0)) == 3


@given(rates)
def test_the_minimum_of_the_largest_packet_fits_64_bits(min_rate: Fraction) -> None:
    largest = largest_carried(min_rate)
    assert times_ceil(largest, min_rate) <= AMOUNT_MAX
    assert largest == AMOUNT_MAX or times_ceil(largest + 1, min_rate) > AMOUNT_MAX


@given(rates, st.lists(st.integers(1, 10**12), min_size=1, max_size=20))
def test_a_steady_rate_is_closed_in_from_both_sides(rate: Fraction, sent: list[int]) -> None:
    estimate = RateEstimate()
    for amount in sent:
        estimate.learn(amount, times_floor(amount, rate))
        assert estimate.high is not None
        assert estimate.low <= rate < estimate.high
        assert times_floor(amount, rate) <= estimate.likely_most(amount)
    assert estimate.high is not None
    assert estimate.high - estimate.low <= Fraction(1, max(sent))


@given(rates, st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_steady_rate_allows_what_comes_of_it_and_nothing_much_else(
    rate: Fraction, first: int, then: int
) -> None:
    estimate = RateEstimate()
    estimate.learn(first, times_floor(first, rate))
    assert estimate.allows(then, times_floor(then, rate))
    assert not estimate.allows(first, times_floor(first, rate) + 1)
    assert not estimate.allows(first, times_floor(first, rate) - 1)


def test_a_rate_that_has_moved_replaces_what_was_known() -> None:
    estimate = RateEstimate()
    estimate.learn(1_000, 2_000)
    estimate.learn(1_000, 1_900)
    assert (estimate.low, estimate.high) == (Fraction(1900, 1000), Fraction(1901, 1000))
