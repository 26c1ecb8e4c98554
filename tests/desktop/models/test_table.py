from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings, strategies as st
from PySide6.QtCore import QPersistentModelIndex, Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from desktop.models.table import ROW_ROLE, Column, TableModel

DISPLAY = Qt.ItemDataRole.DisplayRole


@dataclass(frozen=True)
class Row:
    name: str
    amount: int


def model(*, newest_first: bool = False) -> TableModel[Row]:
    return TableModel(
        (
            Column(title="Name", text=lambda row: row.name),
            Column(
                title="Amount",
                text=lambda row: str(row.amount),
                sort_key=lambda row: row.amount,
                right=True,
            ),
        ),
        key=lambda row: row.name,
        newest_first=newest_first,
    )


def names(table: TableModel[Row]) -> list[object]:
    return [table.data(table.index(i, 0)) for i in range(table.rowCount())]


def test_an_amount_of_any_size_is_shown_in_full() -> None:
    table = model()

    table.replace([Row("bob", 2**64 - 1)])

    assert table.data(table.index(0, 1)) == "18446744073709551615"


def test_a_tooltip_shows_the_letters_that_are_there_and_no_markup() -> None:
    table = model()

    table.replace([Row("<img src=x>", 1)])

    tooltip = table.data(table.index(0, 0), Qt.ItemDataRole.ToolTipRole)
    assert tooltip == "<span>&lt;img src=x&gt;</span>"


def test_sorting_is_by_number_where_the_column_is_one() -> None:
    table = model()
    table.replace([Row("a", 10), Row("b", 9), Row("c", 2**63)])

    table.sort(1, Qt.SortOrder.DescendingOrder)

    assert names(table) == ["c", "a", "b"]


def test_a_selected_row_stays_the_same_row_when_others_come_go_and_overtake() -> None:
    table = model()
    table.sort(1)
    table.replace([Row("a", 1), Row("b", 2), Row("c", 3)])
    selected = QPersistentModelIndex(table.index(1, 0))

    table.replace([Row("d", 0), Row("b", 9), Row("c", 3)])

    assert names(table) == ["d", "c", "b"]
    assert selected.data(ROW_ROLE) == Row("b", 9)


def test_rows_do_not_jump_while_the_order_is_held() -> None:
    table = model()
    table.sort(1)
    table.replace([Row("a", 1), Row("b", 2)])
    table.hold_order = True

    table.replace([Row("a", 5), Row("b", 2)])

    assert names(table) == ["a", "b"]
    table.hold_order = False
    table.replace([Row("a", 5), Row("b", 2)])
    assert names(table) == ["b", "a"]


def test_only_what_is_different_is_told_to_the_view(qtbot: QtBot) -> None:
    table = model()
    table.replace([Row(f"{i}", i) for i in range(6)])
    told: list[tuple[int, int]] = []
    table.dataChanged.connect(lambda top, bottom, *_: told.append((top.row(), bottom.row())))

    table.replace([Row(f"{i}", -i if i in (1, 2, 5) else i) for i in range(6)])

    assert told == [(1, 2), (5, 5)]


def test_a_stream_drops_its_oldest_row_and_shows_its_newest_first() -> None:
    table = model(newest_first=True)

    table.append([Row("1", 1), Row("2", 2)], rows_max=3)
    table.append([Row("3", 3), Row("4", 4)], rows_max=3)

    assert names(table) == ["4", "3", "2"]


def test_a_filter_counts_what_it_hides() -> None:
    table = model()
    table.append([Row(f"{i}", i) for i in range(10)], rows_max=100)

    table.set_filter(lambda row: row.amount % 2 == 0)
    table.append([Row("10", 10), Row("11", 11)], rows_max=11)

    assert (table.shown, table.total) == (5, 11)
    assert names(table) == ["2", "4", "6", "8", "10"]


rows_of = st.lists(
    st.builds(Row, st.sampled_from("abcdefghij"), st.integers(0, 5)),
    unique_by=lambda row: row.name,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.tuples(rows_of, st.sampled_from((-1, 0, 1)), st.booleans()), max_size=6))
def test_any_sequence_of_replacements_ends_as_a_fresh_model_would(
    qtmodeltester: ModelTester, steps: list[tuple[list[Row], int, bool]]
) -> None:
    table = model()
    qtmodeltester.check(table)

    for rows, column, hold in steps:
        table.hold_order = hold
        table.replace(rows)
        table.sort(column)

        fresh = model()
        fresh.sort(column)
        fresh.replace(rows)
        assert names(table) == names(fresh)
