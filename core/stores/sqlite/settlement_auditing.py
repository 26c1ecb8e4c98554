"""Compares each settlement with what the journal posted for it: they are two tables, written together.

An entry names its settlement in the first words of its reason: `settlement ID …` for what we pay,
`payment TRANSACTION …` for what came in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

_OUT: Final = """
    WITH posted AS (
        SELECT account, substr(reason, 12, 36) AS settlement, -sum(payable) AS amount
        FROM entry
        WHERE kind IN ('settlement_out', 'settlement_reversed') AND reason LIKE 'settlement %'
        GROUP BY account, settlement
    ), due AS (
        SELECT id AS settlement, account, iif(given_back, 0, amount) AS amount, given_back
        FROM settlement_out
    )
    SELECT format('Settlement %s of account %d is of %d%s, and the journal debits %s.',
        due.settlement, due.account, due.amount, iif(due.given_back, ', given back', ''),
        coalesce(posted.amount, 'nothing'))
    FROM due LEFT JOIN posted USING (settlement, account)
    WHERE posted.amount IS NOT due.amount
    UNION ALL
    SELECT format('The journal debits account %d %d for settlement %s, which is not there.',
        posted.account, posted.amount, settlement)
    FROM posted LEFT JOIN due USING (settlement, account)
    WHERE due.settlement IS NULL
"""
# A row that was taken back, then found too large for the books and taken back again is gone: its entries
# add up to zero.
# A payment that is finer than the account's unit adds to what was kept of earlier ones, so what a
# reversal takes back may differ by one unit from what it had given; what is kept makes up for it. Of
# one that was never taken back, and of one in whole units, the amount is exact.
_IN: Final = """
    WITH named AS (
        SELECT kind, account, receivable, substr(reason, 9) || ' ' AS rest
        FROM entry
        WHERE kind IN ('settlement_in', 'settlement_reversed') AND reason LIKE 'payment %'
    ), posted AS (
        SELECT account, rtrim(substr(rest, 1, instr(rest, ' ') - 1), ',') AS payment,
            -sum(receivable) AS amount, count(*) AS entries
        FROM named GROUP BY account, payment
    ), due AS (
        SELECT ledger_transaction AS payment, settlement_in.account,
            sum(iif(state = 'credited', amount, 0)) AS amount,
            count(*) AS payments,
            max(state = 'reversed') AS is_reversed,
            max(ledger_scale > asset_scale AND rtrim(ledger_amount, '0') <> ''
                AND length(ledger_amount) - length(rtrim(ledger_amount, '0'))
                    < ledger_scale - asset_scale) AS is_finer
        FROM settlement_in JOIN account ON account.number = settlement_in.account
        WHERE state <> 'unmatched'
        GROUP BY payment, settlement_in.account
    )
    SELECT format('Payment %s to account %d is %s %d, and the journal credits %s.',
        due.payment, due.account, iif(due.is_reversed, 'taken back, and credited with', 'credited with'),
        due.amount, coalesce(posted.amount, 'nothing'))
    FROM due LEFT JOIN posted USING (payment, account)
    WHERE abs(coalesce(posted.amount, 0) - due.amount) > iif(
        due.is_finer AND (due.is_reversed OR coalesce(posted.entries, 0) > due.payments),
        max(coalesce(posted.entries, 0), 1), 0)
    UNION ALL
    SELECT format('The journal credits account %d with %d for payment %s, which is not there.',
        posted.account, posted.amount, payment)
    FROM posted LEFT JOIN due USING (payment, account)
    WHERE due.payment IS NULL AND posted.amount <> 0
"""
_UNNAMED: Final = """
    SELECT format('Entry %d is a %s, and its reason names neither a settlement nor a payment.', id, kind)
    FROM entry
    WHERE (kind IN ('settlement_out', 'settlement_reversed', 'settlement_in'))
        AND NOT (kind <> 'settlement_in' AND reason LIKE 'settlement %')
        AND NOT (kind <> 'settlement_out' AND reason LIKE 'payment %')
"""


def differences(connection: sqlite3.Connection) -> Iterator[str]:
    """Say in a sentence each where the settlements and the journal differ."""
    for query in (_OUT, _IN, _UNNAMED):
        for (sentence,) in connection.execute(query):
            yield sentence
