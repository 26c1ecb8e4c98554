"""Which node process holds a connection to which account, for the others to see."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_HELD_LINK: Final = """
CREATE TABLE held_link (
    account INTEGER NOT NULL REFERENCES account (number),
    node INTEGER NOT NULL REFERENCES node (number),
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (account, node)
) STRICT, WITHOUT ROWID
"""


def create_held_links(database: Database) -> None:
    """Create the table; it is empty as long as one process has the store for itself."""
    database.execute(_HELD_LINK)
