"""Long lists are turned into rows piece by piece, so that packets and painting get their turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

A = TypeVar("A")
B = TypeVar("B")

FRAME_SECONDS: Final = 0.02
"""What is drawn this much apart is painted in frames of its own, each of them short."""
PIECE: Final = 200
"""So many take two or three milliseconds where the processor is slow: packets have their turn before a frame is over."""


async def next_frame() -> None:
    """Let what was just shown be painted before more is."""
    await asyncio.sleep(FRAME_SECONDS)


async def in_pieces(items: Sequence[A], convert: Callable[[A], B]) -> list[B]:
    """Return every item converted; between two pieces everybody else has a turn."""
    found: list[B] = []
    for start in range(0, len(items), PIECE):
        if start:
            await asyncio.sleep(0)
        found += map(convert, items[start : start + PIECE])
    return found
