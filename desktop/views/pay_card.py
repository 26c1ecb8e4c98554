"""Paying: the form, its quote, and the payment that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.payments import (
    Payer,
    PayForm,
    PaymentRow,
    QuoteShown,
)
from desktop.presenters.payments import PaymentsPresenter
from desktop.views.detail import FactsGrid
from desktop.views.inputs import AmountEdit, Choice
from desktop.views.payment_details import PAYMENT_TONES
from desktop.views.widgets import (
    SPACE,
    Card,
    Pill,
    TextLabel,
    Tone,
    action_button,
)

SENT, DELIVERED = "sent", "delivered"
AMOUNT_IS: Final = ((SENT, "I send"), (DELIVERED, "they get"))


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
        thoughts = [f"▲ {words}" for words in (*quote.problems, *quote.warnings)]
        self.sentence.setText("\n".join((quote.sentence, *thoughts)))
        self.sentence.set_role("warn" if thoughts else "text")
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
        # What may be cut off at the end is whom it is paid to: a sum without its end is another.
        self.sentence.setText(f"{row.sentence} To {row.receiver}")
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
