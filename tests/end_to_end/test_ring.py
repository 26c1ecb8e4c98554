"""Three of our nodes and an `ilp-connector` in a ring: packets across, a node killed, and the way around it.

       ann ── ben
        │      │
       conn ─ cyd

Each node is a process with a store of its own and knows its two neighbours; everything else it learns. Money
moves from an account at one node to the node across, by whichever way is the best; when the node on that way
dies, the routes through it go with its hold-down, and packets go the other way round. All books must be right.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.packet import Fulfill, Reject
from core.services.echo import PING_CONDITION
from tests.end_to_end.connectors import (
    HOLD_DOWN_MS,
    TIMING,
    TOKEN,
    Connector,
    add_account,
    await_that,
    connector,
    http_line,
    paths,
)
from tests.end_to_end.programs import Node, free_port, node, prepare

NAMES = ("ann", "ben", "cyd")
USER = "the-user-sends-with-this-token"
AMOUNT = 1_000
EACH_WAY = 20
STREAMED = 100_000
LARGEST = 5_000


@dataclass
class Ring:
    """The nodes by name, and what each user has paid."""

    folder: Path
    ports: dict[str, int]
    nodes: dict[str, Node] = field(default_factory=dict)
    conn: Connector | None = None

    def process(self, name: str) -> AbstractContextManager[Node]:
        """Return a node's process, at the port that its neighbours know."""
        store = f"sqlite:///{self.folder / name}.db"
        return node(
            store,
            self.folder,
            f"--ilp-address=test.{name}",
            f"--http-bind=127.0.0.1:{self.ports[name]}",
            *TIMING,
            name=name,
        )

    def connect(self, one: str, two: str) -> None:
        """Let two nodes of ours be peers, over HTTP."""
        for ours, theirs in ((one, two), (two, one)):
            add_account(
                self.nodes[ours],
                theirs,
                f"test.{theirs}",
                ilp_over_http_url=f"http://127.0.0.1:{self.ports[theirs]}/accounts/{ours}/ilp",
                ilp_over_http_outgoing_token=f"{TOKEN}{ours}",
                ilp_over_http_incoming_token=f"{TOKEN}{theirs}",
            )

    def pay(self, sender: str, receiver: str) -> Fulfill | Reject:
        """Send a packet from a node's user to another node, which keeps what it carries."""
        packet = prepare(AMOUNT, destination=f"test.{receiver}", condition=PING_CONDITION)
        return self.nodes[sender].packet("user", USER, packet).reply

    def stream(self, sender: str, receiver: str) -> None:
        """Make a STREAM payment of many packets from one node's user to another's."""
        order = {
            "username": "user",
            "receiver": f"http://127.0.0.1:{self.ports[receiver]}/accounts/user/spsp",
            "source_amount": str(STREAMED),
        }
        before = self.net(receiver, "user")
        begun = self.nodes[sender].api("POST", "/payments", order).json

        def found() -> Any:
            return self.nodes[sender].api("GET", f"/payments/{begun['id']}").json

        await_that(lambda: found()["state"] not in {"pending", "sending"})
        ended = found()
        assert ended["state"] == "completed", ended
        assert ended["packets"] >= STREAMED // LARGEST, ended
        assert self.net(receiver, "user") == before + STREAMED

    def net(self, name: str, username: str) -> int:
        """Return what a node owes an account, in its smallest unit; below zero is what it is owed."""
        answer = self.nodes[name].api("GET", f"/accounts/{username}/balance").json
        return int(answer["net"])

    def next_hop(self, name: str, destination: str) -> Any:
        answer = self.nodes[name].api("GET", f"/routes/why?destination={destination}").json
        return answer["candidates"][0]["next_hop"] if answer["candidates"] else None


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    made = Ring(tmp_path, {name: free_port() for name in NAMES})
    with ExitStack() as running:
        for name in NAMES:
            made.nodes[name] = running.enter_context(made.process(name))
            add_account(
                made.nodes[name],
                "user",
                f"test.{name}.user",
                routing_relation="NonRoutingAccount",
                ilp_over_http_incoming_token=USER,
                max_packet_amount=LARGEST,
            )
        made.connect("ann", "ben")
        made.connect("ben", "cyd")
        lines = []
        for name in ("ann", "cyd"):
            line = http_line(name, made.nodes[name], "conn")
            add_account(made.nodes[name], "conn", "test.conn", **line.ours)
            lines.append(line)
        made.conn = running.enter_context(connector("conn", tmp_path, lines))
        yield made


def test_a_node_dies_and_the_packets_go_around_it(ring: Ring) -> None:
    # Everybody knows a way to everybody; across there are two, as long as each other.
    for name in NAMES:
        for other in set(NAMES) - {name}:
            await_that(lambda n=name, o=other: ring.next_hop(n, f"test.{o}") is not None)
    await_that(lambda: ring.next_hop("ben", "test.conn") in {"ann", "cyd"})
    await_that(lambda: len(ways(ring, "ann", "test.cyd")) == 2)

    # The operators of ann and cyd prefer ben; payments across go there, both ways.
    for name in ("ann", "cyd"):
        answer = ring.nodes[name].api("PUT", "/accounts/ben", {"route_weight": 1})
        assert answer.status == 200, answer
    await_that(lambda: ring.next_hop("ann", "test.cyd") == "ben")
    await_that(lambda: ring.next_hop("cyd", "test.ann") == "ben")
    for _ in range(EACH_WAY):
        assert isinstance(ring.pay("ann", "cyd"), Fulfill)
        assert isinstance(ring.pay("cyd", "ann"), Fulfill)
    for _ in range(EACH_WAY):
        assert isinstance(ring.pay("ben", "cyd"), Fulfill)
    assert ring.net("ann", "user") == ring.net("cyd", "user") == -EACH_WAY * AMOUNT
    assert ring.net("ann", "conn") == 0
    assert ring.net("cyd", "ben") == -EACH_WAY * AMOUNT, (
        "ben's user paid it, the others cancel out"
    )

    ring.stream("ann", "cyd")
    ring.stream("cyd", "ann")

    # ben dies. Until its hold-down has passed packets may be refused, then they go around.
    ring.nodes["ben"].process.kill()
    ring.nodes["ben"].process.wait()
    died = time.monotonic()
    await_that(lambda: ring.next_hop("ann", "test.cyd") == "conn")
    await_that(lambda: ring.next_hop("cyd", "test.ann") == "conn")
    took = time.monotonic() - died
    assert took < HOLD_DOWN_MS / 1000 + 4, took
    before = ring.net("ann", "user")
    for _ in range(EACH_WAY):
        assert isinstance(ring.pay("ann", "cyd"), Fulfill)
        assert isinstance(ring.pay("cyd", "ann"), Fulfill)
    assert ring.net("ann", "user") == before - EACH_WAY * AMOUNT
    ring.stream("ann", "cyd")
    ring.stream("cyd", "ann")
    assert ring.net("ann", "conn") == ring.net("cyd", "conn") == 0, "as much each way"
    # And by the connector's own count, with one packet more the one way.
    assert isinstance(ring.pay("ann", "cyd"), Fulfill)
    assert ring.conn is not None
    assert ring.conn.balances() == {"ann": AMOUNT, "cyd": -AMOUNT}
    assert (ring.net("ann", "conn"), ring.net("cyd", "conn")) == (AMOUNT, -AMOUNT)
    for name in ("ann", "cyd"):
        assert "test.ben" not in paths(ring.nodes[name])
        peer = ring.nodes[name].api("GET", "/routes/peers/ben").json
        assert peer["state"] in {"silent", "failing"}, peer
        assert peer["learned"] == 0
        (change,) = [
            each
            for each in ring.nodes[name].api("GET", "/routes/changes").json
            if each["prefix"] == {"ann": "test.cyd", "cyd": "test.ann"}[name]
            and each["after"] == "conn"
        ][-1:]
        assert change["before"] == "ben"

    # ben comes back with its store: what it had is there at once, and the old way is taken again.
    with ring.process("ben") as again:
        ring.nodes["ben"] = again
        await_that(lambda: ring.next_hop("ann", "test.cyd") == "ben")
        await_that(lambda: ring.next_hop("cyd", "test.ann") == "ben")
        # A link that failed is tried again a moment later; until then its packets are refused.
        await_that(lambda: isinstance(ring.pay("ann", "cyd"), Fulfill))
        await_that(lambda: isinstance(ring.pay("cyd", "ann"), Fulfill))
        assert isinstance(ring.pay("ben", "ann"), Fulfill)
        for name in NAMES:
            audit = ring.nodes[name].audit()
            assert audit["passed"], audit
            assert ring.nodes[name].api("GET", "/unknown-transfers").json == []
        # What one owes, the other is owed.
        for one, two in (("ann", "ben"), ("ben", "cyd")):
            assert ring.net(one, two) == -ring.net(two, one)


def ways(ring: Ring, name: str, destination: str) -> list[Any]:
    answer = ring.nodes[name].api("GET", f"/routes/why?destination={destination}").json
    return [way for way in answer["candidates"] if not way["reason"].startswith("Not used")]
