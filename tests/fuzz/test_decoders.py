"""Each fuzz target holds on random octets, and on valid packets cut, doubled and changed anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.links.btp.packet import ERROR, MESSAGE, RESPONSE, BtpError, BtpPacket, write_ilp
from core.links.btp.websocket import FrameWriter
from core.packet import ErrorCode, Fulfill, Prepare, Reject
from core.stream.frames import StreamData, StreamMaxMoney, StreamMoney
from core.stream.packet import PacketType, StreamPacket
from tests.fuzz.decoders import TARGETS, run
from tests.fuzz.rate_decoders import RATE_SEEDS
from tests.fuzz.route_decoders import ROUTE_SEEDS

SEEDS = (
    bytes(
        Prepare.build(
            amount=7, expires_at_ms=1, condition=bytes(32), destination="g.a.b", data=b"d"
        ).octets
    ),
    bytes(Fulfill.build(bytes(32), b"data" * 50).octets),
    bytes(Reject.build(ErrorCode.AMOUNT_TOO_LARGE, triggered_by="g.a", message="m").octets),
    *RATE_SEEDS,
    *ROUTE_SEEDS,
    b"test.alice.1",
    b"20261124170000123",
    b"\x0etest.parent.us\x09\x03USD",
    b'{"staticIlpAddress":"test.a.b","ilpConnectorUrl":"https://a/","httpToken":"t","name":"n"}',
    b'{"error":{"code":404,"message":"Unknown asset","type":"UnknownAsset"}}',
    write_ilp(MESSAGE, 1, Fulfill.build(bytes(32)).octets),
    BtpPacket(ERROR, 1, error=BtpError("F00", "NotAcceptedError", 0, b"no")).encode(),
    StreamPacket(
        3,
        PacketType.PREPARE,
        500,
        (StreamMoney(1, 5), StreamMoney(3, 2), StreamMaxMoney(1, 9, 2), StreamData(1, 0, b"d")),
    ).encode(),
    b"\x0b\x03tag" + bytes(48) + b"\x03USD\x09" + bytes(8),
    b'{"destination_account": "test.bob.token", "shared_secret": "' + b"A" * 43 + b'="}',
    b"$wallet.example/alice",
    FrameWriter(is_server=False).frame(BtpPacket(MESSAGE, 1).encode()),
    FrameWriter(is_server=True).frame(BtpPacket(RESPONSE, 1).encode()),
)


@pytest.mark.parametrize("name", TARGETS)
@given(octets=st.binary(max_size=200))
def test_random_octets_raise_nothing_but_a_packet_error(name: str, octets: bytes) -> None:
    run(TARGETS[name], octets)


@pytest.mark.parametrize("name", TARGETS)
@given(
    seed=st.sampled_from(SEEDS),
    start=st.integers(0, 300),
    end=st.integers(0, 300),
    insert=st.binary(max_size=9),
)
def test_a_packet_with_a_piece_replaced_raises_nothing_but_a_packet_error(
    name: str, seed: bytes, start: int, end: int, insert: bytes
) -> None:
    run(TARGETS[name], seed[:start] + insert + seed[end:])
