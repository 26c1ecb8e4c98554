"""The pages for routes, traffic, settlements and logs, as they are used."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTableView,
    QWidget,
)
from pytestqt.qtbot import QtBot

from core.control.rates_views import TransferRate
from desktop.models.routes import Answer, AnswerStep
from desktop.models.settlements import LADDER, LADDER_COLUMN, EngineCard
from desktop.models.traffic import CODE
from desktop.presenters.logs import LogsPresenter
from desktop.presenters.payments import PaymentsPresenter
from desktop.presenters.peers import PeersPresenter
from desktop.presenters.rates import RatesPresenter
from desktop.presenters.routes import RoutesPresenter
from desktop.presenters.settlements import SettlementsPresenter
from desktop.presenters.traffic import TrafficPresenter
from desktop.theme import Theme
from desktop.views.cells import PADDING, LadderCell
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.detail import plain
from desktop.views.inputs import Choice
from desktop.views.inspector import INSPECTOR_WIDTH
from desktop.views.logs import LogsPage
from desktop.views.main_window import WINDOW_WIDTH
from desktop.views.page import Page
from desktop.views.payments import PaymentsPage
from desktop.views.peers import PeersPage
from desktop.views.rail import RAIL_WIDTH
from desktop.views.rates import RatesPage
from desktop.views.routes import RoutesPage
from desktop.views.settlements import (
    DONE,
    NOT_DUE,
    UNDER_WAY,
    UNKNOWN,
    UNMATCHED,
    SettlementsPage,
)
from desktop.views.tables import GrowColumns
from desktop.views.traffic import TrafficPage
from desktop.views.widgets import TableView, Tone
from tests.desktop.fake_operator import ETH, FakeOperator
from tests.desktop.waiting import activated

AMOUNT_IN = 4

MAKERS: dict[str, Callable[[FakeOperator], Page]] = {
    "peers": lambda operator: PeersPage(PeersPresenter(operator, operator.clock)),
    "routes": lambda operator: RoutesPage(RoutesPresenter(operator, operator.clock)),
    "traffic": lambda operator: TrafficPage(TrafficPresenter(operator, operator.clock)),
    "settlements": lambda operator: SettlementsPage(
        SettlementsPresenter(operator, operator.clock)
    ),
    "payments": lambda operator: PaymentsPage(PaymentsPresenter(operator, operator.clock)),
    "rates": lambda operator: RatesPage(RatesPresenter(operator, operator.clock)),
    "logs": lambda operator: LogsPage(LogsPresenter(operator, operator.clock)),
}


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


class Opened:
    """Opens pages over the test's operator, and closes them."""

    def __init__(self, operator: FakeOperator) -> None:
        self._operator = operator
        self._pages: list[Page] = []

    async def page(self, key: str) -> Any:
        page = MAKERS[key](self._operator)
        self._pages.append(page)
        page.resize(1200, 700)
        page.show()
        page.activateWindow()
        await page.presenter.update_and_report()
        await activated(page)
        return page

    async def close(self) -> None:
        for page in self._pages:
            page.hide()
            await page.presenter.close()
            if page.inspector is not None:
                page.inspector.deleteLater()
            page.deleteLater()
        await asyncio.sleep(0.01)


@pytest.fixture
async def opened(operator: FakeOperator, qapp: QApplication) -> AsyncIterator[Opened]:
    pages = Opened(operator)
    yield pages
    await pages.close()


@pytest.mark.parametrize("key", list(MAKERS))
async def test_a_page_has_room_beside_its_inspector_in_the_window_as_it_opens(
    key: str, opened: Opened, theme: Theme
) -> None:
    page = await opened.page(key)

    room = WINDOW_WIDTH - RAIL_WIDTH - INSPECTOR_WIDTH - 4
    assert page.minimumSizeHint().width() <= room


@pytest.mark.parametrize("key", list(MAKERS))
async def test_a_table_shows_whole_columns_and_is_not_scrolled_sideways(
    key: str, opened: Opened, theme: Theme
) -> None:
    page = await opened.page(key)
    page.resize(WINDOW_WIDTH - RAIL_WIDTH - INSPECTOR_WIDTH, 700)
    await asyncio.sleep(0.1)

    for table in page.findChildren(TableView):
        if table.isVisible():
            widths = [table.columnWidth(i) for i in range(len(table.table_model.columns))]
            assert table.horizontalScrollBar().maximum() == 0, (
                widths,
                table.viewport().width(),
                page.width(),
            )
            assert not table.isColumnHidden(0)


async def test_a_payment_on_its_way_is_read_whole_beside_its_ladder(
    opened: Opened, theme: Theme
) -> None:
    page = await opened.page("settlements")
    assert isinstance(page, SettlementsPage)
    table = page.tables[UNDER_WAY]

    text = table.fontMetrics().horizontalAdvance("On its way, 12 confirmations")
    ladder = len(LADDER) * (LadderCell.SEGMENT + 2) + 6
    assert table.columnWidth(LADDER_COLUMN) >= ladder + text + 2 * PADDING


@pytest.mark.parametrize("key", list(MAKERS))
async def test_everything_that_takes_the_focus_says_what_it_is(
    key: str, opened: Opened
) -> None:
    page = await opened.page(key)

    nameless = [
        widget
        for root in (page, page.inspector or page)
        for widget in root.findChildren(QWidget)
        if isinstance(widget, QLineEdit | QComboBox | QTableView | QPlainTextEdit)
        and not isinstance(widget.parent(), QComboBox)
        and not widget.accessibleName()
        and not isinstance(widget.parent(), QTableView)
    ]
    mute = [
        button
        for button in page.findChildren(QAbstractButton)
        if not (button.text() or button.accessibleName())
        and not isinstance(button.parent(), QLineEdit | QTableView)
        and type(button).__module__.startswith("desktop")
    ]

    assert nameless == []
    assert mute == []


def question(page: Page) -> ConfirmDialog:
    [dialog] = page.findChildren(ConfirmDialog)
    return dialog


# --- Routes


async def test_the_answer_says_where_and_shows_every_step(opened: Opened) -> None:
    page: RoutesPage = await opened.page("routes")
    assert not page.answer.isVisible()

    page.destination.setText("test.bank.tokyo.shop")
    page.amount.setText("2.50")
    page.sender_choice.choose("bob")
    page.look_up_button.click()
    await page.routes.tasks.finish()

    assert page.answer.isVisible()
    assert page.answer.pill.text == "Would be forwarded"
    assert page.answer.facts.text_of("Next hop") == "hana"
    assert page.answer.facts.text_of("Comes in") == "2.50\u00a0USD"
    assert page.answer.steps_text[0] == "✓ rate limit: within the limits"
    assert len(page.answer.steps_text) == 8


async def test_every_step_of_the_answer_is_seen_without_scrolling(
    opened: Opened, theme: Theme
) -> None:
    page: RoutesPage = await opened.page("routes")
    page.resize(1_100, 700)
    steps = [
        AnswerStep(passes=True, decides=False, service=f"service {i}", sentence=sentence)
        for i, sentence in enumerate(["It passes."] * 9 + ["It passes. " * 15] * 3)
    ]

    page.answer.show_answer(Answer(forwarded=True, sentence="It goes.", steps=tuple(steps)))
    await asyncio.sleep(0.05)

    assert page.answer.step_area.verticalScrollBar().maximum() == 0


async def test_steps_call_accounts_by_their_labels(
    operator: FakeOperator, opened: Opened
) -> None:
    view = operator.views["hana"]
    operator.replace_view(
        "hana", account=dataclasses.replace(view.account, label="Bank of Japan")
    )
    page: RoutesPage = await opened.page("routes")

    page.open("test.bank.tokyo.shop")
    await page.routes.tasks.finish()

    assert page.answer.facts.text_of("Next hop") == "Bank of Japan"
    assert any("Bank of Japan (hana)" in step for step in page.answer.steps_text)


async def test_a_packet_without_a_way_is_marked_at_the_step_that_stops_it(
    operator: FakeOperator, opened: Opened
) -> None:
    operator.default = None
    page: RoutesPage = await opened.page("routes")

    page.open("g.elsewhere")
    await page.routes.tasks.finish()

    assert page.answer.pill.text == "Would be rejected"
    assert page.answer.steps_text[-1].startswith("✖ router")


async def test_without_a_route_the_page_leads_to_where_a_peer_is_added(
    qapp: QApplication,
) -> None:
    operator = FakeOperator(peers=0)
    made = RoutesPage(RoutesPresenter(operator, operator.clock))
    made.show()
    wanted: list[str] = []
    made.navigated.connect(lambda page, _target: wanted.append(page))

    made.empty_add_button.click()

    assert wanted == ["peers"]
    made.hide()
    await made.routes.close()
    made.detail.deleteLater()
    made.deleteLater()


async def test_a_route_is_added_and_removed(operator: FakeOperator, opened: Opened) -> None:
    page: RoutesPage = await opened.page("routes")
    assert not page.add_button.isEnabled()

    page.prefix.setText("test.new")
    page.next_hop.choose("dave")
    page.add_button.click()
    await page.routes.tasks.finish()
    assert operator.static["test.new"] == "dave"
    assert page.table.select_key("test.new")

    page.remove_action.trigger()
    await page.routes.tasks.finish()
    assert "test.new" not in operator.static


async def test_the_default_route_is_chosen_and_given_up(
    operator: FakeOperator, opened: Opened
) -> None:
    page: RoutesPage = await opened.page("routes")
    assert page.default_choice.value == "zurich"

    page.default_choice.chosen.emit("")
    await page.routes.tasks.finish()

    assert operator.default is None
    assert page.default_choice.value == ""


# --- Traffic


async def test_nothing_of_the_traffic_covers_another_in_a_narrow_page(
    theme: Theme, opened: Opened
) -> None:
    page: TrafficPage = await opened.page("traffic")
    assert page.codes_card.isVisible()
    page.filter_line.setText("F02")
    page._filter()
    page.setMinimumWidth(1)  # as in the window, which gives a page what the inspector leaves
    page.resize(523, 600)
    QApplication.processEvents()

    assert not page.codes_card.isVisible()
    bar = (page.filter_line, page.verdict, page.code, page.peer, page.clear_button)
    for left, right in pairwise((*bar, page.pause_button)):
        assert left.isVisible()
        assert left.geometry().right() < right.x()
    for button in page.range_bar.findChildren(QAbstractButton):
        assert button.width() >= button.sizeHint().width(), button.text()


async def test_space_holds_the_table_and_counts_what_comes(
    operator: FakeOperator, opened: Opened, qtbot: QtBot
) -> None:
    page: TrafficPage = await opened.page("traffic")
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_Space)
    assert page.pause_button.isChecked()

    operator.add_packets(1_240)
    await page.traffic.update_and_report()
    assert page.waiting.text() == "1\u202f240 new"
    assert page.count.text() == "400 packets"

    qtbot.keyClick(page.table, Qt.Key.Key_Space)
    assert page.waiting.text() == ""
    assert page.count.text() == "1\u202f640 packets"


async def test_a_click_on_a_code_leaves_only_that_code_and_another_brings_all_back(
    opened: Opened,
) -> None:
    page: TrafficPage = await opened.page("traffic")
    model = page.traffic.model
    place = next(i for i, row in enumerate(model.visible_rows) if row.code == "T04")

    page.table.clicked.emit(model.index(place, CODE))
    assert {row.code for row in model.visible_rows} == {"T04"}
    assert page.code.value == "T04"
    assert page.clear_button.isVisible()

    page.table.clicked.emit(model.index(0, CODE))
    assert model.shown == model.total


async def test_a_reject_is_explained_and_the_other_sides_words_are_quoted_as_such(
    opened: Opened,
) -> None:
    page: TrafficPage = await opened.page("traffic")
    model = page.traffic.model
    place = next(
        i for i, row in enumerate(model.visible_rows) if row.code == "F05" and not row.ours
    )

    page.table.selectRow(place)

    panel = page.packet_inspector
    assert panel.title.text() == "F05 Wrong Condition"
    assert panel.advice.text().startswith("The receiver's fulfillment did not match")
    assert plain(panel.said.text()) == "“<b>wrong condition</b>”"
    assert panel.said.textFormat() is Qt.TextFormat.PlainText
    assert panel.said_by.text().endswith("(unverified):")


async def test_a_reject_of_our_own_is_told_as_ours(opened: Opened) -> None:
    page: TrafficPage = await opened.page("traffic")
    model = page.traffic.model
    place = next(i for i, row in enumerate(model.visible_rows) if row.ours)

    page.table.selectRow(place)

    assert page.packet_inspector.said_by.text() == "This node said:"


async def test_a_packet_that_is_selected_tells_its_transfer_and_its_rate(
    operator: FakeOperator, opened: Opened
) -> None:
    page: TrafficPage = await opened.page("traffic")
    model = page.traffic.model
    place = next(i for i, row in enumerate(model.visible_rows) if row.fulfilled)
    lost = next(i for i, row in enumerate(model.visible_rows) if row.transfer is None)
    transfer = model.row(place).transfer
    assert transfer is not None
    operator.transfer_rates[transfer] = TransferRate(
        transfer=transfer,
        rate=None,
        spread=Fraction(0),
        snapshot=None,
        rate_id=None,
        sentence="Nothing was converted.",
    )
    facts = page.packet_inspector.facts

    page.table.selectRow(place)
    assert facts.text_of("Transfer") == str(transfer)
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} ", facts.text_of("Time")), "as exact as its row"
    [to_copy] = [
        button
        for button in facts.findChildren(QAbstractButton)
        if button.accessibleName() == "Copy: Transfer"
    ]
    assert not to_copy.isHidden()
    assert facts.text_of("Rate") == "…"
    await page.traffic.tasks.finish()
    assert facts.text_of("Rate") == "Nothing was converted."

    page.table.selectRow(place)
    page.table.selectRow(lost)
    await page.traffic.tasks.finish()
    assert facts.text_of("Transfer") == "none: it was not booked"
    assert to_copy.isHidden(), "there is nothing to copy"
    assert facts.text_of("Rate") == ""


async def test_what_is_read_stays_in_its_place_while_packets_come(
    operator: FakeOperator, opened: Opened
) -> None:
    page: TrafficPage = await opened.page("traffic")
    bar = page.table.verticalScrollBar()
    await asyncio.sleep(0.01)
    bar.setValue(28 * 50)
    top = page.traffic.model.row(page.table.rowAt(0)).sequence

    operator.add_packets(20)
    await page.traffic.update_and_report()
    await asyncio.sleep(0.01)

    assert page.traffic.model.row(page.table.rowAt(0)).sequence == top


async def test_an_amount_is_never_cut_off(operator: FakeOperator, opened: Opened) -> None:
    page: TrafficPage = await opened.page("traffic")
    operator.add_packets(1)
    operator.packet_views[-1] = dataclasses.replace(
        operator.packet_views[-1],
        incoming_amount=123_456_789_012_345_678_901,
        incoming_asset=ETH,
    )
    await page.traffic.update_and_report()
    [grow] = page.table.findChildren(GrowColumns)
    grow.measure()

    text = page.traffic.model.row(0).amount_in_text
    width = page.table.fontMetrics().horizontalAdvance(text)
    assert text == "123.456789012345678901\u00a0ETH"
    assert page.table.columnWidth(AMOUNT_IN) >= width + 16


# --- Settlements


async def test_every_list_tells_how_many_there_are(opened: Opened) -> None:
    page: SettlementsPage = await opened.page("settlements")

    assert [page.tabs.tabText(i) for i in range(7)] == [
        "Due",
        "Not due yet",
        "Under way (7)",
        "Done (13)",
        "Failed (4)",
        "Unmatched (1)",
        "Undecided (1)",
    ]


async def test_the_details_follow_the_row_that_they_are_of(
    operator: FakeOperator, opened: Opened
) -> None:
    page: SettlementsPage = await opened.page("settlements")
    place = page.settlements.not_due.place_of("erin")
    assert place is not None
    page.tabs.setCurrentIndex(NOT_DUE)
    page.tables[NOT_DUE].selectRow(place)
    assert page.detail.facts.text_of("You owe") == "0.42\u00a0ETH"

    await operator.correct_balance("erin", -(10**16), "a test")
    await page.presenter.update_and_report()

    assert page.detail.facts.text_of("You owe") == "0.41\u00a0ETH"


async def test_only_what_is_due_is_listed_as_due_and_the_rest_can_be_settled_early(
    operator: FakeOperator, opened: Opened
) -> None:
    page: SettlementsPage = await opened.page("settlements")
    assert not page.settlements.due.total
    assert page.settlements.not_due.total

    page.tabs.setCurrentIndex(NOT_DUE)
    page.tables[NOT_DUE].select_key("erin")
    assert page.settle_early_button.isEnabled()
    await operator.correct_balance("erin", 10**18, "a test")
    await page.presenter.update_and_report()

    assert [row.username for row in page.settlements.due.rows] == ["erin"]
    assert page.settlements.not_due.place_of("erin") is None


async def test_a_settlements_transaction_is_shown_and_copied_whole(opened: Opened) -> None:
    page: SettlementsPage = await opened.page("settlements")
    page.tabs.setCurrentIndex(DONE)
    page.tables[DONE].selectRow(0)
    row = page.settlements.done.row(0)
    assert page.detail.facts.text_of("Transaction") == row.transaction
    assert len(row.transaction) == 66

    copy = next(a for a in page.tables[DONE].actions() if a.text() == "Copy transaction")
    copy.trigger()

    assert QApplication.clipboard().text() == row.transaction


async def test_money_from_nobody_is_assigned_after_a_last_question(
    operator: FakeOperator, opened: Opened
) -> None:
    page: SettlementsPage = await opened.page("settlements")
    page.tabs.setCurrentIndex(UNMATCHED)
    assert not page.assign_button.isEnabled()
    page.tables[UNMATCHED].selectRow(0)

    page.assign_button.click()
    await page.settlements.tasks.finish()
    dialog = question(page)
    [choice] = dialog.findChildren(Choice)
    choice.choose("frank")
    assert ("assign_unmatched", "0x5f1c…:0", "frank") not in operator.calls
    dialog.action_button.click()
    await page.settlements.tasks.finish()

    assert ("assign_unmatched", "0x5f1c…:0", "frank") in operator.calls


async def test_an_undecided_packet_is_booked_after_a_last_question(
    operator: FakeOperator, opened: Opened
) -> None:
    page: SettlementsPage = await opened.page("settlements")
    page.tabs.setCurrentIndex(UNKNOWN)
    page.tables[UNKNOWN].selectRow(0)

    page.fulfilled_button.click()
    question(page).action_button.click()
    await page.settlements.tasks.finish()

    assert operator.unknown_rows == []


async def test_an_undecided_packet_of_a_payment_of_ours_names_it(
    operator: FakeOperator, opened: Opened
) -> None:
    operator.unknown_rows[0] = dataclasses.replace(
        operator.unknown_rows[0], payment="5029b27f-cadd"
    )
    page: SettlementsPage = await opened.page("settlements")

    page.tabs.setCurrentIndex(UNKNOWN)
    page.tables[UNKNOWN].selectRow(0)

    assert page.detail.facts.text_of("Payment") == "5029b27f-cadd"


async def test_only_engines_of_ours_can_be_stopped(opened: Opened) -> None:
    page: SettlementsPage = await opened.page("settlements")
    card = page.cards["ethereum"]
    assert not card.stop_button.isVisible()

    ours = EngineCard(
        name="ethereum",
        alive=True,
        sentence="It runs.",
        problem="",
        facts=(),
        address="0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
        can_stop=True,
    )
    page.settlements.engines_changed.emit((ours,))
    assert card.stop_button.isVisible()
    assert plain(card.facts.text_of("Address")) == ours.address

    broken = dataclasses.replace(
        ours,
        alive=False,
        state="Ended",
        problem="It ended 6 times.",
        last_words=("no such ledger",),
    )
    page.settlements.engines_changed.emit((broken,))
    assert (card.pill.text, card.pill.tone) == ("Ended", Tone.BAD)
    assert not card.last_words.isVisible()
    card.words_button.click()
    assert card.last_words.text() == "no such ledger"

    nobodys = dataclasses.replace(ours, alive=False, state="Not set up", set_up=False)
    page.settlements.engines_changed.emit((nobodys,))
    assert (card.pill.text, card.pill.tone) == ("Not set up", Tone.PLAIN)

    page.settlements.engines_changed.emit(())
    assert page.no_engines.isVisible()


# --- Logs


async def test_the_end_of_the_log_is_followed_until_the_operator_scrolls_up(
    operator: FakeOperator, opened: Opened
) -> None:
    page: LogsPage = await opened.page("logs")
    bar = page.table.verticalScrollBar()
    await asyncio.sleep(0.01)
    page.end_button.click()

    operator.add_log("INFO", "core.node", "followed")
    await page.logs.update_and_report()
    await asyncio.sleep(0.01)
    assert bar.value() == bar.maximum()

    bar.setValue(100)
    operator.add_log("INFO", "core.node", "not followed")
    await page.logs.update_and_report()
    await asyncio.sleep(0.01)
    assert bar.value() == 100


async def test_levels_and_components_are_left_out(opened: Opened) -> None:
    page: LogsPage = await opened.page("logs")

    page.level.choose("WARNING")
    page.component.choose("core.settlement")
    page.level.chosen.emit("WARNING")

    assert {row.level for row in page.logs.model.visible_rows} == {"ERROR"}
    assert page.count.text() == "10 of 60 lines"


async def test_the_level_is_set_by_the_button(operator: FakeOperator, opened: Opened) -> None:
    page: LogsPage = await opened.page("logs")

    page.directive.setEditText("info,core.links=debug")
    page.set_button.click()
    await page.logs.tasks.finish()

    assert operator.log_level == "info,core.links=debug"
    assert page.directive.value == "info,core.links=debug"
