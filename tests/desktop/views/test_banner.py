"""The banner and the clock in the status bar, as widgets."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from desktop.models.overview import ClockState, Mood, Notice
from desktop.views.banner import Banner
from desktop.views.clock_label import ClockLabel

DISK = Notice(
    key="disk", text="The disk is full.", mood=Mood.BAD, label="Show log", page="logs"
)
TOKEN = Notice(key="token", text="The token can be <b>guessed</b>.", mood=Mood.WARN)


@pytest.fixture
def banner(qtbot: QtBot) -> Banner:
    made = Banner()
    qtbot.addWidget(made)
    return made


def test_one_notice_is_shown_at_a_time_and_how_many_there_are(banner: Banner) -> None:
    banner.say((DISK, TOKEN))
    assert banner.text.text() == DISK.text
    assert banner.accessibleName() == DISK.text
    assert banner.place.text() == "1 of 2"
    assert banner.shape.text() == "✖"

    banner.say((TOKEN,))
    assert banner.text.text() == TOKEN.text
    assert banner.text.textFormat() is Qt.TextFormat.PlainText
    assert banner.place.isHidden()
    assert banner.shape.text() == "▲"


def test_hidden_one_by_one_they_stay_hidden_until_they_change(banner: Banner) -> None:
    banner.say((DISK, TOKEN))
    banner.hide_button.click()
    assert not banner.isHidden()
    assert banner.text.text() == TOKEN.text
    banner.hide_button.click()
    assert banner.isHidden()

    banner.say((Notice(key="disk", text="It is full, still.", mood=Mood.BAD), TOKEN))
    assert banner.isHidden(), "the figures in it are others, the matter is the same"
    banner.say((Notice(key="other", text="Another.", mood=Mood.BAD), TOKEN))
    assert banner.text.text() == "Another."


def test_what_was_over_and_comes_back_is_shown_again(banner: Banner) -> None:
    banner.say((DISK,))
    banner.hide_button.click()
    banner.say(())
    banner.say((DISK,))
    assert not banner.isHidden()


def test_its_figures_go_on_while_it_is_shown(banner: Banner) -> None:
    banner.say((DISK,))
    banner.say((Notice(key="disk", text="It is fuller.", mood=Mood.BAD),))
    assert banner.text.text() == "It is fuller."


def test_its_button_leads_to_where_it_is_seen_to(banner: Banner, qtbot: QtBot) -> None:
    banner.say((DISK,))
    assert banner.action.text() == "Show log"
    with qtbot.waitSignal(banner.page_wanted) as wanted:
        banner.action.click()
    assert wanted.args == ["logs"]

    banner.say((TOKEN,))
    assert banner.action.isHidden()


def test_it_can_be_hidden_with_the_keyboard(banner: Banner, qtbot: QtBot) -> None:
    banner.say((DISK,))
    banner.show()
    assert banner.hide_button.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert banner.hide_button.accessibleName() == "Hide until it changes"
    assert banner.hide_button.accessibleDescription() == DISK.text
    qtbot.keyClick(banner.hide_button, Qt.Key.Key_Space)
    assert banner.isHidden()


@pytest.mark.parametrize(
    ("mood", "text"),
    [
        (Mood.OK, "clock +12 ms"),
        (Mood.PLAIN, "clock +12 ms"),
        (Mood.WARN, "▲ clock +12 ms"),
        (Mood.BAD, "✖ clock +12 ms"),
    ],
)
def test_the_clock_is_quiet_until_it_is_wrong(qtbot: QtBot, mood: Mood, text: str) -> None:
    label = ClockLabel()
    qtbot.addWidget(label)
    label.show_clock(ClockState(text="+12 ms", mood=mood, reason="told by <bob>"))
    assert label.text() == text
    assert "&lt;bob&gt;" in label.toolTip()
    assert label.accessibleName() == "Clock: +12 ms"
    assert label.accessibleDescription() == "told by <bob>"
