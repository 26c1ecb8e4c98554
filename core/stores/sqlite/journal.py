"""What changes an account's numbers without a packet, written inside the caller's transaction.

A settlement debits and writes its intent, a credit moves its cursor, a deletion writes off what is
left: each is one transaction of the caller's, and these functions are its part of the books.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from core.account import AccountId
from core.errors import StoreUnavailable, UnknownAccount
from core.ledger.books import Balance
from core.ledger.postings import EntryKind, Line, enter

_NUMBER: Final = "SELECT number FROM account WHERE id = ?"
_BALANCE: Final = (
    "SELECT payable, receivable, pending_in, pending_out, unknown_out "
    "FROM balance WHERE account = ?"
)
_BALANCES: Final = (
    "SELECT account, payable, receivable, pending_in, pending_out, unknown_out "
    "FROM balance WHERE account IN"
)
_SAVE: Final = (
    "INSERT OR REPLACE INTO balance "
    "(account, payable, receivable, pending_in, pending_out, unknown_out) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_ENTER: Final = (
    "INSERT INTO entry (kind, account, payable, receivable, reason, at_ms) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)


def record(
    connection: sqlite3.Connection,
    kind: EntryKind,
    account: AccountId,
    *,
    payable: int = 0,
    receivable: int = 0,
    reason: str,
    at_ms: int,
) -> int:
    """Add to an account's numbers and write the entry that says why; return the entry's number.

    A settlement that we decided is `payable=-amount`, one that came in `receivable=-amount`; either taken
    back is the same with the other sign and SETTLEMENT_REVERSED. `reason` names what caused it, such as
    the settlement's id. Deleted accounts can be written to: what is on its way to them still arrives.

    Raises:
        UnknownAccount: there never was one with this id.
        AmountTooLarge: the number would not fit 64 bits; nothing was written.
    """
    number = account_number(connection, account)
    line = load_line(connection, account, number)
    enter(line, payable=payable, receivable=receivable)
    return _write(connection, number, line, kind, (payable, receivable), reason, at_ms)


def post_correction(
    connection: sqlite3.Connection, number: int, amount: int, reason: str, at_ms: int
) -> int:
    """Add `amount` to an account's net, by the operator's word: as owed by us, or else owed to us.

    Raises:
        AmountTooLarge: the number would not fit 64 bits; nothing was written.
    """
    added = (max(amount, 0), max(-amount, 0))
    line = load_line(connection, AccountId(str(number)), number)
    enter(line, payable=added[0], receivable=added[1])
    return _write(connection, number, line, EntryKind.CORRECTION, added, reason, at_ms)


def _write(
    connection: sqlite3.Connection,
    number: int,
    line: Line,
    kind: EntryKind,
    added: tuple[int, int],
    reason: str,
    at_ms: int,
) -> int:
    save_lines(connection, {number: line})
    cursor = connection.execute(_ENTER, (kind, number, *added, reason, at_ms))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def balance_of(connection: sqlite3.Connection, account: AccountId) -> Balance:
    """Return an account's numbers as this transaction sees them; zeros where it never moved anything."""
    row = connection.execute(_NUMBER, (account,)).fetchone()
    return Balance() if row is None else load_line(connection, account, row[0]).balance


def account_number(connection: sqlite3.Connection, account: AccountId) -> int:
    """Return the number by which the books name an account, a deleted one too.

    Raises:
        UnknownAccount: there never was one with this id.
    """
    row = connection.execute(_NUMBER, (account,)).fetchone()
    if row is None:
        raise UnknownAccount(account)
    return int(row[0])


def load_line(connection: sqlite3.Connection, account: AccountId, number: int) -> Line:
    """Return an account's numbers, to be changed and saved in this transaction."""
    row = connection.execute(_BALANCE, (number,)).fetchone()
    return Line(account) if row is None else Line(account, *row)


def load_lines(connection: sqlite3.Connection, numbers: Collection[int]) -> dict[int, Line]:
    """Return the numbers of these accounts, by account number."""
    lines = {number: Line(AccountId(str(number))) for number in numbers}
    marks = ",".join("?" * len(numbers))
    for number, *values in connection.execute(f"{_BALANCES} ({marks})", tuple(numbers)):
        line = lines[number]
        (
            line.payable,
            line.receivable,
            line.pending_in,
            line.pending_out,
            line.unknown_out,
        ) = values
    return lines


def save_lines(connection: sqlite3.Connection, lines: dict[int, Line]) -> None:
    """Write the numbers of these accounts, by account number.

    Raises:
        StoreUnavailable: less is held than is decided, which only damage can bring about.
    """
    rows = [
        (
            number,
            line.payable,
            line.receivable,
            line.pending_in,
            line.pending_out,
            line.unknown_out,
        )
        for number, line in lines.items()
    ]
    try:
        connection.executemany(_SAVE, rows)
    except sqlite3.IntegrityError as error:
        raise StoreUnavailable(
            f"the books do not hold ({error}): `signalbox-node audit` says where"
        ) from error
