"""Where prices come from, what was in force when, and by which of it a packet was converted."""

from __future__ import annotations

import json
from typing import Final

from sqlite_utils import Database

_STATEMENTS: Final = (
    # A source as the operator described it, and how it does.
    """
    CREATE TABLE rate_source (
        name TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        url TEXT NOT NULL,
        base TEXT NOT NULL,
        assets TEXT NOT NULL,           -- a JSON object, its name to our code
        path TEXT NOT NULL,
        inverted INTEGER NOT NULL,
        prices TEXT NOT NULL,           -- a JSON object, code to decimal text
        poll_seconds INTEGER NOT NULL,
        max_age_seconds INTEGER NOT NULL,
        enabled INTEGER NOT NULL,
        api_key_sealed BLOB,
        tried_at_ms INTEGER,
        answered_at_ms INTEGER,
        data_at_ms INTEGER,
        prices_count INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        problem TEXT NOT NULL DEFAULT '',
        next_at_ms INTEGER
    ) STRICT
    """,
    # All prices that were in force together, from then until the next row. A number is never used twice.
    """
    CREATE TABLE rate_snapshot (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        reference TEXT NOT NULL,
        prices TEXT NOT NULL            -- a JSON object: code to [price, at_ms, max_age_ms, sources]
    ) STRICT
    """,
    """
    CREATE TABLE rate_hold (
        asset_code TEXT PRIMARY KEY,
        from_price TEXT NOT NULL,
        to_price TEXT NOT NULL,
        since_ms INTEGER NOT NULL,
        samples INTEGER NOT NULL,
        sources TEXT NOT NULL,          -- a JSON list
        state TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE pair_spread (
        source TEXT NOT NULL,
        target TEXT NOT NULL,
        spread TEXT NOT NULL,           -- a fraction
        PRIMARY KEY (source, target)
    ) STRICT, WITHOUT ROWID
    """,
    # A conversion is told from another by the prices that it came from, too: so each transfer names them.
    """
    CREATE TABLE conversion_by_rate (
        number INTEGER PRIMARY KEY,
        rate TEXT NOT NULL,
        spread TEXT NOT NULL,
        rate_id INTEGER NOT NULL DEFAULT 0,  -- rate_snapshot.id; 0 where no price was needed
        UNIQUE (rate, spread, rate_id)
    ) STRICT
    """,
    "INSERT INTO conversion_by_rate (number, rate, spread) SELECT number, rate, spread FROM conversion",
    "DROP TABLE conversion",
    "ALTER TABLE conversion_by_rate RENAME TO conversion",
    "INSERT INTO change (kind, version) VALUES ('rate_feed', 0)",
)


def create_rate_feed(database: Database) -> None:
    """Create the tables; the prices that are in force become the first of those that were."""
    for statement in _STATEMENTS:
        database.execute(statement)
    prices = dict(database.execute("SELECT asset_code, price FROM price").fetchall())
    if prices:
        rows = {code: [price, None, None, []] for code, price in sorted(prices.items())}
        database.execute(
            "INSERT INTO rate_snapshot (at_ms, reference, prices)"
            " VALUES (strftime('%s', 'now') * 1000, 'USD', ?)",
            (json.dumps(rows),),
        )
