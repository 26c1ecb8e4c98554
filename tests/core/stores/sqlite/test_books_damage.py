"""Whatever is changed in the file behind the books' back, the audit finds, and says in a sentence with numbers."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from core.ledger.books import Books
from core.rates.rate import convert
from core.stores import Stores
from core.testing.builders import EUR, FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import (
    ALICE,
    BOB,
    NO_TOKENS,
    NOBODY,
    add_alice_and_bob,
    bob,
    transfer,
)


@pytest.fixture
async def stores(open_file: OpenStores, clock: FakeClock) -> Stores:
    """Books with something of everything: folded, open, unknown, converted, corrected."""
    stores = await open_file()
    books = stores.books
    await add_alice_and_bob(stores)
    await stores.accounts.update_account(bob(asset=EUR), NO_TOKENS)
    outgoing_amount, conversion = convert(1000, Fraction(10, 7), Fraction(1, 300))
    converted = replace(transfer(1000), outgoing_amount=outgoing_amount, conversion=conversion)
    await stores.leases.sign_on("first")
    await books.prepare(replace(converted, destination="test.node.bob.first"))
    await stores.leases.sign_off()
    await stores.leases.sign_on("second")
    await books.recover()
    for _ in range(2):
        await books.fulfill(await books.prepare(converted), FULFILLMENT)
        await books.fulfill_late(await books.prepare(converted), FULFILLMENT)
        await books.reject(await books.prepare(converted), b"F02")
        clock.advance(seconds=1)
        await books.roll_up(before_ms=clock.now_ms(), rows_max=3)
    await books.fulfill(await books.prepare(converted), FULFILLMENT)
    await books.fulfill_late(await books.prepare(converted), FULFILLMENT)
    await books.prepare(converted)
    await books.expire(await books.prepare(converted))
    await books.correct(ALICE, 12, "a test")
    await books.correct(ALICE, -5, "a test")
    assert (await books.audit()).findings == ()
    return stores


async def findings(books: Books, database: Path, change: str) -> list[str]:
    """Return what the audit finds after each row in turn was changed so, and changed back."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    table = change.split()[1]
    key = "rowid" if table != "folded" else "state"
    found = []
    for (row,) in connection.execute(f"SELECT {key} FROM {table}").fetchall():
        connection.execute("BEGIN")
        changed = connection.execute(f"{change} WHERE {key} = ?", (row,)).rowcount
        assert changed == 1
        connection.execute("COMMIT")
        report = await books.audit()
        assert not report.passed, f"{change}, row {row}"
        found.append(report.findings[0])
        connection.execute(change.replace("+ 1", "- 1") + f" WHERE {key} = ?", (row,))
        assert (await books.audit()).passed
    connection.close()
    assert found
    return found


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE balance SET payable = payable + 1",
        "UPDATE balance SET receivable = receivable + 1",
        "UPDATE balance SET pending_in = pending_in + 1",
        "UPDATE balance SET pending_out = pending_out + 1",
        "UPDATE balance SET unknown_out = unknown_out + 1",
        "UPDATE transfer SET incoming_amount = incoming_amount + 1",
        "UPDATE transfer SET outgoing_amount = outgoing_amount + 1",
        "UPDATE transfer SET spread_amount = spread_amount + 1",
        "UPDATE transfer SET conversion = conversion + 1",
        "UPDATE transfer SET to_account = to_account + 1",
        "UPDATE transfer SET state = state + 1",
        "UPDATE entry SET payable = payable + 1",
        "UPDATE entry SET receivable = receivable + 1",
        "UPDATE entry SET account = account + 1",
    ],
)
async def test_a_number_that_is_off_by_one_is_found(
    stores: Stores, database: Path, change: str
) -> None:
    await findings(stores.books, database, change)


@pytest.mark.parametrize(
    "column", ["incoming_amount", "outgoing_amount", "spread_amount", "remainder"]
)
async def test_a_total_that_is_off_by_one_is_found(
    stores: Stores, database: Path, column: str
) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    rows = connection.execute(f"SELECT state, {column} FROM folded").fetchall()
    assert {state for state, _ in rows} == {1, 2, 4}
    for state, text in rows:
        connection.execute(
            f"UPDATE folded SET {column} = ? WHERE state = ?", (str(Fraction(text) + 1), state)
        )
        assert not (await stores.books.audit()).passed, f"{column} of state {state}"
        connection.execute(f"UPDATE folded SET {column} = ? WHERE state = ?", (text, state))
        assert (await stores.books.audit()).passed
    connection.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("DELETE FROM transfer WHERE state = 1", "alice: receivable is .* adds up to"),
        (
            "DELETE FROM transfer WHERE state = 0",
            "alice: pending_in is 1000 and .* adds up to 0",
        ),
        ("DELETE FROM folded WHERE state = 4", "bob: payable is"),
        ("DELETE FROM entry", "alice: payable is 12 and the journal adds up to 0"),
        ("DELETE FROM unknown", "is UNKNOWN, and not listed"),
        ("INSERT INTO unknown VALUES (77)", "77 is listed as UNKNOWN, and is not"),
        ("DELETE FROM open_from", "is open, and recovery would not find it"),
        ("DELETE FROM balance", "alice: receivable is 0"),
        ("UPDATE conversion SET rate = '11/7'", "1000 at the rate 11/7 is 11000/7"),
        ("DELETE FROM conversion", "names conversion 1, which is not there"),
        ("UPDATE transfer SET state = 9 WHERE state = 3", "in state 9, which there is not"),
        ("UPDATE transfer SET final_at_ms = NULL", "the time of its end is None"),
        ("UPDATE transfer SET result = zeroblob(32)", "its fulfillment is not its condition's"),
        ("UPDATE transfer SET remainder = '-1/7'", "remainder of -1/7"),
        ("UPDATE transfer SET remainder = 'x'", "Transfer .* has 'x' where a number is due"),
        ("UPDATE conversion SET rate = '1/0'", "Conversion 1 has '1/0' where a number is due"),
        ("UPDATE folded SET outgoing_amount = ''", "A total has '' where a number is due"),
        ("UPDATE entry SET kind = 'gift'", "a 'gift', which there is not"),
        ("DELETE FROM account WHERE username = 'bob'", "one is not there"),
    ],
)
async def test_what_is_missing_or_cannot_be_is_told(
    stores: Stores, database: Path, change: str, sentence: str
) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(change)
    connection.close()

    report = await stores.books.audit()

    assert any(
        pytest.RaisesExc(ValueError, match=sentence).matches(ValueError(finding))
        for finding in report.findings
    ), report.findings


def make_noise(path: Path, at: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[at : at + 57] = bytes(57)
    path.write_bytes(octets)


async def test_a_page_of_noise_is_found(
    stores: Stores, open_file: OpenStores, database: Path
) -> None:
    await stores.close()  # which folds the log into the file
    with sqlite3.connect(database) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'transfer'"
        ).fetchone()
    connection.close()
    await asyncio.to_thread(make_noise, database, (root - 1) * 4096 + 3)

    damaged = await open_file()

    assert (await damaged.books.audit()).findings[0].startswith("The file is damaged: ")


async def test_a_deleted_account_is_called_by_its_name(
    open_file: OpenStores, database: Path
) -> None:
    stores = await open_file()
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("node")
    await stores.books.fulfill(await stores.books.prepare(transfer(7)), FULFILLMENT)
    await stores.accounts.delete_account(BOB, even_with_balance=True)
    await stores.accounts.insert_account(bob(id=NOBODY), NO_TOKENS)
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("UPDATE balance SET payable = 1 WHERE account = 2")
    connection.close()

    first, *_ = (await stores.books.audit()).findings

    assert first.startswith("bob (deleted): payable is 1 and the journal adds up to 7")
