"""Settlements: engines and their leases, wallets, what was paid out, what came in.

What counts in a ledger's unit is decimal text: ten ether are more wei than 64 bits hold.
"""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

_STATEMENTS: Final = (
    # An engine: who runs it, under which epoch, and what it last said of itself.
    """
    CREATE TABLE settlement_engine (
        name TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        pid INTEGER NOT NULL,
        started_at_ms INTEGER NOT NULL,
        heartbeat_at_ms INTEGER NOT NULL,
        stopped_at_ms INTEGER,
        ledger TEXT NOT NULL DEFAULT '',
        address TEXT NOT NULL DEFAULT '',
        asset_code TEXT NOT NULL,
        ledger_scale INTEGER NOT NULL,
        balance TEXT,
        head INTEGER,
        problem TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    # A wallet on one chain: how far we are outwards (nonce) and inwards (cursor).
    """
    CREATE TABLE settlement_wallet (
        number INTEGER PRIMARY KEY,
        engine TEXT NOT NULL REFERENCES settlement_engine (name),
        ledger_id TEXT NOT NULL,
        address TEXT NOT NULL,
        resets INTEGER NOT NULL,
        next_nonce INTEGER NOT NULL,
        cursor_block INTEGER NOT NULL,
        cursor_hash TEXT NOT NULL,
        UNIQUE (engine, ledger_id, address)
    ) STRICT
    """,
    # Where the cursor has been, to find the block at which a reorganised chain still agrees.
    """
    CREATE TABLE settlement_mark (
        wallet INTEGER NOT NULL REFERENCES settlement_wallet (number),
        block INTEGER NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (wallet, block)
    ) STRICT, WITHOUT ROWID
    """,
    # What we pay: from the intent, written with the debit, to its end.
    """
    CREATE TABLE settlement_out (
        id TEXT PRIMARY KEY,
        account INTEGER NOT NULL REFERENCES account (number),
        engine TEXT NOT NULL REFERENCES settlement_engine (name),
        state TEXT NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0),
        ledger_amount TEXT NOT NULL,
        ledger_scale INTEGER NOT NULL,
        destination TEXT NOT NULL,
        wallet INTEGER REFERENCES settlement_wallet (number),
        nonce INTEGER,
        ledger_transaction TEXT,
        block INTEGER,
        confirmations INTEGER,
        fee TEXT,
        problem TEXT NOT NULL DEFAULT '',
        given_back INTEGER NOT NULL DEFAULT 0,  -- the debit, of one that failed
        holds INTEGER NOT NULL DEFAULT 0,       -- no further one by threshold until the operator acts
        reopened INTEGER NOT NULL DEFAULT 0,    -- ended once, and undone by a reorganisation
        created_at_ms INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL,
        UNIQUE (wallet, nonce)
    ) STRICT
    """,
    # One open settlement an account: the database's own word, whatever races.
    """
    CREATE UNIQUE INDEX settlement_out_open ON settlement_out (account)
    WHERE state IN ('intent', 'signed', 'sent') AND reopened = 0
    """,
    "CREATE INDEX settlement_out_by_account ON settlement_out (account, created_at_ms)",
    "CREATE INDEX settlement_out_by_time ON settlement_out (created_at_ms)",
    # The octets, kept before anybody saw them; a dearer one has the same nonce.
    """
    CREATE TABLE settlement_attempt (
        settlement TEXT NOT NULL REFERENCES settlement_out (id),
        number INTEGER NOT NULL,
        hash TEXT NOT NULL UNIQUE,
        raw BLOB NOT NULL,
        fee_per_unit TEXT NOT NULL,
        tip_per_unit TEXT NOT NULL,
        work_limit INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (settlement, number)
    ) STRICT
    """,
    # What came in. The key is the chain's and the transaction's: credited once for ever.
    """
    CREATE TABLE settlement_in (
        key TEXT PRIMARY KEY,
        account INTEGER REFERENCES account (number),  -- NULL while nobody is credited
        engine TEXT NOT NULL REFERENCES settlement_engine (name),
        wallet INTEGER NOT NULL REFERENCES settlement_wallet (number),
        state TEXT NOT NULL,
        sender TEXT NOT NULL,
        ledger_amount TEXT NOT NULL,
        ledger_scale INTEGER NOT NULL,
        amount INTEGER NOT NULL,
        ledger_transaction TEXT NOT NULL,
        block INTEGER NOT NULL,
        block_hash TEXT NOT NULL,
        problem TEXT NOT NULL DEFAULT '',
        created_at_ms INTEGER NOT NULL,
        updated_at_ms INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX settlement_in_by_account ON settlement_in (account, created_at_ms)",
    "CREATE INDEX settlement_in_by_time ON settlement_in (created_at_ms)",
    "CREATE INDEX settlement_in_by_block ON settlement_in (wallet, block)",
    "CREATE INDEX settlement_in_unmatched ON settlement_in (created_at_ms) WHERE state = 'unmatched'",
    # What came in and is finer than the account's unit, in ledger units.
    """
    CREATE TABLE settlement_dust (
        account INTEGER NOT NULL REFERENCES account (number),
        engine TEXT NOT NULL,
        amount TEXT NOT NULL,
        PRIMARY KEY (account, engine)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE settlement_engine_url (
        asset_code TEXT PRIMARY KEY,
        url TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)


def create_settlements(database: Database) -> None:
    """Create the tables that settlement engines and the operator share."""
    for statement in _STATEMENTS:
        database.execute(statement)
