"""Which packets end at the node itself, so that whoever settles what a dead one left need not ask."""

from __future__ import annotations

from sqlite_utils import Database


def add_ends_here(database: Database) -> None:
    """Add the column; of older transfers it is not said, and recovery leaves them for the operator."""
    database.execute("ALTER TABLE transfer ADD COLUMN ends_here INTEGER NOT NULL DEFAULT 0")
