"""The API's calls for routes, rates, engines and settlements."""

from __future__ import annotations

from aiohttp import web

from core.control.operator import Operator
from core.control.shares import read_share
from core.errors import SettingError
from core.links.control_http.as_json import (
    answer_json,
    due_json,
    engine_json,
    exact_rates_json,
    rates_json,
    route_json,
    settlement_json,
    unmatched_json,
)
from core.links.control_http.body import (
    TABLE_OCTETS_MAX,
    decimals,
    page,
    query_integer,
    read_object,
    read_text,
    texts,
)
from core.links.control_http.long_list import list_response
from core.packet import AMOUNT_MAX


async def routes(operator: Operator, request: web.Request) -> web.Response:
    """Return prefix to username: GET /routes."""
    found = (await operator.routes())[page(request)]
    return web.json_response({route.prefix: route.next_hop for route in found})


async def route_table(operator: Operator, request: web.Request) -> web.Response:
    """Return the routing table with each route's source: GET /routes/table."""
    found = (await operator.routes())[page(request)]
    return await list_response(found, route_json)


async def replace_routes(operator: Operator, request: web.Request) -> web.Response:
    """Replace all static routes: PUT /routes/static."""
    given = texts(await read_object(request, octets_max=TABLE_OCTETS_MAX))
    await operator.replace_routes(given)
    return web.json_response(given)


async def set_route(operator: Operator, request: web.Request) -> web.Response:
    """Add or replace one: PUT /routes/static/{prefix}, the body is a username."""
    username = (await read_text(request)).strip()
    await operator.set_route(request.match_info["prefix"], username)
    return web.Response(text=username)


async def delete_route(operator: Operator, request: web.Request) -> web.Response:
    """Remove one: DELETE /routes/static/{prefix}."""
    await operator.delete_route(request.match_info["prefix"])
    return web.Response(status=204)


async def set_default_route(operator: Operator, request: web.Request) -> web.Response:
    """Send what no prefix covers to an account: PUT /routes/default, the body is a username."""
    username = (await read_text(request)).strip()
    await operator.set_default_route(username)
    return web.Response(text=username)


async def delete_default_route(operator: Operator, _request: web.Request) -> web.Response:
    """Send what no prefix covers to nobody: DELETE /routes/default."""
    await operator.set_default_route(None)
    return web.Response(status=204)


async def explain(operator: Operator, request: web.Request) -> web.Response:
    """Say where a packet would go: GET /explain."""
    destination = request.query.get("destination")
    if destination is None:
        raise SettingError("destination", "it is missing: explain?destination=g.bob.alice")
    answer = await operator.explain(
        destination,
        amount=query_integer(request, "amount", otherwise=1, maximum=AMOUNT_MAX),
        from_username=request.query.get("from"),
        expires_in_ms=query_integer(request, "expires_in_ms", otherwise=30_000),
    )
    return web.json_response(answer_json(answer))


async def rates(operator: Operator, _request: web.Request) -> web.Response:
    """Return prices as numbers: GET /rates."""
    return web.json_response(rates_json(await operator.rates()))


async def exact_rates(operator: Operator, _request: web.Request) -> web.Response:
    """Return prices and spread as text: GET /rates/exact."""
    return web.json_response(exact_rates_json(await operator.rates()))


async def set_rates(operator: Operator, request: web.Request) -> web.Response:
    """Replace all prices: PUT /rates."""
    prices = decimals(await read_object(request))
    return web.json_response(rates_json(await operator.set_rates(prices)))


async def set_spread(operator: Operator, request: web.Request) -> web.Response:
    """Replace our share of each conversion: PUT /rates/spread, the body is `0.01` or `1/100`."""
    spread = read_share("spread", await read_text(request))
    return web.json_response(exact_rates_json(await operator.set_spread(spread)))


async def set_engine_urls(operator: Operator, request: web.Request) -> web.Response:
    """Add or replace default engines: PUT /settlement/engines."""
    given = texts(await read_object(request))
    await operator.set_engine_urls(given)
    return web.json_response(given)


async def engine_urls(operator: Operator, _request: web.Request) -> web.Response:
    """Return the default engine of each asset code: GET /settlement/engines."""
    return web.json_response(dict(await operator.engine_urls()))


async def engines(operator: Operator, _request: web.Request) -> web.Response:
    """Return the engine processes: GET /engines."""
    return web.json_response([engine_json(view) for view in await operator.engines()])


async def settlements(operator: Operator, request: web.Request) -> web.Response:
    """Return settlements, the newest first: GET /settlements."""
    rows = await operator.settlements(
        limit=query_integer(request, "limit", otherwise=500, maximum=10_000),
        username=request.query.get("username"),
    )
    return await list_response(rows, settlement_json)


async def settlements_due(operator: Operator, _request: web.Request) -> web.Response:
    """Return what is owed, and why it is or is not settled: GET /settlements/due."""
    return web.json_response([due_json(due) for due in await operator.settlements_due()])


async def unmatched(operator: Operator, _request: web.Request) -> web.Response:
    """Return money that nobody is credited for: GET /settlements/unmatched."""
    return web.json_response([unmatched_json(row) for row in await operator.unmatched()])


async def assign_unmatched(operator: Operator, request: web.Request) -> web.Response:
    """Credit it to an account: POST /settlements/unmatched/assign, key and username."""
    given = texts(await read_object(request))
    if set(given) != {"key", "username"}:
        raise SettingError("key", "and username are needed, and nothing else")
    await operator.assign_unmatched(given["key"], given["username"])
    return web.Response(status=204)
