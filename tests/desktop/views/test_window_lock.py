"""A locked window shows nothing, does nothing, and comes back as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, QRect, Qt
from PySide6.QtGui import QColor, QCursor, QImage, QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QWidget
from pytestqt.qtbot import QtBot

from desktop import formatting, passphrase
from desktop.settings import SettingsFile
from desktop.theme import Theme
from desktop.views.confirm_dialog import ConfirmDialog
from desktop.views.main_window import HEIGHT_MIN, WIDTH_MIN, MainWindow
from desktop.views.passphrase_dialog import PassphraseDialog
from tests.desktop.fake_operator import FakeOperator
from tests.desktop.waiting import activated, until
from tests.desktop.whole_window import WholeWindow

WORD = "correct horse"
KEPT = passphrase.hash_of(WORD, log_cost=4)
CONTROL = Qt.KeyboardModifier.ControlModifier


class Shown(WholeWindow):
    """The window at its peers, and whether it was to be closed."""

    def __init__(self, theme: Theme, settings: SettingsFile) -> None:
        super().__init__(theme, settings, FakeOperator())
        self.clock = self.operator.clock
        self.lock = self.window.lock
        self.closings: list[bool] = []
        self.window.close_wanted.connect(lambda: self.closings.append(True))

    async def show(self) -> None:
        self.window.show_page("peers")
        await super().show()
        await self.peers.presenter.update_and_report()

    def is_locked(self) -> bool:
        return self.lock.presenter.is_locked

    async def open(self, typed: str = WORD) -> None:
        cover = self.lock.cover
        cover.line.setText(typed)
        cover.open_button.click()
        await until(lambda: not self.lock.presenter.is_working)


@pytest.fixture
def settings() -> SettingsFile:
    made = SettingsFile(None)
    made.change(passphrase=KEPT)
    return made


@pytest.fixture
async def shown(theme: Theme, settings: SettingsFile) -> AsyncIterator[Shown]:
    made = Shown(theme, settings)
    await made.show()
    yield made
    await made.close()


async def _image(window: QWidget) -> QImage:
    await asyncio.sleep(0.03)
    return window.grab().toImage()


def _dialogs() -> list[QWidget]:
    return [
        widget
        for widget in QApplication.topLevelWidgets()
        if widget.isVisible() and not isinstance(widget, MainWindow)
    ]


@pytest.mark.parametrize("size", [(WIDTH_MIN, HEIGHT_MIN), (1280, 800)])
async def test_the_cover_hides_everything_and_goes_with_the_window(
    shown: Shown, size: tuple[int, int]
) -> None:
    shown.window.strip.lock_button.click()
    shown.window.resize(*size)
    covered = await _image(shown.window)
    ground = QColor(covered.pixel(2, 2))

    assert shown.lock.cover.geometry() == shown.window.rect()
    # Nothing but the ground: of the strip, the rail, the table and the status bar.
    width, height = covered.width(), covered.height()
    for part in (
        QRect(0, 0, width, 60),
        QRect(0, 0, width // 5, height),
        QRect(0, height - 40, width, 40),
    ):
        colours = {
            QColor(covered.pixel(x, y)).name()
            for x in range(part.left(), part.right(), 7)
            for y in range(part.top(), part.bottom(), 3)
        }
        assert colours == {ground.name()}

    shown.operator.tick(3)
    await shown.watch.update_and_report()
    await shown.peers.presenter.update_and_report()
    assert await _image(shown.window) == covered, "what goes on beneath is not seen"

    await shown.open()
    assert shown.lock.cover.isHidden()
    assert await _image(shown.window) != covered


async def test_keys_and_clicks_do_nothing_while_it_is_locked_but_it_can_be_quit(
    shown: Shown, qtbot: QtBot
) -> None:
    shown.peers.table.selectRow(0)
    shown.peers.table.setFocus()
    calls = len(shown.operator.calls)
    pings: list[object] = []
    shown.peers.peers.pinged.connect(lambda *told: pings.append(told))
    qtbot.keyClick(shown.window, Qt.Key.Key_L, CONTROL)
    await until(shown.is_locked)

    for key in (
        Qt.Key.Key_1,
        Qt.Key.Key_N,
        Qt.Key.Key_H,
        Qt.Key.Key_B,
        Qt.Key.Key_K,
        Qt.Key.Key_F,
    ):
        qtbot.keyClick(shown.lock.cover.line, key, CONTROL)
    for key in (Qt.Key.Key_F4, Qt.Key.Key_F5, Qt.Key.Key_Delete):
        qtbot.keyClick(shown.lock.cover.line, key)
    for key in (Qt.Key.Key_P, Qt.Key.Key_E, Qt.Key.Key_Delete, Qt.Key.Key_Return):
        QTest.keyClick(shown.peers.table, key)
    for at in (QPoint(40, 120), QPoint(600, 300), QPoint(60, 24), QPoint(1_260, 24)):
        QTest.mouseClick(shown.window.childAt(at) or shown.window, Qt.MouseButton.LeftButton)
    await asyncio.sleep(0.02)

    page = shown.window.current_page
    assert page is not None
    assert page.key == "peers"
    assert shown.window.palette_over.isHidden()
    assert not pings
    assert not shown.window.rail.property("collapsed")
    assert not _dialogs()
    assert not [
        call for call in shown.operator.calls[calls:] if call[0] in ("ping", "delete_account")
    ]
    assert shown.window.childAt(QPoint(600, 300)) in (
        shown.lock.cover,
        *shown.lock.cover.findChildren(QWidget),
    )
    assert shown.is_locked()

    assert not shown.closings
    qtbot.keyClick(shown.lock.cover.line, Qt.Key.Key_Q, CONTROL)
    assert shown.closings == [True]

    await shown.open()
    qtbot.keyClick(shown.window, Qt.Key.Key_1, CONTROL)
    assert shown.window.current_page is shown.overview, "the keys are back"


async def test_the_focus_stays_with_the_passphrase_and_comes_back_afterwards(
    shown: Shown,
) -> None:
    shown.peers.filter_line.setFocus()
    shown.lock.lock()
    focused = set()
    for _ in range(8):
        widget = QApplication.focusWidget()
        assert widget is not None
        QTest.keyClick(widget, Qt.Key.Key_Tab)
        focused.add(QApplication.focusWidget())

    cover = shown.lock.cover
    assert focused <= {cover.line, cover.open_button, cover.quit_button}
    assert cover.line in focused
    await shown.open()
    assert QApplication.focusWidget() is shown.peers.filter_line


async def test_a_wrong_passphrase_is_told_and_the_next_waits(shown: Shown) -> None:
    shown.lock.lock()
    cover = shown.lock.cover

    await shown.open("wrong one")

    assert cover.message.text() == "✖ That is not the passphrase. Wait 1 s before the next try."
    assert not cover.open_button.isEnabled()
    assert cover.line.text() == ""
    before = cover.line.geometry()
    shown.clock.advance(1)
    await until(cover.open_button.isEnabled)
    assert cover.message.text() == "✖ That is not the passphrase."
    assert cover.line.geometry() == before, "nothing moves"
    await shown.open()
    assert not shown.is_locked()


async def test_a_dialog_goes_aside_with_what_was_typed_and_comes_back(shown: Shown) -> None:
    dialog = ConfirmDialog(
        "Delete bob?", ("bob owes you 97.00 USD.",), "Delete", shown.window, typed="bob"
    )
    dialog.open()
    dialog.typed_edit.setText("bo")
    menu = QMenu(shown.window)
    menu.addAction("Delete")
    menu.popup(QPoint(10, 10))

    shown.lock.presenter.lock()

    assert not _dialogs()
    await shown.open()
    assert _dialogs() == [dialog]
    assert dialog.isModal()
    assert dialog.typed_edit.text() == "bo"
    dialog.reject()


async def test_the_keys_that_hide_something_work_while_a_dialog_is_open(shown: Shown) -> None:
    shown.window.show_node_names()
    dialog = _dialogs()[0]
    await activated(dialog)

    QTest.keyClick(dialog, Qt.Key.Key_H, CONTROL)
    assert formatting.amounts_hidden()
    QTest.keyClick(dialog, Qt.Key.Key_K, CONTROL)
    assert shown.window.palette_over.isHidden()
    QTest.keyClick(dialog, Qt.Key.Key_L, CONTROL)

    assert shown.is_locked()
    assert _dialogs() == []
    await shown.open()
    assert _dialogs() == [dialog]
    dialog.close()


async def test_a_dialog_that_comes_while_it_is_locked_waits_until_it_is_open(
    shown: Shown,
) -> None:
    shown.lock.lock()
    dialog = ConfirmDialog("Late", ("It was under way.",), "Go on", shown.window)

    dialog.open()
    await until(lambda: not _dialogs())
    assert QApplication.focusWidget() in (shown.lock.cover.line, None)

    await shown.open()
    assert _dialogs() == [dialog]
    dialog.reject()


async def test_the_inspector_in_a_window_of_its_own_goes_aside_too(shown: Shown) -> None:
    shown.peers.table.selectRow(0)
    inspector = shown.window.inspector
    inspector.toggle_detached()
    await until(inspector.own_window.isVisible)

    shown.lock.presenter.lock()
    assert not _dialogs()
    shown.peers.table.clearSelection()
    shown.peers.table.selectRow(1)
    await asyncio.sleep(0.03)
    assert not _dialogs(), "what is selected meanwhile does not bring it back"
    QTest.keyClick(inspector.own_window, Qt.Key.Key_1, CONTROL)
    assert shown.window.current_page is shown.peers

    await shown.open()
    assert inspector.own_window.isVisible()
    inspector.toggle_detached()


async def test_the_first_lock_asks_for_a_passphrase_twice_and_says_what_it_is_for(
    theme: Theme, tmp_path: Path
) -> None:
    path = tmp_path / "window.json"
    shown = Shown(theme, SettingsFile(path))
    await shown.show()
    shown.window.strip.lock_button.click()
    [dialog] = _dialogs()
    assert isinstance(dialog, PassphraseDialog)
    words = " ".join(label.text() for label in dialog.findChildren(type(dialog.problem)))
    assert "against onlookers, not against who has your files" in words
    assert str(path) in words
    assert dialog.current not in dialog.lines
    layout = dialog.layout()
    assert layout is not None
    assert dialog.height() == layout.totalHeightForWidth(dialog.width()), "nothing is empty"

    dialog.new.setText(WORD)
    dialog.again.setText("correct house")
    dialog.save_button.click()
    assert dialog.problem.text() == "✖ The two are not the same."
    assert not shown.is_locked()
    dialog.again.setText(WORD)
    dialog.save_button.click()
    await until(shown.is_locked)

    assert not _dialogs()
    await shown.open()
    shown.window.strip.lock_button.click()
    assert shown.is_locked(), "the next one asks for nothing"
    await shown.close()

    again = Shown(theme, SettingsFile(path))
    await again.show()
    assert again.lock.cover.isVisible(), "it is locked when it is started again"
    QTest.keyClick(again.lock.cover.line, Qt.Key.Key_1, CONTROL)
    assert again.window.current_page is again.peers
    await again.open()
    assert again.lock.cover.isHidden()
    await again.close()


async def test_cancelling_the_first_passphrase_locks_nothing(theme: Theme) -> None:
    shown = Shown(theme, SettingsFile(None))
    await shown.show()
    shown.lock.lock()
    [dialog] = _dialogs()
    assert isinstance(dialog, PassphraseDialog)

    dialog.cancel_button.click()

    assert not shown.is_locked()
    assert not shown.lock.presenter.has_passphrase
    await shown.close()


async def test_it_locks_by_itself_after_the_minutes_that_its_menu_offers(shown: Shown) -> None:
    button = shown.window.strip.lock_button
    assert button.times[0].isChecked()
    button.times[5].trigger()
    assert shown.lock.presenter.minutes == 5
    assert button.times[5].isChecked()

    shown.clock.advance(299)
    key = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Shift, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(shown.peers.table, key)
    shown.clock.advance(299)
    shown.lock.presenter.look()
    assert not shown.is_locked()

    shown.clock.advance(1)
    await until(shown.is_locked)  # its own timer
    await shown.open()
    button.times[0].trigger()
    assert shown.lock.presenter.minutes == 0


async def test_minutes_without_a_passphrase_ask_for_one_first(theme: Theme) -> None:
    shown = Shown(theme, SettingsFile(None))
    await shown.show()
    button = shown.window.strip.lock_button

    button.times[1].trigger()
    [dialog] = _dialogs()
    assert isinstance(dialog, PassphraseDialog)
    assert button.times[0].isChecked(), "not chosen yet"
    dialog.new.setText(WORD)
    dialog.again.setText(WORD)
    dialog.save_button.click()
    await until(lambda: shown.lock.presenter.minutes == 1)

    assert button.times[1].isChecked()
    assert not shown.is_locked()
    await shown.close()


async def test_the_passphrase_is_changed_in_its_menu(shown: Shown) -> None:
    button = shown.window.strip.lock_button
    assert button.passphrase_action.text() == "Change the passphrase…"
    button.passphrase_action.trigger()
    [dialog] = _dialogs()
    assert isinstance(dialog, PassphraseDialog)
    dialog.current.setText("guessed")
    dialog.new.setText("battery staple")
    dialog.again.setText("battery staple")
    dialog.save_button.click()
    await until(lambda: bool(dialog.problem.text()))
    assert dialog.problem.text() == "✖ That is not the passphrase."

    shown.clock.advance(1)
    dialog.current.setText(WORD)
    dialog.save_button.click()
    await until(lambda: not _dialogs())
    await until(lambda: not shown.lock.presenter.is_working)

    shown.lock.lock()
    await shown.open("battery staple")
    assert not shown.is_locked()


async def test_all_of_it_has_a_name_for_who_cannot_see_it(shown: Shown) -> None:
    cover, button = shown.lock.cover, shown.window.strip.lock_button

    assert button.accessibleName() == "Lock the window"
    assert "Ctrl+L" in button.toolTip()
    assert cover.accessibleName() == "The window is locked"
    assert cover.line.accessibleName() == "Passphrase"
    assert cover.line.echoMode() is cover.line.EchoMode.Password
    assert cover.quit_button.text() == "Quit"
    cover.quit_button.click()
    assert shown.closings == [True]


async def test_its_button_looks_untouched_once_its_menu_is_closed(shown: Shown) -> None:
    button = shown.window.strip.lock_button
    QCursor.setPos(shown.window.mapToGlobal(QPoint(300, 400)))
    button.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)

    button.menu().popup(QPoint(10, 10))
    button.menu().close()

    await until(lambda: not button.underMouse())
