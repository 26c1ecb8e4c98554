"""Where the values of an inspector may be broken."""

from __future__ import annotations

import pytest

from desktop.views.detail import BREAK, breakable, plain

HASH = "8f3a1c9e7b2d4f60" * 4
PIECE_MAX = 11
"""A line of a long value is shorter than there is room by less than this many characters."""


@pytest.mark.parametrize(
    "text",
    [
        f"0x{HASH}",
        f"eip155:31337:0x{HASH}/0x{HASH}:0x{HASH[:40]}:12",
    ],
)
def test_a_long_value_is_broken_into_even_lines(text: str) -> None:
    shown = breakable(text)

    assert plain(shown) == text
    # Behind the name of a chain a number stays where it is.
    pieces = [piece for piece in shown.split(BREAK) if "eip155" not in piece]
    assert max(len(piece) for piece in pieces) <= PIECE_MAX, pieces


@pytest.mark.parametrize("text", ["2026-11-24 12:00:03.250 UTC", "127.0.0.1:7770", "12.40"])
def test_a_moment_and_an_address_with_a_port_stay_whole(text: str) -> None:
    assert BREAK not in breakable(text)
