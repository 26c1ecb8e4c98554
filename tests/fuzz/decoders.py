"""Every decoder of remote octets, by name, as the fuzzer and the tests call them.

A target takes any octets and may raise nothing but PacketError; what it accepts it must also write
again to the same octets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.errors import Conflict, PacketError
from core.ildcp_message import IldcpAnswer
from core.links.btp.exchange import Exchange, Phase
from core.links.btp.packet import parse_packet, read_ilp
from core.links.btp.websocket import BadFrame, FrameReader
from core.packet import Prepare, oer, parse_reply
from core.packet.address import parse_address
from core.packet.timestamp import read_timestamp, write_timestamp
from core.peering.auto_peering import read_acceptance
from tests.fuzz.rate_decoders import RATE_TARGETS
from tests.fuzz.route_decoders import ROUTE_TARGETS
from tests.fuzz.stream_decoders import STREAM_TARGETS


def prepare(octets: bytes) -> None:
    """A Prepare, read, changed in place and read again."""
    packet = Prepare(bytearray(octets))
    assert bytes(packet.octets) == octets[: len(packet.octets)]
    packet.amount = 1
    assert packet.copy().amount == 1


def reply(octets: bytes) -> None:
    """A Fulfill or a Reject."""
    packet = parse_reply(octets)
    assert bytes(packet.octets) == octets[: len(packet.octets)]


def ilp_address(octets: bytes) -> None:
    """An ILP address."""
    assert parse_address(octets).encode() == octets


def timestamp(octets: bytes) -> None:
    """The 17 digits of an expiry."""
    assert write_timestamp(read_timestamp(memoryview(octets), octet=0)) == octets


def lengths(octets: bytes) -> None:
    """Lengths, octet strings and integers of OER."""
    view = memoryview(octets)
    read, end = oer.read_octets(view, 0)
    assert oer.write_octets(read) == octets[:end]
    oer.read_uint(view, 0)


def ildcp_answer(octets: bytes) -> None:
    """What a parent says that we are called."""
    answer = IldcpAnswer.decode(octets)
    encoded = answer.encode()
    assert encoded == octets[: len(encoded)]


def auto_peer_answer(octets: bytes) -> None:
    """What a node that takes peers by itself answers, whatever the status."""
    for status in (200, 400):
        try:
            acceptance = read_acceptance(status, octets)
        except Conflict as refused:
            assert len(str(refused)) < 600
        else:
            assert status == 200
            assert parse_address(acceptance.ilp_address.encode())


def btp_packet(octets: bytes) -> None:
    """A BTP packet, and the short way of reading it."""
    short = read_ilp(octets)
    packet = parse_packet(octets)
    if packet.error is None:
        assert parse_packet(packet.encode()) == packet
    if short is not None:
        found = packet.entry("ilp")
        assert found is not None
        assert (short[0], short[1], bytes(short[2])) == (
            packet.kind,
            packet.request_id,
            found.data,
        )


def btp_stream(octets: bytes) -> None:
    """A WebSocket's stream to either side, cut in two, and what comes out of it given to an exchange."""
    for is_server in (True, False):
        whole, cut = (
            FrameReader(is_server=is_server, octets_max=1000, frames_max=1000) for _ in range(2)
        )
        exchange: Exchange[Asking] = Exchange(is_server=is_server, first_id=1, in_flight_max=2)
        if not is_server:
            exchange.login("token", "")
        middle = len(octets) // 2
        try:
            messages = whole.feed(octets)
            assert cut.feed(octets[:middle]) + cut.feed(octets[middle:]) == messages
        except BadFrame:
            continue
        for _, message in messages:
            exchange.receive(message, lambda: 0)
    for is_server in (True, False):
        exchange = Exchange(is_server=is_server, first_id=1, in_flight_max=2)
        exchange.phase = Phase.OPEN
        exchange.ask(Asking(), b"")
        exchange.receive(octets, lambda: 0)
        assert exchange.in_flight <= 1


class Asking:
    """A request of ours."""

    deadline = 0.0


TARGETS: Final[dict[str, Callable[[bytes], None]]] = (
    {
        target.__name__: target
        for target in (
            prepare,
            reply,
            ilp_address,
            timestamp,
            lengths,
            ildcp_answer,
            auto_peer_answer,
            btp_packet,
            btp_stream,
        )
    }
    | RATE_TARGETS
    | ROUTE_TARGETS
    | STREAM_TARGETS
)


def run(target: Callable[[bytes], None], octets: bytes) -> None:
    """Call a target as a peer would: being refused is fine, anything else is a finding."""
    try:
        target(octets)
    except PacketError as error:
        assert 0 <= error.octet <= len(octets), "the octet named is outside the packet"
