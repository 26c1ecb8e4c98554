"""Settings, secrets and versions, on every backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from core.account import Account, AccountId
from core.errors import AccountExists, UnknownRoute
from core.stores import Stores
from core.testing.builders import account
from tests.core.stores.people import ALICE, BOB, NO_TOKENS, add_alice_and_bob, alice, bob


async def test_a_setting_is_none_until_it_is_saved_and_replaced_by_the_next(
    stores: Stores,
) -> None:
    assert await stores.settings.load_setting("address") is None

    await stores.settings.save_setting("address", "test.one")
    await stores.settings.save_setting("address", "test.two")
    await stores.settings.save_setting("other", "")

    assert await stores.settings.load_setting("address") == "test.two"
    assert await stores.settings.load_setting("other") == ""


async def test_a_secret_is_any_octets(stores: Stores) -> None:
    assert await stores.settings.load_secret("wallet") is None

    await stores.settings.save_secret("wallet", b"\x00\xffkey")
    await stores.settings.save_secret("empty", b"")

    assert await stores.settings.load_secret("wallet") == b"\x00\xffkey"
    assert await stores.settings.load_secret("empty") == b""
    assert await stores.settings.load_setting("wallet") is None


async def test_all_who_ask_for_a_secret_agree_on_the_first(stores: Stores) -> None:
    agree = stores.settings.agree_on_secret

    found = await asyncio.gather(*(agree("stream", bytes((n,)) * 32) for n in range(8)))

    assert len(set(found)) == 1
    assert await agree("stream", b"late" * 8) == found[0]
    assert await stores.settings.load_secret("stream") == found[0]
    assert await agree("other", b"o" * 32) == b"o" * 32


Change = Callable[[Stores], Awaitable[None]]

CHANGES: list[tuple[str, Change]] = [
    ("accounts", lambda s: s.accounts.insert_account(_carol(), NO_TOKENS)),
    ("accounts", lambda s: s.accounts.update_account(alice(label="new"), NO_TOKENS)),
    ("accounts", lambda s: s.accounts.delete_account(BOB, even_with_balance=False)),
    ("routes", lambda s: s.routes.set_route("test.far", BOB)),
    ("routes", lambda s: s.routes.delete_route("test.a")),
    ("routes", lambda s: s.routes.replace_routes({})),
    ("rates", lambda s: s.rates.replace_prices({"USD": Decimal(1)})),
    ("rates", lambda s: s.rates.save_spread(Fraction(1, 100))),
    ("settings", lambda s: s.settings.save_setting("name", "value")),
    ("settings", lambda s: s.settings.save_secret("name", b"secret")),
]


@pytest.mark.parametrize(("kind", "change"), CHANGES)
async def test_each_change_makes_its_own_version_grow(
    stores: Stores, kind: str, change: Change
) -> None:
    await add_alice_and_bob(stores)
    await stores.routes.set_route("test.a", ALICE)
    before = await stores.settings.versions()

    await change(stores)

    after = await stores.settings.versions()
    assert set(after) == {"accounts", "routes", "learned", "rates", "rate_feed", "settings"}
    assert {name for name in after if after[name] > before[name]} == {kind}


async def test_deleting_an_account_that_had_routes_is_a_change_of_both(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    await stores.routes.set_route("test.a", ALICE)
    before = await stores.settings.versions()

    await stores.accounts.delete_account(ALICE, even_with_balance=False)

    after = await stores.settings.versions()
    assert {name for name in after if after[name] > before[name]} == {"accounts", "routes"}


async def test_what_is_refused_changes_no_version(stores: Stores) -> None:
    await add_alice_and_bob(stores)
    before = await stores.settings.versions()

    with pytest.raises(AccountExists):
        await stores.accounts.insert_account(bob(), NO_TOKENS)
    with pytest.raises(UnknownRoute):
        await stores.routes.delete_route("test.nowhere")

    assert await stores.settings.versions() == before


def _carol() -> Account:
    return account("carol", id=AccountId("ca401000-0000-4000-8000-000000000003"))
