"""Two operators who owe each other, each with stores, a wallet and an engine of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, final

from core.account import Account, AccountId, Asset, NewTokens
from core.ledger.books import Balance
from core.settlement.engine import EngineOptions, SettlementEngine
from core.settlement.ledger import Ledger
from core.settlement.records import Direction, Settlement
from core.settlement.store import ENGINE_LEASE_MS, SettlementStore
from core.stores import Stores, open_stores
from core.testing.builders import account
from core.testing.clock import FakeClock

ENGINE: Final = "fake"
PEER: Final = AccountId("11111111-0000-4000-8000-000000000001")
ETH9: Final = Asset("ETH", 9)
GWEI: Final = 10**9
"""Ledger units in one of an account's."""


def peer(address: str, *, username: str = "peer", **changes: Any) -> Account:
    """Return the account of another side, which is settled from 1000 on, down to 0."""
    details = {
        "id": PEER,
        "asset": ETH9,
        "settle_threshold": 1_000,
        "settle_to": 0,
        "settlement_engine_url": f"signalbox:{ENGINE}",
        "settlement_address": address,
    }
    return account(username, **(details | changes))


def engine_for(store: SettlementStore, ledger: Ledger, clock: FakeClock) -> SettlementEngine:
    """Return an engine that passes the time instead of waiting."""
    return SettlementEngine(
        store,
        ledger,
        clock,
        EngineOptions(name=ENGINE, pid=1, poll_seconds=1.0),
        jitter=lambda: 1.0,
    )


@final
@dataclass(slots=True)
class Party:
    """One side: its stores can be closed and opened again, as when its processes are killed."""

    url: str
    clock: FakeClock
    ledger: Ledger
    stores: Stores
    engine: SettlementEngine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = engine_for(self.stores.settlements, self.ledger, self.clock)

    @classmethod
    async def open(cls, url: str, clock: FakeClock, ledger: Ledger, account: Account) -> Party:
        stores = await open_stores(url, clock)
        await stores.accounts.insert_account(account, NewTokens())
        return cls(url, clock, ledger, stores)

    async def owe(self, amount: int, *, peer: AccountId = PEER) -> None:
        """Let the peer have fulfilled packets for so much."""
        await self.stores.books.correct(peer, amount, "packets, as far as this test goes")

    async def step(self) -> None:
        """Let the engine do one step, taking its lease first if it has none."""
        if self.engine._lease is None:
            await self.engine.take()
        await self.engine.step()

    async def restart(self) -> None:
        """Kill the engine where it stands, and let another process take over."""
        if self.url == "memory:":
            self.clock.advance(milliseconds=ENGINE_LEASE_MS)
        else:
            await self.stores.close()
            self.stores = await open_stores(self.url, self.clock)
        self.__post_init__()

    async def balance(self, *, peer: AccountId = PEER) -> Balance:
        return await self.stores.books.balance(peer)

    async def listed(self, direction: Direction) -> list[Settlement]:
        """Return this side's settlements in one direction, oldest first."""
        found = await self.stores.settlements.settlements(limit=1_000)
        return [one for one in found if one.direction is direction][::-1]

    async def only(self, direction: Direction) -> Settlement:
        (found,) = await self.listed(direction)
        return found
