"""A small JSON-RPC client: one POST a call, bounded in time and size."""

from __future__ import annotations

import json
from typing import Final, final
from urllib.parse import urlsplit

import aiohttp

from core.errors import LedgerRefused, LedgerUnreachable, SettingError, connect_problem
from core.json_text import json_text

CALL_SECONDS: Final = 20.0
RESPONSE_OCTETS_MAX: Final = 32 * 2**20
"""A full block of a busy chain has a few MiB."""
MESSAGE_CHARS_MAX: Final = 200
DEPTH_MAX: Final = 32
"""Blocks with access lists have seven."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def host_of(url: str) -> str:
    """Return the host of a ledger node's URL, with its port.

    Raises:
        SettingError: no node of a ledger can be asked there.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingError("rpc", f"this is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingError(
            "rpc", "the ledger node's address must be like http://127.0.0.1:8545"
        )
    return parts.hostname if port is None else f"{parts.hostname}:{port}"


@final
class JsonRpc:
    """Asks a ledger's node; its URL, which may hold a key, is in no message but for the host."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.host: Final = host_of(url)
        self._calls = 0

    async def call(self, method: str, *params: Json) -> Json:
        """Return the result.

        Raises:
            LedgerUnreachable: no answer in time, or none that is JSON-RPC.
            LedgerRefused: an error, as the node worded it.
        """
        self._calls += 1
        request: dict[str, Json] = {
            "jsonrpc": "2.0",
            "id": self._calls,
            "method": method,
            "params": list(params),
        }
        answer = await self._post(request)
        if not isinstance(answer, dict):
            raise LedgerUnreachable(f"the ledger's node at {self.host} does not speak JSON-RPC")
        error = answer.get("error")
        if error is not None:
            message = error.get("message") if isinstance(error, dict) else error
            raise LedgerRefused(f"{method}: {str(message)[:MESSAGE_CHARS_MAX]}")
        if "result" not in answer:
            raise LedgerUnreachable(f"the ledger's node at {self.host} does not speak JSON-RPC")
        return answer["result"]

    async def _post(self, request: dict[str, Json]) -> Json:
        try:
            async with self._session.post(
                self._url,
                json=request,
                timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
                allow_redirects=False,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > RESPONSE_OCTETS_MAX:
                        raise LedgerUnreachable(
                            f"the ledger's node at {self.host} answered with more than "
                            f"{RESPONSE_OCTETS_MAX >> 20} MiB"
                        )
                status = response.status
        except TimeoutError as error:
            raise LedgerUnreachable(
                f"the ledger's node at {self.host} did not answer within {CALL_SECONDS:.0f} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise LedgerUnreachable(
                f"the ledger's node at {self.host} cannot be reached: {connect_problem(error)}"
            ) from error
        try:
            answer: Json = json.loads(json_text(body, depth_max=DEPTH_MAX))
        except ValueError as error:
            raise LedgerUnreachable(
                f"the ledger's node at {self.host} answered {status} and no JSON"
            ) from error
        return answer
