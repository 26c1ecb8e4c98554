"""After a change is stored: let the packet's path see it at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from core.errors import StoreUnavailable

log = logging.getLogger(__name__)

Refresh: TypeAlias = Callable[[], Awaitable[None]]
"""Loads accounts, routes and rates from the store into the packet path's memory, now."""


async def refresh_now(refresh: Refresh) -> None:
    """Refresh, and where the store cannot be read just now, leave it to the node's own poll.

    The change is stored and durable by then: to raise would tell its caller that it was not made.
    """
    try:
        await refresh()
    except StoreUnavailable as error:
        log.warning(
            "a change is stored and not yet in force, the next poll brings it: %s", error
        )
