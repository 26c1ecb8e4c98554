from __future__ import annotations

import pytest

from desktop.models.graph import GraphData
from desktop.presenters.rate_history import PAGE, RateHistoryPresenter
from tests.desktop.fake_operator import NOW_MS, FakeOperator


class Seen:
    """A history, and what it drew."""

    def __init__(self) -> None:
        self.operator = FakeOperator()
        self.presenter = RateHistoryPresenter(self.operator, self.operator.clock)
        self.graphs: list[GraphData] = []
        self.presenter.drawn.connect(self.graphs.append)

    @property
    def asked(self) -> list[tuple[object, ...]]:
        return [call[1:] for call in self.operator.calls if call[0] == "rate_snapshots"]


@pytest.fixture
def seen() -> Seen:
    return Seen()


async def test_a_pairs_changes_are_exact_and_the_newest_stands_first(seen: Seen) -> None:
    seen.operator.add_snapshot(NOW_MS - 3_000, EUR="1.10", XRP="0.55")
    seen.operator.add_snapshot(NOW_MS - 2_000, EUR="1.21", XRP="0.605")
    seen.operator.add_snapshot(NOW_MS - 1_000, EUR="1.21", XRP="0.484")

    seen.presenter.show_pair("EUR", "XRP")
    await seen.presenter.update()

    rows = seen.presenter.changes.rows
    assert [(row.id, row.rate, row.change) for row in rows] == [
        (3, "1 EUR = 2.5 XRP", "+25\u00a0%"),
        (1, "1 EUR = 2 XRP", ""),
    ]
    [curve] = seen.graphs[-1].curves
    assert list(curve.y) == [2.0, 2.5, 2.5]
    assert curve.x[-1] == NOW_MS / 1000


async def test_the_reference_is_a_side_like_any_other(seen: Seen) -> None:
    seen.operator.add_snapshot(NOW_MS, EUR="1.25")

    seen.presenter.show_pair("USD", "EUR")
    await seen.presenter.update()

    [row] = seen.presenter.changes.rows
    assert row.rate == "1 USD = 0.8 EUR"


async def test_only_what_is_new_is_asked_for_again(seen: Seen) -> None:
    for i in range(PAGE + 10):
        seen.operator.add_snapshot(NOW_MS + i, EUR=f"1.{i:03}1")
    seen.presenter.show_pair("EUR", "USD")
    await seen.presenter.update()
    assert len(seen.asked) == 2

    seen.operator.add_snapshot(NOW_MS + 100, EUR="2")
    await seen.presenter.update()

    assert len(seen.asked) == 3
    assert seen.presenter.changes.total == PAGE + 11
    assert seen.presenter.changes.rows[0].rate == "1 EUR = 2 USD"


async def test_a_pair_without_prices_has_an_empty_history(seen: Seen) -> None:
    seen.operator.add_snapshot(NOW_MS, EUR="1.25")

    seen.presenter.show_pair("EUR", "XRP")
    await seen.presenter.update()

    assert not seen.presenter.changes.total
    assert seen.graphs[-1].is_empty
