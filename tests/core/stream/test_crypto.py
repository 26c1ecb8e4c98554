"""Keys, conditions and receipts: the same octets as in JavaScript, Rust and Java."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, strategies as st

from core.errors import PacketError, StreamError
from core.packet import DATA_OCTETS_MAX
from core.stream.crypto import PLAINTEXT_OCTETS_MAX, StreamKeys, derive, unseal
from core.stream.packet import StreamPacket
from core.stream.receipt import Receipt, ReceiptTerms
from tests.core.packet.vectors import load

JS = load("interledgerjs/stream-crypto.json")
RUST = load("interledger-rs/stream-crypto.json")
JAVA = load("quilt/stream-crypto.json")


def octets(row: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(row[f"{name}_hex"])


def test_javascripts_keys_follow_from_the_same_secret() -> None:
    (encryption,), (fulfillment,) = JS["encryption_key"], JS["fulfillment_key"]

    assert derive(octets(encryption, "shared_secret"), b"ilp_stream_encryption") == octets(
        encryption, "key"
    )
    assert derive(octets(fulfillment, "shared_secret"), b"ilp_stream_fulfillment") == octets(
        fulfillment, "key"
    )
    (from_key,) = JS["fulfillment_from_key"]
    assert derive(octets(from_key, "key"), octets(from_key, "data")) == octets(
        from_key, "fulfillment"
    )
    (condition,) = JS["condition"]
    assert sha256(octets(condition, "fulfillment")).digest() == octets(condition, "condition")


@pytest.mark.parametrize("row", [*RUST["fulfillment"], *JAVA["fulfillment"]])
def test_rusts_and_javas_fulfillments_follow_from_the_same_data(row: dict[str, Any]) -> None:
    keys = StreamKeys(octets(row, "shared_secret"))

    assert keys.fulfillment(octets(row, "data")) == octets(row, "fulfillment")
    assert keys.condition(octets(row, "data")) == sha256(octets(row, "fulfillment")).digest()


def test_what_rust_and_javascript_encrypt_is_read() -> None:
    (rust,), (js,) = RUST["aes"], JS["decrypt_with_raw_key"]

    keys = StreamKeys(octets(rust, "shared_secret"))
    assert keys.decrypt(octets(rust, "envelope")) == octets(rust, "plaintext")
    assert unseal(AESGCM(octets(js, "key")), octets(js, "envelope")) == octets(js, "plaintext")


def test_what_was_not_encrypted_with_this_secret_is_refused() -> None:
    (row,) = JS["undecryptable"]

    with pytest.raises(StreamError, match="not encrypted with this connection's secret"):
        StreamKeys(octets(row, "shared_secret")).decrypt(octets(row, "envelope"))
    with pytest.raises(StreamError, match="28 octets of nonce and tag are due and 3 are there"):
        StreamKeys(bytes(32)).decrypt(b"abc")


def test_what_decrypts_to_no_packet_is_refused() -> None:
    (row,) = JS["plaintext_errors"]

    with pytest.raises(PacketError, match="the version 156"):
        StreamPacket.decode(bytes.fromhex(row["hex"]))


@given(st.binary(max_size=600), st.data())
def test_one_changed_bit_anywhere_is_noticed(plaintext: bytes, data: st.DataObject) -> None:
    keys = StreamKeys(bytes(32))
    sealed = bytearray(keys.encrypt(plaintext))
    assert keys.decrypt(bytes(sealed)) == plaintext

    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StreamError):
        keys.decrypt(bytes(sealed))


def test_the_longest_plaintext_fits_a_packet_and_no_two_look_alike() -> None:
    keys = StreamKeys(bytes(32))

    assert len(keys.encrypt(bytes(PLAINTEXT_OCTETS_MAX))) == DATA_OCTETS_MAX
    assert keys.encrypt(b"same") != keys.encrypt(b"same")


def test_keys_do_not_show_themselves() -> None:
    assert repr(StreamKeys(b"secret")) == "StreamKeys(…)"
    assert repr(ReceiptTerms(bytes(16), bytes(32))) == "ReceiptTerms(…)"


# --- Receipts


def test_javascripts_receipt_is_made_and_read() -> None:
    (row,) = JS["receipts"]
    terms = ReceiptTerms(octets(row, "nonce"), octets(row, "secret"))
    expected = base64.b64decode(row["receipt_base64"])

    assert terms.receipt(row["stream_id"], int(row["total_received"])) == expected
    assert Receipt.read(expected, terms.secret) == Receipt(terms.nonce, 1, 500)


def test_what_javascript_refuses_as_a_receipt_is_refused() -> None:
    kinds = {row["error"] for row in JS["receipt_errors"]}
    assert kinds == {"length", "version", "hmac"}
    (row,) = JS["receipts"]

    with pytest.raises(PacketError, match="58 octets, not 57"):
        Receipt.read(bytes(57), bytes(32))
    with pytest.raises(PacketError, match="the version 0"):
        Receipt.read(bytes(58), bytes(32))
    with pytest.raises(PacketError, match="not made with this secret"):
        Receipt.read(base64.b64decode(row["receipt_base64"]), b"\1" * 32)


@pytest.mark.parametrize(("nonce", "secret"), [(15, 32), (16, 31), (17, 32), (16, 33)])
def test_terms_of_another_length_are_refused(nonce: int, secret: int) -> None:
    with pytest.raises(ValueError, match="are needed"):
        ReceiptTerms(bytes(nonce), bytes(secret))
