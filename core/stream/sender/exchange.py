"""What a driver of packets talks to: something that decides what to send next, and does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, final

from core.packet import Reply
from core.stream.sender.connection import Sent


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLimits:
    """What bounds a payment in time and in number."""

    packet_seconds: float = 30.0
    """Until a packet expires: as long as connectors hold one."""
    idle_seconds: float = 30.0
    """A payment ends when nothing was fulfilled for so long; as Interledger.rs has it."""
    total_seconds: float | None = None
    """A payment ends after so long, whatever goes through."""
    probe_seconds: float = 10.0
    """What finding out rate and limits may take."""
    close_seconds: float = 5.0
    """Until the packet that tells the receiver of the end expires."""
    packets_in_flight_first: int = 10
    """As many as TCP begins with."""
    packets_in_flight_max: int = 64
    """More in flight brought no more packets a second through any connector that we measured."""

    def __post_init__(self) -> None:
        assert 0 < self.packets_in_flight_first <= self.packets_in_flight_max


GRACE_SECONDS: Final = 2.0
"""How long after its expiry the reply to a packet may still come in, before it is given up."""


class Exchange(Protocol):
    """A conversation with the receiver, one packet and one reply at a time, in any order."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is sent and no reply is waited for."""

    def next_packet(self, now: float, now_ms: int) -> Sent | None:
        """Return the next packet to send at once, or None: then `wake_at` says when to ask again."""

    def wake_at(self) -> float:
        """Return the moment, on the clock of `now`, when something is due without a reply."""

    def replied(self, sent: Sent, reply: Reply, now: float) -> None:
        """Take in what came back for a packet."""
