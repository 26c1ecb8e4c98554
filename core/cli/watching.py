"""A WebSocket of a node's API, read until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import ClientError, ClientSession, WSMsgType, WSServerHandshakeError

from core.cli.client import Credentials, Refused, Unreachable, parse_message

MESSAGE_OCTETS_MAX: Final = 64 * 1024
HEARTBEAT_SECONDS: Final = 30.0


class NotOpened(Refused):
    """The answer was no WebSocket; a plain call to the same path is told why."""


def watch(url: str, credentials: Credentials, told: Callable[[object], None]) -> None:
    """Call `told` with each message, until the node closes the socket.

    Raises:
        Refused: the node said no, or let us go; says why.
        Unreachable: it did not answer.
    """
    asyncio.run(_watch(url, credentials, told))


async def _watch(url: str, credentials: Credentials, told: Callable[[object], None]) -> None:
    token = credentials.token
    headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
    try:
        async with (
            ClientSession() as session,
            session.ws_connect(
                url,
                headers=headers,
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=MESSAGE_OCTETS_MAX,
            ) as socket,
        ):
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    told(parse_message(message.data))
            code = socket.close_code
    except WSServerHandshakeError as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            raise Refused(credentials.refused()) from None
        raise NotOpened(f"the answer was {error.status}: is this a node?") from None
    except (ClientError, OSError, ValueError) as error:
        raise Unreachable(f"no node answers at {url}: {error}") from None
    raise Refused(f"the node has closed the connection, with the code {code}")
