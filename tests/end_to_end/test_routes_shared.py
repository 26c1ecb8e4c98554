"""Two processes of one node on one store: both use what a peer told one of them, and one talks to the peer at a time."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from core.packet import Fulfill
from core.services.echo import PING_CONDITION
from tests.end_to_end.connectors import (
    TIMING,
    TOKEN,
    add_account,
    await_that,
    delete_route,
    paths,
    set_route,
)
from tests.end_to_end.programs import node, prepare
from tests.end_to_end.test_stream_npm import free_port

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
