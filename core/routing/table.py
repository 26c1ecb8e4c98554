"""The routing table: the longest prefix wins, by whole segments.

It has two layers. What the operator set and what accounts bring with them is replaced as a whole when it
changes; what peers tell changes a route at a time, thousands of times, while packets look theirs up.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, final, runtime_checkable

from core.account import AccountId
from core.packet import prefixes


class RouteSource(enum.Enum):
    """Why a route is there; where two name the same prefix, the first kind here wins."""

    STATIC = "static"
    ACCOUNT = "account"
    LEARNED = "learned"
    """A peer told it."""
    DEFAULT = "default"


@final
@dataclass(frozen=True, slots=True)
class Route:
    """Packets for `prefix` go to `next_hop`."""

    prefix: str
    next_hop: AccountId
    source: RouteSource
    path: tuple[str, ...] = ()
    """Of a learned one: the nodes on the way, as the next hop told them."""
    auth: bytes = b""
    """Of a learned one: what proves its origin."""


@final
@dataclass(frozen=True, slots=True)
class Precedence:
    """What lets a learned route win over one of the operator's or of an account for the same prefix."""

    weights: Mapping[AccountId, int]
    """The operator's weight of each next hop that has one; no other rule stands before it."""
    silent: Collection[AccountId] = ()
    """Peers that told routes and tell none now: their own address may be reached another way."""

    def learned_wins(self, configured: Route, learned: Route) -> bool:
        """Tell whether packets follow what was learned; where nothing speaks for it, they do not."""
        weight = self.weights.get
        difference = weight(learned.next_hop, 0) - weight(configured.next_hop, 0)
        if difference == 0 and learned.next_hop != configured.next_hop:
            return configured.source is RouteSource.ACCOUNT and (
                configured.next_hop in self.silent
            )
        return difference > 0


NO_PRECEDENCE: Final = Precedence({})


@final
class RoutingTable:
    """Prefix to route, in memory; a look-up takes two dictionary probes a segment at most."""

    __slots__ = ("_configured", "_learned", "precedence")

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._configured: dict[str, Route] = {}
        self._learned: Mapping[str, Route] = {}
        self.precedence = NO_PRECEDENCE
        self.replace(routes)

    def replace(self, routes: Iterable[Route]) -> None:
        """Serve these from now on, beside what is learned; for equal prefixes the stronger source stays."""
        table: dict[str, Route] = {}
        for route in routes:
            known = table.get(route.prefix)
            if known is None or _STRENGTH[route.source] < _STRENGTH[known.source]:
                table[route.prefix] = route
        self._configured = table

    def adopt(self, other: RoutingTable) -> None:
        """Serve from now on what `other` has, which may have been filled in another thread."""
        self._configured = other._configured

    def follow(self, learned: Mapping[str, Route]) -> None:
        """Serve, from now on and as it changes, the best learned route of each prefix too."""
        self._learned = learned

    def look_up(self, destination: str) -> Route | None:
        """Return the route with the longest prefix that covers the destination."""
        configured, learned = self._configured, self._learned
        for prefix in prefixes(destination):
            route = configured.get(prefix)
            if route is not None:
                rival = learned.get(prefix)
                if rival is None or not self.precedence.learned_wins(route, rival):
                    return route
                return rival
            if prefix in learned:
                return learned[prefix]
        return None

    def covering(self, destination: str) -> tuple[Route, ...]:
        """Return every route that covers the destination, the chosen one first: for explaining."""
        found = (self.get(prefix) for prefix in prefixes(destination))
        return tuple(route for route in found if route is not None)

    def get(self, prefix: str) -> Route | None:
        """Return the route that packets take whose longest prefix this is."""
        route, rival = self._configured.get(prefix), self._learned.get(prefix)
        if route is None or rival is None:
            return route or rival
        return rival if self.precedence.learned_wins(route, rival) else route

    def configured(self, prefix: str) -> Route | None:
        """Return what the operator set, or an account brings, for this very prefix."""
        return self._configured.get(prefix)

    def __len__(self) -> int:
        few, many = sorted((self._configured, self._learned), key=len)
        return len(many) + sum(prefix not in many for prefix in few)

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._configured or prefix in self._learned

    def __iter__(self) -> Iterator[Route]:
        learned = self._learned
        for prefix, route in self._configured.items():
            rival = learned.get(prefix)
            if rival is not None and self.precedence.learned_wins(route, rival):
                yield rival
            else:
                yield route
        for prefix, route in learned.items():
            if prefix not in self._configured:
                yield route


_STRENGTH: dict[RouteSource, int] = {
    source: number for number, source in enumerate(RouteSource)
}


@runtime_checkable
class RouteStore(Protocol):
    """Where the operator's routes are kept; the prefix `""` is the default route."""

    async def load_routes(self) -> Mapping[str, AccountId]:
        """Return every static route, and the default route under `""`."""

    async def set_route(self, prefix: str, next_hop: AccountId) -> None:
        """Add or replace one.

        Raises:
            UnknownAccount: the next hop does not exist.
        """

    async def delete_route(self, prefix: str) -> None:
        """Remove one.

        Raises:
            UnknownRoute: there is none for this prefix.
        """

    async def replace_routes(self, routes: Mapping[str, AccountId]) -> None:
        """Replace all static routes, the default route excepted, in one step.

        Raises:
            UnknownAccount: a next hop does not exist; nothing was changed.
        """
