"""The 17 digits of RFC-0030, against its worked examples.

Left out of the encode list: the leap second (its own decode list calls it invalid) and the rows that
normalise other notations, which are about parsing ISO text, not about the wire.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.errors import PacketError
from core.packet.timestamp import EXPIRES_AT_MS_MAX, read_timestamp, write_timestamp
from tests.core.packet.vectors import load

RFC = load("rfcs/oer-examples.json")


def _read(text: str) -> int:
    return read_timestamp(memoryview(text.encode()), octet=0)


def _ms(iso: str) -> int:
    moment = datetime.fromisoformat(iso)
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in RFC["ilp_time_encode"]
        if row["from"].endswith("Z") and "," not in row["from"]
        and "60." not in row["from"] and "T24" not in row["from"]
    ],
    ids=str,
)  # fmt: skip
def test_a_moment_is_written_as_the_rfc_shows(row: dict[str, Any]) -> None:
    assert write_timestamp(_ms(row["from"])) == row["to"].encode()


@pytest.mark.parametrize("row", RFC["ilp_time_invalid"], ids=str)
def test_what_the_rfc_calls_invalid_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(PacketError, match="expiry"):
        _read(row["text"])


@pytest.mark.parametrize(
    "row", [row for row in RFC["ilp_time_decode"] if ":60." not in row["to"]], ids=str
)
def test_digits_are_read_as_the_rfc_shows(row: dict[str, Any]) -> None:
    assert _read(row["from"]) == _ms(row["to"])


@pytest.mark.parametrize(
    "row", [row for row in RFC["time_bytes"] if row["format"] == "ilp-17"], ids=str
)
def test_the_octets_are_ascii_digits(row: dict[str, Any]) -> None:
    assert bytes.fromhex(row["hex"]) == write_timestamp(_read(row["value"]))


@given(st.integers(min_value=0, max_value=EXPIRES_AT_MS_MAX))
def test_every_millisecond_comes_back(moment_ms: int) -> None:
    digits = write_timestamp(moment_ms)

    assert len(digits) == 17
    assert read_timestamp(memoryview(digits), octet=0) == moment_ms


@given(st.text(alphabet="0123456789", min_size=17, max_size=17))
def test_seventeen_digits_are_the_moment_they_name_or_refused(digits: str) -> None:
    try:
        moment_ms = _read(digits)
    except PacketError:
        with pytest.raises(ValueError, match=r".*"):
            datetime.strptime(digits[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    else:
        assert write_timestamp(moment_ms).decode() == digits
