"""A peer that takes connections and never says a word, then one that hangs up on every packet: what it costs us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from core.account import Secret
from core.config import Bind, NodeConfig
from core.control.views import AccountDetails, LinkState
from core.host import NodeHost
from core.links.link_states import FAILURES_MAX
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, address
from core.service import IncomingRequest
from core.testing.builders import CONDITION, fulfill

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SOON_MS = 1_300


class Peer:
    """Whatever stands on the peer's port; a test exchanges what it does."""

    def __init__(self) -> None:
        self.packets = 0
        self.questions = 0
        self.is_there = False
        """Whether it answers what is for itself."""
        self.does: Serve = self.says_nothing
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                packet = Prepare(bytearray(await reader.readexactly(length)))
                if packet.amount:
                    self.packets += 1
                else:
                    self.questions += 1
                    if self.is_there:
                        self.reply(
                            writer,
                            Reject.build(
                                ErrorCode.UNREACHABLE, triggered_by="test.bob", message=""
                            ),
                        )
                        continue
                await self.does(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def says_nothing(
        self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await reader.read()

    async def hangs_up(
        self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.transport.abort()

    async def fulfills(
        self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reply(writer, fulfill())

    def reply(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        body = bytes(reply.octets)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    yield peer
    server.close()


@pytest.fixture
async def host(peer: Peer) -> AsyncIterator[NodeHost]:
    host = await NodeHost.start(
        NodeConfig(
            store="memory:",
            ilp_address=address("test.ours"),
            http_bind=Bind("127.0.0.1", 0),
            admin_token=Secret("admin-token-of-the-test"),
            drain_seconds=0,
        )
    )
    for username, url in (("alice", None), ("bob", peer.url)):
        await host.control.create_account(
            AccountDetails(
                username=username,
                asset_code="USD",
                asset_scale=2,
                min_balance=-10_000,
                ilp_over_http_url=url,
            )
        )
    yield host
    await host.stop()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - the peer tells nobody
            await asyncio.sleep(0.02)


async def pay(host: NodeHost, number: int, *, expires_in_ms: int = SOON_MS + 1_000) -> Reply:
    alice = host.node.directory.by_username("alice")
    assert alice is not None
    packet = Prepare.build(
        amount=10,
        expires_at_ms=host.node.clock.now_ms() + expires_in_ms,
        condition=CONDITION,
        destination=address("test.ours.bob"),
        data=str(number).encode(),
    )
    return await host.node.incoming.handle(IncomingRequest(alice, packet))


def code(reply: Reply) -> str:
    assert isinstance(reply, Reject)
    return reply.code.decode()


@pytest.mark.logs_warning
async def test_a_silent_peer_costs_some_packets_their_time_and_then_none(
    host: NodeHost, peer: Peer
) -> None:
    loop = asyncio.get_running_loop()
    first = await asyncio.gather(*(pay(host, number) for number in range(FAILURES_MAX)))
    assert {code(reply) for reply in first} == {"R00"}
    alice = (await host.control.account("alice")).balance
    assert (alice.net, alice.pending_in) == (0, 0), "what it had reserved is free again"

    # Whoever is behind it could have kept these packets: the peer itself is asked.
    assert code(await pay(host, 99)) == "R00"
    await until(lambda: peer.questions == 1)

    async def is_held() -> bool:
        return not (
            await host.control.explain("test.ours.bob", from_username="alice")
        ).forwarded

    async with asyncio.timeout(20):
        while not await is_held():  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    started = loop.time()
    refused = await asyncio.gather(*(pay(host, 100 + number) for number in range(50)))

    assert loop.time() - started < 1
    assert {code(reply) for reply in refused} == {"T01"}
    assert peer.packets == FAILURES_MAX + 1
    view = await host.control.account("bob")
    assert view.state is LinkState.DOWN
    assert "its packets are rejected at once" in view.state_reason
    answer = await host.control.explain("test.ours.bob", from_username="alice")
    assert not answer.forwarded
    assert "Nothing is sent to bob for now" in answer.sentence

    peer.does = peer.fulfills
    assert (await host.control.ping("bob")).answered, "the operator's ping is a test"

    assert isinstance(await pay(host, 200), Fulfill)


@pytest.mark.logs_warning
async def test_a_receiver_that_never_answers_behind_a_sound_peer_costs_only_its_own_senders(
    host: NodeHost, peer: Peer
) -> None:
    peer.is_there = True
    for number in range(2):
        numbers = range(10 * number, 10 * number + FAILURES_MAX + 1)
        kept = await asyncio.gather(*(pay(host, each) for each in numbers))
        assert {code(reply) for reply in kept} == {"R00"}
    await until(lambda: peer.questions > 0)
    peer.does = peer.fulfills

    assert isinstance(await pay(host, 100), Fulfill)

    assert (await host.control.account("bob")).state is not LinkState.DOWN


@pytest.mark.logs_warning
async def test_a_peer_that_hangs_up_may_have_fulfilled_and_is_for_the_operator_to_ask(
    host: NodeHost, peer: Peer
) -> None:
    peer.does = peer.hangs_up

    assert code(await pay(host, 1)) == "T01"
    async with asyncio.timeout(5):
        while not (unknown := await host.control.unknown_transfers()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    (leg,) = unknown
    assert (leg.from_username, leg.to_username, leg.outgoing_amount) == ("alice", "bob", 10)
    balance = (await host.control.account("bob")).balance
    assert (balance.net, balance.pending_out, balance.unknown_out) == (0, 0, 10)
    await host.control.resolve_unknown(leg.id, fulfilled=True)
    assert (await host.control.account("bob")).balance.payable == 10
    assert (await host.control.audit()).passed
