"""What came in, in SQLite: each payment credited once for ever, or kept for the operator."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from core.account import AccountId
from core.errors import AmountTooLarge, EngineFenced, NotFound
from core.ledger.postings import EntryKind
from core.settlement.records import BUNDLED_ENGINE_SCHEME, UnmatchedCredit
from core.settlement.store import (
    BlockMark,
    EngineLease,
    IncomingPayment,
    Rewound,
    ScanApplied,
    WalletKey,
    WalletTotals,
    comparable_address,
    split_ledger_amount,
)
from core.stores.sqlite.journal import record
from core.stores.sqlite.settlement_engines import check, mark, move_cursor, wallet_number
from core.stores.sqlite.settlement_outgoing import reopen_after
from core.stores.sqlite.tables import account_number

_TOO_LARGE: Final = "this is more than the books carry for one account"
_AMBIGUOUS: Final = "more than one account has this settlement address"


@final
@dataclass(frozen=True, slots=True)
class _Credit:
    """An amount that came in, split for one account."""

    number: int
    account: AccountId
    units: int
    rest: int
    """In ledger units, what is finer than the account's unit, earlier rests included."""


def payment_key(key: WalletKey, payment: IncomingPayment) -> str:
    """Return the key under which a payment is credited once: the chain's name and the payment's."""
    return f"{key.ledger_id}/{payment.key}"


def apply_scan(
    connection: sqlite3.Connection,
    lease: EngineLease,
    key: WalletKey,
    *,
    after: BlockMark,
    upto: BlockMark,
    payments: Sequence[IncomingPayment],
    now_ms: int,
) -> ScanApplied:
    """Credit what a scan found and move the cursor, in this one transaction."""
    check(connection, lease)
    wallet = wallet_number(connection, lease, key)
    at = connection.execute(
        "SELECT cursor_block, cursor_hash FROM settlement_wallet WHERE number = ?", (wallet,)
    ).fetchone()
    if BlockMark(*at) != after:
        raise EngineFenced(
            f"the cursor is not at block {after.number}: another process moved it"
        )
    counts = {"credited": 0, "unmatched": 0, "known": 0}
    for payment in payments:
        counts[_apply(connection, lease, key, wallet, payment, now_ms)] += 1
    move_cursor(connection, wallet, upto)
    mark(connection, wallet, upto)
    return ScanApplied(**counts)


def _apply(
    connection: sqlite3.Connection,
    lease: EngineLease,
    key: WalletKey,
    wallet: int,
    payment: IncomingPayment,
    now_ms: int,
) -> str:
    """Credit one payment unless it is known; return what became of it."""
    name = payment_key(key, payment)
    known = connection.execute(
        "SELECT state, account FROM settlement_in WHERE key = ?", (name,)
    ).fetchone()
    if known is not None and known[0] != "reversed":
        return "known"
    (scale,) = connection.execute(
        "SELECT ledger_scale FROM settlement_engine WHERE name = ?", (lease.name,)
    ).fetchone()
    if known is None:
        account, problem = _account_of(connection, lease.name, payment.sender)
    else:
        account, problem = known[1], ""  # taken back once, and now in another block
    credit = None
    if account is not None:
        credit = _split(connection, lease.name, account, payment.ledger_amount, scale)
        try:
            _post(
                connection,
                EntryKind.SETTLEMENT_IN,
                lease.name,
                credit,
                f"payment {payment.transaction}",
                now_ms,
            )
        except AmountTooLarge:
            credit, problem = None, _TOO_LARGE
    state = "unmatched" if credit is None else "credited"
    connection.execute(
        """
        INSERT INTO settlement_in (key, account, engine, wallet, state, sender, ledger_amount,
            ledger_scale, amount, ledger_transaction, block, block_hash, problem,
            created_at_ms, updated_at_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (key) DO UPDATE SET state = excluded.state, account = excluded.account,
            amount = excluded.amount, block = excluded.block, block_hash = excluded.block_hash,
            problem = excluded.problem, updated_at_ms = excluded.updated_at_ms
        """,
        (
            name,
            None if credit is None else credit.number,
            lease.name,
            wallet,
            state,
            payment.sender,
            str(payment.ledger_amount),
            scale,
            0 if credit is None else credit.units,
            payment.transaction,
            payment.block.number,
            payment.block.hash,
            problem,
            now_ms,
            now_ms,
        ),
    )
    return state


def _account_of(
    connection: sqlite3.Connection, engine: str, sender: str
) -> tuple[int | None, str]:
    """Return the one account that pays from this address; None, and why, where there is no such one."""
    rows = connection.execute(
        """
        SELECT account.number FROM account
        JOIN settlement_engine AS engine ON engine.name = ?
        LEFT JOIN settlement_engine_url AS preset ON preset.asset_code = account.asset_code
        WHERE account.deleted_at_ms IS NULL AND account.asset_code = engine.asset_code
            AND coalesce(account.settlement_engine_url, preset.url) = ?
            AND lower(trim(account.settlement_address)) = ?
        LIMIT 2
        """,
        (engine, f"{BUNDLED_ENGINE_SCHEME}{engine}", comparable_address(sender)),
    ).fetchall()
    if len(rows) == 1:
        return int(rows[0][0]), ""
    return None, _AMBIGUOUS if rows else ""


def _split(
    connection: sqlite3.Connection, engine: str, number: int, ledger_amount: int, scale: int
) -> _Credit:
    account, account_scale = connection.execute(
        "SELECT id, asset_scale FROM account WHERE number = ?", (number,)
    ).fetchone()
    units, rest = split_ledger_amount(
        ledger_amount,
        ledger_scale=scale,
        account_scale=account_scale,
        kept=_dust(connection, engine, number),
    )
    return _Credit(number, AccountId(account), units, rest)


def _post(
    connection: sqlite3.Connection,
    kind: EntryKind,
    engine: str,
    credit: _Credit,
    reason: str,
    now_ms: int,
) -> None:
    """Credit the account, and keep the rest for its next payment.

    Raises:
        AmountTooLarge: the books do not carry it; nothing was written.
    """
    if credit.units:
        record(
            connection,
            kind,
            credit.account,
            receivable=-credit.units,
            reason=reason,
            at_ms=now_ms,
        )
    connection.execute(
        """
        INSERT INTO settlement_dust (account, engine, amount) VALUES (?, ?, ?)
        ON CONFLICT (account, engine) DO UPDATE SET amount = excluded.amount
        """,
        (credit.number, engine, str(credit.rest)),
    )


def _dust(connection: sqlite3.Connection, engine: str, account: int) -> int:
    row = connection.execute(
        "SELECT amount FROM settlement_dust WHERE account = ? AND engine = ?",
        (account, engine),
    ).fetchone()
    return 0 if row is None else int(row[0])


def rewind(
    connection: sqlite3.Connection,
    lease: EngineLease,
    key: WalletKey,
    to: BlockMark,
    now_ms: int,
) -> Rewound:
    """Debit again what was credited after a block, and put the cursor there."""
    check(connection, lease)
    wallet = wallet_number(connection, lease, key)
    rows = connection.execute(
        """
        SELECT key, account, ledger_amount, ledger_scale, ledger_transaction FROM settlement_in
        WHERE wallet = ? AND block > ? AND state = 'credited'
        """,
        (wallet, to.number),
    ).fetchall()
    for name, account, ledger_amount, scale, transaction in rows:
        credit = _split(connection, lease.name, account, -int(ledger_amount), scale)
        reason = f"payment {transaction} was taken back by the ledger"
        _post(connection, EntryKind.SETTLEMENT_REVERSED, lease.name, credit, reason, now_ms)
        connection.execute(
            "UPDATE settlement_in SET state = 'reversed', updated_at_ms = ? WHERE key = ?",
            (now_ms, name),
        )
    connection.execute(
        "DELETE FROM settlement_in WHERE wallet = ? AND block > ? AND state = 'unmatched'",
        (wallet, to.number),
    )
    reopened = reopen_after(connection, wallet, to.number, now_ms)
    connection.execute(
        "DELETE FROM settlement_mark WHERE wallet = ? AND block > ?", (wallet, to.number)
    )
    move_cursor(connection, wallet, to)
    return Rewound(reversed_credits=len(rows), reopened_settlements=reopened)


def wallet_totals(
    connection: sqlite3.Connection, lease: EngineLease, key: WalletKey
) -> WalletTotals:
    """Add up a wallet's rows."""
    wallet = wallet_number(connection, lease, key)
    (upto,) = connection.execute(
        "SELECT cursor_block FROM settlement_wallet WHERE number = ?", (wallet,)
    ).fetchone()
    received = sum(
        int(amount)
        for (amount,) in connection.execute(
            "SELECT ledger_amount FROM settlement_in WHERE wallet = ? AND state <> 'reversed'",
            (wallet,),
        )
    )
    paid = fees = 0
    for state, amount, fee in connection.execute(
        """
        SELECT state, ledger_amount, fee FROM settlement_out
        WHERE wallet = ? AND state IN ('final', 'failed')
        """,
        (wallet,),
    ):
        paid += int(amount) if state == "final" else 0
        fees += int(fee or 0)
    return WalletTotals(upto=upto, received=received, paid=paid, fees=fees)


# --- What nobody was credited for ---------------------------------------------------------------


def unmatched(connection: sqlite3.Connection, limit: int) -> Sequence[UnmatchedCredit]:
    """Return what nobody was credited for, oldest first."""
    rows = connection.execute(
        """
        SELECT key, engine, sender, ledger_amount, ledger_scale, ledger_transaction, created_at_ms
        FROM settlement_in WHERE state = 'unmatched' ORDER BY created_at_ms, rowid LIMIT ?
        """,
        (limit,),
    )
    return [
        UnmatchedCredit(
            key=key,
            engine=engine,
            sender=sender,
            ledger_amount=int(ledger_amount),
            ledger_scale=scale,
            transaction=transaction,
            seen_at_ms=seen_at_ms,
        )
        for key, engine, sender, ledger_amount, scale, transaction, seen_at_ms in rows
    ]


def assign(
    connection: sqlite3.Connection, key: str, account_id: AccountId, now_ms: int
) -> None:
    """Credit an unmatched payment to an account, by the operator's word."""
    row = connection.execute(
        """
        SELECT engine, ledger_amount, ledger_scale, ledger_transaction FROM settlement_in
        WHERE key = ? AND state = 'unmatched'
        """,
        (key,),
    ).fetchone()
    if row is None:
        raise NotFound("this payment is not there, or an account is credited for it already")
    engine, ledger_amount, scale, transaction = row
    account = account_number(connection, account_id)
    credit = _split(connection, engine, account, int(ledger_amount), scale)
    reason = f"payment {transaction}, assigned by the operator"
    _post(connection, EntryKind.SETTLEMENT_IN, engine, credit, reason, now_ms)
    connection.execute(
        """
        UPDATE settlement_in SET state = 'credited', account = ?, amount = ?, problem = '',
            updated_at_ms = ?
        WHERE key = ?
        """,
        (account, credit.units, now_ms, key),
    )
