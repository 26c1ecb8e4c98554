"""How many files and sockets this process may have open, and how many of them are for whoever connects to it."""

from __future__ import annotations

import resource
from typing import Final

WANTED: Final = 65_536
"""A soft limit of 1,024 is usual, and only meant for programs that cannot do with more."""


def raised_limit() -> int:
    """Raise this process's limit as far as it may, and return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft


def for_strangers(limit: int) -> int:
    """Return how many connections a port may have: half, so that store and peers are never short of theirs."""
    return limit // 2
