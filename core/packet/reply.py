"""RFC-0027: what comes back for a Prepare, a Fulfill or a Reject, and the codes a Reject may have."""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias, final

from core.errors import PacketError
from core.packet import oer
from core.packet.address import parse_address
from core.packet.prepare import DATA_OCTETS_MAX

FULFILL: Final = 13
REJECT: Final = 14
MESSAGE_OCTETS_MAX: Final = 8191


class ErrorCode(bytes, Enum):
    """Every code that RFC-0027 defines, and F09 of interledger-rs. F is final, T temporary, R relative."""

    BAD_REQUEST = b"F00"
    INVALID_PACKET = b"F01"
    UNREACHABLE = b"F02"
    INVALID_AMOUNT = b"F03"
    INSUFFICIENT_DESTINATION_AMOUNT = b"F04"
    WRONG_CONDITION = b"F05"
    UNEXPECTED_PAYMENT = b"F06"
    CANNOT_RECEIVE = b"F07"
    AMOUNT_TOO_LARGE = b"F08"
    INVALID_PEER_RESPONSE = b"F09"
    FINAL_APPLICATION_ERROR = b"F99"
    INTERNAL_ERROR = b"T00"
    PEER_UNREACHABLE = b"T01"
    PEER_BUSY = b"T02"
    CONNECTOR_BUSY = b"T03"
    INSUFFICIENT_LIQUIDITY = b"T04"
    RATE_LIMITED = b"T05"
    TEMPORARY_APPLICATION_ERROR = b"T99"
    TRANSFER_TIMED_OUT = b"R00"
    INSUFFICIENT_SOURCE_AMOUNT = b"R01"
    INSUFFICIENT_TIMEOUT = b"R02"
    RELATIVE_APPLICATION_ERROR = b"R99"

    @property
    def words(self) -> str:
        """The RFC's name: `Insufficient Liquidity`."""
        return self.name.replace("_", " ").title()


@final
class Fulfill:
    """The receiver said yes, and this is the proof."""

    __slots__ = ("data", "fulfillment", "octets")

    octets: memoryview
    fulfillment: memoryview
    """32 octets whose SHA-256 is the condition."""
    data: memoryview

    def __init__(self, buffer: bytes | bytearray) -> None:
        """Parse `buffer` and keep it.

        Raises:
            PacketError: it is no Fulfill.
        """
        whole = memoryview(buffer)
        if not buffer or buffer[0] != FULFILL:
            raise PacketError("this is no Fulfill", octet=0)
        contents, end = oer.read_octets(whole, 1)
        if len(contents) < 32:
            raise PacketError("the packet ends within its fulfillment", octet=end)
        self.data, _ = oer.read_octets(contents, 32)
        _check_data(self.data, octet=end - len(contents) + 32)
        self.octets = whole[:end]
        self.fulfillment = contents[:32]

    @classmethod
    def build(cls, fulfillment: bytes | memoryview, data: bytes | memoryview = b"") -> Fulfill:
        """Return a new packet, in a buffer of its own."""
        if len(fulfillment) != 32:
            raise PacketError(
                f"the fulfillment has {len(fulfillment)} octets, 32 are needed", octet=0
            )
        contents = bytes(fulfillment) + oer.write_octets(data)
        return cls(bytes((FULFILL,)) + oer.write_length(len(contents)) + contents)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fulfill) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(bytes(self.octets))

    def __repr__(self) -> str:
        return f"Fulfill({len(self.data)} octets of data)"


@final
class Reject:
    """Somebody on the way said no: which code, who, and why."""

    __slots__ = ("code", "data", "message", "octets", "triggered_by")

    octets: memoryview
    code: bytes
    """Three ASCII octets. Codes that RFC-0027 does not know are kept, and count by their first letter."""
    triggered_by: str
    """The address of who said no; empty where they did not say."""
    message: str
    data: memoryview

    def __init__(self, buffer: bytes | bytearray) -> None:
        """Parse `buffer` and keep it.

        Raises:
            PacketError: it is no Reject.
        """
        whole = memoryview(buffer)
        if not buffer or buffer[0] != REJECT:
            raise PacketError("this is no Reject", octet=0)
        contents, end = oer.read_octets(whole, 1)
        start = end - len(contents)
        self.code = bytes(contents[:3])
        if len(self.code) < 3 or not self.code.isascii():
            raise PacketError(
                f"a code is three ASCII characters, not {self.code!r}", octet=start
            )
        triggered_by, message_at = oer.read_octets(contents, 3)
        self.triggered_by = (
            str(parse_address(triggered_by, octet=start + 3)) if triggered_by else ""
        )
        message, data_at = oer.read_octets(contents, message_at)
        # A message is for people: one that is not UTF-8 is shown as well as it can be, not refused.
        self.message = str(message, "utf-8", "replace")
        self.data, _ = oer.read_octets(contents, data_at)
        _check_data(self.data, octet=start + data_at)
        self.octets = whole[:end]

    @classmethod
    def build(
        cls, code: ErrorCode, *, triggered_by: str, message: str, data: bytes | memoryview = b""
    ) -> Reject:
        """Return a new packet; the message says to a person what happened, and is cut to 8191 octets."""
        text = message.encode()[:MESSAGE_OCTETS_MAX].decode("utf-8", "ignore").encode()
        contents = b"".join((
            code.value,
            oer.write_octets(triggered_by.encode()),
            oer.write_octets(text),
            oer.write_octets(data),
        ))  # fmt: skip
        return cls(bytes((REJECT,)) + oer.write_length(len(contents)) + contents)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reject) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(bytes(self.octets))

    def __repr__(self) -> str:
        return f"Reject({self.code.decode()}, triggered_by={self.triggered_by!r}, message={self.message!r})"


Reply: TypeAlias = Fulfill | Reject


def parse_reply(buffer: bytes | bytearray) -> Reply:
    """Return the Fulfill or Reject in `buffer`.

    Raises:
        PacketError: it is neither.
    """
    if buffer and buffer[0] == FULFILL:
        return Fulfill(buffer)
    if buffer and buffer[0] == REJECT:
        return Reject(buffer)
    raise PacketError("this is neither a Fulfill nor a Reject", octet=0)


def max_packet_amount_data(*, received: int, maximum: int) -> bytes:
    """Return the 16 octets that an F08 carries: what came, and what would have been fine."""
    return received.to_bytes(8, "big") + maximum.to_bytes(8, "big")


def read_max_packet_amount_data(data: bytes | memoryview) -> tuple[int, int] | None:
    """Return (received, maximum) of an F08, or None where it has no such data."""
    if len(data) < 16:
        return None
    return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:16], "big")


def error_words(code: bytes | str) -> str:
    """Return the name of a code, or `Unknown Error` for one that no RFC knows."""
    octets = code.encode() if isinstance(code, str) else code
    try:
        return ErrorCode(octets).words
    except ValueError:
        return "Unknown Error"


def _check_data(data: memoryview, *, octet: int) -> None:
    if len(data) > DATA_OCTETS_MAX:
        raise PacketError(
            f"the data has {len(data)} octets, {DATA_OCTETS_MAX} are allowed", octet=octet
        )
