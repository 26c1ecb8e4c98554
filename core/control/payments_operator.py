"""The operator's payments, as a protocol: what the window, the HTTP API and the command line call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from core.control.payment_views import (
    IncomingNotice,
    InvoiceOrder,
    InvoicePage,
    InvoiceQuery,
    InvoiceView,
    PaymentOrder,
    PaymentPage,
    PaymentQuery,
    PaymentQuote,
    PaymentView,
    ReceiveAddress,
    ReceivedPage,
    ReceivedQuery,
    UndecidedSums,
)


class PaymentOperator(Protocol):
    """Everything an operator can see and do of payments; all may raise StoreUnavailable."""

    # --- Paying

    async def quote_payment(self, order: PaymentOrder) -> PaymentQuote:
        """Look the receiver up and probe the path, and move no money; takes up to ten seconds.

        Raises:
            SettingError: the order cannot be; names the field (`receiver`, `source_amount`, …).
            UnknownAccount: no account has this username.
            PaymentImpossible: the receiver or the path does not answer, or not usefully; says who and why.
        """

    async def start_payment(
        self, order: PaymentOrder, *, idempotency_key: str | None = None
    ) -> PaymentView:
        """Write the payment down and begin it; it goes on by itself when this returns.

        The same key with the same order returns the payment that was made of it, however it stands.

        Raises:
            SettingError: the order or the key cannot be.
            UnknownAccount: no account has this username.
            Conflict: the key was used for another order, or too many payments are under way.
        """

    async def payment(self, payment_id: str) -> PaymentView:
        """Return one; raises NotFound."""

    async def wait_for_payment(
        self, payment_id: str, *, after_change: int, seconds: float
    ) -> PaymentView:
        """Return it once its `change` is above `after_change` or it has ended; after so many seconds as it is.

        Raises:
            NotFound: there is none of this id.
        """

    async def wait_until_ended(self, payment_id: str) -> PaymentView:
        """Return it once it has ended, however long that takes; raises NotFound."""

    async def cancel_payment(self, payment_id: str) -> PaymentView:
        """Send nothing more of it: what is in flight is waited for, what was sent stays sent.

        Raises:
            NotFound: there is none of this id.
            Conflict: it has ended already.
        """

    async def payments(self, query: PaymentQuery) -> PaymentPage:
        """Return payments, newest first; raises UnknownAccount."""

    async def undecided_sums(self) -> UndecidedSums:
        """Return what was left undecided, by peer and by payment."""

    # --- Being paid

    async def received_payments(self, query: ReceivedQuery) -> ReceivedPage:
        """Return what came in, newest first; raises UnknownAccount."""

    async def receive_address(self, username: str) -> ReceiveAddress:
        """Return how an account is paid; raises UnknownAccount."""

    async def create_invoice(self, order: InvoiceOrder) -> InvoiceView:
        """Ask for money; raises SettingError, UnknownAccount."""

    async def invoice(self, invoice_id: str) -> InvoiceView:
        """Return one; raises NotFound."""

    async def cancel_invoice(self, invoice_id: str) -> InvoiceView:
        """Take nothing more for it; raises NotFound, and Conflict where it is not open."""

    async def invoices(self, query: InvoiceQuery) -> InvoicePage:
        """Return invoices, newest first; raises UnknownAccount."""

    def watch_incoming(
        self, username: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[IncomingNotice]]:
        """Hear of each packet that is received from now on, for one account or for all.

        A reader that is too slow is dropped: its iterator ends with SlowReader, which says how far
        behind it was.
        """
