"""Two node processes on one SQLite file: what one is told the other does, and neither ends with the other."""

from __future__ import annotations

import http.server
import itertools
import signal
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from core.packet import Fulfill, Prepare, Reject
from tests.end_to_end.programs import Node, execute, node, prepare, wait_until

TOKEN: Final = "token-of-alice"
DESTINATION: Final = "test.here.bob.invoice"
AMOUNT: Final = 10
IN_FORCE_SECONDS: Final = 1.0
SETTLED_SECONDS: Final = 20.0
"""A node looks every five seconds for what dead ones left."""


@dataclass(slots=True)
class Sink:
    """Bob: fulfills what comes at once, but keeps back what says so until it is let go."""

    kept_back: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)
    _server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> str:
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                octets = self.rfile.read(int(self.headers["Content-Length"]))
                fulfillment = bytes(Prepare(bytearray(octets)).data)
                if fulfillment.startswith(b"keep"):
                    sink.kept_back += 1
                    assert sink.let_go.wait(30)
                body = bytes(Fulfill.build(fulfillment).octets)
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

            def handle(self) -> None:
                with suppress(ConnectionError):  # the node was killed
                    super().handle()

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/ilp"

    def stop(self) -> None:
        assert self._server is not None
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    started = Sink()
    yield started
    started.stop()


@dataclass(slots=True)
class Pair:
    """Two nodes of one store."""

    first: Node
    second: Node
    store: str
    folder: Path

    @property
    def nodes(self) -> tuple[Node, Node]:
        return self.first, self.second


@pytest.fixture
def pair(tmp_path: Path, sink: Sink) -> Iterator[Pair]:
    """Both are started at once, on a file that is not there yet."""
    store = f"sqlite:///{tmp_path}/data/node.db"
    with ExitStack() as stack, ThreadPoolExecutor() as starting:

        def start(name: str) -> Node:
            return stack.enter_context(
                node(store, tmp_path, "--ilp-address", "test.here", name=name)
            )

        first, second = starting.map(start, ("first", "second"))
        add(first, "alice", min_balance=None)
        add(first, "bob", ilp_over_http_url=sink.start(), ilp_over_http_outgoing_token="ours")
        wait_until(lambda: isinstance(send(second), Fulfill))
        yield Pair(first, second, store, tmp_path)
        for each in (first, second):
            assert "Traceback" not in each.err


def add(there: Node, name: str, **more: object) -> None:
    answer = there.api(
        "POST",
        "/accounts",
        {
            "username": name,
            "asset_code": "USD",
            "asset_scale": 2,
            "ilp_over_http_incoming_token": f"token-of-{name}",
            **more,
        },
    )
    assert answer.status == 200, answer


_serials = itertools.count()


def send(
    there: Node, *, name: str = "alice", destination: str = DESTINATION, keep: bool = False
) -> Fulfill | Reject | None:
    """Send a packet and return its reply; None where the token is nobody's."""
    serial = next(_serials)
    fulfillment = (b"keep" if keep else b"send") + serial.to_bytes(28, "big")
    octets = prepare(AMOUNT, destination=destination, fulfillment=fulfillment)
    answer = there.packet(name, f"token-of-{name}", octets)
    return None if answer.status == 401 else answer.reply


def code(reply: Fulfill | Reject | None) -> str:
    return (
        bytes(reply.code).decode() if isinstance(reply, Reject) else str(type(reply).__name__)
    )


def nets(there: Node) -> dict[str, int]:
    return {row["username"]: int(row["net"]) for row in there.api("GET", "/overview").json}


def pending(there: Node) -> int:
    found: int = there.audit()["pending"]
    return found


def audited(pair: Pair) -> str:
    ended = execute("core", "audit", "--store", pair.store)
    assert ended.code == 0, ended
    return ended.out


# --- Changes ---------------------------------------------------------------------------------------


def test_what_one_node_is_told_is_in_force_at_the_other_within_a_second(pair: Pair) -> None:
    """The median of all changes, so that one hiccup of a busy machine does not count."""
    first, second = pair.nodes
    route = "test.partner.of-ours"
    changes: list[tuple[str, Callable[[], Any], Callable[[], bool]]] = [
        (
            "an account is added",
            lambda: add(first, "carol"),
            lambda: code(send(second, name="carol")) == "Fulfill",
        ),
        (
            "a route is set",
            lambda: first.api(
                "PUT", f"/routes/static/{route}", octets=b"bob", content_type=None
            ),
            lambda: code(send(second, destination=f"{route}.eve")) == "Fulfill",
        ),
        (
            "an account is paused",
            lambda: second.api("POST", "/accounts/carol/pause"),
            lambda: code(send(first, name="carol")) not in {"Fulfill", "NoneType"},
        ),
        (
            "it goes on",
            lambda: second.api("POST", "/accounts/carol/resume"),
            lambda: code(send(first, name="carol")) == "Fulfill",
        ),
        (
            "its largest packet becomes smaller",
            lambda: first.api("PUT", "/accounts/carol", {"max_packet_amount": AMOUNT - 1}),
            lambda: code(send(second, name="carol")) == "F08",
        ),
        (
            "a route is removed",
            lambda: second.api("DELETE", f"/routes/static/{route}"),
            lambda: code(send(first, destination=f"{route}.eve")) == "F02",
        ),
        (
            "an account is removed",
            lambda: first.api("DELETE", "/accounts/carol?even_with_balance=true"),
            lambda: send(second, name="carol") is None,
        ),
    ]

    seconds = {}
    for what, change, is_in_force in changes:
        assert not is_in_force(), what
        answer = change()
        assert answer is None or answer.status < 300, (what, answer)
        seconds[what] = wait_until(is_in_force)

    print({what: round(delay, 2) for what, delay in seconds.items()})
    assert statistics.median(seconds.values()) < IN_FORCE_SECONDS, seconds
    assert max(seconds.values()) < 5 * IN_FORCE_SECONDS, seconds
    assert nets(first) == nets(second)
    assert first.audit()["passed"]


def test_two_nodes_together_do_not_overdraw_a_limit(pair: Pair) -> None:
    packets = 20
    add(pair.first, "dave", min_balance=-packets * AMOUNT)
    wait_until(
        lambda: send(pair.second, name="dave", destination="test.nowhere.at-all") is not None
    )

    with ThreadPoolExecutor(8) as sending:
        replies = [
            sending.submit(send, there, name="dave")
            for _ in range(packets)
            for there in pair.nodes
        ]
        codes = Counter(code(reply.result()) for reply in replies)

    assert codes == {"Fulfill": packets, "T04": packets}
    assert nets(pair.first)["dave"] == nets(pair.second)["dave"] == -packets * AMOUNT
    assert [there.stop() for there in pair.nodes] == [0, 0]
    assert "the books hold" in audited(pair)


def test_a_packet_that_comes_to_both_nodes_is_sent_once_and_both_are_told(
    pair: Pair, sink: Sink
) -> None:
    before = nets(pair.first)
    octets = prepare(AMOUNT, destination=DESTINATION, fulfillment=b"keep" + b"same" * 7)

    def send_it(there: Node) -> Fulfill | Reject:
        return there.packet("alice", "token-of-alice", octets).reply

    with ThreadPoolExecutor(2) as sending:
        calls = [sending.submit(send_it, there) for there in pair.nodes]
        wait_until(lambda: sink.kept_back == 1)
        wait([*calls], timeout=0.5)  # the copy asks now and then what became of the first
        assert not any(call.done() for call in calls)
        sink.let_go.set()
        assert [code(call.result(10)) for call in calls] == ["Fulfill"] * 2

    assert [code(send_it(there)) for there in pair.nodes] == ["Fulfill"] * 2
    assert sink.kept_back == 1
    assert nets(pair.first) == {
        "alice": before["alice"] - AMOUNT,
        "bob": before["bob"] + AMOUNT,
    }
    assert [there.stop() for there in pair.nodes] == [0, 0]
    with node(pair.store, pair.folder, name="third") as third:
        assert code(send_it(third)) == "Fulfill"
        assert sink.kept_back == 1
        assert third.stop() == 0
    assert "the books hold" in audited(pair)


# --- A kill ----------------------------------------------------------------------------------------


def test_what_a_killed_node_left_is_settled_by_the_other_whose_own_packets_go_on(
    pair: Pair, sink: Sink
) -> None:
    first, second = pair.nodes
    of_the_dead, of_the_living = 5, 3
    before = nets(second)

    with ThreadPoolExecutor(of_the_dead + of_the_living) as sending:
        lost = [sending.submit(send, first, keep=True) for _ in range(of_the_dead)]
        kept = [sending.submit(send, second, keep=True) for _ in range(of_the_living)]
        wait_until(lambda: sink.kept_back == of_the_dead + of_the_living)
        assert pending(second) == of_the_dead + of_the_living

        first.process.send_signal(signal.SIGKILL)
        assert first.process.wait() == -signal.SIGKILL
        assert all(isinstance(call.exception(10), ConnectionError | OSError) for call in lost)
        replies = Counter[str]()

        def is_settled() -> bool:
            replies[code(send(second))] += 1
            return len(unknown(second)) > 0

        waited = wait_until(is_settled, seconds=SETTLED_SECONDS)
        print(f"settled after {waited:.1f} s, beside {replies}")

        # Only the dead one's: those of the living are as they were, and are answered.
        assert len(unknown(second)) == of_the_dead
        assert pending(second) == of_the_living
        assert not any(call.done() for call in kept)
        sink.let_go.set()
        assert [code(call.result(10)) for call in kept] == ["Fulfill"] * of_the_living

    assert replies.keys() == {"Fulfill"}
    moved = (replies.total() + of_the_living) * AMOUNT
    assert nets(second) == {
        "alice": before["alice"] - moved,
        "bob": before["bob"] + moved,
    }
    report = second.audit()
    assert (report["passed"], report["pending"], report["unknown"]) == (True, 0, of_the_dead)

    # Bob says which of them he has fulfilled: he is owed those, and nobody has paid for them.
    ids = [row["id"] for row in unknown(second)]
    for number, transfer in enumerate(ids):
        answer = second.api(
            "POST", f"/unknown-transfers/{transfer}/resolve", {"fulfilled": number < 2}
        )
        assert answer.status == 204
    assert nets(second) == {
        "alice": before["alice"] - moved,
        "bob": before["bob"] + moved + 2 * AMOUNT,
    }

    with node(pair.store, pair.folder, name="third") as third:
        assert code(send(third)) == "Fulfill"
        assert third.ready["node"] not in {first.ready["node"], second.ready["node"]}
        assert unknown(third) == []
        assert third.stop() == 0
    assert second.stop() == 0
    assert "the books hold" in audited(pair)


def unknown(there: Node) -> list[Any]:
    found: list[Any] = there.api("GET", "/unknown-transfers").json
    return found
