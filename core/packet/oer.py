"""RFC-0030: lengths, octet strings and unsigned integers of canonical OER; knows no ILP.

Writing is canonical. Reading is strict about length prefixes and lenient about leading zeros in
variable-size integers, as the implementations in the field are.
"""

from __future__ import annotations

from core.errors import PacketError

_LENGTH_OCTETS_MAX = 8
_ONE_OCTET = tuple(bytes((1, value)) for value in range(256))
"""Most integers are small: they are written by looking them up."""


def write_length(length: int) -> bytes:
    """Return the canonical length determinant."""
    if length < 0x80:
        return bytes((length,))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def write_octets(octets: bytes | bytearray | memoryview) -> bytes:
    """Return a variable-length octet string: its length, then itself."""
    return write_length(len(octets)) + bytes(octets)


def write_uint(value: int) -> bytes:
    """Return a variable-size unsigned integer; zero is `01 00`."""
    if 0 <= value < len(_ONE_OCTET):
        return _ONE_OCTET[value]
    if value < 0:
        raise ValueError(f"an unsigned integer cannot be {value}")
    size = max(1, (value.bit_length() + 7) // 8)
    return write_length(size) + value.to_bytes(size, "big")


def read_length(view: memoryview, at: int) -> tuple[int, int]:
    """Return a length and the octet behind its determinant.

    Raises:
        PacketError: the determinant is cut off, indefinite, too long or not canonical.
    """
    if at >= len(view):
        raise PacketError("the packet ends where a length is due", octet=at)
    first = view[at]
    if first < 0x80:
        return first, at + 1
    size = first & 0x7F
    if size == 0:
        raise PacketError("an indefinite length is not allowed", octet=at)
    if size > _LENGTH_OCTETS_MAX:
        raise PacketError(f"a length of {size} octets is too long", octet=at)
    end = at + 1 + size
    if end > len(view):
        raise PacketError("the packet ends within a length", octet=at)
    length = int.from_bytes(view[at + 1 : end], "big")
    if view[at + 1] == 0 or length < 0x80:
        raise PacketError("the length is not in its shortest form", octet=at)
    return length, end


def read_octets(view: memoryview, at: int) -> tuple[memoryview, int]:
    """Return a window on a variable-length octet string, and the octet behind it.

    Raises:
        PacketError: the length is wrong, or longer than what is there.
    """
    size = len(view)
    if at < size and view[at] < 0x80:  # the usual length, without another call
        length, start = view[at], at + 1
    else:
        length, start = read_length(view, at)
    end = start + length
    if end > size:
        raise PacketError(f"{length} octets are due and {size - start} are there", octet=at)
    return view[start:end], end


def read_uint(view: memoryview, at: int, *, octets_max: int = 8) -> tuple[int, int]:
    """Return a variable-size unsigned integer, and the octet behind it.

    Raises:
        PacketError: it has no octets, more than `octets_max`, or fewer than its length says.
    """
    octets, end = read_octets(view, at)
    if not octets:
        raise PacketError("an integer needs at least one octet", octet=at)
    if len(octets) > octets_max:
        raise PacketError(f"the integer has {len(octets)} octets, {octets_max} fit", octet=at)
    return int.from_bytes(octets, "big"), end
