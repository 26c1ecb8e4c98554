"""Prices and the spread in SQLite, as exact text: `0.1` and `1/3` come back as they went in."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final, final

from core.clock import Clock
from core.rates.rate import RateStore
from core.stores.rate_rules import refuse_impossible_prices, refuse_impossible_spread
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.snapshots import renew
from core.stores.sqlite.tables import count_change, table

_SPREAD: Final = "rates.spread"
"""The setting that holds it."""


@final
class SqliteRates(RateStore):
    """The table `price`, and one setting."""

    def __init__(self, file: SqliteFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    async def load_prices(self) -> Mapping[str, Decimal]:
        rows = await self._file.read(
            lambda connection: connection.execute(
                "SELECT asset_code, price FROM price ORDER BY asset_code"
            ).fetchall()
        )
        return {code: Decimal(price) for code, price in rows}

    async def replace_prices(self, prices: Mapping[str, Decimal]) -> None:
        refuse_impossible_prices(prices)
        now_ms = self._clock.now_ms()
        rows = [{"asset_code": code, "price": str(price)} for code, price in prices.items()]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM price")
            table(connection, "price").insert_all(rows)
            renew(connection, now_ms)

        await self._file.write(work)

    async def load_spread(self) -> Fraction:
        row = await self._file.read(
            lambda connection: connection.execute(
                "SELECT value FROM setting WHERE name = ?", (_SPREAD,)
            ).fetchone()
        )
        return Fraction(0) if row is None else Fraction(row[0])

    async def save_spread(self, spread: Fraction) -> None:
        refuse_impossible_spread(spread)

        def work(connection: sqlite3.Connection) -> None:
            table(connection, "setting").upsert(
                {"name": _SPREAD, "value": str(spread)}, pk="name"
            )
            count_change(connection, "rates")

        await self._file.write(work)
