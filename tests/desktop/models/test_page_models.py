"""Every page's model under Qt's own model test, and with what it does beside a table."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester

from desktop.models.logs import LogFilter, LogRow, LogsModel
from desktop.models.peers import PeersModel
from desktop.models.routes import RouteRow, RoutesModel
from desktop.models.settlements import (
    DueModel,
    SettlementsModel,
    UnknownModel,
    UnmatchedModel,
)
from desktop.models.table import TableModel
from desktop.models.traffic import PACKETS_MAX, PacketFilter, PacketRow, PacketsModel
from desktop.presenters.names import Names
from desktop.presenters.peer_rows import peer_row_of
from desktop.presenters.settlements import due_of, entry_of, unknown_of, unmatched_of
from desktop.presenters.traffic import packet_row_of
from tests.desktop.fake_operator import FakeOperator


def packets(count: int, first: int = 1) -> list[PacketRow]:
    operator = FakeOperator()
    operator.add_packets(first + count)
    by_number = {view.sequence: view for view in operator.packet_views}
    return [packet_row_of(by_number[number]) for number in range(first, first + count)]


async def everything() -> list[tuple[TableModel[Any], list[Any]]]:
    operator = FakeOperator(peers=40)
    now_ms = operator.clock.now_ms()
    return [
        (PeersModel(), [peer_row_of(view, now_ms) for view in await operator.accounts()]),
        (
            RoutesModel(),
            [RouteRow(r.prefix, r.next_hop, r.source) for r in await operator.routes()],
        ),
        (SettlementsModel(), [entry_of(row, Names()) for row in await operator.settlements()]),
        (DueModel(), [due_of(row, Names()) for row in await operator.settlements_due()]),
        (UnmatchedModel(), [unmatched_of(row) for row in await operator.unmatched()]),
        (
            UnknownModel(),
            [unknown_of(row, Names()) for row in await operator.unknown_transfers()],
        ),
        (PacketsModel(), packets(60)),
        (
            LogsModel(),
            [
                LogRow(line.sequence, line.at_ms, line.level, line.component, line.text)
                for line in await operator.logs(after_sequence=0)
            ],
        ),
    ]


async def test_models_stay_true_through_random_changes(qtmodeltester: ModelTester) -> None:
    chance = random.Random(3)
    for model, every_row in await everything():
        rows = every_row[:12]
        qtmodeltester.check(model)
        for _ in range(8):
            model.replace(chance.sample(rows, chance.randint(0, len(rows))))
            model.sort(
                chance.randint(-1, len(model.columns) - 1), chance.choice(list(Qt.SortOrder))
            )
            model.set_filter(passes_some(frozenset(chance.sample(range(7), 3))))
        model.set_filter(None)
        assert model.shown == model.total


def passes_some(kept: frozenset[int]) -> Callable[[object], bool]:
    return lambda row: hash(repr(row)) % 7 in kept


async def test_every_cell_has_text_for_the_eye_and_for_a_screen_reader() -> None:
    for model, rows in await everything():
        model.replace(rows)
        for column in range(model.columnCount()):
            index = model.index(0, column)
            accessible = model.data(index, Qt.ItemDataRole.AccessibleTextRole)
            assert isinstance(model.data(index), str)
            assert isinstance(accessible, str)
            assert len(accessible) > len(model.columns[column].title) + 2, model.columns[column]


def test_a_ring_of_packets_keeps_the_newest_on_top(qtmodeltester: ModelTester) -> None:
    model = PacketsModel()
    qtmodeltester.check(model)
    rows = packets(300)

    for first in range(0, 300, 50):
        model.append(rows[first : first + 50], rows_max=120)

    assert [row.sequence for row in model.visible_rows] == list(range(300, 180, -1))
    assert PACKETS_MAX == 20_000


def test_packets_that_come_while_it_is_held_wait_and_are_counted() -> None:
    model = PacketsModel()
    rows = packets(30)
    model.add(rows[:10])

    model.hold(held=True)
    model.add(rows[10:])
    assert (model.shown, model.waiting) == (10, 20)

    model.hold(held=False)
    assert (model.shown, model.waiting) == (30, 0)
    assert model.row(0).sequence == 30


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (PacketFilter(verdict="rejected"), lambda row: not row.fulfilled),
        (PacketFilter(verdict="fulfilled"), lambda row: row.fulfilled),
        (PacketFilter(code="T04"), lambda row: row.code == "T04"),
        (PacketFilter(peer="bob"), lambda row: "bob" in (row.from_username, row.to_username)),
        (PacketFilter(text="SHOP"), lambda row: "shop" in row.destination),
    ],
)
def test_a_filter_holds_for_what_is_there_and_for_what_comes(
    wanted: PacketFilter, passes: Callable[[PacketRow], bool]
) -> None:
    model = PacketsModel()
    rows = packets(600)
    model.add(rows[:300])

    model.set_filter(wanted.passes)
    model.add(rows[300:])

    assert [row.sequence for row in model.visible_rows] == [
        row.sequence for row in reversed(rows) if passes(row)
    ]
    assert 0 < model.shown < 600


def test_a_destination_is_found_as_it_was_copied_and_in_small_letters() -> None:
    row = replace(packets(1)[0], destination="test.bob.shop.Qmo1JvgSuIfID_Vr")

    for text in (row.destination, "qmo1jvg", "Qmo1"):
        assert PacketFilter(text=text).passes(row)
    assert not PacketFilter(text="Qmo2").passes(row)


def test_log_lines_are_left_out_by_level_component_and_text() -> None:
    lines = [
        LogRow(1, 0, "DEBUG", "core.links.http", "one"),
        LogRow(2, 0, "WARNING", "core.links.http", "Two\nand more"),
        LogRow(3, 0, "ERROR", "core.linksetc", "two"),
    ]

    def left(wanted: LogFilter) -> list[int]:
        return [line.sequence for line in lines if wanted.passes(line)]

    assert left(LogFilter()) == [1, 2, 3]
    assert left(LogFilter(level="WARNING")) == [2, 3]
    assert left(LogFilter(component="core.links")) == [1, 2]
    assert left(LogFilter(text="TWO")) == [2, 3]
    assert lines[1].first_line == "Two …"
