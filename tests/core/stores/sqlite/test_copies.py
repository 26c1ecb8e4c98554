"""What other processes have prepared is read as it comes, once, and is forgotten in time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from itertools import count

import pytest

from core.errors import PacketKnown
from core.stores import Stores
from core.stores.sqlite import copies
from core.stores.sqlite.copies import KEPT_MS, Copies
from core.testing.builders import FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import add_alice_and_bob, transfer


def remembered(stores: Stores) -> Copies:
    return stores.books._packets._copies  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
async def two(open_file: OpenStores) -> tuple[Stores, Stores]:
    one, other = await open_file(), await open_file()
    await add_alice_and_bob(one)
    await one.leases.sign_on("one")
    await other.leases.sign_on("other")
    return one, other


async def test_of_a_packet_that_comes_to_two_nodes_at_once_one_is_sent(
    two: tuple[Stores, Stores],
) -> None:
    async def prepare(stores: Stores, number: int) -> int:
        try:
            await stores.books.prepare(
                replace(transfer(1), destination=f"test.node.bob.{number}")
            )
        except PacketKnown:
            return 0
        return 1

    packets = [(stores, number) for stores in two for number in range(100)]
    random.Random(1).shuffle(packets)

    prepared = await asyncio.gather(*(prepare(*packet) for packet in packets))

    assert sum(prepared) == 100
    assert (await two[0].books.audit()).pending == 100


@pytest.mark.parametrize("is_gone", [False, True])
async def test_of_packets_that_are_alike_the_one_that_was_not_rejected_counts_at_whichever_node(
    two: tuple[Stores, Stores], open_file: OpenStores, is_gone: bool
) -> None:
    one, other = two
    third = await open_file()
    await third.leases.sign_on("third")
    await other.books.reject(await other.books.prepare(transfer(1)), b"T04")
    if is_gone:
        await other.leases.sign_off()
    again = await one.books.prepare(transfer(1))  # the older process has sent the later one
    await one.books.fulfill(again, FULFILLMENT)

    with pytest.raises(PacketKnown) as known:
        await third.books.prepare(transfer(1))

    assert (known.value.first, known.value.fulfillment) == (again, FULFILLMENT)


async def test_a_process_that_is_alone_remembers_nothing(
    open_file: OpenStores, clock: FakeClock
) -> None:
    stores = await open_file()
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("one")
    for _ in range(3):
        await stores.books.fulfill(await stores.books.prepare(transfer(1)), FULFILLMENT)
        await stores.leases.renew()

    assert len(remembered(stores)) == 0


async def test_recovery_reads_what_there_is_before_the_first_packet_waits_for_it(
    two: tuple[Stores, Stores],
) -> None:
    one, other = two
    await one.books.prepare(transfer(1))
    assert len(remembered(other)) == 0

    await other.books.recover()

    assert len(remembered(other)) == 1


async def test_what_is_old_is_neither_read_nor_kept(
    two: tuple[Stores, Stores], clock: FakeClock
) -> None:
    one, other = two
    await one.books.prepare(transfer(1))
    clock.advance(milliseconds=KEPT_MS + 1)
    await one.books.prepare(transfer(2))
    await other.books.prepare(transfer(3))
    assert len(remembered(other)) == 1

    for _ in range(2):
        clock.advance(milliseconds=KEPT_MS)
        await one.leases.renew()
        await other.leases.renew()
        await other.books.prepare(transfer(4))

    assert len(remembered(other)) == 0


async def test_no_more_is_kept_than_fits(
    two: tuple[Stores, Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "ROWS_MAX", 10)
    one, other = two
    numbers = count()
    for _ in range(4):
        to = ""
        for _ in range(15):
            to = f"test.node.bob.{next(numbers)}"
            await one.books.prepare(replace(transfer(1), destination=to))
        await other.books.prepare(replace(transfer(1), destination="test.node.bob.own"))
        with pytest.raises(PacketKnown):  # the newest is known in any case
            await other.books.prepare(replace(transfer(1), destination=to))

    assert len(remembered(other)) <= 4 * 10
