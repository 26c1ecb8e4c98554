"""The palette over the whole window: by keys alone."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from core.account import Account
from desktop.models.palette import Kind
from desktop.theme import ThemeChoice
from desktop.views.main_window import HEIGHT_MIN, WIDTH_MIN
from desktop.views.palette import Palette
from desktop.views.ping_dialog import PingDialog
from tests.desktop.whole_window import WholeWindow


def palette_of(whole: WholeWindow, qtbot: QtBot) -> Palette:
    """Return the palette, opened with its key."""
    qtbot.keyClick(whole.window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    assert whole.window.palette_over.isVisible()
    return whole.window.palette_over


def choose(whole: WholeWindow, qtbot: QtBot, typed: str) -> None:
    palette = palette_of(whole, qtbot)
    qtbot.keyClicks(palette.field, typed)
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert not palette.isVisible()


def page_of(whole: WholeWindow) -> str:
    page = whole.window.current_page
    return "" if page is None else page.key


def titles(palette: Palette) -> list[str]:
    return [entry.title for entry in palette.model.entries]


async def test_everything_that_has_a_shortcut_in_the_window_is_in_the_palette_with_it(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    palette = palette_of(whole, qtbot)
    shown = {entry.title: entry.keys for entry in palette.model.entries}

    actions = [action for action in whole.window.actions() if action.text() != "Palette"]
    assert len(actions) > 15
    for action in actions:
        if action.isEnabled() and action.shortcut().toString():
            assert shown[action.text()] == action.shortcut().toString(
                QKeySequence.SequenceFormat.NativeText
            )
    assert shown["Peers"] == "Ctrl+2"
    assert shown["Filter"] == "Ctrl+F"


async def test_what_it_must_offer_it_offers(whole: WholeWindow) -> None:
    offered = whole.window.commands.offered(whole.window.current_page)

    assert {entry.title for entry in offered} >= {
        "Overview", "Peers", "Routes", "Payments", "Rates", "Logs", "Add a peer", "Pay",
        "New request for money", "Ping any address…", "Add a route", "Look up a route",
        "Peer automatically…", "Theme: light", "Theme: dark", "Theme: system", "Inspector",
        "Export payments as CSV…", "Copy our ILP address", "Our address as a QR code",
    }  # fmt: skip


async def test_what_is_not_possible_now_is_not_offered(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    palette = palette_of(whole, qtbot)
    assert "Start the practice network" not in titles(palette)
    assert "Undo the last action" not in titles(palette)
    qtbot.keyClick(palette.field, Qt.Key.Key_Escape)

    whole.overview.overview.say_practice(available=True, progress="")
    whole.window.status.offer_undo("bob paused", lambda: None)
    palette_of(whole, qtbot)

    assert "Start the practice network" in titles(palette)
    choose_undo = titles(palette).index("Undo the last action")
    assert choose_undo > 0


async def test_a_peer_is_selected_with_its_details_though_the_filter_hid_it(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    whole.window.show_page("peers")
    await whole.peers.presenter.update_and_report()
    whole.window.inspector.set_open(False)
    whole.peers.filter_line.setText("carol")
    whole.peers.peers.filter("carol")
    whole.window.show_page("overview")

    choose(whole, qtbot, "@bob")
    await whole.peers.presenter.update_and_report()

    assert page_of(whole) == "peers"
    assert [row.username for row in whole.peers.table.selected_rows] == ["bob"]
    assert whole.window.inspector.isVisible()
    assert whole.settings.current.inspector_open


async def test_an_address_is_looked_up_pinged_and_a_pointer_paid(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    choose(whole, qtbot, "test.bob.shop")
    assert page_of(whole) == "routes"
    assert whole.routes.destination.text() == "test.bob.shop"
    await asyncio.sleep(0.05)
    assert whole.routes.answer.isVisible()

    palette = palette_of(whole, qtbot)
    qtbot.keyClicks(palette.field, "test.carol")
    qtbot.keyClick(palette.field, Qt.Key.Key_Down)
    qtbot.keyClick(palette.field, Qt.Key.Key_Enter)
    dialogs = whole.routes.findChildren(PingDialog)
    assert [dialog.destination.text() for dialog in dialogs] == ["test.carol"]
    dialogs[0].reject()

    choose(whole, qtbot, "$wallet.example/bob")
    assert page_of(whole) == "payments"
    assert whole.payments.pay_card.receiver.text() == "$wallet.example/bob"


async def test_a_deed_shows_its_page_and_gives_its_field_the_focus(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    for page in (whole.payments, whole.routes, whole.rates):
        await page.presenter.update_and_report()

    for typed, widget in (
        ("new request", whole.payments.request_bar.amount),
        ("look up a", whole.routes.destination),
        ("add a route", whole.routes.prefix),
        ("set a price", whole.rates.code),
        ("convert", whole.rates.converter.amount),
    ):
        choose(whole, qtbot, typed)
        assert whole.window.focusWidget() is widget, typed


async def test_themes_and_copying_work_from_it(whole: WholeWindow, qtbot: QtBot) -> None:
    choose(whole, qtbot, "dark")
    assert whole.theme.choice is ThemeChoice.DARK
    assert whole.window.strip.theme_actions[ThemeChoice.DARK].isChecked()
    assert whole.settings.current.theme is ThemeChoice.DARK

    choose(whole, qtbot, "copy our")
    assert QGuiApplication.clipboard().text() == "test.signalbox.alice"


async def test_rows_that_are_selected_bring_their_actions(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    whole.window.show_page("peers")
    await whole.peers.presenter.update_and_report()
    whole.peers.table.select_key("bob")

    palette = palette_of(whole, qtbot)
    rows = [entry for entry in palette.model.entries if entry.kind is Kind.ROW]
    assert ("Ping", "Peers: 1 row selected", "P") in [
        (entry.title, entry.detail, entry.keys) for entry in rows
    ]
    qtbot.keyClicks(palette.field, "edit")
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    await asyncio.sleep(0.05)

    assert whole.peers.editor.isVisible()


async def test_keys_alone_go_through_the_list_and_the_focus_comes_back(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    whole.window.show_page("peers")
    whole.peers.filter_line.setFocus()
    palette = palette_of(whole, qtbot)
    count = len(titles(palette))

    def place() -> int:
        return palette.list.currentIndex().row()

    assert (place(), palette.field.hasFocus()) == (0, True)
    qtbot.keyClick(palette.field, Qt.Key.Key_Down)
    qtbot.keyClick(palette.field, Qt.Key.Key_Tab)
    assert (place(), palette.field.hasFocus()) == (1, True)
    qtbot.keyClick(palette.field, Qt.Key.Key_PageDown)
    assert place() == 11
    qtbot.keyClick(palette.field, Qt.Key.Key_PageUp)
    qtbot.keyClick(palette.field, Qt.Key.Key_Up)
    qtbot.keyClick(palette.field, Qt.Key.Key_Up)
    assert place() == count - 1
    qtbot.keyClick(palette.field, Qt.Key.Key_Down)
    assert place() == 0

    qtbot.keyClick(palette.field, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    assert whole.peers.filter_line.hasFocus()


async def test_it_says_that_nothing_is_called_so_and_enter_does_nothing_then(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    palette = palette_of(whole, qtbot)
    qtbot.keyClicks(palette.field, "qqqq")

    assert palette.nothing.isVisible()
    assert palette.current is None
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert palette.isVisible()


async def test_it_closes_with_its_key_and_when_something_else_takes_the_focus(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    palette = palette_of(whole, qtbot)
    qtbot.keyClick(palette.field, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    assert not palette.isVisible()

    whole.window.strip.search_button.click()
    assert palette.isVisible()
    whole.window.stack.setFocus()
    assert not palette.isVisible()


async def test_a_colon_opens_it_but_can_be_typed(whole: WholeWindow, qtbot: QtBot) -> None:
    whole.window.show_page("peers")
    whole.peers.table.setFocus()
    qtbot.keyClick(whole.peers.table, ":")
    assert whole.window.palette_over.isVisible()
    qtbot.keyClicks(whole.window.palette_over.field, "theme:")

    assert whole.window.palette_over.field.text() == "theme:"


async def test_it_stays_within_the_smallest_window_and_tells_what_is_chosen(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    whole.window.resize(WIDTH_MIN, HEIGHT_MIN)
    palette = palette_of(whole, qtbot)

    assert whole.window.rect().contains(palette.geometry())
    whole.window.resize(1280, 800)
    assert abs(palette.geometry().center().x() - whole.window.rect().center().x()) <= 1
    index = palette.model.index(1, 0)
    assert (
        palette.model.data(index, Qt.ItemDataRole.AccessibleTextRole) == "Peers, Page, Ctrl+2"
    )
    assert palette.field.accessibleName()
    assert palette.list.accessibleName()


async def test_a_peer_s_name_is_plain_text(whole: WholeWindow, qtbot: QtBot) -> None:
    view = whole.operator.views["bob"]
    whole.operator.replace_view("bob", account=_named(view.account, "<b>bob</b>\nbob"))
    whole.operator.changes += 1
    await whole.watch.update_and_report()

    palette = palette_of(whole, qtbot)
    qtbot.keyClicks(palette.field, "@<b>")

    assert titles(palette) == ["<b>bob</b>\nbob"]
    assert not palette.grab().isNull()
    assert not [label for label in palette.findChildren(QLabel) if "<b>" in label.text()]


async def test_no_action_has_the_name_or_the_key_of_another(whole: WholeWindow) -> None:
    keys = [each.toString() for action in whole.window.actions() for each in action.shortcuts()]

    assert len(keys) == len(set(keys))
    with pytest.raises(ValueError, match="already"):
        whole.window.commands.add("Quit", lambda: None)


def _named(account: Account, name: str) -> Account:
    return dataclasses.replace(account, label=name)
