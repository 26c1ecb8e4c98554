"""Every decoder of remote octets, by name, as the fuzzer and the tests call them.

A target takes any octets and may raise nothing but PacketError; what it accepts it must also write
again to the same octets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.errors import PacketError
from core.packet import Prepare, oer, parse_reply
from core.packet.address import parse_address
from core.packet.timestamp import read_timestamp, write_timestamp
from core.services.ildcp_message import IldcpAnswer
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


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        prepare,
        reply,
        ilp_address,
        timestamp,
        lengths,
        ildcp_answer,
        btp_packet,
        btp_stream,
    )
} | STREAM_TARGETS


def run(target: Callable[[bytes], None], octets: bytes) -> None:
    """Call a target as a peer would: being refused is fine, anything else is a finding."""
    try:
        target(octets)
    except PacketError as error:
        assert 0 <= error.octet <= len(octets), "the octet named is outside the packet"
