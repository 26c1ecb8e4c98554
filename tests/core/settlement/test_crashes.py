"""An engine that is killed between any two of its steps, or again and again, loses and doubles nothing.

The steps are its calls to the store and to the ledger. `broken_engines` has two engines with these steps in a
wrong order, as engines elsewhere have had them; the same test finds them out.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from core.settlement.records import Direction, SettlementState
from tests.core.settlement.broken_engines import broadcast_first, credit_apart_from_cursor
from tests.core.settlement.crashing import Dying, Fuse, Killed
from tests.core.settlement.fake_ledger import FakeChain
from tests.core.settlement.parties import GWEI, Party, engine_for

Break = Callable[[Party, Fuse], None]


def whole(party: Party, fuse: Fuse) -> None:
    """Give the party the engine as it is, behind a fuse."""
    party.engine = engine_for(
        Dying(party.stores.settlements, fuse), Dying(party.ledger, fuse), party.clock
    )


def without_keeping(party: Party, fuse: Fuse) -> None:
    whole(party, fuse)
    broadcast_first(party.engine)


def without_one_transaction(party: Party, fuse: Fuse) -> None:
    whole(party, fuse)
    credit_apart_from_cursor(party.engine)


async def live(
    party: Party, chain: FakeChain, fuse: Fuse, break_: Break, *, steps: int
) -> bool:
    """Let one process of an engine live for so many steps; True if it was killed before."""
    break_(party, fuse)
    try:
        for _ in range(steps):
            await party.step()
            chain.mine()
        await party.engine.release()
    except Killed:
        chain.mine()
        await party.restart()
        return True
    return False


async def holds(alice: Party, bob: Party, chain: FakeChain, *, owed: int) -> None:
    """Check that what was owed is paid or payable, and that what was paid is credited, to the unit."""
    payments = chain.received("bob", "alice")
    outs = await alice.listed(Direction.OUT)
    paid = sum(payments) // GWEI
    assert [one.ledger_amount for one in outs] == payments
    assert {one.state for one in outs} <= {SettlementState.FINAL}
    assert owed == paid + (await alice.balance()).payable
    assert paid == -(await bob.balance()).receivable
    assert sum(one.amount for one in await bob.listed(Direction.IN)) == paid
    for party in (alice, bob):
        assert (await party.stores.books.audit()).passed


async def kill_the_payer_at_call(
    alice: Party, bob: Party, chain: FakeChain, number: int, break_: Break
) -> bool:
    """Owe, kill the engine before its n-th call, let others finish; False if it did not live to it."""
    await alice.owe(1_500)
    killed = await live(alice, chain, Fuse(number), break_, steps=5)
    await live(alice, chain, Fuse(), break_, steps=6)
    await live(bob, chain, Fuse(), whole, steps=3)
    return killed


async def kill_the_payee_at_call(
    alice: Party, bob: Party, chain: FakeChain, number: int, break_: Break
) -> bool:
    chain.pay("alice", "bob", 1_500 * GWEI)
    chain.mine(3)
    killed = await live(bob, chain, Fuse(number), break_, steps=3)
    await live(bob, chain, Fuse(), break_, steps=3)
    return killed


async def test_an_engine_killed_before_any_of_its_calls_pays_what_is_owed_once(
    alice: Party, bob: Party, chain: FakeChain
) -> None:
    number, owed = 0, 1_500
    while await kill_the_payer_at_call(alice, bob, chain, number, whole):
        await holds(alice, bob, chain, owed=owed)
        number, owed = number + 1, owed + 1_500

    # take, state, wallet, block, open, due, decide, plan, sign, sign, broadcast, sent, …
    assert number > 40
    await holds(alice, bob, chain, owed=owed)


async def test_an_engine_killed_before_any_of_its_calls_credits_what_came_in_once(
    alice: Party, bob: Party, chain: FakeChain
) -> None:
    number = paid = 0
    while True:
        killed = await kill_the_payee_at_call(alice, bob, chain, number, whole)
        number, paid = number + 1, paid + 1_500
        assert (await bob.balance()).net == paid
        assert (await bob.stores.books.audit()).passed
        if not killed:
            break

    assert number > 20


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.logs_warning
async def test_engines_killed_at_random_with_blocks_lost_keep_equal_books(
    alice: Party, bob: Party, chain: FakeChain, seed: int
) -> None:
    chance = random.Random(seed)
    owed = 0
    await live(alice, chain, Fuse(), whole, steps=1)
    await live(bob, chain, Fuse(), whole, steps=1)
    for _ in range(40):
        amount = chance.randrange(1, 3_000)
        await alice.owe(amount)
        owed += amount
        for party in (alice, bob):
            fuse = Fuse(chance.randrange(60) if chance.random() < 0.7 else None)
            await live(party, chain, fuse, whole, steps=chance.randrange(1, 4))
        if chance.random() < 0.3 and chain.head > 6:
            chain.reorganise(chance.randrange(1, 5), drop=chance.random() < 0.5)
        if chance.random() < 0.2:
            chain.pool.clear()
    for _ in range(3):
        await live(alice, chain, Fuse(), whole, steps=5)
        await live(bob, chain, Fuse(), whole, steps=5)

    await holds(alice, bob, chain, owed=owed)


async def test_an_engine_that_broadcasts_before_it_keeps_pays_twice_and_is_found_out(
    alice: Party, bob: Party, chain: FakeChain
) -> None:
    found = 0
    for number in range(40):
        await kill_the_payer_at_call(alice, bob, chain, number, without_keeping)
        outs = await alice.listed(Direction.OUT)
        if len(chain.received("bob", "alice")) > len(outs):
            found += 1
            with pytest.raises(AssertionError):
                await holds(alice, bob, chain, owed=1_500 * (number + 1))
            break

    assert found == 1


async def test_an_engine_that_credits_apart_from_its_cursor_credits_twice_and_is_found_out(
    alice: Party, bob: Party, chain: FakeChain
) -> None:
    for number in range(40):
        await kill_the_payee_at_call(alice, bob, chain, number, without_one_transaction)
        if (await bob.balance()).net > 1_500 * (number + 1):
            return

    pytest.fail("the broken engine was not found out")
