"""The settlements page: the engines, and every settlement by how far it is."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from desktop.models.peers import SettlePlan
from desktop.models.settlements import (
    LADDER_COLUMN,
    DueRow,
    EngineCard,
    SettlementEntry,
    UnknownEntry,
    UnmatchedEntry,
)
from desktop.presenters.settlements import SettlementsPresenter
from desktop.views.cells import LadderCell, due_cell
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.detail import DetailPanel
from desktop.views.engine_card import EngineCardView, Shelf
from desktop.views.inputs import Choice
from desktop.views.page import Page
from desktop.views.settle_dialog import SettleDialog
from desktop.views.settlement_details import (
    show_due,
    show_settlement,
    show_unknown,
    show_unmatched,
)
from desktop.views.states import States
from desktop.views.tables import TableTab, TableTabs
from desktop.views.widgets import MARGIN, SPACE, TextLabel, action_button

DUE_WHY_COLUMN: Final = 3
DUE, NOT_DUE, UNDER_WAY, DONE, FAILED, UNMATCHED, UNKNOWN = range(7)


@final
class SettlementsPage(Page):
    """Engines on top, settlements in tabs below."""

    key = "settlements"
    title = "Settlements"
    icon = "settlements"

    def __init__(self, presenter: SettlementsPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.settlements = presenter
        self.tabs = TableTabs()
        self.cards: dict[str, EngineCardView] = {}
        self.no_engines = TextLabel(
            "No engine has run on this store yet. The practice network starts one, and so does "
            "signalbox-engine.",
            role="muted",
        )
        self._cards_row = QHBoxLayout()
        self.detail = DetailPanel(
            "Select a settlement to see all of it.",
            copied=("Transaction", "Settlement", "From", "Transfer", "Payment"),
        )
        self.inspector = self.detail
        self.settle_button = action_button("Settle now…", primary=True)
        self.settle_early_button = action_button("Settle now…")
        self.assign_button = action_button("Assign to a peer…", primary=True)
        self.fulfilled_button = action_button("They were paid…")
        self.rejected_button = action_button("They were not paid…")
        self._dialog: SettleDialog | None = None
        self._make_tabs()
        self.tables = self.tabs.tables
        self.states = States(self._content())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.states)
        self._connect()
        self.tabs.count_rows()

    # --- What the window calls

    def open(self, target: str) -> None:
        """Show the settlement with this id, or the tab of this name."""
        names = {"due": DUE, "failed": FAILED, "unmatched": UNMATCHED, "unknown": UNKNOWN}
        if target in names:
            self.tabs.setCurrentIndex(names[target])
            return
        self.tabs.select(target, UNDER_WAY, DONE, FAILED, DUE, NOT_DUE)

    def pose(self) -> None:
        """Show what was settled, which stays, or else what waits."""
        for tab in (DONE, UNDER_WAY, DUE):
            if self.tables[tab].table_model.shown:
                self.tabs.setCurrentIndex(tab)
                break
        super().pose()

    # --- How it is built

    def _make_tabs(self) -> None:
        p, add = self.settlements, self.tabs.add_table
        due = (
            add(
                "Due",
                p.due,
                "Nothing is due. Here stands whom you owe as much as you settle at.",
            ),
            # Who is not due yet is no number to act on.
            add(
                "Not due yet",
                p.not_due,
                "Nobody else has a threshold, an engine or a debt.",
                lambda: 0,
            ),
        )
        settlements = (
            add("Under way", p.under_way, "No settlement is under way."),
            add("Done", p.done, "No settlement has been finished yet."),
            add("Failed", p.failed_ones, "No settlement has failed."),
        )
        unmatched = add("Unmatched", p.unmatched, "All money that came in belongs to somebody.")
        unknown = add(
            "Undecided", p.unknown, "No packet was left undecided by a crash or a lost answer."
        )
        for tab in due:
            tab.table.setItemDelegateForColumn(DUE_WHY_COLUMN, due_cell(tab.table))
            tab.add_menu(tab.add_copy("Copy peer", lambda row: row.username))
        for tab in settlements:
            tab.table.setItemDelegateForColumn(LADDER_COLUMN, LadderCell(tab.table))
            tab.add_menu(tab.add_copy("Copy transaction", lambda row: row.transaction))
        unmatched.add_menu(unmatched.add_copy("Copy sender", lambda row: row.sender))
        unknown.add_menu(unknown.add_copy("Copy transfer", lambda row: row.id))
        _put_buttons(due[0], "", self.settle_button)
        _put_buttons(
            due[1],
            "Nothing is paid of these by itself yet: the reason stands with each.",
            self.settle_early_button,
        )
        _put_buttons(
            unmatched,
            "This money is on the ledger, and no peer has the address it came from.",
            self.assign_button,
        )
        _put_buttons(
            unknown,
            "A crash or a lost answer left these open: the next hop may have been paid. Decide by "
            "its statement.",
            self.rejected_button,
            self.fulfilled_button,
        )

    def _content(self) -> QWidget:
        content = QWidget()
        holder = QWidget()
        self._cards_row.setContentsMargins(MARGIN, 12, MARGIN, SPACE)
        self._cards_row.setSpacing(12)
        self._cards_row.addWidget(self.no_engines)
        self._cards_row.addStretch()
        holder.setLayout(self._cards_row)
        scroll = Shelf(holder)
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(scroll)
        layout.addWidget(self.tabs, 1)
        return content

    def _connect(self) -> None:
        presenter = self.settlements
        presenter.loaded_changed.connect(self.states.set_loaded)
        presenter.problem_changed.connect(self.states.set_problem)
        presenter.engines_changed.connect(self._show_engines)
        presenter.settle_planned.connect(self._ask_settle)
        presenter.accounts_changed.connect(self._ask_assign)
        self.states.retried.connect(presenter.refresh)
        self.tabs.chosen.connect(self._choose)
        presenter.refreshed.connect(self._refreshed)
        for tab, button in ((DUE, self.settle_button), (NOT_DUE, self.settle_early_button)):
            self.tables[tab].opened.connect(self._plan_row)
            button.clicked.connect(functools.partial(self._plan, tab))
        self.assign_button.clicked.connect(presenter.load_accounts)
        self.fulfilled_button.clicked.connect(lambda: self._ask_resolve(fulfilled=True))
        self.rejected_button.clicked.connect(lambda: self._ask_resolve(fulfilled=False))

    # --- What the presenter tells

    def _show_engines(self, cards: Sequence[EngineCard]) -> None:
        self.no_engines.setVisible(not cards)
        wanted = {card.name for card in cards}
        for name in set(self.cards) - wanted:
            gone = self.cards.pop(name)
            self._cards_row.removeWidget(gone)
            gone.hide()
            gone.deleteLater()
        for i, card in enumerate(cards):
            view = self.cards.get(card.name)
            if view is None:
                view = EngineCardView(card.name)
                view.start_wanted.connect(self.settlements.start_engine)
                view.stop_wanted.connect(self.settlements.stop_engine)
                self.cards[card.name] = view
                self._cards_row.insertWidget(i, view)
            view.show_card(card)

    def _refreshed(self) -> None:
        self.tabs.tell()
        if self._dialog is not None:
            self.settlements.plan_settlement(self._dialog.username)

    # --- What the operator does

    def _choose(self, row: object) -> None:
        self.want_inspector(row is not None)
        self.settle_button.setEnabled(isinstance(row, DueRow))
        self.settle_early_button.setEnabled(isinstance(row, DueRow))
        self.assign_button.setEnabled(isinstance(row, UnmatchedEntry))
        self.fulfilled_button.setEnabled(isinstance(row, UnknownEntry))
        self.rejected_button.setEnabled(isinstance(row, UnknownEntry))
        if isinstance(row, SettlementEntry):
            show_settlement(self.detail, row)
        elif isinstance(row, DueRow):
            show_due(self.detail, row)
        elif isinstance(row, UnmatchedEntry):
            show_unmatched(self.detail, row)
        elif isinstance(row, UnknownEntry):
            show_unknown(self.detail, row)
        else:
            self.detail.show_nothing()

    def _plan(self, tab: int) -> None:
        for row in self.tables[tab].selected_rows[:1]:
            self._plan_row(row)

    def _plan_row(self, row: DueRow) -> None:
        self.settlements.plan_settlement(row.username)

    def _ask_settle(self, plan: SettlePlan) -> None:
        """Ask how much; while it is asked, what is owed is kept up to date."""
        if self._dialog is not None:
            self._dialog.show_plan(plan)
            return
        dialog = SettleDialog(plan, self.settlements, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.confirmed.connect(self.settlements.settle)
        dialog.finished.connect(self._forget_dialog)
        self._dialog = dialog
        dialog.open()

    def _forget_dialog(self) -> None:
        self._dialog = None

    def _ask_assign(self, accounts: Sequence[tuple[str, str]]) -> None:
        rows: Sequence[UnmatchedEntry] = self.tables[UNMATCHED].selected_rows
        if not rows or not accounts:
            return
        row = rows[0]
        choice = Choice(accounts)
        choice.setAccessibleName("Peer to credit")
        dialog = ConfirmDialog(
            f"Credit {row.amount_text}",
            (
                f"It came from {row.sender} through {row.engine}.",
                "Whom it is credited to owes you that much less. This cannot be undone.",
            ),
            "Credit it",
            self,
            danger=False,
            extra=choice,
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.confirmed.connect(lambda: self.settlements.assign(row.key, choice.value))
        dialog.open()

    def _ask_resolve(self, *, fulfilled: bool) -> None:
        rows: Sequence[UnknownEntry] = self.tables[UNKNOWN].selected_rows
        if not rows:
            return
        row = rows[0]
        sentences = (
            (
                f"{row.to_name} says that it was paid: you owe it {row.amount_text}.",
                f"{row.from_name} was not charged, so that this is your loss.",
            )
            if fulfilled
            else (
                f"{row.to_name} says that it was not paid: you owe it nothing.",
                f"{row.amount_text} are no longer held.",
            )
        )
        dialog = ConfirmDialog(
            f"{row.to_name} was {'paid' if fulfilled else 'not paid'}",
            (*sentences, "Decide this by the peer's statement. It cannot be undone."),
            "Book it as owed" if fulfilled else "Book it as not paid",
            self,
            danger=fulfilled,
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.confirmed.connect(lambda: self.settlements.resolve(row.id, fulfilled=fulfilled))
        dialog.open()


def _put_buttons(tab: TableTab, sentence: str, *buttons: QPushButton) -> None:
    """Put what can be done with the selected row below the table."""
    words = TextLabel(sentence, role="muted", wrap=True)
    words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    for button in buttons:
        button.setEnabled(False)
    tab.put_below(words, *buttons)
