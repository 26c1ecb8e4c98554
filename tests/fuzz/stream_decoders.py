"""What reads STREAM and SPSP, as the fuzzer calls it: the plaintext is the sender's, who may be anybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.account import AccountId, Asset
from core.errors import SpspError
from core.packet import Prepare, address
from core.service import Receivable
from core.stream.credentials import (
    StreamCredentials,
    TokenTerms,
    read_flagged_token,
    read_tagged_token,
    read_token_text,
    write_flagged_token,
)
from core.stream.crypto import SEAL_OCTETS, StreamKeys, derive, seal
from core.stream.inbox import StreamInbox
from core.stream.packet import PacketType, StreamPacket
from core.stream.payment_pointer import payment_url
from core.stream.plain_text import TEXT_CHARACTERS_MAX
from core.stream.receipt import Receipt, ReceiptTerms
from core.stream.receiver import Heard
from core.stream.spsp import SENTENCE_CHARACTERS_MAX, read_spsp, read_spsp_error
from core.testing.clock import FakeClock

_SECRET: Final = bytes(32)
_BOB: Final = AccountId("bob")
_BOBS: Final = address("test.node.bob")
_USD: Final = Asset("USD", 2)
_CREDENTIALS: Final = StreamCredentials(FakeClock(), _SECRET)
_ISSUED: Final = _CREDENTIALS.issue(_BOB, _BOBS, receipts=ReceiptTerms(bytes(16), bytes(32)))
_KEYS: Final = StreamKeys(_ISSUED.shared_secret)
_TAGGED_CIPHER: Final = AESGCM(_SECRET)
_FLAGGED_CIPHER: Final = AESGCM(derive(_SECRET, b"ilp_stream_connection_token"))


def stream_packet(octets: bytes) -> None:
    """A STREAM packet in clear; what is written of it is read as the same."""
    packet = StreamPacket.decode(octets)
    assert StreamPacket.decode(packet.encode()) == packet


def stream_receiver(octets: bytes) -> None:
    """The receiving end, of a sender who has the secret and sends what it likes."""
    connection = _CREDENTIALS.find(_BOB, _BOBS, _ISSUED.destination)
    assert connection is not None
    data = _KEYS.encrypt(octets)
    for amount, condition in (
        (0, _KEYS.condition(data)),
        (1001, _KEYS.condition(data)),
        (7, bytes(32)),
    ):
        prepare = Prepare.build(
            amount=amount,
            expires_at_ms=0,
            condition=condition,
            destination=_ISSUED.destination,
            data=data,
        )
        heard = Heard.read(connection, _USD, prepare)
        split = heard.split()
        assert sum(part for _, part in split) == amount
        assert all(part > 0 for _, part in split)
        refusal = heard.refusal(Receivable(1001), amount)
        if refusal is None:
            reply = heard.fulfill(dict(split), 0, is_over=True)
            said = StreamPacket.decode(_KEYS.decrypt(reply.data))
            assert (said.packet_type, said.amount) == (PacketType.FULFILL, amount)
        else:
            data_of_reject = heard.reject_data(refusal, {}, None)
            said = StreamPacket.decode(_KEYS.decrypt(data_of_reject))
            assert (said.packet_type, said.amount) == (PacketType.REJECT, amount)
        assert said.sequence == heard.packet.sequence


def stream_data(octets: bytes) -> None:
    """What nobody has encrypted: it is never taken for a packet of ours."""
    assert len(_KEYS.decrypt(octets)) == len(octets) - SEAL_OCTETS  # cannot be
    raise AssertionError("it was taken for ours")


def stream_inbox(octets: bytes) -> None:
    """What a payer writes on its streams: pieces of it at any place, in any order."""
    inbox = StreamInbox()
    view = memoryview(octets)
    while len(view) >= 4:
        size = view[3] % 32
        inbox.add(_BOB, "c", view[0] % 4, view[1] << 8 | view[2], bytes(view[4 : 4 + size]))
        view = view[4 + size :]
        text = inbox.text(_BOB, "c")
        assert len(text) <= TEXT_CHARACTERS_MAX
        assert text.replace("\n", "").isprintable()


def stream_token(octets: bytes) -> None:
    """Tokens of both kinds, of whoever has the server's secret; and as the segment of an address."""
    assert _CREDENTIALS.find(_BOB, _BOBS, f"{_BOBS}.{octets.decode('latin-1')}") is None
    read_token_text(octets.decode("latin-1"))
    found: TokenTerms = read_flagged_token(_SECRET, seal(_FLAGGED_CIPHER, octets))
    assert read_flagged_token(_SECRET, write_flagged_token(_SECRET, found)) == found
    read_tagged_token(_SECRET, seal(_TAGGED_CIPHER, octets))


def stream_receipt(octets: bytes) -> None:
    """A receipt, as a verifier reads it."""
    Receipt.read(octets, _SECRET)
    raise AssertionError("it was taken for ours")


def spsp_answer(octets: bytes) -> None:
    """What a receiver's server answers, as success and as an error."""
    said = read_spsp_error(octets)
    assert said is None or (said.isprintable() and 0 < len(said) <= SENTENCE_CHARACTERS_MAX)
    try:
        found = read_spsp(octets)
    except SpspError as error:
        assert len(str(error)) < 2_000
        return
    assert len(found.shared_secret) == 32


def payment_pointer(octets: bytes) -> None:
    """Whom somebody wants to be paid."""
    try:
        url = payment_url(octets.decode("utf-8", "replace"))
    except SpspError:
        return
    assert payment_url(url) == url


STREAM_TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        stream_packet,
        stream_receiver,
        stream_data,
        stream_inbox,
        stream_token,
        stream_receipt,
        spsp_answer,
        payment_pointer,
    )
}
