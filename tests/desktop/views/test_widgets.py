from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

import resources
from desktop.models.table import Column, TableModel
from desktop.theme import LIGHT, palette_of
from desktop.views.widgets import (
    EmptyState,
    FilterLine,
    Pill,
    TableView,
    TextLabel,
    Tone,
    grow_to_fit,
    icon,
    pixmap,
)

ICONS = sorted(path.stem for path in (Path(resources.__path__[0]) / "icons").glob("*.svg"))


@dataclass(frozen=True)
class Row:
    name: str


def table(*names: str) -> TableModel[Row]:
    model = TableModel(
        (Column[Row](title="Name", text=lambda row: row.name),), key=lambda row: row.name
    )
    model.replace([Row(name) for name in names])
    return model


def test_a_peer_cannot_put_markup_on_the_screen(qtbot: QtBot) -> None:
    label = TextLabel("<b>bob</b>", elide=True)
    pill = Pill()
    qtbot.addWidget(label)
    qtbot.addWidget(pill)

    pill.set("up", Tone.OK, "<img src=x>")

    assert label.textFormat() is Qt.TextFormat.PlainText
    assert label.toolTip() == "<span>&lt;b&gt;bob&lt;/b&gt;</span>"
    assert pill.toolTip() == "<span>&lt;img src=x&gt;</span>"


def test_a_pill_says_its_state_to_a_screen_reader_and_with_a_shape(qtbot: QtBot) -> None:
    pill = Pill("ethereum", Tone.OK, clickable=True)
    qtbot.addWidget(pill)

    pill.set("ethereum stopped", Tone.BAD, "it exited with status 1")

    assert pill.accessibleName() == "ethereum stopped"
    assert pill.accessibleDescription() == "it exited with status 1"
    assert len({tone.value for tone in Tone}) == len(Tone)


def test_a_pill_is_pressed_with_the_keyboard_too(qtbot: QtBot) -> None:
    pill = Pill("node", Tone.OK, clickable=True)
    qtbot.addWidget(pill)

    with qtbot.waitSignal(pill.clicked):
        qtbot.keyClick(pill, Qt.Key.Key_Return)


def test_a_filter_is_told_once_after_the_last_key_and_cleared_by_escape(qtbot: QtBot) -> None:
    line = FilterLine("Filter")
    qtbot.addWidget(line)
    told: list[str] = []
    line.filtered.connect(told.append)

    qtbot.keyClicks(line, "bob")
    with qtbot.waitSignal(line.filtered):
        pass
    qtbot.keyClick(line, Qt.Key.Key_Escape)

    assert told == ["bob", ""]


def test_a_selection_survives_a_refresh(qtbot: QtBot) -> None:
    model = table("a", "b", "c")
    view = TableView(model)
    qtbot.addWidget(view)
    view.select_key("b")

    model.replace([Row("0"), Row("b"), Row("c")])

    assert [row.name for row in view.selected_rows] == ["b"]


@pytest.mark.parametrize(
    ("width", "hidden"), [(700, [False, False, False]), (420, [False, False, True])]
)
def test_a_column_that_stretches_is_narrow_before_it_is_left_out(
    qtbot: QtBot, width: int, hidden: list[bool]
) -> None:
    columns = (
        Column[Row](title="Name", text=lambda row: row.name, width=300),
        Column[Row](
            title="Note", text=lambda row: row.name, width=160, stretch=True, gives_way=1
        ),
        Column[Row](title="Last", text=lambda row: row.name, width=120, gives_way=2),
    )
    view = TableView(TableModel(columns, key=lambda row: row.name))
    qtbot.addWidget(view)

    view.resize(width, 200)
    view.show()

    header = view.horizontalHeader()
    assert [header.isSectionHidden(i) for i in range(3)] == hidden
    assert header.length() == view.viewport().width()


def test_a_window_grows_with_what_it_says_and_does_not_squeeze_it(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    answer = TextLabel(wrap=True)
    layout.addWidget(answer)
    window.resize(200, 60)
    window.show()

    answer.setText("what came of it " * 60)
    grow_to_fit(window)

    assert window.width() == 200
    assert window.height() >= layout.totalHeightForWidth(200) > 300


@pytest.mark.parametrize("name", ICONS)
def test_every_icon_draws_something(qapp: QApplication, name: str) -> None:
    image = pixmap(name, "#000000").toImage()

    assert any(
        image.pixelColor(x, y).alpha()
        for x in range(image.width())
        for y in range(image.height())
    )


def test_an_icon_is_not_the_same_where_it_is_on(qapp: QApplication) -> None:
    from PySide6.QtGui import QIcon

    drawn = icon("peers", palette_of(LIGHT))

    off = drawn.pixmap(20, 20, QIcon.Mode.Normal, QIcon.State.Off).toImage()
    on = drawn.pixmap(20, 20, QIcon.Mode.Normal, QIcon.State.On).toImage()
    assert off != on


def test_an_empty_state_has_a_way_out(qtbot: QtBot) -> None:
    state = EmptyState("peers", "No peers yet", "Packets flow once there is one.")
    qtbot.addWidget(state)
    button = state.add_button("Add a peer", primary=True)

    with qtbot.waitSignal(button.clicked):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
