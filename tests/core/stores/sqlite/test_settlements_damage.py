"""Whatever is changed in a settlement or in what the journal posted for it, the audit says with both numbers."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.stores import Stores
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import BOB
from tests.core.stores.test_settlements import (
    GWEI,
    KEY,
    add,
    attempt,
    block,
    decide,
    owe,
    payment,
    scan,
    settled,
    take,
)

HALF = GWEI // 2


@pytest.fixture
async def stores(open_file: OpenStores) -> Stores:
    """Settlements of each kind: paid, given back, reopened, credited, assigned, taken back, finer than a unit."""
    stores = await open_file()
    settlements = stores.settlements
    await add(stores, settled(), settled(BOB, "bob"))
    lease = await take(stores)
    await owe(stores, 150)
    paid = await decide(stores, lease)
    await settlements.sign(lease, KEY, paid.id, 5, attempt())
    await settlements.finish(
        lease, paid.id, transaction="tx-1", block=block(11), confirmations=2, fee=1
    )
    await owe(stores, 250, BOB)
    undone = await decide(stores, lease, BOB)
    await settlements.sign(lease, KEY, undone.id, 6, attempt("tx-2"))
    await settlements.fail(
        lease, undone.id, problem="undone", give_back=True, transaction="tx-2", block=block(15)
    )
    await scan(stores, lease, payment("in-1"), payment("in-2", sender="stranger"), upto=11)
    (waiting,) = await settlements.unmatched(limit=10)
    await settlements.assign_unmatched(waiting.key, BOB)
    for number in (12, 13, 14):
        dust = payment(f"dust-{number}", amount=HALF, at=number)
        await scan(stores, lease, dust, upto=number)
    await scan(stores, lease, payment("gone", at=15, amount=9 * GWEI), upto=15)
    await settlements.rewind(lease, KEY, block(12))  # two of the dust, the settlement, and 9
    dust = payment("dust-14", amount=HALF, at=13)
    await scan(stores, lease, dust, upto=13)
    await settlements.fail(lease, undone.id, problem="undone again", give_back=True)
    assert (await stores.books.audit()).findings == ()
    return stores


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "UPDATE settlement_out SET amount = 139 WHERE state = 'final'",
            r"Settlement \S{36} of account 1 is of 139, and the journal debits 140\.",
        ),
        (
            "UPDATE settlement_out SET given_back = 0",
            r"Settlement \S{36} of account 2 is of 240, and the journal debits 0\.",
        ),
        (
            "UPDATE settlement_out SET given_back = 1",
            r"Settlement \S{36} of account 1 is of 0, given back, and the journal debits 140\.",
        ),
        (
            "UPDATE settlement_out SET account = 2 WHERE state = 'final'",
            r"The journal debits account 1 140 for settlement \S{36}, which is not there\.",
        ),
        (
            "DELETE FROM settlement_out WHERE state = 'final'",
            r"The journal debits account 1 140 for settlement \S{36}, which is not there\.",
        ),
        (
            "UPDATE entry SET payable = -141 WHERE payable = -140",
            r"Settlement \S{36} of account 1 is of 140, and the journal debits 141\.",
        ),
        (
            "DELETE FROM entry WHERE payable = -140",
            r"Settlement \S{36} of account 1 is of 140, and the journal debits nothing\.",
        ),
        (
            "DELETE FROM entry WHERE reason LIKE '% was not paid'",
            r"Settlement \S{36} of account 2 is of 0, given back, and the journal debits 480\.",
        ),
        (
            "UPDATE settlement_in SET amount = 8 WHERE ledger_transaction = 'in-1'",
            r"Payment in-1 to account 1 is credited with 8, and the journal credits 7\.",
        ),
        (
            "UPDATE settlement_in SET state = 'reversed' WHERE ledger_transaction = 'in-2'",
            r"Payment in-2 to account 2 is taken back, and credited with 0, and the journal credits 7\.",
        ),
        (
            "UPDATE settlement_in SET state = 'credited' WHERE ledger_transaction = 'gone'",
            r"Payment gone to account 1 is credited with 9, and the journal credits 0\.",
        ),
        (
            "DELETE FROM settlement_in WHERE ledger_transaction = 'in-2'",
            r"The journal credits account 2 with 7 for payment in-2, which is not there\.",
        ),
        (
            "UPDATE entry SET receivable = -6 WHERE reason = 'payment in-1'",
            r"Payment in-1 to account 1 is credited with 7, and the journal credits 6\.",
        ),
        (
            "DELETE FROM entry WHERE reason LIKE 'payment in-2, %'",
            r"Payment in-2 to account 2 is credited with 7, and the journal credits nothing\.",
        ),
        (
            "DELETE FROM entry WHERE reason = 'payment gone was taken back by the ledger'",
            r"Payment gone to account 1 is taken back, and credited with 0, and the journal credits 9\.",
        ),
        (
            "UPDATE entry SET reason = 'because' WHERE reason = 'payment in-1'",
            r"Entry \d+ is a settlement_in, and its reason names neither a settlement nor a payment\.",
        ),
    ],
)
async def test_a_settlement_that_differs_from_the_journal_is_told(
    stores: Stores, database: Path, change: str, sentence: str
) -> None:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(change).rowcount > 0
        connection.commit()

    report = await stores.books.audit()

    assert any(re.fullmatch(sentence, finding) for finding in report.findings), report.findings
