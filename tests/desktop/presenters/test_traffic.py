from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from fractions import Fraction

import pytest

from core.control.rates_views import PriceView, RateSnapshotView, TransferRate
from desktop.formatting import moment
from desktop.models.graph import GraphData
from desktop.models.traffic import PacketFilter
from desktop.presenters.traffic import FETCH_MAX, TrafficPresenter, rate_facts
from tests.desktop.fake_operator import NOW_MS, FakeOperator


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


def converted(transfer: int, *, kept: bool = True) -> TransferRate:
    """Return what the books say of a packet that went from EUR with two decimals to XRP with nine."""
    said = [
        ("CHF", "1.1277", ("ecb",)),
        ("EUR", "1.07", ("ecb", "market")),
        ("USD", "1", ()),
        ("XRP", "0.5", ()),
    ]
    prices = [
        PriceView(
            code=code,
            price=price,
            by_operator=not sources,
            sources=sources,
            at_ms=NOW_MS if sources else None,
            age_ms=None,
            max_age_ms=None,
            stale=False,
            held=None,
            sentence="",
        )
        for code, price, sources in said
    ]
    return TransferRate(
        transfer=transfer,
        rate=Fraction(107, 50) * 10**7,
        spread=Fraction(1, 200),
        snapshot=RateSnapshotView(id=7, at_ms=NOW_MS - 60_000, reference="USD", prices=prices)
        if kept
        else None,
        rate_id=7,
        sentence="",
    )


async def test_a_packet_s_rate_is_told_with_spread_prices_their_sources_and_when(
    operator: FakeOperator, traffic: TrafficPresenter
) -> None:
    row = dataclasses.replace(
        traffic.model.row(0), asset_in=("EUR", 2), asset_out=("XRP", 9), transfer=77
    )
    operator.transfer_rates[77] = converted(77)
    told: list[tuple[object, object]] = []
    traffic.rate_told.connect(lambda *said: told.append(said))

    traffic.ask_rate(row)
    await traffic.tasks.finish()

    assert told == [
        (
            row,
            [
                ("Rate", "2.14 XRP for 1 EUR"),
                ("Spread", "0.5\u00a0%"),
                ("Prices", f"number 7, in force since {moment(NOW_MS - 60_000)}"),
                ("1 EUR", f"1.07 USD, by ecb, market, as of {moment(NOW_MS)}"),
                ("1 XRP", "0.5 USD, set by you"),
            ],
        )
    ]
    assert rate_facts(row, converted(77, kept=False))[2:] == [
        ("Prices", "number 7, which are not kept any more")
    ]
    into_dollars = dataclasses.replace(row, asset_out=("USD", 2))
    assert [title for title, _ in rate_facts(into_dollars, converted(77))][3:] == ["1 EUR"]


async def test_what_the_books_cannot_say_of_a_packet_is_said_and_the_newest_question_counts(
    operator: FakeOperator, traffic: TrafficPresenter
) -> None:
    first, last, unbooked = (
        dataclasses.replace(traffic.model.row(0), transfer=transfer)
        for transfer in (77, 78, None)
    )
    told: list[tuple[object, object]] = []
    traffic.rate_told.connect(lambda *said: told.append(said))

    traffic.ask_rate(first)
    traffic.ask_rate(last)
    await traffic.tasks.finish()
    traffic.ask_rate(unbooked)
    await traffic.tasks.finish()

    assert told == [(last, [("Rate", "Transfer 78 is not kept.")])]
    assert [call for call in operator.calls if call[0] == "rate_of_transfer"] == [
        ("rate_of_transfer", 78)
    ]


async def test_a_copied_row_is_one_line_whatever_the_other_side_wrote(
    operator: FakeOperator, traffic: TrafficPresenter
) -> None:
    row = dataclasses.replace(traffic.model.row(0), message="a\tb\nc")

    lines = traffic.copy_text([row]).split("\n")

    assert len(lines) == 2
    assert len(lines[1].split("\t")) == len(traffic.model.columns)
