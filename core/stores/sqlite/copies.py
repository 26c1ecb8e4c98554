"""Which packets were prepared before, so that a copy is known of which no answer is remembered.

A process answers copies of its own packets from memory, for as long as most packets last. What comes
later, to another process or after a restart, is told by the journal; an index of it would cost each
packet more than the look-up of a copy is worth. So what may be asked for is remembered here: our own
packets that expire so late that a copy may find the answer forgotten; and what others have prepared,
which whoever is about to write reads since it last looked: under the write lock it misses none.
Where there is neither, nothing is read and nothing is kept.
"""

from __future__ import annotations

import sqlite3
from typing import Final, TypeAlias, final

from core.ledger.books import Transfer, TransferId, TransferState, first_id, last_id
from core.ledger.postings import COPIES_KNOWN_MS, FAR_OFF_MS, refuse_copy

KEPT_MS: Final = 60_000
"""Of what expires soon: a packet is held for 30 s at most, and whoever sends it again does so as long again."""
ROWS_MAX: Final = 50_000
"""Of one process at one look, the newest; and as many make a half that is forgotten: 40 MB at most for each."""

_OTHERS: Final = """
    SELECT number, 0 FROM node WHERE ended_at_ms IS NULL AND number != :own
    UNION ALL SELECT number, 1 FROM node WHERE ended_at_ms >= :since_ms AND number != :own
"""
_NEWEST: Final = "SELECT max(id) FROM transfer WHERE id <= ?"
_ROWS: Final = f"""
    SELECT id, expires_at_ms - created_at_ms > {FAR_OFF_MS}, from_account, condition, destination,
        incoming_amount, expires_at_ms
    FROM transfer WHERE id > :after AND id <= :newest
        AND (created_at_ms >= :lately_ms OR (created_at_ms >= :since_ms AND expires_at_ms > :now_ms))
        AND NOT (state = 2 AND result IS NOT NULL)
    ORDER BY id
"""  # noqa: S608 a number of ours
_FIND: Final = """
    SELECT state, result FROM transfer
    WHERE id = ? AND from_account = ? AND condition = ? AND destination = ? AND incoming_amount = ?
        AND expires_at_ms = ?
"""

_Same: TypeAlias = tuple[int, bytes, str, int, int]
"""What makes two packets the same: account by number, condition, destination, amount and expiry."""


@final
class _Halves:
    """The newest transfer of each packet, by what makes two the same; a number, not the row, is kept."""

    __slots__ = ("_kept_ms", "_newer", "_older", "_turned_at_ms")

    def __init__(self, kept_ms: int) -> None:
        self._kept_ms = kept_ms
        self._turned_at_ms = 0
        self._newer: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def find(self, key: int) -> int | None:
        return self._newer.get(key) or self._older.get(key)

    def keep(self, key: int, transfer_id: int) -> None:
        self._newer[key] = transfer_id

    def turn(self, now_ms: int) -> None:
        """Forget the older half, if its time is up or the newer one is full."""
        if self._turned_at_ms <= now_ms - self._kept_ms or len(self._newer) >= ROWS_MAX:
            self._older, self._newer, self._turned_at_ms = self._newer, {}, now_ms


@final
class Copies:
    """Recognises packets that were prepared before; used by the one writer, under the write lock."""

    __slots__ = (
        "_batch",
        "_far_off",
        "_lately",
        "_read_to",
        "_turned_at_ms",
        "_unwritten",
        "is_empty",
    )

    def __init__(self) -> None:
        self.is_empty = True
        """Whether nothing is remembered, so that there is no need to ask."""
        self._lately = _Halves(KEPT_MS)
        """Packets of others that expire soon. Of packets that are alike, one that is here was sent after those below."""
        self._far_off = _Halves(COPIES_KNOWN_MS)
        """Packets of others, and our own."""
        self._turned_at_ms = 0
        self._read_to: dict[int, int] = {}
        """The last transfer that was read, by node; of one that has ended, the last that it could have."""
        self._batch: object = None
        self._unwritten: dict[int, _Same] = {}
        """What `_batch` has prepared itself, and not written yet."""

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._lately) + len(self._far_off)

    def look(self, connection: sqlite3.Connection, own: int, now_ms: int) -> None:
        """Take in what others have prepared since; what is old is forgotten by halves."""
        self._turn(now_ms)
        read_to = self._read_to
        self._read_to = {}
        since_ms = now_ms - COPIES_KNOWN_MS
        others = connection.execute(_OTHERS, {"own": own, "since_ms": since_ms})
        for node, has_ended in others.fetchall():
            after = read_to.get(node, first_id(node) - 1)
            if after < last_id(node):
                newest = self._read(connection, node, after, now_ms)
                after = last_id(node) if has_ended else newest
            self._read_to[node] = after
        self.is_empty = not self._lately and not self._far_off

    def remember(
        self, batch: object, source: int, transfer: Transfer, transfer_id: int, *, now_ms: int
    ) -> None:
        """Take in a packet of our own that this batch has prepared, and that expires late."""
        if batch is not self._batch:
            self._batch, self._unwritten = batch, {}
        self._unwritten[transfer_id] = same = _same(source, transfer)
        self._far_off.turn(now_ms)
        self._far_off.keep(hash(same), transfer_id)
        self.is_empty = False

    def refuse_copy(
        self,
        batch: object,
        connection: sqlite3.Connection,
        source: int,
        transfer: Transfer,
        *,
        now_ms: int,
    ) -> None:
        """Refuse a copy of what is remembered, unless that was rejected.

        Raises:
            PacketKnown: with what became of the first.
        """
        if now_ms - self._turned_at_ms >= KEPT_MS:
            self._turn(now_ms)
        same = _same(source, transfer)
        key = hash(same)
        found = self._lately.find(key) or self._far_off.find(key)
        if found is None:
            return
        row = connection.execute(_FIND, (found, *same)).fetchone()
        if row is not None:
            refuse_copy(TransferId(found), TransferState(row[0]), row[1])
        elif batch is self._batch and self._unwritten.get(found) == same:
            refuse_copy(TransferId(found), TransferState.PENDING, None)

    def _read(self, connection: sqlite3.Connection, node: int, after: int, now_ms: int) -> int:
        """Take in a node's packets, the newest of them; return the last transfer that it has."""
        (newest,) = connection.execute(_NEWEST, (last_id(node),)).fetchone()
        if newest is None or newest <= after:
            return after
        rows = connection.execute(
            _ROWS,
            {
                "after": max(after, newest - ROWS_MAX),
                "newest": newest,
                "lately_ms": now_ms - KEPT_MS,
                "since_ms": now_ms - COPIES_KNOWN_MS,
                "now_ms": now_ms,
            },
        )
        lately, far_off = self._lately, self._far_off
        # What was rejected may come again, and is not read. So of packets that are alike, at whatever
        # nodes, this leaves the one to ask: it was only sent because those before it were rejected.
        for transfer_id, is_far_off, *same in rows:
            (far_off if is_far_off else lately).keep(hash(tuple(same)), transfer_id)
        return int(newest)

    def _turn(self, now_ms: int) -> None:
        self._turned_at_ms = now_ms
        self._lately.turn(now_ms)
        self._far_off.turn(now_ms)
        self.is_empty = not self._lately and not self._far_off


def _same(source: int, transfer: Transfer) -> _Same:
    return (
        source,
        transfer.condition,
        transfer.destination,
        transfer.incoming_amount,
        transfer.expires_at_ms,
    )
