"""Settlements and engines at the operator's door: what is due, and why something is not paid."""

from __future__ import annotations

import pytest

from core.errors import Conflict, NotFound, SettingError, UnknownAccount
from core.settlement.records import Direction, SettlementState
from core.settlement.store import BlockMark, IncomingPayment, Wallet, WalletKey
from tests.core.control.bench import Bench

WALLET = "0x" + "2" * 40
STRANGER = "0x" + "3" * 40
KEY = WalletKey(ledger_id="1337", address="0x" + "1" * 40)


async def owe_bob(bench: Bench, amount: int, **changes: object) -> None:
    """Have us owe bob so much, and pay him at 20.00 down to 0 by the bundled engine."""
    plain: dict[str, object] = {
        "settle_threshold": 2_000,
        "settle_to": 0,
        "settlement_engine_url": "signalbox:ethereum",
        "settlement_address": WALLET,
    }
    await bench.add("alice")
    await bench.add("bob", **{**plain, **changes})
    if amount:
        await bench.pay("alice", "bob", amount)


async def reason(bench: Bench) -> str:
    return next(
        due.reason for due in await bench.control.settlements_due() if due.username == "bob"
    )


async def test_an_account_at_its_threshold_is_due(bench: Bench) -> None:
    await owe_bob(bench, 2_000)
    await bench.start_engine()

    (due,) = await bench.control.settlements_due()

    assert (due.username, due.owed, due.due) == ("bob", 2_000, True)
    assert due.reason == (
        "20.00 USD is owed, its threshold is 20.00 USD: the engine settles it at its next look."
    )


async def test_below_its_threshold_it_says_how_far(bench: Bench) -> None:
    await owe_bob(bench, 1_950)

    (due,) = await bench.control.settlements_due()

    assert not due.due
    assert due.reason == "19.50 USD is owed, 0.50 USD below its threshold of 20.00 USD."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"settle_threshold": None},
            "It has no settle threshold: it settles only when you say so.",
        ),
        ({"settlement_engine_url": None}, "no engine serves it; set one for the account"),
        ({"settlement_address": None}, "bob has no settlement address to be paid at"),
        (
            {"settlement_engine_url": "signalbox:other"},
            "the engine other has never run; start it",
        ),
        ({"settlement_engine_url": "http://127.0.0.1:3000"}, "drives only its own engines"),
        ({"enabled": False}, "It is paused"),
    ],
)
async def test_what_keeps_it_from_settling_is_said(
    bench: Bench, changes: dict[str, object], sentence: str
) -> None:
    await owe_bob(bench, 2_000)
    await bench.start_engine()

    await bench.control.change_account("bob", changes)

    assert sentence in await reason(bench)


async def test_an_engine_that_pays_something_else_does_not_serve_it(bench: Bench) -> None:
    await bench.add("alice", asset_code="EUR")
    await bench.add(
        "bob",
        asset_code="EUR",
        settlement_engine_url="signalbox:ethereum",
        settlement_address=WALLET,
    )
    await bench.pay("alice", "bob", 5)
    await bench.start_engine()

    with pytest.raises(
        Conflict, match="the engine ethereum pays USD, and the account counts EUR"
    ):
        await bench.control.settle_now("bob")


async def test_a_dead_engine_and_a_stopped_one_are_told_apart(bench: Bench) -> None:
    await owe_bob(bench, 2_000)
    lease = await bench.start_engine()
    bench.clock.advance(seconds=60)

    (dead,) = await bench.control.engines()
    assert not dead.alive
    assert dead.sentence == (
        "ethereum has not been heard of for 60 s: its process is gone or hangs."
    )
    assert "ethereum has not been heard of for 60 s" in await reason(bench)

    await bench.stores.settlements.release_engine(lease)
    bench.clock.advance(seconds=600)
    (stopped,) = await bench.control.engines()
    assert stopped.sentence == "ethereum was stopped 10 min ago."


async def test_an_engine_that_runs_says_where_and_one_with_a_problem_says_which(
    bench: Bench,
) -> None:
    await bench.start_engine("ethereum")
    await bench.start_engine("other", problem="the ledger's node does not answer")

    well, ill = await bench.control.engines()

    assert well.alive
    assert well.sentence == "ethereum runs on local test chain, at block 120."
    assert ill.alive
    assert "has a problem: the ledger's node does not answer" in ill.sentence


async def test_the_most_urgent_comes_first_and_who_owes_nothing_is_left_out(
    bench: Bench,
) -> None:
    for username in ("alice", "bob", "carol", "dave"):
        await bench.add(username, settle_threshold=None if username == "alice" else 1_000)
    await bench.pay("alice", "bob", 500)
    await bench.pay("alice", "carol", 1_500)
    await bench.pay("alice", "dave", 900)

    due = await bench.control.settlements_due()

    assert [row.username for row in due] == ["carol", "dave", "bob"]


async def test_what_they_prepaid_is_no_debt_of_ours(bench: Bench) -> None:
    await owe_bob(bench, 0)
    await bench.control.correct_balance("bob", 5_000, "he paid in advance, in cash")

    (due,) = await bench.control.settlements_due()

    assert due.owed in {0, 5_000}
    assert (await bench.control.account("bob")).balance.net == 5_000


async def test_settling_now_pays_down_to_settle_to(bench: Bench) -> None:
    await owe_bob(bench, 1_500, settle_to=500)
    await bench.start_engine()

    settlement = await bench.control.settle_now("BOB")

    (row,) = await bench.control.settlements()
    assert row.id == settlement
    assert (row.username, row.amount, row.state) == ("bob", 1_000, SettlementState.INTENT)
    assert row.direction is Direction.OUT
    assert (row.ledger_amount, str(row.ledger_asset)) == (10**19, "USD@18")
    view = await bench.control.account("bob")
    assert view.open_settlement
    assert view.balance.payable == 500
    assert view.summary == "you owe bob 5.00 USD, 10.00 USD being settled"
    assert "A settlement of 10.00 USD is under way, intent." in await reason(bench)
    with pytest.raises(Conflict, match=r"a settlement of 10\.00 USD is under way"):
        await bench.control.settle_now("bob")


async def test_an_amount_can_be_named_and_not_more_than_is_owed(bench: Bench) -> None:
    await owe_bob(bench, 1_500)
    await bench.start_engine()

    with pytest.raises(Conflict, match="at most 1500 is owed"):
        await bench.control.settle_now("bob", 1_501)
    with pytest.raises(SettingError, match="amount: 0 was found"):
        await bench.control.settle_now("bob", 0)
    assert await bench.control.settlements() == ()

    await bench.control.settle_now("bob", 700)
    (row,) = await bench.control.settlements(username="bob")
    assert row.amount == 700


async def test_what_is_not_owed_is_not_settled(bench: Bench) -> None:
    await owe_bob(bench, 0)
    await bench.start_engine()

    with pytest.raises(Conflict, match=r"you owe bob 0\.00 USD"):
        await bench.control.settle_now("bob")
    with pytest.raises(UnknownAccount):
        await bench.control.settle_now("nobody")


async def test_nothing_is_debited_for_an_engine_that_does_not_run(bench: Bench) -> None:
    await owe_bob(bench, 2_000)
    await bench.start_engine()
    bench.clock.advance(seconds=60)

    with pytest.raises(Conflict, match="has not been heard of"):
        await bench.control.settle_now("bob")

    assert (await bench.control.account("bob")).balance.payable == 2_000


async def test_a_settlement_that_failed_is_shown_until_somebody_acts(bench: Bench) -> None:
    await owe_bob(bench, 2_500)
    lease = await bench.start_engine()
    opened = await bench.stores.settlements.decide(lease, bench.id_of("bob"))
    assert opened is not None
    bench.clock.advance(seconds=1)
    await bench.stores.settlements.fail(
        lease, opened.id, problem="the wallet is empty", give_back=True
    )

    assert "Its last settlement failed: the wallet is empty." in await reason(bench)

    bench.clock.advance(seconds=1)
    await bench.control.change_account("bob", {"notes": "looked at"})
    assert "at its next look" in await reason(bench)


async def test_money_from_a_stranger_waits_for_the_operator(bench: Bench) -> None:
    await owe_bob(bench, 0)
    lease = await bench.start_engine()
    start, end = BlockMark(0, "0x00"), BlockMark(1, "0x01")
    await bench.stores.settlements.open_wallet(
        lease, KEY, first=Wallet(next_nonce=0, cursor=start), resets=False
    )
    await bench.stores.settlements.apply_scan(
        lease,
        KEY,
        after=start,
        upto=end,
        payments=[
            IncomingPayment(
                key="0xaa",
                transaction="0xaa",
                sender=STRANGER,
                ledger_amount=3 * 10**18,
                block=end,
            )
        ],
    )

    (row,) = await bench.control.unmatched()
    assert (row.key, row.sender, row.ledger_amount) == ("1337/0xaa", STRANGER, 3 * 10**18)
    assert str(row.ledger_asset) == "USD@18"

    with pytest.raises(UnknownAccount):
        await bench.control.assign_unmatched(row.key, "nobody")
    await bench.control.assign_unmatched(row.key, "Bob")
    assert await bench.control.unmatched() == ()
    assert (await bench.control.account("bob")).summary == "bob has prepaid 3.00 USD"
    with pytest.raises(NotFound):
        await bench.control.assign_unmatched(row.key, "bob")


async def test_default_engines_are_added_and_replaced(bench: Bench) -> None:
    await bench.add("bob")
    await bench.start_engine()

    await bench.control.set_engine_urls({"usd": "signalbox:ethereum"})
    merged = await bench.control.set_engine_urls({"EUR": "https://engine.example:3000"})

    assert merged == {"USD": "signalbox:ethereum", "EUR": "https://engine.example:3000"}
    assert await bench.control.engine_urls() == merged
    assert (await bench.control.account("bob")).engine_url == "signalbox:ethereum"


async def test_two_default_engines_of_one_asset_change_nothing(bench: Bench) -> None:
    with pytest.raises(SettingError, match="USD: it stands there twice, and has one engine"):
        await bench.control.set_engine_urls(
            {"usd": "https://one.example", "USD": "https://other.example"}
        )

    assert await bench.control.engine_urls() == {}


@pytest.mark.logs_warning
async def test_a_default_engine_that_pays_another_asset_is_a_warning(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.control.set_engine_urls({"eur": "signalbox:ethereum"})

    assert "pays ETH, so nothing will be paid in EUR" in caplog.text


@pytest.mark.logs_warning
async def test_a_default_engine_that_has_never_run_is_a_warning_with_the_nearest_name(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.control.set_engine_urls({"USD": "signalbox:etherium"})

    assert "the engine of USD: no engine called etherium has ever run here" in caplog.text
    assert "did you mean signalbox:ethereum?" in caplog.text


@pytest.mark.parametrize("url", ["", "ethereum", "signalbox:", "ftp://engine", "https://"])
async def test_a_url_that_names_no_engine_changes_nothing(bench: Bench, url: str) -> None:
    with pytest.raises(SettingError, match="the engine of USD"):
        await bench.control.set_engine_urls({"EUR": "signalbox:ethereum", "USD": url})

    assert await bench.control.engine_urls() == {}
