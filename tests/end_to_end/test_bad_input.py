"""What a node is given that cannot be: each time one sentence, no traceback, and nothing is lost.

Real programs over real sockets and files. Every test ends with the books audited and held against what they
were before it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from core.clock import WallClock
from core.packet import Fulfill, Reject
from core.settlement.store import EngineIdentity
from core.stores.record import open_stores
from tests.end_to_end.programs import (
    ADMIN_TOKEN,
    Answer,
    Ended,
    Node,
    Programs,
    execute,
    node,
    ping,
    programs as start_programs,
    wait_until,
)

TOKEN: Final = "token-of-alice"
CARRIED: Final = 5
CLOSED_PORT: Final = 1
SENTENCE_OF_BOOKS: Final = "The books of this node cannot be written now."

Prepared: TypeAlias = Callable[[Path], object]


@pytest.fixture(scope="module", name="programs")
def started_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with start_programs(tmp_path_factory.mktemp("programs")) as started:
        yield started


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two accounts and a balance, whose node has ended in order."""
    folder = tmp_path_factory.mktemp("template") / "data"
    with node(
        f"sqlite:///{folder}/node.db", folder.parent, "--ilp-address", "test.here"
    ) as made:
        for name in ("alice", "bob"):
            answer = made.api("POST", "/accounts", details(name))
            assert answer.status == 200, answer
        assert isinstance(made.packet("alice", TOKEN, ping(CARRIED)).reply, Fulfill)
        assert made.stop() == 0
    assert (folder / "node.db-wal").exists() is False
    return folder


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A copy of it for one test to spoil."""
    return Path(shutil.copytree(template, tmp_path / "data"))


@pytest.fixture(scope="module")
def running(
    template: Path, programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node that all tests of this module talk to, and that none of them may harm."""
    folder = tmp_path_factory.mktemp("running")
    store = f"sqlite:///{shutil.copytree(template, folder / 'data')}/node.db"
    with node(store, folder) as started:
        yield started
        assert started.audit()["passed"]
        assert started.stop() == 0
        said = started.err
    assert "Traceback" not in said
    assert " ERROR " not in said
    assert audited(programs, folder / "data") == -CARRIED


@pytest.fixture
def unharmed(running: Node) -> Iterator[Node]:
    """The node, whose books must be the same afterwards."""
    before = running.books()
    yield running
    assert running.books() == before
    assert running.api("GET", "/status").json["problems"] == []


def details(name: str, **more: object) -> dict[str, object]:
    return {
        "username": name,
        "asset_code": "USD",
        "asset_scale": 2,
        "ilp_over_http_incoming_token": f"token-of-{name}",
        **more,
    }


def audited(programs: Programs, folder: Path) -> int:
    """Audit a store with the program that is there for it, and return what all peers are owed in sum."""
    ended = programs.run("signalbox-node", "audit", "--store", f"sqlite:///{folder}/node.db")
    assert ended.code == 0, ended
    assert "the books hold" in ended.out
    (line,) = (line for line in ended.out.splitlines() if line.startswith("USD@2: "))
    return int(line.split("peers ")[1].split(",")[0])


# --- Packets -----------------------------------------------------------------------------------------

WHOLE: Final = ping(CARRIED)

NO_PACKETS: Final = {
    "nothing": b"",
    "one octet": WHOLE[:1],
    "half of it": WHOLE[: len(WHOLE) // 2],
    "all but the last octet": WHOLE[:-1],
    "a Fulfill": bytes(Fulfill.build(bytes(32)).octets),
    "an unknown type": b"\x63" + WHOLE[1:],
    "a length of four gigabytes": b"\x0c\x84\xff\xff\xff\xff" + WHOLE[2:],
    "every octet there is": bytes(range(256)),
    "text": b"please pay bob",
    "JSON": b'{"amount": 5, "destination": "test.here"}',
    "a broken date": WHOLE[:10] + b"20261301250000000" + WHOLE[27:],
    "a broken address": WHOLE.replace(b"test.here", b"test.h re"),
}


@pytest.mark.parametrize("octets", NO_PACKETS.values(), ids=NO_PACKETS.keys())
def test_what_is_no_packet_is_refused_with_the_place(unharmed: Node, octets: bytes) -> None:
    answer = unharmed.packet("alice", TOKEN, octets)

    assert answer.status == 400
    assert answer.detail.startswith("The body is no ILP Prepare: ")
    assert 0 <= answer.json["octet"] <= len(octets)


def test_every_beginning_of_a_packet_is_refused_on_one_connection(unharmed: Node) -> None:
    head = (
        "POST /accounts/alice/ilp HTTP/1.1\r\nHost: node\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {{}}\r\n{{}}\r\n"
    )
    requests = [
        head.format(end, "Connection: close\r\n" if end == len(WHOLE) - 1 else "").encode()
        + WHOLE[:end]
        for end in range(len(WHOLE))
    ]

    answers = unharmed.raw(b"".join(requests))

    assert answers.count(b"HTTP/1.1 400 ") == len(WHOLE)
    assert answers.count(b"The body is no ILP Prepare") == len(WHOLE)


REFUSED_PACKETS: Final = {
    "that has expired": (lambda: ping(CARRIED, expires_in_ms=-1), "R00"),
    "to nowhere": (lambda: ping(CARRIED, destination="test.elsewhere.eve"), "F02"),
    "of another network": (lambda: ping(CARRIED, destination="g.here"), "F02"),
    "to a peer's own protocol": (lambda: ping(CARRIED, destination="peer.settle"), "F02"),
}


@pytest.mark.parametrize(("made", "code"), REFUSED_PACKETS.values(), ids=REFUSED_PACKETS.keys())
def test_a_packet_that_cannot_be_forwarded_is_rejected_with_a_sentence(
    unharmed: Node, made: Callable[[], bytes], code: str
) -> None:
    reply = unharmed.packet("alice", TOKEN, made()).reply

    assert isinstance(reply, Reject)
    assert bytes(reply.code).decode() == code
    assert reply.triggered_by == "test.here"
    assert reply.message.endswith(".")


TOKENS: Final = {
    "none": None,
    "an empty one": "",
    "a wrong one": "wrong",
    "another account's": "token-of-bob",
    "one with a blank": f"{TOKEN} ",
    "one of a thousand characters": "x" * 1000,
    "one that is not ASCII": "t\xf6ken",
}


@pytest.mark.parametrize(
    "token", [*TOKENS.values(), ADMIN_TOKEN], ids=[*TOKENS, "the operator's"]
)
def test_a_packet_without_its_accounts_token_is_refused(
    unharmed: Node, token: str | None
) -> None:
    if token == f"{TOKEN} ":  # blanks around a header's value are not of the value
        assert isinstance(unharmed.packet("alice", token, ping(0)).reply, Fulfill)
        return

    answer = unharmed.packet("alice", token, ping(CARRIED))

    assert answer.status == 401
    assert "Authorization: Bearer" in answer.detail
    assert answer.headers["www-authenticate"] == 'Bearer realm="ilp"'


@pytest.mark.parametrize("token", [*TOKENS.values(), TOKEN], ids=[*TOKENS, "an account's"])
def test_a_call_without_the_operators_token_is_refused(
    unharmed: Node, token: str | None
) -> None:
    for method, path, body in (
        ("GET", "/accounts", None),
        ("POST", "/accounts", details("carol")),
        ("DELETE", "/accounts/bob?even_with_balance=true", None),
        ("PUT", "/rates", {"USD": 1}),
        ("GET", "/nobody", None),
    ):
        answer = unharmed.api(method, path, body, token=token)

        if path == "/nobody":
            assert answer.status == 404
        else:
            assert answer.status == 401
            assert "Authorization: Bearer" in answer.detail


# --- HTTP --------------------------------------------------------------------------------------------


def test_bodies_and_heads_that_are_too_large_are_refused(unharmed: Node) -> None:
    large = bytes(41_000)

    assert unharmed.packet("alice", TOKEN, large).status == 413
    assert unharmed.packet("alice", None, large).status == 413
    assert "40000 octets" in unharmed.packet("alice", TOKEN, large).detail
    assert unharmed.api("POST", "/accounts", octets=bytes(300_000)).status == 413
    for answer in (
        unharmed.packet("alice", TOKEN, WHOLE, headers={"X": "y" * 20_000}),
        unharmed.api("GET", "/accounts", headers={"X": "y" * 20_000}),
        unharmed.api("GET", "/" + "y" * 20_000),
    ):
        assert (answer.status, "16384 octets" in answer.detail) == (431, True)
    assert unharmed.api("GET", "/" + "y" * 15_000).status == 404


def test_a_body_is_cut_off_where_it_becomes_too_large(unharmed: Node) -> None:
    head = (
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n"
        "Content-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"2000\r\n" + bytes(0x2000) + b"\r\n"

    packet = unharmed.raw(
        head.format("/accounts/alice/ilp", TOKEN, "application/octet-stream").encode(),
        *[chunk] * 20,
    )
    call = unharmed.raw(
        head.format("/accounts", ADMIN_TOKEN, "application/json").encode(),
        *[chunk] * 40,
        until=b"}",
    )

    assert packet.startswith(b"HTTP/1.1 413 ")
    assert call.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("kind", ["text/html", "application/json", "multipart/form-data"])
def test_a_packet_of_another_content_type_is_refused(unharmed: Node, kind: str) -> None:
    answer = unharmed.packet("alice", TOKEN, WHOLE, content_type=kind)

    assert (answer.status, "application/octet-stream" in answer.detail) == (415, True)


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream", None])
def test_a_call_of_another_content_type_is_refused(unharmed: Node, kind: str | None) -> None:
    answer = unharmed.api("POST", "/accounts", octets=b"{}", content_type=kind)

    assert (answer.status, "application/json" in answer.detail) == (415, True)


NO_HTTP: Final = {
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), 400),
    "noise": (bytes(range(128, 256)) * 4, 400),
    "no host": (b"GET / HTTP/1.1", 400),
    "another node's name": (b"GET /status HTTP/1.1\r\nHost: evil.example", 421),
    "a page of another place": (
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example",
        403,
    ),
    "a length below nothing": (
        b"POST /accounts HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5",
        400,
    ),
    "two lengths": (
        b"POST /accounts/alice/ilp HTTP/1.1\r\nHost: node\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        400,
    ),
    "another version": (b"POST /accounts/alice/ilp HTTP/3.7\r\nHost: node", 400),
}


@pytest.mark.parametrize(("octets", "status"), NO_HTTP.values(), ids=NO_HTTP.keys())
def test_what_is_no_request_is_refused_with_a_sentence(
    unharmed: Node, octets: bytes, status: int
) -> None:
    answer = read_answer(unharmed.raw(octets + b"\r\n\r\n", until=b"}"))

    assert answer.status == status
    assert answer.detail


def test_a_call_whose_chunks_have_no_size_is_refused_without_a_word_of_the_library(
    unharmed: Node,
) -> None:
    answer = read_answer(
        unharmed.raw(
            f"POST /accounts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
            until=b"}",
        )
    )

    assert answer.status == 400
    assert answer.detail.startswith("This is no HTTP request that can be read: ")
    assert answer.headers["server"] == "Signalbox"


def read_answer(octets: bytes) -> Answer:
    head, _, body = octets.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {
        name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
    }
    return Answer(int(status.split()[1]), headers, body)


NO_JSON: Final = {
    "nothing": b"",
    "half an object": b'{"username": "carol"',
    "an array": b"[]",
    "a number": b"7",
    "no UTF-8": b'{"username": "\xff\xfe"}',
    "a name twice": b'{"username": "carol", "username": "dave"}',
    "not a number": b'{"username": "carol", "asset_code": "USD", "asset_scale": NaN}',
    "ten thousand digits": b'{"asset_scale": ' + b"9" * 10_000 + b"}",
    "an exponent without end": b'{"username": "carol", "asset_code": "USD", "asset_scale": 1e999999}',
    "a nest": b"[" * 100_000,
}


@pytest.mark.parametrize("octets", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_object_is_refused_with_a_sentence(
    unharmed: Node, octets: bytes
) -> None:
    answer = unharmed.api("POST", "/accounts", octets=octets)

    assert answer.status == 400
    assert "sys." not in answer.detail
    assert len(answer.detail) < 200


# --- Accounts, routes and rates ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"username": "alice"}, "username"),
        ({"username": "ALICE"}, "username"),
        ({"ilp_address": "test.here.alice"}, "ilp_address"),
        ({"ilp_over_http_incoming_token": TOKEN}, "ilp_over_http_incoming_token"),
    ],
)
def test_what_another_account_has_is_refused_and_named(
    unharmed: Node, more: dict[str, object], named: str
) -> None:
    answer = unharmed.api("POST", "/accounts", details("carol") | more)

    assert answer.status in {400, 409}
    assert named in answer.detail or named.removeprefix("ilp_over_http_") in answer.detail
    assert TOKEN not in answer.detail


IMPOSSIBLE_DETAILS: Final[Mapping[str, object]] = {
    "username": "a b",
    "asset_code": "",
    "asset_scale": 256,
    "ilp_address": "not an address",
    "max_packet_amount": 0,
    "min_balance": 2**63,
    "ilp_over_http_url": "ftp://bob.example",
    "ilp_over_http_incoming_token": "two words",
    "ilp_over_http_outgoing_token": ["a list"],
    "settle_threshold": 1.5,
    "settle_to": "much",
    "settlement_engine_url": "signalbox:",
    "routing_relation": "Friend",
    "round_trip_time": -1,
    "packets_per_minute_limit": 0,
    "amount_per_minute_limit": True,
    "label": "x" * 65,
    "notes": 7,
    "enabled": "yes",
    "colour": "red",
}


@pytest.mark.parametrize(
    ("field", "value"), IMPOSSIBLE_DETAILS.items(), ids=IMPOSSIBLE_DETAILS.keys()
)
def test_an_impossible_detail_is_refused_and_named_whether_added_or_changed(
    unharmed: Node, field: str, value: object
) -> None:
    for answer in (
        unharmed.api("POST", "/accounts", details("carol") | {field: value}),
        unharmed.api("PUT", "/accounts/bob", {field: value}),
    ):
        assert answer.status == 400
        assert field in answer.detail
        assert [found["name"] for found in answer.json["invalid-params"]] == [field]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("PATCH", "/accounts", None, 405),
        ("GET", "/accounts/nobody", None, 404),
        ("DELETE", "/accounts/alice", None, 409),
        ("PUT", "/accounts/alice", {"asset_scale": 3}, 400),
        ("PUT", "/routes/static/test..eve", "alice", 400),
        ("PUT", "/routes/static/test.eve", "nobody", 404),
        ("PUT", "/routes/static", {"test.eve": "alice", "test.adam": "nobody"}, 404),
        ("DELETE", "/routes/static/test.eve", None, 404),
        ("PUT", "/rates", {"USD": 1, "EUR": -1}, 400),
        ("PUT", "/rates", {"USD": 1, "EUR": "cheap"}, 400),
        ("PUT", "/rates/spread", "100%", 400),
        ("PUT", "/settlement/engines", {"ETH": "gopher://engine"}, 400),
        ("PUT", "/tracing-level", "loudly", 400),
        ("POST", "/accounts/alice/correction", {"amount": 10**30, "reason": "greed"}, 400),
        ("POST", "/accounts/alice/correction", {"amount": 1}, 400),
        ("POST", "/accounts/alice/settle", {"amount": -1}, 400),
        ("GET", "/packets?after=yesterday", None, 400),
        ("GET", "/explain?destination=nowhere%20at%20all", None, 400),
        ("POST", "/unknown-transfers/1/resolve", {"fulfilled": True}, 409),
    ],
)
def test_a_call_that_cannot_be_is_refused_with_a_sentence(
    unharmed: Node, method: str, path: str, body: object, status: int
) -> None:
    answer = unharmed.api(method, path, body)

    assert (answer.status, answer.detail.count("\n")) == (status, 0)


# --- Command lines and settings ------------------------------------------------------------------------


def cli(programs: Programs, url: str, *arguments: str, token: str = ADMIN_TOKEN) -> Ended:
    env = {"SIGNALBOX_ADMIN_TOKEN": token}
    return programs.run("signalbox-cli", "--node", url, *arguments, env=env)


@pytest.mark.parametrize(
    ("arguments", "token", "code", "words"),
    [
        (("accounts", "create", "alice", "--asset-code", "USD", "--asset-scale", "2"), ADMIN_TOKEN, 1, "alice"),
        (("accounts", "create", "carol", "--asset-code", "USD", "--asset-scale", "two"), ADMIN_TOKEN, 1, "asset_scale"),
        (("accounts", "create", "carol", "--asset-code", "USD"), ADMIN_TOKEN, 2, "--asset-scale"),
        (("accounts", "balance", "nobody"), ADMIN_TOKEN, 1, "nobody"),
        (("routes", "set", "test..eve", "--destination", "alice"), ADMIN_TOKEN, 1, "prefix"),
        (("status",), "a-wrong-token", 1, "token"),
        (("status",), "not a t\xf6ken", 2, "token"),
        (("frobnicate",), ADMIN_TOKEN, 2, "frobnicate"),
    ],
)  # fmt: skip
def test_the_command_line_says_what_cannot_be_in_one_sentence(
    unharmed: Node,
    programs: Programs,
    arguments: tuple[str, ...],
    token: str,
    code: int,
    words: str,
) -> None:
    ended = cli(programs, unharmed.ready["url"], *arguments, token=token)

    assert (ended.code, ended.out) == (code, "")
    assert words in ended.sentence


def test_the_command_line_says_that_no_node_answers_or_that_this_is_no_url(
    programs: Programs,
) -> None:
    silent = cli(programs, f"http://127.0.0.1:{CLOSED_PORT}", "status")
    no_url = cli(programs, "localhost:7770", "status")

    assert (silent.code, no_url.code) == (3, 2)
    assert "is it running" in silent.sentence
    assert "http://127.0.0.1:7770" in no_url.sentence


IMPOSSIBLE_SETTINGS: Final = {
    "store": "postgres://somewhere",
    "ilp_address": "not an address",
    "http_bind": "127.0.0.1:65536",
    "admin_token": "two words",
    "spread": "1.5",
    "min_message_window_ms": "-1",
    "hold_ms_max": "999",
    "in_flight_max": "0",
    "in_flight_per_account_max": "1e3",
    "drain_seconds": "26",
    "route_broadcast_interval_ms": "99",
    "route_hold_down_ms": "30000",
    "journal_hours": "none",
    "log_level": "loudly",
    "name": " ",
}


@pytest.mark.parametrize("by", ["option", "variable", "file"])
@pytest.mark.parametrize("field", IMPOSSIBLE_SETTINGS)
def test_an_impossible_setting_is_refused_and_named(
    programs: Programs, tmp_path: Path, field: str, by: str
) -> None:
    text = IMPOSSIBLE_SETTINGS[field]
    arguments: list[str] = []
    env: dict[str, str] = {}
    match by:
        case "option":
            arguments = [f"--{field.replace('_', '-')}={text}"]
        case "variable":
            env = {f"SIGNALBOX_{field.upper()}": text}
        case _:
            file = tmp_path / "node.toml"
            file.write_text(f'{field} = "{text}"')
            arguments = [f"--config={file}"]
    store = [] if field == "store" else [f"--store=sqlite:///{tmp_path}/node.db"]

    ended = programs.run("signalbox-node", "run", *store, *arguments, env=env)

    assert (ended.code, ended.out) == (2, "")
    assert ended.sentence.startswith(f"signalbox-node: {field}: ")
    assert not (tmp_path / "node.db").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http_bnd = '127.0.0.1:0'", "did you mean http_bind?"),
        ("[node]\nhttp_bind = '127.0.0.1:0'", "there is no such setting"),
        ("drain_seconds = true", "where text or a number is needed"),
        ("drain_seconds = 5.0", "'5.0' is no whole number"),
        ("drain_seconds = ", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_a_sentence(
    programs: Programs, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "node.toml"
    file.write_text(text)

    ended = programs.run("signalbox-node", "run", "--config", str(file))

    assert (ended.code, ended.out) == (2, "")
    assert words in ended.sentence


# --- The database, when a program starts ----------------------------------------------------------------


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "SELECT migration_set, 'm9999_from_the_future', applied_at FROM _sqlite_migrations LIMIT 1"
        )


def another_programs(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def damaged(file: Path) -> None:
    """Overwrite all but the first page, where the schema is."""
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xff" * (size - 4096))


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 3)


def a_link(file: Path) -> None:
    file.symlink_to(file.rename(file.with_name("elsewhere.db")))


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def without_key(file: Path) -> None:
    Path(f"{file}.key").unlink()


def with_another_key(file: Path) -> None:
    Path(f"{file}.key").write_bytes(bytes(32))


def with_half_a_key(file: Path) -> None:
    os.truncate(f"{file}.key", 16)


FAULTS: Final[Mapping[str, tuple[Prepared, str]]] = {
    "newer": (newer, "m9999_from_the_future"),
    "no database": (lambda file: file.write_text("a letter to my bank\n" * 900), "no"),
    "another program's": (another_programs, "another program's database"),
    "damaged": (damaged, "is damaged"),
    "cut off": (cut_off, "is damaged"),
    "a link": (a_link, "is a symbolic link"),
    "a folder": (a_folder, "is no file"),
    "without its key": (without_key, "is missing"),
    "with another key": (with_another_key, "is not that of"),
    "with half a key": (with_half_a_key, "is damaged"),
}
KEY_FAULTS: Final = (without_key, with_another_key, with_half_a_key)


@pytest.mark.parametrize(("spoil", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_store_that_cannot_be_used_is_refused_and_left_as_it_is(
    programs: Programs, data: Path, spoil: Prepared, words: str
) -> None:
    file = data / "node.db"
    spoil(file)
    before = octets(data)
    store = f"sqlite:///{file}"

    endings = [
        programs.run("signalbox-node", "run", "--store", store, "--http-bind", "127.0.0.1:0"),
        programs.run("signalbox-engine", "address", "--store", store),
    ]
    audit = programs.run("signalbox-node", "audit", "--store", store)
    if spoil in KEY_FAULTS:
        assert (audit.code, "the books hold" in audit.out) == (0, True)  # it opens no secrets
    else:
        endings.append(audit)
    for ended in endings:
        assert (ended.code, ended.out) == (2, "")
        assert words in ended.sentence
        assert str(file) in ended.sentence or words.startswith("m9999")
    assert octets(data) == before


def octets(folder: Path) -> dict[str, bytes]:
    """Return every file of a store, without what SQLite keeps of its locks."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_a_wrong_passphrase_is_refused_with_a_sentence(programs: Programs, data: Path) -> None:
    ended = programs.run(
        "signalbox-node", "run", "--store", f"sqlite:///{data}/node.db",
        env={"SIGNALBOX_PASSPHRASE": "open sesame"},
    )  # fmt: skip

    assert (ended.code, "SIGNALBOX_PASSPHRASE" in ended.sentence) == (2, True)
    assert "open sesame" not in ended.err
    assert audited(programs, data) == -CARRIED


PR_CAPBSET_DROP: Final = 24
CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2


def without_privileges() -> None:
    """Let root be refused what others are: in the child, until the program starts."""
    library = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [("node.db", 0o400, "chmod u+rw"), (".", 0o500, "chmod u+wx"), ("node.db.key", 0, "key file")],
)  # fmt: skip
def test_a_store_that_may_not_be_written_is_refused_with_the_way_out(
    programs: Programs, data: Path, name: str, mode: int, words: str
) -> None:
    path = data / name
    was = path.stat().st_mode
    path.chmod(mode)

    ended = execute(
        "core", "run", "--store", f"sqlite:///{data}/node.db", "--http-bind", "127.0.0.1:0",
        before=without_privileges,
    )  # fmt: skip

    assert (ended.code, ended.out) == (2, "")
    assert words in ended.sentence
    assert str(path) in ended.sentence
    path.chmod(was)
    assert audited(programs, data) == -CARRIED


def test_a_port_in_use_is_refused_and_named(programs: Programs, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = programs.run(
            "signalbox-node", "run",
            "--store", f"sqlite:///{data}/node.db", "--http-bind", f"127.0.0.1:{port}",
        )  # fmt: skip

    assert ended.code == 2
    assert f"127.0.0.1:{port} is in use" in ended.sentence
    assert audited(programs, data) == -CARRIED


# --- The database, while a node runs ---------------------------------------------------------------------


def test_a_locked_database_stops_the_packets_and_nothing_else(
    programs: Programs, data: Path
) -> None:
    store = f"sqlite:///{data}/node.db"
    with node(store, data.parent) as started:
        with closing(sqlite3.connect(data / "node.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor() as beside:
                starting = beside.submit(
                    programs.run,
                    *("signalbox-node", "run", "--store", store, "--http-bind", "127.0.0.1:0"),
                )
                reply = started.packet("alice", TOKEN, ping(CARRIED)).reply
                newcomer = starting.result()
            wait_until(lambda: started.api("GET", "/").status == 503)
            status = started.api("GET", "/status").json
            unbooked = started.packet("alice", TOKEN, ping(0)).reply
            ready = started.api("GET", "/")
            other.execute("ROLLBACK")

        assert isinstance(reply, Reject)
        assert (bytes(reply.code), reply.message) == (b"T00", SENTENCE_OF_BOOKS)
        assert isinstance(unbooked, Fulfill)
        assert newcomer.code == 2
        assert "is locked by another program" in newcomer.sentence
        assert "is locked by another program" in status["problems"][0]
        assert (ready.status, ready.json["status"]) == (503, "Troubled")
        assert isinstance(started.packet("alice", TOKEN, ping(CARRIED)).reply, Fulfill)
        wait_until(lambda: started.api("GET", "/").status == 200)
        assert started.audit()["passed"]
        assert started.stop() == 0
        assert "Traceback" not in started.err
    assert audited(programs, data) == -2 * CARRIED


@contextmanager
def small_disk(
    folder: Path,
) -> Iterator[tuple[Path, Callable[[Node], None], Callable[[], None]]]:
    """A disk of one megabyte, how to fill it, and how to make room again."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", folder], check=True
    )
    ballast = folder / "ballast"

    def fill(_: Node) -> None:
        with ballast.open("wb", 0) as opened, suppress(OSError):
            while opened.write(bytes(4096)):
                pass

    try:
        yield folder, fill, ballast.unlink
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def small_files(
    folder: Path,
) -> Iterator[tuple[Path, Callable[[Node], None], Callable[[], None]]]:
    """A limit on how large a file the node may write: the disk says no, in other words."""
    limited: list[int] = []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(started: Node) -> None:
        limited.append(started.process.pid)
        resource.prlimit(limited[0], resource.RLIMIT_FSIZE, (4096, limits[1]))

    def lift() -> None:
        resource.prlimit(limited[0], resource.RLIMIT_FSIZE, limits)

    yield folder, limit, lift


def may_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None


@pytest.mark.parametrize(
    ("limited", "words"),
    [
        pytest.param(small_files, "cannot be read or written", id="file size"),
        *([pytest.param(small_disk, "the disk is full", id="disk")] if may_mount() else []),
    ],
)
def test_a_full_disk_stops_the_packets_and_nothing_else(
    programs: Programs,
    data: Path,
    tmp_path: Path,
    limited: Callable[[Path], Any],
    words: str,
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    with limited(folder) as (disk, fill, make_room):
        shutil.copytree(data, disk, dirs_exist_ok=True)
        with node(f"sqlite:///{disk}/node.db", tmp_path) as started:
            fill(started)
            replies = [started.packet("alice", TOKEN, ping(CARRIED)).reply for _ in range(3)]
            added = started.api("POST", "/accounts", details("carol"))
            wait_until(lambda: started.api("GET", "/").status == 503)
            problems = started.api("GET", "/status").json["problems"]
            make_room()

            for reply in replies:
                assert isinstance(reply, Reject)
                assert (bytes(reply.code), reply.message) == (b"T00", SENTENCE_OF_BOOKS)
            assert (added.status, words in added.detail) == (503, True)
            assert words in problems[0]
            assert isinstance(started.packet("alice", TOKEN, ping(CARRIED)).reply, Fulfill)
            wait_until(lambda: started.api("GET", "/").status == 200)
            assert started.audit()["passed"]
            assert started.stop() == 0
            assert "Traceback" not in started.err
        assert audited(programs, disk) == -2 * CARRIED


# --- Engines that die at once ------------------------------------------------------------------------------


def engine(programs: Programs, running: Node, *arguments: str) -> Ended:
    store = running.ready["store"]
    return programs.run("signalbox-engine", "ethereum", "--store", store, *arguments)


def test_an_engine_without_its_chain_says_so_and_the_node_goes_on(
    unharmed: Node, programs: Programs
) -> None:
    for rpc, words in (
        (f"http://127.0.0.1:{CLOSED_PORT}", f"127.0.0.1:{CLOSED_PORT}"),
        (unharmed.ready["url"], f"127.0.0.1:{unharmed.port} does not speak JSON-RPC"),
        ("ethereum", "must be like http://127.0.0.1:8545"),
    ):
        ended = engine(programs, unharmed, "--rpc", rpc)

        assert (ended.code, ended.out) == (2, "")
        assert words in ended.sentence


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--rpc", "http://127.0.0.1:8545", "--confirmations", "0"),
        ("--rpc", "http://127.0.0.1:8545", "--name", "My Engine"),
        ("--rpc", "http://127.0.0.1:8545", "--fee-limit", "cheap"),
    ],
)
def test_an_engine_with_an_impossible_argument_says_so(
    unharmed: Node, programs: Programs, arguments: tuple[str, ...]
) -> None:
    ended = engine(programs, unharmed, *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert ended.sentence.startswith("signalbox-engine ethereum: error: ")


async def test_a_second_engine_of_one_name_says_that_one_runs(
    programs: Programs, data: Path
) -> None:
    stores = await open_stores(f"sqlite:///{data}/node.db", WallClock())
    lease = await stores.settlements.take_engine(
        EngineIdentity(
            name="ethereum", kind="ethereum", asset_code="ETH", ledger_scale=18, pid=1
        )
    )
    ended = await asyncio.to_thread(
        programs.run, "signalbox-engine", "ethereum",
        "--store", f"sqlite:///{data}/node.db", "--rpc", f"http://127.0.0.1:{CLOSED_PORT}",
    )  # fmt: skip
    await stores.settlements.release_engine(lease)
    await stores.close()

    assert (ended.code, ended.out) == (2, "")
    assert "ethereum" in ended.sentence
    assert "runs" in ended.sentence
    assert audited(programs, data) == -CARRIED
