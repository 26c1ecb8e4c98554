"""Migrations of a whole store: a newer one is refused, an interrupted one goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlite_utils import Database

from core.errors import SchemaTooNew
from core.stores.sqlite.connection import SqliteFile, connect
from core.stores.sqlite.migrations import STEPS, migrate
from core.stores.sqlite.opening import prepare_file
from core.telemetry.history import HistoryPoint
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import ALICE, add_alice_and_bob


def applied(database: Path) -> Sequence[str]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall()
    connection.close()
    return [name for (name,) in rows]


async def prepare_up_to(step: str, database: Path) -> None:
    """Make a file as it was once this step was the last."""
    names = [name for name, _ in STEPS]
    prepare_file(database)
    file = await SqliteFile.open(database)
    await migrate(file, steps=STEPS[: names.index(step) + 1])
    await file.close()


async def test_a_new_file_has_every_step_in_order(
    open_file: OpenStores, database: Path
) -> None:
    await open_file()

    assert applied(database) == [name for name, _ in STEPS] == sorted(name for name, _ in STEPS)


async def test_a_newer_schema_is_refused_and_left_as_it_is(
    open_file: OpenStores, database: Path
) -> None:
    await (await open_file()).close()
    with sqlite3.connect(database) as future:
        future.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('signalbox', 'm0999_teleport', '2040-01-01')"
        )
    future.close()

    with pytest.raises(SchemaTooNew, match=r"m0999_teleport.*install the newer version"):
        await open_file()

    assert applied(database)[-1] == "m0999_teleport"


class PowerCut(Exception):
    pass


def half_a_step(database: Database) -> None:
    database.execute("CREATE TABLE history (half INTEGER)")
    raise PowerCut


async def test_an_interrupted_migration_goes_on_where_it_stood(
    open_file: OpenStores, database: Path
) -> None:
    names = [name for name, _ in STEPS]
    at = names.index("m0004_history")
    prepare_file(database)
    file = await SqliteFile.open(database)
    with pytest.raises(PowerCut):
        await migrate(file, steps=[*STEPS[:at], (names[at], half_a_step)])
    await file.close()
    assert applied(database) == names[:at]

    stores = await open_file()

    assert applied(database) == [name for name, _ in STEPS]
    await add_alice_and_bob(stores)
    await stores.history.add([HistoryPoint(at_s=0, account=ALICE)])


async def test_what_came_in_before_its_payers_words_were_kept_is_kept(
    open_file: OpenStores, database: Path
) -> None:
    await prepare_up_to("m0009_ends_here", database)
    with sqlite3.connect(database) as before:
        before.execute(
            "INSERT INTO received_payment VALUES (7, 1, 2, 'c', 'test.bob.c', NULL, '9', '{\"1\": 9}', 3, 4, 5, 6)"
        )
    before.close()

    await open_file()

    with sqlite3.connect(database) as after:
        rows = after.execute(
            "SELECT number, received, packets, payer_text FROM received_payment"
        )
        assert rows.fetchall() == [(7, "9", 3, "")]
    after.close()


async def test_a_payment_that_was_made_before_its_receivers_words_were_kept_is_kept(
    open_file: OpenStores, database: Path
) -> None:
    await prepare_up_to("m0009_ends_here", database)
    with sqlite3.connect(database) as before:
        before.execute(
            "INSERT INTO payment (id, account, node, body_hash, receiver, source_amount, source_amount_max,"
            " slippage, memo, state, sent, delivered, delivered_for, created_at_ms, updated_at_ms, ended_at_ms)"
            " VALUES ('p', 1, 1, x'', '$bob.example', 9, 9, '0/1', '', 'completed', 9, '8', 9, 1, 1, 1)"
        )
    before.close()

    await open_file()

    with sqlite3.connect(database) as after:
        rows = after.execute(
            "SELECT sent, delivered, delivered_is_least, violations, receipts, receiver_text FROM payment"
        )
        assert rows.fetchall() == [(9, "8", 0, "[]", "{}", "")]
    after.close()


async def test_the_log_is_written_ahead_and_each_commit_waits_for_the_disk(
    open_file: OpenStores, database: Path
) -> None:
    await open_file()

    connection = connect(database)
    modes = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys")
    ]
    connection.close()
    assert modes == ["wal", 2, 1]


async def test_what_was_fulfilled_too_late_before_folding_noted_it_is_added_up(
    open_file: OpenStores, database: Path
) -> None:
    await prepare_up_to("m0009_ends_here", database)
    with sqlite3.connect(database) as before:
        for number, late in ((1, 0), (2, 9), (3, 9)):
            before.execute(
                "INSERT INTO payment (number, id, account, node, body_hash, receiver, source_amount_max,"
                " slippage, memo, state, late, created_at_ms, updated_at_ms, ended_at_ms)"
                " VALUES (?1, ?1, 1, 1, x'', '$bob.example', 9, '0/1', '', 'completed', ?2, 1, 1, 1)",
                (number, late),
            )
        for transfer, payment in ((1, 3), (2, 3), (3, None)):
            before.execute(
                "INSERT INTO transfer VALUES (?, 4, 1, 2, 2, 2, NULL, 0, NULL, 1, 1, 1, 'x', x'', NULL, ?, 0)",
                (transfer, payment),
            )
    before.close()

    await open_file()

    with sqlite3.connect(database) as after:
        rows = after.execute("SELECT number, folded_late FROM payment ORDER BY number")
        assert rows.fetchall() == [(1, 0), (2, 9), (3, 5)]
    after.close()
