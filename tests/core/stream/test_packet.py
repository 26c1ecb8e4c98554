"""STREAM packets: the same octets as in JavaScript, Rust and Java, and hard against garbage."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.errors import PacketError
from core.stream.frames import (
    UINT_MAX,
    ConnectionAssetDetails,
    ConnectionClose,
    ConnectionDataBlocked,
    ConnectionMaxData,
    ConnectionMaxStreamId,
    ConnectionNewAddress,
    ConnectionStreamIdBlocked,
    Frame,
    StreamClose,
    StreamData,
    StreamDataBlocked,
    StreamMaxData,
    StreamMaxMoney,
    StreamMoney,
    StreamMoneyBlocked,
    StreamReceipt,
    read_frame,
)
from core.stream.packet import PacketType, StreamPacket
from tests.core.packet.test_address import addresses
from tests.core.packet.vectors import load

RUST = load("interledger-rs/stream-packets.json")


def javascript_packets() -> Iterator[dict[str, Any]]:
    """Yield the fixture set that the RFC, JavaScript and Java share, each file's own copy of it."""
    for file in ("ilp-protocol-stream/packets.json", "quilt/StreamPacketFixtures.json"):
        yield from load(file)
    for name, row in load("interledgerjs/stream-packets.json").items():
        yield {"name": name, **row}


def frame(row: dict[str, Any]) -> Frame:
    """Return the frame that a fixture describes; Rust names its octets in hex, the others in base64."""

    def number(name: str) -> int:
        return int(row[name])

    def octets(name: str) -> bytes:
        if f"{name}Hex" in row:
            return bytes.fromhex(row[f"{name}Hex"])
        return base64.b64decode(row[name])

    match row["name"]:
        case "ConnectionClose":
            return ConnectionClose(number("errorCode"), row["errorMessage"])
        case "ConnectionNewAddress":
            return ConnectionNewAddress(row["sourceAccount"])
        case "ConnectionMaxData":
            return ConnectionMaxData(number("maxOffset"))
        case "ConnectionDataBlocked":
            return ConnectionDataBlocked(number("maxOffset"))
        case "ConnectionMaxStreamId":
            return ConnectionMaxStreamId(number("maxStreamId"))
        case "ConnectionStreamIdBlocked":
            return ConnectionStreamIdBlocked(number("maxStreamId"))
        case "ConnectionAssetDetails":
            return ConnectionAssetDetails(row["sourceAssetCode"], row["sourceAssetScale"])
        case "StreamClose":
            return StreamClose(number("streamId"), number("errorCode"), row["errorMessage"])
        case "StreamMoney":
            return StreamMoney(number("streamId"), number("shares"))
        case "StreamMaxMoney":
            return StreamMaxMoney(
                number("streamId"), number("receiveMax"), number("totalReceived")
            )
        case "StreamMoneyBlocked":
            return StreamMoneyBlocked(
                number("streamId"), number("sendMax"), number("totalSent")
            )
        case "StreamData":
            return StreamData(number("streamId"), number("offset"), octets("data"))
        case "StreamMaxData":
            return StreamMaxData(number("streamId"), number("maxOffset"))
        case "StreamDataBlocked":
            return StreamDataBlocked(number("streamId"), number("maxOffset"))
        case "StreamReceipt":
            return StreamReceipt(number("streamId"), octets("receipt"))
        case other:
            raise AssertionError(other)


def packet(row: dict[str, Any]) -> StreamPacket:
    return StreamPacket(
        int(row["sequence"]),
        PacketType(row["packetType"]),
        int(row["amount"]),
        tuple(frame(one) for one in row["frames"]),
    )


@pytest.mark.parametrize("row", javascript_packets(), ids=lambda row: row["name"])
def test_javascript_and_java_packets_read_and_write_the_same(row: dict[str, Any]) -> None:
    octets = base64.b64decode(row["buffer"])

    assert StreamPacket.decode(octets) == packet(row["packet"])
    # Amounts above 64 bits are read as the highest that fits, and so cannot be written again.
    if not row.get("decode_only"):
        assert packet(row["packet"]).encode() == octets


def test_rusts_packet_of_all_frames_reads_and_writes_the_same() -> None:
    row = RUST["packets"][0]
    octets = bytes.fromhex(row["hex"])

    assert StreamPacket.decode(octets) == packet(row)
    assert packet(row).encode() == octets


def test_frames_of_unknown_types_are_left_out() -> None:
    found = StreamPacket.decode(bytes.fromhex(RUST["packets"][1]["hex"]))

    assert found == StreamPacket(1, PacketType.PREPARE, 99)


@pytest.mark.parametrize("row", RUST["cases"], ids=lambda row: row["name"])
def test_what_rusts_fuzzer_found_is_read_as_rust_reads_it(row: dict[str, Any]) -> None:
    octets = bytes.fromhex(row["hex"])
    if row["result"].startswith("error"):
        with pytest.raises(PacketError, match="ConnectionClose"):
            StreamPacket.decode(octets)
        return
    expected: dict[str, tuple[Frame, ...]] = {
        "fuzzed_0_extra_trailer_bytes": (),
        "fuzzed_1_unknown_frames_dont_roundtrip": (
            ConnectionClose(1, "oop"),
            ConnectionNewAddress("example.blah"),
        ),
        "fuzzed_3_frame_content_length_prefix_should_not_have_extra_bytes": (
            ConnectionClose(1, ""),
        ),
        "fuzzed_4_handles_unknown_error_code": (ConnectionClose(89, ""),),
        "fuzzed_5_saturating_read_var_uint_replacement_cannot_roundtrip": (
            StreamMoneyBlocked(1, UINT_MAX, 0),
        ),
    }
    assert StreamPacket.decode(octets).frames == expected[row["name"]]


@pytest.mark.parametrize("row", RUST["frame_bodies"], ids=lambda row: str(row["frame"]))
def test_only_the_highest_amounts_of_a_stream_saturate(row: dict[str, Any]) -> None:
    body = bytes.fromhex(row["hex"])
    found, _ = read_frame(memoryview(bytes((row["frame"], len(body))) + body), 0)
    if row["frame"] == StreamMaxMoney.TYPE:
        assert isinstance(found, StreamMaxMoney)
        assert found.receive_max == int(row["receiveMax"])
    else:
        assert isinstance(found, StreamMoneyBlocked)
        assert found.send_max == int(row["sendMax"])

    wide = bytes.fromhex("010c" + "09" + "01" * 9 + "0100" + "0100")
    with pytest.raises(PacketError, match="9 octets, 8 fit"):
        StreamPacket.decode(wide)


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        ("", "ends within its version and type, at octet 0"),
        ("01", "ends within its version and type, at octet 1"),
        ("9c4f511d", "the version 156, 1 is known, at octet 0"),
        ("010b0100010001 00", "no ILP packet of type 11, at octet 1"),
        ("010c01000100", "ends where a length is due, at octet 6"),
        ("010c0100010001 05", "5 frames do not fit 0 octets, at octet 6"),
        ("010c0100010004 7fffffff 0100", "2147483647 frames do not fit 2 octets, at octet 6"),
        ("010c01000100020201" + "5900" * 513, "it has 513 frames, 512 are read, at octet 6"),
        ("010c010001000101 0304ffffffff", "ConnectionMaxData"),
        ("010c010001000101 020a 09 6e6f7420696c70202e", "ConnectionNewAddress: 'not ilp .' is no"),
        ("010c010001000101 0704 02c328 09", "ConnectionAssetDetails: the asset's code is not UTF-8, at octet 11"),
        ("010c010001000101 0100", "ConnectionClose: the packet ends where an octet is due, at octet 10"),
    ],
)  # fmt: skip
def test_what_is_no_packet_is_refused_with_the_octet(octets: str, sentence: str) -> None:
    with pytest.raises(PacketError, match=sentence):
        StreamPacket.decode(bytes.fromhex(octets))


def test_a_message_that_is_not_utf8_is_shown_as_well_as_it_can_be() -> None:
    found = StreamPacket.decode(bytes.fromhex("010c010001000101010401 02c328"))

    assert found.frames == (ConnectionClose(1, "�("),)


def test_an_empty_address_is_an_address() -> None:
    found = StreamPacket.decode(bytes.fromhex("010c010001000101020100"))

    assert found.frames == (ConnectionNewAddress(""),)


def test_frames_of_one_kind_come_in_their_order() -> None:
    both = StreamPacket(
        1, PacketType.PREPARE, 0, (StreamMoney(3, 1), ConnectionMaxData(0), StreamMoney(1, 2))
    )

    assert list(both.of(StreamMoney)) == [StreamMoney(3, 1), StreamMoney(1, 2)]


uints = st.integers(0, UINT_MAX)
texts = st.text(max_size=20).filter(lambda text: text.isprintable())
frames = st.one_of(
    st.builds(ConnectionClose, st.integers(0, 255), texts),
    st.builds(ConnectionNewAddress, st.one_of(st.just(""), addresses)),
    st.builds(ConnectionMaxData, uints),
    st.builds(ConnectionDataBlocked, uints),
    st.builds(ConnectionMaxStreamId, uints),
    st.builds(ConnectionStreamIdBlocked, uints),
    st.builds(ConnectionAssetDetails, texts, st.integers(0, 255)),
    st.builds(StreamClose, uints, st.integers(0, 255), texts),
    st.builds(StreamMoney, uints, uints),
    st.builds(StreamMaxMoney, uints, uints, uints),
    st.builds(StreamMoneyBlocked, uints, uints, uints),
    st.builds(StreamData, uints, uints, st.binary(max_size=300)),
    st.builds(StreamMaxData, uints, uints),
    st.builds(StreamDataBlocked, uints, uints),
    st.builds(StreamReceipt, uints, st.binary(max_size=60)),
)
packets = st.builds(
    StreamPacket,
    uints,
    st.sampled_from(PacketType),
    uints,
    st.lists(frames, max_size=6).map(tuple),
)


@given(packets, st.binary(max_size=40))
def test_every_packet_reads_as_it_was_written_whatever_pads_it(
    one: StreamPacket, padding: bytes
) -> None:
    assert StreamPacket.decode(one.encode() + padding) == one


@given(packets, st.data())
def test_a_changed_octet_is_refused_or_read_but_never_more(
    one: StreamPacket, data: st.DataObject
) -> None:
    octets = bytearray(one.encode())
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    try:
        found = StreamPacket.decode(bytes(octets))
    except PacketError as error:
        assert 0 <= error.octet <= len(octets)
    else:
        assert StreamPacket.decode(found.encode()) == found


@given(packets, st.data())
def test_a_packet_cut_short_is_refused(one: StreamPacket, data: st.DataObject) -> None:
    octets = one.encode()
    end = data.draw(st.integers(0, len(octets) - 1))

    with pytest.raises(PacketError):
        StreamPacket.decode(octets[:end])
