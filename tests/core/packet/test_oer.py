"""OER against the vectors of interledger-rs, oer-utils and RFC-0030.

Signed integers, floats and fixed-size integers other than through `int.to_bytes` are not part of
any Interledger packet and have no code here; their rows are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.errors import PacketError
from core.packet import oer
from tests.core.packet.vectors import load

RUST = load("interledger-rs/oer.json")
JAVASCRIPT = load("oer-utils/oer.json")
RFC = load("rfcs/oer-examples.json")


def _view(hex_text: str) -> memoryview:
    return memoryview(bytes.fromhex(hex_text))


@pytest.mark.parametrize("row", RUST["var_octet_string"], ids=str)
def test_rust_octet_strings_read_the_same(row: dict[str, Any]) -> None:
    octets, end = oer.read_octets(_view(row["hex"]), 0)

    assert octets.hex() == row["value_hex"]
    assert end == row["consumed"]


@pytest.mark.parametrize(
    "row", RUST["var_octet_string_error"] + RUST["length_prefix_error"], ids=str
)
def test_what_rust_refuses_as_an_octet_string_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(PacketError):
        oer.read_octets(_view(row["hex"]), 0)


@pytest.mark.parametrize("row", RUST["length_prefix"] + RFC["length_determinant"], ids=str)
def test_lengths_read_and_write_the_same(row: dict[str, Any]) -> None:
    length, end = oer.read_length(_view(row["hex"]), 0)

    assert length == int(row["value"])
    assert end == len(row["hex"]) // 2
    assert oer.write_length(length).hex() == row["hex"]


@pytest.mark.parametrize("row", RFC["address_bytes"], ids=str)
def test_the_rfc_s_addresses_are_written_and_read(row: dict[str, Any]) -> None:
    written = oer.write_octets(row["value"].encode())

    assert written.hex() == row["hex"]
    assert bytes(oer.read_octets(memoryview(written), 0)[0]).decode() == row["value"]


@pytest.mark.parametrize("row", RUST["var_uint"], ids=str)
def test_rust_integers_read_and_write_the_same(row: dict[str, Any]) -> None:
    value, end = oer.read_uint(_view(row["hex"]), 0)

    assert value == int(row["value"])
    assert end == len(row["hex"]) // 2
    assert oer.write_uint(value).hex() == row["hex"]


@pytest.mark.parametrize("row", RUST["var_uint_error"], ids=str)
def test_what_rust_refuses_as_an_integer_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(PacketError):
        oer.read_uint(_view(row["hex"]), 0)


@pytest.mark.parametrize("row", RUST["var_uint_size"], ids=str)
def test_integers_are_as_short_as_in_rust(row: dict[str, Any]) -> None:
    assert len(oer.write_uint(int(row["value"]))) == 1 + int(row["size_without_length"])


_READERS: dict[str, Callable[[memoryview, int], tuple[Any, int]]] = {
    "readVarUInt": oer.read_uint,
    "readVarOctetString": oer.read_octets,
    "readLengthPrefix": oer.read_length,
}


@pytest.mark.parametrize(
    "row",
    [row for row in JAVASCRIPT["read"] if all(call["op"] in _READERS for call in row["calls"])],
    ids=str,
)
def test_javascript_reads_the_same(row: dict[str, Any]) -> None:
    view, at = _view(row["hex"]), 0
    for call in row["calls"]:
        value, at = _READERS[call["op"]](view, at)
        read = value.hex() if isinstance(value, memoryview) else str(value)
        assert read == _javascript_value(call["value"])
    if "cursor" in row:
        assert at == row["cursor"]


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in JAVASCRIPT["read_error"]
        if row["op"] in _READERS and not row["js_limit_only"]
    ],
    ids=str,
)
def test_what_javascript_refuses_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(PacketError):
        _READERS[row["op"]](_view(row["hex"]), 0)


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in JAVASCRIPT["write"]
        if row["op"] in ("writeVarUInt", "writeVarOctetString")
    ],
    ids=str,
)
def test_javascript_writes_the_same(row: dict[str, Any]) -> None:
    if row["op"] == "writeVarUInt":
        value = row["value"]
        octets = value["bytes_hex"] if isinstance(value, dict) else None
        written = oer.write_uint(int(octets, 16) if octets else int(value))
    else:
        written = oer.write_octets(bytes.fromhex(_javascript_value(row["value"])))

    assert written.hex() == row["hex"]


def test_a_negative_number_is_no_unsigned_integer() -> None:
    with pytest.raises(ValueError, match="cannot be -1"):
        oer.write_uint(-1)


@given(st.binary(max_size=70_000), st.binary(max_size=8))
def test_an_octet_string_comes_back_whatever_follows(octets: bytes, behind: bytes) -> None:
    written = oer.write_octets(octets)

    read, end = oer.read_octets(memoryview(written + behind), 0)

    assert bytes(read) == octets
    assert end == len(written)


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_an_integer_comes_back(value: int) -> None:
    assert oer.read_uint(memoryview(oer.write_uint(value)), 0)[0] == value


@given(st.binary(max_size=40))
def test_any_octets_are_read_or_refused_and_never_past_their_end(octets: bytes) -> None:
    for read in (oer.read_length, oer.read_octets, oer.read_uint):
        try:
            _, end = read(memoryview(octets), 0)
        except PacketError as error:
            assert 0 <= error.octet <= len(octets)
        else:
            assert end <= len(octets)


def _javascript_value(value: Any) -> str:
    return str(value["bytes_hex"]) if isinstance(value, dict) else str(value)
