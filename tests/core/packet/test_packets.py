"""Prepare, Fulfill and Reject: the same octets as ilp-packet, changed in place, and hard against garbage."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.errors import PacketError
from core.packet import (
    AMOUNT_MAX,
    DATA_OCTETS_MAX,
    ErrorCode,
    Fulfill,
    Prepare,
    Reject,
    error_words,
    max_packet_amount_data,
    parse_reply,
    read_max_packet_amount_data,
)
from core.packet.timestamp import EXPIRES_AT_MS_MAX
from tests.core.packet.test_address import addresses
from tests.core.packet.vectors import load

EDGES: list[dict[str, Any]] = load("generated/ilp-packet-edge.json")["packets"]
ILDCP = load("ilp-protocol-ildcp/ildcp.json")
F08 = load("interledgerjs/ilp-addresses.json")["f08_data"]

prepares = st.builds(
    lambda amount, moment, condition, destination, data: Prepare.build(
        amount=amount,
        expires_at_ms=moment,
        condition=condition,
        destination=destination,
        data=data,
    ),
    st.integers(min_value=0, max_value=AMOUNT_MAX),
    st.integers(min_value=0, max_value=EXPIRES_AT_MS_MAX),
    st.binary(min_size=32, max_size=32),
    addresses,
    st.binary(max_size=300),
)


def _ms(iso: str) -> int:
    moment = datetime.fromisoformat(iso)
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000


@pytest.mark.parametrize(
    "row", [row for row in EDGES if row["type"] == 12], ids=lambda r: r["name"]
)
def test_javascript_prepares_read_and_write_the_same(row: dict[str, Any]) -> None:
    prepare = Prepare(bytearray.fromhex(row["hex"]))

    assert prepare.amount == int(row["amount"])
    assert prepare.expires_at_ms == _ms(row["expiresAt"])
    assert prepare.condition.hex() == row["conditionHex"]
    assert prepare.destination == row["destination"]
    assert len(prepare.data) == row["data_len"]
    built = Prepare.build(
        amount=prepare.amount,
        expires_at_ms=prepare.expires_at_ms,
        condition=prepare.condition,
        destination=prepare.destination,
        data=prepare.data,
    )
    assert built.octets.hex() == row["hex"]


@pytest.mark.parametrize(
    "row", [row for row in EDGES if row["type"] == 13], ids=lambda r: r["name"]
)
def test_javascript_fulfills_read_and_write_the_same(row: dict[str, Any]) -> None:
    fulfill = Fulfill(bytes.fromhex(row["hex"]))

    assert fulfill.fulfillment.hex() == row["fulfillmentHex"]
    assert len(fulfill.data) == row["data_len"]
    assert Fulfill.build(fulfill.fulfillment, fulfill.data).octets.hex() == row["hex"]


@pytest.mark.parametrize(
    "row", [row for row in EDGES if row["type"] == 14], ids=lambda r: r["name"]
)
def test_javascript_rejects_read_and_write_the_same(row: dict[str, Any]) -> None:
    reject = Reject(bytes.fromhex(row["hex"]))

    assert reject.code == row["code"].encode()
    assert reject.triggered_by == row["triggeredBy"]
    assert reject.message == row["message"]
    assert len(reject.data) == row["data_len"]
    built = Reject.build(
        ErrorCode(reject.code),
        triggered_by=reject.triggered_by,
        message=reject.message,
        data=reject.data,
    )
    assert built.octets.hex() == row["hex"]


def test_the_three_published_examples_of_ilp_packet_read_as_they_say() -> None:
    example = load("ilp-packet/ilp_prepare_example01.json")
    prepare = Prepare(bytearray.fromhex(example["binary"]))
    assert prepare.amount == int(example["json"]["amount"])
    assert bytes(prepare.condition) == base64.b64decode(example["json"]["executionCondition"])
    assert prepare.expires_at_ms == _ms(example["json"]["expiresAt"])
    assert prepare.destination == example["json"]["destination"]
    assert bytes(prepare.data) == base64.b64decode(example["json"]["data"])

    example = load("ilp-packet/ilp_fulfill_example01.json")
    fulfill = Fulfill(bytes.fromhex(example["binary"]))
    assert bytes(fulfill.fulfillment) == base64.b64decode(example["json"]["fulfillment"])
    assert bytes(fulfill.data) == base64.b64decode(example["json"]["data"])

    example = load("ilp-packet/ilp_reject_example01.json")
    reject = Reject(bytes.fromhex(example["binary"]))
    assert reject.code == example["json"]["code"].encode()
    assert reject.triggered_by == example["json"]["triggeredBy"]
    assert reject.message == example["json"]["message"]
    assert bytes(reject.data) == base64.b64decode(example["json"]["data"])


@pytest.mark.parametrize("row", ILDCP["rejects"], ids=str)
def test_the_rejects_of_ildcp_read_as_they_say(row: dict[str, Any]) -> None:
    reject = parse_reply(bytes.fromhex(row["hex"]))

    assert isinstance(reject, Reject)
    assert (reject.code, reject.triggered_by, reject.message) == (
        row["code"].encode(),
        row["triggeredBy"],
        row["message"],
    )


@pytest.mark.parametrize("row", F08, ids=str)
def test_what_an_f08_carries_is_sixteen_octets(row: dict[str, Any]) -> None:
    received, maximum = int(row["received_amount"]), int(row["maximum_amount"])

    assert max_packet_amount_data(received=received, maximum=maximum).hex() == row["hex"]
    assert read_max_packet_amount_data(bytes.fromhex(row["hex"])) == (received, maximum)
    assert read_max_packet_amount_data(b"") is None


@given(prepares)
def test_a_prepare_comes_back(prepare: Prepare) -> None:
    again = Prepare(bytearray(prepare.octets))

    assert again.octets == prepare.octets
    assert (again.amount, again.expires_at_ms) == (prepare.amount, prepare.expires_at_ms)
    assert (again.destination, again.data) == (prepare.destination, prepare.data)


@given(
    prepares,
    st.integers(min_value=0, max_value=AMOUNT_MAX),
    st.integers(min_value=0, max_value=EXPIRES_AT_MS_MAX),
)
def test_amount_and_expiry_are_written_into_the_buffer_and_nothing_else_moves(
    prepare: Prepare, amount: int, moment_ms: int
) -> None:
    buffer = bytearray(prepare.octets)
    changed = Prepare(buffer)

    changed.amount = amount
    changed.expires_at_ms = moment_ms

    expected = Prepare.build(
        amount=amount,
        expires_at_ms=moment_ms,
        condition=prepare.condition,
        destination=prepare.destination,
        data=prepare.data,
    )
    assert buffer == bytearray(expected.octets)
    assert prepare.copy().octets == prepare.octets


@given(prepares, st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_one_wrong_octet_in_a_prepare_raises_nothing_but_a_packet_error(
    prepare: Prepare, position: int, octet: int
) -> None:
    buffer = bytearray(prepare.octets)
    buffer[position % len(buffer)] = octet

    try:
        again = Prepare(buffer)
    except PacketError as error:
        assert 0 <= error.octet <= len(buffer)
        return

    assert bytes(again.octets) == bytes(buffer[: len(again.octets)])
    assert again.copy().expires_at_ms == again.expires_at_ms
    assert again.copy().amount == again.amount


@given(
    st.sampled_from(ErrorCode),
    addresses | st.just(""),
    st.text(max_size=80),
    st.binary(max_size=80),
    st.integers(min_value=0),
    st.integers(min_value=0, max_value=255),
)
def test_one_wrong_octet_in_a_reply_raises_nothing_but_a_packet_error(
    code: ErrorCode, by: str, message: str, data: bytes, position: int, octet: int
) -> None:
    reject = Reject.build(code, triggered_by=by, message=message, data=data)
    assert (reject.triggered_by, reject.message) == (by, message)
    for reply in (reject, Fulfill.build(bytes(32), data)):
        buffer = bytearray(reply.octets)
        buffer[position % len(buffer)] = octet
        try:
            again = parse_reply(bytes(buffer))
        except PacketError as error:
            assert 0 <= error.octet <= len(buffer)
        else:
            assert bytes(again.octets) == bytes(buffer[: len(again.octets)])


@given(st.binary(max_size=120))
def test_any_octets_are_a_packet_or_refused(octets: bytes) -> None:
    for parse in (lambda: Prepare(bytearray(octets)), lambda: parse_reply(octets)):
        try:
            parse()
        except PacketError as error:
            assert 0 <= error.octet <= len(octets)


def test_octets_behind_the_last_field_are_ignored_and_not_passed_on() -> None:
    prepare = Prepare.build(
        amount=1, expires_at_ms=0, condition=bytes(32), destination="g.a", data=b"data"
    )

    again = Prepare(bytearray(prepare.octets) + b"trailing")

    assert again.octets == prepare.octets
    assert bytes(again.data) == b"data"


def test_a_reject_without_a_name_is_accepted() -> None:
    reject = Reject(bytes.fromhex("0e06543030000000"))

    assert (reject.code, reject.triggered_by, reject.message) == (b"T00", "", "")


def test_a_code_that_no_rfc_knows_is_kept() -> None:
    octets = bytearray(
        Reject.build(ErrorCode.BAD_REQUEST, triggered_by="g.a", message="").octets
    )
    octets[2:5] = b"F42"

    assert Reject(octets).code == b"F42"
    assert error_words("F42") == "Unknown Error"
    assert error_words(b"T04") == "Insufficient Liquidity"


def test_a_message_that_is_too_long_is_cut_between_two_characters() -> None:
    reject = Reject.build(ErrorCode.BAD_REQUEST, triggered_by="g.a", message="é" * 5000)

    assert reject.message == "é" * 4095


def test_more_data_than_the_rfc_allows_is_refused() -> None:
    with pytest.raises(PacketError, match="32768 octets, 32767 are allowed"):
        Prepare.build(
            amount=0,
            expires_at_ms=0,
            condition=bytes(32),
            destination="g.a",
            data=bytes(DATA_OCTETS_MAX + 1),
        )
    with pytest.raises(PacketError, match="32768 octets"):
        Fulfill.build(bytes(32), bytes(DATA_OCTETS_MAX + 1))


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (b"", "this is no Prepare, at octet 0"),
        (b"\x0d", "this is no Prepare, at octet 0"),
        (b"\x0c", "the packet ends where a length is due, at octet 1"),
        (b"\x0c\x05abc", "5 octets are due and 3 are there, at octet 1"),
        (b"\x0c\x03abc", "the packet ends within its fixed fields, at octet 5"),
    ],
)
def test_the_sentence_says_what_is_wrong_and_where(octets: bytes, sentence: str) -> None:
    with pytest.raises(PacketError) as raised:
        Prepare(bytearray(octets))

    assert str(raised.value) == sentence


@pytest.mark.parametrize("amount", [-1, 2**64])
def test_an_amount_outside_64_bits_cannot_be_built(amount: int) -> None:
    with pytest.raises(PacketError, match="unsigned 64-bit"):
        Prepare.build(amount=amount, expires_at_ms=0, condition=bytes(32), destination="g.a")
