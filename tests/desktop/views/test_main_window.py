from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from core.errors import StoreUnavailable
from core.telemetry.peer_time import ClockReading, PeerClock
from desktop.models.overview import Mood, OverviewState
from desktop.presenters.overview import OverviewPresenter
from desktop.presenters.page import PagePresenter
from desktop.presenters.shell import ShellPresenter
from desktop.presenters.watch import NodeWatch
from desktop.settings import SettingsFile
from desktop.theme import Theme, ThemeChoice
from desktop.views.main_window import HEIGHT_MIN, WIDTH_MIN, MainWindow
from desktop.views.overview import OverviewPage
from desktop.views.page import Page
from desktop.views.pictures import take_pictures
from desktop.views.widgets import Tone
from tests.desktop.fake_operator import FakeOperator


class OtherPresenter(PagePresenter):
    """Counts how often it looks."""

    looks = 0

    async def update(self) -> None:
        self.looks += 1
        await self.operator.accounts()


class OtherPage(Page):
    key = "peers"
    title = "Peers"
    icon = "peers"

    def __init__(self, presenter: PagePresenter) -> None:
        super().__init__(presenter)
        self.inspector = QWidget()
        self.opened: list[str] = []
        self.added = 0
        self.line = QLineEdit()
        layout = QVBoxLayout(self)
        layout.addWidget(self.line)

    def open(self, target: str) -> None:
        self.opened.append(target)

    def focus_filter(self) -> None:
        self.line.setFocus()

    def add(self) -> None:
        self.added += 1


class Shown:
    """A window over a fake node, with an overview and one other page."""

    def __init__(self, theme: Theme, settings: SettingsFile, operator: FakeOperator) -> None:
        self.operator = operator
        self.settings = settings
        clock = operator.clock
        self.watch = NodeWatch(operator, clock)
        self.shell = ShellPresenter(self.watch)
        self.overview = OverviewPage(OverviewPresenter(operator, clock, self.watch))
        self.other_presenter = OtherPresenter(operator, clock)
        self.other = OtherPage(self.other_presenter)
        self.window = MainWindow(self.shell, (self.overview, self.other), settings, theme)

    async def look(self) -> None:
        await self.watch.update_and_report()
        await self.overview.presenter.update_and_report()

    async def close(self) -> None:
        self.window.let_go()
        for page in (self.overview, self.other):
            await page.presenter.close()
        await self.watch.close()
        self.window.deleteLater()
        await asyncio.sleep(0.01)


@pytest.fixture
async def shown(theme: Theme) -> AsyncIterator[Shown]:
    made = Shown(theme, SettingsFile(None), FakeOperator())
    made.window.show()
    made.window.activateWindow()
    await made.look()
    await asyncio.sleep(0.01)
    yield made
    await made.close()


async def test_the_whole_overview_is_seen_in_the_window_as_it_opens(shown: Shown) -> None:
    states: list[OverviewState] = []
    shown.overview.overview.state_changed.connect(states.append)
    shown.watch.looked.emit()
    quiet = dataclasses.replace(
        states[-1], incidents=states[-1].incidents[:1], exposures=states[-1].exposures[:3]
    )

    hurrying = dataclasses.replace(quiet.limits[0], pace="full in 5 min 2 s")
    quiet = dataclasses.replace(quiet, limits=(hurrying, *quiet.limits[1:]))
    shown.window.resize(1280, 800)
    shown.overview.overview.state_changed.emit(quiet)
    await asyncio.sleep(0.05)

    content = shown.overview.content
    assert len(quiet.limits) > 4
    assert content.verticalScrollBar().maximum() == 0
    assert len({line.bar.width() for line in content.limits.lines}) == 1, "bars compare"
    for line in content.limits.lines:
        assert line.words.text() == line.words.toolTip(), "an amount is cut"
        assert line.words.geometry().right() < line.pace.x(), "an amount is covered"


@pytest.mark.parametrize("mood", [Mood.OK, Mood.WARN, Mood.BAD])
async def test_when_a_limit_is_reached_is_a_warning_only_where_it_is_near(
    shown: Shown, mood: Mood
) -> None:
    states: list[OverviewState] = []
    shown.overview.overview.state_changed.connect(states.append)
    shown.watch.looked.emit()
    row = dataclasses.replace(states[-1].limits[0], mood=mood, pace="full in 6 h 7 min")
    shown.overview.overview.state_changed.emit(dataclasses.replace(states[-1], limits=(row,)))

    line = shown.overview.content.limits.lines[0]
    assert line.pace._role == ("muted" if mood is Mood.OK else mood.value)


async def test_nothing_of_the_overview_is_out_of_reach_in_a_small_window(shown: Shown) -> None:
    states: list[OverviewState] = []
    shown.overview.overview.state_changed.connect(states.append)
    shown.window.resize(1000, 700)
    shown.watch.looked.emit()
    QApplication.processEvents()

    content = shown.overview.content
    body = content.widget()
    assert body is not None
    assert content.limits.lines
    assert all(line.trend.isHidden() for line in content.limits.lines)
    assert body.minimumSizeHint().width() <= content.viewport().width()
    state = states[-1]
    hurrying = dataclasses.replace(state.limits[0], pace="full in 59 min 59 s")
    shown.overview.overview.state_changed.emit(dataclasses.replace(state, limits=(hurrying,)))
    QApplication.processEvents()
    assert content.limits.lines[0].pace.isVisible()
    assert body.minimumSizeHint().width() <= content.viewport().width()

    shown.overview.overview.state_changed.emit(state)
    shown.window.resize(1400, 800)
    QApplication.processEvents()
    assert not any(line.trend.isHidden() for line in content.limits.lines)


async def test_the_window_may_be_as_small_as_it_says_and_rates_have_their_pill_where_there_is_room(
    shown: Shown,
) -> None:
    rates = shown.window.strip.pill("rates")
    assert rates is not None
    rates.set("Rates fine", Tone.OK, "")

    shown.window.resize(WIDTH_MIN, HEIGHT_MIN)
    QApplication.processEvents()
    assert shown.window.width() == WIDTH_MIN
    assert not rates.isVisible()

    shown.window.resize(1280, 800)
    QApplication.processEvents()
    assert shown.window.width() == 1280
    assert rates.isVisible()
    shown.watch.looked.emit()
    assert rates.isVisible()


async def test_a_pill_of_rates_that_warns_is_seen_however_narrow_the_window_is(
    shown: Shown,
) -> None:
    await shown.look()
    rates = shown.window.strip.pill("rates")
    assert rates is not None
    assert rates.tone is Tone.WARN

    shown.window.resize(WIDTH_MIN, HEIGHT_MIN)
    QApplication.processEvents()

    assert shown.window.width() == WIDTH_MIN
    assert rates.isVisible()


async def test_only_the_page_that_is_seen_looks_at_the_node(shown: Shown) -> None:
    assert shown.other_presenter.looks == 0

    shown.window.show_page("peers")
    await shown.other_presenter.update_and_report()
    looks = shown.other_presenter.looks
    shown.window.show_page("overview")

    assert looks > 0
    assert shown.other_presenter._polling is None
    shown.window.hide()
    assert shown.overview.presenter._polling is None


async def test_keys_lead_to_pages_filters_and_a_new_peer(shown: Shown, qtbot: QtBot) -> None:
    qtbot.keyClick(shown.window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert shown.window.current_page is shown.other

    shown.window.show_page("overview")
    qtbot.keyClick(shown.window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    assert (shown.window.current_page, shown.other.added) == (shown.other, 1)

    qtbot.keyClick(shown.window, "/")
    assert shown.other.line.hasFocus()
    qtbot.keyClicks(shown.other.line, "g/b")
    assert shown.other.line.text() == "g/b"


async def test_a_remedy_leads_to_the_page_and_the_thing_on_it(shown: Shown) -> None:
    shown.overview.navigated.emit("peers", "bob")

    assert shown.window.current_page is shown.other
    assert shown.other.opened == ["bob"]


async def test_the_inspector_is_there_for_pages_that_have_one_and_stays_closed(
    shown: Shown, qtbot: QtBot
) -> None:
    assert not shown.window.inspector.isVisible()

    shown.window.show_page("peers")
    assert not shown.window.inspector.isVisible(), "nothing is selected"
    shown.other.want_inspector(True)
    assert shown.window.inspector.isVisible()

    qtbot.keyClick(shown.window, Qt.Key.Key_F4)
    assert not shown.window.inspector.isVisible()
    assert not shown.settings.current.inspector_open
    shown.window.show_page("overview")
    shown.window.show_page("peers")
    assert not shown.window.inspector.isVisible()


async def test_badges_and_pills_tell_of_trouble_to_eyes_and_ears(shown: Shown) -> None:
    button = shown.window.rail.buttons["overview"]
    pill = shown.window.strip.pill("node")

    assert button.badge == 8
    assert "8 problems" in button.accessibleName()
    assert pill is not None
    assert pill.accessibleName().startswith("Node up")

    button.show_badge(99)
    all_of_them = button.grab().toImage()
    button.show_badge(102)
    assert button.grab().toImage() != all_of_them, "it is not said to be 99"


async def test_the_banner_stays_until_it_is_over_or_hidden_until_it_changes(
    shown: Shown,
) -> None:
    shown.operator.problems = ["The disk is full."]
    await shown.look()
    banner = shown.window.banner
    assert banner.isVisible()

    banner.hide_button.click()
    await shown.look()
    assert not banner.isVisible()

    shown.operator.problems = ["The database is locked."]
    await shown.look()
    assert banner.isVisible()
    shown.operator.problems = []
    await shown.look()
    assert not banner.isVisible()


async def test_the_status_bar_says_which_version_the_node_runs(shown: Shown) -> None:
    assert shown.window.status.version.text() == f"v{(await shown.operator.status()).version}"


async def test_what_is_shown_is_said_to_be_stale_when_it_is(shown: Shown) -> None:
    shown.watch.stop()
    assert shown.window.status.age.text().startswith("● Live")

    shown.operator.errors["status"] = StoreUnavailable("the database is locked")
    shown.operator.clock.advance(20)
    await shown.look()

    assert shown.window.status.age.text() == "✖ Stale 20\u00a0s"


async def test_the_address_is_copied_with_a_click(shown: Shown, qtbot: QtBot) -> None:
    shown.window.strip.address.click()

    assert QGuiApplication.clipboard().text() == "test.signalbox.alice"
    assert shown.window.status.message.toolTip() == "Copied test.signalbox.alice"


async def test_closing_the_window_begins_the_shutdown_and_nothing_else(
    shown: Shown, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(shown.window.close_wanted):
        shown.window.close()

    assert shown.window.isVisible()


async def test_the_theme_is_chosen_at_run_time_and_kept(shown: Shown, theme: Theme) -> None:
    shown.window.strip.theme_chosen.emit(ThemeChoice.DARK)

    assert theme.colours.dark
    assert shown.settings.current.theme is ThemeChoice.DARK


async def test_the_window_fits_the_smallest_screen(shown: Shown) -> None:
    for page in ("overview", "peers"):
        shown.window.show_page(page)
        shown.window.resize(WIDTH_MIN, HEIGHT_MIN)

        assert shown.window.size().toTuple() == (WIDTH_MIN, HEIGHT_MIN)


async def test_a_window_comes_back_as_it_was_left(theme: Theme, tmp_path: Path) -> None:
    path = tmp_path / "window.json"
    first = Shown(theme, SettingsFile(path), FakeOperator())
    first.window.show()
    first.window.show_page("peers")
    first.window.rail.toggle()
    first.window.resize(WIDTH_MIN, 700)
    await first.close()

    second = Shown(theme, SettingsFile(path), FakeOperator())
    second.window.show()

    assert second.window.current_page is second.other
    assert second.window.rail.width() < 100
    assert second.window.size().toTuple() == (WIDTH_MIN, 700)
    await second.close()


async def test_an_empty_node_offers_a_peer_and_the_practice_network(
    theme: Theme, qtbot: QtBot
) -> None:
    shown = Shown(theme, SettingsFile(None), FakeOperator(peers=0))
    shown.window.show()
    await shown.look()
    overview = shown.overview.overview
    overview.say_practice(available=True, progress="")
    assert shown.overview.add_button.isVisible()

    with qtbot.waitSignal(overview.practice_wanted):
        shown.overview.practice_button.click()
    overview.say_practice(available=False, progress="Starting bob…")
    assert not shown.overview.practice_button.isEnabled()
    with qtbot.waitSignal(overview.peer_wanted):
        shown.overview.add_button.click()
    await shown.close()


async def test_an_empty_node_says_what_needs_you_too(theme: Theme) -> None:
    operator = FakeOperator(peers=0)
    shown = Shown(theme, SettingsFile(None), operator)
    shown.window.show()
    operator.problems.append("the disk is full")
    states: list[OverviewState] = []
    shown.overview.overview.state_changed.connect(states.append)

    await shown.look()

    assert shown.overview.needs_you.isVisible()
    assert shown.overview.add_button.isVisible()
    calm = dataclasses.replace(states[-1], incidents=())
    shown.overview.overview.state_changed.emit(calm)
    assert not shown.overview.needs_you.isVisible()
    await shown.close()


async def test_an_incident_has_its_remedy_beside_it(shown: Shown) -> None:
    from PySide6.QtWidgets import QPushButton

    buttons = {
        button.accessibleName(): button
        for button in shown.overview.findChildren(QPushButton)
        if button.isVisible()
    }

    buttons["Show packets: bob has used 98 % of the credit you give"].click()
    shown.window.show_page("overview")
    buttons["Settle now: 2 settlements with erin did not succeed"].click()
    await asyncio.sleep(0.01)

    assert ("settle_now", "erin", None) in shown.operator.calls


async def test_everything_that_takes_the_focus_has_a_name(shown: Shown) -> None:
    nameless = [
        widget
        for widget in shown.window.findChildren(QWidget)
        if widget.isVisible()
        and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not widget.accessibleName()
        and not getattr(widget, "text", str)()
        and widget is not shown.other.line
    ]

    assert nameless == [], [type(widget).__name__ for widget in nameless]


async def test_pictures_of_every_page_are_taken_light_and_dark(
    shown: Shown, theme: Theme, tmp_path: Path
) -> None:
    paths = await take_pictures(
        shown.window,
        (shown.overview, shown.other),
        theme,
        tmp_path / "new",
        settle_seconds=0.05,
    )

    assert [path.name for path in paths] == [
        "overview-light.png", "peers-light.png", "overview-dark.png", "peers-dark.png",
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert theme.choice is ThemeChoice.LIGHT


async def test_a_peer_cannot_put_markup_into_an_incident(shown: Shown) -> None:
    view = shown.operator.views["ivan"]
    shown.operator.replace_view("ivan", state_reason="<b>gone</b>")
    shown.operator.changes += 1
    assert dataclasses.is_dataclass(view)
    await shown.look()
    needs_you = shown.overview.content.needs_you
    needs_you.more.click()

    from desktop.views.widgets import TextLabel

    labels = [label for label in needs_you.findChildren(TextLabel) if "gone" in label.text()]
    assert [label.text() for label in labels] == ["<b>gone</b>"]
    assert labels[0].textFormat() is Qt.TextFormat.PlainText


async def test_a_clock_that_is_wrong_is_told_in_the_strip_the_status_bar_and_the_banner(
    shown: Shown,
) -> None:
    window = shown.window
    pill = window.strip.pill("clock")
    assert pill is not None
    assert pill.text == "Clock not known"
    assert window.status.clock.text() == "clock not known"
    assert not window.banner.isVisible()

    shown.operator.clock_reading = ClockReading(
        offset_ms=5_012,
        bound_ms=40,
        peers=("alice", "bob"),
        told_at_ms=shown.operator.clock.now_ms(),
    )
    await shown.look()

    assert pill.text.replace("\u00a0", " ") == "Clock +5.0 s"
    assert window.status.clock.text().replace("\u00a0", " ") == "✖ clock +5.0 s"
    assert window.banner.isVisible()
    assert "Packets expire early" in window.banner.text.text()
    layout = window.strip.layout()
    assert layout is not None
    for offset_ms in (5_012, -900):
        reading = dataclasses.replace(shown.operator.clock_reading, offset_ms=offset_ms)
        shown.operator.clock_reading = reading
        await shown.look()
        for width in (WIDTH_MIN, 1280):
            window.resize(width, HEIGHT_MIN)
            QApplication.processEvents()
            assert window.width() == width
            assert pill.isVisible(), "what is wrong gives way to nothing"
            assert layout.minimumSize().width() <= width, "nothing in the strip is cut off"
    window.resize(1600, HEIGHT_MIN)
    QApplication.processEvents()
    for widget in (window.strip.rate, window.strip.pulse, window.strip.pill("engine:ethereum")):
        assert widget is not None
        assert widget.isVisible(), "what gave way comes back"


async def test_a_pill_that_has_nothing_to_say_gives_way_in_a_narrow_window(
    shown: Shown,
) -> None:
    pill = shown.window.strip.pill("clock")
    assert pill is not None
    shown.window.resize(1600, 800)
    QApplication.processEvents()
    assert pill.isVisible()

    shown.window.resize(WIDTH_MIN, HEIGHT_MIN)
    QApplication.processEvents()
    assert not pill.isVisible()
    assert shown.window.status.clock.isVisible(), "and is told in the status bar"


async def test_the_button_of_the_banner_shows_the_page_that_it_names(shown: Shown) -> None:
    shown.operator.clock_reading = ClockReading(
        offset_ms=0,
        bound_ms=40,
        peers=("alice", "bob", "carol"),
        told_at_ms=shown.operator.clock.now_ms(),
        wrong=(PeerClock("bob", 5_000),),
    )
    await shown.look()

    shown.window.banner.action.click()

    assert shown.window.current_page is shown.other
