"""The address and secret by which an account is paid over STREAM, and what is read of them again from a packet.

Nothing of a connection is kept when its credentials are issued: the last segment of the address, its
token, says all that the receiver needs, encrypted so that only the receiver can read or make one, and
the shared secret follows from the token. Three schemes are in the field:

* *classic*: the token is 18 random octets and says nothing (ilp-protocol-stream to 2.3, interledger-rs, Java)
* *tagged*: nonce, tag and receipt terms under the server's secret (ilp-protocol-stream from 2.4)
* *flagged*: flags and what they announce, under a key derived of the secret (stream-receiver, in Rafiki)

We issue flagged ones, with two differences that no sender sees. Each account has a secret of its own,
so that a token that was issued for one is nothing at another's address: a payment cannot be led to
another account with the first one's invoice in its token. And one more flag announces until when the
credentials are good.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.account import AccountId, Asset
from core.clock import Clock
from core.errors import PacketError
from core.packet import Address, address
from core.packet.oer import read_octets, write_octets
from core.stream.crypto import SECRET_OCTETS, StreamKeys, derive, seal, unseal
from core.stream.receipt import NONCE_OCTETS, SECRET_OCTETS as RECEIPT_SECRET, ReceiptTerms

TAG_OCTETS_MAX: Final = 255
"""What a token can carry and an address of 1023 characters still hold with room for those of accounts."""
KEYS_KEPT: Final = 1_000
"""Connections whose keys are kept at hand: deriving them anew costs each packet some 50 µs."""
FOREIGN_KEPT: Final = 1_000
"""Segments that are known to be no token of ours: to try each packet of whoever is behind costs some 20 µs, twice."""
NONCE_OCTETS_TAGGED: Final = 18

STREAM_SECRET_NAME: Final = "stream"  # noqa: S105 its name, not the secret
"""Under this the nodes of one store share the secret that all addresses for payments follow from."""

_SHARED_SECRET: Final = b"ilp_stream_shared_secret"
_TOKEN: Final = b"ilp_stream_connection_token"
_ACCOUNT: Final = b"signalbox_stream_account:"

_TAG: Final = 1
_RECEIPTS: Final = 2
_ASSET: Final = 4
_EXPIRY: Final = 8
_KNOWN_FLAGS: Final = _TAG | _RECEIPTS | _ASSET | _EXPIRY
_EXPIRY_OCTETS: Final = 8

_TOKEN_TEXT: Final = re.compile(r"[A-Za-z0-9_-]+")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTerms:
    """What a token says of its connection."""

    tag: str | None = None
    """What it pays: the id of a request for money."""
    receipts: ReceiptTerms | None = None
    asset: Asset | None = None
    expires_at_ms: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Credentials:
    """Where packets go, and the secret that only their sender and the receiver have."""

    destination: Address
    shared_secret: bytes

    def __repr__(self) -> str:
        return f"Credentials({self.destination!r}, …)"


@final
@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as its token has it."""

    id: str
    """Names it: the hash of its token, of one length whatever that says."""
    keys: StreamKeys
    terms: TokenTerms


# --- The three schemes ------------------------------------------------------------------------------


def classic_shared_secret(server_secret: bytes, token: str) -> bytes:
    """Return the secret of a classic token, which is derived of its text."""
    return derive(derive(server_secret, _SHARED_SECRET), token.encode())


def shared_secret(server_secret: bytes, token: bytes) -> bytes:
    """Return the secret of a tagged or flagged token, which is derived of its octets."""
    return derive(derive(server_secret, _SHARED_SECRET), token)


def read_tagged_token(server_secret: bytes, token: bytes) -> TokenTerms:
    """Return what a tagged token says.

    Raises:
        PacketError: it was not made with this secret, or says nothing that can be read.
    """
    view = memoryview(unseal(AESGCM(server_secret), token))
    if len(view) < NONCE_OCTETS_TAGGED:
        raise PacketError("the token ends within its nonce", octet=len(view))
    tag, at = read_octets(view, NONCE_OCTETS_TAGGED)
    nonce, at = read_octets(view, at)
    secret, _ = read_octets(view, at)
    receipts = _receipts(bytes(nonce), bytes(secret)) if nonce or secret else None
    return TokenTerms(tag=_text(tag) if tag else None, receipts=receipts)


def write_flagged_token(server_secret: bytes, terms: TokenTerms) -> bytes:
    """Return a new flagged token that says this."""
    flags, parts = 0, []
    if terms.tag is not None:
        flags |= _TAG
        parts.append(write_octets(terms.tag.encode()))
    if terms.receipts is not None:
        flags |= _RECEIPTS
        parts += [terms.receipts.nonce, terms.receipts.secret]
    if terms.asset is not None:
        flags |= _ASSET
        parts += [write_octets(terms.asset.code.encode()), bytes((terms.asset.scale,))]
    if terms.expires_at_ms is not None:
        flags |= _EXPIRY
        parts.append(terms.expires_at_ms.to_bytes(_EXPIRY_OCTETS, "big"))
    return seal(_token_cipher(server_secret), bytes((flags,)) + b"".join(parts))


def read_flagged_token(server_secret: bytes, token: bytes) -> TokenTerms:
    """Return what a flagged token says.

    Raises:
        PacketError: it was not made with this secret, or says nothing that can be read.
    """
    view = memoryview(unseal(_token_cipher(server_secret), token))
    if not view or view[0] & ~_KNOWN_FLAGS:
        raise PacketError("the token has flags that are not known", octet=0)
    flags, at = view[0], 1
    tag = receipts = asset = expires_at_ms = None
    if flags & _TAG:
        octets, at = read_octets(view, at)
        tag = _text(octets)
    if flags & _RECEIPTS:
        middle, end = at + NONCE_OCTETS, at + NONCE_OCTETS + RECEIPT_SECRET
        if end > len(view):
            raise PacketError("the token ends within its receipts' terms", octet=at)
        receipts = _receipts(bytes(view[at:middle]), bytes(view[middle:end]))
        at = end
    if flags & _ASSET:
        octets, at = read_octets(view, at)
        if at >= len(view):
            raise PacketError("the token ends where a scale is due", octet=at)
        asset = Asset(_text(octets), view[at])
        at += 1
    if flags & _EXPIRY:
        if at + _EXPIRY_OCTETS > len(view):
            raise PacketError("the token ends within its expiry", octet=at)
        expires_at_ms = int.from_bytes(view[at : at + _EXPIRY_OCTETS], "big")
    return TokenTerms(tag=tag, receipts=receipts, asset=asset, expires_at_ms=expires_at_ms)


def write_token_text(token: bytes) -> str:
    """Return a token as a segment of an address."""
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def read_token_text(text: str) -> bytes | None:
    """Return the octets of a token, or None where the segment is none."""
    if _TOKEN_TEXT.fullmatch(text) is None:
        return None
    try:
        token = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None
    # One token has one text, so that one connection has one address.
    return token if write_token_text(token) == text else None


def _token_cipher(server_secret: bytes) -> AESGCM:
    return AESGCM(derive(server_secret, _TOKEN))


def _receipts(nonce: bytes, secret: bytes) -> ReceiptTerms:
    try:
        return ReceiptTerms(nonce, secret)
    except ValueError as error:
        raise PacketError(f"the token's receipts cannot be made: {error}", octet=0) from None


def _text(octets: memoryview) -> str:
    try:
        return str(octets, "utf-8")
    except UnicodeDecodeError:
        raise PacketError("the token has a text that is not UTF-8", octet=0) from None


# --- What this node issues --------------------------------------------------------------------------


def new_secret() -> bytes:
    """Return a secret that nobody has."""
    return secrets.token_bytes(SECRET_OCTETS)


@final
class StreamCredentials:
    """Issues credentials for this node's accounts, and knows its own again.

    All of it follows from one secret, which the node keeps in its store: after a restart, and on every
    other node with the same store, credentials go on being good.
    """

    def __init__(self, clock: Clock, server_secret: bytes) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[AccountId, str], Connection] = OrderedDict()
        self._foreign: OrderedDict[tuple[AccountId, str], None] = OrderedDict()
        self.use(server_secret)

    def use(self, server_secret: bytes) -> None:
        """Issue and read with this secret from now on."""
        if len(server_secret) != SECRET_OCTETS:
            raise ValueError(
                f"the secret has {len(server_secret)} octets, {SECRET_OCTETS} are needed"
            )
        self._server_secret = server_secret
        self._known.clear()
        self._foreign.clear()

    def issue(
        self,
        account: AccountId,
        ilp_address: Address,
        *,
        tag: str | None = None,
        receipts: ReceiptTerms | None = None,
        expires_at_ms: int | None = None,
    ) -> Credentials:
        """Return new credentials by which the account that has this address is paid; no two are alike.

        Raises:
            PacketError: the address would be longer than an address may be.
            ValueError: the tag is longer than a token carries.
        """
        if tag is not None and len(tag.encode()) > TAG_OCTETS_MAX:
            raise ValueError(f"a tag has at most {TAG_OCTETS_MAX} octets, not {len(tag)}")
        secret = self._account_secret(account)
        terms = TokenTerms(tag=tag, receipts=receipts, expires_at_ms=expires_at_ms)
        token = write_flagged_token(secret, terms)
        return Credentials(
            address(f"{ilp_address}.{write_token_text(token)}"), shared_secret(secret, token)
        )

    def find(
        self, account: AccountId, ilp_address: Address, destination: str
    ) -> Connection | None:
        """Return the connection that a packet to `destination` is of, or None where we did not issue it.

        Segments behind the token are the sender's own matter.
        """
        prefix = f"{ilp_address}."
        if not destination.startswith(prefix):
            return None
        key = account, destination[len(prefix) :].partition(".")[0]
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        if key in self._foreign:
            self._foreign.move_to_end(key)
            return None
        found = self._read(*key)
        if found is None:
            # Apart from ours, so that nobody's packets to elsewhere push those out.
            self._foreign[key] = None
            if len(self._foreign) > FOREIGN_KEPT:
                self._foreign.popitem(last=False)
            return None
        self._known[key] = found
        if len(self._known) > KEYS_KEPT:
            self._known.popitem(last=False)
        return found

    def _read(self, account: AccountId, text: str) -> Connection | None:
        token = read_token_text(text)
        if token is None:
            return None
        secret = self._account_secret(account)
        try:
            terms = read_flagged_token(secret, token)
        except PacketError:
            return None
        return Connection(
            sha256(token).hexdigest(), StreamKeys(shared_secret(secret, token)), terms
        )

    def is_over(self, connection: Connection) -> bool:
        """Tell whether the time of its credentials has passed."""
        expires_at_ms = connection.terms.expires_at_ms
        return expires_at_ms is not None and expires_at_ms <= self._clock.now_ms()

    def _account_secret(self, account: AccountId) -> bytes:
        return derive(self._server_secret, _ACCOUNT + account.encode())
