"""Connections that are given up, in whichever state they are."""

import asyncio
import socket

from core.links.transports import abort


class Lost(asyncio.Protocol):
    """Says when its connection is gone."""

    def __init__(self) -> None:
        self.gone = asyncio.get_running_loop().create_future()

    def connection_lost(self, _why: Exception | None) -> None:
        self.gone.set_result(None)


async def with_octets_left_to_write() -> tuple[asyncio.Transport, Lost, socket.socket]:
    """Return a connection, and the other side, which reads nothing by itself."""
    ours, theirs = socket.socketpair()
    transport, lost = await asyncio.get_running_loop().create_connection(Lost, sock=ours)
    transport.write(bytes(4_000_000))
    return transport, lost, theirs


async def test_one_that_is_gone_is_given_up_without_an_error() -> None:
    transport, lost, theirs = await with_octets_left_to_write()
    transport.close()
    while not lost.gone.done():
        await asyncio.to_thread(theirs.recv, 1_000_000)

    abort(transport)

    assert transport.is_closing()
    theirs.close()


async def test_one_that_has_octets_left_to_write_is_gone_at_once() -> None:
    transport, lost, theirs = await with_octets_left_to_write()

    abort(transport)

    async with asyncio.timeout(5):
        await lost.gone
    theirs.close()
