"""What the routes page shows beside its table: the routes as a tree, route exchange by peer, and changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QHBoxLayout,
    QStackedWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.route_exchange import (
    CHANGE_COLUMN,
    CHILDREN_MAX,
    STATE_COLUMN,
    Branch,
    ChangeRow,
    ExchangeRow,
    RouteTree,
    Why,
)
from desktop.models.routes import DEFAULT_TEXT, SOURCE_TEXTS, RouteRow
from desktop.models.table import TableModel
from desktop.views.cells import ToneCell
from desktop.views.detail import DetailPanel
from desktop.views.tables import copy, selected_text, show_menu, table_action
from desktop.views.widgets import MARGIN, SPACE, TableView, TextLabel, Tone, action_button

EXCHANGE_TONES: Final = {
    "off": Tone.PLAIN,
    "asking": Tone.WARN,
    "in step": Tone.OK,
    "catching up": Tone.WARN,
    "silent": Tone.BAD,
    "static": Tone.PLAIN,
    "failing": Tone.BAD,
    "paused": Tone.PAUSED,
}
CHANGE_TONES: Final = {"added": Tone.OK, "moved": Tone.WARN, "withdrawn": Tone.BAD}
_BRANCH: Final = int(Qt.ItemDataRole.UserRole)


@final
class RouteTreeView(QTreeWidget):
    """The routes by the segments of their prefixes; a branch is filled when it is opened."""

    chosen = Signal(object)
    """The RouteRow at the branch that is selected, or None."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Routes as a tree")
        self.setHeaderLabels(["Address", "Routes", "Next hop", "Why it is there"])
        self.setUniformRowHeights(True)
        self.setFrameShape(QTreeWidget.Shape.NoFrame)
        self.setColumnWidth(0, 320)
        self.setColumnWidth(1, 90)
        self.setColumnWidth(2, 180)
        self.header().setStretchLastSection(True)
        self.header().setFixedHeight(30)
        self.headerItem().setTextAlignment(
            1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
        self._branches: dict[int, Branch] = {}
        self._open: set[str] = {""}
        self.itemExpanded.connect(self._opened)
        self.itemCollapsed.connect(lambda item: self._open.discard(self._branch(item).prefix))
        self.currentItemChanged.connect(self._choose)

    def show_tree(self, tree: RouteTree) -> None:
        """Show these routes; what was open stays open."""
        kept, self._open = self._open, {""}
        self.clear()
        self._branches.clear()
        root = tree.root
        if root.route is not None:
            self._add(None, Branch(DEFAULT_TEXT, "", route=root.route, routes=1))
        for branch in root.ordered[:CHILDREN_MAX]:
            self._add(None, branch)
        self._reopen(kept)

    def _reopen(self, prefixes: set[str]) -> None:
        waiting = [self.topLevelItem(i) for i in range(self.topLevelItemCount())]
        while waiting:
            item = waiting.pop()
            if item is not None and (
                self._branch(item).prefix in prefixes or len(prefixes) == 1
            ):
                item.setExpanded(True)
                if len(prefixes) > 1:
                    waiting += [item.child(i) for i in range(item.childCount())]

    def _add(self, parent: QTreeWidgetItem | None, branch: Branch) -> None:
        item = QTreeWidgetItem()
        route = branch.route
        item.setText(0, branch.name)
        item.setText(1, formatting.count(branch.routes))
        item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if route is not None:
            item.setText(2, route.name or route.next_hop)
            item.setText(3, SOURCE_TEXTS.get(route.source, route.source))
        item.setToolTip(0, formatting.tooltip(branch.prefix or DEFAULT_TEXT))
        item.setData(0, _BRANCH, len(self._branches))
        self._branches[len(self._branches)] = branch
        if branch.children:
            item.setChildIndicatorPolicy(QTreeWidgetItem.ChildIndicatorPolicy.ShowIndicator)
        if parent is None:
            self.addTopLevelItem(item)
        else:
            parent.addChild(item)

    def _branch(self, item: QTreeWidgetItem) -> Branch:
        place = item.data(0, _BRANCH)
        return self._branches[place] if place is not None else Branch("", "")

    def _opened(self, item: QTreeWidgetItem) -> None:
        branch = self._branch(item)
        self._open.add(branch.prefix)
        if item.childCount():
            return
        children = branch.ordered
        for child in children[:CHILDREN_MAX]:
            self._add(item, child)
        if (left := len(children) - CHILDREN_MAX) > 0:
            more = QTreeWidgetItem([f"… and {formatting.count(left)} more"])
            more.setFlags(Qt.ItemFlag.NoItemFlags)
            item.addChild(more)

    def _choose(self, item: QTreeWidgetItem | None) -> None:
        self.chosen.emit(None if item is None else self._branch(item).route)


class _Listing(QWidget):
    """A table with words in its place while it is empty, and a bar below."""

    def __init__(self, title: str, model: TableModel[Any], nothing: str) -> None:
        super().__init__()
        self.table = TableView(model)
        self.table.setAccessibleName(title)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        empty = TextLabel(nothing, role="muted")
        empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.table)
        self._stack.addWidget(empty)
        self._model = model
        self.bar = QHBoxLayout()
        self.bar.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        self.bar.setSpacing(SPACE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._stack, 1)
        layout.addLayout(self.bar)
        self._actions = [
            table_action(
                self.table,
                "Copy rows",
                QKeySequence.StandardKey.Copy,
                lambda: copy(selected_text(self.table)),
            )
        ]
        self.table.customContextMenuRequested.connect(self._show_menu)
        model.counts_changed.connect(self._show_or_say)
        self._show_or_say()

    def _show_or_say(self) -> None:
        self._stack.setCurrentIndex(0 if self._model.total else 1)

    def _show_menu(self, place: QPoint) -> None:
        if self.table.selected_rows:
            show_menu(self.table, [*self._actions], place)


@final
class ExchangeTab(_Listing):
    """Whom routes are exchanged with, and how that stands."""

    asked = Signal(object)
    """The usernames of those who are to tell all of their routes again."""

    def __init__(self, model: TableModel[ExchangeRow]) -> None:
        super().__init__(
            "Route exchange", model, "There is nobody to exchange routes with yet."
        )
        self.table.setItemDelegateForColumn(
            STATE_COLUMN,
            ToneCell(
                lambda row: EXCHANGE_TONES.get(row.state, Tone.PLAIN),
                lambda row: row.state.capitalize(),
                self.table,
            ),
        )
        self.ask_button = action_button("Ask for all routes")
        self.ask_button.setToolTip("Forget how far its table is known, and ask for all of it")
        self.ask_button.setEnabled(False)
        self.bar.addWidget(
            TextLabel("Epochs, table ids and times are in the details of a row.", role="muted"),
            1,
        )
        self.bar.addWidget(self.ask_button)
        self.table.chosen.connect(self._enable)
        self.ask_button.clicked.connect(lambda: self.asked.emit(self._askable()))

    def _askable(self) -> list[str]:
        return [row.username for row in self.table.selected_rows if row.can_be_asked]

    def _enable(self) -> None:
        self.ask_button.setEnabled(bool(self._askable()))


@final
class ChangesTab(_Listing):
    """What became of the best learned routes, the newest on top."""

    def __init__(self, model: TableModel[ChangeRow]) -> None:
        super().__init__(
            "Changes of routes", model, "No route was learned or lost since the node started."
        )
        self.table.setItemDelegateForColumn(
            CHANGE_COLUMN,
            ToneCell(
                lambda row: CHANGE_TONES.get(row.kind),
                lambda row: row.kind.capitalize(),
                self.table,
            ),
        )
        self.bar.addWidget(
            TextLabel("The newest 2 000 changes of this process.", role="muted"), 1
        )


# --- What the inspector says


def show_route(panel: DetailPanel, row: RouteRow, why: Why | None) -> None:
    """Show a route, and the ways that there are beside it."""
    facts = [
        ("Prefix", row.prefix_text),
        ("Next hop", row.name or row.next_hop),
        ("Why it is there", SOURCE_TEXTS.get(row.source, row.source)),
        ("Path", " → ".join(row.path) or formatting.NOTHING),
    ]
    ways = () if why is None else why.ways
    panel.show_details(
        row.prefix_text,
        ("Learned", Tone.OK) if row.source == "learned" else ("Set here", Tone.PLAIN),
        facts,
        advice="\n".join(way.words for way in ways),
        advice_title=_count_of_ways(ways),
    )


def _count_of_ways(ways: Sequence[object]) -> str:
    return "The only way there is" if len(ways) == 1 else f"Why this of {len(ways)} ways"


def show_exchange(panel: DetailPanel, row: ExchangeRow) -> None:
    """Show route exchange with one peer."""

    def when(at_ms: int | None) -> str:
        return "never" if at_ms is None else formatting.moment(at_ms)

    facts = [
        ("Relation", row.relation),
        ("It is told routes", "yes" if row.told else "no"),
        ("Its routes are taken", "yes" if row.taken else "no"),
        ("It wants routes", "yes" if row.wants_routes else "no"),
        ("Its table", row.their_table_id or formatting.NOTHING),
        ("Known of it", f"{row.their_epoch} of {row.their_current_epoch}"),
        ("Our table", row.our_table_id or formatting.NOTHING),
        ("It knows", f"{row.our_epoch} of {row.our_current_epoch}"),
        ("Learned", f"{row.learned}, at most {row.routes_max}"),
        ("In use", str(row.used)),
        ("Refused", str(row.refused)),
        ("Damped", str(row.damped)),
        ("Told", str(row.advertised)),
        ("Last heard", when(row.last_update_at_ms)),
        (
            "Withdrawn at",
            "never" if row.expires_at_ms is None else formatting.moment(row.expires_at_ms),
        ),
        ("Last told", when(row.last_sent_at_ms)),
    ]
    panel.show_details(
        row.name,
        (row.state.capitalize(), EXCHANGE_TONES.get(row.state, Tone.PLAIN)),
        facts,
        advice=row.problem or row.sentence,
        advice_title="What is wrong" if row.problem else "How it stands",
    )


def show_change(panel: DetailPanel, row: ChangeRow) -> None:
    """Show one change."""
    panel.show_details(
        row.prefix,
        (row.kind.capitalize(), CHANGE_TONES.get(row.kind, Tone.PLAIN)),
        [
            ("Time", formatting.exact_moment(row.at_ms)),
            ("Before", row.before or "no route"),
            ("After", row.after or "no route"),
            ("Path", " → ".join(row.path) or formatting.NOTHING),
        ],
        advice=row.reason,
        advice_title="Why",
    )
