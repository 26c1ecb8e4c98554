"""The clock of the node's machine in the status bar."""

from __future__ import annotations

from typing import final

from desktop import formatting
from desktop.models.overview import ClockState, Mood
from desktop.theme import figures
from desktop.views.widgets import SPACE, TextLabel, tone_of


@final
class ClockLabel(TextLabel):
    """How far it is off; the tooltip says by whom that is told, and since when."""

    def __init__(self) -> None:
        super().__init__(role="muted")
        self.setFont(figures(self.font()))
        self.setContentsMargins(0, 0, SPACE, 0)

    def show_clock(self, clock: ClockState) -> None:
        """Show another state: quiet while all is well, with its shape where it is not."""
        is_quiet = clock.mood in (Mood.OK, Mood.PLAIN)
        shape = "" if is_quiet else f"{tone_of(clock.mood).value} "
        self.set_role("muted" if is_quiet else clock.mood.value)
        self.setText(f"{shape}clock {clock.text}")
        self.setToolTip(formatting.tooltip(clock.reason))
        self.setAccessibleName(f"Clock: {clock.text}")
        self.setAccessibleDescription(clock.reason)
