"""The peers page: the table, what can be done with its rows, and the editor in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from desktop.models import peers as columns
from desktop.models.peer_filter import HINT
from desktop.models.peers import PeerDetail, PeerRow
from desktop.presenters.peers import PeersPresenter
from desktop.views.auto_peer_dialog import AutoPeerDialog
from desktop.views.cells import BalanceCell, GaugeCell, TrendCell, state_cell
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.page import Deed, Page
from desktop.views.peer_editor import PeerEditor
from desktop.views.peer_inspector import PeerInspector
from desktop.views.settle_dialog import SettleDialog
from desktop.views.states import States
from desktop.views.tables import GrowColumns, copy, count_words, show_menu, table_action
from desktop.views.tokens_dialog import TokensDialog
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    EmptyState,
    FilterLine,
    TableView,
    TextLabel,
    action_button,
    type_into,
)

KEYS: Final = "p ping · s settle · e edit · o pause or resume · v packets · Del delete"
ROW_HEIGHT: Final = 34


@final
class PeersPage(Page):
    """Every peer in a row."""

    key = "peers"
    title = "Peers"
    icon = "peers"

    def __init__(self, presenter: PeersPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.peers = presenter
        self.filter_line = FilterLine(f"Filter: {HINT}")
        self.count = TextLabel(role="muted")
        self.filter_problem = TextLabel(role="bad", wrap=True)
        self.add_button = action_button("Add peer", primary=True)
        self.auto_button = action_button("Peer automatically…")
        self.auto_button.setToolTip("With a node that takes peers by itself, as Rafiki does")
        self.add_button.setToolTip("Ctrl+N")
        self.table = TableView(presenter.model, row_height=ROW_HEIGHT)
        self.table.setAccessibleName("Peers")
        empty = EmptyState(
            "peers",
            "No peers yet",
            "A peer is another node that you exchange packets with. Agree on an asset, a credit "
            "limit and two tokens, and add it here.",
        )
        self.empty_add_button = empty.add_button("Add a peer", primary=True)
        self.empty_auto_button = empty.add_button("Peer automatically…")
        self.states = States(self._content(), empty)
        self.editor = PeerEditor(presenter.editor)
        self.peer_inspector = PeerInspector()
        self.inspector = self.peer_inspector
        self._stack = QStackedWidget()
        self._stack.addWidget(self.states)
        self._stack.addWidget(self.editor)
        self.setFocusProxy(self.table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        GrowColumns(self.table, {columns.BALANCE: lambda row: row.words})
        self._wanted = ""
        self._actions = self._make_actions()
        self._connect()
        self._count()

    # --- What the window calls

    def open(self, target: str) -> None:
        """Select this peer, also where the filter leaves it out."""
        self._stack.setCurrentWidget(self.states)
        if self.filter_line.text() and self.peers.model.place_of(target) is None:
            self.filter_line.clear()
            self.peers.filter("")
        self._wanted = "" if self.table.select_key(target) else target

    def focus_filter(self) -> None:
        type_into(self.filter_line)

    def add(self) -> None:
        """Open the editor with an empty form."""
        self.peers.editor.begin_new()

    def deeds(self) -> Sequence[Deed]:
        return (
            Deed(
                title="Peer automatically…",
                act=self.peer_automatically,
                words="auto-peer add rafiki",
            ),
        )

    def peer_automatically(self) -> None:
        """Ask for what is offered to a node that takes peers by itself."""
        presenter = self.peers.auto_peer
        dialog = AutoPeerDialog(presenter, self.peers.auto_peer_form(), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.shown.connect(self.open)
        dialog.open()

    # --- How it is built

    def _content(self) -> QWidget:
        content = QWidget()
        bar = QHBoxLayout()
        bar.setContentsMargins(MARGIN, 12, MARGIN, SPACE)
        bar.setSpacing(SPACE)
        bar.addWidget(self.filter_line, 1)
        bar.addWidget(self.count)
        bar.addWidget(self.auto_button)
        bar.addWidget(self.add_button)
        self.filter_problem.setContentsMargins(MARGIN, 0, MARGIN, SPACE)
        self.filter_problem.hide()
        self.table.setItemDelegateForColumn(columns.STATE, state_cell(self.table))
        self.table.setItemDelegateForColumn(columns.GAUGE, GaugeCell(self.table))
        self.table.setItemDelegateForColumn(columns.BALANCE, BalanceCell(self.table))
        self.table.setItemDelegateForColumn(columns.TREND, TrendCell(self.table))
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        keys = TextLabel(KEYS, role="muted")
        keys.setContentsMargins(MARGIN, 6, MARGIN, 6)
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.filter_problem)
        layout.addWidget(self.table, 1)
        layout.addWidget(keys)
        return content

    def _make_actions(self) -> list[QAction | None]:
        table = self.table
        self.settle_action = table_action(table, "Settle now…", "S", self._settle)
        self.pause_action = table_action(table, "Pause", "O", self._pause)
        of_one = (
            table_action(table, "Ping", "P", lambda: self.peers.ping(self._usernames())),
            self.settle_action,
            self.pause_action,
            table_action(table, "Edit…", "E", self._edit),
            table_action(table, "Show packets", "V", self._show_packets),
        )
        for action in of_one:
            # Whoever has just pressed a button of the inspector is there with the focus.
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            self.peer_inspector.addAction(action)
        return [
            *of_one,
            None,
            table_action(table, "Copy rows", QKeySequence.StandardKey.Copy, self._copy_rows),
            table_action(table, "Copy as JSON", "Ctrl+Shift+C", self._copy_json),
            table_action(table, "Copy ILP address", "", self._copy_address),
            None,
            table_action(table, "Delete…", QKeySequence.StandardKey.Delete, self._delete),
        ]

    def _connect(self) -> None:
        presenter = self.peers
        presenter.loaded_changed.connect(self.states.set_loaded)
        presenter.problem_changed.connect(self.states.set_problem)
        presenter.model.counts_changed.connect(self._count)
        presenter.refreshed.connect(self._refreshed)
        presenter.filter_problem_changed.connect(self._show_filter_problem)
        presenter.detail_changed.connect(self._show_detail)
        presenter.balance_changed.connect(self.peer_inspector.graph.show_data)
        presenter.pinged.connect(self._show_ping)
        presenter.editor.begun.connect(self._show_editor)
        presenter.editor.ended.connect(self._hide_editor)
        presenter.editor.saved.connect(self._saved)
        presenter.editor.tokens_made.connect(self._show_tokens)
        self.states.retried.connect(presenter.refresh)
        self.filter_line.filtered.connect(presenter.filter)
        self.add_button.clicked.connect(self.add)
        self.auto_button.clicked.connect(self.peer_automatically)
        self.empty_auto_button.clicked.connect(self.peer_automatically)
        self.empty_add_button.clicked.connect(self.add)
        self.table.chosen.connect(self._choose)
        self.table.opened.connect(lambda row: presenter.editor.begin_edit(row.username))
        self.table.customContextMenuRequested.connect(self._show_menu)
        inspector = self.peer_inspector
        inspector.edit_wanted.connect(self._edit)
        inspector.ping_wanted.connect(lambda: presenter.ping(self._usernames()))
        inspector.settle_wanted.connect(self._settle)
        inspector.pause_wanted.connect(self._pause)
        inspector.packets_wanted.connect(self._show_packets)
        inspector.range_wanted.connect(presenter.show_range)

    # --- What the presenter tells

    def _count(self) -> None:
        model = self.peers.model
        self.states.set_empty(is_empty=model.total == 0)
        self.count.setText(count_words(model.shown, model.total, "peer"))

    def _refreshed(self) -> None:
        if self._wanted and self.table.select_key(self._wanted):
            self._wanted = ""

    def _show_filter_problem(self, problem: str) -> None:
        self.filter_line.set_problem(problem)
        self.filter_problem.setText(problem)
        self.filter_problem.setVisible(bool(problem))

    def _show_detail(self, detail: object) -> None:
        assert detail is None or isinstance(detail, PeerDetail)
        self.peer_inspector.show_detail(detail)

    def _show_ping(self, username: str, answered: bool, sentence: str) -> None:  # noqa: FBT001 # a signal's
        if username == self.peers.selected:
            self.peer_inspector.show_ping(username, answered=answered, sentence=sentence)

    def _show_editor(self, _texts: object) -> None:
        self.want_inspector(False)
        self._stack.setCurrentWidget(self.editor)
        self.editor.focus_first()

    def _hide_editor(self) -> None:
        self._stack.setCurrentWidget(self.states)
        self.want_inspector(bool(self.table.selected_rows))
        self.table.setFocus()

    def _saved(self, username: str, _before: object) -> None:
        self._wanted = username

    def _show_tokens(self, name: str, tokens: Sequence[tuple[str, str]]) -> None:
        dialog = TokensDialog(name, tokens, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    # --- What the operator does

    def _usernames(self) -> Sequence[str]:
        return [row.username for row in self.table.selected_rows]

    def _choose(self, row: object) -> None:
        self.peers.select(row.username if isinstance(row, PeerRow) else "")
        rows: Sequence[PeerRow] = self.table.selected_rows
        paused = bool(rows) and all(not each.enabled for each in rows)
        self.pause_action.setText("Resume" if paused else "Pause")
        self.settle_action.setEnabled(len(rows) == 1)
        self.want_inspector(bool(rows) and self._stack.currentWidget() is self.states)

    def _pause(self) -> None:
        rows: Sequence[PeerRow] = self.table.selected_rows
        if rows:
            enabled = all(not row.enabled for row in rows)
            self.peers.set_enabled([row.username for row in rows], enabled=enabled)

    def _edit(self) -> None:
        if usernames := self._usernames():
            self.peers.editor.begin_edit(usernames[0])

    def _show_packets(self) -> None:
        if usernames := self._usernames():
            self.navigated.emit("traffic", usernames[0])

    def _settle(self) -> None:
        usernames = self._usernames()
        plan = self.peers.settle_plan(usernames[0]) if usernames else None
        if plan is not None:
            dialog = SettleDialog(plan, self.peers, self, plan_of=self.peers.settle_plan)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.confirmed.connect(self.peers.settle)
            self.peers.refreshed.connect(dialog.look_again)
            dialog.open()

    def _delete(self) -> None:
        usernames = self._usernames()
        plan = self.peers.delete_plan(usernames[0]) if usernames else None
        if plan is None:
            return
        dialog = ConfirmDialog(
            f"Delete {plan.name}?", plan.sentences, "Delete", self, typed=plan.typed_name
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        with_balance = bool(plan.typed_name)
        username = plan.username
        dialog.confirmed.connect(
            lambda: self.peers.delete(username, even_with_balance=with_balance)
        )
        dialog.open()

    def _copy_rows(self) -> None:
        copy(self.peers.copy_text(self._usernames()))

    def _copy_json(self) -> None:
        copy(self.peers.copy_json(self._usernames()))

    def _copy_address(self) -> None:
        if usernames := self._usernames():
            copy(self.peers.address_of(usernames[0]))

    def _show_menu(self, place: QPoint) -> None:
        if self._usernames():
            show_menu(self.table, self._actions, place)
