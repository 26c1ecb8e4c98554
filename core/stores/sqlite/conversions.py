"""Forgets rates that nothing names any more: each change of a price makes rows, and their transfers are folded in time.

Which are named follows from reading the whole journal, since an index would cost each packet. So that is
done aside, on a snapshot, every few hours; what was found is then deleted a few at a time, beside the folding,
each time without what has been named since. It holds whatever the clock does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from core.ledger.books import first_id, last_id

SWEEP_SECONDS: Final = 6 * 3600
"""Some seconds of a thread's time for ten million rows; meanwhile a rate a minute makes 360 rows a pair."""
WORTH_A_SWEEP: Final = 1_000
"""Fewer rows are left as they are."""
FOUND_MAX: Final = 100_000

# The newest stays, so that its number is not given to another rate while somebody remembers it.
_UNUSED: Final = """
    SELECT number FROM conversion
    WHERE number NOT IN (SELECT conversion FROM transfer WHERE conversion IS NOT NULL)
        AND number NOT IN (SELECT conversion FROM folded)
        AND number < (SELECT max(number) FROM conversion)
    ORDER BY number LIMIT ?
"""
_NODES: Final = "SELECT number FROM node"
_NEWEST: Final = "SELECT max(id) FROM transfer WHERE id BETWEEN ? AND ?"
_NAMED_SINCE: Final = """
    SELECT DISTINCT conversion FROM transfer
    WHERE id > ? AND id <= ? AND conversion IS NOT NULL
"""
_NAMED_BY_TOTALS: Final = "SELECT DISTINCT conversion FROM folded"


@final
@dataclass(frozen=True, slots=True)
class Unused:
    """What nothing named, as of a snapshot."""

    numbers: Sequence[int] = ()
    newest: Mapping[int, int] | None = None
    """The last transfer that was looked at, by node."""


@final
class Sweep:
    """When to look, and what was found."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._next_at = monotonic()
        self._unused = Unused()

    @property
    def is_due(self) -> bool:
        return not self._unused.numbers and self._monotonic() >= self._next_at

    def found(self, unused: Unused) -> None:
        self._unused = unused
        self._next_at = self._monotonic() + SWEEP_SECONDS

    def take(self, count: int) -> Unused:
        """Return the next few to be deleted."""
        unused = self._unused
        self._unused = Unused(unused.numbers[count:], unused.newest)
        return Unused(unused.numbers[:count], unused.newest)


def find_unused(connection: sqlite3.Connection) -> Unused:
    """Return the conversions that nothing names, as this snapshot has it; of few, none."""
    (count,) = connection.execute("SELECT count(*) FROM conversion").fetchone()
    if count < WORTH_A_SWEEP:
        return Unused()
    newest = {}
    for (node,) in connection.execute(_NODES).fetchall():
        (last,) = connection.execute(_NEWEST, (first_id(node), last_id(node))).fetchone()
        newest[node] = first_id(node) - 1 if last is None else last
    numbers = [number for (number,) in connection.execute(_UNUSED, (FOUND_MAX,))]
    return Unused(numbers, newest)


def delete_unused(connection: sqlite3.Connection, unused: Unused) -> int:
    """Delete these, but for those that were named since; return how many."""
    newest = unused.newest or {}
    named = {number for (number,) in connection.execute(_NAMED_BY_TOTALS)}
    for (node,) in connection.execute(_NODES).fetchall():
        since = newest.get(node, first_id(node) - 1)
        named.update(
            number for (number,) in connection.execute(_NAMED_SINCE, (since, last_id(node)))
        )
    left = [(number,) for number in unused.numbers if number not in named]
    return connection.executemany("DELETE FROM conversion WHERE number = ?", left).rowcount
