"""What we pay, in SQLite: from the debit with its intent to the end that a receipt tells."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from core.account import AccountId
from core.errors import Conflict, EngineFenced, EngineStopped, UnknownAccount
from core.ledger.postings import EntryKind
from core.settlement.records import BUNDLED_ENGINE_SCHEME, SettlementId, SettlementState
from core.settlement.store import (
    Attempt,
    BlockMark,
    EngineLease,
    OpenSettlement,
    WalletKey,
    amount_due,
    floor_to_ledger,
)
from core.stores.sqlite.journal import record
from core.stores.sqlite.settlement_engines import check, wallet_number

_OPEN: Final = "('intent', 'signed', 'sent')"

_SERVED: Final = f"""
    SELECT account.number, account.id, account.asset_scale, account.settle_threshold,
        account.settle_to, account.settlement_address,
        coalesce(balance.payable, 0), coalesce(balance.receivable, 0)
    FROM account
    JOIN settlement_engine AS engine ON engine.name = ?
    LEFT JOIN balance ON balance.account = account.number
    LEFT JOIN settlement_engine_url AS preset ON preset.asset_code = account.asset_code
    WHERE account.deleted_at_ms IS NULL AND account.enabled = 1
        AND account.asset_code = engine.asset_code
        AND coalesce(account.settlement_engine_url, preset.url) = ?
        AND coalesce(account.settlement_address, '') <> ''
        AND account.settle_threshold IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM settlement_out AS other
            WHERE other.account = account.number AND other.state IN {_OPEN})
        AND NOT EXISTS (SELECT 1 FROM settlement_out AS failed
            WHERE failed.account = account.number AND failed.holds = 1
                AND failed.updated_at_ms >= account.updated_at_ms
                AND NOT EXISTS (SELECT 1 FROM settlement_out AS later
                    WHERE later.account = failed.account
                        AND later.created_at_ms > failed.updated_at_ms))
"""  # noqa: S608 the parts are constants


@final
@dataclass(frozen=True, slots=True)
class _Due:
    """An account whose threshold is reached, and what would be paid."""

    number: int
    account: AccountId
    amount: int
    ledger_amount: int
    destination: str


def accounts_due(
    connection: sqlite3.Connection, lease: EngineLease, *, limit: int
) -> Sequence[AccountId]:
    """Return accounts that `decide` would settle now."""
    scale = _ledger_scale(connection, lease.name)
    rows = connection.execute(_SERVED, (lease.name, f"{BUNDLED_ENGINE_SCHEME}{lease.name}"))
    found: list[AccountId] = []
    for row in rows:
        if len(found) >= limit:
            break
        due = _due(row, scale)
        if due is not None:
            found.append(due.account)
    return found


def decide(
    connection: sqlite3.Connection, lease: EngineLease, account: AccountId, now_ms: int
) -> OpenSettlement | None:
    """Debit and write the intent, if on this second look something is due."""
    check(connection, lease)
    scale = _ledger_scale(connection, lease.name)
    row = connection.execute(
        f"{_SERVED} AND account.id = ?",
        (lease.name, f"{BUNDLED_ENGINE_SCHEME}{lease.name}", account),
    ).fetchone()
    due = None if row is None else _due(row, scale)
    if due is None:
        return None
    return _intend(connection, lease.name, due, scale, now_ms)


def request(
    connection: sqlite3.Connection, account: AccountId, engine: str, amount: int, now_ms: int
) -> SettlementId:
    """Debit and write the intent by the operator's word."""
    name = engine.removeprefix(BUNDLED_ENGINE_SCHEME)
    row = connection.execute(
        """
        SELECT account.number, username, account.asset_code, asset_scale, settle_to,
            settlement_address, coalesce(payable, 0), coalesce(receivable, 0)
        FROM account LEFT JOIN balance ON balance.account = account.number
        WHERE account.id = ? AND deleted_at_ms IS NULL
        """,
        (account,),
    ).fetchone()
    if row is None:
        raise UnknownAccount(account)
    number, username, asset_code, scale, settle_to, address, payable, receivable = row
    found = connection.execute(
        "SELECT asset_code, ledger_scale FROM settlement_engine WHERE name = ?", (name,)
    ).fetchone()
    if found is None:
        raise Conflict(f"the engine {name!r} has never run on this store: start it first")
    engine_asset, ledger_scale = found
    if engine_asset != asset_code:
        raise Conflict(
            f"{username} counts in {asset_code}; the engine {name} pays {engine_asset}"
        )
    if not address:
        raise Conflict(f"{username} has no settlement address: nobody knows where to pay it")
    if _has_open(connection, number):
        raise Conflict(f"{username} has a settlement under way; one at a time")
    owed = payable - max(receivable, 0)
    most = owed - min(settle_to or 0, 0)
    if amount <= 0 or amount > most:
        raise Conflict(
            f"{amount} was asked for, and at most {max(most, 0)} is owed to {username}"
        )
    whole, ledger_amount = floor_to_ledger(
        amount, account_scale=scale, ledger_scale=ledger_scale
    )
    if ledger_amount == 0:
        raise Conflict(f"{amount} is less than the ledger can carry")
    due = _Due(number, account, whole, ledger_amount, address)
    return _intend(connection, name, due, ledger_scale, now_ms).id


def _due(row: tuple[int, str, int, int, int | None, str, int, int], scale: int) -> _Due | None:
    number, account, account_scale, threshold, settle_to, address, payable, receivable = row
    wanted = amount_due(
        payable=payable,
        receivable=receivable,
        settle_threshold=threshold,
        settle_to=settle_to,
    )
    if wanted is None:
        return None
    amount, ledger_amount = floor_to_ledger(
        wanted, account_scale=account_scale, ledger_scale=scale
    )
    if ledger_amount == 0:
        return None
    return _Due(number, AccountId(account), amount, ledger_amount, address)


def _intend(
    connection: sqlite3.Connection, engine: str, due: _Due, ledger_scale: int, now_ms: int
) -> OpenSettlement:
    """Debit and write the intent: the two are one transaction, whoever calls."""
    settlement = SettlementId(str(uuid.uuid4()))
    record(
        connection,
        EntryKind.SETTLEMENT_OUT,
        due.account,
        payable=-due.amount,
        reason=f"settlement {settlement}",
        at_ms=now_ms,
    )
    connection.execute(
        """
        INSERT INTO settlement_out (id, account, engine, state, amount, ledger_amount,
            ledger_scale, destination, created_at_ms, updated_at_ms)
        VALUES (?, ?, ?, 'intent', ?, ?, ?, ?, ?, ?)
        """,
        (
            settlement,
            due.number,
            engine,
            due.amount,
            str(due.ledger_amount),
            ledger_scale,
            due.destination,
            now_ms,
            now_ms,
        ),
    )
    return OpenSettlement(
        id=settlement,
        account=due.account,
        state=SettlementState.INTENT,
        amount=due.amount,
        ledger_amount=due.ledger_amount,
        destination=due.destination,
        nonce=None,
        attempts=(),
        problem="",
        created_at_ms=now_ms,
    )


def load_open(connection: sqlite3.Connection, lease: EngineLease) -> Sequence[OpenSettlement]:
    """Return what is not ended: signed ones by nonce, then intents by age."""
    rows = connection.execute(
        f"""
        SELECT settlement_out.id, account.id, state, amount, ledger_amount, destination, nonce,
            problem, settlement_out.created_at_ms
        FROM settlement_out JOIN account ON account.number = settlement_out.account
        WHERE engine = ? AND state IN {_OPEN}
        ORDER BY nonce IS NULL, nonce, settlement_out.created_at_ms, settlement_out.rowid
        """,  # noqa: S608 a constant
        (lease.name,),
    ).fetchall()
    return [
        OpenSettlement(
            id=SettlementId(settlement),
            account=AccountId(account),
            state=SettlementState(state),
            amount=amount,
            ledger_amount=int(ledger_amount),
            destination=destination,
            nonce=nonce,
            attempts=_attempts(connection, settlement),
            problem=problem,
            created_at_ms=created_at_ms,
        )
        for (
            settlement,
            account,
            state,
            amount,
            ledger_amount,
            destination,
            nonce,
            problem,
            created_at_ms,
        ) in rows
    ]


def _attempts(connection: sqlite3.Connection, settlement: str) -> Sequence[Attempt]:
    rows = connection.execute(
        """
        SELECT hash, raw, fee_per_unit, tip_per_unit, work_limit, at_ms
        FROM settlement_attempt WHERE settlement = ? ORDER BY number
        """,
        (settlement,),
    )
    return tuple(
        Attempt(
            hash=name,
            raw=raw,
            fee_per_unit=int(fee_per_unit),
            tip_per_unit=int(tip_per_unit),
            work_limit=work_limit,
            at_ms=at_ms,
        )
        for name, raw, fee_per_unit, tip_per_unit, work_limit, at_ms in rows
    )


def sign(
    connection: sqlite3.Connection,
    lease: EngineLease,
    key: WalletKey,
    settlement: SettlementId,
    nonce: int,
    attempt: Attempt,
    now_ms: int,
) -> None:
    """Take the nonce and keep the octets, before anybody sees them."""
    check(connection, lease)
    wallet = wallet_number(connection, lease, key)
    taken = connection.execute(
        "UPDATE settlement_wallet SET next_nonce = next_nonce + 1 WHERE number = ? AND next_nonce = ?",
        (wallet, nonce),
    )
    if not taken.rowcount:
        raise EngineFenced(f"nonce {nonce} is not the wallet's next: another process signed")
    _change(
        connection,
        lease,
        settlement,
        "state = 'signed', wallet = ?, nonce = ?, problem = ''",
        (wallet, nonce),
        states="('intent')",
        now_ms=now_ms,
    )
    _keep_attempt(connection, settlement, attempt)


def add_attempt(
    connection: sqlite3.Connection,
    lease: EngineLease,
    settlement: SettlementId,
    attempt: Attempt,
    now_ms: int,
) -> None:
    """Keep a dearer transaction with the same nonce."""
    check(connection, lease)
    _change(
        connection, lease, settlement, "problem = ''", (), states=_SIGNED_ONES, now_ms=now_ms
    )
    _keep_attempt(connection, settlement, attempt)


def _keep_attempt(
    connection: sqlite3.Connection, settlement: SettlementId, attempt: Attempt
) -> None:
    connection.execute(
        """
        INSERT INTO settlement_attempt
            (settlement, number, hash, raw, fee_per_unit, tip_per_unit, work_limit, at_ms)
        SELECT ?, count(*), ?, ?, ?, ?, ?, ?
        FROM settlement_attempt WHERE settlement = ?
        """,
        (
            settlement,
            attempt.hash,
            attempt.raw,
            str(attempt.fee_per_unit),
            str(attempt.tip_per_unit),
            attempt.work_limit,
            attempt.at_ms,
            settlement,
        ),
    )


_SIGNED_ONES: Final = "('signed', 'sent')"


def sent(
    connection: sqlite3.Connection, lease: EngineLease, settlement: SettlementId, now_ms: int
) -> None:
    """Note that the octets were broadcast."""
    check(connection, lease)
    _change(
        connection, lease, settlement, "state = 'sent'", (), states=_SIGNED_ONES, now_ms=now_ms
    )


def note(
    connection: sqlite3.Connection,
    lease: EngineLease,
    settlement: SettlementId,
    *,
    problem: str,
    transaction: str | None,
    confirmations: int | None,
    now_ms: int,
) -> None:
    """Note what the operator sees of one that is open."""
    check(connection, lease)
    _change(
        connection,
        lease,
        settlement,
        "problem = ?, ledger_transaction = ?, confirmations = ?",
        (problem, transaction, confirmations),
        states=_OPEN,
        now_ms=now_ms,
    )


def finish(
    connection: sqlite3.Connection,
    lease: EngineLease,
    settlement: SettlementId,
    *,
    transaction: str,
    block: BlockMark,
    confirmations: int,
    fee: int,
    now_ms: int,
) -> None:
    """End it paid."""
    check(connection, lease)
    _change(
        connection,
        lease,
        settlement,
        "state = 'final', ledger_transaction = ?, block = ?, confirmations = ?, fee = ?, "
        "problem = ''",
        (transaction, block.number, confirmations, str(fee)),
        states=_SIGNED_ONES,
        now_ms=now_ms,
    )


def fail(
    connection: sqlite3.Connection,
    lease: EngineLease,
    settlement: SettlementId,
    *,
    problem: str,
    give_back: bool,
    transaction: str | None,
    block: BlockMark | None,
    fee: int | None,
    now_ms: int,
) -> None:
    """End it unpaid, and give the debit back where told so."""
    check(connection, lease)
    _change(
        connection,
        lease,
        settlement,
        "state = 'failed', holds = 1, given_back = ?, problem = ?, ledger_transaction = ?, "
        "block = ?, fee = ?",
        (
            int(give_back),
            problem,
            transaction,
            None if block is None else block.number,
            None if fee is None else str(fee),
        ),
        states=_OPEN,
        now_ms=now_ms,
    )
    if give_back:
        account, amount = connection.execute(
            "SELECT account.id, amount FROM settlement_out "
            "JOIN account ON account.number = settlement_out.account WHERE settlement_out.id = ?",
            (settlement,),
        ).fetchone()
        record(
            connection,
            EntryKind.SETTLEMENT_REVERSED,
            AccountId(account),
            payable=amount,
            reason=f"settlement {settlement} was not paid",
            at_ms=now_ms,
        )


def reopen_after(connection: sqlite3.Connection, wallet: int, block: int, now_ms: int) -> int:
    """Reopen what ended in blocks that are gone; what was given back is debited again."""
    rows = connection.execute(
        """
        SELECT settlement_out.id, account.id, amount, given_back
        FROM settlement_out JOIN account ON account.number = settlement_out.account
        WHERE wallet = ? AND block > ? AND state IN ('final', 'failed')
        """,
        (wallet, block),
    ).fetchall()
    for settlement, account, amount, given_back in rows:
        if given_back:
            record(
                connection,
                EntryKind.SETTLEMENT_OUT,
                AccountId(account),
                payable=-amount,
                reason=f"settlement {settlement} is open again: its block is gone",
                at_ms=now_ms,
            )
        connection.execute(
            """
            UPDATE settlement_out SET state = 'sent', reopened = 1, given_back = 0, holds = 0,
                block = NULL, ledger_transaction = NULL, confirmations = NULL, fee = NULL,
                problem = 'the ledger took its block back; it is sent again', updated_at_ms = ?
            WHERE id = ?
            """,
            (now_ms, settlement),
        )
    return len(rows)


def _change(
    connection: sqlite3.Connection,
    lease: EngineLease,
    settlement: SettlementId,
    assignments: str,
    values: tuple[object, ...],
    *,
    states: str,
    now_ms: int,
) -> None:
    """Change one settlement of this engine's that is in one of these states."""
    changed = connection.execute(
        f"""
        UPDATE settlement_out SET {assignments}, updated_at_ms = ?
        WHERE id = ? AND engine = ? AND state IN {states}
        """,  # noqa: S608 both are constants of this module
        (*values, now_ms, settlement, lease.name),
    )
    if changed.rowcount != 1:
        raise EngineStopped(
            f"settlement {settlement} is not in the state that this step needs: "
            "somebody changed the database by hand"
        )


def _has_open(connection: sqlite3.Connection, account: int) -> bool:
    return (
        connection.execute(
            f"SELECT 1 FROM settlement_out WHERE account = ? AND state IN {_OPEN}",  # noqa: S608
            (account,),
        ).fetchone()
        is not None
    )


def _ledger_scale(connection: sqlite3.Connection, engine: str) -> int:
    row = connection.execute(
        "SELECT ledger_scale FROM settlement_engine WHERE name = ?", (engine,)
    ).fetchone()
    if row is None:
        raise EngineFenced(f"the engine {engine} has no row: its store was replaced")
    return int(row[0])
