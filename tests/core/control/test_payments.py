"""Payments at the operator's door: what is said of one, what a quote warns of, and what is undecided."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest

from core.account import Asset
from core.control.payment_csv import PAYMENT_COLUMNS, csv_lines, payment_lines
from core.control.payment_orders import read_units
from core.control.payment_views import (
    PaymentOrder,
    PaymentQuery,
    UndecidedOfPayment,
    UndecidedOfPeer,
)
from core.errors import SettingError
from core.ledger.books import Transfer, TransferId
from core.packet import address
from core.payments.payer import Found, Order, Pace
from core.payments.records import Ending, NewPayment, Payment, PaymentState, Progress, Route
from core.payments.store import PaymentStore
from core.stream.sender.terms import PaymentTerms, Quote
from core.stream.spsp import SpspDetails
from core.testing.builders import CONDITION, FULFILLMENT, USD
from tests.core.control.bench import Bench

EUR = Asset("EUR", 0)


async def begin(bench: Bench, payment_id: str = "p", amount: int = 500) -> Payment:
    """Write alice's payment down, of which nothing has happened yet."""
    made, _ = await bench.stores.payments.begin_payment(
        NewPayment(
            id=payment_id,
            account=bench.id_of("alice"),
            receiver="$bob.example",
            source_amount=amount,
            delivered_amount=None,
            source_amount_max=amount,
            slippage=Fraction(0),
            memo="",
            idempotency_key=None,
            body_hash=b"",
        ),
        open_max=9,
        account_open_max=9,
    )
    return made


async def sending(bench: Bench, payment_id: str = "p", amount: int = 500) -> Payment:
    route = Route(
        destination="test.node.bob.token",
        min_rate=Fraction(1),
        source_amount_max=amount,
        receiver_asset_code="EUR",
        receiver_asset_scale=0,
    )
    made = await begin(bench, payment_id, amount)
    return await bench.stores.payments.let_send(made.number, route)


def pace_of(delivered: int, *, exact: bool = True) -> Pace:
    """Return what a sender knows that has delivered so much, one for one."""
    return Pace(
        packets=3,
        rejects=1,
        delivered=delivered,
        delivered_for=delivered,
        delivered_exact=exact,
        packets_per_second=2.0,
    )


async def prepare(bench: Bench, payment: Payment, amount: int) -> TransferId:
    """Let a packet of it leave, and nobody answer it."""
    return await bench.stores.books.prepare(
        Transfer(
            from_account=bench.id_of("alice"),
            to_account=bench.id_of("bob"),
            incoming_amount=amount,
            outgoing_amount=amount,
            conversion=None,
            destination="test.node.bob.token",
            condition=CONDITION,
            expires_at_ms=bench.clock.now_ms() + 10_000,
            payment=payment.number,
        )
    )


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    await bench.add("alice")
    await bench.add("bob")
    return bench


async def test_what_a_receiver_has_said_is_shown_with_the_payment(bench: Bench) -> None:
    payment = await sending(bench)
    receipt = bytes(18) + (46_261).to_bytes(8, "big") + bytes(32)
    await bench.stores.payments.end_payment(
        payment.number,
        Ending(state=PaymentState.FAILED, reason="The protocol was broken."),
        Progress(
            delivered=3,
            delivered_is_least=True,
            violations=("=it lied", "it was silent"),
            receipts={1: receipt},
            receiver_text="thanks",
        ),
    )

    view = await bench.control.payment("p")

    assert not view.delivered_exact
    assert view.sentence == "0.00 USD of 5.00 USD sent, at least 3 EUR delivered."
    assert view.violations == ("=it lied", "it was silent")
    assert [(found.stream, found.total, found.receipt) for found in view.receipts] == [
        (1, 46_261, receipt)
    ]
    assert view.receiver_text == "thanks"
    (row,) = csv.DictReader(io.StringIO(csv_lines([PAYMENT_COLUMNS]) + payment_lines([view])))
    assert row["delivered_exact"] == "at least"
    assert row["violations"] == "'=it lied. it was silent."
    assert row["receiver_text"] == "thanks"


async def test_of_a_payment_that_failed_before_its_receiver_was_known_nothing_is_delivered(
    bench: Bench,
) -> None:
    payment = await begin(bench)
    await bench.stores.payments.end_payment(
        payment.number, Ending(state=PaymentState.FAILED, reason="No."), Progress()
    )

    view = await bench.control.payment("p")
    assert view.sentence == "0.00 USD of 5.00 USD sent, nothing delivered."


async def test_nothing_is_said_to_be_delivered_only_where_that_is_known(bench: Bench) -> None:
    payment = await begin(bench)
    route = Route(
        destination="test.node.bob.token",
        min_rate=Fraction(1),
        source_amount_max=500,
        receiver_asset_code=None,
        receiver_asset_scale=None,
    )
    await bench.stores.payments.let_send(payment.number, route)
    await bench.stores.payments.advance_payment(
        payment.number, Progress(delivered_is_least=True)
    )

    sentence = (await bench.control.payment("p")).sentence
    assert sentence == "0.00 USD of 5.00 USD sent, at least 0 units delivered."


async def test_what_a_sender_knows_is_shown_before_it_is_written_down(bench: Bench) -> None:
    await sending(bench)
    payer = Paying(pace_of(7, exact=False), bench.stores.payments)

    view = await bench.control_with(payer=payer).payment("p")

    assert (view.packets, view.rejects, view.delivered) == (3, 1, 7)
    assert not view.delivered_exact


async def test_what_was_delivered_is_all_only_where_it_is_for_all_that_the_books_have_sent(
    bench: Bench,
) -> None:
    """The books are read, and packets go on being fulfilled before the answer is made."""
    payment = await sending(bench)
    for delivered_for, is_all in ((7, False), (0, True)):
        payer = Paying(pace_of(delivered_for), bench.stores.payments)
        view = await bench.control_with(payer=payer).payment("p")
        assert view.delivered_exact is is_all, view.sentence

    await bench.stores.books.fulfill(await prepare(bench, payment, 7), FULFILLMENT)
    for delivered_for, is_all in ((0, False), (7, True)):
        payer = Paying(pace_of(delivered_for), bench.stores.payments)
        view = await bench.control_with(payer=payer).payment("p")
        assert view.delivered_exact is is_all, view.sentence


async def test_what_is_undecided_is_added_up_by_peer_and_by_payment(bench: Bench) -> None:
    await bench.add("carol", asset_code="EUR", asset_scale=4)
    first, second = await sending(bench, "p-1"), await sending(bench, "p-2")
    await sending(bench, "p-3")
    for payment, amount in ((first, 70), (first, 30), (second, 5)):
        await prepare(bench, payment, amount)
    await bench.prepare("bob", "carol", 700)
    assert (await bench.control.undecided_sums()).payments == []

    await bench.crash()
    sums = await bench.control.undecided_sums()

    rows = await bench.control.unknown_transfers()
    assert sorted(row.payment or "" for row in rows) == ["", "p-1", "p-1", "p-2"]
    assert sums.peers == [
        UndecidedOfPeer(username="bob", asset=USD, amount=105),
        UndecidedOfPeer(username="carol", asset=Asset("EUR", 4), amount=700),
    ]
    assert sums.payments == [
        UndecidedOfPayment(
            id=payment, username="alice", receiver="$bob.example", asset=USD, amount=amount
        )
        for payment, amount in (("p-2", 5), ("p-1", 100))
    ]
    listed = await bench.control.payments(PaymentQuery(undecided=True))
    assert [view.id for view in listed.rows] == ["p-2", "p-1"]


@dataclass(frozen=True)
class Paying:
    """A payer that makes one payment."""

    going: Pace
    store: PaymentStore

    async def find(self, payment_id: str) -> Payment:
        found = await self.store.payment(payment_id)
        assert found is not None
        return found

    def pace(self, payment_id: str) -> Pace:
        return self.going


# --- Quotes

PLAIN = Quote(
    min_rate=Fraction(4, 450),
    rate_low=Fraction(4, 445),
    rate_high=Fraction(4, 444),
    source_amount=50_000,
    delivered_min=440,
    delivered_estimate=449,
    source_estimate=50_000,
    path_maximum=500,
    packet_amount=446,
    packet_units=4,
    lost_by_rounding=Fraction(1, 500),
    destination_asset=EUR,
    quoted_at_ms=0,
    next_sequence=1,
)


class Quoting:
    """A payer that has found what a test says."""

    def __init__(self, quote: Quote) -> None:
        self._quote = quote

    async def quote(self, order: Order) -> Found:
        details = SpspDetails(address("test.bob.token"), bytes(32))
        terms = PaymentTerms(
            destination="test.bob.token", shared_secret=bytes(32), source_amount=50_000
        )
        return Found(details=details, terms=terms, quote=self._quote)


async def test_a_quote_warns_of_what_rounding_takes_and_says_why(bench: Bench) -> None:
    order = PaymentOrder(username="alice", receiver="$bob.example", source_amount=50_000)

    plain = await bench.control_with(payer=Quoting(PLAIN)).quote_payment(order)
    assert plain.warnings == ()

    lossy = replace(
        PLAIN, packet_amount=500, packet_units=4, lost_by_rounding=Fraction(1112, 10_000)
    )
    found = await bench.control_with(payer=Quoting(lossy)).quote_payment(order)
    assert found.lost_by_rounding == lossy.lost_by_rounding
    (warning,) = found.warnings
    assert warning == (
        "Up to 11.2 % of what is sent may be lost to rounding: a packet of 5.00 USD buys 4 EUR, and"
        " less than the receiver's smallest unit is not delivered."
    )
    assert found.problems == ()


# --- Amounts


@pytest.mark.parametrize(
    ("value", "asset", "said"),
    [
        (
            "10.50",
            USD,
            "a whole number in the smallest unit, not '10.50'; in it 1050 is 10.50 USD",
        ),
        (10.5, USD, "in it 1050 is 10.50 USD"),
        ("10.505", USD, "not '10.505'; USD has 2 decimals here; in it 100 is 1.00 USD"),
        ("10,50", USD, "in it 100 is 1.00 USD"),
        ("1e999999999", USD, "in it 100 is 1.00 USD"),
        ("nan", USD, "in it 100 is 1.00 USD"),
        ("-10.50", USD, "in it 100 is 1.00 USD"),
        (True, USD, "not true"),
        (None, USD, "it is missing, and a whole number is needed; USD has 2 decimals here"),
        (
            "10.50",
            None,
            "the receiver's smallest unit, not '10.50'; in it 1050 is 10.50 where its asset has 2",
        ),
    ],
)
def test_an_amount_that_is_no_whole_number_is_told_the_unit_and_what_it_may_mean(
    value: Any, asset: Asset | None, said: str
) -> None:
    with pytest.raises(SettingError, match=re.escape(said)) as refused:
        read_units("source_amount", value, asset)
    assert refused.value.field == "source_amount"


def test_an_amount_that_is_a_whole_number_is_taken_as_it_is() -> None:
    assert read_units("source_amount", "1050", USD) == 1050
