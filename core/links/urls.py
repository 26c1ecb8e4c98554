"""URLs that packets are sent to, as an operator gives them, read into what a connection needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final
from urllib.parse import unquote, urlsplit

from core.errors import SettingError, shown_url


@final
@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a URL leads."""

    scheme: str
    host: str
    port: int
    host_header: str
    """The host as HTTP names it, with a port that is not its scheme's own."""
    target: str
    """The path, with its query."""
    username: str


def read_endpoint(
    field: str,
    url: str,
    ports: Mapping[str, int],
    *,
    beginnings: str,
    may_name_user: bool = False,
) -> Endpoint:
    """Read the URL in an account's field.

    Args:
        field: For the error.
        url: As the operator gave it.
        ports: The schemes that it may have, each with its own port.
        beginnings: These, for the error.
        may_name_user: Whether it may say as whom one logs in.

    Raises:
        SettingError: nothing can be sent to it; says why.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna" if parts.netloc else "ascii").decode()
    except (ValueError, UnicodeError):
        raise SettingError(field, f"{shown_url(url)} is no URL") from None
    if parts.scheme not in ports or not host:
        raise SettingError(
            field, f"{shown_url(url)} does not start with {beginnings} and a host"
        )
    if parts.password is not None or (parts.username is not None and not may_name_user):
        raise SettingError(
            field, "the token has a field of its own, it does not go into the URL"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (target.isascii() and target.isprintable()) or " " in target:
        raise SettingError(
            field, f"{shown_url(url)} has characters that must be percent-encoded"
        )
    usual = ports[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != usual:
        shown += f":{port}"
    return Endpoint(
        parts.scheme, host, port or usual, shown, target, unquote(parts.username or "")
    )
