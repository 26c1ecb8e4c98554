"""Readers of notices: each hears what is its own, none can hold another up, the slow one is told so."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import pytest

from core.account import AccountId
from core.errors import Conflict, SlowReader, StoreUnavailable
from core.payments.notices import ACCOUNT_WATCHERS_MAX, Notices, Watcher
from core.services.incoming_payments import IncomingPayment

BOB, CAROL = AccountId("bob"), AccountId("carol")


def notice(**changes: Any) -> IncomingPayment:
    plain = IncomingPayment(
        to_account=BOB,
        from_account=AccountId("alice"),
        destination="test.bob.t",
        amount=5,
        at_ms=1,
        connection="c",
        sequence=1,
        invoice=None,
        closes=False,
        received=5,
    )
    return replace(plain, **changes)


class Noted:
    """The store's part: what was noted of which connections."""

    def __init__(self, error: Exception | None = None) -> None:
        self.connections: list[tuple[AccountId, str, str, bool]] = []
        self.error = error

    async def __call__(
        self, account: AccountId, connection: str, *, payer_text: str, closes: bool
    ) -> None:
        if self.error is not None:
            raise self.error
        self.connections.append((account, connection, payer_text, closes))


async def read(watcher: Watcher, count: int) -> list[IncomingPayment]:
    found: list[IncomingPayment] = []
    async with asyncio.timeout(5):
        async for payment in watcher:
            found.append(payment)
            if len(found) == count:
                break
    return found


async def test_each_reader_hears_of_its_account_and_one_of_all() -> None:
    notices = Notices(Noted())
    bobs, carols = notice(), notice(to_account=CAROL)
    with notices.watch(BOB) as bob, notices.watch(CAROL) as carol, notices.watch(None) as all_:
        notices.received(bobs)
        notices.received(carols)

        assert await read(bob, 1) == [bobs]
        assert await read(carol, 1) == [carols]
        assert await read(all_, 2) == [bobs, carols]


async def test_a_reader_waits_for_what_comes() -> None:
    notices = Notices(Noted())
    with notices.watch(BOB) as watcher:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read(watcher, 2))
            for sequence in (1, 2):
                await asyncio.sleep(0)
                notices.received(notice(sequence=sequence))
        assert [payment.sequence for payment in reading.result()] == [1, 2]


async def test_a_slow_reader_is_dropped_with_the_reason_and_holds_nobody_up() -> None:
    notices = Notices(Noted(), queue_max=3)
    with notices.watch(BOB) as slow, notices.watch(BOB) as quick:
        for sequence in range(10):
            notices.received(notice(sequence=sequence))
            assert [payment.sequence for payment in await read(quick, 1)] == [sequence]

        with pytest.raises(SlowReader, match="3 notices were waiting"):
            await read(slow, 1)


async def test_who_is_gone_hears_nothing_and_leaves_nothing() -> None:
    notices = Notices(Noted(), watchers_max=1)
    with notices.watch(BOB), pytest.raises(Conflict, match="no more may"), notices.watch(BOB):
        pass
    with notices.watch(BOB) as watcher:
        notices.received(notice())
        assert await read(watcher, 1) == [notice()]


async def test_no_account_keeps_the_others_out() -> None:
    notices = Notices(Noted())
    with contextlib.ExitStack() as stack:
        for _ in range(ACCOUNT_WATCHERS_MAX):
            stack.enter_context(notices.watch(BOB))
        with pytest.raises(Conflict, match="this account's payments"):
            stack.enter_context(notices.watch(BOB))
        stack.enter_context(notices.watch(CAROL))
        stack.enter_context(notices.watch(None))


async def test_the_end_of_a_connection_is_noted_and_the_end_of_the_node_ends_the_readers() -> (
    None
):
    noted = Noted()
    notices = Notices(noted)
    with notices.watch(None) as watcher:
        notices.received(notice())
        notices.received(notice(closes=True, amount=0, sequence=2))
        await notices.finish(1)

        assert noted.connections == [(BOB, "c", "", True)]
        async with asyncio.timeout(5):
            assert [payment.sequence async for payment in watcher] == [1, 2]


async def test_what_is_written_after_the_money_is_noted() -> None:
    noted = Noted()
    notices = Notices(noted)
    notices.received(notice(payer_text="rent"))  # its own transaction has it
    notices.received(notice(payer_text="rent for May", amount=0))
    await notices.finish(1)

    assert noted.connections == [(BOB, "c", "rent for May", False)]


async def test_an_end_that_cannot_be_noted_loses_nothing_else() -> None:
    notices = Notices(Noted(StoreUnavailable("the disk is full")))
    notices.received(notice(closes=True))
    await notices.finish(1)
