"""Our node against the real Rafiki: `python -m tests.peers.rafiki --backend DIR --database URL --redis URL`.

It needs Rafiki's sources, prepared as README.md beside this file says, an empty PostgreSQL database and a Redis; what
it starts runs on loopback until it ends. It is no part of the tests that always run, since nobody ships Rafiki built.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.core.links.certificates import certificate
from tests.end_to_end.connectors import add_account, await_that, set_route
from tests.end_to_end.programs import Node, environment, free_port, listens, node

SECRET: Final = "a-secret-for-the-admin-api-of-rafiki"
TENANT: Final = "438fa74a-fa7d-4317-9ced-dde32ece1787"
ALICE: Final = "alice-sends-with-this-token"
PACKET_MAX: Final = 1_000
AMOUNT: Final = 25_000

Json = Any


@dataclass(slots=True)
class Rafiki:
    """Its backend as a process: connector, auto-peering, wallet addresses and admin API."""

    process: subprocess.Popen[bytes]
    admin_port: int
    peering_port: int
    wallets: str

    def ask(self, query: str, **variables: Json) -> Json:
        """Call its admin API; fails where it says no."""
        body = {"query": query, "variables": variables}
        at_ms = time.time_ns() // 1_000_000
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hmac.new(SECRET.encode(), f"{at_ms}.{canonical}".encode(), hashlib.sha256)
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=60)
        connection.request(
            "POST",
            "/graphql",
            json.dumps(body),
            {
                "Content-Type": "application/json",
                "signature": f"t={at_ms}, v1={digest.hexdigest()}",
                "tenant-id": TENANT,
            },
        )
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert not answer.get("errors"), answer
        return answer["data"]

    def liquidity(self) -> Mapping[str, int]:
        """Return what it lets each peer be sent, by the peer's ILP address, and what its wallets have got."""
        peers = self.ask("{peers(first: 50) {edges {node {staticIlpAddress liquidity}}}}")
        wallets = self.ask("{walletAddresses(first: 50) {edges {node {address liquidity}}}}")
        found = {
            edge["node"]["staticIlpAddress"]: int(edge["node"]["liquidity"])
            for edge in peers["peers"]["edges"]
        }
        return found | {
            edge["node"]["address"]: int(edge["node"]["liquidity"] or 0)
            for edge in wallets["walletAddresses"]["edges"]
        }


# --- What stands around it


class Operator(BaseHTTPRequestHandler):
    """The wallet that a Rafiki belongs to, and its authorization server: they agree to everything."""

    def do_GET(self) -> None:
        self._say({"base": "USD", "rates": {}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._say({})

    def _say(self, answer: Json) -> None:
        octets = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_: object) -> None:
        pass


def behind_tls(port: int) -> type[BaseHTTPRequestHandler]:
    """Return what passes a request on to `port`, as whatever ends TLS in front of Rafiki does."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(
                "GET", self.path, headers={**self.headers, "X-Forwarded-Proto": "https"}
            )
            answer = connection.getresponse()
            octets = answer.read()
            connection.close()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type") or "text/plain")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, *_: object) -> None:
            pass

    return Proxy


@contextlib.contextmanager
def served(
    handler: type[BaseHTTPRequestHandler], *, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve on a free port of loopback until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def rafiki(
    given: argparse.Namespace, folder: Path, cert_file: Path, key_file: Path
) -> Iterator[Rafiki]:
    """Run Rafiki's backend until the block ends."""
    admin, connector, peering, wallets = free_port(), free_port(), free_port(), free_port()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert_file, key_file)
    with ExitStack() as running:
        operator = f"http://127.0.0.1:{running.enter_context(served(Operator))}"
        proxy = running.enter_context(served(behind_tls(wallets), tls=tls))
        url = f"https://localhost:{proxy}"
        settings = {
            "ADMIN_API_SECRET": SECRET,
            "ADMIN_PORT": str(admin),
            "AUTH_SERVER_GRANT_URL": operator,
            "AUTH_SERVER_INTROSPECTION_URL": operator,
            "AUTH_SERVICE_API_URL": operator,
            "AUTO_PEERING_SERVER_PORT": str(peering),
            "CONNECTOR_PORT": str(connector),
            "DATABASE_URL": given.database,
            "ENABLE_AUTO_PEERING": "true",
            "EXCHANGE_RATES_URL": f"{operator}/rates",
            "ILP_ADDRESS": "test.rafiki",
            "ILP_CONNECTOR_URL": f"http://127.0.0.1:{connector}",
            "INSTANCE_NAME": "Rafiki",
            "KEY_ID": "a-key",
            "NODE_ENV": "development",
            "OPEN_PAYMENTS_PORT": str(wallets),
            "OPEN_PAYMENTS_URL": url,
            "OPERATOR_TENANT_ID": TENANT,
            "REDIS_URL": given.redis,
            "STREAM_SECRET": "BjPXtnd00G2mRQwP/8ZpwyZASOch5sUXT5o0iR5b5wU=",
            "TRUST_PROXY": "true",
            "USE_TIGERBEETLE": "false",
            "WALLET_ADDRESS_URL": f"{url}/.well-known/pay",
            "WEBHOOK_URL": f"{operator}/webhooks",
        }
        log = running.enter_context((folder / "rafiki.log").open("wb"))
        process = subprocess.Popen(
            ["sh", "node_modules/.bin/ts-node-dev", "--transpile-only", "src/index.ts"],
            cwd=given.backend,
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            await_that(lambda: listens(process, peering), seconds=180)
            yield Rafiki(process, admin, peering, url)
        finally:
            os.killpg(process.pid, 9)
            process.wait()


# --- What is checked


def offer(them: Rafiki, ours: Node, **more: Json) -> Json:
    """Offer a node of ours to Rafiki's auto-peering, and return the answer of ours."""
    return ours.api(
        "POST",
        "/peers/auto",
        {
            "url": f"http://127.0.0.1:{them.peering_port}/",
            "asset_code": "USD",
            "asset_scale": 2,
            "our_url": ours.ready["url"],
            "username": "rafiki",
            "min_balance": "-10000000",
            "allow_private": True,
            **more,
        },
    )


def net(ours: Node, username: str) -> int:
    return int(ours.api("GET", f"/accounts/{username}/balance").json["net"])


def pay(ours: Node, receiver: str) -> None:
    """Pay from alice, and check that all of it arrived."""
    order = {"receiver": receiver, "source_amount": AMOUNT}
    answer = ours.api("POST", "/accounts/alice/payments", order, token=ALICE)
    assert answer.status == 200, answer
    assert int(answer.json["delivered_amount"]) == AMOUNT, answer.json


def check(them: Rafiki, one: Node, two: Node) -> None:
    """Peer both nodes with Rafiki by its own protocol, and move money each way it can go."""
    answer = offer(them, one, asset_code="XYZ", username="wrong")
    assert answer.status == 409, answer
    done(f"refused for an asset that it lacks: {answer.detail}")

    for ours in (one, two):
        answer = offer(them, ours, max_packet_amount=str(PACKET_MAX))
        assert answer.status == 200, answer
        add_account(
            ours, "alice", f"{ours.ready['ilp_address']}.alice", asset_scale=2,
            routing_relation="NonRoutingAccount", ilp_over_http_incoming_token=ALICE,
        )  # fmt: skip
    set_route(one, "test.two", "rafiki")
    set_route(two, "test.one", "rafiki")
    assert offer(them, one).status == 409, "an account that exists is replaced unasked"
    assert offer(them, one, max_packet_amount=str(PACKET_MAX), replace=True).status == 200
    done("peered by itself, and again with new tokens")

    assert one.api("POST", "/accounts/rafiki/ping").json["answered"] is True
    assert (
        one.api("POST", "/ping", {"destination": "test.two", "count": 3}).json["answered"] == 3
    )
    assert (
        two.api("POST", "/ping", {"destination": "test.one", "count": 3}).json["answered"] == 3
    )
    done("pings come through it, both ways")

    before = them.liquidity()
    pay(one, f"{two.ready['url']}/accounts/alice/spsp")
    assert (net(one, "rafiki"), net(two, "rafiki")) == (AMOUNT, -AMOUNT)
    pay(two, f"{one.ready['url']}/accounts/alice/spsp")
    assert (net(one, "rafiki"), net(two, "rafiki")) == (0, 0)
    assert them.liquidity() == before
    done(f"payments through it, both ways, in packets of {PACKET_MAX}")

    wallet = f"{them.wallets}/carol"
    (asset,) = (
        edge["node"]["id"]
        for edge in them.ask("{assets {edges {node {id code}}}}")["assets"]["edges"]
        if edge["node"]["code"] == "USD"
    )
    them.ask(
        "mutation ($input: CreateWalletAddressInput!) {createWalletAddress(input: $input) {walletAddress {id}}}",
        input={"assetId": asset, "address": wallet, "additionalProperties": []},
    )
    before = them.liquidity()
    pay(one, wallet)
    after = them.liquidity()
    assert after[wallet] - before[wallet] == AMOUNT, after
    assert before["test.one"] - after["test.one"] == AMOUNT, after
    assert net(one, "rafiki") == AMOUNT
    done("a wallet address of Open Payments is paid over SPSP, by https")

    for ours in (one, two):
        assert ours.audit()["passed"]
        (peer,) = [
            row for row in ours.api("GET", "/overview").json if row["username"] == "rafiki"
        ]
        assert peer["state"] == "up", peer
    done("the books hold on both sides, and the link is shown as up")


def done(what: str) -> None:
    print(f"ok      {what}")


def main() -> int:
    """Run all checks; ends with a traceback where one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.rafiki")
    parser.add_argument("--backend", required=True, metavar="DIR", help="its packages/backend")
    parser.add_argument("--database", required=True, metavar="URL", help="postgresql://…")
    parser.add_argument("--redis", required=True, metavar="URL", help="redis://…")
    parser.add_argument("--keep", metavar="DIR", help="where logs and stores are left")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as running:
        folder = Path(given.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        cert_file, key_file = certificate(folder, "localhost")
        them = running.enter_context(rafiki(given, folder, cert_file, key_file))
        them.ask(
            "mutation ($input: CreateAssetInput!) {createAsset(input: $input) {asset {id}}}",
            input={"code": "USD", "scale": 2},
        )
        one, two = (
            running.enter_context(
                node(
                    f"sqlite:///{folder / name}.db", folder, f"--ilp-address=test.{name}",
                    name=name, env={"SSL_CERT_FILE": str(cert_file)},
                )
            )
            for name in ("one", "two")
        )  # fmt: skip
        check(them, one, two)
    print("all as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
