"""The window of what may be in flight: as interledger-rs's own scenarios have it, and its bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.packet import AMOUNT_MAX, max_packet_amount_data
from core.stream.sender.path_maximum import PathMaximum
from core.stream.sender.window import Window
from tests.core.packet.vectors import load

FILE = load("interledger-rs/stream-congestion.json")


@pytest.mark.parametrize(
    "scenario", [pytest.param(each, id=each["name"]) for each in FILE["scenarios"]]
)
def test_the_window_opens_and_closes_as_in_interledger_rs(scenario: dict[str, Any]) -> None:
    window = Window(
        scenario["start"],
        increase=scenario["increase"],
        slow_start=scenario["state"] != "avoid_congestion",
    )
    assert scenario["decrease"] == 2
    for action, *_, after in scenario["steps"]:
        if action == "T04_all":
            window.congested()
        else:
            window.fulfilled(window.size)
        assert window.size == after


def test_an_f08_says_the_largest_amount_as_in_interledger_rs() -> None:
    exact, without_data = FILE["f08"]
    path = PathMaximum()
    path.refused(
        exact["sent"],
        max_packet_amount_data(
            received=exact["received_amount"], maximum=exact["maximum_amount"]
        ),
    )
    assert path.limit == exact["new_max_packet"]

    path = PathMaximum(without_data["current_max_packet"])
    path.refused(without_data["current_max_packet"], b"")
    assert path.limit == without_data["new_max_packet"]


def test_a_part_of_a_window_opens_it_by_its_part() -> None:
    window = Window(10, increase=1, slow_start=False)
    for _ in range(9):
        window.fulfilled(1)
    assert window.size == 10
    window.fulfilled(1)
    assert window.size == 11


@given(
    st.integers(1, AMOUNT_MAX),
    st.integers(1, AMOUNT_MAX),
    st.lists(st.integers(0, AMOUNT_MAX) | st.none(), max_size=80),
)
def test_a_window_is_never_closed_nor_wider_than_it_may_be(
    start: int, maximum: int, steps: list[int | None]
) -> None:
    window = Window(start, increase=3, maximum=maximum)
    for step in steps:
        before = window.size
        if step is None:
            window.congested()
            assert window.size <= max(1, before // 2)
        else:
            window.fulfilled(step)
            assert window.size >= before
        assert 1 <= window.size <= maximum
