"""How long a dialler waits, and what it makes of a URL."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.account import Secret
from core.errors import SettingError
from core.links.btp import packet as btp
from core.links.btp.dialer import BtpTarget, retry_wait
from core.links.btp.limits import BtpLimits
from core.links.names import NameLookups
from tests.core.links.btp.conftest import (
    QUICK,
    Listening,
    Scene,
    Setting,
    Socket,
    bob_at,
    ilp,
    until,
)
from tests.core.links.conftest import prepare

LIMITS = BtpLimits()


def waits(*, chance: float, is_refusal: bool = False) -> list[float]:
    return [
        round(retry_wait(LIMITS, failures, chance, is_refusal=is_refusal), 3)
        for failures in range(11)
    ]


def test_the_waits_grow_and_differ_by_half_either_way() -> None:
    steps = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 60.0, 60.0]

    assert waits(chance=0.5)[1:] == steps
    assert waits(chance=0.0)[1:] == [round(0.5 * step, 3) for step in steps]
    assert waits(chance=1.0)[1:] == [round(1.5 * step, 3) for step in steps]


def test_after_a_good_connection_too_not_all_come_back_at_once() -> None:
    assert [waits(chance=chance)[0] for chance in (0.0, 0.3, 1.0)] == [0.0, 0.3, 1.0]


def test_after_a_refusal_the_wait_is_a_long_one_since_only_a_person_can_help() -> None:
    assert waits(chance=0.5, is_refusal=True)[1:] == [30.0] * 7 + [60.0] * 3


# --- Peers that are dead, and others beside them


@pytest.fixture
def black_hole() -> Iterator[int]:
    """Return a port that takes no connection and refuses none, as a host that is switched off."""
    with socket.socket() as listening, contextlib.ExitStack() as held:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):  # what waits to be accepted fills it
            one = held.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def stays(socket: Socket) -> None:
    await socket.ends()


async def test_any_number_of_dead_peers_hold_up_no_live_one(
    setting: Setting, listening: Listening, black_hole: int
) -> None:
    scene = await setting(replace(QUICK, connect_seconds=60, turn_seconds=0.001))
    for number in range(200):
        bob_at(scene, f"btp+ws://127.0.0.1:{black_hole}", username=f"dead{number}")

    bob = bob_at(scene, (await listening(stays)).url)

    await until(lambda: scene.link.is_connected(bob.id))
    dead = scene.accounts["dead0"]
    assert "is being dialled" in scene.states.state(dead)[1]


@pytest.mark.logs_warning
async def test_names_whose_servers_are_silent_hold_up_no_peer_that_was_found_before(
    setting: Setting, listening: Listening
) -> None:
    is_silent, is_over = threading.Event(), threading.Event()

    def look_up(host: str, port: int, *_: int) -> list[tuple[Any, ...]]:
        if host != "live.test" or is_silent.is_set():
            is_over.wait()
            raise OSError
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    names = NameLookups(lookups_max=8, look_up=look_up)
    scene = await setting(replace(QUICK, lookup_seconds=0.05), names=names)
    listener = await listening(stays)
    bob = bob_at(scene, listener.url.replace("127.0.0.1", "live.test"))
    await until(lambda: scene.link.is_connected(bob.id))

    is_silent.set()
    for number in range(20):
        bob_at(scene, f"btp+ws://dead{number}.test", username=f"dead{number}")
    dead = scene.accounts["dead0"]
    await until(lambda: "its name was not found in time" in scene.states.state(dead)[1])
    await listener.sockets[0].ws.close()

    await until(lambda: len(listener.logins) == 2)
    is_over.set()


async def test_the_time_for_the_handshake_begins_when_the_socket_is_open(
    setting: Setting, listening: Listening
) -> None:
    def look_up(host: str, port: int, *_: int) -> list[tuple[Any, ...]]:
        time.sleep(0.5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    names = NameLookups(look_up=look_up)
    scene = await setting(replace(QUICK, handshake_seconds=0.4), names=names)
    listener = await listening(stays)
    bob = bob_at(scene, listener.url.replace("127.0.0.1", "slow.test"))

    await until(lambda: scene.link.is_connected(bob.id))
    assert len(listener.logins) == 1


async def test_the_next_of_a_names_addresses_is_tried_where_one_is_dead(
    setting: Setting, listening: Listening
) -> None:
    def look_up(host: str, port: int, *_: int) -> list[tuple[Any, ...]]:
        # Nobody listens at the first.
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port))
            for place in ("127.0.0.2", "127.0.0.1")
        ]

    scene = await setting(names=NameLookups(look_up=look_up))
    listener = await listening(stays)

    bob = bob_at(scene, listener.url.replace("127.0.0.1", "two.test"))

    await until(lambda: scene.link.is_connected(bob.id))


# --- When the waits begin anew


@pytest.mark.parametrize("is_useful", [True, False])
async def test_only_a_connection_that_has_lasted_and_carried_packets_ends_the_long_waits(
    setting: Setting, listening: Listening, is_useful: bool
) -> None:
    async def script(socket: Socket) -> None:
        if is_useful:
            await socket.say(ilp(btp.MESSAGE, 1, prepare(b"hello").octets))
            await socket.hear()
        await asyncio.sleep(0.05)

    listener = await listening(script)
    scene = await setting(
        replace(QUICK, steady_seconds=0.04, retry_seconds=(0.01, 0.01, 60, 60))
    )
    bob = bob_at(scene, listener.url)

    if is_useful:
        await until(lambda: len(listener.logins) == 6)
    else:
        await until(lambda: scene.states.btp(bob.id).retry_at is not None)
        await until(lambda: "dialled again in" in scene.states.state(bob)[1])
        await until(lambda: (scene.states.btp(bob.id).retry_at or 0) > time.monotonic() + 20)
        assert len(listener.logins) == 3
        assert re.search(
            r"It is dialled again in \d+ (second|minute)", scene.states.state(bob)[1]
        )


# --- An operator's wish


@pytest.mark.logs_warning
async def test_an_operator_may_have_it_dialled_at_once_but_not_all_the_time(
    setting: Setting, listening: Listening
) -> None:
    listener = await listening(stays)
    port, url = listener.port, listener.url
    await listener.stop()
    scene = await setting(replace(QUICK, retry_seconds=(60.0,), wish_seconds=0.3))
    bob = bob_at(scene, url)
    await until(lambda: "nobody listens there" in scene.states.state(bob)[1])
    assert "It is dialled again in" in scene.states.state(bob)[1]
    await asyncio.sleep(0.4)

    assert not await scene.link.dial_now(bob.id)
    again = await listening(stays, port=port)
    assert not await scene.link.dial_now(bob.id)
    assert again.logins == []
    await asyncio.sleep(0.4)

    async with asyncio.timeout(10):
        assert await scene.link.dial_now(bob.id)
    assert len(again.logins) == 1
    assert scene.states.state(bob)[1].startswith("Connected over BTP")
    assert await scene.link.dial_now(bob.id)
    assert len(again.logins) == 1


async def test_a_wish_ends_with_the_account_and_nobody_else_is_dialled(
    scene: Scene, black_hole: int
) -> None:
    bob = bob_at(scene, f"btp+ws://127.0.0.1:{black_hole}")
    wish = asyncio.get_running_loop().create_task(scene.link.dial_now(bob.id))
    await asyncio.sleep(0.05)
    assert not wish.done()

    del scene.accounts["bob"]
    scene.put()

    async with asyncio.timeout(10):
        assert not await wish
        assert not await scene.link.dial_now(scene.accounts["alice"].id)


@pytest.mark.parametrize(
    ("url", "host", "port", "header", "target", "is_tls", "username"),
    [
        ("btp+ws://bob.example", "bob.example", 80, "bob.example", "/", False, ""),
        ("btp+wss://bob.example/btp", "bob.example", 443, "bob.example", "/btp", True, ""),
        ("ws://b.example:7768/a?b=c", "b.example", 7768, "b.example:7768", "/a?b=c", False, ""),
        ("wss://me@b.example:443", "b.example", 443, "b.example", "/", True, "me"),
        ("btp+ws://[::1]:80/x", "::1", 80, "[::1]", "/x", False, ""),
        ("ws://m%2Fe@127.0.0.1", "127.0.0.1", 80, "127.0.0.1", "/", False, "m/e"),
    ],
)
def test_a_url_says_where_and_as_whom_to_dial(
    url: str, host: str, port: int, header: str, target: str, is_tls: bool, username: str
) -> None:
    found = BtpTarget.of(url, Secret("t"))

    assert (found.host, found.port, found.host_header) == (host, port, header)
    assert (found.target, found.is_tls, found.username) == (target, is_tls, username)
    assert "@" not in found.url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://bob.example", "does not start with"),
        ("btp+ws://", "does not start with"),
        ("ws://host:port", "is no URL"),
        ("wss://me:secret@bob.example", "a field of its own"),
        ("ws://bob.example/a b", "percent-encoded"),
    ],
)
def test_a_url_that_cannot_be_dialled_is_refused_with_the_reason(
    url: str, problem: str
) -> None:
    with pytest.raises(SettingError, match=problem):
        BtpTarget.of(url, None)


@pytest.mark.parametrize(
    "url",
    [
        "btp+foo://me:the-password@bob.example",
        "ws://me:the-password@bob.example:port",
        "ws://me@bob.example/a b?key=the-password",
    ],
)
def test_a_password_in_a_url_is_not_quoted(url: str) -> None:
    with pytest.raises(SettingError) as refused:
        BtpTarget.of(url, None)

    assert "the-password" not in str(refused.value)
    assert "bob.example" in str(refused.value)
