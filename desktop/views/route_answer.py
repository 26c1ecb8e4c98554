"""The answer to where a packet would go: the verdict, the numbers, and the chain step by step."""

from __future__ import annotations

from typing import Final, final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from desktop.models.routes import Answer
from desktop.views.detail import FactsGrid
from desktop.views.widgets import SPACE, Card, Heading, Pill, TextLabel, Tone, icon_button

STEPS_HEIGHT_MIN: Final = 120
STEPS_HEIGHT_MAX: Final = 340
"""The table below stays usable in a window of 1280 × 800."""


@final
class RouteAnswerCard(Card):
    """Shown once something was asked; closed with its button."""

    def __init__(self) -> None:
        super().__init__()
        self.pill = Pill()
        self.sentence = Heading("", steps=0)
        self.sentence.setWordWrap(True)
        self.facts = FactsGrid()
        self.alternatives = TextLabel(role="muted", wrap=True)
        self.steps_text: list[str] = []
        self.close_button = icon_button("close", "Close the answer")
        self._steps_box = QWidget()
        self._steps = QGridLayout(self._steps_box)
        self._steps.setContentsMargins(0, 0, 0, 0)
        self._steps.setHorizontalSpacing(10)
        self._steps.setVerticalSpacing(3)
        self._steps.setColumnStretch(2, 1)
        self._build()
        self.close_button.clicked.connect(self.hide)
        self.hide()

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(SPACE)
        head.addWidget(self.pill)
        head.addWidget(self.sentence, 1)
        head.addWidget(self.close_button)
        left = QVBoxLayout()
        left.addWidget(self.facts)
        left.addWidget(self.alternatives)
        left.addStretch()
        holder = QWidget()
        inner = QVBoxLayout(holder)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self._steps_box)
        inner.addStretch()
        self.step_area = _Steps(holder)
        self._body = QWidget()
        body = QHBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(24)
        body.addLayout(left, 2)
        body.addWidget(self.step_area, 3)
        self.body.addLayout(head)
        self.body.addWidget(self._body)

    def show_answer(self, answer: Answer) -> None:
        """Show this answer."""
        if answer.forwarded:
            self.pill.set("Would be forwarded", Tone.OK)
        elif answer.steps:
            self.pill.set("Would be rejected", Tone.BAD)
        else:
            self.pill.set("Cannot be answered", Tone.WARN)
        self.sentence.setText(answer.sentence)
        self.facts.show_facts(answer.facts)
        lines = ["Why this way:", *answer.ways] if answer.ways else []
        if answer.alternatives:
            lines += ["Also covered, not taken:", *(f"· {a}" for a in answer.alternatives)]
        self.alternatives.setVisible(bool(lines))
        self.alternatives.setText("\n".join(lines))
        self._show_steps(answer)
        self._body.setVisible(bool(answer.steps))
        self.show()

    def _show_steps(self, answer: Answer) -> None:
        while (item := self._steps.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.steps_text = []
        top = Qt.AlignmentFlag.AlignTop
        for i, step in enumerate(answer.steps):
            sign = "✓" if step.passes else "✖"
            self.steps_text.append(f"{sign} {step.service}: {step.sentence}")
            mark = TextLabel(sign, role="ok" if step.passes else "bad")
            text = TextLabel(step.sentence, role="text" if step.passes else "bad", wrap=True)
            text.setAccessibleName(self.steps_text[-1])
            self._steps.addWidget(mark, i, 0, top)
            self._steps.addWidget(TextLabel(step.service, role="muted"), i, 1, top)
            self._steps.addWidget(text, i, 2)
        self.step_area.fit()


@final
class _Steps(QScrollArea):
    """The steps, all of them at once where the window is not very low."""

    def __init__(self, holder: QWidget) -> None:
        super().__init__()
        self._holder = holder
        self.setWidget(holder)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        holder.setAutoFillBackground(False)
        self.viewport().setAutoFillBackground(False)

    def fit(self) -> None:
        """Be as high as the steps are at this width."""
        # One pass of the event loop later: labels that were just made know no size before.
        QTimer.singleShot(0, self, self._fit)

    def _fit(self) -> None:
        wanted = self._holder.heightForWidth(self.viewport().width())
        self.setMinimumHeight(min(max(wanted, STEPS_HEIGHT_MIN), STEPS_HEIGHT_MAX))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.fit()
