"""Which node processes share the file, and which of them are alive.

A process has a row, and holds a lock on a file that bears its number. Its row is renewed every few
seconds; its lock falls when it dies, however it dies. Either tells the others: a lock that can be
taken at once, a row that was not renewed after a while. Whoever finds a process dead ends its row in
the transaction that settles what it left, and from then on that process can write nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, final

from core.account import AccountId
from core.clock import Clock
from core.errors import NodeFenced, StoreUnavailable
from core.ledger.lease import LEASE_SECONDS, LeaseStore, NodeLease
from core.stores.node_number import NodeNumber
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.process_lock import ProcessLock

_ALIVE: Final = (
    "SELECT number, name, pid, started_at_ms, renewed_at_ms FROM node "
    "WHERE ended_at_ms IS NULL ORDER BY number"
)
_HOLD: Final = """
    INSERT INTO held_link (account, node, since_ms) SELECT number, ?, ? FROM account WHERE id = ?
    ON CONFLICT (account, node) DO UPDATE SET since_ms = excluded.since_ms
"""
_LET_GO: Final = """
    DELETE FROM held_link WHERE node = ? AND account = (SELECT number FROM account WHERE id = ?)
"""
_HOLDERS: Final = """
    SELECT account.id, held_link.node FROM held_link
    JOIN account ON account.number = held_link.account
    JOIN node ON node.number = held_link.node
    WHERE ended_at_ms IS NULL ORDER BY since_ms, held_link.node
"""


@final
class SqliteLeases(LeaseStore):
    """The table `node`, and the lock of this process."""

    def __init__(self, file: SqliteFile, clock: Clock, node: NodeNumber) -> None:
        self._file = file
        self._clock = clock
        self._node = node
        self._lock: ProcessLock | None = None

    async def sign_on(self, name: str) -> NodeLease:
        taken: list[ProcessLock] = []
        try:
            lease = await self._file.write(
                partial(
                    _sign_on,
                    path=self._file.path,
                    name=name,
                    now_ms=self._clock.now_ms(),
                    taken=taken,
                )
            )
        except BaseException:
            for lock in taken:  # the row was not committed, or nobody will use it
                lock.release(remove=True)
            raise
        self.let_go()
        (self._lock,) = taken
        self._node.current = lease.number
        return lease

    async def renew(self) -> None:
        number = self._node.current
        if number is None:
            raise NodeFenced("this process has not signed on")
        await self._file.write(partial(_renew, number=number, now_ms=self._clock.now_ms()))

    async def sign_off(self) -> None:
        number = self._node.current
        if number is None:
            return
        await self._file.write(
            partial(declare_dead, numbers=(number,), now_ms=self._clock.now_ms())
        )
        self._node.current = None
        if self._lock is not None:
            self._lock.release(remove=True)
            self._lock = None

    async def nodes(self) -> tuple[NodeLease, ...]:
        path, now_ms, own = self._file.path, self._clock.now_ms(), self._node.current

        def work(connection: sqlite3.Connection) -> tuple[NodeLease, ...]:
            leases = _leases(connection)
            return tuple(
                lease for lease in leases if not _is_dead(lease, path, now_ms=now_ms, own=own)
            )

        return await self._file.read(work)

    async def hold(
        self, opened: Mapping[AccountId, int], closed: Collection[AccountId]
    ) -> None:
        number = self._node.current
        if number is None:
            raise NodeFenced("this process has not signed on")
        await self._file.write(partial(_hold, number=number, opened=opened, closed=closed))

    async def holders(self) -> Mapping[AccountId, Sequence[int]]:
        return await self._file.read(_holders)

    def let_go(self) -> None:
        """Let the lock fall, as the process's end would: for closing without having signed off."""
        if self._lock is not None:
            self._lock.release(remove=False)
            self._lock = None


def find_dead_nodes(
    connection: sqlite3.Connection, path: Path, *, now_ms: int, own: int | None
) -> tuple[int, ...]:
    """Return the numbers of nodes that are dead and not yet declared so.

    A node that is suspended, not ended, is dead too once its lease has run out: declaring it so fences it.
    """
    return tuple(
        lease.number
        for lease in _leases(connection)
        if _is_dead(lease, path, now_ms=now_ms, own=own)
    )


def declare_dead(
    connection: sqlite3.Connection, numbers: Iterable[int], *, now_ms: int
) -> None:
    """End their rows, in the transaction that settles what they left."""
    dead = tuple(numbers)
    connection.executemany(
        "UPDATE node SET ended_at_ms = ? WHERE number = ? AND ended_at_ms IS NULL",
        ((now_ms, number) for number in dead),
    )
    connection.executemany(
        "DELETE FROM held_link WHERE node = ?", ((number,) for number in dead)
    )


def remove_lock_files(path: Path, numbers: Iterable[int]) -> None:
    """Clear away the lock files of nodes that were declared dead, once that is committed."""
    for number in numbers:
        lock_path(path, number).unlink(missing_ok=True)


def lock_path(path: Path, number: int) -> Path:
    """Return the file that a node holds locked while it lives."""
    return path.with_name(f"{path.name}.node-{number}.lock")


def _sign_on(
    connection: sqlite3.Connection,
    *,
    path: Path,
    name: str,
    now_ms: int,
    taken: list[ProcessLock],
) -> NodeLease:
    lease = NodeLease(
        number=connection.execute("SELECT 1 + coalesce(max(number), 0) FROM node").fetchone()[
            0
        ],
        name=name,
        pid=os.getpid(),
        started_at_ms=now_ms,
        renewed_at_ms=now_ms,
    )
    # The lock first: from the row's commit on, others ask for it.
    locked_at = lock_path(path, lease.number)
    try:
        lock = ProcessLock.take(locked_at, create=True)
    except OSError as error:
        raise StoreUnavailable(
            f"the lock file {locked_at} cannot be opened: {error.strerror}"
        ) from error
    if lock is None:
        raise StoreUnavailable(
            f"the lock file {locked_at} is held by a process that {path} does not know: "
            "was an older copy of the database put in its place while a node ran?"
        )
    taken.append(lock)
    connection.execute(
        "INSERT INTO node (number, name, pid, started_at_ms, renewed_at_ms) "
        "VALUES (?, ?, ?, ?, ?)",
        (lease.number, lease.name, lease.pid, lease.started_at_ms, lease.renewed_at_ms),
    )
    return lease


def _renew(connection: sqlite3.Connection, *, number: int, now_ms: int) -> None:
    renewed = connection.execute(
        "UPDATE node SET renewed_at_ms = ? WHERE number = ? AND ended_at_ms IS NULL",
        (now_ms, number),
    )
    if not renewed.rowcount:
        raise NodeFenced(f"node {number} was declared dead; sign on anew")


def _hold(
    connection: sqlite3.Connection,
    *,
    number: int,
    opened: Mapping[AccountId, int],
    closed: Collection[AccountId],
) -> None:
    alive = connection.execute(
        "SELECT 1 FROM node WHERE number = ? AND ended_at_ms IS NULL", (number,)
    )
    if alive.fetchone() is None:
        raise NodeFenced(f"node {number} was declared dead; sign on anew")
    connection.executemany(_LET_GO, ((number, account) for account in closed))
    connection.executemany(
        _HOLD, ((number, since_ms, account) for account, since_ms in opened.items())
    )


def _holders(connection: sqlite3.Connection) -> Mapping[AccountId, Sequence[int]]:
    found: dict[AccountId, list[int]] = {}
    for account, number in connection.execute(_HOLDERS):
        found.setdefault(AccountId(account), []).append(number)
    return found


def _leases(connection: sqlite3.Connection) -> list[NodeLease]:
    return [
        NodeLease(
            number=number,
            name=name,
            pid=pid,
            started_at_ms=started_at_ms,
            renewed_at_ms=renewed_at_ms,
        )
        for number, name, pid, started_at_ms, renewed_at_ms in connection.execute(_ALIVE)
    ]


def _is_dead(lease: NodeLease, path: Path, *, now_ms: int, own: int | None) -> bool:
    if lease.number == own:
        return False
    if lease.renewed_at_ms <= now_ms - LEASE_SECONDS * 1000:
        return True
    try:
        lock = ProcessLock.take(lock_path(path, lease.number), create=False)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # it cannot be asked: its lease decides
    if lock is None:
        return False
    lock.release(remove=False)
    return True
