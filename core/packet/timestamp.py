"""RFC-0030: the moment in a Prepare, 17 digits `YYYYMMDDHHMMSSfff` in UTC, as milliseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from core.errors import PacketError

DIGITS: Final = 17
EXPIRES_AT_MS_MAX: Final = 253402300799999
"""The last millisecond of the year 9999, the last that 17 digits can say."""


@lru_cache(maxsize=256)
def _minute_ms(digits: bytes) -> int:
    """Return the start of a minute; one parse serves all packets that expire within it."""
    moment = datetime(
        int(digits[0:4]), int(digits[4:6]), int(digits[6:8]),
        int(digits[8:10]), int(digits[10:12]), tzinfo=UTC,
    )  # fmt: skip
    return int(moment.timestamp()) * 1000


@lru_cache(maxsize=256)
def _minute_digits(minute: int) -> bytes:
    return (
        datetime.fromtimestamp(minute * 60, UTC).strftime("%Y%m%d%H%M").rjust(12, "0").encode()
    )


def read_timestamp(octets: memoryview, *, octet: int) -> int:
    """Return milliseconds since the Unix epoch.

    Raises:
        PacketError: these are no 17 digits, or they name no moment (second 60 included: RFC-0030 asks for smearing).
    """
    digits = bytes(octets)
    if len(digits) != DIGITS or not digits.isdigit():
        raise PacketError(f"the expiry is {DIGITS} digits, not {digits!r}", octet=octet)
    seconds_ms = int(digits[12:])
    if seconds_ms > 59_999:
        raise PacketError(f"the expiry {digits.decode()} has a second over 59", octet=octet)
    try:
        return _minute_ms(digits[:12]) + seconds_ms
    except ValueError:
        raise PacketError(f"the expiry {digits.decode()} is no moment", octet=octet) from None


def write_timestamp(moment_ms: int) -> bytes:
    """Return the 17 digits of a moment between the years 1 and 9999."""
    minute, rest_ms = divmod(moment_ms, 60_000)
    return _minute_digits(minute) + b"%05d" % rest_ms
