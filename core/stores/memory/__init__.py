"""Stores that forget everything with the process: for tests, and for looking around."""

from __future__ import annotations

from core.clock import Clock
from core.stores.memory.accounts import MemoryAccounts
from core.stores.memory.books import MemoryBooks
from core.stores.memory.history import MemoryHistory
from core.stores.memory.learned import MemoryLearnedRoutes
from core.stores.memory.leases import MemoryLeases
from core.stores.memory.payments import MemoryPayments
from core.stores.memory.rate_feed import MemoryRateFeed
from core.stores.memory.rates import MemoryRates
from core.stores.memory.routes import MemoryRoutes
from core.stores.memory.settings import MemorySettings
from core.stores.memory.settlements import MemorySettlements
from core.stores.memory.state import MemoryState
from core.stores.record import Stores


def open_memory(clock: Clock) -> Stores:
    """Return stores of their own: two calls share nothing."""
    state = MemoryState()
    books = MemoryBooks(state, clock)
    settlements = MemorySettlements(state, books, clock)
    rate_feed = MemoryRateFeed(state, books)

    async def close() -> None:
        """Keep nothing open: there is nothing to close."""

    return Stores(
        url="memory:",
        accounts=MemoryAccounts(state, books, settlements),
        books=books,
        leases=MemoryLeases(state, clock),
        routes=MemoryRoutes(state),
        learned=MemoryLearnedRoutes(state),
        rates=MemoryRates(state, rate_feed, clock),
        rate_feed=rate_feed,
        settings=MemorySettings(state),
        settlements=settlements,
        history=MemoryHistory(state),
        payments=MemoryPayments(state, clock),
        close=close,
    )
