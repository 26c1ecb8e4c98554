"""Asking for money, and how an account is paid without a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.payments import (
    EXPIRY_CHOICES,
    Payer,
)
from desktop.presenters.payments import PaymentsPresenter
from desktop.views.inputs import AmountEdit, Choice
from desktop.views.tables import (
    copy,
)
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    TextLabel,
    action_button,
)


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
