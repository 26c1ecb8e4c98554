"""Which addresses everybody can reach, and which only this machine or its network, however they are written."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import Final, TypeAlias

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Reaches the IPv4 address in its last 32 bits, where a network translates."""
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that is given out of IPv6; beyond it are site-local addresses, and ways to write IPv4 ones of a network's own."""


def innermost(found: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 one stands for, in each of the ways that there are."""
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
    inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
    return inner or found


def is_public(found: IpAddress) -> bool:
    """Tell whether an address is one that everybody can reach."""
    inner = innermost(found)
    is_given_out = isinstance(inner, ipaddress.IPv4Address) or inner in _UNICAST
    return is_given_out and inner.is_global and not inner.is_multicast


def is_inside(host: str) -> bool:
    """Tell whether a URL's host by itself says that only this machine or its network can reach it.

    Where a name leads is another question, which is asked when it is connected to.
    """
    try:
        name = host.encode("idna").decode().lower().rstrip(".")
    except UnicodeError:
        return False  # no host at all, which is refused for that
    if name == "localhost" or name.endswith((".localhost", ".local", ".internal")):
        return True
    with contextlib.suppress(OSError):
        name = socket.inet_ntoa(socket.inet_aton(name))  # 127.1 and 0x7f000001 are, too
    try:
        return not is_public(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        return False
