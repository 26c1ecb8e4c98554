"""Two processes of one node on one store: both use what a peer told one of them, and one talks to the peer at a time."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

from aiohttp import ClientSession

from core.links.btp import packet as btp
from core.packet import Fulfill
from core.services.echo import PING_CONDITION
from tests.core.links.btp.conftest import Socket, login
from tests.end_to_end.connectors import (
    HOLD_DOWN_MS,
    TIMING,
    TOKEN,
    add_account,
    await_that,
    delete_route,
    paths,
    set_route,
)
from tests.end_to_end.programs import Node, free_port, node, prepare

USER = "the-user-sends-with-this-token"


def test_a_second_process_uses_the_routes_and_talks_on_when_the_first_one_dies(
    tmp_path: Path,
) -> None:
    store = f"sqlite:///{tmp_path}/ours.db"
    ports = {name: free_port() for name in ("first", "second", "far")}

    def at(name: str) -> str:
        return f"--http-bind=127.0.0.1:{ports[name]}"

    with ExitStack() as running:
        ours = ("--ilp-address=test.ours", *TIMING)
        first = running.enter_context(node(store, tmp_path, at("first"), *ours, name="first"))
        second = running.enter_context(
            node(store, tmp_path, at("second"), *ours, name="second")
        )
        far = running.enter_context(
            node(
                f"sqlite:///{tmp_path}/far.db", tmp_path, at("far"),
                "--ilp-address=test.far", *TIMING, name="far",
            )
        )  # fmt: skip
        add_account(
            first,
            "far",
            "test.far",
            ilp_over_http_url=f"http://127.0.0.1:{ports['far']}/accounts/ours/ilp",
            ilp_over_http_outgoing_token=TOKEN + "ours",
            ilp_over_http_incoming_token=TOKEN + "far",
        )
        add_account(
            first,
            "user",
            "test.ours.user",
            routing_relation="NonRoutingAccount",
            ilp_over_http_incoming_token=USER,
        )
        add_account(
            far,
            "ours",
            "test.ours",
            ilp_over_http_url=f"http://127.0.0.1:{ports['first']}/accounts/far/ilp",
            ilp_over_http_outgoing_token=TOKEN + "far",
            ilp_over_http_incoming_token=TOKEN + "ours",
        )
        add_account(far, "shop", "test.shop", routing_relation="Child")
        set_route(far, "test.market", "shop")

        # The peer tells the first process; the second has it from the store.
        await_that(lambda: paths(first).get("test.market") == ("test.far",))
        await_that(lambda: paths(second).get("test.market") == ("test.far",))
        packet = prepare(500, destination="test.far", condition=PING_CONDITION)
        assert isinstance(second.packet("user", USER, packet).reply, Fulfill)
        delete_route(far, "test.market")
        await_that(lambda: "test.market" not in paths(second))

        # The second one says nothing as long as the first one lives, and takes over when it dies.
        assert second.api("GET", "/routes/peers/far").json["last_sent_at_ms"] is None
        first.process.kill()
        first.process.wait()
        set_route(second, "test.new", "user")
        await_that(lambda: paths(far).get("test.new") == ("test.ours",))
        assert second.api("GET", "/routes/peers/far").json["last_sent_at_ms"] is not None
        assert second.audit()["passed"]


def test_a_peer_that_dials_one_process_is_spoken_to_by_that_one_and_by_the_next_it_dials(
    tmp_path: Path,
) -> None:
    store = f"sqlite:///{tmp_path}/ours.db"
    ports = {name: free_port() for name in ("first", "second", "third", "far")}

    def at(name: str) -> str:
        return f"--http-bind=127.0.0.1:{ports[name]}"

    with ExitStack() as running:

        def start(name: str) -> Node:
            arguments = (at(name), "--ilp-address=test.ours", *TIMING)
            return running.enter_context(node(store, tmp_path, *arguments, name=name))

        first, second = start("first"), start("second")
        far = running.enter_context(
            node(
                f"sqlite:///{tmp_path}/far.db", tmp_path, at("far"),
                "--ilp-address=test.far", *TIMING, name="far",
            )
        )  # fmt: skip
        add_account(first, "far", "test.far", ilp_over_btp_incoming_token=TOKEN + "far")
        add_account(first, "shop", "test.shop", routing_relation="Child")
        await_that(lambda: "far" in usernames(second))
        add_account(far, "ours", "test.ours", **dialling(ports["second"]))
        add_account(far, "market", "test.market", routing_relation="Child")

        # Both processes have what it tells the second, and the second, not the oldest, tells it.
        for each in (first, second):
            await_that(lambda each=each: paths(each).get("test.market") == ("test.far",))
        await_that(lambda: paths(far).get("test.shop") == ("test.ours",))
        told = "/routes/peers/far"
        assert first.api("GET", told).json["last_sent_at_ms"] is None

        # A stranger that calls itself the peer, at either process, changes nothing of that.
        for each in (first, second):
            log_in_wrongly(each, "far")
        time.sleep(HOLD_DOWN_MS / 1000 + 1)
        changes = withdrawn(first), withdrawn(second), withdrawn(far)

        # It is dialled away: another process that is started now speaks to it, once it has the connection.
        third = start("third")
        changed = far.api(
            "PUT",
            "/accounts/ours/settings",
            {"ilp_over_btp_url": f"btp+ws://127.0.0.1:{ports['third']}/accounts/far/ilp/btp"},
        )
        assert changed.status == 200, changed
        set_route(first, "test.new", "shop")
        await_that(lambda: paths(far).get("test.new") == ("test.ours",))
        await_that(lambda: third.api("GET", told).json["last_sent_at_ms"] is not None)
        assert first.api("GET", told).json["last_sent_at_ms"] is None
        assert changes == (withdrawn(first), withdrawn(second), withdrawn(far)) == ([], [], [])

        # The third dies with the connection, and nobody has one: what it told goes when its time is over.
        third.process.kill()
        third.process.wait()
        for each in (first, second):
            await_that(lambda each=each: "test.market" not in paths(each))
        assert first.audit()["passed"]


def usernames(there: Node) -> list[str]:
    return [account["username"] for account in there.api("GET", "/accounts").json]


def dialling(port: int) -> dict[str, str]:
    return {
        "ilp_over_btp_url": f"btp+ws://127.0.0.1:{port}/accounts/far/ilp/btp",
        "ilp_over_btp_outgoing_token": TOKEN + "far",
    }


def withdrawn(there: Node) -> list[str]:
    """Return the prefixes that have led somewhere and then nowhere."""
    changes = there.api("GET", "/routes/changes").json
    return [change["prefix"] for change in changes if change["after"] is None]


def log_in_wrongly(there: Node, username: str) -> None:
    """Say that we are an account, with a token that is not its own."""

    async def call() -> None:
        url = f"{there.ready['url']}/accounts/{username}/ilp/btp"
        async with ClientSession() as session, session.ws_connect(url) as ws:
            socket = Socket(ws)
            await socket.say(login("not-the-token-of-this-account"))
            assert (await socket.hear()).kind == btp.ERROR

    asyncio.run(call())
