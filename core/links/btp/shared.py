"""BTP on a connection that the API has already taken over: a reverse proxy may ask for it there.

The port knows a WebSocket of BTP by the first request on its connection. A proxy with one pool of
connections for everything asks on one that has served a call of the API before; then aiohttp has the
socket, and hands on what comes.
"""

from __future__ import annotations

import asyncio
from typing import cast, final

from aiohttp import web
from aiohttp.http import WebSocketReader
from aiohttp.typedefs import Middleware

from core.links.btp.link import BtpLink, names_an_account
from core.links.http_message import HEAD_END
from core.links.http_server import Problem
from core.links.http_shared import Handler, problem_response, request_head

_NOT_A_WEBSOCKET = Problem(
    426,
    "BTP is spoken over a WebSocket here: send Upgrade: websocket and Connection: Upgrade",
    b"Upgrade: websocket\r\n",
)


@final
class _Octets:
    """Takes the place of aiohttp's own reader of WebSockets."""

    def __init__(self, taker: asyncio.Protocol) -> None:
        self._taker = taker
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._taker.data_received(data)
        return False, b""

    def feed_eof(self) -> None:
        self._taker.connection_lost(None)
        if not self.ended.done():
            self.ended.set_result(None)


def btp_upgrades(link: BtpLink) -> Middleware:
    """Return the middleware of the API that lets a connection become one of BTP."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        head = request_head(request)
        taker = link.accept(head)
        if taker is None:
            if names_an_account(head.target):
                return problem_response(_NOT_A_WEBSOCKET)
            return await handler(request)
        transport = request.transport
        if transport is None:
            raise web.HTTPServiceUnavailable
        octets = _Octets(taker)
        taker.connection_made(transport)
        taker.data_received(HEAD_END)  # what aiohttp has read already
        request.protocol.set_parser(cast("WebSocketReader", octets))
        try:
            await octets.ended
        finally:
            transport.close()
        return web.Response()  # which nobody sees

    return answer
