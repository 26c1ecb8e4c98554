"""The books: running balances, one compact row a transfer, explicit entries, and what was folded."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_TABLES: Final = (
    # An account's numbers as of the last commit; 64 bits, and nothing is ever clamped to fit.
    """
    CREATE TABLE balance (
        account INTEGER PRIMARY KEY,  -- account.number
        payable INTEGER NOT NULL DEFAULT 0,
        receivable INTEGER NOT NULL DEFAULT 0,
        pending_in INTEGER NOT NULL DEFAULT 0 CHECK (pending_in >= 0),
        pending_out INTEGER NOT NULL DEFAULT 0 CHECK (pending_out >= 0),
        unknown_out INTEGER NOT NULL DEFAULT 0 CHECK (unknown_out >= 0)
    ) STRICT
    """,
    # How an amount was converted; a few rows a day, so that a transfer names one by number.
    """
    CREATE TABLE conversion (
        number INTEGER PRIMARY KEY,
        rate TEXT NOT NULL,    -- numerator/denominator, as the spread
        spread TEXT NOT NULL,
        UNIQUE (rate, spread)
    ) STRICT
    """,
    # A packet, from PENDING to its end. The upper bits of the id name the node: id >> 42.
    """
    CREATE TABLE transfer (
        id INTEGER PRIMARY KEY,
        state INTEGER NOT NULL,
        from_account INTEGER NOT NULL,
        to_account INTEGER NOT NULL,
        incoming_amount INTEGER NOT NULL CHECK (incoming_amount >= 0),
        outgoing_amount INTEGER NOT NULL CHECK (outgoing_amount >= 0),
        conversion INTEGER,    -- NULL where both sides count alike
        spread_amount INTEGER NOT NULL,
        remainder TEXT,        -- a fraction; NULL for none
        created_at_ms INTEGER NOT NULL,
        expires_at_ms INTEGER NOT NULL,
        final_at_ms INTEGER,
        destination TEXT NOT NULL,
        condition BLOB NOT NULL,
        result BLOB            -- the fulfillment, or the reject's code
    ) STRICT
    """,
    # Where to look for what a node left open: nothing of it is open below this. A row is there before
    # the node's first transfer and until its last is settled. An index of what is open would
    # cost each packet a third more.
    """
    CREATE TABLE open_from (
        node INTEGER PRIMARY KEY,
        transfer INTEGER NOT NULL
    ) STRICT
    """,
    # The transfers that are UNKNOWN, for the same reason.
    """
    CREATE TABLE unknown (transfer INTEGER PRIMARY KEY) STRICT
    """,
    # Transfers that had their end long ago, added up; sums pass 2^63, so they are decimal text.
    """
    CREATE TABLE folded (
        state INTEGER NOT NULL,
        from_account INTEGER NOT NULL,
        to_account INTEGER NOT NULL,
        conversion INTEGER NOT NULL,  -- 0 where both sides count alike
        transfers INTEGER NOT NULL,
        incoming_amount TEXT NOT NULL,
        outgoing_amount TEXT NOT NULL,
        spread_amount TEXT NOT NULL,
        remainder TEXT NOT NULL,      -- a fraction
        PRIMARY KEY (state, from_account, to_account, conversion)
    ) STRICT, WITHOUT ROWID
    """,
    # What is not a packet's: settlements and corrections. Few, and kept for ever.
    """
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        account INTEGER NOT NULL,
        payable INTEGER NOT NULL,     -- added to payable
        receivable INTEGER NOT NULL,  -- added to receivable
        reason TEXT NOT NULL,
        at_ms INTEGER NOT NULL
    ) STRICT
    """,
)


def create_books(database: Database) -> None:
    """Create the tables in which money is counted."""
    for table in _TABLES:
        database.execute(table)
