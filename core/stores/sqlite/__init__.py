"""Stores in one SQLite file, which several nodes and engines may share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import core.stores.sqlite.lean  # noqa: F401 before whatever imports sqlite-utils
from core.clock import Clock
from core.errors import StoreUnavailable
from core.ledger.books import AuditReport
from core.stores.node_number import NodeNumber
from core.stores.record import Stores
from core.stores.sqlite.accounts import SqliteAccounts
from core.stores.sqlite.auditing import audit
from core.stores.sqlite.books import SqliteBooks
from core.stores.sqlite.connection import BUSY_SECONDS, SqliteFile, connect, unavailable
from core.stores.sqlite.history import SqliteHistory
from core.stores.sqlite.learned import SqliteLearnedRoutes
from core.stores.sqlite.leases import SqliteLeases
from core.stores.sqlite.migrations import migrate, pending_steps
from core.stores.sqlite.opening import (
    path_of,
    prepare_file,
    refuse_foreign,
    refuse_other_tables,
)
from core.stores.sqlite.payments import SqlitePayments
from core.stores.sqlite.rate_feed import SqliteRateFeed
from core.stores.sqlite.rates import SqliteRates
from core.stores.sqlite.routes import SqliteRoutes
from core.stores.sqlite.secrets import PASSPHRASE_VARIABLE, open_vault
from core.stores.sqlite.settings import SqliteSettings
from core.stores.sqlite.settlements import SqliteSettlements


async def open_sqlite(
    url: str,
    clock: Clock,
    *,
    environment: Mapping[str, str] = os.environ,
    connect: Callable[[Path], sqlite3.Connection] = connect,
    commit_on_loop: bool = False,
) -> Stores:
    """Open the file that `url` names; make it, its folder and its key where they are missing.

    `connect` opens each of its connections: with other limits, in tests. `commit_on_loop` is for a
    loop that does nothing but packets: see `SqliteFile.open`.

    Raises:
        SettingError: the URL names no file, or the passphrase in the environment is not its.
        SchemaTooNew: a newer version wrote it.
        StoreUnavailable: locked, read-only, full, not a database, or not ours; says which file.
    """
    path = path_of(url)
    await asyncio.to_thread(prepare_file, path)
    file = await SqliteFile.open(path, connect=connect, commit_on_loop=commit_on_loop)
    try:
        await migrate(file)
        passphrase = environment.get(PASSPHRASE_VARIABLE)
        vault = await file.write(partial(open_vault, path=path, passphrase=passphrase))
    except BaseException:
        await file.close()
        raise

    node = NodeNumber()
    leases = SqliteLeases(file, clock, node)
    settlements = SqliteSettlements(file, clock)

    async def close() -> None:
        await file.close()
        leases.let_go()
        settlements.let_go()

    return Stores(
        url=url,
        accounts=SqliteAccounts(file, clock, vault),
        books=SqliteBooks(file, clock, node),
        leases=leases,
        routes=SqliteRoutes(file),
        learned=SqliteLearnedRoutes(file),
        rates=SqliteRates(file, clock),
        rate_feed=SqliteRateFeed(file, vault),
        settings=SqliteSettings(file, vault),
        settlements=settlements,
        history=SqliteHistory(file),
        payments=SqlitePayments(file, clock, node),
        close=close,
    )


async def audit_sqlite(url: str) -> AuditReport:
    """Audit the books of the file that `url` names, and change nothing; its secrets stay closed.

    So a backup can be audited without its key file or passphrase, and in a folder that is read-only.

    Raises:
        SettingError: the URL names no file.
        SchemaTooNew: a newer version wrote it.
        StoreUnavailable: it cannot be read, or is not as this version keeps its books.
    """
    return await asyncio.to_thread(_audit_file, path_of(url))


def _audit_file(path: Path) -> AuditReport:
    refuse_foreign(path)
    # Without a log beside it nobody has it open, and in a folder where none can be made SQLite
    # reads the file only when it is told so.
    is_at_rest = (
        not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    )
    how = "immutable=1" if is_at_rest else "mode=ro"
    try:
        with contextlib.closing(
            sqlite3.connect(
                f"{path.as_uri()}?{how}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
            )
        ) as connection:
            connection.execute("BEGIN")  # one snapshot
            refuse_other_tables(path, connection)
            if missing := pending_steps(connection):
                raise StoreUnavailable(
                    f"the store {path} is not as this version keeps its books: it lacks "
                    f"{missing[0]}; name another file, or start a node on it once"
                )
            return audit(connection)
    except sqlite3.Error as error:
        raise unavailable(path, error) from error
