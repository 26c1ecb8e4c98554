"""What a page shows before, instead of, and with its content: loading, nothing there, an error."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from desktop.views.widgets import EmptyState, TextLabel

LOADING: Final = "Asking the node …"


@final
class States(QStackedWidget):
    """Shows one of: loading, an error, the empty state, the content."""

    retried = Signal()
    """The operator wants the node to be asked again."""

    def __init__(self, content: QWidget, empty: EmptyState | None = None) -> None:
        super().__init__()
        self.content = content
        self.empty = empty
        self.error = EmptyState("alert", "The node cannot be asked", "")
        self.error.add_button("Try again").clicked.connect(self.retried)
        self._loaded = False
        self._is_empty = False
        self._problem = ""
        self._loading = QWidget()
        layout = QVBoxLayout(self._loading)
        layout.addStretch()
        label = TextLabel(LOADING, role="muted")
        row = QVBoxLayout()
        row.addWidget(label)
        layout.addLayout(row)
        layout.setContentsMargins(16, 16, 16, 16)
        layout.addStretch(3)
        for widget in (self._loading, self.error, content, *([empty] if empty else [])):
            self.addWidget(widget)
        self._choose()

    def set_loaded(self, loaded: bool) -> None:  # noqa: FBT001 # a signal's argument
        """Show content from now on."""
        self._loaded = loaded
        self._choose()

    def set_empty(self, *, is_empty: bool) -> None:
        """Show the empty state where there is nothing, and content where there is something."""
        if is_empty != self._is_empty:
            self._is_empty = is_empty
            self._choose()

    def set_problem(self, problem: str) -> None:
        """Show why the node cannot be asked; what was loaded before stays on the screen."""
        self._problem = problem
        self.error.say("The node cannot be asked", problem)
        self._choose()

    @property
    def showing(self) -> str:
        """Which of them is shown, by name."""
        current = self.currentWidget()
        if current is self.content:
            return "content"
        if current is self.error:
            return "error"
        return "loading" if current is self._loading else "empty"

    def _choose(self) -> None:
        if not self._loaded:
            self.setCurrentWidget(self.error if self._problem else self._loading)
        elif self._is_empty and self.empty is not None:
            self.setCurrentWidget(self.empty)
        else:
            self.setCurrentWidget(self.content)
