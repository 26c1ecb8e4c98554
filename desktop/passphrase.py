"""A passphrase as it is kept: a salted hash that takes long to try, and nothing that tells the passphrase."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from typing import Final

LOG_COST: Final = 15
BLOCK_SIZE: Final = 8
PARALLEL: Final = 1
SALT_OCTETS: Final = 16
HASH_OCTETS: Final = 32
MEMORY_MAX: Final = 256 * 1024 * 1024
"""A file that asks for more is not obeyed."""
_KIND: Final = "scrypt"


def hash_of(passphrase: str, *, log_cost: int = LOG_COST) -> str:
    """Return what is kept of a passphrase; a tenth of a second of a processor: not for the event loop."""
    salt = secrets.token_bytes(SALT_OCTETS)
    hashed = _scrypt(passphrase, salt, log_cost, BLOCK_SIZE, PARALLEL)
    return "$".join(
        (
            _KIND, str(log_cost), str(BLOCK_SIZE), str(PARALLEL),
            b64encode(salt).decode(), b64encode(hashed).decode(),
        )
    )  # fmt: skip


def fits(passphrase: str, kept: str) -> bool:
    """Return whether this is the passphrase of which that is kept; what cannot be read fits nothing."""
    try:
        kind, log_cost, block_size, parallel, salt, hashed = kept.split("$")
        found = _scrypt(
            passphrase,
            b64decode(salt, validate=True),
            int(log_cost),
            int(block_size),
            int(parallel),
        )
        return kind == _KIND and hmac.compare_digest(found, b64decode(hashed, validate=True))
    except (ValueError, OverflowError, MemoryError):
        return False


def _scrypt(
    passphrase: str, salt: bytes, log_cost: int, block_size: int, parallel: int
) -> bytes:
    if not (1 <= log_cost <= 20 and 1 <= block_size <= 64 and 1 <= parallel <= 16):
        raise ValueError("it would take too long")
    return hashlib.scrypt(
        passphrase.encode(),
        salt=salt,
        n=1 << log_cost,
        r=block_size,
        p=parallel,
        maxmem=MEMORY_MAX,
        dklen=HASH_OCTETS,
    )
