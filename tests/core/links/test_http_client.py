"""Packets on their way out, to peers that behave, and to such that do not."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings, strategies as st

from core.account import AccountId, Secret
from core.clock import WallClock
from core.control.views import LinkState
from core.errors import SettingError
from core.links.http_client import HttpLink, HttpLinkLimits, Target
from core.links.http_message import date_text
from core.links.link_states import LinkStates
from core.links.names import NameLookups
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, address
from core.service import OutgoingRequest, Verdict
from core.telemetry.peer_time import PeerTimes
from tests.core.links.certificates import certificate
from tests.core.links.conftest import (
    FULFILLMENT,
    Answer,
    Linked,
    Peer,
    SilentServer,
    account,
    bob_at,
    prepare,
    reset,
    until,
)

Peering: TypeAlias = Callable[[Answer], Awaitable[Peer]]
Linking: TypeAlias = Callable[..., Linked]

FULFILL = bytes(Fulfill.build(FULFILLMENT, b"thanks").octets)


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    kind = "" if "Content-Type" in headers else "Content-Type: application/octet-stream\r\n"
    return (
        f"HTTP/1.1 {status}\r\n{kind}{headers}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def says(octets: bytes, *, close: bool = False) -> Answer:
    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        writer.write(octets)
        if close:
            writer.close()

    return answer


async def says_nothing(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
) -> None:
    return


SOON_MS = 400
"""An expiry that can be waited for, and not missed while a busy machine opens a connection."""

fulfills = says(http(FULFILL))

SAID = {
    f"bob {what}."
    for what in (
        "did not take the packet",
        "takes no more packets for now",
        "is not available",
        "answered with what is no ILP packet",
    )
}
"""All that is said upstream of answers that are no replies."""


def rejected(reply: Reply, code: str) -> str:
    assert isinstance(reply, Reject)
    assert reply.code.decode() == code
    assert reply.triggered_by == "test.node"
    assert reply.message
    return reply.message


# --- A peer that behaves


async def test_a_packet_is_posted_and_the_answer_is_the_reply(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking()
    packet = prepare(b"hello")

    reply = await linked.send(bob_at(peer.url), packet)

    assert isinstance(reply, Fulfill)
    assert reply.octets == FULFILL
    assert peer.bodies == [packet.octets]
    head = peer.heads[0]
    assert head.startswith("POST /ilp HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{peer.port}\r\n" in head
    assert "Authorization: Bearer b-out\r\n" in head
    assert "Content-Type: application/octet-stream\r\n" in head
    assert linked.states.state(bob_at(peer.url))[0] is LinkState.UP


async def test_the_reject_of_the_peer_is_the_reply_and_no_fault_of_the_link(
    peering: Peering, linking: Linking
) -> None:
    reject = Reject.build(ErrorCode.UNREACHABLE, triggered_by="test.bob", message="no route")
    peer, linked = await peering(says(http(bytes(reject.octets)))), linking()

    assert await linked.send(bob_at(peer.url)) == reject
    assert linked.states.state(bob_at(peer.url))[0] is LinkState.UP


async def test_its_answer_tells_what_time_it_is_there(
    peering: Peering, linking: Linking
) -> None:
    date = date_text(time.time_ns() // 1_000_000 + 3_600_000).decode()
    peer = await peering(says(http(FULFILL, headers=f"Date: {date}\r\n")))
    linked = linking()

    for _ in range(3):
        await linked.send(bob_at(peer.url))

    reading = linked.states.times.read()
    assert reading is not None
    assert reading.peers == ("bob",)
    assert abs(reading.offset_ms + 3_600_000) <= reading.bound_ms


async def test_only_now_and_then_is_it_asked_what_time_it_is(
    peering: Peering, linking: Linking, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(PeerTimes, "tell", lambda _self, peer, *_, **__: asked.append(peer))
    date = date_text(time.time_ns() // 1_000_000).decode()
    peer = await peering(says(http(FULFILL, headers=f"Date: {date}\r\n")))
    linked, bob = linking(), bob_at(peer.url)

    for _ in range(20):
        await linked.send(bob)
    # Twenty packets on this machine take less than the 1.6 seconds between two Dates, or some of them do.
    assert 1 <= len(asked) < 10


async def test_connections_are_used_again_and_shared_out(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking()
    bob = bob_at(peer.url)

    for _ in range(5):
        await linked.send(bob)
    assert peer.connections == 1
    await asyncio.gather(*(linked.send(bob) for _ in range(10)))

    assert 2 <= peer.connections <= 10
    assert linked.link.in_flight == 0


async def test_more_packets_than_connections_wait_their_turn(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking(HttpLinkLimits(connections_max=2))

    replies = await asyncio.gather(*(linked.send(bob_at(peer.url)) for _ in range(50)))

    assert all(isinstance(reply, Fulfill) for reply in replies)
    assert peer.connections == 2


async def test_waiting_goes_on_over_connections_that_the_peer_closes(
    peering: Peering, linking: Linking
) -> None:
    peer = await peering(says(http(FULFILL, headers="Connection: close\r\n"), close=True))
    linked = linking(HttpLinkLimits(connections_max=2))

    replies = await asyncio.gather(*(linked.send(bob_at(peer.url)) for _ in range(20)))

    assert all(isinstance(reply, Fulfill) for reply in replies)
    assert peer.connections == 20


@pytest.mark.logs_warning
async def test_too_many_waiting_packets_are_turned_away(
    peering: Peering, linking: Linking
) -> None:
    peer = await peering(says_nothing)
    linked = linking(HttpLinkLimits(connections_max=1, waiting_max=1))
    bob = bob_at(peer.url)
    loop = asyncio.get_running_loop()
    first = loop.create_task(linked.send(bob))
    await until(lambda: bool(peer.bodies))
    second = loop.create_task(linked.send(bob))
    await asyncio.sleep(0)

    assert "Too many packets" in rejected(await linked.send(bob), "T03")
    await linked.link.close(0)
    rejected(await first, "T01")
    rejected(await second, "T01")


@pytest.mark.logs_warning
async def test_a_packet_whose_time_runs_out_while_it_waits_was_never_sent(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(says_nothing), linking(HttpLinkLimits(connections_max=1))
    bob = bob_at(peer.url)
    first = asyncio.get_running_loop().create_task(linked.send(bob))
    await until(lambda: bool(peer.bodies))
    request = linked.request(bob, prepare(expires_in_ms=SOON_MS))

    rejected(await linked.link.send(request), "T03")

    assert not request.left_open
    assert len(peer.bodies) == 1
    await linked.link.close(0)
    await first


async def test_idle_connections_are_dropped_and_the_pool_with_them(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking(HttpLinkLimits(idle_seconds=0.05))
    await linked.send(bob_at(peer.url))
    assert linked.link.connections == 1

    await asyncio.sleep(0.15)

    assert linked.link.connections == 0
    assert isinstance(await linked.send(bob_at(peer.url)), Fulfill)
    assert peer.connections == 2


async def test_a_connection_that_is_too_old_is_not_used_though_its_timer_is_late(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking(HttpLinkLimits(idle_seconds=0.05))
    await linked.send(bob_at(peer.url))

    time.sleep(0.06)  # noqa: ASYNC251 the loop is what is held up here
    await linked.send(bob_at(peer.url))

    assert peer.connections == 2


async def test_a_connection_given_to_a_packet_that_is_cancelled_goes_to_the_next(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking(HttpLinkLimits(connections_max=1))
    bob = bob_at(peer.url)
    loop = asyncio.get_running_loop()

    async def first() -> None:
        await linked.link.send(linked.request(bob, prepare()))
        # The answer has just given its connection to the second, who has not heard of it yet.
        second.cancel()

    running = loop.create_task(first())
    second = loop.create_task(linked.send(bob))
    await asyncio.wait([running, second])

    assert second.cancelled()
    assert isinstance(await linked.send(bob), Fulfill)
    assert peer.connections == 1
    assert len(peer.bodies) == 2


async def test_a_peer_that_says_how_long_it_keeps_connections_is_believed(
    peering: Peering, linking: Linking
) -> None:
    peer = await peering(says(http(FULFILL, headers="Keep-Alive: timeout=1\r\n")))
    linked = linking()

    await linked.send(bob_at(peer.url))
    await linked.send(bob_at(peer.url))

    assert peer.connections == 2


async def test_a_changed_address_or_token_is_used_from_the_next_packet_on(
    peering: Peering, linking: Linking
) -> None:
    old, new, linked = await peering(fulfills), await peering(fulfills), linking()
    await linked.send(bob_at(old.url))

    await linked.send(bob_at(new.url))
    await linked.send(bob_at(new.url, "another"))
    await linked.send(bob_at(new.url, None))

    assert len(old.heads) == 1
    assert "Bearer b-out" in new.heads[0]
    assert "Bearer another" in new.heads[1]
    assert "Authorization" not in new.heads[2]


async def test_an_unchanged_account_keeps_its_connections_when_the_directory_is_replaced(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking()

    await linked.send(bob_at(peer.url))
    await linked.send(bob_at(peer.url))

    assert peer.connections == 1


# --- Peers that do not


@pytest.mark.logs_warning
@pytest.mark.parametrize(
    ("octets", "code", "words"),
    [
        (http(b"", status="401 Unauthorized"), "F00", "token"),
        (http(b"", status="403 Forbidden"), "F00", "token"),
        (http(b"", status="404 Not Found"), "F00", "path"),
        (http(b"", status="400 Bad Request"), "F00", "HTTP 400"),
        (http(b"", status="413 Too Large"), "F00", "HTTP 413"),
        (http(b"", status="429 Too Many Requests"), "T03", "no more packets"),
        (http(b"<p>", status="500 Error", headers="Content-Type: text/html\r\n"), "T00", "500"),
        (http(b"", status="502 Bad Gateway"), "T01", "502"),
        (http(b"", status="503 Unavailable"), "T01", "503"),
        (http(b"", status="302 Found", headers="Location: /x\r\n"), "T00", "redirect"),
        (http(b"", status="204 No Content"), "T00", "204"),
        (http(b"<html>", headers="Content-Type: text/html\r\n"), "T00", "text/html"),
        (http(FULFILL, headers="Content-Type: text/plain\r\n"), "T00", "text/plain"),
        (http(FULFILL, headers="Content-Encoding: gzip\r\n"), "T00", "compressed"),
        (http(b"<html>"), "T00", "no ILP packet"),
        (http(b""), "T00", "no ILP packet"),
        (http(FULFILL[:-1]), "T00", "no ILP packet"),
        (http(bytes(prepare().octets)), "T00", "no ILP packet"),
        (http(b"x" * 40_001), "T00", "40000"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "T00", "40000"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 4000 + b"\r\n", "T00", "16384"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 20_000, "T00", "16384"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000, "T00", "40000"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "T00", "no HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "T00",
            "no HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n",
            "T00",
            "40000",
        ),
    ],
)
async def test_what_is_no_reply_becomes_a_reject_with_a_sentence(
    peering: Peering, linking: Linking, octets: bytes, code: str, words: str
) -> None:
    peer, linked = await peering(says(octets)), linking()
    request = linked.request(bob_at(peer.url), prepare())

    reply = await linked.link.send(request)

    assert rejected(reply, code) in SAID, "what exactly it was is for our operator alone"
    # An HTTP status other than 200 says that it took no packet, unless a gateway says so for another.
    took_none = octets.startswith(b"HTTP/1.1 ") and octets[9:12] not in {b"200", b"504"}
    assert request.left_open is not took_none
    assert linked.late == ([] if took_none else [reply])
    state, reason = linked.states.state(bob_at(peer.url))
    assert state is LinkState.DOWN
    assert words in reason
    assert len(peer.bodies) == 1
    assert linked.states.history(bob_at(peer.url).id).unreachable_in_row == 0, "it is there"


@pytest.mark.logs_warning
@pytest.mark.parametrize(
    "octets", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", http(FULFILL)[:-3], http(FULFILL)[:-51]]
)
async def test_a_connection_that_ends_before_the_answer_is_an_unreachable_peer(
    peering: Peering, linking: Linking, octets: bytes
) -> None:
    peer, linked = await peering(says(octets, close=True)), linking()
    request = linked.request(bob_at(peer.url), prepare())

    rejected(await linked.link.send(request), "T01")

    assert len(peer.bodies) == 1
    assert request.left_open, "it may have fulfilled before it hung up"
    assert [rejected(reply, "T01") for reply in linked.late] == [
        "bob closed the connection without an answer."
        if not octets
        else "bob closed the connection in the middle of its answer."
    ]


@pytest.mark.logs_warning
async def test_a_reset_is_an_unreachable_peer_and_nothing_is_sent_again(
    peering: Peering, linking: Linking
) -> None:
    async def resets(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        reset(writer)

    peer, linked = await peering(resets), linking()

    rejected(await linked.send(bob_at(peer.url)), "T01")

    assert len(peer.bodies) == 1


@pytest.mark.logs_warning
async def test_a_port_that_nobody_listens_on_is_an_unreachable_peer(
    peering: Peering, linking: Linking, unused_tcp_port: int
) -> None:
    linked = linking()
    bob = bob_at(f"http://127.0.0.1:{unused_tcp_port}/ilp")

    assert rejected(await linked.send(bob), "T01") == "bob cannot be reached."
    reason = linked.states.state(bob)[1]
    assert f"127.0.0.1:{unused_tcp_port} cannot be reached: nobody listens there." in reason
    assert linked.states.history(bob.id).unreachable_in_row == 1


@pytest.mark.logs_warning
async def test_peers_whose_names_hang_hold_up_neither_the_others_nor_the_store(
    peering: Peering, linking: Linking
) -> None:
    server = SilentServer()
    linked = linking(names=NameLookups(look_up=server))
    peer = await peering(fulfills)
    loop = asyncio.get_running_loop()
    dead = bob_at("http://peer.example/ilp")
    hanging = [loop.create_task(linked.send(dead)) for _ in range(64)]
    try:
        await until(lambda: server.asked > 0)
        alive = replace(bob_at(peer.url), id=AccountId("id-carol"))
        assert isinstance(await linked.send(alive), Fulfill)
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: 8) == 8
        assert server.asked == 1, "one look-up, however many packets wait for it"
    finally:
        server.answers.set()
    for reply in await asyncio.gather(*hanging):
        rejected(reply, "T01")


async def test_a_peer_that_was_idle_is_reached_where_it_was_while_its_name_servers_are_silent(
    peering: Peering, linking: Linking
) -> None:
    is_silent = False

    def look_up(_host: str, port: int, *_: object) -> list[tuple[Any, ...]]:
        if is_silent:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    peer = await peering(says(http(FULFILL, headers="Connection: close\r\n")))
    linked = linking(names=NameLookups(look_up=look_up))
    bob = bob_at(peer.url.replace("127.0.0.1", "peer.example"))
    assert isinstance(await linked.send(bob), Fulfill)
    is_silent = True

    for _ in range(3):
        await until(lambda: linked.link.connections == 0)
        assert isinstance(await linked.send(bob), Fulfill)


@pytest.mark.logs_warning
async def test_a_name_that_nobody_has_is_an_unreachable_peer(linking: Linking) -> None:
    linked = linking()

    rejected(await linked.send(bob_at("http://nobody.invalid/ilp")), "T01")


@pytest.mark.logs_warning
@pytest.mark.parametrize("status", ["401 U", "404 N", "429 T", "500 I", "503 S"])
async def test_whatever_is_answered_is_no_reason_to_leave_the_peer_alone(
    peering: Peering, linking: Linking, status: str
) -> None:
    octets = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    peer, linked = await peering(says(octets)), linking()

    await linked.send(bob_at(peer.url))

    history = linked.states.history(bob_at(peer.url).id)
    assert (history.failures, history.unreachable_in_row) == (1, 0)


@pytest.mark.logs_warning
async def test_a_peer_that_fails_is_warned_of_once(
    linking: Linking, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    linked = linking()

    for _ in range(5):
        await linked.send(bob_at(f"http://127.0.0.1:{unused_tcp_port}/"))

    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


@pytest.mark.logs_warning
async def test_a_peer_that_fails_every_other_time_fills_no_log(
    peering: Peering, linking: Linking, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = b"HTTP/1.1 500 I\r\nContent-Length: 0\r\n\r\n"

    async def takes_turns(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        writer.write(refusal if len(peer.bodies) % 2 else http(FULFILL))

    peer, linked = await peering(takes_turns), linking()

    for _ in range(50):
        await linked.send(bob_at(peer.url))

    assert linked.states.history(bob_at(peer.url).id).failures == 25
    assert 0 < len([r for r in caplog.records if r.levelname == "WARNING"]) < 10


async def test_an_answer_without_a_length_goes_on_to_the_end_of_the_connection(
    peering: Peering, linking: Linking
) -> None:
    octets = b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n" + FULFILL
    peer, linked = await peering(says(octets, close=True)), linking()

    assert isinstance(await linked.send(bob_at(peer.url)), Fulfill)
    assert isinstance(await linked.send(bob_at(peer.url)), Fulfill)
    assert peer.connections == 2


async def test_preliminary_answers_are_passed_over(peering: Peering, linking: Linking) -> None:
    octets = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    peer, linked = await peering(says(octets + http(FULFILL))), linking()

    assert isinstance(await linked.send(bob_at(peer.url)), Fulfill)


async def test_a_connection_with_octets_left_over_is_not_used_again(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(says(http(FULFILL) + http(FULFILL))), linking()

    assert isinstance(await linked.send(bob_at(peer.url)), Fulfill)
    assert isinstance(await linked.send(bob_at(peer.url)), Fulfill)

    assert peer.connections == 2


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(1, 400), max_size=8), chunked=st.booleans())
def test_answers_are_the_same_however_they_are_cut(cuts: list[int], chunked: bool) -> None:
    data = bytes(Fulfill.build(FULFILLMENT, b"x" * 150).octets)
    octets = http(data)
    if chunked:
        octets = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50;a=b\r\n" + data[:80]
        octets += b"\r\n%x\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(data) - 80, data[80:])

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await reader.readexactly(int(head.split("Content-Length: ")[1].split("\r\n")[0]))
            bounds = sorted({0, len(octets), *(cut for cut in cuts if cut < len(octets))})
            for start, stop in pairwise(bounds):
                writer.write(octets[start:stop])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async def run() -> list[Reply]:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        clock = WallClock()
        link = HttpLink(
            clock=clock, address=NodeAddress(address("test.node")), states=LinkStates(clock)
        )
        bob = bob_at(f"http://127.0.0.1:{port}/")
        packet = prepare()
        request = OutgoingRequest(bob, bob, packet, 7, packet.expires_at_ms)
        replies = [await link.send(request) for _ in range(2)]
        await link.close(0)
        server.close()
        return replies

    for reply in asyncio.run(run()):
        assert isinstance(reply, Fulfill)
        assert reply.octets == data


@pytest.mark.logs_warning
async def test_a_question_of_ours_waits_for_no_packet_of_others(
    peering: Peering, linking: Linking
) -> None:
    """Else a peer whose receivers keep all connections busy would seem gone."""

    async def keeps_packets(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        if Prepare(bytearray(body)).amount == 0:
            writer.write(http(FULFILL))

    peer, linked = await peering(keeps_packets), linking(HttpLinkLimits(connections_max=2))
    bob = bob_at(peer.url)
    loop = asyncio.get_running_loop()
    kept = [loop.create_task(linked.send(bob)) for _ in range(5)]
    await until(lambda: len(peer.bodies) == 2)
    packet = Prepare.build(
        amount=0,
        expires_at_ms=WallClock().now_ms() + 5_000,
        condition=bytes(32),
        destination=bob.ilp_address,
    )

    question = OutgoingRequest(bob, bob, packet, 0, packet.expires_at_ms)
    assert isinstance(await linked.link.send(question), Fulfill)

    await linked.link.close(0)
    await asyncio.gather(*kept)


# --- Time


async def hangs_up(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
) -> None:
    reset(writer)


@pytest.mark.logs_warning
@pytest.mark.parametrize(("answer", "code"), [(says_nothing, "R00"), (hangs_up, "T01")])
@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_question_of_ours_that_is_not_answered_is_the_peers_own_silence(
    peering: Peering, linking: Linking, answer: Answer, code: str, is_ours: bool
) -> None:
    peer, linked = await peering(answer), linking()
    bob = bob_at(peer.url)
    packet = Prepare.build(
        amount=0,
        expires_at_ms=WallClock().now_ms() + SOON_MS,
        condition=bytes(32),
        destination=bob.ilp_address,
    )
    sender = bob if is_ours else account("alice")

    rejected(
        await linked.link.send(OutgoingRequest(sender, bob, packet, 0, packet.expires_at_ms)),
        code,
    )

    history = linked.states.history(bob.id)
    counted = (history.unreachable_in_row, history.unclear_in_row)
    assert counted == ((1, 0) if is_ours else (0, 1))


@pytest.mark.logs_warning
async def test_no_answer_before_the_expiry_is_r00_and_a_late_one_is_told_once(
    peering: Peering, linking: Linking
) -> None:
    gate = asyncio.Event()

    async def answers_late(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        await gate.wait()
        writer.write(http(FULFILL))

    peer, linked = await peering(answers_late), linking()
    bob = bob_at(peer.url)
    loop = asyncio.get_running_loop()
    started = loop.time()
    request = linked.request(bob, prepare(expires_in_ms=SOON_MS))

    rejected(await linked.link.send(request), "R00")

    assert SOON_MS / 1000 - 0.01 < loop.time() - started < 10
    assert request.left_open
    assert linked.late == []
    assert linked.link.in_flight == 1
    gate.set()
    await until(lambda: len(linked.late) == 1)
    assert isinstance(linked.late[0], Fulfill)
    assert isinstance(await linked.send(bob), Fulfill)
    assert peer.connections == 1
    assert len(linked.late) == 1


@pytest.mark.logs_warning
async def test_a_short_expiry_is_kept_on_a_connection_that_had_a_long_one(
    peering: Peering, linking: Linking
) -> None:
    async def answers_the_first(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        if len(peer.bodies) == 1:
            writer.write(http(FULFILL))

    peer, linked = await peering(answers_the_first), linking()
    await linked.send(bob_at(peer.url), prepare(expires_in_ms=30_000))
    loop = asyncio.get_running_loop()
    started = loop.time()

    rejected(await linked.send(bob_at(peer.url), prepare(expires_in_ms=SOON_MS)), "R00")

    assert loop.time() - started < 10
    assert peer.connections == 1


@pytest.mark.logs_warning
async def test_when_no_late_answer_comes_either_that_is_told_too(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(says_nothing), linking(HttpLinkLimits(late_seconds=0.05))

    rejected(await linked.send(bob_at(peer.url), prepare(expires_in_ms=SOON_MS)), "R00")
    await until(lambda: len(linked.late) == 1)

    rejected(linked.late[0], "R00")
    await until(lambda: linked.link.connections == 0)
    assert len(linked.late) == 1


@pytest.mark.logs_warning
async def test_a_connection_that_dies_after_the_expiry_is_told_as_a_reject(
    peering: Peering, linking: Linking
) -> None:
    gate = asyncio.Event()

    async def dies(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        await gate.wait()
        reset(writer)

    peer, linked = await peering(dies), linking()

    rejected(await linked.send(bob_at(peer.url), prepare(expires_in_ms=SOON_MS)), "R00")
    gate.set()
    await until(lambda: len(linked.late) == 1)

    rejected(linked.late[0], "T01")


@pytest.mark.logs_warning
async def test_an_answer_in_pieces_that_ends_late_is_late(
    peering: Peering, linking: Linking
) -> None:
    gate = asyncio.Event()

    async def stops_half_way(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        octets = http(FULFILL)
        writer.write(octets[:-10])
        await gate.wait()
        writer.write(octets[-10:])

    peer, linked = await peering(stops_half_way), linking()

    rejected(await linked.send(bob_at(peer.url), prepare(expires_in_ms=SOON_MS)), "R00")
    gate.set()
    await until(lambda: len(linked.late) == 1)

    assert isinstance(linked.late[0], Fulfill)


async def test_a_caller_that_is_cancelled_is_told_the_answer_as_a_late_one(
    peering: Peering, linking: Linking
) -> None:
    gate = asyncio.Event()

    async def waits(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        await gate.wait()
        writer.write(http(FULFILL))

    peer, linked = await peering(waits), linking()
    sending = asyncio.get_running_loop().create_task(linked.send(bob_at(peer.url)))
    await until(lambda: bool(peer.bodies))

    sending.cancel()
    await asyncio.wait([sending])
    gate.set()
    await until(lambda: len(linked.late) == 1)

    assert isinstance(linked.late[0], Fulfill)


@pytest.mark.logs_warning
async def test_a_peer_that_never_answers_holds_up_nobody_else(
    peering: Peering, linking: Linking
) -> None:
    silent, brisk = await peering(says_nothing), await peering(fulfills)
    linked = linking(HttpLinkLimits(connections_max=4))
    carol = account("carol", ilp_over_http_url=brisk.url)
    stuck = [
        asyncio.get_running_loop().create_task(linked.send(bob_at(silent.url)))
        for _ in range(8)
    ]
    await until(lambda: len(silent.bodies) == 4)

    for _ in range(20):
        assert isinstance(await linked.send(carol), Fulfill)

    await linked.link.close(0)
    for task in stuck:
        rejected(await task, "T01")


async def test_a_packet_that_has_expired_is_not_sent(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking()

    rejected(await linked.send(bob_at(peer.url), prepare(expires_in_ms=-1)), "R02")

    assert peer.bodies == []


async def test_closing_waits_for_the_answers_that_are_due(
    peering: Peering, linking: Linking
) -> None:
    gate = asyncio.Event()

    async def waits(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> None:
        await gate.wait()
        writer.write(http(FULFILL))

    peer, linked = await peering(waits), linking()
    loop = asyncio.get_running_loop()
    sending = loop.create_task(linked.send(bob_at(peer.url)))
    await until(lambda: bool(peer.bodies))

    closing = loop.create_task(linked.link.close(5))
    await asyncio.sleep(0)
    rejected(await linked.send(bob_at(peer.url)), "T01")
    gate.set()

    assert isinstance(await sending, Fulfill)
    await closing
    assert linked.link.connections == 0


# --- Where to


async def test_an_account_without_a_url_cannot_be_sent_to(linking: Linking) -> None:
    linked = linking()

    rejected(await linked.send(bob_at(None)), "F02")
    (step,) = await linked.link.explain(linked.request(bob_at(None), prepare()))
    assert step.verdict is Verdict.REJECTS
    assert "no ILP-over-HTTP URL" in step.sentence


@pytest.mark.parametrize(
    "url", ["ilp+foo://us:the-password@peer.example/?key=the-password", "us:the-password@peer"]
)
async def test_a_password_in_a_url_that_cannot_be_posted_to_is_told_nobody(
    linking: Linking, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    linked, bob = linking(), bob_at(url)

    sentence = rejected(await linked.send(bob), "F02")

    (step,) = await linked.link.explain(linked.request(bob, prepare()))
    for text in (sentence, step.sentence, linked.states.state(bob)[1], caplog.text):
        assert "the-password" not in text
    assert "peer" in step.sentence


async def test_explaining_names_the_url_and_sends_nothing(
    peering: Peering, linking: Linking
) -> None:
    peer, linked = await peering(fulfills), linking()

    (step,) = await linked.link.explain(linked.request(bob_at(peer.url), prepare()))

    assert step.verdict is Verdict.SENDS
    assert peer.url in step.sentence
    assert peer.connections == 0


@pytest.mark.parametrize(
    ("url", "host", "port", "line", "shown"),
    [
        ("http://peer.example", "peer.example", 80, "POST / HTTP/1.1", "Host: peer.example"),
        (
            "https://peer.example/a?b=c#d",
            "peer.example",
            443,
            "POST /a?b=c",
            "Host: peer.example",
        ),
        (
            "http://Peer.Example:8080/x",
            "peer.example",
            8080,
            "POST /x",
            "Host: peer.example:8080",
        ),
        ("http://[::1]:7770/x", "::1", 7770, "POST /x", "Host: [::1]:7770"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, "POST /", "Host: xn--bcher"),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, line: str, shown: str) -> None:
    target = Target.of(url, "token")

    assert (target.host, target.port, target.is_tls) == (host, port, url.startswith("https"))
    head = target.head.decode()
    assert head.startswith(line)
    assert shown in head


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("", None), ("peer.example", None), ("ftp://peer.example", None), ("http://", None),
        ("http://peer:99999/", None), ("http://peer/a b", None), ("http://[::1/", None),
        ("http://peer/\r\nX: y", None), ("http://user:secret@peer/", None),
        ("http://peer/", "a\r\nX: y"), ("http://peer/", "tökën"), ("http://peer/ü", None),
        ("http://" + "x" * 70 + ".example/", None),
    ],
)  # fmt: skip
async def test_a_url_or_token_that_cannot_be_sent_is_refused(
    linking: Linking, url: str, token: str | None
) -> None:
    with pytest.raises(SettingError):
        Target.of(url, token)
    bob = account(
        "bob",
        ilp_over_http_url=url,
        ilp_over_http_outgoing_token=None if token is None else Secret(token),
    )

    rejected(await linking().send(bob), "F02")


def test_https_is_verified_and_at_least_tls_1_2() -> None:
    clock = WallClock()
    link = HttpLink(
        clock=clock, address=NodeAddress(address("test.node")), states=LinkStates(clock)
    )

    tls = link.tls()

    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert tls.check_hostname
    assert tls.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("name", "is_trusted", "words"),
    [
        ("localhost", True, None),
        pytest.param(
            "localhost", False, "certificate is not valid", marks=pytest.mark.logs_warning
        ),
        pytest.param(
            "elsewhere.example",
            True,
            "certificate is not valid",
            marks=pytest.mark.logs_warning,
        ),
    ],
)
async def test_a_packet_goes_only_to_whom_the_certificate_names(
    tmp_path: Path, name: str, is_trusted: bool, words: str | None
) -> None:
    cert_file, key_file = certificate(tmp_path, name)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(cert_file, key_file)
    bodies = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.split("Content-Length: ")[1].split("\r\n")[0])
        bodies.append(await reader.readexactly(length))
        writer.write(http(FULFILL))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=served)
    port = server.sockets[0].getsockname()[1]
    clock = WallClock()
    states = LinkStates(clock)
    link = HttpLink(
        clock=clock,
        address=NodeAddress(address("test.node")),
        states=states,
        tls=ssl.create_default_context(cafile=cert_file if is_trusted else None),
    )
    bob = bob_at(f"https://localhost:{port}/ilp")
    packet = prepare()

    reply = await link.send(OutgoingRequest(bob, bob, packet, 7, packet.expires_at_ms))

    if words is None:
        assert isinstance(reply, Fulfill)
    else:
        assert rejected(reply, "T01") == "bob cannot be reached."
        assert words in states.history(bob.id).reason
        assert bodies == []
    await link.close(0)
    server.close()
