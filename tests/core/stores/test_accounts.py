"""Accounts, on every backend."""

from __future__ import annotations

from fractions import Fraction

import pytest

from core.account import (
    Account,
    AccountId,
    AccountStore,
    Asset,
    FormerAccount,
    NewTokens,
    RoutingRelation,
    Secret,
)
from core.errors import AccountExists, AccountInUse, SettingError, UnknownAccount
from core.packet import address
from core.settlement.store import EngineIdentity
from core.stores import Stores
from core.testing.builders import EUR, FULFILLMENT, USD
from tests.core.stores.people import (
    ALICE,
    BOB,
    NO_TOKENS,
    NOBODY,
    add_alice_and_bob,
    alice,
    bob,
    http_token,
    transfer,
)

EVERY_FIELD = alice(
    ilp_address=address("example.elsewhere.alice"),
    asset=Asset("XRP", 9),
    max_packet_amount=2**64 - 1,
    min_balance=-(2**63),
    ilp_over_http_url="https://alice.example/ilp",
    ilp_over_btp_url="btp+wss://alice.example/btp",
    settle_threshold=2**63 - 1,
    settle_to=-5,
    settlement_engine_url="signalbox:ethereum",
    settlement_address="0xA11cE",
    routing_relation=RoutingRelation.CHILD,
    round_trip_time_ms=1_234,
    packets_per_minute_limit=600,
    amount_per_minute_limit=2**64 - 1,
    packet_burst_limit=2**32 - 1,
    amount_burst_limit=2**64 - 1,
    packets_in_flight_limit=7,
    amount_in_flight_limit=2**64 - 2,
    outgoing_amount_per_minute_limit=2**64 - 3,
    spread=Fraction(1, 3),
    send_routes=True,
    receive_routes=False,
    import_prefixes=("g", "test.far"),
    export_prefixes=("test.near",),
    routes_max=1_000,
    route_weight=-3,
    enabled=False,
    label="Алиса & Söhne",
    notes="line one\nline two",
    created_at_ms=1_700_000_000_001,
    updated_at_ms=1_700_000_000_002,
)


async def only(accounts: AccountStore) -> Account:
    (account,) = await accounts.load_accounts()
    return account


async def test_every_field_comes_back_as_it_went_in(stores: Stores) -> None:
    await stores.accounts.insert_account(EVERY_FIELD, NO_TOKENS)

    assert await only(stores.accounts) == EVERY_FIELD


async def test_no_limit_and_no_address_stay_none(stores: Stores) -> None:
    await stores.accounts.insert_account(alice(), NO_TOKENS)

    assert await only(stores.accounts) == alice()
    assert (await only(stores.accounts)).min_balance is None


async def test_what_was_set_can_be_unset(stores: Stores) -> None:
    await stores.accounts.insert_account(EVERY_FIELD, NO_TOKENS)

    await stores.accounts.update_account(alice(asset=EVERY_FIELD.asset), NO_TOKENS)

    assert await only(stores.accounts) == alice(asset=EVERY_FIELD.asset)


async def test_accounts_come_in_order_of_their_usernames(stores: Stores) -> None:
    await stores.accounts.insert_account(bob(), NO_TOKENS)
    await stores.accounts.insert_account(alice(), NO_TOKENS)

    loaded = await stores.accounts.load_accounts()

    assert [account.username for account in loaded] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("field", "taken"),
    [
        ("id", {"id": ALICE}),
        ("username", {"username": "alice"}),
        ("ilp_address", {"ilp_address": alice().ilp_address}),
    ],
)
async def test_what_must_be_unique_is_refused_by_its_name(
    stores: Stores, field: str, taken: dict[str, str]
) -> None:
    await stores.accounts.insert_account(alice(), NO_TOKENS)

    with pytest.raises(AccountExists) as refused:
        await stores.accounts.insert_account(bob(**taken), NO_TOKENS)

    assert refused.value.field == field
    assert refused.value.value == taken[field]
    assert await only(stores.accounts) == alice()


@pytest.mark.parametrize("link", ["http", "btp"])
async def test_an_incoming_token_is_one_accounts_and_no_error_shows_it(
    stores: Stores, link: str
) -> None:
    tokens = {
        "http": http_token("hunter2-hunter2"),
        "btp": NewTokens(ilp_over_btp_incoming=Secret("hunter2-hunter2")),
    }[link]
    await stores.accounts.insert_account(alice(), tokens)

    with pytest.raises(AccountExists) as refused:
        await stores.accounts.insert_account(bob(), tokens)

    assert refused.value.field == f"ilp_over_{link}_incoming_token"
    field = f"ilp_over_{link}_incoming_token"
    assert str(refused.value) == f"another account already has this {field}"
    assert [account.id for account in await stores.accounts.load_accounts()] == [ALICE]


async def test_an_update_replaces_every_field(stores: Stores) -> None:
    await stores.accounts.insert_account(EVERY_FIELD, NO_TOKENS)

    await stores.accounts.update_account(alice(username="alicia"), NO_TOKENS)

    assert await only(stores.accounts) == alice(username="alicia")


async def test_an_update_may_keep_what_is_unique(stores: Stores) -> None:
    await stores.accounts.insert_account(alice(), http_token("her own"))

    await stores.accounts.update_account(alice(label="Alice"), http_token("her own"))

    assert (await only(stores.accounts)).label == "Alice"


async def test_an_update_of_nobody_is_refused(stores: Stores) -> None:
    with pytest.raises(UnknownAccount):
        await stores.accounts.update_account(alice(), NO_TOKENS)


async def test_an_update_cannot_take_anothers_username_and_changes_nothing(
    stores: Stores,
) -> None:
    await add_alice_and_bob(stores)

    with pytest.raises(AccountExists) as refused:
        await stores.accounts.update_account(
            bob(username="alice", label="Robert"), http_token("new")
        )

    assert refused.value.field == "username"
    assert await stores.accounts.load_accounts() == [alice(), bob()]
    assert await stores.accounts.load_token_hashes() == {}


async def test_an_incoming_token_is_known_by_its_hash_alone(stores: Stores) -> None:
    await stores.accounts.insert_account(alice(), http_token("open sesame"))

    digest = stores.accounts.hash_token("open sesame")

    assert await stores.accounts.load_token_hashes() == {digest: ALICE}
    assert len(digest) == 32
    assert digest != stores.accounts.hash_token("open sesamf")


async def test_an_incoming_btp_token_has_hashes_of_its_own_and_may_be_the_same(
    stores: Stores,
) -> None:
    both = NewTokens(ilp_over_http_incoming=Secret("one"), ilp_over_btp_incoming=Secret("one"))
    await stores.accounts.insert_account(alice(), both)
    await stores.accounts.insert_account(bob(), NewTokens(ilp_over_btp_incoming=Secret("two")))
    one, two = (stores.accounts.hash_token(token) for token in ("one", "two"))

    assert await stores.accounts.load_token_hashes() == {one: ALICE}
    assert await stores.accounts.load_btp_token_hashes() == {one: ALICE, two: BOB}

    await stores.accounts.update_account(alice(), NewTokens(ilp_over_btp_incoming=Secret("")))
    await stores.accounts.delete_account(BOB, even_with_balance=False)
    assert await stores.accounts.load_btp_token_hashes() == {}
    assert await stores.accounts.load_token_hashes() == {one: ALICE}


async def test_tokens_are_kept_replaced_and_cleared(stores: Stores) -> None:
    await stores.accounts.insert_account(
        alice(),
        NewTokens(
            ilp_over_http_incoming=Secret("in 1"),
            ilp_over_http_outgoing=Secret("out 1"),
            ilp_over_btp_incoming=Secret("btp in 1"),
            ilp_over_btp_outgoing=Secret("btp out 1"),
        ),
    )
    inserted = await only(stores.accounts)
    assert inserted.ilp_over_http_outgoing_token == Secret("out 1")
    assert inserted.ilp_over_btp_outgoing_token == Secret("btp out 1")
    assert inserted.has_ilp_over_http_incoming_token
    assert inserted.has_ilp_over_btp_incoming_token

    await stores.accounts.update_account(alice(), NO_TOKENS)
    assert await only(stores.accounts) == inserted

    await stores.accounts.update_account(
        alice(), NewTokens(ilp_over_http_outgoing=Secret("out 2"))
    )
    replaced = await only(stores.accounts)
    assert replaced.ilp_over_http_outgoing_token == Secret("out 2")
    assert replaced.ilp_over_btp_outgoing_token == Secret("btp out 1")

    nothing = Secret("")
    await stores.accounts.update_account(alice(), NewTokens(ilp_over_http_incoming=nothing))
    cleared = await only(stores.accounts)
    assert not cleared.has_ilp_over_http_incoming_token
    assert cleared.has_ilp_over_btp_incoming_token
    assert await stores.accounts.load_token_hashes() == {}

    await stores.accounts.update_account(
        alice(), NewTokens(ilp_over_http_outgoing=nothing, ilp_over_btp_outgoing=nothing)
    )
    assert (await only(stores.accounts)).ilp_over_http_outgoing_token is None


async def test_a_token_in_the_account_itself_is_not_looked_at(stores: Stores) -> None:
    await stores.accounts.insert_account(
        alice(
            ilp_over_http_outgoing_token=Secret("stale"), has_ilp_over_http_incoming_token=True
        ),
        NO_TOKENS,
    )

    assert await only(stores.accounts) == alice()


async def test_a_deleted_account_is_gone_with_its_routes_and_frees_what_was_its(
    stores: Stores,
) -> None:
    await stores.accounts.insert_account(alice(), http_token("hers"))
    await stores.accounts.insert_account(bob(), NO_TOKENS)
    await stores.routes.set_route("test.a", ALICE)
    await stores.routes.set_route("test.b", BOB)
    await stores.routes.set_route("", ALICE)

    await stores.accounts.delete_account(ALICE, even_with_balance=False)

    assert await only(stores.accounts) == bob()
    assert await stores.routes.load_routes() == {"test.b": BOB}
    assert await stores.accounts.load_token_hashes() == {}
    await stores.accounts.insert_account(alice(id=NOBODY), http_token("hers"))
    assert [*(await stores.accounts.load_token_hashes()).values()] == [NOBODY]


async def test_a_deleted_accounts_id_never_comes_back(stores: Stores) -> None:
    await stores.accounts.insert_account(alice(), NO_TOKENS)
    await stores.accounts.delete_account(ALICE, even_with_balance=False)

    with pytest.raises(AccountExists) as refused:
        await stores.accounts.insert_account(alice(), NO_TOKENS)
    with pytest.raises(UnknownAccount):
        await stores.accounts.update_account(alice(), NO_TOKENS)
    with pytest.raises(UnknownAccount):
        await stores.accounts.delete_account(ALICE, even_with_balance=True)

    assert refused.value.field == "id"


async def test_an_account_with_packets_in_flight_is_not_deleted(stores: Stores) -> None:
    await stores.leases.sign_on("node")
    await add_alice_and_bob(stores)
    packet = await stores.books.prepare(transfer(70))

    for account_id in (ALICE, BOB):
        with pytest.raises(AccountInUse, match="in flight"):
            await stores.accounts.delete_account(account_id, even_with_balance=True)

    await stores.books.reject(packet, b"F99")
    await stores.accounts.delete_account(ALICE, even_with_balance=False)


async def test_an_account_with_a_settlement_under_way_is_not_deleted(stores: Stores) -> None:
    await stores.leases.sign_on("node")
    await add_alice_and_bob(stores)
    await stores.books.correct(BOB, 70, "owed from before")
    await stores.settlements.take_engine(
        EngineIdentity(name="test", kind="test", asset_code="USD", ledger_scale=2, pid=1)
    )
    await stores.accounts.update_account(bob(settlement_address="0xb0b"), NO_TOKENS)
    await stores.settlements.request_settlement(BOB, "test", 50)

    with pytest.raises(AccountInUse, match="settlement"):
        await stores.accounts.delete_account(BOB, even_with_balance=True)


async def test_a_balance_is_written_off_only_when_that_is_said(stores: Stores) -> None:
    await stores.leases.sign_on("node")
    await add_alice_and_bob(stores)
    await stores.books.fulfill(await stores.books.prepare(transfer(70)), FULFILLMENT)

    with pytest.raises(AccountInUse, match=r"it owes you 0\.70 USD"):
        await stores.accounts.delete_account(ALICE, even_with_balance=False)
    with pytest.raises(AccountInUse, match=r"you owe it 0\.70 USD; settle first"):
        await stores.accounts.delete_account(BOB, even_with_balance=False)
    assert len(await stores.accounts.load_accounts()) == 2

    await stores.accounts.delete_account(ALICE, even_with_balance=True)

    report = await stores.books.audit()
    assert list(report.findings) == []
    assert [(total.peers, total.correction) for total in report.totals] == [(70, -70)]
    assert await stores.accounts.load_accounts() == [bob()]
    await stores.accounts.delete_account(BOB, even_with_balance=True)
    report = await stores.books.audit()
    assert [(total.peers, total.correction) for total in report.totals] == [(0, 0)]


async def test_the_asset_of_an_account_that_moved_money_is_fixed(stores: Stores) -> None:
    await stores.leases.sign_on("node")
    await add_alice_and_bob(stores)
    await stores.accounts.update_account(alice(asset=Asset("EUR", 2)), NO_TOKENS)
    await stores.accounts.update_account(alice(), NO_TOKENS)
    await stores.books.fulfill(await stores.books.prepare(transfer(70)), FULFILLMENT)

    for asset in (Asset("EUR", 2), Asset("USD", 3)):
        with pytest.raises(SettingError, match="has moved money in USD@2"):
            await stores.accounts.update_account(alice(asset=asset), NO_TOKENS)

    await stores.accounts.update_account(alice(label="same asset"), NO_TOKENS)
    assert (await stores.accounts.load_accounts())[0].label == "same asset"


async def test_the_store_is_an_account_store(stores: Stores) -> None:
    assert isinstance(stores.accounts, AccountStore)


async def test_what_was_deleted_can_still_be_called_by_its_name(stores: Stores) -> None:
    await stores.accounts.insert_account(alice(), NO_TOKENS)
    await stores.accounts.insert_account(bob(asset=EUR), NO_TOKENS)
    assert await stores.accounts.load_former_accounts(limit=9) == []
    await stores.accounts.delete_account(ALICE, even_with_balance=False)
    await stores.accounts.delete_account(BOB, even_with_balance=False)
    await stores.accounts.insert_account(alice(id=AccountId("another alice")), NO_TOKENS)

    assert await stores.accounts.load_former_accounts(limit=9) == [
        FormerAccount(BOB, "bob", EUR),
        FormerAccount(ALICE, "alice", USD),
    ]
    assert len(await stores.accounts.load_former_accounts(limit=1)) == 1
