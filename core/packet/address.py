"""RFC-0015: what is an ILP address, and which prefixes cover it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NewType

from core.errors import PacketError

Address = NewType("Address", str)
"""A whole ILP address, valid: a scheme and at least one segment, at most 1023 octets."""

ADDRESS_OCTETS_MAX: Final = 1023
SCHEMES: Final = (
    "g", "private", "example", "peer", "self", "test", "test1", "test2", "test3", "local",
)  # fmt: skip

_ADDRESS: Final = re.compile(
    rb"(?:g|private|example|peer|self|test[1-3]?|local)(?:\.[a-zA-Z0-9_~-]+)+"
)
_SEGMENT: Final = re.compile(r"[a-zA-Z0-9_~-]+")


def parse_address(octets: bytes | bytearray | memoryview, *, octet: int = 0) -> Address:
    """Return the address in `octets`; `octet` says where they stand in their packet.

    Raises:
        PacketError: it is no ILP address.
    """
    size = len(octets)
    if size > ADDRESS_OCTETS_MAX:
        raise PacketError(
            f"the address has {size} octets, {ADDRESS_OCTETS_MAX} are allowed", octet=octet
        )
    if _ADDRESS.fullmatch(octets) is None:
        raise PacketError(f"{_quoted(octets)} is no ILP address", octet=octet)
    return Address(str(octets, "ascii"))


def address(text: str) -> Address:
    """Return `text` as an address.

    Raises:
        PacketError: it is no ILP address; the sentence says which part is wrong.
    """
    octets = _octets(text)
    if len(octets) <= ADDRESS_OCTETS_MAX and _ADDRESS.fullmatch(octets) is None:
        raise PacketError(_problem(text), octet=0)
    return parse_address(octets)


def is_prefix(text: str) -> bool:
    """Tell whether `text` may stand in a routing table: empty, a scheme, or an address."""
    if text == "" or text in SCHEMES:
        return True
    octets = _octets(text)
    return len(octets) <= ADDRESS_OCTETS_MAX and _ADDRESS.fullmatch(octets) is not None


def covers(prefix: str, address_: str) -> bool:
    """Tell whether `prefix` covers the address, by whole segments: `g.bob` is no prefix of `g.bobby`."""
    if prefix == "" or prefix == address_:
        return True
    return address_.startswith(prefix) and address_[len(prefix)] == "."


def prefixes(address_: str) -> Iterator[str]:
    """Yield what could cover the address, longest first: itself, then a segment less each time, then `""`."""
    text: str = address_
    while text:
        yield text
        cut = text.rfind(".")
        text = text[:cut] if cut > 0 else ""
    yield ""


def scheme(address_: str) -> str:
    """Return the allocation scheme, the first segment."""
    return address_.partition(".")[0]


def child_address(parent: str, segment: str) -> Address:
    """Return the address of `segment` under `parent`.

    Raises:
        PacketError: the segment has other characters than an address may have, or the whole is too long.
    """
    if _SEGMENT.fullmatch(segment) is None:
        raise PacketError(f"{segment!r} cannot be a segment of an ILP address", octet=0)
    return address(f"{parent}.{segment}")


def _octets(text: str) -> bytes:
    """Return a text's octets; half a character, which JSON can name, becomes what is in no address."""
    return text.encode(errors="backslashreplace")


def _problem(text: str) -> str:
    """Say which part of `text` keeps it from being an address."""
    if not text:
        return "an ILP address cannot be empty"
    parts = text.split(".")
    what = f"{_cut(text, 64)} is no ILP address"
    if parts[0] not in SCHEMES:
        return (
            f"{what}: it starts with {_cut(parts[0], 16)}, not with one of {', '.join(SCHEMES)}"
        )
    if len(parts) == 1:
        return f"{what}: behind the scheme a segment is needed, as in '{text}.alice'"
    for number, part in enumerate(parts[1:], 2):
        if not part:
            return f"{what}: segment {number} is empty"
        if _SEGMENT.fullmatch(part) is None:
            return f"{what}: segment {number}, {_cut(part, 32)}, has other characters than a-z A-Z 0-9 _ ~ -"
    return what


def _cut(text: str, characters_max: int) -> str:
    """Return a text as it is quoted in a sentence: whoever wrote it may have written much."""
    return repr(text if len(text) <= characters_max else f"{text[:characters_max]}…")


def _quoted(octets: bytes | bytearray | memoryview) -> str:
    text = bytes(octets[:64]).decode("ascii", "backslashreplace")
    return repr(text + ("…" if len(octets) > 64 else ""))
