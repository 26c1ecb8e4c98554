"""Rates that nothing names any more are forgotten, a few at a time; what is named by anybody stays."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from core.ledger.books import Transfer
from core.rates.rate import convert
from core.stores import Stores
from core.stores.sqlite import books as sqlite_books, conversions
from core.stores.sqlite.conversions import SWEEP_SECONDS, Unused
from core.testing.builders import EUR, FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import NO_TOKENS, add_alice_and_bob, bob, transfer


def converted(rate_id: int, rate: Fraction = Fraction(10, 7)) -> Transfer:
    amount, conversion = convert(1_000, rate, Fraction(1, 300))
    return replace(
        transfer(1_000),
        outgoing_amount=amount,
        conversion=replace(conversion, rate_id=rate_id),
        destination=f"test.node.bob.{rate_id}",
    )


@pytest.fixture(autouse=True)
def _few_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "WORTH_A_SWEEP", 1)


@pytest.fixture
async def stores(open_file: OpenStores) -> Stores:
    stores = await open_file()
    await add_alice_and_bob(stores)
    await stores.accounts.update_account(bob(asset=EUR), NO_TOKENS)
    await stores.leases.sign_on("node")
    return stores


def rate_ids(database: Path) -> list[int]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT rate_id FROM conversion ORDER BY number").fetchall()
    connection.close()
    return [rate_id for (rate_id,) in rows]


async def fulfilled(stores: Stores, packet: Transfer) -> None:
    await stores.books.fulfill(await stores.books.prepare(packet), FULFILLMENT)


async def assert_audit_passes(stores: Stores) -> None:
    assert (await stores.books.audit()).findings == ()


async def test_what_only_folded_packets_named_is_forgotten(
    stores: Stores, database: Path, clock: FakeClock
) -> None:
    for rate_id in range(1, 8):
        await fulfilled(stores, converted(rate_id))
    held = await stores.books.prepare(converted(8))
    await stores.books.prepare(converted(9))
    clock.advance(seconds=SWEEP_SECONDS)

    await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=10)

    assert rate_ids(database) == [8, 9, 0]  # and what the total names
    await assert_audit_passes(stores)
    await stores.books.fulfill(held, FULFILLMENT)
    await fulfilled(stores, converted(8))
    await assert_audit_passes(stores)


async def test_it_goes_in_steps_and_only_now_and_then(
    stores: Stores, database: Path, clock: FakeClock
) -> None:
    for rate_id in range(1, 8):
        await fulfilled(stores, converted(rate_id))
    clock.advance(seconds=1)
    left = []
    while True:
        folded = await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=3)
        left.append(len(rate_ids(database)))
        await assert_audit_passes(stores)
        if left[-1] == 1:
            break
    assert left == [8, 8, 5, 2, 1]
    assert folded == 0

    for rate_id in range(8, 12):
        await fulfilled(stores, converted(rate_id))
    clock.advance(seconds=1)
    await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=100)
    assert len(rate_ids(database)) == 5
    clock.advance(seconds=SWEEP_SECONDS)
    await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=100)
    assert rate_ids(database) == [0, 11]  # the newest stays


async def test_a_rate_that_is_used_again_between_finding_and_deleting_stays(
    stores: Stores, database: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rate_id in (1, 2, 3):
        await fulfilled(stores, converted(rate_id))
    clock.advance(seconds=1)
    found: list[Unused] = []
    find, delete = conversions.find_unused, conversions.delete_unused

    def find_and_note(connection: sqlite3.Connection) -> Unused:
        found.append(find(connection))
        return Unused()  # so that it is deleted only when the test says

    monkeypatch.setattr(sqlite_books, "find_unused", find_and_note)
    await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=9)
    assert len(found[0].numbers) == 3
    await stores.books.prepare(converted(2))
    file: Any = stores.books._file  # type: ignore[attr-defined]

    deleted = await file.write(lambda connection: delete(connection, found[0]))

    assert deleted == 2
    assert rate_ids(database) == [2, 0]
    await assert_audit_passes(stores)


@pytest.mark.parametrize("which", ["this process", "another process"])
async def test_a_number_that_was_remembered_is_not_used_once_its_rate_was_forgotten(
    stores: Stores, open_file: OpenStores, database: Path, clock: FakeClock, which: str
) -> None:
    another = await open_file()
    await another.leases.sign_on("another")
    user = stores if which == "this process" else another
    await fulfilled(user, converted(1))
    await fulfilled(stores, converted(2, Fraction(3, 7)))
    clock.advance(seconds=1)
    await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=9)
    assert 1 not in rate_ids(database)

    await fulfilled(user, replace(converted(1), destination="test.node.bob.again"))

    assert 1 in rate_ids(database)
    await assert_audit_passes(stores)


async def test_few_are_not_worth_reading_the_journal(
    stores: Stores, database: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversions, "WORTH_A_SWEEP", 5)
    for rate_id in (1, 2, 3):
        await fulfilled(stores, converted(rate_id))
    clock.advance(seconds=1)

    await stores.books.roll_up(before_ms=clock.now_ms(), rows_max=9)

    assert rate_ids(database) == [1, 2, 3, 0]
