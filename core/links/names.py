"""Looks host names up on threads of its own, so many at once: a name that hangs holds up nobody else.

An operating system's look-up cannot be broken off: whoever asked may have gone long ago, and its
thread still waits. On the loop's own threads, which the store works on too, a few of them would
stop the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, final

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUPS_MAX: Final = 32
"""At once, each a thread; one more is refused: the name servers of all these do not answer."""
LOOKUP_SECONDS: Final = 5.0
PLACES_MAX: Final = 4
"""Addresses of one name that are tried."""
REMEMBERED_MAX: Final = 10_000
"""Names whose addresses are remembered: some 3 MB."""

_NUMERIC: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_Found: TypeAlias = list[tuple[Any, ...]]
_Key: TypeAlias = tuple[str, int, int]
_P = TypeVar("_P", bound=asyncio.BaseProtocol)


@final
class NameLookups:
    """Hands out resolvers that share a bound: who asks strangers' names has one of its own."""

    def __init__(
        self,
        *,
        lookups_max: int = LOOKUPS_MAX,
        look_up: Callable[..., _Found] = socket.getaddrinfo,
    ) -> None:
        self._lookups_max = lookups_max
        self._look_up = look_up
        self._running: dict[_Key, asyncio.Future[_Found]] = {}
        self._places: OrderedDict[str, list[str]] = OrderedDict()
        """The addresses that hosts' names last stood for; the one found last behind all others."""

    def __call__(self) -> AbstractResolver:
        return _Resolver(self)

    async def find(self, host: str, port: int, family: socket.AddressFamily) -> _Found:
        """Return what the operating system knows of a name; whoever asks for one that is looked up already waits for it.

        Raises:
            OSError: there is no such name, or too many look-ups have not ended yet.
        """
        key = (host, port, int(family))
        found = self._running.get(key)
        if found is None:
            found = self._start(key)
        # One who asks and goes leaves the look-up to the others.
        return await asyncio.shield(found)

    def remember(self, host: str, places: list[str]) -> None:
        """Know from now on that a host was found at these addresses."""
        self._places[host] = places
        self._places.move_to_end(host)
        if len(self._places) > REMEMBERED_MAX:
            self._places.popitem(last=False)

    def remembered(self, host: str) -> list[str]:
        """Return the addresses where a host was found last."""
        return self._places.get(host, [])

    def _start(self, key: _Key) -> asyncio.Future[_Found]:
        if len(self._running) >= self._lookups_max:
            raise OSError(
                f"{len(self._running)} names are being looked up, and no more are at once:"
                " their name servers do not answer"
            )
        loop = asyncio.get_running_loop()
        found: asyncio.Future[_Found] = loop.create_future()

        def ended(names: _Found | OSError) -> None:
            del self._running[key]
            if isinstance(names, OSError):
                found.set_exception(names)
                found.exception()  # perhaps nobody waits for it any more
            else:
                found.set_result(names)

        def work() -> None:
            names: _Found | OSError
            try:
                names = self._named(*key)
            except OSError as error:
                names = error
            except ValueError as error:  # it cannot be written as names are
                names = OSError(f"it is no host name: {error}")
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(ended, names)

        self._running[key] = found
        # No thread of a pool: at its end the process waits for those, and this one may hang.
        threading.Thread(target=work, name="look up a name", daemon=True).start()
        return found

    def _named(self, host: str, port: int, family: int) -> _Found:
        names = []
        for kind, _, proto, _, place in self._look_up(
            host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        ):
            if kind == socket.AF_INET6 and len(place) > 3 and place[3]:
                # A link-local address is of use with its interface alone.
                address = socket.getnameinfo(place, _NUMERIC)[0]
            else:
                address = place[0]
            names.append((kind, proto, address, place[1]))
        return names


@final
class _Resolver(AbstractResolver):
    """What a connector asks; ends with it."""

    def __init__(self, lookups: NameLookups) -> None:
        self._lookups = lookups

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=number,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, proto, address, number in await self._lookups.find(host, port, family)
        ]

    async def close(self) -> None:
        """There is nothing to close: a look-up ends when the operating system answers."""


@final
class Host:
    """A host that is connected to again and again."""

    def __init__(self, names: NameLookups, host: str, port: int) -> None:
        self._names = names
        self._host = host
        self._port = port

    async def connect(
        self,
        protocol: Callable[[], _P],
        *,
        tls: ssl.SSLContext | None,
        seconds: float,
        lookup_seconds: float = LOOKUP_SECONDS,
    ) -> _P:
        """Open a connection to the first of its addresses that takes it; each has its share of the time.

        Raises:
            OSError: there is no such name, no address takes it, or TLS cannot be agreed on.
            TimeoutError: the last address did not answer.
        """
        places = await self._find(lookup_seconds)
        loop = asyncio.get_running_loop()
        for number, place in enumerate(places, 1):
            try:
                async with asyncio.timeout(seconds / len(places)):
                    _, opened = await loop.create_connection(
                        protocol,
                        place,
                        self._port,
                        ssl=tls,
                        server_hostname=None if tls is None else self._host,
                    )
            except OSError:
                if number == len(places):
                    raise
            else:
                return opened
        raise socket.gaierror(socket.EAI_NONAME, "its name stands for no address")

    async def _find(self, seconds: float) -> list[str]:
        """Return its addresses: those that it had before, where its name servers do not answer."""
        if _is_address(self._host):
            return [self._host]
        problem: OSError
        try:
            async with asyncio.timeout(seconds):
                found = await self._names.find(self._host, self._port, socket.AF_UNSPEC)
        except TimeoutError:
            problem = socket.gaierror(socket.EAI_AGAIN, "its name was not found in time")
        except OSError as error:
            problem = error
        else:
            places = [place[2] for place in found[:PLACES_MAX]]
            self._names.remember(self._host, places)
            return places
        places = self._names.remembered(self._host)
        if not places:
            raise problem
        return places


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
