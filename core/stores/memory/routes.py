"""The operator's routes in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from core.account import AccountId
from core.errors import UnknownAccount, UnknownRoute
from core.routing.table import RouteStore
from core.stores.memory.state import MemoryState


@final
class MemoryRoutes(RouteStore):
    """Prefix to next hop."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def load_routes(self) -> Mapping[str, AccountId]:
        return dict(self._state.routes)

    async def set_route(self, prefix: str, next_hop: AccountId) -> None:
        if next_hop not in self._state.accounts:
            raise UnknownAccount(next_hop)
        self._state.routes[prefix] = next_hop
        self._state.changed("routes")

    async def delete_route(self, prefix: str) -> None:
        if self._state.routes.pop(prefix, None) is None:
            raise UnknownRoute(prefix)
        self._state.changed("routes")

    async def replace_routes(self, routes: Mapping[str, AccountId]) -> None:
        for next_hop in routes.values():
            if next_hop not in self._state.accounts:
                raise UnknownAccount(next_hop)
        kept = {prefix: hop for prefix, hop in self._state.routes.items() if prefix == ""}
        self._state.routes = {p: hop for p, hop in routes.items() if p != ""} | kept
        self._state.changed("routes")
