"""Places and lines in the log: nobody takes all of them from the others."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, strategies as st

from core.links.strangers import QuietLog, Shares, neighbourhood

log = logging.getLogger(__name__)


@pytest.mark.parametrize(
    ("host", "told_by"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_a_host_is_told_by_what_one_owner_has(host: str, told_by: str) -> None:
    assert neighbourhood(host) == told_by


def test_whoever_must_make_room_is_of_those_that_hold_most() -> None:
    shares: Shares[int] = Shares()
    assert list(shares.most().holders) == []
    for number in range(3):
        shares.take(number, "many")
    shares.take(7, "one")

    assert (len(shares), shares.held("many"), shares.held("one"), shares.held("none")) == (4, 3, 1, 0)  # fmt: skip
    assert (shares.most().origin, list(shares.most().holders)) == ("many", [0, 1, 2])
    assert set(shares) == {0, 1, 2, 7}

    for number in (0, 0, 1, 99):
        shares.give_back(number, "many")
    shares.give_back(2, "one")
    assert (len(shares), list(shares.most().holders)) == (2, [7])
    shares.give_back(7, "one")
    assert (len(shares), list(shares.most().holders)) == (1, [2])


def test_of_origins_that_hold_as_many_the_one_makes_room_that_has_held_them_longest() -> None:
    shares: Shares[int] = Shares()
    for number in range(5):
        shares.take(number, f"origin-{number}")
    assert list(shares.most().holders) == [0]

    shares.give_back(0, "origin-0")
    shares.take(0, "origin-0")
    assert list(shares.most().holders) == [1]


def test_origins_take_turns_however_many_places_each_holds() -> None:
    shares: Shares[int] = Shares()
    for number in range(4):
        shares.take(number, "many")
    shares.take(10, "few")
    shares.take(11, "few")

    assert [shares.take_next() for _ in range(6)] == [0, 10, 1, 11, 2, 3]
    assert len(shares) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(("take", "give back", "next")), st.integers(0, 5), st.sampled_from("abc"))
    )
)  # fmt: skip
def test_places_are_counted_right_whatever_is_done(
    steps: list[tuple[str, int, str]],
) -> None:
    shares: Shares[tuple[int, str]] = Shares()
    held: list[tuple[int, str]] = []
    for step, number, origin in steps:
        holder = (number, origin)
        if step == "take":
            shares.take(holder, origin)
            held += [] if holder in held else [holder]
        elif step == "give back":
            shares.give_back(holder, origin)
            held = [one for one in held if one != holder]
        elif held:
            held.remove(shares.take_next())

        assert sorted(shares) == sorted(held)
        counts = {o: [one for one in held if one[1] == o] for o in "abc"}
        assert list(shares.most().holders) == counts.get(shares.most().origin, [])
        assert len(shares.most().holders) == max(len(one) for one in counts.values())


def test_each_source_has_a_few_lines_a_minute_and_the_rest_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    quiet = QuietLog(log, "strangers", lines_max=4, each_max=2)
    for _ in range(100):
        quiet.write(logging.INFO, "loud", 1000.0, "from %s", "loud")
    for source in ("a", "b", "c"):
        quiet.write(logging.INFO, source, 1059.9, "from %s", source)
    assert caplog.messages == ["from loud", "from loud", "from a", "from b"]

    quiet.look_at_clock(1059.9)
    quiet.look_at_clock(1060.0)
    quiet.look_at_clock(1061.0)
    quiet.write(logging.INFO, "loud", 1062.0, "again")

    assert caplog.messages[4:] == [
        "99 more lines about strangers were left out in the last minute",
        "again",
    ]
