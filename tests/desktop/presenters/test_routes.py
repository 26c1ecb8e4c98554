from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from desktop.models.routes import Answer, RouteRow
from desktop.presenters.routes import RoutesPresenter
from tests.desktop.fake_operator import FakeOperator


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def routes(operator: FakeOperator) -> AsyncIterator[RoutesPresenter]:
    presenter = RoutesPresenter(operator, operator.clock)
    await presenter.update_and_report()
    yield presenter
    await presenter.close()


async def test_the_table_is_loaded_anew_only_when_something_was_changed(
    operator: FakeOperator, routes: RoutesPresenter
) -> None:
    await routes.update_and_report()
    assert sum(1 for call in operator.calls if call[0] == "routes") == 1

    await operator.set_route("test.new", "bob")
    await routes.update_and_report()

    assert routes.model.place_of("test.new") is not None


async def test_an_amount_is_asked_in_whole_units_of_the_sender(
    operator: FakeOperator, routes: RoutesPresenter
) -> None:
    answers: list[Answer] = []
    routes.answered.connect(answers.append)

    await routes.answer("test.bank.tokyo.shop", "12.40", "bob")

    assert ("explain", "test.bank.tokyo.shop", 1_240, "bob", 30_000) in operator.calls
    answer = answers[0]
    assert answer.forwarded
    assert dict(answer.facts)["Comes in"] == "12.40\u00a0USD"
    assert dict(answer.facts)["Next hop"] == "hana"
    assert answer.alternatives == (
        "the default route → Zürich Exchange: shorter than test.bank.tokyo",
    )
    assert [step.passes for step in answer.steps] == [True] * 8
    assert [step.decides for step in answer.steps] == [False] * 7 + [True]


async def test_where_no_route_leads_the_router_is_marked(
    operator: FakeOperator, routes: RoutesPresenter
) -> None:
    answers: list[Answer] = []
    routes.answered.connect(answers.append)
    operator.default = None

    await routes.answer("g.elsewhere", "", "bob")

    assert not answers[0].forwarded
    assert not answers[0].steps[-1].passes


@pytest.mark.parametrize(
    ("destination", "amount", "said"),
    [
        ("no address", "1", "is no ILP address"),
        ("test.x", "0.005", "USD here has 2 decimals: 0.005 cannot be represented."),
        ("test.x", "1,234", "can be read in two ways"),
    ],
)
async def test_a_question_that_means_nothing_is_answered_with_why(
    routes: RoutesPresenter, destination: str, amount: str, said: str
) -> None:
    answers: list[Answer] = []
    routes.answered.connect(answers.append)

    await routes.answer(destination, amount, "bob")

    assert said in answers[0].sentence
    assert answers[0].steps == ()


async def test_removed_routes_can_be_brought_back(
    operator: FakeOperator, routes: RoutesPresenter
) -> None:
    undo: list[object] = []
    routes.undoable.connect(lambda _text, take_back: undo.append(take_back))
    rows = [row for row in routes.model.rows if row.removable]

    routes.remove(routes.model.rows)
    await routes.tasks.finish()
    assert (operator.static, operator.default) == ({}, None)

    assert callable(undo[0])
    undo[0]()
    await routes.tasks.finish()
    assert len(operator.static) + 1 == len(rows)
    assert operator.default == "zurich"


async def test_a_peers_own_address_cannot_be_removed(
    operator: FakeOperator, routes: RoutesPresenter
) -> None:
    routes.remove([RouteRow("test.signalbox.alice.bob", "bob", "account")])
    await routes.tasks.finish()

    assert all(call[0] != "delete_route" for call in operator.calls)
