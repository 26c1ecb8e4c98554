from __future__ import annotations

from pytestqt.qtbot import QtBot

from desktop.views.status_line import StatusLine


def test_what_was_done_is_taken_back_once(qtbot: QtBot) -> None:
    status = StatusLine()
    qtbot.addWidget(status)
    status.resize(900, 30)
    status.show()
    taken_back: list[str] = []

    status.offer_undo("carol saved", lambda: taken_back.append("carol"))
    assert status.undo_button.text() == "Undo: carol saved"
    status.undo_button.click()
    status.undo_button.click()

    assert taken_back == ["carol"]
    assert not status.undo_button.isVisible()


def test_the_button_says_what_it_takes_back_whatever_was_done_since(qtbot: QtBot) -> None:
    status = StatusLine()
    qtbot.addWidget(status)
    status.resize(900, 30)
    status.show()

    status.offer_undo("R&D saved", lambda: None)
    status.say("dave paused")

    assert status.message.text() == "dave paused"
    assert status.undo_button.text() == "Undo: R&&D saved"


def test_after_a_while_it_can_no_longer_be_taken_back(qtbot: QtBot) -> None:
    status = StatusLine()
    qtbot.addWidget(status)
    status.resize(900, 30)
    status.show()
    status.offer_undo("carol saved", lambda: None)

    status._forget.timeout.emit()

    assert not status.undo_button.isVisible()
