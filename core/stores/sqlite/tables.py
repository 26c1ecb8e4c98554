"""Two things that every module of the configuration does: open a table, and count a change."""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database
from sqlite_utils.db import Table

from core.account import AccountId
from core.errors import UnknownAccount


def table(connection: sqlite3.Connection, name: str) -> Table:
    """Return a configuration table, for what is off the packet's path."""
    return Table(Database(connection, recursive_triggers=False, execute_plugins=False), name)


def count_change(connection: sqlite3.Connection, kind: str) -> None:
    """Let other processes see, in the transaction that makes it, that something of this kind changed."""
    connection.execute("UPDATE change SET version = version + 1 WHERE kind = ?", (kind,))


def account_number(connection: sqlite3.Connection, account_id: AccountId) -> int:
    """Return the number by which rows name an account that exists.

    Raises:
        UnknownAccount: it does not, or does not any more.
    """
    row = connection.execute(
        "SELECT number FROM account WHERE id = ? AND deleted_at_ms IS NULL", (account_id,)
    ).fetchone()
    if row is None:
        raise UnknownAccount(account_id)
    (number,) = row
    return int(number)
