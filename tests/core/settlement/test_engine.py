"""The engine's loop on a fake chain: what it pays, what it credits, and what stops it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

import core.settlement.engine as engine_module
from core.account import AccountId, NewTokens
from core.errors import EngineFenced, EngineRunning, EngineStopped
from core.settlement.engine import BACK_OFF_MAX_SECONDS
from core.settlement.records import Direction, SettlementState
from core.stores import open_stores
from tests.core.settlement.fake_ledger import FakeChain, FakeLedger, Transfer
from tests.core.settlement.parties import GWEI, Party, engine_for, peer


async def test_what_is_owed_is_paid_once_and_credited_on_the_other_side(
    alice: Party, bob: Party, chain: FakeChain
) -> None:
    await alice.owe(1_234)

    for _ in range(6):
        await alice.step()
        await bob.step()
        chain.mine()

    assert chain.received("bob", "alice") == [1_234 * GWEI]
    assert (await alice.balance()).payable == 0
    assert (await bob.balance()).receivable == -1_234
    assert (await alice.only(Direction.OUT)).state is SettlementState.FINAL
    credit = await bob.only(Direction.IN)
    assert (credit.state, credit.amount) == (SettlementState.CREDITED, 1_234)
    assert (await alice.stores.books.audit()).passed
    assert (await bob.stores.books.audit()).passed


async def test_nothing_is_paid_below_the_threshold_and_something_at_it(
    alice: Party, chain: FakeChain
) -> None:
    await alice.owe(999)
    await alice.step()
    assert chain.broadcasts == []

    await alice.owe(1)
    await alice.step()
    assert len(chain.broadcasts) == 1


async def test_a_second_debt_waits_until_the_first_settlement_has_ended(
    alice: Party, chain: FakeChain
) -> None:
    await alice.owe(1_000)
    await alice.step()
    await alice.owe(2_000)
    await alice.step()
    assert len(await alice.listed(Direction.OUT)) == 1

    chain.mine(2)
    await alice.step()

    assert [one.amount for one in await alice.listed(Direction.OUT)] == [1_000, 2_000]


async def test_a_settlement_is_final_only_when_its_block_is_deep_enough(
    alice: Party, chain: FakeChain
) -> None:
    await alice.owe(1_000)
    await alice.step()
    chain.mine()
    await alice.step()
    shallow = await alice.only(Direction.OUT)
    assert (shallow.state, shallow.confirmations) == (SettlementState.SENT, 1)

    chain.mine()
    await alice.step()

    assert (await alice.only(Direction.OUT)).state is SettlementState.FINAL


async def test_a_transaction_that_the_network_lost_is_sent_again_and_is_the_same_one(
    alice: Party, chain: FakeChain
) -> None:
    await alice.owe(1_000)
    await alice.step()
    chain.pool.clear()
    await alice.step()

    first, second = chain.broadcasts
    assert first == second


async def test_a_transaction_that_waits_too_long_is_offered_more_with_the_same_nonce(
    alice: Party, chain: FakeChain
) -> None:
    chain.min_fee = 11
    await alice.owe(1_000)
    await alice.step()
    chain.mine(3)
    alice.clock.advance(seconds=61)
    await alice.step()
    chain.mine(2)
    await alice.step()

    settlement = await alice.only(Direction.OUT)
    assert (settlement.state, settlement.attempts) == (SettlementState.FINAL, 2)
    assert settlement.fee == 12
    assert chain.received("bob", "alice") == [1_000 * GWEI]


async def test_the_cheaper_attempt_may_be_the_one_that_is_carried_out(
    alice: Party, chain: FakeChain
) -> None:
    chain.min_fee = 11
    await alice.owe(1_000)
    await alice.step()
    (cheap,) = chain.pool.values()
    alice.clock.advance(seconds=61)
    await alice.step()
    chain.pool["alice", 0] = cheap
    chain.min_fee = 0
    chain.mine(2)
    await alice.step()

    settlement = await alice.only(Direction.OUT)
    assert (settlement.state, settlement.transaction) == (SettlementState.FINAL, cheap.hash)


@pytest.mark.logs_warning
async def test_a_payment_that_the_ledger_undid_is_owed_again_and_not_tried_until_the_operator_acts(
    alice: Party, chain: FakeChain
) -> None:
    chain.refusing.add("bob")
    await alice.owe(1_000)
    await alice.step()
    chain.mine(2)
    for _ in range(3):
        await alice.step()

    settlement = await alice.only(Direction.OUT)
    assert settlement.state is SettlementState.FAILED
    assert "does not accept" in settlement.problem
    assert (await alice.balance()).payable == 1_000

    alice.clock.advance(seconds=1)
    moved = replace(peer("bob2"), updated_at_ms=alice.clock.now_ms())
    await alice.stores.accounts.update_account(moved, NewTokens())
    await alice.step()
    chain.mine()
    assert chain.received("bob2", "alice") == [1_000 * GWEI]


@pytest.mark.logs_warning
async def test_an_empty_wallet_pays_nothing_says_so_and_pays_once_it_is_filled(
    alice: Party, chain: FakeChain
) -> None:
    chain.funds["alice"] = 5
    await alice.owe(1_000)
    await alice.step()
    waiting = await alice.only(Direction.OUT)
    assert (waiting.state, waiting.problem) == (
        SettlementState.INTENT,
        "the wallet is too empty",
    )

    chain.funds["alice"] = 10**30
    await alice.step()

    assert (await alice.only(Direction.OUT)).state is SettlementState.SENT
    assert (await alice.only(Direction.OUT)).problem == ""


@pytest.mark.logs_warning
async def test_two_payments_under_way_are_not_promised_the_same_money(
    alice: Party, chain: FakeChain
) -> None:
    chain.funds["alice"] = 1_500 * GWEI
    carol = peer(
        "carol", username="carol", id=AccountId("22222222-0000-4000-8000-000000000002")
    )
    await alice.stores.accounts.insert_account(carol, NewTokens())
    await alice.owe(1_000)
    await alice.owe(1_000, peer=carol.id)
    await alice.step()

    states = sorted(one.state.value for one in await alice.listed(Direction.OUT))
    assert states == ["intent", "sent"]


async def test_a_payment_from_a_stranger_waits_for_the_operator_and_stops_nobody(
    bob: Party, chain: FakeChain
) -> None:
    chain.pay("stranger", "bob", 1)
    chain.pay("alice", "bob", 7 * GWEI)
    chain.mine(2)
    await bob.step()

    assert (await bob.balance()).receivable == -7
    (unknown,) = await bob.stores.settlements.unmatched(limit=10)
    assert (unknown.sender, unknown.ledger_amount) == ("stranger", 1)


async def test_more_wei_than_64_bits_hold_are_credited_or_kept_for_the_operator(
    bob: Party, chain: FakeChain
) -> None:
    chain.pay("alice", "bob", 10**20)
    chain.pay("stranger", "bob", 10**20)
    chain.mine(2)
    await bob.step()

    assert (await bob.balance()).receivable == -(10**11)
    (unknown,) = await bob.stores.settlements.unmatched(limit=10)
    assert unknown.ledger_amount == 10**20


async def test_what_the_books_cannot_carry_waits_for_the_operator_and_stops_nobody(
    bob: Party, chain: FakeChain
) -> None:
    chain.pay("alice", "bob", 2**63 * GWEI)
    chain.pay("alice", "bob", 5 * GWEI)
    chain.mine(2)
    await bob.step()

    assert (await bob.balance()).receivable == -5
    assert len(await bob.stores.settlements.unmatched(limit=10)) == 1


async def test_what_is_finer_than_the_accounts_unit_is_kept_for_the_next_payment(
    bob: Party, chain: FakeChain
) -> None:
    for amount in (GWEI // 2, GWEI // 2, GWEI + 1):
        chain.pay("alice", "bob", amount)
        chain.mine(2)
        await bob.step()

    assert [one.amount for one in await bob.listed(Direction.IN)] == [0, 1, 1]


@pytest.mark.logs_warning
async def test_a_reorganisation_deeper_than_we_wait_takes_credits_back_and_gives_them_again(
    bob: Party, chain: FakeChain
) -> None:
    chain.mine(2)
    await bob.step()
    chain.pay("alice", "bob", 9 * GWEI + 5)
    chain.mine(2)
    await bob.step()
    assert (await bob.balance()).receivable == -9

    chain.reorganise(2, drop=True)
    await bob.step()
    assert (await bob.balance()).receivable == 0
    assert (await bob.only(Direction.IN)).state is SettlementState.REVERSED
    (status,) = await bob.stores.settlements.engine_statuses()
    assert "took back blocks" in status.problem

    chain.pay("alice", "bob", 9 * GWEI + 5)
    chain.mine(2)
    await bob.step()
    assert (await bob.balance()).receivable == -9
    assert (await bob.stores.books.audit()).passed


@pytest.mark.logs_warning
async def test_a_final_settlement_whose_block_is_gone_is_sent_again_and_paid_once(
    alice: Party, chain: FakeChain
) -> None:
    chain.mine(2)
    await alice.step()
    await alice.owe(1_000)
    await alice.step()
    chain.mine(2)
    await alice.step()
    assert (await alice.only(Direction.OUT)).state is SettlementState.FINAL

    chain.reorganise(2, drop=True)
    for _ in range(3):
        await alice.step()
        chain.mine()

    assert (await alice.only(Direction.OUT)).state is SettlementState.FINAL
    assert chain.received("bob", "alice") == [1_000 * GWEI]
    assert (await alice.balance()).payable == 0


async def test_a_shallow_reorganisation_is_nothing_to_the_books(
    alice: Party, bob: Party, chain: FakeChain
) -> None:
    chain.mine(2)
    await alice.owe(1_000)
    await alice.step()
    await bob.step()
    chain.mine()
    await alice.step()
    await bob.step()
    chain.reorganise(1, drop=True)
    for _ in range(4):
        await alice.step()
        await bob.step()
        chain.mine()

    assert chain.received("bob", "alice") == [1_000 * GWEI]
    assert (await bob.balance()).receivable == -1_000


async def test_another_user_of_the_wallets_key_stops_the_engine(
    alice: Party, chain: FakeChain
) -> None:
    await alice.step()
    chain.pay("alice", "somebody", 1)
    chain.mine()

    with pytest.raises(EngineStopped, match="something else uses its key"):
        await alice.step()


@pytest.mark.logs_warning
async def test_a_nonce_that_another_transaction_took_is_told_and_nothing_is_given_back(
    alice: Party, chain: FakeChain
) -> None:
    await alice.owe(1_000)
    await alice.step()
    chain.pool["alice", 0] = Transfer("alice", 0, "thief", 1, 99)
    chain.mine(2)
    await alice.step()

    settlement = await alice.only(Direction.OUT)
    assert settlement.state is SettlementState.SENT
    assert "another transaction took nonce 0" in settlement.problem
    assert (await alice.balance()).payable == 0


async def test_a_living_engine_is_not_joined_by_a_second_one(
    alice: Party, chain: FakeChain
) -> None:
    await alice.step()
    stores = alice.stores
    if alice.url != "memory:":
        stores = await open_stores(alice.url, alice.clock)
    other = engine_for(stores.settlements, FakeLedger(chain, "alice"), alice.clock)

    with pytest.raises(EngineRunning, match="runs already on this store, as process 1"):
        await other.take()
    await stores.close()


async def test_an_engine_that_was_taken_over_writes_nothing_any_more(
    alice: Party, chain: FakeChain
) -> None:
    await alice.step()
    old = alice.engine
    lease = old.lease
    await alice.stores.settlements.release_engine(lease)
    alice.engine = engine_for(alice.stores.settlements, alice.ledger, alice.clock)
    await alice.step()
    await alice.owe(1_000)

    with pytest.raises(EngineFenced):
        await old.step()
    assert chain.broadcasts == []
    assert (await alice.balance()).payable == 1_000


@pytest.mark.logs_warning
async def test_a_ledger_that_does_not_answer_is_asked_less_and_less_and_shown(
    alice: Party, chain: FakeChain
) -> None:
    await alice.step()
    chain.is_reachable = False

    rests = [await alice.engine.poll() for _ in range(8)]

    assert rests == [2, 4, 8, 16, 32, BACK_OFF_MAX_SECONDS, BACK_OFF_MAX_SECONDS, 60]
    (status,) = await alice.stores.settlements.engine_statuses()
    assert status.problem == "the fake chain does not answer"
    chain.is_reachable = True
    assert await alice.engine.poll() == 1
    (status,) = await alice.stores.settlements.engine_statuses()
    assert status.problem == ""


@pytest.mark.logs_warning
async def test_a_ledgers_node_that_is_behind_is_waited_for(
    bob: Party, chain: FakeChain
) -> None:
    chain.pay("alice", "bob", 9 * GWEI)
    chain.mine(3)
    await bob.step()
    newest = chain.blocks[-2:]
    del chain.blocks[-2:]

    await bob.engine.poll()
    (status,) = await bob.stores.settlements.engine_statuses()
    assert "still catching up" in status.problem
    assert (await bob.balance()).receivable == -9

    chain.blocks += newest
    await bob.engine.poll()
    assert (await bob.balance()).receivable == -9


async def test_a_chain_that_is_another_one_stops_the_engine(
    alice: Party, chain: FakeChain
) -> None:
    await alice.step()
    alice.engine._ledger.chain = FakeChain(chain_id="other")  # type: ignore[attr-defined]

    with pytest.raises(EngineStopped, match="give another chain an engine of another name"):
        await alice.step()


async def test_a_test_chain_that_began_anew_parks_what_was_signed_and_goes_on(
    alice: Party, chain: FakeChain
) -> None:
    chain.resets = True
    await alice.owe(1_000)
    await alice.step()
    alice.engine._ledger.chain = again = FakeChain(  # type: ignore[attr-defined]
        chain_id="second", resets=True
    )
    await alice.step()
    parked = await alice.only(Direction.OUT)
    assert parked.state is SettlementState.FAILED
    assert "began anew" in parked.problem
    assert (await alice.balance()).payable == 0

    await alice.owe(2_000)
    await alice.step()
    again.mine()
    assert again.received("bob", "alice") == [2_000 * GWEI]


@pytest.mark.logs_warning
async def test_a_wallet_that_holds_less_than_the_rows_say_is_an_alarm(
    bob: Party, chain: FakeChain
) -> None:
    chain.funds["bob"] = 0
    chain.pay("alice", "bob", 9 * GWEI)
    chain.mine(2)
    await bob.step()
    chain.funds["bob"] = -1
    await bob.restart()
    await bob.step()

    (status,) = await bob.stores.settlements.engine_statuses()
    assert "should have held at least" in status.problem


async def test_the_operators_word_settles_below_the_threshold(
    alice: Party, chain: FakeChain
) -> None:
    await alice.step()
    await alice.owe(500)
    settlement = await alice.stores.settlements.request_settlement(
        (await alice.stores.accounts.load_accounts())[0].id, "signalbox:fake", 400
    )
    await alice.step()
    chain.mine()

    assert chain.received("bob", "alice") == [400 * GWEI]
    assert (await alice.only(Direction.OUT)).id == settlement
    assert (await alice.balance()).payable == 100


async def test_the_loop_ends_when_asked_and_gives_its_lease_back(
    alice: Party, chain: FakeChain
) -> None:
    stop = asyncio.Event()
    rests: list[float] = []

    async def rest(seconds: float, stop: asyncio.Event) -> None:
        rests.append(seconds)
        chain.mine()
        if len(rests) == 4:
            stop.set()

    await alice.owe(1_000)
    alice.engine._rest = rest
    await alice.engine.run(stop)

    assert rests == [1.0] * 4
    assert (await alice.only(Direction.OUT)).state is SettlementState.FINAL
    (status,) = await alice.stores.settlements.engine_statuses()
    assert status.stopped_at_ms is not None


async def test_the_heart_goes_on_beating_while_the_ledger_lets_us_wait(
    alice: Party, chain: FakeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "HEARTBEAT_SECONDS", 0.001)
    stop = asyncio.Event()

    async def rest(seconds: float, stop: asyncio.Event) -> None:
        (before,) = await alice.stores.settlements.engine_statuses()
        alice.clock.advance(seconds=5)
        async with asyncio.timeout(5):
            while (await alice.stores.settlements.engine_statuses())[0] == before:  # noqa: ASYNC110
                await asyncio.sleep(0)
        stop.set()

    alice.engine._rest = rest
    await alice.engine.run(stop)
    (status,) = await alice.stores.settlements.engine_statuses()
    assert status.heartbeat_at_ms == status.started_at_ms + 5_000


async def test_nothing_is_final_before_the_cursor_has_passed_its_block(
    alice: Party, chain: FakeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alice.owe(1_000)
    await alice.step()
    chain.mine(3)
    monkeypatch.setattr(engine_module, "SCANS_PER_STEP", 0)
    await alice.step()
    waiting = await alice.only(Direction.OUT)
    assert (waiting.state, waiting.confirmations) == (SettlementState.SENT, 3)

    monkeypatch.undo()
    await alice.step()
    assert (await alice.only(Direction.OUT)).state is SettlementState.FINAL
