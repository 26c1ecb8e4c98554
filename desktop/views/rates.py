"""The rates page: a converter, jumps that wait for a decision, prices, sources and spreads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final, final

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from desktop.models.rates import (
    PRICE_STATE_COLUMN,
    SOURCE_STATE_COLUMN,
    HeldJump,
    PriceRow,
    RatesState,
    SourceRow,
)
from desktop.presenters.rates import RatesPresenter, form_of
from desktop.views.cells import ToneCell
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.detail import DetailPanel
from desktop.views.inputs import Choice
from desktop.views.page import Deed, Page
from desktop.views.rate_details import STATE_TONES, show_rate_row
from desktop.views.rate_history import RateHistoryView
from desktop.views.rate_source_dialog import RateSourceDialog
from desktop.views.states import States
from desktop.views.tables import TableTab, TableTabs
from desktop.views.widgets import (
    MARGIN,
    SPACE,
    Card,
    TextLabel,
    Tone,
    action_button,
    type_into,
)

PRICES, SOURCES, SPREADS, HISTORY = range(4)
WIDTH_FOR_BOTH: Final = 1160
"""A window that is narrower has no room for the inspector beside this page."""


@final
class RatesPage(Page):
    """Everything that decides what one asset is worth in another."""

    key = "rates"
    title = "Rates"
    icon = "rates"

    def __init__(self, presenter: RatesPresenter, parent: QWidget | None = None) -> None:
        super().__init__(presenter, parent)
        self.rates = presenter
        self.converter = ConverterCard(presenter)
        self.held = HeldCard(presenter)
        self.problems = TextLabel(role="warn", wrap=True)
        self.tabs = TableTabs()
        self.code = QLineEdit()
        self.price = QLineEdit()
        self.set_price_button = action_button("Set the price")
        self.let_go_button = action_button("Let the sources say it")
        self.add_button = action_button("Add a source…", primary=True)
        self.edit_button = action_button("Change…")
        self.remove_button = action_button("Remove…")
        self.spread = QLineEdit()
        self.spread_button = action_button("Set")
        self.pair_from = Choice(editable=True)
        self.pair_into = Choice(editable=True)
        self.pair_share = QLineEdit()
        self.pair_button = action_button("Set")
        self.pair_remove_button = action_button("Remove")
        self.guard = TextLabel(role="muted", wrap=True)
        self.jump_limit = QLineEdit()
        self.jump_samples = QLineEdit()
        self.guard_button = action_button("Set")
        self.history = RateHistoryView(presenter.history)
        self.detail = DetailPanel(
            "Select a price or a source to see all of it.", copied=("URL",)
        )
        self.inspector = self.detail
        self._make_tabs()
        self.tables = self.tabs.tables
        self.states = States(self._content())
        self.setFocusProxy(self.converter.amount)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.states)
        self._connect()
        self.tabs.count_rows()

    def pose(self) -> None:
        """Convert something."""
        codes = self.rates.state.codes if self.rates.state is not None else ()
        if len(codes) > 1:
            self.converter.amount.setText("12.40")
            self.converter.source.choose(codes[-1])
            self.converter.target.choose(codes[0])
            self.converter.convert()

    def open(self, target: str) -> None:
        """Show this price, or this source."""
        self.tabs.select(target, PRICES, SOURCES)

    def deeds(self) -> Sequence[Deed]:
        return (
            Deed(
                title="Convert an amount",
                act=lambda: type_into(self.converter.amount),
                words="rate calculate",
            ),
            Deed(
                title="Add a rate source…",
                act=functools.partial(self._open_source, None),
                words="price feed",
            ),
            Deed(title="Set a price", act=self._begin_price, words="rate by hand"),
        )

    # --- How it is built

    def _make_tabs(self) -> None:
        presenter = self.rates
        self.code.setPlaceholderText("asset")
        self.code.setAccessibleName("Asset to set a price of")
        self.code.setFixedWidth(90)
        self.price.setPlaceholderText("price")
        self.price.setAccessibleName("Its price")
        self.price.setFixedWidth(150)
        self.unit = TextLabel(role="muted")
        add = self.tabs.add_table
        prices = add("Prices", presenter.prices, "No price is known: nothing is converted.")
        prices.put_below(
            TextLabel("By hand:", role="muted"),
            self.code,
            self.price,
            self.unit,
            self.set_price_button,
            None,
            self.let_go_button,
        )
        sources = add(
            "Sources", presenter.sources, "No source is asked: prices are what you set."
        )
        self.guard.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        sources.put_below(self.guard, self.remove_button, self.edit_button, self.add_button)
        self._put_guard_bar(sources)
        spreads = add(
            "Spreads", presenter.spreads, "No pair has a spread of its own: the node's holds."
        )
        self._fill_spread_bar(spreads)
        history = add(
            "History",
            presenter.history.changes,
            "No change of this pair's rate is kept.",
            lambda: 0,
        )
        history.put_above(self.history)
        for tab, column in ((prices, PRICE_STATE_COLUMN), (sources, SOURCE_STATE_COLUMN)):
            tab.table.setItemDelegateForColumn(
                column,
                ToneCell(
                    lambda row: STATE_TONES.get(row.state, Tone.PLAIN),
                    lambda row: row.state.capitalize(),
                    tab.table,
                ),
            )
        for tab in self.tabs.tabs:
            tab.add_menu()

    def _put_guard_bar(self, tab: TableTab) -> None:
        self.jump_limit.setAccessibleName("Jumps beyond this share are held")
        self.jump_limit.setPlaceholderText("none")
        self.jump_limit.setToolTip("10%, 0.1 or 1/10; empty holds no jump")
        self.jump_samples.setAccessibleName("How often a source that is alone has to say so")
        self.jump_samples.setPlaceholderText("0")
        self.jump_samples.setToolTip("2 or more; 0 waits for you, or for other sources")
        for line in (self.jump_limit, self.jump_samples):
            line.setFixedWidth(70)
        tab.put_below(
            TextLabel("Hold jumps beyond", role="muted"),
            self.jump_limit,
            TextLabel("and, of a source that is alone, until it says so", role="muted"),
            self.jump_samples,
            TextLabel("times", role="muted"),
            self.guard_button,
            None,
        )

    def _fill_spread_bar(self, tab: TableTab) -> None:
        self.spread.setAccessibleName("The node's spread")
        self.spread.setFixedWidth(90)
        self.spread.setToolTip("0.005, 1/200 or 0.5%")
        for choice, name in ((self.pair_from, "From"), (self.pair_into, "Into")):
            choice.setAccessibleName(name)
            choice.setFixedWidth(110)
        self.pair_share.setAccessibleName("Share of this pair")
        self.pair_share.setPlaceholderText("0.5%")
        self.pair_share.setFixedWidth(80)
        tab.put_below(
            TextLabel("The node keeps", role="muted"), self.spread, self.spread_button, None
        )
        tab.put_below(
            TextLabel("of", role="muted"),
            self.pair_from,
            TextLabel("into", role="muted"),
            self.pair_into,
            self.pair_share,
            self.pair_button,
            self.pair_remove_button,
            None,
        )

    def _content(self) -> QWidget:
        content = QWidget()
        top = QVBoxLayout()
        top.setContentsMargins(MARGIN, 12, MARGIN, SPACE)
        top.setSpacing(SPACE)
        top.addWidget(self.converter)
        top.addWidget(self.held)
        top.addWidget(self.problems)
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(self.tabs, 1)
        return content

    def _connect(self) -> None:
        presenter = self.rates
        presenter.loaded_changed.connect(self.states.set_loaded)
        presenter.problem_changed.connect(self.states.set_problem)
        presenter.state_changed.connect(self._show_state)
        self.states.retried.connect(presenter.refresh)
        self.tabs.chosen.connect(self._choose)
        presenter.refreshed.connect(self.tabs.tell)
        self.tables[PRICES].opened.connect(self._edit_price)
        self.tables[SOURCES].opened.connect(self._edit_row)
        self.set_price_button.clicked.connect(self._set_price)
        self.price.returnPressed.connect(self._set_price)
        self.let_go_button.clicked.connect(
            lambda: presenter.let_go([row.code for row in self._chosen_by_hand()])
        )
        self.add_button.clicked.connect(lambda: self._open_source(None))
        self.edit_button.clicked.connect(self._edit_source)
        self.remove_button.clicked.connect(self._remove_source)
        self.spread_button.clicked.connect(lambda: presenter.set_spread(self.spread.text()))
        self.spread.returnPressed.connect(lambda: presenter.set_spread(self.spread.text()))
        self.guard_button.clicked.connect(self._set_guard)
        for line in (self.jump_limit, self.jump_samples):
            line.returnPressed.connect(self._set_guard)
        self.tabs.currentChanged.connect(lambda tab: presenter.see_history(seen=tab == HISTORY))
        self.pair_button.clicked.connect(self._set_pair)
        self.pair_share.returnPressed.connect(self._set_pair)
        self.pair_remove_button.clicked.connect(self._remove_pair)
        for line in (self.code, self.price):
            line.textChanged.connect(lambda _text: self._enable())
        self._enable()

    # --- What the presenter tells

    def _show_state(self, state: RatesState) -> None:
        self.converter.show_codes(state.codes)
        self.held.show_jumps(state.held)
        words = [f"▲ {problem}" for problem in state.problems]
        if state.polled_here is False and self.rates.sources.total:
            words.append("Another node process on this store asks the sources.")
        self.problems.setText("\n".join(words))
        self.problems.setVisible(bool(words))
        self.guard.setText(state.guard)
        if not (self.jump_limit.hasFocus() or self.jump_samples.hasFocus()):
            self.jump_limit.setText(state.jump_limit)
            self.jump_samples.setText(state.jump_samples)
        self.history.show_codes(state.codes, state.reference)
        self.unit.setText(state.reference)
        if not self.spread.hasFocus():
            self.spread.setText(state.spread)
        for choice in (self.pair_from, self.pair_into):
            choice.set_choices([(code, code) for code in state.codes])

    # --- What Qt calls

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._want_inspector()

    # --- What the operator does

    def _want_inspector(self) -> None:
        """Have the details beside the page, where there is room for both."""
        tabs = self.tabs.tabs
        row = tabs[self.tabs.currentIndex()].selected_row if tabs else None
        self.want_inspector(row is not None and self.window().width() >= WIDTH_FOR_BOTH)

    def _choose(self, row: object) -> None:
        self._enable()
        self._want_inspector()
        reference = "" if self.rates.state is None else self.rates.state.reference
        show_rate_row(self.detail, row, reference)

    def _enable(self) -> None:
        self.set_price_button.setEnabled(
            bool(self.code.text().strip() and self.price.text().strip())
        )
        self.let_go_button.setEnabled(bool(self._chosen_by_hand()))
        sources = self.tables[SOURCES].selected_rows
        self.edit_button.setEnabled(len(sources) == 1)
        self.remove_button.setEnabled(len(sources) == 1)
        self.pair_remove_button.setEnabled(bool(self.tables[SPREADS].selected_rows))

    def _chosen_by_hand(self) -> list[PriceRow]:
        return [row for row in self.tables[PRICES].selected_rows if row.by_operator]

    def _edit_price(self, row: PriceRow) -> None:
        self.code.setText(row.code)
        self.price.setText(row.price)
        type_into(self.price)

    def _begin_price(self) -> None:
        self.tabs.setCurrentIndex(PRICES)
        self.code.setFocus()

    def _set_price(self) -> None:
        if self.set_price_button.isEnabled():
            self.rates.set_price(self.code.text(), self.price.text())

    def _edit_row(self, row: SourceRow) -> None:
        self._open_source(row)

    def _edit_source(self) -> None:
        for row in self.tables[SOURCES].selected_rows[:1]:
            self._open_source(row)

    def _open_source(self, row: SourceRow | None) -> None:
        form = None if row is None else form_of(row)
        dialog = RateSourceDialog(self.rates, form, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _remove_source(self) -> None:
        for row in self.tables[SOURCES].selected_rows[:1]:
            dialog = ConfirmDialog(
                f"Remove {row.name}?",
                (
                    "What it said is forgotten, and prices that only it has are no longer known.",
                    "Packets that need such a price are rejected.",
                ),
                "Remove",
                self,
            )
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.confirmed.connect(lambda row=row: self.rates.remove_source(row.name))
            dialog.open()

    def _set_guard(self) -> None:
        self.rates.set_guard(self.jump_limit.text(), self.jump_samples.text())

    def _set_pair(self) -> None:
        if self.pair_share.text().strip():
            self.rates.set_pair_spread(
                self.pair_from.value, self.pair_into.value, self.pair_share.text()
            )
            self.pair_share.clear()

    def _remove_pair(self) -> None:
        for row in self.tables[SPREADS].selected_rows[:1]:
            self.rates.set_pair_spread(row.source, row.target, "")


@final
class ConverterCard(Card):
    """What an amount would become now."""

    def __init__(self, presenter: RatesPresenter) -> None:
        super().__init__("What would it become?")
        self._presenter = presenter
        self.amount = QLineEdit()
        self.amount.setPlaceholderText("1.00")
        self.amount.setAccessibleName("Amount")
        self.amount.setFixedWidth(150)
        self.source = Choice(editable=True)
        self.source.setAccessibleName("Asset")
        self.source.setFixedWidth(120)
        self.target = Choice(editable=True)
        self.target.setAccessibleName("Into which asset")
        self.target.setFixedWidth(120)
        self.button = action_button("Convert", primary=True)
        self.answer = TextLabel(wrap=True)
        row = QHBoxLayout()
        row.setSpacing(SPACE)
        for widget in (
            self.amount,
            self.source,
            TextLabel("into", role="muted"),
            self.target,
            self.button,
        ):
            row.addWidget(widget)
        row.addStretch()
        self.body.addLayout(row)
        self.body.addWidget(self.answer)
        self.answer.hide()
        self.button.clicked.connect(self.convert)
        self.amount.returnPressed.connect(self.convert)
        presenter.converted.connect(self._show_answer)

    def show_codes(self, codes: Sequence[str]) -> None:
        """Offer these assets."""
        for choice in (self.source, self.target):
            choice.set_choices([(code, code) for code in codes])
        if codes and not self.source.value:
            self.source.choose(codes[0])
        if len(codes) > 1 and self.target.value in ("", self.source.value):
            self.target.choose(next(code for code in codes if code != self.source.value))

    def convert(self) -> None:
        """Ask."""
        self._presenter.convert(self.amount.text() or "1", self.source.value, self.target.value)

    def _show_answer(self, known: bool, words: str) -> None:  # noqa: FBT001 # a signal's
        self.answer.set_role("text" if known else "bad")
        self.answer.setText(words)
        self.answer.show()


@final
class HeldCard(Card):
    """Prices that moved too far at once: each waits for a word."""

    def __init__(self, presenter: RatesPresenter) -> None:
        super().__init__("A price jumped, and is held")
        self._presenter = presenter
        self._rows = QVBoxLayout()
        self._rows.setSpacing(SPACE)
        self.body.addLayout(self._rows)
        self.buttons: dict[str, tuple[QPushButton, QPushButton]] = {}
        self.hide()

    def show_jumps(self, jumps: Sequence[HeldJump]) -> None:
        """Show these."""
        waiting = [jump for jump in jumps if not jump.decided]
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self.buttons = {}
        for jump in waiting:
            self._rows.addWidget(self._row(jump))
        self.setVisible(bool(waiting))

    def _row(self, jump: HeldJump) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        refuse = action_button("Keep the old price")
        accept = action_button("Take the new price", primary=True)
        for button, taken in ((refuse, False), (accept, True)):
            button.setAccessibleName(f"{button.text()} of {jump.code}")
            button.clicked.connect(self._decider(jump.code, accept=taken))
        layout.addWidget(TextLabel(jump.sentence, wrap=True), 1)
        layout.addWidget(refuse)
        layout.addWidget(accept)
        self.buttons[jump.code] = (refuse, accept)
        return row

    def _decider(self, code: str, *, accept: bool) -> Callable[[], None]:
        return lambda: self._presenter.decide_jump(code, accept=accept)
