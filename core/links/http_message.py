"""HTTP/1.1 messages as far as a packet needs them (RFC-9112): heads and chunked bodies, no I/O.

A head is cut out of the stream first and parsed then, strictly, by llhttp; so it is known at which
octet each message ends, a connection can be handed on in between, and a head that a peer sends
again, octet for octet, need not be parsed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from typing import Final, TypeVar, final

import httptools

from core.errors import InterledgerError

HEAD_OCTETS_MAX: Final = 16 * 1024
BODY_OCTETS_MAX: Final = 40_000
"""The largest ILP packet has about 33,900 octets."""

HEAD_END: Final = b"\r\n\r\n"

T = TypeVar("T")

_REMEMBERED_MAX: Final = 16
_REMEMBERED_OCTETS_MAX: Final = 1024
_DATE_OCTETS_MAX: Final = 40
_CHUNK_LINE_OCTETS_MAX: Final = 256
_TRAILERS_OCTETS_MAX: Final = 4096
_CHUNKS_MAX: Final = 1024
"""Whoever cuts a body smaller than this makes work, and nothing else."""
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")


class BadMessage(InterledgerError):
    """The octets are no HTTP message that we can read."""


class BodyTooLarge(InterledgerError):
    """The body is longer than the largest packet; it was not read to its end."""


@final
class _Collector:
    """What httptools calls while it reads a head."""

    __slots__ = ("complete", "headers", "target")

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.target = b""
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.lower()
        known = self.headers.get(key)
        # A header that comes twice counts as a list (RFC-9110 §5.3): two tokens are no token.
        self.headers[key] = value.strip() if known is None else known + b", " + value.strip()

    def on_headers_complete(self) -> None:
        self.complete = True


@final
@dataclass(frozen=True, slots=True)
class RequestHead:
    """The first part of a request."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    """By name in lower case."""
    version: str
    keep_alive: bool
    length: int | None
    """Octets of its body; None where it is chunked, or where nothing was said."""
    chunked: bool


@final
@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The first part of an answer."""

    status: int
    headers: Mapping[bytes, bytes]
    keep_alive: bool
    length: int | None
    """Octets of its body; None where it is chunked, or goes on to the end of the connection."""
    chunked: bool


def parse_request_head(octets: bytes) -> RequestHead:
    """Return what a head says; `octets` ends with the empty line.

    Raises:
        BadMessage: it is no request head; the sentence is llhttp's.
    """
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    _feed(parser, collector, octets)
    length, chunked = _framing(collector.headers)
    return RequestHead(
        parser.get_method(),
        collector.target,
        collector.headers,
        parser.get_http_version(),
        parser.should_keep_alive(),
        length,
        chunked,
    )


def parse_response_head(octets: bytes) -> ResponseHead:
    """Return what a head says; `octets` ends with the empty line.

    Raises:
        BadMessage: it is no response head.
    """
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    _feed(parser, collector, octets)
    status = parser.get_status_code()
    length, chunked = _framing(collector.headers)
    if status < 200 or status in {204, 304}:
        length, chunked = 0, False
    framed = length is not None or chunked
    return ResponseHead(
        status,
        collector.headers,
        framed and _stays_open(parser.get_http_version(), collector.headers),
        length,
        chunked,
    )


def remember(known: dict[bytes, T], head: bytes, meaning: T) -> None:
    """Keep what a head means for the next one of the same octets: a few, and none that are long."""
    if len(head) > _REMEMBERED_OCTETS_MAX:
        return
    if len(known) >= _REMEMBERED_MAX:
        known.clear()
    known[head] = meaning


def is_plain(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether the body comes as it is, not compressed."""
    return headers.get(b"content-encoding", b"identity").lower() in {b"identity", b""}


def media_type(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the content type without its parameters, in lower case; empty where it is missing."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def date_text(now_ms: int) -> bytes:
    """Return a moment as a Date has it, in whole seconds."""
    return formatdate(now_ms // 1000, usegmt=True).encode()


def date_of(headers: Mapping[bytes, bytes]) -> int | None:
    """Return the time in milliseconds that an answer was made at, or None where it does not say, or is a cache's."""
    value = headers.get(b"date", b"")
    if not value or len(value) > _DATE_OCTETS_MAX or b"age" in headers:
        return None
    try:
        moment = parsedate_to_datetime(value.decode("ascii"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 1000
    except (ValueError, TypeError, OverflowError):
        return None


def _feed(
    parser: httptools.HttpRequestParser | httptools.HttpResponseParser,
    collector: _Collector,
    octets: bytes,
) -> None:
    try:
        parser.feed_data(octets)
    except httptools.HttpParserUpgrade:
        pass  # The wish to speak something else is ignored, as RFC-9110 §7.8 allows.
    except httptools.HttpParserError as error:
        raise BadMessage(str(error)) from None
    if not collector.complete:
        raise BadMessage("the head ends too early")


def _framing(headers: Mapping[bytes, bytes]) -> tuple[int | None, bool]:
    """Return the body's length, or that it is chunked."""
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise BadMessage("Content-Length and Transfer-Encoding exclude each other")
        if coding.lower() != b"chunked":
            raise BadMessage("the only transfer encoding understood is chunked")
        return None, True
    if length is None:
        return None, False
    if not length.isdigit() or len(length) > 18:
        raise BadMessage("Content-Length is no number")
    return int(length), False


def _stays_open(version: str, headers: Mapping[bytes, bytes]) -> bool:
    options = headers.get(b"connection", b"").lower()
    if version == "1.0":
        return b"keep-alive" in options
    return b"close" not in options


@final
class ChunkedBody:
    """Puts a chunked body together, at most `octets_max`; extensions and trailers are dropped."""

    __slots__ = (
        "_carry",
        "_chunks_left",
        "_in_trailers",
        "_left",
        "_octets_max",
        "_trailers_left",
        "body",
    )

    def __init__(self, octets_max: int) -> None:
        self.body = bytearray()
        self._octets_max = octets_max
        self._carry = b""
        """The beginning of a line whose end has not come."""
        self._left = 0
        """Octets that the current chunk still has, its CRLF included; 0 where a line is due."""
        self._chunks_left = _CHUNKS_MAX
        self._in_trailers = False
        self._trailers_left = _TRAILERS_OCTETS_MAX

    def feed(self, data: bytes, at: int) -> tuple[int, bool]:
        """Take `data` from `at` on; return where the body ended, or the end of data, and whether it ended.

        Raises:
            BadMessage: this is no chunked body.
            BodyTooLarge: a chunk would make it longer than allowed; its octets were not taken.
        """
        if self._carry:
            data = self._carry + data[at:]
            shift = at - len(self._carry)
            self._carry = b""
            end, done = self._feed(data, 0)
            return end + shift, done
        return self._feed(data, at)

    def _feed(self, data: bytes, at: int) -> tuple[int, bool]:
        while True:
            if self._left:
                at = self._take_chunk(data, at)
                if self._left:
                    return at, False
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                if len(data) - at > _CHUNK_LINE_OCTETS_MAX:
                    raise BadMessage("a line between the chunks is too long")
                self._carry = data[at:]
                return len(data), False
            line = data[at:line_end]
            at = line_end + 2
            if self._in_trailers:
                if not line:
                    return at, True
                self._trailers_left -= len(line) + 2
                if self._trailers_left < 0:
                    raise BadMessage("there is too much behind the last chunk")
                continue
            self._chunks_left -= 1
            if self._chunks_left < 0:
                raise BadMessage(f"a body may come in {_CHUNKS_MAX} chunks")
            size = _chunk_size(line)
            if len(self.body) + size > self._octets_max:
                raise BodyTooLarge
            if size == 0:
                self._in_trailers = True
            else:
                self._left = size + 2

    def _take_chunk(self, data: bytes, at: int) -> int:
        """Take what there is of a chunk and of the CRLF behind it; return the octet behind that."""
        content = self._left - 2
        if content > 0:
            taken = data[at : at + content]
            self.body += taken
            self._left -= len(taken)
            at += len(taken)
        while self._left in {1, 2} and at < len(data):
            if data[at] != b"\n\r"[self._left - 1]:
                raise BadMessage("a chunk is longer than it said")
            self._left -= 1
            at += 1
        return at


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].rstrip(b" \t")
    if not 1 <= len(digits) <= 16 or not _HEX_DIGITS.issuperset(digits):
        raise BadMessage("a chunk has no size")
    return int(digits, 16)
