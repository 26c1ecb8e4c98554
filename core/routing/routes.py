"""Which routes there are: what the operator set, what the accounts bring with them, and where the rest goes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final

from core.account import Account, AccountId, RoutingRelation
from core.packet import Address, covers, scheme
from core.routing.table import Route, RouteSource

THIS_NODE: Final = AccountId("")
"""The next hop of what ends here."""


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


def told_routes(
    own: Address,
    accounts: Sequence[Account],
    static: Mapping[str, AccountId],
    quiet: Container[AccountId],
    auth: Callable[[str], bytes],
) -> Iterable[Route]:
    """Return what this node tells as its own: itself, what the operator set, and who cannot tell of itself.

    What is under our own address is covered by it, the default route is for us alone, and a peer that
    speaks for itself is told with what it said. `quiet` names the accounts that tell us nothing.
    """
    network = scheme(own)
    yield Route(own, THIS_NODE, RouteSource.ACCOUNT, (), auth(own))
    paused = {account.id for account in accounts if not account.enabled}
    for account in accounts:
        relation = account.routing_relation
        if account.id in paused:
            continue
        if relation is RoutingRelation.CHILD or (
            relation is RoutingRelation.PEER and account.id in quiet
        ):
            prefix: str = account.ilp_address
            if prefix not in static and scheme(prefix) == network and not covers(own, prefix):
                yield Route(prefix, account.id, RouteSource.ACCOUNT, (), auth(prefix))
    for prefix, next_hop in static.items():
        ours = covers(own, prefix) or next_hop in paused
        if scheme(prefix) == network != prefix and not ours:
            yield Route(prefix, next_hop, RouteSource.STATIC, (), auth(prefix))
