"""Whether payments and requests for money say what the journal says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Final

from core.ledger.books import TransferState

# Of transfers that moved nothing there is nothing to add, and their amounts could pass 64 bits.
_TRANSFERS: Final = """
    SELECT payment, state, sum(incoming_amount) FROM transfer
    WHERE payment IS NOT NULL AND state IN (0, 1, 3, 4, 5) GROUP BY payment, state
"""
_PAYMENTS: Final = (
    "SELECT number, id, sent, folded, in_flight, undecided, late, folded_late FROM payment"
)
_RECEIVED: Final = "SELECT connection, received, streams FROM received_payment"


def differences(connection: sqlite3.Connection) -> Iterator[str]:
    """Return a sentence for each sum that is not what its packets add up to."""
    found = {
        (payment, state): amount for payment, state, amount in connection.execute(_TRANSFERS)
    }
    for row in connection.execute(_PAYMENTS):
        number, payment_id, sent, folded, in_flight, undecided, late, folded_late = row
        for name, says, states, elsewhere in (
            ("sent", sent, (TransferState.FULFILLED,), folded),
            ("in flight", in_flight, (TransferState.PENDING,), 0),
            ("undecided", undecided, (TransferState.EXPIRED, TransferState.UNKNOWN), 0),
            ("late", late, (TransferState.LATE,), folded_late),
        ):
            adds_up = sum(found.get((number, int(state)), 0) for state in states) + elsewhere
            if says != adds_up:
                yield (
                    f"Payment {payment_id}: {name} is {says} and the journal adds up to {adds_up}, "
                    f"a difference of {says - adds_up}."
                )
    for name, received, streams in connection.execute(_RECEIVED):
        adds_up = sum(int(amount) for amount in json.loads(streams).values())
        if streams != "{}" and int(received) != adds_up:
            yield f"Connection {name}: {received} were received and its streams add up to {adds_up}."
