"""The way in: one in a turn, so many a second, hosts by turns; counted, on real sockets where sockets matter."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.links import door as module
from core.links.door import Door
from tests.core.links.conftest import until

NEVER = 0.001
"""Turns a second: none within a test."""


@dataclass(eq=False)
class Guest:
    name: str
    told: list[str]

    def come_in(self) -> None:
        self.told.append(self.name)

    def turn_away(self) -> None:
        self.told.append(f"not {self.name}")


@dataclass
class House:
    """A door on a real port, and who came in by it."""

    door: Door
    listener: socket.socket
    came_in: list[socket.socket] = field(default_factory=list)
    clients: list[socket.socket] = field(default_factory=list)

    def open(self) -> None:
        self.door.open(
            [self.listener], 100, lambda connection, _: self.came_in.append(connection)
        )

    def connect(self, count: int) -> None:
        for _ in range(count):
            client = socket.create_connection(self.listener.getsockname(), timeout=10)
            self.clients.append(client)


def door(*, per_second: float = NEVER, at_once: int = 1, waiting_max: int = 100) -> Door:
    return Door(
        asyncio.get_running_loop(),
        per_second=per_second,
        at_once=at_once,
        waiting_max=waiting_max,
    )


@pytest.fixture
async def houses() -> AsyncIterator[list[House]]:
    made: list[House] = []
    yield made
    for house in made:
        house.door.close()
        for connection in (*house.came_in, *house.clients):
            connection.close()


def house(houses: list[House], found: Door, listener: socket.socket | None = None) -> House:
    listener = listener or socket.socket()
    listener.bind(("127.0.0.1", 0))
    made = House(found, listener)
    houses.append(made)
    return made


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_is_let_in_a_turn_and_no_more_than_may_be(houses: list[House]) -> None:
    found = house(houses, door(at_once=5))
    found.open()
    found.connect(8)
    in_a_turn: list[int] = []
    while len(found.came_in) < 5:
        before = len(found.came_in)
        await asyncio.sleep(0)
        in_a_turn.append(len(found.came_in) - before)
    await turns()

    assert max(in_a_turn) == 1
    assert (len(found.came_in), found.door.waiting) == (5, 3)


async def test_turns_come_again_as_time_goes_by(houses: list[House]) -> None:
    found = house(houses, door(per_second=1000.0, at_once=2))
    found.open()
    found.connect(20)

    await until(lambda: len(found.came_in) == 20)


async def test_more_than_may_wait_are_sent_away_and_the_port_is_left_alone_for_a_while(
    houses: list[House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 60.0)
    listener = Counting()
    found = house(houses, door(per_second=1000.0, at_once=10, waiting_max=3), listener)
    found.open()
    found.connect(20)
    await until(lambda: len(found.came_in) == 3)

    with pytest.raises(ConnectionError):  # the oldest
        found.clients[0].recv(1)
    looks = listener.looks
    found.connect(5)
    await turns()
    assert (listener.looks, found.door.waiting, len(found.came_in)) == (looks, 0, 3)


async def test_hosts_take_turns_so_that_one_with_many_holds_up_no_other() -> None:
    told: list[str] = []
    found = door(at_once=4)
    for number in range(20):
        found.wait(Guest(f"many {number}", told), "many")
    found.wait(Guest("one", told), "one")
    found.wait(Guest("another", told), "another")
    await turns()

    assert told == ["many 0", "one", "another", "many 1"]


async def test_where_too_many_wait_the_host_that_has_most_loses_its_oldest() -> None:
    told: list[str] = []
    found = door(at_once=0, waiting_max=3)
    found.wait(Guest("one", told), "one")
    for number in range(10):
        found.wait(Guest(f"many {number}", told), "many")

    assert told == [f"not many {number}" for number in range(8)]
    found.close()
    assert set(told[8:]) == {"not one", "not many 8", "not many 9"}


async def test_who_has_gone_waits_no_more_and_takes_no_turn() -> None:
    told: list[str] = []
    found = door(at_once=1)
    gone = Guest("gone", told)
    found.wait(gone, "a")
    found.wait(Guest("there", told), "b")
    found.forget(gone, "a")
    await turns()

    assert told == ["there"]


async def test_who_was_no_stranger_is_not_counted() -> None:
    told: list[str] = []
    found = door(at_once=1)
    for number in range(5):
        found.wait(Guest(f"peer {number}", told), "a")
        await turns()
        found.give_back()

    found.wait(Guest("stranger", told), "a")
    found.wait(Guest("another stranger", told), "a")
    await turns()
    assert told == [*(f"peer {number}" for number in range(5)), "stranger"]
    found.close()


async def test_while_there_is_no_turn_the_port_is_not_looked_at_for_each(
    houses: list[House],
) -> None:
    listener = Counting()
    found = house(houses, door(), listener)
    found.open()
    for _ in range(20):
        found.connect(1)
        await turns(5)

    assert listener.looks < 20


class Counting(socket.socket):
    """Counts how often it was asked for a connection."""

    looks = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.looks += 1
        return super().accept()


class Short(Counting):
    """Has no descriptor to give, for a while."""

    def accept(self) -> tuple[socket.socket, Any]:
        if self.looks < 2:
            self.looks += 1
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


@pytest.mark.logs_warning
async def test_want_of_descriptors_is_said_and_waited_for(
    houses: list[House], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_SHORTAGE_SECONDS", 0.01)
    found = house(houses, door(), Short())
    found.open()
    found.connect(1)

    await until(lambda: len(found.came_in) == 1)
    assert [r.levelno for r in caplog.records] == [logging.ERROR] * 2
    assert "too many open files" in caplog.messages[0]


async def test_whoever_waits_at_the_end_is_sent_away(houses: list[House]) -> None:
    found = house(houses, door(at_once=0))
    found.open()
    found.connect(3)
    await until(lambda: found.door.waiting == 3)

    found.door.close()

    assert found.door.waiting == 0
    for client in found.clients:
        with pytest.raises(ConnectionError):
            client.recv(1)
