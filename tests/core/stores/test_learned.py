"""Learned routes, on every backend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import UnknownAccount
from core.routing.store import WITHDRAWN_KEPT, StoredPeer, StoredRoute
from core.stores import Stores
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import ALICE, BOB, NOBODY, add_alice_and_bob

TABLE = bytes(range(16))
PEER = StoredPeer(
    account=ALICE,
    table_id=TABLE,
    epoch=7,
    hold_down_ms=45_000,
    heard_at_ms=1_000,
    expires_at_ms=46_000,
    wants_routes=True,
    wanted_table_id=bytes(16),
    wanted_epoch=3,
)


def route(prefix: str, *path: str) -> StoredRoute:
    return StoredRoute(prefix, path, prefix.encode().ljust(32, b"-"))


def withdrawn(prefix: str) -> StoredRoute:
    return StoredRoute(prefix, None)


async def saved(stores: Stores, peer: StoredPeer, *routes: StoredRoute) -> StoredPeer:
    found = await stores.learned.save_learned(peer, routes)
    assert found is not None
    return found


async def prefixes(stores: Stores, peer: StoredPeer, *, after_version: int = 0) -> list[str]:
    rows = await stores.learned.load_learned(
        peer, after_version=after_version, after_prefix="", limit=100
    )
    return [row.prefix if row.path is not None else f"-{row.prefix}" for row in rows]


async def test_what_is_saved_is_loaded(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    routes = (route("test.a", "test.x", "test.y"), route("test.b"))

    peer = await saved(stores, PEER, *routes)

    assert peer == replace(PEER, version=1)
    assert await stores.learned.load_peers() == [peer]
    assert (
        tuple(
            await stores.learned.load_learned(peer, after_version=0, after_prefix="", limit=100)
        )
        == routes
    )


async def test_a_later_save_replaces_and_withdraws(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    first = await saved(stores, PEER, route("test.a", "test.x"), route("test.b", "test.x"))

    second = await saved(
        stores, replace(first, epoch=8), withdrawn("test.a"), route("test.c", "test.x")
    )

    assert await prefixes(stores, second) == ["test.b", "test.c"]
    assert await prefixes(stores, second, after_version=first.version) == ["-test.a", "test.c"]
    assert (await stores.learned.load_peers())[0].epoch == 8


async def test_routes_are_read_a_page_at_a_time(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    peer = await saved(stores, PEER, *(route(f"test.r{n:03}") for n in range(250)))

    found: list[str] = []
    while page := await stores.learned.load_learned(
        peer, after_version=0, after_prefix=found[-1] if found else "", limit=100
    ):
        found += [row.prefix for row in page]

    assert found == [f"test.r{n:03}" for n in range(250)]


async def test_a_new_generation_forgets_the_routes_of_the_old_one(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    old = await saved(stores, PEER, route("test.a"), route("test.b"))

    new = await saved(stores, replace(old, generation=1), route("test.b"))

    assert await prefixes(stores, new) == ["test.b"]
    while await stores.learned.sweep_learned(rows_max=1):
        pass
    assert await prefixes(stores, new) == ["test.b"]


async def test_whoever_saves_without_having_seen_the_last_save_keeps_nothing(
    stores: Stores,
) -> None:
    await add_alice_and_bob(stores)
    one = await saved(stores, PEER, route("test.a"))
    two = await saved(stores, one, route("test.b"))

    assert await stores.learned.save_learned(one, [route("test.c")]) is None
    assert await stores.learned.save_learned(PEER, [route("test.c")]) is None
    assert await prefixes(stores, two) == ["test.a", "test.b"]


async def test_a_withdrawn_route_is_swept_once_nobody_can_still_have_to_hear_of_it(
    stores: Stores,
) -> None:
    await add_alice_and_bob(stores)
    first = await saved(stores, PEER, route("test.a"), route("test.b"))
    peer = await saved(stores, first, withdrawn("test.a"))
    await stores.learned.sweep_learned(rows_max=100)
    assert await prefixes(stores, peer, after_version=1) == ["-test.a"]
    for _ in range(WITHDRAWN_KEPT):
        peer = await saved(stores, peer)

    await stores.learned.sweep_learned(rows_max=100)

    assert await prefixes(stores, peer, after_version=1) == []
    (peer,) = await stores.learned.load_peers()
    assert peer.floor == 2, "who has seen version 1 alone is told to read all anew"
    assert await prefixes(stores, await saved(stores, peer, route("test.c"))) == [
        "test.b",
        "test.c",
    ]


async def test_each_peer_has_its_own(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    alice = await saved(stores, PEER, route("test.a", "test.x"))
    bob = await saved(stores, replace(PEER, account=BOB), route("test.a", "test.y"))

    (row,) = await stores.learned.load_learned(bob, after_version=0, after_prefix="", limit=9)
    assert row.path == ("test.y",)
    await saved(stores, bob, withdrawn("test.a"))
    assert await prefixes(stores, alice) == ["test.a"]


async def test_a_deleted_accounts_routes_are_not_loaded_and_not_saved(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    peer = await saved(stores, PEER, route("test.a"))

    await stores.accounts.delete_account(ALICE, even_with_balance=False)

    assert await stores.learned.load_peers() == []
    for gone in (peer, replace(peer, account=NOBODY)):
        with pytest.raises(UnknownAccount):
            await stores.learned.save_learned(gone, [])
    await stores.learned.sweep_learned(rows_max=100)
    assert await stores.learned.load_peers() == []


async def test_a_save_is_seen_by_whoever_shares_the_store(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    before = await stores.settings.versions()

    peer = await saved(stores, PEER, route("test.a"))
    after = await stores.settings.versions()
    await stores.learned.save_learned(PEER, [])

    assert after["learned"] == before["learned"] + 1
    assert await stores.settings.versions() == after, f"nothing was saved after {peer}"


async def test_they_survive_the_process(open_file: OpenStores) -> None:
    first = await open_file()
    await add_alice_and_bob(first)
    peer = await saved(first, PEER, route("test.a", "test.x"), route("test.b"))
    await saved(first, peer, withdrawn("test.b"))
    await first.close()

    second = await open_file()

    (loaded,) = await second.learned.load_peers()
    assert loaded == replace(PEER, version=2)
    assert await prefixes(second, loaded) == ["test.a"]
