"""Which hosts an order from outside may make this node ask: not those that only this node can reach.

Whoever may pay names a host, and this node asks it. Without a guard that is a way around every firewall:
to the database beside it, to the router's own pages, to a cloud's metadata. So what counts is where
a name leads, looked at when the connection is made, once more for every redirect.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import final

from aiohttp.abc import AbstractResolver, ResolveResult

from core.config import Reach
from core.errors import SpspError
from core.public_address import innermost, is_public


def refuse_address(host: str, text: str, reach: Reach) -> None:
    """Refuse an address that an order from outside may not reach.

    Raises:
        SpspError: it is this machine's, a private network's or nobody's; says which host led there.
    """
    if reach is Reach.ANY:
        return
    try:
        found = innermost(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        raise SpspError(f"{host} leads to {text!r}, which is no address") from None
    if reach is Reach.LOOPBACK and found.is_loopback:
        return
    if not is_public(found):
        where = "" if text == host else f" leads to {text}, which"
        raise SpspError(
            f"{host}{where} is no public address, and payments are made to public hosts alone "
            "(the setting payment_reach)"
        )


def is_loopback(text: str) -> bool:
    """Tell whether a host is an address of this machine, or its own name for itself."""
    if text == "localhost":
        return True
    try:
        return innermost(ipaddress.ip_address(text)).is_loopback
    except ValueError:
        return False


@final
class PublicResolver(AbstractResolver):
    """Looks a name up, and refuses it where it leads to an address that may not be reached.

    All of its addresses count: one that is private among others is a trap, not a choice.
    """

    def __init__(self, names: AbstractResolver, reach: Reach) -> None:
        self._names = names
        self._reach = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        for one in found:
            refuse_address(host, one["host"], self._reach)
        return found

    async def close(self) -> None:
        await self._names.close()
