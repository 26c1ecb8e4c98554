"""Names that hang hold up nobody but those who ask for more of them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from core.config import Reach
from core.errors import SpspError
from core.links.names import REMEMBERED_MAX, Host, NameLookups
from core.links.spsp_client import SpspClient
from tests.core.links.conftest import SilentServer, until


async def test_a_name_is_looked_up() -> None:
    found = await NameLookups()().resolve("localhost", 80, socket.AF_INET)
    assert [(one["host"], one["port"], one["hostname"]) for one in found] == [
        ("127.0.0.1", 80, "localhost")
    ]


async def test_a_name_that_is_not_there_is_an_error_of_the_operating_system() -> None:
    server = SilentServer()
    server.answers.set()
    with pytest.raises(socket.gaierror, match="no such name"):
        await NameLookups(look_up=server)().resolve("nobody.example")


async def test_hanging_names_leave_the_loops_own_threads_to_the_store() -> None:
    server = SilentServer()
    client = SpspClient(lambda: Reach.PUBLIC, names=NameLookups(look_up=server), seconds=0.05)
    try:
        answers = await asyncio.gather(
            *(client.resolve(f"$host{number}.example") for number in range(32)),
            return_exceptions=True,
        )
        assert all(isinstance(answer, SpspError) for answer in answers)
        async with asyncio.timeout(2):
            assert await asyncio.to_thread(lambda: 8) == 8
    finally:
        server.answers.set()


async def test_so_many_hang_and_one_more_is_refused_until_one_has_ended() -> None:
    server = SilentServer()
    lookups = NameLookups(lookups_max=2, look_up=server)
    for name in ("a.example", "b.example"):
        with pytest.raises(TimeoutError):  # who asked has gone; the thread has not
            async with asyncio.timeout(0.01):
                await lookups.find(name, 0, socket.AF_INET)
    with pytest.raises(OSError, match="2 names are being looked up, and no more are at once"):
        await lookups.find("c.example", 0, socket.AF_INET)
    server.answers.set()
    async with asyncio.timeout(5):
        while True:
            try:
                await lookups.find("c.example", 0, socket.AF_INET)
            except socket.gaierror:
                break
            except OSError:
                await asyncio.sleep(0.01)


async def test_who_asks_for_a_name_that_is_looked_up_already_waits_for_that() -> None:
    server = SilentServer()
    lookups = NameLookups(lookups_max=1, look_up=server)
    loop = asyncio.get_running_loop()
    asking = [
        loop.create_task(lookups.find("a.example", 1, socket.AF_UNSPEC)) for _ in range(20)
    ]
    await until(lambda: server.asked > 0)
    asking[0].cancel()
    server.answers.set()

    outcomes = await asyncio.gather(*asking, return_exceptions=True)

    assert server.asked == 1
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert all(isinstance(outcome, socket.gaierror) for outcome in outcomes[1:])


async def test_a_name_that_cannot_be_written_is_an_error_as_any_other() -> None:
    with pytest.raises(OSError, match="it is no host name"):
        await NameLookups().find(64 * "a" + ".example", 1, socket.AF_UNSPEC)


async def test_a_connection_goes_to_the_first_address_that_takes_it() -> None:
    def look_up(host: str, port: int, *_: object) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port))
            for place in ("127.0.0.2", "127.0.0.1")
        ]

    server = await asyncio.get_running_loop().create_server(Talker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    host = Host(NameLookups(look_up=look_up), "peer.example", port)
    opened = await host.connect(Talker, tls=None, seconds=10)

    assert opened.place == ("127.0.0.1", port)
    server.close()


class Talker(asyncio.Protocol):
    """Notes whom it is connected to, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.place = transport.get_extra_info("peername")
        transport.close()


async def test_a_host_that_was_found_before_is_connected_to_while_its_name_servers_are_silent() -> (
    None
):
    silent = SilentServer()
    is_silent = False

    def look_up(host: str, port: int, *_: object) -> list[tuple[Any, ...]]:
        if is_silent:
            return silent()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    server = await asyncio.get_running_loop().create_server(Talker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = NameLookups(look_up=look_up)
    known, unknown = Host(names, "peer.example", port), Host(names, "other.example", port)
    await known.connect(Talker, tls=None, seconds=10)
    is_silent = True
    try:
        again = await known.connect(Talker, tls=None, seconds=10, lookup_seconds=0.01)
        assert again.place == ("127.0.0.1", port)
        with pytest.raises(socket.gaierror, match="its name was not found in time"):
            await unknown.connect(Talker, tls=None, seconds=10, lookup_seconds=0.01)
    finally:
        silent.answers.set()
        server.close()


def test_so_many_names_are_remembered_and_the_oldest_is_forgotten() -> None:
    names = NameLookups()
    for number in range(REMEMBERED_MAX):
        names.remember(f"h{number}.example", ["192.0.2.1"])
    names.remember("h0.example", ["192.0.2.2"])

    names.remember("new.example", ["192.0.2.3"])

    assert names.remembered("h0.example") == ["192.0.2.2"]
    assert names.remembered("h1.example") == []
    assert names.remembered("new.example") == ["192.0.2.3"]
