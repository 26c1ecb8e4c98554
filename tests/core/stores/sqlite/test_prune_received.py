"""Forgetting received payments beside packets that go on bringing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.payments.store import ReceivedFilter
from core.service import Received
from core.stores.sqlite.connection import SqliteFile
from core.testing.builders import FULFILLMENT
from core.testing.clock import FakeClock
from tests.core.stores.conftest import OpenStores
from tests.core.stores.people import add_alice_and_bob, transfer


async def test_what_is_paid_more_while_it_is_being_forgotten_stays(
    open_file: OpenStores, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = await open_file()
    await add_alice_and_bob(stores)
    await stores.leases.sign_on("node")

    async def receive(connection: str, sequence: int) -> None:
        made = await stores.books.prepare(transfer(5))
        received = Received(connection=connection, sequence=sequence)
        await stores.books.fulfill(made, FULFILLMENT, received)

    for name in ("c", "d", "e"):
        await receive(name, 1)
        clock.advance(seconds=1)
    look = SqliteFile.read_at_length

    async def look_and_be_paid(self: SqliteFile, work: Callable[..., Any]) -> Any:
        found = await look(self, work)
        await receive("c", 2)
        return found

    monkeypatch.setattr(SqliteFile, "read_at_length", look_and_be_paid)

    assert await stores.payments.prune_received(account_max=1, rows_max=100) == 1

    rows = await stores.payments.received_payments(ReceivedFilter())
    assert [(row.connection, row.received) for row in rows] == [("e", 5), ("c", 10)]
