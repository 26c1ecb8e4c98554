"""Payments of the fake node: two of everything, and a payment that goes on by itself when it is waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from fractions import Fraction
from typing import Any

from core.account import Asset
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
    ReceivedView,
    UndecidedOfPayment,
    UndecidedSums,
)
from core.control.payments_operator import PaymentOperator
from core.control.views import AccountView
from core.errors import Conflict, NotFound, PaymentImpossible
from core.payments.records import SLIPPAGE_DEFAULT, InvoiceState, PaymentState

EUR = Asset("EUR", 2)
RATE = Fraction(9, 10)


class FakePayments(PaymentOperator):
    """What FakeOperator knows of payments."""

    views: dict[str, AccountView]

    def begin_payments(self, now_ms: int) -> None:
        """Start without any."""
        self._now_ms = now_ms
        self.payment_views: list[PaymentView] = []
        self.invoice_views: list[InvoiceView] = []
        self.received_views: list[ReceivedView] = []
        self.keys: dict[str, str] = {}
        self.quote_changes: dict[str, Any] = {}

    def add_payments(self, count: int) -> None:
        """Have so many payments, requests and receipts in the past."""
        names = sorted(self.views) or ["alice"]
        ends = (
            PaymentState.COMPLETED,
            PaymentState.COMPLETED,
            PaymentState.FAILED,
            PaymentState.CANCELLED,
            PaymentState.INTERRUPTED,
        )
        for number in range(count):
            state, name = ends[number % len(ends)], names[number % len(names)]
            at_ms = self._now_ms - (count - number) * 60_000
            asset = self._asset(name)
            amount = 10 ** max(0, asset.scale) + number
            sent = amount if state is PaymentState.COMPLETED else amount // 3
            done = state is PaymentState.COMPLETED
            self.payment_views.append(
                replace(
                    self._payment(name, f"$wallet{number % 7}.example/bob", amount, number),
                    state=state,
                    sent=sent,
                    delivered=int(sent * RATE),
                    delivered_exact=state is not PaymentState.INTERRUPTED,
                    progress=sent / amount,
                    reject_code="" if done else "T04",
                    triggered_by="" if done else "test.far",
                    reason="" if done else "The way to the receiver ran out of liquidity.",
                    sentence="All of it was sent." if done else "Part of it was sent.",
                    memo=f"invoice {number}",
                    created_at_ms=at_ms,
                    updated_at_ms=at_ms + 2_000,
                    ended_at_ms=at_ms + 2_000,
                )
            )
            self.received_views.append(
                ReceivedView(
                    number=number + 1,
                    username=name,
                    from_username=names[-1],
                    asset=asset,
                    received=amount,
                    packets=number + 1,
                    destination=f"test.signalbox.alice.{name}.{number:06}",
                    connection=f"{number:016x}",
                    invoice=None,
                    first_at_ms=at_ms,
                    last_at_ms=at_ms + 900,
                    closed=bool(number % 2),
                )
            )
            self._add_invoice(
                name, amount, f"order {number}", at_ms, list(InvoiceState)[number % 4]
            )

    # --- PaymentOperator

    async def quote_payment(self, order: PaymentOrder) -> PaymentQuote:
        self._called("quote_payment", order)
        if "nobody" in order.receiver:
            raise PaymentImpossible(
                f"{order.receiver} cannot be found: its host does not answer"
            )
        asset = self._asset(order.username)
        amount = (
            order.source_amount
            if order.source_amount is not None
            else int((order.delivered_amount or 0) / RATE) + 1
        )
        delivered = int(amount * RATE)
        slippage = SLIPPAGE_DEFAULT if order.slippage is None else order.slippage
        quote = PaymentQuote(
            username=order.username,
            asset=asset,
            receiver=order.receiver,
            destination="test.wallet.bob.0123456789abcdef",
            receiver_asset=EUR,
            source_amount=amount,
            delivered_amount=delivered,
            delivered_amount_min=int(delivered * (1 - slippage)),
            rate=RATE,
            min_rate=RATE * (1 - slippage),
            fees=Fraction(1, 200),
            packet_amount_max=10**6,
            available=None,
            expires_at_ms=self._now_ms + 30_000,
            sentence=f"{amount} buy {delivered}, of which most arrives.",
            problems=() if amount < 10**12 else ("That is more than the account may send.",),
        )
        return replace(quote, **self.quote_changes)

    async def start_payment(
        self, order: PaymentOrder, *, idempotency_key: str | None = None
    ) -> PaymentView:
        self._called("start_payment", order)
        if idempotency_key in self.keys:
            return await self.payment(self.keys[idempotency_key])
        amount = order.source_amount or order.delivered_amount or 0
        view = self._payment(
            order.username, order.receiver, amount, len(self.payment_views) + 1
        )
        view = replace(view, memo=order.memo, state=PaymentState.PENDING)
        self.payment_views.append(view)
        if idempotency_key is not None:
            self.keys[idempotency_key] = view.id
        return view

    async def payment(self, payment_id: str) -> PaymentView:
        for view in self.payment_views:
            if view.id == payment_id:
                return view
        raise NotFound(f"there is no payment {payment_id}")

    async def wait_for_payment(
        self, payment_id: str, *, after_change: int, seconds: float
    ) -> PaymentView:
        """A quarter of it is sent each time."""
        await asyncio.sleep(0.01)
        view = await self.payment(payment_id)
        if view.state.is_final:
            return view
        total = view.source_amount or 1
        sent = min(total, view.sent + total // 4 + 1)
        state = PaymentState.COMPLETED if sent == total else PaymentState.SENDING
        if view.cancel_requested:
            sent, state = view.sent, PaymentState.CANCELLED
        return self._put(
            replace(
                view,
                sent=sent,
                delivered=int(sent * RATE),
                state=state,
                progress=sent / total,
                packets=view.packets + 5,
                change=view.change + 1,
                ended_at_ms=self._now_ms if state.is_final else None,
                sentence=f"{sent} of {total} sent.",
            )
        )

    async def wait_until_ended(self, payment_id: str) -> PaymentView:
        view = await self.payment(payment_id)
        while not view.state.is_final:
            view = await self.wait_for_payment(payment_id, after_change=view.change, seconds=1)
        return view

    async def cancel_payment(self, payment_id: str) -> PaymentView:
        self._called("cancel_payment", payment_id)
        view = await self.payment(payment_id)
        if view.state.is_final:
            raise Conflict("the payment has ended already")
        return self._put(replace(view, cancel_requested=True, change=view.change + 1))

    async def payments(self, query: PaymentQuery) -> PaymentPage:
        self._called("payments", query)
        rows = self.payment_views[::-1]
        start = query.before or 0
        end = start + query.limit
        return PaymentPage(rows[start:end], end if end < len(rows) else None)

    async def undecided_sums(self) -> UndecidedSums:
        payments = [
            UndecidedOfPayment(
                id=view.id,
                username=view.username,
                receiver=view.receiver,
                asset=view.asset,
                amount=view.undecided,
            )
            for view in self.payment_views
            if view.undecided
        ]
        return UndecidedSums(peers=(), payments=payments)

    async def received_payments(self, query: ReceivedQuery) -> ReceivedPage:
        rows = self.received_views[::-1]
        start = query.before or 0
        end = start + query.limit
        return ReceivedPage(rows[start:end], end if end < len(rows) else None)

    async def receive_address(self, username: str) -> ReceiveAddress:
        return ReceiveAddress(
            username=username,
            payment_pointer=f"$node.example/{username}",
            url=f"https://node.example/{username}",
        )

    async def create_invoice(self, order: InvoiceOrder) -> InvoiceView:
        self._called("create_invoice", order)
        return self._add_invoice(
            order.username, order.amount, order.description, self._now_ms, InvoiceState.OPEN
        )

    async def invoice(self, invoice_id: str) -> InvoiceView:
        for view in self.invoice_views:
            if view.id == invoice_id:
                return view
        raise NotFound(f"there is no invoice {invoice_id}")

    async def cancel_invoice(self, invoice_id: str) -> InvoiceView:
        self._called("cancel_invoice", invoice_id)
        view = replace(await self.invoice(invoice_id), state=InvoiceState.CANCELLED)
        self.invoice_views = [view if v.id == view.id else v for v in self.invoice_views]
        return view

    async def invoices(self, query: InvoiceQuery) -> InvoicePage:
        rows = self.invoice_views[::-1]
        start = query.before or 0
        end = start + query.limit
        return InvoicePage(rows[start:end], end if end < len(rows) else None)

    def watch_incoming(
        self, username: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[IncomingNotice]]:
        notices: list[IncomingNotice] = []

        async def nothing() -> AsyncIterator[IncomingNotice]:
            for notice in notices:
                yield notice

        return contextlib.nullcontext(nothing())

    # --- Within

    def _called(self, name: str, *arguments: object) -> None:
        raise NotImplementedError

    def _asset(self, username: str) -> Asset:
        view: Mapping[str, AccountView] = self.views
        return view[username].account.asset if username in view else Asset("USD", 2)

    def _put(self, view: PaymentView) -> PaymentView:
        self.payment_views = [view if v.id == view.id else v for v in self.payment_views]
        return view

    def _payment(self, username: str, receiver: str, amount: int, number: int) -> PaymentView:
        return PaymentView(
            id=f"payment-{number}",
            username=username,
            asset=self._asset(username),
            receiver=receiver,
            destination="test.wallet.bob.0123456789abcdef",
            receiver_asset=EUR,
            source_amount=amount,
            delivered_amount=None,
            source_amount_max=amount,
            slippage=SLIPPAGE_DEFAULT,
            min_rate=RATE,
            memo="",
            state=PaymentState.SENDING,
            cancel_requested=False,
            sent=0,
            in_flight=0,
            undecided=0,
            delivered=0,
            delivered_exact=True,
            packets=0,
            rejects=0,
            packets_per_second=12.0,
            reject_code="",
            triggered_by="",
            reason="",
            sentence="The receiver is being looked up.",
            progress=0.0,
            change=1,
            created_at_ms=self._now_ms,
            updated_at_ms=self._now_ms,
            ended_at_ms=None,
        )

    def _add_invoice(
        self, username: str, amount: int, description: str, at_ms: int, state: InvoiceState
    ) -> InvoiceView:
        number = len(self.invoice_views) + 1
        paid = state is InvoiceState.PAID
        view = InvoiceView(
            id=f"invoice-{number}",
            username=username,
            asset=self._asset(username),
            amount=amount,
            received=amount if paid else 0,
            description=description,
            state=state,
            payment_pointer=f"$node.example/{username}/invoice-{number}",
            url=f"https://node.example/{username}/invoice-{number}",
            sentence="It was paid in full." if paid else "Nothing was paid of it yet.",
            created_at_ms=at_ms,
            expires_at_ms=None,
            paid_at_ms=at_ms + 5_000 if paid else None,
            cancelled_at_ms=None,
        )
        self.invoice_views.append(view)
        return view
