"""What one peer, or a stranger, may hold of this process over BTP, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BtpLimits:
    """Bounds of one link; the defaults are those of a node that runs unattended."""

    message_octets_max: int = 64 * 1024
    """The largest ILP packet needs 34,000."""
    in_flight_max: int = 2_000
    """Requests under way on one connection, each way: what an account may have in flight altogether."""
    connections_per_account_max: int = 16
    """One more closes the oldest: a peer behind a broken router must get through again."""
    half_open_max: int = 1024
    """Connections that have not said who they are; one more closes the oldest.

    As many as the port lets in within a second: a login from the other end of the world has that long.
    """
    frames_at_once: int = 64
    """What is read of one connection in one turn of the loop, before others have theirs."""
    pongs_max: int = 10
    """Pings that are answered in a second: of those between, the last."""
    idle_max: int = 1_000
    """Frames in a second that carry no packet, as pings and what means nothing; more end the connection."""
    idle_before_login_max: int = 16
    """The same of whoever has not said who it is."""
    unsent_octets_max: int = 1024 * 1024
    """Beyond it nothing is read from a peer that does not read, and nothing new is sent to it."""
    unsent_octets_end: int = 16 * 1024 * 1024
    """Beyond it the connection ends: answers to what was under way may be as many as that."""
    turn_seconds: float = 0.004
    """From the beginning of one attempt to dial to that of the next, so that a thousand peers do not start together.

    How long an attempt takes is no matter of the others: whoever is dead holds up nobody.
    """
    lookups_max: int = 128
    """Names that are looked up at once, each on a thread: those whose name servers are silent among them."""
    lookup_seconds: float = 5.0
    connect_seconds: float = 10.0
    handshake_seconds: float = 10.0
    """From the connection to the answer to who it is."""
    frame_seconds: float = 10.0
    """From the first octet of a frame to its last."""
    ping_seconds: float = 20.0
    """After so long without a sound from the other side it is asked whether it is there."""
    pong_seconds: float = 10.0
    """And has so long to answer."""
    write_seconds: float = 30.0
    """How long the other side may leave unread what was sent."""
    linger_seconds: float = 2.0
    """How long the end of a connection may take that we have closed."""
    late_seconds: float = 30.0
    """How long after its expiry a packet's answer is still listened for."""
    steady_seconds: float = 10.0
    """A connection that lasted so long, and carried packets, was a good one: the waits begin anew."""
    reconnect_seconds: float = 1.0
    """The most that is waited after a good one; how much of it is chance, so that all do not come at once."""
    retry_seconds: tuple[float, ...] = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
    """The waits between attempts; the first steps are those of JavaScript's peers, the last one repeats."""
    refused_seconds: float = 30.0
    """The shortest step where the other side refused our token: only a person can change that."""
    wish_seconds: float = 1.0
    """From the beginning of one attempt to that of the next which the operator wishes, at least."""

    @property
    def sweep_seconds(self) -> float:
        """How often the clocks are looked at."""
        shortest = min(
            self.handshake_seconds,
            self.frame_seconds,
            self.ping_seconds,
            self.pong_seconds,
            self.write_seconds,
            self.linger_seconds,
            self.late_seconds,
        )
        return min(1.0, shortest / 4)
