"""RFC-0023: BTP 2.0 packets, octets in, octets out, no I/O.

A packet is `type u8 | request id u32 | length | contents`. What follows the last known field is
ignored, as RFC-0030 asks. Nearly all packets carry one sub-protocol, `ilp`, and nothing else: these
are written by `write_ilp` and read by `read_ilp`, which is the same as `parse_packet`, and sooner done.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, final

from core.errors import PacketError
from core.packet import oer

RESPONSE: Final = 1
ERROR: Final = 2
MESSAGE: Final = 6
TRANSFER: Final = 7
KINDS: Final = {RESPONSE: "Response", ERROR: "Error", MESSAGE: "Message", TRANSFER: "Transfer"}

OCTET_STREAM: Final = 0
TEXT: Final = 1
JSON: Final = 2

REQUEST_ID_MAX: Final = 2**32 - 1
AMOUNT_MAX: Final = 2**64 - 1
ERROR_DATA_OCTETS_MAX: Final = 8192
"""RFC-0023's limit for what an Error says."""

NOT_ACCEPTED: Final = "F00"
INVALID_FIELDS: Final = "F01"
NAMES: Final = {
    "T00": "UnreachableError",
    NOT_ACCEPTED: "NotAcceptedError",
    INVALID_FIELDS: "InvalidFieldsError",
    "F03": "TransferNotFoundError",
    "F04": "InvalidFulfillmentError",
    "F05": "DuplicateIdError",
    "F06": "AlreadyRolledBackError",
    "F07": "AlreadyFulfilledError",
    "F08": "InsufficientBalanceError",
}

_HEAD: Final = struct.Struct(">BI")
_HEAD_OCTETS: Final = 5
_ENTRY_OCTETS_MIN: Final = 3
_ILP: Final = b"\x01\x01\x03ilp\x00"
"""One entry, of the name `ilp`, an octet stream; its length and octets follow."""
_ILP_OCTETS: Final = len(_ILP)
_SHORT: Final = struct.Struct(f">BIB{_ILP_OCTETS}sB")
_MIDDLE: Final = struct.Struct(f">BIBB{_ILP_OCTETS}sBB")
_TIME: Final = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,3}))?Z")


@final
@dataclass(frozen=True, slots=True)
class SubProtocol:
    """One entry of a packet: a name, what kind of octets they are, and the octets."""

    name: str
    content_type: int
    data: bytes

    @classmethod
    def of_text(cls, name: str, text: str) -> SubProtocol:
        return cls(name, TEXT, text.encode())

    @property
    def text(self) -> str:
        """What it says, for people: what is no UTF-8 is shown as well as it can be."""
        return self.data.decode("utf-8", "replace")


@final
@dataclass(frozen=True, slots=True)
class BtpError:
    """What an Error packet says; ILP's own errors are Rejects in a Response."""

    code: str
    name: str
    triggered_at_ms: int | None
    """None where it is no moment that RFC-0030 knows: it is told to people, and decides nothing."""
    data: bytes = b""

    @property
    def words(self) -> str:
        """Code, name and, where there are any, words: `F00 NotAcceptedError: invalid auth_token`."""
        said = self.data[:200].decode("utf-8", "replace")
        text = f"{self.code} {self.name[:60]}".strip() + (f": {said}" if said else "")
        return "".join(
            sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text
        )


@final
@dataclass(frozen=True, slots=True)
class BtpPacket:
    """Any packet, as it was said."""

    kind: int
    request_id: int
    entries: Sequence[SubProtocol] = ()
    """The first is the primary one; names are unique."""
    amount: int | None = None
    """Of a Transfer."""
    error: BtpError | None = None
    """Of an Error."""

    def entry(self, name: str) -> SubProtocol | None:
        """Return the entry of this name, wherever it stands, as JavaScript's peers look for it."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        return None

    def encode(self) -> bytes:
        """Return its canonical octets.

        Raises:
            PacketError: a field is not what a packet can carry.
        """
        if not 0 <= self.request_id <= REQUEST_ID_MAX:
            raise PacketError(f"the request id {self.request_id} does not fit 32 bits", octet=1)
        parts: list[bytes] = []
        if self.amount is not None:
            if self.kind != TRANSFER or not 0 <= self.amount <= AMOUNT_MAX:
                raise PacketError("only a Transfer has an amount, of 64 bits", octet=0)
            parts.append(self.amount.to_bytes(8, "big"))
        elif self.kind == TRANSFER:
            raise PacketError("a Transfer needs an amount", octet=0)
        if self.error is not None:
            parts.append(_write_error(self.error))
        elif self.kind == ERROR:
            raise PacketError("an Error needs a code", octet=0)
        parts.append(oer.write_uint(len(self.entries)))
        for entry in self.entries:
            parts += (
                oer.write_octets(entry.name.encode("ascii")),
                bytes((entry.content_type,)),
                oer.write_octets(entry.data),
            )
        contents = b"".join(parts)
        return _HEAD.pack(self.kind, self.request_id) + oer.write_octets(contents)


def parse_packet(octets: bytes | bytearray | memoryview) -> BtpPacket:
    """Return the packet in `octets`.

    Raises:
        PacketError: it is no BTP 2.0 packet; octets behind the last field are ignored.
    """
    view = memoryview(octets)
    if len(view) < _HEAD_OCTETS:
        raise PacketError("the packet ends within its type and request id", octet=len(view))
    kind, request_id = _HEAD.unpack_from(view)
    if kind not in KINDS:
        raise PacketError(f"there is no BTP packet of type {kind}", octet=0)
    contents, end = oer.read_octets(view, _HEAD_OCTETS)
    body, at = view[:end], end - len(contents)
    amount, error = None, None
    if kind == TRANSFER:
        if end - at < 8:
            raise PacketError("the packet ends within its amount", octet=end)
        amount, at = int.from_bytes(body[at : at + 8], "big"), at + 8
    elif kind == ERROR:
        error, at = _read_error(body, at)
    return BtpPacket(kind, request_id, _read_entries(body, at), amount, error)


def write_ilp(kind: int, request_id: int, packet: bytes | memoryview) -> bytes:
    """Return a Message or Response that carries an ILP packet and nothing else."""
    size = len(packet)
    if (
        0x80 <= size < 0x100 - _ILP_OCTETS - 2
    ):  # as most Prepares are: both lengths of two octets
        head = _MIDDLE.pack(kind, request_id, 0x81, _ILP_OCTETS + 2 + size, _ILP, 0x81, size)
        return head + packet
    if size < 0x80 - _ILP_OCTETS - 1:  # as most replies are: both of one
        head = _SHORT.pack(kind, request_id, _ILP_OCTETS + 1 + size, _ILP, size)
        return head + packet
    inner = oer.write_length(size)
    outer = oer.write_length(_ILP_OCTETS + len(inner) + size)
    return b"".join((_HEAD.pack(kind, request_id), outer, _ILP, inner, packet))


def read_ilp(octets: bytes) -> tuple[int, int, bytes] | None:
    """Return type, request id and ILP packet of what carries only that; None for all else, to be parsed."""
    size = len(octets)
    if size < _HEAD_OCTETS + 9:
        return None
    kind, request_id = _HEAD.unpack_from(octets)
    if kind != MESSAGE and kind != RESPONSE:
        return None
    # The two lengths are read here only where they have one octet or two: so have nearly all.
    length, at = octets[5], 6
    if length == 0x81:
        length, at = octets[6], 7
        if length < 0x80:
            return None
    elif length >= 0x80:
        return _read_long_ilp(octets, kind, request_id)
    behind = at + _ILP_OCTETS
    if octets[at:behind] != _ILP or behind >= size:
        return None
    end, length, start = at + length, octets[behind], behind + 1
    if length == 0x81 and start < size:
        length, start = octets[start], start + 1
        if length < 0x80:
            return None
    elif length >= 0x80:
        return None
    packet_end = start + length
    if packet_end > end or end > size:
        return None
    return kind, request_id, octets[start:packet_end]


def _read_long_ilp(octets: bytes, kind: int, request_id: int) -> tuple[int, int, bytes] | None:
    at = _HEAD_OCTETS + 1 + (octets[_HEAD_OCTETS] & 0x7F)
    behind = at + _ILP_OCTETS
    if octets[at:behind] != _ILP:
        return None
    view = memoryview(octets)
    try:
        _, end = oer.read_octets(view, _HEAD_OCTETS)
        packet, packet_end = oer.read_octets(view, behind)
    except PacketError:
        return None
    return (kind, request_id, bytes(packet)) if packet_end <= end else None


def write_time(moment_ms: int) -> bytes:
    """Return RFC-0030's GeneralizedTime: `20260301123000.25Z`, without needless digits."""
    seconds, rest_ms = divmod(moment_ms, 1000)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    digits = moment.strftime("%Y%m%d%H%M%S").rjust(14, "0")
    fraction = f".{rest_ms:03}".rstrip("0") if rest_ms else ""
    return f"{digits}{fraction}Z".encode()


def read_time(octets: bytes | memoryview, *, octet: int = 0) -> int:
    """Return milliseconds since the Unix epoch; second 60 is the next minute's first.

    Raises:
        PacketError: it names no moment, or says so in another way.
    """
    found = _TIME.fullmatch(octets)
    problem = f"{bytes(octets[:24])!r} is no time of the form YYYYMMDDHHMMSS.fffZ"
    if found is None:
        raise PacketError(problem, octet=octet)
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if second > 60:
        raise PacketError(problem, octet=octet)
    try:
        start = datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        raise PacketError(problem, octet=octet) from None
    fraction = int((found[7] or b"").ljust(3, b"0"))
    return int(start.timestamp()) * 1000 + second * 1000 + fraction


def _write_error(error: BtpError) -> bytes:
    code = error.code.encode("ascii", "replace")
    if len(code) != 3:
        raise PacketError(f"a code is three ASCII characters, not {error.code!r}", octet=0)
    if len(error.data) > ERROR_DATA_OCTETS_MAX:
        raise PacketError(
            f"an Error may say {ERROR_DATA_OCTETS_MAX} octets, not {len(error.data)}", octet=0
        )
    if error.triggered_at_ms is None:
        raise PacketError("an Error needs a time", octet=0)
    return b"".join((
        code,
        oer.write_octets(error.name.encode()),
        oer.write_octets(write_time(error.triggered_at_ms)),
        oer.write_octets(error.data),
    ))  # fmt: skip


def _read_error(body: memoryview, at: int) -> tuple[BtpError, int]:
    code = bytes(body[at : at + 3])
    if len(code) < 3 or not code.isascii():
        raise PacketError(f"a code is three ASCII characters, not {code!r}", octet=at)
    name, time_at = oer.read_octets(body, at + 3)
    time, data_at = oer.read_octets(body, time_at)
    data, end = oer.read_octets(body, data_at)
    if len(data) > ERROR_DATA_OCTETS_MAX:
        raise PacketError(
            f"an Error may say {ERROR_DATA_OCTETS_MAX} octets, not {len(data)}", octet=data_at
        )
    triggered_at_ms: int | None
    try:
        triggered_at_ms = read_time(time)
    except PacketError:
        triggered_at_ms = None
    said = BtpError(code.decode(), str(name, "utf-8", "replace"), triggered_at_ms, bytes(data))
    return said, end


def _read_entries(body: memoryview, at: int) -> tuple[SubProtocol, ...]:
    start = at
    count, at = oer.read_uint(body, at)
    if count * _ENTRY_OCTETS_MIN > len(body) - at:
        raise PacketError(
            f"{count} sub-protocols are due, for which no room is left", octet=start
        )
    entries: list[SubProtocol] = []
    names: set[str] = set()
    for _ in range(count):
        start = at
        octets, at = oer.read_octets(body, at)
        try:
            name = str(octets, "ascii")
        except UnicodeDecodeError:
            raise PacketError("the name of a sub-protocol is not ASCII", octet=start) from None
        if name in names:
            raise PacketError(f"the sub-protocol {name[:40]!r} comes twice", octet=start)
        names.add(name)
        if at >= len(body):
            raise PacketError("the packet ends where a content type is due", octet=at)
        content_type = body[at]
        data, at = oer.read_octets(body, at + 1)
        entries.append(SubProtocol(name, content_type, bytes(data)))
    return tuple(entries)
