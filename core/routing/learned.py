"""What peers have told: every way to every prefix, and the best of each.

A peer has at most one way to a prefix, so a way is named by its prefix and next hop. Most prefixes are
told by one peer only; those cost one entry in `best` and nothing more.

An account speaks for its own address and all that is under it. What another peer tells of that is used only
where the account has told the same itself and the other's proof follows from its own; what it told last
counts while it is silent, too. So nobody draws a neighbour's packets to himself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias, final

from core.account import Account, AccountId, RoutingRelation
from core.routing.auth import passed_on
from core.routing.damping import Damping
from core.routing.table import Route
from core.routing.turns import ROUTE, WAY, Work

Changed: TypeAlias = Callable[[str, Route | None, Route | None], None]
"""Called with a prefix, the route that was the best for it, and the one that is."""

_PREFERENCE: Final = {
    RoutingRelation.CHILD: 0,
    RoutingRelation.PEER: 1,
    RoutingRelation.PARENT: 2,
    RoutingRelation.NON_ROUTING_ACCOUNT: 3,
}
"""A child pays us and a parent is paid; so it is among providers of the Internet, and in ilp-connector."""
WORDS_MAX: Final = 1_000
"""So many routes under its own address are remembered of a peer that is silent; most tell one."""


@final
class Standings:
    """What is known of the accounts that decides between two ways."""

    __slots__ = ("_addresses", "_ranks", "owners")

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._ranks: dict[AccountId, tuple[int, int]] = {}
        self._addresses: dict[AccountId, str] = {}
        self.owners: Final[dict[str, AccountId]] = {}
        """Whose address is whose; no two have the same."""
        for account in accounts:
            self._ranks[account.id] = (
                -account.route_weight,
                _PREFERENCE[account.routing_relation],
            )
            self._addresses[account.id] = account.ilp_address
            self.owners[account.ilp_address] = account.id

    def rank(self, route: Route) -> tuple[int, int, int, str]:
        """Return what routes are sorted by, the best first: weight, relation, length of the path, id."""
        weight, relation = self._ranks.get(route.next_hop, _UNKNOWN)
        # A way without nodes comes from who told it: it is no shorter than one that says so.
        return (weight, relation, len(route.path) or 1, route.next_hop)

    def owner(self, prefix: str) -> AccountId | None:
        """Return the account under whose address a prefix is, of several the one with the longest."""
        owners, covering = self.owners, prefix
        while covering:
            if covering in owners:
                return owners[covering]
            covering = covering.rpartition(".")[0]
        return None

    def origin(self, route: Route) -> str:
        """Return the node that a route says to come from; one without a path comes from who told it."""
        return route.path[-1] if route.path else self._addresses.get(route.next_hop, "")

    def address(self, account_id: AccountId) -> str:
        """Return the address of an account."""
        return self._addresses.get(account_id, "")

    def same_ranks(self, other: Standings) -> bool:
        """Tell whether `other` decides between any two ways as this does."""
        return self._ranks == other._ranks and self._addresses == other._addresses


_UNKNOWN: Final = (0, len(_PREFERENCE))


@final
class LearnedRoutes:
    """All ways that peers have told, by prefix; `best` is what packets follow."""

    __slots__ = ("_changed", "_ways", "_words", "best", "dampings", "standings", "work")

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self.best: Final[dict[str, Route]] = {}
        """The best usable way of each prefix; it is the very object that the routing table follows."""
        self._ways: Final[dict[str, list[Route]]] = {}
        """Every way, where there are several or one that cannot be used."""
        self._words: Final[dict[AccountId, dict[str, Route]]] = {}
        """What accounts that are silent told last of what is under their own addresses."""
        self.dampings: Final[dict[AccountId, Damping]] = {}
        """Which ways of each peer come and go too often, and are not used for now."""
        self.standings = Standings()
        self.work: Final = Work()

    def put(self, route: Route) -> None:
        """Add a way, or replace the one that its next hop had."""
        prefix, next_hop = route.prefix, route.next_hop
        self.work.did(ROUTE)
        ways = self._ways.get(prefix)
        if ways is None:
            known = self.best.get(prefix)
            if (
                (known is None or known.next_hop == next_hop)
                and not self._waits(route)
                and self.standings.owner(prefix) in (None, next_hop)
            ):
                if known != route:
                    self.best[prefix] = route
                    self._changed(prefix, known, route)
                return
            ways = [] if known is None else [known]
        ways = [way for way in ways if way.next_hop != next_hop]
        ways.append(route)
        self._choose(prefix, ways)

    def drop(self, prefix: str, next_hop: AccountId, *, is_silent: bool = False) -> None:
        """Remove a way, if there is one; of a next hop that fell silent its word is remembered, where it has one."""
        self.work.did(ROUTE)
        ways = self.ways(prefix)
        way = next((way for way in ways if way.next_hop == next_hop), None)
        if not is_silent:
            self._words.get(next_hop, {}).pop(prefix, None)
        elif way is not None:
            self.remember(way)
        if ways:
            self._choose(prefix, [other for other in ways if other is not way])

    def remember(self, route: Route) -> None:
        """Keep the word of a silent account on what is under its own address, which others are held to."""
        if self.standings.owner(route.prefix) != route.next_hop:
            return
        words = self._words.setdefault(route.next_hop, {})
        if route.prefix in words or len(words) < WORDS_MAX:
            words[route.prefix] = route
            self.choose_anew(route.prefix)

    def words(self, next_hop: AccountId) -> Mapping[str, Route]:
        """Return what is remembered of a silent account."""
        return self._words.get(next_hop, {})

    def take_words(self, next_hop: AccountId) -> dict[str, Route]:
        """Forget what was remembered of an account, and return it: each prefix is to be dropped, or told anew."""
        return self._words.pop(next_hop, {})

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
        if self._waits(route):
            return "it comes and goes too often, and waits until it has been steady"
        told = {way.next_hop: way for way in self.ways(route.prefix)}
        return self._doubt(route, self.standings.owner(route.prefix), told)

    def _waits(self, route: Route) -> bool:
        damping = self.dampings.get(route.next_hop)
        return damping is not None and damping.waits(route.prefix)

    def _choose(self, prefix: str, ways: list[Route]) -> None:
        self.work.did(WAY * len(ways))
        before = self.best.get(prefix)
        owner, told = self.standings.owner(prefix), {way.next_hop: way for way in ways}
        usable = [
            way for way in ways if not self._waits(way) and not self._doubt(way, owner, told)
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

    def _doubt(
        self, route: Route, owner: AccountId | None, told: Mapping[AccountId, Route]
    ) -> str:
        """Say what speaks against a way that another account has a word on: whoever the prefix belongs to, or comes from."""
        standings = self.standings
        belongs = owner is not None
        if owner is None:
            owner = standings.owners.get(standings.origin(route))
        if owner is None or owner == route.next_hop:
            return ""
        name = standings.address(owner)
        word = told.get(owner) or self.words(owner).get(route.prefix)
        if word is None:
            return (
                f"only {name} speaks for what is under its address, and has not told this itself"
                if belongs
                else ""
            )
        if belongs and not any(word.auth):
            return f"only {name} speaks for what is under its address, and gives no proof that others could pass on"
        hops = len(route.path) - len(word.path)
        self.work.did(WAY * abs(hops))
        near, far = (word, route) if hops >= 0 else (route, word)
        follows = passed_on(near.auth, hops=abs(hops)) == far.auth
        if not follows or standings.origin(route) != standings.origin(word):
            return f"its proof does not follow from what {name} itself gave: it may be forged"
        return ""
