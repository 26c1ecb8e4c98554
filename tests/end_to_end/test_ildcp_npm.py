"""Addresses down a chain: an `ilp-connector` names our node, which names an `ilp-protocol-ildcp` behind it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.connectors import (
    PEERS,
    Line,
    add_account,
    await_that,
    btp_line,
    connector,
    http_line,
    set_route,
)
from tests.end_to_end.programs import Node, free_port, node

KID = "the-token-of-the-kid-0123456789"


class Kid:
    """An `ilp-protocol-ildcp` that asks our node who it is."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("TOLD "), line
        found: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
        return found

    def ask(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.told()


@contextlib.contextmanager
def kid(settings: dict[str, Any]) -> Iterator[Kid]:
    process = subprocess.Popen(
        ["node", str(PEERS / "ildcp_child.js"), json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Kid(process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def add_kid(ours: Node, link: str) -> dict[str, Any]:
    """Add its account, and return what it is to be started with."""
    fields = {"asset_code": "EUR", "asset_scale": 4, "routing_relation": "Child"}
    token = "ilp_over_http_incoming_token" if link == "http" else "ilp_over_btp_incoming_token"
    body = {"username": "kid", **fields, token: KID}
    assert ours.api("POST", "/accounts", body).status == 200
    if link == "http":
        url = f"{ours.ready['url']}/accounts/kid/ilp"
        return {
            "listen": free_port(),
            "url": url,
            "incomingToken": KID,
            "outgoingToken": KID,
        }
    host = ours.ready["url"].removeprefix("http://")
    return {"btp": {"server": f"btp+ws://:{KID}@{host}/accounts/kid/ilp/btp"}}


def our_address(ours: Node) -> str:
    found: str = ours.api("GET", "/address").json["ilp_address"]
    return found


@pytest.mark.parametrize("make_line", [http_line, btp_line], ids=["http", "btp"])
def test_a_node_is_called_what_its_parent_calls_it_and_so_are_its_children(
    tmp_path: Path, make_line: Callable[[str, Node, str], Line]
) -> None:
    link = "http" if make_line is http_line else "btp"
    with node(f"sqlite:///{tmp_path}/ours.db", tmp_path, name="ours") as ours:
        assert our_address(ours) == "test.signalbox"
        line = make_line("us", ours, "parent")
        settings = add_kid(ours, link)
        add_account(ours, "parent", "test.mum", routing_relation="Parent", **line.ours)
        with connector("mum", tmp_path, [line], relation="child"):
            await_that(lambda: our_address(ours) == "test.mum.us", seconds=25)
            found = ours.api("GET", "/address").json
            assert (found["source"], found["parent"]) == ("parent", "parent")
            with kid(settings) as child:
                assert child.told() == {
                    "clientAddress": "test.mum.us.kid",
                    "assetCode": "EUR",
                    "assetScale": 4,
                }
                # The way that a payment takes: to the parent, which sends it back to our new address.
                report = ours.api("POST", "/ping", {"destination": "test.mum", "count": 3}).json
                assert report["answered"] == 3, report
        # The parent goes, which over HTTP is seen by packets alone, and another one answers in its place.
        assert ours.api("POST", "/accounts/parent/ping").json["answered"] is False
        with connector("dad", tmp_path, [line], relation="child"):
            set_route(ours, "test.mum.us.old", "kid")
            assert ours.api("POST", "/accounts/parent/ping").json["answered"] is True
            await_that(
                lambda: "is not under test.mum" in ours.api("GET", "/address").json["sentence"],
                seconds=25,
            )
            assert our_address(ours) == "test.mum.us"
            ours.api("PUT", "/accounts/parent", {"ilp_address": "test.dad"})
            await_that(lambda: our_address(ours) == "test.dad.us", seconds=25)
            assert ours.api("GET", "/accounts/kid").json["ilp_address"] == "test.dad.us.kid"
            prefixes = {row["prefix"] for row in ours.api("GET", "/routes/table").json}
            assert {"test.dad.us.kid", "test.dad.us.old"} <= prefixes
            with kid(settings) as child:
                assert child.told()["clientAddress"] == "test.dad.us.kid"
                assert child.ask()["clientAddress"] == "test.dad.us.kid"
            assert "this node was test.mum.us and is test.dad.us now" in ours.err
            assert ours.audit()["passed"]
        assert ours.stop() == 0
