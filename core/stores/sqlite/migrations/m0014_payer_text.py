"""What the payer wrote with what came in."""

from __future__ import annotations

from sqlite_utils import Database


def add_payer_text(database: Database) -> None:
    """Add the column; of older payments it was not kept."""
    database.execute(
        "ALTER TABLE received_payment ADD COLUMN payer_text TEXT NOT NULL DEFAULT ''"
    )
