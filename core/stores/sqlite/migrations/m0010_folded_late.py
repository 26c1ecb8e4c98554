"""What of a payment was fulfilled too late and is in no transfer's row any more, so that the audit can add it up."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_LATE: Final = 4

_STATEMENTS: Final = (
    "ALTER TABLE payment ADD COLUMN folded_late INTEGER NOT NULL DEFAULT 0",
    # Until now it was not noted when a row was folded: it is what the rows that are left do not have.
    f"""
    UPDATE payment SET folded_late = late - coalesce(
        (SELECT amount FROM (
            SELECT payment, sum(incoming_amount) AS amount FROM transfer
            WHERE payment IS NOT NULL AND state = {_LATE} GROUP BY payment
        ) WHERE payment = payment.number), 0)
    WHERE late != 0
    """,  # noqa: S608 a number of ours
)


def add_folded_late(database: Database) -> None:
    """Add the column, with what earlier folding has left of it."""
    for statement in _STATEMENTS:
        database.execute(statement)
