"""What settlement engines and the operator ask of a store, on every backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from core.account import Account, AccountId, Asset, NewTokens
from core.errors import (
    Conflict,
    EngineFenced,
    EngineRunning,
    EngineStopped,
    NotFound,
    UnknownAccount,
)
from core.settlement.records import Direction, SettlementState
from core.settlement.store import (
    ENGINE_LEASE_MS,
    MARKS_KEPT,
    Attempt,
    BlockMark,
    EngineIdentity,
    EngineLease,
    EngineReport,
    IncomingPayment,
    OpenSettlement,
    ScanApplied,
    Wallet,
    WalletKey,
)
from core.stores import Stores
from core.testing.builders import account
from core.testing.clock import FakeClock
from tests.core.stores.people import ALICE, BOB, NOBODY

GWEI = 10**9
KEY = WalletKey(ledger_id="1:genesis", address="ours")
START = BlockMark(10, "hash-10")
IDENTITY = EngineIdentity(
    name="eth", kind="ethereum", asset_code="ETH", ledger_scale=18, pid=77
)


def settled(account_id: AccountId = ALICE, username: str = "alice", **changes: Any) -> Account:
    """Return an account that the engine `eth` serves."""
    plain = account(
        username,
        id=account_id,
        asset=Asset("ETH", 9),
        settle_threshold=100,
        settle_to=10,
        settlement_engine_url="signalbox:eth",
        settlement_address=f"{username}-pays",
    )
    return replace(plain, **changes)


async def add(stores: Stores, *accounts: Account) -> None:
    for one in accounts:
        await stores.accounts.insert_account(one, NewTokens())


async def owe(stores: Stores, amount: int, who: AccountId = ALICE) -> None:
    await stores.books.correct(who, amount, "owed, as far as this test goes")


async def take(stores: Stores) -> EngineLease:
    """Become the engine, with its wallet open from block 10 and nonce 5."""
    lease = await stores.settlements.take_engine(IDENTITY)
    await stores.settlements.open_wallet(
        lease, KEY, first=Wallet(next_nonce=5, cursor=START), resets=False
    )
    return lease


def attempt(name: str = "tx-1", *, fee: int = 10) -> Attempt:
    return Attempt(
        hash=name,
        raw=name.encode(),
        fee_per_unit=fee,
        tip_per_unit=1,
        work_limit=21_000,
        at_ms=1,
    )


def block(number: int) -> BlockMark:
    return BlockMark(number, f"hash-{number}")


def payment(
    name: str = "in-1", *, sender: str = "alice-pays", amount: int = 7 * GWEI, at: int = 11
) -> IncomingPayment:
    return IncomingPayment(
        key=name, transaction=name, sender=sender, ledger_amount=amount, block=block(at)
    )


async def decide(stores: Stores, lease: EngineLease, who: AccountId = ALICE) -> OpenSettlement:
    decided = await stores.settlements.decide(lease, who)
    assert decided is not None
    return decided


async def scan(
    stores: Stores, lease: EngineLease, *payments: IncomingPayment, upto: int = 11
) -> ScanApplied:
    wallet = await stores.settlements.load_wallet(lease, KEY)
    assert wallet is not None
    return await stores.settlements.apply_scan(
        lease, KEY, after=wallet.cursor, upto=block(upto), payments=payments
    )


# --- Leases -------------------------------------------------------------------------------------


async def test_a_living_engine_keeps_its_lease_and_a_released_one_is_taken_under_a_new_epoch(
    stores: Stores, url: str, open_file: Callable[[], Awaitable[Stores]]
) -> None:
    lease = await stores.settlements.take_engine(IDENTITY)
    other = stores if url == "memory:" else await open_file()
    with pytest.raises(EngineRunning, match="as process 77"):
        await other.settlements.take_engine(IDENTITY)

    await stores.settlements.release_engine(lease)
    second = await other.settlements.take_engine(IDENTITY)

    assert (lease.epoch, second.epoch) == (1, 2)


async def test_every_write_under_an_old_lease_is_refused_and_changes_nothing(
    stores: Stores, url: str, open_file: Callable[[], Awaitable[Stores]]
) -> None:
    await add(stores, settled())
    await owe(stores, 500)
    old = await take(stores)
    waiting = await decide(stores, old)
    await stores.settlements.release_engine(old)
    await owe(stores, 500)
    lease = await take(stores)
    store = stores.settlements

    calls: list[Awaitable[object]] = [
        store.release_engine(old),
        store.heartbeat(
            old, EngineReport(ledger="", address="", balance=0, head=0, problem="old")
        ),
        store.open_wallet(old, KEY, first=Wallet(next_nonce=0, cursor=START), resets=False),
        store.decide(old, ALICE),
        store.sign(old, KEY, waiting.id, 5, attempt()),
        store.add_attempt(old, waiting.id, attempt()),
        store.sent(old, waiting.id),
        store.note(old, waiting.id, problem="old"),
        store.finish(old, waiting.id, transaction="t", block=block(11), confirmations=2, fee=1),
        store.fail(old, waiting.id, problem="old", give_back=True),
        store.apply_scan(old, KEY, after=START, upto=block(11), payments=[payment()]),
        store.rewind(old, KEY, START),
    ]
    for call in calls:
        with pytest.raises(EngineFenced):
            await call

    other = stores if url == "memory:" else await open_file()
    with pytest.raises(EngineRunning):  # the living one's lock was not let go
        await other.settlements.take_engine(IDENTITY)
    (unchanged,) = await store.load_open(lease)
    assert unchanged == waiting
    assert await store.load_wallet(lease, KEY) == Wallet(next_nonce=5, cursor=START)
    assert (await stores.books.balance(ALICE)).net == 1_000 - waiting.amount


async def test_a_heartbeat_is_what_the_operator_sees_of_an_engine(
    stores: Stores, clock: FakeClock
) -> None:
    lease = await stores.settlements.take_engine(IDENTITY)
    clock.advance(milliseconds=5)
    report = EngineReport(ledger="a chain", address="0x1", balance=10**20, head=7, problem="!")
    await stores.settlements.heartbeat(lease, report)

    (status,) = await stores.settlements.engine_statuses()
    assert (status.name, status.kind, status.pid, status.epoch) == ("eth", "ethereum", 77, 1)
    assert (status.ledger, status.address, status.balance) == ("a chain", "0x1", 10**20)
    assert (status.head, status.problem, status.stopped_at_ms) == (7, "!", None)
    assert status.heartbeat_at_ms == status.started_at_ms + 5


async def test_an_engine_that_fell_silent_is_taken_over_where_it_ran(
    clock: FakeClock, stores: Stores
) -> None:
    await stores.settlements.take_engine(IDENTITY)
    clock.advance(milliseconds=ENGINE_LEASE_MS)

    assert (await stores.settlements.take_engine(IDENTITY)).epoch == 2


# --- What is due --------------------------------------------------------------------------------


async def test_deciding_debits_and_writes_the_intent_together(stores: Stores) -> None:
    await add(stores, settled())
    await owe(stores, 150)
    lease = await take(stores)
    assert await stores.settlements.accounts_due(lease, limit=10) == [ALICE]

    decided = await decide(stores, lease)

    assert (decided.amount, decided.ledger_amount) == (140, 140 * GWEI)
    assert (decided.state, decided.destination) == (SettlementState.INTENT, "alice-pays")
    assert (await stores.books.balance(ALICE)).payable == 10
    assert await stores.settlements.accounts_due(lease, limit=10) == []
    assert await stores.settlements.decide(lease, ALICE) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"settle_threshold": None},
        {"settle_threshold": 151},
        {"settle_to": 150},
        {"enabled": False},
        {"settlement_address": None},
        {"settlement_address": ""},
        {"settlement_engine_url": None},
        {"settlement_engine_url": "signalbox:other"},
        {"settlement_engine_url": "https://engine.example"},
        {"asset": Asset("USD", 9)},
    ],
)
async def test_an_account_is_not_settled_that(stores: Stores, changes: dict[str, Any]) -> None:
    await add(stores, settled(**changes))
    await owe(stores, 150)
    lease = await take(stores)

    assert await stores.settlements.accounts_due(lease, limit=10) == []
    assert await stores.settlements.decide(lease, ALICE) is None
    assert (await stores.books.balance(ALICE)).payable == 150


async def test_an_account_without_an_engine_of_its_own_is_its_assets_default_engines(
    stores: Stores,
) -> None:
    await add(stores, settled(settlement_engine_url=None))
    await owe(stores, 150)
    lease = await take(stores)
    await stores.settlements.save_engine_urls({"ETH": "signalbox:eth", "USD": "http://x"})

    assert await stores.settlements.accounts_due(lease, limit=10) == [ALICE]
    assert await stores.settlements.load_engine_urls() == {
        "ETH": "signalbox:eth",
        "USD": "http://x",
    }
    await stores.settlements.save_engine_urls({"ETH": "signalbox:other"})
    assert await stores.settlements.accounts_due(lease, limit=10) == []


async def test_what_they_owe_us_is_set_off_and_what_they_prepaid_is_not(
    stores: Stores,
) -> None:
    await add(stores, settled(), settled(BOB, "bob"))
    lease = await take(stores)
    await scan(stores, lease, payment(amount=90 * GWEI))  # prepaid
    await owe(stores, 100)
    await owe(stores, 150, BOB)
    await owe(stores, -60, BOB)

    assert await stores.settlements.accounts_due(lease, limit=10) == [ALICE]


async def test_a_peer_may_be_paid_in_advance(stores: Stores) -> None:
    await add(stores, settled(settle_threshold=0, settle_to=-100))
    lease = await take(stores)

    assert (await decide(stores, lease)).amount == 100
    assert (await stores.books.balance(ALICE)).payable == -100


async def test_only_what_the_ledger_can_carry_is_debited(stores: Stores) -> None:
    fine = settled(asset=Asset("ETH", 20), settle_threshold=100, settle_to=0)
    await add(stores, fine)
    await owe(stores, 199)
    lease = await take(stores)

    decided = await decide(stores, lease)

    assert (decided.amount, decided.ledger_amount) == (100, 1)
    assert (await stores.books.balance(ALICE)).payable == 99


async def test_many_deciding_at_once_decide_once(stores: Stores) -> None:
    await add(stores, settled())
    await owe(stores, 150)
    lease = await take(stores)

    decided = await asyncio.gather(
        *(stores.settlements.decide(lease, ALICE) for _ in range(16))
    )

    assert sum(one is not None for one in decided) == 1
    assert (await stores.books.balance(ALICE)).payable == 10


# --- The operator's word ------------------------------------------------------------------------


async def test_the_operator_settles_below_the_threshold_and_without_one(
    stores: Stores,
) -> None:
    await add(stores, settled(settle_threshold=None, settle_to=None))
    await owe(stores, 50)
    lease = await take(stores)

    settlement = await stores.settlements.request_settlement(ALICE, "eth", 40)

    (opened,) = await stores.settlements.load_open(lease)
    assert (opened.id, opened.amount) == (settlement, 40)
    assert (await stores.books.balance(ALICE)).payable == 10


@pytest.mark.parametrize(
    ("changes", "engine", "amount", "sentence"),
    [
        ({}, "eth", 51, "at most 50 is owed to alice"),
        ({}, "eth", 0, "at most 50"),
        ({}, "signalbox:none", 10, "has never run on this store"),
        ({"asset": Asset("USD", 9)}, "eth", 10, "counts in USD"),
        ({"settlement_address": None}, "eth", 10, "no settlement address"),
        ({"asset": Asset("ETH", 20)}, "eth", 40, "less than the ledger can carry"),
    ],
)
async def test_the_operator_is_told_why_something_is_not_settled(
    stores: Stores, changes: dict[str, Any], engine: str, amount: int, sentence: str
) -> None:
    await add(stores, settled(**changes))
    await owe(stores, 50)
    await take(stores)

    with pytest.raises(Conflict, match=sentence):
        await stores.settlements.request_settlement(ALICE, engine, amount)
    assert (await stores.books.balance(ALICE)).payable == 50


async def test_the_operator_cannot_settle_twice_at_once_nor_with_nobody(
    stores: Stores,
) -> None:
    await add(stores, settled())
    await owe(stores, 50)
    await take(stores)
    await stores.settlements.request_settlement(ALICE, "eth", 10)

    with pytest.raises(Conflict, match="one at a time"):
        await stores.settlements.request_settlement(ALICE, "eth", 10)
    with pytest.raises(UnknownAccount):
        await stores.settlements.request_settlement(NOBODY, "eth", 10)


# --- Signing and what follows -------------------------------------------------------------------


async def test_the_octets_and_the_nonce_are_kept_together(stores: Stores) -> None:
    await add(stores, settled())
    await owe(stores, 150)
    lease = await take(stores)
    decided = await decide(stores, lease)

    with pytest.raises(EngineFenced, match="nonce 6 is not the wallet's next"):
        await stores.settlements.sign(lease, KEY, decided.id, 6, attempt())
    await stores.settlements.sign(lease, KEY, decided.id, 5, attempt())
    await stores.settlements.add_attempt(lease, decided.id, attempt("tx-2", fee=2**70))
    await stores.settlements.sent(lease, decided.id)

    (opened,) = await stores.settlements.load_open(lease)
    assert (opened.nonce, opened.state) == (5, SettlementState.SENT)
    assert list(opened.attempts) == [attempt(), attempt("tx-2", fee=2**70)]
    wallet = await stores.settlements.load_wallet(lease, KEY)
    assert wallet is not None
    assert wallet.next_nonce == 6
    (listed,) = await stores.settlements.settlements(limit=1)
    assert (listed.transaction, listed.attempts) == ("tx-2", 2)


async def test_a_step_out_of_turn_stops_the_engine(stores: Stores) -> None:
    await add(stores, settled())
    await owe(stores, 150)
    lease = await take(stores)
    decided = await decide(stores, lease)

    with pytest.raises(EngineStopped):
        await stores.settlements.sent(lease, decided.id)
    await stores.settlements.sign(lease, KEY, decided.id, 5, attempt())
    with pytest.raises(EngineStopped):
        await stores.settlements.sign(lease, KEY, decided.id, 6, attempt("tx-2"))

    wallet = await stores.settlements.load_wallet(lease, KEY)
    assert wallet is not None
    assert wallet.next_nonce == 6


async def test_a_paid_settlement_keeps_what_the_ledger_took_and_is_not_open_any_more(
    stores: Stores,
) -> None:
    await add(stores, settled())
    await owe(stores, 150)
    lease = await take(stores)
    decided = await decide(stores, lease)
    await stores.settlements.sign(lease, KEY, decided.id, 5, attempt())
    await stores.settlements.note(
        lease, decided.id, problem="slow", transaction="tx-1", confirmations=1
    )
    await stores.settlements.finish(
        lease, decided.id, transaction="tx-1", block=block(12), confirmations=2, fee=10**19
    )

    assert await stores.settlements.load_open(lease) == []
    (listed,) = await stores.settlements.settlements(limit=10, account=ALICE)
    assert (listed.state, listed.fee, listed.confirmations) == (
        SettlementState.FINAL,
        10**19,
        2,
    )
    assert (listed.direction, listed.problem) == (Direction.OUT, "")
    totals = await stores.settlements.wallet_totals(lease, KEY)
    assert (totals.paid, totals.fees, totals.upto) == (140 * GWEI, 10**19, 10)


@pytest.mark.parametrize("give_back", [True, False])
async def test_a_failed_settlement_is_given_back_only_where_told_so_and_holds_the_account(
    stores: Stores, clock: FakeClock, give_back: bool
) -> None:
    await add(stores, settled())
    await owe(stores, 150)
    lease = await take(stores)
    decided = await decide(stores, lease)
    await stores.settlements.fail(lease, decided.id, problem="why", give_back=give_back)

    assert (await stores.books.balance(ALICE)).payable == (150 if give_back else 10)
    await owe(stores, 500)
    assert await stores.settlements.accounts_due(lease, limit=10) == []
    clock.advance(seconds=1)
    await stores.accounts.update_account(settled(updated_at_ms=clock.now_ms()), NewTokens())
    assert await stores.settlements.accounts_due(lease, limit=10) == [ALICE]
    assert (await stores.books.audit()).passed


# --- What comes in ------------------------------------------------------------------------------


async def test_a_payment_is_credited_once_for_ever(stores: Stores) -> None:
    await add(stores, settled())
    lease = await take(stores)

    first = await scan(stores, lease, payment(), payment("in-2"))
    again = await scan(stores, lease, payment(), payment("in-2"), upto=12)

    assert (first.credited, again.credited, again.known) == (2, 0, 2)
    assert (await stores.books.balance(ALICE)).receivable == -14
    wallet = await stores.settlements.load_wallet(lease, KEY)
    assert wallet is not None
    assert wallet.cursor == block(12)
    marks = await stores.settlements.load_marks(lease, KEY)
    assert list(marks) == [block(12), block(11), START]


async def test_a_scan_from_elsewhere_than_the_cursor_is_refused(stores: Stores) -> None:
    await add(stores, settled())
    lease = await take(stores)

    with pytest.raises(EngineFenced, match="another process moved it"):
        await stores.settlements.apply_scan(
            lease, KEY, after=block(9), upto=block(11), payments=[payment()]
        )
    assert (await stores.books.balance(ALICE)).receivable == 0


async def test_an_address_is_compared_without_regard_to_case(stores: Stores) -> None:
    await add(stores, settled(settlement_address=" 0xAbC "))
    lease = await take(stores)

    assert (await scan(stores, lease, payment(sender="0xaBc"))).credited == 1


async def test_an_address_of_two_accounts_is_for_the_operator_to_assign(
    stores: Stores,
) -> None:
    await add(stores, settled(), settled(BOB, "bob", settlement_address="alice-pays"))
    lease = await take(stores)

    assert (await scan(stores, lease, payment())).unmatched == 1

    (waiting,) = await stores.settlements.unmatched(limit=10)
    await stores.settlements.assign_unmatched(waiting.key, BOB)
    assert (await stores.books.balance(BOB)).receivable == -7
    with pytest.raises(NotFound):
        await stores.settlements.assign_unmatched(waiting.key, BOB)
    assert await stores.settlements.unmatched(limit=10) == []
    assert (await scan(stores, lease, payment(), upto=12)).known == 1


async def test_an_unmatched_payment_is_not_assigned_to_nobody(stores: Stores) -> None:
    lease = await take(stores)
    await scan(stores, lease, payment(sender="stranger"))
    (waiting,) = await stores.settlements.unmatched(limit=10)

    with pytest.raises(UnknownAccount):
        await stores.settlements.assign_unmatched(waiting.key, NOBODY)
    assert len(await stores.settlements.unmatched(limit=10)) == 1


async def test_a_rewind_takes_credits_back_to_the_last_ledger_unit(stores: Stores) -> None:
    await add(stores, settled())
    lease = await take(stores)
    half = GWEI // 2
    await scan(stores, lease, payment("in-1", amount=half, at=11), upto=11)
    await scan(stores, lease, payment("in-2", amount=half, at=12), upto=12)
    assert (await stores.books.balance(ALICE)).receivable == -1

    rewound = await stores.settlements.rewind(lease, KEY, block(11))
    assert (rewound.reversed_credits, rewound.reopened_settlements) == (1, 0)
    assert (await stores.books.balance(ALICE)).receivable == 0

    await scan(stores, lease, payment("in-2", amount=half, at=13), upto=13)
    assert (await stores.books.balance(ALICE)).receivable == -1
    assert list(await stores.settlements.load_marks(lease, KEY)) == [
        block(13),
        block(11),
        START,
    ]
    assert (await stores.books.audit()).passed


async def test_a_rewind_forgets_strangers_and_remembers_to_whom_one_was_assigned(
    stores: Stores,
) -> None:
    await add(stores, settled())
    lease = await take(stores)
    strangers = [payment("in-1", sender="one"), payment("in-2", sender="two")]
    await scan(stores, lease, *strangers)
    (assigned, _) = await stores.settlements.unmatched(limit=10)
    await stores.settlements.assign_unmatched(assigned.key, ALICE)

    await stores.settlements.rewind(lease, KEY, START)
    assert await stores.settlements.unmatched(limit=10) == []
    again = await scan(stores, lease, *strangers)

    assert (again.credited, again.unmatched) == (1, 1)
    assert (await stores.books.balance(ALICE)).receivable == -7


async def test_a_rewind_reopens_what_had_ended_even_while_another_is_open(
    stores: Stores,
) -> None:
    await add(stores, settled())
    await owe(stores, 150)
    lease = await take(stores)
    first = await decide(stores, lease)
    await stores.settlements.sign(lease, KEY, first.id, 5, attempt())
    await stores.settlements.fail(
        lease, first.id, problem="undone", give_back=True, transaction="tx-1", block=block(12)
    )
    await stores.settlements.request_settlement(ALICE, "eth", 100)

    rewound = await stores.settlements.rewind(lease, KEY, START)

    assert rewound.reopened_settlements == 1
    reopened, second = await stores.settlements.load_open(lease)
    assert (reopened.id, reopened.state) == (first.id, SettlementState.SENT)
    assert second.state is SettlementState.INTENT
    assert (await stores.books.balance(ALICE)).payable == 150 - 140 - 100
    await stores.settlements.finish(
        lease, first.id, transaction="tx-1", block=block(13), confirmations=2, fee=1
    )
    assert (await stores.books.audit()).passed


async def test_of_many_marks_the_first_and_the_newest_are_kept(stores: Stores) -> None:
    lease = await take(stores)
    for number in range(11, 11 + MARKS_KEPT + 150):
        await scan(stores, lease, upto=number)

    marks = await stores.settlements.load_marks(lease, KEY)
    assert MARKS_KEPT <= len(marks) <= MARKS_KEPT + 101
    assert (marks[0], marks[-1]) == (block(10 + MARKS_KEPT + 150), START)


# --- Wallets ------------------------------------------------------------------------------------


async def test_another_chain_or_key_stops_the_engine_unless_chains_reset(
    stores: Stores,
) -> None:
    await add(stores, settled())
    await owe(stores, 150)
    lease = await take(stores)
    first = Wallet(next_nonce=0, cursor=BlockMark(0, "zero"))
    store = stores.settlements

    for resets in (False, True):
        with pytest.raises(EngineStopped, match="an engine of another name"):
            await store.open_wallet(
                lease,
                WalletKey(ledger_id="2:other", address="ours"),
                first=first,
                resets=resets,
            )
    decided = await decide(stores, lease)
    new_key = WalletKey(ledger_id=KEY.ledger_id, address="new")
    await store.sign(lease, KEY, decided.id, 5, attempt())
    with pytest.raises(EngineStopped, match="put the old key back"):
        await store.open_wallet(lease, new_key, first=first, resets=False)
    await store.finish(
        lease, decided.id, transaction="tx-1", block=block(11), confirmations=1, fee=1
    )
    assert await store.open_wallet(lease, new_key, first=first, resets=False) == first


async def test_settlements_are_listed_newest_first_and_by_account(
    stores: Stores, clock: FakeClock
) -> None:
    await add(stores, settled(), settled(BOB, "bob"))
    await owe(stores, 150)
    lease = await take(stores)
    await decide(stores, lease)
    clock.advance(seconds=1)
    await scan(stores, lease, payment(sender="bob-pays"))

    found = await stores.settlements.settlements(limit=10)
    assert [(one.account, one.direction) for one in found] == [
        (BOB, Direction.IN),
        (ALICE, Direction.OUT),
    ]
    assert [one.account for one in await stores.settlements.settlements(limit=1)] == [BOB]
    only = await stores.settlements.settlements(limit=10, account=ALICE)
    assert [one.account for one in only] == [ALICE]
