"""Which rows of learned routes are left: a peer that tells ever new ones must not fill the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from core.account import AccountId
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import ALICE, BOB, add_alice_and_bob
from tests.core.stores.test_learned import PEER, route, saved


async def test_all_that_nobody_reads_goes_a_few_rows_at_a_time(
    open_file: OpenStores, database: Path
) -> None:
    stores = await open_file()
    await add_alice_and_bob(stores)
    peers = {}
    for account in (ALICE, BOB):
        peers[account] = await saved(
            stores,
            replace(PEER, account=account),
            *(route(f"test.{number}") for number in range(40)),
        )
    await saved(stores, replace(peers[ALICE], generation=1), route("test.7"), route("test.new"))

    looks = 1
    while await stores.learned.sweep_learned(rows_max=7):
        looks += 1

    assert looks == (40 + 1 + 40) // 7 + 1, "each looks at seven, whoever's they are"
    assert rows(database, ALICE) == ["test.7", "test.new"]
    assert len(rows(database, BOB)) == 40


async def test_a_sweep_begins_anew_behind_the_last_row(
    open_file: OpenStores, database: Path
) -> None:
    stores = await open_file()
    await add_alice_and_bob(stores)
    old = await saved(stores, PEER, route("test.a"), route("test.b"))
    assert not await stores.learned.sweep_learned(rows_max=100)

    await saved(stores, replace(old, generation=1))
    assert not await stores.learned.sweep_learned(rows_max=100)

    assert rows(database, ALICE) == []


def rows(database: Path, account: AccountId) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(
            "SELECT prefix FROM learned_route JOIN account ON number = account WHERE id = ?"
            " ORDER BY prefix",
            (account,),
        )
        return [prefix for (prefix,) in found]
