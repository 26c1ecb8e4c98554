"""What lies on the disk: who may read it, and what is refused with a sentence that names the way out."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import StoreUnavailable
from core.stores import open_stores
from core.stores.sqlite.connection import connect
from core.stores.sqlite.secrets import key_path
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import add_alice_and_bob


def make_folder(path: Path, permissions: int = 0o700) -> None:
    path.mkdir()
    path.chmod(permissions)


def make_file(path: Path, octets: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(octets)


def make_link(path: Path, target: Path) -> None:
    """Put a symbolic link in a file's place, and the file, if there is one, where it leads."""
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.rename(target)
    path.symlink_to(target)


def set_mode(path: Path, permissions: int) -> None:
    path.chmod(permissions)


def folder_of(path: Path) -> list[Path]:
    return list(path.iterdir())


def read_octets(path: Path) -> bytes:
    return path.read_bytes()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o277])
def any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("any_umask")
async def test_everything_is_made_for_its_owner_alone_whatever_the_umask(
    open_file: OpenStores, database: Path
) -> None:
    stores = await open_file()
    await stores.leases.sign_on("box")
    await add_alice_and_bob(stores)

    assert mode(database.parent) == 0o700
    files = {
        path.name.removeprefix("node.db"): mode(path) for path in database.parent.iterdir()
    }
    assert files.keys() == {"", ".key", "-wal", "-shm", ".node-1.lock"}
    assert {name: found for name, found in files.items() if found & 0o077} == {}
    assert files[""] == files[".key"] == 0o600


async def test_every_folder_that_is_made_is_0700_and_one_that_was_there_is_left(
    tmp_path: Path,
) -> None:
    make_folder(tmp_path / "there", 0o755)
    database = tmp_path / "there" / "one" / "two" / "node.db"

    await (await open_stores(f"sqlite:///{database}", FakeClock())).close()

    assert mode(tmp_path / "there" / "one") == 0o700
    assert mode(tmp_path / "there" / "one" / "two") == 0o700
    assert mode(tmp_path / "there") == 0o755


async def test_a_file_that_others_could_read_is_closed_to_them(
    open_file: OpenStores, database: Path
) -> None:
    await (await open_file()).close()
    set_mode(database, 0o644)
    set_mode(key_path(database), 0o644)

    await open_file()

    assert (mode(database), mode(key_path(database))) == (0o600, 0o600)


@pytest.mark.logs_warning
async def test_a_folder_in_which_anybody_may_replace_files_is_warned_of(
    database: Path, open_file: OpenStores, caplog: pytest.LogCaptureFixture
) -> None:
    make_folder(database.parent, 0o777)

    await open_file()

    assert any("chmod o-w" in message for message in caplog.messages)


@pytest.mark.parametrize("name", ["node.db", "node.db-wal"])
async def test_a_symbolic_link_is_refused(
    open_file: OpenStores, database: Path, tmp_path: Path, name: str
) -> None:
    await (await open_file()).close()
    link = database.with_name(name)
    make_link(link, tmp_path / "elsewhere")

    with pytest.raises(StoreUnavailable, match=f"{link} is a symbolic link"):
        await open_file()


async def test_a_symbolic_link_that_leads_nowhere_makes_no_file_there(
    open_file: OpenStores, database: Path, tmp_path: Path
) -> None:
    make_link(database, tmp_path / "victim")

    with pytest.raises(StoreUnavailable, match="symbolic link"):
        await open_file()

    assert [each.name for each in folder_of(tmp_path)] == ["data"]


async def test_a_key_file_that_is_a_symbolic_link_is_refused(
    open_file: OpenStores, database: Path, tmp_path: Path
) -> None:
    await (await open_file()).close()
    make_link(key_path(database), tmp_path / "key")

    with pytest.raises(StoreUnavailable, match="symbolic link"):
        await open_file()


async def test_a_folder_in_the_files_place_is_refused(
    open_file: OpenStores, database: Path
) -> None:
    make_folder(database.parent)
    make_folder(database)

    with pytest.raises(StoreUnavailable, match="is no file"):
        await open_file()


async def test_a_file_in_the_folders_place_is_refused(
    open_file: OpenStores, database: Path
) -> None:
    make_file(database.parent, b"in the way")

    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await open_file()


@pytest.mark.parametrize("size", [10, 100, 10_000])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    open_file: OpenStores, database: Path, size: int
) -> None:
    octets = b"dear diary " * (size // 11 + 1)
    make_file(database, octets)

    with pytest.raises(StoreUnavailable, match=f"{database} is not a Signalbox database"):
        await open_file()

    assert read_octets(database) == octets


async def test_another_programs_database_is_refused_and_left_as_it_is(
    open_file: OpenStores, database: Path
) -> None:
    make_folder(database.parent)
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()

    with pytest.raises(StoreUnavailable, match="another program"):
        await open_file()

    with sqlite3.connect(database) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert tables == [("bookmarks",)]


async def test_a_read_only_file_is_refused_with_the_way_out(
    open_file: OpenStores, database: Path
) -> None:
    await (await open_file()).close()
    set_mode(database, 0o400)

    with pytest.raises(StoreUnavailable, match=f"chmod u\\+rw {database}"):
        await open_file()

    set_mode(database, 0o600)
    await open_file()


HOLD_THE_WRITE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""


def impatient(path: Path) -> sqlite3.Connection:
    """Connect as always, but wait only for 0.2 seconds where another process holds the lock."""
    connection = connect(path)
    connection.execute("PRAGMA busy_timeout = 200")
    return connection


async def test_a_locked_file_is_said_to_be_so_in_bounded_time_and_works_again_after(
    open_file: OpenStores, database: Path
) -> None:
    stores = await open_file(connect=impatient)
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD_THE_WRITE_LOCK, str(database)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"locked\n"

    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match=f"{database} is locked by another program"):
            await stores.settings.save_setting("name", "lost")
    assert await stores.settings.load_setting("name") is None

    await holder.communicate(b"go\n")
    await stores.settings.save_setting("name", "kept")
    assert await stores.settings.load_setting("name") == "kept"


async def test_opening_a_locked_new_file_is_refused_and_works_after(
    open_file: OpenStores, database: Path
) -> None:
    make_folder(database.parent)
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("PRAGMA journal_mode = WAL")
    holder.execute("BEGIN IMMEDIATE")

    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match="locked"):
            await open_file(connect=impatient)

    holder.execute("COMMIT")
    holder.close()
    await open_file()


def full(path: Path) -> sqlite3.Connection:
    """Connect as always, to a disk on which the file cannot grow."""
    connection = connect(path)
    connection.execute("PRAGMA max_page_count = 1")  # SQLite takes it for: as large as it is
    return connection


async def test_a_full_disk_changes_nothing_and_works_again_once_there_is_room(
    open_file: OpenStores,
) -> None:
    large = "x" * 1_000_000
    stores = await open_file()
    await stores.settings.save_setting("note", "small")
    await stores.close()
    stores = await open_file(connect=full)

    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await stores.settings.save_setting("note", large)

    assert await stores.settings.load_setting("note") == "small"
    await stores.settings.save_setting("note", "tiny")
    await stores.close()
    stores = await open_file()
    assert await stores.settings.load_setting("note") == "tiny"
    await stores.settings.save_setting("note", large)
    assert await stores.settings.load_setting("note") == large


async def test_a_closed_store_says_so_and_closes_twice(open_file: OpenStores) -> None:
    stores = await open_file()

    await stores.close()
    await stores.close()

    with pytest.raises(StoreUnavailable, match="is closed"):
        await stores.settings.save_setting("name", "value")
    with pytest.raises(StoreUnavailable, match="is closed"):
        await stores.accounts.load_accounts()


async def test_opening_a_store_that_is_open_in_this_process_leaves_its_locks_alone(
    open_file: OpenStores, database: Path
) -> None:
    first = await open_file()
    await first.settings.save_setting("name", "value")
    locks_before = _locks_of(database)

    second = await open_file()

    assert locks_before, "the first store holds SQLite's shared lock"
    assert locks_before <= _locks_of(database)
    await second.close()


def _locks_of(database: Path) -> set[str]:
    """Return the POSIX locks that this process holds on the file and its shared memory, as the kernel lists them."""
    inodes = {
        str(path.stat().st_ino)
        for path in (database, database.with_name(f"{database.name}-shm"))
    }
    lines = Path("/proc/locks").read_text().splitlines()
    fields = [line.split() for line in lines]
    return {
        " ".join(field[3:])
        for field in fields
        if field[1] == "POSIX"
        and int(field[4]) == os.getpid()
        and field[5].split(":")[-1] in inodes
    }
