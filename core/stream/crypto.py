"""RFC-0029: what the shared secret of a connection encrypts, and the conditions that follow from it."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import StreamError
from core.packet import DATA_OCTETS_MAX

SECRET_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
TAG_OCTETS: Final = 16
SEAL_OCTETS: Final = NONCE_OCTETS + TAG_OCTETS
PLAINTEXT_OCTETS_MAX: Final = DATA_OCTETS_MAX - SEAL_OCTETS
"""What an ILP packet's data holds beside nonce and tag."""

_ENCRYPTION: Final = b"ilp_stream_encryption"
_FULFILLMENT: Final = b"ilp_stream_fulfillment"


def derive(key: bytes, words: bytes) -> bytes:
    """Return HMAC-SHA256 of `words`: how STREAM makes one secret of another."""
    return hmac.digest(key, words, "sha256")


def seal(cipher: AESGCM, plaintext: bytes) -> bytes:
    """Return nonce, tag and ciphertext, in STREAM's order."""
    nonce = secrets.token_bytes(NONCE_OCTETS)
    sealed = cipher.encrypt(nonce, plaintext, None)
    return b"".join((nonce, sealed[-TAG_OCTETS:], sealed[:-TAG_OCTETS]))


def unseal(cipher: AESGCM, data: bytes | memoryview) -> bytes:
    """Return the plaintext of nonce, tag and ciphertext.

    Raises:
        StreamError: it was not sealed with this key, or was changed since.
    """
    octets = bytes(data)
    if len(octets) < SEAL_OCTETS:
        raise StreamError(
            f"{SEAL_OCTETS} octets of nonce and tag are due and {len(octets)} are there"
        )
    sealed = octets[SEAL_OCTETS:] + octets[NONCE_OCTETS:SEAL_OCTETS]
    try:
        return cipher.decrypt(octets[:NONCE_OCTETS], sealed, None)
    except InvalidTag:
        raise StreamError("it was not encrypted with this connection's secret") from None


@final
class StreamKeys:
    """The two keys of a connection, which both ends derive from their shared secret."""

    __slots__ = ("_cipher", "_fulfillment_key")

    def __init__(self, shared_secret: bytes) -> None:
        self._cipher = AESGCM(derive(shared_secret, _ENCRYPTION))
        self._fulfillment_key = derive(shared_secret, _FULFILLMENT)

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return what an ILP packet carries: nonce, tag and ciphertext."""
        return seal(self._cipher, plaintext)

    def decrypt(self, data: bytes | memoryview) -> bytes:
        """Return the plaintext of an ILP packet's data.

        Raises:
            StreamError: it was not encrypted with this connection's secret, or was changed since.
        """
        return unseal(self._cipher, data)

    def fulfillment(self, data: bytes | memoryview) -> bytes:
        """Return what fulfills a Prepare with this data, encrypted as it is."""
        return hmac.digest(self._fulfillment_key, bytes(data), "sha256")

    def condition(self, data: bytes | memoryview) -> bytes:
        """Return the condition of a Prepare with this data that the receiver can fulfill."""
        return sha256(self.fulfillment(data)).digest()

    def __repr__(self) -> str:
        return "StreamKeys(…)"
