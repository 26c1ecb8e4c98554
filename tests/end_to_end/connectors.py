"""`ilp-connector` as a process, peering with nodes of ours, and what is asked of both: for tests of routes."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from tests.end_to_end.programs import Node, free_port, wait_until

PEERS: Final = Path(__file__).parents[1] / "peers"
TOKEN: Final = "a-token-between-two-peers-0123"
INTERVAL_MS: Final = 1_000
HOLD_DOWN_MS: Final = 3_000
TIMING: Final = (
    f"--route-broadcast-interval-ms={INTERVAL_MS}",
    f"--route-hold-down-ms={HOLD_DOWN_MS}",
)
_MANY: Final = 1_000_000_000


@dataclass(slots=True)
class Connector:
    """An `ilp-connector`."""

    address: str
    process: subprocess.Popen[str]
    admin_port: int
    log: Path

    def routing(self) -> Any:
        """Return what it says of its routes."""
        with urlopen(f"http://127.0.0.1:{self.admin_port}/routing", timeout=10) as answer:
            return json.load(answer)

    def balances(self) -> Mapping[str, int]:
        """Return what each account owes it, less what it owes the account, by its own count."""
        with urlopen(f"http://127.0.0.1:{self.admin_port}/balance", timeout=10) as answer:
            found = json.load(answer)["accounts"]
        return {account: int(each["balance"]) for account, each in found.items()}

    def table(self) -> Mapping[str, str]:
        """Return prefix to next hop, as packets go."""
        return {
            prefix: route["nextHop"]
            for prefix, route in self.routing()["localRoutingTable"].items()
        }


@dataclass(frozen=True, slots=True)
class Line:
    """How the connector and one node of ours are connected."""

    account: str
    """The connector's name for the node."""
    options: Mapping[str, Any]
    plugin: str
    ours: Mapping[str, Any]
    """What the node's account for the connector has."""


def http_line(account: str, node: Node, name: str) -> Line:
    """Connect over HTTP, each calling the other."""
    port = free_port()
    return Line(
        account,
        {
            "incoming": {"port": port, "staticToken": TOKEN + "ours"},
            "outgoing": {
                "url": f"{node.ready['url']}/accounts/{name}/ilp",
                "staticToken": TOKEN + "theirs",
            },
        },
        "ilp-plugin-http",
        {
            "ilp_over_http_url": f"http://127.0.0.1:{port}/",
            "ilp_over_http_outgoing_token": TOKEN + "ours",
            "ilp_over_http_incoming_token": TOKEN + "theirs",
        },
    )


def btp_line(account: str, node: Node, name: str) -> Line:
    """Connect over BTP; the connector dials."""
    host = node.ready["url"].removeprefix("http://")
    return Line(
        account,
        {"server": f"btp+ws://:{TOKEN}btp@{host}/accounts/{name}/ilp/btp"},
        "ilp-plugin-btp",
        {"ilp_over_btp_incoming_token": TOKEN + "btp"},
    )


@contextlib.contextmanager
def connector(
    name: str,
    folder: Path,
    lines: Sequence[Line],
    *,
    routes: Mapping[str, str] | None = None,
    relation: str = "peer",
) -> Iterator[Connector]:
    """Run an `ilp-connector` at test.NAME until the block ends."""
    admin_port = free_port()
    config = {
        "env": "test",
        "ilpAddress": f"test.{name}",
        "backend": "one-to-one",
        "spread": 0,
        "store": "memory",
        "initialConnectTimeout": 5_000,
        "adminApi": True,
        "adminApiPort": admin_port,
        "routeBroadcastInterval": INTERVAL_MS,
        "routeExpiry": HOLD_DOWN_MS,
        "routes": [
            {"targetPrefix": prefix, "peerId": peer} for prefix, peer in (routes or {}).items()
        ],
        "accounts": {
            line.account: {
                "relation": relation,
                "assetCode": "USD",
                "assetScale": 9,
                "rateLimit": {
                    "refillPeriod": 60_000,
                    "refillCount": _MANY,
                    "capacity": _MANY,
                },
                "balance": {"minimum": "-Infinity", "maximum": "1000000000000"},
                "plugin": line.plugin,
                "options": line.options,
            }
            for line in lines
        },
    }
    file, log = folder / f"{name}.json", folder / f"{name}.log"
    file.write_text(json.dumps(config))
    with log.open("w") as opened:
        process = subprocess.Popen(
            ["node", str(PEERS / "connector.js"), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=opened,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("READY "), log.read_text()
        yield Connector(f"test.{name}", process, admin_port, log)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def add_account(node: Node, username: str, address: str, **fields: Any) -> None:
    """Make an account in USD with a scale of nine digits, by default a peer."""
    body = {
        "username": username,
        "ilp_address": address,
        "asset_code": "USD",
        "asset_scale": 9,
        "routing_relation": "Peer",
        **fields,
    }
    answer = node.api("POST", "/accounts", body)
    assert answer.status == 200, answer


def table(node: Node) -> Mapping[str, Any]:
    """Return a node's routing table by prefix."""
    return {row["prefix"]: row for row in node.api("GET", "/routes/table").json}


def paths(node: Node) -> Mapping[str, tuple[str, ...]]:
    """Return the paths of what a node has learned."""
    return {
        prefix: tuple(row["path"])
        for prefix, row in table(node).items()
        if row["source"] == "learned"
    }


def set_route(node: Node, prefix: str, username: str) -> None:
    answer = node.api(
        "PUT",
        f"/routes/static/{prefix}",
        octets=username.encode(),
        content_type="text/plain",
    )
    assert answer.status == 200, answer


def delete_route(node: Node, prefix: str) -> None:
    assert node.api("DELETE", f"/routes/static/{prefix}").status == 204


def await_that(what: Any, *, seconds: float = 25.0) -> float:
    """Wait until something is so; return how long that took."""
    return wait_until(what, seconds=seconds, every=0.05)
