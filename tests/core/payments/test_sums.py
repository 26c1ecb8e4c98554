"""What stands for a payment that is not in the store."""

from __future__ import annotations

import sqlite3

import pytest

from core.errors import PaymentOver
from core.ledger.books import TransferState
from core.payments.sums import sums_of_none
from core.service import PaymentNumber
from core.stores.sqlite.payment_sums import load_sums, save_sums


def test_no_packet_is_booked_for_a_payment_that_is_not_there() -> None:
    with pytest.raises(PaymentOver, match="it is not in the store"):
        sums_of_none(PaymentNumber(7)).check(1, 1)


def test_what_is_decided_of_a_payment_that_is_gone_stops_nothing_and_writes_nothing() -> None:
    """Recovery decides such a packet: if that raised, no node of the store would start again."""
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE payment (number, node, state, cancel_requested, source_amount_max, sent,"
        " in_flight, undecided, late, version, updated_at_ms)"
    )
    sums = load_sums(connection, 7)
    sums.add(TransferState.PENDING, -5)
    sums.add(TransferState.UNKNOWN, 5)
    save_sums(connection, [sums], 1)
    assert connection.execute("SELECT count(*) FROM payment").fetchone() == (0,)
    connection.close()
