"""What a payment says of itself, and what a request for money is at a moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.account import AccountId
from core.errors import PaymentOver
from core.ledger.books import TransferState
from core.payments.records import Invoice, InvoiceState, PaymentState
from core.payments.sums import PaymentSums
from core.service import PaymentNumber
from tests.core.payments.payments import payment

INVOICE = Invoice(
    number=1,
    id="i",
    account=AccountId("bob"),
    amount=10,
    received=0,
    description="",
    created_at_ms=0,
    expires_at_ms=100,
    cancelled_at_ms=None,
    paid_at_ms=None,
)


@pytest.mark.parametrize(
    ("changes", "exact"),
    [
        ({}, True),
        ({"sent": 7, "delivered": 6, "delivered_for": 7}, True),
        ({"sent": 7, "delivered": 5, "delivered_for": 6}, False),
        ({"undecided": 1}, False),
        ({"late": 1}, False),
        ({"in_flight": 1}, False),
        ({"sent": 7, "delivered": 6, "delivered_for": 7, "delivered_is_least": True}, False),
    ],
)
def test_delivered_is_all_only_where_nothing_is_open_and_all_that_was_sent_was_answered(
    changes: dict[str, Any], exact: bool
) -> None:
    assert payment(**changes).is_delivered_exact is exact


@pytest.mark.parametrize(
    ("changes", "now_ms", "state"),
    [
        ({}, 99, InvoiceState.OPEN),
        ({}, 100, InvoiceState.EXPIRED),
        ({"expires_at_ms": None}, 10**15, InvoiceState.OPEN),
        ({"cancelled_at_ms": 5}, 99, InvoiceState.CANCELLED),
        ({"cancelled_at_ms": 5}, 100, InvoiceState.CANCELLED),
        ({"paid_at_ms": 5}, 100, InvoiceState.PAID),
        ({"paid_at_ms": 5, "cancelled_at_ms": 6}, 99, InvoiceState.PAID),
    ],
)
def test_an_invoice_is_open_until_it_is_paid_cancelled_or_over(
    changes: dict[str, Any], now_ms: int, state: InvoiceState
) -> None:
    assert replace(INVOICE, **changes).state(now_ms) is state


def test_every_state_of_a_transfer_is_something_to_its_payment() -> None:
    sums = PaymentSums(PaymentNumber(1), 1, PaymentState.SENDING, False, 100, 0, 0, 0, 0)

    for state in TransferState:
        sums.add(state, 5)

    assert (sums.sent, sums.in_flight, sums.undecided, sums.late) == (5, 5, 10, 5)


def test_what_is_in_flight_counts_towards_the_terms() -> None:
    sums = PaymentSums(PaymentNumber(1), 1, PaymentState.SENDING, False, 100, 60, 30, 1_000, 50)

    sums.check(10, node=1)

    with pytest.raises(PaymentOver, match="may send 100, and would have sent 101"):
        sums.check(11, node=1)
