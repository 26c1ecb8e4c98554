"""Settle now: how much, what it leads to, and a last look before money moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QHBoxLayout,
    QRadioButton,
    QWidget,
)

from desktop import formatting
from desktop.models.gauge import Gauge
from desktop.models.peers import SettlePlan
from desktop.views.gauge import GaugeWidget
from desktop.views.inputs import AmountEdit
from desktop.views.widgets import SPACE, Heading, TextLabel, action_button, dialog_column

PRESETS_MAX: Final = 2
"""Down to where it settles to, and all of it."""


class Settles(Protocol):
    """What the dialog asks of a presenter."""

    def settle_amount(self, plan: SettlePlan, text: str) -> tuple[int | None, str]: ...


@final
class SettleDialog(QDialog):
    """Asks for the amount; `confirmed` carries the username and the amount, an object for its size."""

    confirmed = Signal(str, object)

    def __init__(
        self,
        plan: SettlePlan,
        presenter: Settles,
        parent: QWidget | None,
        *,
        plan_of: Callable[[str], SettlePlan | None] | None = None,
    ) -> None:
        super().__init__(parent)
        self._plan_of = plan_of
        self._plan = plan
        self._presenter = presenter
        self._amount: int | None = None
        self.setWindowTitle(f"Settle with {plan.name}")
        self.setMinimumWidth(520)
        self.amount_edit = AmountEdit()
        self.amount_edit.setAccessibleName("Amount to settle")
        self.amount_edit.set_unit(plan.asset_code)
        self.outcome = TextLabel(role="muted", wrap=True)
        self._owed = TextLabel(role="muted")
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
        layout = dialog_column(self, Heading(f"Settle with {plan.name}", steps=2))
        layout.addWidget(self._owed)
        layout.addSpacing(SPACE)
        for i in range(PRESETS_MAX):
            button = QRadioButton()
            self._group.addButton(button, i)
            layout.addWidget(button)
        self._group.addButton(self._custom, PRESETS_MAX)
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

    @property
    def username(self) -> str:
        """Whom it is about."""
        return self._plan.username

    def look_again(self) -> None:
        """Show what is so now."""
        if self._plan_of is not None:
            self.show_plan(self._plan_of(self._plan.username))

    def show_plan(self, plan: SettlePlan | None) -> None:
        """Show what has changed while the dialog is open; nothing of it where the peer is gone."""
        if plan is None or plan == self._plan:
            return
        self._plan = plan
        self._show_plan()

    def _begin(self) -> None:
        self._show_plan()
        if not self._plan.obstacle:
            self._group.button(0).setChecked(True)
        self.cancel_button.setDefault(True)
        self.cancel_button.setFocus()

    def _show_plan(self) -> None:
        """Write what the plan says; what the operator has chosen or typed is read anew against it."""
        plan = self._plan
        owed = formatting.amount(plan.owed, plan.asset_code, plan.asset_scale)
        self._owed.setText(f"You owe {owed}. Paid through {plan.engine or 'no engine'}.")
        for i in range(PRESETS_MAX):
            button = self._group.button(i)
            button.setVisible(i < len(plan.presets))
            if i < len(plan.presets):
                words, amount = plan.presets[i]
                text = formatting.amount(amount, plan.asset_code, plan.asset_scale)
                button.setText(formatting.shown(f"{words}: {text}").replace("&", "&&"))
        for widget in (*self._group.buttons(), self.amount_edit):
            widget.setEnabled(not plan.obstacle)
        self._show(self.before, plan.gauge)
        if plan.obstacle:
            self._amount = None
            self.outcome.setText(plan.obstacle)
            self.outcome.set_role("warn")
            self.settle_button.setEnabled(False)
            self._show(self.after, plan.gauge)
            return
        chosen = self._group.checkedId()
        if len(plan.presets) <= chosen < PRESETS_MAX:
            self._custom.setChecked(True)
        self._choose(chosen, checked=0 <= chosen < len(plan.presets))
        self._read(self.amount_edit.text())

    def _choose(self, which: int, checked: bool) -> None:  # noqa: FBT001 # a signal's argument
        if checked and which < len(self._plan.presets):
            _, amount = self._plan.presets[which]
            self.amount_edit.setText(formatting.typed_number(amount, self._plan.asset_scale))
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
