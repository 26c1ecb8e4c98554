from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import pytest
import shiboken6
from PySide6.QtGui import QImage, QPaintEvent
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from desktop.theme import (
    CONTRAST_MIN,
    DARK,
    LIGHT,
    Colours,
    Theme,
    ThemeChoice,
    colours,
    contrast,
    mixed,
    palette_of,
)

both = pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])


@both
def test_text_of_every_meaning_can_be_read_on_every_ground(look: Colours) -> None:
    grounds = (look.window, look.base, look.raised, look.selection)
    texts = (
        look.text, look.muted, look.accent, look.ok, look.warn, look.bad, look.paused,
        look.owed_to_us, look.owed_by_us, look.in_flight,
    )  # fmt: skip

    poor = [
        (text, ground, round(contrast(text, ground), 2))
        for ground in grounds
        for text in texts
        if contrast(text, ground) < CONTRAST_MIN
    ]

    assert poor == []


@both
def test_words_on_a_coloured_ground_can_be_read(look: Colours) -> None:
    for text, ground in (
        (look.ok, look.ok_soft), (look.warn, look.warn_soft), (look.bad, look.bad_soft),
        (look.text, look.ok_soft), (look.text, look.warn_soft), (look.text, look.bad_soft),
        (look.muted, look.warn_soft), (look.muted, look.bad_soft),
        (look.accent_text, look.accent),
    ):  # fmt: skip
        assert contrast(text, ground) >= CONTRAST_MIN, (text, ground)


@both
def test_every_curve_stands_out_from_the_graph(look: Colours) -> None:
    assert all(contrast(curve, look.base) >= CONTRAST_MIN for curve in look.series)
    assert len(set(look.series)) == len(look.series)


@both
def test_what_is_painted_with_a_palette_has_its_colours(look: Colours) -> None:
    assert colours(palette_of(look)) is look


def test_the_theme_changes_at_run_time_and_says_so(qapp: QApplication) -> None:
    theme = Theme(qapp, "QLabel { color: $text; }", ThemeChoice.LIGHT)
    told: list[bool] = []
    theme.changed.connect(lambda: told.append(theme.colours.dark))

    theme.choose(ThemeChoice.DARK)
    theme.choose(ThemeChoice.DARK)
    theme.finish()

    assert told == [True]
    assert colours(qapp.palette()) is DARK
    theme.choose(ThemeChoice.LIGHT)
    theme.finish()
    assert told == [True, False]
    theme.deleteLater()


@pytest.mark.parametrize(
    "make", [lambda: QPushButton("Save"), lambda: QLineEdit("12"), lambda: QLabel("words")]
)
def test_a_widget_that_changed_its_theme_looks_as_one_that_began_with_it(
    qapp: QApplication, make: Callable[[], QWidget]
) -> None:
    stylesheet = files("resources").joinpath("styles", "app.qss").read_text()
    theme = Theme(qapp, stylesheet, ThemeChoice.LIGHT)
    changed = make()
    light = _picture(changed)

    theme.choose(ThemeChoice.DARK)
    theme.finish()
    fresh = make()

    assert _picture(changed) == _picture(fresh)
    assert _picture(changed) != light
    theme.choose(ThemeChoice.LIGHT)
    theme.finish()
    assert _picture(changed) == light
    theme.deleteLater()


def _picture(widget: QWidget) -> QImage:
    widget.resize(120, 40)
    return widget.grab().toImage()


def test_a_window_is_not_painted_before_all_that_is_seen_has_its_colours(
    qapp: QApplication,
) -> None:
    theme = Theme(qapp, "QLabel { color: $text; }", ThemeChoice.LIGHT)
    window = QWidget()
    label = QLabel("words", window)
    window.show()

    theme.choose(ThemeChoice.DARK)

    assert not window.updatesEnabled()
    theme.finish()
    assert window.updatesEnabled()
    assert label.palette().color(label.foregroundRole()).name() == DARK.text
    window.close()
    theme.deleteLater()


def test_a_window_with_something_to_paint_as_its_theme_changes_is_painted_afterwards(
    qapp: QApplication, qtbot: QtBot
) -> None:
    theme = Theme(qapp, "", ThemeChoice.LIGHT)
    window = _Painted()
    window.show()
    qtbot.waitUntil(lambda: window.times > 0)
    seen = window.times

    window.update()
    theme.choose(ThemeChoice.DARK)
    qapp.processEvents()  # Qt comes to it while the window is held
    theme.finish()

    qtbot.waitUntil(lambda: window.times > seen)
    seen = window.times
    window.update()
    qtbot.waitUntil(lambda: window.times > seen)
    window.close()
    theme.deleteLater()


class _Painted(QWidget):
    """Counts how often it is painted."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 # as Qt calls it
        self.times += 1


def test_tables_are_painted_after_the_rest_of_their_window_one_by_one(
    qapp: QApplication,
) -> None:
    theme = Theme(qapp, "", ThemeChoice.LIGHT)
    window = QWidget()
    tables = [QListWidget(window) for _ in range(2)]
    window.show()
    steps: list[tuple[bool, int]] = []
    theme.changed.connect(lambda: steps.append(_held(window, tables)))

    theme.choose(ThemeChoice.DARK)
    assert _held(window, tables) == (True, 2)
    theme.choose(ThemeChoice.LIGHT)
    theme.choose(ThemeChoice.DARK)
    theme.finish()

    assert steps == [(False, 2)]
    assert _held(window, tables) == (False, 0)
    window.close()
    theme.deleteLater()


def _held(window: QWidget, tables: list[QListWidget]) -> tuple[bool, int]:
    return not window.updatesEnabled(), sum(not table.updatesEnabled() for table in tables)


def test_a_widget_that_is_deleted_while_the_theme_changes_is_left_out(
    qapp: QApplication,
) -> None:
    theme = Theme(qapp, "", ThemeChoice.LIGHT)
    gone = QLabel("words")

    theme.choose(ThemeChoice.DARK)
    shiboken6.delete(gone)
    theme.finish()

    assert colours(qapp.palette()) is DARK
    theme.deleteLater()


def test_black_and_white_are_as_far_apart_as_can_be() -> None:
    assert round(contrast("#000000", "#ffffff"), 1) == 21.0
    assert mixed("#000000", "#ffffff", 0.5) == "#808080"
