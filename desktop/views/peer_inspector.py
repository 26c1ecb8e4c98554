"""One peer in detail: its balance on a large gauge, why its link is as it is, and what to do."""

from __future__ import annotations

import re
from typing import Final, final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.gauge import Level
from desktop.models.graph import RANGES
from desktop.models.peers import STATE_TEXTS, PeerDetail
from desktop.views.cells import STATE_TONES
from desktop.views.detail import FactsGrid
from desktop.views.gauge import GaugeWidget
from desktop.views.graphs import Graph
from desktop.views.inputs import Choice
from desktop.views.widgets import MARGIN, SPACE, Heading, Pill, TextLabel, action_button

REMOTE_LENGTH: Final = 300
GRAPH_HEIGHT: Final = 190
RANGE_SECONDS: Final = 900


@final
class PeerInspector(QScrollArea):
    """Follows the selection of the peers page."""

    edit_wanted = Signal()
    ping_wanted = Signal()
    settle_wanted = Signal()
    pause_wanted = Signal()
    packets_wanted = Signal()
    range_wanted = Signal(object)
    """Seconds, as an int."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.name = Heading("", steps=2)
        self.state = Pill()
        self.reason = TextLabel(role="muted", wrap=True)
        self.words = Heading("", steps=1)
        self.words.setWordWrap(True)
        self.limit_words = TextLabel(role="muted", wrap=True)
        self.gauge = GaugeWidget()
        self.ping_answer = TextLabel(wrap=True)
        self.reject = TextLabel(wrap=True)
        self.notes = TextLabel(wrap=True)
        self.settle_button = action_button("Settle now…")
        self.ping_button = action_button("Ping")
        self.pause_button = action_button("Pause")
        self.edit_button = action_button("Edit…")
        self.packets_button = action_button("Packets")
        self.facts = FactsGrid()
        self.graph = Graph(empty="No history in this range", of_amounts=True)
        self.graph.setFixedHeight(GRAPH_HEIGHT)
        self.range_choice = Choice([(str(span), f"last {words}") for words, span in RANGES])
        self.range_choice.setAccessibleName("How far back the balance is shown")
        self.range_choice.choose(str(RANGE_SECONDS))
        self.range_choice.setFixedWidth(110)
        self._content = QWidget()
        self._nothing = TextLabel("Select a peer to see its details.", role="muted", wrap=True)
        self._build()
        self._connect()
        self.show_detail(None)

    def _build(self) -> None:
        layout = QVBoxLayout(self._content)
        layout.setContentsMargins(MARGIN, 12, MARGIN, MARGIN)
        layout.setSpacing(SPACE)
        head = QHBoxLayout()
        head.addWidget(self.name, 1)
        head.addWidget(self.state)
        layout.addLayout(head)
        layout.addWidget(self.reason)
        layout.addSpacing(4)
        layout.addWidget(self.words)
        layout.addWidget(self.gauge)
        layout.addWidget(self.limit_words)
        layout.addLayout(self._buttons())
        layout.addWidget(self.ping_answer)
        layout.addSpacing(4)
        title = QHBoxLayout()
        title.addWidget(TextLabel("Above zero they owe you", role="muted", elide=True), 1)
        title.addWidget(self.range_choice)
        layout.addLayout(title)
        layout.addWidget(self.graph)
        layout.addWidget(self.reject)
        layout.addWidget(self.facts)
        layout.addWidget(self.notes)
        layout.addStretch()
        whole = QWidget()
        outer = QVBoxLayout(whole)
        outer.setContentsMargins(0, 0, 0, 0)
        self._nothing.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        outer.addWidget(self._nothing)
        outer.addWidget(self._content)
        outer.addStretch()
        self.setWidget(whole)

    def _buttons(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(6)
        grid.addWidget(self.settle_button, 0, 0)
        grid.addWidget(self.ping_button, 0, 1)
        grid.addWidget(self.pause_button, 0, 2)
        grid.addWidget(self.edit_button, 1, 0)
        grid.addWidget(self.packets_button, 1, 1)
        return grid

    def _connect(self) -> None:
        self.edit_button.clicked.connect(self.edit_wanted)
        self.ping_button.clicked.connect(self.ping_wanted)
        self.settle_button.clicked.connect(self.settle_wanted)
        self.pause_button.clicked.connect(self.pause_wanted)
        self.packets_button.clicked.connect(self.packets_wanted)
        self.range_choice.chosen.connect(lambda value: self.range_wanted.emit(int(value)))

    def show_detail(self, detail: PeerDetail | None) -> None:
        """Show this peer, or that none is selected."""
        self._content.setVisible(detail is not None)
        self._nothing.setVisible(detail is None)
        if detail is None:
            return
        row = detail.row
        if self.name.text() != row.name:
            self.ping_answer.setText("")
            self.ping_answer.hide()
        self.name.setText(row.name)
        self.state.set(STATE_TEXTS[row.state], STATE_TONES[row.state], row.state_reason)
        self.reason.setText(row.state_reason[:1].upper() + row.state_reason[1:])
        # A heading has a capital; a name is as its owner writes it.
        self.words.setText(re.sub("^you ", "You ", row.words))
        # The curve is drawn more seldom than the balance is read: two numbers must not disagree.
        self.graph.show_latest(row.signed)
        self._show_gauge(detail)
        self.pause_button.setText("Pause" if row.enabled else "Resume")
        self.reject.setText(_reject_words(detail))
        self.reject.setVisible(bool(row.last_reject))
        self.notes.setText(f"Notes: {detail.notes}")
        self.notes.setVisible(bool(detail.notes))
        self.facts.show_facts(detail.facts)

    def show_ping(self, username: str, *, answered: bool, sentence: str) -> None:
        """Show what became of a ping, under the buttons."""
        self.ping_answer.setText(f"{'✓' if answered else '✖'} {sentence}")
        self.ping_answer.set_role("ok" if answered else "bad")
        self.ping_answer.show()

    def _show_gauge(self, detail: PeerDetail) -> None:
        row, gauge = detail.row, detail.row.gauge
        limit = gauge.limit
        right = "no limit" if limit is None else row.amount(limit)
        settle_at = gauge.settle_at
        left = "" if settle_at is None else f"▼ {row.amount(settle_at)}"
        self.gauge.show_gauge(gauge, left=left, middle="0", right=right, words=row.words)
        used = gauge.used_percent
        if limit is None:
            text, role = "They may owe you any amount.", "muted"
        elif limit == 0:
            text, role = "They must pay in advance.", "muted"
        else:
            text = f"{used} % of the {row.amount(limit)} that you allow is used."
            role = {Level.OK: "muted", Level.NEAR: "warn", Level.FULL: "bad"}[gauge.level]
            if gauge.level is Level.FULL:
                text += " Packets are turned away."
        self.limit_words.setText(text)
        self.limit_words.set_role(role)


def _reject_words(detail: PeerDetail) -> str:
    said = formatting.shortened(detail.row.last_reject, REMOTE_LENGTH)
    of_others = "" if detail.row.last_reject_is_ours else ", its text is not verified"
    return f"Last reject{of_others}: “{said}”"
