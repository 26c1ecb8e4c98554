"""Whoever is cancelled while another program has the file locked: what is booked in the end is the truth."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from core.account import Account
from core.errors import UnknownAccount
from core.ledger.afterwards import Afterwards
from core.ledger.books import Balance
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply, address
from core.service import OutgoingRequest
from core.services.balance import BalanceService
from core.stores import Stores
from core.tasks import TaskOwner
from core.testing.builders import fulfill, outgoing, prepare
from core.testing.clock import FakeClock
from core.testing.services import FakeOutgoing
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import ALICE, BOB, NOBODY, add_alice_and_bob, alice, bob, transfer

ADDRESS = NodeAddress(address("test.node"))
NO = Reject.build(ErrorCode.UNREACHABLE, triggered_by="test.bob", message="no")
TIMED_OUT = Reject.build(
    ErrorCode.TRANSFER_TIMED_OUT, triggered_by="test.node", message="time is up"
)


@pytest.fixture
async def stores(open_file: OpenStores) -> Stores:
    stores = await open_file()
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("node")
    return stores


@pytest.fixture
async def owner() -> AsyncIterator[TaskOwner]:
    owner = TaskOwner("test", tasks_max=100)
    yield owner
    await owner.finish(5)


async def cancelled_while_locked(
    database: Path, task: asyncio.Task[None], go_on: asyncio.Event
) -> None:
    """Let it go on while the file is locked, cancel it, and unlock the file."""
    with closing(sqlite3.connect(database, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        go_on.set()
        await asyncio.sleep(
            0.05
        )  # the writer waits for the lock by now, or will: it makes no difference
        task.cancel()
        await asyncio.sleep(0.05)
        another.execute("ROLLBACK")
    await asyncio.wait([task])
    assert task.cancelled()


async def settled(stores: Stores) -> None:
    """Wait until everything that is queued is written."""
    with pytest.raises(UnknownAccount):
        await stores.books.correct(NOBODY, 1, "")


async def test_a_prepare_that_is_cancelled_holds_nothing(
    stores: Stores, database: Path
) -> None:
    go_on = asyncio.Event()

    async def front() -> None:
        await go_on.wait()
        await stores.books.prepare(transfer(7))

    task = asyncio.get_running_loop().create_task(front())
    await cancelled_while_locked(database, task, go_on)

    await settled(stores)
    await settled(stores)  # its void is queued once the prepare is answered
    assert await stores.books.balance(ALICE) == Balance()
    assert await stores.books.balance(BOB) == Balance()
    report = await stores.books.audit()
    assert (report.findings, report.pending) == ((), 0)


@pytest.mark.parametrize("answer", ["fulfill", "reject", "time is up"])
async def test_an_end_that_is_cancelled_is_booked_and_told_as_it_is(
    stores: Stores, database: Path, owner: TaskOwner, clock: FakeClock, answer: str
) -> None:
    answered = asyncio.Event()
    go_on = asyncio.Event()

    async def reply(request: OutgoingRequest[Account]) -> Reply:
        answered.set()
        await go_on.wait()
        request.left_open = answer == "time is up"
        if answer == "fulfill":
            return fulfill()
        return NO if answer == "reject" else TIMED_OUT

    afterwards = Afterwards(stores.books, clock, ADDRESS, owner)
    service = BalanceService(
        FakeOutgoing(answer=reply), stores.books, afterwards, clock, ADDRESS, lambda: None
    )
    request = outgoing(prepare(7), sender=alice(), receiver=bob())
    told: list[Reply] = []

    async def front() -> None:
        told.append(await service.send(request))
        await asyncio.sleep(0)

    task = asyncio.get_running_loop().create_task(front())
    await answered.wait()

    await cancelled_while_locked(database, task, go_on)

    assert told == [await reply(request)]
    await owner.finish(5)
    books = stores.books
    if answer == "fulfill":
        assert await books.balance(ALICE) == Balance(receivable=7)
        assert await books.balance(BOB) == Balance(payable=7)
    else:
        assert await books.balance(ALICE) == Balance()
        assert await books.balance(BOB) == Balance(pending_out=7 * request.left_open)
    assert (await books.audit()).findings == ()
