"""A request for money takes what it asks for, whatever comes at the same time, and turns nobody away for nothing."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any, cast

import pytest

from core.account import AccountId
from core.payments.gate import InvoiceGate
from core.payments.records import Invoice
from core.payments.store import PaymentStore
from core.service import Receivable
from core.testing.clock import START_MS, FakeClock

BOB, CAROL = AccountId("bob"), AccountId("carol")


class FakePayments:
    """One request for money; to read it takes a while, and what is read is as of some moment in it."""

    def __init__(self, amount: int, chance: random.Random) -> None:
        self.chance = chance
        self.kept = Invoice(
            number=1,
            id="inv",
            account=BOB,
            amount=amount,
            received=0,
            description="",
            created_at_ms=START_MS,
            expires_at_ms=None,
            cancelled_at_ms=None,
            paid_at_ms=None,
        )

    async def invoice(self, invoice_id: str) -> Invoice | None:
        await self.pause()
        found = self.kept if invoice_id == self.kept.id else None
        await self.pause()
        return found

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    def credit(self, amount: int) -> None:
        received = self.kept.received + amount
        paid_at_ms = START_MS if received >= self.kept.amount else None
        self.kept = replace(self.kept, received=received, paid_at_ms=paid_at_ms)


def gate(payments: FakePayments) -> InvoiceGate:
    return InvoiceGate(cast("PaymentStore", payments), FakeClock())


@pytest.mark.parametrize("seed", range(40))
async def test_many_at_once_fill_it_and_never_pass_it(seed: int) -> None:
    chance = random.Random(seed)
    payments = FakePayments(1_000, chance)
    holding = gate(payments)
    refused: list[int] = []
    booked: list[int] = []

    async def pay(amount: int) -> None:
        receivable = await holding.hold(BOB, "inv", "c", amount, amount)
        if not receivable.takes(amount, amount):
            refused.append(amount)
            return
        try:
            await payments.pause()
            if chance.random() < 0.8:  # otherwise it could not be booked
                payments.credit(amount)
                booked.append(amount)
                await payments.pause()
        finally:
            holding.release("inv", "c", amount)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(60):
            tasks.create_task(pay(chance.randint(1, 60)))

    assert sum(booked) == payments.kept.received <= 1_010
    # Who was refused would have been too much, even in the end.
    assert all(amount > 1_000 - sum(booked) for amount in refused)
    assert refused
    assert holding._holds == {}


async def test_what_was_cancelled_meanwhile_takes_nothing_more() -> None:
    payments = FakePayments(100, random.Random(1))
    holding = gate(payments)
    assert await holding.hold(BOB, "inv", "c", 100, 100) == Receivable(100, 100)
    waiting = asyncio.get_running_loop().create_task(holding.hold(BOB, "inv", "c", 1, 1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()

    payments.kept = replace(payments.kept, cancelled_at_ms=START_MS)
    holding.release("inv", "c", 100)

    assert await waiting == Receivable()
    assert holding._holds == {}


async def test_what_brings_too_much_because_its_sender_cannot_send_less_waits_for_the_others() -> (
    None
):
    payments = FakePayments(100, random.Random(1))
    holding = gate(payments)
    assert await holding.hold(BOB, "inv", "c", 1, 93) == Receivable(100, 100)
    waiting = asyncio.get_running_loop().create_task(holding.hold(BOB, "inv", "d", 1, 93))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()

    payments.credit(93)
    holding.release("inv", "c", 93)
    assert await waiting == Receivable(7, 100)
    assert holding.held_by_others("inv", "c") == 93
    payments.credit(93)
    holding.release("inv", "d", 93)

    assert await holding.hold(BOB, "inv", "e", 1, 93) == Receivable()
    assert holding._holds == {}


async def test_what_others_hold_is_known_by_connection() -> None:
    payments = FakePayments(100, random.Random(1))
    holding = gate(payments)
    await holding.hold(BOB, "inv", "c", 10, 10)
    await holding.hold(BOB, "inv", "c", 20, 20)
    await holding.hold(BOB, "inv", "d", 40, 40)

    for connection, held in (("c", 40), ("d", 30), ("e", 70)):
        assert holding.held_by_others("inv", connection) == held
    holding.release("inv", "c", 20)
    holding.release("inv", "d", 40)
    assert holding.held_by_others("inv", "d") == 10
    holding.release("inv", "c", 10)
    assert holding.held_by_others("inv", "d") == 0
    assert holding._holds == {}


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    payments = FakePayments(100, random.Random(1))
    holding = gate(payments)
    await holding.hold(BOB, "inv", "c", 100, 100)
    waiting = asyncio.get_running_loop().create_task(holding.hold(BOB, "inv", "c", 1, 1))
    for _ in range(20):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    holding.release("inv", "c", 100)

    assert holding._holds == {}
    assert await holding.hold(BOB, "inv", "c", 100, 100) == Receivable(100, 100)


@pytest.mark.parametrize(
    ("account", "invoice", "changes"),
    [
        (CAROL, "inv", {}),
        (BOB, "another", {}),
        (BOB, "inv", {"expires_at_ms": START_MS}),
        (BOB, "inv", {"cancelled_at_ms": START_MS}),
        (BOB, "inv", {"received": 120, "paid_at_ms": START_MS}),
    ],
)
async def test_what_cannot_be_paid_takes_nothing(
    account: AccountId, invoice: str, changes: dict[str, Any]
) -> None:
    payments = FakePayments(100, random.Random(1))
    payments.kept = replace(payments.kept, **changes)

    assert await gate(payments).receivable(account, invoice) == Receivable()
    assert await gate(payments).hold(account, invoice, "c", 1, 1) == Receivable()
