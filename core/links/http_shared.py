"""ILP packets on a connection that the API has already taken over: slower, and answered all the same.

The port gives a connection to the API with its first request that is no packet. A reverse proxy, or
a client with one pool for both, then sends packets on it too; they take this way, by the same rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Middleware

from core.errors import PacketError
from core.links.http_message import BODY_OCTETS_MAX, RequestHead
from core.links.http_server import (
    BODY_TOO_LARGE,
    CONTENT_TYPE,
    UNAUTHORIZED,
    IlpEndpoint,
    Problem,
    bad_packet,
)
from core.packet import Prepare
from core.service import Incoming, IncomingRequest

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def ilp_packets(endpoint: IlpEndpoint, incoming: Incoming) -> Middleware:
    """Return the outermost middleware of the API: what is posted to an ILP endpoint goes to the chain."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = endpoint.examine(request_head(request))
        if asked is None:
            return await handler(request)
        if asked.problem is not None:
            return problem_response(asked.problem)
        account = endpoint.account(asked)
        if account is None:
            return problem_response(UNAUTHORIZED)
        body = bytearray()
        async for part in request.content.iter_any():
            body += part
            if len(body) > BODY_OCTETS_MAX:
                return problem_response(BODY_TOO_LARGE)
        try:
            prepare = Prepare(body)
        except PacketError as error:
            return problem_response(bad_packet(error))
        reply = await incoming.handle(IncomingRequest(account, prepare))
        return web.Response(body=bytes(reply.octets), content_type=CONTENT_TYPE.decode())

    return answer


def request_head(request: web.Request) -> RequestHead:
    """Return what aiohttp has read, as the port's own parser would."""
    message = request.version
    return RequestHead(
        method=request.method.encode(),
        target=request.raw_path.encode(),
        headers={name.lower(): value for name, value in request.raw_headers},
        version=f"{message.major}.{message.minor}",
        keep_alive=True,
        length=request.content_length,
        chunked=request.content_length is None and request.can_read_body,
    )


def problem_response(problem: Problem) -> web.Response:
    """Return what the port itself would say."""
    octets = problem.response(date=b"", keep_alive=True)
    head, _, body = octets.partition(b"\r\n\r\n")
    headers = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        if name not in {b"Content-Length", b""}:
            headers[name.decode()] = value.decode()
    return web.Response(status=problem.status, headers=headers, body=body)
