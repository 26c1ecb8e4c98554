"""Names that hang hold up nobody but those who ask for more of them."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from core.config import Reach
from core.errors import SpspError
from core.links.names import NameLookups
from core.links.spsp_client import SpspClient


class SilentServer:
    """A look-up that ends only when it is told to."""

    def __init__(self) -> None:
        self.answers = threading.Event()

    def __call__(self, *_: object) -> list[tuple[Any, ...]]:
        self.answers.wait(10)
        raise socket.gaierror("no such name")


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
