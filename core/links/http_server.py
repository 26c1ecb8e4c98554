"""RFC-0035, the server's side without the sockets: from the head of a request to what is done about it.

What can be decided from a head alone is decided once and may be kept beside the head's octets: a
peer's requests differ in little but the body. Whose token it is, is looked up for each packet.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import unquote_to_bytes

from core.account import Account, AccountDirectory
from core.control.usernames import canonical_username
from core.errors import PacketError
from core.links.http_message import (
    BODY_OCTETS_MAX,
    HEAD_OCTETS_MAX,
    RequestHead,
    is_plain,
    media_type,
)
from core.packet import Reply

CONTENT_TYPE: Final = b"application/octet-stream"
CONTENT_TYPES: Final = frozenset({CONTENT_TYPE, b"application/ilp+octet-stream", b""})
"""What an ILP packet may be called: RFC-0035's name, that of ilp-plugin-http, or nothing."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_BEARER: Final = b"bearer "
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request gets no packet in answer (RFC-9457)."""

    status: int
    detail: str
    headers: bytes = b""
    """Whole lines."""
    octet: int | None = None
    """Where a packet went wrong."""

    def response(self, *, date: bytes, keep_alive: bool, with_body: bool = True) -> bytes:
        """Return the whole response."""
        title = _TITLES[self.status]
        told: dict[str, object] = {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.detail[:1].upper() + self.detail[1:],
        }
        if self.octet is not None:
            told["octet"] = self.octet
        body = json.dumps(told).encode()
        return b"".join((
            f"HTTP/1.1 {self.status} {title}\r\n".encode(),
            b"Content-Type: application/problem+json\r\n",
            b"Content-Length: %d\r\n" % len(body),
            date,
            self.headers,
            b"" if keep_alive else b"Connection: close\r\n",
            b"\r\n",
            body if with_body else b"",
        ))  # fmt: skip


UNAUTHORIZED: Final = Problem(
    401,
    "the Authorization header has no token of this account: send 'Authorization: Bearer <token>' "
    "with the token that this node's operator has set for you",
    b'WWW-Authenticate: Bearer realm="ilp"\r\n',
)
BODY_TOO_LARGE: Final = Problem(
    413, f"a request may have {BODY_OCTETS_MAX} octets, more than the largest ILP packet needs"
)
HEAD_TOO_LARGE: Final = Problem(431, f"the head of a request may have {HEAD_OCTETS_MAX} octets")
TOO_SLOW: Final = Problem(408, "the request did not come to its end in time")
TOO_MANY_CONNECTIONS: Final = Problem(
    503, "there are too many connections; use those that you have, or try again later"
)
NOT_HERE: Final = Problem(
    404, "packets are posted to /accounts/{username}/ilp, or to /ilp; nothing else is here"
)
FAILED: Final = Problem(500, "the packet met a fault of this node; it is in this node's log")
_NOT_POSTED: Final = Problem(405, "a packet is sent with POST", b"Allow: POST\r\n")
_NO_LENGTH: Final = Problem(
    411, "send Content-Length, or the body in chunks (Transfer-Encoding: chunked)"
)
_WRONG_TYPE: Final = Problem(415, "a packet is sent as application/octet-stream")
_COMPRESSED: Final = Problem(
    415, "a packet is sent as it is, without Content-Encoding", b"Accept-Encoding: identity\r\n"
)
_WRONG_VERSION: Final = Problem(505, "HTTP/1.1 and HTTP/1.0 are spoken here")
_WRONG_EXPECTATION: Final = Problem(417, "the only expectation that is met is 100-continue")


def bad_head(sentence: str) -> Problem:
    """Return what is said of a head that is none."""
    return Problem(400, f"this is no HTTP request: {sentence}")


def bad_packet(error: PacketError) -> Problem:
    """Return what is said of a body that is no Prepare."""
    return Problem(400, f"the body is no ILP Prepare: {error}", octet=error.octet)


def reply_response(reply: Reply, *, date: bytes, keep_alive: bool, http_1_0: bool) -> bytes:
    """Return the whole response that carries a Fulfill or Reject; `date` is a whole line."""
    if not keep_alive:
        date += b"Connection: close\r\n"
    elif http_1_0:
        date += b"Connection: keep-alive\r\n"
    octets = reply.octets
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        b"%bContent-Length: %d\r\n\r\n" % (date, len(octets))
    )
    return b"".join((head, octets))


@final
@dataclass(frozen=True, slots=True)
class IlpRequest:
    """What the head of a request to an ILP endpoint says; the body is still to come."""

    username: bytes | None
    """The one that the path names; None where the token alone says who sends."""
    token_hash: bytes | None
    """Keyed hash of the token that came; None where none came."""
    length: int | None
    """Octets of the body; None where it comes in chunks."""
    keep_alive: bool
    http_1_0: bool
    expects_continue: bool
    is_head: bool
    """Whether the method is HEAD, which is answered without a body."""
    problem: Problem | None
    """Why this cannot be answered with a packet, whoever sent it."""
    is_bounded: bool
    """Whether the body is bounded, so that it can be passed over and the connection go on."""


@final
class IlpEndpoint:
    """Knows the paths, the headers and the tokens; a packet's body it does not see."""

    __slots__ = ("_accounts", "_hash_token")

    def __init__(self, accounts: AccountDirectory, hash_token: Callable[[str], bytes]) -> None:
        self._accounts = accounts
        self._hash_token = hash_token

    def examine(self, head: RequestHead) -> IlpRequest | None:
        """Return what is asked for, or None where the path is none of ours.

        It depends on the head alone, and so may be kept for the next head of the same octets.
        """
        path = head.target.partition(b"?")[0]
        if path == b"/ilp":
            username = None
        elif path.startswith(b"/accounts/") and path.endswith(b"/ilp"):
            segment = path[len(b"/accounts/") : -len(b"/ilp")]
            if not segment or b"/" in segment:
                return None
            username = username_in(segment).encode()
        else:
            return None
        token = _token(head)
        length = head.length
        return IlpRequest(
            username,
            None if token is None else self._hash_token(token),
            0 if length is None and not head.chunked else length,
            head.keep_alive,
            head.version == "1.0",
            head.headers.get(b"expect", b"").lower() == b"100-continue",
            head.method == b"HEAD",
            _problem(head),
            length is None or length <= BODY_OCTETS_MAX,
        )

    def account(self, request: IlpRequest) -> Account | None:
        """Return who sent it, or None; no account and a wrong token take the same path."""
        if request.token_hash is None:
            return None
        account = self._accounts.by_token_hash(request.token_hash)
        if account is None:
            return None
        if request.username is None or hmac.compare_digest(
            account.username.encode(), request.username
        ):
            return account
        return None


def username_in(segment: bytes) -> str:
    """Return the username that a segment of a path names, in its one form."""
    return canonical_username(unquote_to_bytes(segment).decode("utf-8", "replace"))


def _token(head: RequestHead) -> str | None:
    """Return the token, with or without the word Bearer before it, or None."""
    value = head.headers.get(b"authorization")
    if not value:
        return None
    if value[: len(_BEARER)].lower() == _BEARER:
        value = value[len(_BEARER) :].strip()
    return value.decode("utf-8", "replace") or None


def _problem(head: RequestHead) -> Problem | None:
    """Return what is wrong with a head, whoever sent it, apart from the token."""
    if head.version not in {"1.1", "1.0"}:
        return _WRONG_VERSION
    if head.method != b"POST":
        return _NOT_POSTED
    if head.length is None and not head.chunked:
        return _NO_LENGTH
    if head.length is not None and head.length > BODY_OCTETS_MAX:
        return BODY_TOO_LARGE
    if not is_plain(head.headers):
        return _COMPRESSED
    if media_type(head.headers) not in CONTENT_TYPES:
        return _WRONG_TYPE
    if head.headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        return _WRONG_EXPECTATION
    return None
