"""The routing table: which of two routes for one prefix stays, and how long a look-up takes."""

from __future__ import annotations

import time

from core.account import AccountId
from core.routing.table import Route, RouteSource, RoutingTable

BOB, CAROL = AccountId("bob"), AccountId("carol")


def test_a_static_route_is_stronger_than_an_accounts_own_in_any_order() -> None:
    static = Route("test.x", BOB, RouteSource.STATIC)
    own = Route("test.x", CAROL, RouteSource.ACCOUNT)

    for routes in ([static, own], [own, static]):
        assert RoutingTable(routes).look_up("test.x.y") == static


def test_replacing_forgets_what_was_there() -> None:
    table = RoutingTable([Route("test.x", BOB, RouteSource.STATIC)])

    table.replace([Route("test.y", BOB, RouteSource.STATIC)])

    assert table.look_up("test.x") is None
    assert len(table) == 1


def test_among_a_hundred_thousand_routes_a_look_up_takes_microseconds() -> None:
    """The bound is 5 µs on an idle machine; it is 50 here so that a busy one does not fail the test."""
    table = RoutingTable(
        Route(f"test.a{n % 100}.b{n}", BOB, RouteSource.STATIC) for n in range(100_000)
    )
    destinations = [f"test.a{n % 100}.b{n}.x.y" for n in range(0, 100_000, 50)]

    started = time.process_time()
    found = [table.look_up(destination) for destination in destinations]
    microseconds = (time.process_time() - started) / len(destinations) * 1e6

    assert all(route is not None for route in found)
    assert microseconds < 50
