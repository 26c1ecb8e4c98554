"""What peers have told of routes, and what they know of ours."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_PEER: Final = """
CREATE TABLE learned_peer (
    account INTEGER PRIMARY KEY REFERENCES account (number),
    table_id BLOB NOT NULL,         -- its table's id, 16 octets, zeros for none
    epoch INTEGER NOT NULL,         -- how far we have it
    hold_down_ms INTEGER NOT NULL,
    heard_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    wants_routes INTEGER NOT NULL,  -- whether it asked for ours
    wanted_table_id BLOB NOT NULL,
    wanted_epoch INTEGER NOT NULL,
    generation INTEGER NOT NULL,    -- grows whenever all its routes are forgotten at once
    version INTEGER NOT NULL,       -- grows with each save
    floor INTEGER NOT NULL          -- withdrawals up to this version have no row any more
) STRICT
"""
_ROUTE: Final = """
CREATE TABLE learned_route (
    account INTEGER NOT NULL,       -- account.number
    prefix TEXT NOT NULL,
    path TEXT,                      -- nodes on the way, a blank between two; NULL where it was withdrawn
    auth BLOB NOT NULL,
    generation INTEGER NOT NULL,    -- of learned_peer: rows of an older one are nobody's
    version INTEGER NOT NULL,
    PRIMARY KEY (account, prefix)
) STRICT, WITHOUT ROWID
"""
# sqlite-utils makes no WITHOUT ROWID tables, and a hundred thousand rows are half as large for it.


def create_learned_routes(database: Database) -> None:
    """Create both tables, and let other processes see their changes."""
    database.execute(_PEER)
    database.execute(_ROUTE)
    database.execute("INSERT INTO change (kind, version) VALUES ('learned', 0)")
