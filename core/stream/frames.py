"""RFC-0029: the frames that a STREAM packet carries, each of them a value that reads and writes itself.

What a frame holds more than we know of is ignored. A frame of a known type that cannot be read
spoils its whole packet, as it does in every implementation in the field.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self, TypeAlias, final

from core.errors import PacketError
from core.packet.address import parse_address
from core.packet.oer import read_octets, read_uint, write_octets, write_uint

UINT_MAX: Final = 2**64 - 1


class StreamErrorCode(enum.IntEnum):
    """Why a connection or a stream was closed. Codes that the RFC does not know are kept as numbers."""

    NO_ERROR = 1
    INTERNAL_ERROR = 2
    ENDPOINT_BUSY = 3
    FLOW_CONTROL_ERROR = 4
    STREAM_ID_ERROR = 5
    STREAM_STATE_ERROR = 6
    FRAME_FORMAT_ERROR = 7
    PROTOCOL_VIOLATION = 8
    APPLICATION_ERROR = 9


@final
@dataclass(frozen=True, slots=True)
class ConnectionClose:
    """The sender of this wants no more packets of this connection."""

    TYPE: ClassVar[int] = 0x01

    code: int
    message: str

    def contents(self) -> bytes:
        return bytes((self.code,)) + write_octets(self.message.encode())

    @classmethod
    def read(cls, view: memoryview) -> Self:
        code, at = _read_octet(view, 0)
        message, _ = read_octets(view, at)
        return cls(code, _words(message))


@final
@dataclass(frozen=True, slots=True)
class ConnectionNewAddress:
    """Where the sender of this can be reached; empty says that it cannot."""

    TYPE: ClassVar[int] = 0x02

    address: str

    def contents(self) -> bytes:
        return write_octets(self.address.encode())

    @classmethod
    def read(cls, view: memoryview) -> Self:
        octets, end = read_octets(view, 0)
        return cls(parse_address(octets, octet=end - len(octets)) if octets else "")


@final
@dataclass(frozen=True, slots=True)
class ConnectionMaxData:
    """How many octets of all streams together the sender of this takes."""

    TYPE: ClassVar[int] = 0x03

    max_offset: int

    def contents(self) -> bytes:
        return write_uint(self.max_offset)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        return cls(*_read_uints(view, 1))


@final
@dataclass(frozen=True, slots=True)
class ConnectionDataBlocked:
    """The sender of this would send more octets than the connection's limit allows."""

    TYPE: ClassVar[int] = 0x04

    max_offset: int

    def contents(self) -> bytes:
        return write_uint(self.max_offset)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        return cls(*_read_uints(view, 1))


@final
@dataclass(frozen=True, slots=True)
class ConnectionMaxStreamId:
    """The highest stream that the other side may open."""

    TYPE: ClassVar[int] = 0x05

    max_stream_id: int

    def contents(self) -> bytes:
        return write_uint(self.max_stream_id)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        return cls(*_read_uints(view, 1))


@final
@dataclass(frozen=True, slots=True)
class ConnectionStreamIdBlocked:
    """The sender of this would open more streams than it may."""

    TYPE: ClassVar[int] = 0x06

    max_stream_id: int

    def contents(self) -> bytes:
        return write_uint(self.max_stream_id)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        return cls(*_read_uints(view, 1))


@final
@dataclass(frozen=True, slots=True)
class ConnectionAssetDetails:
    """What the amounts of the sender of this count; it never changes within a connection."""

    TYPE: ClassVar[int] = 0x07

    asset_code: str
    asset_scale: int

    def contents(self) -> bytes:
        return write_octets(self.asset_code.encode()) + bytes((self.asset_scale,))

    @classmethod
    def read(cls, view: memoryview) -> Self:
        code, at = read_octets(view, 0)
        scale, _ = _read_octet(view, at)
        try:
            return cls(str(code, "utf-8"), scale)
        except UnicodeDecodeError as error:
            start = at - len(code) + error.start
            raise PacketError("the asset's code is not UTF-8", octet=start) from None


@final
@dataclass(frozen=True, slots=True)
class StreamClose:
    """The sender of this wants no more money or data on one stream."""

    TYPE: ClassVar[int] = 0x10

    stream_id: int
    code: int
    message: str

    def contents(self) -> bytes:
        return (
            write_uint(self.stream_id)
            + bytes((self.code,))
            + write_octets(self.message.encode())
        )

    @classmethod
    def read(cls, view: memoryview) -> Self:
        stream_id, at = read_uint(view, 0)
        code, at = _read_octet(view, at)
        message, _ = read_octets(view, at)
        return cls(stream_id, code, _words(message))


@final
@dataclass(frozen=True, slots=True)
class StreamMoney:
    """Which share of the packet's amount belongs to a stream."""

    TYPE: ClassVar[int] = 0x11

    stream_id: int
    shares: int

    def contents(self) -> bytes:
        return write_uint(self.stream_id) + write_uint(self.shares)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        return cls(*_read_uints(view, 2))


@final
@dataclass(frozen=True, slots=True)
class StreamMaxMoney:
    """How much a stream takes in all, and has taken, in units of the sender of this."""

    TYPE: ClassVar[int] = 0x12

    stream_id: int
    receive_max: int
    """More than 64 bits means as much as fits them."""
    total_received: int

    def contents(self) -> bytes:
        return (
            write_uint(self.stream_id)
            + write_uint(self.receive_max)
            + write_uint(self.total_received)
        )

    @classmethod
    def read(cls, view: memoryview) -> Self:
        stream_id, at = read_uint(view, 0)
        receive_max, at = _read_saturating(view, at)
        total_received, _ = read_uint(view, at)
        return cls(stream_id, receive_max, total_received)


@final
@dataclass(frozen=True, slots=True)
class StreamMoneyBlocked:
    """How much the sender of this would send on a stream in all, and has sent."""

    TYPE: ClassVar[int] = 0x13

    stream_id: int
    send_max: int
    """More than 64 bits means as much as fits them."""
    total_sent: int

    def contents(self) -> bytes:
        return (
            write_uint(self.stream_id) + write_uint(self.send_max) + write_uint(self.total_sent)
        )

    @classmethod
    def read(cls, view: memoryview) -> Self:
        stream_id, at = read_uint(view, 0)
        send_max, at = _read_saturating(view, at)
        total_sent, _ = read_uint(view, at)
        return cls(stream_id, send_max, total_sent)


@final
@dataclass(frozen=True, slots=True)
class StreamData:
    """Octets of a stream, and where they stand in it."""

    TYPE: ClassVar[int] = 0x14

    stream_id: int
    offset: int
    data: bytes

    def contents(self) -> bytes:
        return write_uint(self.stream_id) + write_uint(self.offset) + write_octets(self.data)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        stream_id, at = read_uint(view, 0)
        offset, at = read_uint(view, at)
        data, _ = read_octets(view, at)
        return cls(stream_id, offset, bytes(data))


@final
@dataclass(frozen=True, slots=True)
class StreamMaxData:
    """How many octets the sender of this takes on a stream in all."""

    TYPE: ClassVar[int] = 0x15

    stream_id: int
    max_offset: int

    def contents(self) -> bytes:
        return write_uint(self.stream_id) + write_uint(self.max_offset)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        return cls(*_read_uints(view, 2))


@final
@dataclass(frozen=True, slots=True)
class StreamDataBlocked:
    """The sender of this would send more octets on a stream than it may."""

    TYPE: ClassVar[int] = 0x16

    stream_id: int
    max_offset: int

    def contents(self) -> bytes:
        return write_uint(self.stream_id) + write_uint(self.max_offset)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        return cls(*_read_uints(view, 2))


@final
@dataclass(frozen=True, slots=True)
class StreamReceipt:
    """RFC-0039: what a third party can check of how much has come in on a stream."""

    TYPE: ClassVar[int] = 0x17

    stream_id: int
    receipt: bytes

    def contents(self) -> bytes:
        return write_uint(self.stream_id) + write_octets(self.receipt)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        stream_id, at = read_uint(view, 0)
        receipt, _ = read_octets(view, at)
        return cls(stream_id, bytes(receipt))


Frame: TypeAlias = (
    ConnectionClose
    | ConnectionNewAddress
    | ConnectionMaxData
    | ConnectionDataBlocked
    | ConnectionMaxStreamId
    | ConnectionStreamIdBlocked
    | ConnectionAssetDetails
    | StreamClose
    | StreamMoney
    | StreamMaxMoney
    | StreamMoneyBlocked
    | StreamData
    | StreamMaxData
    | StreamDataBlocked
    | StreamReceipt
)

FRAMES: Final[Mapping[int, type[Frame]]] = {
    frame.TYPE: frame
    for frame in (
        ConnectionClose,
        ConnectionNewAddress,
        ConnectionMaxData,
        ConnectionDataBlocked,
        ConnectionMaxStreamId,
        ConnectionStreamIdBlocked,
        ConnectionAssetDetails,
        StreamClose,
        StreamMoney,
        StreamMaxMoney,
        StreamMoneyBlocked,
        StreamData,
        StreamMaxData,
        StreamDataBlocked,
        StreamReceipt,
    )
}
"""Every frame that we know, by its type."""


def write_frame(frame: Frame) -> bytes:
    """Return the frame as it stands in a packet: its type, and its contents with their length."""
    return bytes((frame.TYPE,)) + write_octets(frame.contents())


def read_frame(view: memoryview, at: int) -> tuple[Frame | None, int]:
    """Return the frame that starts at `at`, None for one of a type that we do not know, and what is behind it.

    Raises:
        PacketError: it is cut off, or is of a known type and cannot be read.
    """
    kind, start = _read_octet(view, at)
    contents, end = read_octets(view, start)
    frame = FRAMES.get(kind)
    if frame is None:
        return None, end
    try:
        return frame.read(contents), end
    except PacketError as error:
        octet = end - len(contents) + error.octet
        raise PacketError(f"{frame.__name__}: {error.problem}", octet=octet) from None


def _read_octet(view: memoryview, at: int) -> tuple[int, int]:
    if at >= len(view):
        raise PacketError("the packet ends where an octet is due", octet=at)
    return view[at], at + 1


def _read_uints(view: memoryview, count: int) -> list[int]:
    found, at = [], 0
    for _ in range(count):
        value, at = read_uint(view, at)
        found.append(value)
    return found


def _read_saturating(view: memoryview, at: int) -> tuple[int, int]:
    value, end = read_uint(view, at, octets_max=len(view))
    return min(value, UINT_MAX), end


def _words(octets: memoryview) -> str:
    """Return what is meant for people: what is not UTF-8 is shown as well as it can be, not refused."""
    return str(octets, "utf-8", "replace")
