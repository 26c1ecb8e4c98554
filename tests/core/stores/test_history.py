"""History, on every backend."""

from __future__ import annotations

import pytest

from core.stores import Stores
from core.telemetry.history import HistoryPoint, Resolution
from tests.core.stores.people import ALICE, BOB, NOBODY, add_alice_and_bob

HOUR = 1_800_000_000 // 3600 * 3600
"""The start of an hour, in Unix seconds."""
FOR_EVER = 2**40

POINT = HistoryPoint(
    at_s=HOUR + 61,
    account=ALICE,
    prepares=3,
    fulfills=2,
    rejects=1,
    incoming_amount=2**63 + 1,
    outgoing_amount=5,
    net=-7,
    latency_us_sum=900,
    latency_us_max=500,
    reject_codes={"F02": 1},
)


async def read(
    stores: Stores, resolution: Resolution, *, points_max: int = 1_000
) -> list[HistoryPoint]:
    return list(
        await stores.history.read(resolution, from_s=0, until_s=FOR_EVER, points_max=points_max)
    )


@pytest.fixture
async def history(stores: Stores) -> Stores:
    await add_alice_and_bob(stores)
    return stores


@pytest.mark.parametrize(
    ("resolution", "start"),
    [
        (Resolution.SECOND, HOUR + 61),
        (Resolution.MINUTE, HOUR + 60),
        (Resolution.HOUR, HOUR),
    ],
)
async def test_a_point_is_in_its_second_its_minute_and_its_hour(
    history: Stores, resolution: Resolution, start: int
) -> None:
    await history.history.add([POINT])

    (point,) = await read(history, resolution)
    assert point.at_s == start
    assert (point.incoming_amount, point.net) == (2**63 + 1, -7)
    assert point.reject_codes == {"F02": 1}


async def test_coarser_points_add_up_and_keep_the_last_balance_and_the_worst_latency(
    history: Stores,
) -> None:
    await history.history.add([POINT])
    await history.history.add(
        [
            HistoryPoint(
                at_s=HOUR + 62,
                account=ALICE,
                prepares=10,
                rejects=2,
                incoming_amount=2**63,
                net=2**63 + 5,
                latency_us_sum=100,
                latency_us_max=40,
                reject_codes={"F02": 1, "T04": 1},
            )
        ]
    )

    (minute,) = await read(history, Resolution.MINUTE)
    assert minute == HistoryPoint(
        at_s=HOUR + 60,
        account=ALICE,
        prepares=13,
        fulfills=2,
        rejects=3,
        incoming_amount=2**64 + 1,
        outgoing_amount=5,
        net=2**63 + 5,
        latency_us_sum=1_000,
        latency_us_max=500,
        reject_codes={"F02": 2, "T04": 1},
    )
    assert [point.at_s for point in await read(history, Resolution.SECOND)] == [
        HOUR + 61,
        HOUR + 62,
    ]


async def test_an_unknown_balance_does_not_hide_a_known_one(history: Stores) -> None:
    await history.history.add([POINT])
    await history.history.add([HistoryPoint(at_s=HOUR + 62, account=ALICE, prepares=1)])

    (minute,) = await read(history, Resolution.MINUTE)
    assert minute.net == -7


async def test_a_second_written_twice_adds_up(history: Stores) -> None:
    await history.history.add([POINT])
    await history.history.add([POINT])

    (second,) = await read(history, Resolution.SECOND)
    assert (second.prepares, second.incoming_amount) == (6, 2**64 + 2)


async def test_points_of_one_call_may_share_a_minute(history: Stores) -> None:
    await history.history.add(
        [HistoryPoint(at_s=HOUR + n, account=ALICE, prepares=1) for n in range(90)]
    )

    minutes = await read(history, Resolution.MINUTE)
    assert [(p.at_s, p.prepares) for p in minutes] == [(HOUR, 60), (HOUR + 60, 30)]


async def test_reading_is_bounded_in_time_and_number_and_keeps_the_newest(
    history: Stores,
) -> None:
    await history.history.add(
        [HistoryPoint(at_s=HOUR + n, account=ALICE, prepares=n) for n in range(10)]
    )

    some = await history.history.read(
        Resolution.SECOND, from_s=HOUR + 2, until_s=HOUR + 8, points_max=1_000
    )
    newest = await history.history.read(
        Resolution.SECOND, from_s=HOUR + 2, until_s=HOUR + 8, points_max=3
    )
    nothing = await history.history.read(
        Resolution.SECOND, from_s=HOUR, until_s=HOUR + 8, points_max=0
    )

    assert [point.prepares for point in some] == [2, 3, 4, 5, 6, 7]
    assert [point.prepares for point in newest] == [5, 6, 7]
    assert list(nothing) == []


async def test_one_account_is_read_without_the_others(history: Stores) -> None:
    await history.history.add(
        [POINT, HistoryPoint(at_s=POINT.at_s, account=BOB, prepares=1, outgoing_amount=9)]
    )

    points = await history.history.read(
        Resolution.HOUR, from_s=0, until_s=FOR_EVER, account=BOB, points_max=10
    )

    assert [(point.account, point.outgoing_amount) for point in points] == [(BOB, 9)]
    assert len(await read(history, Resolution.HOUR)) == 2


async def test_what_nobody_knows_is_dropped(history: Stores) -> None:
    await history.history.add([HistoryPoint(at_s=HOUR, account=NOBODY, prepares=1), POINT])

    assert [point.account for point in await read(history, Resolution.HOUR)] == [ALICE]


async def test_a_deleted_accounts_history_stays(history: Stores) -> None:
    await history.history.add([POINT])

    await history.accounts.delete_account(ALICE, even_with_balance=False)

    assert len(await read(history, Resolution.HOUR)) == 1


async def test_seconds_are_kept_an_hour_minutes_a_month_and_hours_for_ever(
    history: Stores,
) -> None:
    now_s = HOUR + 100 * 24 * 3600
    ages = [0, 3600, 3601, 31 * 24 * 3600 - 60, 31 * 24 * 3600 + 60, 99 * 24 * 3600]
    await history.history.add(
        [HistoryPoint(at_s=now_s - age, account=ALICE, prepares=1) for age in reversed(ages)]
    )

    await history.history.prune(now_s=now_s)

    assert len(await read(history, Resolution.SECOND)) == 2
    assert len(await read(history, Resolution.MINUTE)) == 4
    assert sum(point.prepares for point in await read(history, Resolution.HOUR)) == len(ages)


async def test_pruning_takes_all_that_is_old_however_much_it_is(history: Stores) -> None:
    await history.history.add(
        [HistoryPoint(at_s=HOUR + n, account=ALICE, prepares=1) for n in range(4_500)]
    )

    await history.history.prune(now_s=HOUR + 4_500 + 3600)

    assert await read(history, Resolution.SECOND) == []
