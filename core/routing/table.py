"""The routing table: the longest prefix wins, by whole segments."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from core.account import AccountId
from core.packet import prefixes


class RouteSource(enum.Enum):
    """Why a route is there; where two name the same prefix, the first kind here wins."""

    STATIC = "static"
    ACCOUNT = "account"
    DEFAULT = "default"


@final
@dataclass(frozen=True, slots=True)
class Route:
    """Packets for `prefix` go to `next_hop`."""

    prefix: str
    next_hop: AccountId
    source: RouteSource


@final
class RoutingTable:
    """Prefix to route, in memory; a look-up takes one dictionary probe a segment."""

    __slots__ = ("_routes",)

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._routes: dict[str, Route] = {}
        self.replace(routes)

    def replace(self, routes: Iterable[Route]) -> None:
        """Serve these from now on; for equal prefixes the stronger source stays."""
        table: dict[str, Route] = {}
        for route in routes:
            known = table.get(route.prefix)
            if known is None or _STRENGTH[route.source] < _STRENGTH[known.source]:
                table[route.prefix] = route
        self._routes = table

    def adopt(self, other: RoutingTable) -> None:
        """Serve from now on what `other` has, which may have been filled in another thread."""
        self._routes = other._routes

    def look_up(self, destination: str) -> Route | None:
        """Return the route with the longest prefix that covers the destination."""
        table = self._routes
        for prefix in prefixes(destination):
            route = table.get(prefix)
            if route is not None:
                return route
        return None

    def covering(self, destination: str) -> tuple[Route, ...]:
        """Return every route that covers the destination, the chosen one first: for explaining."""
        found = (self._routes.get(prefix) for prefix in prefixes(destination))
        return tuple(route for route in found if route is not None)

    def __len__(self) -> int:
        return len(self._routes)

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._routes

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())


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
