"""The payments page: pay with a quote first, ask for money, and see what was paid and received."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from desktop.models.payments import (
    STATE_COLUMN,
    STATE_TEXTS,
    UNDECIDED,
    InvoiceRow,
    Payer,
    PaymentFilter,
    PaymentRow,
    ReceivedRow,
)
from desktop.presenters.payments import PaymentsPresenter
from desktop.views.cells import ToneCell
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.detail import DetailPanel
from desktop.views.inputs import Choice
from desktop.views.page import Deed, Page
from desktop.views.pay_card import CurrentCard, PayCard
from desktop.views.payment_details import (
    INVOICE_TONES,
    PAYMENT_TONES,
    show_invoice,
    show_payment,
    show_received,
)
from desktop.views.request_bar import RequestBar
from desktop.views.states import States
from desktop.views.tables import TableTabs, count_words, table_action
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    EmptyState,
    FilterLine,
    TableView,
    TextLabel,
    Tone,
    action_button,
    type_into,
)

HISTORY, REQUESTS, RECEIVED = range(3)
SHOWN_STATES: Final = (
    ("", "All states"),
    *(
        (state, STATE_TEXTS[state])
        for state in ("sending", "completed", "failed", "cancelled", "interrupted")
    ),
    (UNDECIDED, "Undecided"),
)


@final
class PaymentsPage(Page):
    """Paying on top, the lists below."""

    practice_wanted = Signal()
    """The operator wants to start the practice network."""

    key = "payments"
    title = "Payments"
    icon = "payments"

    def __init__(self, presenter: PaymentsPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.payments = presenter
        self.pay_card = PayCard(presenter)
        self.current_card = CurrentCard()
        self.tabs = TableTabs()
        self.filter_line = FilterLine("Filter: receiver, note, account")
        self.state_choice = Choice(SHOWN_STATES)
        self.count = TextLabel(role="muted")
        self.undecided = TextLabel(role="warn", wrap=True)
        self.export_button = action_button("Export CSV…")
        self.request_bar = RequestBar(presenter)
        self.detail = DetailPanel(
            "Select a payment to see all of it.",
            copied=("Receiver", "Address", "Payment", "Pay to", "URL", "Request"),
        )
        self.inspector = self.detail
        self._make_tabs()
        self.tables = self.tabs.tables
        empty = EmptyState(
            "payments",
            "Nobody to pay from yet",
            "A payment leaves from one of your accounts. Add a peer, or start the practice network.",
        )
        self.empty_add_button = empty.add_button("Add a peer", primary=True)
        self.practice_button = empty.add_button("Start the practice network")
        self.states = States(self._content(), empty)
        self.setFocusProxy(self.pay_card.receiver)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.states)
        self._connect()
        self.states.set_empty(is_empty=True)
        self._count()
        self.tabs.count_rows()

    # --- What the window calls

    def open(self, target: str) -> None:
        """Begin a payment to this receiver, or show the payment or request with this id."""
        if target.startswith(("$", "http")):
            self.pay_card.receiver.setText(target)
            self.pay_card.amount.setFocus()
            return
        self.tabs.select(target, HISTORY, REQUESTS)

    def focus_filter(self) -> None:
        self.tabs.setCurrentIndex(HISTORY)
        type_into(self.filter_line)

    def deeds(self) -> Sequence[Deed]:
        return (
            Deed(
                title="Pay",
                act=lambda: type_into(self.pay_card.receiver),
                words="send money payment pointer quote",
            ),
            Deed(
                title="New request for money",
                act=self._begin_request,
                words="invoice receive ask",
            ),
            Deed(title="Export payments as CSV…", act=self._export, words="save history"),
        )

    # --- How it is built

    def _make_tabs(self) -> None:
        presenter, add = self.payments, self.tabs.add_table
        history = add("History", presenter.history, "Nothing has been paid from here yet.")
        requests = add("Requests", presenter.invoices, "No money has been asked for yet.")
        received = add("Received", presenter.received, "No payment has come in yet.")
        history.put_above(self._filter_bar())
        requests.put_above(self.request_bar)
        for tab, tones in ((history, PAYMENT_TONES), (requests, INVOICE_TONES)):
            tab.table.setItemDelegateForColumn(STATE_COLUMN, _state_cell(tones, tab.table))
        delete = QKeySequence.StandardKey.Delete
        self.cancel_action = table_action(history.table, "Cancel", delete, self._cancel_payment)
        self.cancel_request_action = table_action(
            requests.table, "Cancel", delete, self._cancel_request
        )
        history.add_menu(
            self.cancel_action,
            None,
            table_action(history.table, "Pay again…", "", self._pay_again),
            history.add_copy("Copy receiver", lambda row: row.receiver),
        )
        requests.add_menu(
            self.cancel_request_action,
            None,
            requests.add_copy("Copy what is paid to", lambda row: row.handed_out),
        )
        received.add_menu()

    def _filter_bar(self) -> QWidget:
        bar = QWidget()
        column = QVBoxLayout(bar)
        column.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        column.setSpacing(SPACE)
        self.undecided.hide()
        column.addWidget(self.undecided)
        layout = QHBoxLayout()
        layout.setSpacing(SPACE)
        column.addLayout(layout)
        self.state_choice.setAccessibleName("State")
        self.state_choice.setFixedWidth(130)
        layout.addWidget(self.filter_line, 1)
        layout.addWidget(self.state_choice)
        layout.addWidget(self.count)
        layout.addWidget(self.export_button)
        return bar

    def _content(self) -> QWidget:
        content = QWidget()
        top = QVBoxLayout()
        top.setContentsMargins(MARGIN, 12, MARGIN, SPACE)
        top.setSpacing(SPACE)
        top.addWidget(self.pay_card)
        top.addWidget(self.current_card)
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(self.tabs, 1)
        return content

    def _connect(self) -> None:
        presenter = self.payments
        presenter.loaded_changed.connect(self.states.set_loaded)
        presenter.problem_changed.connect(self.states.set_problem)
        presenter.payers_changed.connect(self._show_payers)
        presenter.current_changed.connect(self.current_card.show_payment)
        self.empty_add_button.clicked.connect(lambda: self.navigated.emit("peers", ""))
        self.practice_button.clicked.connect(self._start_practice)
        presenter.invoice_made.connect(self._show_invoice)
        presenter.refreshed.connect(self.tabs.tell)
        presenter.undecided_changed.connect(self._show_undecided)
        presenter.history.counts_changed.connect(self._count)
        self.states.retried.connect(presenter.refresh)
        self.current_card.cancel_wanted.clicked.connect(self._cancel_current)
        self.filter_line.filtered.connect(self._filter)
        self.state_choice.chosen.connect(self._filter)
        self.export_button.clicked.connect(self._export)
        self.tabs.chosen.connect(self._choose)
        self.tables[HISTORY].opened.connect(lambda row: presenter.follow(row.id))

    # --- What the presenter tells

    def _show_payers(self, payers: Sequence[Payer]) -> None:
        self.states.set_empty(is_empty=not payers)

    def _count(self) -> None:
        history = self.payments.history
        self.count.setText(count_words(history.shown, history.total, "payment"))

    def _show_undecided(self, words: str) -> None:
        self.undecided.setText(f"▲ {words}" if words else "")
        self.undecided.setVisible(bool(words))

    def _show_invoice(self, invoice_id: str) -> None:
        self.tabs.setCurrentIndex(REQUESTS)
        self.tables[REQUESTS].select_key(invoice_id)

    # --- What the operator does

    def _begin_request(self) -> None:
        self.tabs.setCurrentIndex(REQUESTS)
        self.request_bar.amount.setFocus()

    def _start_practice(self) -> None:
        """Have it started, and go to where one sees how far it is."""
        self.practice_wanted.emit()
        self.navigated.emit("overview", "")

    def _choose(self, row: object) -> None:
        self.want_inspector(row is not None)
        if isinstance(row, PaymentRow):
            show_payment(self.detail, row)
            self.cancel_action.setEnabled(row.is_open)
        elif isinstance(row, InvoiceRow):
            show_invoice(self.detail, row)
            self.cancel_request_action.setEnabled(row.state == "open")
        elif isinstance(row, ReceivedRow):
            show_received(self.detail, row)
        else:
            self.detail.show_nothing()

    def _filter(self) -> None:
        self.payments.filter(
            PaymentFilter(text=self.filter_line.text().strip(), state=self.state_choice.value)
        )

    def _export(self) -> None:
        dialog = QFileDialog(self, "Export payments", "payments.csv", "CSV (*.csv)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("csv")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.payments.export(Path(name)))
        dialog.open()

    def _cancel_current(self) -> None:
        if self.payments.current is not None:
            self.payments.cancel(self.payments.current.id)

    def _cancel_payment(self) -> None:
        for row in self.tables[HISTORY].selected_rows[:1]:
            self.payments.cancel(row.id)

    def _cancel_request(self) -> None:
        for row in self.tables[REQUESTS].selected_rows[:1]:
            dialog = ConfirmDialog(
                f"Cancel the request for {row.amount_text}?",
                (
                    f"{row.received_text} of it came in, and stay.",
                    "Who pays it from now on is turned away.",
                ),
                "Cancel the request",
                self,
            )
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.confirmed.connect(lambda row=row: self.payments.cancel_invoice(row.id))
            dialog.open()

    def _pay_again(self) -> None:
        for row in self.tables[HISTORY].selected_rows[:1]:
            self.pay_card.fill(row)


def _state_cell(tones: Mapping[str, Tone], table: TableView) -> ToneCell:
    return ToneCell(
        lambda row: tones.get(row.state, Tone.PLAIN), lambda row: row.state_text, table
    )
