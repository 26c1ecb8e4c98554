"""Where payments, received payments and invoices are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final, runtime_checkable

from core.account import AccountId
from core.payments.records import (
    Ending,
    Invoice,
    InvoiceState,
    NewPayment,
    Payment,
    PaymentState,
    Progress,
    ReceivedPayment,
    Route,
)
from core.service import PaymentNumber

PAGE_MAX: Final = 1_001
"""Rows of one page, and the one that says that there are more: read in some milliseconds."""
RECEIVED_MAX: Final = 100_000
"""Of one account, some 50 MB: whoever has its address makes a row of the least that it can receive."""
LIVE_MS: Final = 60_000
"""A connection that was heard of so lately may go on: senders give up sooner."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """Which payments; what is None is not asked about."""

    account: AccountId | None = None
    state: PaymentState | None = None
    text: str = ""
    undecided: bool = False
    """Only those of which something is undecided."""
    from_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None
    limit: int = 100


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFilter:
    """Which received payments; what is None is not asked about."""

    account: AccountId | None = None
    invoice: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None
    limit: int = 100


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFilter:
    """Which invoices, as they stand at `now_ms`; what is None is not asked about."""

    now_ms: int
    account: AccountId | None = None
    state: InvoiceState | None = None
    before: int | None = None
    limit: int = 100


@runtime_checkable
class PaymentStore(Protocol):
    """Payments of this and other node processes; the books add up what each has sent and received.

    A call that returns is durable; a call that raises changed nothing. All raise StoreUnavailable.
    Lists are newest first, and have at most PAGE_MAX rows.
    """

    # --- Payments

    async def begin_payment(
        self, payment: NewPayment, *, open_max: int, account_open_max: int
    ) -> tuple[Payment, bool]:
        """Write it down as PENDING, this process's; or return what its idempotency key has made before, and False.

        Raises:
            UnknownAccount: its account is gone.
            Conflict: the key was used for another order, or so many payments are open in the store, or
                of the account.
            NodeFenced: this process has not signed on, or was declared dead.
        """

    async def let_send(self, number: PaymentNumber, route: Route) -> Payment:
        """Let the packets of a PENDING payment of this process be booked; of one that has ended, change nothing."""

    async def advance_payment(self, number: PaymentNumber, progress: Progress) -> Payment:
        """Note how far it is; of one that has ended, change nothing."""

    async def end_payment(
        self, number: PaymentNumber, ending: Ending, progress: Progress
    ) -> Payment:
        """End it, once; one that has ended stays as it is.

        A payment that failed since this process had to sign on anew is INTERRUPTED.
        """

    async def request_cancel(self, payment_id: str) -> Payment | None:
        """Let no further packet of it be booked; None where there is none, and one that has ended stays as it is."""

    async def close_dead_payments(self) -> Sequence[Payment]:
        """End, as INTERRUPTED, what processes that have ended left open; call it after the books' own recovery.

        What they sent is final by then: their transfers are decided or UNKNOWN, and a process that was
        declared dead can book nothing any more.
        """

    async def payment(self, payment_id: str) -> Payment | None: ...

    async def payments(self, wanted: PaymentFilter) -> Sequence[Payment]: ...

    # --- Received payments

    async def received_payment(
        self, account: AccountId, connection: str
    ) -> ReceivedPayment | None: ...

    async def received_payments(self, wanted: ReceivedFilter) -> Sequence[ReceivedPayment]: ...

    async def note_connection(
        self, account: AccountId, connection: str, *, payer_text: str = "", closes: bool = False
    ) -> None:
        """Note what its payer wrote, where that is more than is known, and that it is done.

        Of one that brought nothing there is nothing to note.
        """

    # --- Invoices

    async def create_invoice(
        self,
        *,
        invoice_id: str,
        account: AccountId,
        amount: int,
        description: str,
        expires_at_ms: int | None,
        open_max: int,
    ) -> Invoice:
        """Add one.

        Raises:
            UnknownAccount: its account is gone.
            Conflict: the account has so many that are open.
        """

    async def invoice(self, invoice_id: str) -> Invoice | None: ...

    async def invoices(self, wanted: InvoiceFilter) -> Sequence[Invoice]: ...

    async def cancel_invoice(self, invoice_id: str) -> Invoice | None:
        """Cancel one that is open; None where there is none, and one that is not open stays as it is."""

    # --- Age

    async def prune_payments(self, *, before_ms: int, rows_max: int) -> int:
        """Forget what ended before that, at most so many rows; what is undecided stays. Return how many."""

    async def prune_received(self, *, account_max: int, rows_max: int) -> int:
        """Forget what each account has received over more connections than that, at most so many rows.

        What may go on, not closed and heard of within LIVE_MS, goes last; of others those go first that
        brought least, by the number of digits, and of these the oldest. Money is the books', and stays:
        only the sum of the connection is gone, and begins anew should more come over it. Return how many.
        """
