"""Asks rate sources: over HTTP, or in a file, with a bound on everything that one can do to whoever asks."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import stat
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final, final
from urllib.parse import unquote

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from core.errors import RateSourceError, connect_problem
from core.links.names import NameLookups
from core.public_address import innermost, is_public
from core.rates.records import RateSource, SourceKind

SECONDS: Final = 10.0
"""For everything: a source that takes longer is asked again later."""
CONNECT_SECONDS: Final = 5.0
OCTETS_MAX: Final = 2 * 1024 * 1024
"""The longest list in the field, of two thousand assets, has about half of it."""
REDIRECTS_MAX: Final = 3

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@final
class RateSourceClient:
    """Fetches what a source answers; each time anew, with no cookie or connection left over.

    The operator names the source, so that it may be on this machine or in a private network. Where
    a public host redirects to is its own word, and leads to public hosts alone; nobody leads to
    link-local addresses, where a cloud keeps its secrets.
    """

    def __init__(
        self,
        *,
        names: Callable[[], AbstractResolver] | None = None,
        seconds: float = SECONDS,
        octets_max: int = OCTETS_MAX,
    ) -> None:
        self._names = names or NameLookups()
        self._seconds = seconds
        self._octets_max = octets_max

    async def fetch(self, source: RateSource) -> bytes:
        """Return its answer.

        Raises:
            RateSourceError: there is none, or it is too long, or late; a sentence says why.
        """
        try:
            async with asyncio.timeout(self._seconds):
                if source.url.startswith("file:"):
                    path = Path(unquote(source.url.removeprefix("file://")))
                    return await asyncio.to_thread(_read_file, path, self._octets_max)
                return await self._get(source)
        except TimeoutError:
            raise RateSourceError(
                f"it did not answer within {self._seconds:g} seconds"
            ) from None

    async def _get(self, source: RateSource) -> bytes:
        url = URL(source.url)
        first = url.host
        resolver = GuardedResolver(self._names())
        connector = TCPConnector(resolver=resolver, limit=1, use_dns_cache=False)
        async with ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(connect=CONNECT_SECONDS, total=None),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            for hop in range(REDIRECTS_MAX + 1):
                resolver.is_redirected = hop > 0
                resolver.check_literal(url.host or "")
                headers = _headers(source if url.host == first else None)
                try:
                    async with session.get(
                        url, headers=headers, allow_redirects=False
                    ) as response:
                        if response.status not in _REDIRECTS:
                            return await self._body(response)
                        url = _next(url, response)
                except (ClientError, OSError, ValueError) as error:
                    raise _unreachable(url, error) from None
        raise RateSourceError(f"it was redirected more than {REDIRECTS_MAX} times")

    async def _body(self, response: ClientResponse) -> bytes:
        if response.status != HTTPStatus.OK:
            raise RateSourceError(_status(response.status))
        coding = response.headers.get("Content-Encoding", "identity").lower()
        if coding != "identity":
            raise RateSourceError(f"it packs its answer ({coding[:20]}), and was asked not to")
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > self._octets_max:
                raise RateSourceError(f"its answer has more than {self._octets_max} octets")
        return bytes(body)


@final
class GuardedResolver(AbstractResolver):
    """Looks names up, and refuses those that lead where no source of rates is.

    Once one answer has led to a public host, a redirect may not lead into this network from there.
    """

    def __init__(self, names: AbstractResolver) -> None:
        self._names = names
        self._was_public = False
        self.is_redirected = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        for one in found:
            self._check(host, one["host"])
        return found

    def check_literal(self, host: str) -> None:
        """Check a host that is an address itself: the connector asks for names alone."""
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return
        self._check(host, host)

    async def close(self) -> None:
        await self._names.close()

    def _check(self, host: str, text: str) -> None:
        address = innermost(ipaddress.ip_address(text.partition("%")[0]))
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            raise RateSourceError(f"{host} leads to {text}, where no source of rates can be")
        if self.is_redirected and self._was_public and not is_public(address):
            raise RateSourceError(
                f"it redirects from a public host to {host}, which is no public one ({text})"
            )
        self._was_public = self._was_public or is_public(address)


def _headers(source: RateSource | None) -> dict[str, str]:
    """Return what is sent; the key goes to the host that it was given for, and to no other."""
    headers = {
        "Accept": "application/json, application/xml;q=0.9, */*;q=0.1",
        # A packed body could be a thousand times as large as it looks.
        "Accept-Encoding": "identity",
        "User-Agent": "Signalbox",
    }
    if source is None or source.api_key is None:
        return headers
    key = source.api_key.reveal()
    if source.kind is SourceKind.COINGECKO:
        headers["x-cg-demo-api-key"] = key
    elif source.kind is SourceKind.CRYPTOCOMPARE:
        headers["Authorization"] = f"Apikey {key}"
    else:
        headers["Authorization"] = f"Bearer {key}"
    return headers


def _next(url: URL, response: ClientResponse) -> URL:
    place = response.headers.get("Location", "")
    try:
        following = url.join(URL(place)) if place else None
    except ValueError:
        following = None
    if following is None or not following.host or following.user is not None:
        raise RateSourceError("it redirects, and does not say where to")
    if following.scheme != url.scheme and following.scheme != "https":
        raise RateSourceError(f"it redirects from {url.scheme} to {following.scheme}")
    return following


def _read_file(path: Path, octets_max: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RateSourceError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RateSourceError(f"{path} is no file")
    with os.fdopen(descriptor, "rb") as file:
        octets = file.read(octets_max + 1)
    if len(octets) > octets_max:
        raise RateSourceError(f"{path} has more than {octets_max} octets")
    return octets


def _status(status: int) -> str:
    why = ""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        why = ": it wants another API key"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        why = ": it was asked too often; ask it less often, or with an API key"
    elif status == HTTPStatus.NOT_FOUND:
        why = ": there is nothing at this URL"
    return f"it answers with the status {status}{why}"


def _unreachable(url: URL, error: Exception) -> RateSourceError:
    if isinstance(error, ClientConnectorError) and isinstance(error.os_error, RateSourceError):
        return error.os_error
    return RateSourceError(f"{url.host} cannot be reached: {connect_problem(error)[:200]}")
