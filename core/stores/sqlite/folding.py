"""Rolls old rows of the journal up into totals, so that the file stays bounded and the sums stay exact.

A transfer that had its end goes into the total of its state, its two accounts and its conversion: from
that the audit derives the same postings as from the rows. Transfers that are open or UNKNOWN are never
folded, nor are settlements and corrections: those are few, and an operator looks them up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, TypeAlias

from core.ledger.books import TRANSFERS_PER_NODE_BITS, TransferState
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
_SENT: Final = "UPDATE payment SET folded = folded + ? WHERE number = ?"
_SAVE: Final = "INSERT OR REPLACE INTO folded VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

Key: TypeAlias = tuple[int, int, int, int]
"""State, from, to, conversion."""


def fold(connection: sqlite3.Connection, *, before_ms: int, rows_max: int) -> int:
    """Fold at most `rows_max` transfers whose end is older than `before_ms`; return how many."""
    folded: list[int] = []
    totals: dict[Key, Total] = {}
    sent: dict[int, int] = {}
    for row in _old_rows(connection, before_ms=before_ms, rows_max=rows_max):
        transfer_id, state, source, target, conversion = row[:5]
        key = (state, source, target, conversion)
        if key not in totals:
            totals[key] = _load(connection, key)
        totals[key].fold(state, row[5], row[6], row[7], Fraction(row[8] or 0))
        folded.append(transfer_id)
        if row[11] is not None and state == TransferState.FULFILLED:
            sent[row[11]] = sent.get(row[11], 0) + row[5]
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
    connection.executemany(_SENT, [(amount, payment) for payment, amount in sent.items()])
    connection.executemany("DELETE FROM transfer WHERE id = ?", [(i,) for i in folded])
    return len(folded)


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
        at = ((first[0] >> TRANSFERS_PER_NODE_BITS) + 1) << TRANSFERS_PER_NODE_BITS
        for row in connection.execute(_OLD, (first[0], at)):
            created_at_ms, final_at_ms = row[9:11]
            if created_at_ms >= before_ms:
                break
            if final_at_ms is not None and final_at_ms < before_ms:
                yield row
                found += 1
                if found == rows_max:
                    return
