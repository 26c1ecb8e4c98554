"""Octets that are valid to one decoder or another: what fuzzers and tests begin with."""

from __future__ import annotations

from typing import Final

from core.links.btp.packet import ERROR, MESSAGE, RESPONSE, BtpError, BtpPacket, write_ilp
from core.links.btp.websocket import FrameWriter
from core.packet import ErrorCode, Fulfill, Prepare, Reject
from core.stream.frames import StreamData, StreamMaxMoney, StreamMoney
from core.stream.packet import PacketType, StreamPacket
from tests.fuzz.rate_decoders import RATE_SEEDS
from tests.fuzz.route_decoders import ROUTE_SEEDS

SEEDS: Final = (
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
