"""Long lists are turned into rows piece by piece, so that packets and painting get their turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

A = TypeVar("A")
B = TypeVar("B")

PIECE: Final = 500
"""So many take a few milliseconds."""


async def in_pieces(items: Sequence[A], convert: Callable[[A], B]) -> list[B]:
    """Return every item converted; between two pieces everybody else has a turn."""
    found: list[B] = []
    for start in range(0, len(items), PIECE):
        if start:
            await asyncio.sleep(0)
        found += map(convert, items[start : start + PIECE])
    return found
