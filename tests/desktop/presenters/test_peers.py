from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import cast

import pytest

from core.account import Secret
from core.control.operator import Operator
from core.control.views import AccountCheck, AccountDetails
from core.errors import AccountExists, StoreUnavailable
from desktop.models.graph import GraphData
from desktop.models.peer_editor import FormCheck
from desktop.models.peers import PeerDetail
from desktop.presenters.peer_editor import PeerEditorPresenter
from desktop.presenters.peer_rows import detail_of
from desktop.presenters.peers import PeersPresenter
from desktop.tasks import TaskScope
from tests.desktop.fake_operator import FakeOperator


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def peers(operator: FakeOperator) -> AsyncIterator[PeersPresenter]:
    presenter = PeersPresenter(operator, operator.clock)
    await presenter.update_and_report()
    yield presenter
    await presenter.close()


def called(operator: FakeOperator, name: str) -> list[tuple[object, ...]]:
    return [call[1:] for call in operator.calls if call[0] == name]


async def test_rows_say_who_owes_whom_and_how_far_the_limit_is(peers: PeersPresenter) -> None:
    bob = peers.row_of("bob")

    assert bob is not None
    assert bob.words == "bob owes you 97.00\u00a0USD"
    assert bob.gauge.used_percent == 98
    assert (bob.state, bob.reject_code) == ("degraded", "T04")


async def test_what_is_owed_both_ways_is_shown_with_the_difference_that_the_headline_tells(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    view = operator.views["bob"]
    net = view.balance.net
    operator.replace_view(
        "bob", balance=dataclasses.replace(view.balance, payable=2_000, receivable=2_000 - net)
    )

    facts = dict(detail_of(operator.views["bob"], operator.clock.now_ms()).facts)
    one_way = dict(detail_of(operator.views["carol"], operator.clock.now_ms()).facts)

    assert facts["They owe, in all"] == "117.00\u00a0USD"
    assert facts["You owe, in all"] == "20.00\u00a0USD"
    assert facts["The difference"] == "bob owes you 97.00\u00a0USD"
    assert "The difference" not in one_way


async def test_problems_are_counted_for_the_rail(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    counts: list[object] = []
    peers.badge_changed.connect(counts.append)

    await peers.update_and_report()

    assert counts == [2]


async def test_the_selected_peer_is_told_in_full_and_followed(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    details: list[PeerDetail | None] = []
    graphs: list[GraphData] = []
    peers.detail_changed.connect(details.append)
    peers.balance_changed.connect(graphs.append)

    peers.select("carol")
    await peers.tasks.finish()
    await peers.update_and_report()

    assert [detail.row.username for detail in details if detail] == ["carol", "carol"]
    assert dict(details[0].facts)["They may still send"] == "512.40\u00a0EUR"  # type: ignore[union-attr]
    assert graphs[-1].summary == operator.views["carol"].summary
    assert {line.name for line in graphs[-1].lines} >= {"credit you give", "you settle at"}


async def test_a_node_that_cannot_be_asked_leaves_what_was_there(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    problems: list[str] = []
    peers.problem_changed.connect(problems.append)
    operator.errors["accounts"] = StoreUnavailable("the database is locked")

    await peers.update_and_report()
    assert (problems, peers.model.total) == (["The database is locked."], 12)

    del operator.errors["accounts"]
    await peers.update_and_report()
    assert problems[-1] == ""


async def test_several_peers_are_paused_at_once(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    said: list[str] = []
    peers.reported.connect(said.append)

    peers.set_enabled(["bob", "carol"], enabled=False)
    await peers.tasks.finish()

    assert called(operator, "set_enabled") == [("bob", False), ("carol", False)]
    assert said == ["2 peers paused"]
    row = peers.row_of("bob")
    assert row is not None
    assert (row.state, row.enabled) == ("paused", False)


async def test_a_peer_is_called_by_its_label_in_what_was_done(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    view = operator.views["bob"]
    operator.views["bob"] = dataclasses.replace(
        view, account=dataclasses.replace(view.account, label="Bob & Co")
    )
    await peers.update_and_report()
    said: list[str] = []
    peers.reported.connect(said.append)

    peers.set_enabled(["bob"], enabled=False)
    await peers.tasks.finish()

    assert said == ["Bob & Co paused"]


async def test_a_ping_says_how_it_went(peers: PeersPresenter) -> None:
    answers: list[tuple[str, bool, str]] = []
    peers.pinged.connect(lambda *answer: answers.append(answer))

    peers.ping(["bob", "ivan"])
    await peers.tasks.finish()

    assert [(name, answered) for name, answered, _ in answers] == [
        ("bob", True),
        ("ivan", False),
    ]
    assert "connection refused" in answers[1][2]


async def test_settling_shows_what_it_leads_to_and_moves_that_amount(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    plan = peers.settle_plan("erin")
    assert plan is not None
    assert plan.obstacle == ""

    amount, sentence = peers.settle_amount(plan, "0.1")
    assert sentence == "0.10\u00a0ETH goes to erin; afterwards you owe erin 0.32\u00a0ETH."
    assert amount is not None
    assert plan.after(amount).owed == -320_000_000_000_000_000

    peers.settle("erin", amount)
    await peers.tasks.finish()
    assert called(operator, "settle_now") == [("erin", 10**17)]


async def test_no_more_is_settled_than_is_owed(peers: PeersPresenter) -> None:
    plan = peers.settle_plan("erin")
    assert plan is not None

    amount, sentence = peers.settle_amount(plan, "0.5")

    assert amount is None
    assert "out of range" in sentence


@pytest.mark.parametrize(
    ("username", "why"),
    [("bob", "You owe bob nothing"), ("carol", "No settlement engine"), ("frank", "under way")],
)
async def test_what_is_in_the_way_of_settling_is_said(
    peers: PeersPresenter, username: str, why: str
) -> None:
    plan = peers.settle_plan(username)

    assert plan is not None
    assert why in plan.obstacle


async def test_deleting_a_balance_needs_its_name(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    with_balance, even = peers.delete_plan("carol"), peers.delete_plan("liam")

    assert with_balance is not None
    assert even is not None
    assert with_balance.typed_name == "carol"
    assert with_balance.sentences[0].startswith("You owe carol 12.40\u00a0EUR.")
    assert even.typed_name == ""


async def test_a_refused_deletion_says_why_and_deletes_nothing(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    failures: list[str] = []
    peers.failed.connect(failures.append)

    peers.delete("carol", even_with_balance=False)
    await peers.tasks.finish()

    assert "was not deleted" in failures[0]
    assert "carol" in operator.views


async def test_no_token_is_ever_copied(operator: FakeOperator, peers: PeersPresenter) -> None:
    view = operator.views["bob"]
    operator.replace_view(
        "bob",
        account=dataclasses.replace(view.account, ilp_over_http_outgoing_token=Secret("hush")),
    )
    await peers.update_and_report()

    copied = peers.copy_json(["bob"])

    assert "hush" not in copied
    assert json.loads(copied)[0]["balance"] == "-9700"
    assert (
        peers.copy_text(["bob"])
        .splitlines()[1]
        .startswith("Degraded\tbob\tbob owes you 97.00 USD")
    )


# --- The editor


async def test_a_new_peer_is_checked_while_it_is_typed_and_saved(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    editor = peers.editor
    offers: list[str] = []
    peers.undoable.connect(lambda text, _undo: offers.append(text))
    editor.begin_new()
    editor.set_text("username", "nina")
    await editor.check_now()
    assert set(editor.check.problems) == {"credit_amount", "asset_code"}

    editor.set_text("asset_code", "USD")
    editor.set_text("credit_amount", "50")
    token = editor.generate_token("ilp_over_http_incoming_token")
    await editor.check_now()
    assert editor.check.summary[0] == "nina may owe you up to 50.00 USD."

    await editor.save_now()
    await peers.tasks.finish()
    [(details,)] = called(operator, "create_account")
    assert details.min_balance == -5_000  # type: ignore[attr-defined]
    assert details.ilp_over_http_incoming_token == token  # type: ignore[attr-defined]
    assert len(token) >= 43
    assert offers == ["nina added"]
    assert peers.row_of("nina") is not None


async def test_an_edit_says_what_changes_and_can_be_taken_back(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    editor = peers.editor
    undo: list[object] = []
    peers.undoable.connect(lambda _text, take_back: undo.append(take_back))
    await editor.load("carol")
    assert not editor.dirty

    editor.set_text("credit_amount", "600")
    await editor.check_now()
    assert [d.after for d in editor.differences()] == ["600.00\u00a0EUR"]
    await editor.save_now()
    await peers.tasks.finish()
    assert operator.views["carol"].account.min_balance == -60_000

    assert callable(undo[0])
    undo[0]()
    await peers.tasks.finish()
    assert operator.views["carol"].account.min_balance == -50_000


async def test_nothing_is_saved_while_there_is_a_problem(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    editor = peers.editor
    editor.begin_new()
    editor.set_text("username", "bob")
    editor.set_text("asset_code", "USD")
    editor.set_text("credit_amount", "1")

    await editor.save_now()

    assert list(editor.check.problems) == ["username"]
    assert called(operator, "create_account") == []


@pytest.mark.parametrize("scale", ["256", "9" * 5000])
async def test_an_asset_has_no_units_while_its_decimals_cannot_be(
    peers: PeersPresenter, scale: str
) -> None:
    peers.editor.begin_new()
    peers.editor.set_text("asset_code", "USD")
    peers.editor.set_text("asset_scale", scale)

    assert peers.editor.asset == ("USD", None)


async def test_a_fault_that_the_node_finds_last_stands_under_its_field(
    operator: FakeOperator, peers: PeersPresenter
) -> None:
    editor = peers.editor
    checks: list[FormCheck] = []
    editor.check_changed.connect(checks.append)
    editor.begin_new()
    for name, text in (("username", "nina"), ("asset_code", "USD"), ("credit_amount", "1")):
        editor.set_text(name, text)
    operator.errors["create_account"] = AccountExists("token", "…")

    await editor.save_now()

    assert list(checks[-1].problems) == ["ilp_over_http_incoming_token"]


class SlowChecks:
    """A door whose answers to a check come when the test lets them."""

    def __init__(self, operator: FakeOperator) -> None:
        self.operator = operator
        self.gate = asyncio.Event()

    async def check_account(
        self, details: AccountDetails, *, existing: str | None = None
    ) -> AccountCheck:
        answer = await self.operator.check_account(details, existing=existing)
        await self.gate.wait()
        return answer


async def test_an_answer_to_older_text_is_not_shown(operator: FakeOperator) -> None:
    door = SlowChecks(operator)
    editor = PeerEditorPresenter(cast(Operator, door), TaskScope())
    editor.begin_new()
    for name, text in (("asset_code", "USD"), ("credit_amount", "1"), ("username", "bob")):
        editor.set_text(name, text)
    async with asyncio.TaskGroup() as group:
        group.create_task(editor.check_now())
        await asyncio.sleep(0)
        editor.set_text("username", "nina")
        door.gate.set()
    assert (editor.check.checking, editor.check.problems) == (True, {})

    await editor.check_now()
    assert (editor.check.checking, editor.check.problems) == (False, {})
    editor.cancel()
