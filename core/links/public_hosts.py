"""Which hosts an order from outside may make this node ask: not those that only this node can reach.

Whoever may pay names a host, and this node asks it. Without a guard that is a way around every firewall:
to the database beside it, to the router's own pages, to a cloud's metadata. So what counts is where
a name leads, looked at when the connection is made, once more for every redirect.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, TypeAlias, final

from aiohttp.abc import AbstractResolver, ResolveResult

from core.config import Reach
from core.errors import SpspError

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Reaches the IPv4 address in its last 32 bits, where a network translates."""
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that is given out of IPv6; beyond it are site-local addresses, and ways to write IPv4 ones of a network's own."""


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
    is_given_out = found.version == 4 or found in _UNICAST
    if not (is_given_out and found.is_global) or found.is_multicast:
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


def innermost(found: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 one stands for, in each of the ways that there are."""
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
    inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
    return inner or found


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
