"""What peers have told: every way to every prefix, and the best of each.

A peer has at most one way to a prefix, so a way is named by its prefix and next hop. Most prefixes are
told by one peer only; those cost one entry in `best` and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, final

from core.account import Account, AccountId, RoutingRelation
from core.routing.auth import passed_on
from core.routing.table import Route

Changed: TypeAlias = Callable[[str, Route | None, Route | None], None]
"""Called with a prefix, the route that was the best for it, and the one that is."""

_PREFERENCE: Final = {
    RoutingRelation.CHILD: 0,
    RoutingRelation.PEER: 1,
    RoutingRelation.PARENT: 2,
    RoutingRelation.NON_ROUTING_ACCOUNT: 3,
}
"""A child pays us and a parent is paid; so it is among providers of the Internet, and in ilp-connector."""


@final
class Standings:
    """What is known of the next hops that decides between two ways."""

    __slots__ = ("_addresses", "_ranks")

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._ranks: dict[AccountId, tuple[int, int]] = {}
        self._addresses: dict[AccountId, str] = {}
        for account in accounts:
            self._ranks[account.id] = (
                -account.route_weight,
                _PREFERENCE[account.routing_relation],
            )
            self._addresses[account.id] = account.ilp_address

    def rank(self, route: Route) -> tuple[int, int, int, str]:
        """Return what routes are sorted by, the best first: weight, relation, length of the path, id."""
        weight, relation = self._ranks.get(route.next_hop, _UNKNOWN)
        return (weight, relation, len(route.path), route.next_hop)

    def is_firsthand(self, route: Route) -> bool:
        """Tell whether the next hop told of itself: its path is itself alone."""
        return route.path == (self._addresses.get(route.next_hop),)

    def same_ranks(self, other: Standings) -> bool:
        """Tell whether `other` decides between any two ways as this does."""
        return self._ranks == other._ranks and self._addresses == other._addresses


_UNKNOWN: Final = (0, len(_PREFERENCE))


@final
class LearnedRoutes:
    """All ways that peers have told, by prefix; `best` is what packets follow."""

    __slots__ = ("_changed", "_ways", "best", "damped", "standings")

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self.best: Final[dict[str, Route]] = {}
        """The best usable way of each prefix; it is the very object that the routing table follows."""
        self._ways: Final[dict[str, list[Route]]] = {}
        """Every way, where there are several or one that cannot be used."""
        self.damped: Final[set[tuple[AccountId, str]]] = set()
        """Ways that come and go too often and are not used for now."""
        self.standings = Standings()

    def put(self, route: Route) -> None:
        """Add a way, or replace the one that its next hop had."""
        prefix = route.prefix
        ways = self._ways.get(prefix)
        if ways is None:
            known = self.best.get(prefix)
            if (known is None or known.next_hop == route.next_hop) and (
                (route.next_hop, prefix) not in self.damped
            ):
                if known != route:
                    self.best[prefix] = route
                    self._changed(prefix, known, route)
                return
            ways = [] if known is None else [known]
        ways = [way for way in ways if way.next_hop != route.next_hop]
        ways.append(route)
        self._choose(prefix, ways)

    def drop(self, prefix: str, next_hop: AccountId) -> None:
        """Remove a way, if there is one."""
        ways = self._ways.get(prefix)
        if ways is None:
            known = self.best.get(prefix)
            if known is not None and known.next_hop == next_hop:
                del self.best[prefix]
                self._changed(prefix, known, None)
            return
        self._choose(prefix, [way for way in ways if way.next_hop != next_hop])

    def choose_anew(self, prefix: str) -> None:
        """Find the best way again, after its standing or its damping has changed."""
        ways = list(self.ways(prefix))
        if ways:
            self._choose(prefix, ways)

    def contested(self) -> Sequence[str]:
        """Return the prefixes whose best way depends on the standings."""
        return tuple(self._ways)

    def ways(self, prefix: str) -> Sequence[Route]:
        """Return every way to this very prefix, used or not."""
        ways = self._ways.get(prefix)
        if ways is not None:
            return ways
        known = self.best.get(prefix)
        return () if known is None else (known,)

    def unusable(self, route: Route) -> str:
        """Say why a way is not used whatever its rank, as the end of a sentence; empty where it may be."""
        if (route.next_hop, route.prefix) in self.damped:
            return "it comes and goes too often, and waits until it has been steady"
        origin = self._contradicted_by(route, self.ways(route.prefix))
        if origin is not None:
            return f"its proof does not follow from what {origin.path[0]} itself gave: it may be forged"
        return ""

    def _choose(self, prefix: str, ways: list[Route]) -> None:
        before = self.best.get(prefix)
        damped = self.damped
        usable = [
            way
            for way in ways
            if (way.next_hop, prefix) not in damped
            and (len(ways) == 1 or self._contradicted_by(way, ways) is None)
        ]
        after = min(usable, key=self.standings.rank, default=None)
        if len(ways) == len(usable) and len(ways) < 2:
            self._ways.pop(prefix, None)
        else:
            self._ways[prefix] = ways
        if after is None:
            self.best.pop(prefix, None)
        else:
            self.best[prefix] = after
        if before != after:
            self._changed(prefix, before, after)

    def _contradicted_by(self, route: Route, ways: Sequence[Route]) -> Route | None:
        """Return the origin's own word where `route` claims that origin and its proof is not the origin's."""
        hops = len(route.path)
        if hops < 2:
            return None
        for way in ways:
            if (
                way.next_hop != route.next_hop
                and way.path == route.path[-1:]
                and self.standings.is_firsthand(way)
                and passed_on(way.auth, hops=hops - 1) != route.auth
            ):
                return way
        return None
