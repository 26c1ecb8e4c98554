from __future__ import annotations

from core.control.views import History, HistorySample
from desktop.presenters import graphs
from tests.desktop.fake_operator import ETH, NOW_MS, USD, FakeClock, FakeOperator


def sample(at_s: int, *, prepares: int = 0, **codes: int) -> HistorySample:
    rejects = sum(codes.values())
    return HistorySample(
        at_s=at_s,
        prepares=prepares,
        fulfills=prepares - rejects,
        rejects=rejects,
        latency_us_mean=1,
        latency_us_max=1,
        reject_codes=codes,
    )


def test_steps_without_traffic_are_zero_and_the_running_step_is_left_out() -> None:
    history = History(
        step_s=10,
        from_s=0,
        until_s=70,
        samples=[sample(10, prepares=20), sample(40, prepares=5), sample(50, prepares=1)],
    )

    curve = graphs.throughput(history).curves[0]

    assert list(curve.x) == [5, 15, 25, 35, 45]
    assert list(curve.y) == [0, 2, 0, 0, 0.5]


def test_points_keep_their_value_while_the_range_moves_on() -> None:
    samples = [sample(at, prepares=at % 7) for at in range(4_000)]

    def points(until: int) -> dict[float, float]:
        history = History(
            step_s=1, from_s=until - 900, until_s=until, samples=samples[until - 900 : until]
        )
        curve = graphs.throughput(history).curves[0]
        return dict(zip(curve.x, curve.y, strict=True))

    now, later = points(3_000), points(3_003)

    both = now.keys() & later.keys()
    assert len(both) > 150
    assert all(now[x] == later[x] for x in sorted(both)[1:])


def test_every_reject_is_drawn_under_its_code_or_among_the_others() -> None:
    codes = {f"T{i:02}": i for i in range(1, 10)}
    history = History(
        step_s=60, from_s=0, until_s=240, samples=[sample(60, prepares=100, **codes)]
    )

    data = graphs.reject_codes(history)

    assert [curve.name for curve in data.curves] == [
        "T04", "T05", "T06", "T07", "T08", "T09", "Other",
    ]  # fmt: skip
    assert sum(sum(curve.y) for curve in data.curves) == sum(codes.values())


def test_packets_that_were_too_large_are_neither_good_nor_bad() -> None:
    history = History(
        step_s=60, from_s=0, until_s=240, samples=[sample(60, prepares=100, F08=60, T04=6)]
    )

    rates = {curve.name: curve for curve in graphs.throughput(history).curves}
    codes = {curve.name: curve.colour for curve in graphs.reject_codes(history).curves}

    assert max(rates["Rejected"].y) == 0.1
    assert max(rates["Too large (F08)"].y) == 1.0
    assert rates["Too large (F08)"].colour == codes["F08"] == "muted"
    assert codes["T04"] not in ("muted", rates["Fulfilled"].colour)


def test_without_history_a_graph_is_empty() -> None:
    assert graphs.throughput(History(step_s=1, from_s=0, until_s=60, samples=())).is_empty


async def test_after_the_first_look_only_the_newest_steps_are_fetched() -> None:
    clock = FakeClock()
    operator = FakeOperator(clock=clock)
    feed = graphs.HistoryFeed(operator, clock)

    await feed.load(900)
    clock.advance(3)
    tail = await feed.load(900)

    calls = [call for call in operator.calls if call[0] == "history"]
    assert [call[1] for call in calls] == [900, 24]
    fresh = await graphs.HistoryFeed(operator, clock).load(900)
    assert list(tail.samples) == list(fresh.samples)
    assert (tail.from_s, tail.until_s) == (fresh.from_s, fresh.until_s)


async def test_another_range_and_a_long_pause_are_fetched_whole() -> None:
    clock = FakeClock()
    operator = FakeOperator(clock=clock)
    feed = graphs.HistoryFeed(operator, clock)
    await feed.load(900)

    await feed.load(3_600)
    clock.advance(3_000)
    await feed.load(3_600)

    calls = [call for call in operator.calls if call[0] == "history"]
    assert [call[1] for call in calls] == [900, 3_600, 3_600]


async def test_a_balance_is_drawn_from_our_side_with_its_limits_and_settlements() -> None:
    clock = FakeClock()
    operator = FakeOperator(clock=clock)
    erin = await operator.account("erin")

    data = graphs.balance(
        await operator.history(seconds=3_600, username="erin"),
        erin,
        await operator.settlements(username="erin"),
    )

    assert data.curves[0].y[-1] == -0.42
    assert data.curves[0].latest == "−0.42\u00a0ETH"
    assert {line.name: line.y for line in data.lines} == {
        "credit you give": 2.0,
        "even": 0.0,
        "you settle at": -0.5,
    }
    assert data.marks
    assert all(data.from_s <= mark.at_s <= data.until_s for mark in data.marks)


async def test_a_balance_without_history_is_a_level_line_at_what_it_is() -> None:
    view = await FakeOperator().account("bob")
    now_s = NOW_MS // 1000

    data = graphs.balance(History(step_s=1, from_s=now_s - 60, until_s=now_s, samples=()), view)

    assert set(data.curves[0].y) == {97.0}
    assert data.curves[0].x[0] == now_s - 60


async def test_exposure_ends_at_what_the_node_says_it_is_now() -> None:
    operator = FakeOperator()
    accounts = await operator.accounts()
    histories = {
        view.account.username: await operator.history(
            seconds=900, username=view.account.username, samples_max=180
        )
        for view in accounts
    }

    for asset in (USD, ETH):
        data = graphs.exposure(histories, accounts, asset)

        row = next(each for each in await operator.exposure() if each.asset == asset)
        owed = [curve.y[-1] for curve in data.curves]
        assert owed == [row.owed_to_us / 10**asset.scale, row.owed_by_us / 10**asset.scale]
