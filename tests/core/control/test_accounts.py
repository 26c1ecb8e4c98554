"""Accounts at the operator's door."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from core.control.views import LinkState
from core.errors import (
    AccountExists,
    AccountInUse,
    Conflict,
    SettingError,
    StoreUnavailable,
    UnknownAccount,
)
from core.packet import ErrorCode, Reject
from core.service import Trace
from core.telemetry.history import HistoryPoint
from tests.core.control.bench import Bench, details


async def test_an_account_is_there_as_soon_as_it_was_added(bench: Bench) -> None:
    made = await bench.add("Bob", min_balance=-100, label="Bob's Bank")

    assert made.account.username == "bob"
    assert made.summary == "you and Bob's Bank are even"
    assert made.state is LinkState.NEVER
    assert [view.account for view in await bench.control.accounts()] == [made.account]
    assert (await bench.control.account("BOB")).account == made.account
    assert bench.node.routing_table.look_up("test.node.bob.x") is not None
    assert made.account.created_at_ms == bench.clock.now_ms()


async def test_accounts_come_by_username(bench: Bench) -> None:
    for username in ("carol", "alice", "bob"):
        await bench.add(username)

    views = await bench.control.accounts()

    assert [view.account.username for view in views] == ["alice", "bob", "carol"]


async def test_a_second_account_of_a_name_is_refused_in_any_case(bench: Bench) -> None:
    await bench.add("bob")

    with pytest.raises(AccountExists, match="the username 'bob'"):
        await bench.add("BOB", asset_code="EUR")

    assert len(await bench.control.accounts()) == 1


async def test_who_has_an_address_already_is_said(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob", ilp_address="test.shops")

    with pytest.raises(AccountExists, match=r"^account 'bob' already has the ilp_address"):
        await bench.add("carol", ilp_address="test.shops")
    with pytest.raises(AccountExists, match=r"^account 'bob' already has the ilp_address"):
        await bench.control.change_account("alice", {"ilp_address": "test.shops"})


async def test_a_token_belongs_to_one_account(bench: Bench) -> None:
    await bench.add("alice", ilp_over_http_incoming_token="a-token-of-some-length")

    with pytest.raises(AccountExists, match="ilp_over_http_incoming_token") as refused:
        await bench.add("bob", ilp_over_http_incoming_token="a-token-of-some-length")

    assert "a-token" not in str(refused.value)


async def test_the_first_fault_keeps_an_account_from_being_added(bench: Bench) -> None:
    with pytest.raises(SettingError, match="asset_scale: 300 was found"):
        await bench.add("bob", asset_scale=300)

    assert await bench.control.accounts() == ()


async def test_a_check_saves_nothing(bench: Bench) -> None:
    check = await bench.control.check_account(details("bob"))

    assert not check.problems
    assert await bench.control.accounts() == ()


async def test_a_check_knows_which_account_is_being_changed(bench: Bench) -> None:
    await bench.add("bob")

    assert (await bench.control.check_account(details("bob"))).problems
    assert not (await bench.control.check_account(details("bob"), existing="bob")).problems
    with pytest.raises(UnknownAccount):
        await bench.control.check_account(details("bob"), existing="nobody")


async def test_single_fields_change_and_the_rest_stays(bench: Bench) -> None:
    await bench.add(
        "bob",
        min_balance=-100,
        notes="met in Lisbon",
        ilp_over_http_outgoing_token="out-token-of-bob",
        ilp_over_http_incoming_token="in-token-of-bob-1",
    )
    bench.clock.advance(seconds=5)

    view = await bench.control.change_account(
        "Bob", {"min_balance": "-200", "label": "Bob", "settle_to": None}
    )

    account = view.account
    assert (account.min_balance, account.label, account.notes) == (-200, "Bob", "met in Lisbon")
    assert account.has_ilp_over_http_incoming_token
    assert account.ilp_over_http_outgoing_token is not None
    assert account.ilp_over_http_outgoing_token.reveal() == "out-token-of-bob"
    assert account.updated_at_ms == account.created_at_ms + 5_000


async def test_none_clears_a_field_and_a_token(bench: Bench) -> None:
    await bench.add("bob", min_balance=-100, ilp_over_http_incoming_token="in-token-of-bob-1")

    view = await bench.control.change_account(
        "bob", {"min_balance": None, "ilp_over_http_incoming_token": None}
    )

    assert view.account.min_balance is None
    assert not view.account.has_ilp_over_http_incoming_token


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"colour": "blue"}, "colour: an account has no such field"),
        ({"username": None}, "it cannot be cleared"),
        (
            {"min_balance": "ten"},
            "it is a whole number in the asset's smallest unit, not 'ten'",
        ),
        ({"min_balance": True}, "not true"),
        ({"min_balance": 1.5}, "not 1.5"),
        ({"min_balance": Decimal("1.5")}, "not 1.5"),
        ({"min_balance": Decimal("1e999999")}, "more than 40 digits"),
        ({"asset_scale": "two"}, "asset_scale: it is a whole number, not 'two'"),
        ({"label": 5}, "it is text, not 5"),
        ({"enabled": "yes"}, "it is true or false, not 'yes'"),
        ({"ilp_over_http_incoming_token": 1234567890}, "it is text, not int"),
    ],
)
async def test_a_change_that_cannot_be_says_why_and_changes_nothing(
    bench: Bench, changes: dict[str, object], sentence: str
) -> None:
    before = await bench.add("bob")

    with pytest.raises(SettingError, match=sentence):
        await bench.control.change_account("bob", changes)

    assert await bench.control.account("bob") == before


async def test_an_account_that_is_renamed_keeps_its_id_and_gets_the_address_of_its_name(
    bench: Bench,
) -> None:
    before = await bench.add("bob")

    after = await bench.control.change_account("bob", {"username": "robert"})

    assert after.account.id == before.account.id
    assert after.account.ilp_address == "test.node.robert"
    with pytest.raises(UnknownAccount):
        await bench.control.account("bob")


async def test_an_address_that_was_chosen_stays_when_the_name_changes(bench: Bench) -> None:
    await bench.add("bob", ilp_address="test.bobs-bank")

    after = await bench.control.change_account("bob", {"username": "robert"})

    assert after.account.ilp_address == "test.bobs-bank"


async def test_replacing_takes_all_of_the_details_but_keeps_unmentioned_tokens(
    bench: Bench,
) -> None:
    await bench.add(
        "bob",
        min_balance=-100,
        notes="old",
        ilp_over_http_incoming_token="in-token-of-bob-1",
        ilp_over_http_outgoing_token="out-token-of-bob",
    )

    view = await bench.control.replace_account(
        "bob", details("bob", max_packet_amount=7, ilp_over_http_outgoing_token="")
    )

    account = view.account
    assert (account.min_balance, account.notes, account.max_packet_amount) == (None, "", 7)
    assert account.has_ilp_over_http_incoming_token
    assert account.ilp_over_http_outgoing_token is None


async def test_the_asset_is_locked_once_money_moved(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")
    await bench.control.change_account("bob", {"asset_code": "EUR"})
    await bench.control.change_account("bob", {"asset_code": "USD"})
    await bench.pay("alice", "bob", 5)

    with pytest.raises(SettingError, match="what is booked counts USD@2"):
        await bench.control.change_account("bob", {"asset_code": "EUR"})


async def test_a_paused_account_says_so(bench: Bench) -> None:
    await bench.add("bob")

    paused = await bench.control.set_enabled("bob", enabled=False)
    resumed = await bench.control.set_enabled("bob", enabled=True)

    assert paused.state is LinkState.PAUSED
    assert not paused.account.enabled
    assert resumed.account.enabled


async def test_what_is_owed_is_said_in_words(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")
    await bench.pay("alice", "bob", 1_240)

    assert (await bench.control.account("alice")).summary == "alice owes you 12.40 USD"
    assert (await bench.control.account("bob")).summary == "you owe bob 12.40 USD"


async def test_an_account_without_a_balance_is_deleted_with_its_routes(bench: Bench) -> None:
    await bench.add("bob")
    await bench.control.set_route("test.far", "bob")

    gone = await bench.control.delete_account("Bob")

    assert gone.account.username == "bob"
    assert await bench.control.accounts() == ()
    assert await bench.control.routes() == []


async def test_an_account_with_a_balance_is_deleted_only_if_that_was_said(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")
    await bench.pay("alice", "bob", 5)

    with pytest.raises(AccountInUse, match=r"you owe it 0\.05 USD"):
        await bench.control.delete_account("bob")
    assert len(await bench.control.accounts()) == 2

    await bench.control.delete_account("bob", even_with_balance=True)
    assert len(await bench.control.accounts()) == 1
    assert (await bench.control.audit()).passed


async def test_who_is_not_there_cannot_be_looked_at_changed_or_deleted(bench: Bench) -> None:
    control = bench.control

    for call in (
        control.account("nobody"),
        control.change_account("nobody", {}),
        control.replace_account("nobody", details("nobody")),
        control.set_enabled("nobody", enabled=True),
        control.delete_account("nobody"),
        control.ping("nobody"),
    ):
        with pytest.raises(UnknownAccount, match="there is no account 'nobody'"):
            await call


async def test_what_the_link_and_the_counters_say_is_in_the_view(bench: Bench) -> None:
    await bench.add("bob", settlement_engine_url="signalbox:ethereum")
    bench.links.states["bob"] = (LinkState.DOWN, "Nobody listens there.")

    view = await bench.control.account("bob")

    assert (view.state, view.state_reason) == (LinkState.DOWN, "Nobody listens there.")
    assert (view.prepares, view.fulfills, view.rejects, view.last_reject) == (0, 0, 0, "")
    assert view.engine_url == "signalbox:ethereum"
    assert not view.open_settlement


async def test_whether_this_node_wrote_the_last_reject_is_in_the_view(bench: Bench) -> None:
    account = (await bench.add("bob")).account
    assert not (await bench.control.account("bob")).last_reject_is_ours

    for by, is_ours in (("test.node", True), ("test.node.bob.far", False), (None, True)):
        reject = None
        if by is not None:
            reject = Reject.build(ErrorCode.UNREACHABLE, triggered_by=by, message="no route")
        bench.node.recorder.ended(account.id, Trace(100), "test.far", reject, 250)
        assert (await bench.control.account("bob")).last_reject_is_ours is is_ours


async def test_a_sparkline_has_even_steps_and_ends_with_what_is_owed_now(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")
    bob = bench.id_of("bob")
    bench.clock.advance(seconds=1_000)
    now_s = bench.clock.now_ms() // 1000
    await bench.stores.history.add(
        [
            HistoryPoint(at_s=now_s - 200, account=bob, net=10),
            HistoryPoint(at_s=now_s - 100, account=bob, net=30),
        ]
    )
    await bench.pay("alice", "bob", 44)

    nets = (await bench.control.account("bob")).recent_net

    assert len(nets) == 61
    assert list(nets[:20]) == [10] * 20, "before its first point a balance was the same"
    assert list(nets[20:40]) == [10] * 20
    assert list(nets[40:60]) == [30] * 20
    assert nets[-1] == 44
    assert (await bench.control.account("alice")).recent_net == ()


async def test_two_changes_at_once_are_both_kept(bench: Bench) -> None:
    await bench.add("bob")

    await asyncio.gather(
        *(
            bench.control.change_account("bob", {field: value})
            for field, value in [("label", "Bob"), ("notes", "n"), ("min_balance", -5)]
        )
    )

    account = (await bench.control.account("bob")).account
    assert (account.label, account.notes, account.min_balance) == ("Bob", "n", -5)


@pytest.mark.logs_warning
async def test_a_change_that_is_stored_and_not_yet_in_force_is_no_error(bench: Bench) -> None:
    async def fails() -> None:
        raise StoreUnavailable("the database is locked")

    control = bench.control_with(refresh=fails)

    view = await control.create_account(details("bob"))

    assert view.account.username == "bob"
    assert len(await bench.stores.accounts.load_accounts()) == 1


# --- Ping


async def test_any_answer_of_the_other_side_is_a_sign_of_life(bench: Bench) -> None:
    await bench.add("bob", ilp_over_http_url="http://127.0.0.1:1/ilp")
    bench.link.takes_ms = 12
    bench.link.fake.reply = Reject.build(
        ErrorCode.UNREACHABLE, triggered_by="test.node.bob", message="no such receiver"
    )

    result = await bench.control.ping("bob")

    assert result.answered
    assert result.latency_us == 12_000
    assert result.sentence.startswith("bob answered in 12.0 ms, with F02 Unreachable")
    (request,) = bench.link.fake.requests
    assert request.prepare.amount == 0
    assert request.prepare.destination == "test.node.bob"
    assert await bench.stores.books.balances() == {}


async def test_a_fulfill_is_a_sign_of_life_too(bench: Bench) -> None:
    await bench.add("bob", ilp_over_http_url="http://127.0.0.1:1/ilp")

    assert (await bench.control.ping("bob")).sentence == "bob answered in 0.0 ms."


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (ErrorCode.PEER_UNREACHABLE, "bob did not answer: nobody listens there."),
        (ErrorCode.TRANSFER_TIMED_OUT, "bob did not answer within 5 s."),
    ],
)
async def test_what_our_own_link_says_is_no_answer(
    bench: Bench, code: ErrorCode, sentence: str
) -> None:
    await bench.add("bob", ilp_over_http_url="http://127.0.0.1:1/ilp")
    bench.link.fake.reply = bench.node.address.reject(code, "nobody listens there.")

    result = await bench.control.ping("bob")

    assert not result.answered
    assert result.sentence == sentence


async def test_whoever_is_pinged_is_dialled_first_and_the_operator_hears_what_others_do_not(
    bench: Bench,
) -> None:
    await bench.add("bob", ilp_over_btp_url="btp+ws://127.0.0.1:1")
    bench.links.problems["bob"] = "127.0.0.1:1 cannot be reached. It is dialled again in 2 s."
    bench.link.fake.reply = bench.node.address.reject(
        ErrorCode.PEER_UNREACHABLE, "bob is not connected over BTP."
    )

    result = await bench.control.ping("bob")

    assert bench.links.dialled == ["bob"]
    assert result.sentence == (
        "bob did not answer: 127.0.0.1:1 cannot be reached. It is dialled again in 2 s."
    )


async def test_who_has_no_address_cannot_be_pinged(bench: Bench) -> None:
    await bench.add("bob")

    with pytest.raises(Conflict, match="no address to send to"):
        await bench.control.ping("bob")
