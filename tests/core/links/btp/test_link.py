"""Packets over BTP, both ways, with sides that behave."""

from __future__ import annotations

import asyncio

from core.control.views import LinkState
from core.links.btp import packet as btp
from core.links.btp.packet import BtpPacket
from core.packet import Fulfill, parse_reply
from tests.core.links.btp.conftest import (
    Listening,
    Scene,
    Setting,
    Socket,
    bob_at,
    ilp,
    login,
    until,
)
from tests.core.links.conftest import FULFILLMENT, prepare

FULFILL = bytes(Fulfill.build(FULFILLMENT, b"thanks").octets)


async def fulfills(socket: Socket) -> None:
    """Answer whatever is asked."""
    async for message in socket.ws:
        asked = btp.parse_packet(message.data)
        await socket.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))


# --- They dial


async def test_a_packet_that_comes_goes_through_the_chain_and_its_reply_goes_back(
    scene: Scene,
) -> None:
    socket = await scene.log_in()

    await socket.say(ilp(btp.MESSAGE, 9, prepare(b"hello").octets))

    answer = await socket.hear()
    assert (answer.kind, answer.request_id) == (btp.RESPONSE, 9)
    reply = parse_reply(answer.entries[0].data)
    assert isinstance(reply, Fulfill)
    assert bytes(reply.data) == b"hello"
    assert scene.chain.seen == [("alice", b"hello")]


async def test_a_packet_for_whom_has_connected_goes_over_its_connection(scene: Scene) -> None:
    socket = await scene.log_in()
    packet = prepare(b"hello")
    sending = asyncio.get_running_loop().create_task(
        scene.send(scene.accounts["alice"], packet)
    )

    asked = await socket.hear()
    assert asked.kind == btp.MESSAGE
    assert asked.entries[0].data == packet.octets
    await socket.say(ilp(btp.RESPONSE, asked.request_id, FULFILL))

    reply = await sending
    assert isinstance(reply, Fulfill)
    assert reply.octets == FULFILL
    state, words = scene.states.state(scene.accounts["alice"])
    assert state is LinkState.UP
    assert words == "Connected over BTP for 0 seconds."


async def test_whoever_is_named_by_its_token_alone_may_dial_any_of_the_short_paths(
    scene: Scene,
) -> None:
    for path in ("/", "/btp", "/ilp/btp"):
        socket = await scene.log_in(path)
        await socket.ws.close()


async def test_the_dialler_says_its_username_or_leaves_it_empty(scene: Scene) -> None:
    for username in ("alice", "", "Alice", "\uff21lice"):
        socket = await scene.dial("/btp")
        await socket.say(login("a-token", username))
        assert (await socket.hear()).kind == btp.RESPONSE


# --- We dial


async def test_a_peer_is_dialled_and_packets_go_both_ways(
    scene: Scene, listening: Listening
) -> None:
    asked: list[BtpPacket] = []

    async def script(socket: Socket) -> None:
        first = await socket.hear()
        asked.append(first)
        await socket.say(ilp(btp.MESSAGE, 1, prepare(b"from bob").octets))
        asked.append(await socket.hear())
        await socket.say(ilp(btp.RESPONSE, first.request_id, FULFILL))
        await fulfills(socket)

    listener = await listening(script)
    bob = bob_at(scene, listener.url.replace("127", "node@127"))
    await until(lambda: scene.link.is_connected(bob.id))

    assert isinstance(await scene.send(bob), Fulfill)

    assert listener.paths == ["/accounts/node/ilp/btp"]
    (said,) = listener.logins
    assert [entry.name for entry in said.entries] == ["auth", "auth_token", "auth_username"]
    assert [entry.text for entry in said.entries] == ["", "b-out", "node"]
    assert scene.chain.seen == [("bob", b"from bob")]
    assert asked[1].request_id == 1


async def test_whoever_is_dialled_tells_what_time_it_is_there(setting: Setting) -> None:
    here, there = await setting(), await setting()

    bob_at(here, f"ws://127.0.0.1:{there.front.port}/accounts/alice/ilp/btp", "a-token")

    await until(lambda: here.states.times.read() is not None)
    reading = here.states.times.read()
    assert reading is not None
    assert reading.peers == ("bob",)
    assert abs(reading.offset_ms) <= reading.bound_ms
    assert there.states.times.read() is None, "whoever dials tells nothing"


async def test_many_packets_are_under_way_at_once_and_answered_in_any_order(
    scene: Scene, listening: Listening
) -> None:
    async def script(socket: Socket) -> None:
        asked = [await socket.hear() for _ in range(50)]
        for packet in reversed(asked):
            data = parse_prepare_data(packet)
            fulfill = Fulfill.build(FULFILLMENT, data)
            await socket.say(ilp(btp.RESPONSE, packet.request_id, fulfill.octets))
        await socket.ends()

    listener = await listening(script)
    bob = bob_at(scene, listener.url)
    await until(lambda: scene.link.is_connected(bob.id))

    replies = await asyncio.gather(
        *(scene.send(bob, prepare(b"%d" % number)) for number in range(50))
    )

    assert [bytes(reply.data) for reply in replies] == [b"%d" % number for number in range(50)]
    assert scene.link.in_flight == 0


def parse_prepare_data(packet: BtpPacket) -> bytes:
    from core.packet import Prepare

    return bytes(Prepare(bytearray(packet.entries[0].data)).data)
