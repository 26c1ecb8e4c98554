"""Hands the audit what the database has, from one snapshot."""

from __future__ import annotations

import sqlite3
from fractions import Fraction
from typing import Final

from core.ledger.audit import Audit, AuditedAccount, TransferRow
from core.ledger.books import TRANSFERS_PER_NODE_BITS, AuditReport, Balance
from core.ledger.postings import Total
from core.stores.sqlite import payment_auditing, settlement_auditing

_ACCOUNTS: Final = """
    SELECT number, coalesce(username, former_username || ' (deleted)', id), asset_code, asset_scale
    FROM account
"""
_BALANCES: Final = """
    SELECT account, payable, receivable, pending_in, pending_out, unknown_out FROM balance
"""
_TRANSFERS: Final = """
    SELECT id, state, from_account, to_account, incoming_amount, outgoing_amount, conversion,
        spread_amount, remainder, final_at_ms, condition, result
    FROM transfer
"""
_FOLDED: Final = """
    SELECT state, from_account, to_account, nullif(conversion, 0), transfers, incoming_amount,
        outgoing_amount, spread_amount, remainder
    FROM folded
"""
_ENTRIES: Final = "SELECT id, kind, account, payable, receivable FROM entry"
# What nobody would look for: recovery and the operator find what is open by these two tables.
_LOST: Final = f"""
    SELECT format('Transfer %d is open, and recovery would not find it.', id)
    FROM transfer LEFT JOIN open_from ON node = id >> {TRANSFERS_PER_NODE_BITS}
    WHERE state IN (0, 3) AND (transfer IS NULL OR transfer > id)
    UNION ALL
    SELECT format('Transfer %d is UNKNOWN, and not listed.', id)
    FROM transfer WHERE state = 5 AND id NOT IN (SELECT transfer FROM unknown)
    UNION ALL
    SELECT format('Transfer %d is listed as UNKNOWN, and is not.', transfer)
    FROM unknown WHERE transfer NOT IN (SELECT id FROM transfer WHERE state = 5)
"""  # noqa: S608 a number of ours
_NONE_LEFT: Final = Fraction(0)


def audit(connection: sqlite3.Connection) -> AuditReport:
    """Audit the snapshot that this connection reads."""
    auditing = Audit(
        {row[0]: AuditedAccount(*row[1:]) for row in connection.execute(_ACCOUNTS)}
    )

    def number_of(name: str, text: str) -> Fraction:
        try:
            return Fraction(text)
        except (ValueError, ZeroDivisionError):
            auditing.find(f"{name} has {text!r} where a number is due.")
            return _NONE_LEFT

    rates = {
        number: number_of(f"Conversion {number}", rate)
        for number, rate in connection.execute("SELECT number, rate FROM conversion")
    }
    for (problem,) in connection.execute("PRAGMA quick_check(20)"):
        if problem != "ok":
            auditing.find(f"The file is damaged: {problem}.")

    def rate_of(name: str, number: int | None) -> Fraction | None:
        if number is not None and number not in rates:
            auditing.find(f"{name} names conversion {number}, which is not there.")
        return None if number is None else rates.get(number)

    for (sentence,) in connection.execute(_LOST):
        auditing.find(sentence)
    for row in connection.execute(_TRANSFERS):
        name = f"Transfer {row[0]}"
        rate = None if row[6] is None else rate_of(name, row[6])
        remainder = _NONE_LEFT if row[8] is None else number_of(name, row[8])
        auditing.add_transfer(TransferRow._make((*row[:6], rate, row[7], remainder, *row[9:])))
    for state, source, target, conversion, transfers, *sums in connection.execute(_FOLDED):
        incoming, outgoing, spread, remainder = (number_of("A total", text) for text in sums)
        auditing.add_total(
            state,
            source,
            target,
            rate_of("A total", conversion),
            Total(transfers, int(incoming), int(outgoing), int(spread), remainder),
        )
    for number, kind, account, payable, receivable in connection.execute(_ENTRIES):
        auditing.add_entry(number, kind, account, payable=payable, receivable=receivable)
    for sentence in settlement_auditing.differences(connection):
        auditing.find(sentence)
    for sentence in payment_auditing.differences(connection):
        auditing.find(sentence)
    return auditing.report({row[0]: Balance(*row[1:]) for row in connection.execute(_BALANCES)})
