"""The API's calls for route exchange."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from core.control.operator import Operator
from core.control.route_views import RouteCandidateView, RouteChangeView, RoutePeerView
from core.errors import SettingError
from core.links.control_http.as_json import Json
from core.links.control_http.body import query_integer
from core.links.control_http.long_list import list_response


async def peers(operator: Operator, _request: web.Request) -> web.Response:
    """Return route exchange with every account that takes part: GET /routes/peers."""
    return await list_response(await operator.route_peers(), _peer_json)


async def peer(operator: Operator, request: web.Request) -> web.Response:
    """Return route exchange with one account: GET /routes/peers/{username}."""
    found = await operator.route_peer(request.match_info["username"])
    return web.json_response(_peer_json(found))


async def ask(operator: Operator, request: web.Request) -> web.Response:
    """Ask a peer for all of its routes anew: POST /routes/peers/{username}/ask."""
    found = await operator.ask_for_routes(request.match_info["username"])
    return web.json_response(_peer_json(found))


async def why(operator: Operator, request: web.Request) -> web.Response:
    """Say which ways there are, and why one won: GET /routes/why?destination=…."""
    destination = request.query.get("destination")
    if destination is None:
        raise SettingError("destination", "it is missing: routes/why?destination=g.bob")
    found = await operator.why_route(destination)
    return web.json_response(
        {
            "destination": found.destination,
            "prefix": found.prefix,
            "sentence": found.sentence,
            "candidates": [_candidate_json(each) for each in found.candidates],
        }
    )


async def changes(operator: Operator, request: web.Request) -> web.Response:
    """Return what changed of learned routes, oldest first: GET /routes/changes."""
    found = await operator.route_changes(
        after_sequence=query_integer(request, "after", otherwise=0),
        limit=query_integer(request, "limit", otherwise=500, maximum=10_000),
    )
    return await list_response(found, _change_json)


def _peer_json(view: RoutePeerView) -> Json:
    return {**asdict(view), "state": view.state.value}


def _candidate_json(view: RouteCandidateView) -> Json:
    return {**asdict(view), "path": list(view.path)}


def _change_json(view: RouteChangeView) -> Json:
    return {**asdict(view), "path": list(view.path)}
