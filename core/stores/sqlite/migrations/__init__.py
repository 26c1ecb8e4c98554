"""The database's schema, as numbered steps that only go forward.

Each area of the store has one module; a change to a schema that was ever released is a new module.
A step and the record that it was done are one transaction: an upgrade that was interrupted goes on
where it stood.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from core.errors import SchemaTooNew
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.migrations.m0001_configuration import create_configuration
from core.stores.sqlite.migrations.m0002_books import create_books
from core.stores.sqlite.migrations.m0003_settlements import create_settlements
from core.stores.sqlite.migrations.m0004_history import create_history
from core.stores.sqlite.migrations.m0005_payments import create_payments
from core.stores.sqlite.migrations.m0006_learned_routes import create_learned_routes
from core.stores.sqlite.migrations.m0007_rate_feed import create_rate_feed
from core.stores.sqlite.migrations.m0008_account_limits import add_account_limits
from core.stores.sqlite.migrations.m0009_ends_here import add_ends_here
from core.stores.sqlite.migrations.m0010_folded_late import add_folded_late
from core.stores.sqlite.migrations.m0012_held_links import create_held_links
from core.stores.sqlite.migrations.m0013_what_receivers_said import add_what_receivers_said
from core.stores.sqlite.migrations.m0014_payer_text import add_payer_text

Step = Callable[[Database], None]

MIGRATION_SET: Final = "signalbox"
STEPS: Final[Sequence[tuple[str, Step]]] = (
    ("m0001_configuration", create_configuration),
    ("m0002_books", create_books),
    ("m0003_settlements", create_settlements),
    ("m0004_history", create_history),
    ("m0005_payments", create_payments),
    ("m0006_learned_routes", create_learned_routes),
    ("m0007_rate_feed", create_rate_feed),
    ("m0008_account_limits", add_account_limits),
    ("m0009_ends_here", add_ends_here),
    ("m0010_folded_late", add_folded_late),
    ("m0012_held_links", create_held_links),
    ("m0013_what_receivers_said", add_what_receivers_said),
    ("m0014_payer_text", add_payer_text),
)
"""Every step, by the name under which it is recorded, in the order they are done."""


async def migrate(file: SqliteFile, *, steps: Sequence[tuple[str, Step]] = STEPS) -> None:
    """Bring the file's schema to this version's.

    Raises:
        SchemaTooNew: it has a step that this version does not know; nothing was changed.
        StoreUnavailable: it is locked, full or read-only; the steps that were done stay done.
    """
    for name in await file.read(partial(pending_steps, steps=steps)):
        await file.write(
            partial(apply_step, name=name, steps=steps)
        )  # a transaction of its own


def pending_steps(
    connection: sqlite3.Connection, *, steps: Sequence[tuple[str, Step]] = STEPS
) -> Sequence[str]:
    """Return the steps that are still to do, in order.

    Raises:
        SchemaTooNew: a step was done that is none of ours.
    """
    known = [name for name, _ in steps]
    done = _applied(connection)
    if foreign := sorted(done - set(known)):
        raise SchemaTooNew(found=foreign[-1], known=known[-1])
    return [name for name in known if name not in done]


def apply_step(
    connection: sqlite3.Connection,
    *,
    name: str,
    steps: Sequence[tuple[str, Step]] = STEPS,
) -> None:
    """Do one step and record it, inside the caller's transaction; nothing if another process did it."""
    if name not in pending_steps(connection, steps=steps):
        return
    names = [step_name for step_name, _ in steps]
    following = names[names.index(name) + 1 :]
    migrations = Migrations(MIGRATION_SET)
    for step_name, step in steps:
        migrations(name=step_name)(step)
    database = Database(connection, recursive_triggers=False, execute_plugins=False)
    migrations.apply(database, stop_before=following)


def _applied(connection: sqlite3.Connection) -> set[str]:
    table = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
        (Migrations.migrations_table,),
    ).fetchone()
    if table is None:
        return set()
    rows = connection.execute(
        f"SELECT name FROM {Migrations.migrations_table} WHERE migration_set = ?",  # noqa: S608
        (MIGRATION_SET,),
    )
    return {name for (name,) in rows}
