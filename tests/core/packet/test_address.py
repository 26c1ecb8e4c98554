"""ILP addresses: the lists of interledger-rs and interledgerjs, ilp-connector's look-ups, and segments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.errors import PacketError
from core.packet import address, child_address, covers, is_prefix, prefixes, scheme
from core.packet.address import parse_address
from tests.core.packet.vectors import load

RUST = load("interledger-rs/addresses.json")
JAVASCRIPT = load("interledgerjs/ilp-addresses.json")
ROUTING = load("ilp-connector/routing.json")

segments = st.text(alphabet="abcXYZ019_~-", min_size=1, max_size=6)
addresses = st.builds(
    lambda first, rest: ".".join((first, *rest)),
    st.sampled_from(["g", "test", "test1", "private", "example", "local"]),
    st.lists(segments, min_size=1, max_size=5),
)


@pytest.mark.parametrize("text", RUST["valid"] + JAVASCRIPT["valid"])
def test_what_others_accept_is_an_address(text: str) -> None:
    assert address(text) == text
    assert parse_address(text.encode()) == text


@pytest.mark.parametrize("text", RUST["invalid"] + JAVASCRIPT["invalid"])
def test_what_others_refuse_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(PacketError, match="address"):
        address(text)
    with pytest.raises(PacketError, match="no ILP address"):
        parse_address(text.encode("latin-1"))


@pytest.mark.parametrize(
    ("start", "filler", "length", "valid"),
    [
        ("test.", "_", 1023, True),
        ("test.", "_", 1024, False),
        ("g.", "x", 1023, True),
        ("g.", "x", 1024, False),
    ],
)
def test_an_address_has_at_most_1023_octets(
    start: str, filler: str, length: int, valid: bool
) -> None:
    text = start.ljust(length, filler)

    if valid:
        assert address(text) == text
    else:
        with pytest.raises(PacketError, match="1024 octets, 1023 are allowed"):
            address(text)
    assert is_prefix(text) == valid


def test_a_newline_behind_an_address_makes_it_none() -> None:
    with pytest.raises(PacketError):
        address("test.alice\n")


@pytest.mark.parametrize("row", RUST["with_suffix"], ids=str)
def test_a_child_is_one_more_segment(row: dict[str, Any]) -> None:
    if row["result"] is None:
        with pytest.raises(PacketError, match="segment"):
            child_address(row["base"], row["suffix"])
    else:
        assert child_address(row["base"], row["suffix"]) == row["result"]


@pytest.mark.parametrize("row", RUST["scheme"], ids=str)
def test_the_scheme_is_the_first_segment(row: dict[str, Any]) -> None:
    assert scheme(row["address"]) == row["scheme"]


@pytest.mark.parametrize("row", ROUTING["prefix_lookup"], ids=str)
def test_the_longest_prefix_wins_by_whole_segments(row: dict[str, Any]) -> None:
    # ilp-connector's rows use short names such as `foo.12`; one of them, `test.fo`, shows the border.
    known = set(row["prefixes"])
    for looked_up, expected in row["lookup"].items():
        found = next((prefix for prefix in prefixes(looked_up) if prefix in known), None)
        assert found == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("what.alice", "starts with 'what'"),
        ("test", "as in 'test.alice'"),
        ("test.a..b", "segment 3 is empty"),
        ("test.a.b c", "segment 3, 'b c'"),
        ("", "cannot be empty"),
        ("test.\ud800", r"segment 2, '\\ud800'"),  # half a character, as JSON can have it
    ],
)
def test_the_sentence_names_the_part_that_is_wrong(text: str, part: str) -> None:
    with pytest.raises(PacketError, match=part):
        address(text)


def test_half_a_character_is_in_no_prefix() -> None:
    assert not is_prefix("test.\ud800")


def test_bob_does_not_cover_bobby() -> None:
    assert covers("g.bob", "g.bob")
    assert covers("g.bob", "g.bob.x")
    assert covers("g", "g.bob")
    assert covers("", "g.bob")
    assert not covers("g.bob", "g.bobby")
    assert not covers("g.bob.x", "g.bob")


@given(addresses, addresses)
def test_covering_is_being_among_the_prefixes(one: str, other: str) -> None:
    assert covers(one, other) == (one in prefixes(other))
    assert list(prefixes(other)) == sorted(prefixes(other), key=len, reverse=True)


@given(st.binary(max_size=40))
def test_any_octets_are_an_address_or_refused(octets: bytes) -> None:
    try:
        parsed = parse_address(octets)
    except PacketError:
        return
    assert parsed.encode() == octets


def test_what_is_wrong_with_a_long_text_is_told_in_short() -> None:
    for text in ("tes\x7f" + "\x7f" * 900, "g." + "\x7f" * 900, "g." + "a." * 400 + "?"):
        with pytest.raises(PacketError) as refused:
            address(text)
        assert len(str(refused.value)) < 500
