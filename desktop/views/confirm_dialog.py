"""A last question before something that cannot be taken back; a name may have to be typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QWidget

from desktop import formatting
from desktop.views.widgets import SPACE, Heading, TextLabel, action_button, dialog_column


@final
class ConfirmDialog(QDialog):
    """Says what would happen; `confirmed` comes only after the word was typed, where one is asked for."""

    confirmed = Signal()

    def __init__(
        self,
        title: str,
        sentences: Sequence[str],
        action: str,
        parent: QWidget | None,
        *,
        typed: str = "",
        danger: bool = True,
        extra: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._typed = typed
        self.setWindowTitle(formatting.shown(title))
        self.setMinimumWidth(440)
        self.typed_edit = QLineEdit()
        self.typed_edit.setAccessibleName(f"Type {typed} to confirm")
        self.action_button = action_button(action, danger=danger, primary=not danger)
        self.cancel_button = action_button("Cancel")
        layout = dialog_column(self, Heading(title, steps=2))
        for sentence in sentences:
            layout.addWidget(TextLabel(sentence, wrap=True))
        if extra is not None:
            layout.addWidget(extra)
        if typed:
            layout.addSpacing(SPACE)
            layout.addWidget(TextLabel(f"Type {typed} to confirm:", role="muted"))
            layout.addWidget(self.typed_edit)
        layout.addSpacing(SPACE)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.action_button)
        layout.addLayout(buttons)
        self.typed_edit.textChanged.connect(self._enable)
        self.action_button.clicked.connect(self._confirm)
        self.cancel_button.clicked.connect(self.reject)
        self.cancel_button.setDefault(True)
        self._enable()
        (self.typed_edit if typed else self.cancel_button).setFocus()

    def _enable(self) -> None:
        self.action_button.setEnabled(self.typed_edit.text().strip() == self._typed)

    def _confirm(self) -> None:
        self.confirmed.emit()
        self.accept()
