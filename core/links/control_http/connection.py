"""A connection to the API whose octets may be no HTTP at all: that is answered as every other error is."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from core.links.control_http.problems import problem
from core.links.http_message import HEAD_OCTETS_MAX
from core.links.strangers import QuietLog, neighbourhood

log = logging.getLogger(__name__)
_quiet = QuietLog(log, "requests that cannot be read")


@final
class ApiConnection(web.RequestHandler):
    """What aiohttp does, but for errors below its own: no traceback for what a stranger sends."""

    __slots__ = ()

    @classmethod
    def of(cls, server: web.Server) -> ApiConnection:
        """Return a new connection of this server, which closes it when it stops."""
        return cls(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as AppRunner's access_log=None
            max_line_size=HEAD_OCTETS_MAX,
            max_field_size=HEAD_OCTETS_MAX,
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Say what is wrong with octets that no handler has seen."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong):
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            sentence = f"A line of the request's head may have {HEAD_OCTETS_MAX} octets."
        else:
            found = (message or "").partition("\n")[0].strip().rstrip(".:")
            sentence = (
                f"This is no HTTP request that can be read: {found or 'it is malformed'}."
            )
        remote, now = request.remote or "", self._loop.time()
        _quiet.write(
            logging.INFO,
            neighbourhood(remote),
            now,
            "a request from %s was refused: %s",
            remote,
            sentence,
        )
        response = problem(status, sentence, headers={"Server": "Signalbox"})
        response.force_close()
        return response
