"""From a URL to a file that is ours: made with its modes, or refused with what to do about it."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from sqlite_utils.migrations import Migrations

from core.config import sqlite_path
from core.errors import SettingError, StoreUnavailable
from core.stores.sqlite.connection import BUSY_SECONDS, unavailable

log = logging.getLogger(__name__)

_COMPANIONS: Final = ("-wal", "-shm", "-journal")


def path_of(url: str) -> Path:
    """Return the file that a URL names: three slashes and an absolute path; `~` is the home folder.

    Raises:
        SettingError: it names none, or one that is not absolute.
    """
    path = sqlite_path(url)
    if path is None or "\x00" in url:
        raise SettingError(
            "store",
            f"{url!r} names no file; use sqlite:///PATH (an absolute path has four slashes)",
        )
    return path


def prepare_file(path: Path) -> None:
    """Make the folder (0700) and the file (0600) where they are missing; refuse what cannot be used.

    Raises:
        StoreUnavailable: a symbolic link, no file, read-only, no permission, or another program's.
    """
    try:
        _make_folder(path.parent)
        if _make_file(path):
            return
        refuse_foreign(path)
        # Never opened here, only asked about: closing any descriptor of a file gives up all locks
        # that this process holds on it, those of another store's connections too.
        mode = path.stat().st_mode
        if os.name == "posix" and mode & 0o077:
            path.chmod(stat.S_IMODE(mode) & 0o700)
        if not mode & stat.S_IWUSR or not os.access(path, os.R_OK | os.W_OK):
            raise StoreUnavailable(
                f"the store {path} cannot be written: the file is read-only for this user; "
                f"make it writable: chmod u+rw {path}, and check who owns it"
            )
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise StoreUnavailable(
                f"the store {path} cannot be written: its folder is read-only for this user, and "
                f"SQLite keeps its log there; make it writable: chmod u+wx {path.parent}"
            )
        _refuse_another_programs(path)
    except OSError as error:
        raise StoreUnavailable(
            f"the store {path} cannot be opened: {error.strerror}; "
            "check that every folder on the way exists and is yours"
        ) from error


def _refuse_another_programs(path: Path) -> None:
    """Look into a file that is there, and change nothing in it.

    Raises:
        StoreUnavailable: it is no database, or its tables are not ours.
    """
    if path.stat().st_size == 0:
        return
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        ) as connection:
            refuse_other_tables(path, connection)
    except sqlite3.Error as error:
        raise unavailable(path, error) from error


def refuse_other_tables(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a database of another program's.

    Raises:
        StoreUnavailable: it has tables, and they are not ours.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if tables and Migrations.migrations_table not in tables:
        raise StoreUnavailable(
            f"the store {path} is another program's database: name a file of its own for Signalbox"
        )


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each 0700 whatever the umask; leave those that exist."""
    if folder.is_dir():
        # The sticky bit keeps others from replacing our files, as in /tmp.
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            log.warning("anybody may replace files in %s: chmod o-w it", folder)
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    folder.chmod(0o700)


def _make_file(path: Path) -> bool:
    """Make an empty file, 0600 whatever the umask; False if there is something at this path."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL  # which follow no symbolic link
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        return False
    try:
        path.chmod(0o600)
    finally:
        os.close(descriptor)
    return True


def refuse_foreign(path: Path) -> None:
    """Refuse a file, or what SQLite keeps beside it, that is a symbolic link or no file.

    Raises:
        StoreUnavailable: says which of the two.
    """
    for name in (path.name, *(path.name + suffix for suffix in _COMPANIONS)):
        _refuse_one(path.with_name(name))


def _refuse_one(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise StoreUnavailable(
            f"the store {path} is a symbolic link, and whoever may change it could lead us "
            "elsewhere: name the file itself"
        )
    if not stat.S_ISREG(mode):
        raise StoreUnavailable(f"the store {path} is no file: name one, in a folder of its own")
