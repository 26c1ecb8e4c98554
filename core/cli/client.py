"""One call to a node's HTTP API, and what can go wrong with it, in a sentence each."""

from __future__ import annotations

import http.client
import json
from codecs import getincrementaldecoder
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
PIECE_OCTETS: Final = 64 * 1024
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

    def copy(
        self, *segments: str, query: Mapping[str, object], write: Callable[[str], object]
    ) -> None:
        """Write a text of any length that the node answers with, piece by piece.

        Raises:
            Refused: the node said no.
            Unreachable: it did not answer, or broke off; says which.
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
        path = _path(parts, segments, query)
        sent = {"Accept": "application/json", **(headers or {}), **self._authorization()}
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
            raise self._unreachable(error) from None
        finally:
            connection.close()
        self._check(response.status, octets)
        return _parsed(response.headers.get_content_type(), octets)

    def copy(
        self, *segments: str, query: Mapping[str, object], write: Callable[[str], object]
    ) -> None:
        parts = self._parts()
        path = _path(parts, segments, query)
        connection = _connection(parts)
        try:
            try:
                connection.request("GET", path, headers=self._authorization())
                response = connection.getresponse()
                refusal = response.read(BODY_OCTETS_MAX) if _says_no(response.status) else b""
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None
            self._check(response.status, refusal)
            if not _copied(response, write):
                raise Unreachable(
                    f"the node at {self.url} broke off: what came is not all of it"
                )
        finally:
            connection.close()

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

    def _authorization(self) -> Mapping[str, str]:
        token = self.credentials.token
        return {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}

    def _unreachable(self, error: OSError | http.client.HTTPException) -> Unreachable:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return Unreachable(
            f"no node answers at {self.url}: {reason or 'it hung up'};"
            " is it running, and is this its URL (--node)?"
        )

    def _check(self, status: int, octets: bytes) -> None:
        """Raise Refused where the node said no."""
        if status == HTTPStatus.UNAUTHORIZED:
            raise Refused(self.credentials.refused())
        if _says_no(status):
            raise Refused(_reason(status, octets))

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
                return parts
        except ValueError:
            pass
        raise BadSetting(f"{self.url!r} is no URL of a node, as http://127.0.0.1:7770 is")


def _path(
    parts: SplitResult, segments: Sequence[str], query: Mapping[str, object] | None = None
) -> str:
    if "" in segments:
        # As where a script's variable is not set: it would be another call, or none.
        raise BadSetting("a name on the command line is empty")
    path = parts.path.rstrip("/") + "/" + "/".join(quote(s, safe="~") for s in segments)
    asked = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(asked)}" if asked else path


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    assert parts.hostname is not None, "only URLs with a host come here"
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)


def _says_no(status: int) -> bool:
    return status >= HTTPStatus.BAD_REQUEST


def _copied(response: http.client.HTTPResponse, write: Callable[[str], object]) -> bool:
    """Write a text as it comes; return False where it broke off before its end."""
    decoder = getincrementaldecoder("utf-8")("replace")
    is_whole = True
    while is_whole:
        try:
            piece = response.read(PIECE_OCTETS)
        except http.client.IncompleteRead as error:
            piece, is_whole = error.partial, False
        except (OSError, http.client.HTTPException):
            return False
        if not piece:
            return is_whole and not response.length
        write(decoder.decode(piece))
    return False


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
