"""Rolls old rows of the journal up into totals, so that the file stays bounded and the sums stay exact.

A transfer that had its end goes into the total of its state, its two accounts and its conversion: from
that the audit derives the same postings as from the rows. By which prices it was converted is forgotten
with its row; the rate and the spread are not. Transfers that are open or UNKNOWN are never
folded, nor are settlements and corrections: those are few, and an operator looks them up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, TypeAlias

from core.ledger.books import TransferState, first_id, node_of
from core.ledger.postings import Total

_FIRST: Final = "SELECT id FROM transfer WHERE id >= ? ORDER BY id LIMIT 1"
_OLD: Final = """
    SELECT id, state, from_account, to_account, coalesce(conversion, 0), incoming_amount,
        outgoing_amount, spread_amount, remainder, created_at_ms, final_at_ms, payment
    FROM transfer WHERE id >= ? AND id < ? ORDER BY id
"""
_TOTAL: Final = """
    SELECT transfers, incoming_amount, outgoing_amount, spread_amount, remainder FROM folded
    WHERE state = ? AND from_account = ? AND to_account = ? AND conversion = ?
"""
_WITHOUT_PRICES: Final = """
    INSERT OR IGNORE INTO conversion (rate, spread, rate_id)
    SELECT rate, spread, 0 FROM conversion WHERE number = ? AND rate_id != 0
"""
_ALIKE: Final = """
    SELECT alike.number FROM conversion AS one
    JOIN conversion AS alike
        ON alike.rate = one.rate AND alike.spread = one.spread AND alike.rate_id = 0
    WHERE one.number = ?
"""
_SENT: Final = (
    "UPDATE payment SET folded = folded + ?, folded_late = folded_late + ? WHERE number = ?"
)
_SAVE: Final = "INSERT OR REPLACE INTO folded VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

Key: TypeAlias = tuple[int, int, int, int]
"""State, from, to, conversion."""


def fold(connection: sqlite3.Connection, *, before_ms: int, rows_max: int) -> int:
    """Fold at most `rows_max` transfers whose end is older than `before_ms`; return how many."""
    folded: list[int] = []
    totals: dict[Key, Total] = {}
    sent: dict[int, list[int]] = {}
    alike: dict[int, int] = {0: 0}
    for row in _old_rows(connection, before_ms=before_ms, rows_max=rows_max):
        transfer_id, state, source, target, conversion = row[:5]
        if conversion not in alike:
            alike[conversion] = _alike(connection, conversion)
        key = (state, source, target, alike[conversion])
        if key not in totals:
            totals[key] = _load(connection, key)
        totals[key].fold(state, row[5], row[6], row[7], Fraction(row[8] or 0))
        folded.append(transfer_id)
        if row[11] is not None and state != TransferState.REJECTED:
            sent.setdefault(row[11], [0, 0])[state == TransferState.LATE] += row[5]
    connection.executemany(
        _SAVE,
        [
            (
                *key,
                total.transfers,
                str(total.incoming_amount),
                str(total.outgoing_amount),
                str(total.spread_amount),
                str(total.remainder),
            )
            for key, total in totals.items()
        ],
    )
    connection.executemany(_SENT, [(*amounts, payment) for payment, amounts in sent.items()])
    connection.executemany("DELETE FROM transfer WHERE id = ?", [(i,) for i in folded])
    return len(folded)


def _alike(connection: sqlite3.Connection, conversion: int) -> int:
    """Return the conversion at the same rate and spread that names no prices: so totals stay few."""
    connection.execute(_WITHOUT_PRICES, (conversion,))
    row = connection.execute(_ALIKE, (conversion,)).fetchone()
    # A row that names a conversion which is not there is for the audit to find.
    return conversion if row is None else int(row[0])


def _load(connection: sqlite3.Connection, key: Key) -> Total:
    row = connection.execute(_TOTAL, key).fetchone()
    if row is None:
        return Total()
    return Total(row[0], int(row[1]), int(row[2]), int(row[3]), Fraction(row[4]))


def _old_rows(
    connection: sqlite3.Connection, *, before_ms: int, rows_max: int
) -> Iterator[tuple[Any, ...]]:
    """Yield rows to fold, node by node from its oldest transfer; ids grow with time, so it stops early."""
    found = 0
    at = 0
    while (first := connection.execute(_FIRST, (at,)).fetchone()) is not None:
        at = first_id(node_of(first[0]) + 1)
        for row in connection.execute(_OLD, (first[0], at)):
            created_at_ms, final_at_ms = row[9:11]
            if created_at_ms >= before_ms:
                break
            if final_at_ms is not None and final_at_ms < before_ms:
                yield row
                found += 1
                if found == rows_max:
                    return
