"""What the books add to payments and invoices, inside the transaction that books the packet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from core.errors import PaymentOver
from core.payments.records import PaymentState
from core.payments.sums import PaymentSums
from core.service import PaymentNumber, Received

_LOAD: Final = """
    SELECT node, state, cancel_requested, source_amount_max, sent, in_flight, undecided
    FROM payment WHERE number = ?
"""
_SAVE: Final = """
    UPDATE payment SET sent = ?, in_flight = ?, undecided = ?, version = version + 1,
        updated_at_ms = ?
    WHERE number = ?
"""
_RECEIVED: Final = """
    SELECT number, received FROM received_payment WHERE account = ? AND connection = ?
"""
_FIRST: Final = """
    INSERT INTO received_payment (account, from_account, connection, destination, invoice, received,
        packets, first_at_ms, last_at_ms)
    SELECT ?, ?, ?, destination, ?, ?, 1, ?, ? FROM transfer WHERE id = ?
"""
_MORE: Final = """
    UPDATE received_payment SET received = ?, packets = packets + 1, last_at_ms = ?
    WHERE number = ?
"""
_INVOICE: Final = "SELECT number, amount, received FROM invoice WHERE id = ? AND account = ?"
_CREDIT: Final = """
    UPDATE invoice SET received = ?1, paid_at_ms = coalesce(paid_at_ms, ?2) WHERE number = ?3
"""


@final
@dataclass(frozen=True, slots=True)
class Credit:
    """A packet that ended here: which transfer brought how much to whom, and for what."""

    transfer_id: int
    source: int
    target: int
    amount: int
    received: Received


def load_sums(connection: sqlite3.Connection, number: int) -> PaymentSums:
    """Return a payment's sums.

    Raises:
        PaymentOver: there is no such payment any more.
    """
    row = connection.execute(_LOAD, (number,)).fetchone()
    if row is None:
        raise PaymentOver(number, "it is not in the store")
    node, state, cancel_requested, source_amount_max, sent, in_flight, undecided = row
    return PaymentSums(
        PaymentNumber(number),
        node,
        PaymentState(state),
        bool(cancel_requested),
        source_amount_max,
        sent,
        in_flight,
        undecided,
    )


def save_sums(
    connection: sqlite3.Connection, changed: Iterable[PaymentSums], now_ms: int
) -> None:
    """Write what has changed."""
    connection.executemany(
        _SAVE,
        [(sums.sent, sums.in_flight, sums.undecided, now_ms, sums.number) for sums in changed],
    )


def save_credits(
    connection: sqlite3.Connection, credited: Iterable[Credit], now_ms: int
) -> None:
    """Add what came in to its connection, and to its invoice where it pays one of the account's."""
    for credit in credited:
        received = credit.received
        key = (credit.target, received.connection)
        row = connection.execute(_RECEIVED, key).fetchone()
        if row is None:
            connection.execute(
                _FIRST,
                (
                    credit.target,
                    credit.source,
                    received.connection,
                    received.invoice,
                    str(credit.amount),
                    now_ms,
                    now_ms,
                    credit.transfer_id,
                ),
            )
        else:
            number, so_far = row
            connection.execute(_MORE, (str(int(so_far) + credit.amount), now_ms, number))
        if received.invoice is None:
            continue
        row = connection.execute(_INVOICE, (received.invoice, credit.target)).fetchone()
        if row is not None:
            number, amount, so_far = row
            together = int(so_far) + credit.amount
            paid_at_ms = now_ms if together >= amount else None
            connection.execute(_CREDIT, (str(together), paid_at_ms, number))
