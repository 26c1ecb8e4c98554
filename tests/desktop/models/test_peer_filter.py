from __future__ import annotations

import pytest

from desktop.models.peer_filter import parse
from desktop.models.peers import PeerRow
from desktop.presenters.peer_rows import peer_row_of
from tests.desktop.fake_operator import NOW_MS, FakeOperator


def rows() -> list[PeerRow]:
    return [peer_row_of(view, NOW_MS) for view in FakeOperator().views.values()]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", 12),
        ("bob", 1),
        ("BOB", 1),
        ("zürich", 1),
        ("state:down", 1),
        ("state:up asset:eur", 2),
        ("relation:parent", 1),
        ("code:t04", 1),
        ("balance>90", 1),
        ("balance>80% state:down", 1),
        ("asset:urd", 0),
    ],
)
def test_terms_are_joined(typed: str, expected: int) -> None:
    wanted = parse(typed)

    assert wanted.problem == ""
    assert sum(1 for row in rows() if wanted.passes(row)) == expected


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("colour:red", "`colour` is no column to filter by"),
        ("balance>lots", "a percentage"),
        ("balance>" + "9" * 5000, "a percentage"),
        ("state>up", "with a colon"),
    ],
)
def test_what_means_nothing_is_said_and_does_not_empty_the_table(typed: str, said: str) -> None:
    wanted = parse(f"{typed} bob")

    assert said in wanted.problem
    assert [row.username for row in rows() if wanted.passes(row)] == ["bob"]
