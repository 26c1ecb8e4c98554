"""What the palette finds: pages, actions, peers and questions, the best first."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

SHOWN_MAX: Final = 50
"""Who sees more than these types another letter."""
TYPED_MAX: Final = 1_100
"""Longer than any ILP address; nothing is found for more than this."""
LOOSE_MAX: Final = 1_200
"""Letters that are scattered are looked for in so many entries, the first: in all, a frame would be missed."""

_EXACT, _PREFIX, _WORD, _WITHIN, _SCATTERED = 1000, 900, 700, 500, 300
_OTHER_WORDS_COST: Final = 150
"""What is found by its other words stands behind what is found by its title."""
_GAP_COST: Final = 25


class Kind(enum.Enum):
    """What is found, and so what choosing it does; among equals, in this order."""

    QUESTION = "question"
    """About what was typed itself."""
    PAGE = "page"
    ACTION = "action"
    ROW = "row"
    """An action with the rows that are selected."""
    PEER = "peer"


_PLACES: Final = {kind: place for place, kind in enumerate(Kind)}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the palette."""

    kind: Kind
    key: str
    """What it is among those of its kind; a peer's is its username."""
    title: str
    """Plain text, partly remote."""
    detail: str = ""
    """Where it belongs, or how it is."""
    keys: str = ""
    """The shortcut that does the same."""
    words: str = ""
    """Other words that it is found by; they are not shown."""


def best(typed: str, entries: Iterable[Entry], *, shown_max: int = SHOWN_MAX) -> list[Entry]:
    """Return the entries that every typed word is found in, the best first; all of them where nothing is typed."""
    wanted = typed.casefold().split()
    if not wanted:
        return list(entries)[:shown_max]
    found = (
        (-worth, _PLACES[entry.kind], len(entry.title), place, entry)
        for place, entry in enumerate(entries)
        if (worth := _worth(wanted, entry, loosely=place < LOOSE_MAX)) is not None
    )
    return [each[-1] for each in heapq.nsmallest(shown_max, found)]


def score(wanted: str, text: str, *, loosely: bool = True) -> int | None:
    """Return how well a word is found in a text, both in small letters; None where it is not.

    Loosely, it is where all its letters are, in order.
    """
    at = text.find(wanted)
    if at >= 0:
        if at == 0:
            return _EXACT if len(wanted) == len(text) else _PREFIX
        while at > 0:
            if _begins_word(text, at):
                return _WORD
            at = text.find(wanted, at + 1)
        return _WITHIN
    return _scattered(wanted, text) if loosely else None


def _worth(wanted: Sequence[str], entry: Entry, *, loosely: bool) -> int | None:
    whole = 0
    title, others = entry.title.casefold(), entry.words.casefold()
    for word in wanted:
        worth = score(word, title, loosely=loosely)
        if others and (worth is None or worth < _WITHIN):
            # Letters that are scattered over many other words mean nothing.
            other = score(word, others, loosely=False)
            if other is not None:
                worth = max(worth or 0, other - _OTHER_WORDS_COST)
        if worth is None:
            return None
        whole += worth
    return whole


def _scattered(wanted: str, text: str) -> int | None:
    """Return how well the letters are found in order: each gap costs, unless a word begins behind it."""
    at, gaps = -1, 0
    for place, letter in enumerate(wanted):
        found = text.find(letter, at + 1)
        if found < 0:
            return None
        if place == 0 or found != at + 1:
            begins = _word_with(letter, text, found)
            if begins >= 0 and _are_in(wanted[place + 1 :], text, begins + 1):
                found = begins
            else:
                gaps += 1
        at = found
    return max(1, _SCATTERED - gaps * _GAP_COST)


def _word_with(letter: str, text: str, at: int) -> int:
    """Return where a word begins with this letter, from a place on where the letter is; below 0 for nowhere."""
    while at >= 0 and not _begins_word(text, at):
        at = text.find(letter, at + 1)
    return at


def _are_in(letters: str, text: str, at: int) -> bool:
    """Return whether the letters are in the text in this order, from a place on."""
    for letter in letters:
        at = text.find(letter, at) + 1
        if at == 0:
            return False
    return True


def _begins_word(text: str, at: int) -> bool:
    return at == 0 or not text[at - 1].isalnum()
