"""RFC-0039: a receipt says to a third party how much has come in on a stream, and only the receiver can have made it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final, Self, final

from core.errors import PacketError
from core.stream.crypto import derive

VERSION: Final = 1
NONCE_OCTETS: Final = 16
SECRET_OCTETS: Final = 32
RECEIPT_OCTETS: Final = 58
STREAM_ID_MAX: Final = 255
"""A receipt has one octet for the stream."""
_SIGNED_OCTETS: Final = 26


@final
@dataclass(frozen=True, slots=True)
class ReceiptTerms:
    """What a verifier has given the receiver: its name for the payment, and the key for the receipts."""

    nonce: bytes
    secret: bytes

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_OCTETS:
            raise ValueError(
                f"the nonce has {len(self.nonce)} octets, {NONCE_OCTETS} are needed"
            )
        if len(self.secret) != SECRET_OCTETS:
            raise ValueError(
                f"the secret has {len(self.secret)} octets, {SECRET_OCTETS} are needed"
            )

    def __repr__(self) -> str:
        return "ReceiptTerms(…)"

    def receipt(self, stream_id: int, total_received: int) -> bytes:
        """Return the receipt for all that a stream has received up to now."""
        signed = b"".join((
            bytes((VERSION,)),
            self.nonce,
            bytes((stream_id,)),
            min(total_received, 2**64 - 1).to_bytes(8, "big"),
        ))  # fmt: skip
        return signed + derive(self.secret, signed)


@final
@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that was read; whoever has the secret may believe it once it has been checked."""

    nonce: bytes
    stream_id: int
    total_received: int

    @classmethod
    def read(cls, octets: bytes, secret: bytes) -> Self:
        """Return what a receipt says.

        Raises:
            PacketError: it is none, or was not made with this secret.
        """
        if len(octets) != RECEIPT_OCTETS:
            raise PacketError(
                f"a receipt has {RECEIPT_OCTETS} octets, not {len(octets)}", octet=0
            )
        if octets[0] != VERSION:
            raise PacketError(
                f"the receipt has the version {octets[0]}, {VERSION} is known", octet=0
            )
        signed = octets[:_SIGNED_OCTETS]
        if not hmac.compare_digest(derive(secret, signed), octets[_SIGNED_OCTETS:]):
            raise PacketError("the receipt was not made with this secret", octet=_SIGNED_OCTETS)
        return cls(octets[1:17], octets[17], int.from_bytes(octets[18:26], "big"))
