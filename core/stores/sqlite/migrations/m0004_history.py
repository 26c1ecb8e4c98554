"""What happened, step by step: one row an account and step, at each of three resolutions."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_HISTORY: Final = """
CREATE TABLE history (
    resolution INTEGER NOT NULL,  -- seconds that a step is long
    at_s INTEGER NOT NULL,        -- start of the step, Unix seconds
    account INTEGER NOT NULL,     -- account.number
    prepares INTEGER NOT NULL,
    fulfills INTEGER NOT NULL,
    rejects INTEGER NOT NULL,
    incoming_amount TEXT NOT NULL,  -- sums pass 2^63: decimal text
    outgoing_amount TEXT NOT NULL,
    net TEXT,
    latency_us_sum INTEGER NOT NULL,
    latency_us_max INTEGER NOT NULL,
    reject_codes TEXT NOT NULL,   -- a JSON object, code to count
    PRIMARY KEY (resolution, at_s, account)
) STRICT, WITHOUT ROWID
"""
# sqlite-utils makes no WITHOUT ROWID tables, and this one is a third smaller for it.


def create_history(database: Database) -> None:
    """Create the table of points, in order of time, and the way to one account's."""
    database.execute(_HISTORY)
    # One account's month of minutes is read without stepping over the others'.
    database.execute("CREATE INDEX history_by_account ON history (account, resolution, at_s)")
