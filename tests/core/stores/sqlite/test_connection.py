"""The writer and the reader of a file: what is committed together, what is undone alone, and who is told."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from core.errors import StoreError, StoreUnavailable, UnknownAccount
from core.stores.sqlite import connection as connections
from core.stores.sqlite.connection import Batch, SqliteFile


@pytest.fixture
async def file(database: Path) -> AsyncIterator[SqliteFile]:
    file = await SqliteFile.open(database)
    await file.write(lambda c: execute(c, "CREATE TABLE note (text TEXT PRIMARY KEY)"))
    yield file
    await file.close()


def execute(connection: sqlite3.Connection, statement: str, *values: object) -> int:
    return connection.execute(statement, values).rowcount


def note(text: str) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: execute(connection, "INSERT INTO note VALUES (?)", text)


def notes(connection: sqlite3.Connection) -> Sequence[str]:
    return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY text")]


class Gate:
    """Holds the writer at a job of its own, so that what is queued meanwhile is committed together."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._opened = threading.Event()
        self._reached = threading.Event()

    async def __aenter__(self) -> None:
        def wait(connection: sqlite3.Connection) -> None:
            self._reached.set()
            self._opened.wait(10)

        self._held = asyncio.get_running_loop().create_task(self._file.write(wait))
        await asyncio.to_thread(self._reached.wait, 10)

    async def __aexit__(self, *_: object) -> None:
        self._opened.set()
        await self._held


class Noting(Batch[str, int]):
    """Notes texts, refuses those with a question mark, and fails as a whole at `bang`."""

    def __init__(self) -> None:
        self.together: list[Sequence[str]] = []
        self.forgotten = 0
        self.left: list[tuple[str, object]] = []

    def apply(
        self, connection: sqlite3.Connection, operations: Sequence[str]
    ) -> Sequence[int | StoreError]:
        self.together.append(list(operations))
        outcomes: list[int | StoreError] = []
        for text in operations:
            if text == "bang":
                raise ValueError(text)
            if text.endswith("?"):
                outcomes.append(UnknownAccount(text))
            else:
                outcomes.append(note(text)(connection))
        return outcomes

    def forget(self) -> None:
        self.forgotten += 1

    def unclaimed(self, operation: str, outcome: object) -> None:
        self.left.append((operation, outcome))


async def test_one_that_raises_undoes_only_itself(file: SqliteFile) -> None:
    def twice(connection: sqlite3.Connection) -> None:
        note("c")(connection)
        raise UnknownAccount("nobody")

    gate = Gate(file)
    async with gate:
        jobs = [file.write(note("a")), file.write(twice), file.write(note("b"))]
        waiting = asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.sleep(0)
    outcomes = await waiting

    assert [type(outcome) for outcome in outcomes] == [int, UnknownAccount, int]
    assert await file.read(notes) == ["a", "b"]


async def test_what_waits_for_a_batch_is_applied_together(file: SqliteFile) -> None:
    batch = Noting()
    async with Gate(file):
        futures = [file.submit(batch, text) for text in ("a", "b?", "c")]
        write = asyncio.gather(file.write(note("d")))
        await asyncio.sleep(0)
        futures.append(file.submit(batch, "e"))
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    await write

    assert [type(outcome) for outcome in outcomes] == [int, UnknownAccount, int, int]
    assert batch.together == [["a", "b?", "c"], ["e"]]
    assert await file.read(notes) == ["a", "c", "d", "e"]
    assert batch.forgotten == 0


async def test_a_batch_that_fails_is_undone_whole_and_alone(file: SqliteFile) -> None:
    batch = Noting()
    async with Gate(file):
        futures = [file.submit(batch, text) for text in ("a", "bang")]
        write = asyncio.gather(file.write(note("b")))
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    await write

    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]
    assert batch.forgotten == 1
    assert await file.read(notes) == ["b"]


async def test_what_a_cancelled_caller_had_queued_is_told_to_its_batch(
    file: SqliteFile,
) -> None:
    batch = Noting()
    async with Gate(file):
        future, refused = file.submit(batch, "a"), file.submit(batch, "b?")
        future.cancel()
        refused.cancel()
    await file.write(note("c"))

    assert batch.left == [("a", 1)]
    assert await file.read(notes) == ["a", "c"]


async def test_a_mistake_in_a_statement_is_no_unavailable_store(file: SqliteFile) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await file.write(lambda connection: execute(connection, "DELETE FROM nowhere"))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await file.read(lambda connection: execute(connection, "SELECT * FROM nowhere"))
    with pytest.raises(sqlite3.IntegrityError):
        await asyncio.gather(file.write(note("a")), file.write(note("a")))
    assert await file.read(notes) == ["a"]


async def test_a_read_sees_one_moment_whatever_is_committed_meanwhile(file: SqliteFile) -> None:
    await file.write(note("a"))
    first, second = threading.Event(), threading.Event()

    def look_twice(connection: sqlite3.Connection) -> tuple[Sequence[str], Sequence[str]]:
        before = notes(connection)
        first.set()
        second.wait(10)
        return before, notes(connection)

    looking = asyncio.gather(file.read(look_twice))
    await asyncio.to_thread(first.wait, 10)
    await file.write(note("b"))
    second.set()

    (looked,) = await looking
    assert looked == (["a"], ["a"])
    assert await file.read(notes) == ["a", "b"]


async def test_a_read_writes_nothing(file: SqliteFile) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"):
        await file.read(note("a"))
    with pytest.raises(StoreUnavailable, match="read-only"):
        await file.read_at_length(note("a"))
    assert await file.read_at_length(notes) == []


async def test_more_than_the_queue_holds_is_refused_at_once(
    file: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "QUEUE_MAX", 3)
    async with Gate(file):
        waiting = [asyncio.gather(file.write(note(text))) for text in "abc"]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="does not keep up: 3 writes wait"):
            await file.write(note("d"))
    await asyncio.gather(*waiting)

    assert await file.read(notes) == ["a", "b", "c"]


async def test_closing_finishes_what_is_queued(file: SqliteFile) -> None:
    async with Gate(file):
        waiting = asyncio.gather(*(file.write(note(text)) for text in "abc"))
        await asyncio.sleep(0)
        closing = asyncio.gather(file.close(), file.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="is closed"):
            await file.write(note("d"))
    assert await waiting == [1, 1, 1]
    await closing

    again = await SqliteFile.open(file.path)
    assert await again.read(notes) == ["a", "b", "c"]
    await again.close()


async def test_closing_folds_the_log_into_the_file(file: SqliteFile) -> None:
    await file.write(note("a"))
    log = file.path.with_name(file.path.name + "-wal")
    assert await asyncio.to_thread(log.exists)

    await file.close()

    assert not await asyncio.to_thread(log.exists)


# --- Commits on the loop


@pytest.fixture
async def quick(database: Path) -> AsyncIterator[SqliteFile]:
    """A file whose single operations are committed on the loop."""
    file = await SqliteFile.open(database, commit_on_loop=True)
    await file.write(lambda c: execute(c, "CREATE TABLE note (text TEXT PRIMARY KEY)"))
    yield file
    await file.close()


class Where(Noting):
    """Also notes on which thread it was applied."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []

    def apply(
        self, connection: sqlite3.Connection, operations: Sequence[str]
    ) -> Sequence[int | StoreError]:
        self.threads.append(threading.current_thread().name)
        return super().apply(connection, operations)


async def test_one_that_comes_alone_is_committed_on_the_loop(
    quick: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SLOW_SECONDS", 10)
    batch = Where()

    await quick.submit(batch, "a")

    assert batch.threads == ["MainThread"]
    assert await quick.read(notes) == ["a"]


async def test_more_than_a_few_are_left_to_the_thread(quick: SqliteFile) -> None:
    batch = Where()

    await asyncio.gather(*(quick.submit(batch, text) for text in "abcd"))

    assert set(batch.threads) == {"sqlite-writer"}
    assert await quick.read(notes) == ["a", "b", "c", "d"]


async def test_after_a_slow_commit_the_thread_does_it_for_a_while(
    quick: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SLOW_SECONDS", 0)
    monkeypatch.setattr(connections, "SLOW_REST", 1_000_000)
    batch = Where()

    await quick.submit(batch, "a")
    await quick.submit(batch, "b")

    assert batch.threads == ["MainThread", "sqlite-writer"]


async def test_every_so_often_it_is_the_threads_turn_which_folds_the_log(
    quick: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SLOW_SECONDS", 10)
    monkeypatch.setattr(quick, "_on_loop_left", 2)
    batch = Where()

    for text in "abcd":
        await quick.submit(batch, text)

    assert batch.threads == ["MainThread", "MainThread", "sqlite-writer", "MainThread"]


async def test_the_loop_does_not_wait_for_another_program_that_writes(
    quick: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SLOW_SECONDS", 10)
    batch = Where()
    await quick.submit(batch, "a")
    other = sqlite3.connect(quick.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    waiting = quick.submit(batch, "b")
    await asyncio.sleep(0.05)
    assert not waiting.done()  # and here we are: the loop goes on
    other.execute("ROLLBACK")
    other.close()
    await waiting

    assert batch.threads == ["MainThread", "sqlite-writer"]
    assert await quick.read(notes) == ["a", "b"]


async def test_what_fails_on_the_loop_is_undone_and_said(
    quick: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SLOW_SECONDS", 10)
    batch = Where()

    with pytest.raises(ValueError, match="bang"):
        await quick.submit(batch, "bang")
    with pytest.raises(UnknownAccount):
        await quick.submit(batch, "a?")
    await quick.submit(batch, "b")

    assert batch.threads == ["MainThread"] * 3
    assert batch.forgotten == 1
    assert await quick.read(notes) == ["b"]


async def test_what_was_submitted_before_the_file_closes_is_committed(
    database: Path, quick: SqliteFile
) -> None:
    batch = Where()

    waiting = quick.submit(batch, "a")
    await quick.close()

    assert await waiting == 1
    again = await SqliteFile.open(database)
    assert await again.read(notes) == ["a"]
    await again.close()


def test_a_file_that_cannot_be_opened_is_told_with_what_to_look_at(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    with pytest.raises(sqlite3.OperationalError) as found:
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True).execute("SELECT 1")

    told = connections.unavailable(path, found.value)

    assert "see whether it is there, and whether this user may read it" in str(told)
