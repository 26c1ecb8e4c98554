"""Posts an auto-peering offer; everything that the other side can do to whoever asks it has a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver
from yarl import URL

from core.config import Reach
from core.errors import Conflict, SpspError, connect_problem, shown_url
from core.links.names import NameLookups
from core.links.public_hosts import PublicResolver, refuse_address
from core.peering.auto_peering import ANSWER_OCTETS_MAX

SECONDS: Final = 20.0
"""For everything: the other side looks at us before it answers."""
CONNECT_SECONDS: Final = 5.0
_HEADERS: Final = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    # A packed body could be a thousand times as large as it looks.
    "Accept-Encoding": "identity",
    "User-Agent": "Signalbox",
}


@final
class AutoPeerClient:
    """One request an offer: nothing is followed, kept or sent twice, as an offer has a token in it."""

    def __init__(
        self,
        *,
        names: Callable[[], AbstractResolver] | None = None,
        seconds: float = SECONDS,
    ) -> None:
        """`names` looks host names up."""
        self._names = names or NameLookups()
        self._seconds = seconds

    async def __call__(
        self, url: str, body: bytes, *, allow_private: bool
    ) -> tuple[int, bytes]:
        """Return the status and body of the answer; raises Conflict with the reason there is none."""
        target = _target(url, allow_private=allow_private)
        reach = Reach.ANY if allow_private else Reach.PUBLIC
        try:
            async with asyncio.timeout(self._seconds):
                return await self._post(target, body, reach)
        except TimeoutError:
            raise Conflict(
                f"nothing came back from {target} within {self._seconds:g} seconds"
            ) from None
        except SpspError as error:
            raise Conflict(_guarded(target, str(error))) from None
        except ClientConnectorError as error:
            if isinstance(error.os_error, SpspError):
                raise Conflict(_guarded(target, str(error.os_error))) from None
            raise Conflict(
                f"the offer did not reach {target}: {connect_problem(error)}"
            ) from None
        except (ClientError, OSError, ValueError) as error:
            raise Conflict(
                f"the offer did not reach {target}: {connect_problem(error)}"
            ) from None

    async def _post(self, url: URL, body: bytes, reach: Reach) -> tuple[int, bytes]:
        host = url.host or ""
        # The connector looks up names alone.
        if host.replace(".", "").isdigit() or ":" in host:
            refuse_address(host, host, reach)
        connector = TCPConnector(
            resolver=PublicResolver(self._names(), reach), limit=1, use_dns_cache=False
        )
        async with (
            ClientSession(
                connector=connector,
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(connect=CONNECT_SECONDS, total=None),
                auto_decompress=False,
                trust_env=False,
            ) as session,
            session.post(url, data=body, headers=_HEADERS, allow_redirects=False) as response,
        ):
            answer = bytearray()
            async for part in response.content.iter_any():
                answer += part
                if len(answer) > ANSWER_OCTETS_MAX:
                    raise Conflict(
                        f"the answer of {url} has more than {ANSWER_OCTETS_MAX} octets"
                    )
            return response.status, bytes(answer)


def _target(url: str, *, allow_private: bool) -> URL:
    try:
        target = URL(url.strip())
    except ValueError:
        raise Conflict(f"{shown_url(url)} is no URL") from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise Conflict(f"{shown_url(url)} does not start with http:// or https:// and a host")
    if target.user is not None or target.password is not None:
        raise Conflict(f"a user and a password do not belong into a URL: {target.host}")
    if target.scheme == "http" and not allow_private:
        raise Conflict(
            f"nothing was sent to {target}: the offer has a token in it, and everybody on the way could read"
            " it; use https, or say that private networks are meant"
        )
    return target


def _guarded(url: URL, found: str) -> str:
    where = found.partition(" is no public address")[0]
    if where == found:
        return f"nothing was sent to {url}: {found}"
    return f"nothing was sent to {url}: {where} is no public address; say that private networks are meant if it is yours"
