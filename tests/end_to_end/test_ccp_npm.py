"""Routes between our nodes and an `ilp-connector` between them: learned, used and withdrawn, both ways.

Each of two nodes of ours knows the connector alone. What one of them tells, the connector takes, and tells
the other; packets then go where nobody has configured that they should.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.packet import Fulfill
from core.services.echo import PING_CONDITION
from tests.end_to_end.connectors import (
    HOLD_DOWN_MS,
    TIMING,
    Connector,
    Line,
    add_account,
    await_that,
    btp_line,
    connector,
    delete_route,
    http_line,
    paths,
    set_route,
    table,
)
from tests.end_to_end.programs import Node, node, prepare

ALICE = "alice-sends-with-this-token"
AMOUNT = 1_000


@dataclass
class Scene:
    """one – conn – two."""

    one: Node
    conn: Connector
    two: Node


def our_node(name: str, folder: Path) -> AbstractContextManager[Node]:
    store = f"sqlite:///{folder / name}.db"
    return node(store, folder, f"--ilp-address=test.{name}", *TIMING, name=name)


@pytest.fixture(params=[http_line, btp_line], ids=["http", "btp"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    make_line: Callable[[str, Node, str], Line] = request.param
    with ExitStack() as running:
        nodes, lines = {}, []
        for name in ("one", "two"):
            started = running.enter_context(our_node(name, tmp_path))
            line = make_line(name, started, "conn")
            add_account(started, "conn", "test.conn", **line.ours)
            add_account(
                started,
                "alice",
                f"test.{name}.alice",
                routing_relation="NonRoutingAccount",
                ilp_over_http_incoming_token=ALICE,
            )
            nodes[name] = started
            lines.append(line)
        conn = running.enter_context(
            connector("conn", tmp_path, lines, routes={"test.shop": "two"})
        )
        yield Scene(nodes["one"], conn, nodes["two"])


def peer_of(ours: Node) -> Any:
    (peer,) = ours.api("GET", "/routes/peers").json
    return peer


def test_routes_are_learned_used_and_withdrawn_both_ways(scene: Scene) -> None:
    one, conn, two = scene.one, scene.conn, scene.two

    # Each side has the other's own address, and through it what is behind it.
    await_that(lambda: paths(one).get("test.two") == ("test.conn", "test.two"))
    await_that(lambda: paths(two).get("test.one") == ("test.conn", "test.one"))
    account, told = one.api("GET", "/routes/why?destination=test.conn").json["candidates"]
    assert (account["source"], account["chosen"]) == ("account", True)
    assert (told["source"], told["path"]) == ("learned", ["test.conn"])
    assert paths(one)["test.shop"] == ("test.conn",)
    assert "test.shop" not in paths(two), "the connector would send it back to us"
    assert conn.table()["test.one"] == "one"
    assert conn.table()["test.two"] == "two"

    # A packet from one to two, where no operator has set a route.
    packet = prepare(AMOUNT, destination="test.two", condition=PING_CONDITION)
    assert isinstance(one.packet("alice", ALICE, packet).reply, Fulfill)
    packet = prepare(AMOUNT, destination="test.one", condition=PING_CONDITION)
    assert isinstance(two.packet("alice", ALICE, packet).reply, Fulfill)

    # What one of ours sets and removes is learned and withdrawn by the connector, and by the other of ours.
    set_route(two, "test.far.away", "alice")
    await_that(lambda: conn.table().get("test.far.away") == "two")
    await_that(lambda: paths(one).get("test.far.away") == ("test.conn", "test.two"))
    answer = one.api("GET", "/routes/why?destination=test.far.away.x").json
    assert answer["candidates"][0]["next_hop"] == "conn"
    assert answer["candidates"][0]["chosen"] is True
    delete_route(two, "test.far.away")
    await_that(lambda: "test.far.away" not in conn.table())
    await_that(lambda: "test.far.away" not in table(one))
    changes = one.api("GET", "/routes/changes").json
    assert [
        (change["before"], change["after"])
        for change in changes
        if change["prefix"] == "test.far.away"
    ] == [(None, "conn"), ("conn", None)]

    # Both say that they are in step, and the books are.
    for name, ours in (("one", one), ("two", two)):
        await_that(lambda ours=ours: peer_of(ours)["state"] == "in step")
        peer = peer_of(ours)
        assert peer["problem"] == ""
        assert peer["wants_routes"] is True
        status = conn.routing()["peers"][name]
        assert status["receive"]["routingTableId"] == peer["our_table_id"]
        assert status["send"]["mode"] == "SYNC"
        assert ours.audit()["passed"]


def test_a_node_that_is_started_anew_has_its_routes_at_once_and_drops_those_of_a_dead_connector(
    scene: Scene, tmp_path: Path
) -> None:
    one, conn = scene.one, scene.conn
    await_that(lambda: paths(one).get("test.two") == ("test.conn", "test.two"))
    time.sleep(0.5)  # routes are saved a quarter of a second behind
    one.process.kill()
    one.process.wait()
    conn.process.kill()
    conn.process.wait()

    with our_node("one", tmp_path) as again:
        assert paths(again)["test.two"] == ("test.conn", "test.two")

        took = await_that(lambda: "test.two" not in table(again))

        assert took < HOLD_DOWN_MS / 1000 + 3
        peer = again.api("GET", "/routes/peers/conn").json
        assert (peer["state"], peer["learned"]) == ("silent", 0)
        assert "withdrawn" in peer["sentence"]
        assert again.audit()["passed"]
