"""Work on many routes, done a little at a time: between two turns packets have theirs.

Counted is work and not routes, since one to which a hundred ways lead takes as long as ten others.
"""

from __future__ import annotations

from typing import Final, final

TURN: Final = 2_000
"""About as many microseconds."""
ROUTE: Final = 10
"""A route that is put or dropped, with what is told of it."""
WAY: Final = 1
"""One of several ways that are compared, a hash of a proof, or a route that is looked at."""


@final
class Work:
    """What has been done, and when it is somebody else's turn."""

    __slots__ = ("_done", "_until")

    def __init__(self) -> None:
        self._done = 0
        self._until = TURN

    def did(self, work: int) -> None:
        """Count some more."""
        self._done += work

    def is_over(self, work: int = WAY) -> bool:
        """Count some more; tell whether this turn is over, and begin the next one if so."""
        self._done += work
        if self._done < self._until:
            return False
        self._until = self._done + TURN
        return True
