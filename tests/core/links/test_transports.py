"""Connections that are given up, in whichever state they are."""

import asyncio
import socket

from core.links.transports import abort


async def test_one_that_is_gone_is_given_up_without_an_error() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    lost = asyncio.get_running_loop().create_future()

    class Lost(asyncio.Protocol):
        def connection_lost(self, _why: Exception | None) -> None:
            lost.set_result(None)

    transport, _ = await asyncio.get_running_loop().create_connection(Lost, sock=ours)
    transport.write(bytes(4_000_000))
    transport.close()
    while not lost.done():
        await asyncio.to_thread(theirs.recv, 1_000_000)

    abort(transport)

    assert transport.is_closing()
    theirs.close()


async def test_one_that_has_octets_left_to_write_is_gone_at_once() -> None:
    ours, theirs = socket.socketpair()
    lost = asyncio.get_running_loop().create_future()

    class Lost(asyncio.Protocol):
        def connection_lost(self, _why: Exception | None) -> None:
            lost.set_result(None)

    transport, _ = await asyncio.get_running_loop().create_connection(Lost, sock=ours)
    transport.write(bytes(4_000_000))

    abort(transport)

    async with asyncio.timeout(5):
        await lost
    theirs.close()
