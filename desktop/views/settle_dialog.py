"""Settle now: how much, what it leads to, and a last look before money moves."""

from __future__ import annotations

from typing import Protocol, final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QHBoxLayout,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.gauge import Gauge
from desktop.models.peers import SettlePlan
from desktop.views.gauge import GaugeWidget
from desktop.views.inputs import AmountEdit
from desktop.views.widgets import MARGIN, SPACE, Heading, TextLabel, action_button


class Settles(Protocol):
    """What the dialog asks of a presenter."""

    def settle_amount(self, plan: SettlePlan, text: str) -> tuple[int | None, str]: ...


@final
class SettleDialog(QDialog):
    """Asks for the amount; `confirmed` carries the username and the amount, an object for its size."""

    confirmed = Signal(str, object)

    def __init__(self, plan: SettlePlan, presenter: Settles, parent: QWidget | None) -> None:
        super().__init__(parent)
        self._plan = plan
        self._presenter = presenter
        self._amount: int | None = None
        self.setWindowTitle(f"Settle with {plan.name}")
        self.setMinimumWidth(520)
        self.amount_edit = AmountEdit()
        self.amount_edit.setAccessibleName("Amount to settle")
        self.amount_edit.set_unit(plan.asset_code)
        self.outcome = TextLabel(plan.obstacle, role="muted", wrap=True)
        self.before = GaugeWidget()
        self.after = GaugeWidget()
        self.settle_button = action_button("Settle", primary=True)
        self.cancel_button = action_button("Cancel")
        self._custom = QRadioButton("Another amount")
        self._group = QButtonGroup(self)
        self._build()
        self._connect()
        self._begin()

    def _build(self) -> None:
        plan = self._plan
        owed = formatting.amount(plan.owed, plan.asset_code, plan.asset_scale)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.setSpacing(SPACE)
        layout.addWidget(Heading(f"Settle with {plan.name}", steps=2))
        engine = plan.engine or "no engine"
        layout.addWidget(TextLabel(f"You owe {owed}. Paid through {engine}.", role="muted"))
        layout.addSpacing(SPACE)
        for i, (words, amount) in enumerate(plan.presets):
            text = formatting.amount(amount, plan.asset_code, plan.asset_scale)
            button = QRadioButton(f"{words}: {text}".replace("&", "&&"))
            self._group.addButton(button, i)
            layout.addWidget(button)
        self._group.addButton(self._custom, len(plan.presets))
        row = QHBoxLayout()
        row.addWidget(self._custom)
        row.addWidget(self.amount_edit, 1)
        layout.addLayout(row)
        layout.addWidget(self.outcome)
        layout.addSpacing(SPACE)
        layout.addWidget(TextLabel("Now", role="muted"))
        layout.addWidget(self.before)
        layout.addWidget(TextLabel("Afterwards", role="muted"))
        layout.addWidget(self.after)
        layout.addSpacing(SPACE)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.settle_button)
        layout.addLayout(buttons)

    def _connect(self) -> None:
        self._group.idToggled.connect(self._choose)
        self.amount_edit.textChanged.connect(self._read)
        self.amount_edit.textEdited.connect(lambda _text: self._custom.setChecked(True))
        self.settle_button.clicked.connect(self._settle)
        self.cancel_button.clicked.connect(self.reject)

    def _begin(self) -> None:
        self._show(self.before, self._plan.gauge)
        self._show(self.after, self._plan.gauge)
        if self._plan.obstacle:
            for button in (*self._group.buttons(), self.amount_edit):
                button.setEnabled(False)
            self.outcome.set_role("warn")
            self.settle_button.setEnabled(False)
        else:
            first = self._group.button(0)
            first.setChecked(True)
        self.cancel_button.setDefault(True)
        self.cancel_button.setFocus()

    def _choose(self, which: int, checked: bool) -> None:  # noqa: FBT001 # a signal's argument
        if checked and which < len(self._plan.presets):
            _, amount = self._plan.presets[which]
            self.amount_edit.setText(formatting.plain_number(amount, self._plan.asset_scale))
        elif checked:
            self.amount_edit.setFocus()

    def _read(self, text: str) -> None:
        self._amount, sentence = self._presenter.settle_amount(self._plan, text)
        self.outcome.setText(sentence)
        self.outcome.set_role("bad" if self._amount is None else "text")
        self.settle_button.setEnabled(self._amount is not None)
        if self._amount is None:
            self.settle_button.setText("Settle")
            self._show(self.after, self._plan.gauge)
            return
        text = formatting.amount(self._amount, self._plan.asset_code, self._plan.asset_scale)
        self.settle_button.setText(f"Settle {text}")
        self._show(self.after, self._plan.after(self._amount))

    def _show(self, widget: GaugeWidget, gauge: Gauge) -> None:
        plan = self._plan
        net = -gauge.owed
        limit = gauge.limit
        widget.show_gauge(
            gauge,
            left="you owe" if gauge.low else "",
            middle="0",
            right="no limit"
            if limit is None
            else formatting.amount(limit, plan.asset_code, plan.asset_scale),
            words=formatting.owed(net, plan.asset_code, plan.asset_scale, plan.name),
        )

    def _settle(self) -> None:
        if self._amount is not None:
            self.confirmed.emit(self._plan.username, self._amount)
            self.accept()
