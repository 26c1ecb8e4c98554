"""RFC-0026: `$wallet.example/alice` and the URL that it stands for."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from core.errors import SpspError

WELL_KNOWN: Final = "/.well-known/pay"
CHARACTERS_MAX: Final = 2_000
"""Longer than any that was ever seen, shorter than what a server takes as a line."""

_HOST: Final = re.compile(
    r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
)
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
_PRINTABLE: Final = re.compile(r"[!-~]+")


def payment_url(receiver: str) -> str:
    """Return the URL that a payment pointer, or a URL as it is, stands for.

    Where it names no path, the receiver is that of the whole host; a slash at the end means nothing,
    as the wallets in the field have it.

    Raises:
        SpspError: it is neither; says which part is wrong.
    """
    text = receiver.strip()
    if not _PRINTABLE.fullmatch(text) or len(text) > CHARACTERS_MAX:
        raise SpspError(
            f"{_shown(text)} is no payment pointer: it is written as $wallet.example/alice, in ASCII"
        )
    if text.startswith("$"):
        return _pointer_url(text)
    if text.lower().startswith(("https://", "http://")):
        return _normal_url(text)
    raise SpspError(
        f"{_shown(text)} is no payment pointer, which starts with $, and no URL, which starts with https://"
    )


def payment_pointer(url: str) -> str | None:
    """Return the payment pointer of a URL, or None where there is none: it has a port, a query, or no TLS."""
    try:
        parts = urlsplit(payment_url(url))
    except SpspError:
        return None
    if parts.scheme != "https" or parts.port is not None or parts.query or parts.fragment:
        return None
    path = "" if parts.path == WELL_KNOWN else parts.path
    return f"${parts.hostname}{path}"


def _pointer_url(text: str) -> str:
    rest = text[1:]
    host, slash, path = rest.partition("/")
    if "@" in host:
        raise SpspError(f"{_shown(text)} is no payment pointer: it may not name a user")
    if ":" in host:
        raise SpspError(
            f"{_shown(text)} is no payment pointer: it may not name a port;"
            " give the receiver's URL instead, as https://wallet.example:8443/alice"
        )
    for sign, what in (("?", "a query"), ("#", "a fragment")):
        if sign in rest:
            raise SpspError(f"{_shown(text)} is no payment pointer: it may not have {what}")
    if _HOST.fullmatch(host.lower()) is None:
        raise SpspError(f"{_shown(text)} is no payment pointer: {host!r} is no name of a host")
    if _PATH.fullmatch(slash + path) is None:
        raise SpspError(
            f"{_shown(text)} is no payment pointer: its path has signs that a URL cannot have"
        )
    return f"https://{host.lower()}{_path(slash + path)}"


def _normal_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise SpspError(f"{_shown(text)} is no URL that can be asked") from None
    if "@" in parts.netloc:
        raise SpspError("a URL that can be paid has no user and no password in it")
    if not parts.hostname:
        raise SpspError(f"{_shown(text)} names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if not host.startswith("[") and _HOST.fullmatch(host) is None:
        raise SpspError(f"{_shown(text)} names no host: {host!r} cannot be one")
    place = host if port is None else f"{host}:{port}"
    return SplitResult(
        parts.scheme.lower(), place, _path(parts.path), parts.query, parts.fragment
    ).geturl()


def _path(path: str) -> str:
    return path.rstrip("/") or WELL_KNOWN


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
