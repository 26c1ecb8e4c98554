"""The table on which all books stand: what a state keeps where, and which state follows which."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, strategies as st

from core.account import AMOUNT_MAX_BOOKED, AccountId
from core.errors import AmountTooLarge, InsufficientBalance
from core.ledger.books import Balance, Transfer, TransferState
from core.ledger.postings import (
    FINAL_STATES,
    NEXT,
    OUTCOME,
    AssetSheet,
    Decision,
    EntryKind,
    Line,
    Total,
    add,
    compare,
    enter,
    hold,
    is_exact,
    post_transfer,
    refuse_unbookable,
)
from core.rates.rate import convert

AMOUNTS = st.integers(0, AMOUNT_MAX_BOOKED)
RATES = st.fractions(min_value=Fraction(1, 10**9), max_value=10**9)
SPREADS = st.fractions(min_value=0, max_value=Fraction(999, 1000))


def lines() -> tuple[Line, Line]:
    return Line(AccountId("alice")), Line(AccountId("bob"))


@pytest.mark.parametrize(
    ("state", "alice", "bob"),
    [
        (TransferState.PENDING, Balance(pending_in=7), Balance(pending_out=5)),
        (TransferState.FULFILLED, Balance(receivable=7), Balance(payable=5)),
        (TransferState.REJECTED, Balance(), Balance()),
        (TransferState.EXPIRED, Balance(), Balance(pending_out=5)),
        (TransferState.LATE, Balance(), Balance(payable=5)),
        (TransferState.UNKNOWN, Balance(), Balance(unknown_out=5)),
    ],
)
def test_a_state_keeps_its_amounts_in_its_own_place(
    state: TransferState, alice: Balance, bob: Balance
) -> None:
    source, target = lines()
    add(state, source, target, 7, 5)
    assert (source.balance, target.balance) == (alice, bob)

    add(state, source, target, -7, -5)
    assert (source.balance, target.balance) == (Balance(), Balance())


def test_nothing_follows_on_a_final_state_and_something_on_every_other() -> None:
    undecided = {state for state, _ in NEXT}
    assert undecided == set(TransferState) - FINAL_STATES
    assert all(NEXT[key] is OUTCOME[key[1]] for key in NEXT)
    assert set(OUTCOME) == set(Decision)


def test_upstream_is_charged_by_a_fulfillment_in_time_and_by_nothing_else() -> None:
    for (state, decision), following in NEXT.items():
        source, target = lines()
        add(state, source, target, 7, 5)
        add(state, source, target, -7, -5)
        add(following, source, target, 7, 5)
        assert (source.receivable == 7) == (decision is Decision.FULFILL)


@given(AMOUNTS, AMOUNTS, RATES, SPREADS)
def test_every_asset_sums_to_zero_in_every_state(
    incoming_amount: int, posted: int, rate: Fraction, spread: Fraction
) -> None:
    outgoing_amount, conversion = convert(incoming_amount, rate, spread)
    for state in TransferState:
        source, target = lines()
        dollar, euro = AssetSheet("USD", 2), AssetSheet("EUR", 2)
        add(state, source, target, incoming_amount, outgoing_amount)
        post_transfer(
            state, dollar, euro, incoming_amount=incoming_amount, outgoing_amount=outgoing_amount,
            is_converted=True, spread_amount=conversion.spread_amount,
        )  # fmt: skip
        euro.post_entry(EntryKind.CORRECTION, payable=posted, receivable=0)
        dollar.post_entry(EntryKind.SETTLEMENT_IN, payable=0, receivable=-posted)
        dollar.peers = source.balance.net + posted
        euro.peers = target.balance.net + posted
        assert dollar.total().sum == euro.total().sum == 0


@given(st.lists(AMOUNTS, max_size=5), RATES, SPREADS)
def test_a_total_of_exact_conversions_is_exact(
    amounts: list[int], rate: Fraction, spread: Fraction
) -> None:
    total = Total()
    for amount in amounts:
        outgoing_amount, conversion = convert(amount, rate, spread)
        one = (amount, outgoing_amount, conversion.spread_amount, conversion.remainder)
        assert is_exact(rate, *one)
        assert not is_exact(rate, amount, outgoing_amount + 1, *one[2:])
        total.fold(TransferState.FULFILLED, *one)
    assert is_exact(
        rate,
        total.incoming_amount,
        total.outgoing_amount,
        total.spread_amount,
        total.remainder,
    )


def test_holding_to_the_limit_is_allowed_and_one_more_changes_nothing() -> None:
    source, target = lines()
    source.payable, source.receivable, source.pending_in = 5, 9, 3
    hold(source, target, 13, 1, -20)
    before = source.balance

    with pytest.raises(InsufficientBalance) as refused:
        hold(source, target, 1, 1, -20)
    assert (refused.value.needed, refused.value.available) == (1, 0)
    assert (source.balance, target.balance) == (before, Balance(pending_out=1))


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_whatever_was_held_fits_when_it_is_posted(
    receivable: int, payable: int, incoming_amount: int, outgoing_amount: int
) -> None:
    source, target = lines()
    source.receivable, target.payable = receivable, payable
    try:
        hold(source, target, incoming_amount, outgoing_amount, None)
    except AmountTooLarge as refused:
        assert refused.amount > AMOUNT_MAX_BOOKED
        return
    with pytest.raises(AmountTooLarge):
        enter(
            target,
            payable=AMOUNT_MAX_BOOKED - payable - outgoing_amount + 1,
            receivable=0,
        )
    add(TransferState.PENDING, source, target, -incoming_amount, -outgoing_amount)
    add(TransferState.FULFILLED, source, target, incoming_amount, outgoing_amount)
    assert max(source.receivable, target.payable) <= AMOUNT_MAX_BOOKED


def test_what_may_yet_be_owed_for_an_unknown_leg_keeps_its_room() -> None:
    source, target = lines()
    target.unknown_out = AMOUNT_MAX_BOOKED - 5
    with pytest.raises(AmountTooLarge):
        hold(source, target, 1, 6, None)
    hold(source, target, 1, 5, None)


def test_a_prepayment_as_large_as_the_books_carry_is_the_last() -> None:
    line, _ = lines()
    enter(line, payable=0, receivable=-AMOUNT_MAX_BOOKED)
    with pytest.raises(AmountTooLarge):
        enter(line, payable=0, receivable=-1)
    assert line.receivable == -AMOUNT_MAX_BOOKED


@pytest.mark.parametrize(
    ("incoming_amount", "outgoing_amount", "spread_amount"),
    list(product([2**63 - 1, 2**63, 2**64 - 1], repeat=3)),
)
def test_what_no_column_holds_is_refused_before_it_waits(
    incoming_amount: int, outgoing_amount: int, spread_amount: int
) -> None:
    _, conversion = convert(1, Fraction(1), Fraction(0))
    transfer = Transfer(
        from_account=AccountId("alice"),
        to_account=AccountId("bob"),
        incoming_amount=incoming_amount,
        outgoing_amount=outgoing_amount,
        conversion=replace(conversion, spread_amount=spread_amount),
        destination="test.bob",
        condition=bytes(32),
        expires_at_ms=0,
    )
    largest = max(incoming_amount, outgoing_amount, spread_amount)
    if largest < 2**63:
        refuse_unbookable(transfer)
        return
    with pytest.raises(AmountTooLarge) as refused:
        refuse_unbookable(transfer)
    assert refused.value.amount == largest


def test_an_amount_below_zero_is_a_mistake_of_the_caller() -> None:
    transfer = Transfer(
        from_account=AccountId("alice"),
        to_account=AccountId("bob"),
        incoming_amount=-1,
        outgoing_amount=1,
        conversion=None,
        destination="test.bob",
        condition=bytes(32),
        expires_at_ms=0,
    )
    with pytest.raises(ValueError, match="below zero"):
        refuse_unbookable(transfer)


def test_each_number_that_differs_is_a_sentence() -> None:
    found = list(compare("bob", Balance(payable=5, pending_out=1), Balance(payable=7)))

    assert found == [
        "bob: payable is 5 and the journal adds up to 7, a difference of -2.",
        "bob: pending_out is 1 and the journal adds up to 0, a difference of 1.",
    ]
