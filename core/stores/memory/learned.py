"""Learned routes in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import final

from core.account import AccountId
from core.errors import UnknownAccount
from core.routing.store import (
    WITHDRAWN_KEPT,
    LearnedRouteStore,
    StoredPeer,
    StoredRoute,
)
from core.stores.memory.state import MemoryState


@final
@dataclass(slots=True)
class _Table:
    """One peer's routes, each with the version that it was saved with."""

    peer: StoredPeer
    routes: dict[str, tuple[StoredRoute, int]] = field(default_factory=dict)


@final
class MemoryLearnedRoutes(LearnedRouteStore):
    """A table a peer."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._tables: dict[AccountId, _Table] = {}

    async def load_peers(self) -> Sequence[StoredPeer]:
        return [
            table.peer
            for account, table in sorted(self._tables.items())
            if account in self._state.accounts
        ]

    async def load_learned(
        self, peer: StoredPeer, *, after_version: int, after_prefix: str, limit: int
    ) -> Sequence[StoredRoute]:
        table = self._tables.get(peer.account)
        if table is None or table.peer.generation != peer.generation:
            return []
        found = [
            route
            for prefix, (route, version) in table.routes.items()
            if prefix > after_prefix
            and version > after_version
            and (after_version or route.path is not None)
        ]
        return sorted(found, key=lambda route: route.prefix)[:limit]

    async def save_learned(
        self, peer: StoredPeer, routes: Sequence[StoredRoute]
    ) -> StoredPeer | None:
        if peer.account not in self._state.accounts:
            raise UnknownAccount(peer.account)
        table = self._tables.get(peer.account)
        if (0 if table is None else table.peer.version) != peer.version:
            return None
        floor = 0 if table is None else table.peer.floor
        saved = replace(peer, version=peer.version + 1, floor=floor)
        if table is None or table.peer.generation != peer.generation:
            table = self._tables[peer.account] = _Table(saved)
        table.peer = saved
        for route in routes:
            table.routes[route.prefix] = (route, saved.version)
        self._state.changed("learned")
        return saved

    async def sweep_learned(self, *, rows_max: int) -> bool:
        for account, table in list(self._tables.items()):
            if account not in self._state.accounts:
                del self._tables[account]
                continue
            floor = max(table.peer.floor, table.peer.version - WITHDRAWN_KEPT)
            table.peer = replace(table.peer, floor=floor)
            for prefix, (route, version) in list(table.routes.items()):
                if route.path is None and version <= floor:
                    del table.routes[prefix]
        return False
