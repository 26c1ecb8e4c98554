"""What ilp-connector tells in a published case, and which way interledger-rs chooses in another."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from core.account import RoutingRelation
from core.packet import address
from core.routing.auth import origin_auth
from core.routing.ccp import RouteUpdate, ToldRoute
from core.routing.forwarding import Listener
from tests.core.packet.vectors import load
from tests.core.routing.network import Net, told, way

CONNECTOR = load("ilp-connector/routing.json")
RANKING = load("interledger-rs/ccp.json")["ranking"]
SECRET = base64.b64decode(CONNECTOR["routing_secret_base64"])


@pytest.mark.parametrize("vector", CONNECTOR["local_auth"], ids=lambda v: v["prefix"])
def test_the_proof_of_a_route_of_our_own(vector: dict[str, str]) -> None:
    assert origin_auth(SECRET, vector["prefix"]).hex() == vector["authHex"]


@pytest.mark.parametrize("vector", CONNECTOR["update_sent"], ids=lambda v: v["to"])
async def test_the_update_that_ilp_connector_sends_is_sent(vector: dict[str, Any]) -> None:
    net = Net()
    node = net.node("connie")
    node.exchange.secret = SECRET
    names = {}
    for peer in CONNECTOR["peers"]:
        names[peer] = peer.removeprefix("test.")
        await node.add(names[peer], ilp_address=address(peer))
    for route in CONNECTOR["configured_routes"]:
        await node.route(route["prefix"], names[route["next_hop"]])
    for route in CONNECTOR["received_routes"]:
        auth = bytes.fromhex(route["authHex"])
        await node.hear(
            names[route["from"]],
            told(way(route["prefix"], *route["path"], auth=auth), speaker=route["from"]),
        )
    await node.exchange.speak_up()
    log = node.exchange.log
    assert log is not None
    peer = node.exchange.peers[node.accounts[names[vector["to"]]].id]

    sent = RouteUpdate.decode(
        log.tell(
            Listener(
                table_id=b"t" * 16,
                may_tell=lambda route: node.exchange.may_tell(peer, route.next_hop),
            ),
            0,
            hold_down_ms=vector["holdDownTime"],
        ).octets
    )

    assert sent.speaker == CONNECTOR["own_address"]
    assert sent.hold_down_ms == vector["holdDownTime"]
    # Which epoch a route stands in, and so their order, is each implementation's own.
    assert set(sent.new_routes) == {
        ToldRoute(
            route["prefix"],
            tuple(address(hop) for hop in route["path"]),
            bytes.fromhex(route["authHex"]),
        )
        for route in vector["newRoutes"]
    }
    assert set(sent.withdrawn) == set(vector["withdrawnRoutes"])


RELATIONS = {"child": RoutingRelation.CHILD, "peer": RoutingRelation.PEER}


@pytest.mark.parametrize("prefix", RANKING["best"])
async def test_the_way_that_interledger_rs_chooses_is_chosen(prefix: str) -> None:
    net = Net()
    node = net.node("us")
    node.address.current = address("example.connector")
    for local, name in RANKING["local"].items():
        # An account that stands for the address; a child's, since a peer would speak for itself.
        await node.add(name, RoutingRelation.CHILD, ilp_address=address(local))
    for configured, name in RANKING["configured"].items():
        await node.add(name, ilp_address=address(f"example.{name}"))
        await node.route(configured, name)
    for incoming in RANKING["incoming"]:
        name, speaker = incoming["from"], f"example.{incoming['from']}"
        if name not in node.accounts:
            await node.add(
                name,
                RELATIONS[incoming["relation"]],
                ilp_address=address(speaker),
                receive_routes=True,
            )
        path = [speaker, *incoming["path"]] if incoming["path"] else []
        heard = node.exchange.peers[node.accounts[name].id].heard
        await node.hear(
            name,
            told(
                way(incoming["prefix"], *path),
                speaker=speaker,
                start=heard.epoch,
                end=heard.epoch + 1,
            ),
        )

    assert node.next_hop(prefix) == RANKING["best"][prefix]
