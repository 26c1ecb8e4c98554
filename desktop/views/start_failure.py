"""What is shown instead of the window where the node cannot start: why, in a sentence."""

from __future__ import annotations

import asyncio
from typing import final

from PySide6.QtCore import Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from desktop.views.widgets import EmptyState


@final
class StartFailure(QWidget):
    """A small window with the reason and a way out."""

    closed = Signal()

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.setWindowTitle("Signalbox")
        self.resize(640, 360)
        state = EmptyState("alert", "Signalbox cannot start", reason)
        self.quit_button = state.add_button("Quit", primary=True)
        self.quit_button.clicked.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(state)

    @classmethod
    async def show_until_closed(cls, reason: str, closing: asyncio.Event) -> None:
        """Show it, and return when it was closed or the application is asked to end."""
        window = cls(reason)
        window.closed.connect(closing.set)
        window.show()
        await closing.wait()
        window.close()
        window.deleteLater()

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.closed.emit()
