from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TypeVar

import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QApplication, QDialog, QLineEdit
from pytestqt.qtbot import QtBot

from core.errors import StoreUnavailable
from desktop.models.gauge import Gauge
from desktop.presenters.peers import PeersPresenter
from desktop.theme import DARK, LIGHT
from desktop.views.cells import balance_text
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.form_row import FormRow
from desktop.views.gauge import draw_gauge
from desktop.views.inputs import AmountEdit, SecretEdit
from desktop.views.peers import PeersPage
from desktop.views.settle_dialog import SettleDialog
from desktop.views.tokens_dialog import TokensDialog
from tests.desktop.fake_operator import FakeOperator
from tests.desktop.waiting import activated

D = TypeVar("D", bound=QDialog)


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def page(operator: FakeOperator, qapp: QApplication) -> AsyncIterator[PeersPage]:
    made = PeersPage(PeersPresenter(operator, operator.clock))
    made.resize(1200, 700)
    made.show()
    made.activateWindow()
    await made.peers.update_and_report()
    await activated(made)
    yield made
    made.hide()
    await made.peers.close()
    made.peer_inspector.deleteLater()
    made.deleteLater()
    await asyncio.sleep(0.01)


def called(operator: FakeOperator, name: str) -> list[tuple[object, ...]]:
    return [call[1:] for call in operator.calls if call[0] == name]


def opened(page: PeersPage, kind: type[D]) -> D:
    dialogs = [dialog for dialog in page.findChildren(kind) if dialog.isVisible()]
    assert len(dialogs) == 1
    return dialogs[0]


def type_into(row: FormRow, text: str) -> None:
    assert isinstance(row.editor, QLineEdit)
    row.editor.setText(text)


# --- The inspector


async def test_only_what_others_said_of_a_reject_is_not_verified(
    page: PeersPage, operator: FakeOperator
) -> None:
    page.peers.select("bob")
    assert page.peer_inspector.reject.text().startswith("Last reject: “T04 ")

    operator.replace_view("bob", last_reject_is_ours=False)
    await page.peers.update()
    assert page.peer_inspector.reject.text().startswith(
        "Last reject, its text is not verified: “T04 "
    )


# --- The table


async def test_however_narrow_a_balance_says_whose_it_is(page: PeersPage) -> None:
    metrics = page.table.fontMetrics()
    rows = [page.peers.model.row(at) for at in range(page.peers.model.shown)]
    assert {row.gauge.owed > 0 for row in rows if row.gauge.owed} == {True, False}

    for row in rows:
        shorter = metrics.horizontalAdvance(row.short_words) - 1
        text = balance_text(row, metrics, shorter)
        if row.gauge.owed:
            assert text[0] == ("+" if row.gauge.owed > 0 else "\N{MINUS SIGN}")
        assert balance_text(row, metrics, 10_000) == row.words


async def test_before_the_node_answers_it_says_so_and_then_why_not(
    operator: FakeOperator, qtbot: QtBot
) -> None:
    operator.errors["accounts"] = StoreUnavailable("the database is locked")
    page = PeersPage(PeersPresenter(operator, operator.clock))
    qtbot.addWidget(page)
    qtbot.addWidget(page.peer_inspector)
    assert page.states.showing == "loading"

    await page.peers.update_and_report()
    assert page.states.showing == "error"

    operator.errors.clear()
    page.states.retried.emit()
    await page.peers.tasks.finish()
    assert page.states.showing == "content"
    await page.peers.close()


async def test_without_peers_the_way_to_add_one_is_offered(qtbot: QtBot) -> None:
    operator = FakeOperator(peers=0)
    page = PeersPage(PeersPresenter(operator, operator.clock))
    qtbot.addWidget(page)
    qtbot.addWidget(page.peer_inspector)
    await page.peers.update_and_report()
    assert page.states.showing == "empty"

    page.empty_add_button.click()

    assert page.editor.heading.text() == "Add a peer"
    page.editor.cancel_button.click()
    await page.peers.close()


async def test_a_filter_that_matches_nothing_says_so_in_the_table(page: PeersPage) -> None:
    page.filter_line.filtered.emit("name-that-nobody-has")
    assert page.count.text() == "0 of 12 peers"

    seen = page.table.viewport().grab().toImage()
    top = range(min(60, seen.height()))
    assert len({seen.pixel(x, y) for x in range(seen.width()) for y in top}) > 1, "no words"


async def test_the_filter_says_how_many_are_left_and_what_it_does_not_understand(
    page: PeersPage,
) -> None:
    page.filter_line.filtered.emit("state:down")
    assert page.count.text() == "1 of 12 peers"

    page.filter_line.filtered.emit("colour:red")
    assert "no column to filter by" in page.filter_problem.text()
    assert page.filter_problem.isVisible()
    assert page.count.text() == "12 peers"


async def test_selection_and_place_stay_while_numbers_change(
    operator: FakeOperator, page: PeersPage
) -> None:
    page.open("hana")
    page.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)

    operator.replace_view("hana", packets_per_second=99.0)
    operator.replace_view("bob", packets_per_second=0.0)
    await page.peers.update_and_report()

    assert [row.username for row in page.table.selected_rows] == ["hana"]
    assert page.peer_inspector.name.text() == "hana"


async def test_keys_work_for_who_has_just_pressed_a_button_of_the_inspector(
    operator: FakeOperator, page: PeersPage, qtbot: QtBot
) -> None:
    page.open("carol")
    inspector = page.peer_inspector
    inspector.show()
    inspector.activateWindow()
    await activated(inspector)
    inspector.settle_button.setFocus()

    qtbot.keyClick(inspector.settle_button, Qt.Key.Key_O)
    await page.peers.tasks.finish()

    assert called(operator, "set_enabled") == [("carol", False)]


async def test_a_key_pauses_what_is_selected(
    operator: FakeOperator, page: PeersPage, qtbot: QtBot
) -> None:
    page.open("carol")
    page.table.setFocus()

    qtbot.keyClick(page.table, Qt.Key.Key_O)
    await page.peers.tasks.finish()
    assert called(operator, "set_enabled") == [("carol", False)]

    page.table.clearSelection()
    page.open("carol")
    assert page.pause_action.text() == "Resume"
    assert page.peer_inspector.pause_button.text() == "Resume"


async def test_a_pings_answer_stands_in_the_inspector(page: PeersPage) -> None:
    page.open("ivan")

    page.peer_inspector.ping_button.click()
    await page.peers.tasks.finish()

    answer = page.peer_inspector.ping_answer.text()
    assert answer.startswith("✖ ivan does not answer")
    assert re.search(r"\(at \d\d:\d\d:\d\d\)$", answer)


async def test_the_headline_and_the_graph_say_the_same_balance(
    operator: FakeOperator, page: PeersPage
) -> None:
    page.open("erin")
    inspector = page.peer_inspector
    inspector.show()
    await page.peers.tasks.finish()
    assert inspector.words.text().startswith("You owe erin")

    view = operator.views["erin"]
    newer = replace(view.balance, payable=view.balance.payable + 10**16)
    operator.views["erin"] = replace(view, balance=newer)
    page.peers.show_range(86_400)
    await page.peers.tasks.finish()
    await page.peers.update_and_report()

    row = page.peers.row_of("erin")
    assert row is not None
    assert inspector.graph.legend.text.endswith(row.signed)
    assert row.amount(-row.gauge.owed) in inspector.words.text()


async def test_packets_of_a_peer_are_on_the_traffic_page(page: PeersPage) -> None:
    wanted: list[tuple[str, str]] = []
    page.navigated.connect(lambda *target: wanted.append(target))
    page.open("bob")

    page.peer_inspector.packets_button.click()

    assert wanted == [("traffic", "bob")]


# --- Deleting and settling


async def test_a_peer_with_a_balance_is_deleted_only_when_its_name_is_typed(
    operator: FakeOperator, page: PeersPage
) -> None:
    page.open("carol")
    page._delete()
    dialog = opened(page, ConfirmDialog)
    assert not dialog.action_button.isEnabled()

    dialog.typed_edit.setText("caro")
    assert not dialog.action_button.isEnabled()
    dialog.typed_edit.setText("carol")
    dialog.action_button.click()
    await page.peers.tasks.finish()

    assert called(operator, "delete_account") == [("carol", True)]
    assert page.peers.model.total == 11


async def test_a_deletion_can_be_thought_better_of(
    operator: FakeOperator, page: PeersPage
) -> None:
    page.open("liam")
    page._delete()
    dialog = opened(page, ConfirmDialog)
    assert dialog.action_button.isEnabled()

    dialog.cancel_button.click()

    assert called(operator, "delete_account") == []


async def test_settling_begins_with_the_preset_and_waits_for_the_click(
    operator: FakeOperator, page: PeersPage
) -> None:
    page.open("erin")
    page.peer_inspector.settle_button.click()
    dialog = opened(page, SettleDialog)
    assert dialog.amount_edit.text() == "0.42"
    assert dialog.settle_button.text() == "Settle 0.42\u00a0ETH"
    assert dialog.cancel_button.isDefault()

    dialog.amount_edit.setText("0.5")
    assert not dialog.settle_button.isEnabled()
    assert "out of range" in dialog.outcome.text()

    dialog.amount_edit.setText("0.02")
    assert "afterwards you owe erin 0.40\u00a0ETH" in dialog.outcome.text()
    dialog.settle_button.click()
    await page.peers.tasks.finish()
    assert called(operator, "settle_now") == [("erin", 2 * 10**16)]


async def test_what_is_owed_is_kept_up_to_date_while_the_amount_is_asked(
    operator: FakeOperator, page: PeersPage
) -> None:
    page.open("erin")
    page.peer_inspector.settle_button.click()
    dialog = opened(page, SettleDialog)
    view = operator.views["erin"]
    balance = replace(view.balance, payable=view.balance.payable - 10**17)

    operator.views["erin"] = replace(view, balance=balance)
    await page.peers.update_and_report()

    assert dialog.settle_button.text() == "Settle 0.32\u00a0ETH"
    dialog.amount_edit.setText("0.42")
    assert not dialog.settle_button.isEnabled()
    dialog.reject()


async def test_a_token_that_was_made_up_is_shown_once_more_when_it_is_saved(
    operator: FakeOperator, page: PeersPage
) -> None:
    page.open("erin")
    page._edit()
    await page.peers.tasks.finish()
    row = page.editor.rows["ilp_over_http_incoming_token"]
    assert isinstance(row.editor, SecretEdit)

    row.editor.generate_button.click()
    token = row.text
    await page.peers.editor.save_now()

    dialog = opened(page, TokensDialog)
    assert [line.text() for line in dialog.lines] == [token]
    dialog.done_button.click()


async def test_what_cannot_be_settled_says_why(page: PeersPage) -> None:
    page.open("carol")
    page._settle()
    dialog = opened(page, SettleDialog)

    assert "No settlement engine serves carol" in dialog.outcome.text()
    assert not dialog.settle_button.isEnabled()
    dialog.reject()


# --- The editor


async def test_esc_leaves_a_form_that_was_typed_into_only_after_a_question(
    page: PeersPage,
) -> None:
    page.add()
    type_into(page.editor.rows["username"], "nina")
    page.editor._leave()
    opened(page, ConfirmDialog).cancel_button.click()
    assert page.editor.isVisible()
    assert page.editor.rows["username"].text == "nina"

    page.editor._leave()
    opened(page, ConfirmDialog).action_button.click()
    assert not page.editor.isVisible()


async def test_a_peer_is_added_after_its_faults_were_mended(
    operator: FakeOperator, page: PeersPage
) -> None:
    page.add()
    editor, rows = page.editor, page.editor.rows
    type_into(rows["username"], "bob")
    type_into(rows["asset_code"], "USD")
    type_into(rows["credit_amount"], "0.005")
    await page.peers.editor.check_now()

    assert rows["credit_amount"].message.text() == (
        "✖ USD here has 2 decimals: 0.005 cannot be represented."
    )
    assert "There is an account 'bob' already" in rows["username"].message.text()
    assert not editor.save_button.isEnabled()
    assert "✖ Username: There is an account 'bob' already." in editor.reasons.text()
    assert rows["ilp_over_http_url"].message.text() == rows["ilp_over_http_url"].field.hint

    type_into(rows["username"], "nina")
    type_into(rows["credit_amount"], "50")
    await page.peers.editor.check_now()
    assert editor.summary.text().startswith("nina may owe you up to 50.00 USD.")
    assert not editor.reasons.isVisible()
    editor.save_button.click()
    await page.peers.tasks.finish()
    await page.peers.update_and_report()

    assert "nina" in operator.views
    assert not editor.isVisible()
    assert [row.username for row in page.table.selected_rows] == ["nina"]


async def test_fields_that_nobody_touched_are_not_red_until_saving_is_tried(
    page: PeersPage,
) -> None:
    page.add()
    await page.peers.editor.check_now()
    username = page.editor.rows["username"]
    assert not username.message.text().startswith("✖")

    page.editor._save()

    assert username.message.text().startswith("✖")
    assert username.editor.hasFocus()
    page.editor.cancel_button.click()


async def test_a_change_is_shown_before_it_is_applied(
    operator: FakeOperator, page: PeersPage
) -> None:
    await page.peers.editor.load("carol")
    await page.peers.editor.check_now()
    assert page.editor.reasons.text() == "Nothing has been changed yet."

    type_into(page.editor.rows["credit_amount"], "600")
    await page.peers.editor.check_now()
    page.editor.save_button.click()
    assert page.editor.differences.text() == (
        "Credit or deposit: 500.00\u00a0EUR → 600.00\u00a0EUR"
    )
    assert called(operator, "replace_account") == []

    page.editor.save_button.click()
    await page.peers.tasks.finish()
    assert operator.views["carol"].account.min_balance == -60_000


async def test_a_token_is_masked_made_up_shown_while_held_and_removed(
    page: PeersPage, qtbot: QtBot
) -> None:
    await page.peers.editor.load("carol")
    edit = page.editor.rows["ilp_over_http_incoming_token"].editor
    assert isinstance(edit, SecretEdit)
    assert edit.line.echoMode() is QLineEdit.EchoMode.Password
    assert edit.line.placeholderText() == "stored; type to replace it"

    edit.generate_button.click()
    assert len(edit.line.text()) >= 43
    qtbot.mousePress(edit.reveal_button, Qt.MouseButton.LeftButton)
    assert edit.line.echoMode() is QLineEdit.EchoMode.Normal
    qtbot.mouseRelease(edit.reveal_button, Qt.MouseButton.LeftButton)
    assert edit.line.echoMode() is QLineEdit.EchoMode.Password

    edit.copy_button.click()
    assert QApplication.clipboard().text() == edit.line.text()
    edit._forget.timeout.emit()
    assert QApplication.clipboard().text() == ""

    edit.clear_button.click()
    assert [d.after for d in page.peers.editor.differences()] == ["removed"]
    page.editor.cancel_button.click()


async def test_unlimited_credit_is_chosen_and_never_left_empty(page: PeersPage) -> None:
    page.add()
    rows = page.editor.rows
    assert isinstance(rows["credit_amount"].editor, AmountEdit)
    assert rows["credit_amount"].isVisible()

    rows["credit"].set_text("unlimited")
    rows["credit"].changed.emit("unlimited")
    await page.peers.editor.check_now()

    assert not rows["credit_amount"].isVisible()
    assert "without any limit" in rows["credit"].message.text()
    page.editor.cancel_button.click()


async def test_amounts_show_the_asset_that_is_typed(page: PeersPage) -> None:
    page.add()
    type_into(page.editor.rows["asset_code"], "xrp")

    amount = page.editor.rows["max_packet_amount"].editor
    assert isinstance(amount, AmountEdit)
    assert amount.unit == "XRP"
    page.editor.cancel_button.click()


# --- The gauge


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_the_gauge_is_filled_from_zero_to_the_balance(look: object, qapp: QApplication) -> None:
    assert look in (LIGHT, DARK)
    colours = LIGHT if look is LIGHT else DARK
    image = QImage(200, 30, QImage.Format.Format_RGB32)
    image.fill(QColor(colours.base))
    painter = QPainter(image)
    draw_gauge(painter, QRectF(0, 0, 200, 30), Gauge(owed=50, limit=100), colours)
    painter.end()

    assert image.pixelColor(50, 17) == QColor(colours.owed_to_us)
    assert image.pixelColor(150, 17) == QColor(colours.border)
