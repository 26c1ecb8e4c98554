"""RFC-0027: a Prepare, read from the buffer it came in and changed in place."""

from __future__ import annotations

from typing import Final, final

from core.errors import PacketError
from core.packet import oer
from core.packet.address import Address, parse_address
from core.packet.timestamp import read_timestamp, write_timestamp

PREPARE: Final = 12
DATA_OCTETS_MAX: Final = 32767
AMOUNT_MAX: Final = 2**64 - 1

# Where each field lies in the packet's contents. The destination and the data follow, and vary.
_AMOUNT: Final = slice(0, 8)
_EXPIRES_AT: Final = slice(8, 25)
_CONDITION: Final = slice(25, 57)
_DESTINATION_START: Final = 57


@final
class Prepare:
    """One packet of money on its way, before anyone has said yes or no to it.

    All fields are windows on one buffer and are checked once, when it is parsed; two of them, the
    amount and the expiry, may be changed, and are written into the buffer.
    """

    __slots__ = (
        "_amount", "_contents", "_expires_at_ms", "condition", "data", "destination", "octets",
    )  # fmt: skip

    octets: memoryview
    """The whole packet, as it goes onto the wire."""
    condition: memoryview
    """SHA-256 of the fulfillment, 32 octets."""
    destination: Address
    data: memoryview

    def __init__(self, buffer: bytearray) -> None:
        """Parse `buffer`, and keep it: it must not be resized while this packet lives.

        Raises:
            PacketError: it is no Prepare; octets behind the last field are ignored, as RFC-0030 asks.
        """
        whole = memoryview(buffer)
        if not buffer or buffer[0] != PREPARE:
            raise PacketError("this is no Prepare", octet=0)
        contents, end = oer.read_octets(whole, 1)
        if len(contents) < _DESTINATION_START:
            raise PacketError("the packet ends within its fixed fields", octet=end)
        self._amount = int.from_bytes(contents[_AMOUNT], "big")
        start = end - len(contents)
        self._expires_at_ms = read_timestamp(
            contents[_EXPIRES_AT], octet=start + _EXPIRES_AT.start
        )
        destination, data_at = oer.read_octets(contents, _DESTINATION_START)
        self.destination = parse_address(destination, octet=start + _DESTINATION_START)
        self.data, _ = oer.read_octets(contents, data_at)
        if len(self.data) > DATA_OCTETS_MAX:
            raise PacketError(
                f"the data has {len(self.data)} octets, {DATA_OCTETS_MAX} are allowed",
                octet=start + data_at,
            )
        self.octets = whole[:end]
        self.condition = contents[_CONDITION]
        self._contents = contents

    @classmethod
    def build(
        cls,
        *,
        amount: int,
        expires_at_ms: int,
        condition: bytes | memoryview,
        destination: str,
        data: bytes | memoryview = b"",
    ) -> Prepare:
        """Return a new packet, in a buffer of its own.

        Raises:
            PacketError: a field is not what a packet can carry.
        """
        if not 0 <= amount <= AMOUNT_MAX:
            raise PacketError(f"the amount {amount} is no unsigned 64-bit integer", octet=0)
        if len(condition) != 32:
            raise PacketError(
                f"the condition has {len(condition)} octets, 32 are needed", octet=0
            )
        contents = b"".join((
            amount.to_bytes(8, "big"),
            write_timestamp(expires_at_ms),
            condition,
            oer.write_octets(destination.encode()),
            oer.write_octets(data),
        ))  # fmt: skip
        return cls(
            bytearray(b"".join((bytes((PREPARE,)), oer.write_length(len(contents)), contents)))
        )

    @property
    def amount(self) -> int:
        """How much is on its way, in the smallest unit of the account that it came from or goes to."""
        return self._amount

    @amount.setter
    def amount(self, amount: int) -> None:
        self._contents[_AMOUNT] = amount.to_bytes(8, "big")
        self._amount = amount

    @property
    def expires_at_ms(self) -> int:
        """When whoever sent this stops waiting for the reply, in milliseconds since the Unix epoch."""
        return self._expires_at_ms

    @expires_at_ms.setter
    def expires_at_ms(self, moment_ms: int) -> None:
        self._contents[_EXPIRES_AT] = write_timestamp(moment_ms)
        self._expires_at_ms = moment_ms

    @property
    def unchanging(self) -> memoryview:
        """Condition, destination and data: what stays as it is from hop to hop."""
        return self._contents[_CONDITION.start :]

    def copy(self) -> Prepare:
        """Return the same packet in a buffer of its own, so that one may change and the other not."""
        return Prepare(bytearray(self.octets))

    def __repr__(self) -> str:
        return (
            f"Prepare(amount={self.amount}, destination={self.destination!r}, "
            f"expires_at_ms={self._expires_at_ms}, data={len(self.data)} octets)"
        )
