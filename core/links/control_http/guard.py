"""Who may call: the right Host, no foreign Origin, and a token, compared in constant time.

A web page that an operator happens to look at can make their browser send requests to this
machine, even under a name of its own that it has pointed here (DNS rebinding). Such a request names
a Host that is not ours, or an Origin; a token it does not have.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from core.account import Secret
from core.control.usernames import canonical_username
from core.errors import NotAuthorized
from core.links.control_http.problems import Handler, problem

_SCHEME: Final = "bearer "
_REFUSED: Final = "the token is missing or wrong: send `Authorization: Bearer TOKEN`"


@final
@dataclass(frozen=True, slots=True)
class Access:
    """What a request's token opens; neither is set where it has none, or a wrong one."""

    admin: bool = False
    username: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Guard:
    """Decides who may call what."""

    admin_token: Secret
    account_by_token: Callable[[str], str | None]
    """The username whose incoming ILP-over-HTTP token this is."""

    def access(self, request: web.Request) -> Access:
        """Return what the request's token opens."""
        header = request.headers.get("Authorization", "")
        if header[: len(_SCHEME)].lower() != _SCHEME:
            return Access()
        token = header[len(_SCHEME) :].strip()
        # Digests have one length, so that not even the token's can be measured.
        if hmac.compare_digest(_digest(token), _digest(self.admin_token.reveal())):
            return Access(admin=True)
        # What is not ASCII is nobody's token, and not all of it could be hashed.
        known = bool(token) and token.isascii()
        return Access(username=self.account_by_token(token) if known else None)

    def require_admin(self, request: web.Request) -> Access:
        """Let the operator pass; raises NotAuthorized."""
        access = self.access(request)
        if not access.admin:
            raise NotAuthorized(_REFUSED)
        return access

    def require_anybody_known(self, request: web.Request) -> Access:
        """Let the operator and every account's user pass, to what is then shown to its owner alone."""
        access = self.access(request)
        if not access.admin and access.username is None:
            raise NotAuthorized(_REFUSED)
        return access

    def require_admin_or_owner(self, request: web.Request) -> Access:
        """Let the operator and the account's own user pass; raises NotAuthorized.

        It does so before anybody looks whether there is such an account: who has no right to it does
        not learn that it exists.
        """
        access = self.access(request)
        wanted = canonical_username(request.match_info["username"])
        if not access.admin and (access.username is None or access.username != wanted):
            raise NotAuthorized(_REFUSED)
        return access


def known_hosts_only(hosts: Collection[str]) -> Middleware:
    """Return the middleware that refuses a strange Host and a foreign Origin.

    An address of digits is always fine: a browser that was lured to one sends the page's Origin.
    """
    names = frozenset(host.lower() for host in hosts)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _host_of(request.headers.get("Host", ""))
        if not _is_ours(host, names):
            return problem(
                421,
                f"This node is not called {host!r}; call it by its address, or by localhost.",
            )
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
            return problem(403, "Web pages of other places may not call this API.")
        return await handler(request)

    return check


def is_loopback_host(host: str) -> bool:
    """Tell whether only this machine can reach what listens there."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_ours(host: str, names: frozenset[str]) -> bool:
    if host in names or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_of(header: str) -> str:
    """Return the host without its port, in lower case."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return header[:64].lower()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
