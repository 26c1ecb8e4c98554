"""BTP packets, against what btp-packet and Quilt write and read.

Of Quilt's file, the rows of `encode` that end in microseconds or begin with hour 24 are about its own
clock's text, and are read here as the moment that they name.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.errors import PacketError
from core.links.btp import packet as btp
from core.links.btp.packet import (
    BtpError,
    BtpPacket,
    SubProtocol,
    parse_packet,
    read_ilp,
    read_time,
    write_ilp,
    write_time,
)
from tests.core.packet.vectors import load

THEIRS = load("btp-packet/packets.json")["packets"]
MADE = load("generated/btp-packets.json")["packets"]
QUILT = load("quilt/btp-time-and-error.json")
RFC = load("rfcs/oer-examples.json")
RUST = load("interledger-rs/oer.json")


def moment_ms(iso: str) -> int:
    """Return a moment as text has it: hour 24 and second 60 are the next one's first."""
    day, _, time = iso.replace(" UTC", "Z").replace(" ", "T").removesuffix("Z").partition("T")
    hour, minute, second = time.split(":")
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    since = timedelta(
        hours=int(hour), minutes=int(minute), microseconds=round(float(second) * 10**6)
    )
    return int((start + since - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def sub_protocols(rows: list[dict[str, Any]]) -> tuple[SubProtocol, ...]:
    return tuple(
        SubProtocol(row["protocolName"], row["contentType"], bytes.fromhex(row["dataHex"]))
        for row in rows
    )


@pytest.mark.parametrize("row", THEIRS, ids=lambda row: row["name"])
def test_a_packet_of_btp_packets_own_tests_is_read_and_written(row: dict[str, Any]) -> None:
    octets = bytes.fromhex(row["hex"])

    packet = parse_packet(octets)

    assert (packet.kind, packet.request_id) == (row["type"], row["requestId"])
    assert packet.entries == sub_protocols(row["protocolData"])
    if "amount" in row:
        assert packet.amount == int(row["amount"])
    if packet.error is None:
        assert packet.encode() == octets
        return
    said = packet.error
    assert (said.code, said.name) == (row["code"], row["name"])
    assert said.triggered_at_ms == moment_ms(row["triggeredAt"])
    assert said.data == bytes.fromhex(row["dataHex"])
    # It writes three decimals where there are none; everything else is as we write it.
    assert len(packet.encode()) == len(octets) - len(".000")
    assert parse_packet(packet.encode()) == packet


@pytest.mark.parametrize("row", MADE, ids=lambda row: row["name"])
def test_a_packet_made_with_btp_packet_is_read_and_written(row: dict[str, Any]) -> None:
    octets, told = bytes.fromhex(row["hex"]), row["decoded"]

    packet = parse_packet(octets)

    assert (packet.kind, packet.request_id) == (told["type"], told["requestId"])
    assert packet.entries == sub_protocols(told["protocolData"])
    assert packet.amount == (int(told["amount"]) if "amount" in told else None)
    if "code" in told:
        assert packet.error == BtpError(
            told["code"],
            told["name"],
            moment_ms(told["triggeredAt"]),
            told["dataText"].encode(),
        )
    else:
        assert packet.encode() == octets


def test_an_error_of_quilt_is_read_and_written() -> None:
    (row,) = QUILT["error_packets"]
    octets = bytes.fromhex(row["hex"])

    packet = parse_packet(octets)

    assert packet == BtpPacket(
        btp.ERROR,
        row["requestId"],
        error=BtpError(
            row["code"],
            row["name"],
            moment_ms(row["triggeredAt"]),
            bytes.fromhex(row["dataHex"]),
        ),
    )
    assert packet.encode() == octets
    assert packet.error is not None
    assert packet.error.words == "F00 NotAcceptedError: invalid auth_token"


# --- Times


@pytest.mark.parametrize("row", QUILT["encode"], ids=lambda row: row["instant"])
def test_times_are_written_and_read_as_quilt_does(row: dict[str, str]) -> None:
    assert write_time(moment_ms(row["instant"])) == row["wire"].encode()
    assert read_time(row["wire"].encode()) == moment_ms(row["decoded"])


@pytest.mark.parametrize(
    "row",
    # Where a moment is written in another way than as a moment, there is none to be written.
    [row for row in RFC["generalized_time_encode"] if re.fullmatch(r"[-0-9]+T[:.0-9]+Z", row["from"])
     and ".60." not in row["from"]],
    ids=lambda row: row["from"],
)  # fmt: skip
def test_times_are_written_as_the_rfc_shows(row: dict[str, str]) -> None:
    assert write_time(moment_ms(row["from"])) == row["to"].encode()


@pytest.mark.parametrize("row", QUILT["bytes"], ids=lambda row: row["instant"])
def test_times_have_their_length_before_them(row: dict[str, str]) -> None:
    octets = bytes.fromhex(row["hex"])

    assert octets[0] == len(octets) - 1
    assert read_time(octets[1:]) == moment_ms(row["instant"])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        *((row["text"], row["value"]) for row in RUST["generalized_time"]),
        *((row["from"], row["to"]) for row in RFC["generalized_time_decode"]),
        ("20171224230000.20Z", "2017-12-24T23:00:00.200Z"),
        ("20260301000000.000Z", "2026-03-01T00:00:00.000Z"),
    ],
)
def test_times_of_others_are_read(text: str, moment: str) -> None:
    assert read_time(text.encode()) == moment_ms(moment)


@pytest.mark.parametrize(
    "text",
    sorted({
        *QUILT["bad"],
        *(row["text"] for row in RUST["generalized_time_invalid"]),
        # A needless zero at the end is what every JavaScript node writes: it is read.
        *(row["text"] for row in RFC["generalized_time_invalid"] if "trailing zero" not in row["why"]),
        "20171224160061Z",
        "",
    }),
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(PacketError, match="no time"):
        read_time(text.encode())


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_every_moment_is_written_and_read_again(moment: int) -> None:
    octets = write_time(moment)

    assert read_time(octets) == moment
    assert not octets.endswith((b"0Z", b".Z")) or b"." not in octets


def test_the_words_of_an_error_are_one_line_of_what_can_be_shown() -> None:
    error = BtpError("F\n0", "Na\x1b[0mme" * 20, 0, b"one\ntwo\xff" * 100)

    assert error.words.isprintable()
    assert len(error.words) < 300


def test_an_error_whose_time_is_none_still_says_what_it_says() -> None:
    error = BtpError("F00", "NotAcceptedError", 0, b"no")
    octets = BtpPacket(btp.ERROR, 1, error=error).encode()
    damaged = octets.replace(b"19700101000000Z", b"1970-01-01 00:0")

    found = parse_packet(damaged).error

    assert found == BtpError("F00", "NotAcceptedError", None, b"no")


# --- Round trips, and what is wrong

NAMES = st.text(st.characters(max_codepoint=127), max_size=20)
ENTRIES = st.lists(
    st.builds(SubProtocol, NAMES, st.integers(0, 255), st.binary(max_size=200)),
    max_size=5,
    unique_by=lambda entry: entry.name,
).map(tuple)
IDS = st.integers(0, btp.REQUEST_ID_MAX)
ERRORS = st.builds(
    BtpError,
    st.text(st.characters(max_codepoint=127), min_size=3, max_size=3),
    st.text(max_size=20),
    st.integers(0, 253_402_300_799_999),
    st.binary(max_size=300),
)
PACKETS = st.one_of(
    st.builds(BtpPacket, st.sampled_from([btp.MESSAGE, btp.RESPONSE]), IDS, ENTRIES),
    st.builds(BtpPacket, st.just(btp.TRANSFER), IDS, ENTRIES, st.integers(0, btp.AMOUNT_MAX)),
    st.builds(BtpPacket, st.just(btp.ERROR), IDS, ENTRIES, st.none(), ERRORS),
)


@given(packet=PACKETS, behind=st.binary(max_size=5))
def test_every_packet_is_written_and_read_again(packet: BtpPacket, behind: bytes) -> None:
    assert parse_packet(packet.encode() + behind) == packet


@given(packet=PACKETS, data=st.data())
def test_a_packet_that_is_cut_is_refused_at_an_octet_within_it(
    packet: BtpPacket, data: st.DataObject
) -> None:
    octets = packet.encode()
    cut = octets[: data.draw(st.integers(0, len(octets) - 1))]

    with pytest.raises(PacketError) as refused:
        parse_packet(cut)

    assert 0 <= refused.value.octet <= len(cut)


@given(packet=PACKETS, at=st.integers(0, 400), octet=st.integers(0, 255))
def test_a_packet_with_one_wrong_octet_is_read_or_refused_and_nothing_else(
    packet: BtpPacket, at: int, octet: int
) -> None:
    octets = bytearray(packet.encode())
    octets[at % len(octets)] = octet
    try:
        parse_packet(octets)
    except PacketError as error:
        assert 0 <= error.octet <= len(octets)


@given(
    kind=st.sampled_from([btp.MESSAGE, btp.RESPONSE]),
    request_id=IDS,
    packet=st.binary(max_size=70_000),
)
def test_what_carries_only_ilp_is_read_and_written_as_any_other_packet(
    kind: int, request_id: int, packet: bytes
) -> None:
    whole = BtpPacket(kind, request_id, (SubProtocol("ilp", btp.OCTET_STREAM, packet),))

    octets = write_ilp(kind, request_id, packet)

    assert octets == whole.encode()
    found = read_ilp(octets)
    assert found is not None
    assert (*found[:2], bytes(found[2])) == (kind, request_id, packet)


@given(st.one_of(PACKETS.map(BtpPacket.encode), st.binary(max_size=40)), st.integers(0, 60))
def test_the_short_way_of_reading_never_reads_what_the_long_way_does_not(
    octets: bytes, cut: int
) -> None:
    for part in (octets, octets[:cut]):
        found = read_ilp(part)
        if found is not None:
            packet = parse_packet(part)
            entry = packet.entry("ilp")
            assert entry is not None
            assert (*found[:2], bytes(found[2])) == (packet.kind, packet.request_id, entry.data)


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (b"", "ends within its type"),
        (b"\x06\x00\x00\x00", "ends within its type"),
        (b"\x03\x00\x00\x00\x01\x02\x01\x00", "no BTP packet of type 3"),
        (b"\x06\x00\x00\x00\x01\x80", "indefinite"),
        (b"\x06\x00\x00\x00\x01\x81\x02\x01\x00", "shortest form"),
        (b"\x06\x00\x00\x00\x01\x05\x04\xff\xff\xff\xff", "no room is left"),
        (b"\x06\x00\x00\x00\x01\x07\x01\x01\x01\xff\x00\x00\x00", "not ASCII"),
        (b"\x06\x00\x00\x00\x01\x0a\x01\x02\x01a\x00\x00\x01a\x00\x00", "comes twice"),
        (b"\x07\x00\x00\x00\x01\x02\x01\x00", "ends within its amount"),
        (b"\x02\x00\x00\x00\x01\x02\x46\x30", "three ASCII"),
    ],
)
def test_what_is_no_packet_is_refused_with_the_reason(octets: bytes, problem: str) -> None:
    with pytest.raises(PacketError, match=problem):
        parse_packet(octets)


@pytest.mark.parametrize(
    "packet",
    [
        BtpPacket(btp.TRANSFER, 1),
        BtpPacket(btp.ERROR, 1),
        BtpPacket(btp.MESSAGE, 2**32),
        BtpPacket(btp.MESSAGE, 1, amount=5),
        BtpPacket(btp.TRANSFER, 1, amount=2**64),
        BtpPacket(btp.ERROR, 1, error=BtpError("F0", "", 0)),
        BtpPacket(btp.ERROR, 1, error=BtpError("F00", "", None)),
        BtpPacket(btp.ERROR, 1, error=BtpError("F00", "", 0, bytes(8193))),
    ],
)
def test_what_no_packet_can_carry_is_not_written(packet: BtpPacket) -> None:
    with pytest.raises(PacketError):
        packet.encode()
