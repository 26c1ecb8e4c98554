"""The least HTTP that a source and a sink of packets need; it shares no code with what it tests."""

from __future__ import annotations

import asyncio

HEAD_END = b"\r\n\r\n"


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return start line and body of one message.

    Raises:
        ConnectionError: the other side is gone.
    """
    try:
        head = await reader.readuntil(HEAD_END)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        return head.split(b"\r\n", 1)[0], await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("it ended within a message") from error


def request(path: str, host: str, token: str, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def response(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body
