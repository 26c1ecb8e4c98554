"""Asks for the passphrase that opens the window once it is locked: twice, for nobody sees what was typed."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtWidgets import QDialog, QLineEdit, QWidget

from desktop.presenters.lock import LENGTH_MAX, WHAT_GOES_ON, LockPresenter
from desktop.views.widgets import (
    SPACE,
    Heading,
    TextLabel,
    action_button,
    button_row,
    dialog_column,
    grow_to_fit,
)

WIDTH: Final = 460
WHAT_IT_DOES: Final = (
    f"While the window is locked nobody sees or does anything in it. {WHAT_GOES_ON}"
)
WHAT_IT_DOES_NOT: Final = (
    "It protects against onlookers, not against who has your files: the node's books and tokens are "
    "not encrypted by it."
)


@final
class PassphraseDialog(QDialog):
    """Closes by itself once the passphrase is set."""

    def __init__(self, lock: LockPresenter, parent: QWidget, *, action: str) -> None:
        """`action` is what stands on the button: what is done with the passphrase."""
        super().__init__(parent)
        self._lock = lock
        changes = lock.has_passphrase
        title = "Change the passphrase" if changes else "Set a passphrase"
        self.setWindowTitle(title)
        self.setMinimumWidth(WIDTH)
        self.current = _secret("The passphrase until now")
        self.new = _secret("New passphrase" if changes else "Passphrase")
        self.again = _secret("The same again")
        self.problem = TextLabel(role="bad", wrap=True)
        self.save_button = action_button(action, primary=True)
        self.cancel_button = action_button("Cancel")
        layout = dialog_column(self, Heading(title, steps=2))
        layout.addWidget(TextLabel(WHAT_IT_DOES, wrap=True))
        layout.addWidget(TextLabel(WHAT_IT_DOES_NOT, role="muted", wrap=True))
        layout.addWidget(TextLabel(lock.way_out, role="muted", wrap=True))
        layout.addSpacing(SPACE)
        self.lines = (self.current, self.new, self.again) if changes else (self.new, self.again)
        for line in self.lines:
            layout.addWidget(TextLabel(line.accessibleName(), role="muted"))
            layout.addWidget(line)
            line.returnPressed.connect(self._next)
            line.textEdited.connect(lambda _text: self.problem.setText(""))
        layout.addWidget(self.problem)
        layout.addStretch()
        layout.addLayout(button_row(self.cancel_button, self.save_button))
        self.save_button.clicked.connect(self._save)
        self.cancel_button.clicked.connect(self.reject)
        lock.refused.connect(self._refuse)
        lock.passphrase_set.connect(self.accept)
        lock.changed.connect(self._enable)
        self.resize(WIDTH, 0)
        grow_to_fit(self)
        self.lines[0].setFocus()

    def _next(self) -> None:
        """Go on to the next line, and from the last one to the end."""
        for line in self.lines:
            if not line.text():
                line.setFocus()
                return
        self._save()

    def _save(self) -> None:
        if (wait := self._lock.wait_seconds) > 0:
            self._refuse(f"Wait {wait:.0f} s before the next try.")
            return
        self._lock.set_passphrase(
            self.new.text(), self.again.text(), current=self.current.text()
        )

    def _refuse(self, sentence: str) -> None:
        self.problem.setText(f"✖ {sentence}")
        grow_to_fit(self)

    def _enable(self) -> None:
        self.save_button.setEnabled(not self._lock.is_working)


def _secret(name: str) -> QLineEdit:
    line = QLineEdit()
    line.setEchoMode(QLineEdit.EchoMode.Password)
    line.setMaxLength(LENGTH_MAX)
    line.setAccessibleName(name)
    return line
