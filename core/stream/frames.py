"""RFC-0029: the frames that a STREAM packet carries, each of them a value; one table says how they are read and written.

What a frame holds more than we know of is ignored. A frame of a known type that cannot be read
spoils its whole packet, as it does in every implementation in the field.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter, call
from typing import Any, ClassVar, Final, TypeAlias, final

from core.errors import PacketError
from core.packet.address import parse_address
from core.packet.oer import read_octets, read_uint, write_length, write_octets, write_uint

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


@final
@dataclass(frozen=True, slots=True)
class ConnectionNewAddress:
    """Where the sender of this can be reached; empty says that it cannot."""

    TYPE: ClassVar[int] = 0x02

    address: str


@final
@dataclass(frozen=True, slots=True)
class ConnectionMaxData:
    """How many octets of all streams together the sender of this takes."""

    TYPE: ClassVar[int] = 0x03

    max_offset: int


@final
@dataclass(frozen=True, slots=True)
class ConnectionDataBlocked:
    """The sender of this would send more octets than the connection's limit allows."""

    TYPE: ClassVar[int] = 0x04

    max_offset: int


@final
@dataclass(frozen=True, slots=True)
class ConnectionMaxStreamId:
    """The highest stream that the other side may open."""

    TYPE: ClassVar[int] = 0x05

    max_stream_id: int


@final
@dataclass(frozen=True, slots=True)
class ConnectionStreamIdBlocked:
    """The sender of this would open more streams than it may."""

    TYPE: ClassVar[int] = 0x06

    max_stream_id: int


@final
@dataclass(frozen=True, slots=True)
class ConnectionAssetDetails:
    """What the amounts of the sender of this count; it never changes within a connection."""

    TYPE: ClassVar[int] = 0x07

    asset_code: str
    asset_scale: int


@final
@dataclass(frozen=True, slots=True)
class StreamClose:
    """The sender of this wants no more money or data on one stream."""

    TYPE: ClassVar[int] = 0x10

    stream_id: int
    code: int
    message: str


@final
@dataclass(frozen=True, slots=True)
class StreamMoney:
    """Which share of the packet's amount belongs to a stream."""

    TYPE: ClassVar[int] = 0x11

    stream_id: int
    shares: int


@final
@dataclass(frozen=True, slots=True)
class StreamMaxMoney:
    """How much a stream takes in all, and has taken, in units of the sender of this."""

    TYPE: ClassVar[int] = 0x12

    stream_id: int
    receive_max: int
    """More than 64 bits means as much as fits them."""
    total_received: int


@final
@dataclass(frozen=True, slots=True)
class StreamMoneyBlocked:
    """How much the sender of this would send on a stream in all, and has sent."""

    TYPE: ClassVar[int] = 0x13

    stream_id: int
    send_max: int
    """More than 64 bits means as much as fits them."""
    total_sent: int


@final
@dataclass(frozen=True, slots=True)
class StreamData:
    """Octets of a stream, and where they stand in it."""

    TYPE: ClassVar[int] = 0x14

    stream_id: int
    offset: int
    data: bytes


@final
@dataclass(frozen=True, slots=True)
class StreamMaxData:
    """How many octets the sender of this takes on a stream in all."""

    TYPE: ClassVar[int] = 0x15

    stream_id: int
    max_offset: int


@final
@dataclass(frozen=True, slots=True)
class StreamDataBlocked:
    """The sender of this would send more octets on a stream than it may."""

    TYPE: ClassVar[int] = 0x16

    stream_id: int
    max_offset: int


@final
@dataclass(frozen=True, slots=True)
class StreamReceipt:
    """RFC-0039: what a third party can check of how much has come in on a stream."""

    TYPE: ClassVar[int] = 0x17

    stream_id: int
    receipt: bytes


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


# --- How a field stands in its frame ----------------------------------------------------------------


def _write_octet(value: int) -> bytes:
    return bytes((value,))


def _read_octet(view: memoryview, at: int) -> tuple[int, int]:
    if at >= len(view):
        raise PacketError("the packet ends where an octet is due", octet=at)
    return view[at], at + 1


def _read_saturating(view: memoryview, at: int) -> tuple[int, int]:
    value, end = read_uint(view, at, octets_max=len(view))
    return min(value, UINT_MAX), end


def _read_bytes(view: memoryview, at: int) -> tuple[bytes, int]:
    octets, end = read_octets(view, at)
    return bytes(octets), end


def _write_text(text: str) -> bytes:
    return write_octets(text.encode())


def _read_words(view: memoryview, at: int) -> tuple[str, int]:
    """Read what is meant for people: what is not UTF-8 is shown as well as it can be, not refused."""
    octets, end = read_octets(view, at)
    return str(octets, "utf-8", "replace"), end


def _read_code(view: memoryview, at: int) -> tuple[str, int]:
    octets, end = read_octets(view, at)
    try:
        return str(octets, "utf-8"), end
    except UnicodeDecodeError as error:
        start = end - len(octets) + error.start
        raise PacketError("the asset's code is not UTF-8", octet=start) from None


def _read_address(view: memoryview, at: int) -> tuple[str, int]:
    octets, end = read_octets(view, at)
    return parse_address(octets, octet=end - len(octets)) if octets else "", end


_Field: TypeAlias = tuple[
    Callable[[Any], bytes], Callable[[memoryview, int], tuple[object, int]]
]
"""How one is written, and read."""

_UINT: Final[_Field] = (write_uint, read_uint)
_SATURATING: Final[_Field] = (write_uint, _read_saturating)
_OCTET: Final[_Field] = (_write_octet, _read_octet)
_OCTETS: Final[_Field] = (write_octets, _read_bytes)
_WORDS: Final[_Field] = (_write_text, _read_words)
_CODE: Final[_Field] = (_write_text, _read_code)
_ADDRESS: Final[_Field] = (_write_text, _read_address)

_FIELDS: Final[Mapping[type[Frame], Sequence[_Field]]] = {
    ConnectionClose: (_OCTET, _WORDS),
    ConnectionNewAddress: (_ADDRESS,),
    ConnectionMaxData: (_UINT,),
    ConnectionDataBlocked: (_UINT,),
    ConnectionMaxStreamId: (_UINT,),
    ConnectionStreamIdBlocked: (_UINT,),
    ConnectionAssetDetails: (_CODE, _OCTET),
    StreamClose: (_UINT, _OCTET, _WORDS),
    StreamMoney: (_UINT, _UINT),
    StreamMaxMoney: (_UINT, _SATURATING, _UINT),
    StreamMoneyBlocked: (_UINT, _SATURATING, _UINT),
    StreamData: (_UINT, _UINT, _OCTETS),
    StreamMaxData: (_UINT, _UINT),
    StreamDataBlocked: (_UINT, _UINT),
    StreamReceipt: (_UINT, _OCTETS),
}
"""Every frame that we know, with its fields in their order."""


_WRITERS: Final = {
    # The type is behind the values, so that there are always several: one alone would be no tuple.
    frame: (
        frame.TYPE,
        attrgetter(*(part.name for part in fields(frame)), "TYPE"),
        [write for write, _ in found],
    )
    for frame, found in _FIELDS.items()
}
_READERS: Final = {
    frame.TYPE: (frame, [read for _, read in found]) for frame, found in _FIELDS.items()
}


def write_frame(frame: Frame) -> bytes:
    """Return the frame as it stands in a packet: its type, and its contents with their length."""
    kind, values, parts = _WRITERS[type(frame)]
    contents = b"".join(map(call, parts, values(frame)))
    size = len(contents)
    if size < 0x80:  # the usual length, without another call
        return bytes((kind, size)) + contents
    return bytes((kind,)) + write_length(size) + contents


def read_frame(view: memoryview, at: int) -> tuple[Frame | None, int]:
    """Return the frame that starts at `at`, None for one of a type that we do not know, and what is behind it.

    Raises:
        PacketError: it is cut off, or is of a known type and cannot be read.
    """
    kind, start = _read_octet(view, at)
    contents, end = read_octets(view, start)
    known = _READERS.get(kind)
    if known is None:
        return None, end
    frame, parts = known
    values: list[Any] = []
    octet = 0
    try:
        for read in parts:
            value, octet = read(contents, octet)
            values.append(value)
    except PacketError as error:
        octet = end - len(contents) + error.octet
        raise PacketError(f"{frame.__name__}: {error.problem}", octet=octet) from None
    return frame(*values), end
