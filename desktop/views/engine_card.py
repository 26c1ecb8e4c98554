"""One settlement engine: whether it runs, on which ledger, with how much, and what is wrong."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from desktop.models.settlements import EngineCard
from desktop.views.detail import FactsGrid
from desktop.views.widgets import Card, Pill, TextLabel, Tone, action_button

CARD_WIDTH: Final = 500
PASSING_STATES: Final = ("Starting", "Starting again soon")
"""It is not running, and nobody has to do anything about that yet."""
SCROLL_BAR: Final = 12


@final
class EngineCardView(Card):
    """Buttons are there only where the process is ours."""

    start_wanted = Signal(str)
    stop_wanted = Signal(str)

    def __init__(self, name: str) -> None:
        super().__init__("Local test chain" if name == "chain" else f"Engine {name}")
        self._name = name
        self.pill = Pill()
        self.sentence = TextLabel(role="muted", wrap=True)
        self.problem = TextLabel(role="bad", wrap=True)
        self.words_button = action_button("What it wrote last")
        self.words_button.setCheckable(True)
        self.words_button.setProperty("kind", "range")
        self.last_words = TextLabel(role="muted", wrap=True)
        self.facts = FactsGrid(copied=("Address",))
        self.start_button = action_button("Start")
        self.stop_button = action_button("Stop")
        self.restart_button = action_button("Restart")
        self.setFixedWidth(CARD_WIDTH)
        self.head.addWidget(self.pill)
        buttons = QHBoxLayout()
        for button in (self.start_button, self.stop_button, self.restart_button):
            buttons.addWidget(button)
        buttons.addStretch()
        buttons.addWidget(self.words_button)
        for widget in (self.sentence, self.problem, self.last_words, self.facts):
            self.body.addWidget(widget)
        self.body.addStretch()
        self.body.addLayout(buttons)
        self.last_words.hide()
        self.words_button.toggled.connect(self.last_words.setVisible)
        self.start_button.clicked.connect(lambda: self.start_wanted.emit(self._name))
        self.restart_button.clicked.connect(lambda: self.start_wanted.emit(self._name))
        self.stop_button.clicked.connect(lambda: self.stop_wanted.emit(self._name))

    def show_card(self, card: EngineCard) -> None:
        """Show how it is."""
        self.pill.set(card.state, _tone_of(card), card.sentence or card.problem)
        self.sentence.setText(card.sentence)
        self.sentence.setVisible(bool(card.sentence))
        self.problem.setText(card.problem)
        self.problem.setVisible(bool(card.problem))
        self.last_words.setText("\n".join(card.last_words))
        self.words_button.setVisible(bool(card.last_words))
        self.last_words.setVisible(bool(card.last_words) and self.words_button.isChecked())
        address = (("Address", card.address),) if card.address else ()
        self.facts.show_facts((*address, *card.facts))
        self.start_button.setVisible(card.can_start)
        self.stop_button.setVisible(card.can_stop)
        self.restart_button.setVisible(card.can_stop)


def _tone_of(card: EngineCard) -> Tone:
    if not card.set_up:
        return Tone.PLAIN
    if card.alive:
        return Tone.WARN if card.problem else Tone.OK
    return Tone.WARN if card.state in PASSING_STATES else Tone.BAD


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
