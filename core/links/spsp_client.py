"""RFC-0009, the payer's side: ask a receiver's server where and how it is paid."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Final, final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver
from yarl import URL

from core.config import Reach
from core.errors import SpspError, connect_problem
from core.links.names import NameLookups
from core.links.public_hosts import PublicResolver, is_loopback, refuse_address
from core.stream.payment_pointer import payment_url
from core.stream.spsp import MEDIA_TYPE, SpspDetails, read_spsp, read_spsp_error

SECONDS: Final = 10.0
"""For everything: a payer waits for it."""
CONNECT_SECONDS: Final = 5.0
BODY_OCTETS_MAX: Final = 64 * 1024
"""Answers in the field have some 300 octets."""
REDIRECTS_MAX: Final = 5
QUERIES_MAX: Final = 32
"""At once: so many connections, and so many times the body, and no more."""

_HEADERS: Final = {
    "Accept": f"{MEDIA_TYPE}, application/spsp+json",
    # A packed body could be a thousand times as large as it looks.
    "Accept-Encoding": "identity",
    "User-Agent": "Signalbox",
}
_MEANINGS: Final[dict[int, str]] = {
    HTTPStatus.NOT_FOUND: ": there is no such receiver",
    HTTPStatus.NOT_ACCEPTABLE: ": it does not speak SPSP",
    HTTPStatus.TOO_MANY_REQUESTS: ": it was asked too often, try again later",
}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@final
class SpspClient:
    """Resolves payment pointers; everything that a server can do to whoever asks it has a bound."""

    def __init__(
        self,
        reach: Callable[[], Reach],
        *,
        names: Callable[[], AbstractResolver] | None = None,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        """Ask hosts within `reach`, which is looked at for each payment; `names` looks host names up.

        `tls` says whose certificates hold; None takes those that this machine trusts.
        """
        self._reach = reach
        self._names = names or NameLookups()
        self._tls = tls
        self._seconds = seconds
        self._turns = asyncio.Semaphore(QUERIES_MAX)

    async def resolve(self, receiver: str) -> SpspDetails:
        """Return how the receiver behind a payment pointer or URL is paid; each time anew, and once.

        Raises:
            SpspError: it is no pointer, cannot be reached or may not be, or answers no SPSP; says which.
        """
        url = payment_url(receiver)
        try:
            async with self._turns, asyncio.timeout(self._seconds):
                octets = await self._get(URL(url, encoded=True))
        except TimeoutError:
            raise SpspError(f"{url} did not answer within {self._seconds:g} seconds") from None
        try:
            return read_spsp(octets)
        except SpspError as error:
            raise SpspError(f"{url} does not answer as a receiver: {error}") from None

    async def _get(self, url: URL) -> bytes:
        reach = self._reach()
        connector = TCPConnector(
            resolver=PublicResolver(self._names(), reach),
            limit=1,
            use_dns_cache=False,
            ssl=self._tls or True,
        )
        # One session a query: no cookie, connection or name is left over for the next.
        async with ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(connect=CONNECT_SECONDS, total=None),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            for _ in range(REDIRECTS_MAX + 1):
                _check(url, reach)
                async with _Asked(session, url) as response:
                    if response.status not in _REDIRECTS:
                        return await _body(url, response)
                    url = _next(url, response)
        raise SpspError(f"{url} was redirected more than {REDIRECTS_MAX} times")


@final
class _Asked:
    """One request, whose errors are sentences."""

    def __init__(self, session: ClientSession, url: URL) -> None:
        self._request = session.get(url, headers=_HEADERS, allow_redirects=False)
        self._url = url

    async def __aenter__(self) -> ClientResponse:
        try:
            return await self._request.__aenter__()
        except (ClientError, OSError, ValueError) as error:
            raise _unreachable(self._url, error) from None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._request.__aexit__(kind, error, trace)


def _check(url: URL, reach: Reach) -> None:
    """Refuse a URL that may not be asked, before anybody is connected to.

    Raises:
        SpspError: it is neither https nor, where that may be reached, this machine's http; or is an
            address that may not be reached.
    """
    host = url.host or ""
    plain_allowed = reach is Reach.ANY or (reach is Reach.LOOPBACK and is_loopback(host))
    if url.scheme != "https" and not (url.scheme == "http" and plain_allowed):
        raise SpspError(
            f"{url} is not asked: whoever listens would learn the payment's secret; use https"
        )
    # The connector looks up names alone.
    if host.replace(".", "").isdigit() or ":" in host:
        refuse_address(host, host, reach)


def _next(url: URL, response: ClientResponse) -> URL:
    place = response.headers.get("Location", "")
    try:
        following = url.join(URL(place)) if place else None
    except ValueError:
        following = None
    if following is None or following.host is None or following.user is not None:
        raise SpspError(f"{url} redirects, and does not say where to")
    return following


async def _body(url: URL, response: ClientResponse) -> bytes:
    body = bytearray()
    try:
        async for part in response.content.iter_any():
            body += part
            if len(body) > BODY_OCTETS_MAX:
                raise SpspError(f"{url} answers with more than {BODY_OCTETS_MAX} octets")
    except (ClientError, OSError) as error:
        raise _unreachable(url, error) from None
    if response.status != HTTPStatus.OK:
        raise SpspError(
            f"{url} answers with the status {response.status}{_why(response.status, bytes(body))}"
        )
    return bytes(body)


def _why(status: int, body: bytes) -> str:
    meaning = _MEANINGS.get(status, "")
    said = read_spsp_error(body)
    return meaning if said is None else f"{meaning}; it says: {said}"


def _unreachable(url: URL, error: Exception) -> SpspError:
    if isinstance(error, SpspError):
        return error
    if isinstance(error, ClientConnectorError) and isinstance(error.os_error, SpspError):
        return error.os_error
    if isinstance(error, ClientConnectorCertificateError):
        # Whoever answers may be anybody: nothing was asked.
        wrong = error.certificate_error
        why = wrong.verify_message if isinstance(wrong, ssl.SSLCertVerificationError) else wrong
        return SpspError(f"{url} is not asked: its certificate does not hold: {why}")
    if isinstance(error, ClientConnectorSSLError):
        return SpspError(
            f"{url} is not asked: it does not speak TLS as it should: {error.os_error}"
        )
    if isinstance(error, InvalidURL):
        return SpspError(f"{url} is no URL that can be asked")
    return SpspError(f"{url} cannot be reached: {connect_problem(error)[:200]}")
