"""Payments that this node makes, what it receives, and the requests for money that it has out."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_STATEMENTS: Final = (
    # A payment of ours. Its sums are the books': they change in the transactions of its packets.
    """
    CREATE TABLE payment (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        account INTEGER NOT NULL REFERENCES account (number),
        node INTEGER NOT NULL,         -- the process that makes it
        idempotency_key TEXT,
        body_hash BLOB NOT NULL,
        receiver TEXT NOT NULL,
        destination TEXT NOT NULL DEFAULT '',
        source_amount INTEGER,
        delivered_amount TEXT,         -- the receiver's unit may be finer: decimal text
        source_amount_max INTEGER NOT NULL,
        slippage TEXT NOT NULL,        -- numerator/denominator
        min_rate TEXT,
        memo TEXT NOT NULL,
        state TEXT NOT NULL,
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        sent INTEGER NOT NULL DEFAULT 0 CHECK (sent >= 0),
        folded INTEGER NOT NULL DEFAULT 0,  -- of that, what is in no transfer's row any more
        in_flight INTEGER NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
        undecided INTEGER NOT NULL DEFAULT 0 CHECK (undecided >= 0),
        late INTEGER NOT NULL DEFAULT 0 CHECK (late >= 0),
        delivered TEXT NOT NULL DEFAULT '0',
        delivered_for INTEGER NOT NULL DEFAULT 0,
        receiver_asset_code TEXT,
        receiver_asset_scale INTEGER,
        packets INTEGER NOT NULL DEFAULT 0,
        rejects INTEGER NOT NULL DEFAULT 0,
        reject_code TEXT NOT NULL DEFAULT '',
        triggered_by TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT '',
        version INTEGER NOT NULL DEFAULT 1,
        created_at_ms INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        ended_at_ms INTEGER
    ) STRICT
    """,
    # The database's own word that one key makes one payment, whatever races.
    """
    CREATE UNIQUE INDEX payment_by_key ON payment (account, idempotency_key)
    WHERE idempotency_key IS NOT NULL
    """,
    "CREATE INDEX payment_open ON payment (account) WHERE ended_at_ms IS NULL",
    "CREATE INDEX payment_by_account ON payment (account, number)",
    "CREATE INDEX payment_by_end ON payment (ended_at_ms)",
    # Whose part a packet is; NULL for what is only forwarded.
    "ALTER TABLE transfer ADD COLUMN payment INTEGER",
    # What came in over one STREAM connection, added up by the transactions that booked it.
    """
    CREATE TABLE received_payment (
        number INTEGER PRIMARY KEY,
        account INTEGER NOT NULL REFERENCES account (number),
        from_account INTEGER NOT NULL REFERENCES account (number),
        connection TEXT NOT NULL,
        destination TEXT NOT NULL,
        invoice TEXT,
        received TEXT NOT NULL,        -- a sum: decimal text
        streams TEXT NOT NULL,         -- a JSON object: the same sum, by stream
        packets INTEGER NOT NULL,
        first_at_ms INTEGER NOT NULL,
        last_at_ms INTEGER NOT NULL,
        closed_at_ms INTEGER,
        UNIQUE (account, connection)
    ) STRICT
    """,
    "CREATE INDEX received_by_invoice ON received_payment (invoice) WHERE invoice IS NOT NULL",
    "CREATE INDEX received_by_account ON received_payment (account, number)",
    "CREATE INDEX received_by_age ON received_payment (last_at_ms)",
    """
    CREATE TABLE invoice (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        account INTEGER NOT NULL REFERENCES account (number),
        amount INTEGER NOT NULL CHECK (amount > 0),
        received TEXT NOT NULL DEFAULT '0',
        description TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL,
        expires_at_ms INTEGER,
        cancelled_at_ms INTEGER,
        paid_at_ms INTEGER
    ) STRICT
    """,
    "CREATE INDEX invoice_by_account ON invoice (account, number)",
)


def create_payments(database: Database) -> None:
    """Create the tables of payments, and let a transfer name the one that it is a part of."""
    for statement in _STATEMENTS:
        database.execute(statement)
