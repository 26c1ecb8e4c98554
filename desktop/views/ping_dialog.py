"""Pinging any ILP address: how long it takes, what comes back of an amount, and which hop says no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QWidget,
)

from desktop.models.ping import KIND_CHOICES, PingForm, PingShown
from desktop.models.routes import Sender
from desktop.presenters.ping import PingPresenter
from desktop.views.detail import FactsGrid
from desktop.views.inputs import AmountEdit, Choice
from desktop.views.widgets import (
    SPACE,
    Heading,
    Pill,
    TextLabel,
    Tone,
    action_button,
    button_row,
    dialog_column,
    grow_to_fit,
    waiting_bar,
)

WIDTH_MIN: Final = 620
ATTEMPTS_SHOWN: Final = 20


@final
class PingDialog(QDialog):
    """Reads and sends at once what was typed; nothing is charged while no amount is."""

    def __init__(
        self,
        presenter: PingPresenter,
        destination: str,
        senders: Sequence[Sender],
        parent: QWidget | None,
    ) -> None:
        super().__init__(parent)
        self._presenter = presenter
        self._senders = {sender.username: sender for sender in senders}
        self.setWindowTitle("Ping")
        self.setMinimumWidth(WIDTH_MIN)
        self.destination = QLineEdit(destination)
        self.kind = Choice(KIND_CHOICES)
        self.count = QLineEdit("3")
        self.amount = AmountEdit()
        self.payer = Choice([(s.username, f"{s.name} ({s.asset_code})") for s in senders])
        self.progress = waiting_bar("Waiting for answers")
        self.pill = Pill()
        self.sentence = TextLabel(wrap=True)
        self.facts = FactsGrid()
        self.attempts = TextLabel(role="muted", wrap=True)
        self.ping_button = action_button("Ping", primary=True)
        self.cancel_button = action_button("Stop")
        self.close_button = action_button("Close")
        self._build()
        self._connect()
        self._show_unit()
        self._show_working(presenter.is_working)
        self.destination.setFocus()

    def _build(self) -> None:
        layout = dialog_column(self, Heading("Ping", steps=2))
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(SPACE)
        fields: Sequence[tuple[str, QWidget, str]] = (
            ("To", self.destination, "an ILP address, or a peer's username"),
            ("How", self.kind, ""),
            ("Packets", self.count, "one after another, at most 20"),
            ("Carrying", self.amount, "nothing: it costs nothing"),
            ("Charged to", self.payer, ""),
        )
        for row, (label, widget, hint) in enumerate(fields):
            widget.setAccessibleName(label)
            if isinstance(widget, QLineEdit):
                widget.setPlaceholderText(hint)
                widget.returnPressed.connect(self._ping)
            grid.addWidget(TextLabel(label, role="muted"), row, 0)
            grid.addWidget(widget, row, 1)
        grid.setColumnStretch(1, 1)
        layout.addLayout(grid)
        layout.addWidget(self.progress)
        said = QHBoxLayout()
        said.setSpacing(SPACE)
        said.addWidget(self.pill)
        said.addWidget(self.sentence, 1)
        layout.addLayout(said)
        layout.addWidget(self.facts)
        layout.addWidget(self.attempts)
        # What the window is higher than its answer, as after a longer one, opens no gaps in it.
        layout.addStretch()
        layout.addSpacing(SPACE)
        layout.addLayout(button_row(self.close_button, self.cancel_button, self.ping_button))
        for widget in (self.pill, self.sentence, self.facts, self.attempts):
            widget.hide()

    def _connect(self) -> None:
        presenter = self._presenter
        self.ping_button.clicked.connect(self._ping)
        self.cancel_button.clicked.connect(presenter.cancel)
        self.close_button.clicked.connect(self.reject)
        self.payer.chosen.connect(self._show_unit)
        presenter.working_changed.connect(self._show_working)
        presenter.pinged.connect(self._show_ping)
        presenter.refused.connect(self._show_refusal)

    @property
    def form(self) -> PingForm:
        """What stands in it."""
        return PingForm(
            destination=self.destination.text(),
            kind=self.kind.value,
            count=self.count.text(),
            amount=self.amount.text(),
            username=self.payer.value,
        )

    def _ping(self) -> None:
        sender = self._senders.get(self.payer.value)
        asset = None if sender is None else (sender.asset_code, sender.asset_scale)
        self._presenter.ping(self.form, asset)

    def _show_unit(self) -> None:
        sender = self._senders.get(self.payer.value)
        self.amount.set_unit("" if sender is None else sender.asset_code)

    def _show_working(self, working: bool) -> None:  # noqa: FBT001 # a signal's
        self.progress.setVisible(working)
        self.cancel_button.setVisible(working)
        self.ping_button.setEnabled(not working)

    def _show_ping(self, shown: PingShown) -> None:
        tone = Tone.OK if shown.answered else Tone.BAD
        self._say("Answered" if shown.answered else "No answer", tone, shown.sentence)
        self.facts.show_facts(shown.facts)
        self.facts.show()
        lines = [
            f"{'✓' if answered else '✖'} {words}"
            for answered, words in shown.attempts[:ATTEMPTS_SHOWN]
        ]
        self.attempts.setText("\n".join(lines))
        # What is said of each alike is said above already.
        self.attempts.setVisible(len({*lines}) > 1)
        grow_to_fit(self)

    def _show_refusal(self, field: str, why: str) -> None:
        self._say("Not sent" if field else "No answer", Tone.WARN, why)
        self.facts.hide()
        self.attempts.hide()
        fields: dict[str, QWidget] = {
            "destination": self.destination,
            "amount": self.amount,
            "count": self.count,
            "username": self.payer,
        }
        if field in fields:
            fields[field].setFocus()

    def _say(self, state: str, tone: Tone, sentence: str) -> None:
        self.pill.set(state, tone)
        self.sentence.setText(sentence)
        self.pill.show()
        self.sentence.show()
        grow_to_fit(self)

    def reject(self) -> None:
        """Close, and wait no longer."""
        self._presenter.cancel()
        super().reject()
