"""Engines in SQLite: who runs one, under which epoch, and on which wallet."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from core.errors import EngineFenced, EngineStopped
from core.settlement.records import EngineStatus
from core.settlement.store import (
    MARKS_KEPT,
    BlockMark,
    EngineIdentity,
    EngineLease,
    EngineReport,
    Wallet,
    WalletKey,
)

MARKS_SLACK: Final = 100
"""So many more than are kept may lie there before they are cleared away."""

_RESET: Final = (
    "the test chain began anew before this was final; look whether it was paid, "
    "and correct the balance if it was not"
)


def take(connection: sqlite3.Connection, identity: EngineIdentity, now_ms: int) -> EngineLease:
    """Take the engine under the next epoch; that its last process is gone is the caller's to know."""
    (epoch,) = connection.execute(
        """
        INSERT INTO settlement_engine
            (name, kind, epoch, pid, started_at_ms, heartbeat_at_ms, asset_code, ledger_scale)
        VALUES (?, ?, 1, ?, ?, ?, ?, ?)
        ON CONFLICT (name) DO UPDATE SET
            kind = excluded.kind, epoch = epoch + 1, pid = excluded.pid,
            started_at_ms = excluded.started_at_ms, heartbeat_at_ms = excluded.heartbeat_at_ms,
            stopped_at_ms = NULL, asset_code = excluded.asset_code,
            ledger_scale = excluded.ledger_scale, problem = ''
        RETURNING epoch
        """,
        (
            identity.name,
            identity.kind,
            identity.pid,
            now_ms,
            now_ms,
            identity.asset_code,
            identity.ledger_scale,
        ),
    ).fetchone()
    return EngineLease(identity.name, int(epoch))


def running_pid(connection: sqlite3.Connection, name: str) -> int | None:
    """Return which process last took the engine."""
    row = connection.execute(
        "SELECT pid FROM settlement_engine WHERE name = ?", (name,)
    ).fetchone()
    return None if row is None else int(row[0])


def check(connection: sqlite3.Connection, lease: EngineLease) -> None:
    """Refuse a lease that is not the newest.

    Raises:
        EngineFenced: another process has taken the engine, or this one has given it back.
    """
    held = connection.execute(
        "SELECT 1 FROM settlement_engine WHERE name = ? AND epoch = ? AND stopped_at_ms IS NULL",
        (lease.name, lease.epoch),
    ).fetchone()
    if held is None:
        raise EngineFenced(
            f"engine {lease.name} was taken over by another process; this one writes no more"
        )


def release(connection: sqlite3.Connection, lease: EngineLease, now_ms: int) -> None:
    """End the lease in order."""
    check(connection, lease)
    connection.execute(
        "UPDATE settlement_engine SET stopped_at_ms = ? WHERE name = ?", (now_ms, lease.name)
    )


def heartbeat(
    connection: sqlite3.Connection, lease: EngineLease, report: EngineReport, now_ms: int
) -> None:
    """Keep what the engine says of itself."""
    check(connection, lease)
    connection.execute(
        """
        UPDATE settlement_engine SET heartbeat_at_ms = ?, ledger = ?, address = ?,
            balance = ?, head = ?, problem = ?
        WHERE name = ?
        """,
        (
            now_ms,
            report.ledger,
            report.address,
            None if report.balance is None else str(report.balance),
            report.head,
            report.problem,
            lease.name,
        ),
    )


def statuses(connection: sqlite3.Connection) -> Sequence[EngineStatus]:
    """Return every engine that ever ran here, by name."""
    rows = connection.execute(
        """
        SELECT name, kind, pid, epoch, started_at_ms, heartbeat_at_ms, stopped_at_ms, ledger,
            address, asset_code, ledger_scale, balance, head, problem
        FROM settlement_engine ORDER BY name
        """
    )
    return [
        EngineStatus(
            name=name,
            kind=kind,
            pid=pid,
            epoch=epoch,
            started_at_ms=started_at_ms,
            heartbeat_at_ms=heartbeat_at_ms,
            stopped_at_ms=stopped_at_ms,
            ledger=ledger,
            address=address,
            asset_code=asset_code,
            ledger_scale=ledger_scale,
            balance=None if balance is None else int(balance),
            head=head,
            problem=problem,
        )
        for (
            name,
            kind,
            pid,
            epoch,
            started_at_ms,
            heartbeat_at_ms,
            stopped_at_ms,
            ledger,
            address,
            asset_code,
            ledger_scale,
            balance,
            head,
            problem,
        ) in rows
    ]


# --- Wallets ------------------------------------------------------------------------------------


def wallet_number(connection: sqlite3.Connection, lease: EngineLease, key: WalletKey) -> int:
    """Return the number by which rows name a wallet that was opened."""
    row = connection.execute(
        "SELECT number FROM settlement_wallet WHERE engine = ? AND ledger_id = ? AND address = ?",
        (lease.name, key.ledger_id, key.address),
    ).fetchone()
    if row is None:
        raise EngineFenced(f"engine {lease.name} has no wallet {key.address} on this chain")
    return int(row[0])


def load_wallet(
    connection: sqlite3.Connection, lease: EngineLease, key: WalletKey
) -> Wallet | None:
    """Return how far a wallet is, or None if it was never opened."""
    row = connection.execute(
        """
        SELECT next_nonce, cursor_block, cursor_hash FROM settlement_wallet
        WHERE engine = ? AND ledger_id = ? AND address = ?
        """,
        (lease.name, key.ledger_id, key.address),
    ).fetchone()
    if row is None:
        return None
    next_nonce, block, block_hash = row
    return Wallet(next_nonce=next_nonce, cursor=BlockMark(block, block_hash))


def open_wallet(
    connection: sqlite3.Connection,
    lease: EngineLease,
    key: WalletKey,
    *,
    first: Wallet,
    resets: bool,
    now_ms: int,
) -> Wallet:
    """Begin with a wallet, or go on with it; refuse to leave payments behind on another."""
    check(connection, lease)
    others = connection.execute(
        """
        SELECT number, ledger_id, address, resets,
            EXISTS (SELECT 1 FROM settlement_out WHERE wallet = number
                    AND state IN ('signed', 'sent'))
        FROM settlement_wallet WHERE engine = ? AND NOT (ledger_id = ? AND address = ?)
        """,
        (lease.name, key.ledger_id, key.address),
    ).fetchall()
    for number, ledger_id, address, could_reset, is_used in others:
        if ledger_id != key.ledger_id and not (resets and could_reset):
            raise EngineStopped(
                f"engine {lease.name} works on the chain {ledger_id.partition(':')[0]}, and the "
                "ledger's node is on another: give another chain an engine of another name"
            )
        if ledger_id == key.ledger_id and is_used:
            raise EngineStopped(
                f"engine {lease.name} has payments under way from {address}, and its key is now "
                f"that of {key.address}: put the old key back until they are final"
            )
        if ledger_id != key.ledger_id:
            _park(connection, number, now_ms)
    known = load_wallet(connection, lease, key)
    if known is not None:
        return known
    connection.execute(
        """
        INSERT INTO settlement_wallet
            (engine, ledger_id, address, resets, next_nonce, cursor_block, cursor_hash)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        (
            lease.name,
            key.ledger_id,
            key.address,
            int(resets),
            first.next_nonce,
            first.cursor.number,
            first.cursor.hash,
        ),
    )
    mark(connection, wallet_number(connection, lease, key), first.cursor)
    return first


def _park(connection: sqlite3.Connection, wallet: int, now_ms: int) -> None:
    """End what was signed for a test chain that is gone; what became of it there nobody can know."""
    connection.execute(
        """
        UPDATE settlement_out SET state = 'failed', problem = ?, updated_at_ms = ?
        WHERE wallet = ? AND state IN ('signed', 'sent')
        """,
        (_RESET, now_ms, wallet),
    )


def load_marks(
    connection: sqlite3.Connection, lease: EngineLease, key: WalletKey
) -> Sequence[BlockMark]:
    """Return where the cursor has been, newest first."""
    rows = connection.execute(
        "SELECT block, hash FROM settlement_mark WHERE wallet = ? ORDER BY block DESC",
        (wallet_number(connection, lease, key),),
    )
    return [BlockMark(block, block_hash) for block, block_hash in rows]


def mark(connection: sqlite3.Connection, wallet: int, cursor: BlockMark) -> None:
    """Remember that the cursor was here; the oldest but the very first are forgotten."""
    connection.execute(
        "INSERT OR REPLACE INTO settlement_mark (wallet, block, hash) VALUES (?, ?, ?)",
        (wallet, cursor.number, cursor.hash),
    )
    count, oldest = connection.execute(
        "SELECT count(*), min(block) FROM settlement_mark WHERE wallet = ?", (wallet,)
    ).fetchone()
    if count > MARKS_KEPT + MARKS_SLACK:
        connection.execute(
            """
            DELETE FROM settlement_mark WHERE wallet = :wallet AND block > :oldest AND block < (
                SELECT block FROM settlement_mark WHERE wallet = :wallet
                ORDER BY block DESC LIMIT 1 OFFSET :newer)
            """,
            {"wallet": wallet, "oldest": oldest, "newer": MARKS_KEPT - 1},
        )


def move_cursor(connection: sqlite3.Connection, wallet: int, cursor: BlockMark) -> None:
    """Note that everything up to this block is credited."""
    connection.execute(
        "UPDATE settlement_wallet SET cursor_block = ?, cursor_hash = ? WHERE number = ?",
        (cursor.number, cursor.hash, wallet),
    )
