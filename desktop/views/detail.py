"""Details of what is selected: a title, how it is, its facts, and texts that others wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.theme import heading
from desktop.views.tables import copy
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    Card,
    Heading,
    Pill,
    TextLabel,
    Tone,
    icon_button,
)

COPY_SIZE: Final = 20
BREAK: Final = "\u200b"
JOIN: Final = "\u2060"
"""Qt breaks lines behind a point, were it not for this."""
_AMOUNT: Final = re.compile(r"[+\u2212-]?[0-9\u202f]+(?:\.[0-9]+)?\u00a0\S+")
_LONG: Final = re.compile(
    r"(?<=\S)[./:_-](?=[^\s\d]|[0-9A-Za-z]{16})|(?<=[0-9a-f]{4})-(?=[0-9a-f]{4}-)|[0-9A-Za-z]{16,}"
)
_PIECE: Final = re.compile(r"[0-9A-Za-z]{4}(?=[0-9A-Za-z]{4})")
"""What stays together of a hash: the longer, the less even are its lines."""


@final
class FactsGrid(QWidget):
    """Labels and values in two columns; only what changed is written anew."""

    def __init__(self, *, copied: Sequence[str] = ()) -> None:
        super().__init__()
        self._copied = frozenset(copied)
        self._labels: list[tuple[str, TextLabel]] = []
        self._buttons: dict[str, QToolButton] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)

    def show_facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Show these."""
        if [title for title, _ in facts] != [title for title, _ in self._labels]:
            self._rebuild([title for title, _ in facts])
        for (title, label), (_, value) in zip(self._labels, facts, strict=True):
            label.setText(breakable(value))
            label.setAccessibleName(f"{title}: {value}")
            if title in self._buttons:
                # What has spaces is said of an address or a hash that is not there.
                self._buttons[title].setVisible(
                    " " not in value and value != formatting.NOTHING
                )

    def text_of(self, title: str) -> str:
        """Return the value beside this title; empty where there is none."""
        return next((plain(label.text()) for name, label in self._labels if name == title), "")

    def _rebuild(self, titles: Sequence[str]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._labels = []
        self._buttons = {}
        top = Qt.AlignmentFlag.AlignTop
        for i, title in enumerate(titles):
            value = TextLabel(wrap=True)
            self._labels.append((title, value))
            self._grid.addWidget(TextLabel(title, role="muted"), i, 0, top)
            self._grid.addWidget(value, i, 1, top)
            if title in self._copied:
                button = icon_button("copy", f"Copy: {title}")
                button.setFixedSize(COPY_SIZE, COPY_SIZE)
                button.setIconSize(QSize(COPY_SIZE - 6, COPY_SIZE - 6))
                button.clicked.connect(lambda _=False, label=value: copy(plain(label.text())))
                self._buttons[title] = button
                self._grid.addWidget(button, i, 2, top)


@final
class DetailPanel(QScrollArea):
    """The inspector of pages whose rows have facts and texts, and no actions of their own."""

    def __init__(self, nothing: str, *, copied: Sequence[str] = ()) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.title = Heading("", steps=2)
        self.title.setWordWrap(True)
        self.pill = Pill()
        self.advice = TextLabel(wrap=True)
        self.said_by = TextLabel(role="muted", wrap=True)
        self.said = TextLabel(wrap=True)
        self.facts = FactsGrid(copied=copied)
        self.advice_title = TextLabel()
        self.advice_title.setFont(heading(self.advice_title.font(), steps=0))
        self._advice_card = Card()
        self._said_card = Card()
        self._nothing = TextLabel(nothing, role="muted", wrap=True)
        self._content = QWidget()
        self._build()
        self.show_nothing()

    def _build(self) -> None:
        self._advice_card.body.addWidget(self.advice_title)
        self._advice_card.body.addWidget(self.advice)
        self._said_card.body.addWidget(self.said_by)
        self._said_card.body.addWidget(self.said)
        layout = QVBoxLayout(self._content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.pill, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(head)
        layout.addWidget(self._advice_card)
        layout.addWidget(self._said_card)
        layout.addSpacing(4)
        layout.addWidget(self.facts)
        whole = QWidget()
        outer = QVBoxLayout(whole)
        outer.setContentsMargins(MARGIN, 12, MARGIN, MARGIN)
        outer.addWidget(self._nothing)
        outer.addWidget(self._content)
        outer.addStretch()
        self.setWidget(whole)

    def show_nothing(self) -> None:
        """Say that nothing is selected."""
        self._content.hide()
        self._nothing.show()

    def show_details(
        self,
        title: str,
        state: tuple[str, Tone],
        facts: Sequence[tuple[str, str]],
        *,
        advice: str = "",
        advice_title: str = "What it means",
        said: str = "",
        said_by: str = "",
        ours: bool = False,
    ) -> None:
        """Show this; `said` is remote text, quoted and named as such, unless it is this node's own."""
        self.title.setText(title)
        self.pill.set(*state)
        self.advice_title.setText(advice_title)
        self.advice.setText(advice[:1].upper() + advice[1:])
        self._advice_card.setVisible(bool(advice))
        self.said_by.setText(
            "This node said:"
            if ours
            else f"Said by {said_by or 'the other side'} (unverified):"
        )
        self.said.setText(f"“{breakable(said)}”")
        self._said_card.setVisible(bool(said))
        self.facts.show_facts(facts)
        self._nothing.hide()
        self._content.show()


def breakable(text: str) -> str:
    """Return text with places to break long hashes, URLs and addresses at; they are not seen. An amount has none."""
    if _AMOUNT.fullmatch(text):
        return text.replace(".", f"{JOIN}.{JOIN}")
    return _LONG.sub(_broken, text)


def _broken(run: re.Match[str]) -> str:
    if len(run[0]) == 1:
        return run[0] + BREAK
    return _PIECE.sub(lambda piece: piece[0] + BREAK, run[0])


def plain(text: str) -> str:
    """Return what `breakable` was given."""
    return text.replace(BREAK, "").replace(JOIN, "")
