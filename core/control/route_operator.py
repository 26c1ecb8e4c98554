"""The operator's calls for route exchange (CCP), as a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.control.route_views import RouteChangeView, RoutePeerView, RouteWhy


class RouteExchangeOperator(Protocol):
    """Whom routes are exchanged with, why each route won, and what changed of late."""

    async def route_peers(self) -> Sequence[RoutePeerView]:
        """Return route exchange with every account that may take part, by username."""

    async def route_peer(self, username: str) -> RoutePeerView:
        """Return route exchange with one account; raises UnknownAccount."""

    async def why_route(self, destination: str) -> RouteWhy:
        """Say which ways there are to the longest prefix that covers `destination`, and why one won; raises SettingError."""

    async def route_changes(
        self, *, after_sequence: int = 0, limit: int = 500
    ) -> Sequence[RouteChangeView]:
        """Return changes of learned routes since, oldest first, the newest `limit` of them; the node keeps 2,000."""

    async def ask_for_routes(self, username: str) -> RoutePeerView:
        """Forget how far we have its table and ask it for all of it; raises UnknownAccount, and Conflict where it is not asked."""
