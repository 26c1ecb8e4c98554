"""Peering in one step with a node that takes peers by itself: its URL, the asset, and what came of it."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QLineEdit,
    QWidget,
)

from desktop.models.auto_peer import AutoPeered, AutoPeerForm
from desktop.presenters.auto_peer import AutoPeerPresenter
from desktop.views.inputs import CheckBox
from desktop.views.widgets import (
    SPACE,
    Heading,
    TextLabel,
    action_button,
    button_row,
    dialog_column,
    grow_to_fit,
    waiting_bar,
)

WIDTH_MIN: Final = 600
_FIELDS: Final = (
    ("url", "Their URL", "where they take peers: https://rafiki.example/auto-peering"),
    ("our_url", "Your URL", "how they reach this node: https://node.example"),
    ("asset_code", "Asset", "USD; both sides count in it"),
    ("asset_scale", "Scale", "2: the smallest unit is 0.01"),
    ("credit", "Credit you give", "in whole units; empty gives none: they pay ahead"),
    ("max_packet", "Largest packet", "in whole units; empty takes any"),
    ("username", "Called here", "empty takes the name that they give"),
    ("name", "You are called there", "empty tells them your ILP address"),
)


@final
class AutoPeerDialog(QDialog):
    """Stays open until it has succeeded or was closed; what is under way can be cancelled."""

    shown = Signal(str)
    """The username of the new peer, which is to be shown."""

    def __init__(
        self, presenter: AutoPeerPresenter, form: AutoPeerForm, parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self._presenter = presenter
        self._username = ""
        self.setWindowTitle("Peer automatically")
        self.setMinimumWidth(WIDTH_MIN)
        self.lines = {name: QLineEdit(getattr(form, name)) for name, _, _ in _FIELDS}
        self.replace = CheckBox("An account of that name gets the new address and tokens")
        self.allow_private = CheckBox(
            "The URLs may lead into this machine or network, as in a laboratory"
        )
        self.progress = waiting_bar("Waiting for their answer")
        self.answer = TextLabel(wrap=True)
        self.offer_button = action_button("Offer to peer", primary=True)
        self.show_button = action_button("Show the peer", primary=True)
        self.cancel_button = action_button("Cancel")
        self.close_button = action_button("Close")
        self._build()
        self._connect()
        self._show_working(presenter.is_working)
        self.lines["url"].setFocus()

    def _build(self) -> None:
        layout = dialog_column(self, Heading("Peer automatically", steps=2))
        layout.addWidget(
            TextLabel(
                "For nodes that take peers by themselves, as Rafiki does: tokens and addresses are "
                "exchanged in one request, and the account is added here.",
                role="muted",
                wrap=True,
            )
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(SPACE)
        for row, (name, label, hint) in enumerate(_FIELDS):
            line = self.lines[name]
            line.setPlaceholderText(hint)
            line.setAccessibleName(label)
            line.setAccessibleDescription(hint)
            line.returnPressed.connect(self._offer)
            grid.addWidget(TextLabel(label, role="muted"), row, 0)
            grid.addWidget(line, row, 1)
        layout.addLayout(grid)
        layout.addWidget(self.replace)
        layout.addWidget(self.allow_private)
        layout.addWidget(self.progress)
        layout.addWidget(self.answer)
        layout.addSpacing(SPACE)
        layout.addLayout(
            button_row(
                self.close_button, self.cancel_button, self.offer_button, self.show_button
            )
        )
        self.answer.hide()
        self.show_button.hide()

    def _connect(self) -> None:
        presenter = self._presenter
        self.offer_button.clicked.connect(self._offer)
        self.cancel_button.clicked.connect(presenter.cancel)
        self.close_button.clicked.connect(self.reject)
        self.show_button.clicked.connect(self._show_peer)
        presenter.working_changed.connect(self._show_working)
        presenter.refused.connect(self._show_refusal)
        presenter.peered.connect(self._show_peered)

    @property
    def form(self) -> AutoPeerForm:
        """What stands in it."""
        texts = {name: line.text() for name, line in self.lines.items()}
        return AutoPeerForm(
            **texts,
            replace=self.replace.isChecked(),
            allow_private=self.allow_private.isChecked(),
        )

    def _offer(self) -> None:
        self.answer.hide()
        self._presenter.offer(self.form)

    def _show_working(self, working: bool) -> None:  # noqa: FBT001 # a signal's
        self.progress.setVisible(working)
        self.cancel_button.setVisible(working)
        self.close_button.setVisible(not working)
        self.offer_button.setVisible(not self._username)
        self.offer_button.setEnabled(not working)
        self.offer_button.setText("Waiting for their answer…" if working else "Offer to peer")
        for line in self.lines.values():
            line.setEnabled(not working)

    def _show_refusal(self, field: str, why: str) -> None:
        label = next((label for name, label, _ in _FIELDS if name == field), "")
        self._say("bad", f"✖ {label}: {why}" if label else f"✖ {why}")
        if field in self.lines:
            self.lines[field].setFocus()

    def _show_peered(self, peered: AutoPeered) -> None:
        self._username = peered.username
        self._say("ok", peered.sentence)
        self.offer_button.hide()
        self.show_button.show()

    def _say(self, role: str, words: str) -> None:
        self.answer.set_role(role)
        self.answer.setText(words)
        self.answer.show()
        grow_to_fit(self)

    def _show_peer(self) -> None:
        self.shown.emit(self._username)
        self.accept()

    def reject(self) -> None:
        """Close; not while an offer is under way, whose end has to be seen: Esc cancels that first."""
        if self._presenter.is_working:
            self._presenter.cancel()
        else:
            super().reject()
