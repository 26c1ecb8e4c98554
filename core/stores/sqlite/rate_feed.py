"""The rate feed in SQLite: sources with sealed keys, jumps, and every set of prices by number."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Final, final

from core.account import Secret
from core.rates.records import (
    FeedSettings,
    HeldJump,
    HoldState,
    Price,
    RateId,
    RateSnapshot,
    RateSource,
    SourceKind,
    SourceStatus,
)
from core.rates.store import ConvertedBy, RateFeedStore
from core.stores.rate_rules import (
    ALWAYS,
    feed_settings_of,
    feed_settings_text,
    to_be_pruned,
)
from core.stores.sqlite import snapshots
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.secrets import Vault
from core.stores.sqlite.tables import count_change, table

_SETTINGS: Final = "rates.feed"
_SOURCES: Final = """
    SELECT name, kind, url, base, assets, path, inverted, prices, poll_seconds, max_age_seconds,
        enabled, api_key_sealed
    FROM rate_source ORDER BY name
"""
_STATUSES: Final = """
    SELECT name, tried_at_ms, answered_at_ms, data_at_ms, prices_count, failures, problem, next_at_ms
    FROM rate_source
"""
_CONVERTED: Final = """
    SELECT conversion.rate, conversion.spread, conversion.rate_id
    FROM transfer LEFT JOIN conversion ON conversion.number = transfer.conversion
    WHERE transfer.id = ?
"""


@final
class SqliteRateFeed(RateFeedStore):
    """The tables of `m0007_rate_feed`, and one setting."""

    def __init__(self, file: SqliteFile, vault: Vault) -> None:
        self._file = file
        self._vault = vault

    # --- Sources

    async def load_sources(self) -> Sequence[RateSource]:
        rows = await self._file.read(lambda connection: connection.execute(_SOURCES).fetchall())
        return [self._source(row) for row in rows]

    async def save_source(self, source: RateSource) -> None:
        key = source.api_key
        row = {
            "name": source.name,
            "kind": source.kind.value,
            "url": source.url,
            "base": source.base,
            "assets": json.dumps(dict(source.assets)),
            "path": source.path,
            "inverted": int(source.inverted),
            "prices": json.dumps({code: str(price) for code, price in source.prices.items()}),
            "poll_seconds": source.poll_seconds,
            "max_age_seconds": source.max_age_seconds,
            "enabled": int(source.enabled),
            "api_key_sealed": None
            if key is None
            else self._vault.seal(key.reveal().encode(), where=_where(source.name)),
        }

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM rate_source WHERE name = ?", (source.name,))
            table(connection, "rate_source").insert(row)
            count_change(connection, "rate_feed")

        await self._file.write(work)

    async def delete_source(self, name: str) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            deleted = connection.execute("DELETE FROM rate_source WHERE name = ?", (name,))
            if deleted.rowcount:
                count_change(connection, "rate_feed")
            return deleted.rowcount > 0

        return await self._file.write(work)

    async def load_statuses(self) -> Mapping[str, SourceStatus]:
        rows = await self._file.read(
            lambda connection: connection.execute(_STATUSES).fetchall()
        )
        return {
            name: SourceStatus(
                tried_at_ms=tried,
                answered_at_ms=answered,
                data_at_ms=data,
                prices=prices,
                failures=failures,
                problem=problem,
                next_at_ms=following,
            )
            for name, tried, answered, data, prices, failures, problem, following in rows
        }

    async def save_status(self, name: str, status: SourceStatus) -> None:
        values = (
            status.tried_at_ms,
            status.answered_at_ms,
            status.data_at_ms,
            status.prices,
            status.failures,
            status.problem,
            status.next_at_ms,
            name,
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE rate_source SET tried_at_ms = ?, answered_at_ms = ?, data_at_ms = ?,"
                " prices_count = ?, failures = ?, problem = ?, next_at_ms = ? WHERE name = ?",
                values,
            )

        await self._file.write(work)

    def _source(self, row: tuple[object, ...]) -> RateSource:
        name, kind, url, base, assets, path, inverted, prices, poll, age, enabled, sealed = row
        key = None
        if isinstance(sealed, bytes):
            key = Secret(self._vault.unseal(sealed, where=_where(str(name))).decode())
        return RateSource(
            name=str(name),
            kind=SourceKind(kind),
            url=str(url),
            base=str(base),
            assets=json.loads(str(assets)),
            path=str(path),
            inverted=bool(inverted),
            prices={code: Decimal(text) for code, text in json.loads(str(prices)).items()},
            poll_seconds=int(str(poll)),
            max_age_seconds=int(str(age)),
            enabled=bool(enabled),
            api_key=key,
        )

    # --- What holds for all

    async def load_feed_settings(self) -> FeedSettings:
        row = await self._file.read(
            lambda connection: connection.execute(
                "SELECT value FROM setting WHERE name = ?", (_SETTINGS,)
            ).fetchone()
        )
        return FeedSettings() if row is None else feed_settings_of(row[0])

    async def save_feed_settings(self, settings: FeedSettings) -> None:
        row = {"name": _SETTINGS, "value": feed_settings_text(settings)}

        def work(connection: sqlite3.Connection) -> None:
            table(connection, "setting").upsert(row, pk="name")
            count_change(connection, "rate_feed")

        await self._file.write(work)

    async def load_pair_spreads(self) -> Mapping[tuple[str, str], Fraction]:
        rows = await self._file.read(
            lambda connection: connection.execute(
                "SELECT source, target, spread FROM pair_spread"
            ).fetchall()
        )
        return {(source, target): Fraction(spread) for source, target, spread in rows}

    async def save_pair_spread(self, source: str, target: str, spread: Fraction | None) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if spread is None:
                connection.execute(
                    "DELETE FROM pair_spread WHERE source = ? AND target = ?", (source, target)
                )
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO pair_spread VALUES (?, ?, ?)",
                    (source, target, str(spread)),
                )
            count_change(connection, "rates")

        await self._file.write(work)

    # --- Jumps

    async def load_holds(self) -> Mapping[str, HeldJump]:
        rows = await self._file.read(
            lambda connection: connection.execute(
                "SELECT asset_code, from_price, to_price, since_ms, samples, sources, state"
                " FROM rate_hold"
            ).fetchall()
        )
        return {
            code: HeldJump(
                code=code,
                from_price=Decimal(from_price),
                to_price=Decimal(to_price),
                since_ms=since_ms,
                samples=samples,
                sources=tuple(json.loads(sources)),
                state=HoldState(state),
            )
            for code, from_price, to_price, since_ms, samples, sources, state in rows
        }

    async def replace_holds(self, holds: Mapping[str, HeldJump]) -> None:
        rows = [_hold_row(held) for held in holds.values()]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM rate_hold")
            connection.executemany("INSERT INTO rate_hold VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

        await self._file.write(work)

    async def decide_hold(self, held: HeldJump) -> None:
        row = _hold_row(held)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO rate_hold VALUES (?, ?, ?, ?, ?, ?, ?)", row
            )
            count_change(connection, "rate_feed")

        await self._file.write(work)

    # --- What is in force

    async def latest_snapshot(self) -> RateSnapshot | None:
        return await self._file.read(snapshots.latest)

    async def publish(
        self, prices: Mapping[str, Price], reference: str, at_ms: int
    ) -> RateSnapshot:
        return await self._file.write(
            partial(snapshots.put_into_force, said=prices, reference=reference, at_ms=at_ms)
        )

    async def snapshot(self, rate_id: RateId) -> RateSnapshot | None:
        return await self._file.read(partial(snapshots.one, rate_id=rate_id))

    async def snapshots(
        self, *, limit: int, before: RateId | None = None
    ) -> Sequence[RateSnapshot]:
        return await self._file.read(
            partial(snapshots.newest, limit=limit, before=ALWAYS if before is None else before)
        )

    async def prune_snapshots(self, now_ms: int, *, all_kept_ms: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "SELECT id, at_ms FROM rate_snapshot WHERE at_ms < ? ORDER BY id",
                (now_ms - all_kept_ms,),
            ).fetchall()
            (last,) = connection.execute("SELECT max(id) FROM rate_snapshot").fetchone()
            gone = [
                rate_id
                for rate_id in to_be_pruned(rows, now_ms, all_kept_ms)
                if rate_id != last
            ]
            connection.executemany(
                "DELETE FROM rate_snapshot WHERE id = ?", [(rate_id,) for rate_id in gone]
            )
            return len(gone)

        return await self._file.write(work)

    async def converted_by(self, transfer_id: int) -> ConvertedBy | None:
        row = await self._file.read(
            lambda connection: connection.execute(_CONVERTED, (transfer_id,)).fetchone()
        )
        if row is None:
            return None
        rate, spread, rate_id = row
        if rate is None:
            return ConvertedBy(None, None, None)
        return ConvertedBy(
            Fraction(rate), Fraction(spread), RateId(rate_id) if rate_id else None
        )


def _where(name: str) -> str:
    return f"api key of rate source {name}"


def _hold_row(held: HeldJump) -> tuple[object, ...]:
    return (
        held.code,
        str(held.from_price),
        str(held.to_price),
        held.since_ms,
        held.samples,
        json.dumps(list(held.sources)),
        held.state.value,
    )
