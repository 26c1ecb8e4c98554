"""The frames of RFC-6455, its own examples, and streams that are cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from core.links.btp import websocket as ws
from core.links.btp.websocket import BadFrame, FrameReader, FrameWriter
from core.links.http_message import parse_request_head, parse_response_head

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def server(octets_max: int = 100_000) -> FrameReader:
    return FrameReader(is_server=True, octets_max=octets_max, frames_max=1000)


def client(octets_max: int = 100_000) -> FrameReader:
    return FrameReader(is_server=False, octets_max=octets_max, frames_max=1000)


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("8105 48656c6c6f", (ws.TEXT, b"Hello")),
        ("0103 48656c 8002 6c6f", (ws.TEXT, b"Hello")),
        ("8905 48656c6c6f", (ws.PING, b"Hello")),
        ("827e0100" + "00" * 256, (ws.BINARY, bytes(256))),
        ("827f0000000000010000" + "00" * 65536, (ws.BINARY, bytes(65536))),
    ],
)
def test_the_rfcs_examples_are_read(octets: str, message: tuple[int, bytes]) -> None:
    assert client().feed(bytes.fromhex(octets)) == [message]


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("818537fa213d7f9f4d5158", (ws.TEXT, b"Hello")),
        ("8a8537fa213d7f9f4d5158", (ws.PONG, b"Hello")),
    ],
)
def test_the_rfcs_masked_examples_are_read(octets: str, message: tuple[int, bytes]) -> None:
    assert server().feed(bytes.fromhex(octets)) == [message]


# Messages whose length needs 64 bits are large: that is what is tried here.
@settings(suppress_health_check=[HealthCheck.data_too_large])
@given(
    is_server=st.booleans(),
    messages=st.lists(
        st.binary(max_size=300) | st.binary(min_size=65_500, max_size=65_600), max_size=4
    ),
    cuts=st.lists(st.integers(1, 400), max_size=20),
)
def test_what_one_side_writes_the_other_reads_however_it_is_cut(
    is_server: bool, messages: list[bytes], cuts: list[int]
) -> None:
    writer = FrameWriter(is_server=is_server)
    reader = FrameReader(is_server=not is_server, octets_max=100_000, frames_max=1000)
    stream = b"".join(writer.frame(message) for message in messages)

    found = []
    for cut in cuts:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    found += reader.feed(stream)

    assert found == [(ws.BINARY, message) for message in messages]
    assert not reader.is_within


@given(
    messages=st.lists(st.binary(max_size=20), max_size=30),
    frames_max=st.integers(1, 9),
    kept=st.integers(0, 100),
)
def test_no_more_frames_are_read_at_once_than_may_be_and_none_is_lost(
    messages: list[bytes], frames_max: int, kept: int
) -> None:
    stream = b"".join(FrameWriter(is_server=False).frame(message) for message in messages)
    reader = FrameReader(is_server=True, octets_max=100, frames_max=frames_max)

    slices = [reader.feed(stream[:kept])]
    reader.keep(stream[kept:])
    slices.append(reader.feed())
    while reader.has_more:
        slices.append(reader.feed())

    assert all(len(part) <= frames_max for part in slices)
    assert [payload for part in slices for _, payload in part] == messages
    assert not reader.is_within


@given(parts=st.lists(st.binary(max_size=50), min_size=2, max_size=5))
def test_a_message_in_parts_is_whole_again_with_a_ping_between_them(parts: list[bytes]) -> None:
    frames = [
        bytes(((0x80 if number == len(parts) - 1 else 0) | (0 if number else 2), len(part)))
        + part
        for number, part in enumerate(parts)
    ]
    frames.insert(1, b"\x89\x00")

    assert client().feed(b"".join(frames)) == [(ws.PING, b""), (ws.BINARY, b"".join(parts))]


def test_what_a_client_writes_is_masked_with_another_key_each_time() -> None:
    writer = FrameWriter(is_server=False)

    frames = {writer.frame(bytes(8)) for _ in range(2000)}

    assert len(frames) == 2000
    assert all(frame[1] == 0x88 for frame in frames)


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        ("8105", "masks"),
        ("c18537fa213d7f9f4d5158", "reserved bit"),
        ("838537fa213d7f9f4d5158", "no frame of kind 3"),
        ("808537fa213d7f9f4d5158", "has not begun"),
        ("098537fa213d7f9f4d5158", "whole, known and short"),
        ("8bfe000037fa213d", "whole, known and short"),
        ("018537fa213d7f9f4d5158" * 2, "within another"),
        ("82ff000000000001000037fa213d", "may have 1000 octets"),
        ("82ff800000000000000037fa213d", "may have 1000 octets"),
    ],
)
def test_what_is_no_frame_of_ours_is_refused_with_the_reason(octets: str, problem: str) -> None:
    with pytest.raises(BadFrame, match=problem):
        server(1000).feed(bytes.fromhex(octets))


def test_a_message_in_too_many_parts_is_refused_before_it_is_kept() -> None:
    reader = client(1000)
    reader.feed(b"\x02\x7e\x03\xe8" + bytes(1000))

    with pytest.raises(BadFrame) as refused:
        reader.feed(b"\x00\x01\x00")

    assert refused.value.code == ws.TOO_BIG


def test_pieces_that_carry_next_to_nothing_are_counted() -> None:
    reader = client()

    assert reader.feed(b"\x02\x00" + b"\x00\x00" * 50 + b"\x00\x40" + bytes(64)) == []

    assert reader.scraps == 51


@given(octets=st.binary(max_size=200), is_server=st.booleans())
def test_any_octets_are_read_or_refused_and_nothing_else(
    octets: bytes, is_server: bool
) -> None:
    reader = FrameReader(is_server=is_server, octets_max=1000, frames_max=1000)
    try:
        reader.feed(octets)
    except BadFrame as error:
        assert error.code in {ws.PROTOCOL_ERROR, ws.TOO_BIG}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "without a word"),
        (b"\x03", "without a word"),
        (b"\x03\xe8", "with 1000"),
        (b"\x03\xf0go away\n\x00", "with 1008: go away"),
        (b"\x03\xe8\xff", "with 1000: \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_what_the_other_side_said_as_it_closed_is_shown(payload: bytes, words: str) -> None:
    assert ws.close_words(payload) == words


# --- The handshake


def test_the_rfcs_key_has_the_rfcs_answer() -> None:
    assert ws.accept_key(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_what_we_ask_we_grant() -> None:
    key = ws.new_key()
    asked = parse_request_head(ws.upgrade_request(host="node:1", target="/btp", key=key))

    granted = parse_response_head(ws.upgrade_response(key, 0))

    assert ws.request_problem(asked) is None
    assert ws.response_problem(granted, key) is None
    assert "another request" in (ws.response_problem(granted, ws.new_key()) or "")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"GET", b"POST", "GET"),
        (b"HTTP/1.1", b"HTTP/1.0", "HTTP/1.1"),
        (b"Upgrade: websocket", b"Upgrade: h2c", "Upgrade: websocket"),
        (b"Version: 13", b"Version: 8", "version 13"),
        (KEY, b"dGhlIHNhbXBsZQ==", "16 octets"),
        (KEY, b"!", "16 octets"),
    ],
)
def test_a_request_that_cannot_be_granted_is_told_why(
    old: bytes, new: bytes, problem: str
) -> None:
    octets = ws.upgrade_request(host="node", target="/", key=KEY).replace(old, new)

    assert problem in (ws.request_problem(parse_request_head(octets)) or "")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"101 Switching Protocols", b"403 Forbidden", "HTTP 403"),
        (b"Upgrade: websocket", b"Upgrade: h2c", "another protocol"),
        (b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "extension"),
    ],
)
def test_an_answer_that_opens_no_websocket_of_ours_is_told_as_it_is(
    old: bytes, new: bytes, problem: str
) -> None:
    octets = ws.upgrade_response(KEY, 0).replace(old, new)

    assert problem in (ws.response_problem(parse_response_head(octets), KEY) or "")
