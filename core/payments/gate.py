"""How much may still come in for a request for money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from core.account import AccountId
from core.clock import Clock
from core.payments.records import Invoice, InvoiceState
from core.payments.store import PaymentStore


@final
@dataclass(frozen=True, slots=True)
class InvoiceGate:
    """Asks the store for each packet, so that what came in over another node counts too."""

    payments: PaymentStore
    clock: Clock

    async def receivable(self, account: AccountId, invoice: str) -> int:
        """Return how much more it takes; 0 where it is paid, over, cancelled, another's or not there."""
        found = await self.open_invoice(account, invoice)
        return 0 if found is None else max(0, found.amount - found.received)

    async def open_invoice(self, account: AccountId, invoice: str) -> Invoice | None:
        """Return one of the account's that can be paid now, or None."""
        found = await self.payments.invoice(invoice)
        if found is None or found.account != account:
            return None
        return found if found.state(self.clock.now_ms()) is InvoiceState.OPEN else None
