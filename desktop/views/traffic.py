"""The traffic page: how much goes through, and every packet as it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from desktop import formatting
from desktop.models import traffic as columns
from desktop.models.traffic import PacketFilter, PacketRow
from desktop.presenters.traffic import RANGE_SECONDS, TrafficPresenter
from desktop.views.cells import verdict_cell, verdict_tone
from desktop.views.detail import DetailPanel
from desktop.views.graphs import Graph, RangeBar
from desktop.views.inputs import Choice
from desktop.views.page import Page
from desktop.views.states import States
from desktop.views.tables import (
    GrowColumns,
    KeepPlace,
    copy,
    count_words,
    show_menu,
    table_action,
)
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    Card,
    EmptyState,
    FilterLine,
    TableView,
    TextLabel,
    action_button,
    type_into,
)

VERDICTS: Final = (
    ("", "All verdicts"),
    ("fulfilled", "Fulfilled"),
    ("rejected", "Rejected"),
)
EVERY_CODE: Final = ("", "All codes")
EVERY_PEER: Final = ("", "All peers")
ASKED: Final = (("Rate", "…"),)
"""While the books are asked by which rate a packet was converted."""
GRAPH_HEIGHT: Final = 150
WIDTH_OF_ALL: Final = 620
"""A page that is narrower, as beside the inspector in a small window, has less in it."""
CHOICE_WIDTH_LEAST: Final = 92


@final
class _Measured(QWidget):
    """Says when its width is another one."""

    measured = Signal(int)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.measured.emit(event.size().width())


@final
class TrafficPage(Page):
    """Packets, the newest on top."""

    key = "traffic"
    title = "Traffic"
    icon = "traffic"

    def __init__(self, presenter: TrafficPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.traffic = presenter
        self.throughput = Graph()
        self.codes = Graph(empty="No rejects in this range")
        self.range_bar = RangeBar(RANGE_SECONDS)
        self.filter_line = FilterLine("Filter: address, peer, code, message")
        self.verdict = Choice(VERDICTS)
        self.code = Choice((EVERY_CODE,))
        self.peer = Choice((EVERY_PEER,))
        self.clear_button = action_button("Clear filter")
        self.pause_button = action_button("Pause")
        self.pause_button.setCheckable(True)
        self.pause_button.setToolTip("Space: the table stands still, packets go on")
        self.waiting = TextLabel(role="warn")
        self.missed = TextLabel(role="warn")
        self.count = TextLabel(role="muted")
        self.table = TableView(presenter.model)
        self.table.setAccessibleName("Packets")
        self.packet_inspector = DetailPanel(
            "Select a packet to see what became of it.",
            copied=("Destination", "Triggered by", "Transfer"),
        )
        self.inspector = self.packet_inspector
        self._inspected: PacketRow | None = None
        empty = EmptyState(
            "traffic",
            "No packets yet",
            "Packets appear here as they end: once a peer sends one, or you ping a peer.",
        )
        self.states = States(self._content(), empty)
        self.setFocusProxy(self.table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.states)
        KeepPlace(self.table, presenter.model)
        GrowColumns(self.table)
        self._actions = self._make_actions()
        self._connect()
        self._count()

    # --- What the window calls

    def open(self, target: str) -> None:
        """Show only this peer's packets."""
        self.peer.set_choices([EVERY_PEER, (target, self.traffic.names.of(target))])
        self.peer.choose(target)
        self._filter()

    def pose(self) -> None:
        """Look back five minutes, and explain a packet that was rejected, if there is one."""
        self.range_bar.show_range(300)
        self.traffic.show_range(300)
        model = self.traffic.model
        for index in range(min(model.shown, 200)):
            if model.row(index).code:
                self.table.selectRow(index)
                return
        super().pose()

    def focus_filter(self) -> None:
        type_into(self.filter_line)

    # --- How it is built

    def _content(self) -> QWidget:
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self._graphs())
        splitter.addWidget(self._stream())
        splitter.setStretchFactor(1, 1)
        return splitter

    def _graphs(self) -> QWidget:
        graphs = _Measured()
        graphs.measured.connect(self._fit)
        layout = QVBoxLayout(graphs)
        layout.setContentsMargins(MARGIN, 12, MARGIN, SPACE)
        layout.setSpacing(SPACE)
        row = QHBoxLayout()
        row.setSpacing(12)
        self.throughput_card = Card("Packets a second")
        self.throughput_card.head.addWidget(self.range_bar)
        self.codes_card = Card("Rejects a minute")
        for card, graph, stretch in (
            (self.throughput_card, self.throughput, 3),
            (self.codes_card, self.codes, 2),
        ):
            graph.setMinimumHeight(GRAPH_HEIGHT)
            card.body.addWidget(graph, 1)
            row.addWidget(card, stretch)
        layout.addLayout(row)
        return graphs

    def _stream(self) -> QWidget:
        stream = QWidget()
        bar = QHBoxLayout()
        bar.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        bar.setSpacing(SPACE)
        bar.addWidget(self.filter_line, 1)
        for choice, name, _ in self._choices():
            choice.setAccessibleName(name)
            bar.addWidget(choice)
        bar.addWidget(self.clear_button)
        bar.addWidget(self.pause_button)
        self.clear_button.hide()
        self.table.setItemDelegateForColumn(columns.VERDICT, verdict_cell(self.table))
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        foot = QHBoxLayout()
        foot.setContentsMargins(MARGIN, 6, MARGIN, 6)
        foot.setSpacing(SPACE)
        foot.addWidget(TextLabel("Space pause · click a code to filter by it", role="muted"))
        foot.addStretch()
        for label in (self.waiting, self.missed, self.count):
            foot.addWidget(label)
        layout = QVBoxLayout(stream)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.table, 1)
        layout.addLayout(foot)
        return stream

    def _choices(self) -> tuple[tuple[Choice, str, int], ...]:
        return (
            (self.verdict, "Verdict", 120),
            (self.code, "Reject code", 110),
            (self.peer, "Peer", 130),
        )

    def _fit(self, width: int) -> None:
        """Let nothing cover anything where there is little room: how much goes through is what stays."""
        is_narrow = width < WIDTH_OF_ALL
        self.codes_card.setVisible(not is_narrow)
        self.throughput_card.title.setText("Packets/s" if is_narrow else "Packets a second")
        self.clear_button.setText("Clear" if is_narrow else "Clear filter")
        for choice, _, wide in self._choices():
            choice.setFixedWidth(CHOICE_WIDTH_LEAST if is_narrow else wide)

    def _make_actions(self) -> list[QAction | None]:
        table = self.table
        return [
            table_action(table, "Pause or go on", "Space", self.pause_button.toggle),
            table_action(table, "Only this peer", "", self._only_peer),
            table_action(table, "Only this code", "", self._only_code),
            None,
            table_action(table, "Copy rows", QKeySequence.StandardKey.Copy, self._copy_rows),
            table_action(table, "Copy destination", "", self._copy_destination),
        ]

    def _connect(self) -> None:
        presenter = self.traffic
        presenter.loaded_changed.connect(self.states.set_loaded)
        presenter.problem_changed.connect(self.states.set_problem)
        presenter.model.counts_changed.connect(self._count)
        presenter.waiting_changed.connect(self._show_waiting)
        presenter.missed_changed.connect(self._show_missed)
        presenter.choices_changed.connect(self._show_choices)
        presenter.throughput_changed.connect(self.throughput.show_data)
        presenter.codes_changed.connect(self.codes.show_data)
        presenter.rate_told.connect(self._show_rate)
        self.states.retried.connect(presenter.refresh)
        self.range_bar.chosen.connect(presenter.show_range)
        self.filter_line.filtered.connect(self._filter)
        for choice in (self.verdict, self.code, self.peer):
            choice.chosen.connect(self._filter)
        self.clear_button.clicked.connect(self._clear)
        self.pause_button.toggled.connect(self._hold)
        self.table.chosen.connect(self._choose)
        self.table.clicked.connect(self._clicked)
        self.table.customContextMenuRequested.connect(self._show_menu)

    # --- What the presenter tells

    def _count(self) -> None:
        model = self.traffic.model
        self.states.set_empty(is_empty=model.total == 0 and not model.waiting)
        self.count.setText(count_words(model.shown, model.total, "packet"))

    def _show_waiting(self, waiting: int) -> None:
        self.waiting.setText(f"{formatting.count(waiting)} new" if waiting else "")

    def _show_missed(self, missed: int) -> None:
        self.missed.setText(f"▲ {formatting.count(missed)} went by unseen")
        self.missed.setToolTip(
            "They came faster than they could be fetched; counters and graphs have them all."
        )

    def _show_choices(self, peers: list[tuple[str, str]], codes: list[str]) -> None:
        self.peer.set_choices([EVERY_PEER, *peers])
        self.code.set_choices([EVERY_CODE, *((code, code) for code in codes)])

    # --- What the operator does

    def _filter(self) -> None:
        wanted = PacketFilter(
            text=self.filter_line.text().strip(),
            verdict=self.verdict.value,
            code=self.code.value,
            peer=self.peer.value,
        )
        self.clear_button.setVisible(bool(wanted))
        self.traffic.filter(wanted)

    def _clear(self) -> None:
        self.filter_line.clear()
        for choice in (self.verdict, self.code, self.peer):
            choice.choose("")
        self._filter()

    def _hold(self, held: bool) -> None:  # noqa: FBT001 # a signal's argument
        self.pause_button.setText("Go on" if held else "Pause")
        self.traffic.hold(held=held)

    def _choose(self, row: object) -> None:
        self.want_inspector(isinstance(row, PacketRow))
        self._inspected = row if isinstance(row, PacketRow) else None
        if self._inspected is None:
            self.packet_inspector.show_nothing()
            return
        show_packet(self.packet_inspector, self._inspected)
        self.traffic.ask_rate(self._inspected)

    def _show_rate(self, row: PacketRow, facts: Sequence[tuple[str, str]]) -> None:
        if row is self._inspected:
            show_packet(self.packet_inspector, row, facts)

    def _clicked(self, index: QModelIndex) -> None:
        row = self.traffic.model.row(index.row())
        if index.column() == columns.CODE and row.code:
            self._filter_by_code(row.code)

    def _filter_by_code(self, code: str) -> None:
        self.code.choose("" if self.traffic.active_filter.code == code else code)
        self._filter()

    def _only_code(self) -> None:
        for row in self.table.selected_rows[:1]:
            if row.code:
                self._filter_by_code(row.code)

    def _only_peer(self) -> None:
        for row in self.table.selected_rows[:1]:
            self.peer.choose(row.from_username)
            self._filter()

    def _copy_rows(self) -> None:
        copy(self.traffic.copy_text(self.table.selected_rows))

    def _copy_destination(self) -> None:
        for row in self.table.selected_rows[:1]:
            copy(row.destination)

    def _show_menu(self, place: QPoint) -> None:
        if self.table.selected_rows:
            show_menu(self.table, self._actions, place)


def show_packet(
    panel: DetailPanel, row: PacketRow, rate: Sequence[tuple[str, str]] = ASKED
) -> None:
    """Show one packet in an inspector, with what is known of its rate."""
    transfer = "none: it was not booked" if row.transfer is None else str(row.transfer)
    facts = [
        ("Time", formatting.exact_moment(row.at_ms)),
        ("From", row.from_name),
        ("To", row.to_name or "nobody: it was turned away before a next hop was chosen"),
        ("Destination", row.destination),
        ("Amount in", row.amount_in_text),
        ("Amount out", row.amount_out_text),
        *(() if row.transfer is None else rate),
        ("Latency", formatting.latency(row.latency_us)),
        ("Packet", f"number {formatting.count(row.sequence)} since start"),
        ("Transfer", transfer),
    ]
    if row.triggered_by:
        facts.insert(4, ("Triggered by", row.triggered_by))
    panel.show_details(
        row.code_text if row.code else "Fulfilled",
        (row.verdict, verdict_tone(row)),
        facts,
        advice=row.advice,
        said=row.message,
        said_by=row.triggered_by,
        ours=row.ours,
    )
