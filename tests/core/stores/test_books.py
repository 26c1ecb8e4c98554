"""What every store's books promise: each unit once, each refusal without a trace, and an audit that finds out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import pytest

from core.account import AMOUNT_MAX_BOOKED, AccountId
from core.errors import (
    AmountTooLarge,
    InsufficientBalance,
    NodeFenced,
    PacketKnown,
    StoreError,
    TransferDecided,
    UnknownAccount,
)
from core.ledger.books import Balance, Books, Transfer, TransferId
from core.ledger.postings import FAR_OFF_MS
from core.rates.rate import convert
from core.service import Booked, Received
from core.services.duplicates import REMEMBER_SECONDS
from core.stores import Stores
from core.testing.builders import CONDITION, EUR, FULFILLMENT, account
from core.testing.clock import START_MS, FakeClock
from tests.core.stores.people import (
    ALICE,
    BOB,
    NO_TOKENS,
    NOBODY,
    add_alice_and_bob,
    alice,
    bob,
    transfer,
)

TIMED_OUT: Final = b"R00"
LOST: Final = TransferId((77 << 42) + 5)


@pytest.fixture
async def books(stores: Stores) -> Books:
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("node")
    return stores.books


async def numbers(books: Books) -> tuple[Balance, Balance]:
    """Return alice's and bob's."""
    return await books.balance(ALICE), await books.balance(BOB)


async def assert_audit_passes(books: Books) -> None:
    report = await books.audit()
    assert report.findings == ()
    assert all(total.sum == 0 for total in report.totals)


# --- The two phases --------------------------------------------------------------------------------


async def test_a_prepare_holds_both_amounts_and_posts_none(books: Books) -> None:
    await books.prepare(transfer(7))

    assert await numbers(books) == (Balance(pending_in=7), Balance(pending_out=7))
    assert (await books.audit()).pending == 1


async def test_a_fulfill_posts_both_legs(books: Books) -> None:
    await books.fulfill(await books.prepare(transfer(7)), FULFILLMENT)

    assert await numbers(books) == (Balance(receivable=7), Balance(payable=7))
    await assert_audit_passes(books)


async def test_a_reject_voids_both_legs(books: Books) -> None:
    await books.reject(await books.prepare(transfer(7)), b"F02")

    assert await numbers(books) == (Balance(), Balance())
    await assert_audit_passes(books)


async def test_an_expiry_voids_the_upstream_leg_and_keeps_the_downstream_one(
    books: Books,
) -> None:
    await books.expire(await books.prepare(transfer(7)))

    assert await numbers(books) == (Balance(), Balance(pending_out=7))
    await assert_audit_passes(books)


async def test_a_fulfillment_after_the_expiry_is_owed_and_a_loss(books: Books) -> None:
    expired = await books.prepare(transfer(7))
    await books.expire(expired)
    await books.fulfill_late(expired, FULFILLMENT)

    assert await numbers(books) == (Balance(), Balance(payable=7))
    report = await books.audit()
    assert ([total.loss for total in report.totals], report.late) == ([-7], 1)
    await assert_audit_passes(books)


async def test_a_fulfillment_that_could_not_be_relayed_is_owed_and_a_loss(books: Books) -> None:
    await books.fulfill_late(await books.prepare(transfer(7)), FULFILLMENT)

    assert await numbers(books) == (Balance(), Balance(payable=7))
    await assert_audit_passes(books)


async def test_an_expired_leg_that_nobody_fulfilled_is_void(books: Books) -> None:
    expired = await books.prepare(transfer(7))
    await books.expire(expired)
    await books.abandon(expired)

    assert await numbers(books) == (Balance(), Balance())
    await assert_audit_passes(books)


async def test_a_proof_that_comes_after_its_leg_was_given_up_is_owed_and_a_loss(
    books: Books,
) -> None:
    expired = await books.prepare(transfer(7))
    await books.expire(expired)
    await books.abandon(expired)
    for _ in range(2):
        await books.fulfill_late(expired, FULFILLMENT)

    assert await numbers(books) == (Balance(), Balance(payable=7))
    assert [total.loss for total in (await books.audit()).totals] == [-7]
    await assert_audit_passes(books)


async def test_a_proof_is_used_though_it_comes_in_one_batch_with_the_giving_up(
    books: Books,
) -> None:
    expired = await books.prepare(transfer(7))
    await books.expire(expired)
    await asyncio.gather(
        books.abandon(expired),
        books.fulfill_late(expired, FULFILLMENT),
        books.fulfill_late(expired, FULFILLMENT),
    )

    assert await numbers(books) == (Balance(), Balance(payable=7))
    await assert_audit_passes(books)


async def test_a_proof_counts_for_more_than_the_operators_word_whichever_process_has_it(
    books: Books, stores: Stores
) -> None:
    pending, expired = await left_by_a_node_that_signed_off(stores)
    await books.recover()
    await books.resolve_unknown(pending, fulfilled=False)
    await books.resolve_unknown(expired, fulfilled=False)

    await asyncio.gather(*(books.fulfill_late(one, FULFILLMENT) for one in (pending, expired)))

    assert await numbers(books) == (Balance(), Balance(payable=12))
    assert [total.loss for total in (await books.audit()).totals] == [-12]
    await assert_audit_passes(books)


async def test_a_proof_that_the_books_cannot_carry_is_refused_and_harms_nobody_beside_it(
    books: Books,
) -> None:
    most = AMOUNT_MAX_BOOKED // 2
    given_up = []
    for _ in range(3):
        given_up.append(await books.prepare(transfer(most)))
        await books.expire(given_up[-1])
        await books.abandon(given_up[-1])
    other = await books.prepare(transfer(1))

    proofs = (books.fulfill_late(one, FULFILLMENT) for one in given_up)
    ended = await asyncio.gather(
        *proofs, books.fulfill(other, FULFILLMENT), return_exceptions=True
    )

    assert [type(end) for end in ended[2:]] == [AmountTooLarge, Booked]
    assert await numbers(books) == (Balance(receivable=1), Balance(payable=2 * most + 1))
    await assert_audit_passes(books)


async def test_an_expired_leg_whose_answer_was_lost_is_for_the_operator_to_decide(
    books: Books,
) -> None:
    lost, other = await books.prepare(transfer(7)), await books.prepare(transfer(5))
    await books.expire(lost)
    await books.expire(other)
    await asyncio.gather(books.strand(lost), books.abandon(other))

    assert await numbers(books) == (Balance(), Balance(unknown_out=7))
    assert [leg.id for leg in await books.unknown_transfers(limit=9)] == [lost]
    await assert_audit_passes(books)
    await books.prepare(transfer(1))  # the node goes on beside it
    await books.resolve_unknown(lost, fulfilled=True)

    assert await numbers(books) == (
        Balance(pending_in=1),
        Balance(payable=7, pending_out=1),
    )
    assert await books.unknown_transfers(limit=9) == []
    await assert_audit_passes(books)


Decide = Callable[[Books, TransferId], Awaitable[object]]

DECISIONS: Final[dict[str, Decide]] = {
    "fulfill": lambda books, number: books.fulfill(number, FULFILLMENT),
    "reject": lambda books, number: books.reject(number, b"F02"),
    "expire": lambda books, number: books.expire(number),
    "fulfill_late": lambda books, number: books.fulfill_late(number, FULFILLMENT),
    "abandon": lambda books, number: books.abandon(number),
    "strand": lambda books, number: books.strand(number),
}
ENDS: Final = {
    "FULFILLED": ["fulfill"],
    "REJECTED": ["reject"],
    "EXPIRED": ["expire"],
    "LATE": ["fulfill_late"],
    "ABANDONED": ["expire", "abandon"],
    "STRANDED": ["expire", "strand"],
}
SAME_AGAIN: Final = {
    ("FULFILLED", "fulfill"),
    ("REJECTED", "reject"),
    ("EXPIRED", "expire"),
    ("LATE", "fulfill_late"),
    ("ABANDONED", "abandon"),
    ("STRANDED", "strand"),
    # Said of an end that is this end already: nothing was fulfilled, and nothing is held.
    ("REJECTED", "abandon"),
}
GOES_ON: Final = {
    ("EXPIRED", "fulfill_late"),
    ("EXPIRED", "abandon"),
    ("EXPIRED", "strand"),
    ("ABANDONED", "fulfill_late"),
}


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("end", ENDS)
async def test_what_is_decided_cannot_be_decided_otherwise(
    books: Books, end: str, decision: str
) -> None:
    number = await books.prepare(transfer(7))
    for step in ENDS[end]:
        await DECISIONS[step](books, number)
    before = await numbers(books)

    if (end, decision) in GOES_ON:
        await DECISIONS[decision](books, number)
        return
    if (end, decision) in SAME_AGAIN:
        await DECISIONS[decision](books, number)  # a call whose answer was lost is made again
    else:
        with pytest.raises(TransferDecided):
            await DECISIONS[decision](books, number)

    assert await numbers(books) == before
    await assert_audit_passes(books)


async def test_another_fulfillment_for_a_fulfilled_transfer_is_refused(books: Books) -> None:
    number = await books.prepare(transfer(7))
    await books.fulfill(number, FULFILLMENT)

    with pytest.raises(TransferDecided):
        await books.fulfill(number, bytes(32))


async def test_a_transfer_that_never_was_cannot_be_decided(books: Books) -> None:
    for decide in DECISIONS.values():
        with pytest.raises(TransferDecided, match="not in the books"):
            await decide(books, LOST)
    with pytest.raises(TransferDecided):
        await books.resolve_unknown(LOST, fulfilled=True)


async def test_a_pending_leg_is_not_abandoned(books: Books) -> None:
    number = await books.prepare(transfer(7))

    with pytest.raises(TransferDecided):
        await books.abandon(number)
    assert await numbers(books) == (Balance(pending_in=7), Balance(pending_out=7))


async def test_two_decisions_at_once_have_one_winner(books: Books) -> None:
    number = await books.prepare(transfer(7))

    outcomes = await asyncio.gather(
        books.fulfill(number, FULFILLMENT),
        books.reject(number, b"F02"),
        books.expire(number),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes].count(TransferDecided) == 2
    await assert_audit_passes(books)


async def test_ids_name_the_node_and_never_come_again(books: Books, stores: Stores) -> None:
    (lease,) = await stores.leases.nodes()
    first = await books.prepare(transfer(1))
    await books.reject(first, b"F02")
    second = await books.prepare(transfer(1))

    assert first >> 42 == second >> 42 == lease.number
    assert second > first


# --- Limits ----------------------------------------------------------------------------------------


async def set_limit(stores: Stores, min_balance: int) -> None:
    await stores.accounts.update_account(alice(min_balance=min_balance), NO_TOKENS)


async def test_a_prepare_beyond_the_limit_is_refused_without_a_trace(
    books: Books, stores: Stores
) -> None:
    await set_limit(stores, -10)
    await books.prepare(transfer(6))

    with pytest.raises(InsufficientBalance) as refused:
        await books.prepare(transfer(5))

    assert (refused.value.account, refused.value.needed, refused.value.available) == (
        ALICE,
        5,
        4,
    )
    assert await numbers(books) == (Balance(pending_in=6), Balance(pending_out=6))
    await books.prepare(transfer(4))


async def test_a_limit_counts_from_the_moment_it_is_set(books: Books, stores: Stores) -> None:
    await books.prepare(transfer(6))
    await set_limit(stores, -6)

    with pytest.raises(InsufficientBalance):
        await books.prepare(transfer(1))


async def test_what_a_peer_prepaid_can_be_spent(books: Books, stores: Stores) -> None:
    await set_limit(stores, 0)
    await books.correct(ALICE, 5, "paid in advance")

    await books.prepare(transfer(5))
    with pytest.raises(InsufficientBalance):
        await books.prepare(transfer(1))


async def test_64_tasks_at_one_limit_never_overdraw_it(books: Books, stores: Stores) -> None:
    await set_limit(stores, -1000)

    async def spend(seed: int) -> int:
        spent = 0
        for step in range(20):
            amount = 1 + (seed * 7 + step * 13) % 29
            try:
                number = await books.prepare(transfer(amount))
            except InsufficientBalance:
                continue
            held = await books.balance(ALICE)
            assert held.net - held.pending_in >= -1000
            if step % 4 == 3:
                await books.reject(number, b"F02")
            else:
                await books.fulfill(number, FULFILLMENT)
                spent += amount
        return spent

    spent = sum(await asyncio.gather(*(spend(seed) for seed in range(64))))

    assert 1000 - 29 < spent <= 1000
    assert await numbers(books) == (Balance(receivable=spent), Balance(payable=spent))
    await assert_audit_passes(books)


async def test_one_that_is_refused_does_not_touch_those_beside_it(
    books: Books, stores: Stores
) -> None:
    await set_limit(stores, -10)

    outcomes = await asyncio.gather(
        books.prepare(transfer(8)),
        books.prepare(transfer(8)),
        books.prepare(replace(transfer(1), to_account=NOBODY)),
        books.prepare(transfer(2)),
        books.fulfill(LOST, FULFILLMENT),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [
        int,
        InsufficientBalance,
        UnknownAccount,
        int,
        TransferDecided,
    ]
    assert await numbers(books) == (Balance(pending_in=10), Balance(pending_out=10))
    await assert_audit_passes(books)


async def test_accounts_that_are_gone_move_nothing_more(books: Books, stores: Stores) -> None:
    await stores.accounts.delete_account(BOB, even_with_balance=False)

    with pytest.raises(UnknownAccount):
        await books.prepare(transfer(1))
    with pytest.raises(UnknownAccount):
        await books.prepare(replace(transfer(1), from_account=BOB, to_account=ALICE))
    assert await books.balances() == {}


async def test_an_account_that_was_only_refused_has_no_numbers(
    books: Books, stores: Stores
) -> None:
    await set_limit(stores, 0)
    with pytest.raises(InsufficientBalance):
        await books.prepare(transfer(1))

    assert await books.balances() == {}


# --- Amounts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [1, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1])
async def test_every_amount_that_fits_is_booked_to_the_unit(books: Books, amount: int) -> None:
    await books.fulfill(await books.prepare(transfer(amount)), FULFILLMENT)

    assert await numbers(books) == (Balance(receivable=amount), Balance(payable=amount))
    await assert_audit_passes(books)


@pytest.mark.parametrize("amount", [2**63, 2**64 - 1])
async def test_an_amount_that_does_not_fit_is_refused_not_clamped(
    books: Books, amount: int
) -> None:
    small = transfer(1)
    for large in (
        replace(small, incoming_amount=amount),
        replace(small, outgoing_amount=amount),
    ):
        with pytest.raises(AmountTooLarge) as refused:
            await books.prepare(large)
        assert refused.value.amount == amount

    assert await numbers(books) == (Balance(), Balance())


async def test_a_sum_that_would_not_fit_is_refused_when_it_is_prepared(books: Books) -> None:
    first = await books.prepare(transfer(AMOUNT_MAX_BOOKED - 5))
    with pytest.raises(AmountTooLarge):
        await books.prepare(transfer(6))
    await books.fulfill(first, FULFILLMENT)
    with pytest.raises(AmountTooLarge):
        await books.prepare(transfer(6))

    await books.fulfill(await books.prepare(transfer(5)), FULFILLMENT)

    most = AMOUNT_MAX_BOOKED
    assert await numbers(books) == (Balance(receivable=most), Balance(payable=most))
    await assert_audit_passes(books)


async def test_what_is_held_leaves_room_for_itself(books: Books) -> None:
    number = await books.prepare(transfer(10))
    with pytest.raises(AmountTooLarge):
        await books.correct(BOB, AMOUNT_MAX_BOOKED - 9, "too much beside what is held")
    await books.correct(BOB, AMOUNT_MAX_BOOKED - 10, "just as much as fits")

    await books.fulfill(number, FULFILLMENT)

    assert (await books.balance(BOB)).payable == AMOUNT_MAX_BOOKED


async def test_sums_of_many_accounts_pass_64_bits(books: Books, stores: Stores) -> None:
    for name in "cdef":
        await stores.accounts.insert_account(account(name), NO_TOKENS)
        payee = AccountId(f"id-of-{name}")
        number = await books.prepare(replace(transfer(AMOUNT_MAX_BOOKED), from_account=payee))
        await books.expire(number)
        await books.abandon(number)
        await books.correct(payee, AMOUNT_MAX_BOOKED, "a whole account full")

    report = await books.audit()

    assert report.findings == ()
    assert [total.peers for total in report.totals] == [4 * AMOUNT_MAX_BOOKED]


# --- Conversion ------------------------------------------------------------------------------------


async def test_a_conversion_is_kept_to_the_last_fraction(books: Books, stores: Stores) -> None:
    await stores.accounts.update_account(bob(asset=EUR), NO_TOKENS)
    outgoing_amount, conversion = convert(1000, Fraction(10, 7), Fraction(1, 300))
    assert (conversion.spread_amount, outgoing_amount) == (4, 1423)
    converted = replace(transfer(1000), outgoing_amount=outgoing_amount, conversion=conversion)

    await books.fulfill(await books.prepare(converted), FULFILLMENT)
    await books.fulfill(await books.prepare(converted), FULFILLMENT)

    report = await books.audit()
    assert report.findings == ()
    euro, dollar = report.totals
    assert (euro.peers, euro.exchange, euro.spread) == (2846, -2854, 8)
    assert (dollar.peers, dollar.exchange, dollar.spread) == (-2000, 2000, 0)


async def test_a_conversion_that_does_not_add_up_is_found(books: Books) -> None:
    outgoing_amount, conversion = convert(1000, Fraction(10, 7), Fraction(1, 300))
    wrong = replace(transfer(1000), outgoing_amount=outgoing_amount + 1, conversion=conversion)

    await books.fulfill(await books.prepare(wrong), FULFILLMENT)

    (finding,) = (await books.audit()).findings
    assert "1000 at the rate 10/7 is 10000/7" in finding


async def test_two_amounts_without_a_rate_are_found(books: Books) -> None:
    unequal = replace(transfer(10), outgoing_amount=11)

    await books.fulfill(await books.prepare(unequal), FULFILLMENT)

    finding, total = (await books.audit()).findings
    assert "took 10 and gave 11" in finding
    assert "add up to 1" in total


async def test_a_fulfillment_that_is_not_the_conditions_is_found(books: Books) -> None:
    await books.fulfill(await books.prepare(transfer(7)), bytes(32))

    (finding,) = (await books.audit()).findings
    assert "fulfillment" in finding


# --- Corrections -----------------------------------------------------------------------------------


async def test_a_correction_moves_net_and_says_against_what(books: Books) -> None:
    await books.correct(ALICE, 30, "their statement")
    await books.correct(BOB, -12, "our mistake")

    assert [balance.net for balance in await numbers(books)] == [30, -12]
    report = await books.audit()
    assert report.findings == ()
    assert [total.correction for total in report.totals] == [-18]


async def test_a_correction_between_two_packets_is_not_lost(books: Books) -> None:
    await books.prepare(transfer(100))
    await books.correct(ALICE, 7, "found in an old ledger")
    await books.prepare(transfer(20))

    assert await books.balance(ALICE) == Balance(payable=7, pending_in=120)
    await assert_audit_passes(books)


async def test_a_correction_of_nobody_is_refused(books: Books) -> None:
    with pytest.raises(UnknownAccount):
        await books.correct(NOBODY, 1, "whoever")


async def test_a_balance_left_at_deletion_is_written_off_and_still_audited(
    books: Books, stores: Stores
) -> None:
    await books.fulfill(await books.prepare(transfer(7)), FULFILLMENT)
    await stores.accounts.delete_account(BOB, even_with_balance=True)

    assert (await books.balance(BOB)).net == 0
    await assert_audit_passes(books)


# --- Nodes -----------------------------------------------------------------------------------------


async def test_a_process_that_has_not_signed_on_writes_no_transfers(stores: Stores) -> None:
    await add_alice_and_bob(stores)

    with pytest.raises(NodeFenced):
        await stores.books.prepare(transfer(1))


async def left_by_a_node_that_signed_off(stores: Stores) -> tuple[TransferId, TransferId]:
    """Leave one transfer pending and one expired, under a node number that has ended."""
    books = stores.books
    pending, expired = await books.prepare(transfer(7)), await books.prepare(transfer(5))
    await books.expire(expired)
    await stores.leases.sign_off()
    await stores.leases.sign_on("node")
    return pending, expired


async def test_what_a_dead_node_left_is_void_upstream_and_unknown_downstream(
    books: Books, stores: Stores, clock: FakeClock
) -> None:
    pending, expired = await left_by_a_node_that_signed_off(stores)
    own = await books.prepare(transfer(1))

    recovery = await books.recover()

    assert recovery.transfers == 2
    again = await books.recover()
    assert (recovery.unknown, again.unknown) == (2, 2)
    assert (await books.audit()).unknown == 2
    assert again.transfers == 0
    assert await numbers(books) == (
        Balance(pending_in=1),
        Balance(pending_out=1, unknown_out=12),
    )
    unknown = await books.unknown_transfers(limit=10)
    assert [leg.id for leg in unknown] == [pending, expired]
    assert unknown[0].node == pending >> 42
    assert (unknown[0].from_account, unknown[0].to_account) == (ALICE, BOB)
    assert (unknown[0].incoming_amount, unknown[0].outgoing_amount) == (7, 7)
    assert (unknown[0].destination, unknown[0].condition) == (
        "test.node.bob.invoice",
        CONDITION,
    )
    assert unknown[0].created_at_ms == clock.now_ms()
    assert len(await books.unknown_transfers(limit=1)) == 1
    await books.fulfill(own, FULFILLMENT)
    await assert_audit_passes(books)
    assert (await books.audit()).unknown == 2


async def test_recovery_finds_nothing_a_second_time(books: Books, stores: Stores) -> None:
    await left_by_a_node_that_signed_off(stores)
    await books.recover()

    assert (await books.recover()).transfers == 0


async def test_an_unknown_leg_is_resolved_by_the_peers_statement(
    books: Books, stores: Stores
) -> None:
    pending, expired = await left_by_a_node_that_signed_off(stores)
    await books.recover()

    await books.resolve_unknown(pending, fulfilled=True)
    await books.resolve_unknown(expired, fulfilled=False)

    assert await numbers(books) == (Balance(), Balance(payable=7))
    report = await books.audit()
    assert (report.findings, report.unknown) == ((), 0)
    assert [total.loss for total in report.totals] == [-7]


async def test_an_unknown_leg_is_resolved_once(books: Books, stores: Stores) -> None:
    pending, _ = await left_by_a_node_that_signed_off(stores)
    await books.recover()
    await books.resolve_unknown(pending, fulfilled=True)
    await books.resolve_unknown(pending, fulfilled=True)  # the same again says nothing new

    with pytest.raises(TransferDecided):
        await books.resolve_unknown(pending, fulfilled=False)
    assert (await books.balance(BOB)).payable == 7


async def test_what_is_not_unknown_is_not_resolved(books: Books) -> None:
    number = await books.prepare(transfer(7))

    with pytest.raises(TransferDecided):
        await books.resolve_unknown(number, fulfilled=False)


async def test_a_transfer_of_the_number_this_process_had_is_not_decided_under_a_new_one(
    books: Books, stores: Stores
) -> None:
    pending, _ = await left_by_a_node_that_signed_off(stores)

    with pytest.raises(NodeFenced):
        await books.fulfill(pending, FULFILLMENT)
    await books.recover()
    with pytest.raises(NodeFenced):
        await books.fulfill(pending, FULFILLMENT)
    assert (await books.balance(BOB)).payable == 0


async def test_what_a_dead_node_was_to_receive_itself_is_void_once_it_is_found(
    books: Books, stores: Stores
) -> None:
    """It had told nobody of a fulfillment: there is nothing that the operator could ask a peer."""
    pending = await books.prepare(replace(transfer(7), ends_here=True))
    expired = await books.prepare(replace(transfer(5), ends_here=True))
    await books.expire(expired)
    await left_by_a_node_that_signed_off(stores)

    recovery = await books.recover()

    assert (recovery.transfers, recovery.voided, recovery.unknown) == (4, 2, 2)
    unknown = await books.unknown_transfers(limit=10)
    assert not {leg.id for leg in unknown} & {pending, expired}
    assert await numbers(books) == (Balance(), Balance(unknown_out=12))
    await assert_audit_passes(books)
    with pytest.raises(TransferDecided):
        await books.resolve_unknown(pending, fulfilled=True)


# --- Fulfilled in time, or not ---------------------------------------------------------------------

RECEIVED: Final = Received(connection="c", sequence=1, streams=((1, 7),))


async def test_a_fulfillment_before_its_moment_is_posted(
    books: Books, clock: FakeClock
) -> None:
    until_ms = monotonic_ms(clock) + 5
    number = await books.prepare(transfer(7))
    clock.advance(milliseconds=4)

    assert await books.fulfill(number, FULFILLMENT, until_ms=until_ms) == Booked()
    clock.advance(milliseconds=1)  # said again, it is what it was
    assert await books.fulfill(number, FULFILLMENT, until_ms=until_ms) == Booked()

    assert await numbers(books) == (Balance(receivable=7), Balance(payable=7))


def monotonic_ms(clock: FakeClock) -> int:
    return round(clock.monotonic() * 1000)


@pytest.mark.parametrize("after_ms", [0, 10_000])
async def test_a_fulfillment_whose_moment_has_passed_is_owed_and_a_loss(
    books: Books, clock: FakeClock, after_ms: int
) -> None:
    until_ms = monotonic_ms(clock) + 5
    number = await books.prepare(transfer(7))
    clock.advance(milliseconds=5 + after_ms)

    assert await books.fulfill(number, FULFILLMENT, until_ms=until_ms) is None
    assert await books.fulfill(number, FULFILLMENT, until_ms=until_ms) is None
    await books.fulfill_late(number, FULFILLMENT)  # what follows is said already

    assert await numbers(books) == (Balance(), Balance(payable=7))
    assert [total.loss for total in (await books.audit()).totals] == [-7]
    await assert_audit_passes(books)


async def test_what_ends_here_and_is_booked_too_late_was_not_received(
    books: Books, stores: Stores, clock: FakeClock
) -> None:
    until_ms = monotonic_ms(clock) + 5
    number = await books.prepare(replace(transfer(7), ends_here=True))
    clock.advance(milliseconds=5)

    for _ in range(2):
        assert await books.fulfill(number, FULFILLMENT, RECEIVED, until_ms=until_ms) is None
    await books.reject(number, b"R00")

    assert await numbers(books) == (Balance(), Balance())
    assert await stores.payments.received_payment(BOB, "c") is None
    await assert_audit_passes(books)
    with pytest.raises(TransferDecided):
        await books.fulfill(number, FULFILLMENT, RECEIVED)


async def test_of_those_that_come_together_each_has_a_moment_of_its_own(
    books: Books, clock: FakeClock
) -> None:
    late, early = await books.prepare(transfer(7)), await books.prepare(transfer(5))
    now_ms = monotonic_ms(clock)

    outcomes = await asyncio.gather(
        books.fulfill(late, FULFILLMENT, until_ms=now_ms),
        books.fulfill(early, FULFILLMENT, until_ms=now_ms + 1),
    )

    assert outcomes[0] is None
    assert outcomes[1] == Booked()
    assert await numbers(books) == (Balance(receivable=5), Balance(payable=12))


# --- Copies ----------------------------------------------------------------------------------------


async def first_and_again(books: Books, stores: Stores) -> TransferId:
    """Prepare a packet; then this is the node after a restart, or another one."""
    first = await books.prepare(transfer(7))
    await stores.leases.sign_on("again")
    return first


async def test_a_copy_of_what_another_process_fulfilled_gets_its_fulfillment(
    books: Books, stores: Stores
) -> None:
    await books.fulfill(await books.prepare(transfer(7)), FULFILLMENT)
    await stores.leases.sign_on("again")

    for _ in range(2):
        with pytest.raises(PacketKnown) as known:
            await books.prepare(transfer(7))
        assert (known.value.fulfillment, known.value.is_open) == (FULFILLMENT, False)

    assert await numbers(books) == (Balance(receivable=7), Balance(payable=7))
    await assert_audit_passes(books)


async def test_a_copy_of_what_another_process_has_open_is_not_prepared(
    books: Books, stores: Stores
) -> None:
    first = await first_and_again(books, stores)

    with pytest.raises(PacketKnown) as known:
        await books.prepare(transfer(7))

    assert (known.value.first, known.value.fulfillment, known.value.is_open) == (
        first,
        None,
        True,
    )
    assert await numbers(books) == (Balance(pending_in=7), Balance(pending_out=7))


@pytest.mark.parametrize("end", ["unknown", "fulfilled too late", "given up", "resolved"])
async def test_a_copy_of_what_the_next_hop_may_have_fulfilled_is_not_prepared(
    books: Books, stores: Stores, end: str
) -> None:
    """What was given up as void is no reject: the next hop may yet prove it, and is owed it then."""
    first = await books.prepare(transfer(7))
    if end == "fulfilled too late":
        await books.fulfill_late(first, FULFILLMENT)
    elif end == "given up":
        await books.expire(first)
        await books.abandon(first)
    else:
        await stores.leases.sign_off()
    await stores.leases.sign_on("again")
    await books.recover()
    if end == "resolved":
        await books.resolve_unknown(first, fulfilled=False)

    with pytest.raises(PacketKnown) as known:
        await books.prepare(transfer(7))

    assert (known.value.fulfillment, known.value.is_open) == (None, False)


async def test_a_copy_of_what_was_rejected_is_a_new_packet(
    books: Books, stores: Stores
) -> None:
    await books.reject(await books.prepare(transfer(7)), b"T04")
    await stores.leases.sign_on("again")

    await books.fulfill(await books.prepare(transfer(7)), FULFILLMENT)

    assert await numbers(books) == (Balance(receivable=7), Balance(payable=7))


@pytest.mark.parametrize(
    "other",
    [
        {"incoming_amount": 6},
        {"expires_at_ms": transfer(7).expires_at_ms + 1},
        {"condition": bytes(32)},
        {"destination": "test.node.bob.other"},
        {"from_account": BOB, "to_account": ALICE},
    ],
)
async def test_what_is_not_the_same_is_no_copy(
    books: Books, stores: Stores, other: dict[str, Any]
) -> None:
    await first_and_again(books, stores)

    await books.prepare(replace(transfer(7), **other))


async def test_the_latest_of_what_was_sent_again_is_what_counts(
    books: Books, stores: Stores
) -> None:
    await books.reject(await books.prepare(transfer(7)), b"T04")
    await stores.leases.sign_on("second")
    await books.reject(await books.prepare(transfer(7)), b"T04")
    await books.fulfill(await books.prepare(transfer(7)), FULFILLMENT)
    await stores.leases.sign_on("third")

    with pytest.raises(PacketKnown) as known:
        await books.prepare(transfer(7))

    assert known.value.fulfillment == FULFILLMENT


async def test_a_copy_of_what_is_folded_is_a_new_packet(
    books: Books, stores: Stores, clock: FakeClock
) -> None:
    await books.fulfill(await books.prepare(transfer(7)), FULFILLMENT)
    await stores.leases.sign_on("again")
    await books.prepare(transfer(1))  # and so has read what there is
    clock.advance(seconds=1)
    await books.roll_up(before_ms=clock.now_ms(), rows_max=9)

    await books.prepare(transfer(7))


def late(amount: int, *, expires_in_ms: int = 3_600_000) -> Transfer:
    """Return a packet that expires when its process remembers its answer no more."""
    return replace(transfer(amount), expires_at_ms=START_MS + expires_in_ms)


BECAME: Final[dict[str, tuple[Callable[[Books, TransferId], Awaitable[object]], bool, bool]]] = {
    "pending": (lambda *_: asyncio.sleep(0), False, True),
    "expired": (lambda books, first: books.expire(first), False, True),
    "fulfilled": (lambda books, first: books.fulfill(first, FULFILLMENT), True, False),
    "fulfilled too late": (
        lambda books, first: books.fulfill_late(first, FULFILLMENT), False, False,
    ),
    "given up": (lambda books, first: books.abandon(first), False, False),
    "unknown": (lambda books, first: books.strand(first), False, False),
}  # fmt: skip
"""What becomes of a packet, and whether a copy is fulfilled, and whether it is open."""


@pytest.mark.parametrize("end", BECAME)
async def test_a_copy_of_what_expires_late_is_known_to_the_process_that_prepared_it(
    books: Books, clock: FakeClock, end: str
) -> None:
    decide, is_fulfilled, is_open = BECAME[end]
    first = await books.prepare(late(7))
    if end in {"given up", "unknown"}:
        await books.expire(first)
    await decide(books, first)
    before = await numbers(books)

    for seconds in (0, 31, 300, 268):
        clock.advance(seconds=seconds)
        with pytest.raises(PacketKnown) as known:
            await books.prepare(late(7))
        assert (known.value.first, known.value.fulfillment, known.value.is_open) == (
            first,
            FULFILLMENT if is_fulfilled else None,
            is_open,
        )

    assert await numbers(books) == before
    await assert_audit_passes(books)


async def test_of_copies_that_come_at_once_one_is_prepared(books: Books) -> None:
    outcomes = await asyncio.gather(
        *(books.prepare(late(amount)) for amount in (7, 5, 7, 7)), return_exceptions=True
    )

    first, other, *copies = outcomes
    assert isinstance(first, int)
    assert isinstance(other, int)
    assert [(type(copy), getattr(copy, "first", None)) for copy in copies] == [
        (PacketKnown, first)
    ] * 2
    assert await numbers(books) == (Balance(pending_in=12), Balance(pending_out=12))


async def test_of_what_expires_late_and_was_rejected_a_copy_is_a_new_packet(
    books: Books, clock: FakeClock
) -> None:
    for _ in range(3):
        await books.reject(await books.prepare(late(7)), b"T04")
        clock.advance(seconds=31)
    await books.fulfill(await books.prepare(late(7)), FULFILLMENT)

    with pytest.raises(PacketKnown) as known:
        await books.prepare(late(7))

    assert known.value.fulfillment == FULFILLMENT
    assert await numbers(books) == (Balance(receivable=7), Balance(payable=7))


async def test_a_copy_is_known_though_it_comes_when_the_packet_is_about_to_expire(
    books: Books, clock: FakeClock
) -> None:
    await books.fulfill(await books.prepare(late(7, expires_in_ms=40_000)), FULFILLMENT)
    clock.advance(seconds=39)

    with pytest.raises(PacketKnown):
        await books.prepare(late(7, expires_in_ms=40_000))


async def test_copies_of_what_expires_soon_are_left_to_the_process_that_remembers_its_answer(
    books: Books,
) -> None:
    for _ in range(2):
        await books.fulfill(await books.prepare(late(7, expires_in_ms=FAR_OFF_MS)), FULFILLMENT)
        await books.reject(await books.prepare(late(7, expires_in_ms=FAR_OFF_MS + 1)), b"T04")

    assert await numbers(books) == (Balance(receivable=14), Balance(payable=14))
    assert REMEMBER_SECONDS * 1000 >= FAR_OFF_MS, "as long as that process remembers it"


@pytest.mark.parametrize(
    "other", [{"incoming_amount": 6}, {"destination": "test.node.bob.other"}]
)
async def test_what_expires_late_and_is_not_the_same_is_no_copy(
    books: Books, other: dict[str, Any]
) -> None:
    await books.prepare(late(7))

    await books.prepare(replace(late(7), **other))
    await books.prepare(late(7, expires_in_ms=3_600_001))


async def test_a_copy_of_what_expires_late_is_known_for_ten_minutes_to_the_next_process(
    books: Books, stores: Stores, clock: FakeClock
) -> None:
    await books.fulfill(await books.prepare(late(7)), FULFILLMENT)
    clock.advance(seconds=200)
    await stores.leases.sign_off()
    clock.advance(seconds=100)
    await stores.leases.sign_on("again")

    for seconds in (0, 100, 100, 99):
        clock.advance(seconds=seconds)
        await books.reject(await books.prepare(transfer(1)), b"T04")
        with pytest.raises(PacketKnown) as known:
            await books.prepare(late(7))
        assert known.value.fulfillment == FULFILLMENT


# --- Callers that do not wait ----------------------------------------------------------------------


async def test_a_prepare_whose_caller_was_cancelled_holds_nothing(books: Books) -> None:
    async with asyncio.TaskGroup() as tasks:
        caller = tasks.create_task(books.prepare(transfer(7)))
        await asyncio.sleep(0)
        caller.cancel()

    # Whatever had been queued for it is behind a call made now.
    await books.reject(await books.prepare(transfer(1)), b"F02")
    await books.reject(await books.prepare(transfer(1)), b"F02")
    if not caller.cancelled():
        await books.reject(caller.result(), b"F02")
    assert await numbers(books) == (Balance(), Balance())
    await assert_audit_passes(books)


# --- Roll-up ---------------------------------------------------------------------------------------


async def test_old_rows_are_folded_and_the_audit_stays_exact(
    books: Books, stores: Stores, clock: FakeClock
) -> None:
    await stores.accounts.update_account(bob(asset=EUR), NO_TOKENS)
    for amount in (1000, 999, 1):
        outgoing_amount, conversion = convert(amount, Fraction(10, 7), Fraction(1, 300))
        converted = replace(
            transfer(amount), outgoing_amount=outgoing_amount, conversion=conversion
        )
        await books.fulfill(await books.prepare(converted), FULFILLMENT)
        await books.reject(await books.prepare(converted), b"F02")
        await books.fulfill_late(await books.prepare(converted), FULFILLMENT)
        await books.prepare(converted)
    before, numbers_before = await books.audit(), await numbers(books)
    clock.advance(seconds=60)

    folded = await books.roll_up(before_ms=clock.now_ms(), rows_max=1000)

    after = await books.audit()
    assert folded == 9
    assert after.findings == ()
    assert (after.totals, after.transfers) == (before.totals, before.transfers)
    assert await numbers(books) == numbers_before
    assert await books.roll_up(before_ms=clock.now_ms(), rows_max=1000) == 0


async def test_folding_goes_in_steps(books: Books, clock: FakeClock) -> None:
    for _ in range(5):
        await books.fulfill(await books.prepare(transfer(3)), FULFILLMENT)
    clock.advance(seconds=1)

    assert [await books.roll_up(before_ms=clock.now_ms(), rows_max=2) for _ in range(4)] == [
        2,
        2,
        1,
        0,
    ]
    await assert_audit_passes(books)


async def test_young_rows_and_open_ones_are_not_folded(
    books: Books, stores: Stores, clock: FakeClock
) -> None:
    await left_by_a_node_that_signed_off(stores)
    await books.recover()
    await books.expire(await books.prepare(transfer(4)))
    clock.advance(seconds=10)
    await books.fulfill(await books.prepare(transfer(3)), FULFILLMENT)

    assert await books.roll_up(before_ms=clock.now_ms(), rows_max=100) == 0


async def test_a_transfer_is_as_old_as_its_end(books: Books, clock: FakeClock) -> None:
    number = await books.prepare(transfer(3))
    clock.advance(seconds=10)
    between_ms = clock.now_ms()
    clock.advance(seconds=10)
    await books.fulfill(number, FULFILLMENT)

    assert await books.roll_up(before_ms=between_ms, rows_max=100) == 0


async def test_a_folded_transfer_is_not_decided_again(books: Books, clock: FakeClock) -> None:
    number = await books.prepare(transfer(3))
    await books.fulfill(number, FULFILLMENT)
    clock.advance(seconds=1)
    await books.roll_up(before_ms=clock.now_ms(), rows_max=100)

    with pytest.raises(StoreError):
        await books.reject(number, b"F02")
    await assert_audit_passes(books)
