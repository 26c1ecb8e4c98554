"""IL-DCP's octets, against the JavaScript implementation's vectors."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import pytest
from hypothesis import given, strategies as st

from core.account import Asset
from core.errors import PacketError
from core.ildcp_message import CONDITION, FULFILLMENT, IldcpAnswer, ildcp_request
from core.packet import Fulfill, Prepare, address, parse_reply
from tests.core.packet.vectors import load

VECTORS: Final[dict[str, Any]] = load("ilp-protocol-ildcp/ildcp.json")


def test_the_condition_is_that_of_32_zero_octets() -> None:
    assert sha256(FULFILLMENT).digest() == CONDITION


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda vector: vector["expiresAt"])
def test_a_request_is_written_as_in_javascript(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])

    request = ildcp_request(expires_at_ms=Prepare(bytearray(octets)).expires_at_ms)

    assert bytes(request.octets) == octets


@pytest.mark.parametrize(
    "vector", VECTORS["responses"], ids=lambda vector: vector["clientAddress"]
)
def test_an_answer_is_read_and_written_as_in_javascript(vector: dict[str, Any]) -> None:
    reply = parse_reply(bytes.fromhex(vector["hex"]))
    assert isinstance(reply, Fulfill)

    answer = IldcpAnswer.decode(reply.data)

    assert answer.address == vector["clientAddress"]
    assert answer.asset == Asset(vector["assetCode"], vector["assetScale"])
    assert answer.encode() == bytes(reply.data)


def test_an_answer_of_quilt_is_read_and_written() -> None:
    (row,) = load("quilt/ildcp-and-ping.json")["ildcp_response_data"]

    answer = IldcpAnswer.decode(bytes.fromhex(row["hex"]))

    assert answer.address == row["clientAddress"]
    assert answer.asset == Asset(row["assetCode"], row["assetScale"])
    assert answer.encode().hex() == row["hex"]


GOOD: Final = IldcpAnswer(address("test.parent.us"), Asset("USD", 9)).encode()


def test_what_follows_the_code_is_ignored() -> None:
    assert IldcpAnswer.decode(GOOD + b"more") == IldcpAnswer.decode(GOOD)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "octet"),
        (b"\x00", "address"),
        (b"\x04test\x09\x03USD", "no ILP address"),
        (GOOD[:15], "scale is due"),
        (GOOD[:-1], "octet"),
        (GOOD[:16] + b"\x00", "0 octets"),
        (GOOD[:16] + b"\x41" + b"A" * 65, "65 octets"),
        (GOOD[:16] + b"\x02\xff\xfe", "no UTF-8"),
        (GOOD[:16] + b"\x03U\x1bD", "cannot be printed"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_fault(octets: bytes, words: str) -> None:
    with pytest.raises(PacketError, match=words):
        IldcpAnswer.decode(octets)


@given(st.integers(0, len(GOOD) - 1))
def test_an_answer_that_was_cut_is_none(end: int) -> None:
    with pytest.raises(PacketError):
        IldcpAnswer.decode(GOOD[:end])
