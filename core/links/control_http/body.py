"""Bodies and queries, read within bounds and exactly: a number in JSON becomes an int or a Decimal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Never

from aiohttp import web

from core.control.details import read_integer, shown
from core.errors import SettingError
from core.json_text import NestedTooDeeply, json_text
from core.links.control_http.problems import TYPE_ROOT, Refused

BODY_OCTETS_MAX: Final = 256 * 1024
"""Enough for any account."""
TABLE_OCTETS_MAX: Final = 16 * 1024 * 1024
"""Enough for a hundred thousand routes."""
TEXT_OCTETS_MAX: Final = 4 * 1024
ROWS_MAX: Final = 1_000_000
DEPTH_MAX: Final = 16
DIGITS_MAX: Final = 400
"""Far more than any number of ours has; Python itself refuses a few thousand, in words of its own."""
_TEXT_TYPES: Final = frozenset(
    {"", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"}
)
"""What clients send a plain text as; curl calls it a form unless it is told otherwise."""


async def read_object(
    request: web.Request, *, octets_max: int = BODY_OCTETS_MAX, may_be_absent: bool = False
) -> Mapping[str, object]:
    """Return the JSON object in the body; an absent one is empty where the call allows that."""
    octets = await _read(request, octets_max)
    if not octets and may_be_absent:
        return {}
    if request.content_type != "application/json":
        raise _refused(
            415, f"The body is {_shown_type(request)}; this call takes application/json.", ""
        )
    value = _parse(octets)
    if not isinstance(value, dict):
        raise _refused(400, "The body is JSON, and not an object: {…} is needed.", "json-data")
    return value


async def read_text(request: web.Request) -> str:
    """Return a body that is plain text, or text as JSON has it."""
    octets = await _read(request, TEXT_OCTETS_MAX)
    kind = request.content_type if "Content-Type" in request.headers else ""
    if kind == "application/json":
        value = _parse(octets)
        if not isinstance(value, str):
            raise _refused(400, 'The body is JSON, and not a text: "…" is needed.', "json-data")
        return value
    if kind not in _TEXT_TYPES:
        raise _refused(415, f"The body is {_shown_type(request)}; plain text is needed.", "")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise _refused(400, "The body is no UTF-8.", "") from None


def query_integer(
    request: web.Request, name: str, *, otherwise: int, minimum: int = 0, maximum: int = 2**63
) -> int:
    """Return a whole number of the query, or what holds where it is not there."""
    text = request.query.get(name)
    if text is None:
        return otherwise
    number = read_integer(name, text)
    if not minimum <= number <= maximum:
        raise SettingError(name, f"{number} was found; it needs {minimum} to {maximum}")
    return number


def query_flag(request: web.Request, name: str) -> bool:
    """Return whether the query says yes: `?even_with_balance=true`."""
    text = request.query.get(name, "false").lower()
    if text in {"true", "1", "yes", ""}:
        return True
    if text in {"false", "0", "no"}:
        return False
    raise SettingError(name, f"{text!r} was found; it is true or false")


def page(request: web.Request) -> slice:
    """Return which rows of a list are asked for: all, unless the query has `limit` or `offset`."""
    offset = query_integer(request, "offset", otherwise=0)
    limit = query_integer(request, "limit", otherwise=ROWS_MAX, maximum=ROWS_MAX)
    return slice(offset, offset + limit)


def texts(given: Mapping[str, object]) -> dict[str, str]:
    """Return a map of texts; raises SettingError for a value that is none."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(value, str):
            raise SettingError(name, f"it is text, not {shown(value)}")
        found[name] = value
    return found


def decimals(given: Mapping[str, object]) -> dict[str, Decimal]:
    """Return a map of exact numbers, which came as numbers or as text."""
    return {name: read_decimal(name, value) for name, value in given.items()}


def read_decimal(name: str, value: object) -> Decimal:
    """Return an exact number; raises SettingError for what is none."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and len(value) <= 100:
        try:
            return Decimal(value.strip())
        except ArithmeticError:
            pass
    raise SettingError(name, f"it is a number, not {str(value)[:60]!r}")


async def _read(request: web.Request, octets_max: int) -> bytes:
    """Return the body, and stop reading where it becomes too long."""
    if (request.content_length or 0) > octets_max:
        raise web.HTTPRequestEntityTooLarge(octets_max, request.content_length or 0)
    octets = bytearray()
    async for chunk in request.content.iter_any():
        octets += chunk
        if len(octets) > octets_max:
            raise web.HTTPRequestEntityTooLarge(octets_max, len(octets))
    return bytes(octets)


def _parse(octets: bytes) -> object:
    try:
        value: object = json.loads(
            json_text(octets, depth_max=DEPTH_MAX),
            parse_int=_integer,
            parse_float=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_without_repeats,
        )
    except NestedTooDeeply:
        raise _refused(400, "The body is nested too deeply.", "json-syntax") from None
    except UnicodeDecodeError:
        raise _refused(400, "The body is no JSON: it is no UTF-8.", "json-syntax") from None
    except (ValueError, ArithmeticError) as error:
        raise _refused(400, f"The body is no JSON: {error}.", "json-syntax") from None
    return value


def _integer(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise ValueError(f"a number has more than {DIGITS_MAX} digits")
    return int(text)


def _no_constant(text: str) -> Never:
    raise ValueError(f"{text} is no number")


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for name, _ in pairs:
            if name not in found:
                raise ValueError(f"{name!r} stands in one object twice")
            del found[name]
    return found


def _refused(status: int, detail: str, kind: str) -> Refused:
    return Refused(status, detail, f"{TYPE_ROOT}{kind}" if kind else "about:blank")


def _shown_type(request: web.Request) -> str:
    return request.content_type if "Content-Type" in request.headers else "of no stated type"
