"""While amounts are hidden none is to be found anywhere in the window, and afterwards all are as they were."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import QBuffer, QIODevice, QPoint, QRect, Qt
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QTabWidget,
    QWidget,
)
from pytestqt.qtbot import QtBot

from core.account import Asset
from core.errors import ControlError
from desktop import formatting
from desktop.settings import SettingsFile
from desktop.theme import Theme, ThemeChoice
from desktop.views.cells import BalanceCell, balance_text
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.graphs import Graph, Legend
from desktop.views.settle_dialog import SettleDialog
from desktop.views.tables import copy
from desktop.views.widgets import ActionButton, Pill, TableView, TextLabel
from tests.desktop.fake_operator import FakeOperator
from tests.desktop.waiting import until
from tests.desktop.whole_window import WholeWindow, opened

CODES = ("USD", "EUR", "XRP", "ETH", "JPY", "units")
AN_AMOUNT = re.compile(rf"[0-9][\s\u200b\u2060]*\u00a0?(?:{'|'.join(CODES)})\b")
_ROLES = (
    Qt.ItemDataRole.DisplayRole,
    Qt.ItemDataRole.ToolTipRole,
    Qt.ItemDataRole.AccessibleTextRole,
)


def busy() -> FakeOperator:
    """Return a node of which every page has something to tell."""
    operator = FakeOperator()
    operator.add_packets(60)
    operator.add_payments(12)
    operator.problems = ["bob owes 97.00 USD, more than the 90.00 USD that were agreed"]
    operator.add_log("INFO", "core.settlement", "settling 12.40 USD with bob")
    return operator


async def go_over_all(whole: WholeWindow) -> None:
    """Go over every page and select the first row of every table, so that inspectors tell of it."""
    await whole.watch.update_and_report()
    for page in whole.pages:
        whole.window.show_page(page.key)
        await page.presenter.update_and_report()
        for table in page.findChildren(TableView):
            if table.table_model.shown:
                table.selectRow(0)
        await asyncio.sleep(0.02)
    whole.peers.peers.select("bob")
    await whole.routes.routes.answer("test.signalbox.alice.bob", "12.34", "bob")
    await whole.rates.rates.answer("12.40", "USD", "EUR")
    whole.window.status.say("settling 12.40\u00a0USD with erin")
    await asyncio.sleep(0.08)


@pytest.fixture
async def whole(theme: Theme) -> AsyncIterator[WholeWindow]:
    async with opened(theme, operator=busy()) as made:
        await go_over_all(made)
        yield made


def _texts_of(widget: QWidget) -> Iterable[str]:
    """Return all that a widget says to anybody; what the operator types is not among it."""
    yield from (
        widget.toolTip(), widget.accessibleName(), widget.accessibleDescription(),
        widget.windowTitle(), widget.whatsThis(), widget.statusTip(),
    )  # fmt: skip
    if isinstance(widget, QLabel | QAbstractButton):
        yield widget.text()
    if isinstance(widget, Legend):
        yield widget.text
    if isinstance(widget, QTabWidget):
        yield from (widget.tabText(i) for i in range(widget.count()))
    if isinstance(widget, QComboBox):
        yield from (widget.itemText(i) for i in range(widget.count()))
    if isinstance(widget, TableView):
        model = widget.table_model
        for place in range(model.shown):
            for column in range(len(model.columns)):
                index = model.index(place, column)
                yield from (str(model.data(index, role) or "") for role in _ROLES)
    yield from (action.text() for action in widget.actions())


def _said() -> list[tuple[str, str]]:
    """Return everything that any widget says, with who says it."""
    return [
        (type(widget).__name__, text)
        for widget in QApplication.allWidgets()
        for text in _texts_of(widget)
        if text
    ]


def _painted(window: QWidget) -> str:
    """Return the text that is painted now, whoever paints it."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(window.size())
    generator.setViewBox(QRect(QPoint(0, 0), window.size()))
    window.render(generator)
    found = re.findall(
        r"<text[^>]*>(.*?)</text>", bytes(buffer.data().data()).decode(), re.DOTALL
    )
    return "\n".join(text.strip() for text in found)


def _amounts_of(operator: FakeOperator) -> set[str]:
    """Return the node's amounts as they are written, those that are written like nothing else."""
    pairs: list[tuple[int | None, Asset]] = []
    for view in operator.views.values():
        account, balance = view.account, view.balance
        pairs += [
            (amount, account.asset)
            for amount in (
                balance.net, balance.pending_in, balance.pending_out, account.min_balance,
                account.settle_threshold, account.max_packet_amount,
            )
        ]  # fmt: skip
    for row in operator.settlement_rows:
        pairs += [(row.amount, row.asset), (row.ledger_amount, row.ledger_asset)]
    for packet in operator.packet_views:
        pairs.append((packet.incoming_amount, packet.incoming_asset))
        if packet.outgoing_asset is not None:
            pairs.append((packet.outgoing_amount, packet.outgoing_asset))
    for payment in operator.payment_views:
        pairs += [(payment.sent, payment.asset), (payment.source_amount, payment.asset)]
    texts = {formatting.number(abs(amount), asset.scale) for amount, asset in pairs if amount}
    return {text for text in texts if len(text) > 4}


def _leaks(operator: FakeOperator, said: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    amounts = _amounts_of(operator)
    assert len(amounts) > 50
    known = re.compile(
        "(?<![0-9\u202f.])(?:" + "|".join(map(re.escape, sorted(amounts))) + ")(?![0-9\u202f.])"
    )
    return [
        (who, text)
        for who, text in said
        if AN_AMOUNT.search(text)
        or known.search(text.replace("\u2060", "").replace("\u200b", ""))
    ]


async def test_no_amount_is_found_anywhere_while_they_are_hidden_and_all_are_afterwards(
    whole: WholeWindow,
) -> None:
    before = _said()
    assert len(_leaks(whole.operator, before)) > 200, "there is something to hide"

    whole.window.strip.eye.click()

    assert _leaks(whole.operator, _said()) == []
    hidden = [text for _, text in _said() if formatting.HIDDEN in text]
    assert any("\u2022\u2022\u2022\u00a0USD" in text for text in hidden), "the asset is kept"

    whole.window.strip.eye.click()

    assert sorted(_said()) == sorted(before)


async def test_what_comes_and_what_is_opened_while_amounts_are_hidden_is_hidden_too(
    whole: WholeWindow,
) -> None:
    whole.window.strip.eye.click()
    whole.operator.tick(5)

    await go_over_all(whole)
    whole.window.resize(960, 600)
    await asyncio.sleep(0.03)

    assert _leaks(whole.operator, _said()) == []

    whole.window.strip.eye.click()
    assert len(_leaks(whole.operator, _said())) > 200


@pytest.mark.parametrize("dark", [False, True])
async def test_no_amount_is_painted_on_any_page_while_they_are_hidden(
    whole: WholeWindow, *, dark: bool
) -> None:
    if dark:
        whole.window.strip.theme_chosen.emit(ThemeChoice.DARK)
        whole.theme.finish()  # nothing is painted before
    seen: list[tuple[str, str]] = []
    hidden: list[tuple[str, str]] = []
    for texts in (seen, hidden):
        for page in whole.pages:
            whole.window.show_page(page.key)
            await asyncio.sleep(0.05)
            texts.append((page.key, _painted(whole.window)))
        whole.window.hide_amounts(hidden=True)

    assert {key for key, _ in _leaks(whole.operator, seen)} >= {"overview", "peers", "payments"}

    left = [
        (key, line)
        for key, texts in hidden
        for line in texts.splitlines()
        if _leaks(whole.operator, [(key, line)])
    ]
    assert left == []


async def test_nothing_moves_when_amounts_are_hidden(whole: WholeWindow) -> None:
    whole.watch.stop()  # what the node says meanwhile has widths of its own
    for key in ("overview", "peers", "settlements", "payments"):
        whole.window.show_page(key)
        assert whole.window.current_page is not None
        whole.window.current_page.presenter.stop()
        await asyncio.sleep(0.05)
        labels = [
            label
            for label in whole.window.findChildren(QWidget)
            if label.isVisible() and not isinstance(label, Legend)
        ]
        before = {label: label.geometry() for label in labels}

        whole.window.hide_amounts(hidden=True)
        await asyncio.sleep(0.03)

        moved = [
            (key, type(each), each.geometry(), place)
            for each, place in before.items()
            if each.geometry() != place
        ]
        assert moved == []
        whole.window.hide_amounts(hidden=False)
        await asyncio.sleep(0.03)


async def test_what_is_copied_has_no_amount_while_they_are_hidden(whole: WholeWindow) -> None:
    clipboard = QApplication.clipboard()
    texts = []
    for _ in range(2):
        copy(whole.peers.peers.copy_text(["bob", "carol"]))
        texts.append(clipboard.text())
        copy(whole.peers.peers.copy_json(["bob"]))
        texts.append(clipboard.text())
        whole.window.hide_amounts(hidden=True)

    assert "97.00 USD" in texts[0]
    assert '"balance": "-9700"' in texts[1]
    assert "bob owes you \u2022\u2022\u2022 USD" in texts[2]
    [bob] = json.loads(texts[3])
    assert bob["balance"] == bob["min_balance"] == formatting.HIDDEN
    assert "9700" not in texts[3]
    assert "10000" not in texts[3]


async def test_dialogs_name_no_amount_but_the_one_that_is_typed(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    whole.window.hide_amounts(hidden=True)
    plan = whole.peers.peers.settle_plan("erin")
    assert plan is not None
    settle = SettleDialog(plan, whole.peers.peers, whole.window)
    qtbot.addWidget(settle)
    confirm = ConfirmDialog(
        "Credit 12.40\u00a0USD",
        ("It is 12.40\u00a0USD.",),
        "Credit 12.40\u00a0USD",
        whole.window,
    )
    qtbot.addWidget(confirm)
    settle.show()
    confirm.show()

    assert _leaks(whole.operator, _said()) == []
    assert settle.amount_edit.text() == "0.42"
    assert confirm.windowTitle() == "Credit \u2022\u2022\u2022\u00a0USD"


async def test_a_graph_of_amounts_has_no_figures_and_others_keep_theirs(
    whole: WholeWindow,
) -> None:
    whole.window.show_page("overview")
    await asyncio.sleep(0.1)
    exposure, packets = whole.overview.content.exposure_graph, whole.overview.content.throughput

    def ticks(graph: Graph) -> Sequence[str]:
        assert graph._canvas is not None
        axis = graph._canvas._plot.getAxis("left")
        strings: Sequence[str] = axis.tickStrings([0.0, 10.0, 20.0], 1, 10)
        return strings

    whole.window.hide_amounts(hidden=True)

    assert ticks(exposure) == ["0", formatting.HIDDEN, formatting.HIDDEN]
    assert ticks(packets) == ["0", "10", "20"]
    assert exposure.data is not None
    exposure._say(exposure.data.until_s)
    assert not re.search("[0-9] ?(?:USD|$)", exposure.legend.text.partition("Owed")[2])

    whole.window.hide_amounts(hidden=False)
    assert ticks(exposure) == ["0", "10", "20"]


async def test_the_choice_is_kept_and_the_key_does_what_the_eye_does(
    theme: Theme, tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "window.json"
    async with opened(theme, SettingsFile(path), busy()) as first:
        qtbot.keyClick(first.window, Qt.Key.Key_H, Qt.KeyboardModifier.ControlModifier)
        await until(formatting.amounts_hidden)
        assert first.window.strip.eye.accessibleName() == "Show amounts"
    formatting.hide_amounts(hidden=False)

    async with opened(theme, SettingsFile(path), busy()) as second:
        await go_over_all(second)
        assert formatting.amounts_hidden()
        assert _leaks(second.operator, _said()) == []


async def test_a_failure_names_no_amount_and_a_pill_neither(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    whole.window.hide_amounts(hidden=True)
    whole.operator.errors["set_enabled"] = ControlError("bob owes 97.00 USD")
    whole.peers.peers.set_enabled(["bob"], enabled=False)
    await until(lambda: "Bob owes" in whole.window.status.message.text())
    pill = Pill()
    qtbot.addWidget(pill)
    pill.set("97.00 USD", pill.tone, "97.00 USD of 100.00 USD")

    assert whole.window.status.message.text() == "Bob owes ••• USD."
    assert _leaks(whole.operator, _said()) == []


async def test_a_cell_that_is_painted_as_a_picture_has_no_amount_either(
    whole: WholeWindow,
) -> None:
    row = whole.peers.peers.row_of("bob")
    assert row is not None
    metrics = whole.peers.table.fontMetrics()
    cell = BalanceCell()
    before = cell.shows(row)

    whole.window.hide_amounts(hidden=True)

    for width in (10_000, metrics.horizontalAdvance(row.short_words), 40):
        assert not any(letter.isdigit() for letter in balance_text(row, metrics, width))
    assert cell.shows(row) != before, "the picture that was kept is not shown"


def test_what_hides_an_amount_keeps_the_room_of_it(qtbot: QtBot) -> None:
    text = "1\u202f234\u202f567\u202f890.50\u00a0USD is what bob owes you by now, of 9\u202f000\u202f000.00\u00a0USD"
    widgets: list[TextLabel | ActionButton] = [
        TextLabel(text),
        TextLabel(text, wrap=True),
        ActionButton(text),
    ]
    for widget in widgets:
        qtbot.addWidget(widget)
    before = [(w.sizeHint(), w.minimumSizeHint(), w.heightForWidth(120)) for w in widgets]

    formatting.hide_amounts(hidden=True)
    for widget in widgets:
        widget.tell_again()

    assert all("234" not in widget.text() for widget in widgets)
    hints = [(w.sizeHint(), w.minimumSizeHint(), w.heightForWidth(120)) for w in widgets]
    plain, wrapped, button = zip(before, hints, strict=True)
    assert plain[0] == plain[1]
    assert wrapped[0][1:] == wrapped[1][1:], (
        "a line that wraps is laid out by its height for a width"
    )
    assert abs(button[0][0].width() - button[1][0].width()) <= 1, "letters have parts of pixels"
