"""Prices that were in force together: written in the transaction that changes one of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from core.rates.overlay import by_sources, has_moved, overlaid
from core.rates.records import REFERENCE_DEFAULT, Price, RateId, RateSnapshot
from core.stores.sqlite.tables import count_change

_COLUMNS: Final = "SELECT id, at_ms, reference, prices FROM rate_snapshot"


def latest(connection: sqlite3.Connection) -> RateSnapshot | None:
    """Return what is in force."""
    row = connection.execute(f"{_COLUMNS} ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else snapshot_of(row)


def one(connection: sqlite3.Connection, rate_id: int) -> RateSnapshot | None:
    """Return one that is kept."""
    row = connection.execute(f"{_COLUMNS} WHERE id = ?", (rate_id,)).fetchone()
    return None if row is None else snapshot_of(row)


def newest(connection: sqlite3.Connection, *, limit: int, before: int) -> list[RateSnapshot]:
    """Return those with a smaller id, the newest first."""
    rows = connection.execute(
        f"{_COLUMNS} WHERE id < ? ORDER BY id DESC LIMIT ?", (before, limit)
    )
    return [snapshot_of(row) for row in rows]


def put_into_force(
    connection: sqlite3.Connection, said: Mapping[str, Price], reference: str, at_ms: int
) -> RateSnapshot:
    """Write down what the sources say with what the operator set over it; only stamps where no price moved."""
    own = {
        code: Decimal(price)
        for code, price in connection.execute("SELECT asset_code, price FROM price")
    }
    prices = overlaid(said, own, reference)
    before = latest(connection)
    if before is None or before.reference != reference or has_moved(before.prices, prices):
        cursor = connection.execute(
            "INSERT INTO rate_snapshot (at_ms, reference, prices) VALUES (?, ?, ?)",
            (at_ms, reference, _text(prices)),
        )
        assert cursor.lastrowid is not None
        found = RateSnapshot(
            id=RateId(cursor.lastrowid), at_ms=at_ms, reference=reference, prices=prices
        )
    else:
        connection.execute(
            "UPDATE rate_snapshot SET prices = ? WHERE id = ?", (_text(prices), before.id)
        )
        found = RateSnapshot(
            id=before.id, at_ms=before.at_ms, reference=reference, prices=prices
        )
    count_change(connection, "rates")
    return found


def renew(connection: sqlite3.Connection, at_ms: int) -> None:
    """Put the operator's prices into force over what the sources said last."""
    before = latest(connection)
    reference = REFERENCE_DEFAULT if before is None else before.reference
    said = {} if before is None else by_sources(before.prices, reference)
    put_into_force(connection, said, reference, at_ms)


def snapshot_of(row: tuple[int, int, str, str]) -> RateSnapshot:
    """Return what a row holds."""
    rate_id, at_ms, reference, prices = row
    return RateSnapshot(
        id=RateId(rate_id),
        at_ms=at_ms,
        reference=reference,
        prices={
            code: Price(
                price=Decimal(price),
                at_ms=stamped,
                max_age_ms=max_age_ms,
                sources=tuple(sources),
            )
            for code, (price, stamped, max_age_ms, sources) in json.loads(prices).items()
        },
    )


def _text(prices: Mapping[str, Price]) -> str:
    return json.dumps(
        {
            code: [str(price.price), price.at_ms, price.max_age_ms, list(price.sources)]
            for code, price in sorted(prices.items())
        },
        separators=(",", ":"),
    )
