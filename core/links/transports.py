"""What a connection needs of its transport beside what asyncio gives it."""

from __future__ import annotations

import asyncio
import contextlib


def abort(transport: asyncio.Transport) -> None:
    """Give a connection up at once; one that is gone already stays so.

    asyncio's own fails on one that was closed with octets left to write, once these are written. Over TLS that
    is some rounds of the loop before its protocol hears of it.
    """
    with contextlib.suppress(AttributeError):
        transport.abort()
