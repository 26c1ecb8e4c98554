"""Heads and chunked bodies, whatever the pieces they come in."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from core.links.http_message import (
    BadMessage,
    BodyTooLarge,
    ChunkedBody,
    date_of,
    date_text,
    parse_request_head,
    parse_response_head,
    remember,
)


@pytest.mark.parametrize(
    "octets",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\n",
        b"POST / HTTP/1.1\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\n folded\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    ],
)
def test_a_head_that_two_readers_could_understand_differently_is_refused(octets: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_request_head(octets)


def test_a_header_that_comes_twice_is_a_list() -> None:
    head = parse_request_head(
        b"POST / HTTP/1.1\r\nAuthorization: a\r\nauthorization: b\r\n\r\n"
    )

    assert head.headers[b"authorization"] == b"a, b"


@pytest.mark.parametrize(
    ("octets", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_a_response_says_whether_its_connection_stays(octets: bytes, keep_alive: bool) -> None:
    assert parse_response_head(octets).keep_alive is keep_alive


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=30),
    rest=st.binary(max_size=20),
)
def test_a_chunked_body_is_the_same_however_it_is_cut(
    chunks: list[bytes], cuts: list[int], rest: bytes
) -> None:
    wire = b"".join(b"%x;name=value\r\n%b\r\n" % (len(c), c) for c in chunks)
    wire += b"0\r\nTrailer: dropped\r\n\r\n"
    stream = wire + rest
    body = ChunkedBody(1000)
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    for start, stop in pairwise(bounds):
        at, is_whole = body.feed(stream[start:stop], 0)
        if is_whole:
            assert start + at == len(wire)
            break
        assert at == stop - start
    else:
        pytest.fail("the body did not end")

    assert body.body == b"".join(chunks)


@pytest.mark.parametrize(
    "octets",
    [
        b"5\nhello",
        b"\r\n",
        b"-1\r\n",
        b"0x5\r\n",
        b"5 5\r\n",
        b"5\r\nhelloX",
        b"g\r\n",
        b"1" * 300,
    ],
)
def test_what_is_no_chunk_is_refused(octets: bytes) -> None:
    with pytest.raises(BadMessage):
        ChunkedBody(1000).feed(octets + b"\r\n\r\n", 0)


def test_a_chunk_that_would_make_the_body_too_long_is_not_read() -> None:
    body = ChunkedBody(10)
    body.feed(b"6\r\n123456\r\n", 0)

    with pytest.raises(BodyTooLarge):
        body.feed(b"5\r\n", 0)

    assert body.body == b"123456"


def test_endless_trailers_end() -> None:
    body = ChunkedBody(10)
    body.feed(b"0\r\n", 0)

    with pytest.raises(BadMessage):
        body.feed(b"Trailer: more\r\n" * 1000, 0)


@given(st.binary(max_size=200))
def test_no_octets_make_the_readers_fail_in_any_other_way(octets: bytes) -> None:
    for parse in (parse_request_head, parse_response_head):
        with suppress(BadMessage):
            parse(octets + b"\r\n\r\n")
    with suppress(BadMessage, BodyTooLarge):
        ChunkedBody(100).feed(octets, 0)


def test_few_heads_are_remembered_and_no_long_ones() -> None:
    known: dict[bytes, int] = {}

    for number in range(1000):
        remember(known, b"head %d" % number, number)
    remember(known, bytes(2000), 0)

    assert known[b"head 999"] == 999
    assert len(known) <= 16
    assert bytes(2000) not in known


def test_a_body_in_more_chunks_than_anybody_makes_is_refused() -> None:
    ChunkedBody(40_000).feed(b"1\r\nx\r\n" * 1023 + b"0\r\n\r\n", 0)

    with pytest.raises(BadMessage, match="1024 chunks"):
        ChunkedBody(40_000).feed(b"1\r\nx\r\n" * 1025, 0)


@pytest.mark.parametrize(
    "text",
    [
        b"Tue, 15 Nov 1994 08:12:31 GMT",
        b"Tuesday, 15-Nov-94 08:12:31 GMT",
        b"Tue Nov 15 08:12:31 1994",
    ],
)
def test_a_date_is_read_in_each_of_its_three_forms(text: bytes) -> None:
    assert date_of({b"date": text}) == 784_887_151_000


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"date": b""},
        {b"date": b"yesterday"},
        {b"date": b"\xff\xfe"},
        {b"date": b"Tue, 99 Nov 1994 08:12:31 GMT"},
        {b"date": b"Tue, 15 Nov 1994 08:12:31 GMT" + b" " * 40},
        {b"date": b"Tue, 15 Nov 1994 08:12:31 GMT", b"age": b"0"},
    ],
)
def test_what_is_no_date_or_one_that_a_cache_kept_tells_no_time(
    headers: dict[bytes, bytes],
) -> None:
    assert date_of(headers) is None


@given(st.integers(0, 253_402_300_799_999))
def test_a_date_that_is_written_is_read_back_in_whole_seconds(now_ms: int) -> None:
    assert date_of({b"date": date_text(now_ms)}) == now_ms // 1000 * 1000


@given(st.binary(max_size=41))
def test_no_octets_make_reading_a_date_fail(text: bytes) -> None:
    date_of({b"date": text})
