from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.models.graph import RANGES, Curve, GraphData, Line, Mark
from desktop.theme import DARK, LIGHT, colours, palette_of
from desktop.views import graphs
from desktop.views.graphs import (
    Graph,
    RangeBar,
    colour_of,
    discard_prepared,
    prepare,
    value_at,
    y_range,
)
from desktop.views.widgets import Card


def data(*y: float, latest: str = "") -> GraphData:
    return GraphData(
        from_s=1_000,
        until_s=1_000 + len(y),
        curves=(
            Curve(
                name="Owed",
                colour="series:0",
                x=range(1_000, 1_000 + len(y)),
                y=y,
                latest=latest,
            ),
        ),
        lines=(Line("limit", "bad", 9.0),),
        marks=(Mark(at_s=1_001, y=1.0, text="you paid 5.00 USD", colour="in_flight"),),
    )


def test_a_graph_draws_what_it_was_given_when_it_is_first_seen(qtbot: QtBot) -> None:
    graph = Graph()
    qtbot.addWidget(graph)

    graph.show_data(data(1, 2, 3, latest="3.00 USD"))
    before = graph._canvas
    graph.show()

    assert before is None
    assert graph._canvas is not None
    assert list(graph._canvas._curves[0].getOriginalDataset()[1]) == [1, 2, 3]
    assert graph.legend.text == "Owed 3.00 USD"


def test_the_legend_says_newer_values_before_the_curve_has_them(qtbot: QtBot) -> None:
    graph = Graph()
    qtbot.addWidget(graph)
    graph.show_latest("1.00 USD")
    graph.show_data(data(1, 2, 3, latest="3.00 USD"))
    graph.show()

    graph.show_latest("3.50 USD")
    assert graph.legend.text == "Owed 3.50 USD"

    graph.show_data(data(1, 2, 4, latest="4.00 USD"))
    assert graph.legend.text == "Owed 4.00 USD"


def test_a_graph_that_cannot_be_seen_draws_nothing(qtbot: QtBot) -> None:
    graph = Graph()
    qtbot.addWidget(graph)
    graph.show()
    graph.show_data(data(1, 2, 3))
    graph.hide()

    graph.show_data(data(4, 5, 6))

    assert graph._canvas is not None
    assert list(graph._canvas._curves[0].getOriginalDataset()[1]) == [1, 2, 3]
    graph.show()
    assert list(graph._canvas._curves[0].getOriginalDataset()[1]) == [4, 5, 6]


def test_a_graph_takes_the_colours_of_the_theme_at_run_time(qtbot: QtBot) -> None:
    graph = Graph()
    qtbot.addWidget(graph)
    graph.setPalette(palette_of(LIGHT))
    graph.show()
    graph.show_data(data(1, 2))
    assert graph._canvas is not None

    graph.setPalette(palette_of(DARK))

    pen = graph._canvas._curves[0].opts["pen"]
    assert pen.color().name() == DARK.series[0]
    assert pen.width() == 1
    assert graph._canvas.widget.backgroundBrush().color().name() == DARK.window


def test_a_graph_on_a_card_has_the_cards_ground(qtbot: QtBot) -> None:
    card = Card("Packets a second")
    qtbot.addWidget(card)
    card.setPalette(palette_of(DARK))
    graph = Graph()
    card.body.addWidget(graph)
    card.show()
    graph.show_data(data(1, 2))

    assert graph._canvas is not None
    assert graph._canvas.widget.backgroundBrush().color().name() == DARK.base


def test_curves_that_are_gone_are_drawn_no_more(qtbot: QtBot) -> None:
    graph = Graph()
    qtbot.addWidget(graph)
    graph.show()
    graph.show_data(data(1, 2))

    graph.show_data(GraphData(from_s=0, until_s=10))

    assert graph._canvas is not None
    assert graph._canvas._curves[0].getData()[0] is None
    assert not graph._canvas._lines[0].isVisible()
    assert graph._canvas._nothing.isVisible()


@pytest.mark.parametrize("span", [seconds for _, seconds in RANGES])
@pytest.mark.parametrize("late_s", [0, 200, 1_700, 40_000])
def test_however_narrow_a_graph_its_axis_names_a_moment(
    span: int, late_s: int, qtbot: QtBot
) -> None:
    graph = Graph()
    qtbot.addWidget(graph)
    until_s = 1_767_225_600 + late_s
    curve = Curve(name="T04", colour="series:0", x=(until_s - span, until_s), y=(1, 2))
    graph.show_data(GraphData(from_s=until_s - span, until_s=until_s, curves=(curve,)))
    graph.resize(170, 160)
    graph.show()
    assert graph._canvas is not None
    graph._canvas.widget.resize(170, 140)
    graph._canvas.widget.grab()
    axis = graph._canvas._plot.getAxis("bottom")

    inside = [
        text
        for spacing, places in axis.tickValues(until_s - span, until_s, 110)
        for at, text in zip(places, axis.tickStrings(places, 1, spacing), strict=True)
        if until_s - span * 7 / 8 <= at <= until_s - span / 8
    ]

    assert any(inside)


def test_the_value_under_the_pointer_is_the_one_of_that_moment() -> None:
    curve = Curve(name="x", colour="bad", x=(10, 20, 30), y=(1.5, 2.5, 12_345.0))

    assert value_at(curve, 5, "USD") == "–"
    assert value_at(curve, 29.9, "USD") == "2.5\u00a0USD"
    assert value_at(curve, 31, "") == "12\u202f345"


@pytest.mark.parametrize(
    ("first", "then", "stays"),
    [((10, 20), (10, 21), True), ((10, 20), (10, 40), False), ((100, 9), (4, 5), False)],
)
def test_the_height_of_a_graph_changes_only_when_it_must(
    first: tuple[float, ...], then: tuple[float, ...], stays: bool
) -> None:
    def spans(y: tuple[float, ...]) -> GraphData:
        return GraphData(
            from_s=0, until_s=2, curves=(Curve(name="", colour="bad", x=(0, 1), y=y),)
        )

    before = y_range(spans(first), None)
    after = y_range(spans(then), before)

    assert (after == before) is stays
    assert after[0] <= min(0, *then)
    assert after[1] >= max(then)


def test_a_level_line_has_room_above_and_below() -> None:
    level = GraphData(
        from_s=0,
        until_s=2,
        curves=(Curve(name="", colour="bad", x=(0, 1), y=(-5.0, -5.0)),),
        from_zero=False,
    )

    low, high = y_range(level, None)

    assert low < -5 < high


def test_colours_have_names() -> None:
    assert colour_of("series:9", LIGHT) == LIGHT.series[9 % len(LIGHT.series)]
    assert colour_of("bad", DARK) == DARK.bad


def test_the_range_bar_offers_every_range_and_marks_one(qtbot: QtBot) -> None:
    bar = RangeBar(900)
    qtbot.addWidget(bar)
    told: list[object] = []
    bar.chosen.connect(told.append)

    for _, seconds in RANGES:
        bar._group.button(seconds).click()
    bar.show_range(60)

    assert told == [seconds for _, seconds in RANGES]
    assert bar._group.checkedId() == 60


def test_pyqtgraph_is_not_loaded_before_a_graph_is_seen(qapp: QApplication) -> None:
    import subprocess
    import sys

    code = (
        "import os, sys; os.environ['QT_QPA_PLATFORM'] = 'offscreen'\n"
        "import desktop.views.overview, desktop.views.main_window\n"
        "sys.exit('pyqtgraph' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_graph_takes_a_plot_that_was_prepared_and_the_colour_of_its_own_ground(
    qtbot: QtBot, qapp: QApplication
) -> None:
    prepare(2)
    graph = Graph(empty="Nothing is owed")
    qtbot.addWidget(graph)
    ready = graphs._stock[-1]

    graph.show_data(GraphData(from_s=0, until_s=60))
    graph.show()

    assert graph._canvas is ready
    assert ready.widget.backgroundBrush().color().name() == colours(qapp.palette()).window
    assert ready._nothing.isVisible()
    assert ready._nothing.toPlainText() == "Nothing is owed"
    discard_prepared()
    assert not graphs._stock
