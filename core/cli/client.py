"""One call to a node's HTTP API, and what can go wrong with it, in a sentence each."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol, final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from core.account import Secret
from core.errors import InterledgerError
from core.json_text import json_text

TOKEN_VARIABLE: Final = "SIGNALBOX_ADMIN_TOKEN"  # noqa: S105 - the name of a variable, no token
TIMEOUT_SECONDS: Final = 30.0
"""An audit of a large journal takes a while; nothing else takes more than a blink."""
BODY_OCTETS_MAX: Final = 256 * 1024 * 1024
DEPTH_MAX: Final = 32


class Refused(InterledgerError):
    """The node said no; its sentence says why."""


@final
@dataclass(frozen=True, slots=True)
class Credentials:
    """The token that a node is called with, and what to say where it is not the right one."""

    token: Secret | None = None
    source: str = ""
    """Where it is from, as `--auth`."""
    kept: str = ""
    """The file in which a node on this machine leaves it, where one is known."""

    def refused(self) -> str:
        """Say that the node does not take it, and where the right one is given."""
        found = (
            "this needs the operator's token, and none was found"
            if self.token is None
            else f"the token from {self.source} is not the operator's, nor this account's"
        )
        # That file may be the one whose token was just refused: it is not named as the remedy.
        beside = f", as {self.kept}" if self.kept and self.kept != self.source else ""
        return (
            f"{found}: give --auth or --auth-file, or set {TOKEN_VARIABLE};"
            f" a node leaves it in a file beside its store{beside}"
        )


class Unreachable(InterledgerError):
    """No node answered."""


class BadSetting(InterledgerError):
    """What was given as the node's URL, or as its token's file, cannot be used."""


class Node(Protocol):
    """What commands ask of a node."""

    def call(
        self,
        method: str,
        *segments: str,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        text: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> object:
        """Return what the node answered: parsed JSON, or text.

        Raises:
            Refused: the node said no.
            Unreachable: it did not answer.
        """

    def watch(self, *segments: str, told: Callable[[object], None]) -> None:
        """Call `told` with each message of a WebSocket, until the node closes it.

        Raises:
            Refused: the node said no, or let us go; says why.
            Unreachable: it did not answer.
        """


@final
@dataclass(frozen=True, slots=True)
class HttpNode(Node):
    """A node behind a URL."""

    url: str
    credentials: Credentials

    def call(
        self,
        method: str,
        *segments: str,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        text: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> object:
        parts = self._parts()
        path = _path(parts, segments)
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        if asked:
            path += "?" + urlencode(asked)
        sent = {"Accept": "application/json", **(headers or {})}
        if (token := self.credentials.token) is not None:
            sent["Authorization"] = f"Bearer {token.reveal()}"
        payload = None
        if body is not None:
            payload, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        elif text is not None:
            payload, sent["Content-Type"] = text.encode(), "text/plain"
        connection = _connection(parts)
        try:
            connection.request(method, path, payload, sent)
            response = connection.getresponse()
            octets = response.read(BODY_OCTETS_MAX)
        except (OSError, http.client.HTTPException) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise Unreachable(
                f"no node answers at {self.url}: {reason or 'it hung up'};"
                " is it running, and is this its URL (--node)?"
            ) from None
        finally:
            connection.close()
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise Refused(self.credentials.refused())
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise Refused(_reason(response.status, octets))
        return _parsed(response.headers.get_content_type(), octets)

    def watch(self, *segments: str, told: Callable[[object], None]) -> None:
        # Only this call needs it, and it takes as long to load as all the rest.
        from core.cli.watching import NotOpened, watch  # noqa: PLC0415

        parts = self._parts()
        path = _path(parts, segments)
        url = parts._replace(path=path, query="", fragment="").geturl()
        try:
            watch(url, self.credentials, told)
        except NotOpened:
            self.call("GET", *segments)
            raise

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
                return parts
        except ValueError:
            pass
        raise BadSetting(f"{self.url!r} is no URL of a node, as http://127.0.0.1:7770 is")


def _path(parts: SplitResult, segments: Sequence[str]) -> str:
    if "" in segments:
        # As where a script's variable is not set: it would be another call, or none.
        raise BadSetting("a name on the command line is empty")
    return parts.path.rstrip("/") + "/" + "/".join(quote(s, safe="~") for s in segments)


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    assert parts.hostname is not None, "only URLs with a host come here"
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)


def _parsed(content_type: str, octets: bytes) -> object:
    if not octets:
        return None
    text = octets.decode("utf-8", "replace")
    if not content_type.endswith("json"):
        return text
    try:
        parsed: object = json.loads(json_text(octets, depth_max=DEPTH_MAX))
    except ValueError:
        raise Refused("what answered is no node: its JSON cannot be read") from None
    return parsed


def parse_message(text: str) -> object:
    """Return a message of a WebSocket; raises Refused for one that is no node's."""
    return _parsed("application/json", text.encode())


def _reason(status: int, octets: bytes) -> str:
    """Return the node's own sentence, or one for an answer that is not a node's."""
    try:
        found = json.loads(json_text(octets, depth_max=DEPTH_MAX))
    except ValueError:
        found = None
    detail = found.get("detail") if isinstance(found, dict) else None
    if isinstance(detail, str) and detail:
        return detail
    return f"the answer was {status} {http.client.responses.get(status, '')}".rstrip()
