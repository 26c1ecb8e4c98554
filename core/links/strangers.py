"""What strangers may take up of a port: places, shared fairly by where they come from, and lines in the log."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, final

H = TypeVar("H", bound=Hashable)

_SECONDS: Final = 60.0


def neighbourhood(host: str) -> str:
    """Return what one owner of addresses is told by: an IPv4 address, or the 64 upper bits of an IPv6 address.

    Whoever has one IPv6 address has the other 2**64 of its network too.
    """
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


@final
@dataclass(frozen=True, slots=True)
class Crowd(Generic[H]):
    """Who holds places and comes from one origin, in the order in which they came."""

    origin: str
    holders: Collection[H]


@final
class Shares(Generic[H]):
    """Who holds places, by where they come from; each in the order in which they came.

    However many origins there are, nothing here takes longer for it.
    """

    __slots__ = ("_by_count", "_by_origin", "_count", "_most")

    def __init__(self) -> None:
        self._by_origin: dict[str, dict[H, None]] = {}
        self._by_count: dict[int, dict[str, None]] = {}
        """Which origins hold so many."""
        self._most = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[H]:
        for holders in self._by_origin.values():
            yield from holders

    def held(self, origin: str) -> int:
        """Return how many places one origin holds."""
        return len(self._by_origin.get(origin, ()))

    def take(self, holder: H, origin: str) -> None:
        holders = self._by_origin.setdefault(origin, {})
        if holder in holders:
            return
        holders[holder] = None
        self._count += 1
        self._move(origin, len(holders) - 1, len(holders))
        self._most = max(self._most, len(holders))

    def give_back(self, holder: H, origin: str) -> None:
        """Free the place of a holder; one that has none frees none."""
        holders = self._by_origin.get(origin, {})
        if holder not in holders:
            return
        del holders[holder]
        self._count -= 1
        count = len(holders)
        self._move(origin, count + 1, count)
        if self._most not in self._by_count:
            self._most = count
        if not holders:
            del self._by_origin[origin]

    def most(self) -> Crowd[H]:
        """Return the origin that holds most, with its holders: whoever must make room is of these.

        So one host can take all places only as long as nobody else wants any. Of several that hold as many it
        is the one that has held them longest.
        """
        if not self._count:
            return Crowd("", ())
        origin = next(iter(self._by_count[self._most]))
        return Crowd(origin, self._by_origin[origin])

    def take_next(self) -> H:
        """Free the place of the one whose turn it is, and return it: origins take turns, and each its holders."""
        origin = next(iter(self._by_origin))
        holders = self._by_origin[origin]
        holder = next(iter(holders))
        self.give_back(holder, origin)
        if holders:
            del self._by_origin[origin]
            self._by_origin[origin] = holders
        return holder

    def _move(self, origin: str, before: int, after: int) -> None:
        """Count an origin among those that hold so many."""
        if before:
            others = self._by_count[before]
            del others[origin]
            if not others:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, {})[origin] = None


@final
class QuietLog:
    """Lines in the log that others cause: so many a minute, a few of each, and then how many were left out."""

    __slots__ = (
        "_by_source",
        "_each_max",
        "_left_out",
        "_level",
        "_lines",
        "_lines_max",
        "_log",
        "_since",
        "_what",
    )

    def __init__(
        self, log: logging.Logger, what: str, *, lines_max: int = 30, each_max: int = 5
    ) -> None:
        """Write nothing yet.

        Args:
            log: Where they go.
            what: What they are about, in the plural.
            lines_max: Of all together, in a minute.
            each_max: Of one source, so that none hides the others.
        """
        self._log = log
        self._what = what
        self._lines_max = lines_max
        self._each_max = each_max
        self._since = 0.0
        self._lines = 0
        self._by_source: dict[str, int] = {}
        self._left_out = 0
        self._level = logging.NOTSET

    def write(self, level: int, source: str, now: float, message: str, *args: object) -> None:
        """Write a line, or count it where its source, or all together, have written enough."""
        self.look_at_clock(now)
        count = self._by_source.get(source, 0)
        if count >= self._each_max or self._lines >= self._lines_max:
            self._left_out += 1
            self._level = max(self._level, level)
            return
        self._by_source[source] = count + 1
        self._lines += 1
        self._log.log(level, message, *args)

    def look_at_clock(self, now: float) -> None:
        """Say what was left out once the minute is over."""
        if now - self._since < _SECONDS:
            return
        if self._left_out:
            self._log.log(
                self._level,
                "%d more lines about %s were left out in the last minute",
                self._left_out,
                self._what,
            )
        self._since, self._lines, self._left_out, self._level = now, 0, 0, logging.NOTSET
        self._by_source.clear()
