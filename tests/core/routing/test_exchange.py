"""Route exchange between nodes: what is told, taken, withdrawn, and what is not."""

from __future__ import annotations

from itertools import pairwise

import pytest

from core.packet import ErrorCode, Fulfill, Prepare, Reject, address
from core.routing.auth import origin_auth, passed_on
from core.routing.ccp import (
    CONDITION,
    CONTROL_DESTINATION,
    FULFILLMENT,
    NO_TABLE,
    Mode,
    RouteControl,
    ToldRoute,
)
from core.routing.peer import MESSAGES_AT_ONCE
from core.routing.speaker import Speaker
from core.routing.table import RouteSource
from core.tasks import TaskOwner
from tests.core.routing.network import CHILD, END_USER, PARENT, PEER, REFUSED, Net, told, way

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def net() -> Net:
    return Net()


async def ring(net: Net) -> None:
    """a – b – c – d – a, all peers."""
    for name in "abcd":
        net.node(name)
    for one, two in ("ab", "bc", "cd", "da"):
        await net.connect(one, two)


async def line(net: Net) -> None:
    """a – b – c, all peers."""
    for name in "abc":
        net.node(name)
    await net.connect("a", "b")
    await net.connect("b", "c")


# --- What is told and taken


async def test_two_peers_learn_each_others_address(net: Net) -> None:
    net.node("a")
    net.node("b")
    await net.connect("a", "b")

    await net.run(1)

    assert net.nodes["a"].path("test.b") == ("test.b",)
    assert net.nodes["b"].path("test.a") == ("test.a",)


async def test_a_route_travels_and_its_proof_is_hashed_at_each_hop(net: Net) -> None:
    await line(net)
    await net.nodes["c"].add("shop", CHILD, ilp_address=address("test.shop"))

    await net.run(2)

    assert net.nodes["a"].next_hop("test.shop.till") == "b"
    assert net.nodes["a"].path("test.shop") == ("test.b", "test.c")
    origin = origin_auth(net.nodes["c"].exchange.secret, "test.shop")
    assert net.nodes["a"].exchange.learned.best["test.shop"].auth == passed_on(origin, hops=2)


async def test_a_static_route_is_told_under_its_own_prefix_and_withdrawn_when_removed(
    net: Net,
) -> None:
    await line(net)
    b = net.nodes["b"]
    await b.route("test.far.away", "c")
    await net.run(1)
    assert net.nodes["a"].path("test.far.away") == ("test.b",)

    del b.static["test.far.away"]
    await b.configure()
    await net.run(1)

    assert net.nodes["a"].next_hop("test.far.away.x") is None


async def test_what_is_under_the_nodes_own_address_is_covered_by_it_and_not_told(
    net: Net,
) -> None:
    await line(net)
    await net.nodes["b"].add("kid", CHILD, ilp_address=address("test.b.kid"))

    await net.run(1)

    assert net.nodes["a"].path("test.b.kid") is None
    assert net.nodes["a"].next_hop("test.b.kid.x") == "b"


async def test_the_default_route_is_never_told(net: Net) -> None:
    await line(net)
    b = net.nodes["b"]
    await b.route("", "c")

    await net.run(1)

    assert all(
        route.prefix not in {"", "test"}
        for update in b.wire.updates("a")
        for route in update.new_routes
    )
    assert net.nodes["a"].next_hop("test.elsewhere") is None


async def test_a_route_is_withdrawn_towards_where_it_came_from(net: Net) -> None:
    await line(net)

    await net.run(2)

    towards_c = [u for u in net.nodes["b"].wire.updates("c") if u.withdrawn]
    assert {prefix for update in towards_c for prefix in update.withdrawn} == {"test.c"}
    assert all(
        route.prefix != "test.c"
        for update in net.nodes["b"].wire.updates("c")
        for route in update.new_routes
    )


async def test_a_child_is_told_nothing_and_tells_nothing_unless_the_operator_says_so(
    net: Net,
) -> None:
    net.node("a")
    net.node("kid")
    await net.connect("a", "kid", CHILD)
    await net.run(40)
    assert net.nodes["a"].wire.sent == []

    await net.nodes["a"].change("kid", send_routes=True, receive_routes=True)
    await net.run(40)

    assert net.nodes["a"].path("test.kid") == ("test.kid",)
    assert net.nodes["kid"].path("test.a") == ("test.a",)


async def test_a_child_that_asks_is_answered_yes_and_soon_asks_rarely(net: Net) -> None:
    """Interledger.rs joins no parent that says no; and what has a parent sends there what it has no route to."""
    net.node("a")
    kid = net.node("kid")
    await net.connect("a", "kid", CHILD)
    await net.run(400)
    assert kid.wire.controls("a") == 3
    assert kid.exchange.peers[kid.accounts["a"].id].asking.given_up
    assert net.nodes["a"].wire.sent == []

    await net.nodes["a"].change("kid", send_routes=False)
    await net.run(2 * 3600, until=lambda: kid.wire.controls("a") == 4)
    assert "not configured to send routes" in net.nodes["a"].exchange.refuses_control(
        net.nodes["a"].accounts["kid"]
    )


async def test_a_parent_hears_of_children_and_not_of_peers_and_other_parents(net: Net) -> None:
    for name in ("me", "parent", "peer", "kid", "uncle"):
        net.node(name)
    await net.connect("me", "parent", PARENT)
    await net.nodes["parent"].change("me", receive_routes=True, send_routes=True)
    await net.connect("me", "uncle", PARENT)
    await net.nodes["uncle"].change("me", receive_routes=True, send_routes=True)
    await net.connect("me", "peer", PEER)
    await net.connect("me", "kid", CHILD)

    await net.run(40)

    parent = net.nodes["parent"]
    assert parent.next_hop("test.kid.x") == "me"
    assert parent.path("test.peer") is None
    assert parent.path("test.uncle") is None
    assert net.nodes["peer"].next_hop("test.kid") == "me"
    assert net.nodes["peer"].next_hop("test.parent") == "me"


async def test_a_parent_stops_hearing_of_a_child_that_becomes_a_peer(net: Net) -> None:
    for name in ("me", "parent", "kid"):
        net.node(name)
    await net.connect("me", "parent", PARENT)
    await net.nodes["parent"].change("me", receive_routes=True, send_routes=True)
    await net.connect("me", "kid", CHILD)
    await net.nodes["me"].change("kid", receive_routes=True)
    me = net.nodes["me"]
    await me.hear("kid", told(way("test.kids.toys", "test.kid"), speaker="test.kid"))
    await net.run(5)
    parent = net.nodes["parent"]
    assert parent.path("test.kids.toys") == ("test.me", "test.kid")

    await me.change("kid", routing_relation=PEER)
    await net.run(5)

    assert parent.path("test.kids.toys") is None


async def test_a_non_routing_account_is_refused_both_ways(net: Net) -> None:
    a = net.node("a")
    account = await a.add("user", END_USER, send_routes=True, receive_routes=True)

    assert "We are not configured to send routes" in a.exchange.refuses_control(account)
    assert "not accepted here" in a.exchange.refuses_update(account)


async def test_only_what_may_be_exported_is_told_and_what_may_not_any_more_is_withdrawn(
    net: Net,
) -> None:
    await line(net)
    b = net.nodes["b"]
    await b.route("test.red.x", "c")
    await b.route("test.blue.x", "c")
    await b.change("a", export_prefixes=("test.red",))
    await net.run(1)
    assert net.nodes["a"].path("test.red.x") is not None
    assert net.nodes["a"].path("test.blue.x") is None
    assert all("test.blue.x" not in update.withdrawn for update in b.wire.updates("a")[:1])

    await b.change("a", export_prefixes=("test.blue",))
    await net.run(1)

    assert net.nodes["a"].path("test.red.x") is None
    assert net.nodes["a"].path("test.blue.x") is not None


async def test_a_node_that_is_called_otherwise_tells_so_and_takes_what_it_now_may(
    net: Net,
) -> None:
    await line(net)
    await net.nodes["b"].route("test.far", "c")
    await net.run(2)

    b = net.nodes["b"]
    b.address.current = address("test.bee")
    await b.exchange.follow_address()
    await net.run(3)

    a = net.nodes["a"]
    assert a.path("test.bee") == ("test.bee",)
    assert a.path("test.far") == ("test.bee",)
    assert net.nodes["c"].path("test.a") == ("test.bee", "test.a")


# --- Convergence


async def test_a_way_that_names_no_node_is_no_shorter_than_that_of_a_prefixs_own_node(
    net: Net,
) -> None:
    node = net.node("us")
    await node.add("honest")
    await node.add("mallory")
    await node.hear("honest", told(way("test.x", "test.honest"), speaker="test.honest"))

    await node.hear("mallory", told(way("test.x"), speaker="test.mallory"))

    assert node.next_hop("test.x") == "honest"


async def test_around_a_ring_each_takes_the_shorter_way_and_the_other_when_a_node_dies(
    net: Net,
) -> None:
    await ring(net)
    nodes = net.nodes
    await net.run(3)
    assert nodes["a"].next_hop("test.c.x") in {"b", "d"}
    first = nodes["a"].next_hop("test.c.x")
    assert first is not None
    other = {"b": "d", "d": "b"}[first]

    nodes[first].is_dead = True
    took = await net.run(60, until=lambda: nodes["a"].next_hop("test.c.x") == other)

    assert took <= 45 + 1, "the hold-down is 45 s"
    await net.run(60)
    assert nodes["c"].path("test.a") == (f"test.{other}", "test.a")


async def test_a_link_that_is_gone_takes_its_routes_with_it_at_once(net: Net) -> None:
    await ring(net)
    nodes = net.nodes
    await net.run(3)
    nodes["a"].gone.add("b")
    nodes["a"].wire.cut.add("b")
    nodes["b"].wire.cut.add("a")

    took = await net.run(10, until=lambda: nodes["a"].next_hop("test.b.x") == "d")

    assert took < 2
    assert nodes["a"].path("test.b") == ("test.d", "test.c", "test.b")


async def test_a_peer_that_comes_back_is_asked_and_told_again(net: Net) -> None:
    await line(net)
    nodes = net.nodes
    await net.run(2)
    nodes["c"].is_dead = True
    await net.run(60)
    assert nodes["a"].path("test.c") is None

    nodes["c"].is_dead = False
    await net.run(40)

    assert nodes["a"].path("test.c") == ("test.b", "test.c")
    assert nodes["c"].path("test.a") == ("test.b", "test.a")


async def test_a_paused_and_a_deleted_peers_routes_are_withdrawn_everywhere(net: Net) -> None:
    await line(net)
    nodes = net.nodes
    await net.run(2)

    await nodes["b"].change("c", enabled=False)
    await net.run(1)
    assert nodes["a"].path("test.c") is None
    await nodes["b"].change("c", enabled=True)
    await net.run(40)
    assert nodes["a"].path("test.c") is not None
    await nodes["b"].remove("c")
    await net.run(1)

    assert nodes["a"].path("test.c") is None
    assert len(nodes["b"].exchange.peers) == 1


async def test_nothing_is_sent_but_signs_of_life_once_all_is_told(net: Net) -> None:
    await ring(net)
    await net.run(5)
    for node in net.nodes.values():
        node.wire.sent.clear()

    await net.run(120)

    for node in net.nodes.values():
        for name in node.accounts:
            updates = node.wire.updates(name)
            assert len(updates) in {3, 4, 5}
            assert not any(update.new_routes or update.withdrawn for update in updates)
            assert node.wire.controls(name) == 0


# --- Epochs and tables


async def test_a_gap_is_asked_for_once_a_second_at_most(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await net.run(1)
    a.wire.sent.clear()
    for _ in range(10):
        await a.hear("b", told(way("test.x", "test.b"), speaker="test.b", start=5, end=6))

    await net.run(3)

    assert a.path("test.x") is None
    assert 1 <= a.wire.controls("b") <= 4


async def test_the_middle_of_a_new_table_does_not_end_the_old_one(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b"), speaker="test.b", end=3))
    net.fake_clock.advance(seconds=20)

    await a.hear("b", told(speaker="test.b", table=b"n" * 16, start=5, end=5))

    assert a.path("test.x") == ("test.b",), "until the beginning is told, or its time is up"
    net.fake_clock.advance(seconds=25)
    a.tick()
    await a.clear()
    assert a.path("test.x") is None


async def test_a_gap_in_a_table_that_we_have_a_part_of_keeps_that_part(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b"), speaker="test.b", end=3))
    net.fake_clock.advance(seconds=40)

    await a.hear("b", told(way("test.y", "test.b"), speaker="test.b", start=5, end=6))
    net.fake_clock.advance(seconds=40)
    a.tick()
    await a.clear()

    assert a.path("test.x") == ("test.b",), "its peer is alive, and will tell the rest"
    assert a.path("test.y") is None


async def test_signs_of_life_over_a_link_that_is_gone_our_way_do_not_flicker(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b"), speaker="test.b", end=3))
    a.gone.add("b")
    a.tick()
    await a.clear()
    assert a.table.precedence.silent

    await a.hear("b", told(speaker="test.b", start=3, end=3))

    assert a.path("test.x") is None
    assert a.table.precedence.silent, "it has told nothing that could be used"


async def test_routes_are_asked_for_and_told_as_soon_as_the_link_is_back(net: Net) -> None:
    a, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await net.run(5)
    for node, other in ((a, "b"), (b, "a")):
        node.wire.cut.add(other)
        node.gone.add(other)
    await net.run(50)
    assert a.path("test.b") is None

    for node, other in ((a, "b"), (b, "a")):
        node.wire.cut.clear()
        node.gone.clear()
        node.ups[other] = 1
    await net.run(3)

    assert a.path("test.b") == ("test.b",)
    assert b.path("test.a") == ("test.a",)
    assert not a.exchange.peers[a.accounts["b"].id].asking.problem


async def test_who_does_not_speak_the_protocol_is_not_asked_each_time_that_its_link_is_back(
    net: Net,
) -> None:
    a = net.node("a")
    await a.add("b")
    a.wire.answers["b"] = Reject.build(
        ErrorCode.UNREACHABLE, triggered_by="test.b", message="unknown destination account"
    )
    await net.run(120)
    a.wire.sent.clear()

    a.ups["b"] = 1
    await net.run(60)

    assert a.wire.controls("b") == 0


async def test_an_older_update_changes_nothing(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b"), speaker="test.b", end=7))

    await a.hear("b", told(speaker="test.b", start=2, end=4, withdrawn=["test.x"]))

    assert a.path("test.x") == ("test.b",)
    assert a.exchange.peers[a.accounts["b"].id].heard.epoch == 7


async def test_a_new_table_clears_what_came_before(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear(
        "b", told(way("test.x", "test.b"), way("test.y", "test.b"), speaker="test.b", end=2)
    )

    await a.hear("b", told(way("test.y", "test.b"), speaker="test.b", table=b"n" * 16))

    assert a.path("test.x") is None
    assert a.path("test.y") == ("test.b",)


async def test_control_goes_on_from_where_the_peer_is_in_the_same_table_only(net: Net) -> None:
    a, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await a.route("test.x", "b")
    await net.run(1)
    telling = a.exchange.peers[a.accounts["b"].id].telling
    known = telling.table_id, telling.epoch

    await a.exchange.take_control(a.accounts["b"], RouteControl(Mode.SYNC, *known))
    assert (telling.table_id, telling.epoch) == known
    for table_id, epoch in ((known[0], known[1] + 1), (b"?" * 16, 1), (NO_TABLE, 0)):
        await a.exchange.take_control(a.accounts["b"], RouteControl(Mode.SYNC, table_id, epoch))
        await net.run(1)

        assert telling.table_id != known[0], "another table, from its beginning"
        assert b.path("test.a") is not None
        known = telling.table_id, telling.epoch


async def test_a_peer_that_asks_while_it_is_told_is_told_from_where_it_said(net: Net) -> None:
    a = net.node("a")
    account = await a.add("b")
    a.wire.answers["b"] = Fulfill.build(FULFILLMENT)
    await a.exchange.take_control(account, RouteControl(Mode.SYNC, NO_TABLE, 0))
    await net.run(1)
    telling = a.exchange.peers[account.id].telling
    table, epoch = telling.table_id, telling.epoch
    a.wire.sent.clear()

    async def ask() -> None:
        await a.exchange.take_control(account, RouteControl(Mode.SYNC, table, 0))

    a.wire.meanwhile = ask
    await a.route("test.new", "b")
    await net.run(1)

    first, second = a.wire.updates("b")
    assert (first.from_epoch, second.from_epoch) == (epoch, 0)
    assert second.table_id == table
    assert telling.epoch == second.to_epoch


async def test_idle_stops_the_updates_and_sync_resumes_them(net: Net) -> None:
    a = net.node("a")
    account = await a.add("b")
    a.wire.answers["b"] = Fulfill.build(FULFILLMENT)
    for mode, updates in ((Mode.SYNC, 4), (Mode.IDLE, 0), (Mode.SYNC, 4)):
        await a.exchange.take_control(account, RouteControl(mode, NO_TABLE, 0))
        a.wire.sent.clear()

        await net.run(100)

        assert len(a.wire.updates("b")) == updates


async def test_a_peer_whose_routes_are_not_taken_any_more_is_told_to_be_quiet(net: Net) -> None:
    a, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await net.run(1)

    await a.change("b", receive_routes=False)
    await net.run(1)
    b.wire.sent.clear()
    await net.run(100)

    assert a.path("test.b") is None
    assert b.wire.updates("a") == []


async def test_updates_are_a_seventh_of_a_second_apart_and_none_is_too_large(net: Net) -> None:
    await line(net)
    b = net.nodes["b"]
    b.static = {f"test.far.n{n}": b.accounts["c"].id for n in range(2_000)}
    await b.configure()

    await net.run(5, until=lambda: net.nodes["a"].path("test.far.n1999") is not None)

    updates = b.wire.updates("a")
    assert len(updates) >= 4
    sizes = [len(octets) for name, _, octets in b.wire.sent if name == "a"]
    assert max(sizes) <= 32_767
    assert sum(len(update.new_routes) for update in updates) >= 2_000
    assert all(second.from_epoch == first.to_epoch for first, second in pairwise(updates))


# --- Peers that do not speak the protocol


async def test_a_peer_without_the_protocol_is_asked_three_times_and_then_rarely(
    net: Net,
) -> None:
    a, b = net.node("a"), net.node("b")
    await net.connect("a", "b")
    await a.add("static")
    a.wire.answers["static"] = REFUSED
    await net.run(200)
    assert a.wire.controls("static") == 3
    assert a.wire.updates("static") == []
    assert b.path("test.static") == ("test.a",), "we tell of it, since it cannot"

    await net.run(3 * 3600, until=lambda: a.wire.controls("static") == 5)

    assert a.exchange.peers[a.accounts["static"].id].asking.given_up


async def test_a_peer_that_is_busy_is_asked_again_and_not_given_up(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    a.wire.answers["b"] = Reject.build(
        ErrorCode.CONNECTOR_BUSY, triggered_by="test.b", message="later"
    )

    await net.run(300)

    assert 9 <= a.wire.controls("b") <= 11
    peer = a.exchange.peers[a.accounts["b"].id]
    assert not peer.asking.given_up
    assert peer.asking.problem.endswith("T03 Connector Busy: later")


async def test_one_that_speaks_after_all_is_asked_at_once(net: Net) -> None:
    a = net.node("a")
    await a.add("static")
    a.wire.answers["static"] = REFUSED
    await net.run(200)

    await a.exchange.take_control(a.accounts["static"], RouteControl(Mode.SYNC, NO_TABLE, 0))
    await net.run(1)

    assert a.wire.controls("static") == 4


async def test_a_peer_that_cannot_be_reached_is_asked_every_half_minute_and_never_given_up(
    net: Net,
) -> None:
    a = net.node("a")
    await a.add("b")

    await net.run(300)

    assert 9 <= a.wire.controls("b") <= 11
    peer = a.exchange.peers[a.accounts["b"].id]
    assert not peer.asking.given_up
    assert "b cannot be reached" in peer.asking.problem


async def test_interledger_rs_with_its_empty_path_zero_proof_and_short_hold_down(
    net: Net,
) -> None:
    a = net.node("a")
    net.node("c")
    await a.add("rs")
    await net.connect("a", "c")
    await a.hear("rs", told(way("test.rs"), speaker="test.rs", hold_down_ms=30_000))
    await net.run(1)
    assert a.path("test.rs") == ()
    assert net.nodes["c"].path("test.rs") == ("test.a",)

    await net.run(40)
    assert a.path("test.rs") == (), "one late heartbeat does not cost it its routes"
    await net.run(10)

    assert a.path("test.rs") is None


async def test_a_peer_that_tells_and_never_asks_as_interledger_rs_is_told_too(net: Net) -> None:
    a = net.node("a")
    await a.add("rs")
    await a.add("quiet")
    await a.add("mother", PARENT)
    for name in ("rs", "quiet", "mother"):
        a.wire.answers[name] = Fulfill.build(FULFILLMENT)
    for name in ("rs", "mother"):
        await a.hear(name, told(way(f"test.{name}"), speaker=f"test.{name}"))

    await net.run(5)

    (update,) = a.wire.updates("rs")
    assert (update.from_epoch, next(route.prefix for route in update.new_routes)) == (
        0,
        "test.a",
    )
    assert a.wire.updates("quiet") == a.wire.updates("mother") == []


async def test_a_peer_that_said_that_it_wants_no_routes_is_told_none_though_it_tells(
    net: Net,
) -> None:
    a = net.node("a")
    account = await a.add("b")
    a.wire.answers["b"] = Fulfill.build(FULFILLMENT)
    await a.exchange.take_control(account, RouteControl(Mode.IDLE, NO_TABLE, 0))
    await a.hear("b", told(way("test.b"), speaker="test.b"))

    await net.run(40)

    assert a.wire.updates("b") == []


# --- What is not taken


@pytest.mark.parametrize(
    ("route", "why"),
    [
        (way("test", "test.b"), "the default route is never taken"),
        (way("", "test.b"), "the default route is never taken"),
        (way("g.x", "test.b"), "g.x is not in our network, test"),
        (way("test1.x", "test.b"), "test1.x is not in our network, test"),
        (way("peer.x", "test.b"), "peer.x is not in our network"),
        (way("self.x", "test.b"), "self.x is not in our network"),
        (way("test.a.kid", "test.b"), "test.a.kid is this node's own"),
        (way("test.x", "test.other"), "does not begin with test.b, who told it"),
        (way("test.x", "test.b", *["test.h"] * 32), "is too long: 33 nodes"),
        (way("test.x", "test.b", *["test." + "h" * 999] * 5), "is too long: 6 nodes"),
    ],
)
async def test_a_route_that_cannot_be_is_refused_with_a_reason_and_the_rest_is_taken(
    net: Net, route: object, why: str
) -> None:
    a = net.node("a")
    await a.add("b")
    await a.add("c")

    await a.hear("b", told(route, way("test.good", "test.b"), speaker="test.b"))  # type: ignore[arg-type]

    assert list(a.exchange.learned.best) == ["test.good"]
    heard = a.exchange.peers[a.accounts["b"].id].heard
    assert heard.refused == 1
    assert why in heard.problem


@pytest.mark.parametrize(
    "echo", [way("test.a", "test.b"), way("test.x", "test.b", "test.a", "test.x")]
)
async def test_what_a_peer_gives_back_of_what_we_told_is_not_taken_and_no_problem(
    net: Net, echo: ToldRoute
) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b", "test.x"), speaker="test.b"))
    assert a.path("test.x") == ("test.b", "test.x")

    await a.hear("b", told(echo, speaker="test.b", start=1, end=2))

    assert a.path(echo.prefix) is None
    heard = a.exchange.peers[a.accounts["b"].id].heard
    assert (heard.refused, heard.problem) == (0, "")


async def test_only_what_may_be_imported_is_taken(net: Net) -> None:
    a = net.node("a")
    await a.add("b", import_prefixes=("test.red", "test.blue"))

    await a.hear(
        "b",
        told(
            *(way(p, "test.b") for p in ("test.red", "test.red.x", "test.redder", "test.x")),
            speaker="test.b",
        ),
    )

    assert set(a.exchange.learned.best) == {"test.red", "test.red.x"}


async def test_a_route_that_may_not_be_any_more_is_dropped(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.hear("b", told(way("test.x", "test.b", "test.x"), speaker="test.b"))

    await a.hear(
        "b", told(way("test.x", "test.b", "test.a", "test.x"), speaker="test.b", start=1, end=2)
    )

    assert a.path("test.x") is None


async def test_a_peer_has_no_more_routes_than_it_may(net: Net) -> None:
    a = net.node("a")
    await a.add("b", routes_max=10)

    await a.hear(
        "b",
        told(
            *(way(f"test.n{n}", "test.b") for n in range(25)),
            way("test.n3", "test.b", "test.more"),
            speaker="test.b",
        ),
    )

    assert len(a.exchange.learned.best) == 10
    assert a.path("test.n3") == ("test.b", "test.more"), "what it has may change"
    heard = a.exchange.peers[a.accounts["b"].id].heard
    assert heard.refused == 15
    assert "it has 10 routes here, and may have no more" in heard.problem


# --- Which way is the best


async def test_weight_then_relation_then_length_then_id(net: Net) -> None:
    a = net.node("a")
    await a.add("kid", CHILD, receive_routes=True)
    await a.add("near")
    await a.add("far")
    await a.add("mom", PARENT)
    for name in ("mom", "far", "near", "kid"):
        path = [f"test.{name}", *["test.h"] * (name != "near"), "test.x"]
        await a.hear(name, told(way("test.x", *path), speaker=f"test.{name}"))

    order = []
    while a.path("test.x") is not None:
        best = a.next_hop("test.x")
        assert best is not None
        order.append(best)
        await a.hear(best, told(speaker=f"test.{best}", start=1, end=2, withdrawn=["test.x"]))
    assert order == ["kid", "near", "far", "mom"]

    for name in ("mom", "kid"):
        await a.hear(
            name, told(way("test.x", f"test.{name}"), speaker=f"test.{name}", start=2, end=3)
        )
    assert a.next_hop("test.x") == "kid"
    await a.change("mom", route_weight=1)
    assert a.next_hop("test.x") == "mom"


async def test_a_static_route_goes_before_a_learned_one_unless_that_is_heavier(
    net: Net,
) -> None:
    a = net.node("a")
    await a.add("b")
    await a.add("c")
    await a.route("test.x", "c")
    await a.hear("b", told(way("test.x", "test.b"), speaker="test.b"))
    assert a.next_hop("test.x.y") == "c"

    await a.change("b", route_weight=1)
    assert a.next_hop("test.x.y") == "b"
    await a.change("c", route_weight=1)

    assert a.next_hop("test.x.y") == "c"


async def test_a_longer_learned_prefix_goes_before_a_shorter_static_one(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.add("c")
    await a.route("test.x", "c")

    await a.hear("b", told(way("test.x.y", "test.b"), speaker="test.b"))

    assert a.next_hop("test.x.y.z") == "b"
    assert a.next_hop("test.x.q") == "c"
    assert [route.source for route in a.table.covering("test.x.y.z")] == [
        RouteSource.LEARNED,
        RouteSource.STATIC,
    ]


# --- The log of what we tell


async def test_the_log_is_as_long_as_the_table_however_often_it_changes(net: Net) -> None:
    await line(net)
    a = net.nodes["b"]
    await net.run(2)
    for round_number in range(50):
        a.static = {f"test.n{round_number}": a.accounts["c"].id}
        await a.configure()
        await net.run(0.5)

    assert a.exchange.log is not None
    assert a.exchange.log.entries < 10
    assert net.nodes["a"].path("test.n49") is not None
    assert net.nodes["a"].path("test.n48") is None


async def test_a_peer_that_missed_a_forgotten_withdrawal_starts_anew(net: Net) -> None:
    await line(net)
    b = net.nodes["b"]
    await net.run(2)
    telling = b.exchange.peers[b.accounts["a"].id].telling
    table, epoch = telling.table_id, telling.epoch
    await b.route("test.gone", "c")
    del b.static["test.gone"]
    await b.configure()
    await net.run(1)

    await b.exchange.take_control(b.accounts["a"], RouteControl(Mode.SYNC, table, epoch))
    await net.run(1)

    assert telling.table_id != table


# --- Hostile


async def test_a_flood_of_updates_is_turned_away_before_it_is_read(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    await a.add("c")
    packet = Prepare.build(
        amount=0,
        expires_at_ms=net.clock.now_ms() + 1_000,
        condition=CONDITION,
        destination="peer.route.update",
        data=told(way("test.x", "test.b"), speaker="test.b").encode(),
    )
    replies = [await a.receive("b", packet) for _ in range(MESSAGES_AT_ONCE + 50)]

    refused = [reply for reply in replies if isinstance(reply, Reject)]
    assert len(refused) == 50
    assert refused[0].code == ErrorCode.RATE_LIMITED
    assert (
        "more than twenty messages a second"
        in a.exchange.peers[a.accounts["b"].id].heard.problem
    )
    assert isinstance(await a.receive("c", packet), Fulfill), "others are not affected"
    net.fake_clock.advance(seconds=1)
    assert isinstance(await a.receive("b", packet), Fulfill)


async def test_what_cannot_be_read_is_rejected_and_shown(net: Net) -> None:
    a = net.node("a")
    await a.add("b")
    packet = Prepare.build(
        amount=0,
        expires_at_ms=net.clock.now_ms() + 1_000,
        condition=CONDITION,
        destination=CONTROL_DESTINATION,
        data=b"\1",
    )

    reply = await a.receive("b", packet)

    assert isinstance(reply, Reject)
    assert reply.code == ErrorCode.BAD_REQUEST
    assert reply.message.startswith("Invalid route control request: the message ends")
    assert "cannot be read" in a.exchange.peers[a.accounts["b"].id].heard.problem


async def test_a_peer_that_calls_itself_otherwise_is_shown(net: Net) -> None:
    a = net.node("a")
    await a.add("b")

    await a.hear("b", told(way("test.x", "test.bee"), speaker="test.bee"))

    problem = a.exchange.peers[a.accounts["b"].id].heard.problem
    assert problem == "It calls itself test.bee, and its account here says test.b."


async def test_what_there_is_no_room_for_stays_due_and_is_said_later(net: Net) -> None:
    one = net.node("one")
    one.tasks = TaskOwner("one", tasks_max=1)
    one.speaker = Speaker(one.exchange, one.wire, one.tasks, speaks=lambda _: True)
    for name in ("two", "three", "four"):
        net.node(name)
        await net.connect("one", name)

    await net.run(10)

    for name in ("two", "three", "four"):
        assert one.wire.controls(name) == 1
        assert one.wire.updates(name)
        assert one.path(f"test.{name}") is not None
