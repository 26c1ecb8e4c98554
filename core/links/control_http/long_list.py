"""Answers with as many rows as there are: written piece by piece, so that packets get their turns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from aiohttp import web

from core.links.control_http.as_json import Json

A = TypeVar("A")

ROWS_AT_ONCE: Final = 200
"""So many take a few milliseconds."""


async def list_response(rows: Sequence[A], row_json: Callable[[A], Json]) -> web.Response:
    """Return every row as JSON, in one array."""
    pieces: list[str] = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        piece = json.dumps([row_json(row) for row in rows[start : start + ROWS_AT_ONCE]])
        pieces.append(piece[1:-1])
    return web.Response(text=f"[{', '.join(pieces)}]", content_type="application/json")
