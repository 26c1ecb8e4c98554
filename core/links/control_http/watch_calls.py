"""The API's calls for watching: status, books, traffic, history and the log."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from core.control.operator import Operator
from core.errors import SettingError
from core.links.control_http.as_json import (
    audit_json,
    exposure_json,
    history_json,
    log_json,
    packet_json,
    resolved_json,
    status_json,
    unknown_json,
)
from core.links.control_http.body import query_integer, read_object, read_text, texts
from core.links.control_http.long_list import list_response

ROWS_MAX = 20_000
_IDS = 2**63 - 1


async def ready(operator: Operator, _request: web.Request) -> web.Response:
    """Say that the node is there, to anybody, in interledger-rs's words: GET /."""
    status = await operator.status()
    return web.json_response(
        {
            "status": "Ready" if status.ready else "Troubled",
            "ilp_address": status.ilp_address,
            "version": status.version,
        },
        status=HTTPStatus.OK if status.ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


async def status(operator: Operator, _request: web.Request) -> web.Response:
    """Return the node at a glance: GET /status."""
    return web.json_response(status_json(await operator.status()))


async def audit(operator: Operator, _request: web.Request) -> web.Response:
    """Derive every balance anew and compare: GET /audit."""
    return web.json_response(audit_json(await operator.audit()))


async def exposure(operator: Operator, _request: web.Request) -> web.Response:
    """Return what is owed, per asset: GET /exposure."""
    return web.json_response([exposure_json(found) for found in await operator.exposure()])


async def unknown_transfers(operator: Operator, _request: web.Request) -> web.Response:
    """Return what crashes left undecided: GET /unknown-transfers."""
    return await list_response(await operator.unknown_transfers(), unknown_json)


async def resolve_unknown(operator: Operator, request: web.Request) -> web.Response:
    """Decide one by the peer's statement: POST /unknown-transfers/{id}/resolve."""
    text = request.match_info["id"]
    if not text.isdecimal() or not text.isascii() or not 0 < int(text[:20]) <= _IDS:
        raise SettingError(
            "id", f"{text[:40]!r} was found; it is the id of a row of /unknown-transfers"
        )
    fulfilled = _statement(await read_object(request))
    await operator.resolve_unknown(int(text), fulfilled=fulfilled)
    return web.Response(status=204)


async def resolve_all_unknown(operator: Operator, request: web.Request) -> web.Response:
    """Decide all of a peer or of a payment: POST /unknown-transfers/resolve."""
    body = await read_object(request)
    whose = {name: body[name] for name in ("peer", "payment") if name in body}
    given = texts(whose)
    resolved = await operator.resolve_all_unknown(
        fulfilled=_statement(body), peer=given.get("peer"), payment=given.get("payment")
    )
    return web.json_response(resolved_json(resolved))


def _statement(body: Mapping[str, object]) -> bool:
    fulfilled = body.get("fulfilled")
    if not isinstance(fulfilled, bool):
        raise SettingError("fulfilled", "it is true or false, as the peer's statement says")
    return fulfilled


async def packets(operator: Operator, request: web.Request) -> web.Response:
    """Return packets that ended, oldest first: GET /packets?after=0."""
    found = await operator.packets(
        after_sequence=query_integer(request, "after", otherwise=0),
        limit=query_integer(request, "limit", otherwise=2_000, maximum=ROWS_MAX),
    )
    return await list_response(found, packet_json)


async def history(operator: Operator, request: web.Request) -> web.Response:
    """Return what happened, step by step: GET /history?seconds=3600."""
    found = await operator.history(
        seconds=query_integer(request, "seconds", otherwise=3_600),
        username=request.query.get("username"),
        samples_max=query_integer(request, "samples", otherwise=720),
    )
    return web.json_response(history_json(found))


async def logs(operator: Operator, request: web.Request) -> web.Response:
    """Return lines of the log, oldest first: GET /logs?after=0."""
    found = await operator.logs(
        after_sequence=query_integer(request, "after", otherwise=0),
        limit=query_integer(request, "limit", otherwise=2_000, maximum=ROWS_MAX),
    )
    return await list_response(found, log_json)


async def set_log_level(operator: Operator, request: web.Request) -> web.Response:
    """Set the log's level: PUT /tracing-level, the body is `info,core.links=debug`."""
    in_force = await operator.set_log_level((await read_text(request)).strip())
    return web.Response(text=f"Logging level changed to: {in_force}")
