"""Several processes on one file: what one changes the others see, and one that died is known to be dead."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from core.errors import AccountExists, InsufficientBalance, NodeFenced
from core.ledger.lease import LEASE_SECONDS
from core.stores.sqlite.connection import connect
from core.stores.sqlite.leases import lock_path
from core.testing.builders import FULFILLMENT
from core.testing.clock import START_MS, FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import (
    ALICE,
    NO_TOKENS,
    add_alice_and_bob,
    alice,
    bob,
    transfer,
)

ROOT = Path(__file__).parents[4]


async def test_two_stores_see_each_others_changes_by_their_versions(
    open_file: OpenStores,
) -> None:
    one, two = await open_file(), await open_file()
    before = await two.settings.versions()

    await add_alice_and_bob(one)
    await one.routes.set_route("test.far", ALICE)

    after = await two.settings.versions()
    assert {kind for kind in after if after[kind] > before[kind]} == {"accounts", "routes"}
    assert await two.accounts.load_accounts() == [alice(), bob()]
    assert await two.routes.load_routes() == {"test.far": ALICE}
    assert await one.settings.versions() == after


async def test_of_two_stores_that_add_the_same_account_one_is_refused(
    open_file: OpenStores,
) -> None:
    one, two = await open_file(), await open_file()

    outcomes = await asyncio.gather(
        one.accounts.insert_account(alice(), NO_TOKENS),
        two.accounts.insert_account(bob(username="alice"), NO_TOKENS),
        return_exceptions=True,
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "AccountExists",
        "NoneType",
    ]
    assert [o.field for o in outcomes if isinstance(o, AccountExists)] == ["username"]


async def test_a_new_file_opened_by_several_at_once_has_one_key(open_file: OpenStores) -> None:
    stores = await asyncio.gather(*(open_file() for _ in range(4)))

    await stores[0].settings.save_secret("wallet", b"key")

    assert [await each.settings.load_secret("wallet") for each in stores] == [b"key"] * 4
    assert len({each.accounts.hash_token("token") for each in stores}) == 1


async def test_a_new_file_that_another_process_is_making_is_waited_for(
    open_file: OpenStores,
) -> None:
    held: list[threading.Timer] = []

    def beside_another(path: Path) -> sqlite3.Connection:
        """Connect without SQLite's own waiting; at the first time another holds the file a moment."""
        connection = connect(path)
        connection.execute("PRAGMA busy_timeout = 0")
        if not held:
            other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            other.execute("BEGIN IMMEDIATE")
            held.append(threading.Timer(0.1, other.close))
            held[0].start()
        return connection

    stores = await open_file(connect=beside_another)

    held[0].join()
    await stores.settings.save_setting("name", "value")


async def test_each_store_that_signs_on_has_a_number_and_a_lock_of_its_own(
    open_file: OpenStores, database: Path
) -> None:
    one, two = await open_file(), await open_file()

    first, second = await one.leases.sign_on("one"), await two.leases.sign_on("two")

    assert first.number != second.number
    assert [lease.name for lease in await one.leases.nodes()] == ["one", "two"]
    assert await two.leases.nodes() == await one.leases.nodes()
    await one.leases.sign_off()
    assert await two.leases.nodes() == (second,)
    assert not lock_path(database, first.number).exists()
    assert lock_path(database, second.number).exists()


async def test_a_store_closed_without_signing_off_counts_as_dead_at_once(
    open_file: OpenStores,
) -> None:
    gone, here = await open_file(), await open_file()
    await gone.leases.sign_on("gone")
    lease = await here.leases.sign_on("here")

    await gone.close()

    assert await here.leases.nodes() == (lease,)
    recovery = await here.books.recover()
    assert (recovery.nodes, recovery.transfers) == (1, 0)


async def test_who_was_declared_dead_is_fenced_and_signs_on_anew(
    open_file: OpenStores, clock: FakeClock, database: Path
) -> None:
    suspended, here = await open_file(), await open_file()
    old = await suspended.leases.sign_on("suspended")
    await here.leases.sign_on("here")
    clock.advance(seconds=LEASE_SECONDS)
    await here.leases.renew()

    recovery = await here.books.recover()

    assert recovery.nodes == 1
    with pytest.raises(NodeFenced, match=f"node {old.number} was declared dead"):
        await suspended.leases.renew()
    new = await suspended.leases.sign_on("suspended")
    assert new.number > old.number
    await suspended.leases.renew()
    assert len(await here.leases.nodes()) == 2
    assert not lock_path(database, old.number).exists()


async def test_a_late_node_lives_until_its_lease_is_over(
    open_file: OpenStores, clock: FakeClock
) -> None:
    late, here = await open_file(), await open_file()
    await late.leases.sign_on("late")
    clock.advance(milliseconds=LEASE_SECONDS * 1000 - 1)
    await here.leases.sign_on("here")

    assert len(await here.leases.nodes()) == 2
    assert (await here.books.recover()).nodes == 0
    await late.leases.renew()


SIGN_ON_AND_WAIT = f"""
import asyncio, sys
from core.stores import open_stores
from core.testing.clock import FakeClock

async def main():
    stores = await open_stores(sys.argv[1], FakeClock({START_MS}))
    print((await stores.leases.sign_on("victim")).number, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_process_that_was_killed_is_known_to_be_dead_at_once(
    open_file: OpenStores, database: Path
) -> None:
    here = await open_file()
    await here.leases.sign_on("here")
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SIGN_ON_AND_WAIT, f"sqlite:///{database}"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert victim.stdout is not None
    number = int(await victim.stdout.readline())
    assert [lease.number for lease in await here.leases.nodes()] == [1, number]

    victim.kill()
    await victim.communicate()

    assert [lease.number for lease in await here.leases.nodes()] == [1]
    assert (await here.books.recover()).nodes == 1
    assert (await here.books.recover()).nodes == 0


async def test_what_another_store_has_booked_counts_for_the_next_packet(
    open_file: OpenStores,
) -> None:
    one, two = await open_file(), await open_file()
    await one.accounts.insert_account(alice(min_balance=-10), NO_TOKENS)
    await one.accounts.insert_account(bob(), NO_TOKENS)
    await one.leases.sign_on("one")
    await two.leases.sign_on("two")
    await one.books.fulfill(await one.books.prepare(transfer(3)), FULFILLMENT)

    await two.books.fulfill(await two.books.prepare(transfer(4)), FULFILLMENT)
    held = await one.books.prepare(transfer(3))

    with pytest.raises(InsufficientBalance):
        await one.books.prepare(transfer(1))
    await two.books.correct(ALICE, 1, "found a unit")
    await one.books.prepare(transfer(1))
    await one.books.fulfill(held, FULFILLMENT)
    assert (await one.books.balance(ALICE)).receivable == 10
    assert (await two.books.audit()).findings == ()


async def test_a_node_declared_dead_between_two_packets_books_no_more(
    open_file: OpenStores, clock: FakeClock
) -> None:
    one, two = await open_file(), await open_file()
    await add_alice_and_bob(one)
    await one.leases.sign_on("one")
    held = await one.books.prepare(transfer(3))

    clock.advance(seconds=LEASE_SECONDS + 1)
    await two.books.recover()

    with pytest.raises(NodeFenced):
        await one.books.fulfill(held, FULFILLMENT)
