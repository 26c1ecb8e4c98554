"""What proves who told a route first: the origin's keyed hash, hashed anew by each node that passes it on.

Nobody but the origin can make the first value, and nobody can undo a hash; so a path that is claimed to
be shorter than it is, or to begin at somebody else, does not fit what the origin itself gave. That can be
checked where the origin's own word is known: at a node that made the route, and at its peers.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Final

ROUTING_SECRET: Final = "routing_secret"  # noqa: S105 - the name it is kept under
_SECRET_OCTETS: Final = 32


def fresh_secret() -> bytes:
    """Return a secret that nobody has had before."""
    return secrets.token_bytes(_SECRET_OCTETS)


def origin_auth(secret: bytes, prefix: str) -> bytes:
    """Return the value that only the node which has `secret` can give for a prefix."""
    return hmac.digest(secret, prefix.encode(), "sha256")


def passed_on(auth: bytes, *, hops: int = 1) -> bytes:
    """Return the value after so many nodes have passed the route on."""
    for _ in range(hops):
        auth = sha256(auth).digest()
    return auth
