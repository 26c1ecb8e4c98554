"""The inspector beside the page and in a window of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.settings import SettingsFile
from desktop.theme import DARK, Theme, ThemeChoice, colours
from desktop.views.inspector import GRIP_WIDTH, Inspector, on_a_screen
from desktop.views.rates import PRICES, SOURCES, WIDTH_FOR_BOTH
from tests.desktop.waiting import activated, until
from tests.desktop.whole_window import WholeWindow, opened

SCREENS = [QRect(0, 0, 1920, 1080), QRect(1920, 0, 2560, 1440)]


@pytest.fixture
async def whole(whole: WholeWindow) -> WholeWindow:
    await at_bob(whole)
    return whole


def seen(inspector: Inspector) -> tuple[bool, bool]:
    """Return whether it is beside the page, and whether in its own window."""
    return inspector.isVisible(), inspector.own_window.isVisible()


async def at_bob(whole: WholeWindow) -> None:
    whole.window.show_page("peers")
    await whole.peers.presenter.update_and_report()
    whole.peers.table.select_key("bob")


async def test_a_button_gives_it_a_window_of_its_own_and_another_puts_it_back(
    whole: WholeWindow,
) -> None:
    inspector, details = whole.window.inspector, whole.peers.peer_inspector
    assert seen(inspector) == (True, False)

    inspector.detach_button.click()
    assert seen(inspector) == (False, True)
    assert inspector.own_window.isWindow()
    assert details.window() is inspector.own_window
    assert details.isVisible()
    before = whole.settings.current

    inspector.dock_button.click()
    assert seen(inspector) == (True, False)
    assert details.window() is whole.window
    assert (before.inspector_detached, whole.settings.current.inspector_detached) == (
        True,
        False,
    )
    for button in (inspector.detach_button, inspector.dock_button):
        assert button.accessibleName()
        assert button.focusPolicy() & Qt.FocusPolicy.TabFocus


async def test_its_own_window_follows_the_selection_on_every_page_and_stays(
    whole: WholeWindow,
) -> None:
    inspector = whole.window.inspector
    inspector.toggle_detached()

    await until(lambda: whole.peers.table.select_key("carol"))
    await until(lambda: whole.peers.peer_inspector.name.text() == "carol")
    whole.peers.table.clearSelection()
    assert inspector.own_window.isVisible()
    whole.window.show_page("logs")
    assert whole.logs.line_inspector.window() is inspector.own_window
    assert inspector.own_window.windowTitle() == "Logs – Signalbox inspector"
    whole.window.show_page("overview")

    assert inspector.own_window.isVisible()
    assert not whole.logs.line_inspector.isVisible()
    assert inspector.nothing.isVisible()


async def test_its_key_works_beside_the_page_and_in_its_own_window(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    inspector = whole.window.inspector
    qtbot.keyClick(whole.window, Qt.Key.Key_F4)
    assert not inspector.isVisible()
    qtbot.keyClick(whole.window, Qt.Key.Key_F4)
    assert inspector.isVisible()

    inspector.toggle_detached()
    await activated(inspector.own_window)
    qtbot.keyClick(inspector.own_window, Qt.Key.Key_F4)
    assert not inspector.own_window.isVisible()
    assert not whole.settings.current.inspector_open
    whole.window.activateWindow()
    await activated(whole.window)
    qtbot.keyClick(whole.window, Qt.Key.Key_F4)
    assert inspector.own_window.isVisible()
    assert whole.settings.current.inspector_open


async def test_the_window_s_keys_work_in_it_and_the_palette_opens_over_the_window(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    inspector = whole.window.inspector
    inspector.toggle_detached()
    await activated(inspector.own_window)

    qtbot.keyClick(inspector.own_window, Qt.Key.Key_8, Qt.KeyboardModifier.ControlModifier)
    assert whole.window.current_page is whole.logs
    inspector.own_window.activateWindow()
    await activated(inspector.own_window)
    qtbot.keyClick(inspector.own_window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    await activated(whole.window)
    assert whole.window.palette_over.isVisible()
    assert whole.window.palette_over.field.hasFocus()
    assert QGuiApplication.focusWindow() is whole.window.windowHandle()


async def test_closing_its_window_closes_the_inspector_and_nothing_else(
    whole: WholeWindow,
) -> None:
    inspector = whole.window.inspector
    inspector.toggle_detached()

    inspector.own_window.close()
    assert not inspector.own_window.isVisible()
    assert not inspector.is_open
    assert whole.window.isVisible()
    assert not whole.settings.current.inspector_open
    inspector.toggle()
    assert inspector.own_window.isVisible()


async def test_it_comes_and_goes_with_the_window(whole: WholeWindow) -> None:
    inspector = whole.window.inspector
    inspector.toggle_detached()

    whole.window.hide()
    await asyncio.sleep(0.01)
    assert not inspector.own_window.isVisible()
    whole.window.show()
    await asyncio.sleep(0.01)
    assert inspector.own_window.isVisible()
    whole.window.setEnabled(False)
    assert not inspector.own_window.isEnabled()


async def test_a_change_of_theme_reaches_it(whole: WholeWindow) -> None:
    inspector = whole.window.inspector
    inspector.toggle_detached()
    light = inspector.own_window.grab().toImage().pixelColor(4, 4).lightness()

    whole.theme.choose(ThemeChoice.DARK)
    whole.theme.finish()

    assert colours(inspector.own_window.palette()) is DARK
    assert inspector.own_window.grab().toImage().pixelColor(4, 4).lightness() < 60 < light


async def test_it_is_as_it_was_left_on_a_screen_that_is_there(
    qapp: QApplication, theme: Theme, tmp_path: Path
) -> None:
    path = tmp_path / "window.json"
    async with opened(theme, SettingsFile(path)) as first:
        await at_bob(first)
        first.window.inspector.toggle_detached()
        first.window.inspector.own_window.setGeometry(150, 120, 400, 500)
    async with opened(theme, SettingsFile(path)) as second:
        own = second.window.inspector.own_window
        assert second.window.inspector.is_detached
        assert own.isVisible()
        assert own.geometry() == QRect(150, 120, 400, 500)
        # As on a second screen, which is taken away.
        own.setGeometry(5_000, 300, 400, 500)
    async with opened(theme, SettingsFile(path)) as third:
        own = third.window.inspector.own_window
        assert QGuiApplication.primaryScreen().availableGeometry().contains(own.geometry())
        # Opened again, it can be taken hold of.
        third.window.inspector.toggle()
        own.setGeometry(-390, 300, 400, 500)
        third.window.inspector.toggle()
        assert own.x() > 0
        own.setGeometry(-3_000, 300, 400, 500)
        screen = QGuiApplication.primaryScreen()
        qapp.screenRemoved.emit(screen)
        await asyncio.sleep(0.01)
        assert screen.availableGeometry().intersects(own.geometry())


@pytest.mark.parametrize(
    ("window", "where"),
    [
        (QRect(100, 100, 400, 600), QRect(100, 100, 400, 600)),
        (QRect(3_000, 100, 400, 600), QRect(3_000, 100, 400, 600)),
        (QRect(1_700, 100, 400, 600), QRect(1_700, 100, 400, 600)),
        (QRect(-400 + GRIP_WIDTH, 100, 400, 600), QRect(-400 + GRIP_WIDTH, 100, 400, 600)),
        (QRect(-400 + GRIP_WIDTH - 1, 100, 400, 600), QRect(760, 240, 400, 600)),
        (QRect(6_000, 100, 400, 600), QRect(760, 240, 400, 600)),
        (QRect(100, -500, 400, 600), QRect(760, 240, 400, 600)),
        (QRect(100, 1_060, 400, 600), QRect(760, 240, 400, 600)),
        (QRect(6_000, 0, 2_500, 1_400), QRect(0, 0, 1_920, 1_080)),
    ],
)
def test_a_window_is_where_it_can_be_taken_hold_of(window: QRect, where: QRect) -> None:
    assert on_a_screen(window, SCREENS) == where
    assert on_a_screen(window, []) == window


async def test_what_is_selected_among_the_rates_has_its_details(whole: WholeWindow) -> None:
    whole.window.show_page("rates")
    await whole.rates.presenter.update_and_report()
    assert not whole.window.inspector.isVisible()

    for place, facts in ((PRICES, ("Price", "From")), (SOURCES, ("Kind", "Asked every"))):
        whole.rates.tabs.setCurrentIndex(place)
        table = whole.rates.tables[place]
        table.selectRow(0)
        assert whole.window.inspector.isVisible()
        row = table.selected_rows[0]
        title = row.code if place == PRICES else row.name
        assert whole.rates.detail.title.text() == title
        for fact in facts:
            assert whole.rates.detail.facts.text_of(fact), fact

    whole.rates.tables[SOURCES].clearSelection()
    assert not whole.window.inspector.isVisible()


async def test_in_a_small_window_the_rates_have_the_room_and_their_details_a_window(
    whole: WholeWindow,
) -> None:
    whole.window.resize(WIDTH_FOR_BOTH, 800)
    whole.window.show_page("rates")
    await whole.rates.presenter.update_and_report()
    whole.rates.tables[PRICES].selectRow(0)
    assert seen(whole.window.inspector) == (True, False)

    whole.window.resize(WIDTH_FOR_BOTH - 1, 800)
    QApplication.processEvents()
    assert seen(whole.window.inspector) == (False, False)
    whole.window.inspector.toggle_detached()
    assert whole.rates.detail.isVisible()
