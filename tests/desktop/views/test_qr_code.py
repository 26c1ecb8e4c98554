"""The node's names as QR codes: what is painted is read back."""

from __future__ import annotations

import asyncio

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QContextMenuEvent, QGuiApplication
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.models.qr_code import QUIET_ZONE, qr_squares
from desktop.theme import ThemeChoice
from desktop.views.node_names_dialog import NodeNamesDialog
from desktop.views.qr_code import QrCode
from tests.desktop.qr_reader import read_qr
from tests.desktop.whole_window import WholeWindow


def painted(code: QrCode) -> list[list[bool]]:
    """Return every square of what is painted, the quiet zone included; each is black or white as a whole."""
    image, paper, width = code.grab().toImage(), code.paper, code.square
    ratio = image.devicePixelRatio()

    def dark(x: int, y: int) -> bool:
        corners = {
            image.pixelColor(
                round((paper.left() + x * width + dx) * ratio),
                round((paper.top() + y * width + dy) * ratio),
            ).name()
            for dx in (0, width // 2, width - 1)
            for dy in (0, width // 2, width - 1)
        }
        assert corners in ({"#000000"}, {"#ffffff"}), corners
        return corners == {"#000000"}

    count = paper.width() // width
    return [[dark(x, y) for x in range(count)] for y in range(count)]


def dialog_of(whole: WholeWindow) -> NodeNamesDialog:
    dialogs = whole.window.findChildren(NodeNamesDialog)
    assert len(dialogs) == 1
    assert isinstance(dialogs[0], NodeNamesDialog)
    return dialogs[0]


@pytest.mark.parametrize("choice", [ThemeChoice.LIGHT, ThemeChoice.DARK])
async def test_what_is_painted_is_read_back_in_every_theme(
    whole: WholeWindow, choice: ThemeChoice
) -> None:
    whole.theme.choose(choice)
    whole.theme.finish()
    whole.window.show_node_names()
    dialog = dialog_of(whole)
    await asyncio.sleep(0.05)

    squares = painted(dialog.code)
    inner = [row[QUIET_ZONE:-QUIET_ZONE] for row in squares[QUIET_ZONE:-QUIET_ZONE]]
    assert read_qr(inner) == "test.signalbox.alice"
    edge = [*squares[:QUIET_ZONE], *squares[-QUIET_ZONE:]]
    edge += [row[:QUIET_ZONE] + row[-QUIET_ZONE:] for row in squares]
    assert not any(any(row) for row in edge)
    dialog.reject()


async def test_the_other_button_or_the_menu_key_on_the_address_shows_it(
    whole: WholeWindow, qtbot: QtBot
) -> None:
    address = whole.window.strip.address
    QApplication.sendEvent(
        address, QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(5, 5))
    )
    dialog = dialog_of(whole)
    assert dialog.isVisible()
    assert "QR code" in address.toolTip()
    assert dialog.code.accessibleName() == "QR code of test.signalbox.alice"
    assert dialog.text.accessibleName() == "ILP address: test.signalbox.alice"

    dialog.copy_button.click()
    assert QGuiApplication.clipboard().text() == "test.signalbox.alice"
    dialog.close_button.click()
    await asyncio.sleep(0.01)
    assert whole.window.findChildren(NodeNamesDialog) == []


async def test_the_pointer_of_who_is_paid_at_the_host_is_there_too(whole: WholeWindow) -> None:
    whole.window.show_node_names()
    dialog = dialog_of(whole)
    await asyncio.sleep(0.05)

    dialog.choices[1].click()
    assert dialog.code.text == "$node.example/bob"
    assert dialog.heading.text() == "Payment pointer"
    dialog.copy_button.click()
    assert QGuiApplication.clipboard().text() == "$node.example/bob"
    dialog.choices[0].click()
    assert dialog.code.text == "test.signalbox.alice"
    assert dialog.copy_button.text() == "Copy"
    dialog.reject()


async def test_a_new_address_is_shown_at_once(whole: WholeWindow) -> None:
    whole.window.show_node_names()
    dialog = dialog_of(whole)
    whole.operator.ilp_address = f"test.{'parent.' * 140}alice"
    await whole.watch.update_and_report()

    assert dialog.code.text == whole.operator.ilp_address
    assert dialog.code.square >= 2
    assert read_qr(qr_squares(dialog.code.text)) == whole.operator.ilp_address
    screen = QGuiApplication.primaryScreen().availableGeometry()
    assert dialog.width() <= screen.width()
    dialog.reject()
