"""Payments, received payments and invoices in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from core.account import AccountId
from core.clock import Clock
from core.errors import NodeFenced, UnknownAccount
from core.payments.records import (
    Ending,
    Invoice,
    InvoiceState,
    NewPayment,
    Payment,
    Progress,
    ReceivedPayment,
    Route,
)
from core.payments.rules import (
    INTERRUPTED,
    advanced,
    allowed,
    begun,
    cancelled,
    cancelling,
    ended,
    refuse_other_order,
    refuse_too_many,
    refuse_too_many_invoices,
)
from core.payments.store import (
    LIVE_MS,
    PAGE_MAX,
    InvoiceFilter,
    PaymentFilter,
    PaymentStore,
    ReceivedFilter,
)
from core.service import PaymentNumber
from core.stores.memory.state import MemoryState


@final
class MemoryPayments(PaymentStore):
    """Dictionaries in the shared state, of which the books change the sums."""

    def __init__(self, state: MemoryState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._orders: dict[tuple[AccountId, str], tuple[PaymentNumber, bytes]] = {}
        self._payments_made = 0
        self._invoices_made = 0

    # --- Payments

    async def begin_payment(
        self, payment: NewPayment, *, open_max: int, account_open_max: int
    ) -> tuple[Payment, bool]:
        node = self._own()
        if payment.account not in self._state.accounts:
            raise UnknownAccount(payment.account)
        key = payment.idempotency_key
        if key is not None and (payment.account, key) in self._orders:
            number, body_hash = self._orders[payment.account, key]
            refuse_other_order(key, body_hash, payment.body_hash)
            return self._state.payments[number], False
        still_open = [row for row in self._state.payments.values() if not row.state.is_final]
        of_account = sum(row.account == payment.account for row in still_open)
        refuse_too_many(len(still_open), open_max, of_account, account_open_max)
        self._payments_made += 1
        made = begun(
            payment,
            number=PaymentNumber(self._payments_made),
            node=node,
            now_ms=self._clock.now_ms(),
        )
        if key is not None:
            self._orders[payment.account, key] = (made.number, payment.body_hash)
        return self._save(made), True

    async def let_send(self, number: PaymentNumber, route: Route) -> Payment:
        payment, node = self._state.payments[number], self._own()
        return self._save(allowed(payment, route, node=node, now_ms=self._clock.now_ms()))

    async def advance_payment(self, number: PaymentNumber, progress: Progress) -> Payment:
        payment = self._state.payments[number]
        return self._save(advanced(payment, progress, now_ms=self._clock.now_ms()))

    async def end_payment(
        self, number: PaymentNumber, ending: Ending, progress: Progress
    ) -> Payment:
        now_ms = self._clock.now_ms()
        payment = advanced(self._state.payments[number], progress, now_ms=now_ms)
        node = self._state.node.current
        return self._save(ended(payment, ending, now_ms=now_ms, node=node))

    async def request_cancel(self, payment_id: str) -> Payment | None:
        payment = await self.payment(payment_id)
        if payment is None:
            return None
        return self._save(cancelling(payment, now_ms=self._clock.now_ms()))

    async def close_dead_payments(self) -> Sequence[Payment]:
        dead = {n for n, lease in self._state.nodes.items() if lease.ended_at_ms is not None}
        return [
            self._save(ended(payment, INTERRUPTED, now_ms=self._clock.now_ms()))
            for payment in tuple(self._state.payments.values())
            if not payment.state.is_final and payment.node in dead
        ]

    async def payment(self, payment_id: str) -> Payment | None:
        return next((p for p in self._state.payments.values() if p.id == payment_id), None)

    async def payments(self, wanted: PaymentFilter) -> Sequence[Payment]:
        text = wanted.text.lower()
        found = [
            payment
            for payment in self._state.payments.values()
            if wanted.account in (None, payment.account)
            and wanted.state in (None, payment.state)
            and (payment.undecided or not wanted.undecided)
            and (wanted.before is None or payment.number < wanted.before)
            and (wanted.from_ms is None or payment.created_at_ms >= wanted.from_ms)
            and (wanted.until_ms is None or payment.created_at_ms < wanted.until_ms)
            and (text in payment.receiver.lower() or text in payment.memo.lower())
        ]
        found.sort(key=lambda payment: -payment.number)
        return found[: min(wanted.limit, PAGE_MAX)]

    def _save(self, payment: Payment) -> Payment:
        self._state.payments[payment.number] = payment
        return payment

    def _own(self) -> int:
        own = self._state.node.current
        if own is None or self._state.nodes[own].ended_at_ms is not None:
            raise NodeFenced("this process has not signed on, so it may make no payments")
        return own

    # --- Received payments

    async def received_payment(
        self, account: AccountId, connection: str
    ) -> ReceivedPayment | None:
        return self._state.received.get((account, connection))

    async def received_payments(self, wanted: ReceivedFilter) -> Sequence[ReceivedPayment]:
        found = [
            row
            for row in self._state.received.values()
            if wanted.account in (None, row.account)
            and wanted.invoice in (None, row.invoice)
            and (wanted.before is None or row.number < wanted.before)
            and (wanted.from_ms is None or row.first_at_ms >= wanted.from_ms)
            and (wanted.until_ms is None or row.first_at_ms < wanted.until_ms)
        ]
        found.sort(key=lambda row: -row.number)
        return found[: min(wanted.limit, PAGE_MAX)]

    async def note_connection(
        self, account: AccountId, connection: str, *, payer_text: str = "", closes: bool = False
    ) -> None:
        row = self._state.received.get((account, connection))
        if row is None:
            return
        is_first_close = closes and row.closed_at_ms is None
        self._state.received[account, connection] = replace(
            row,
            closed_at_ms=self._clock.now_ms() if is_first_close else row.closed_at_ms,
            payer_text=max(row.payer_text, payer_text, key=len),
        )

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
        now_ms = self._clock.now_ms()
        if account not in self._state.accounts:
            raise UnknownAccount(account)
        still_open = sum(
            row.account == account and row.state(now_ms) is InvoiceState.OPEN
            for row in self._state.invoices.values()
        )
        refuse_too_many_invoices(still_open, open_max)
        self._invoices_made += 1
        invoice = Invoice(
            number=self._invoices_made,
            id=invoice_id,
            account=account,
            amount=amount,
            received=0,
            description=description,
            created_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
            cancelled_at_ms=None,
            paid_at_ms=None,
        )
        self._state.invoices[invoice_id] = invoice
        return invoice

    async def invoice(self, invoice_id: str) -> Invoice | None:
        return self._state.invoices.get(invoice_id)

    async def invoices(self, wanted: InvoiceFilter) -> Sequence[Invoice]:
        found = [
            row
            for row in self._state.invoices.values()
            if wanted.account in (None, row.account)
            and wanted.state in (None, row.state(wanted.now_ms))
            and (wanted.before is None or row.number < wanted.before)
        ]
        found.sort(key=lambda row: -row.number)
        return found[: min(wanted.limit, PAGE_MAX)]

    async def cancel_invoice(self, invoice_id: str) -> Invoice | None:
        invoice = self._state.invoices.get(invoice_id)
        if invoice is None:
            return None
        after = cancelled(invoice, now_ms=self._clock.now_ms())
        self._state.invoices[invoice_id] = after
        return after

    # --- Age

    async def prune_payments(self, *, before_ms: int, rows_max: int) -> int:
        payments = [
            number
            for number, row in self._state.payments.items()
            if row.ended_at_ms is not None
            and row.ended_at_ms < before_ms
            and not row.in_flight
            and not row.undecided
            and number < self._payments_made
        ][:rows_max]
        for number in payments:
            del self._state.payments[number]
        gone = set(payments)
        self._orders = {key: at for key, at in self._orders.items() if at[0] not in gone}
        left = rows_max - len(payments)
        received = [
            key for key, row in self._state.received.items() if row.last_at_ms < before_ms
        ][:left]
        for key in received:
            del self._state.received[key]
        left -= len(received)
        invoices = [
            row.id
            for row in self._state.invoices.values()
            if row.ended_at_ms is not None and row.ended_at_ms < before_ms
        ][:left]
        for invoice_id in invoices:
            del self._state.invoices[invoice_id]
        return len(payments) + len(received) + len(invoices)

    async def prune_received(self, *, account_max: int, rows_max: int) -> int:
        live_since_ms = self._clock.now_ms() - LIVE_MS
        of_account: dict[AccountId, list[ReceivedPayment]] = {}
        for row in self._state.received.values():
            of_account.setdefault(row.account, []).append(row)
        gone: list[ReceivedPayment] = []
        for rows in of_account.values():
            rows.sort(
                key=lambda row: (
                    row.closed_at_ms is None and row.last_at_ms > live_since_ms,
                    len(str(row.received)),
                    row.last_at_ms,
                    row.number,
                )
            )
            gone += rows[: max(0, len(rows) - account_max)]
        for row in gone[:rows_max]:
            del self._state.received[row.account, row.connection]
        return min(len(gone), rows_max)
