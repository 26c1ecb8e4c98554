"""RFC-0029: a STREAM packet in clear, as it stands encrypted in the data of an ILP packet."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self, TypeVar, final

from core.errors import PacketError
from core.packet.oer import read_uint, write_uint
from core.stream.frames import Frame, read_frame, write_frame

VERSION: Final = 1
FRAMES_MAX: Final = 512
"""No sender has more than some dozens; thousands of them in one packet would hold all others up."""
FRAME_OCTETS_MIN: Final = 2
"""A frame has a type and a length, so a count is checked before anything is made of it."""

F = TypeVar("F", bound=Frame)


class PacketType(enum.IntEnum):
    """Which ILP packet carries it: who changes the one cannot change the other unseen."""

    PREPARE = 12
    FULFILL = 13
    REJECT = 14


@final
@dataclass(frozen=True, slots=True)
class StreamPacket:
    """What one end of a connection tells the other with one ILP packet."""

    sequence: int
    packet_type: PacketType
    amount: int
    """In a Prepare the least that the receiver must get; in a reply what it got."""
    frames: tuple[Frame, ...] = ()

    def encode(self) -> bytes:
        """Return its octets; `StreamKeys.encrypt` makes of them what an ILP packet may carry."""
        return b"".join((
            bytes((VERSION, self.packet_type)),
            write_uint(self.sequence),
            write_uint(self.amount),
            write_uint(len(self.frames)),
            *map(write_frame, self.frames),
        ))  # fmt: skip

    @classmethod
    def decode(cls, octets: bytes | memoryview) -> Self:
        """Return the packet in `octets`: frames that we do not know are left out, what is behind is padding.

        Raises:
            PacketError: they are none of version 1, or a frame that we know cannot be read.
        """
        view = memoryview(octets)
        if len(view) < 2:
            raise PacketError("the packet ends within its version and type", octet=len(view))
        if view[0] != VERSION:
            raise PacketError(f"STREAM has the version {view[0]}, {VERSION} is known", octet=0)
        try:
            packet_type = PacketType(view[1])
        except ValueError:
            raise PacketError(f"there is no ILP packet of type {view[1]}", octet=1) from None
        sequence, at = read_uint(view, 2)
        amount, at = read_uint(view, at)
        count, frames_at = read_uint(view, at)
        if count > (len(view) - frames_at) // FRAME_OCTETS_MIN:
            raise PacketError(
                f"{count} frames do not fit {len(view) - frames_at} octets", octet=at
            )
        if count > FRAMES_MAX:
            raise PacketError(f"it has {count} frames, {FRAMES_MAX} are read", octet=at)
        frames, at = [], frames_at
        for _ in range(count):
            frame, at = read_frame(view, at)
            if frame is not None:
                frames.append(frame)
        return cls(sequence, packet_type, amount, tuple(frames))

    def of(self, kind: type[F]) -> Iterator[F]:
        """Yield its frames of one kind, in their order."""
        return (frame for frame in self.frames if isinstance(frame, kind))
