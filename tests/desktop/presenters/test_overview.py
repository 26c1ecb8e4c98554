from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest

from core.errors import Conflict
from core.ledger.books import Balance
from desktop.models.graph import GraphData
from desktop.models.overview import Mood, OverviewState, ShellState
from desktop.presenters.overview import OverviewPresenter, pace_words
from desktop.presenters.shell import ShellPresenter
from desktop.presenters.watch import DETAILS_SECONDS, NodeWatch
from tests.desktop.fake_operator import FakeOperator


class Overview:
    def __init__(self, operator: FakeOperator) -> None:
        self.operator = operator
        self.watch = NodeWatch(operator, operator.clock)
        self.presenter = OverviewPresenter(operator, operator.clock, self.watch)
        self.states: list[OverviewState] = []
        self.exposures: list[GraphData] = []
        self.presenter.state_changed.connect(self.states.append)
        self.presenter.exposure_changed.connect(self.exposures.append)

    @property
    def state(self) -> OverviewState:
        return self.states[-1]


@pytest.fixture
async def overview() -> AsyncIterator[Overview]:
    made = Overview(FakeOperator())
    yield made
    await made.presenter.close()


async def test_what_is_owed_is_exact_in_every_asset(overview: Overview) -> None:
    await overview.presenter.update()

    rows = {row.code: row for row in overview.state.exposures}
    assert rows["USD"].owed_to_us == "173.00"
    assert rows["EUR"].owed_by_us == "896.50"
    assert rows["JPY"].owed_to_us == "48\u202f200"
    share = rows["XRP"].share_to_us
    assert share is not None
    assert share < 0.5


async def test_peers_come_by_how_near_their_limit_is(overview: Overview) -> None:
    await overview.presenter.update()

    limits = overview.state.limits
    assert [row.percent for row in limits] == sorted(
        (row.percent for row in limits), reverse=True
    )
    assert (limits[0].username, limits[0].mood) == ("bob", Mood.BAD)
    assert limits[0].words.replace("\u00a0", " ") == "97.00 of 100.00 USD"
    assert "zurich" not in [row.username for row in limits]


async def test_a_peer_that_wavers_about_its_limit_is_told_until_it_is_clearly_below(
    overview: Overview,
) -> None:
    operator, watch = overview.operator, overview.watch
    shell = ShellPresenter(watch)
    frames: list[ShellState] = []
    shell.state_changed.connect(frames.append)
    told: list[tuple[bool, Mood, int]] = []
    for owed in (8_900, 9_000, 8_900, 8_000, 7_900, 8_900):
        operator.replace_view("bob", balance=Balance(receivable=owed))
        operator.clock.advance(DETAILS_SECONDS)
        await watch.update()
        await overview.presenter.update()
        listed = "limit:bob" in [incident.key for incident in overview.state.incidents]
        mood = next(row.mood for row in overview.state.limits if row.username == "bob")
        told.append((listed, mood, frames[-1].badges.get("peers", 0)))

    away = (False, Mood.OK, told[0][2])
    there = (True, Mood.WARN, told[0][2] + 1)
    assert told == [away, there, there, there, away, away]


async def test_a_pace_says_when_the_credit_is_used_up() -> None:
    operator = FakeOperator()
    bob = await operator.account("bob")
    even = await operator.account("judy")
    unlimited = await operator.account("zurich")

    assert pace_words(bob, -1.0).replace("\u00a0", " ") == "full in 2 min"
    assert pace_words(bob, 1.0) == ""
    assert pace_words(even, -0.0001) == ""
    assert pace_words(unlimited, -100.0) == ""
    full = dataclasses.replace(bob, balance=dataclasses.replace(bob.balance, receivable=10_000))
    assert pace_words(full, 0.0) == "full"


async def test_the_settlement_queue_counts_what_is_due_under_way_and_failed(
    overview: Overview,
) -> None:
    await overview.presenter.update()

    queue = overview.state.queue
    assert (queue.under_way, queue.failed) == (7, 4)
    assert queue.oldest


async def test_the_exposure_of_the_asset_that_is_worth_most_is_drawn_until_another_is_chosen(
    overview: Overview,
) -> None:
    await overview.presenter.update()
    assert overview.presenter.asset is not None
    assert overview.presenter.asset.code == "ETH"

    overview.presenter.show_asset("USD", 2)
    await overview.presenter.tasks.finish()

    assert [curve.latest for curve in overview.exposures[-1].curves] == [
        "173.00\u00a0USD",
        "0.00\u00a0USD",
    ]


async def test_another_range_is_another_view_of_the_same_history(overview: Overview) -> None:
    told: list[object] = []
    graphs: list[GraphData] = []
    overview.presenter.range_changed.connect(told.append)
    overview.presenter.throughput_changed.connect(graphs.append)

    overview.presenter.show_range(86_400)
    await overview.presenter.tasks.finish()

    assert told == [86_400]
    assert graphs[-1].until_s - graphs[-1].from_s >= 86_400


async def test_settling_is_reported_or_refused_with_the_reason(overview: Overview) -> None:
    reported: list[str] = []
    failed: list[str] = []
    overview.presenter.reported.connect(reported.append)
    overview.presenter.failed.connect(failed.append)

    overview.presenter.settle("grace")
    overview.presenter.settle("bob")
    await overview.presenter.tasks.finish()

    assert reported == ["Settlement with grace started"]
    assert failed == ["You owe bob nothing."]


async def test_a_refusal_leaves_the_page_working(overview: Overview) -> None:
    overview.operator.errors["settle_now"] = Conflict("a settlement is under way already")

    overview.presenter.settle("grace")
    await overview.presenter.tasks.finish()
    await overview.presenter.update()

    assert overview.state.has_peers


async def test_a_node_without_peers_says_so() -> None:
    overview = Overview(FakeOperator(peers=0))

    await overview.presenter.update()

    assert not overview.state.has_peers
    await overview.presenter.close()
