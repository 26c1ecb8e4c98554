"""What leads to this machine or its network is known by every way in which it can be written."""

from __future__ import annotations

import ipaddress

import pytest

from core.public_address import is_inside, is_public

INSIDE = (
    "localhost", "LOCALHOST.", "db.internal", "printer.local",
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0",
    "１２７.０.０.１", "ⓛocalhost", "169.254.169.254.", "10.0.0.7", "100.64.0.1",
    "::1", "fe80::1%eth0", "fec0::1", "::ffff:127.0.0.1", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::",
)  # fmt: skip
OUTSIDE = (
    "example.com", "example", "8.8.8.8", "134744072", "2606:4700::1111", "64:ff9b::8.8.8.8",
    "", "a..b", "x" * 64,
)  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_these_are_inside(host: str) -> None:
    assert is_inside(host)


@pytest.mark.parametrize("host", OUTSIDE)
def test_these_are_not_or_are_no_host(host: str) -> None:
    assert not is_inside(host)


def test_a_group_is_no_host() -> None:
    assert not is_public(ipaddress.ip_address("224.0.0.1"))
    assert not is_public(ipaddress.ip_address("ff0e::1"))
