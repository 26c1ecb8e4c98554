from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from desktop.models.rates import SourceForm
from desktop.presenters.rates import RatesPresenter, details_of, form_of
from tests.desktop.fake_operator import FakeOperator


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def rates(operator: FakeOperator) -> AsyncIterator[RatesPresenter]:
    presenter = RatesPresenter(operator, operator.clock)
    await presenter.update_and_report()
    yield presenter
    await presenter.close()


def called(operator: FakeOperator, name: str) -> list[tuple[object, ...]]:
    return [call[1:] for call in operator.calls if call[0] == name]


async def test_prices_say_where_they_come_from_and_whether_they_hold(
    rates: RatesPresenter,
) -> None:
    states = {row.code: row.state for row in rates.prices.rows}

    assert states["CHF"] == "in force"
    assert states["GBP"] == "too old"
    assert {row.state for row in rates.sources.rows} == {"works", "fails"}


async def test_a_price_by_hand_leaves_the_other_prices_by_hand_as_they_are(
    operator: FakeOperator, rates: RatesPresenter
) -> None:
    before = {code: Decimal(price) for code, price in operator.prices.items()}

    rates.set_price("gbp", "1.25")
    await rates.tasks.finish()

    [(prices,)] = called(operator, "set_rates")
    assert prices == before | {"GBP": Decimal("1.25")}


async def test_the_guard_is_set_exactly_and_can_be_taken_back(
    operator: FakeOperator, rates: RatesPresenter
) -> None:
    undo: list[Callable[[], None]] = []
    rates.undoable.connect(lambda _words, back: undo.append(back))
    assert rates.state is not None
    assert (rates.state.jump_limit, rates.state.jump_samples) == ("10%", "3")

    rates.set_guard("12.5%", "")
    await rates.tasks.finish()
    undo[0]()
    await rates.tasks.finish()
    rates.set_guard("", "2")
    await rates.tasks.finish()

    assert called(operator, "set_rate_guard") == [
        (Fraction(1, 8), 0),
        (Fraction(1, 10), 3),
        (None, 2),
    ]


async def test_a_guard_that_cannot_be_read_is_not_set(
    operator: FakeOperator, rates: RatesPresenter
) -> None:
    said: list[str] = []
    rates.failed.connect(said.append)

    rates.set_guard("much", "2")
    rates.set_guard("10%", "often")
    await rates.tasks.finish()

    assert len(said) == 2
    assert not called(operator, "set_rate_guard")


@pytest.mark.parametrize("text", ["", "free", "-1", "0", "NaN", "inf"])
async def test_what_is_no_price_is_not_set(
    operator: FakeOperator, rates: RatesPresenter, text: str
) -> None:
    said: list[str] = []
    rates.failed.connect(said.append)

    rates.set_price("EUR", text)

    assert "is no price" in said[0]
    assert called(operator, "set_rates") == []


async def test_a_held_jump_is_decided_by_the_operator(
    operator: FakeOperator, rates: RatesPresenter
) -> None:
    assert rates.state is not None
    assert [jump.code for jump in rates.state.held] == ["XRP"]

    rates.decide_jump("XRP", accept=False)
    await rates.tasks.finish()

    assert called(operator, "refuse_rate_jump") == [("XRP",)]
    assert rates.state is not None
    assert rates.state.held[0].decided


async def test_an_amount_is_converted_with_its_rate_and_the_age_of_it(
    operator: FakeOperator, rates: RatesPresenter
) -> None:
    said: list[tuple[bool, str]] = []
    rates.converted.connect(lambda known, words: said.append((known, words)))

    await rates.answer("12.40", "USD", "EUR")
    await rates.answer("12.40", "ZZZ", "EUR")

    assert said[0] == (
        True,
        (
            "12.40\u00a0USD would become 11.16\u00a0EUR, at 0.9 EUR for 1 USD, 12\u00a0s old; "
            "0.02\u00a0EUR stay here, a share of 0.2\u00a0%."
        ),
    )
    assert said[1] == (False, "No price of ZZZ is known.")


async def test_a_spread_of_a_pair_is_set_and_removed_exactly(
    operator: FakeOperator, rates: RatesPresenter
) -> None:
    rates.set_pair_spread("eur", "usd", "0.25%")
    await rates.tasks.finish()
    rates.set_pair_spread("EUR", "USD", "")
    await rates.tasks.finish()

    assert called(operator, "set_pair_spread") == [
        ("EUR", "USD", Fraction(1, 400)),
        ("EUR", "USD", None),
    ]


async def test_a_source_that_cannot_be_says_which_field_is_at_fault(
    operator: FakeOperator, rates: RatesPresenter
) -> None:
    refused: list[str] = []
    rates.source_refused.connect(refused.append)

    rates.save_source(SourceForm(name="x", kind="ecb"))
    await rates.tasks.finish()
    rates.save_source(SourceForm(name="json", kind="json", assets="bitcoin"))
    await rates.tasks.finish()

    assert refused[0].startswith("name: ")
    assert refused[1].startswith("assets: ")
    assert "pairs like bitcoin=BTC" in refused[1]


async def test_a_source_goes_through_its_form_unchanged(rates: RatesPresenter) -> None:
    row = next(row for row in rates.sources.rows if row.name == "ecb")

    details = details_of(form_of(row))

    assert (details.name, details.kind, details.url) == (row.name, row.kind, row.url)
    assert (details.poll_seconds, details.max_age_seconds) == (60, 600)
    assert details.api_key is None
