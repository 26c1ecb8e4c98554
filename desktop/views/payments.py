"""The payments page: pay with a quote first, ask for money, and see what was paid and received."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, final

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.payments import (
    EXPIRY_CHOICES,
    STATE_COLUMN,
    STATE_TEXTS,
    InvoiceRow,
    Payer,
    PayForm,
    PaymentFilter,
    PaymentRow,
    QuoteShown,
    ReceivedRow,
)
from desktop.models.table import TableModel
from desktop.presenters.payments import PaymentsPresenter
from desktop.views.cells import ToneCell
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.detail import DetailPanel, FactsGrid
from desktop.views.inputs import AmountEdit, Choice
from desktop.views.page import Page
from desktop.views.states import States
from desktop.views.tables import (
    GrowColumns,
    copy,
    count_words,
    selected_text,
    show_menu,
    table_action,
)
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    Card,
    EmptyState,
    FilterLine,
    Pill,
    TableView,
    TextLabel,
    Tone,
    action_button,
)

HISTORY, REQUESTS, RECEIVED = range(3)
SENT, DELIVERED = "sent", "delivered"
AMOUNT_IS: Final = ((SENT, "I send"), (DELIVERED, "they get"))
PAYMENT_TONES: Final = {
    "pending": Tone.PLAIN,
    "sending": Tone.PLAIN,
    "completed": Tone.OK,
    "failed": Tone.BAD,
    "cancelled": Tone.PAUSED,
    "interrupted": Tone.WARN,
}
INVOICE_TONES: Final = {
    "open": Tone.PLAIN,
    "paid": Tone.OK,
    "expired": Tone.PAUSED,
    "cancelled": Tone.PAUSED,
}
SHOWN_STATES: Final = (
    ("", "All states"),
    *(
        (state, STATE_TEXTS[state])
        for state in ("sending", "completed", "failed", "cancelled", "interrupted")
    ),
)


@final
class PaymentsPage(Page):
    """Paying on top, the lists below."""

    key = "payments"
    title = "Payments"
    icon = "payments"

    def __init__(self, presenter: PaymentsPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.payments = presenter
        self.pay_card = PayCard(presenter)
        self.current_card = CurrentCard()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.filter_line = FilterLine("Filter: receiver, note, account")
        self.state_choice = Choice(SHOWN_STATES)
        self.count = TextLabel(role="muted")
        self.export_button = action_button("Export CSV…")
        self.request_bar = RequestBar(presenter)
        self.tables: list[TableView] = []
        self._titles: list[tuple[str, TableModel[Any], QStackedWidget]] = []
        self.detail = DetailPanel(
            "Select a payment to see all of it.",
            copied=("Receiver", "Address", "Payment", "Pay to", "URL", "Request"),
        )
        self.inspector = self.detail
        self._make_tabs()
        empty = EmptyState(
            "payments",
            "Nobody to pay from yet",
            "A payment leaves from one of your accounts. Add a peer, or start the practice network.",
        )
        self.empty_add_button = empty.add_button("Add a peer", primary=True)
        self.states = States(self._content(), empty)
        self.setFocusProxy(self.pay_card.receiver)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.states)
        self._connect()
        self.states.set_empty(is_empty=True)
        self._count()

    # --- What the window calls

    def open(self, target: str) -> None:
        """Begin a payment to this receiver, or show the payment or request with this id."""
        if target.startswith(("$", "http")):
            self.pay_card.receiver.setText(target)
            self.pay_card.amount.setFocus()
            return
        for tab in (HISTORY, REQUESTS):
            if self.tables[tab].select_key(target):
                self.tabs.setCurrentIndex(tab)
                return

    def focus_filter(self) -> None:
        self.tabs.setCurrentIndex(HISTORY)
        self.filter_line.setFocus()
        self.filter_line.selectAll()

    # --- How it is built

    def _make_tabs(self) -> None:
        presenter = self.payments
        bar = QHBoxLayout()
        bar.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        bar.setSpacing(SPACE)
        self.state_choice.setAccessibleName("State")
        self.state_choice.setFixedWidth(130)
        bar.addWidget(self.filter_line, 1)
        bar.addWidget(self.state_choice)
        bar.addWidget(self.count)
        bar.addWidget(self.export_button)
        self._tab("History", presenter.history, "Nothing has been paid from here yet.", bar)
        requests = QVBoxLayout()
        requests.addWidget(self.request_bar)
        self._tab("Requests", presenter.invoices, "No money has been asked for yet.", requests)
        self._tab("Received", presenter.received, "No payment has come in yet.", None)
        self.tables[HISTORY].setItemDelegateForColumn(
            STATE_COLUMN,
            ToneCell(
                lambda row: PAYMENT_TONES.get(row.state, Tone.PLAIN),
                lambda row: row.state_text,
                self.tables[HISTORY],
            ),
        )
        self.tables[REQUESTS].setItemDelegateForColumn(
            STATE_COLUMN,
            ToneCell(
                lambda row: INVOICE_TONES.get(row.state, Tone.PLAIN),
                lambda row: row.state_text,
                self.tables[REQUESTS],
            ),
        )
        self.cancel_action = self._menu(
            HISTORY,
            ("Cancel", self._cancel_payment),
            (
                ("Pay again…", self._pay_again),
                ("Copy receiver", lambda: self._copy(HISTORY, lambda row: row.receiver)),
            ),
        )
        self.cancel_request_action = self._menu(
            REQUESTS,
            ("Cancel", self._cancel_request),
            (("Copy what is paid to", lambda: self._copy(REQUESTS, lambda r: r.handed_out)),),
        )
        self._menu(RECEIVED, None, ())

    def _tab(
        self,
        title: str,
        model: TableModel[Any],
        nothing: str,
        bar: QHBoxLayout | QVBoxLayout | None,
    ) -> None:
        table = TableView(model)
        table.setAccessibleName(title)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        GrowColumns(table)
        empty = TextLabel(nothing, role="muted")
        empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        stack = QStackedWidget()
        stack.addWidget(table)
        stack.addWidget(empty)
        tab = QWidget()
        layout = QVBoxLayout(tab)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        if bar is not None:
            layout.addLayout(bar)
        layout.addWidget(stack, 1)
        self.tabs.addTab(tab, title)
        self.tables.append(table)
        self._titles.append((title, model, stack))

    def _menu(
        self,
        tab: int,
        cancel: tuple[str, Callable[[], None]] | None,
        others: Sequence[tuple[str, Callable[[], None]]],
    ) -> QAction | None:
        table = self.tables[tab]
        cancelling = None
        actions: list[QAction | None] = []
        if cancel is not None:
            words, work = cancel
            cancelling = table_action(table, words, QKeySequence.StandardKey.Delete, work)
            actions += [cancelling, None]
        actions += [table_action(table, words, "", work) for words, work in others]
        actions.append(
            table_action(
                table,
                "Copy rows",
                QKeySequence.StandardKey.Copy,
                lambda: copy(selected_text(table)),
            )
        )

        def show(place: QPoint) -> None:
            if table.selected_rows:
                show_menu(table, actions, place)

        table.customContextMenuRequested.connect(show)
        return cancelling

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
        presenter.invoice_made.connect(self._show_invoice)
        presenter.refreshed.connect(lambda: self._tab_changed(self.tabs.currentIndex()))
        self.states.retried.connect(presenter.refresh)
        self.current_card.cancel_wanted.clicked.connect(self._cancel_current)
        self.filter_line.filtered.connect(self._filter)
        self.state_choice.chosen.connect(self._filter)
        self.export_button.clicked.connect(self._export)
        self.tabs.currentChanged.connect(self._tab_changed)
        for i, (_, model, _) in enumerate(self._titles):
            model.counts_changed.connect(self._count)
            self.tables[i].chosen.connect(self._choose)
        self.tables[HISTORY].opened.connect(lambda row: presenter.follow(row.id))

    # --- What the presenter tells

    def _show_payers(self, payers: Sequence[Payer]) -> None:
        self.states.set_empty(is_empty=not payers)

    def _count(self) -> None:
        for i, (title, model, stack) in enumerate(self._titles):
            number = model.total
            if i == REQUESTS:
                number = sum(1 for row in model.rows if row.state == "open")
            self.tabs.setTabText(
                i, f"{title} ({formatting.count(number)})" if number else title
            )
            stack.setCurrentIndex(0 if model.total else 1)
        history = self.payments.history
        self.count.setText(count_words(history.shown, history.total, "payment"))

    def _show_invoice(self, invoice_id: str) -> None:
        self.tabs.setCurrentIndex(REQUESTS)
        self.tables[REQUESTS].select_key(invoice_id)

    # --- What the operator does

    def _tab_changed(self, tab: int) -> None:
        self._count()
        rows = self.tables[tab].selected_rows
        self._choose(rows[0] if rows else None)

    def _choose(self, row: object) -> None:
        self.want_inspector(row is not None)
        if isinstance(row, PaymentRow):
            show_payment(self.detail, row)
            if self.cancel_action is not None:
                self.cancel_action.setEnabled(row.is_open)
        elif isinstance(row, InvoiceRow):
            show_invoice(self.detail, row)
            if self.cancel_request_action is not None:
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

    def _copy(self, tab: int, text_of: Callable[[Any], str]) -> None:
        for row in self.tables[tab].selected_rows[:1]:
            copy(text_of(row))


# --- Paying


@final
class PayCard(Card):
    """The form of a payment; it is quoted before it can be paid."""

    def __init__(self, presenter: PaymentsPresenter) -> None:
        super().__init__("Pay")
        self._presenter = presenter
        self.receiver = QLineEdit()
        self.receiver.setPlaceholderText("$wallet.example/bob — a payment pointer or its URL")
        self.receiver.setAccessibleName("Receiver")
        self.amount = AmountEdit()
        self.amount.setAccessibleName("Amount")
        self.amount.setFixedWidth(140)
        self.amount_is = Choice(AMOUNT_IS)
        self.amount_is.setAccessibleName("What the amount is")
        self.amount_is.setFixedWidth(96)
        self.payer = Choice()
        self.payer.setAccessibleName("From")
        self.payer.setFixedWidth(190)
        self._payer_was_chosen = False
        """Until then, the first of those that there are is offered."""
        self.memo = QLineEdit()
        self.memo.setPlaceholderText("note for yourself")
        self.memo.setAccessibleName("Note")
        self.slippage = QLineEdit()
        self.slippage.setPlaceholderText("1.5%")
        self.slippage.setAccessibleName("How far below the probed rate is still accepted")
        self.slippage.setToolTip("How far below the probed rate is still accepted")
        self.slippage.setFixedWidth(70)
        self.quote_button = action_button("Get a quote", primary=True)
        self.pay_button = action_button("Pay", primary=True)
        self.warning = TextLabel(role="warn", wrap=True)
        self.problem = TextLabel(role="bad", wrap=True)
        self.sentence = TextLabel(wrap=True)
        self.facts = FactsGrid()
        self.more_facts = FactsGrid()
        self.quote_box = QWidget()
        self._build()
        self._connect()
        self.problem.hide()
        self.quote_box.hide()

    def _build(self) -> None:
        first = QHBoxLayout()
        first.setSpacing(SPACE)
        for words, widget in (("to", self.receiver), ("from", self.payer)):
            first.addWidget(TextLabel(words, role="muted"))
            first.addWidget(widget, 1 if widget is self.receiver else 0)
        second = QHBoxLayout()
        second.setSpacing(SPACE)
        second.addWidget(self.amount_is)
        second.addWidget(self.amount)
        second.addWidget(self.memo, 1)
        second.addWidget(TextLabel("slippage", role="muted"))
        second.addWidget(self.slippage)
        second.addWidget(self.quote_button)
        self.body.addLayout(first)
        self.body.addLayout(second)
        self.body.addWidget(self.warning)
        self.body.addWidget(self.problem)
        box = QVBoxLayout(self.quote_box)
        box.setContentsMargins(0, 4, 0, 0)
        box.setSpacing(SPACE)
        said = QHBoxLayout()
        said.setSpacing(SPACE)
        said.addWidget(self.sentence, 1)
        said.addWidget(self.pay_button)
        box.addLayout(said)
        columns = QHBoxLayout()
        columns.setSpacing(24)
        for grid in (self.facts, self.more_facts):
            column = QVBoxLayout()
            column.addWidget(grid)
            column.addStretch()
            columns.addLayout(column, 1)
        box.addLayout(columns)
        self.body.addWidget(self.quote_box)

    def _connect(self) -> None:
        presenter = self._presenter
        presenter.payers_changed.connect(self._show_payers)
        presenter.asking_changed.connect(self._show_asking)
        presenter.quoted.connect(self._show_quote)
        presenter.refused.connect(self._show_refusal)
        self.quote_button.clicked.connect(self._ask)
        self.pay_button.clicked.connect(presenter.pay)
        for line in (self.receiver, self.amount, self.memo, self.slippage):
            line.textEdited.connect(self._changed)
            line.returnPressed.connect(self._ask)
        for choice in (self.payer, self.amount_is):
            choice.chosen.connect(self._changed)
        self.payer.chosen.connect(self._note_payer)

    @property
    def form(self) -> PayForm:
        """What stands in it."""
        return PayForm(
            username=self.payer.value,
            receiver=self.receiver.text(),
            amount=self.amount.text(),
            fixes_delivery=self.amount_is.value == DELIVERED,
            slippage=self.slippage.text(),
            memo=self.memo.text(),
        )

    def fill(self, row: PaymentRow) -> None:
        """Begin another payment like this one."""
        self.receiver.setText(row.receiver)
        self.payer.choose(row.username)
        self._payer_was_chosen = True
        self.memo.setText(row.memo)
        self.amount_is.choose(SENT if row.source_amount is not None else DELIVERED)
        if row.source_amount is not None:
            self.amount.setText(formatting.typed_number(row.source_amount, row.asset[1]))
        elif row.delivered_amount is not None and row.receiver_asset is not None:
            self.amount.setText(
                formatting.typed_number(row.delivered_amount, row.receiver_asset[1])
            )
        self._changed()
        self.amount.setFocus()

    def _show_payers(self, payers: Sequence[Payer]) -> None:
        self.payer.set_choices([(p.username, p.choice_text) for p in payers])
        if payers and not self._payer_was_chosen:
            self.payer.choose(payers[0].username)
        self._show_unit()

    def _show_unit(self) -> None:
        asset = self._presenter.asset_of(self.payer.value)
        ours = self.amount_is.value == SENT and asset is not None
        self.amount.set_unit(asset[0] if ours and asset is not None else "")
        self.amount.setPlaceholderText("" if ours else "in what they count")
        warning = self._presenter.warning_of(self.payer.value)
        self.warning.setText(f"▲ {warning}" if warning else "")
        self.warning.setVisible(bool(warning))

    def _note_payer(self) -> None:
        self._payer_was_chosen = True

    def _changed(self) -> None:
        self._show_unit()
        self.problem.hide()
        self._presenter.forget_quote()

    def _ask(self) -> None:
        self._presenter.ask(self.form)

    def _show_asking(self, asking: bool) -> None:  # noqa: FBT001 # a signal's
        self.quote_button.setEnabled(not asking)
        self.quote_button.setText("Asking…" if asking else "Get a quote")
        if asking:
            self.problem.hide()

    def _show_quote(self, quote: QuoteShown | None) -> None:
        self.quote_box.setVisible(quote is not None)
        if quote is None:
            return
        self.problem.hide()
        self.sentence.setText("\n".join((quote.sentence, *(f"▲ {p}" for p in quote.problems))))
        self.sentence.set_role("warn" if quote.problems else "text")
        half = (len(quote.facts) + 1) // 2
        self.facts.show_facts(quote.facts[:half])
        self.more_facts.show_facts(quote.facts[half:])
        self.pay_button.setText(quote.pay_text.replace("&", "&&"))
        self.pay_button.setEnabled(not quote.problems)

    def _show_refusal(self, field: str, why: str) -> None:
        self.problem.setText(f"✖ {why}")
        self.problem.show()
        fields: dict[str, QWidget] = {
            "receiver": self.receiver,
            "amount": self.amount,
            "slippage": self.slippage,
        }
        if field in fields:
            fields[field].setFocus()


@final
class CurrentCard(Card):
    """The payment that goes on, or has just ended."""

    def __init__(self) -> None:
        super().__init__()
        self.pill = Pill()
        self.sentence = TextLabel(elide=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("How much of the payment is sent")
        self.detail = TextLabel(role="muted", elide=True)
        self.cancel_wanted = action_button("Cancel the payment")
        self.close_button = action_button("Close")
        self.close_button.clicked.connect(self.hide)
        row = QHBoxLayout()
        row.setSpacing(SPACE)
        row.addWidget(self.pill)
        row.addWidget(self.sentence, 1)
        row.addWidget(self.cancel_wanted)
        row.addWidget(self.close_button)
        self.body.addLayout(row)
        self.body.addWidget(self.bar)
        self.body.addWidget(self.detail)
        self.hide()

    def show_payment(self, row: PaymentRow) -> None:
        """Show how far it is."""
        self.pill.set(row.state_text, PAYMENT_TONES.get(row.state, Tone.PLAIN), row.reason)
        self.sentence.setText(f"{row.receiver}: {row.sentence}")
        self.bar.setValue(row.progress_percent)
        rejects = formatting.counted(row.rejects, "reject")
        words = [f"{formatting.counted(row.packets, 'packet')}, {rejects}"]
        if row.is_open:
            words.append(row.rate_text)
        if row.reason:
            words.append(row.reason)
        self.detail.setText(" · ".join(words))
        self.cancel_wanted.setVisible(row.is_open)
        self.cancel_wanted.setEnabled(not row.cancel_requested)
        self.close_button.setVisible(not row.is_open)
        self.show()


# --- Being paid


@final
class RequestBar(QWidget):
    """Asks for money, and says how an account is paid without a request."""

    def __init__(self, presenter: PaymentsPresenter) -> None:
        super().__init__()
        self._presenter = presenter
        self._address = ""
        self.account = Choice()
        self.account.setAccessibleName("Account that is to be paid")
        self.account.setFixedWidth(150)
        self.amount = AmountEdit()
        self.amount.setAccessibleName("Amount to ask for")
        self.amount.setFixedWidth(130)
        self.description = QLineEdit()
        self.description.setPlaceholderText("what for")
        self.description.setAccessibleName("What for")
        self.expires = Choice(EXPIRY_CHOICES)
        self.expires.setAccessibleName("How long it can be paid")
        self.expires.setFixedWidth(130)
        self.ask_button = action_button("Ask for it", primary=True)
        self.pointer = TextLabel(role="muted", elide=True)
        self.copy_button = action_button("Copy")
        self.copy_button.setEnabled(False)
        row = QHBoxLayout()
        row.setSpacing(SPACE)
        row.addWidget(TextLabel("for", role="muted"))
        row.addWidget(self.account)
        row.addWidget(self.amount)
        row.addWidget(self.description, 1)
        row.addWidget(self.expires)
        row.addWidget(self.ask_button)
        second = QHBoxLayout()
        second.setSpacing(SPACE)
        second.addWidget(self.pointer, 1)
        second.addWidget(self.copy_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        layout.setSpacing(SPACE)
        layout.addLayout(row)
        layout.addLayout(second)
        self._connect()
        self._enable()

    def _connect(self) -> None:
        presenter = self._presenter
        presenter.payers_changed.connect(self._show_accounts)
        presenter.address_changed.connect(self._show_address)
        presenter.invoice_made.connect(self._made)
        self.account.chosen.connect(self._choose)
        self.amount.textChanged.connect(self._enable)
        for line in (self.amount, self.description):
            line.returnPressed.connect(self._ask)
        self.ask_button.clicked.connect(self._ask)
        self.copy_button.clicked.connect(self._copy)

    def _show_accounts(self, payers: Sequence[Payer]) -> None:
        self.account.set_choices([(p.username, p.name) for p in payers])
        self._choose()

    def _choose(self) -> None:
        asset = self._presenter.asset_of(self.account.value)
        self.amount.set_unit("" if asset is None else asset[0])
        self._presenter.show_address(self.account.value)
        self._enable()

    def _show_address(self, username: str, address: str) -> None:
        if username == self.account.value:
            self._address = address
            self.copy_button.setEnabled(True)
            self.pointer.setText(f"Without a request it is paid at {address}")

    def _copy(self) -> None:
        if self._address:
            copy(self._address)

    def _enable(self) -> None:
        problem = self._presenter.invoice_problem(self.account.value, self.amount.text())
        self.ask_button.setEnabled(not problem)
        self.ask_button.setToolTip(formatting.tooltip(problem))

    def _ask(self) -> None:
        if self.ask_button.isEnabled():
            self._presenter.ask_for(
                self.account.value,
                self.amount.text(),
                self.description.text(),
                self.expires.value,
            )

    def _made(self, _invoice_id: str) -> None:
        self.amount.clear()
        self.description.clear()


# --- What the inspector says


def show_payment(panel: DetailPanel, row: PaymentRow) -> None:
    """Show one payment in an inspector."""
    facts = [
        ("Receiver", row.receiver),
        ("From", row.name),
        ("Asked to", row.wanted_text),
        ("Sent", row.sent_text),
        ("Delivered", row.delivered_text),
        ("In flight", formatting.amount(row.in_flight, *row.asset)),
        ("Packets", formatting.count(row.packets)),
        ("Rejects", formatting.count(row.rejects)),
        ("Address", row.destination or "not looked up"),
        ("Started", formatting.moment(row.created_at_ms)),
        (
            "Ended",
            "not yet" if row.ended_at_ms is None else formatting.moment(row.ended_at_ms),
        ),
        ("Payment", row.id),
    ]
    if row.memo:
        facts.insert(2, ("Note", row.memo))
    if row.undecided:
        facts.insert(6, ("Undecided", formatting.amount(row.undecided, *row.asset)))
    if row.reject_code:
        by = f" by {row.triggered_by}" if row.triggered_by else ""
        facts.insert(6, ("Last reject", f"{row.reject_code}{by}"))
    panel.show_details(
        f"Payment of {row.wanted_text.partition(' ')[2]}",
        (row.state_text, PAYMENT_TONES.get(row.state, Tone.PLAIN)),
        facts,
        advice=row.reason or row.sentence,
        advice_title="What became of it" if not row.is_open else "How far it is",
    )


def show_invoice(panel: DetailPanel, row: InvoiceRow) -> None:
    """Show one request for money in an inspector."""
    facts = [
        ("Pay to", row.handed_out),
        ("URL", row.url),
        ("For", row.name),
        ("Asked", row.amount_text),
        ("Received", row.received_text),
        ("What for", row.description or formatting.NOTHING),
        ("Made", formatting.moment(row.created_at_ms)),
        (
            "Expires",
            "never" if row.expires_at_ms is None else formatting.moment(row.expires_at_ms),
        ),
        ("Paid", "not yet" if row.paid_at_ms is None else formatting.moment(row.paid_at_ms)),
        ("Request", row.id),
    ]
    panel.show_details(
        f"Request for {row.amount_text}",
        (row.state_text, INVOICE_TONES.get(row.state, Tone.PLAIN)),
        facts,
        advice=row.sentence,
        advice_title="How it stands",
    )


def show_received(panel: DetailPanel, row: ReceivedRow) -> None:
    """Show what came in over one connection."""
    facts = [
        ("For", row.name),
        ("Received", row.received_text),
        ("Packets", formatting.count(row.packets)),
        ("Came through", row.from_name),
        ("First packet", formatting.moment(row.first_at_ms)),
        ("Last packet", formatting.moment(row.last_at_ms)),
        ("Request", row.invoice or "none"),
        ("Address", row.destination),
    ]
    state = ("Ended", Tone.OK) if row.closed else ("Open", Tone.PLAIN)
    panel.show_details(
        f"{row.received_text} received",
        state,
        facts,
        advice="Which of your accounts its packets came through is known; who is behind that is not.",
    )
