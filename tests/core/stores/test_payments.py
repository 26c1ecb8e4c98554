"""What every store promises of payments: sums that are the books' own, one order a key, and truthful ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import pytest

from core.account import AMOUNT_MAX_BOOKED, Asset
from core.errors import (
    Conflict,
    InsufficientBalance,
    MoreThanAskedFor,
    NodeFenced,
    PaymentOver,
    UnknownAccount,
)
from core.ledger.books import Balance, Transfer, TransferId
from core.payments.records import (
    Ending,
    InvoiceState,
    NewPayment,
    Payment,
    PaymentState,
    Progress,
    Route,
)
from core.payments.store import (
    LIVE_MS,
    InvoiceFilter,
    PaymentFilter,
    PaymentStore,
    ReceivedFilter,
)
from core.service import Booked, Conversion, PaymentNumber, Received
from core.stores import Stores
from core.testing.builders import FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.people import (
    ALICE,
    BOB,
    NO_TOKENS,
    NOBODY,
    add_alice_and_bob,
    alice,
    transfer,
)

MANY: Final = 1_000
DONE: Final = Ending(state=PaymentState.COMPLETED, reason="All of it was sent.")


@pytest.fixture
async def payments(stores: Stores) -> PaymentStore:
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("node")
    return stores.payments


def order(**changes: Any) -> NewPayment:
    new = NewPayment(
        id="p-1",
        account=ALICE,
        receiver="$bob.example",
        source_amount=100,
        delivered_amount=None,
        source_amount_max=100,
        slippage=Fraction(3, 200),
        memo="rent",
        idempotency_key=None,
        body_hash=b"one order",
    )
    return replace(new, **changes)


def route(**changes: Any) -> Route:
    found = Route(
        destination="test.bob.token",
        min_rate=Fraction(1, 3),
        source_amount_max=100,
        receiver_asset_code="EUR",
        receiver_asset_scale=9,
    )
    return replace(found, **changes)


async def begin(payments: PaymentStore, new: NewPayment | None = None) -> Payment:
    payment, is_new = await payments.begin_payment(
        new or order(), open_max=MANY, account_open_max=MANY
    )
    assert is_new
    return payment


async def sending(payments: PaymentStore, new: NewPayment | None = None) -> Payment:
    return await payments.let_send((await begin(payments, new)).number, route())


def part_of(payment: Payment, amount: int) -> Transfer:
    return replace(transfer(amount), payment=payment.number)


async def now(payments: PaymentStore, payment: Payment) -> Payment:
    found = await payments.payment(payment.id)
    assert found is not None
    return found


async def sums(payments: PaymentStore, payment: Payment) -> tuple[int, int, int]:
    found = await now(payments, payment)
    return found.sent, found.in_flight, found.undecided


# --- From the order to its end -----------------------------------------------------------------------


async def test_an_order_is_kept_as_it_was_given(
    payments: PaymentStore, clock: FakeClock
) -> None:
    begun = await begin(payments, order(delivered_amount=2**64 - 1, source_amount=None))

    assert begun == await now(payments, begun)
    assert begun.state is PaymentState.PENDING
    assert begun.delivered_amount == 2**64 - 1
    assert begun.source_amount is None
    assert begun.slippage == Fraction(3, 200)
    assert (begun.sent, begun.in_flight, begun.undecided, begun.delivered) == (0, 0, 0, 0)
    assert begun.created_at_ms == clock.now_ms()
    assert begun.ended_at_ms is None


async def test_what_probing_found_lets_it_send_but_never_more_than_was_ordered(
    payments: PaymentStore,
) -> None:
    begun = await begin(payments)

    found = await payments.let_send(begun.number, route(source_amount_max=250))

    assert found.state is PaymentState.SENDING
    assert found.destination == "test.bob.token"
    assert found.min_rate == Fraction(1, 3)
    assert (found.receiver_asset_code, found.receiver_asset_scale) == ("EUR", 9)
    assert found.source_amount_max == 100
    assert found.version > begun.version


async def test_a_payment_ends_once(payments: PaymentStore, clock: FakeClock) -> None:
    payment = await sending(payments)
    clock.advance(seconds=5)
    ended = await payments.end_payment(
        payment.number, DONE, Progress(delivered=30, delivered_for=0, packets=4, rejects=1)
    )

    again = await payments.end_payment(
        payment.number,
        Ending(state=PaymentState.FAILED, reason="No.", reject_code="F02"),
        Progress(delivered=90),
    )

    assert again == ended
    assert ended.state is PaymentState.COMPLETED
    assert ended.reason == "All of it was sent."
    assert (ended.delivered, ended.packets, ended.rejects) == (30, 4, 1)
    assert ended.ended_at_ms == clock.now_ms()
    assert await payments.advance_payment(payment.number, Progress(delivered=91)) == ended
    assert await payments.let_send(payment.number, route()) == ended
    assert await payments.request_cancel(payment.id) == ended


async def test_what_the_receiver_counts_in_is_kept_of_a_payment_that_never_came_to_send(
    payments: PaymentStore,
) -> None:
    payment = await begin(payments)
    counts_in = Ending(state=PaymentState.FAILED, reason="No.", receiver_asset=Asset("EUR", 4))

    await payments.end_payment(payment.number, counts_in, Progress())

    kept = await payments.payment(payment.id)
    assert kept is not None
    assert (kept.receiver_asset_code, kept.receiver_asset_scale) == ("EUR", 4)


async def test_older_progress_that_comes_late_takes_nothing_back(
    payments: PaymentStore,
) -> None:
    payment = await sending(payments)
    await payments.advance_payment(payment.number, Progress(delivered=50, delivered_for=60))

    late = await payments.advance_payment(
        payment.number, Progress(delivered=40, delivered_for=50)
    )

    assert (late.delivered, late.delivered_for) == (50, 60)


async def test_what_the_receiver_has_said_is_kept_with_the_payment(
    payments: PaymentStore,
) -> None:
    payment = await sending(payments)
    assert (payment.delivered_is_least, payment.violations) == (False, ())
    assert (dict(payment.receipts), payment.receiver_text) == ({}, "")
    first = Progress(
        delivered_for=5,
        violations=("it lied",),
        receipts={1: b"r" * 58},
        receiver_text="héllo\n",
    )
    assert (await payments.advance_payment(payment.number, first)).violations == ("it lied",)

    last = replace(
        first, delivered_for=9, delivered_is_least=True, receipts={1: b"s" * 58, 3: b"t" * 58}
    )
    ended = await payments.end_payment(payment.number, DONE, last)

    assert ended == await now(payments, payment)
    assert ended.delivered_is_least
    assert ended.violations == ("it lied",)
    assert dict(ended.receipts) == {1: b"s" * 58, 3: b"t" * 58}
    assert ended.receiver_text == "héllo\n"


async def test_there_is_no_payment_of_another_id(payments: PaymentStore) -> None:
    assert await payments.payment("p-2") is None
    assert await payments.request_cancel("p-2") is None


async def test_a_payment_needs_an_account_and_a_process(
    payments: PaymentStore, stores: Stores
) -> None:
    with pytest.raises(UnknownAccount):
        await begin(payments, order(account=NOBODY))
    await stores.leases.sign_off()
    with pytest.raises(NodeFenced):
        await begin(payments)
    assert await payments.payments(PaymentFilter()) == []


# --- One key, one payment ----------------------------------------------------------------------------


async def test_the_same_key_with_the_same_order_is_the_same_payment(
    payments: PaymentStore,
) -> None:
    first = await begin(payments, order(idempotency_key="k"))

    again, is_new = await payments.begin_payment(
        order(id="p-2", idempotency_key="k"), open_max=MANY, account_open_max=MANY
    )

    assert (again, is_new) == (first, False)
    assert len(await payments.payments(PaymentFilter())) == 1


async def test_the_same_key_with_another_order_is_refused(payments: PaymentStore) -> None:
    await begin(payments, order(idempotency_key="k"))

    with pytest.raises(Conflict, match="'k' was used for another order"):
        await begin(payments, order(id="p-2", idempotency_key="k", body_hash=b"another"))
    assert len(await payments.payments(PaymentFilter())) == 1


async def test_a_key_is_its_accounts_own(payments: PaymentStore) -> None:
    await begin(payments, order(idempotency_key="k"))
    await begin(payments, order(id="p-2", account=BOB, idempotency_key="k", body_hash=b"2"))


async def test_of_many_that_race_with_one_key_one_is_made(payments: PaymentStore) -> None:
    racing = [
        payments.begin_payment(
            order(id=f"p-{at}", idempotency_key="k"), open_max=MANY, account_open_max=MANY
        )
        for at in range(40)
    ]

    made = await asyncio.gather(*racing)

    assert sum(is_new for _, is_new in made) == 1
    assert len({payment.id for payment, _ in made}) == 1


async def test_no_more_than_so_many_are_open_at_once(payments: PaymentStore) -> None:
    first = await begin(payments)
    with pytest.raises(Conflict, match="1 payments of this account"):
        await payments.begin_payment(order(id="p-2"), open_max=MANY, account_open_max=1)
    with pytest.raises(Conflict, match="1 payments are under way"):
        await payments.begin_payment(
            order(id="p-2", account=BOB), open_max=1, account_open_max=1
        )

    await payments.end_payment(first.number, DONE, Progress())

    await payments.begin_payment(order(id="p-2"), open_max=1, account_open_max=1)


# --- The books add up what it sends ------------------------------------------------------------------


async def test_what_is_prepared_is_in_flight_and_what_is_fulfilled_is_sent(
    payments: PaymentStore, stores: Stores
) -> None:
    payment = await sending(payments)

    first = await stores.books.prepare(part_of(payment, 7))
    second = await stores.books.prepare(part_of(payment, 5))
    assert await sums(payments, payment) == (0, 12, 0)

    await stores.books.fulfill(first, FULFILLMENT)
    assert await sums(payments, payment) == (7, 5, 0)
    await stores.books.fulfill(first, FULFILLMENT)  # the answer was lost, and it is said again
    await stores.books.reject(second, b"T04")
    assert await sums(payments, payment) == (7, 0, 0)


async def test_what_expired_was_not_sent_though_it_be_fulfilled_late(
    payments: PaymentStore, stores: Stores
) -> None:
    payment = await sending(payments)
    expired = await stores.books.prepare(part_of(payment, 7))

    await stores.books.expire(expired)
    assert await sums(payments, payment) == (0, 0, 7)
    await stores.books.fulfill_late(expired, FULFILLMENT)

    assert await sums(payments, payment) == (0, 0, 0)
    assert (await now(payments, payment)).late == 7
    assert not (await now(payments, payment)).is_delivered_exact
    assert (await stores.books.balance(ALICE)).net == 0
    abandoned = await stores.books.prepare(part_of(payment, 5))
    await stores.books.expire(abandoned)
    await stores.books.abandon(abandoned)
    assert await sums(payments, payment) == (0, 0, 0)


async def test_packets_of_one_batch_add_up(payments: PaymentStore, stores: Stores) -> None:
    payment = await sending(payments)
    other = await sending(payments, order(id="p-2", source_amount_max=1_000))

    made = await asyncio.gather(
        *(stores.books.prepare(part_of(payment, 1)) for _ in range(50)),
        *(stores.books.prepare(part_of(other, 2)) for _ in range(50)),
        *(stores.books.prepare(transfer(3)) for _ in range(50)),
    )
    await asyncio.gather(*(stores.books.fulfill(number, FULFILLMENT) for number in made))

    assert await sums(payments, payment) == (50, 0, 0)
    assert (await now(payments, other)).sent == 100
    assert (await stores.books.audit()).findings == ()


_REFUSED: Final[dict[str, Callable[[PaymentStore, Payment], Any]]] = {
    "it is completed": lambda payments, payment: payments.end_payment(
        payment.number, DONE, Progress()
    ),
    "it was cancelled": lambda payments, payment: payments.request_cancel(payment.id),
}


@pytest.mark.parametrize("why", _REFUSED)
async def test_no_packet_is_booked_for_a_payment_that_is_over(
    payments: PaymentStore, stores: Stores, why: str
) -> None:
    payment = await sending(payments)
    held = await stores.books.prepare(part_of(payment, 7))
    await _REFUSED[why](payments, payment)

    with pytest.raises(PaymentOver, match=why):
        await stores.books.prepare(part_of(payment, 1))

    assert await sums(payments, payment) == (0, 7, 0)
    await stores.books.fulfill(held, FULFILLMENT)  # what had left is booked all the same
    assert await sums(payments, payment) == (7, 0, 0)


async def test_no_packet_is_booked_before_the_path_was_probed(
    payments: PaymentStore, stores: Stores
) -> None:
    payment = await begin(payments)
    with pytest.raises(PaymentOver, match="it is pending"):
        await stores.books.prepare(part_of(payment, 1))
    with pytest.raises(PaymentOver, match="not in the store"):
        await stores.books.prepare(replace(transfer(1), payment=PaymentNumber(99)))
    assert (await stores.books.balance(ALICE)).pending_in == 0


async def test_the_books_let_no_payment_send_more_than_its_terms(
    payments: PaymentStore, stores: Stores
) -> None:
    payment = await sending(payments)
    sent = await stores.books.prepare(part_of(payment, 60))
    await stores.books.fulfill(sent, FULFILLMENT)
    await stores.books.prepare(part_of(payment, 40))

    with pytest.raises(PaymentOver, match="may send 100, and would have sent 101"):
        await stores.books.prepare(part_of(payment, 1))

    assert await sums(payments, payment) == (60, 40, 0)


async def test_a_payment_sends_no_packet_that_its_sums_could_not_carry_once_it_is_undecided(
    payments: PaymentStore, stores: Stores
) -> None:
    most = AMOUNT_MAX_BOOKED
    begun = await begin(payments, order(source_amount=most, source_amount_max=most))
    payment = await payments.let_send(begun.number, route(source_amount_max=most))
    packet = replace(
        part_of(payment, most // 2), outgoing_amount=1
    )  # the other unit is coarser
    for _ in range(2):
        await stores.books.expire(await stores.books.prepare(packet))

    with pytest.raises(PaymentOver, match="with what may have arrived"):
        await stores.books.prepare(packet)

    assert await sums(payments, payment) == (0, 0, most // 2 * 2)


async def test_a_proof_that_its_payments_sums_could_not_carry_is_refused(
    payments: PaymentStore, stores: Stores
) -> None:
    most = AMOUNT_MAX_BOOKED
    begun = await begin(payments, order(source_amount=most, source_amount_max=most))
    payment = await payments.let_send(begun.number, route(source_amount_max=most))
    packet = replace(part_of(payment, most // 2), outgoing_amount=1)
    given_up = []
    for _ in range(3):
        given_up.append(await stores.books.prepare(packet))
        await stores.books.expire(given_up[-1])
        await stores.books.abandon(given_up[-1])
    for one in given_up[:2]:
        await stores.books.fulfill_late(one, FULFILLMENT)

    with pytest.raises(PaymentOver, match="with what may have arrived"):
        await stores.books.fulfill_late(given_up[2], FULFILLMENT)

    assert (await now(payments, payment)).late == most // 2 * 2


async def test_what_the_balance_does_not_cover_is_not_in_flight(
    payments: PaymentStore, stores: Stores
) -> None:
    await stores.accounts.update_account(alice(min_balance=0), NO_TOKENS)
    payment = await sending(payments)

    with pytest.raises(InsufficientBalance):
        await stores.books.prepare(part_of(payment, 7))

    assert await sums(payments, payment) == (0, 0, 0)


# --- Whose process is gone ---------------------------------------------------------------------------


async def die(stores: Stores) -> None:
    """End this process's lease, and sign on as the next one, as recovery finds it."""
    await stores.leases.sign_off()
    await stores.leases.sign_on("the next")
    await stores.books.recover()


async def test_what_a_dead_process_left_is_interrupted_with_what_the_books_say_it_sent(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    payment = await sending(payments)
    sent = await stores.books.prepare(part_of(payment, 30))
    await stores.books.fulfill(sent, FULFILLMENT)
    await payments.advance_payment(payment.number, Progress(delivered=10, delivered_for=30))
    await stores.books.prepare(part_of(payment, 20))
    await stores.books.fulfill(await stores.books.prepare(part_of(payment, 5)), FULFILLMENT)
    ended = await begin(payments, order(id="p-2"))
    await payments.end_payment(ended.number, DONE, Progress())
    assert not await payments.close_dead_payments()

    await die(stores)
    clock.advance(seconds=1)
    closed = await payments.close_dead_payments()

    assert [found.id for found in closed] == [payment.id]
    found = await now(payments, payment)
    assert found.state is PaymentState.INTERRUPTED
    assert "ended before" in found.reason
    assert (found.sent, found.in_flight, found.undecided) == (35, 0, 20)
    assert (found.delivered, found.delivered_for) == (10, 30)
    assert not found.is_delivered_exact
    assert (await stores.books.balance(ALICE)).receivable == 35
    assert not await payments.close_dead_payments()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (PaymentState.FAILED, PaymentState.INTERRUPTED),
        (PaymentState.CANCELLED, PaymentState.CANCELLED),
        (PaymentState.COMPLETED, PaymentState.COMPLETED),
    ],
)
async def test_what_fails_since_its_process_signed_on_anew_is_interrupted(
    payments: PaymentStore, stores: Stores, state: PaymentState, told: PaymentState
) -> None:
    payment = await sending(payments)
    await die(stores)

    ended = await payments.end_payment(
        payment.number, Ending(state=state, reason="No.", reject_code="F00"), Progress()
    )

    assert ended.state is told
    assert ("signed on anew" in ended.reason) is (told is PaymentState.INTERRUPTED)
    assert ended == await now(payments, payment)


async def test_what_is_resolved_later_is_no_longer_undecided_and_never_sent(
    payments: PaymentStore, stores: Stores
) -> None:
    payment = await sending(payments)
    for _ in range(2):
        await stores.books.prepare(part_of(payment, 20))
    await die(stores)
    await payments.close_dead_payments()
    first, second = await stores.books.unknown_transfers(limit=10)
    assert (first.payment, second.payment) == (payment.id, payment.id)

    await stores.books.resolve_unknown(first.id, fulfilled=True)
    assert await sums(payments, payment) == (0, 0, 20)
    assert (await now(payments, payment)).late == 20
    await stores.books.resolve_unknown(second.id, fulfilled=False)

    assert await sums(payments, payment) == (0, 0, 0)


async def test_another_process_sends_no_packet_of_it(
    payments: PaymentStore, stores: Stores
) -> None:
    payment = await sending(payments)
    await die(stores)

    with pytest.raises(PaymentOver, match="makes it, and this is"):
        await stores.books.prepare(part_of(payment, 1))


# --- Lists -------------------------------------------------------------------------------------------


async def test_payments_are_listed_newest_first_page_by_page(
    payments: PaymentStore, clock: FakeClock
) -> None:
    made = []
    for at in range(5):
        made.append(await begin(payments, order(id=f"p-{at}", receiver=f"$R{at}.example")))
        clock.advance(seconds=1)

    newest = await payments.payments(PaymentFilter(limit=2))
    next_page = await payments.payments(PaymentFilter(limit=2, before=newest[-1].number))

    assert newest == [made[4], made[3]]
    assert next_page == [made[2], made[1]]


async def test_payments_are_found_by_account_state_text_and_time(
    payments: PaymentStore, clock: FakeClock
) -> None:
    first = await begin(payments, order(memo="Rent of MAY"))
    clock.advance(seconds=10)
    second = await begin(payments, order(id="p-2", account=BOB, receiver="$Carol.example"))
    second = await payments.let_send(second.number, route())

    async def found(**wanted: Any) -> list[Payment]:
        return list(await payments.payments(PaymentFilter(**wanted)))

    assert await found(account=ALICE) == [first]
    assert await found(state=PaymentState.SENDING) == [second]
    assert await found(text="of may") == [first]
    assert await found(text="CAROL") == [second]
    assert await found(text="%") == []
    assert await found(from_ms=clock.now_ms()) == [second]
    assert await found(until_ms=clock.now_ms()) == [first]
    assert await found(account=ALICE, state=PaymentState.SENDING) == []


# --- What comes in -----------------------------------------------------------------------------------


async def receive(stores: Stores, amount: int, received: Received) -> TransferId:
    made = await stores.books.prepare(transfer(amount))
    await stores.books.fulfill(made, FULFILLMENT, received)
    return made


async def test_packets_of_one_connection_are_one_received_payment(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    started = clock.now_ms()
    await receive(stores, 7, Received(connection="c", sequence=1))
    clock.advance(seconds=3)
    await receive(stores, 5, Received(connection="c", sequence=2))
    await receive(stores, 2, Received(connection="d", sequence=1))

    second, first = await payments.received_payments(ReceivedFilter())

    assert (first.connection, first.received, first.packets) == ("c", 12, 2)
    assert (first.account, first.from_account) == (BOB, ALICE)
    assert first.destination == "test.node.bob.invoice"
    assert (first.first_at_ms, first.last_at_ms) == (started, clock.now_ms())
    assert (second.connection, second.received) == ("d", 2)
    assert await payments.received_payment(BOB, "c") == first
    assert await payments.received_payment(ALICE, "c") is None
    assert await payments.received_payments(ReceivedFilter(account=ALICE)) == []
    assert await payments.received_payments(ReceivedFilter(before=second.number)) == [first]
    assert await payments.received_payments(ReceivedFilter(from_ms=clock.now_ms())) == [second]


async def test_a_packet_is_credited_once_however_often_it_is_fulfilled(
    payments: PaymentStore, stores: Stores
) -> None:
    invoice = await ask(payments)
    paying = Received(connection="c", sequence=1, invoice=invoice.id)
    made = await receive(stores, 7, paying)

    await stores.books.fulfill(made, FULFILLMENT, paying)
    both = [await stores.books.prepare(transfer(1)), await stores.books.prepare(transfer(1))]
    await asyncio.gather(
        *(stores.books.fulfill(number, FULFILLMENT, paying) for number in both * 2)
    )

    (row,) = await payments.received_payments(ReceivedFilter())
    assert (row.received, row.packets) == (9, 3)
    found = await payments.invoice(invoice.id)
    assert found is not None
    assert found.received == 9


async def test_fulfilling_says_what_each_stream_of_the_connection_has_brought(
    payments: PaymentStore, stores: Stores
) -> None:
    async def fulfill(connection: str, *streams: tuple[int, int]) -> tuple[TransferId, Any]:
        made = await stores.books.prepare(transfer(sum(amount for _, amount in streams)))
        paying = Received(connection=connection, sequence=1, streams=streams)
        return made, await stores.books.fulfill(made, FULFILLMENT, paying)

    assert (await fulfill("c", (1, 4), (3, 5)))[1] == Booked({1: 4, 3: 5})
    last, totals = await fulfill("c", (1, 1))
    assert totals == Booked({1: 5, 3: 5})
    assert (await fulfill("d", (1, 7)))[1] == Booked({1: 7})
    again = Received(connection="c", sequence=1, streams=((1, 1),))
    assert await stores.books.fulfill(last, FULFILLMENT, again) == Booked({1: 5, 3: 5})
    unpaid = await stores.books.prepare(transfer(1))
    assert await stores.books.fulfill(unpaid, FULFILLMENT) == Booked()

    row = await payments.received_payment(BOB, "c")
    assert row is not None
    assert (row.received, dict(row.streams)) == (10, {1: 5, 3: 5})


async def test_what_was_not_fulfilled_is_not_received(
    payments: PaymentStore, stores: Stores
) -> None:
    await stores.books.reject(await stores.books.prepare(transfer(7)), b"F99")
    assert await payments.received_payments(ReceivedFilter()) == []


async def test_a_connection_is_closed_once(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    await payments.note_connection(BOB, "nothing came of it", closes=True)
    await receive(stores, 7, Received(connection="c", sequence=1))
    closed_at = clock.now_ms()
    await payments.note_connection(BOB, "c", closes=True)
    clock.advance(seconds=9)
    await payments.note_connection(BOB, "c", closes=True)

    (row,) = await payments.received_payments(ReceivedFilter())
    assert row.closed_at_ms == closed_at


async def test_what_a_payer_writes_is_kept_with_the_money_as_far_as_it_is_known(
    payments: PaymentStore, stores: Stores
) -> None:
    async def text() -> str:
        (row,) = await payments.received_payments(ReceivedFilter())
        assert row.closed_at_ms is None
        return row.payer_text

    await payments.note_connection(BOB, "c", payer_text="nothing came with it")
    await receive(stores, 7, Received(connection="c", sequence=1, payer_text="rent "))
    assert await text() == "rent "
    await receive(stores, 7, Received(connection="c", sequence=2, payer_text="rent for"))
    # Another node has heard less of it.
    await receive(stores, 7, Received(connection="c", sequence=3, payer_text="re"))
    await receive(stores, 7, Received(connection="c", sequence=4))
    assert await text() == "rent for"
    await payments.note_connection(BOB, "c", payer_text="rent for May")
    await payments.note_connection(BOB, "c", payer_text="rent")
    assert await text() == "rent for May"


async def test_a_packet_that_brings_nothing_leaves_no_row_and_changes_none(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    async def receive_nothing(sequence: int) -> Booked | None:
        # What a coarser scale leaves of a packet.
        made = await stores.books.prepare(replace(transfer(1), outgoing_amount=0))
        received = Received(connection="c", sequence=sequence)
        return await stores.books.fulfill(made, FULFILLMENT, received)

    assert await receive_nothing(1) == Booked()
    assert await payments.received_payments(ReceivedFilter()) == []

    await receive(stores, 7, Received(connection="c", sequence=2, streams=((1, 7),)))
    before = await payments.received_payment(BOB, "c")
    clock.advance(seconds=1)
    assert await receive_nothing(3) == Booked({1: 7})
    assert await payments.received_payment(BOB, "c") == before


# --- Invoices ----------------------------------------------------------------------------------------


async def ask(payments: PaymentStore, **changes: Any) -> Any:
    asked: dict[str, Any] = {
        "invoice_id": "i-1",
        "account": BOB,
        "amount": 10,
        "description": "two coffees",
        "expires_at_ms": None,
        "open_max": MANY,
    }
    return await payments.create_invoice(**(asked | changes))


async def test_an_invoice_is_paid_over_several_connections(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    invoice = await ask(payments)
    assert invoice.state(clock.now_ms()) is InvoiceState.OPEN

    await receive(stores, 7, Received(connection="c", sequence=1, invoice="i-1"))
    partly = await payments.invoice("i-1")
    assert partly is not None
    assert (partly.received, partly.state(clock.now_ms())) == (7, InvoiceState.OPEN)
    await receive(stores, 2, Received(connection="d", sequence=1, invoice="i-1"))
    clock.advance(seconds=1)
    await receive(stores, 1, Received(connection="d", sequence=2, invoice="i-1"))

    paid = await payments.invoice("i-1")
    assert paid is not None
    assert (paid.received, paid.state(clock.now_ms())) == (10, InvoiceState.PAID)
    assert paid.paid_at_ms == clock.now_ms()
    rows = await payments.received_payments(ReceivedFilter(invoice="i-1"))
    assert [row.connection for row in rows] == ["d", "c"]


async def test_only_its_own_account_pays_an_invoice(
    payments: PaymentStore, stores: Stores
) -> None:
    await ask(payments, account=ALICE)
    with pytest.raises(MoreThanAskedFor, match="no more than 0 is still asked for"):
        await receive(stores, 7, Received(connection="c", sequence=1, invoice="i-1"))

    found = await payments.invoice("i-1")
    assert found is not None
    assert found.received == 0


async def test_a_packet_that_brings_more_than_is_still_asked_for_is_rejected(
    payments: PaymentStore, stores: Stores
) -> None:
    await ask(payments)
    paying = Received(connection="c", sequence=1, invoice="i-1", streams=((1, 7),))
    first, second = [await stores.books.prepare(transfer(7)) for _ in range(2)]
    booked = await stores.books.fulfill(first, FULFILLMENT, paying)
    assert booked == Booked({1: 7}, left=3)

    for _ in range(2):  # and whoever asks again hears the same
        with pytest.raises(MoreThanAskedFor) as error:
            await stores.books.fulfill(second, FULFILLMENT, paying)
        assert error.value.left == 3

    found = await payments.invoice("i-1")
    assert found is not None
    assert (found.received, found.paid_at_ms) == (7, None)
    (row,) = await payments.received_payments(ReceivedFilter())
    assert (row.received, row.packets) == (7, 1)
    assert await stores.books.balance(BOB) == Balance(payable=7)
    assert await stores.books.balance(ALICE) == Balance(receivable=7)
    assert await stores.books.fulfill(first, FULFILLMENT, paying) == booked
    report = await stores.books.audit()
    assert (report.findings, report.pending) == ((), 0)


async def test_of_a_payer_in_a_coarser_unit_the_last_packet_may_bring_more(
    payments: PaymentStore, stores: Stores
) -> None:
    await ask(payments)
    sevenfold = Conversion(Fraction(7), Fraction(0), 0, Fraction(0))
    coarse = replace(transfer(7, conversion=sevenfold), incoming_amount=1)
    paying = Received(connection="c", sequence=1, invoice="i-1", streams=((1, 7),))
    made = [await stores.books.prepare(coarse) for _ in range(4)]
    two = await stores.books.prepare(replace(coarse, incoming_amount=2, outgoing_amount=14))

    assert await stores.books.fulfill(made[0], FULFILLMENT, paying) == Booked({1: 7}, left=3)
    with pytest.raises(MoreThanAskedFor):  # one would be enough
        await stores.books.fulfill(two, FULFILLMENT, paying)
    outcomes = await asyncio.gather(
        *(stores.books.fulfill(number, FULFILLMENT, paying) for number in made[1:]),
        return_exceptions=True,
    )

    assert outcomes[0] == Booked({1: 14}, left=0)
    assert [type(outcome) for outcome in outcomes[1:]] == [MoreThanAskedFor, MoreThanAskedFor]
    found = await payments.invoice("i-1")
    assert found is not None
    assert (found.received, found.paid_at_ms is not None) == (14, True)
    assert await stores.books.balance(BOB) == Balance(payable=14)
    report = await stores.books.audit()
    assert (report.findings, report.pending) == ((), 0)


async def test_packets_that_are_booked_together_bring_no_more_than_is_asked_for(
    payments: PaymentStore, stores: Stores
) -> None:
    await ask(payments)
    made = [await stores.books.prepare(transfer(amount)) for amount in (4, 4, 4, 2, 1)]

    outcomes = await asyncio.gather(
        *(
            stores.books.fulfill(
                number, FULFILLMENT, Received(connection=str(number), sequence=1, invoice="i-1")
            )
            for number in made
        ),
        return_exceptions=True,
    )

    left = [
        outcome.left if isinstance(outcome, Booked | MoreThanAskedFor) else None
        for outcome in outcomes
    ]
    assert left == [6, 2, 2, 0, 0]
    refused = [isinstance(outcome, MoreThanAskedFor) for outcome in outcomes]
    assert refused == [False, False, True, False, True]
    found = await payments.invoice("i-1")
    assert found is not None
    assert found.received == 10


@pytest.mark.parametrize("end", ["cancelled", "expired", "paid", "forgotten"])
async def test_a_request_for_money_that_ended_meanwhile_takes_nothing_more(
    payments: PaymentStore, stores: Stores, clock: FakeClock, end: str
) -> None:
    await ask(payments, expires_at_ms=clock.now_ms() + 1_000)
    paying = Received(connection="c", sequence=1, invoice="i-1")
    made = await stores.books.prepare(transfer(1))
    match end:
        case "cancelled":
            await payments.cancel_invoice("i-1")
        case "expired":
            clock.advance(seconds=1)
        case "paid":
            await receive(stores, 10, paying)
        case _:
            paying = replace(paying, invoice="i-2")

    with pytest.raises(MoreThanAskedFor):
        await stores.books.fulfill(made, FULFILLMENT, paying)

    assert (await stores.books.balance(BOB)).pending_out == 0
    found = await payments.invoice("i-1")
    assert found is not None
    assert found.received == (10 if end == "paid" else 0)


async def test_an_invoice_expires_and_can_be_cancelled(
    payments: PaymentStore, clock: FakeClock
) -> None:
    await ask(payments, expires_at_ms=clock.now_ms() + 1_000)
    await ask(payments, invoice_id="i-2")
    clock.advance(seconds=1)

    cancelled = await payments.cancel_invoice("i-2")
    expired = await payments.cancel_invoice("i-1")

    assert cancelled is not None
    assert cancelled.state(clock.now_ms()) is InvoiceState.CANCELLED
    assert expired is not None
    assert expired.state(clock.now_ms()) is InvoiceState.EXPIRED
    assert await payments.cancel_invoice("i-3") is None
    assert await payments.invoice("i-3") is None


async def test_invoices_are_found_by_account_and_state(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    open_one = await ask(payments, account=ALICE)
    await ask(payments, invoice_id="i-2", amount=7)
    await receive(stores, 7, Received(connection="c", sequence=1, invoice="i-2"))
    paid = await payments.invoice("i-2")
    expired = await ask(payments, invoice_id="i-3", expires_at_ms=clock.now_ms())
    await ask(payments, invoice_id="i-4")
    cancelled = await payments.cancel_invoice("i-4")

    async def found(**wanted: Any) -> list[Any]:
        return list(await payments.invoices(InvoiceFilter(now_ms=clock.now_ms(), **wanted)))

    assert await found() == [cancelled, expired, paid, open_one]
    assert await found(account=ALICE) == [open_one]
    assert await found(state=InvoiceState.OPEN) == [open_one]
    assert await found(state=InvoiceState.PAID) == [paid]
    assert await found(state=InvoiceState.EXPIRED) == [expired]
    assert await found(state=InvoiceState.CANCELLED) == [cancelled]
    assert await found(before=paid.number if paid else 0, limit=1) == [open_one]


async def test_no_more_than_so_many_invoices_are_open(
    payments: PaymentStore, clock: FakeClock
) -> None:
    await ask(payments, open_max=1, expires_at_ms=clock.now_ms() + 1_000)
    with pytest.raises(Conflict, match="1 invoices of this account are open"):
        await ask(payments, invoice_id="i-2", open_max=1)
    with pytest.raises(UnknownAccount):
        await ask(payments, invoice_id="i-2", account=NOBODY)
    clock.advance(seconds=1)
    await ask(payments, invoice_id="i-2", open_max=1)


# --- Age ---------------------------------------------------------------------------------------------


async def test_what_is_old_is_forgotten_and_what_is_open_or_undecided_stays(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    old = await begin(payments, order(idempotency_key="k"))
    await payments.end_payment(old.number, DONE, Progress())
    undecided = await sending(payments, order(id="p-2"))
    await stores.books.prepare(part_of(undecided, 5))
    await receive(stores, 7, Received(connection="c", sequence=1))
    await ask(payments)
    await ask(payments, invoice_id="i-2")
    await payments.cancel_invoice("i-2")
    await die(stores)
    await payments.close_dead_payments()
    still_open = await begin(payments, order(id="p-3"))
    clock.advance(seconds=10)
    before_ms = clock.now_ms()
    young = await begin(payments, order(id="p-4"))
    await payments.end_payment(young.number, DONE, Progress())

    assert await payments.prune_payments(before_ms=before_ms, rows_max=2) == 2
    assert await payments.prune_payments(before_ms=before_ms, rows_max=100) == 1
    assert await payments.prune_payments(before_ms=before_ms, rows_max=100) == 0

    left = {payment.id for payment in await payments.payments(PaymentFilter())}
    assert left == {undecided.id, still_open.id, young.id}
    assert await payments.received_payments(ReceivedFilter()) == []
    invoices = await payments.invoices(InvoiceFilter(now_ms=clock.now_ms()))
    assert [invoice.id for invoice in invoices] == ["i-1"]
    await begin(payments, order(id="p-5", idempotency_key="k", body_hash=b"a new one"))


async def test_a_request_for_money_is_kept_from_its_end_on_however_old_it_is(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    expires_at_ms = clock.now_ms() + 20_000
    await ask(payments, invoice_id="paid", amount=7)
    await ask(payments, invoice_id="cancelled", expires_at_ms=expires_at_ms)
    await ask(payments, invoice_id="expired", expires_at_ms=expires_at_ms)
    await ask(payments, invoice_id="open")
    clock.advance(seconds=10)
    await stores.leases.renew()
    before_ms = clock.now_ms()
    await receive(stores, 7, Received(connection="c", sequence=1, invoice="paid"))
    await payments.cancel_invoice("cancelled")

    async def left() -> set[str]:
        await payments.prune_payments(before_ms=before_ms, rows_max=100)
        found = await payments.invoices(InvoiceFilter(now_ms=clock.now_ms()))
        return {invoice.id for invoice in found}

    assert await left() == {"paid", "cancelled", "expired", "open"}
    before_ms += 1
    assert await left() == {"expired", "open"}
    before_ms = expires_at_ms + 1
    assert await left() == {"open"}


async def test_an_account_keeps_so_many_received_payments_and_least_goes_first(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    async def kept() -> list[str]:
        return [row.connection for row in await payments.received_payments(ReceivedFilter())]

    for name, amount in (("9 old", 9), ("95", 95), ("8", 8), ("30", 30), ("1 quiet", 1)):
        await receive(stores, amount, Received(connection=name, sequence=1))
        clock.advance(seconds=1)
    clock.advance(seconds=LIVE_MS // 1000)
    for name in ("7 live", "7 closed", "9 live"):
        await receive(stores, int(name[0]), Received(connection=name, sequence=1))
    await payments.note_connection(BOB, "7 closed", closes=True)
    net = (await stores.books.balance(BOB)).net

    assert await payments.prune_received(account_max=8, rows_max=100) == 0
    assert await payments.prune_received(account_max=1, rows_max=2) == 2
    assert await kept() == ["9 live", "7 closed", "7 live", "1 quiet", "30", "95"]
    assert await payments.prune_received(account_max=4, rows_max=100) == 2
    assert await kept() == ["9 live", "7 live", "30", "95"]
    assert await payments.prune_received(account_max=1, rows_max=100) == 3
    assert await kept() == ["9 live"]

    assert (await stores.books.balance(BOB)).net == net
    assert (await stores.books.audit()).passed


async def test_each_account_has_its_own_share_of_received_payments(
    payments: PaymentStore, stores: Stores
) -> None:
    for at in range(3):
        await receive(stores, 5, Received(connection=f"bobs {at}", sequence=1))
    made = await stores.books.prepare(replace(transfer(5), from_account=BOB, to_account=ALICE))
    await stores.books.fulfill(made, FULFILLMENT, Received(connection="hers", sequence=1))

    assert await payments.prune_received(account_max=2, rows_max=100) == 1

    rows = await payments.received_payments(ReceivedFilter())
    assert [row.connection for row in rows] == ["hers", "bobs 2", "bobs 1"]


async def test_what_was_forgotten_begins_anew(payments: PaymentStore, stores: Stores) -> None:
    for sequence, name in enumerate(("c", "d"), 1):
        await receive(stores, 5, Received(connection=name, sequence=sequence))
    assert await payments.prune_received(account_max=1, rows_max=100) == 1

    await receive(stores, 3, Received(connection="c", sequence=3))

    found = await payments.received_payment(BOB, "c")
    assert found is not None
    assert (found.received, found.packets) == (3, 1)


async def test_no_number_is_given_again_since_transfers_name_payments_by_it(
    payments: PaymentStore, stores: Stores, clock: FakeClock
) -> None:
    numbers = []
    for name in ("p-1", "p-2"):
        payment = await sending(payments, order(id=name))
        numbers.append(payment.number)
        await stores.books.fulfill(
            await stores.books.prepare(part_of(payment, 100)), FULFILLMENT
        )
        await payments.end_payment(payment.number, DONE, Progress())
    clock.advance(seconds=10)

    assert await payments.prune_payments(before_ms=clock.now_ms(), rows_max=100) == 1
    following = await begin(payments, order(id="p-3"))

    assert following.number > max(numbers)
    assert (await stores.books.audit()).passed
