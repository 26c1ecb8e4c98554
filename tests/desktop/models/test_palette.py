from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from desktop.models.palette import LOOSE_MAX, Entry, Kind, best, score


def action(title: str, words: str = "") -> Entry:
    return Entry(kind=Kind.ACTION, key=title, title=title, words=words)


ACTIONS = [
    action("Peers"),
    action("Add a peer"),
    action("Peer automatically…", "auto-peer rafiki"),
    action("Theme: dark", "colours look"),
    action("Export payments as CSV…"),
]


def titles(typed: str) -> list[str]:
    return [entry.title for entry in best(typed, ACTIONS)]


@pytest.mark.parametrize(
    ("wanted", "better", "worse"),
    [
        ("peers", "peers", "peers and more"),
        ("pe", "peers", "add a peer"),
        ("pe", "add a peer", "open"),
        ("pe", "open", "a prefix"),
        ("ap", "add a peer", "gate keeper of p"),
        ("apr", "add a peer", "a_leap_r"),
    ],
)
def test_the_nearer_the_better(wanted: str, better: str, worse: str) -> None:
    first, second = score(wanted, better), score(wanted, worse)

    assert first is not None
    assert second is None or first >= second


def test_letters_are_found_in_order_alone() -> None:
    assert score("xpc", "export payments as csv") is not None
    assert score("cpx", "export payments as csv") is None


def test_each_gap_costs_unless_a_word_begins_behind_it() -> None:
    assert (score("adpe", "add a peer") or 0) > (score("drep", "padored peer") or 0)


@given(
    st.text(alphabet="abc -", max_size=12), st.text(alphabet="abc -", min_size=1, max_size=5)
)
def test_a_word_is_found_where_its_letters_are_in_order_and_only_there(
    text: str, wanted: str
) -> None:
    rest = iter(text)
    is_in_order = all(letter in rest for letter in wanted)

    assert (score(wanted, text) is not None) == is_in_order


def test_the_best_is_first_and_every_typed_word_must_be_found() -> None:
    assert titles("pee")[:2] == ["Peers", "Peer automatically…"]
    assert titles("peer add") == ["Add a peer"]
    assert titles("DARK theme") == ["Theme: dark"]
    assert titles("payments dark") == []


def test_other_words_find_it_too_but_behind_what_is_called_so() -> None:
    assert titles("rafiki") == ["Peer automatically…"]
    found = best("look", [action("Theme", "look"), action("Look up a route")])
    assert [entry.title for entry in found] == ["Look up a route", "Theme"]


def test_nothing_typed_finds_all_in_their_order_and_no_more_than_is_shown() -> None:
    assert titles("  ") == [entry.title for entry in ACTIONS]
    assert len(best("", [action(f"a{i}") for i in range(80)])) == 50
    assert len(best("a", [action(f"a{i}") for i in range(80)], shown_max=7)) == 7


def test_among_very_many_scattered_letters_are_looked_for_in_the_first_alone() -> None:
    many = [action(f"peer {i:05}") for i in range(LOOSE_MAX + 100)]

    assert [entry.title for entry in best("pr00007", many)] == ["peer 00007"]
    assert best("pr01299", many) == []
    assert [entry.title for entry in best("01299", many)] == ["peer 01299"]
