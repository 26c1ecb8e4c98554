"""Our node against the real Interledger.rs: `python -m tests.peers.interledger_rs --ilp-node PATH`.

It needs an `ilp-node` and a `redis-server`, as README.md beside this file says; both, and nodes of ours, run on
loopback until it ends. It is no part of the tests that always run, since nobody ships that program built.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.end_to_end.connectors import (
    TIMING,
    add_account,
    await_that,
    delete_route,
    paths,
    set_route,
    table,
)
from tests.end_to_end.programs import Node, environment, free_port, listens, node

ADMIN: Final = "the-operators-token-over-there"
ALICE: Final = "alice-sends-with-this-token"
BOB: Final = "bob-sends-with-this-token"
BETWEEN: Final = "a-token-between-two-peers-0123"
INTERVAL_MS: Final = 1_000
AMOUNT: Final = 1_234_567
MANY: Final = 50_000
"""What a packet between two nodes carries at most where a payment is to take many packets."""
SCALE: Final = 9

Json = Any


@dataclass(frozen=True, slots=True)
class Program:
    """An `ilp-node` of one release."""

    path: str
    redis: str
    version: str

    @property
    def first(self) -> bool:
        """Whether it is of 2020, as on crates.io: one URL for all accounts, and tokens that begin with a username."""
        return self.version.startswith("0.")

    def token(self, username: str, token: str) -> str:
        """Return how it wants to be told who calls, and tells it itself."""
        return f"{username}:{token}" if self.first else token

    def path_of(self, username: str, rest: str) -> str:
        return f"/{rest}" if self.first else f"/accounts/{username}/{rest}"


@dataclass(slots=True)
class Rust:
    """A running `ilp-node`."""

    program: Program
    arguments: Sequence[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("a") as opened:
            self.process = subprocess.Popen(
                [self.program.path, *self.arguments],
                stdin=subprocess.DEVNULL, stdout=opened, stderr=opened, cwd=self.log.parent,
                env=environment({"RUST_LOG": "interledger=debug"}),
            )  # fmt: skip
        started = self.process
        await_that(lambda: listens(started, self.port))

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def api(
        self, method: str, path: str, body: object = None, *, token: str = ADMIN, text: str = ""
    ) -> Json:
        """Call its API; fails where it says no."""
        status, answer = self.ask(method, path, body, token=token, text=text)
        assert status == 200, f"{method} {path}: {status} {answer}"
        return answer

    def ask(
        self, method: str, path: str, body: object = None, *, token: str = ADMIN, text: str = ""
    ) -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {token}"}
        octets = text.encode()
        if body is not None:
            octets = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, octets or None, headers)
            response = connection.getresponse()
            answered = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(answered)
        except ValueError:
            return response.status, answered.decode()

    def add(self, username: str, **fields: Any) -> Json:
        body = {"username": username, "asset_code": "USD", "asset_scale": SCALE, **fields}
        return self.api("POST", "/accounts", body)

    def balance(self, username: str) -> int:
        """Return what it owes the account, in smallest units."""
        found = self.api("GET", f"/accounts/{username}/balance")["balance"]
        return int(found) if self.program.first else int(Decimal(str(found)).scaleb(SCALE))

    def pay(self, username: str, token: str, receiver: str, amount: int) -> tuple[int, Json]:
        order = {"receiver": receiver, "source_amount": amount}
        path = f"/accounts/{username}/payments"
        return self.ask("POST", path, order, token=self.program.token(username, token))

    def routes(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.api("GET", "/routes")
        return found


@contextlib.contextmanager
def rust_node(
    program: Program, folder: Path, name: str, *, address: str | None
) -> Iterator[Rust]:
    """Run an `ilp-node` over a Redis of its own until the block ends."""
    redis_port, port, settlement_port = free_port(), free_port(), free_port()
    log = folder / f"{name}.log"
    with log.open("w") as opened, ExitStack() as running:
        redis = running.enter_context(
            ended(
                subprocess.Popen(
                    [program.redis, "--port", str(redis_port), "--bind", "127.0.0.1",
                     "--save", "", "--appendonly", "no"],
                    stdin=subprocess.DEVNULL, stdout=opened, stderr=opened, cwd=folder,
                )
            )
        )  # fmt: skip
        await_that(lambda: listens(redis, redis_port))
        database = "redis_url" if program.first else "database_url"
        arguments = {
            database: f"redis://127.0.0.1:{redis_port}",
            "http_bind_address": f"127.0.0.1:{port}",
            "settlement_api_bind_address": f"127.0.0.1:{settlement_port}",
            "admin_auth_token": ADMIN,
            "secret_seed": "11" * 32,
            "route_broadcast_interval": str(INTERVAL_MS),
            **({} if address is None else {"ilp_address": address}),
        }
        them = Rust(
            program, [f"--{key}={value}" for key, value in arguments.items()], port, log
        )
        running.callback(them.kill)
        them.start()
        yield them


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Let it end with the block."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def our_node(name: str, folder: Path) -> contextlib.AbstractContextManager[Node]:
    store = f"sqlite:///{folder / name}.db"
    return node(store, folder, f"--ilp-address=test.{name}", *TIMING, name=name)


# --- How two nodes are connected: what each side's account for the other has

Line = Callable[[Rust, Node, str, str], tuple[dict[str, Any], dict[str, Any]]]


def by_http(
    rust: Rust, ours: Node, us: str, them: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (our account for them, their account for us): each posts its packets to the other."""
    named = rust.program.token
    here = {
        "ilp_over_http_url": rust.url + rust.program.path_of(us, "ilp"),
        "ilp_over_http_outgoing_token": named(us, BETWEEN + "in"),
        "ilp_over_http_incoming_token": named(them, BETWEEN + "out"),
    }
    there = {
        "ilp_over_http_url": f"{ours.ready['url']}/accounts/{them}/ilp",
        "ilp_over_http_outgoing_token": named(them, BETWEEN + "out"),
        "ilp_over_http_incoming_token": BETWEEN + "in",
    }
    return here, there


def by_btp_they_dial(
    _rust: Rust, ours: Node, _us: str, them: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """They open the WebSocket."""
    url = ours.ready["url"].replace("http://", "ws://")
    here = {"ilp_over_btp_incoming_token": BETWEEN}
    there = {
        "ilp_over_btp_url": f"{url}/accounts/{them}/ilp/btp",
        "ilp_over_btp_outgoing_token": BETWEEN,
    }
    return here, there


def by_btp_we_dial(
    rust: Rust, _ours: Node, us: str, _them: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """We open the WebSocket."""
    url = rust.url.replace("http://", "ws://")
    here = {
        "ilp_over_btp_url": url + rust.program.path_of(us, "ilp/btp"),
        "ilp_over_btp_outgoing_token": rust.program.token(us, BETWEEN),
    }
    there = {"ilp_over_btp_incoming_token": BETWEEN}
    return here, there


LINES: Final[Mapping[str, Line]] = {
    "HTTP": by_http,
    "BTP, they dial": by_btp_they_dial,
    "BTP, we dial": by_btp_we_dial,
}


# --- What is checked


@dataclass(frozen=True, slots=True)
class Scene:
    """one – them – two: two nodes of ours that know the Rust node alone; alice, bob and carol are their users."""

    one: Node
    them: Rust
    two: Node
    line: Line
    folder: Path

    def owed(self) -> Mapping[str, tuple[int, int]]:
        """Return what each of our nodes owes them, by our books and by theirs."""
        return {
            name: (payable(ours, "them"), -self.them.balance(name))
            for name, ours in (("one", self.one), ("two", self.two))
        }


@contextlib.contextmanager
def scene(
    program: Program, folder: Path, line: Line, *, largest: int | None = None
) -> Iterator[Scene]:
    with ExitStack() as running:
        them = running.enter_context(rust_node(program, folder, "them", address="test.them"))
        most = {} if largest is None else {"max_packet_amount": largest}
        them.add("bob", ilp_address="test.them.bob", ilp_over_http_incoming_token=BOB)
        nodes = []
        for name, user in (("one", "alice"), ("two", "carol")):
            ours = running.enter_context(our_node(name, folder))
            here, there = line(them, ours, name, "them")
            add_account(ours, "them", "test.them", **here, **most)
            add_account(
                ours, user, f"test.{name}.{user}",
                routing_relation="NonRoutingAccount", ilp_over_http_incoming_token=ALICE,
            )  # fmt: skip
            them.add(name, ilp_address=f"test.{name}", routing_relation="Peer", **there, **most)
            nodes.append(ours)
        yield Scene(nodes[0], them, nodes[1], line, folder)


def payable(ours: Node, username: str) -> int:
    """Return what we owe an account, less what it owes us."""
    return int(ours.api("GET", f"/accounts/{username}/balance").json["net"])


def routes(found: Scene) -> None:
    """Check that routes are learned and withdrawn, both ways."""
    one, them, two = found.one, found.them, found.two
    # What is an account's own address there begins with them; what the account told them, behind it.
    await_that(lambda: paths(one).get("test.two") == ("test.them",), seconds=40)
    await_that(lambda: paths(two).get("test.one") == ("test.them",), seconds=40)
    set_route(two, "test.far.away", "carol")
    await_that(lambda: them.routes().get("test.far.away") is not None, seconds=40)
    await_that(lambda: paths(one).get("test.far.away") == ("test.them", "test.two"), seconds=40)
    delete_route(two, "test.far.away")
    await_that(lambda: "test.far.away" not in them.routes(), seconds=40)
    await_that(lambda: "test.far.away" not in table(one), seconds=40)
    for ours in (one, two):
        await_that(lambda ours=ours: peer_of(ours)["state"] == "in step", seconds=40)
        assert peer_of(ours)["problem"] == "", peer_of(ours)


def peer_of(ours: Node) -> Json:
    (peer,) = ours.api("GET", "/routes/peers").json
    return peer


def we_pay_them(found: Scene) -> None:
    """Check a payment from ours to theirs, to the unit."""
    before = found.owed()
    payment = our_payment(found.one, "alice", f"{found.them.url}/accounts/bob/spsp")
    assert payment["delivered_amount"] == AMOUNT, payment
    assert payable(found.one, "alice") == -AMOUNT
    assert found.them.balance("bob") == AMOUNT
    moved(found, before, one=AMOUNT)


def they_pay_us(found: Scene) -> None:
    """Check a payment from theirs to ours, to the unit."""
    before, had = found.owed(), found.them.balance("bob")
    receiver = f"{found.two.ready['url']}/accounts/carol/spsp"
    status, answer = found.them.pay("bob", BOB, receiver, AMOUNT)
    assert status == 200, answer
    assert int(answer["delivered_amount"]) == AMOUNT, answer
    assert payable(found.two, "carol") == AMOUNT
    assert found.them.balance("bob") == had - AMOUNT
    moved(found, before, two=-AMOUNT)


def through_them(found: Scene) -> None:
    """Check a payment between two of ours by the way that they told."""
    before, had = found.owed(), payable(found.two, "carol")
    payment = our_payment(found.one, "alice", f"{found.two.ready['url']}/accounts/carol/spsp")
    assert payment["delivered_amount"] == AMOUNT, payment
    assert payable(found.two, "carol") == had + AMOUNT
    moved(found, before, one=AMOUNT, two=-AMOUNT)


def pings(found: Scene) -> None:
    """Check that their echo answers ours, and what a ping carries comes back."""
    report = found.one.api("POST", "/ping", {"destination": "test.them", "count": 3}).json
    assert report["answered"] == 3, report
    assert reaches(found.one)


def currencies(found: Scene) -> None:
    """Check payments that are converted there, and here: into euros, each side by its own price."""
    found.them.api("PUT", "/rates", {"USD": 1.0, "EUR": 1.25})
    found.them.add(
        "dora", asset_code="EUR", ilp_address="test.them.dora",
        ilp_over_http_incoming_token=ALICE,
    )  # fmt: skip
    before = found.owed()
    payment = our_payment(found.one, "alice", f"{found.them.url}/accounts/dora/spsp")
    delivered = payment["delivered_amount"]
    assert found.them.balance("dora") == delivered, payment
    # Each packet loses less than a unit by flooring.
    assert AMOUNT * 8 // 10 - AMOUNT // 10_000 <= delivered <= AMOUNT * 8 // 10, payment
    moved(found, before, one=payment["sent_amount"])

    add_account(
        found.two, "erin", "test.two.erin", asset_code="EUR", asset_scale=12,
        routing_relation="NonRoutingAccount",
    )  # fmt: skip
    assert found.two.api("PUT", "/rates", {"USD": 1, "EUR": "1.25"}).status == 200
    before, had = found.owed(), found.them.balance("bob")
    receiver = f"{found.two.ready['url']}/accounts/erin/spsp"
    status, answer = found.them.pay("bob", BOB, receiver, AMOUNT)
    assert status == 200, answer
    delivered = AMOUNT * 800
    assert (answer["delivered_amount"], payable(found.two, "erin")) == (delivered, delivered)
    assert found.them.balance("bob") == had - AMOUNT
    moved(found, before, two=-AMOUNT)


def comes_back(found: Scene) -> None:
    """Check that all goes on once their program was killed and runs again."""
    found.them.kill()
    found.them.start()
    for ours in (found.one, found.two):
        await_that(lambda ours=ours: reaches(ours), seconds=60)
        await_that(lambda ours=ours: peer_of(ours)["state"] == "in step", seconds=60)
    had = payable(found.two, "carol")
    payment = our_payment(found.one, "alice", f"{found.two.ready['url']}/accounts/carol/spsp")
    assert payment["delivered_amount"] == AMOUNT, payment
    assert payable(found.two, "carol") == had + AMOUNT
    set_route(found.two, "test.far.off", "carol")
    await_that(lambda: found.them.routes().get("test.far.off") is not None, seconds=60)


def we_come_back(found: Scene) -> None:
    """Check that all goes on once a node of ours was killed and runs again; where they dial, they never do again."""
    if found.line is not by_btp_we_dial:
        return
    found.two.process.kill()
    found.two.process.wait()
    with our_node("two", found.folder) as again:
        await_that(lambda: reaches(again), seconds=60)
        had = payable(again, "carol")
        payment = our_payment(found.one, "alice", f"{again.ready['url']}/accounts/carol/spsp")
        assert payment["delivered_amount"] == AMOUNT, payment
        assert payable(again, "carol") == had + AMOUNT
        set_route(again, "test.far.behind", "carol")
        await_that(lambda: found.them.routes().get("test.far.behind") is not None, seconds=60)
        status, answer = found.them.pay(
            "bob", BOB, f"{again.ready['url']}/accounts/carol/spsp", 1_000
        )
        assert status == 200, answer
        await_that(lambda: payable(again, "them") == -found.them.balance("two"))
        assert again.audit()["passed"]


def reaches(ours: Node) -> bool:
    return ours.api("POST", "/accounts/them/ping").json["answered"] is True


def our_payment(ours: Node, username: str, receiver: str) -> Json:
    order = {"receiver": receiver, "source_amount": AMOUNT}
    answer = ours.api("POST", f"/accounts/{username}/payments", order, token=ALICE)
    assert answer.status == 200, answer
    return answer.json


def moved(found: Scene, before: Mapping[str, tuple[int, int]], **changes: int) -> None:
    """Check that both sides say that just this has moved, and that our books hold."""
    expected = {
        name: (ours + changes.get(name, 0), theirs + changes.get(name, 0))
        for name, (ours, theirs) in before.items()
    }
    # Theirs are written behind the packet.
    with contextlib.suppress(AssertionError):
        await_that(lambda: found.owed() == expected, seconds=10)
    assert found.owed() == expected, f"{found.owed()}, and {expected} was expected"
    for ours in (found.one, found.two):
        assert ours.audit()["passed"]


def they_are_our_child(program: Program, folder: Path, line: Line) -> None:
    """Check that they take their address from us, and that money goes both ways."""
    with ExitStack() as running:
        ours = running.enter_context(our_node("one", folder))
        them = running.enter_context(rust_node(program, folder, "them", address=None))
        here, there = line(them, ours, "mum", "kid")
        body = {"username": "kid", "asset_code": "USD", "asset_scale": SCALE}
        answer = ours.api("POST", "/accounts", {**body, "routing_relation": "Child", **here})
        assert answer.status == 200, answer
        them.add("mum", routing_relation="Parent", **there)
        await_that(lambda: them.api("GET", "/")["ilp_address"] == "test.one.kid")
        pay_both_ways(ours, "test.one", "kid", them, "mum")


def they_are_our_parent(program: Program, folder: Path, line: Line) -> None:
    """Check that we take our address from them, and that money goes both ways."""
    with ExitStack() as running:
        store = f"sqlite:///{folder}/ours.db"
        ours = running.enter_context(node(store, folder, *TIMING, name="ours"))
        them = running.enter_context(rust_node(program, folder, "them", address="test.them"))
        here, there = line(them, ours, "us", "mum")
        them.add("us", routing_relation="Child", **there)
        add_account(ours, "mum", "test.them", routing_relation="Parent", **here)
        await_that(
            lambda: ours.api("GET", "/address").json["ilp_address"] == "test.them.us",
            seconds=40,
        )
        pay_both_ways(ours, "test.them.us", "mum", them, "us")


def pay_both_ways(ours: Node, prefix: str, them_here: str, them: Rust, us_there: str) -> None:
    add_account(
        ours, "alice", f"{prefix}.alice",
        routing_relation="NonRoutingAccount", ilp_over_http_incoming_token=ALICE,
    )  # fmt: skip
    them.add("bob", ilp_over_http_incoming_token=BOB)
    payment = our_payment(ours, "alice", f"{them.url}/accounts/bob/spsp")
    assert payment["delivered_amount"] == AMOUNT, payment
    await_that(lambda: them.balance("bob") == AMOUNT)
    receiver = f"{ours.ready['url']}/accounts/alice/spsp"
    status, answer = them.pay("bob", BOB, receiver, 234_567)
    assert status == 200, answer
    left = AMOUNT - 234_567
    await_that(lambda: (them.balance("bob"), them.balance(us_there)) == (left, -left))
    assert (payable(ours, "alice"), payable(ours, them_here)) == (-left, left)
    assert ours.audit()["passed"]


CHECKS: Final = (
    routes, pings, we_pay_them, they_pay_us, through_them, currencies, comes_back, we_come_back,
)  # fmt: skip
FAMILIES: Final[Mapping[str, Sequence[Callable[[Program, Path, Line], None]]]] = {
    "HTTP": (they_are_our_child, they_are_our_parent),
    "BTP, they dial": (they_are_our_child,),
    "BTP, we dial": (they_are_our_parent,),
}


def main() -> int:
    """Run all checks, say how each went, and return 0 where all went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.interledger_rs")
    parser.add_argument("--ilp-node", required=True, metavar="PATH")
    parser.add_argument("--redis-server", default="redis-server", metavar="PATH")
    parser.add_argument("--only", default="", metavar="WORD", help="lines with this word alone")
    parser.add_argument("--families", action="store_true", help="parents and children alone")
    parser.add_argument("--keep", metavar="DIR", help="where logs and stores are left")
    given = parser.parse_args()
    said = subprocess.run(
        [given.ilp_node, "--version"], capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    program = Program(given.ilp_node, given.redis_server, said.stdout.split()[-1])
    print(f"ilp-node {program.version}")
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name, line in LINES.items():
            if given.only in name:
                folder = Path(given.keep or temporary) / name.replace(", ", "-")
                failed += check_line(program, folder, name, line, families=given.families)
    print("all as it should be" if not failed else f"{failed} failed")
    return 1 if failed else 0


def check_line(program: Program, folder: Path, name: str, line: Line, *, families: bool) -> int:
    """Run what is to be run over one kind of line; return how many checks failed."""
    failed = 0
    for words, largest in () if families else (("", None), (", small packets", MANY)):
        inside = folder / f"peers{largest or ''}"
        inside.mkdir(parents=True)
        with scene(program, inside, line, largest=largest) as found:
            for check in CHECKS:
                failed += tried(f"{name}{words}: {check.__name__}", partial(check, found))
    for family in FAMILIES[name]:
        inside = folder / family.__name__
        inside.mkdir(parents=True)
        failed += tried(f"{name}: {family.__name__}", partial(family, program, inside, line))
    return failed


def tried(label: str, check: Callable[[], None]) -> int:
    started = time.monotonic()
    try:
        check()
    except AssertionError:
        traceback.print_exc()
        print(f"FAILED  {label}")
        return 1
    print(f"ok      {label} ({time.monotonic() - started:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
