"""Tokens that were made up here: the last time that they can be read, for the other side needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QWidget

from desktop.views.tables import copy
from desktop.views.widgets import SPACE, Heading, TextLabel, action_button, dialog_column

WIDTH_MIN: Final = 520


@final
class TokensDialog(QDialog):
    """Shows each token with a button that copies it."""

    def __init__(
        self, name: str, tokens: Sequence[tuple[str, str]], parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Tokens to pass on")
        self.setMinimumWidth(WIDTH_MIN)
        layout = dialog_column(self, Heading(f"{name} needs this", steps=2))
        layout.addWidget(
            TextLabel(
                "Pass it on by a way that you trust. Only its hash was stored: it cannot be shown again, "
                "only replaced.",
                role="muted",
                wrap=True,
            )
        )
        self.lines: list[QLineEdit] = []
        for label, token in tokens:
            layout.addWidget(TextLabel(label, role="muted"))
            line = QLineEdit(token)
            line.setReadOnly(True)
            line.setCursorPosition(0)
            line.setAccessibleName(label)
            self.lines.append(line)
            button = action_button("Copy")
            button.setAccessibleName(f"Copy: {label}")
            button.clicked.connect(lambda _checked=False, token=token: copy(token))
            row = QHBoxLayout()
            row.addWidget(line, 1)
            row.addWidget(button)
            layout.addLayout(row)
        self.done_button = action_button("I have passed it on", primary=True)
        self.done_button.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.done_button)
        layout.addSpacing(SPACE)
        layout.addLayout(buttons)
