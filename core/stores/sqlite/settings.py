"""The cluster's small facts in SQLite; secrets are sealed before they reach the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import final

from core.stores.record import SettingStore
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.secrets import Vault
from core.stores.sqlite.tables import count_change, table


@final
class SqliteSettings(SettingStore):
    """The tables `setting`, `secret` and `change`."""

    def __init__(self, file: SqliteFile, vault: Vault) -> None:
        self._file = file
        self._vault = vault

    async def load_setting(self, name: str) -> str | None:
        row = await self._file.read(
            lambda connection: connection.execute(
                "SELECT value FROM setting WHERE name = ?", (name,)
            ).fetchone()
        )
        return None if row is None else str(row[0])

    async def save_setting(self, name: str, value: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            table(connection, "setting").upsert({"name": name, "value": value}, pk="name")
            count_change(connection, "settings")

        await self._file.write(work)

    async def load_secret(self, name: str) -> bytes | None:
        row = await self._file.read(
            lambda connection: connection.execute(
                "SELECT sealed FROM secret WHERE name = ?", (name,)
            ).fetchone()
        )
        return None if row is None else self._vault.unseal(row[0], where=_where(name))

    async def save_secret(self, name: str, secret: bytes) -> None:
        sealed = self._vault.seal(secret, where=_where(name))

        def work(connection: sqlite3.Connection) -> None:
            table(connection, "secret").upsert({"name": name, "sealed": sealed}, pk="name")
            count_change(connection, "settings")

        await self._file.write(work)

    async def agree_on_secret(self, name: str, fresh: bytes) -> bytes:
        sealed = self._vault.seal(fresh, where=_where(name))

        def work(connection: sqlite3.Connection) -> bytes:
            if connection.execute(
                "INSERT OR IGNORE INTO secret (name, sealed) VALUES (?, ?)", (name, sealed)
            ).rowcount:
                count_change(connection, "settings")
            (kept,) = connection.execute(
                "SELECT sealed FROM secret WHERE name = ?", (name,)
            ).fetchone()
            return bytes(kept)

        return self._vault.unseal(await self._file.write(work), where=_where(name))

    async def versions(self) -> Mapping[str, int]:
        rows = await self._file.read(
            lambda connection: connection.execute("SELECT kind, version FROM change").fetchall()
        )
        return dict(rows)


def _where(name: str) -> str:
    return f"secret {name}"
