from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from desktop.models.route_exchange import RouteTree, Why
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


async def test_the_changes_of_a_page_that_was_just_opened_call_accounts_by_their_labels(
    operator: FakeOperator,
) -> None:
    operator.add_changes(12)
    presenter = RoutesPresenter(operator, operator.clock)

    await presenter.update_and_report()

    assert "Zürich Exchange" in {row.after for row in presenter.changes.rows}
    await presenter.close()


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

    await routes.answer("test.nowhere", "", "bob")

    assert not answers[1].forwarded
    assert answers[1].ways, "what peers tell and is not used is said all the same"


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


async def test_every_way_to_a_prefix_is_told_with_its_reason(
    operator: FakeOperator, routes: RoutesPresenter
) -> None:
    told: list[Why] = []
    routes.why_changed.connect(told.append)

    routes.explain_route("test.bank.tokyo")
    await routes.tasks.finish()

    assert [way.chosen for way in told[0].ways] == [True, False]
    assert told[0].ways[1].words == (
        "· carol by test.carol → test.far → test.bank: bob has a shorter way: 1 node, not 3."
    )


async def test_route_exchange_counts_whoever_has_a_problem(
    operator: FakeOperator, routes: RoutesPresenter
) -> None:
    badges: list[int] = []
    routes.badge_changed.connect(badges.append)

    await routes.update_and_report()

    failing = [row for row in routes.exchange.rows if row.problem]
    assert badges[-1] == len(failing) > 0
    assert not any(row.can_be_asked for row in routes.exchange.rows if row.state == "static")


async def test_changes_are_fetched_once_and_the_newest_stand_on_top(
    operator: FakeOperator, routes: RoutesPresenter
) -> None:
    operator.add_changes(50)
    await routes.update_and_report()
    operator.add_changes(3)
    await routes.update_and_report()

    assert routes.changes.total == 53
    assert routes.changes.row(0).sequence == 53
    asked = [call[1] for call in operator.calls if call[0] == "route_changes"]
    assert asked[-2:] == [0, 50]


def test_the_tree_has_every_route_under_its_segments() -> None:
    tree = RouteTree()
    tree.add(
        RouteRow(prefix, "bob", "learned")
        for prefix in ("", "test.a", "test.a.b", "test.c.d.e", "g")
    )

    test = tree.root.children["test"]
    assert tree.root.routes == 5
    assert (test.routes, test.route) == (3, None)
    assert [branch.prefix for branch in test.ordered] == ["test.a", "test.c"]
    assert test.children["a"].children["b"].route is not None
