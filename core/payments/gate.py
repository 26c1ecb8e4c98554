"""How much may still come in for a request for money, while packets that pay it are under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import final

from core.account import AccountId
from core.clock import Clock
from core.payments.store import PaymentStore
from core.service import Receivable


@final
class InvoiceGate:
    """Lets in what a request for money asks for, and no more than its last packet must bring.

    The store has what was booked, by this node and by others; what this one is booking just now is
    held here. A packet that would be too much only if those are booked waits for them: they take
    milliseconds, and a payer that was told no would not come back. What other nodes are booking is
    not known here: the books have the last word, in the transaction in which they book a packet.
    """

    def __init__(self, payments: PaymentStore, clock: Clock) -> None:
        self._payments = payments
        self._clock = clock
        self._holds: dict[str, _Holds] = {}

    async def receivable(self, account: AccountId, invoice: str) -> Receivable:
        """Return how much more it takes; nothing where it is another's."""
        found = await self._payments.invoice(invoice)
        if found is None or found.account != account:
            return Receivable()
        return found.receivable(self._clock.now_ms())

    async def hold(
        self,
        account: AccountId,
        invoice: str,
        connection: str,
        incoming_amount: int,
        amount: int,
    ) -> Receivable:
        """Return how much more it takes: where it takes this packet, that is held now, until it is released."""
        holds = self._holds.setdefault(invoice, _Holds())
        holds.users += 1
        try:
            while True:
                changes = holds.changes
                receivable = await self.receivable(account, invoice)
                # What was read is never less than what is left: others may have been booked since.
                if not receivable.takes(incoming_amount, amount):
                    return receivable
                if changes != holds.changes:
                    continue
                if not holds.held or holds.held + amount <= receivable.left:
                    holds.add(connection, amount)
                    return receivable
                await holds.changed.wait()
        finally:
            self._done(invoice, holds)

    def held_by_others(self, invoice: str, connection: str) -> int:
        """Return how much is held now for packets of other connections."""
        holds = self._holds.get(invoice)
        return 0 if holds is None else holds.held - holds.connections.get(connection, 0)

    def release(self, invoice: str, connection: str, amount: int) -> None:
        """Hold it no longer: it is booked, and so in the store, or will not be."""
        holds = self._holds[invoice]
        holds.add(connection, -amount)
        holds.changes += 1
        holds.changed.set()
        holds.changed = asyncio.Event()
        holds.users += 1
        self._done(invoice, holds)

    def _done(self, invoice: str, holds: _Holds) -> None:
        holds.users -= 1
        if not holds.users and not holds.held:
            del self._holds[invoice]


@final
@dataclass(slots=True, eq=False)
class _Holds:
    """What is being booked for one request for money."""

    held: int = 0
    connections: dict[str, int] = field(default_factory=dict)
    """The same sum, by connection."""
    users: int = 0
    """How many ask just now."""
    changes: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, connection: str, amount: int) -> None:
        """Hold so much more, or less."""
        self.held += amount
        together = self.connections.pop(connection, 0) + amount
        if together:
            self.connections[connection] = together
