"""Other sides that do not behave, or go away: bounded, with a reason, and nobody else suffers."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

import pytest

from core.account import Account, Secret
from core.control.views import LinkState
from core.links.btp import link, packet as btp, websocket as ws
from core.links.btp.packet import BtpPacket, SubProtocol
from core.links.http_connection import HttpLimits
from core.links.http_message import parse_request_head
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, parse_reply
from core.service import IncomingRequest, OutgoingRequest
from tests.core.links.btp.conftest import (
    QUICK,
    Listening,
    Scene,
    Setting,
    Socket,
    bob_at,
    ilp,
    login,
    until,
)
from tests.core.links.conftest import FULFILLMENT, Wire, prepare

FULFILL = bytes(Fulfill.build(FULFILLMENT).octets)
SOON_MS = 300


def rejected(reply: Reply, code: str) -> str:
    assert isinstance(reply, Reject)
    assert reply.code.decode() == code, reply
    assert reply.message
    return reply.message


def sending(scene: Scene, username: str = "alice", data: bytes = b"x") -> asyncio.Task[Reply]:
    packet = prepare(data)
    loop = asyncio.get_running_loop()
    return loop.create_task(scene.send(scene.accounts[username], packet))


async def works(scene: Scene, username: str) -> None:
    """Let another peer send a packet and get its answer."""
    path = f"/accounts/{username}/ilp/btp"
    socket = await scene.log_in(path, f"{username}-token")
    await socket.say(ilp(btp.MESSAGE, 1, prepare(b"fine").octets))
    assert (await socket.hear()).kind == btp.RESPONSE
    await socket.ws.close()


# --- Who it is


@pytest.mark.logs_warning
async def test_a_peer_with_an_old_token_is_shown_until_it_connects(scene: Scene) -> None:
    alice = scene.accounts["alice"]
    assert scene.states.state(alice) == (LinkState.NEVER, "It has not connected over BTP yet.")
    socket = await scene.dial()
    await socket.say(login("old"))
    await socket.ends()

    state, reason = scene.states.state(alice)
    assert state is LinkState.NEVER
    assert "wrong token" in reason
    assert not scene.states.is_gone(alice)
    connected = await scene.log_in()
    assert scene.states.state(alice)[0] is LinkState.UP
    await connected.ws.close()


@pytest.mark.logs_warning
@pytest.mark.parametrize(
    ("path", "token", "username"),
    [
        ("/accounts/alice/ilp/btp", "wrong", None),
        ("/accounts/alice/ilp/btp", "", None),
        ("/accounts/bob/ilp/btp", "a-token", None),
        ("/accounts/nobody/ilp/btp", "a-token", None),
        ("/", "a-token", "bob"),
        ("/", "\N{PILE OF POO}" * 100, None),
    ],
)
async def test_a_forged_login_is_refused_with_a_sentence_and_the_end(
    scene: Scene, path: str, token: str, username: str | None
) -> None:
    scene.account("bob", "bob-token")
    socket = await scene.dial(path)
    await socket.say(login(token, username))

    answer = await socket.hear()

    assert answer.error is not None
    assert answer.error.code == "F00"
    assert b"not the one that this node's operator has set" in answer.error.data
    assert (await socket.ends())[0] == ws.POLICY
    assert not scene.link.is_connected(scene.accounts["alice"].id)
    await works(scene, "bob")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("a-guess", marks=pytest.mark.logs_warning),
        pytest.param("", marks=pytest.mark.logs_warning),
        "bob-token",
    ],
)
async def test_whoever_says_once_more_who_it_is_and_is_not_gets_an_error_and_the_end(
    scene: Scene, token: str
) -> None:
    scene.account("bob", "bob-token")
    socket = await scene.log_in("/")
    await socket.say(login("a-token", request_id=8))
    assert await socket.hear() == BtpPacket(btp.RESPONSE, 8)

    await socket.say(login(token, request_id=9))

    answer = await socket.hear()
    assert answer.error is not None
    assert (answer.request_id, answer.error.code) == (9, "F00")
    assert (await socket.ends())[0] == ws.POLICY
    await until(lambda: not scene.link.is_connected(scene.accounts["alice"].id))
    assert not scene.link.is_connected(scene.accounts["bob"].id)


async def test_whoever_says_who_it_is_again_and_again_is_let_go(setting: Setting) -> None:
    scene = await setting(replace(QUICK, idle_max=20))
    socket = await scene.log_in()

    for number in range(30):
        await socket.say(login("a-token", request_id=number))

    code, reason = await socket.ends()
    assert (code, "say once more who it is" in reason) == (ws.POLICY, True)


async def test_a_paused_account_is_told_so(scene: Scene) -> None:
    scene.put(replace(scene.accounts["alice"], enabled=False))
    socket = await scene.dial()
    await socket.say(login("a-token"))

    answer = await socket.hear()

    assert answer.error is not None
    assert b"paused" in answer.error.data


async def test_a_packet_before_the_login_is_refused_and_never_reaches_the_chain(
    scene: Scene,
) -> None:
    socket = await scene.dial()
    await socket.say(ilp(btp.MESSAGE, 3, prepare().octets))

    answer = await socket.hear()

    assert (answer.kind, answer.request_id) == (btp.ERROR, 3)
    await socket.ends()
    assert scene.chain.seen == []


async def test_a_connection_that_does_not_say_who_it_is_is_closed(setting: Setting) -> None:
    scene = await setting(replace(QUICK, handshake_seconds=0.1))
    socket = await scene.dial()

    assert (await socket.ends())[0] == ws.POLICY
    await until(lambda: scene.link.connections == 0)


async def test_of_too_many_half_open_handshakes_the_oldest_go_and_a_peer_still_gets_through(
    setting: Setting,
) -> None:
    scene = await setting(replace(QUICK, half_open_max=20))
    scene.account("bob", "bob-token")
    half_open = [await scene.dial() for _ in range(100)]

    await until(lambda: scene.link.half_open == 20)
    assert scene.link.connections <= 21
    await works(scene, "bob")

    for socket in half_open[:80]:
        await socket.ends()
    await half_open[-1].say(login("a-token"))
    assert (await half_open[-1].hear()).kind == btp.RESPONSE


async def test_one_host_takes_no_half_open_place_from_another(setting: Setting) -> None:
    scene = await setting(replace(QUICK, half_open_max=10))

    def half_open(host: str) -> asyncio.Protocol:
        asked = ws.upgrade_request(host="x", target="/", key=ws.new_key())
        connection = scene.link.accept(parse_request_head(asked))
        assert connection is not None
        connection.connection_made(Wire(host))
        connection.data_received(asked)
        return connection

    quiet = half_open("192.0.2.1")
    for number in range(100):
        half_open(f"2001:db8::{number:x}")

    assert scene.link.half_open == 10
    quiet.data_received(frame(login("a-token")))
    assert scene.link.is_connected(scene.accounts["alice"].id)


async def test_peers_behind_one_proxy_are_as_many_as_there_are(setting: Setting) -> None:
    scene = await setting(http_limits=HttpLimits(connections_per_address_max=2))

    sockets = [await scene.log_in() for _ in range(5)]

    assert scene.front.connections == 0
    for socket in sockets:
        await socket.ws.close()


async def test_one_host_fills_no_log(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    for _ in range(50):
        socket = await scene.dial()
        await socket.say(b"no login")
        await socket.ends()
        peer = await scene.log_in()
        await peer.say(b"junk")
        await peer.ws.close()
        await until(lambda: not scene.link.is_connected(scene.accounts["alice"].id))

    assert 1 <= sum("what came first is no BTP" in line for line in caplog.messages) <= 10
    assert 1 <= sum("is connected over BTP" in line for line in caplog.messages) <= 10
    assert len(caplog.messages) < 40


async def test_more_connections_than_an_account_may_have_close_its_oldest(
    setting: Setting,
) -> None:
    scene = await setting(replace(QUICK, connections_per_account_max=2))
    sockets = [await scene.log_in() for _ in range(3)]

    assert (await sockets[0].ends())[0] == ws.POLICY
    reply = sending(scene)
    heard = [asyncio.get_running_loop().create_task(socket.hear()) for socket in sockets[1:]]
    done, _ = await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)
    asked = done.pop().result()
    for number, task in enumerate(heard):
        if task.done():
            await sockets[1 + number].say(ilp(btp.RESPONSE, asked.request_id, FULFILL))
        else:
            task.cancel()
    assert isinstance(await reply, Fulfill)
    assert "by 2 connections" in scene.states.state(scene.accounts["alice"])[1]


# --- Several connections


async def test_replies_go_back_on_the_connection_that_asked_and_packets_to_the_less_busy(
    scene: Scene,
) -> None:
    one, two = await scene.log_in(), await scene.log_in()
    await one.say(ilp(btp.MESSAGE, 1, prepare(b"from one").octets))
    await two.say(ilp(btp.MESSAGE, 1, prepare(b"from two").octets))
    for socket, data in ((one, b"from one"), (two, b"from two")):
        reply = parse_reply((await socket.hear()).entries[0].data)
        assert bytes(reply.data) == data

    replies = [sending(scene, data=b"%d" % number) for number in range(4)]
    for socket in (one, two):
        for _ in range(2):
            asked = await socket.hear()
            await socket.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))
    assert all([isinstance(await reply, Fulfill) for reply in replies])

    await one.ws.close()
    await until(lambda: scene.link.connections == 1)
    last = sending(scene)
    asked = await two.hear()
    await two.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))
    assert isinstance(await last, Fulfill)


async def test_one_connection_cannot_answer_for_another(scene: Scene) -> None:
    scene.account("mallory", "mallory-token")
    alice = await scene.log_in()
    mallory = await scene.log_in("/accounts/mallory/ilp/btp", "mallory-token")
    reply = sending(scene)
    asked = await alice.hear()

    await mallory.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))
    await mallory.say(ilp(btp.MESSAGE, 1, prepare(b"after it").octets))
    await mallory.hear()

    assert not reply.done()
    await alice.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))
    assert isinstance(await reply, Fulfill)


# --- Answers that are none, or late


@pytest.mark.logs_warning
@pytest.mark.parametrize(
    ("answer", "code", "words", "is_open"),
    [
        (BtpPacket(btp.RESPONSE, 0), "T00", "without an ILP packet", True),
        (ilp(btp.RESPONSE, 0, b"garbage"), "T00", "no ILP reply", True),
        (ilp(btp.RESPONSE, 0, FULFILL[:-1]), "T00", "no ILP reply", True),
        (
            BtpPacket(
                btp.ERROR, 0, error=btp.BtpError("F00", "NotAcceptedError", 1, b"no way")
            ),
            "T00",
            "F00 NotAcceptedError: no way",
            False,
        ),
        (
            BtpPacket(btp.ERROR, 0, error=btp.BtpError("T00", "UnreachableError", 1, b"")),
            "T01",
            "T00 UnreachableError",
            False,
        ),
    ],
)
async def test_an_answer_that_is_none_becomes_a_reject_with_a_sentence(
    scene: Scene, answer: BtpPacket, code: str, words: str, is_open: bool
) -> None:
    socket = await scene.log_in()
    request = scene.request(scene.accounts["alice"])
    task = asyncio.get_running_loop().create_task(scene.link.send(request))
    asked = await socket.hear()

    await socket.say(replace(answer, request_id=asked.request_id))

    said = "answered with what is no ILP packet" if is_open else "did not take the packet"
    assert rejected(await task, code) == f"alice {said}."
    assert request.left_open is is_open
    assert len(scene.late) == is_open
    history = scene.states.history(scene.accounts["alice"].id)
    assert words in history.reason, "what exactly it was is for our operator alone"
    assert (history.unreachable_in_row, history.unclear_in_row) == (0, 0), "it is there"


@pytest.mark.logs_warning
async def test_what_is_not_answered_in_time_is_r00_and_a_late_answer_goes_to_the_books(
    scene: Scene,
) -> None:
    socket = await scene.log_in()
    started = time.monotonic()
    request = scene.request(scene.accounts["alice"], prepare(expires_in_ms=SOON_MS))

    reply = await scene.link.send(request)

    assert "did not answer before the packet expired" in rejected(reply, "R00")
    assert time.monotonic() - started >= SOON_MS / 1000 - 0.02
    assert request.left_open
    assert scene.late == []
    asked = await socket.hear()
    await socket.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))
    await until(lambda: bool(scene.late))
    (late,) = scene.late
    assert isinstance(late, Fulfill)
    await socket.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))
    await works_as_alice(socket)
    assert len(scene.late) == 1


async def works_as_alice(socket: Socket) -> None:
    await socket.say(ilp(btp.MESSAGE, 999, prepare(b"still").octets))
    assert (await socket.hear()).request_id == 999


@pytest.mark.logs_warning
async def test_what_is_never_answered_is_given_up_with_r00(setting: Setting) -> None:
    scene = await setting(replace(QUICK, late_seconds=0.1))
    socket = await scene.log_in()

    reply = await scene.send(scene.accounts["alice"], prepare(expires_in_ms=SOON_MS))

    rejected(reply, "R00")
    await until(lambda: bool(scene.late))
    rejected(scene.late[0], "R00")
    await socket.ws.close()


@pytest.mark.logs_warning
async def test_a_connection_that_breaks_leaves_what_was_sent_open_and_what_was_late_too(
    scene: Scene,
) -> None:
    socket = await scene.log_in()
    over = scene.request(scene.accounts["alice"], prepare(expires_in_ms=SOON_MS))
    rejected(await scene.link.send(over), "R00")
    request = scene.request(scene.accounts["alice"])
    task = asyncio.get_running_loop().create_task(scene.link.send(request))
    await socket.hear()
    await socket.hear()

    await socket.ws.close(code=1001, message=b"bye")

    message = rejected(await task, "T01")
    assert message == "The connection to alice ended before it had answered."
    assert request.left_open
    assert [rejected(reply, "T01") for reply in scene.late] == [message, message]
    state, reason = scene.states.state(scene.accounts["alice"])
    assert state is LinkState.DEGRADED
    assert reason == "It closed the connection with 1001: bye. It has to connect again."


async def test_an_account_that_is_not_connected_is_t01_at_once(scene: Scene) -> None:
    reply = await scene.send(scene.accounts["alice"])

    assert rejected(reply, "T01") == "alice is not connected over BTP."


async def test_a_packet_that_has_expired_is_not_sent(scene: Scene) -> None:
    socket = await scene.log_in()

    reply = await scene.send(scene.accounts["alice"], prepare(expires_in_ms=-1))

    rejected(reply, "R02")
    await socket.ws.close()


@pytest.mark.logs_warning
async def test_no_more_packets_are_under_way_on_a_connection_than_may_be(
    setting: Setting,
) -> None:
    scene = await setting(replace(QUICK, in_flight_max=3))
    socket = await scene.log_in()
    waiting = [sending(scene) for _ in range(3)]
    for _ in range(3):
        await socket.hear()

    assert "wait for an answer of alice already" in rejected(
        await scene.send(scene.accounts["alice"]), "T03"
    )

    await scene.link.close(0)
    for task in waiting:
        rejected(await task, "T01")


@pytest.mark.logs_warning
async def test_a_question_of_ours_has_room_where_packets_of_others_have_none_left(
    setting: Setting,
) -> None:
    """Else a receiver that keeps packets unanswered would let the peer hear nothing of us, and seem gone."""
    scene = await setting(replace(QUICK, in_flight_max=20))
    socket = await scene.log_in()
    waiting = [sending(scene) for _ in range(18)]
    for _ in waiting:
        await socket.hear()
    rejected(await scene.send(scene.accounts["alice"]), "T03")

    alice = scene.accounts["alice"]
    packet = Prepare.build(
        amount=0,
        expires_at_ms=prepare().expires_at_ms,
        condition=bytes(32),
        destination=alice.ilp_address,
    )
    question = asyncio.get_running_loop().create_task(
        scene.link.send(OutgoingRequest(alice, alice, packet, 0, packet.expires_at_ms))
    )
    asked = await socket.hear()
    await socket.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))

    assert isinstance(await question, Fulfill)
    await scene.link.close(0)
    for task in waiting:
        rejected(await task, "T01")


async def test_a_peer_may_not_have_more_under_way_than_a_connection_takes(
    setting: Setting,
) -> None:
    scene = await setting(replace(QUICK, in_flight_max=3))
    scene.chain.gate.clear()
    socket = await scene.log_in()
    for number in range(5):
        await socket.say(ilp(btp.MESSAGE, number, prepare(b"%d" % number).octets))

    for number in (3, 4):
        answer = await socket.hear()
        assert answer.request_id == number
        rejected(parse_reply(answer.entries[0].data), "T03")
    scene.chain.gate.set()
    assert {(await socket.hear()).request_id for _ in range(3)} == {0, 1, 2}


# --- Packets that mean nothing


async def test_garbage_and_answers_to_nothing_are_not_answered_and_do_no_harm(
    scene: Scene,
) -> None:
    socket = await scene.log_in()
    for octets in (b"", b"\x00" * 100, b"\x06", BtpPacket(btp.RESPONSE, 1).encode()):
        await socket.say(octets)
    await socket.say(ilp(btp.RESPONSE, 1, FULFILL))
    await socket.ws.send_str("text")

    await works_as_alice(socket)


async def test_what_is_no_prepare_is_answered_with_f01(scene: Scene) -> None:
    socket = await scene.log_in()
    for packet in (b"garbage", b"\x0c\x00", bytes(prepare().octets)[:-1]):
        await socket.say(ilp(btp.MESSAGE, 5, packet))

        answer = await socket.hear()

        assert answer.kind == btp.RESPONSE
        assert "no ILP Prepare" in rejected(parse_reply(answer.entries[0].data), "F01")


MASKED_BINARY = bytes((0x82, 0x80, 1, 2, 3, 4))
"""An empty message, which is no BTP packet."""
FRAMES = ws.FrameWriter(is_server=False)


def frame(packet: BtpPacket) -> bytes:
    return FRAMES.frame(packet.encode())


@pytest.mark.parametrize(
    ("piece", "what"),
    [
        (b"\x89\x80abcd", "pings and pongs"),
        (b"\x8a\x80abcd", "pings and pongs"),
        (b"\x00\x80abcd", "next to nothing"),
        (MASKED_BINARY, "what came is no BTP packet"),
        (FRAMES.frame(b"\x09\x00\x00\x00\x01\x01\x00"), "there is no BTP packet of type 9"),
        (b"\x81\x80abcd", "a text frame came"),
        (frame(ilp(btp.RESPONSE, 1, FULFILL)), "which is not under way"),
        (frame(ilp(btp.MESSAGE, 1, b"\x0cgarbage")), "what is no ILP Prepare"),
        (frame(BtpPacket(btp.MESSAGE, 1)), "messages without an ILP packet"),
        (frame(BtpPacket(btp.TRANSFER, 1, amount=1)), "messages without an ILP packet"),
    ],
    # Masks are chosen by chance, and names of tests are not.
    ids=[
        "pings", "pongs", "scraps", "empty", "type", "text", "answers", "prepares", "messages", "transfers",
    ],
)  # fmt: skip
async def test_a_flood_of_what_is_no_packet_ends_with_the_reason(
    setting: Setting, piece: bytes, what: str
) -> None:
    scene = await setting(replace(QUICK, idle_max=50))
    scene.account("bob", "bob-token")
    _, writer = await raw(scene)
    alice = scene.accounts["alice"].id
    if piece[0] == 0:
        writer.write(b"\x02\x80abcd")

    writer.write(piece * 60)

    await until(lambda: not scene.link.is_connected(alice))
    problem = scene.states.btp(alice).problem
    assert "It sent more than 50 frames in a second that carry no packet, at last" in problem
    assert what in problem
    await works(scene, "bob")


async def test_a_stranger_has_less_to_say_before_it_says_who_it_is(scene: Scene) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.front.port)
    scene.writers.append(writer)
    writer.write(ws.upgrade_request(host="x", target="/", key=ws.new_key()))
    await reader.readuntil(b"\r\n\r\n")

    writer.write(b"\x89\x80abcd" * 20)

    async with asyncio.timeout(10):
        assert b"more than 16 frames in a second" in await reader.read()


async def test_of_many_pings_at_once_few_are_answered_the_last_among_them(
    setting: Setting,
) -> None:
    scene = await setting(replace(QUICK, frames_at_once=10))
    reader, writer = await raw(scene)
    pings = [FRAMES.frame(b"%03d" % number, ws.PING) for number in range(500)]

    writer.write(b"".join(pings))

    pongs: list[bytes] = []
    replies = ws.FrameReader(is_server=False, octets_max=1000, frames_max=1000)
    async with asyncio.timeout(10):
        while b"499" not in pongs:
            pongs += [
                payload
                for kind, payload in replies.feed(await reader.read(1000))
                if kind == ws.PONG
            ]
    assert len(pongs) <= 2 * scene.link.limits.pongs_max
    assert pongs == sorted(pongs)


def wired(scene: Scene) -> tuple[asyncio.Protocol, Wire]:
    """Return a connection of alice's whose octets a test hands over itself, so that it can count turns."""
    asked = ws.upgrade_request(host="x", target="/", key=ws.new_key())
    connection = scene.link.accept(parse_request_head(asked))
    assert connection is not None
    wire = Wire()
    connection.connection_made(wire)
    connection.data_received(asked)
    connection.data_received(frame(login("a-token")))
    return connection, wire


async def test_what_comes_at_once_is_read_in_slices_and_others_have_their_turns(
    setting: Setting,
) -> None:
    scene = await setting(replace(QUICK, frames_at_once=16))
    connection, wire = wired(scene)
    packet = frame(ilp(btp.MESSAGE, 1, prepare(b"x").octets))
    turns: list[int] = []

    connection.data_received(packet * 500)
    connection.data_received(packet * 100)  # as from a transport that does not stop at once
    while len(scene.chain.seen) < 600:
        assert wire.is_paused or len(scene.chain.seen) >= 600 - 2 * 16
        before = len(scene.chain.seen)
        await asyncio.sleep(0)
        turns.append(len(scene.chain.seen) - before)

    assert max(turns) <= 16
    assert not wire.is_paused
    connection.connection_lost(None)


async def test_pings_of_a_whole_read_are_not_worked_off_in_one_turn(setting: Setting) -> None:
    scene = await setting(replace(QUICK, frames_at_once=16, idle_max=160))
    connection, wire = wired(scene)
    alice = scene.accounts["alice"].id
    wire.written.clear()
    turns = 0

    connection.data_received(b"\x89\x80abcd" * 40_000)
    while scene.link.is_connected(alice):
        turns += 1
        await asyncio.sleep(0)

    assert turns >= 10
    assert wire.written.count(b"\x8a\x00") <= scene.link.limits.pongs_max
    connection.connection_lost(None)


async def test_a_peer_that_does_not_read_is_not_read_on_from_what_has_come(
    setting: Setting,
) -> None:
    scene = await setting(replace(QUICK, frames_at_once=16))
    connection, wire = wired(scene)
    packet = frame(ilp(btp.MESSAGE, 1, prepare(b"x").octets))

    connection.data_received(packet * 100)
    connection.pause_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(scene.chain.seen) == 16

    for _ in range(9):  # however often it begins to read again
        connection.resume_writing()
        connection.pause_writing()
    connection.resume_writing()
    while len(scene.chain.seen) < 100:
        before = len(scene.chain.seen)
        await asyncio.sleep(0)
        assert len(scene.chain.seen) - before <= 16
    await until(lambda: not wire.is_paused)
    connection.connection_lost(None)


async def test_a_message_that_is_too_large_ends_the_connection(scene: Scene) -> None:
    socket = await scene.log_in()
    await socket.say(ilp(btp.MESSAGE, 1, bytes(70_000)))

    code, reason = await socket.ends()

    assert code == ws.TOO_BIG
    assert "65536 octets" in reason


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (ws.upgrade_request(host="x", target="/", key=b"x"), b"16 octets"),
        (
            ws.upgrade_request(host="x", target="/", key=b"x").replace(b"13", b"8"),
            b"13 of the WebSocket protocol",
        ),
    ],
)
async def test_a_websocket_that_cannot_be_is_refused_with_the_reason(
    scene: Scene, octets: bytes, answer: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.front.port)
    writer.write(octets)

    said = await reader.read()

    assert said.startswith(b"HTTP/1.1 400")
    assert answer in said
    writer.close()


async def raw(scene: Scene) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection that has logged in as alice, octet by octet."""
    state = scene.states.btp(scene.accounts["alice"].id)
    before = state.connections
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.front.port)
    scene.writers.append(writer)
    writer.write(ws.upgrade_request(host="x", target="/", key=ws.new_key()))
    await reader.readuntil(b"\r\n\r\n")
    for octet in ws.FrameWriter(is_server=False).frame(login("a-token").encode()):
        writer.write(bytes((octet,)))
        await asyncio.sleep(0)
    await until(lambda: state.connections > before)
    return reader, writer


async def test_a_frame_that_does_not_end_ends_the_connection(setting: Setting) -> None:
    scene = await setting(replace(QUICK, frame_seconds=0.1))
    _, writer = await raw(scene)

    writer.write(b"\x82\xfe\x10\x00" + bytes(100))

    await until(lambda: not scene.link.is_connected(scene.accounts["alice"].id))
    assert "did not end within" in scene.states.btp(scene.accounts["alice"].id).problem
    writer.close()


async def test_a_peer_that_is_not_there_any_more_is_found_out_by_a_ping(
    setting: Setting,
) -> None:
    scene = await setting(replace(QUICK, ping_seconds=0.1, pong_seconds=0.1))
    lively = await scene.log_in()
    hearing = asyncio.get_running_loop().create_task(lively.ws.receive())
    _, writer = await raw(scene)
    alice = scene.accounts["alice"].id
    assert scene.states.btp(alice).connections == 2

    await until(lambda: scene.states.btp(alice).connections == 1)

    await asyncio.sleep(0.3)
    assert scene.states.btp(alice).connections == 1
    hearing.cancel()
    writer.close()


async def test_a_peer_that_does_not_read_is_not_read_and_then_closed_and_others_go_on(
    setting: Setting,
) -> None:
    scene = await setting(
        replace(QUICK, unsent_octets_max=50_000, write_seconds=0.3, in_flight_max=100_000)
    )
    scene.account("bob", "bob-token")
    _, writer = await raw(scene)
    alice = scene.accounts["alice"].id
    frames = ws.FrameWriter(is_server=False)
    data = bytes(30_000)
    packet = ilp(btp.MESSAGE, 1, prepare(data).octets).encode()
    for _ in range(600):
        writer.write(frames.frame(packet))

    async with asyncio.timeout(20):
        while scene.link.is_connected(alice):
            await works(scene, "bob")

    assert "It read nothing for 0.3 seconds." in scene.states.btp(alice).problem
    writer.transport.abort()


async def test_a_slow_packet_of_one_peer_holds_up_no_other_of_it_nor_of_others(
    scene: Scene, listening: Listening
) -> None:
    async def never_answers(socket: Socket) -> None:
        await socket.ends()

    listener = await listening(never_answers)
    bob = bob_at(scene, listener.url)
    await until(lambda: scene.link.is_connected(bob.id))
    stuck = sending(scene, "bob")
    scene.chain.gate.clear()
    slow = await scene.log_in()
    await slow.say(ilp(btp.MESSAGE, 1, prepare(b"slow").octets))
    await until(lambda: scene.chain.under_way == 1)

    quick = sending(scene)
    asked = await slow.hear()
    await slow.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))
    assert isinstance(await quick, Fulfill)

    scene.chain.gate.set()
    assert (await slow.hear()).request_id == 1
    assert not stuck.done()
    stuck.cancel()


# --- Accounts that change


@pytest.mark.parametrize("change", ["token", "paused", "deleted"])
async def test_a_change_of_the_account_closes_its_connection_at_once(
    scene: Scene, change: str
) -> None:
    socket = await scene.log_in()
    alice = scene.accounts["alice"]

    if change == "token":
        scene.tokens.clear()
        scene.put()
    elif change == "paused":
        scene.put(replace(alice, enabled=False))
    else:
        del scene.accounts["alice"]
        scene.put()

    assert not scene.link.is_connected(alice.id)
    code, reason = await socket.ends()
    assert code == ws.POLICY
    assert (
        reason
        == f"Its {'token was changed' if change == 'token' else f'account was {change}'}."
    )


async def test_a_change_that_is_none_of_its_own_leaves_a_connection_alone(
    scene: Scene,
) -> None:
    socket = await scene.log_in()

    scene.put(replace(scene.accounts["alice"], label="Alice", max_packet_amount=5))
    scene.account("carol", "carol-token")

    await works_as_alice(socket)


async def test_a_new_address_or_token_is_dialled_at_once_and_the_old_one_left(
    scene: Scene, listening: Listening
) -> None:
    ended: list[tuple[int | None, str]] = []

    async def script(socket: Socket) -> None:
        ended.append(await socket.ends())

    old, new = await listening(script), await listening(script)
    bob = bob_at(scene, old.url)
    await until(lambda: scene.link.is_connected(bob.id))

    bob_at(scene, new.url)
    await until(lambda: len(new.logins) == 1 and len(ended) == 1)
    bob_at(scene, new.url, "another")
    await until(lambda: len(new.logins) == 2 and len(ended) == 2)
    await until(lambda: scene.link.is_connected(bob.id))
    scene.put(replace(scene.accounts["bob"], enabled=False))

    await until(lambda: len(ended) == 3)
    assert [reason for _, reason in ended] == [
        "Its address or token was changed.",
        "Its address or token was changed.",
        "Its account was paused.",
    ]
    assert new.logins[1].entries[1].text == "another"
    assert len(old.logins) == 1


# --- Dialling


@pytest.mark.logs_warning
async def test_a_peer_that_is_down_is_dialled_until_it_is_there(
    scene: Scene, listening: Listening
) -> None:
    async def script(socket: Socket) -> None:
        await socket.ends()

    listener = await listening(script)
    port, url = listener.port, listener.url
    await listener.stop()
    bob = bob_at(scene, url)
    await until(lambda: bool(scene.states.btp(bob.id).problem))
    state, reason = scene.states.state(bob)
    assert state is LinkState.DOWN
    assert f"127.0.0.1:{port} cannot be reached: nobody listens there." in reason
    assert rejected(await scene.send(bob), "T01") == "bob is not connected over BTP."

    again = await listening(script, port=port)
    await until(lambda: scene.link.is_connected(bob.id))
    assert scene.states.state(bob) == (LinkState.UP, "Connected over BTP for 0 seconds.")

    await again.stop()
    await until(lambda: not scene.link.is_connected(bob.id))
    assert scene.states.state(bob)[0] is LinkState.DEGRADED
    await listening(script, port=port)
    await until(lambda: scene.link.is_connected(bob.id))


@pytest.mark.logs_warning
async def test_a_peer_that_refuses_our_token_is_shown_with_what_it_said(
    scene: Scene, listening: Listening
) -> None:
    async def script(socket: Socket) -> None:
        return

    listener = await listening(script, accepts=False)
    bob = bob_at(scene, listener.url)

    await until(lambda: bool(scene.states.btp(bob.id).problem))

    problem = scene.states.btp(bob.id).problem
    assert problem == "It does not accept our token: F00 NotAcceptedError: invalid auth_token."
    assert scene.states.state(bob)[0] is LinkState.DOWN
    await until(lambda: len(listener.logins) > 1)


@pytest.mark.logs_warning
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered with HTTP 404"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
        (b"x" * 20_000, "no HTTP"),
        (b"", "did not answer within"),
        (ws.upgrade_response(b"another key", 0), "another request"),
    ],
)
async def test_a_server_that_speaks_no_btp_is_shown_with_what_it_did(
    setting: Setting, answer: bytes, problem: str
) -> None:
    writers = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    scene = await setting(replace(QUICK, handshake_seconds=0.2))
    bob = bob_at(scene, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    await until(lambda: bool(scene.states.btp(bob.id).problem))

    assert problem in scene.states.btp(bob.id).problem
    server.close()
    for writer in writers:
        writer.close()


@pytest.mark.logs_warning
async def test_a_url_that_cannot_be_dialled_is_a_problem_of_its_account_alone(
    scene: Scene,
) -> None:
    bob = bob_at(scene, "btp+http://x")
    carol = scene.account(
        "carol",
        ilp_over_btp_url="wss://user:secret@host",
        ilp_over_btp_outgoing_token=Secret(""),
    )

    assert "cannot be dialled" in scene.states.state(bob)[1]
    assert "does not go into the URL" in scene.states.state(carol)[1]
    await scene.log_in()


# --- The end


async def test_at_the_end_everything_that_came_is_answered_and_everybody_told(
    scene: Scene, listening: Listening
) -> None:
    ended: list[tuple[int | None, str]] = []

    async def script(socket: Socket) -> None:
        ended.append(await socket.ends())

    listener = await listening(script)
    bob = bob_at(scene, listener.url)
    await until(lambda: scene.link.is_connected(bob.id))
    scene.chain.gate.clear()
    socket = await scene.log_in()
    await socket.say(ilp(btp.MESSAGE, 5, prepare(b"slow").octets))
    await until(lambda: scene.chain.under_way == 1)

    await scene.link.close(0)

    answer = await socket.hear()
    assert answer.request_id == 5
    assert "stopped before the next hop" in rejected(parse_reply(answer.entries[0].data), "R00")
    assert await socket.ends() == (ws.GOING_AWAY, "This node is stopping.")
    await until(lambda: bool(ended))
    assert ended == [(ws.GOING_AWAY, "This node is stopping.")]
    rejected(await scene.send(bob), ErrorCode.PEER_UNREACHABLE.value.decode())


@pytest.mark.parametrize(
    "is_booked_in_time", [True, pytest.param(False, marks=pytest.mark.logs_warning)]
)
async def test_while_the_books_are_slow_at_the_end_no_answer_is_given_rather_than_a_wrong_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, is_booked_in_time: bool
) -> None:
    monkeypatch.setattr(link, "_BOOKING_SECONDS", 5 if is_booked_in_time else 0.05)
    begun, cancelled, booked = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(request: IncomingRequest[Account]) -> Reply:
        if bytes(request.prepare.data) == b"quick":
            await asyncio.Event().wait()
        begun.set()
        while not booked.is_set():
            try:
                await booked.wait()
            except asyncio.CancelledError:
                cancelled.set()
        return Fulfill.build(FULFILLMENT)

    monkeypatch.setattr(scene.chain, "handle", handle)
    socket = await scene.log_in()
    await socket.say(ilp(btp.MESSAGE, 4, prepare(b"quick").octets))
    await socket.say(ilp(btp.MESSAGE, 5, prepare(b"slow").octets))
    await begun.wait()

    closing = asyncio.get_running_loop().create_task(scene.link.close(0))
    await cancelled.wait()
    if is_booked_in_time:
        booked.set()
    answers = []
    async with asyncio.timeout(10):
        async for message in socket.ws:
            packet = btp.parse_packet(message.data)
            reply = parse_reply(packet.entries[0].data)
            answers.append((packet.request_id, type(reply)))
    await closing
    booked.set()

    assert answers == ([(5, Fulfill), (4, Reject)] if is_booked_in_time else [(4, Reject)])


async def test_answers_that_are_due_are_waited_for_at_the_end(scene: Scene) -> None:
    socket = await scene.log_in()
    reply = sending(scene)
    asked = await socket.hear()
    closing = asyncio.get_running_loop().create_task(scene.link.close(5))
    await asyncio.sleep(0.05)
    assert not closing.done()

    await socket.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))

    assert isinstance(await reply, Fulfill)
    await socket.ends()
    await closing


async def test_a_reply_to_a_connection_that_is_gone_is_dropped(scene: Scene) -> None:
    scene.chain.gate.clear()
    socket = await scene.log_in()
    await socket.say(ilp(btp.MESSAGE, 5, prepare(b"slow").octets))
    await until(lambda: scene.chain.under_way == 1)

    await socket.ws.close()
    await until(lambda: scene.link.connections == 0)
    scene.chain.gate.set()

    await until(lambda: scene.chain.under_way == 0)
    await asyncio.sleep(0)


@pytest.mark.logs_warning
async def test_a_fault_of_the_chain_is_t00_for_the_peer_and_a_traceback_for_the_log(
    scene: Scene,
) -> None:
    scene.chain.fault = RuntimeError("a bug")
    socket = await scene.log_in()
    await socket.say(ilp(btp.MESSAGE, 5, prepare().octets))

    reply = parse_reply((await socket.hear()).entries[0].data)

    assert rejected(reply, "T00") == "The packet met a fault of this node."


async def test_a_message_of_another_protocol_is_answered_empty(scene: Scene) -> None:
    socket = await scene.log_in()
    await socket.say(BtpPacket(btp.MESSAGE, 5, (SubProtocol("balance", btp.JSON, b"{}"),)))

    assert await socket.hear() == BtpPacket(btp.RESPONSE, 5)
