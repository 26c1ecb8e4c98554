"""What the books add to payments and invoices, inside the transaction that books the packet."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, final

from core.payments.records import PaymentState
from core.payments.sums import PaymentSums, sums_of_none
from core.service import Booked, PaymentNumber, Receivable, Received

_LOAD: Final = """
    SELECT node, state, cancel_requested, source_amount_max, sent, in_flight, undecided, late
    FROM payment WHERE number = ?
"""
_SAVE: Final = """
    UPDATE payment SET sent = ?, in_flight = ?, undecided = ?, late = ?,
        version = version + 1, updated_at_ms = ?
    WHERE number = ?
"""
_RECEIVED: Final = """
    SELECT number, received, streams, length(payer_text) FROM received_payment
    WHERE account = ? AND connection = ?
"""
_FIRST: Final = """
    INSERT INTO received_payment (account, from_account, connection, destination, invoice, received,
        streams, packets, first_at_ms, last_at_ms, payer_text)
    SELECT ?, ?, ?, destination, ?, ?, ?, 1, ?, ?, ? FROM transfer WHERE id = ?
"""
_MORE: Final = """
    UPDATE received_payment SET received = ?, streams = ?, packets = packets + 1, last_at_ms = ?
    WHERE number = ?
"""
_WRITTEN: Final = "UPDATE received_payment SET payer_text = ? WHERE number = ?"
_INVOICE: Final = "SELECT number, amount, received FROM invoice WHERE id = ? AND account = ?"
_RECEIVABLE: Final = """
    SELECT amount, received FROM invoice
    WHERE id = ? AND account = ? AND paid_at_ms IS NULL AND cancelled_at_ms IS NULL
        AND (expires_at_ms IS NULL OR expires_at_ms > ?)
"""
_CREDIT: Final = """
    UPDATE invoice SET received = ?, paid_at_ms = coalesce(paid_at_ms, ?) WHERE number = ?
"""


@final
@dataclass(slots=True, eq=False)
class Credit:
    """A packet that ended here: which transfer brought how much to whom, and for what."""

    transfer_id: int
    source: int
    target: int
    amount: int
    received: Received
    is_new: bool
    """False where it was credited before, and only the totals are asked for."""
    left: int | None
    """What its invoice takes once this is credited."""
    booked: Booked = field(default_factory=Booked)
    """What the books have, once it is saved."""


def load_sums(connection: sqlite3.Connection, number: int) -> PaymentSums:
    """Return a payment's sums; of one that is not there what stands for it, which is never written."""
    row = connection.execute(_LOAD, (number,)).fetchone()
    if row is None:
        return sums_of_none(PaymentNumber(number))
    node, state, cancel_requested, source_amount_max, *sums = row
    return PaymentSums(
        PaymentNumber(number),
        node,
        PaymentState(state),
        bool(cancel_requested),
        source_amount_max,
        *sums,
    )


def save_sums(
    connection: sqlite3.Connection, changed: Iterable[PaymentSums], now_ms: int
) -> None:
    """Write what has changed."""
    connection.executemany(
        _SAVE,
        [
            (sums.sent, sums.in_flight, sums.undecided, sums.late, now_ms, sums.number)
            for sums in changed
            if sums.is_there
        ],
    )


def save_credits(
    connection: sqlite3.Connection, credited: Iterable[Credit], now_ms: int
) -> None:
    """Add what came in to its connection, and to its invoice where it pays one of the account's."""
    for credit in credited:
        received = credit.received
        key = (credit.target, received.connection)
        row = connection.execute(_RECEIVED, key).fetchone()
        number, so_far, streams, written = (
            (None, 0, {}, 0) if row is None else (*row[:2], read_streams(row[2]), row[3])
        )
        credit.booked = Booked(streams, credit.left)
        # Where nothing came in, strangers make no rows of nothing.
        if not credit.is_new or credit.amount == 0:
            continue
        for stream, amount in received.streams:
            streams[stream] = streams.get(stream, 0) + amount
        together = str(int(so_far) + credit.amount)
        text = json.dumps({str(stream): str(total) for stream, total in streams.items()})
        if number is not None:
            connection.execute(_MORE, (together, text, now_ms, number))
            if len(received.payer_text) > written:
                connection.execute(_WRITTEN, (received.payer_text, number))
        else:
            connection.execute(
                _FIRST,
                (
                    credit.target,
                    credit.source,
                    received.connection,
                    received.invoice,
                    together,
                    text,
                    now_ms,
                    now_ms,
                    received.payer_text,
                    credit.transfer_id,
                ),
            )
        if received.invoice is not None:
            _pay(connection, received.invoice, credit, now_ms)


def receivable_of(
    connection: sqlite3.Connection, account: int, invoice: str, now_ms: int
) -> Receivable:
    """Return how much more an account's request for money takes, by what is saved."""
    row = connection.execute(_RECEIVABLE, (invoice, account, now_ms)).fetchone()
    if row is None:
        return Receivable()
    amount, received = row
    return Receivable(max(0, amount - int(received)), amount)


def _pay(connection: sqlite3.Connection, invoice: str, credit: Credit, now_ms: int) -> None:
    row = connection.execute(_INVOICE, (invoice, credit.target)).fetchone()
    if row is not None:
        number, amount, so_far = row
        together = int(so_far) + credit.amount
        paid_at_ms = now_ms if together >= amount else None
        connection.execute(_CREDIT, (str(together), paid_at_ms, number))


def read_streams(text: str) -> dict[int, int]:
    """Return a connection's totals by stream, as they are kept."""
    return {int(stream): int(total) for stream, total in json.loads(text).items()}
