"""The audit holds payments against the journal, and finds each sum that is not its packets'."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from core.payments.records import Payment
from core.service import Received
from core.stores import Stores
from core.testing.builders import FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import add_alice_and_bob, transfer
from tests.core.stores.test_payments import part_of, sending


async def make_payment(stores: Stores) -> Payment:
    """Return a payment with 30 sent of two packets, 20 in flight, 7 too late, and one that came to nothing."""
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("node")
    payment = await sending(stores.payments)
    for amount in (10, 20):
        paying = Received(connection="c", sequence=amount, streams=((1, amount),))
        made = await stores.books.prepare(part_of(payment, amount))
        await stores.books.fulfill(made, FULFILLMENT, paying)
    await stores.books.reject(await stores.books.prepare(part_of(payment, 5)), b"T04")
    await stores.books.fulfill_late(
        await stores.books.prepare(part_of(payment, 7)), FULFILLMENT
    )
    await stores.books.prepare(part_of(payment, 20))
    await stores.books.fulfill(await stores.books.prepare(transfer(3)), FULFILLMENT)
    return payment


async def test_what_was_folded_counts_as_sent(open_file: OpenStores, clock: FakeClock) -> None:
    stores = await open_file()
    payment = await make_payment(stores)
    assert (await stores.books.audit()).findings == ()
    clock.advance(seconds=10)

    assert await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=2) == 2
    assert (await stores.books.audit()).findings == ()
    assert await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=100) == 3

    assert (await stores.books.audit()).findings == ()
    found = await stores.payments.payment(payment.id)
    assert found is not None
    assert (found.sent, found.in_flight, found.late) == (30, 20, 7)
    assert (await stores.books.audit()).late == 1


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE payment SET sent = 29", "sent is 29 and the journal adds up to 30"),
        ("UPDATE payment SET in_flight = 25", "in flight is 25 and the journal adds up to 20"),
        ("UPDATE payment SET undecided = 1", "undecided is 1 and the journal adds up to 0"),
        ("UPDATE payment SET late = 8", "late is 8 and the journal adds up to 7"),
        ("UPDATE payment SET folded_late = 1", "late is 7 and the journal adds up to 8"),
        ("UPDATE payment SET folded = 1", "sent is 30 and the journal adds up to 31"),
        ("UPDATE transfer SET payment = NULL WHERE state = 1", "adds up to 0"),
        ("UPDATE received_payment SET received = '31'", "31 were received"),
    ],
)
async def test_each_wrong_sum_is_found(
    open_file: OpenStores, database: Path, damage: str, finding: str
) -> None:
    stores = await open_file()
    await make_payment(stores)
    connection = sqlite3.connect(database)
    connection.execute(damage)
    connection.commit()
    connection.close()

    findings = (await stores.books.audit()).findings

    assert len(findings) == 1
    assert finding in findings[0]
