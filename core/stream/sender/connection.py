"""Our end of a connection: packets with a number each are built, and replies are told true from false."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, final

from core.errors import PacketError
from core.packet import Fulfill, Prepare, Reject, Reply
from core.stream.crypto import StreamKeys
from core.stream.frames import Frame
from core.stream.packet import PacketType, StreamPacket

PACKETS_MAX: Final = 2**31
"""RFC 29: no key encrypts more packets than this, so that no nonce comes twice."""

EMPTY_SECRET_OCTETS: Final = 32
"""A condition that nobody can fulfill is as many random octets."""


@final
@dataclass(slots=True, eq=False)
class Sent:
    """One packet on its way: what is to be known of it when its reply comes."""

    sequence: int
    amount: int
    minimum: int
    """What the receiver must get of it, or refuse it."""
    fulfillment: bytes
    """What proves that the receiver took it; empty where nobody can."""
    frames: tuple[Frame, ...]
    units: int
    """What it is likely delivered as, at most."""
    prepare: Prepare
    sent_at: float


@final
@dataclass(slots=True)
class Answer:
    """A reply, with what only the receiver can have said told apart from what any hop may have."""

    code: str
    """Of a Reject; empty for a Fulfill."""
    triggered_by: str
    message: str
    authentic: StreamPacket | None
    """What the receiver said, where there was something and only it can have written it."""
    violation: str
    """What does not fit together, in a sentence; empty where all does."""
    data: memoryview

    @property
    def is_fulfilled(self) -> bool:
        return not self.code


@final
class Connection:
    """Builds the packets of one shared secret and reads their replies."""

    __slots__ = ("_destination", "_keys", "next_sequence")

    def __init__(self, destination: str, shared_secret: bytes, *, first_sequence: int) -> None:
        self._destination = destination
        self._keys = StreamKeys(shared_secret)
        self.next_sequence = first_sequence

    @property
    def is_exhausted(self) -> bool:
        """Whether one packet is left, the one that closes the connection."""
        return self.next_sequence >= PACKETS_MAX - 1

    def build(
        self,
        *,
        amount: int,
        minimum: int,
        frames: tuple[Frame, ...],
        expires_at_ms: int,
        now: float,
        units: int = 0,
        fulfillable: bool = True,
        destination: str = "",
    ) -> Sent:
        """Return the next packet; one that nobody can fulfill asks, and moves nothing."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        plain = StreamPacket(sequence, PacketType.PREPARE, minimum, frames).encode()
        data = self._keys.encrypt(plain)
        if fulfillable:
            fulfillment = self._keys.fulfillment(data)
            condition = sha256(fulfillment).digest()
        else:
            fulfillment, condition = b"", secrets.token_bytes(EMPTY_SECRET_OCTETS)
        prepare = Prepare.build(
            amount=amount,
            expires_at_ms=expires_at_ms,
            condition=condition,
            destination=destination or self._destination,
            data=data,
        )
        return Sent(sequence, amount, minimum, fulfillment, frames, units, prepare, now)

    def read(self, sent: Sent, reply: Reply) -> Answer:
        """Return what came back for `sent`; the ILP packet decides whether it was fulfilled."""
        authentic, violation = self._authentic(sent, reply)
        if isinstance(reply, Reject):
            return Answer(
                reply.code.decode(),
                reply.triggered_by,
                reply.message,
                authentic,
                violation,
                reply.data,
            )
        if not sent.fulfillment or reply.fulfillment != sent.fulfillment:
            wrong = f"packet {sent.sequence} came back with a fulfillment that does not fit its condition"
            return Answer("F05", "", wrong, None, wrong, reply.data)
        if authentic is None and not violation:
            violation = f"packet {sent.sequence} was fulfilled without a word that the receiver can have written"
        return Answer("", "", "", authentic, violation, reply.data)

    def _authentic(self, sent: Sent, reply: Reply) -> tuple[StreamPacket | None, str]:
        if not reply.data:
            return None, ""
        try:
            packet = StreamPacket.decode(self._keys.decrypt(reply.data))
        except PacketError:
            return None, ""
        if packet.sequence != sent.sequence:
            return None, f"packet {sent.sequence} was answered with number {packet.sequence}"
        expected = PacketType.FULFILL if isinstance(reply, Fulfill) else PacketType.REJECT
        if packet.packet_type is not expected:
            came, said = expected.name.lower(), packet.packet_type.name.lower()
            return None, f"packet {sent.sequence} came back as {came}, and says it is a {said}"
        return packet, ""
