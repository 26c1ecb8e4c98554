"""Two nodes on one file, each a process: neither overdraws an account, and one that dies takes nothing along."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from core.clock import WallClock
from core.errors import NodeFenced
from core.ledger.books import Balance
from core.ledger.lease import LEASE_SECONDS
from core.stores import open_stores
from core.testing.builders import FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import (
    ALICE,
    BOB,
    NO_TOKENS,
    add_alice_and_bob,
    alice,
    transfer,
)

ROOT: Final = Path(__file__).parents[4]
LIMIT: Final = 3000
INVOICES: Final = 40
ASKED: Final = 200


@asynccontextmanager
async def another(url: str, what: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.core.stores.sqlite.another_process", url, what,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        found: dict[str, Any] = json.loads(await process.stdout.readline())
    return found


async def test_recovery_touches_only_what_the_dead_one_left(database: Path) -> None:
    url = f"sqlite:///{database}"
    stores = await open_stores(url, WallClock())
    books = stores.books
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("here")
    mine, expired = await books.prepare(transfer(1000)), await books.prepare(transfer(2000))
    await books.expire(expired)

    async with another(url, "hold") as process:
        theirs = await said(process)
        assert (await books.recover()).transfers == 0  # it lives
        assert await books.balance(ALICE) == Balance(receivable=1, pending_in=1100)
        process.kill()
        await process.wait()
        recovery = await books.recover()

    assert (recovery.nodes, recovery.transfers) == (1, 2)
    assert await books.balance(ALICE) == Balance(receivable=1, pending_in=1000)
    assert await books.balance(BOB) == Balance(payable=1, pending_out=3000, unknown_out=110)
    unknown = await books.unknown_transfers(limit=10)
    assert [leg.id for leg in unknown] == theirs["ids"][:2]
    assert {leg.node for leg in unknown} == {theirs["node"]}
    await books.fulfill(mine, FULFILLMENT)
    await books.abandon(expired)
    report = await books.audit()
    assert (report.findings, report.pending, report.unknown) == ((), 0, 2)
    await stores.leases.sign_off()
    await stores.close()


async def test_two_processes_at_one_limit_never_overdraw_it(database: Path) -> None:
    url = f"sqlite:///{database}"
    stores = await open_stores(url, WallClock())
    await add_alice_and_bob(stores)
    await stores.accounts.update_account(alice(min_balance=-LIMIT), NO_TOKENS)

    async with another(url, "spend") as one, another(url, "spend") as two:
        await asyncio.gather(said(one), said(two))
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        spent = [facts["spent"] for facts in await asyncio.gather(said(one), said(two))]
        assert [await one.wait(), await two.wait()] == [0, 0]

    assert sum(spent) == LIMIT
    assert await stores.books.balance(ALICE) == Balance(receivable=LIMIT)
    assert (await stores.books.audit()).findings == ()
    await stores.close()


@pytest.mark.parametrize("seed", range(5))
async def test_two_processes_that_are_paid_for_one_invoice_take_what_it_asks_for(
    database: Path, seed: int
) -> None:
    url = f"sqlite:///{database}"
    stores = await open_stores(url, WallClock())
    await add_alice_and_bob(stores)
    invoices = [f"i-{number}" for number in range(INVOICES)]
    for invoice in invoices:
        await stores.payments.create_invoice(
            invoice_id=invoice,
            account=BOB,
            amount=ASKED,
            description="",
            expires_at_ms=None,
            open_max=INVOICES,
        )

    async with another(url, "pay") as one, another(url, "pay") as two:
        await asyncio.gather(said(one), said(two))
        for which, process in enumerate((one, two)):
            assert process.stdin is not None
            order = {"seed": 2 * seed + which, "invoices": invoices, "most": 40, "packets": 8}
            process.stdin.write(json.dumps(order).encode() + b"\n")
        both = await asyncio.gather(said(one), said(two))
        assert [await one.wait(), await two.wait()] == [0, 0]

    for invoice in invoices:
        booked = [facts["booked"][invoice] for facts in both]
        found = await stores.payments.invoice(invoice)
        assert found is not None
        # The packet that brings the last of it may bring a hundredth of all too much.
        assert found.received == sum(booked) <= ASKED + ASKED // 100
        # Nobody was refused who would have fitted.
        refused = [amount for facts in both for amount in facts["refused"][invoice]]
        assert min(refused, default=ASKED + 1) > ASKED - sum(booked)
    together = sum(sum(facts["booked"].values()) for facts in both)
    assert await stores.books.balance(BOB) == Balance(payable=together)
    assert (await stores.books.audit()).findings == ()
    await stores.close()


async def test_a_node_that_was_declared_dead_while_suspended_writes_nothing_more(
    open_file: OpenStores, clock: FakeClock
) -> None:
    suspended, here = await open_file(), await open_file()
    await add_alice_and_bob(suspended)
    await suspended.leases.sign_on("suspended")
    left = await suspended.books.prepare(transfer(7))
    clock.advance(seconds=LEASE_SECONDS)
    await here.leases.sign_on("here")
    assert (await here.books.recover()).transfers == 1
    after = await here.books.balances()

    for call in (
        suspended.books.prepare(transfer(1)),
        suspended.books.fulfill(left, FULFILLMENT),
        suspended.books.reject(left, b"F02"),
        suspended.books.expire(left),
        suspended.books.fulfill_late(left, FULFILLMENT),
    ):
        with pytest.raises(NodeFenced, match="was declared dead"):
            await call
    assert await here.books.balances() == after

    await suspended.leases.sign_on("suspended")
    await suspended.books.resolve_unknown(left, fulfilled=True)
    await suspended.books.fulfill(await suspended.books.prepare(transfer(1)), FULFILLMENT)
    assert await here.books.balance(BOB) == Balance(payable=8)
    assert (await here.books.audit()).findings == ()
