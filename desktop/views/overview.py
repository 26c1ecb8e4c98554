"""The overview page: three seconds to know whether money is safe and packets flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from desktop.models.overview import (
    ExposureRow,
    Fix,
    Incident,
    LimitRow,
    OverviewState,
    QueueState,
    Remedy,
)
from desktop.presenters.overview import OverviewPresenter
from desktop.theme import colours
from desktop.views.discreet import Discreet
from desktop.views.graphs import Graph, RangeBar
from desktop.views.page import Deed, Page
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    AmountLabel,
    Card,
    EmptyState,
    Heading,
    Sparkline,
    TextLabel,
    Tone,
    action_button,
    draw_shape,
    tone_of,
)

INCIDENTS_SHOWN: Final = 3
TITLE: Final = "No peers yet"
TEXT: Final = (
    "A node moves packets between its peers. Add the first one, or start the practice network: "
    "neighbours, customers and a test chain on this machine, to look around with play money."
)
PRACTICE_TITLE: Final = "The practice network is starting…"
PRACTICE_TEXT: Final = (
    "Neighbours, customers and a test chain, each a program of its own on this machine. It takes "
    "about fifteen seconds, and all of it is gone when it is closed."
)
GRAPH_HEIGHT: Final = 110
"""At the least: the whole page is seen at once in a window of 1280 × 800."""
WORDS_WIDTH_MAX: Final = 190
TRENDS_WIDTH_MIN: Final = 900
"""A page that is narrower has no room for the trends beside the limits."""


@final
class OverviewPage(Page):
    """What needs you, what is owed, and how the node does."""

    key = "overview"
    title = "Overview"
    icon = "overview"

    def __init__(self, presenter: OverviewPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.overview = presenter
        self.empty = _empty_state()
        self.add_button = self.empty.add_button("Add a peer", primary=True)
        self.practice_button = self.empty.add_button("Start the practice network")
        self.content = _Content(presenter)
        self.needs_you = _NeedsYou()
        self._first = QWidget()
        first = QVBoxLayout(self._first)
        first.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        first.addWidget(self.needs_you)
        first.addWidget(self.empty, 1)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.content)
        self._stack.addWidget(self._first)

        self.add_button.clicked.connect(presenter.peer_wanted)
        self.practice_button.clicked.connect(presenter.start_practice)
        presenter.practice_changed.connect(self._show_practice)
        presenter.state_changed.connect(self._show)
        self.content.fixed.connect(self._fix)
        self.needs_you.fixed.connect(self._fix)
        self._show_practice(presenter.can_practise, "")

    def pose(self) -> None:
        """Look back five minutes: enough to see something of a node that was just started."""
        self.overview.show_range(300)

    def deeds(self) -> Sequence[Deed]:
        return (
            Deed(
                title="Start the practice network",
                act=self.overview.start_practice,
                words="demo try",
                possible=lambda: self.overview.can_practise,
            ),
        )

    def _show(self, state: OverviewState) -> None:
        self._stack.setCurrentWidget(self.content if state.has_peers else self._first)
        self.needs_you.setVisible(bool(state.incidents))
        self.needs_you.show_incidents(state.incidents)
        self.content.show_state(state)

    def _show_practice(self, available: bool, progress: str) -> None:  # noqa: FBT001 # a signal's
        self.empty.say(*((PRACTICE_TITLE, PRACTICE_TEXT) if progress else (TITLE, TEXT)))
        self.add_button.setVisible(not progress)
        self.practice_button.setVisible(available or bool(progress))
        self.practice_button.setEnabled(available and not progress)
        self.practice_button.setText(progress or "Start the practice network")

    def _fix(self, fix: Fix) -> None:
        if fix.remedy is Remedy.SETTLE:
            self.overview.settle(fix.target)
        elif fix.remedy is Remedy.RESTART:
            self.overview.restart(fix.target)
        else:
            self.navigated.emit(fix.page, fix.target)


def _empty_state() -> EmptyState:
    return EmptyState("peers", TITLE, TEXT)


@final
class _Content(QScrollArea):
    fixed = Signal(object)
    """A Fix was chosen."""

    def __init__(self, presenter: OverviewPresenter) -> None:
        super().__init__()
        self.setAccessibleName("Overview")
        self.setWidgetResizable(True)
        body = QWidget()
        self.setWidget(body)
        layout = QVBoxLayout(body)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.setSpacing(12)

        self.needs_you = _NeedsYou()
        self.needs_you.fixed.connect(self.fixed)
        layout.addWidget(self.needs_you)

        bar = QHBoxLayout()
        self.since_start = TextLabel(role="muted", elide=True)
        self.ranges = RangeBar(presenter.range_seconds)
        self.ranges.chosen.connect(presenter.show_range)
        presenter.range_changed.connect(self.ranges.show_range)
        bar.addWidget(self.since_start, 1)
        bar.addWidget(self.ranges)
        layout.addLayout(bar)

        self.throughput = Graph()
        self.rejects = Graph(empty="Nothing was rejected in this range")
        self.exposure_graph = Graph(empty="Nothing is owed either way", of_amounts=True)
        presenter.throughput_changed.connect(self.throughput.show_data)
        presenter.rejects_changed.connect(self.rejects.show_data)
        presenter.exposure_changed.connect(self.exposure_graph.show_data)
        self.exposure = _ExposureCard(presenter)
        self.queue = _QueueCard()
        self.limits = _LimitsCard()
        self.limits.chosen.connect(
            lambda username: self.fixed.emit(Fix("", Remedy.OPEN, "peers", username))
        )
        self.queue.opened.connect(
            lambda: self.fixed.emit(Fix("", Remedy.OPEN, "settlements", ""))
        )

        # Two columns, each as high as the window: the graphs take what the figures leave.
        self.exposure_graph_card = _graph_card("Exposure", self.exposure_graph)
        columns = QHBoxLayout()
        columns.setSpacing(12)
        for cards in (
            (
                (_graph_card("Packets a second", self.throughput), 1),
                (self.exposure, 0),
                (self.exposure_graph_card, 1),
            ),
            (
                (self.limits, 0),
                (self.queue, 0),
                (_graph_card("Rejects a minute, by code", self.rejects), 1),
            ),
        ):
            column = QVBoxLayout()
            column.setSpacing(12)
            for card, stretch in cards:
                column.addWidget(card, stretch)
            columns.addLayout(column, 1)
        layout.addLayout(columns, 1)
        self.exposure.asset_shown.connect(
            lambda code: self.exposure_graph_card.title.setText(f"Exposure in {code}")
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.limits.set_narrow(self.viewport().width() < TRENDS_WIDTH_MIN)
        super().resizeEvent(event)

    def show_state(self, state: OverviewState) -> None:
        self.needs_you.show_incidents(state.incidents)
        self.since_start.setText(state.since_start)
        self.exposure.show_rows(state.exposures)
        self.queue.show_queue(state.queue)
        self.limits.show_rows(state.limits)


def _graph_card(title: str, graph: Graph) -> Card:
    card = Card(title)
    graph.setMinimumHeight(GRAPH_HEIGHT)
    # What pyqtgraph would like to have is half a screen: it gets what is left.
    graph.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
    card.body.addWidget(graph, 1)
    return card


# --- What needs the operator


@final
class _NeedsYou(Card):
    fixed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Incident, ...] | None = None
        self._all = False
        self._title = Heading("", steps=1)
        self.more = action_button("")
        self.more.clicked.connect(self._toggle)
        self.head.addWidget(self._title, 1)
        self.head.addWidget(self.more)
        self.body.addLayout(self.head)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(SPACE)
        self.body.addLayout(self._rows)
        self._incidents: Sequence[Incident] = ()
        self.show_incidents(())

    def show_incidents(self, incidents: Sequence[Incident]) -> None:
        """Show these; nothing is rebuilt where nothing is different."""
        self._incidents = incidents
        shown = tuple(incidents if self._all else incidents[:INCIDENTS_SHOWN])
        hidden = len(incidents) - INCIDENTS_SHOWN
        self.more.setVisible(hidden > 0)
        self.more.setText("Show fewer" if self._all else f"Show {hidden} more")
        if shown == self._shown:
            return
        self._shown = shown
        count = len(incidents)
        self._title.setText(
            "All is well"
            if not count
            else "1 thing needs you"
            if count == 1
            else f"{count} things need you"
        )
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for incident in shown:
            row = _IncidentRow(incident)
            row.fixed.connect(self.fixed)
            self._rows.addWidget(row)

    def _toggle(self) -> None:
        self._all = not self._all
        self._shown = None
        self.show_incidents(self._incidents)


@final
class _Shape(QWidget):
    def __init__(self, tone: Tone) -> None:
        super().__init__()
        self._tone = tone
        self.setFixedSize(14, 14)

    def paintEvent(self, _event: QPaintEvent) -> None:
        colour = self._tone.colour(colours(self.palette()))
        draw_shape(QPainter(self), self._tone, QRectF(2, 2, 10, 10), colour)


@final
class _IncidentRow(QWidget):
    fixed = Signal(object)

    def __init__(self, incident: Incident) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(_Shape(tone_of(incident.mood)))
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(TextLabel(incident.title, wrap=True))
        words.addWidget(TextLabel(incident.detail, role="muted", wrap=True))
        layout.addLayout(words, 1)
        for fix in incident.fixes:
            button = action_button(fix.label)
            button.setAccessibleName(f"{fix.label}: {incident.title}")
            button.clicked.connect(lambda _checked, fix=fix: self.fixed.emit(fix))
            layout.addWidget(button)


# --- What is owed

_OWED_COLUMNS: Final = (
    ("Owed to you", "By all peers that owe you on balance, added up"),
    ("You owe", "To all peers whom you owe on balance, added up"),
    ("In flight", "In packets that wait for their answer"),
)


@final
class _ExposureCard(Card):
    asset_shown = Signal(str)

    def __init__(self, presenter: OverviewPresenter) -> None:
        super().__init__("What is owed")
        self._presenter = presenter
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(10)
        self._grid.setColumnStretch(5, 1)
        self.body.addLayout(self._grid)
        self.body.addStretch()
        self._cells: list[tuple[Any, ...]] = []
        for column, (text, meaning) in enumerate(_OWED_COLUMNS, 1):
            head = _column_head(text)
            head.setToolTip(meaning)
            self._grid.addWidget(head, 0, column)
        self._undecided = _column_head("Undecided")
        self._grid.addWidget(self._undecided, 0, 4)

    def show_rows(self, rows: Sequence[ExposureRow]) -> None:
        """Show a line for each asset; a click on one draws its graph."""
        while len(self._cells) < len(rows):
            self._add_line(len(self._cells) + 1)
        for cells in self._cells[len(rows) :]:
            for cell in cells:
                cell.hide()
        for (code, to_us, by_us, in_flight, unknown, bar), row in zip(
            self._cells, rows, strict=False
        ):
            code.setText(row.code)
            code.setProperty("scale", row.scale)
            to_us.setText(row.owed_to_us)
            by_us.setText(row.owed_by_us)
            in_flight.setText(row.in_flight)
            unknown.setText(row.unknown or "–")
            unknown.set_role("warn" if row.unknown else "muted")
            bar.show_share(row.share_to_us)
            for cell in (code, to_us, by_us, in_flight, bar):
                cell.show()
        undecided = any(row.unknown for row in rows)
        self._undecided.setVisible(undecided)
        for cells in self._cells[: len(rows)]:
            cells[4].setVisible(undecided)
        asset = self._presenter.asset
        for cells in self._cells:
            cells[0].setChecked(asset is not None and cells[0].text() == asset.code)
        if asset is not None:
            self.asset_shown.emit(asset.code)

    def _add_line(self, line: int) -> None:
        code = action_button("")
        code.setProperty("kind", "range")
        code.setCheckable(True)
        code.setToolTip("Draw the exposure in this asset")
        code.clicked.connect(lambda: self._choose(code.text(), code.property("scale")))
        cells = (
            code,
            AmountLabel(role="owed_to_us"),
            AmountLabel(role="owed_by_us"),
            AmountLabel(role="muted"),
            AmountLabel(role="muted"),
            _ShareBar(),
        )
        for column, cell in enumerate(cells):
            self._grid.addWidget(cell, line, column)
        self._cells.append(cells)

    def _choose(self, code: str, scale: int) -> None:
        self._presenter.show_asset(code, scale)
        self.asset_shown.emit(code)


def _column_head(text: str) -> TextLabel:
    label = TextLabel(text, role="muted")
    label.setAlignment(Qt.AlignmentFlag.AlignRight)
    return label


@final
class _ShareBar(QWidget):
    """How what is owed to us compares to what we owe."""

    def __init__(self) -> None:
        super().__init__()
        self._share: float | None = None
        self.setMinimumWidth(24)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(8)

    def show_share(self, share: float | None) -> None:
        self._share = share
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        look = colours(self.palette())
        painter = QPainter(self)
        if self._share is None:
            painter.fillRect(self.rect(), QColor(look.grid))
            return
        split = round(self.width() * self._share)
        painter.fillRect(0, 0, max(0, split - 1), self.height(), QColor(look.owed_to_us))
        painter.fillRect(
            split + 1,
            0,
            max(0, self.width() - split - 1),
            self.height(),
            QColor(look.owed_by_us),
        )


# --- Who is near a limit


@final
class _LimitsCard(Card):
    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__("Peers by how near their limit is")
        self.lines: list[_LimitLine] = []
        self._is_narrow = False
        self._list = QVBoxLayout()
        self._list.setSpacing(2)
        self.body.addLayout(self._list)
        self._none = TextLabel("No peer has a limited credit with you.", role="muted")
        self.body.addWidget(self._none)
        self.body.addStretch()

    def set_narrow(self, is_narrow: bool) -> None:  # noqa: FBT001 # says what its name says
        """Leave away what there is no room for, so that nothing of the page is cut."""
        if is_narrow != self._is_narrow:
            self._is_narrow = is_narrow
            self._show_what_fits()

    def _show_what_fits(self) -> None:
        # Where somebody hurries there is no room for all, and the pace tells more.
        hurries = any(line.pace_width for line in self.lines if not line.isHidden())
        for line in self.lines:
            line.trend.setVisible(not hurries and not self._is_narrow)
            line.words.setVisible(not (hurries and self._is_narrow))

    def show_rows(self, rows: Sequence[LimitRow]) -> None:
        while len(self.lines) < len(rows):
            line = _LimitLine()
            line.chosen.connect(self.chosen)
            self.lines.append(line)
            self._list.addWidget(line)
        for line, row in zip(self.lines, rows, strict=False):
            line.show_row(row)
            line.show()
        # One width for all: amounts are not cut while there is room, and the bars can be compared.
        shown = self.lines[: len(rows)]
        words = max((line.words_width for line in shown), default=0)
        pace = max((line.pace_width for line in shown), default=0)
        for line in shown:
            line.words.setFixedWidth(min(words, WORDS_WIDTH_MAX))
            line.pace.setFixedWidth(pace)
        for line in self.lines[len(rows) :]:
            line.hide()
        self._show_what_fits()
        self._none.setVisible(not rows)


@final
class _LimitLine(Discreet, QWidget):
    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._row: LimitRow | None = None
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(SPACE)
        self.name = TextLabel(elide=True)
        self.name.setFixedWidth(88)
        self.name.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.percent = AmountLabel()
        self.percent.setFixedWidth(46)
        self.bar = _LimitBar()
        self.trend = Sparkline(width=56)
        self.words = TextLabel(role="muted", elide=True)
        self.words.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.pace = TextLabel(role="muted")
        for widget, stretch in (
            (self.name, 0), (self.bar, 1), (self.percent, 0), (self.trend, 0), (self.words, 0),
            (self.pace, 0),
        ):  # fmt: skip
            widget.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            layout.addWidget(widget, stretch)

    @property
    def words_width(self) -> int:
        """How much room the amounts need."""
        words = "" if self._row is None else self._row.words
        return self.words.fontMetrics().horizontalAdvance(words) + 2

    @property
    def pace_width(self) -> int:
        """How much room it needs to say when the limit is reached; none where it is not coming nearer."""
        return self.pace.fontMetrics().horizontalAdvance(self.pace.text())

    def show_row(self, row: LimitRow) -> None:
        self._row = row
        self.name.setText(row.name)
        self.percent.setText(f"{row.percent}\u00a0%")
        self.percent.set_role("text" if row.mood.value == "ok" else row.mood.value)
        self.bar.show_percent(row.percent, tone_of(row.mood))
        self.trend.show_values(row.trend)
        self.words.setText(row.words)
        self.pace.setText(row.pace)
        self.pace.set_role("muted" if row.mood.value == "ok" else row.mood.value)
        self.setAccessibleName(
            f"{row.name}: {row.percent} % of its limit, {row.words} {row.pace}"
        )

    def mouseReleaseEvent(self, _event: object) -> None:
        if self._row is not None:
            self.chosen.emit(self._row.username)

    def keyPressEvent(self, event: Any) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Space) and self._row is not None:
            self.chosen.emit(self._row.username)
        else:
            super().keyPressEvent(event)


@final
class _LimitBar(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._percent = 0
        self._tone = Tone.OK
        self.setMinimumWidth(40)
        self.setFixedHeight(8)

    def show_percent(self, percent: int, tone: Tone) -> None:
        self._percent, self._tone = percent, tone
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(90, 8)

    def paintEvent(self, _event: QPaintEvent) -> None:
        look = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        box = QRectF(self.rect())
        painter.setBrush(QColor(look.grid))
        painter.drawRoundedRect(box, 4, 4)
        width = box.width() * min(100, self._percent) / 100
        if width >= 1:
            colour = look.accent if self._tone is Tone.OK else self._tone.colour(look)
            painter.setBrush(QColor(colour))
            painter.drawRoundedRect(QRectF(0, 0, max(width, 8), box.height()), 4, 4)


# --- Settlement


@final
class _QueueCard(Card):
    opened = Signal()

    def __init__(self) -> None:
        super().__init__("Settlement")
        button = action_button("Show all")
        button.clicked.connect(self.opened)
        self.head.addWidget(button)
        row = QHBoxLayout()
        row.setSpacing(32)
        self.due = _Figure("due")
        self.under_way = _Figure("under way")
        self.failed = _Figure("failed")
        for figure in (self.due, self.under_way, self.failed):
            row.addWidget(figure)
        row.addStretch()
        self.body.addLayout(row)
        self.oldest = TextLabel(role="muted", elide=True)
        self.body.addWidget(self.oldest)
        self.body.addStretch()

    def show_queue(self, queue: QueueState) -> None:
        self.due.show_count(queue.due, "text")
        self.under_way.show_count(queue.under_way, "text")
        self.failed.show_count(queue.failed, "bad" if queue.failed else "text")
        self.oldest.setText(
            f"The oldest under way has been so for {queue.oldest}."
            if queue.oldest
            else "None is under way."
        )


@final
class _Figure(QWidget):
    def __init__(self, words: str) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self.count = Heading("0", steps=6)
        layout.addWidget(self.count)
        layout.addWidget(TextLabel(words, role="muted"))

    def show_count(self, count: int, role: str) -> None:
        self.count.setText(str(count))
        self.count.set_role(role)
