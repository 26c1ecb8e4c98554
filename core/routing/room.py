"""How much memory the routes that peers tell may take: so much of one, so much of all, and to each its share.

Counted is what a route takes here, more or less, and not how many there are: one with a long way takes ten
times as much as another. Half of the room is shared out evenly among the peers, and nobody takes that from
another; the other half is for whoever comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from core.account import Account
from core.routing.table import Route

ROUTE_OCTETS: Final = 500
"""What a route takes beside its names, in all tables that it stands in."""
HOP_OCTETS: Final = 70
"""What a node on the way takes beside its name."""
OCTETS_MAX: Final = 500_000_000
"""Of all peers together."""
ROUTES_PER_PEER_MAX: Final = 200_000
"""An operator may allow one peer less, or a few of them more."""
_OCTETS_PER_ROUTE: Final = 1_000
"""What a peer's routes may take on the mean: three nodes on the way and usual names take 775."""
_OCTETS_PER_PEER_MIN: Final = 1_000_000


def octets_of(route: Route) -> int:
    """Return what a route takes here; a way that it shares with others is counted as its own."""
    path = route.path
    return ROUTE_OCTETS + len(route.prefix) + HOP_OCTETS * len(path) + sum(map(len, path))


def routes_max_of(account: Account) -> int:
    """Return how many routes an account may have here."""
    return ROUTES_PER_PEER_MAX if account.routes_max is None else account.routes_max


def octets_max_of(account: Account) -> int:
    """Return what its routes may take here, all together."""
    return max(_OCTETS_PER_PEER_MIN, _OCTETS_PER_ROUTE * routes_max_of(account))


def megabytes(octets: int) -> str:
    """Return a number of octets for a person."""
    return f"{octets / 1e6:.3g} MB"


@final
class Room:
    """The room of all peers, and what is left of the half that nobody has a right to."""

    __slots__ = ("_beyond", "_half", "octets_max", "share")

    def __init__(self, octets_max: int = OCTETS_MAX) -> None:
        self.octets_max: Final = octets_max
        self._half: Final = octets_max // 2
        self.share = self._half
        """What each peer may take whatever the others do."""
        self._beyond = 0
        """What peers take beyond their shares."""

    def divide(self, taken: Sequence[int]) -> None:
        """Share it out anew among as many peers as these, who take so much."""
        self.share = self._half // max(1, len(taken))
        self._beyond = sum(map(self._over, taken))

    def has(self, taken: int, after: int) -> bool:
        """Tell whether a peer that takes so much may take so much more."""
        more = self._over(after) - self._over(taken)
        return more <= 0 or self._beyond + more <= self._half

    def count(self, taken: int, after: int) -> None:
        """Note that a peer takes more or less than it did."""
        self._beyond += self._over(after) - self._over(taken)

    def _over(self, taken: int) -> int:
        return max(0, taken - self.share)
