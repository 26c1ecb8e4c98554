"""One SQLite file: a writer thread that commits what came together at once, and a reader beside it.

SQLite has one writer at a time and a commit waits for the disk. So callers queue, the writer thread
takes all that has queued while the disk was busy, applies it in one transaction, waits for the disk
once and answers all. Whoever waits on the event loop is answered after COMMIT, and all of a
transaction's callers by one wake-up of the loop.

Where nothing but packets is on the loop, one that comes alone is committed there and then: a quick
disk answers sooner than another thread wakes up. As soon as the disk is slow, the file locked or more
than a few wait, the thread does it.
"""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Protocol, Self, TypeVar, final

from core.errors import StoreError, StoreUnavailable

T = TypeVar("T")
O = TypeVar("O")  # noqa: E741 an operation
R = TypeVar("R")
O_contra = TypeVar("O_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

BUSY_SECONDS: Final = 5.0
"""How long another process may hold the write lock before our callers are told."""
_RETRY_SECONDS: Final = 0.02
_LAST_BUSY_MS: Final = 200
"""How long a program that ends waits for others, to spare the next one what the log holds."""
QUEUE_MAX: Final = 20_000
"""More writes than this do not wait: the store is not keeping up, and the caller is told."""
BATCH_MAX: Final = 512
"""How many writes share one transaction at most."""
CHECKPOINT_PAGES: Final = 2_000
CACHE_KIBIBYTES: Final = 4_096
"""A connection's; packets only touch the newest pages, and a larger cache fills with pages that none asks for."""
ON_LOOP_MAX: Final = 2
"""More writes than this are worth the thread, which commits while the loop goes on."""
ON_LOOP_COMMITS: Final = 500
"""Then the thread's turn: it folds the log into the file, which takes longer than a commit may."""
SLOW_SECONDS: Final = 0.008
"""A commit that took longer on the loop was one too many there."""
SLOW_REST: Final = 50
"""So many times as long as such a commit took, the thread commits: the loop is held for a fiftieth of the time."""
WAL_OCTETS_KEPT: Final = 64 * 2**20
MIN_VERSION: Final = (3, 38, 0)
"""The first with STRICT tables (3.37) and format()."""


class Batch(Protocol[O_contra, R_co]):
    """Applies operations that were queued together, each on its own merits."""

    def apply(
        self, connection: sqlite3.Connection, operations: Sequence[O_contra], /
    ) -> Sequence[R_co | StoreError]:
        """Return one outcome an operation, by the one writer there is; a StoreError is raised to its caller.

        It writes nothing for an operation that it refuses. If it raises, everything is undone, and
        every caller gets that.
        """

    def forget(self) -> None:
        """Hear, from the one writer, that what was applied was undone: trust no memory of it."""

    def unclaimed(self, operation: O_contra, outcome: object, /) -> None:
        """Hear, on the event loop, that it was applied, but its caller was cancelled meanwhile."""


@final
@dataclass(slots=True, eq=False)
class _Job:
    """One call that waits: `work` alone, or an operation for a Batch."""

    future: asyncio.Future[Any]
    work: Callable[[sqlite3.Connection], Any] | None
    batch: Batch[Any, Any] | None = None
    operation: Any = None
    result: Any = None
    error: Exception | None = None


def connect(
    path: Path, *, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """Open a connection in autocommit mode; transactions are begun and ended by whoever uses it.

    It is no thread's own: whoever uses one in turns with others holds a lock meanwhile.
    """
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        cached_statements=512,
        check_same_thread=False,
        factory=factory,
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_OCTETS_KEPT}")
    return connection


@final
class SqliteFile:
    """The database file; the one place that knows of its threads, locks and commits."""

    __slots__ = (
        "_closed",
        "_closing",
        "_connect",
        "_connection",
        "_gathered",
        "_is_patient",
        "_loop",
        "_on_loop_from",
        "_on_loop_left",
        "_one_writer",
        "_reader",
        "_reads",
        "_writer",
        "_writes",
        "path",
    )

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        connect: Callable[[Path], sqlite3.Connection],
        *,
        commit_on_loop: bool,
    ) -> None:
        """Use `open`, which also starts the threads."""
        self.path = path
        self._loop = loop
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        """Of the thread and of the loop in turns; used by whoever holds `_one_writer`."""
        self._one_writer = threading.Lock()
        self._is_patient = True
        """Whether the connection waits for other programs, and folds the log: as the thread may."""
        self._gathered: list[_Job] = []
        """What was submitted in this round of the loop."""
        self._on_loop_from = 0.0 if commit_on_loop else math.inf
        """Before this time of the loop the thread commits everything."""
        self._on_loop_left = ON_LOOP_COMMITS
        self._closing = False
        self._closed: asyncio.Future[None] | None = None
        self._writes: SimpleQueue[_Job | None] = SimpleQueue()
        self._reads: SimpleQueue[_Job | None] = SimpleQueue()
        self._writer = threading.Thread(
            target=self._run_writer, name="sqlite-writer", daemon=True
        )
        self._reader = threading.Thread(
            target=self._run_reader, name="sqlite-reader", daemon=True
        )

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        connect: Callable[[Path], sqlite3.Connection] = connect,
        commit_on_loop: bool = False,
    ) -> Self:
        """Open the file for this event loop; create it (0600, its folder 0700) if there is none.

        With `commit_on_loop` an operation that comes alone is committed on the loop, as long as that
        takes no longer than `SLOW_SECONDS`: not for a loop that also draws.

        Raises:
            StoreUnavailable: it cannot be opened, is not a database, or cannot be written.
        """
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(_prepare, path, connect)
        file = cls(path, loop, connect, commit_on_loop=commit_on_loop)
        file._writer.start()
        file._reader.start()
        return file

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the writer thread and return what it returned once that is on the disk.

        It shares its transaction with others that wait; if it raises, only what it did is undone.

        Raises:
            StoreUnavailable: the file is locked, full, read-only, damaged or closed; nothing changed.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue(_Job(future, work))
        return await future

    def submit(self, batch: Batch[O, R], operation: O) -> asyncio.Future[R]:
        """Queue an operation; what waits for the same `batch` is handed to it together."""
        future: asyncio.Future[R] = self._loop.create_future()
        job = _Job(future, None, batch, operation)
        if self._on_loop_from == math.inf:
            self._queue(job)
        else:
            self._gather(job)
        return future

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the reader thread, on one snapshot of what is committed.

        Raises:
            StoreUnavailable: the file cannot be read or is closed.
        """
        self._refuse_if_closed()
        future: asyncio.Future[T] = self._loop.create_future()
        self._reads.put(_Job(future, work))
        return await future

    async def read_at_length(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Like `read`, in a thread and connection of its own: for what takes seconds."""
        self._refuse_if_closed()
        return await asyncio.to_thread(self._read_once, work)

    async def close(self) -> None:
        """Finish what is queued, fold the log into the file and end the threads; idempotent."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            self._closing = True
            jobs, self._gathered = self._gathered, []
            self._hand_over(jobs)
            self._writes.put(None)
            self._reads.put(None)
        await asyncio.shield(self._closed)
        await asyncio.to_thread(self._reader.join)
        await asyncio.to_thread(self._writer.join)

    def _queue(self, job: _Job) -> None:
        self._refuse_if_closed()
        self._refuse_if_full()
        self._writes.put(job)

    def _refuse_if_full(self) -> None:
        if self._writes.qsize() + len(self._gathered) >= QUEUE_MAX:
            raise StoreUnavailable(
                f"the store {self.path} does not keep up: {QUEUE_MAX} writes wait for the disk"
            )

    def _refuse_if_closed(self) -> None:
        if self._closing:
            raise StoreUnavailable(f"the store {self.path} is closed")

    # --- On the loop ----------------------------------------------------------------------------

    def _gather(self, job: _Job) -> None:
        self._refuse_if_closed()
        self._refuse_if_full()
        if not self._gathered:
            self._loop.call_soon(self._commit_gathered)
        self._gathered.append(job)

    def _commit_gathered(self) -> None:
        jobs, self._gathered = self._gathered, []
        if self._may_commit(jobs) and self._one_writer.acquire(blocking=False):
            try:
                is_done = self._commit_on_loop(jobs)
            finally:
                self._one_writer.release()
            if is_done:
                _deliver(jobs)
                return
        self._hand_over(jobs)

    def _may_commit(self, jobs: list[_Job]) -> bool:
        """Tell whether the loop may do what the thread does otherwise."""
        if self._on_loop_left == 0:
            self._on_loop_left = ON_LOOP_COMMITS
            return False
        return (
            0 < len(jobs) <= ON_LOOP_MAX
            and self._writes.empty()
            and self._loop.time() >= self._on_loop_from
        )

    def _commit_on_loop(self, jobs: list[_Job]) -> bool:
        """Run the jobs in one transaction, without waiting for another program; False if one writes."""
        if self._connection is None:
            return False
        started = self._loop.time()
        try:
            self._set_patience(self._connection, patient=False)
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return False  # the thread finds out why, and tells the callers
        self._finish_commit(self._connection, _groups(jobs))
        self._on_loop_left -= 1
        ended = self._loop.time()
        if ended - started > SLOW_SECONDS:
            self._on_loop_from = ended + (ended - started) * SLOW_REST
        return True

    def _hand_over(self, jobs: list[_Job]) -> None:
        """Let the thread do it."""
        for job in jobs:
            self._writes.put(job)

    # --- In the writer thread -------------------------------------------------------------------

    def _run_writer(self) -> None:
        going_on = True
        while going_on:
            jobs: list[_Job] = []
            job = self._writes.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) >= BATCH_MAX or self._writes.empty():
                    break
                job = self._writes.get()
            else:
                going_on = False
            if jobs:
                with self._one_writer:
                    self._commit(jobs)
                self._answer(jobs)
        if self._connection is not None:
            _end(self._connection)
        self._call_soon(self._writer_ended)

    def _commit(self, jobs: list[_Job]) -> None:
        """Run the jobs in one transaction, and leave each its result or error."""
        groups = _groups(jobs)
        try:
            if self._connection is None:
                self._connection = self._connect(self.path)
                self._is_patient = True
            self._set_patience(self._connection, patient=True)
            self._connection.execute("BEGIN IMMEDIATE")
        except Exception as error:  # noqa: BLE001 the callers get it
            self._give_up(groups, error)
        else:
            self._finish_commit(self._connection, groups)

    def _set_patience(self, connection: sqlite3.Connection, *, patient: bool) -> None:
        if patient is not self._is_patient:
            self._is_patient = patient
            wait_ms, pages = (int(BUSY_SECONDS * 1000), CHECKPOINT_PAGES) if patient else (0, 0)
            connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def _finish_commit(self, connection: sqlite3.Connection, groups: list[list[_Job]]) -> None:
        """Run what the transaction was begun for, and wait for the disk."""
        try:
            if len(groups) == 1:
                _run(connection, groups[0])  # if it raises, there is nobody else's work to keep
            else:
                for group in groups:
                    self._run_saved(connection, group)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 the callers get it
            self._give_up(groups, error)

    def _give_up(self, groups: list[list[_Job]], error: Exception) -> None:
        """Undo everything, and leave each job the reason."""
        problem = unavailable(self.path, error)
        for group in groups:
            _fail(group, problem)
        if self._connection is not None and not _roll_back(self._connection):
            self._connection = None

    def _run_saved(self, connection: sqlite3.Connection, group: list[_Job]) -> None:
        """Run one job, or one batch of them, so that it alone is undone if it raises."""
        connection.execute("SAVEPOINT job")
        try:
            _run(connection, group)
        except Exception as error:
            if not connection.in_transaction:
                raise  # SQLite itself has undone everything: a full disk, an I/O error
            connection.execute("ROLLBACK TO job")
            _fail(group, unavailable(self.path, error))
        connection.execute("RELEASE job")

    # --- In the reader thread -------------------------------------------------------------------

    def _run_reader(self) -> None:
        connection: sqlite3.Connection | None = None
        while (job := self._reads.get()) is not None:
            try:
                if connection is None:
                    connection = self._connect_to_read()
                if job.work is not None:
                    job.result = _in_snapshot(connection, job.work)
            except Exception as error:  # noqa: BLE001 the caller gets it
                job.error = unavailable(self.path, error)
                if connection is not None and not _roll_back(connection):
                    connection = None
            self._answer([job])
        if connection is not None:
            connection.close()

    def _read_once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connect_to_read()
            try:
                return _in_snapshot(connection, work)
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise unavailable(self.path, error) from error

    def _connect_to_read(self) -> sqlite3.Connection:
        connection = self._connect(self.path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    # --- Back to the event loop -----------------------------------------------------------------

    def _answer(self, jobs: list[_Job]) -> None:
        self._call_soon(_deliver, jobs)

    def _call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            if not self._loop.is_closed():
                raise  # with the loop closed nobody waits any more

    def _writer_ended(self) -> None:
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)


def _groups(jobs: list[_Job]) -> list[list[_Job]]:
    """Return the jobs in order, neighbours that are for the same batch together."""
    groups: list[list[_Job]] = []
    batch: Batch[Any, Any] | None = None
    for job in jobs:
        if batch is not None and job.batch is batch:
            groups[-1].append(job)
        else:
            groups.append([job])
            batch = job.batch
    return groups


def _run(connection: sqlite3.Connection, group: list[_Job]) -> None:
    first = group[0]
    if first.work is not None:
        first.result = first.work(connection)
    elif first.batch is not None:
        outcomes = first.batch.apply(connection, [job.operation for job in group])
        for job, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, StoreError):
                job.error = outcome
            else:
                job.result = outcome


def _fail(group: list[_Job], problem: Exception) -> None:
    for job in group:
        job.result, job.error = None, problem
    if group[0].batch is not None:
        group[0].batch.forget()


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        future = job.future
        if future.done():  # its caller was cancelled; what was written stays written
            if job.batch is not None and job.error is None:
                job.batch.unclaimed(job.operation, job.result)
            continue
        if job.error is not None:
            future.set_exception(job.error)
        else:
            future.set_result(job.result)


def _prepare(path: Path, connect: Callable[[Path], sqlite3.Connection]) -> None:
    """Make folder and file with their modes, and the file a WAL database."""
    if sqlite3.sqlite_version_info < MIN_VERSION:
        raise StoreUnavailable(
            f"this Python has SQLite {sqlite3.sqlite_version}; "
            f"{'.'.join(map(str, MIN_VERSION))} or newer is needed"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only to make it: closing a descriptor of a file that is open elsewhere in this process
        # would give up the locks that SQLite holds on it there.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreUnavailable(
            f"the store {path} cannot be opened: {error.strerror}"
        ) from error
    try:
        connection = connect(path)
        try:
            if _write_ahead(connection) != "wal":
                raise StoreUnavailable(
                    f"the store {path} is on a file system without shared memory; "
                    "SQLite's write-ahead log needs it"
                )
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise unavailable(path, error) from error


def _write_ahead(connection: sqlite3.Connection) -> str:
    """Make the database a write-ahead one and return its mode; wait while another process does the same.

    Here SQLite does not wait by itself: of several that open a new file at once, all but one are told
    that it is locked.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return str(mode)


def _in_snapshot(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    result = work(connection)
    connection.execute("COMMIT")
    return result


def _roll_back(connection: sqlite3.Connection) -> bool:
    """Undo what is open; False if the connection is of no more use and was closed."""
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        connection.close()
        return False
    return True


def _end(connection: sqlite3.Connection) -> None:
    """Fold the log into the file if nobody else uses it just now, and close."""
    try:
        connection.execute(f"PRAGMA busy_timeout = {_LAST_BUSY_MS}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error:
        pass  # the log is as durable as the file: the next opener folds it
    finally:
        connection.close()


_SENTENCES: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another program and stayed so for {seconds:.0f} seconds: let that one finish, or end it",
    sqlite3.SQLITE_LOCKED: "is locked by another program and stayed so for {seconds:.0f} seconds: let that one finish, or end it",
    sqlite3.SQLITE_READONLY: "cannot be written: it, its folder or its disk is read-only",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; make room on it",
    sqlite3.SQLITE_CORRUPT: "is damaged ({error}): restore a backup",
    sqlite3.SQLITE_NOTADB: "is not a Signalbox database: name another file, or restore a backup",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: see whether it is there, and whether this user may read it",
    sqlite3.SQLITE_IOERR: "cannot be read or written ({error}): see whether its disk is full or failing",
    sqlite3.SQLITE_PERM: "cannot be opened: {error}",
    sqlite3.SQLITE_PROTOCOL: "is locked by another program: {error}",
}


def unavailable(path: Path, error: Exception) -> Exception:
    """Return the sentence for what SQLite could not do; any other error as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    code: int | None = getattr(error, "sqlite_errorcode", None)
    sentence = None if code is None else _SENTENCES.get(code & 0xFF)
    if sentence is None:
        return error  # a statement of ours is wrong
    found = StoreUnavailable(
        f"the store {path} {sentence.format(error=error, seconds=BUSY_SECONDS)}"
    )
    found.__cause__ = error
    return found
