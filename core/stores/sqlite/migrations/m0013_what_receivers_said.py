"""What a payment's receiver has said: its receipts, its words, where it broke the protocol, and where it was silent."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_STATEMENTS: Final = (
    # 1: of a packet that was taken it was not said how much arrived, so that `delivered` is a least.
    "ALTER TABLE payment ADD COLUMN delivered_is_least INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE payment ADD COLUMN violations TEXT NOT NULL DEFAULT '[]'",  # a JSON list of sentences
    "ALTER TABLE payment ADD COLUMN receipts TEXT NOT NULL DEFAULT '{}'",  # a JSON object: base64 by stream
    "ALTER TABLE payment ADD COLUMN receiver_text TEXT NOT NULL DEFAULT ''",
)


def add_what_receivers_said(database: Database) -> None:
    """Add the columns; of older payments nothing of it was kept."""
    for statement in _STATEMENTS:
        database.execute(statement)
