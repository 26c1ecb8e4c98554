"""One settlement engine: whether it runs, on which ledger, with how much, and what is wrong."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.settlements import EngineCard
from desktop.views.detail import FactsGrid
from desktop.views.tables import copy
from desktop.views.widgets import Card, Pill, TextLabel, Tone, action_button, icon_button

CARD_WIDTH: Final = 600
ADDRESS_LENGTH: Final = 26
SCROLL_BAR: Final = 12


@final
class EngineCardView(Card):
    """Buttons are there only where the process is ours."""

    start_wanted = Signal(str)
    stop_wanted = Signal(str)

    def __init__(self, name: str) -> None:
        super().__init__("Local test chain" if name == "chain" else f"Engine {name}")
        self._name = name
        self._address = ""
        self.pill = Pill()
        self.sentence = TextLabel(role="muted", wrap=True)
        self.problem = TextLabel(role="bad", wrap=True)
        self.address = TextLabel()
        self.address_button = icon_button("copy", "Copy the engine's address")
        self.facts = FactsGrid()
        self.start_button = action_button("Start")
        self.stop_button = action_button("Stop")
        self.restart_button = action_button("Restart")
        self.setFixedWidth(CARD_WIDTH)
        self.head.addWidget(self.pill)
        row = QHBoxLayout()
        row.addWidget(self.address)
        row.addWidget(self.address_button)
        row.addStretch()
        buttons = QHBoxLayout()
        for button in (self.start_button, self.stop_button, self.restart_button):
            buttons.addWidget(button)
        buttons.addStretch()
        left = QVBoxLayout()
        for widget in (self.sentence, self.problem):
            left.addWidget(widget)
        left.addLayout(row)
        left.addLayout(buttons)
        left.addStretch()
        right = QVBoxLayout()
        right.addWidget(self.facts)
        right.addStretch()
        halves = QHBoxLayout()
        halves.setSpacing(24)
        halves.addLayout(left, 1)
        halves.addLayout(right, 1)
        self.body.addLayout(halves)
        self.address_button.clicked.connect(lambda: copy(self._address))
        self.start_button.clicked.connect(lambda: self.start_wanted.emit(self._name))
        self.restart_button.clicked.connect(lambda: self.start_wanted.emit(self._name))
        self.stop_button.clicked.connect(lambda: self.stop_wanted.emit(self._name))

    def show_card(self, card: EngineCard) -> None:
        """Show how it is."""
        tone = Tone.BAD if not card.alive else Tone.WARN if card.problem else Tone.OK
        self.pill.set("Running" if card.alive else "Not running", tone, card.sentence)
        self.sentence.setText(card.sentence)
        self.sentence.setVisible(bool(card.sentence))
        self.problem.setText(card.problem)
        self.problem.setVisible(bool(card.problem))
        self._address = card.address
        self.address.setText(formatting.shortened(card.address, ADDRESS_LENGTH))
        self.address.setToolTip(formatting.tooltip(card.address))
        self.address.setVisible(bool(card.address))
        self.address_button.setVisible(bool(card.address))
        self.facts.show_facts(card.facts)
        self.start_button.setVisible(card.can_start)
        self.stop_button.setVisible(card.can_stop)
        self.restart_button.setVisible(card.can_stop)


@final
class Shelf(QScrollArea):
    """A row of cards, as high as the highest, that scrolls sideways where they are too many."""

    def __init__(self, row: QWidget) -> None:
        super().__init__()
        self._row = row
        self.setWidget(row)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        row.installEventFilter(self)

    def sizeHint(self) -> QSize:
        return QSize(400, self._row.sizeHint().height() + SCROLL_BAR)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, self.sizeHint().height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._row and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)
