"""The API's calls for the rate feed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from aiohttp import web

from core.control.details import read_integer
from core.control.operator import Operator
from core.control.rates_views import RateSourceDetails
from core.control.shares import read_fraction, read_share
from core.errors import NotFound, SettingError, SettingErrors
from core.links.control_http.body import query_integer, read_object, read_text, texts
from core.links.control_http.long_list import list_response
from core.links.control_http.rate_json import (
    conversion_json,
    feed_json,
    snapshot_json,
    test_json,
    transfer_rate_json,
)

_TEXTS = ("name", "kind", "url", "base", "path")
_MAPS = ("assets", "prices")
_FLAGS = ("inverted", "enabled")
_INTEGERS = ("poll_seconds", "max_age_seconds")


async def feed(operator: Operator, _request: web.Request) -> web.Response:
    """Return everything about rates: GET /rates/feed."""
    return web.json_response(feed_json(await operator.rate_feed()))


async def add_source(operator: Operator, request: web.Request) -> web.Response:
    """Add a source: POST /rates/sources."""
    details = _details(await read_object(request))
    return web.json_response(feed_json(await operator.add_rate_source(details)))


async def replace_source(operator: Operator, request: web.Request) -> web.Response:
    """Change all of a source: PUT /rates/sources/{name}."""
    name = request.match_info["name"]
    details = _details({"name": name, **await read_object(request)})
    return web.json_response(feed_json(await operator.replace_rate_source(name, details)))


async def remove_source(operator: Operator, request: web.Request) -> web.Response:
    """Remove a source: DELETE /rates/sources/{name}."""
    view = await operator.remove_rate_source(request.match_info["name"])
    return web.json_response(feed_json(view))


async def test_described(operator: Operator, request: web.Request) -> web.Response:
    """Ask a source that is only described: POST /rates/sources/test."""
    details = _details(await read_object(request))
    return web.json_response(test_json(await operator.test_rate_source(details)))


async def test_source(operator: Operator, request: web.Request) -> web.Response:
    """Ask a source now: POST /rates/sources/{name}/test."""
    found = await operator.test_rate_source(request.match_info["name"])
    return web.json_response(test_json(found))


async def confirm_jump(operator: Operator, request: web.Request) -> web.Response:
    """Put a held price into force: POST /rates/jumps/{code}/confirm."""
    return web.json_response(
        feed_json(await operator.confirm_rate_jump(request.match_info["code"]))
    )


async def refuse_jump(operator: Operator, request: web.Request) -> web.Response:
    """Keep the price that is in force: POST /rates/jumps/{code}/refuse."""
    return web.json_response(
        feed_json(await operator.refuse_rate_jump(request.match_info["code"]))
    )


async def set_guard(operator: Operator, request: web.Request) -> web.Response:
    """Say which jumps are held: PUT /rates/guard, jump_limit and jump_samples."""
    given = await read_object(request)
    if set(given) != {"jump_limit", "jump_samples"}:
        raise SettingError("jump_limit", "and jump_samples are needed, and nothing else")
    limit = given["jump_limit"]
    view = await operator.set_rate_guard(
        jump_limit=None if limit is None else read_fraction("jump_limit", _text(limit)),
        jump_samples=read_integer("jump_samples", given["jump_samples"]),
    )
    return web.json_response(feed_json(view))


async def set_reference(operator: Operator, request: web.Request) -> web.Response:
    """Count all prices in another asset: PUT /rates/reference, the body is its code."""
    return web.json_response(
        feed_json(await operator.set_reference_asset(await read_text(request)))
    )


async def set_watched(operator: Operator, request: web.Request) -> web.Response:
    """Keep the prices of further assets: PUT /rates/watched, `{"codes": ["EUR"]}`."""
    codes = (await read_object(request)).get("codes")
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        raise SettingError("codes", "it is a list of asset codes")
    return web.json_response(feed_json(await operator.set_watched_assets(codes)))


async def set_pair_spread(operator: Operator, request: web.Request) -> web.Response:
    """Set our share from one asset to another: PUT /rates/spreads/{source}/{target}, as `0.005`."""
    spread = read_share("spread", await read_text(request))
    source, target = request.match_info["source"], request.match_info["target"]
    return web.json_response(feed_json(await operator.set_pair_spread(source, target, spread)))


async def delete_pair_spread(operator: Operator, request: web.Request) -> web.Response:
    """Leave it to the node's spread again: DELETE /rates/spreads/{source}/{target}."""
    source, target = request.match_info["source"], request.match_info["target"]
    return web.json_response(feed_json(await operator.set_pair_spread(source, target, None)))


async def convert(operator: Operator, request: web.Request) -> web.Response:
    """Say what an amount would become: GET /rates/convert?amount=12.40&source=USD&target=EUR."""
    query = request.query
    for name in ("amount", "source", "target"):
        if name not in query:
            raise SettingError(
                name, "it is missing: rates/convert?amount=12.40&source=USD&target=EUR"
            )
    found = await operator.convert_amount(
        query["amount"],
        query["source"],
        query["target"],
        from_username=query.get("from"),
        to_username=query.get("to"),
    )
    return web.json_response(conversion_json(found))


async def snapshots(operator: Operator, request: web.Request) -> web.Response:
    """Return what was in force, the newest first: GET /rates/snapshots."""
    found = await operator.rate_snapshots(
        limit=query_integer(request, "limit", otherwise=100, maximum=1_000),
        before=query_integer(request, "before", otherwise=2**63 - 1, maximum=2**63 - 1),
    )
    return await list_response(found, snapshot_json)


async def snapshot(operator: Operator, request: web.Request) -> web.Response:
    """Return one set of prices: GET /rates/snapshots/{id}."""
    return web.json_response(snapshot_json(await operator.rate_snapshot(_id(request))))


async def of_transfer(operator: Operator, request: web.Request) -> web.Response:
    """Say by which rate a packet was converted: GET /rates/transfers/{id}."""
    return web.json_response(transfer_rate_json(await operator.rate_of_transfer(_id(request))))


def _id(request: web.Request) -> int:
    text = request.match_info["id"]
    if not text.isdecimal() or not 0 <= int(text[:20]) < 2**63:
        raise NotFound(f"there is nothing with the id {text[:40]!r}")
    return int(text[:20])


def _details(given: Mapping[str, object]) -> RateSourceDetails:
    """Return a source's details, field by field of its type; what they mean is checked later.

    Raises:
        SettingErrors: every field that is unknown, missing, or not of its type.
    """
    values: dict[str, object] = {}
    faults: list[tuple[str, str]] = []
    for name, value in given.items():
        try:
            values[name] = _field(name, value)
        except SettingError as error:
            faults.append((error.field, error.problem))
    faults += [
        (name, "it is missing, and every source needs it")
        for name in ("name", "kind")
        if name not in given
    ]
    if faults:
        raise SettingErrors(faults)
    return RateSourceDetails(**values)  # type: ignore[arg-type]  # _field has seen to each type


def _field(name: str, value: object) -> object:
    if name in _TEXTS or name == "api_key":
        if value is None and name == "api_key":
            return ""
        if not isinstance(value, str):
            raise SettingError(name, f"it is text, not {type(value).__name__}")
        return value
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise SettingError(name, "it is true or false")
        return value
    if name in _INTEGERS:
        return None if value is None else read_integer(name, value)
    if name in _MAPS:
        if not isinstance(value, dict):
            raise SettingError(name, "it is an object of names")
        return texts({key: _text(each) for key, each in value.items()})
    known = ", ".join((*_TEXTS, *_MAPS, *_FLAGS, *_INTEGERS, "api_key"))
    raise SettingError(name, f"a source has no such field; it has {known}")


def _text(value: object) -> str:
    """Return a number as it was written; nothing is a float on the way."""
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) <= 60 else str(value)
    return value if isinstance(value, str) else str(value)
