"""Which pair's history is shown, and its graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from desktop.presenters.rate_history import RateHistoryPresenter
from desktop.views.graphs import Graph
from desktop.views.inputs import Choice
from desktop.views.widgets import MARGIN, SPACE, Card, TextLabel

GRAPH_HEIGHT: Final = 170


@final
class RateHistoryView(QWidget):
    """Stands above the table of changes."""

    def __init__(self, presenter: RateHistoryPresenter) -> None:
        super().__init__()
        self._presenter = presenter
        self.source, self.target = Choice(), Choice()
        self.graph = Graph(empty="No rate of this pair is known")
        bar = QHBoxLayout()
        bar.setSpacing(SPACE)
        for words, choice, name in (
            ("1", self.source, "From which asset"),
            ("in", self.target, "Into which asset"),
        ):
            choice.setAccessibleName(name)
            choice.setFixedWidth(110)
            choice.chosen.connect(self._choose)
            bar.addWidget(TextLabel(words, role="muted"))
            bar.addWidget(choice)
        bar.addStretch()
        card = Card()
        self.graph.setFixedHeight(GRAPH_HEIGHT)
        card.body.addLayout(bar)
        card.body.addWidget(self.graph)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        layout.addWidget(card)
        presenter.drawn.connect(self.graph.show_data)

    def show_codes(self, codes: Sequence[str], reference: str) -> None:
        """Offer these assets; at first what something else costs in the reference asset."""
        first = self.source.count() == 0
        for choice in (self.source, self.target):
            choice.set_choices([(code, code) for code in codes])
        if first and codes:
            self.target.choose(reference)
            self.source.choose(next((code for code in codes if code != reference), codes[0]))
        self._choose()

    def _choose(self) -> None:
        self._presenter.show_pair(self.source.value, self.target.value)
