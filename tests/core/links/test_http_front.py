"""The port, asked over real sockets by clients that behave, and by such that do not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings, strategies as st

from core.account import Account, AccountDirectory
from core.clock import WallClock
from core.errors import SettingError
from core.links import http_front
from core.links.http_connection import HttpConnection, HttpLimits
from core.links.http_front import serve
from core.links.http_message import date_text
from core.node_address import NodeAddress
from core.packet import Fulfill, Reject, Reply, address, parse_reply
from core.service import IncomingRequest
from core.testing.clock import START_MS, FakeClock
from tests.core.links.conftest import (
    LIMITS,
    Chain,
    Client,
    Response,
    Serve,
    Served,
    Wire,
    account,
    hash_token,
    post,
    prepare,
    until,
)

PACKET = bytes(prepare(b"hello").octets)

NODE = NodeAddress(address("test.node"))


def fulfilled_data(response: Response) -> bytes:
    assert response.status == 200
    reply = parse_reply(response.body)
    assert isinstance(reply, Fulfill)
    return bytes(reply.data)


def problem(response: Response, status: int) -> str:
    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    told = json.loads(response.body)
    assert told["status"] == status
    assert told["title"]
    return str(told["detail"])


# --- What is answered


async def test_a_packet_is_answered_with_the_reply_of_the_chain(served: Served) -> None:
    client = await served.connect()

    await client.send(post(PACKET))
    response = await client.response()

    assert fulfilled_data(response) == b"hello"
    assert response.headers["content-type"] == "application/octet-stream"
    assert "date" in response.headers
    assert served.chain.seen == [("alice", b"hello")]


async def test_the_date_is_renewed_as_its_second_begins() -> None:
    clock = FakeClock(START_MS + 900)
    front = await serve(
        host="127.0.0.1",
        port=0,
        incoming=Chain(),
        accounts=AccountDirectory(),
        hash_token=hash_token,
        clock=clock,
        address=NODE,
    )
    try:
        assert front.date == b"Date: %b\r\n" % date_text(START_MS)
        assert front.next_date_at <= front.loop.time() + 0.1
        clock.advance(milliseconds=100)
        await until(lambda: front.date == b"Date: %b\r\n" % date_text(START_MS + 1000))
    finally:
        await front.close(0)
    assert front.next_date_at == math.inf


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Type: application/octet-stream\r\n",
        "Content-Type: application/ilp+octet-stream\r\n",
        "content-type: Application/Octet-Stream; charset=binary\r\n",
        "",
    ],
)
async def test_both_names_of_the_content_type_and_none_are_accepted(
    served: Served, headers: str
) -> None:
    client = await served.connect()

    await client.send(post(PACKET, headers=headers))

    assert fulfilled_data(await client.response()) == b"hello"


@pytest.mark.parametrize(
    "token", ["Bearer a-token", "bearer a-token", "a-token", "BEARER  a-token"]
)
async def test_a_token_is_accepted_with_and_without_the_word_bearer(
    served: Served, token: str
) -> None:
    client = await served.connect()

    await client.send(post(PACKET, token=token))

    assert (await client.response()).status == 200


@pytest.mark.parametrize("username", ["Alice", "%41LICE", "%EF%BC%A1lice", "alice%20"])
async def test_a_username_in_the_path_is_found_in_whichever_form(
    served: Served, username: str
) -> None:
    client = await served.connect()

    await client.send(post(PACKET, path=f"/accounts/{username}/ilp", token="a-token"))

    assert (await client.response()).status == 200


async def test_without_a_username_in_the_path_the_token_says_who_sends(served: Served) -> None:
    client = await served.connect()

    await client.send(post(PACKET, path="/ilp", token="Bearer b-token"))
    await client.response()

    assert served.chain.seen == [("bob", b"hello")]


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/accounts/alice/ilp", "Bearer wrong"),
        ("/accounts/alice/ilp", "Bearer b-token"),
        ("/accounts/nobody/ilp", "Bearer a-token"),
        ("/accounts/nobody/ilp", "Bearer wrong"),
        ("/accounts/alice/ilp", "Basic YWxpY2U6YS10b2tlbg=="),
        ("/accounts/alice/ilp", "Bearer "),
        ("/accounts/alice/ilp", "Bearer a-token\xff"),
        ("/accounts/alice/ilp", None),
        ("/ilp", None),
        ("/ilp", "Bearer wrong"),
    ],
)
async def test_no_account_and_no_token_are_told_alike(
    served: Served, path: str, token: str | None
) -> None:
    client = await served.connect()

    await client.send(post(PACKET, path=path, token=token))
    response = await client.response()

    assert "Bearer" in problem(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert served.chain.seen == []
    await client.send(post(PACKET))
    assert (await client.response()).status == 200


async def test_two_authorization_headers_are_no_token(served: Served) -> None:
    client = await served.connect()

    await client.send(post(PACKET, headers="Authorization: Bearer a-token\r\n"))

    problem(await client.response(), 401)


async def test_a_token_that_is_taken_away_is_refused_on_an_open_connection(
    served: Served,
) -> None:
    client = await served.connect()
    await client.send(post(PACKET))
    assert (await client.response()).status == 200

    served.directory.replace([account("alice")], {})
    await client.send(post(PACKET))

    problem(await client.response(), 401)


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/octet"])
async def test_another_content_type_is_refused(served: Served, kind: str) -> None:
    client = await served.connect()

    await client.send(post(PACKET, headers=f"Content-Type: {kind}\r\n"))

    assert "octet-stream" in problem(await client.response(), 415)


async def test_a_compressed_body_is_refused(served: Served) -> None:
    client = await served.connect()

    await client.send(post(PACKET, headers="Content-Encoding: gzip\r\n"))

    problem(await client.response(), 415)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_a_packet_is_posted(served: Served, method: str) -> None:
    client = await served.connect()

    await client.send(post(b"", method=method))
    response = await client.response()

    problem(response, 405)
    assert response.headers["allow"] == "POST"


async def test_head_is_answered_without_a_body_and_the_connection_goes_on(
    served: Served,
) -> None:
    client = await served.connect()

    await client.send(post(b"", method="HEAD") + post(PACKET))

    assert (await client.response(has_body=False)).status == 405
    assert (await client.response()).status == 200


async def test_a_body_without_a_length_is_refused(served: Served) -> None:
    client = await served.connect()

    await client.send(b"POST /ilp HTTP/1.1\r\nAuthorization: Bearer a-token\r\n\r\n")

    problem(await client.response(), 411)


@pytest.mark.parametrize(
    ("body", "octet"),
    [(b"", 0), (b"\x0d" + PACKET[1:], 0), (PACKET[:20], 1), (b"<html></html>", 0)],
)
async def test_octets_that_are_no_prepare_are_refused_with_the_place(
    served: Served, body: bytes, octet: int
) -> None:
    client = await served.connect()

    await client.send(post(body))
    response = await client.response()

    assert problem(response, 400).startswith("The body is no ILP Prepare")
    assert json.loads(response.body)["octet"] == octet
    await client.send(post(PACKET))
    assert (await client.response()).status == 200


@pytest.mark.logs_warning
async def test_a_fault_in_the_chain_is_answered_without_its_text(served: Served) -> None:
    client = await served.connect()
    served.chain.fault = RuntimeError("the secret is 42")

    await client.send(post(PACKET))
    response = await client.response()

    assert "42" not in problem(response, 500)


# --- How it is framed


async def test_a_request_may_come_octet_by_octet(served: Served) -> None:
    client = await served.connect()

    for octet in post(PACKET) + post(PACKET):
        await client.send(bytes((octet,)))
        await asyncio.sleep(0)

    assert fulfilled_data(await client.response()) == b"hello"
    assert fulfilled_data(await client.response()) == b"hello"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 1500), max_size=8), chunked=st.booleans())
def test_requests_are_the_same_however_they_are_cut(cuts: list[int], chunked: bool) -> None:
    body = bytes(prepare(b"x" * 200).octets)
    whole = post(body)
    if chunked:
        head = post(b"", headers="Transfer-Encoding: chunked\r\n").replace(
            b"Content-Length: 0\r\n", b""
        )
        whole = head + b"50\r\n" + body[:80] + b"\r\n%x\r\n" % (len(body) - 80) + body[80:]
        whole += b"\r\n0\r\n\r\n"
    stream = whole + whole + post(b"no packet") + whole

    async def run() -> list[int]:
        directory = AccountDirectory()
        directory.replace([account("alice")], {hash_token("a-token"): account("alice").id})
        front = await serve(
            host="127.0.0.1", port=0, incoming=Chain(), accounts=directory,
            hash_token=hash_token, clock=WallClock(), address=NODE, limits=LIMITS,
        )  # fmt: skip
        client = Client(*await asyncio.open_connection("127.0.0.1", front.port))
        bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
        for start, stop in pairwise(bounds):
            await client.send(stream[start:stop])
            await asyncio.sleep(0)
        statuses = [(await client.response()).status for _ in range(4)]
        client.close()
        await front.close(1)
        return statuses

    assert asyncio.run(run()) == [200, 200, 400, 200]


async def test_pipelined_packets_are_answered_in_their_order(served: Served) -> None:
    client = await served.connect()
    served.chain.gate.clear()

    await client.send(
        b"".join(post(prepare(b"%d" % n).octets) for n in range(5))
        + post(b"no packet")
        + post(prepare(b"last").octets)
    )
    await until(lambda: len(served.chain.seen) >= 6)
    served.chain.gate.set()

    assert [fulfilled_data(await client.response()) for _ in range(5)] == [
        b"0", b"1", b"2", b"3", b"4",
    ]  # fmt: skip
    problem(await client.response(), 400)
    assert fulfilled_data(await client.response()) == b"last"


async def test_one_connection_has_a_bounded_number_of_packets_under_way(serving: Serve) -> None:
    served = await serving(HttpLimits(in_flight_per_connection_max=3))
    client = await served.connect()
    served.chain.gate.clear()

    await client.send(b"".join(post(prepare(b"%d" % n).octets) for n in range(200)))
    await until(lambda: len(served.chain.seen) >= 3)
    served.chain.gate.set()
    answers = [fulfilled_data(await client.response()) for _ in range(200)]

    assert answers == [b"%d" % n for n in range(200)]
    assert served.chain.most_under_way == 3


async def test_whoever_does_not_read_is_not_answered_without_end(serving: Serve) -> None:
    served = await serving(HttpLimits(in_flight_per_connection_max=4))
    client = await served.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    large = post(prepare(b"x" * 32_000).octets)
    count = 600

    async def ask() -> None:
        for _ in range(count):
            await client.send(large)

    asking = asyncio.get_running_loop().create_task(ask())
    handled = -1
    while handled < len(served.chain.seen):
        handled = len(served.chain.seen)
        await asyncio.sleep(0.1)

    assert handled < count
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(count):
        assert (await client.response()).status == 200
    await asking


async def test_empty_lines_between_requests_are_passed_over(served: Served) -> None:
    client = await served.connect()

    await client.send(b"\r\n\r\n" + post(PACKET) + b"\r\n" + post(PACKET))

    assert (await client.response()).status == 200
    assert (await client.response()).status == 200


async def test_http_1_0_is_closed_behind_the_answer_unless_it_asks(served: Served) -> None:
    client = await served.connect()
    await client.send(post(PACKET, version="1.0", headers="Connection: keep-alive\r\n"))
    response = await client.response()
    assert response.headers["connection"] == "keep-alive"

    await client.send(post(PACKET, version="1.0"))

    assert (await client.response()).headers["connection"] == "close"
    assert await client.ends()


async def test_connection_close_is_obeyed_and_what_follows_is_dropped(served: Served) -> None:
    client = await served.connect()

    await client.send(post(PACKET, headers="Connection: close\r\n") + post(PACKET))

    assert (await client.response()).headers["connection"] == "close"
    assert await client.ends()
    assert len(served.chain.seen) == 1


async def test_a_client_that_has_said_all_still_gets_its_answers(served: Served) -> None:
    client = await served.connect()
    served.chain.gate.clear()

    await client.send(post(PACKET) + post(PACKET))
    client.writer.write_eof()
    await until(lambda: len(served.chain.seen) >= 2)
    served.chain.gate.set()

    assert (await client.response()).status == 200
    assert (await client.response()).status == 200
    assert await client.ends()


async def test_a_client_that_leaves_does_not_end_its_packet(served: Served) -> None:
    client = await served.connect()
    served.chain.gate.clear()
    await client.send(post(PACKET))
    await until(lambda: len(served.chain.seen) > 0)

    client.reset()
    await until(lambda: not served.front.connections)

    assert served.front.in_flight == served.chain.under_way == 1
    served.chain.gate.set()
    await until(lambda: not served.front.in_flight)


async def test_the_body_is_asked_for_where_the_client_waits_for_it(served: Served) -> None:
    client = await served.connect()
    whole = post(PACKET, headers="Expect: 100-continue\r\n")

    await client.send(whole[: -len(PACKET)])
    assert (await client.response()).status == 100
    await client.send(whole[-len(PACKET) :])

    assert (await client.response()).status == 200


async def test_the_body_is_asked_for_only_behind_the_answers_before_it(served: Served) -> None:
    client = await served.connect()
    served.chain.gate.clear()
    whole = post(PACKET, headers="Expect: 100-continue\r\n")

    await client.send(post(PACKET) + whole[: -len(PACKET)])
    await until(lambda: len(served.chain.seen) > 0)
    served.chain.gate.set()

    assert [(await client.response()).status for _ in range(2)] == [200, 100]
    await client.send(whole[-len(PACKET) :])
    assert (await client.response()).status == 200


async def test_who_waits_to_send_the_body_is_told_at_once_that_it_is_not_wanted(
    served: Served,
) -> None:
    client = await served.connect()

    await client.send(post(PACKET, token=None, headers="Expect: 100-continue\r\n")[:-50])

    problem(await client.response(), 401)
    assert await client.ends()


# --- Bounds


@pytest.mark.parametrize("length", [40_001, 10**12])
async def test_a_body_that_is_too_long_is_refused_before_it_is_read(
    served: Served, length: int
) -> None:
    client = await served.connect()

    await client.send(
        b"POST /ilp HTTP/1.1\r\nAuthorization: Bearer a-token\r\nContent-Length: %d\r\n\r\n"
        % length
    )

    assert "40000" in problem(await client.response(), 413)
    assert await client.ends()


async def test_who_sends_too_long_a_body_all_the_same_reads_why(served: Served) -> None:
    client = await served.connect()
    # Nothing is read until all is sent: a reset meanwhile would take the answer away.
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]

    for _ in range(6):
        await client.send(post(bytes(100_000)))
        await asyncio.sleep(0.01)
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]

    problem(await client.response(), 413)
    assert await client.ends()


async def test_an_endless_chunked_body_is_cut_at_the_limit(served: Served) -> None:
    client = await served.connect()
    head = post(b"", headers="Transfer-Encoding: chunked\r\n")

    await client.send(head.replace(b"Content-Length: 0\r\n", b""))
    chunk = b"1000\r\n" + bytes(0x1000) + b"\r\n"
    for _ in range(20):
        await client.send(chunk)

    problem(await client.response(), 413)
    assert served.chain.seen == []


async def test_the_largest_packet_passes(served: Served) -> None:
    client = await served.connect()

    await client.send(post(prepare(b"x" * 32_767).octets))

    assert len(fulfilled_data(await client.response())) == 32_767


@pytest.mark.parametrize(
    "octets",
    [
        b"POST /ilp HTTP/1.1\r\n" + b"A: b\r\n" * 3000 + b"\r\n",
        b"POST /ilp HTTP/1.1\r\nLong: " + b"x" * 20_000,
        b"POST /" + b"x" * 20_000,
        b"x" * 20_000,
        b"POST /ilp HTTP/1.1\r\n" + b"A: b\r\n" * 100_000,
    ],
)
async def test_a_head_that_is_too_long_is_refused(served: Served, octets: bytes) -> None:
    client = await served.connect()

    await client.send(octets)

    assert "16384" in problem(await client.response(), 431)
    assert await client.ends()


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        b"POST /ilp HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /ilp HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\r\n\r\n\x00\r\n\r\n",
    ],
)
async def test_garbage_is_refused(served: Served, octets: bytes) -> None:
    client = await served.connect()

    await client.send(octets)

    problem(await client.response(), 400)
    assert await client.ends()


@pytest.mark.parametrize("version", ["0.9", "2.0"])
async def test_another_version_of_http_is_refused(served: Served, version: str) -> None:
    client = await served.connect()

    await client.send(post(PACKET, version=version))

    problem(await client.response(), 505)


async def test_a_refusal_comes_behind_the_answers_that_are_due(served: Served) -> None:
    client = await served.connect()
    served.chain.gate.clear()

    await client.send(post(PACKET) + b"garbage\r\n\r\n")
    await until(lambda: len(served.chain.seen) > 0)
    await asyncio.sleep(0)
    served.chain.gate.set()

    assert (await client.response()).status == 200
    problem(await client.response(), 400)


# --- Time


SHORT = HttpLimits(header_seconds=0.1, body_seconds=0.1, idle_seconds=0.1, linger_seconds=0.1)


@pytest.mark.parametrize("beginning", [b"P", post(PACKET)[:30], post(PACKET)[:-1]])
async def test_a_request_that_does_not_come_to_its_end_is_ended(
    serving: Serve, beginning: bytes
) -> None:
    served = await serving(SHORT)
    client = await served.connect()

    await client.send(beginning)

    problem(await client.response(), 408)
    assert await client.ends()


async def test_an_octet_now_and_then_does_not_prolong_a_head(serving: Serve) -> None:
    served = await serving(
        HttpLimits(header_seconds=0.3, body_seconds=5, idle_seconds=5, linger_seconds=0.1)
    )
    client = await served.connect()
    started = time.monotonic()

    async def drip() -> None:
        for octet in post(PACKET):
            await client.send(bytes((octet,)))
            await asyncio.sleep(0.02)

    dripping = asyncio.get_running_loop().create_task(drip())
    problem(await client.response(), 408)
    dripping.cancel()

    assert time.monotonic() - started < 2


async def test_an_idle_connection_is_closed_without_a_word(serving: Serve) -> None:
    served = await serving(SHORT)
    client = await served.connect()
    await client.send(post(PACKET))
    await client.response()

    assert await client.ends()


async def test_a_packet_under_way_is_not_idle(serving: Serve) -> None:
    served = await serving(SHORT)
    client = await served.connect()
    served.chain.gate.clear()
    await client.send(post(PACKET))
    await asyncio.sleep(0.3)

    served.chain.gate.set()

    assert (await client.response()).status == 200


async def test_many_slow_connections_leave_room_for_an_honest_one(serving: Serve) -> None:
    served = await serving(HttpLimits(connections_per_address_max=200))
    slow = [await served.connect() for _ in range(150)]
    for client in slow:
        await client.send(b"POST /accounts/alice/ilp HTTP/1.1\r\nX")
    honest = await served.connect()

    for _ in range(50):
        await honest.send(post(PACKET))
        assert (await honest.response()).status == 200


# --- Numbers of connections


@pytest.mark.parametrize(
    "limits", [HttpLimits(connections_max=2), HttpLimits(connections_per_address_max=2)]
)
async def test_a_connection_too_many_is_refused_and_room_is_made_again(
    serving: Serve, limits: HttpLimits
) -> None:
    served = await serving(limits)
    first, second = await served.connect(), await served.connect()
    await first.send(post(PACKET))
    await first.response()
    await second.send(post(PACKET))
    await second.response()

    third = await served.connect()
    problem(await third.response(), 503)
    assert await third.ends()
    first.close()
    await until(lambda: served.front.connections <= 1)
    fourth = await served.connect()
    await fourth.send(post(PACKET))

    assert (await fourth.response()).status == 200


def wired(served: Served, host: str = "127.0.0.1") -> tuple[HttpConnection, Wire]:
    """Return a connection whose octets a test hands over itself, so that it can count turns."""
    connection, wire = HttpConnection(served.front), Wire(host)
    connection.connection_made(wire)
    return connection, wire


async def test_when_the_port_is_full_the_host_with_most_connections_gives_one_up(
    serving: Serve,
) -> None:
    served = await serving(HttpLimits(connections_max=4, connections_per_address_max=4))
    served.chain.gate.clear()
    busy, *idle = [wired(served, f"2001:db8::{number}") for number in range(4)]
    busy[0].data_received(post(PACKET))

    same, other = wired(served, "2001:db8::99"), wired(served, "192.0.2.1")

    assert b"503 " in same[1].written
    assert [wire.is_closed for _, wire in (busy, *idle)] == [False, True, False, False]
    assert not other[1].written
    assert not other[1].is_closed
    served.chain.gate.set()
    for connection, _ in (busy, *idle, other):
        connection.connection_lost(None)
    assert served.front.connections == 0


async def test_strangers_from_many_hosts_that_say_nothing_keep_nobody_out(
    serving: Serve,
) -> None:
    served = await serving(HttpLimits(connections_max=4))
    silent = [wired(served, f"192.0.2.{number}") for number in range(4)]

    newcomer = wired(served, "198.51.100.1")

    assert [wire.is_closed for _, wire in silent] == [True, False, False, False]
    assert not newcomer[1].written
    for connection, _ in (*silent, newcomer):
        connection.connection_lost(None)
    assert served.front.connections == 0


async def test_a_peer_gives_its_place_to_no_stranger(serving: Serve) -> None:
    served = await serving(HttpLimits(connections_max=4))
    peers = [wired(served, f"192.0.2.{number}") for number in range(3)]
    for connection, wire in peers:
        connection.data_received(post(PACKET))
        await until(lambda wire=wire: b" 200 " in wire.written)  # type: ignore[misc]
    strangers = [wired(served, f"198.51.100.{number}") for number in range(9)]

    assert [wire.is_closed for _, wire in (*peers, *strangers)] == [False] * 3 + [True] * 8 + [False]  # fmt: skip
    for connection, _ in (*peers, *strangers):
        connection.connection_lost(None)


# --- Whose turn it is

FEW = HttpLimits(strangers_per_second=0.001, strangers_at_once=3)
"""A few turns, and no more of them within a test."""
STRANGE = b"POST /ilp HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
"""A request of somebody who does not say who it is."""


async def test_requests_of_strangers_have_turns_and_those_of_peers_have_none(
    serving: Serve,
) -> None:
    served = await serving(FEW)
    stranger, peer = wired(served, "192.0.2.1"), wired(served, "192.0.2.2")
    stranger[0].data_received(STRANGE * 20)
    in_a_turn = []
    for _ in range(20):
        before = stranger[1].written.count(b" 401 ")
        await asyncio.sleep(0)
        in_a_turn.append(stranger[1].written.count(b" 401 ") - before)

    assert max(in_a_turn) == 1
    assert stranger[1].written.count(b" 401 ") == 1 + FEW.strangers_at_once
    assert stranger[1].is_paused
    assert served.front.waiting == 1
    peer[0].data_received(post(PACKET) * 10)
    await until(lambda: peer[1].written.count(b" 200 ") == 10)
    for connection, _ in (stranger, peer):
        connection.connection_lost(None)
    assert served.front.waiting == 0


async def test_of_requests_that_wait_for_their_turn_those_of_one_host_hold_up_no_other(
    serving: Serve,
) -> None:
    served = await serving(replace(FEW, strangers_at_once=6, waiting_max=10))
    many = [wired(served, "192.0.2.1") for _ in range(20)]
    for connection, _ in many:
        connection.data_received(STRANGE * 20)
    other = wired(served, "192.0.2.2")
    other[0].data_received(STRANGE * 3 + post(PACKET))
    await until(lambda: b" 200 " in other[1].written)

    assert other[1].written.count(b" 401 ") == 3
    assert sum(wire.is_closed for _, wire in many) == 11
    for connection, _ in (*many, other):
        connection.connection_lost(None)
    assert served.front.waiting == 0


async def test_a_peer_that_connects_anew_for_each_packet_is_no_stranger(
    serving: Serve,
) -> None:
    served = await serving(FEW)
    for _ in range(10):
        client = await served.connect()
        await client.send(post(PACKET))
        assert (await client.response()).status == 200
        client.close()


async def test_strangers_wait_and_a_peer_that_is_in_does_not(serving: Serve) -> None:
    served = await serving(FEW)
    peer = await served.connect()
    await peer.send(post(PACKET))
    await peer.response()
    for _ in range(20):
        await served.connect()
    await until(lambda: served.front.waiting > 0)

    for _ in range(20):
        await peer.send(post(PACKET))
        assert (await peer.response()).status == 200
    assert served.front.connections == 1 + FEW.strangers_at_once


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
async def test_a_newcomer_gets_in_soon_beside_a_host_that_opens_connection_upon_connection(
    serving: Serve,
) -> None:
    served = await serving(replace(FEW, strangers_per_second=200.0, waiting_max=100))
    crowd = [await served.connect() for _ in range(300)]
    await until(lambda: served.front.waiting > 50)
    before = served.front.connections

    reader, writer = await asyncio.open_connection(
        "127.0.0.1", served.front.port, local_addr=("127.0.0.2", 0)
    )
    newcomer = Client(reader, writer)
    served.clients.append(newcomer)
    await newcomer.send(post(PACKET))
    assert (await newcomer.response()).status == 200

    assert served.front.connections - before < 20
    assert len(crowd) == 300


async def test_a_loop_that_watches_no_descriptors_has_its_own_way_in(
    serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise NotImplementedError

    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "add_reader", cannot)
        served = await serving(FEW)
    for _ in range(5):
        client = await served.connect()
        await client.send(post(PACKET))
        assert (await client.response()).status == 200


# --- Much at once


async def test_what_comes_at_once_is_read_in_slices_and_others_have_their_turns(
    serving: Serve,
) -> None:
    served = await serving(HttpLimits(requests_at_once=8))
    connection, wire = wired(served)

    connection.data_received(STRANGE * 100)
    connection.data_received(
        b"\r\n" * 9 + STRANGE * 20
    )  # as from a transport that does not stop at once
    turns = [wire.written.count(b" 401 ")]
    while sum(turns) < 120:
        before = wire.written.count(b" 401 ")
        await asyncio.sleep(0)
        turns.append(wire.written.count(b" 401 ") - before)

    assert max(turns) <= 8
    await until(lambda: not wire.is_paused)
    connection.connection_lost(None)


# --- The web application


async def application() -> tuple[web.AppRunner, Callable[[], asyncio.Protocol]]:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.path} {len(await request.read())}")

    app = web.Application(client_max_size=10**6)
    app.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    server = runner.server
    assert server is not None
    return runner, server


async def test_another_path_is_answered_by_the_web_application_with_all_that_was_sent(
    serving: Serve,
) -> None:
    runner, server = await application()
    served = await serving(LIMITS, server)
    client = await served.connect()

    await client.send(post(bytes(100_000), path="/accounts?x=1"))
    assert (await client.response()).body == b"/accounts 100000"
    await client.send(post(b"", path="/status", method="GET"))
    assert (await client.response()).body == b"/status 0"

    assert served.front.connections == 1
    await served.front.close(1)
    await runner.cleanup()
    assert await client.ends()
    assert served.front.connections == 0


async def test_a_connection_may_carry_packets_first_and_then_the_api(serving: Serve) -> None:
    runner, server = await application()
    served = await serving(LIMITS, server)
    client = await served.connect()
    served.chain.gate.clear()

    await client.send(
        post(PACKET) + post(PACKET) + post(b"12345", path="/routes") + post(b"", path="/rates")
    )
    await until(lambda: len(served.chain.seen) >= 2)
    served.chain.gate.set()

    assert (await client.response()).status == 200
    assert (await client.response()).status == 200
    assert (await client.response()).body == b"/routes 5"
    assert (await client.response()).body == b"/rates 0"
    await served.front.close(1)
    await runner.cleanup()


@pytest.mark.parametrize(
    "path", ["/", "/accounts", "/accounts/alice", "/accounts//ilp", "/ilp/"]
)
async def test_without_a_web_application_other_paths_are_not_found(
    served: Served, path: str
) -> None:
    client = await served.connect()

    await client.send(post(PACKET, path=path))

    problem(await client.response(), 404)


# --- The end


async def test_closing_answers_what_is_under_way_and_ends_what_is_idle(served: Served) -> None:
    idle, busy = await served.connect(), await served.connect()
    await idle.send(post(PACKET))
    await idle.response()
    served.chain.gate.clear()
    await busy.send(post(PACKET) + post(PACKET))
    await until(lambda: len(served.chain.seen) >= 3)

    closing = asyncio.get_running_loop().create_task(served.front.close(5))
    assert await idle.ends()
    with pytest.raises(ConnectionRefusedError):
        await served.connect()
    served.chain.gate.set()

    assert (await busy.response()).status == 200
    assert (await busy.response()).headers["connection"] == "close"
    assert await busy.ends()
    await closing
    assert served.front.connections == 0


@pytest.mark.logs_warning
async def test_closing_does_not_wait_for_ever_and_rejects_what_has_no_answer(
    served: Served,
) -> None:
    client = await served.connect()
    served.chain.gate.clear()
    await client.send(post(PACKET) + post(PACKET))
    await until(lambda: len(served.chain.seen) > 1)

    async with asyncio.timeout(5):
        await served.front.close(0.05)

    assert served.front.in_flight == 0
    first, last = await client.response(), await client.response()
    for response in (first, last):
        reject = parse_reply(response.body)
        assert isinstance(reject, Reject)
        assert (response.status, reject.code, reject.triggered_by) == (200, b"R00", "test.node")
        assert reject.message == "This node stopped before the next hop had answered."
    assert last.headers["connection"] == "close"
    assert await client.ends()


async def test_closing_answers_a_connection_that_was_only_just_taken(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.front.port)) as newcomer:
        newcomer.setblocking(False)
        # Accepted, let in, and not yet a connection of the loop: a turn of the loop for each.
        for _ in range(3):
            await asyncio.sleep(0)

        await served.front.close(0)

        assert newcomer.recv(1024).startswith(b"HTTP/1.1 503 ")


async def test_a_port_in_use_is_named(served: Served) -> None:
    with pytest.raises(SettingError, match=rf"127\.0\.0\.1:{served.front.port} is in use"):
        await serve(
            host="127.0.0.1", port=served.front.port, incoming=Chain(),
            accounts=AccountDirectory(), hash_token=hash_token, clock=WallClock(),
            address=NODE,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("192.0.2.1", 0, "no address of this machine"),
        ("127.0.0.1", 70_000, "between 0 and 65535"),
        ("no such host.invalid", 0, "no host is called 'no such host.invalid'"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_is_named(
    host: str, port: int, words: str
) -> None:
    with pytest.raises(SettingError, match=words) as raised:
        await serve(
            host=host, port=port, incoming=Chain(),
            accounts=AccountDirectory(), hash_token=hash_token, clock=WallClock(), address=NODE,
        )  # fmt: skip

    assert host in str(raised.value)


@pytest.mark.logs_warning
async def test_what_cannot_be_booked_in_time_gets_no_answer_rather_than_a_wrong_one(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_front, "_BOOKING_SECONDS", 0.05)
    booked = asyncio.Event()
    begun = asyncio.Event()

    async def handle(_: IncomingRequest[Account]) -> Reply:
        begun.set()
        while not booked.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await booked.wait()
        return Fulfill.build(bytes(32))

    monkeypatch.setattr(served.chain, "handle", handle)
    client = await served.connect()
    await client.send(post(PACKET))
    await begun.wait()

    async with asyncio.timeout(5):
        await served.front.close(0.05)

    assert await client.ends()
    booked.set()
