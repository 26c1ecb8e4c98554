"""The operator's routes in SQLite; a hundred thousand of them are read or replaced at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import final

from core.account import AccountId
from core.errors import UnknownAccount, UnknownRoute
from core.routing.table import RouteStore
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.tables import account_number, count_change, table


@final
class SqliteRoutes(RouteStore):
    """The table `route`: prefix to account number."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def load_routes(self) -> Mapping[str, AccountId]:
        return await self._file.read(_load)

    async def set_route(self, prefix: str, next_hop: AccountId) -> None:
        def work(connection: sqlite3.Connection) -> None:
            number = account_number(connection, next_hop)
            table(connection, "route").upsert(
                {"prefix": prefix, "account": number}, pk="prefix"
            )
            count_change(connection, "routes")

        await self._file.write(work)

    async def delete_route(self, prefix: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            deleted = connection.execute("DELETE FROM route WHERE prefix = ?", (prefix,))
            if not deleted.rowcount:
                raise UnknownRoute(prefix)
            count_change(connection, "routes")

        await self._file.write(work)

    async def replace_routes(self, routes: Mapping[str, AccountId]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            numbers = _numbers(connection)
            rows = []
            for prefix, next_hop in routes.items():
                if next_hop not in numbers:
                    raise UnknownAccount(next_hop)
                if prefix != "":
                    rows.append((prefix, numbers[next_hop]))
            connection.execute("DELETE FROM route WHERE prefix <> ''")
            connection.executemany("INSERT INTO route (prefix, account) VALUES (?, ?)", rows)
            count_change(connection, "routes")

        await self._file.write(work)


def _load(connection: sqlite3.Connection) -> Mapping[str, AccountId]:
    ids = {number: account_id for account_id, number in _numbers(connection).items()}
    rows = connection.execute("SELECT prefix, account FROM route")
    return {prefix: ids[number] for prefix, number in rows}


def _numbers(connection: sqlite3.Connection) -> dict[AccountId, int]:
    rows = connection.execute("SELECT id, number FROM account WHERE deleted_at_ms IS NULL")
    return {AccountId(account_id): number for account_id, number in rows}
