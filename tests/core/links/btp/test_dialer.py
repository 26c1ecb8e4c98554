"""How long a dialler waits, and what it makes of a URL."""

from __future__ import annotations

import pytest

from core.account import Secret
from core.errors import SettingError
from core.links.btp.dialer import BtpTarget, retry_wait
from core.links.btp.limits import BtpLimits

LIMITS = BtpLimits()


def waits(*, chance: float, is_refusal: bool = False) -> list[float]:
    return [
        round(retry_wait(LIMITS, failures, chance, is_refusal=is_refusal), 3)
        for failures in range(11)
    ]


def test_the_waits_grow_and_differ_by_a_quarter_either_way() -> None:
    steps = [0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 60.0, 60.0]

    assert waits(chance=0.5) == steps
    assert waits(chance=0.0) == [round(0.75 * step, 3) for step in steps]
    assert waits(chance=1.0) == [round(1.25 * step, 3) for step in steps]


def test_after_a_refusal_the_wait_is_a_long_one_since_only_a_person_can_help() -> None:
    assert waits(chance=0.5, is_refusal=True)[1:] == [30.0] * 7 + [60.0] * 3
    assert waits(chance=0.5, is_refusal=True)[0] == 0.0


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
