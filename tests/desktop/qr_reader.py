"""Reads a QR code back, by another implementation's tables: what it says, and that its error correction is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qrcode import base, util
from qrcode.main import QRCode

BYTES = 4
FORMAT_MASK = 0x5412
LEVELS = {1: base.constants.ERROR_CORRECT_L, 0: base.constants.ERROR_CORRECT_M,
          3: base.constants.ERROR_CORRECT_Q, 2: base.constants.ERROR_CORRECT_H}  # fmt: skip


def read_qr(squares: Sequence[Sequence[bool]]) -> str:
    """Return the text of a code of octets, and fail where one square of it is wrong."""
    size = len(squares)
    version, rest = divmod(size - 17, 4)
    assert rest == 0, f"no code has {size} squares"
    level, mask = _format(squares)
    frame = _frame(version, level, mask)
    for y, row in enumerate(frame.modules):
        for x, fixed in enumerate(row):
            assert fixed is None or fixed == squares[y][x], f"the square at {x}, {y} is wrong"
    octets = _octets(squares, frame, mask)
    blocks = base.rs_blocks(version, level)
    data = _data(octets, [block.data_count for block in blocks])
    again = util.BitBuffer()
    for octet in data:
        again.put(octet, 8)
    assert util.create_bytes(again, blocks) == octets, "the error correction is wrong"
    return _text(data, version)


def _format(squares: Sequence[Sequence[bool]]) -> tuple[int, int]:
    places = [(x, 8) for x in (0, 1, 2, 3, 4, 5, 7, 8)] + [
        (8, y) for y in (7, 5, 4, 3, 2, 1, 0)
    ]
    value = int("".join("01"[squares[y][x]] for x, y in places), 2)
    kind = (value ^ FORMAT_MASK) >> 10
    assert util.BCH_type_info(kind) == value, "the format is wrong"
    return LEVELS[kind >> 3], kind & 7


def _frame(version: int, level: int, mask: int) -> QRCode:
    """Return a code that has only what is the same in all codes of its kind; None is where data is."""
    code = QRCode(version=version, error_correction=level, mask_pattern=mask, border=0)
    size = code.modules_count = version * 4 + 17
    code.modules = [[None] * size for _ in range(size)]
    for y, x in ((0, 0), (size - 7, 0), (0, size - 7)):
        code.setup_position_probe_pattern(y, x)
    code.setup_position_adjust_pattern()
    code.setup_timing_pattern()
    code.setup_type_info(False, mask)
    if version >= 7:
        code.setup_type_number(False)
    return code


def _octets(squares: Sequence[Sequence[bool]], frame: QRCode, mask: int) -> list[int]:
    is_masked = util.mask_func(mask)
    bits = [
        squares[y][x] != is_masked(y, x)
        for x, y in _way(len(squares))
        if frame.modules[y][x] is None
    ]
    whole = len(bits) // 8 * 8
    return [
        int("".join("01"[bit] for bit in bits[at : at + 8]), 2) for at in range(0, whole, 8)
    ]


def _way(size: int) -> Iterator[tuple[int, int]]:
    """Two columns at a time from the right, up and down by turns; the timing pattern's is none of them."""
    up = True
    for right in [*range(size - 1, 6, -2), *range(5, 0, -2)]:
        for y in range(size - 1, -1, -1) if up else range(size):
            yield right, y
            yield right - 1, y
        up = not up


def _data(octets: Sequence[int], counts: Sequence[int]) -> list[int]:
    blocks: list[list[int]] = [[] for _ in counts]
    rest = iter(octets)
    for place in range(max(counts)):
        for block, count in zip(blocks, counts, strict=True):
            if place < count:
                block.append(next(rest))
    return [octet for block in blocks for octet in block]


def _text(data: Sequence[int], version: int) -> str:
    bits = "".join(f"{octet:08b}" for octet in data)
    assert int(bits[:4], 2) == BYTES
    length_bits = 8 if version < 10 else 16
    count = int(bits[4 : 4 + length_bits], 2)
    start = 4 + length_bits
    text = bytes(int(bits[at : at + 8], 2) for at in range(start, start + 8 * count, 8))
    return text.decode("latin-1")
