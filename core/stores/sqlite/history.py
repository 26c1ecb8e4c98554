"""History in SQLite: a second's points, added in the same write to the minute and hour around them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, final

from core.account import AccountId
from core.stores.history_steps import KEPT_SECONDS, add_points, step_start
from core.stores.sqlite.connection import SqliteFile
from core.telemetry.history import HistoryPoint, HistoryStore, Resolution

POINTS_A_WRITE: Final = 100
ROWS_A_DELETE: Final = 2_000
"""Packets wait for the same writer: no write of history takes it for longer than some milliseconds."""

_COLUMNS: Final = (
    "prepares, fulfills, rejects, incoming_amount, outgoing_amount, net, "
    "latency_us_sum, latency_us_max, reject_codes"
)
_NUMBER: Final = "SELECT number FROM account WHERE id = ?"
_SELECT_STEP: Final = (
    f"SELECT ? AS id, at_s, {_COLUMNS} FROM history "  # noqa: S608 our own names
    "WHERE resolution = ? AND at_s = ? AND account = ?"
)
_REPLACE: Final = (
    f"INSERT OR REPLACE INTO history (resolution, account, at_s, {_COLUMNS}) "  # noqa: S608
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_READ: Final = (
    f"SELECT account.id, at_s, {_COLUMNS} FROM history "  # noqa: S608
    "JOIN account ON account.number = history.account "
    "WHERE resolution = ? AND at_s >= ? AND at_s < ? {one} ORDER BY at_s DESC LIMIT ?"
)
_DELETE: Final = """
    DELETE FROM history WHERE (resolution, at_s, account) IN (
        SELECT resolution, at_s, account FROM history WHERE resolution = ? AND at_s < ? LIMIT ?
    )
"""


@final
class SqliteHistory(HistoryStore):
    """The table `history`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def add(self, points: Sequence[HistoryPoint]) -> None:
        for start in range(0, len(points), POINTS_A_WRITE):
            some = points[start : start + POINTS_A_WRITE]
            await self._file.write(partial(_add, points=some))

    async def read(
        self,
        resolution: Resolution,
        *,
        from_s: int,
        until_s: int,
        account: AccountId | None = None,
        points_max: int,
    ) -> Sequence[HistoryPoint]:
        one, values = ("", ()) if account is None else ("AND account.id = ?", (account,))
        sql = _READ.format(one=one)
        parameters = (int(resolution), from_s, until_s, *values, max(points_max, 0))
        return await self._file.read(
            lambda connection: [_point(row) for row in connection.execute(sql, parameters)][
                ::-1
            ]
        )

    async def prune(self, *, now_s: int) -> None:
        for resolution, kept_seconds in KEPT_SECONDS.items():
            delete = partial(_delete, resolution=resolution, before_s=now_s - kept_seconds)
            while await self._file.write(delete) == ROWS_A_DELETE:
                pass


def _add(connection: sqlite3.Connection, *, points: Sequence[HistoryPoint]) -> None:
    numbers = _numbers(connection, {point.account for point in points})
    known = [point for point in points if point.account in numbers]
    for resolution in Resolution:
        steps: dict[tuple[int, AccountId], HistoryPoint] = {}
        for point in known:
            start = step_start(point.at_s, resolution)
            key = start, point.account
            earlier = steps.get(key) or _stored(
                connection, resolution, start, point.account, numbers[point.account]
            )
            steps[key] = (
                replace(point, at_s=start) if earlier is None else add_points(earlier, point)
            )
        connection.executemany(
            _REPLACE,
            (_row(resolution, numbers[point.account], point) for point in steps.values()),
        )


def _numbers(
    connection: sqlite3.Connection, accounts: Iterable[AccountId]
) -> dict[AccountId, int]:
    found = {
        account: connection.execute(_NUMBER, (account,)).fetchone() for account in accounts
    }
    return {account: row[0] for account, row in found.items() if row is not None}


def _stored(
    connection: sqlite3.Connection,
    resolution: Resolution,
    start: int,
    account: AccountId,
    number: int,
) -> HistoryPoint | None:
    row = connection.execute(_SELECT_STEP, (account, int(resolution), start, number)).fetchone()
    return None if row is None else _point(row)


def _row(resolution: Resolution, number: int, point: HistoryPoint) -> tuple[object, ...]:
    return (
        int(resolution),
        number,
        point.at_s,
        point.prepares,
        point.fulfills,
        point.rejects,
        str(point.incoming_amount),
        str(point.outgoing_amount),
        None if point.net is None else str(point.net),
        point.latency_us_sum,
        point.latency_us_max,
        json.dumps(dict(point.reject_codes), sort_keys=True) if point.reject_codes else "{}",
    )


def _point(
    row: tuple[str, int, int, int, int, str, str, str | None, int, int, str],
) -> HistoryPoint:
    account, at_s, prepares, fulfills, rejects, incoming, outgoing, net, total, peak, codes = (
        row
    )
    return HistoryPoint(
        account=AccountId(account),
        at_s=at_s,
        prepares=prepares,
        fulfills=fulfills,
        rejects=rejects,
        incoming_amount=int(incoming),
        outgoing_amount=int(outgoing),
        net=None if net is None else int(net),
        latency_us_sum=total,
        latency_us_max=peak,
        reject_codes={} if codes == "{}" else json.loads(codes),
    )


def _delete(connection: sqlite3.Connection, *, resolution: Resolution, before_s: int) -> int:
    deleted = connection.execute(_DELETE, (int(resolution), before_s, ROWS_A_DELETE))
    return deleted.rowcount
