"""Route exchange at the operator's door: how it stands with each peer, why a route won, what changed."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

import pytest

from core.control.route_views import RouteExchangeState, RoutePeerView
from core.errors import Conflict, SettingError, UnknownAccount
from core.packet import address
from core.routing.ccp import NO_TABLE, Mode, RouteControl, RouteUpdate, ToldRoute
from tests.core.control.bench import Bench
from tests.core.routing.network import told, way


async def peer(bench: Bench, name: str, **changes: Any) -> None:
    """Add an account for a node of its own at test.NAME."""
    changes.setdefault("routing_relation", "Peer")
    await bench.add(name, ilp_address=f"test.{name}", **changes)


async def hear(bench: Bench, name: str, update: RouteUpdate) -> None:
    account = bench.node.directory.by_username(name)
    assert account is not None
    await bench.node.exchange.take_update(account, update.encode())


async def tell(bench: Bench, name: str, *routes: ToldRoute, **more: Any) -> None:
    await hear(bench, name, told(*routes, speaker=f"test.{name}", **more))


async def of(bench: Bench, name: str) -> RoutePeerView:
    return await bench.control.route_peer(name)


async def test_those_who_may_take_part_are_listed_by_name(bench: Bench) -> None:
    await peer(bench, "zoe")
    await peer(bench, "mom", routing_relation="Parent")
    await bench.add("user")

    views = await bench.control.route_peers()

    assert [(view.username, view.relation) for view in views] == [
        ("mom", "Parent"),
        ("zoe", "Peer"),
    ]
    assert {view.state for view in views} == {RouteExchangeState.ASKING}
    assert (await of(bench, "USER")).state is RouteExchangeState.OFF
    with pytest.raises(UnknownAccount):
        await of(bench, "nobody")


async def test_one_that_told_all_and_was_told_nothing_is_in_step(bench: Bench) -> None:
    await peer(bench, "bob", routing_relation="Parent")
    await tell(bench, "bob", way("test.x", "test.bob"), way("test.y", "test.bob"), end=5)

    view = await of(bench, "bob")

    assert view.state is RouteExchangeState.IN_STEP
    assert view.sentence == "We have all of bob's routes, and it has not asked for ours."
    assert view.their_table_id == str(uuid.UUID(bytes=b"t" * 16))
    assert (view.their_epoch, view.their_current_epoch) == (5, 5)
    assert (view.learned, view.used, view.refused, view.damped) == (2, 2, 0, 0)
    assert view.last_update_at_ms == bench.clock.now_ms()
    assert view.expires_at_ms == bench.clock.now_ms() + 45_000
    assert (view.our_table_id, view.our_epoch, view.advertised) == ("", 0, 0)


async def test_one_that_has_asked_and_one_that_is_behind(bench: Bench) -> None:
    await peer(bench, "bob")
    account = bench.node.directory.by_username("bob")
    assert account is not None
    await bench.node.exchange.take_control(account, RouteControl(Mode.SYNC, NO_TABLE, 0))
    await hear(
        bench,
        "bob",
        RouteUpdate(
            table_id=b"t" * 16,
            current_epoch=9,
            from_epoch=0,
            to_epoch=3,
            hold_down_ms=45_000,
            speaker=address("test.bob"),
        ),
    )

    view = await of(bench, "bob")

    assert view.wants_routes
    assert view.state is RouteExchangeState.CATCHING_UP
    assert (view.their_epoch, view.their_current_epoch) == (3, 9)
    assert view.our_current_epoch == 1


async def test_what_is_wrong_is_said(bench: Bench) -> None:
    await peer(bench, "bob")
    await tell(bench, "bob", way("g.x", "test.bob"))

    view = await of(bench, "bob")

    assert view.refused == 1
    assert view.problem == (
        "1 of its routes was not taken; the last, because g.x is not in our network, test."
    )


async def test_one_whose_table_goes_and_comes_is_said_to_wait(bench: Bench) -> None:
    await peer(bench, "bob")
    for number in range(8):
        await tell(bench, "bob", way("test.x", "test.bob"), table=bytes([number + 1]) * 16)

    view = await of(bench, "bob")

    assert (view.learned, view.used, view.damped) == (1, 0, 1)
    assert "Its whole table went and came back too often of late" in view.problem


async def test_a_paused_a_quiet_and_a_silent_peer(bench: Bench) -> None:
    for name in ("paused", "static", "silent"):
        await peer(bench, name)
    await tell(bench, "silent", way("test.x", "test.silent"))
    exchange = bench.node.exchange
    exchange.peers[bench.id_of("static")].asking.given_up = True
    exchange.withdraw_all(exchange.peers[bench.id_of("silent")], "of a test")
    await bench.control.set_enabled("paused", enabled=False)

    assert (await of(bench, "paused")).state is RouteExchangeState.PAUSED
    static = await of(bench, "static")
    assert static.state is RouteExchangeState.STATIC
    assert "as many do" in static.sentence
    assert static.problem == ""
    silent = await of(bench, "silent")
    assert silent.state is RouteExchangeState.SILENT
    assert "withdrawn" in silent.sentence


async def test_a_peer_is_asked_anew_unless_its_routes_are_not_taken(bench: Bench) -> None:
    await peer(bench, "bob")
    await tell(bench, "bob", way("test.x", "test.bob"))
    await bench.add("user")

    view = await bench.control.ask_for_routes("Bob")

    assert (view.their_epoch, view.their_table_id) == (0, "")
    assert view.state is RouteExchangeState.ASKING
    assert view.learned == 1, "until it has told them again"
    assert bench.node.exchange.peers[bench.id_of("bob")].asking.due is not None
    with pytest.raises(Conflict, match="its relation is NonRoutingAccount"):
        await bench.control.ask_for_routes("user")


async def test_why_names_every_way_and_what_decided(bench: Bench) -> None:
    await peer(bench, "near")
    await peer(bench, "far")
    await peer(bench, "mom", routing_relation="Parent")
    await tell(bench, "far", way("test.x", "test.far", "test.hop", "test.x"))
    await tell(bench, "near", way("test.x", "test.near", "test.x"))
    await tell(bench, "mom", way("test.x", "test.mom"))

    why = await bench.control.why_route("test.x.shop")

    assert why.prefix == "test.x"
    assert why.sentence == (
        "test.x.shop is covered by test.x, and near gets it: 3 ways lead to that prefix, "
        "and the path is shorter, 2 and not 3."
    )
    assert [(way.next_hop, way.chosen, way.reason) for way in why.candidates] == [
        ("near", True, "The path is shorter, 2 and not 3."),
        ("far", False, "Not chosen: of the other, the path is shorter, 2 and not 3."),
        ("mom", False, "Not chosen: of the other, a peer goes before a parent."),
    ]
    assert why.candidates[0].path == ("test.near", "test.x")

    await bench.control.change_account("mom", {"route_weight": 5})
    why = await bench.control.why_route("test.x")
    assert why.candidates[0].next_hop == "mom"
    assert why.candidates[0].reason == "The operator gave it the greatest weight, 5."
    assert why.candidates[1].reason == "Its weight is 0, and 5 wins."

    await bench.control.set_route("test.x", "far")
    await bench.control.change_account("mom", {"route_weight": 0})
    why = await bench.control.why_route("test.x")
    assert (why.candidates[0].next_hop, why.candidates[0].source) == ("far", "static")
    assert why.candidates[0].reason == "The operator set it."


async def test_why_names_what_peers_tell_and_is_not_used_and_why_not(bench: Bench) -> None:
    await peer(bench, "bob")
    await peer(bench, "mallory")
    await tell(bench, "mallory", way("test.bob.shop", "test.mallory", "test.bob"))

    why = await bench.control.why_route("test.bob.shop.x")

    assert (why.prefix, why.candidates[0].next_hop) == ("test.bob", "bob")
    assert why.sentence.endswith("What peers tell of test.bob.shop is not used.")
    assert [(one.next_hop, one.prefix, one.chosen) for one in why.candidates[1:]] == [
        ("mallory", "test.bob.shop", False)
    ]
    assert why.candidates[1].reason.startswith(
        "Not used for test.bob.shop: only test.bob speaks for what is under its address"
    )


async def test_why_there_is_no_route_to_what_comes_and_goes_is_said(bench: Bench) -> None:
    await peer(bench, "bob")
    for _ in range(8):
        await tell(bench, "bob", way("test.flap", "test.bob"))
        await tell(bench, "bob", withdrawn=("test.flap",))
    await tell(bench, "bob", way("test.flap", "test.bob"))

    why = await bench.control.why_route("test.flap.x")

    assert why.prefix is None
    assert why.sentence == (
        "What peers tell of test.flap is not used, and no other prefix covers test.flap.x; "
        "there is no default route."
    )
    (one,) = why.candidates
    assert one.reason.endswith(
        "it comes and goes too often, and waits until it has been steady."
    )


async def test_why_of_an_account_of_nothing_and_of_what_is_no_address(bench: Bench) -> None:
    await bench.add("alice")

    own = await bench.control.why_route("test.node.alice.x")
    assert own.sentence.endswith("alice gets it: there is no other way to that prefix.")
    assert own.candidates[0].reason == "It is the only one."
    nothing = await bench.control.why_route("test.nowhere")
    assert (nothing.prefix, nothing.candidates) == (None, ())
    for wrong in ("", "no address", "test..x"):
        with pytest.raises(SettingError):
            await bench.control.why_route(wrong)


async def test_changes_are_told_since_the_last_look(bench: Bench) -> None:
    await peer(bench, "bob")
    await tell(bench, "bob", way("test.x", "test.bob"), way("test.y", "test.bob"))
    await tell(bench, "bob", start=1, end=2, withdrawn=["test.x"])

    changes = await bench.control.route_changes()

    assert [(c.sequence, c.prefix, c.before, c.after) for c in changes] == [
        (1, "test.x", None, "bob"),
        (2, "test.y", None, "bob"),
        (3, "test.x", "bob", None),
    ]
    assert changes[0].reason == "Bob told it."
    assert changes[0].path == ("test.bob",)
    assert [c.sequence for c in await bench.control.route_changes(after_sequence=2)] == [3]
    assert [c.sequence for c in await bench.control.route_changes(limit=2)] == [2, 3]


async def test_learned_routes_stand_in_the_table_with_their_path(bench: Bench) -> None:
    await peer(bench, "bob")
    await tell(bench, "bob", way("test.x", "test.bob", "test.x"))

    rows = {row.prefix: asdict(row) for row in await bench.control.routes()}

    assert rows["test.x"] == {
        "prefix": "test.x",
        "next_hop": "bob",
        "source": "learned",
        "path": ("test.bob", "test.x"),
    }
    assert rows["test.bob"]["source"] == "account"


async def test_what_the_operator_says_of_an_account_is_in_force_at_once(bench: Bench) -> None:
    await peer(bench, "bob", import_prefixes=["test.red"], routes_max=2)
    await tell(bench, "bob", *(way(f"test.red.n{n}", "test.bob") for n in range(3)))
    await tell(bench, "bob", way("test.blue", "test.bob"), start=1, end=2)
    view = await of(bench, "bob")
    assert (view.learned, view.refused, view.routes_max) == (2, 2, 2)

    await bench.control.change_account("bob", {"receive_routes": False, "send_routes": False})
    while bench.node.exchange.catch_up():
        pass

    view = await of(bench, "bob")
    assert (view.state, view.learned) == (RouteExchangeState.OFF, 0)
    assert view.sentence == "No routes are exchanged with bob: the operator said so."
    assert [row.prefix for row in await bench.control.routes()] == ["test.bob"]
