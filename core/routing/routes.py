"""Which routes there are: what the operator set, what the accounts bring with them, and where the rest goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from core.account import Account, AccountId, RoutingRelation
from core.routing.table import Route, RouteSource


def build_routes(
    accounts: Sequence[Account], static: Mapping[str, AccountId]
) -> Iterable[Route]:
    """Return all routes: what the operator set, each account's own address, and where the rest goes.

    The rest goes where the default route says; without one, to the parent, if there is just one.
    """
    routes = [
        Route(prefix, next_hop, RouteSource.STATIC if prefix else RouteSource.DEFAULT)
        for prefix, next_hop in static.items()
    ]
    routes += (
        Route(account.ilp_address, account.id, RouteSource.ACCOUNT) for account in accounts
    )
    parents = [a for a in accounts if a.routing_relation is RoutingRelation.PARENT]
    if "" not in static and len(parents) == 1:
        routes.append(Route("", parents[0].id, RouteSource.DEFAULT))
    return routes
