"""A rate source as the operator describes it, read field by field, with all that is wrong with it told at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, TypeVar
from urllib.parse import parse_qs, urlsplit

from core.account import Secret
from core.control.account_fields import (
    URL_CHARACTERS_MAX,
    is_loopback,
    read_asset_code,
    read_link_url,
    read_token,
)
from core.control.rates import checked_price
from core.control.rates_views import RateSourceDetails
from core.errors import SettingError, SettingErrors
from core.rates.feed import RETRY_SHARE
from core.rates.formats import duration
from core.rates.records import (
    ECB_MAX_AGE_SECONDS_DEFAULT,
    ECB_POLL_SECONDS_DEFAULT,
    MAX_AGE_SECONDS_DEFAULT,
    POLL_SECONDS_DEFAULT,
    RateSource,
    SourceKind,
)

POLL_SECONDS_MIN: Final = 5
"""More often is a flood; public sources allow some tens of questions a minute."""
POLL_SECONDS_MAX: Final = 86_400
MAX_AGE_SECONDS_MAX: Final = 31 * 86_400
ASSETS_MAX: Final = 1_000
NAME_CHARACTERS_MAX: Final = 60
PATH_CHARACTERS_MAX: Final = 200

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{1,31}")
_URLS: Final[Mapping[SourceKind, str]] = {
    SourceKind.ECB: "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml",
    SourceKind.COINGECKO: "https://api.coingecko.com/api/v3/coins/markets?per_page=100&vs_currency={base}",
    SourceKind.COINCAP: "https://rest.coincap.io/v3/assets",
    SourceKind.CRYPTOCOMPARE: "https://min-api.cryptocompare.com/data/top/mktcapfull?limit=100&tsym={BASE}",
}
_ONLY_BASE: Final[Mapping[SourceKind, str]] = {
    SourceKind.ECB: "EUR",
    SourceKind.COINCAP: "USD",
}
_FILES: Final = frozenset({SourceKind.ECB, SourceKind.JSON})

T = TypeVar("T")


def read_source(details: RateSourceDetails, stored: RateSource | None) -> RateSource:
    """Return the source that the details make; a key that is None stays as it is stored.

    Raises:
        SettingErrors: every field that cannot be, and why.
    """
    faults: list[tuple[str, str]] = []

    def read(work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except SettingError as error:
            faults.append((error.field, error.problem))
            return otherwise

    kind = read(lambda: _kind(details.kind), SourceKind.FIXED)
    poll, max_age = _seconds(kind, details)
    base = read(lambda: _base(kind, details.base), "USD")
    key = read(lambda: _api_key(details, stored), None)
    source = RateSource(
        name=read(lambda: _name(details.name), "?"),
        kind=kind,
        url=read(lambda: _url(kind, details.url, base), ""),
        base=base,
        assets=read(lambda: _assets(details.assets), {}),
        path=read(lambda: _path(kind, details.path), ""),
        inverted=read(lambda: _inverted(kind, inverted=details.inverted), False),  # noqa: FBT003
        prices=read(lambda: _prices(kind, details.prices), {}),
        poll_seconds=read(lambda: _poll(kind, poll, max_age), poll),
        max_age_seconds=read(lambda: _max_age(max_age), max_age),
        enabled=details.enabled,
        api_key=key,
    )
    if faults:
        raise SettingErrors(faults)
    return source


def _kind(text: str) -> SourceKind:
    for kind in SourceKind:
        if kind.value == text.strip().lower():
            return kind
    known = ", ".join(kind.value for kind in SourceKind)
    raise SettingError("kind", f"{text!r} was found; it is one of {known}")


def _name(text: str) -> str:
    name = text.strip().lower()
    if _NAME.fullmatch(name) is None:
        raise SettingError(
            "name", f"{text!r} was found; it needs 2 to 32 characters of a-z, 0-9, _ and -"
        )
    return name


def _url(kind: SourceKind, text: str, base: str) -> str:
    url = text.strip()
    if kind is SourceKind.FIXED:
        if url:
            raise SettingError("url", "fixed prices are asked of nobody; leave it empty")
        return ""
    url = url or _URLS.get(kind, "").format(base=base.lower(), BASE=base)
    if not url:
        raise SettingError(
            "url", "it is missing: a json source needs to know where its JSON is"
        )
    if url.startswith("/"):
        url = f"file://{url}"
    if url.startswith("file:"):
        return _file_url(kind, url)
    found = read_link_url("url", url, schemes=("http", "https"))
    assert found is not None, "it is not empty"
    if found.startswith("http:") and not _is_near(found):
        raise SettingError(
            "url",
            "it is not encrypted: whoever is on the way could set your prices; use https",
        )
    if kind is SourceKind.COINGECKO:
        _refuse_other_base(found, base)
    return found


def _refuse_other_base(url: str, base: str) -> None:
    """Its lists do not say what they are counted in: the question does."""
    asked = parse_qs(urlsplit(url).query)
    currencies = asked.get("vs_currency", []) + asked.get("vs_currencies", [])
    named = {each for text in currencies for each in text.lower().split(",")}
    if base.lower() not in named or ("vs_currency" in asked and len(named) > 1):
        raise SettingError(
            "url", f"{url!r} was found; it needs vs_currency={base.lower()}, as base is {base}"
        )


def _file_url(kind: SourceKind, url: str) -> str:
    if kind not in _FILES:
        raise SettingError(
            "url", f"a {kind.value} source has no file; use an http or https URL"
        )
    if not url.startswith("file:///") or len(url) > URL_CHARACTERS_MAX or not url.isprintable():
        raise SettingError(
            "url",
            f"{url[:60]!r} was found; a file is named whole, as in file:///var/lib/rates.xml",
        )
    return url


def _is_near(url: str) -> bool:
    """Tell whether the host is this machine, or has no dot: a name in a network of one's own."""
    host = urlsplit(url).hostname or ""
    return is_loopback(url) or ("." not in host and ":" not in host)


def _base(kind: SourceKind, text: str) -> str:
    only = _ONLY_BASE.get(kind)
    if not text.strip():
        return only or "USD"
    base = read_code("base", text)
    if only is not None and base != only:
        raise SettingError("base", f"{base} was found; a {kind.value} source counts in {only}")
    return base


def _assets(given: Mapping[str, str]) -> Mapping[str, str]:
    if len(given) > ASSETS_MAX:
        raise SettingError("assets", f"it has {len(given)}, and {ASSETS_MAX} are allowed")
    for name in given:
        if not name.strip() or len(name) > NAME_CHARACTERS_MAX:
            raise SettingError(
                "assets", f"{name[:NAME_CHARACTERS_MAX]!r} was found; a source's name for an asset has"
                f" 1 to {NAME_CHARACTERS_MAX} characters"
            )  # fmt: skip
    return {name.strip(): read_code("assets", code) for name, code in given.items()}


def _path(kind: SourceKind, text: str) -> str:
    path = text.strip().strip(".")
    if path and kind is not SourceKind.JSON:
        raise SettingError("path", "it has no use: only a json source has one")
    if len(path) > PATH_CHARACTERS_MAX:
        raise SettingError(
            "path", f"it has {len(path)} characters, {PATH_CHARACTERS_MAX} are allowed"
        )
    return path


def _inverted(kind: SourceKind, *, inverted: bool) -> bool:
    if inverted and kind is not SourceKind.JSON:
        raise SettingError("inverted", "it has no use: only a json source has it")
    return inverted


def _prices(kind: SourceKind, given: Mapping[str, str]) -> Mapping[str, Decimal]:
    if kind is not SourceKind.FIXED:
        if given:
            raise SettingError("prices", "they have no use: only a fixed source has some")
        return {}
    if not given or len(given) > ASSETS_MAX:
        raise SettingError(
            "prices", f"there are {len(given)}; a fixed source needs 1 to {ASSETS_MAX}"
        )
    return {
        (code := read_code("prices", name)): checked_price(code, _decimal(code, text))
        for name, text in given.items()
    }


def _decimal(code: str, text: str) -> Decimal:
    try:
        return Decimal(text.strip()) if len(text) <= 100 else Decimal("NaN")
    except ArithmeticError:
        raise SettingError(
            "prices", f"{code} has the price {text!r}; it needs a number above zero"
        ) from None


def _seconds(kind: SourceKind, details: RateSourceDetails) -> tuple[int, int]:
    slow = kind is SourceKind.ECB
    poll, max_age = details.poll_seconds, details.max_age_seconds
    return (
        (ECB_POLL_SECONDS_DEFAULT if slow else POLL_SECONDS_DEFAULT) if poll is None else poll,
        (ECB_MAX_AGE_SECONDS_DEFAULT if slow else MAX_AGE_SECONDS_DEFAULT)
        if max_age is None
        else max_age,
    )


def _poll(kind: SourceKind, poll: int, max_age: int) -> int:
    if not POLL_SECONDS_MIN <= poll <= POLL_SECONDS_MAX:
        raise SettingError(
            "poll_seconds",
            f"{poll} was found; it needs {POLL_SECONDS_MIN} to {POLL_SECONDS_MAX}",
        )
    if kind is not SourceKind.FIXED and poll * RETRY_SHARE > max_age:
        raise SettingError(
            "poll_seconds",
            f"{poll} was found; it needs a third of max_age_seconds, {max_age // RETRY_SHARE}, or less:"
            " one answer that is missed must not make the price stale",
        )
    return poll


def _max_age(max_age: int) -> int:
    if not RETRY_SHARE * POLL_SECONDS_MIN <= max_age <= MAX_AGE_SECONDS_MAX:
        raise SettingError(
            "max_age_seconds",
            f"{max_age} was found; it needs {RETRY_SHARE * POLL_SECONDS_MIN} to {MAX_AGE_SECONDS_MAX}"
            f" ({duration(MAX_AGE_SECONDS_MAX * 1000)})",
        )
    return max_age


def _api_key(details: RateSourceDetails, stored: RateSource | None) -> Secret | None:
    if details.api_key is None:
        # It was given for one place; another one does not get it.
        same = stored is not None and (not details.url or stored.url == details.url)
        return stored.api_key if stored is not None and same else None
    key = read_token("api_key", details.api_key)
    return Secret(key) if key else None


def read_code(field: str, text: str) -> str:
    """Return an asset code in upper case, its fault under the field that it stands in."""
    try:
        return read_asset_code(text)
    except SettingError as error:
        raise SettingError(field, error.problem) from None
