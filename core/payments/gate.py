"""How much may still come in for a request for money, while packets that pay it are under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import final

from core.account import AccountId
from core.clock import Clock
from core.payments.records import Invoice, InvoiceState
from core.payments.store import PaymentStore


@final
class InvoiceGate:
    """Lets in what a request for money asks for, and no more.

    The store has what was booked, by this node and by others; what this one is booking just now is
    held here. A packet that would be too much only if those are booked waits for them: they take
    milliseconds, and a payer that was told no would not come back. Two nodes that are paid for one
    request at the same time may together take more than it asks for, by what was under way.
    """

    def __init__(self, payments: PaymentStore, clock: Clock) -> None:
        self._payments = payments
        self._clock = clock
        self._holds: dict[str, _Holds] = {}

    async def receivable(self, account: AccountId, invoice: str) -> int:
        """Return how much more it takes; 0 where it is paid, over, cancelled, another's or not there."""
        found = await self.open_invoice(account, invoice)
        return 0 if found is None else max(0, found.amount - found.received)

    async def hold(self, account: AccountId, invoice: str, amount: int) -> int:
        """Return how much more it takes: at least `amount` where that is held now, until it is released."""
        holds = self._holds.setdefault(invoice, _Holds())
        holds.users += 1
        try:
            while True:
                changes = holds.changes
                left = await self.receivable(account, invoice)
                # What was read is never less than what is left: others may have been booked since.
                if amount > left:
                    return left
                if changes != holds.changes:
                    continue
                if holds.held + amount <= left:
                    holds.held += amount
                    return left
                await holds.changed.wait()
        finally:
            self._done(invoice, holds)

    def release(self, invoice: str, amount: int) -> None:
        """Hold it no longer: it is booked, and so in the store, or will not be."""
        holds = self._holds[invoice]
        holds.held -= amount
        holds.changes += 1
        holds.changed.set()
        holds.changed = asyncio.Event()
        holds.users += 1
        self._done(invoice, holds)

    async def open_invoice(self, account: AccountId, invoice: str) -> Invoice | None:
        """Return one of the account's that can be paid now, or None."""
        found = await self._payments.invoice(invoice)
        if found is None or found.account != account:
            return None
        return found if found.state(self._clock.now_ms()) is InvoiceState.OPEN else None

    def _done(self, invoice: str, holds: _Holds) -> None:
        holds.users -= 1
        if not holds.users and not holds.held:
            del self._holds[invoice]


@final
@dataclass(slots=True, eq=False)
class _Holds:
    """What is being booked for one request for money."""

    held: int = 0
    users: int = 0
    """How many ask just now."""
    changes: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
