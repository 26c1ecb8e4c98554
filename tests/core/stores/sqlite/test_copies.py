"""What others have prepared is read as it comes, once; that and our own that expires late is forgotten in time."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from core.errors import PacketKnown, StoreUnavailable
from core.ledger.books import Transfer
from core.ledger.postings import COPIES_KNOWN_MS
from core.stores import Stores
from core.stores.sqlite import copies
from core.stores.sqlite.copies import KEPT_MS, Copies
from core.testing.builders import FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import add_alice_and_bob, transfer
from tests.core.stores.sqlite.watched import failure, watched


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

    assert len(remembered(other)) <= 2 * 10


# --- What expires late -----------------------------------------------------------------------------


def late(number: int, clock: FakeClock, *, expires_in_ms: int = 7_200_000) -> Transfer:
    """Return a packet that expires when its process remembers its answer no more."""
    return replace(
        transfer(1),
        destination=f"test.node.bob.{number}",
        expires_at_ms=clock.now_ms() + expires_in_ms,
    )


async def is_known(stores: Stores, packet: Transfer) -> bool:
    """Tell whether it is a copy; if not it is prepared, and void."""
    try:
        await stores.books.reject(await stores.books.prepare(packet), b"T04")
    except PacketKnown:
        return True
    return False


@pytest.fixture
async def alone(open_file: OpenStores) -> Stores:
    stores = await open_file()
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("one")
    return stores


async def test_a_process_that_is_alone_remembers_what_expires_late_for_so_long(
    alone: Stores, clock: FakeClock
) -> None:
    packet = late(1, clock)
    await alone.books.prepare(packet)
    for _ in range(9):
        clock.advance(milliseconds=COPIES_KNOWN_MS // 9 - 1)
        assert await is_known(alone, packet)
        await alone.books.prepare(transfer(1))
    assert not remembered(alone).is_empty

    for _ in range(2):
        clock.advance(milliseconds=COPIES_KNOWN_MS)
        await alone.books.prepare(transfer(1))

    assert (len(remembered(alone)), remembered(alone).is_empty) == (0, True)


async def test_of_what_expires_late_no_more_is_kept_than_fits_and_the_newest_in_any_case(
    alone: Stores, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "ROWS_MAX", 10)
    packets = [late(number, clock) for number in range(35)]

    for packet in packets:
        await alone.books.prepare(packet)

    assert len(remembered(alone)) <= 2 * 10
    assert [await is_known(alone, packet) for packet in packets[-10:]] == [True] * 10


async def test_what_was_undone_is_not_known(
    open_file: OpenStores, alone: Stores, clock: FakeClock
) -> None:
    is_full = False

    def before(statement: str) -> None:
        if is_full and statement == "COMMIT":
            raise failure(sqlite3.SQLITE_FULL)

    again = await open_file(connect=partial(watched, before=before))
    await alone.leases.sign_off()
    await again.leases.sign_on("again")
    packet = late(1, clock)
    is_full = True
    with pytest.raises(StoreUnavailable):
        await again.books.prepare(packet)
    is_full = False

    assert not await is_known(again, packet)


async def test_what_another_process_had_that_expires_late_is_known_for_so_long(
    two: tuple[Stores, Stores], clock: FakeClock
) -> None:
    one, other = two
    packet, expired = late(1, clock), late(2, clock, expires_in_ms=31_000)
    for each in (packet, expired, transfer(1)):
        await one.books.prepare(each)
    clock.advance(milliseconds=COPIES_KNOWN_MS - 1)

    assert await is_known(other, packet)
    assert len(remembered(other)) == 1  # of what has expired no copy is let in


async def test_what_one_had_that_ended_minutes_ago_and_that_expires_late_is_known(
    two: tuple[Stores, Stores], clock: FakeClock
) -> None:
    one, other = two
    packet = late(1, clock)
    await one.books.fulfill(await one.books.prepare(packet), FULFILLMENT)
    await one.leases.sign_off()
    clock.advance(milliseconds=COPIES_KNOWN_MS - 1)

    assert await is_known(other, packet)


async def test_much_that_expires_soon_does_not_drive_out_what_expires_late(
    two: tuple[Stores, Stores], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "ROWS_MAX", 10)
    one, other = two
    packet = late(1, clock)
    await one.books.prepare(packet)
    for number in range(100):
        soon = late(number, clock, expires_in_ms=10_000)
        await one.books.prepare(soon)
        assert await is_known(other, soon)

    assert await is_known(other, packet)


async def test_of_one_that_ended_and_of_what_is_old_nothing_is_read_again(
    two: tuple[Stores, Stores], open_file: OpenStores, clock: FakeClock
) -> None:
    one, other = two
    third = await open_file()
    await third.leases.sign_on("third")
    await one.books.prepare(transfer(1))
    await third.books.prepare(late(2, clock))
    await third.leases.sign_off()
    clock.advance(milliseconds=KEPT_MS + 1)
    statements: list[str] = []

    def look(connection: sqlite3.Connection) -> int:
        statements.clear()
        connection.set_trace_callback(statements.append)
        other.books._packets.look_at_others(connection)  # type: ignore[attr-defined]
        connection.set_trace_callback(None)
        return len(remembered(other))

    file = other.books._file  # type: ignore[attr-defined]
    # Who, and each one's newest and rows.
    assert [await file.write(look), len(statements)] == [1, 5]

    # Who, and the newest of the living.
    assert [await file.write(look), len(statements)] == [1, 2]

    await one.books.prepare(late(3, clock))
    assert [await file.write(look), len(statements)] == [2, 3]
