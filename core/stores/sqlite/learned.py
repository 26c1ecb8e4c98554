"""Learned routes in SQLite; thousands are saved in one short transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias, final

from core.account import AccountId
from core.routing.store import (
    WITHDRAWN_KEPT,
    LearnedRouteStore,
    StoredPeer,
    StoredRoute,
)
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.tables import account_number, count_change

_LOAD_PEERS: Final = """
SELECT account.id, table_id, epoch, hold_down_ms, heard_at_ms, expires_at_ms,
       wants_routes, wanted_table_id, wanted_epoch, generation, version, floor
FROM learned_peer JOIN account ON account.number = learned_peer.account
WHERE account.deleted_at_ms IS NULL ORDER BY account.id
"""
_LOAD_ROUTES: Final = """
SELECT group_concat(prefix || '|' || coalesce(path, '!') || '|' || hex(auth), '/') FROM (
    SELECT prefix, path, auth FROM learned_route
    WHERE account = (SELECT number FROM account WHERE id = :account)
      AND prefix > :after_prefix AND generation = :generation AND version > :after_version
      AND (:after_version > 0 OR path IS NOT NULL)
    ORDER BY prefix LIMIT :limit
)
"""
# One text for all rows: at each row of an answer this thread has to wait for the event loop's, and with
# packets coming in it would wait for a hundred thousand of them. No address has any of these signs.
_WITHDRAWN: Final = "!"
_SAVE_PEER: Final = """
INSERT INTO learned_peer VALUES (
    :number, :table_id, :epoch, :hold_down_ms, :heard_at_ms, :expires_at_ms,
    :wants_routes, :wanted_table_id, :wanted_epoch, :generation, :version + 1, :floor
) ON CONFLICT (account) DO UPDATE SET
    table_id = excluded.table_id, epoch = excluded.epoch, hold_down_ms = excluded.hold_down_ms,
    heard_at_ms = excluded.heard_at_ms, expires_at_ms = excluded.expires_at_ms,
    wants_routes = excluded.wants_routes, wanted_table_id = excluded.wanted_table_id,
    wanted_epoch = excluded.wanted_epoch, generation = excluded.generation,
    version = excluded.version
"""
_SAVE_ROUTE: Final = """
INSERT INTO learned_route (account, prefix, path, auth, generation, version) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (account, prefix) DO UPDATE SET
    path = excluded.path, auth = excluded.auth,
    generation = excluded.generation, version = excluded.version
"""
_SWEPT: Final = """
SELECT looked.account, prefix,
    account.deleted_at_ms IS NOT NULL OR learned_peer.account IS NULL
    OR looked.generation <> learned_peer.generation
    OR (withdrawn AND looked.version <= learned_peer.floor)
FROM (
    SELECT account, prefix, generation, version, path IS NULL AS withdrawn FROM learned_route
    WHERE (account, prefix) > (?, ?) ORDER BY account, prefix LIMIT ?
) AS looked
LEFT JOIN account ON account.number = looked.account
LEFT JOIN learned_peer ON learned_peer.account = looked.account
ORDER BY looked.account, prefix
"""
# A few rows on from those that were looked at before: who sought the unread among all would hold up packets.
_Place: TypeAlias = tuple[int, str]
_START: Final = (0, "")


@final
class SqliteLearnedRoutes(LearnedRouteStore):
    """The tables `learned_peer` and `learned_route`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._swept: _Place = _START
        """Up to where rows have been looked at."""

    async def load_peers(self) -> Sequence[StoredPeer]:
        return await self._file.read(_load_peers)

    async def load_learned(
        self, peer: StoredPeer, *, after_version: int, after_prefix: str, limit: int
    ) -> Sequence[StoredRoute]:
        asked = {
            "account": peer.account,
            "generation": peer.generation,
            "after_version": after_version,
            "after_prefix": after_prefix,
            "limit": limit,
        }

        def work(connection: sqlite3.Connection) -> Sequence[StoredRoute]:
            (text,) = connection.execute(_LOAD_ROUTES, asked).fetchone()
            return [] if text is None else sorted(map(_route, text.split("/")), key=_prefix)

        return await self._file.read(work)

    async def save_learned(
        self, peer: StoredPeer, routes: Sequence[StoredRoute]
    ) -> StoredPeer | None:
        return await self._file.write(partial(_save, peer=peer, routes=routes))

    async def sweep_learned(self, *, rows_max: int) -> bool:
        work = partial(_sweep, after=self._swept, rows_max=rows_max)
        self._swept = await self._file.write(work)
        return self._swept != _START


def _route(text: str) -> StoredRoute:
    prefix, path, auth = text.split("|")
    hops = None if path == _WITHDRAWN else tuple(path.split())
    return StoredRoute(prefix, hops, bytes.fromhex(auth))


def _prefix(route: StoredRoute) -> str:
    return route.prefix


def _load_peers(connection: sqlite3.Connection) -> Sequence[StoredPeer]:
    return [
        StoredPeer(
            account=AccountId(row[0]),
            table_id=row[1],
            epoch=row[2],
            hold_down_ms=row[3],
            heard_at_ms=row[4],
            expires_at_ms=row[5],
            wants_routes=bool(row[6]),
            wanted_table_id=row[7],
            wanted_epoch=row[8],
            generation=row[9],
            version=row[10],
            floor=row[11],
        )
        for row in connection.execute(_LOAD_PEERS)
    ]


def _save(
    connection: sqlite3.Connection, *, peer: StoredPeer, routes: Sequence[StoredRoute]
) -> StoredPeer | None:
    number = account_number(connection, peer.account)
    version, floor = connection.execute(
        "SELECT version, floor FROM learned_peer WHERE account = ?", (number,)
    ).fetchone() or (0, 0)
    if version != peer.version:
        return None
    connection.execute(
        _SAVE_PEER,
        {
            "number": number,
            "table_id": peer.table_id,
            "epoch": peer.epoch,
            "hold_down_ms": peer.hold_down_ms,
            "heard_at_ms": peer.heard_at_ms,
            "expires_at_ms": peer.expires_at_ms,
            "wants_routes": int(peer.wants_routes),
            "wanted_table_id": peer.wanted_table_id,
            "wanted_epoch": peer.wanted_epoch,
            "generation": peer.generation,
            "version": peer.version,
            "floor": floor,
        },
    )
    saved = replace(peer, version=version + 1, floor=floor)
    connection.executemany(
        _SAVE_ROUTE,
        (
            (
                number,
                route.prefix,
                None if route.path is None else " ".join(route.path),
                route.auth,
                saved.generation,
                saved.version,
            )
            for route in routes
        ),
    )
    count_change(connection, "learned")
    return saved


def _sweep(connection: sqlite3.Connection, *, after: _Place, rows_max: int) -> _Place:
    if after == _START:
        connection.execute(
            "UPDATE learned_peer SET floor = version - :kept WHERE version - :kept > floor",
            {"kept": WITHDRAWN_KEPT},
        )
        connection.execute(
            "DELETE FROM learned_peer WHERE account IN "
            "(SELECT number FROM account WHERE deleted_at_ms IS NOT NULL)"
        )
    rows = connection.execute(_SWEPT, (*after, rows_max)).fetchall()
    connection.executemany(
        "DELETE FROM learned_route WHERE account = ? AND prefix = ?",
        ((account, prefix) for account, prefix, is_unread in rows if is_unread),
    )
    if len(rows) < rows_max:
        return _START
    account, prefix, _ = rows[-1]
    return account, prefix
