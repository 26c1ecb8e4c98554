"""Octets beside the money: cut into frames within the receiver's limits, sent again where refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from core.stream.frames import (
    ConnectionDataBlocked,
    ConnectionMaxData,
    Frame,
    StreamData,
    StreamDataBlocked,
    StreamMaxData,
)
from core.stream.packet import StreamPacket

STREAM_ID: Final = 1
"""The one stream of a payment: the first that the opening side may open."""

BUFFER_OCTETS: Final = 65_534
"""What either side takes before it has said how much: what the implementations in the field begin with."""

CHUNK_OCTETS: Final = 16_384
"""Of a packet's 32,767: some links in the field take no larger body than that for the whole packet."""

PIECES_MAX: Final = 256
"""Received pieces that wait for one before them; who sends more of them out of order is not kept up with."""


@final
class OutgoingData:
    """What is to be sent, what is on its way and what has arrived."""

    __slots__ = (
        "_again",
        "_at",
        "_connection_max",
        "_data",
        "_heard",
        "_stream_max",
        "_told",
        "acknowledged",
    )

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._again: list[StreamData] = []
        # Until the receiver has answered, no more than fits one packet, and any receiver we know.
        self._connection_max = CHUNK_OCTETS
        self._stream_max = CHUNK_OCTETS
        self._heard = False
        self._told = False
        self.acknowledged = 0

    @property
    def is_done(self) -> bool:
        """Whether the receiver has everything."""
        return self.acknowledged == len(self._data)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to send that the receiver's limits allow."""
        return (
            bool(self._again) or self._at < min(len(self._data), self._limit) or self._blocked
        )

    def take(self) -> tuple[Frame, ...]:
        """Return the frames for the next packet; a refused one goes out again as it was."""
        if self._again:
            return (self._again.pop(0),)
        end = min(len(self._data), self._at + CHUNK_OCTETS, self._limit)
        if end > self._at:
            frame = StreamData(STREAM_ID, self._at, self._data[self._at : end])
            self._at = end
            return (frame,)
        if self._blocked:
            self._told = True
            if self._stream_max <= self._connection_max:
                return (StreamDataBlocked(STREAM_ID, len(self._data)),)
            return (ConnectionDataBlocked(len(self._data)),)
        return ()

    def fulfilled(self, frames: Iterable[Frame]) -> None:
        """Take in that the receiver has accepted a packet with these frames."""
        for frame in frames:
            if isinstance(frame, StreamData):
                self.acknowledged += len(frame.data)

    def refused(self, frames: Iterable[Frame]) -> None:
        """Take in that it has not."""
        self._again += [frame for frame in frames if isinstance(frame, StreamData)]

    def heard(self, packet: StreamPacket) -> None:
        """Take in the limits that the receiver tells; they only ever grow."""
        connection = [frame.max_offset for frame in packet.of(ConnectionMaxData)]
        stream = [
            frame.max_offset
            for frame in packet.of(StreamMaxData)
            if frame.stream_id == STREAM_ID
        ]
        if not self._heard:
            # Who answers without a word on it takes what all take.
            self._heard = True
            self._connection_max = max(connection, default=BUFFER_OCTETS)
            self._stream_max = max(stream, default=BUFFER_OCTETS)
            return
        before = self._limit
        self._connection_max = max([self._connection_max, *connection])
        self._stream_max = max([self._stream_max, *stream])
        if self._limit > before:
            self._told = False

    def ask_again(self) -> None:
        """Tell the receiver once more that it stands in the way."""
        self._told = False

    @property
    def _limit(self) -> int:
        return min(self._connection_max, self._stream_max)

    @property
    def _blocked(self) -> bool:
        return self._heard and self._limit <= self._at < len(self._data) and not self._told


@final
class IncomingData:
    """What the receiver sends back on the payment's stream, put in order."""

    __slots__ = ("_pieces", "_whole")

    def __init__(self) -> None:
        self._whole = bytearray()
        self._pieces: dict[int, bytes] = {}

    @property
    def octets(self) -> bytes:
        """What has come without a gap."""
        return bytes(self._whole)

    def heard(self, packet: StreamPacket) -> str:
        """Take in the data of a reply; return what is wrong with it, or nothing."""
        for frame in packet.of(StreamData):
            if frame.stream_id != STREAM_ID:
                continue
            if frame.offset + len(frame.data) > BUFFER_OCTETS:
                return f"it sent more than the {BUFFER_OCTETS} octets that it may"
            if len(self._pieces) < PIECES_MAX and len(frame.data) > len(
                self._pieces.get(frame.offset, b"")
            ):
                self._pieces[frame.offset] = frame.data
            self._join()
        return ""

    def _join(self) -> None:
        for offset in sorted(self._pieces):
            if offset > len(self._whole):
                return
            piece = self._pieces.pop(offset)
            self._whole += piece[len(self._whole) - offset :]
