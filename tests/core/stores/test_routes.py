"""The operator's routes, on every backend."""

from __future__ import annotations

import pytest

from core.errors import UnknownAccount, UnknownRoute
from core.stores import Stores
from tests.core.stores.people import ALICE, BOB, NO_TOKENS, NOBODY, add_alice_and_bob, alice


async def test_a_route_is_added_and_replaced(stores: Stores) -> None:
    await add_alice_and_bob(stores)

    await stores.routes.set_route("test.far", ALICE)
    await stores.routes.set_route("test.near", ALICE)
    await stores.routes.set_route("test.far", BOB)

    assert await stores.routes.load_routes() == {"test.far": BOB, "test.near": ALICE}


async def test_prefixes_differ_in_case(stores: Stores) -> None:
    await add_alice_and_bob(stores)

    await stores.routes.set_route("test.Far", ALICE)
    await stores.routes.set_route("test.far", BOB)

    assert await stores.routes.load_routes() == {"test.Far": ALICE, "test.far": BOB}


async def test_a_route_to_nobody_is_refused(stores: Stores) -> None:
    await stores.accounts.insert_account(alice(), NO_TOKENS)
    await stores.accounts.delete_account(ALICE, even_with_balance=False)

    for next_hop in (ALICE, NOBODY):
        with pytest.raises(UnknownAccount):
            await stores.routes.set_route("test.far", next_hop)

    assert await stores.routes.load_routes() == {}


async def test_a_route_is_removed_once(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    await stores.routes.set_route("", BOB)
    await stores.routes.set_route("test.far", BOB)

    await stores.routes.delete_route("test.far")
    await stores.routes.delete_route("")

    assert await stores.routes.load_routes() == {}
    with pytest.raises(UnknownRoute):
        await stores.routes.delete_route("test.far")


async def test_replacing_all_leaves_the_default_route(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    await stores.routes.set_route("", ALICE)
    await stores.routes.set_route("test.old", ALICE)

    await stores.routes.replace_routes({"test.new": BOB, "": BOB})

    assert await stores.routes.load_routes() == {"": ALICE, "test.new": BOB}

    await stores.routes.replace_routes({})

    assert await stores.routes.load_routes() == {"": ALICE}


async def test_replacing_all_with_one_wrong_changes_nothing(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    await stores.routes.set_route("test.old", ALICE)
    before = await stores.settings.versions()

    with pytest.raises(UnknownAccount):
        await stores.routes.replace_routes({"test.new": BOB, "test.newer": NOBODY})

    assert await stores.routes.load_routes() == {"test.old": ALICE}
    assert await stores.settings.versions() == before


async def test_a_hundred_thousand_routes_are_replaced_and_loaded(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    routes = {
        f"test.segment{number}.more": (ALICE, BOB)[number % 2] for number in range(100_000)
    }

    await stores.routes.replace_routes(routes)

    assert await stores.routes.load_routes() == routes
