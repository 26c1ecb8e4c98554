from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from desktop.models.graph import GraphData
from desktop.models.traffic import PacketFilter
from desktop.presenters.traffic import FETCH_MAX, TrafficPresenter
from tests.desktop.fake_operator import FakeOperator


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def traffic(operator: FakeOperator) -> AsyncIterator[TrafficPresenter]:
    presenter = TrafficPresenter(operator, operator.clock)
    await presenter.update_and_report()
    yield presenter
    await presenter.close()


async def test_only_packets_that_are_new_are_fetched(
    operator: FakeOperator, traffic: TrafficPresenter
) -> None:
    operator.add_packets(5)
    await traffic.update_and_report()

    assert [call[1] for call in operator.calls if call[0] == "packets"] == [0, 400]
    assert traffic.model.total == 405
    assert traffic.model.row(0).sequence == 405


async def test_packets_that_went_by_unseen_are_counted(
    operator: FakeOperator, traffic: TrafficPresenter
) -> None:
    operator.add_packets(FETCH_MAX + 50)

    await traffic.update_and_report()

    assert traffic.missed == 50


async def test_while_it_is_held_the_waiting_are_counted(
    operator: FakeOperator, traffic: TrafficPresenter
) -> None:
    counts: list[object] = []
    traffic.waiting_changed.connect(counts.append)
    traffic.hold(held=True)

    operator.add_packets(7)
    await traffic.update_and_report()
    traffic.hold(held=False)

    assert counts == [0, 7, 0]
    assert traffic.model.total == 407


async def test_a_reject_has_its_name_and_what_it_means(traffic: TrafficPresenter) -> None:
    traffic.filter(PacketFilter(code="T04"))

    row = traffic.model.row(0)

    assert row.code_text == "T04 Insufficient Liquidity"
    assert "ask it to settle" in row.advice


async def test_graphs_are_drawn_from_history_and_no_more_often_than_they_change(
    operator: FakeOperator, traffic: TrafficPresenter
) -> None:
    drawn: list[GraphData] = []
    traffic.throughput_changed.connect(drawn.append)

    await traffic.update_and_report()
    assert drawn == []

    operator.tick(3)
    await traffic.update_and_report()
    assert [curve.name for curve in drawn[0].curves] == ["Prepared", "Fulfilled", "Rejected"]


async def test_a_copied_row_is_one_line_whatever_the_other_side_wrote(
    operator: FakeOperator, traffic: TrafficPresenter
) -> None:
    import dataclasses

    row = dataclasses.replace(traffic.model.row(0), message="a\tb\nc")

    lines = traffic.copy_text([row]).split("\n")

    assert len(lines) == 2
    assert len(lines[1].split("\t")) == len(traffic.model.columns)
