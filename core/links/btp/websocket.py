"""RFC-6455: the handshake and the frames of a WebSocket, as far as BTP needs them; no I/O.

aiohttp's WebSocket costs about 20 µs for a message in and a message out, and a forwarded packet needs
two of each; here a whole chunk of the stream is read at once, which takes a tenth of that.
"""

from __future__ import annotations

import base64
import binascii
import os
import struct
from collections.abc import Mapping
from hashlib import sha1
from typing import Final, final

from core.errors import InterledgerError
from core.links.http_message import RequestHead, ResponseHead, date_text

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
POLICY: Final = 1008
TOO_BIG: Final = 1009

VERSION: Final = b"13"

_FIN: Final = 0x80
_RESERVED: Final = 0x70
_MASKED: Final = 0x80
_CONTROL_OCTETS_MAX: Final = 125
_SCRAP_OCTETS: Final = 64
"""Nobody cuts a message into pieces as small as this, but to make work of it."""
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SHORT: Final = struct.Struct(">BB")
_MIDDLE: Final = struct.Struct(">BBH")
_LONG: Final = struct.Struct(">BBQ")
_KEYS_AT_ONCE: Final = 4096
"""Octets of chance that are fetched together: a system call for each frame would cost more than the frame."""


class BadFrame(InterledgerError):
    """What came is no WebSocket that we can go on with."""

    def __init__(self, problem: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(problem)
        self.code = code


@final
class FrameReader:
    """Cuts a stream into messages; bounded in what it keeps and does at once, strict in what it takes."""

    __slots__ = (
        "_at", "_fragments", "_fragments_kind", "_frames_max", "_is_masked", "_octets_max", "_pending",
        "has_more", "scraps",
    )  # fmt: skip

    def __init__(self, *, is_server: bool, octets_max: int, frames_max: int) -> None:
        self._is_masked = is_server
        """Clients mask what they send, servers do not (RFC-6455 §5.1)."""
        self._octets_max = octets_max
        self._frames_max = frames_max
        self._pending = b""
        self._at = 0
        """The first octet of what is pending that was not read."""
        self.has_more = False
        """Whether frames may be left over: `feed` goes on with them, also where nothing new came."""
        self.scraps = 0
        """Pieces of messages so far that carried next to nothing."""
        self._fragments = bytearray()
        self._fragments_kind = 0

    @property
    def is_within(self) -> bool:
        """Whether a frame or a message has begun and not ended, though all that came was read."""
        return not self.has_more and (bool(self._pending) or self._fragments_kind != 0)

    def keep(self, data: bytes) -> None:
        """Take what came, to be read later."""
        self._pending = self._pending[self._at :] + data
        self._at = 0

    def feed(self, data: bytes = b"") -> list[tuple[int, bytes]]:
        """Return the messages and control frames that are whole now, each with its kind; of so many frames at most.

        Raises:
            BadFrame: the stream cannot be read any further.
        """
        at = 0
        if self._pending:
            if data:
                data = self._pending[self._at :] + data
            else:
                data, at = self._pending, self._at
            self._pending, self._at = b"", 0
        self.has_more = False
        found: list[tuple[int, bytes]] = []
        size, is_masked, frames_left = len(data), self._is_masked, self._frames_max
        while size - at >= 2:
            if not frames_left:
                self._pending, self._at, self.has_more = data, at, True
                return found
            frames_left -= 1
            first, length = data[at], data[at + 1]
            if (length >= _MASKED) is not is_masked:
                raise BadFrame("a client masks its frames, and a server does not")
            length &= 0x7F
            start = at + 2
            if length == 126:
                start += 2
                if size < start:
                    break
                length = data[at + 2] << 8 | data[at + 3]
            elif length == 127:
                start += 8
                if size < start:
                    break
                length = int.from_bytes(data[at + 2 : start], "big")
            if length > self._octets_max:
                raise BadFrame(f"a message may have {self._octets_max} octets", TOO_BIG)
            if is_masked:
                start += 4
            end = start + length
            if size < end:
                break
            payload = data[start:end]
            if is_masked:
                payload = unmasked(payload, data[start - 4 : start])
            at = end
            if first == _FIN | BINARY and self._fragments_kind == 0:
                found.append((BINARY, payload))
            else:
                whole = self._take(first, payload)
                if whole is not None:
                    found.append(whole)
        if at < size:
            self._pending = data[at:]
        return found

    def _take(self, first: int, payload: bytes) -> tuple[int, bytes] | None:
        """Take a frame that is no whole binary message."""
        kind, is_last = first & 0x0F, first >= _FIN
        if first & _RESERVED:
            raise BadFrame("a frame has a reserved bit, and no extension was agreed on")
        if kind >= CLOSE:
            if kind > PONG or not is_last or len(payload) > _CONTROL_OCTETS_MAX:
                raise BadFrame("a control frame is whole, known and short")
            return kind, payload
        if kind == CONTINUATION:
            if self._fragments_kind == 0:
                raise BadFrame("a message goes on that has not begun")
        elif kind in {TEXT, BINARY}:
            if self._fragments_kind:
                raise BadFrame("a message begins within another")
            self._fragments_kind = kind
        else:
            raise BadFrame(f"there is no frame of kind {kind}")
        if len(self._fragments) + len(payload) > self._octets_max:
            raise BadFrame(f"a message may have {self._octets_max} octets", TOO_BIG)
        self._fragments += payload
        if not is_last:
            self.scraps += len(payload) < _SCRAP_OCTETS
            return None
        kind, whole = self._fragments_kind, bytes(self._fragments)
        self._fragments_kind, self._fragments = 0, bytearray()
        return kind, whole


@final
class FrameWriter:
    """Writes frames, each whole; masked where we are the client."""

    __slots__ = ("_is_masked", "_keys", "_keys_at")

    def __init__(self, *, is_server: bool) -> None:
        self._is_masked = not is_server
        self._keys = b""
        self._keys_at = 0

    def frame(self, payload: bytes, kind: int = BINARY) -> bytes:
        """Return a whole frame."""
        size = len(payload)
        masked = _MASKED if self._is_masked else 0
        if size < 126:
            head = _SHORT.pack(_FIN | kind, masked | size)
        elif size < 0x10000:
            head = _MIDDLE.pack(_FIN | kind, masked | 126, size)
        else:
            head = _LONG.pack(_FIN | kind, masked | 127, size)
        if not masked:
            return head + payload
        if self._keys_at >= len(self._keys):
            self._keys, self._keys_at = os.urandom(_KEYS_AT_ONCE), 0
        key = self._keys[self._keys_at : self._keys_at + 4]
        self._keys_at += 4
        return b"".join((head, key, unmasked(payload, key)))

    def close(self, code: int, reason: str) -> bytes:
        """Return the frame that ends a connection, with the reason, cut to what fits."""
        said = reason.encode()[: _CONTROL_OCTETS_MAX - 2].decode("utf-8", "ignore").encode()
        return self.frame(code.to_bytes(2, "big") + said, CLOSE)


def unmasked(payload: bytes, key: bytes) -> bytes:
    """Return the octets xor the key, again and again: masking and unmasking are the same."""
    size = len(payload)
    keys = key * (size // 4 + 1)
    mixed = int.from_bytes(payload, "little") ^ int.from_bytes(keys[:size], "little")
    return mixed.to_bytes(size, "little")


def close_words(payload: bytes) -> str:
    """Return what the other side said as it closed, for people."""
    if len(payload) < 2:
        return "without a word"
    code = int.from_bytes(payload[:2], "big")
    said = payload[2:].decode("utf-8", "replace")
    shown = "".join(sign for sign in said if sign.isprintable()).strip()
    return f"with {code}" + (f": {shown}" if shown else "")


# --- The handshake


def new_key() -> bytes:
    """Return what a client sends as Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(16))


def accept_key(key: bytes) -> bytes:
    """Return what a server answers to it."""
    return base64.b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def upgrade_request(*, host: str, target: str, key: bytes) -> bytes:
    """Return the head with which a client asks for a WebSocket."""
    return (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n"
    ).encode()


def upgrade_response(key: bytes, now_ms: int) -> bytes:
    """Return the head with which a server grants it; extensions and sub-protocols are never agreed on.

    The Date, which nothing asks for here, tells the other side how its clock goes.
    """
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Date: %b\r\nSec-WebSocket-Accept: %b\r\n\r\n" % (date_text(now_ms), accept_key(key))
    )


def asks_for_websocket(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a request wants to become a WebSocket."""
    return _has(headers, b"upgrade", b"websocket") and _has(headers, b"connection", b"upgrade")


def request_problem(head: RequestHead) -> str | None:
    """Return why a request for a WebSocket cannot be granted, or None where it can."""
    if head.method != b"GET" or head.version != "1.1" or head.length or head.chunked:
        return "a WebSocket is asked for with GET and HTTP/1.1, without a body"
    if not asks_for_websocket(head.headers):
        return "BTP is spoken over a WebSocket: send Upgrade: websocket and Connection: Upgrade"
    if head.headers.get(b"sec-websocket-version", b"").strip() != VERSION:
        return "version 13 of the WebSocket protocol is spoken here"
    try:
        key = base64.b64decode(head.headers.get(b"sec-websocket-key", b""), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 16:
        return "Sec-WebSocket-Key needs 16 octets in Base64"
    return None


def response_problem(head: ResponseHead, key: bytes) -> str | None:
    """Return why an answer does not open the WebSocket that was asked for, or None where it does."""
    if head.status != 101:
        return f"answered with HTTP {head.status}, not with a WebSocket"
    if not asks_for_websocket(head.headers):
        return "switched to another protocol than a WebSocket"
    if head.headers.get(b"sec-websocket-accept", b"").strip() != accept_key(key):
        return "answered with the Sec-WebSocket-Accept of another request"
    if head.headers.get(b"sec-websocket-extensions"):
        return "agreed to an extension that was not asked for"
    return None


def _has(headers: Mapping[bytes, bytes], name: bytes, token: bytes) -> bool:
    listed = headers.get(name, b"").lower().split(b",")
    return any(part.strip() == token for part in listed)
