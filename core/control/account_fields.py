"""The grammar of an account's single fields: each function returns the canonical value or raises its fault.

A fault's sentence says what was found and what is needed, and follows the field's name: `asset_scale
is 300: …`. Tokens are never repeated in one.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import Final
from urllib.parse import urlsplit

from core.account import SCALE_MAX, RoutingRelation
from core.control.shares import read_share
from core.control.usernames import canonical_username, is_canonical_username
from core.errors import PacketError, SettingError, shown_url
from core.packet import AMOUNT_MAX, Address, address, is_prefix
from core.settlement.records import BUNDLED_ENGINE_SCHEME

I64_MIN: Final = -(2**63)
I64_MAX: Final = 2**63 - 1
U32_MAX: Final = 2**32 - 1
TOKEN_SET: Final = "SECRET"  # noqa: S105 - this word is what stands in its place
"""Stands for a token that is set, where accounts are shown: interledger-rs's word for it."""
TOKEN_CHARACTERS_MAX: Final = 1_024
"""Far above any key or JWT, far below what a header may hold."""
SHOWN_MAX: Final = 60
"""So much of what was found is said again."""
LABEL_CHARACTERS_MAX: Final = 64
NOTES_CHARACTERS_MAX: Final = 4_000
URL_CHARACTERS_MAX: Final = 2_048
ADDRESS_CHARACTERS_MAX: Final = 128
PREFIXES_MAX: Final = 256
"""Each route that is learned or told is compared with every one of them."""
ROUTES_MAX: Final = 1_000_000
WEIGHT_MAX: Final = 1_000_000

_ASSET_CODE: Final = re.compile(r"[\x21-\x7e]{1,12}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_ENGINE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_SCHEMES_THAT_NAME_US: Final = frozenset({"ws", "wss", "btp+ws", "btp+wss"})
"""Over BTP the name before the @ is told to the other side, and is no secret."""
_ETHEREUM_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")


def read_username(text: str) -> str:
    """Return the canonical username."""
    name = canonical_username(text)
    if not is_canonical_username(name):
        raise SettingError(
            "username",
            f"{_shown(text)} was found; it needs 2 to 32 characters of a-z, 0-9, _, ~ and -",
        )
    return name


def read_asset_code(text: str) -> str:
    """Return the asset code, in upper case."""
    code = unicodedata.normalize("NFKC", text).strip().upper()
    if _ASSET_CODE.fullmatch(code) is None:
        raise SettingError(
            "asset_code",
            f"{_shown(text)} was found; it needs 1 to 12 printable characters, as in USD",
        )
    return code


def read_asset_scale(scale: int) -> int:
    """Return how many decimals the asset has."""
    return _between("asset_scale", scale, 0, SCALE_MAX, "it says how many decimals there are")


def read_max_packet_amount(amount: int | None) -> int:
    """Return the largest packet; where none was named, all that a packet can carry."""
    if amount is None:
        return AMOUNT_MAX
    return _between("max_packet_amount", amount, 1, AMOUNT_MAX, "a packet carries 64 bits")


def read_booked_amount(field: str, amount: int | None) -> int | None:
    """Return an amount, with its sign, that the books can carry."""
    if amount is None:
        return None
    return _between(field, amount, I64_MIN, I64_MAX, "the books carry 64 bits with a sign")


def read_limit(field: str, limit: int | None, maximum: int) -> int | None:
    """Return a limit, as of a minute, a burst or what is in flight; None is no limit of its own."""
    if limit is None:
        return None
    return _between(field, limit, 1, maximum, "leave it out for no limit")


def read_spread(text: str | None) -> Fraction | None:
    """Return our share of what goes to the account; None, or empty, leaves it to the pair or the node."""
    if text is None or not text.strip():
        return None
    return read_share("spread", text)


def read_prefixes(field: str, prefixes: Sequence[str]) -> tuple[str, ...]:
    """Return the prefixes of a filter, each once, in the order of their names; none lets all pass."""
    if len(prefixes) > PREFIXES_MAX:
        raise SettingError(
            field, f"it has {len(prefixes)} prefixes, {PREFIXES_MAX} are allowed"
        )
    found = {prefix.strip() for prefix in prefixes}
    for prefix in found:
        if prefix and is_prefix(prefix):
            continue
        try:
            address(prefix)
        except PacketError as error:
            raise SettingError(field, error.problem) from None
    return tuple(sorted(found))


def read_routes_max(routes: int | None) -> int | None:
    """Return how many routes may be learned from the account; None is the node's own bound."""
    if routes is None:
        return None
    return _between(
        "routes_max", routes, 1, ROUTES_MAX, "receive_routes says whether any are taken at all"
    )


def read_route_weight(weight: int) -> int:
    """Return what the operator adds to the account's routes."""
    return _between(
        "route_weight",
        weight,
        -WEIGHT_MAX,
        WEIGHT_MAX,
        "of two equal prefixes the heavier wins",
    )


def read_round_trip_time(milliseconds: int) -> int:
    """Return the time that a packet to the other side and back is given."""
    return _between("round_trip_time", milliseconds, 0, U32_MAX, "it counts milliseconds")


def read_routing_relation(text: str) -> RoutingRelation:
    """Return what the other side is to us; its name is taken in any case."""
    for relation in RoutingRelation:
        if relation.value.casefold() == text.strip().casefold():
            return relation
    known = ", ".join(relation.value for relation in RoutingRelation)
    raise SettingError("routing_relation", f"{_shown(text)} was found; it is one of {known}")


def read_ilp_address(text: str) -> Address:
    """Return a whole ILP address."""
    try:
        return address(text.strip())
    except PacketError as error:
        raise SettingError("ilp_address", error.problem) from None


def read_token(field: str, token: str) -> str:
    """Return a token that fits a header; an empty one clears what is stored."""
    if token == TOKEN_SET:
        raise SettingError(
            field,
            f"{TOKEN_SET!r} stands for a token that is set, where accounts are shown, and would be guessed; "
            "leave the field out to keep the token",
        )
    if token and _TOKEN.fullmatch(token) is None:
        raise SettingError(
            field,
            "it has blanks or other characters that a header cannot carry; use visible ASCII",
        )
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise SettingError(
            field, f"it has {len(token)} characters, {TOKEN_CHARACTERS_MAX} are allowed"
        )
    return token


def read_link_url(field: str, text: str, *, schemes: tuple[str, ...]) -> str | None:
    """Return the URL of a peer; None for an empty one."""
    url = text.strip()
    if not url:
        return None
    _check_url(
        field, url, schemes, "it needs " + " or ".join(f"{scheme}://" for scheme in schemes)
    )
    return url


def read_engine_url(field: str, text: str) -> str | None:
    """Return what names an engine: `signalbox:ethereum`, or the http URL of one that speaks RFC-0038."""
    url = text.strip()
    if not url:
        return None
    if url.startswith(BUNDLED_ENGINE_SCHEME):
        engine = url.removeprefix(BUNDLED_ENGINE_SCHEME)
        if _ENGINE.fullmatch(engine) is None:
            raise SettingError(
                field, f"{url!r} was found; behind {BUNDLED_ENGINE_SCHEME} an engine's name is needed,"
                f" as in {BUNDLED_ENGINE_SCHEME}ethereum",
            )  # fmt: skip
        return url
    _check_url(
        field,
        url,
        ("http", "https"),
        f"it needs {BUNDLED_ENGINE_SCHEME}ENGINE for an engine of this program, or an http://"
        " or https:// URL for another one",
    )
    return url


def read_settlement_address(text: str | None, *, engine_url: str | None) -> str | None:
    """Return where the other side is paid, as far as its engine's ledger is known here."""
    found = (text or "").strip()
    if not found:
        return None
    field = "settlement_address"
    if len(found) > ADDRESS_CHARACTERS_MAX or not found.isprintable():
        raise SettingError(
            field, f"it needs at most {ADDRESS_CHARACTERS_MAX} printable characters on one line"
        )
    if (
        engine_url == f"{BUNDLED_ENGINE_SCHEME}ethereum"
        and _ETHEREUM_ADDRESS.fullmatch(found) is None
    ):
        raise SettingError(
            field, f"{found!r} was found; an Ethereum address is 0x and 40 hexadecimal digits"
        )
    return found


def read_label(text: str) -> str:
    """Return the name for screens."""
    label = text.strip()
    if len(label) > LABEL_CHARACTERS_MAX or not label.isprintable():
        raise SettingError(
            "label", f"it needs at most {LABEL_CHARACTERS_MAX} printable characters on one line"
        )
    return label


def read_notes(text: str) -> str:
    """Return the operator's own notes, on as many lines as they have."""
    if len(text) > NOTES_CHARACTERS_MAX:
        raise SettingError(
            "notes", f"it has {len(text)} characters, {NOTES_CHARACTERS_MAX} are allowed"
        )
    return text


def is_loopback(url: str) -> bool:
    """Tell whether the URL leads to this machine, where nobody listens in between."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_url(field: str, url: str, schemes: tuple[str, ...], needed: str) -> None:
    """Let a URL pass that has one of the schemes, names a host and carries no secret."""
    if " " in url:
        raise SettingError(
            field,
            f"its character {url.index(' ') + 1} is a blank; a URL has none, leave it out",
        )
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable():
        raise SettingError(
            field, f"it needs a URL of at most {URL_CHARACTERS_MAX} visible ASCII characters"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingError(field, f"{shown_url(url)} is no URL: {error}") from None
    may_name_us = parts.scheme in _SCHEMES_THAT_NAME_US and parts.password is None
    if "@" in parts.netloc and not may_name_us:
        raise SettingError(
            field, "it has a user or password in it; put the token into its own field"
        )
    if parts.scheme not in schemes:
        raise SettingError(field, f"{shown_url(url)} was found; {needed}")
    if not parts.hostname or port == 0:
        raise SettingError(
            field,
            f"{shown_url(url)} was found; it needs a host, as in https://bob.example/accounts/us/ilp",
        )
    if parts.fragment:
        raise SettingError(
            field, f"{shown_url(url)} was found; a part behind # is never sent, leave it out"
        )
    _check_host(field, parts.hostname)


def _check_host(field: str, host: str) -> None:
    """Refuse addresses that are no peer's: a cloud's metadata service lives on a link-local one."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise SettingError(field, f"it leads to {host}, where no peer can be")


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…")


def _between(field: str, number: int, minimum: int, maximum: int, why: str) -> int:
    if minimum <= number <= maximum:
        return number
    raise SettingError(field, f"{number} was found; it needs {minimum} to {maximum}: {why}")
