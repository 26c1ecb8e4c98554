"""What is kept from whoever reads the disk: outgoing secrets sealed, incoming tokens only as keyed hashes.

One master key a database. It is random and lies in a file beside the database, or it is derived
from a passphrase that is nowhere at all. Keys for sealing, hashing and checking are derived from it,
so none of them tells another.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import secrets
import sqlite3
import stat
from pathlib import Path
from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import SettingError, StoreUnavailable
from core.stores.sqlite.tables import table

PASSPHRASE_VARIABLE: Final = "SIGNALBOX_PASSPHRASE"  # noqa: S105 a name
KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
SALT_OCTETS: Final = 16

SCRYPT_N: Final = 2**16
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
"""64 MiB and about 0.2 s a guess."""
SCRYPT_MEMORY_MAX: Final = 256 * 2**20
"""A database asking for more was not written by us."""

_SEALED_V1: Final = b"\x01"
"""Says how what follows is sealed: nonce, then AES-256-GCM's text and tag."""

_FROM_FILE: Final = "file"
_FROM_PASSPHRASE: Final = "passphrase"  # noqa: S105 a name


@final
class Vault:
    """Seals and hashes with one database's keys."""

    __slots__ = ("_aead", "_hash_key", "check_value")

    check_value: bytes
    """Kept in the database: by it a wrong master key is known before it does harm."""

    def __init__(self, master_key: bytes) -> None:
        self._aead = AESGCM(_derived(master_key, b"sealing"))
        self._hash_key = _derived(master_key, b"token hashes")
        self.check_value = _derived(master_key, b"check")

    def seal(self, secret: bytes, *, where: str) -> bytes:
        """Encrypt for one place: row and field. Sealed octets moved elsewhere do not open."""
        nonce = secrets.token_bytes(NONCE_OCTETS)
        return _SEALED_V1 + nonce + self._aead.encrypt(nonce, secret, where.encode())

    def unseal(self, sealed: bytes, *, where: str) -> bytes:
        """Decrypt.

        Raises:
            StoreUnavailable: it was not sealed by us for this place.
        """
        if sealed.startswith(_SEALED_V1):
            nonce, text = sealed[1 : 1 + NONCE_OCTETS], sealed[1 + NONCE_OCTETS :]
            with contextlib.suppress(InvalidTag, ValueError):
                return self._aead.decrypt(nonce, text, where.encode())
        raise StoreUnavailable(
            f"the {where} in the database cannot be decrypted: the row was changed "
            "by something else than Signalbox; enter the secret anew or restore a backup"
        )

    def hash_token(self, token: str) -> bytes:
        """Return the keyed hash under which an incoming token is known."""
        return hmac.digest(self._hash_key, token.encode(), "sha256")


def open_vault(connection: sqlite3.Connection, path: Path, passphrase: str | None) -> Vault:
    """Return the vault of a database, making its key if this is the first time.

    It runs in a write transaction, so of two processes that open a new database at once one makes
    the key and the other finds it.

    Raises:
        SettingError: a passphrase is missing, wrong, or not what this database wants.
        StoreUnavailable: the key file is missing, unreadable, or another database's.
    """
    row = connection.execute(
        "SELECT source, salt, scrypt_n, scrypt_r, scrypt_p, check_value FROM encryption"
    ).fetchone()
    if row is None:
        return _make_vault(connection, path, passphrase)

    source, salt, n, r, p, check_value = row
    if source == _FROM_FILE:
        if passphrase is not None:
            raise SettingError(
                PASSPHRASE_VARIABLE,
                f"{path} was made with a key file, not with a passphrase: leave it unset",
            )
        vault = Vault(_read_key(key_path(path)))
        if not hmac.compare_digest(vault.check_value, check_value):
            raise StoreUnavailable(
                f"the key in {key_path(path)} is not that of {path}: "
                "put the key file back that belongs to it"
            )
        return vault

    if passphrase is None:
        raise SettingError(
            PASSPHRASE_VARIABLE, f"{path} was made with a passphrase: set it to that"
        )
    vault = Vault(_stretched(passphrase, salt, n=n, r=r, p=p))
    if not hmac.compare_digest(vault.check_value, check_value):
        raise SettingError(PASSPHRASE_VARIABLE, f"this passphrase does not open {path}")
    return vault


def key_path(path: Path) -> Path:
    """Return where a database's key file is."""
    return path.with_name(f"{path.name}.key")


def _make_vault(connection: sqlite3.Connection, path: Path, passphrase: str | None) -> Vault:
    if passphrase is None:
        vault = Vault(_make_key(key_path(path)))
        row: dict[str, object] = {"source": _FROM_FILE}
    else:
        if not passphrase:
            raise SettingError(PASSPHRASE_VARIABLE, "it is empty: set a passphrase or unset it")
        salt = secrets.token_bytes(SALT_OCTETS)
        vault = Vault(_stretched(passphrase, salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P))
        row = {
            "source": _FROM_PASSPHRASE,
            "salt": salt,
            "scrypt_n": SCRYPT_N,
            "scrypt_r": SCRYPT_R,
            "scrypt_p": SCRYPT_P,
        }
    table(connection, "encryption").insert({"one": 1, **row, "check_value": vault.check_value})
    return vault


def _make_key(path: Path) -> bytes:
    """Write a new key file, whole or not at all; one that a crash left behind is used."""
    if path.is_symlink() or path.exists():
        return _read_key(path)
    key = secrets.token_bytes(KEY_OCTETS)
    unfinished = path.with_name(f"{path.name}.new")
    try:
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(unfinished, flags, 0o600), "wb") as file:  # noqa: PTH123 a descriptor
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o600)
        unfinished.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"the key file {path} cannot be written: {error.strerror}; "
            "make its folder writable and its disk roomy"
        ) from error
    return key


def _read_key(path: Path) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 a descriptor
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077 and os.name == "posix":
                path.chmod(0o600)
            key = file.read(KEY_OCTETS + 1)
    except FileNotFoundError:
        raise StoreUnavailable(
            f"the key file {path} is missing: put it back from a backup; "
            "without it nobody can read the tokens and secrets in the database"
        ) from None
    except OSError as error:
        problem = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise StoreUnavailable(f"the key file {path} cannot be read: {problem}") from error
    if len(key) != KEY_OCTETS:
        raise StoreUnavailable(
            f"the key file {path} is damaged: it must have {KEY_OCTETS} octets; "
            "put it back from a backup"
        )
    return key


def _fsync_folder(folder: Path) -> None:
    """Make a new name in a folder durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stretched(passphrase: str, salt: bytes, *, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        passphrase.encode(),
        salt=salt,
        n=n,
        r=r,
        p=p,
        maxmem=SCRYPT_MEMORY_MAX,
        dklen=KEY_OCTETS,
    )


def _derived(master_key: bytes, purpose: bytes) -> bytes:
    # The master key is uniformly random, so one HMAC is a key derivation.
    return hmac.digest(master_key, b"signalbox " + purpose, "sha256")
