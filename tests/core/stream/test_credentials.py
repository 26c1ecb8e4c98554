"""Credentials: those of three families are read as their makers read them, and ours are known again, and only ours."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, strategies as st

from core.account import AccountId, Asset
from core.errors import PacketError
from core.packet import Prepare, address
from core.stream.credentials import (
    FOREIGN_KEPT,
    KEYS_KEPT,
    StreamCredentials,
    TokenTerms,
    classic_shared_secret,
    read_flagged_token,
    read_tagged_token,
    read_token_text,
    shared_secret,
    write_flagged_token,
    write_token_text,
)
from core.stream.crypto import StreamKeys, derive, seal
from core.stream.packet import PacketType, StreamPacket
from core.stream.receipt import ReceiptTerms
from core.testing.clock import START_MS, FakeClock
from tests.core.packet.vectors import load

FLAGGED = load("generated/stream-receiver-credentials.json")
TAGGED = load("generated/ilp-protocol-stream-credentials.json")
CLASSIC = [
    *load("interledger-rs/stream-crypto.json")["receiver_packets"],
    *load("quilt/stream-crypto.json")["receiver_packets"],
]
BOB, CAROL = AccountId("id-of-bob"), AccountId("id-of-carol")
BOBS, CAROLS = address("test.node.bob"), address("test.node.carol")
RECEIPTS = ReceiptTerms(b"n" * 16, b"s" * 32)


def credentials(clock: FakeClock | None = None) -> StreamCredentials:
    return StreamCredentials(clock or FakeClock(), bytes(range(32)))


def token_of(destination: str, server_address: str) -> bytes:
    token = read_token_text(destination.removeprefix(f"{server_address}."))
    assert token is not None
    return token


# --- The families


@pytest.mark.parametrize("row", FLAGGED["credentials"], ids=lambda row: f"flags-{row['flags']}")
def test_stream_receivers_tokens_are_read(row: dict[str, Any]) -> None:
    secret = bytes.fromhex(FLAGGED["serverSecretHex"])
    token = token_of(row["ilpAddress"], FLAGGED["serverAddress"])
    options = row["options"]

    found = read_flagged_token(secret, token)

    assert shared_secret(secret, token).hex() == row["sharedSecretHex"]
    assert found.tag == options.get("paymentTag")
    assert found.asset == (
        Asset(options["asset"]["code"], options["asset"]["scale"])
        if "asset" in options
        else None
    )
    assert found.receipts == (
        ReceiptTerms(
            bytes.fromhex(options["receiptNonceHex"]),
            bytes.fromhex(options["receiptSecretHex"]),
        )
        if "receiptNonceHex" in options
        else None
    )
    assert found.expires_at_ms is None
    # And ours of the same terms are as long, to the octet.
    assert len(write_flagged_token(secret, found)) == len(token)


@pytest.mark.parametrize(
    "row", TAGGED["credentials"], ids=lambda row: row["destinationAccount"][:24]
)
def test_ilp_protocol_streams_tokens_are_read(row: dict[str, Any]) -> None:
    secret = bytes.fromhex(TAGGED["serverSecretHex"])
    token = token_of(row["destinationAccount"], TAGGED["serverAddress"])

    found = read_tagged_token(secret, token)

    assert shared_secret(secret, token).hex() == row["sharedSecretHex"]
    assert found.tag == row["connectionTag"]
    assert (found.receipts is not None) == row["receipts"] == row["receiptsEnabled"]


@pytest.mark.parametrize(
    ("plaintext", "sentence"),
    [
        (bytes(4), "ends within its nonce, at octet 4"),
        (bytes(18), "a length is due, at octet 18"),
        (bytes(18) + b"\2\xff\xff\0\0", "not UTF-8"),
        (bytes(18) + b"\0\x10" + bytes(16) + b"\0", "the secret has 0 octets"),
    ],
)
def test_a_tagged_token_that_says_nothing_is_refused(plaintext: bytes, sentence: str) -> None:
    with pytest.raises(PacketError, match=sentence):
        read_tagged_token(bytes(32), seal(AESGCM(bytes(32)), plaintext))


@pytest.mark.parametrize(
    ("plaintext", "sentence"),
    [
        (b"", "flags that are not known"),
        (b"\x10", "flags that are not known"),
        (b"\x02" + bytes(47), "ends within its receipts' terms, at octet 1"),
        (b"\x04\3USD", "ends where a scale is due, at octet 5"),
        (b"\x08" + bytes(7), "ends within its expiry, at octet 1"),
        (b"\x01\1\xff", "not UTF-8"),
    ],
)
def test_a_flagged_token_that_says_nothing_is_refused(plaintext: bytes, sentence: str) -> None:
    cipher = AESGCM(derive(bytes(32), b"ilp_stream_connection_token"))

    with pytest.raises(PacketError, match=sentence):
        read_flagged_token(bytes(32), seal(cipher, plaintext))


@pytest.mark.parametrize("row", CLASSIC, ids=lambda row: row["made_by"])
def test_packets_that_javascript_and_java_made_for_classic_credentials_are_fulfilled(
    row: dict[str, Any],
) -> None:
    prepare = Prepare(bytearray.fromhex(row["prepare_hex"]))
    token = prepare.destination.removeprefix(f"{row['server_address']}.")
    secret = classic_shared_secret(
        bytes.fromhex(row.get("server_secret_hex", "00" * 32)), token
    )
    if "shared_secret_hex" in row:
        assert secret.hex() == row["shared_secret_hex"]
    else:
        assert secret == base64.b64decode(row["shared_secret_base64"])
    keys = StreamKeys(secret)

    assert keys.condition(prepare.data) == prepare.condition
    found = StreamPacket.decode(keys.decrypt(prepare.data))
    assert found.packet_type is PacketType.PREPARE


# --- Ours

terms = st.builds(
    TokenTerms,
    tag=st.one_of(st.none(), st.text(max_size=60)),
    receipts=st.one_of(
        st.none(),
        st.builds(
            ReceiptTerms,
            st.binary(min_size=16, max_size=16),
            st.binary(min_size=32, max_size=32),
        ),
    ),
    asset=st.one_of(st.none(), st.builds(Asset, st.text(max_size=9), st.integers(0, 255))),
    expires_at_ms=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
)


@given(terms)
def test_a_token_says_what_was_written(one: TokenTerms) -> None:
    assert read_flagged_token(bytes(32), write_flagged_token(bytes(32), one)) == one


@given(terms, st.data())
def test_a_token_with_one_bit_changed_is_nobodys(one: TokenTerms, data: st.DataObject) -> None:
    token = bytearray(write_flagged_token(bytes(32), one))
    at = data.draw(st.integers(0, len(token) - 1))
    token[at] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(PacketError):
        read_flagged_token(bytes(32), bytes(token))


def test_what_was_issued_is_known_again_with_all_it_says() -> None:
    ours = credentials()
    issued = ours.issue(BOB, BOBS, tag="invoice 7", receipts=RECEIPTS, expires_at_ms=START_MS)

    found = ours.find(BOB, BOBS, issued.destination)

    assert found is not None
    assert len(found.id) == 64
    assert found.terms == TokenTerms(tag="invoice 7", receipts=RECEIPTS, expires_at_ms=START_MS)
    assert found.keys.decrypt(StreamKeys(issued.shared_secret).encrypt(b"hello")) == b"hello"


def test_a_restart_and_another_node_with_the_same_secret_know_it_too() -> None:
    issued = credentials().issue(BOB, BOBS)

    assert credentials().find(BOB, BOBS, issued.destination) is not None
    stranger = StreamCredentials(FakeClock(), b"x" * 32)
    assert stranger.find(BOB, BOBS, issued.destination) is None


def test_no_two_are_alike() -> None:
    ours = credentials()

    assert len({ours.issue(BOB, BOBS).destination for _ in range(50)}) == 50


def test_a_token_is_nothing_at_another_accounts_address() -> None:
    ours = credentials()
    issued = ours.issue(BOB, BOBS, tag="bob's invoice")
    token = issued.destination.removeprefix(f"{BOBS}.")

    assert ours.find(CAROL, CAROLS, f"{CAROLS}.{token}") is None


def test_segments_behind_the_token_are_the_senders_matter() -> None:
    ours = credentials()
    issued = ours.issue(BOB, BOBS)
    plain = ours.find(BOB, BOBS, issued.destination)

    assert ours.find(BOB, BOBS, f"{issued.destination}.any.thing") is plain


@pytest.mark.parametrize(
    "destination",
    [
        "test.node.bob",
        "test.node.bobby.abc",
        "test.node.bob.~not~base64~",
        "test.node.bob.A",
        "test.node.bob.invoice",
        "test.node.bob.QeJvQtFp7eRiNhnoAg9PkusR",
        "test.node.carol.QeJvQtFp7eRiNhnoAg9PkusR",
    ],
)
def test_what_we_did_not_issue_is_not_ours(destination: str) -> None:
    assert credentials().find(BOB, BOBS, destination) is None


def test_a_token_has_one_text_only() -> None:
    text = write_token_text(b"a" * 20)
    assert read_token_text(text) == b"a" * 20

    # The last character of base64 may have bits that stand for nothing.
    same = [
        other
        for other in (f"{text[:-1]}{last}" for last in string.ascii_letters)
        if other != text and base64.urlsafe_b64decode(f"{other}=") == b"a" * 20
    ]
    assert same
    assert [read_token_text(other) for other in same] == [None] * len(same)


def test_credentials_end_when_their_time_is_over() -> None:
    clock = FakeClock()
    ours = credentials(clock)
    found = ours.find(
        BOB, BOBS, ours.issue(BOB, BOBS, expires_at_ms=START_MS + 1_000).destination
    )
    assert found is not None
    assert not ours.is_over(found)

    clock.advance(seconds=1)
    assert ours.is_over(found)


def test_keys_of_many_connections_are_not_kept_for_ever() -> None:
    ours = credentials()
    first = ours.issue(BOB, BOBS).destination
    kept = ours.find(BOB, BOBS, first)
    for _ in range(KEYS_KEPT):
        ours.find(BOB, BOBS, ours.issue(BOB, BOBS).destination)

    assert len(ours._known) == KEYS_KEPT
    again = ours.find(BOB, BOBS, first)
    assert again is not None
    assert again is not kept


def test_what_is_not_ours_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []

    def read(secret: bytes, token: bytes) -> TokenTerms:
        tried.append(token)
        return read_flagged_token(secret, token)

    monkeypatch.setattr("core.stream.credentials.read_flagged_token", read)
    ours, theirs = credentials(), StreamCredentials(FakeClock(), b"their" * 6 + b"..")
    behind = theirs.issue(BOB, BOBS).destination
    for suffix in ("", ".more", ""):
        assert ours.find(BOB, BOBS, f"{behind}{suffix}") is None

    assert len(tried) == 1
    assert ours.find(CAROL, BOBS, behind) is None
    assert len(tried) == 2
    ours.use(b"their" * 6 + b"..")
    assert ours.find(BOB, BOBS, behind) is not None


def test_what_is_not_ours_is_not_kept_for_ever_and_pushes_out_nothing_that_is() -> None:
    ours = credentials()
    mine = ours.issue(BOB, BOBS).destination
    kept = ours.find(BOB, BOBS, mine)
    for number in range(FOREIGN_KEPT + 1):
        assert ours.find(BOB, BOBS, f"{BOBS}.user{number}") is None

    assert len(ours._foreign) == FOREIGN_KEPT
    assert ours.find(BOB, BOBS, mine) is kept


def test_a_tag_or_an_address_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 255 octets"):
        credentials().issue(BOB, BOBS, tag="x" * 256)
    with pytest.raises(PacketError, match="1023 are allowed"):
        credentials().issue(BOB, address("test." + "b" * 1000), tag="x" * 100)


def test_credentials_do_not_show_their_secret() -> None:
    issued = credentials().issue(BOB, BOBS)

    assert issued.shared_secret.hex() not in repr(issued)
