"""The payments and rates pages, as they are used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from fractions import Fraction

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit

from core.account import Asset
from core.control.payment_views import ReceiptView
from desktop.presenters.payments import PaymentsPresenter
from desktop.presenters.rates import RatesPresenter
from desktop.views.detail import plain
from desktop.views.pay_card import DELIVERED
from desktop.views.payment_details import show_invoice
from desktop.views.payments import HISTORY, RECEIVED, REQUESTS, PaymentsPage
from desktop.views.rate_source_dialog import RateSourceDialog
from desktop.views.rates import HISTORY as RATE_HISTORY, RatesPage
from tests.desktop.fake_operator import FakeOperator
from tests.desktop.waiting import until


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def page(operator: FakeOperator, qapp: QApplication) -> AsyncIterator[PaymentsPage]:
    made = PaymentsPage(PaymentsPresenter(operator, operator.clock))
    made.resize(1100, 700)
    made.show()
    await made.payments.update_and_report()
    yield made
    made.hide()
    await made.payments.close()
    made.detail.deleteLater()
    made.deleteLater()
    await asyncio.sleep(0.01)


@pytest.fixture
async def rates(operator: FakeOperator, qapp: QApplication) -> AsyncIterator[RatesPage]:
    made = RatesPage(RatesPresenter(operator, operator.clock))
    made.resize(1100, 700)
    made.show()
    await made.rates.update_and_report()
    yield made
    made.hide()
    await made.rates.close()
    made.deleteLater()
    await asyncio.sleep(0.01)


def called(operator: FakeOperator, name: str) -> list[tuple[object, ...]]:
    return [call[1:] for call in operator.calls if call[0] == name]


def typed(line: QLineEdit, text: str) -> None:
    line.setText(text)
    line.textEdited.emit(text)


async def quoted(page: PaymentsPage, amount: str = "12.40") -> None:
    card = page.pay_card
    card.payer.choose("bob")
    typed(card.receiver, "$wallet.example/bob")
    typed(card.amount, amount)
    card.quote_button.click()
    await page.payments.tasks.finish()


async def test_nothing_can_be_paid_before_it_was_quoted(
    operator: FakeOperator, page: PaymentsPage
) -> None:
    assert not page.pay_card.quote_box.isVisible()

    await quoted(page)

    assert page.pay_card.pay_button.isVisible()
    assert page.pay_card.pay_button.text() == "Pay 12.40\u00a0USD"
    assert page.pay_card.facts.text_of("At least arrives") == "10.99\u00a0EUR"


async def test_a_quote_goes_away_with_the_first_key_that_changes_what_is_paid(
    page: PaymentsPage,
) -> None:
    await quoted(page)

    typed(page.pay_card.amount, "12.41")

    assert not page.pay_card.quote_box.isVisible()


async def test_a_customer_pays_unless_another_node_is_chosen_and_that_is_warned_of(
    operator: FakeOperator, page: PaymentsPage
) -> None:
    card = page.pay_card
    names = sorted(operator.views)
    await operator.change_account(names[0], {"routing_relation": "Peer"})
    await operator.change_account(names[1], {"routing_relation": "Child"})

    await page.payments.update_and_report()

    assert card.payer.value == names[1]
    assert not card.warning.isVisible()

    card.payer.setCurrentIndex(card.payer.findData(names[0]))
    card.payer.activated.emit(card.payer.currentIndex())
    await page.payments.update_and_report()

    assert card.payer.value == names[0]
    assert "is a peer, another node" in card.warning.text()
    assert card.warning.isVisible()


async def test_a_payment_is_watched_and_can_be_cancelled(
    operator: FakeOperator, page: PaymentsPage
) -> None:
    await quoted(page)
    page.pay_card.pay_button.click()
    await until(lambda: page.current_card.isVisible() and page.current_card.bar.value() > 0)
    sums, _, receiver = page.current_card.sentence.text().partition(" To ")
    assert sums.endswith("."), "what may be cut off is not a sum"
    assert receiver == "$wallet.example/bob"

    page.current_card.cancel_wanted.click()
    await until(lambda: page.current_card.pill.text == "Cancelled")

    assert len(called(operator, "cancel_payment")) == 1
    assert not page.current_card.cancel_wanted.isVisible()
    assert page.current_card.close_button.isVisible()


async def test_a_quote_with_a_problem_cannot_be_paid(page: PaymentsPage) -> None:
    await quoted(page, "99 999 999 999.00")

    assert not page.pay_card.pay_button.isEnabled()
    assert "more than the account may send" in page.pay_card.sentence.text()


async def test_a_receiver_that_is_not_found_is_said_under_the_form(page: PaymentsPage) -> None:
    page.pay_card.payer.choose("bob")
    typed(page.pay_card.receiver, "$nobody.example")
    typed(page.pay_card.amount, "1")
    page.pay_card.quote_button.click()
    await page.payments.tasks.finish()

    assert "its host does not answer" in page.pay_card.problem.text()
    assert page.pay_card.quote_button.isEnabled()


async def test_what_they_get_has_no_unit_of_ours(page: PaymentsPage) -> None:
    card = page.pay_card
    card.payer.choose("bob")
    card.amount_is.choose(DELIVERED)
    card.amount_is.chosen.emit(DELIVERED)

    assert card.amount.unit == ""
    assert card.amount.placeholderText() == "in what they count"


async def test_a_request_for_money_is_made_and_shown_with_what_to_hand_out(
    operator: FakeOperator, page: PaymentsPage
) -> None:
    bar = page.request_bar
    bar.account.choose("bob")
    bar.account.chosen.emit("bob")
    bar.amount.setText("12.50")
    bar.description.setText("a chair")
    bar.ask_button.click()
    await page.payments.tasks.finish()

    [(order,)] = called(operator, "create_invoice")
    assert (getattr(order, "username", ""), getattr(order, "amount", 0)) == ("bob", 1250)
    assert page.tabs.currentIndex() == REQUESTS
    facts = page.detail.facts
    assert facts.text_of("Pay to") == "$node.example/bob/invoice-1"
    assert facts.text_of("URL") == "https://node.example/bob/invoice-1"
    row = page.tables[REQUESTS].selected_rows[0]
    show_invoice(page.detail, replace(row, payment_pointer=""))
    assert facts.text_of("Pay to") == "https://node.example/bob/invoice-1"
    assert facts.text_of("URL") == "", "it is not said twice"
    assert bar.amount.text() == ""

    page.payments.cancel_invoice("invoice-1")
    await page.payments.tasks.finish()
    await page.payments.update_and_report()
    rows = page.tables[REQUESTS].table_model.shown
    assert page.tabs.tabText(REQUESTS) == f"Requests ({rows})", "as many as are listed"


async def test_what_the_receiver_wrote_is_quoted_as_its_words_and_read_as_plain_text(
    operator: FakeOperator, page: PaymentsPage
) -> None:
    operator.add_payments(1)
    operator.payment_views[0] = replace(
        operator.payment_views[0],
        receiver_text="<b>paid</b>",
        undecided=10,
        receipts=(ReceiptView(1, 1_100, b"receipt"),),
    )
    operator.received_views[0] = replace(operator.received_views[0], payer_text="for the lamp")
    await page.payments.update_and_report()

    page.tables[HISTORY].selectRow(0)
    assert plain(page.detail.said.text()) == "“<b>paid</b>”"
    assert page.detail.said.textFormat() is Qt.TextFormat.PlainText
    assert page.detail.said_by.text() == "Said by the receiver (unverified):"
    assert "may have arrived" in page.detail.advice.text()
    assert page.detail.facts.text_of("Receipt, stream 1").startswith("11.00\u00a0EUR: ")

    page.tabs.setCurrentIndex(RECEIVED)
    page.tables[RECEIVED].selectRow(0)
    assert page.detail.said_by.text() == "Said by the payer (unverified):"
    assert page.detail.said.text() == "“for the lamp”"


async def test_what_is_undecided_of_all_payments_is_said_above_them(
    operator: FakeOperator, page: PaymentsPage
) -> None:
    assert not page.undecided.isVisible()
    operator.add_payments(2)
    for place, amount in enumerate((10, 25)):
        view = operator.payment_views[place]
        operator.payment_views[place] = replace(view, asset=Asset("USD", 2), undecided=amount)

    operator.clock.advance(20)
    await page.payments.update_and_report()

    assert page.undecided.isVisible()
    assert "0.35\u00a0USD of 2 payments undecided" in page.undecided.text()


async def test_without_an_account_the_page_says_what_is_missing(qapp: QApplication) -> None:
    operator = FakeOperator(peers=0)
    made = PaymentsPage(PaymentsPresenter(operator, operator.clock))
    made.show()
    await made.payments.update_and_report()

    assert made.states.showing == "empty"
    wanted: list[str] = []
    made.practice_wanted.connect(lambda: wanted.append("practice"))
    made.navigated.connect(lambda page, _target: wanted.append(page))
    made.practice_button.click()
    made.empty_add_button.click()
    assert wanted == ["practice", "overview", "peers"]

    made.hide()
    await made.payments.close()
    made.detail.deleteLater()
    made.deleteLater()


async def test_a_held_price_is_taken_with_its_button(
    operator: FakeOperator, rates: RatesPage
) -> None:
    assert rates.held.isVisible()
    _, accept = rates.held.buttons["XRP"]

    accept.click()
    await rates.rates.tasks.finish()

    assert called(operator, "confirm_rate_jump") == [("XRP",)]
    assert not rates.held.isVisible()


async def test_how_a_pair_moved_is_drawn_once_it_is_looked_at(
    operator: FakeOperator, rates: RatesPage
) -> None:
    operator.add_snapshot(operator.clock.now_ms() - 60_000, CHF="1.10")
    operator.add_snapshot(operator.clock.now_ms() - 30_000, CHF="1.20")
    assert not called(operator, "rate_snapshots")

    rates.tabs.setCurrentIndex(RATE_HISTORY)
    rates.history.source.choose("CHF")
    rates.history.source.chosen.emit("CHF")
    await rates.rates.tasks.finish()

    assert [row.rate for row in rates.rates.history.changes.rows] == [
        "1 CHF = 1.2 USD",
        "1 CHF = 1.1 USD",
    ]
    assert rates.history.graph.data is not None
    assert len(rates.history.graph.data.curves) == 1


async def test_the_guard_is_shown_and_set_beside_the_sources(
    operator: FakeOperator, rates: RatesPage
) -> None:
    assert rates.jump_limit.text() == "10%"
    assert rates.spread.text() == "0.2%"

    rates.jump_limit.setText("5%")
    rates.guard_button.click()
    await rates.rates.tasks.finish()

    assert called(operator, "set_rate_guard") == [(Fraction(1, 20), 3)]
    assert "5\u00a0%" in rates.guard.text()


async def test_a_source_is_asked_before_it_is_saved(
    operator: FakeOperator, rates: RatesPage
) -> None:
    rates.add_button.click()
    dialog = rates.findChildren(RateSourceDialog)[0]
    dialog.lines["name"].setText("bank")
    dialog.test_button.click()
    await rates.rates.tasks.finish()
    assert dialog.answer.text().startswith("It answered in 120 ms")
    assert called(operator, "add_rate_source") == []

    dialog.save_button.click()
    await rates.rates.tasks.finish()

    # It may be gone altogether by now.
    assert not any(each.isVisible() for each in rates.findChildren(RateSourceDialog))
    assert "bank" in {row.name for row in rates.rates.sources.rows}


async def test_fields_that_a_kind_does_not_have_are_not_sent(rates: RatesPage) -> None:
    dialog = RateSourceDialog(rates.rates, None, rates)
    dialog.kind.choose("json")
    dialog.kind.chosen.emit("json")
    dialog.lines["path"].setText("data.rates")
    assert dialog.form.path == "data.rates"

    dialog.kind.choose("ecb")
    dialog.kind.chosen.emit("ecb")

    assert dialog.form.path == ""
    dialog.reject()
    dialog.deleteLater()
