"""What other processes have prepared lately on the same file, so that a copy that comes to this one is known.

A process remembers its own packets before they reach the books. Those of others, and of processes that
are gone, are in the journal; an index of them would cost each packet more than the look-up of a copy
is worth. So whoever is about to write reads what others have prepared since it last looked: under
the write lock it misses none. Where there is no other, nothing is read and nothing is kept.
"""

from __future__ import annotations

import sqlite3
from typing import Final, final

from core.ledger.books import Transfer, TransferId, TransferState, first_id
from core.ledger.postings import refuse_copy

KEPT_MS: Final = 60_000
"""A packet is held for 30 s at most, and whoever sends it again does so as long again."""
ROWS_MAX: Final = 50_000
"""Of one process at one look, the newest; and as many make a half that is forgotten: 20 MB at most for each."""

_OTHERS: Final = """
    SELECT number FROM node WHERE ended_at_ms IS NULL AND number != ?1
    UNION ALL SELECT number FROM node WHERE ended_at_ms >= ?2 AND number != ?1
"""
_ROWS: Final = """
    SELECT id, state = 2 AND result IS NOT NULL, created_at_ms, from_account, condition, destination,
        incoming_amount, expires_at_ms
    FROM transfer WHERE id > ? AND id < ? ORDER BY id DESC LIMIT ?
"""
_FIND: Final = """
    SELECT state, result FROM transfer
    WHERE id = ? AND from_account = ? AND condition = ? AND destination = ? AND incoming_amount = ?
        AND expires_at_ms = ?
"""


@final
class OthersPackets:
    """Transfers of other processes, by what makes two packets the same; a number, not the row, is kept."""

    __slots__ = ("_newer", "_older", "_read_to", "_turned_at_ms")

    def __init__(self) -> None:
        self._read_to: dict[int, int] = {}
        """The last transfer that was read, by node."""
        self._newer: dict[int, int] = {}
        self._older: dict[int, int] = {}
        self._turned_at_ms = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._newer) + len(self._older)

    def look(self, connection: sqlite3.Connection, own: int, now_ms: int) -> None:
        """Take in what others have prepared since; what is old is forgotten by halves."""
        since_ms = now_ms - KEPT_MS
        if self._turned_at_ms <= since_ms or len(self._newer) >= ROWS_MAX:
            self._older, self._newer, self._turned_at_ms = self._newer, {}, now_ms
        read_to = self._read_to
        self._read_to = {}
        for (node,) in connection.execute(_OTHERS, (own, since_ms)).fetchall():
            after = read_to.get(node, first_id(node) - 1)
            rows = []
            for row in connection.execute(_ROWS, (after, first_id(node + 1), ROWS_MAX)):
                if row[2] < since_ms:
                    break
                rows.append(row)
            for row in reversed(rows):
                # What was rejected may come again. So of packets that are alike, at whatever nodes, this
                # leaves the one to ask: it was only sent because those before it were rejected.
                was_rejected = row[1]
                if not was_rejected:
                    self._newer[hash(row[3:])] = row[0]
            self._read_to[node] = rows[0][0] if rows else after

    def refuse_copy(
        self, connection: sqlite3.Connection, source: int, transfer: Transfer
    ) -> None:
        """Refuse a copy of what another process has prepared, unless that was rejected.

        Raises:
            PacketKnown: with what became of the first.
        """
        if not self._newer and not self._older:
            return
        same = (
            source,
            transfer.condition,
            transfer.destination,
            transfer.incoming_amount,
            transfer.expires_at_ms,
        )
        key = hash(same)
        found = self._newer.get(key) or self._older.get(key)
        if found is None:
            return
        row = connection.execute(_FIND, (found, *same)).fetchone()
        if row is not None:
            refuse_copy(TransferId(found), TransferState(row[0]), row[1])
