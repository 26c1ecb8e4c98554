"""What payers write: put together whatever the order, and bounded."""

from __future__ import annotations

import itertools
import string

from hypothesis import given, strategies as st

from core.account import AccountId
from core.stream.inbox import CONNECTIONS_KEPT, OCTETS_KEPT, StreamInbox
from core.stream.plain_text import TEXT_CHARACTERS_MAX

BOB = AccountId("bob")


@given(st.text(string.printable[:95] + "äß\n€𝄞", min_size=1, max_size=60), st.data())
def test_pieces_in_any_order_and_as_often_as_they_come_make_the_whole(
    text: str, data: st.DataObject
) -> None:
    octets, inbox = text.encode(), StreamInbox()
    cuts = sorted(
        data.draw(st.sets(st.integers(0, len(octets)), max_size=5)) | {0, len(octets)}
    )
    pieces = [(start, octets[start:end]) for start, end in itertools.pairwise(cuts)]
    again = data.draw(st.lists(st.sampled_from(pieces), max_size=3))

    for offset, piece in data.draw(st.permutations([*pieces, *again])):
        inbox.add(BOB, "c", 1, offset, piece)

    assert inbox.text(BOB, "c") == text


def test_only_what_has_come_without_a_gap_is_told() -> None:
    inbox = StreamInbox()
    inbox.add(BOB, "c", 1, 0, b"first")
    inbox.add(BOB, "c", 1, 9, b"third")

    assert inbox.text(BOB, "c") == "first"


def test_what_came_first_stays() -> None:
    inbox = StreamInbox()
    inbox.add(BOB, "c", 1, 0, b"paid")
    inbox.add(BOB, "c", 1, 2, b"nt it black")

    assert inbox.text(BOB, "c") == "paid it black"


def test_streams_connections_and_accounts_are_kept_apart() -> None:
    inbox = StreamInbox()
    inbox.add(BOB, "c", 3, 0, b"second")
    inbox.add(BOB, "c", 1, 0, b"first")
    inbox.add(BOB, "d", 1, 0, b"other")

    assert inbox.text(BOB, "c") == "first\nsecond"
    assert inbox.text(BOB, "e") == ""
    assert inbox.text(AccountId("alice"), "c") == ""


def test_what_is_not_utf8_is_shown_as_well_as_it_can_be() -> None:
    inbox = StreamInbox()
    inbox.add(BOB, "c", 1, 0, b"\xff!")

    assert inbox.text(BOB, "c") == "\ufffd!"


def test_what_a_screen_would_obey_is_replaced_and_what_is_long_is_cut() -> None:
    inbox = StreamInbox()
    inbox.add(BOB, "c", 1, 0, "\x1b[2Jrent\u202e\n\0".encode())
    inbox.add(BOB, "d", 1, 0, b"a" * OCTETS_KEPT)

    assert inbox.text(BOB, "c") == "\ufffd[2Jrent\ufffd\n\ufffd"
    assert inbox.text(BOB, "d") == "a" * (TEXT_CHARACTERS_MAX - 1) + "…"


def test_of_what_is_longer_than_what_is_kept_the_beginning_is_told() -> None:
    inbox = StreamInbox()
    inbox.add(BOB, "c", 1, 0, "€".encode() * OCTETS_KEPT)
    inbox.add(BOB, "c", 1, 3 * OCTETS_KEPT, b"behind it")
    inbox.add(BOB, "c", 3, 0, b"on another stream")

    assert inbox.text(BOB, "c") == "€" * (TEXT_CHARACTERS_MAX - 1) + "…"


def test_a_connections_streams_together_have_one_window() -> None:
    inbox = StreamInbox()
    inbox.add(BOB, "c", 1, 0, b"a" * 9)
    inbox.add(BOB, "c", 3, OCTETS_KEPT - 9 - 3, b"far")
    inbox.add(BOB, "c", 5, 0, b"one too many")
    inbox.add(BOB, "c", 1, 9, b"!")
    inbox.add(BOB, "c", 3, 0, b"near")

    assert inbox.text(BOB, "c") == "aaaaaaaaa\nnear"


def test_the_oldest_is_forgotten_for_one_more() -> None:
    inbox = StreamInbox()
    for number in range(CONNECTIONS_KEPT + 1):
        inbox.add(BOB, str(number), 1, 0, b"x")

    assert inbox.text(BOB, "0") == ""
    assert inbox.text(BOB, "1") == "x"
