"""A sender of single packets, as a test of the receiving end needs one."""

from __future__ import annotations

from core.packet import Prepare, Reply
from core.stream.credentials import Credentials
from core.stream.crypto import StreamKeys
from core.stream.frames import Frame, StreamMoney
from core.stream.packet import PacketType, StreamPacket
from core.testing.clock import START_MS

UNFULFILLABLE = b"no fulfillment has this condition"[:32]


def stream_prepare(
    credentials: Credentials,
    amount: int,
    *frames: Frame,
    sequence: int = 1,
    least: int = 0,
    packet_type: PacketType = PacketType.PREPARE,
    fulfillable: bool = True,
    suffix: str = "",
    expires_in_ms: int = 10_000,
) -> Prepare:
    """Return a packet of a connection; money goes to stream 1 where no frame is named."""
    keys = StreamKeys(credentials.shared_secret)
    packet = StreamPacket(sequence, packet_type, least, frames or (StreamMoney(1, 1),))
    data = keys.encrypt(packet.encode())
    return Prepare.build(
        amount=amount,
        expires_at_ms=START_MS + expires_in_ms,
        condition=keys.condition(data) if fulfillable else UNFULFILLABLE,
        destination=credentials.destination + suffix,
        data=data,
    )


def stream_reply(credentials: Credentials, reply: Reply) -> StreamPacket:
    """Return what the receiver says in its reply; fails where it says nothing."""
    keys = StreamKeys(credentials.shared_secret)
    return StreamPacket.decode(keys.decrypt(reply.data))
