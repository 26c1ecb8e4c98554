"""The routes page: where a packet would go, the routing table, and what may be changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QTabWidget, QVBoxLayout, QWidget

from desktop import formatting
from desktop.models.route_exchange import ExchangeRow, Why
from desktop.models.routes import Answer, RouteRow, Sender
from desktop.presenters.palette import PING
from desktop.presenters.routes import RoutesPresenter
from desktop.views.detail import DetailPanel
from desktop.views.inputs import AmountEdit, Choice
from desktop.views.page import Deed, Page
from desktop.views.ping_dialog import PingDialog
from desktop.views.route_answer import RouteAnswerCard
from desktop.views.route_tabs import (
    ChangesTab,
    ExchangeTab,
    RouteTreeView,
    show_change,
    show_exchange,
    show_route,
)
from desktop.views.states import States
from desktop.views.tables import copy, count_words, selected_text, show_menu, table_action
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

NOBODY = ("", "nobody: turned away")


@final
class RoutesPage(Page):
    """A look-up on top, the table below."""

    key = "routes"
    title = "Routes"
    icon = "routes"

    def __init__(self, presenter: RoutesPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.routes = presenter
        self.destination = QLineEdit()
        self.amount = AmountEdit()
        self.sender_choice = Choice()
        self.look_up_button = action_button("Look up", primary=True)
        self.ping_button = action_button("Ping…")
        self.ping_button.setToolTip("Send a packet there, and see how long it takes")
        self.answer = RouteAnswerCard()
        self.filter_line = FilterLine("Filter: prefix or next hop")
        self.count = TextLabel(role="muted")
        self.prefix = QLineEdit()
        self.next_hop = Choice()
        self.add_button = action_button("Add route")
        self.default_choice = Choice((NOBODY,))
        self.table = TableView(presenter.model)
        self.table.setAccessibleName("Routes")
        empty = EmptyState(
            "routes",
            "No routes yet",
            "Each peer's own address becomes a route by itself. Add a peer, and set routes to what "
            "lies behind it here.",
        )
        self.empty_add_button = empty.add_button("Add a peer", primary=True)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tree = RouteTreeView()
        self.exchange_tab = ExchangeTab(presenter.exchange)
        self.changes_tab = ChangesTab(presenter.changes)
        self.detail = DetailPanel(
            "Select a route to see why it is taken.",
            copied=("Prefix", "Its table", "Our table"),
        )
        self.inspector = self.detail
        self._row: RouteRow | None = None
        self.states = States(self._content(), empty)
        self.setFocusProxy(self.table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.states)
        self._senders: Sequence[Sender] = ()
        self._actions = self._make_actions()
        self._connect()
        self._count()

    # --- What the window calls

    def open(self, target: str) -> None:
        """Ask where a packet to this address would go; ping it, where the word stands before it."""
        self.destination.setText(target.removeprefix(PING))
        if target.startswith(PING):
            self._ping()
        else:
            self._look_up()

    def focus_filter(self) -> None:
        type_into(self.filter_line)

    def deeds(self) -> Sequence[Deed]:
        return (
            Deed(
                title="Look up a route",
                act=lambda: type_into(self.destination),
                words="where would a packet go explain",
            ),
            Deed(title="Ping any address…", act=self._ping, words="echo test latency"),
            Deed(title="Add a route", act=self._begin_route, words="new prefix next hop"),
        )

    # --- How it is built

    def _content(self) -> QWidget:
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        top = QVBoxLayout()
        top.setContentsMargins(MARGIN, 12, MARGIN, SPACE)
        top.setSpacing(SPACE)
        top.addWidget(self._question())
        top.addWidget(self.answer)
        layout.addLayout(top)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        listing = QWidget()
        column = QVBoxLayout(listing)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._bar())
        column.addWidget(self.table, 1)
        column.addLayout(self._foot())
        for title, widget in (
            ("Table", listing),
            ("Tree", self.tree),
            ("Exchange", self.exchange_tab),
            ("Changes", self.changes_tab),
        ):
            self.tabs.addTab(widget, title)
        layout.addWidget(self.tabs, 1)
        return content

    def _question(self) -> Card:
        card = Card("Where would a packet go?")
        self.destination.setPlaceholderText("test.alice.bob — an ILP address")
        self.destination.setAccessibleName("Destination address")
        self.amount.setAccessibleName("Amount")
        self.amount.setPlaceholderText("1")
        self.amount.setFixedWidth(150)
        self.sender_choice.setAccessibleName("From")
        self.sender_choice.setFixedWidth(170)
        row = QHBoxLayout()
        row.setSpacing(SPACE)
        for words, widget in (
            ("to", self.destination),
            ("amount", self.amount),
            ("from", self.sender_choice),
        ):
            row.addWidget(TextLabel(words, role="muted"))
            row.addWidget(widget, 1 if widget is self.destination else 0)
        row.addWidget(self.look_up_button)
        row.addWidget(self.ping_button)
        card.body.addLayout(row)
        return card

    def _bar(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        bar.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        bar.setSpacing(SPACE)
        bar.addWidget(self.filter_line, 1)
        bar.addWidget(self.count)
        bar.addSpacing(SPACE)
        bar.addWidget(TextLabel("Everything else goes to", role="muted"))
        self.default_choice.setAccessibleName("Default route")
        self.default_choice.setFixedWidth(180)
        bar.addWidget(self.default_choice)
        return bar

    def _foot(self) -> QHBoxLayout:
        foot = QHBoxLayout()
        foot.setContentsMargins(MARGIN, SPACE, MARGIN, SPACE)
        foot.setSpacing(SPACE)
        self.prefix.setPlaceholderText("prefix, as in test.bank")
        self.prefix.setAccessibleName("Prefix of a new route")
        self.prefix.setMaximumWidth(320)
        self.next_hop.setAccessibleName("Next hop of a new route")
        self.next_hop.setFixedWidth(170)
        foot.addWidget(TextLabel("New route", role="muted"))
        foot.addWidget(self.prefix, 1)
        foot.addWidget(TextLabel("→"))
        foot.addWidget(self.next_hop)
        foot.addWidget(self.add_button)
        foot.addStretch()
        foot.addWidget(TextLabel("Enter look up · Del remove", role="muted"))
        return foot

    def _make_actions(self) -> list[QAction | None]:
        table = self.table
        self.remove_action = table_action(
            table, "Remove", QKeySequence.StandardKey.Delete, self._remove
        )
        return [
            table_action(table, "Where would a packet go?", "", self._look_up_selected),
            self.remove_action,
            None,
            table_action(table, "Copy rows", QKeySequence.StandardKey.Copy, self._copy_rows),
            table_action(table, "Show the peer", "", self._show_peer),
        ]

    def _connect(self) -> None:
        presenter = self.routes
        presenter.loaded_changed.connect(self.states.set_loaded)
        presenter.problem_changed.connect(self.states.set_problem)
        presenter.model.counts_changed.connect(self._count)
        presenter.senders_changed.connect(self._show_senders)
        presenter.default_changed.connect(self._show_default)
        presenter.answered.connect(self._show_answer)
        presenter.why_changed.connect(self._show_why)
        presenter.tree_changed.connect(self.tree.show_tree)
        presenter.refreshed.connect(self._refreshed)
        self.tree.chosen.connect(self._choose_route)
        self.exchange_tab.asked.connect(presenter.ask_for_routes)
        self.exchange_tab.table.chosen.connect(lambda _row: self._show_details())
        self.changes_tab.table.chosen.connect(lambda _row: self._show_details())
        self.tabs.currentChanged.connect(lambda _tab: self._show_details())
        self.states.retried.connect(presenter.refresh)
        self.empty_add_button.clicked.connect(lambda: self.navigated.emit("peers", ""))
        self.filter_line.filtered.connect(presenter.filter)
        self.destination.returnPressed.connect(self._look_up)
        self.amount.returnPressed.connect(self._look_up)
        self.sender_choice.chosen.connect(self._show_unit)
        self.look_up_button.clicked.connect(self._look_up)
        self.ping_button.clicked.connect(self._ping)
        self.prefix.textChanged.connect(self._enable_add)
        self.prefix.returnPressed.connect(self._add)
        self.add_button.clicked.connect(self._add)
        self.default_choice.chosen.connect(presenter.set_default)
        self.table.opened.connect(self._look_up_row)
        self.table.chosen.connect(self._choose)
        self.table.customContextMenuRequested.connect(self._show_menu)
        self._enable_add()

    # --- What the presenter tells

    def _count(self) -> None:
        model = self.routes.model
        self.states.set_empty(is_empty=model.total == 0)
        self.count.setText(count_words(model.shown, model.total, "route"))

    def _show_senders(self, senders: Sequence[Sender]) -> None:
        self._senders = senders
        names = [(sender.username, sender.name) for sender in senders]
        self.sender_choice.set_choices(
            [(s.username, f"{s.name} ({s.asset_code})") for s in senders]
        )
        self.next_hop.set_choices(names)
        self.default_choice.set_choices([NOBODY, *names])
        self._show_unit()
        self._enable_add()

    def _show_default(self, username: str) -> None:
        self.default_choice.choose(username)

    def _show_answer(self, answer: Answer) -> None:
        self.answer.show_answer(answer)

    def pose(self) -> None:
        """Ask where a packet to somebody behind the last prefix would go."""
        model = self.routes.model
        if model.shown:
            self.destination.setText(f"{model.row(model.shown // 2).prefix or 'test'}.shop")
            self.amount.setText("0.001")
            self._look_up()

    # --- What the operator does

    def _show_unit(self) -> None:
        chosen = self.sender_choice.value
        sender = next((s for s in self._senders if s.username == chosen), None)
        self.amount.set_unit("" if sender is None else sender.asset_code)
        self.amount.setPlaceholderText(
            "1"
            if sender is None
            else formatting.number(10**sender.asset_scale, sender.asset_scale)
        )
        self.amount.setToolTip("Left empty, one whole unit is asked about")

    def _ping(self) -> None:
        dialog = PingDialog(
            self.routes.pings, self.destination.text().strip(), self._senders, self
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _begin_route(self) -> None:
        self.tabs.setCurrentIndex(0)
        self.prefix.setFocus()

    def _look_up(self) -> None:
        destination = self.destination.text().strip()
        if destination:
            self.routes.look_up(destination, self.amount.text(), self.sender_choice.value)
        else:
            self.destination.setFocus()

    def _look_up_row(self, row: RouteRow) -> None:
        if row.prefix:
            self.destination.setText(row.prefix)
            self._look_up()

    def _look_up_selected(self) -> None:
        for row in self.table.selected_rows[:1]:
            self._look_up_row(row)

    def _enable_add(self) -> None:
        self.add_button.setEnabled(bool(self.prefix.text().strip() and self.next_hop.value))

    def _add(self) -> None:
        prefix = self.prefix.text().strip()
        if prefix and self.next_hop.value:
            self.routes.set_route(prefix, self.next_hop.value)
            self.prefix.clear()

    def _remove(self) -> None:
        self.routes.remove(self.table.selected_rows)

    def _choose(self, row: object) -> None:
        rows: Sequence[RouteRow] = self.table.selected_rows
        self.remove_action.setEnabled(any(each.removable for each in rows))
        self._choose_route(row)

    def _choose_route(self, row: object) -> None:
        """Show this route, and ask why it is taken."""
        self._row = row if isinstance(row, RouteRow) else None
        self._show_details()
        if self._row is not None:
            self.routes.explain_route(self._row.prefix)

    def _show_details(self) -> None:
        """Show what is selected in the tab that is seen."""
        tab = self.tabs.currentWidget()
        if tab is self.exchange_tab or tab is self.changes_tab:
            rows = tab.table.selected_rows
            self.want_inspector(bool(rows))
            if not rows:
                self.detail.show_nothing()
            elif isinstance(rows[0], ExchangeRow):
                show_exchange(self.detail, rows[0])
            else:
                show_change(self.detail, rows[0])
        elif self._row is None:
            self.want_inspector(False)
            self.detail.show_nothing()
        else:
            self.want_inspector(True)
            show_route(self.detail, self._row, None)

    def _show_why(self, why: Why) -> None:
        seen = self.tabs.currentWidget() not in (self.exchange_tab, self.changes_tab)
        if seen and self._row is not None and why.destination == self._row.prefix:
            show_route(self.detail, self._row, why)

    def _refreshed(self) -> None:
        if self.tabs.currentWidget() is self.exchange_tab:
            self._show_details()

    def _copy_rows(self) -> None:
        copy(selected_text(self.table))

    def _show_peer(self) -> None:
        for row in self.table.selected_rows[:1]:
            self.navigated.emit("peers", row.next_hop)

    def _show_menu(self, place: QPoint) -> None:
        if self.table.selected_rows:
            show_menu(self.table, self._actions, place)
