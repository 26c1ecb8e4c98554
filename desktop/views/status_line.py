"""The status bar: the last action, what runs, and how old what is shown is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QStatusBar,
)

from desktop.models.overview import Mood
from desktop.theme import figures
from desktop.views.clock_label import ClockLabel
from desktop.views.widgets import (
    MARGIN,
    TextLabel,
    action_button,
    tone_of,
)

MESSAGE_MS: Final = 10_000
UNDO_MS: Final = 600_000


@final
class StatusLine(QStatusBar):
    """The last action, what runs, and how old what is shown is."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeGripEnabled(False)
        self.setContentsMargins(MARGIN - 4, 0, 10, 0)
        self.message = TextLabel(elide=True)
        self.running = TextLabel(role="muted")
        self.clock = ClockLabel()
        self.version = TextLabel(role="muted")
        self.age = TextLabel(role="ok")
        self.age.setFont(figures(self.age.font()))
        self.age.setMinimumWidth(92)
        self.age.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.undo_button = action_button("Undo")
        self.undo_button.setProperty("kind", "range")
        self.undo_button.hide()
        self._undo: Callable[[], object] | None = None
        self.undo_button.clicked.connect(self._take_back)
        self.addWidget(self.message, 1)
        self.addPermanentWidget(self.undo_button)
        self.addPermanentWidget(self.running)
        self.addPermanentWidget(self.clock)
        self.addPermanentWidget(self.version)
        self.addPermanentWidget(self.age)
        self._clear = QTimer(self)
        self._clear.setSingleShot(True)
        self._clear.setInterval(MESSAGE_MS)
        self._clear.timeout.connect(lambda: self.message.setText(""))
        self._forget = QTimer(self)
        self._forget.setSingleShot(True)
        self._forget.setInterval(UNDO_MS)
        self._forget.timeout.connect(self.undo_button.hide)

    def offer_undo(self, text: str, undo: object) -> None:
        """Show what was done, with a button that takes it back, for ten minutes."""
        assert callable(undo)
        self.say(text)
        self._undo = undo
        self.undo_button.setText(f"Undo: {text}".replace("&", "&&"))
        self.undo_button.show()
        self._forget.start()

    def _take_back(self) -> None:
        self.undo_button.hide()
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def say(self, text: str) -> None:
        """Show what was done, for a while."""
        self.message.set_role("text")
        self.message.setText(text)
        self._clear.start()

    def say_failure(self, text: str) -> None:
        """Show what was not done, until the next action."""
        self.message.set_role("bad")
        self.message.setText(text)
        self._clear.stop()

    def show_running(self, names: Sequence[str]) -> None:
        """Show what is under way."""
        words = "" if not names else names[0] if len(names) == 1 else f"{len(names)} tasks"
        self.running.setText(f"{words}…" if words else "")
        self.running.setToolTip("\n".join(names))

    def show_version(self, version: str) -> None:
        """Show which version the node runs: whoever reports a fault is asked for it."""
        self.version.setText(f"v{version}")

    def show_age(self, text: str, mood: Mood) -> None:
        """Show how old what is on the screen is."""
        shape = tone_of(mood).value
        self.age.set_role(mood.value if mood is not Mood.PLAIN else "muted")
        self.age.setText(f"{shape} {text}")
