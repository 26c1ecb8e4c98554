"""The operator's payments: quote, pay, watch, cancel, look back, and be paid."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, TypeVar, final

from core.account import Account, AccountDirectory, AccountId, Asset, format_amount
from core.clock import Clock
from core.control.accounts import find_account
from core.control.payment_orders import order_hash, read_invoice, read_key, read_order
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
    ReceiptView,
    ReceiveAddress,
    ReceivedPage,
    ReceivedQuery,
    ReceivedView,
    UndecidedOfPayment,
    UndecidedOfPeer,
    UndecidedSums,
)
from core.control.payments_operator import PaymentOperator
from core.control.place import Place
from core.control.routes import asset_of, name_of
from core.errors import Conflict, NotFound
from core.ledger.books import Books
from core.payments.notices import Notices
from core.payments.payer import Found, Order, Payer
from core.payments.records import (
    Invoice,
    InvoiceState,
    Payment,
    PaymentState,
    ReceivedPayment,
)
from core.payments.store import (
    InvoiceFilter,
    PaymentFilter,
    PaymentStore,
    ReceivedFilter,
)
from core.rates.rate import RateTable
from core.services.incoming_payments import IncomingPayment
from core.stream.sender.receipts import receipt_total
from core.stream.sender.terms import Quote

log = logging.getLogger(__name__)

ROWS_MAX: Final = 1_000
INVOICES_OPEN_MAX: Final = 10_000
"""Of one account; each is a row, and nothing more is kept of it."""
QUOTE_MS: Final = 30_000
"""Rates move: a quote that is older says little."""
WAIT_SECONDS_MAX: Final = 60.0
ROUNDING_TOLD: Final = Fraction(1, 100)
"""What is less is within what any path keeps."""

Row = TypeVar("Row", Payment, ReceivedPayment, Invoice)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDesk(PaymentOperator):
    """What the operator does with payments."""

    directory: AccountDirectory
    store: PaymentStore
    books: Books
    rates: RateTable
    payer: Payer
    notices: Notices
    place: Place
    clock: Clock

    # --- Paying

    async def quote_payment(self, order: PaymentOrder) -> PaymentQuote:
        account = find_account(self.directory, order.username)
        checked = read_order(order, account)
        found = await self.payer.quote(checked)
        balance = await self.books.balance(account.id)
        return self._quote(account, checked, found, balance.available(account.min_balance))

    async def start_payment(
        self, order: PaymentOrder, *, idempotency_key: str | None = None
    ) -> PaymentView:
        account = find_account(self.directory, order.username)
        checked, key = read_order(order, account), read_key(idempotency_key)
        payment = await self.payer.start(checked, key=key, body_hash=order_hash(checked))
        return self._view(payment)

    async def payment(self, payment_id: str) -> PaymentView:
        return self._view(await self.payer.find(payment_id))

    async def wait_for_payment(
        self, payment_id: str, *, after_change: int, seconds: float
    ) -> PaymentView:
        seconds = min(max(seconds, 0.0), WAIT_SECONDS_MAX)
        found = await self.payer.wait(payment_id, after_version=after_change, seconds=seconds)
        return self._view(found)

    async def wait_until_ended(self, payment_id: str) -> PaymentView:
        """Return it once it has ended, however long that takes."""
        return self._view(await self.payer.wait(payment_id, after_version=None, seconds=None))

    async def cancel_payment(self, payment_id: str) -> PaymentView:
        payment = await self.payer.cancel(payment_id)
        log.info("payment %s was cancelled by the operator", payment_id)
        return self._view(payment)

    async def payments(self, query: PaymentQuery) -> PaymentPage:
        limit = _limit(query.limit)
        found = await self.store.payments(
            PaymentFilter(
                account=self._account_id(query.username),
                state=query.state,
                text=query.text,
                undecided=query.undecided,
                from_ms=query.from_ms,
                until_ms=query.until_ms,
                before=query.before,
                limit=limit + 1,
            )
        )
        rows, following = _page(found, limit)
        return PaymentPage(tuple(self._view(row) for row in rows), following)

    async def undecided_sums(self) -> UndecidedSums:
        balances = await self.books.balances()
        payments = await self.store.payments(PaymentFilter(undecided=True, limit=ROWS_MAX))
        return UndecidedSums(
            peers=[
                UndecidedOfPeer(
                    username=account.username,
                    asset=account.asset,
                    amount=balances[account.id].unknown_out,
                )
                for account in self.directory.all()
                if account.id in balances and balances[account.id].unknown_out
            ],
            payments=[
                UndecidedOfPayment(
                    id=payment.id,
                    username=name_of(self.directory, payment.account),
                    receiver=payment.receiver,
                    asset=self._asset(payment.account),
                    amount=payment.undecided,
                )
                for payment in payments
            ],
        )

    # --- Being paid

    async def received_payments(self, query: ReceivedQuery) -> ReceivedPage:
        limit = _limit(query.limit)
        found = await self.store.received_payments(
            ReceivedFilter(
                account=self._account_id(query.username),
                invoice=query.invoice,
                from_ms=query.from_ms,
                until_ms=query.until_ms,
                before=query.before,
                limit=limit + 1,
            )
        )
        rows, following = _page(found, limit)
        return ReceivedPage(tuple(self._received(row) for row in rows), following)

    async def receive_address(self, username: str) -> ReceiveAddress:
        account = find_account(self.directory, username)
        pointer, url = self.place.of_account(account.username)
        return ReceiveAddress(username=account.username, payment_pointer=pointer, url=url)

    async def create_invoice(self, order: InvoiceOrder) -> InvoiceView:
        account = find_account(self.directory, order.username)
        amount, description, expires_at_ms = read_invoice(order, self.clock.now_ms())
        invoice = await self.store.create_invoice(
            invoice_id=str(uuid.uuid4()),
            account=account.id,
            amount=amount,
            description=description,
            expires_at_ms=expires_at_ms,
            open_max=INVOICES_OPEN_MAX,
        )
        return self._invoice(invoice)

    async def invoice(self, invoice_id: str) -> InvoiceView:
        return self._invoice(await self._found_invoice(invoice_id))

    async def cancel_invoice(self, invoice_id: str) -> InvoiceView:
        before = await self._found_invoice(invoice_id)
        state = before.state(self.clock.now_ms())
        if state is not InvoiceState.OPEN:
            raise Conflict(f"the invoice is {state.value} already")
        return self._invoice(await self.store.cancel_invoice(invoice_id) or before)

    async def invoices(self, query: InvoiceQuery) -> InvoicePage:
        limit = _limit(query.limit)
        found = await self.store.invoices(
            InvoiceFilter(
                now_ms=self.clock.now_ms(),
                account=self._account_id(query.username),
                state=query.state,
                before=query.before,
                limit=limit + 1,
            )
        )
        rows, following = _page(found, limit)
        return InvoicePage(tuple(self._invoice(row) for row in rows), following)

    @asynccontextmanager
    async def watch_incoming(
        self, username: str | None = None
    ) -> AsyncIterator[AsyncIterator[IncomingNotice]]:
        account = self._account_id(username)
        with self.notices.watch(account) as watcher:
            yield (self._notice(payment) async for payment in watcher)

    # --- How it is shown

    def _account_id(self, username: str | None) -> AccountId | None:
        return None if username is None else find_account(self.directory, username).id

    def _asset(self, account: AccountId) -> Asset:
        return asset_of(self.directory, account)

    def _quote(
        self, account: Account, order: Order, found: Found, available: int | None
    ) -> PaymentQuote:
        quote, asset = found.quote, account.asset
        receiver_asset = quote.destination_asset or found.details.asset
        market = None if receiver_asset is None else self.rates.rate(asset, receiver_asset)
        fixed_delivery = order.delivered_amount is not None
        expected = quote.source_estimate if fixed_delivery else quote.source_amount
        problems = []
        if available is not None and available < quote.source_amount:
            problems.append(
                f"{account.name} has {format_amount(available, asset)} left to send, and up to"
                f" {format_amount(quote.source_amount, asset)} may be needed."
            )
        return PaymentQuote(
            username=account.username,
            asset=asset,
            receiver=order.receiver,
            destination=found.details.destination,
            receiver_asset=receiver_asset,
            source_amount=quote.source_amount,
            delivered_amount=quote.delivered_estimate,
            delivered_amount_min=quote.delivered_min,
            rate=quote.rate_low,
            min_rate=quote.min_rate,
            fees=None if not market else max(Fraction(0), 1 - quote.rate_low / market),
            packet_amount_max=quote.path_maximum,
            available=available,
            expires_at_ms=quote.quoted_at_ms + QUOTE_MS,
            sentence=(
                f"{format_amount(expected, asset)} {'are needed for' if fixed_delivery else 'buy'}"
                f" {_words(quote.delivered_estimate, receiver_asset)}, of which at least"
                f" {_words(quote.delivered_min, receiver_asset)} arrive."
            ),
            problems=tuple(problems),
            lost_by_rounding=quote.lost_by_rounding,
            warnings=_warnings(quote, asset, receiver_asset),
        )

    def _view(self, payment: Payment) -> PaymentView:
        pace = self.payer.pace(payment.id)
        asset, receiver_asset = self._asset(payment.account), _receiver_asset(payment)
        if pace is not None and not payment.state.is_final:
            # Newer than what is written down; of the money that is sent, the books alone say how much.
            payment = replace(
                payment,
                packets=pace.packets,
                rejects=pace.rejects,
                delivered=max(pace.delivered, payment.delivered),
                delivered_for=max(pace.delivered_for, payment.delivered_for),
                delivered_is_least=payment.delivered_is_least or not pace.delivered_exact,
            )
        return PaymentView(
            id=payment.id,
            username=name_of(self.directory, payment.account),
            asset=asset,
            receiver=payment.receiver,
            destination=payment.destination,
            receiver_asset=receiver_asset,
            source_amount=payment.source_amount,
            delivered_amount=payment.delivered_amount,
            source_amount_max=payment.source_amount_max,
            slippage=payment.slippage,
            min_rate=payment.min_rate,
            memo=payment.memo,
            state=payment.state,
            cancel_requested=payment.cancel_requested,
            sent=payment.sent,
            in_flight=payment.in_flight,
            undecided=payment.undecided,
            late=payment.late,
            delivered=payment.delivered,
            delivered_exact=payment.is_delivered_exact,
            packets=payment.packets,
            rejects=payment.rejects,
            packets_per_second=0.0 if pace is None else pace.packets_per_second,
            reject_code=payment.reject_code,
            triggered_by=payment.triggered_by,
            reason=payment.reason,
            sentence=_sentence(payment, asset, receiver_asset),
            progress=_progress(payment),
            change=payment.version,
            created_at_ms=payment.created_at_ms,
            updated_at_ms=payment.updated_at_ms,
            ended_at_ms=payment.ended_at_ms,
            violations=payment.violations,
            receipts=[
                ReceiptView(stream, receipt_total(receipt), receipt)
                for stream, receipt in sorted(payment.receipts.items())
            ],
            receiver_text=payment.receiver_text,
        )

    def _received(self, row: ReceivedPayment) -> ReceivedView:
        return ReceivedView(
            number=row.number,
            username=name_of(self.directory, row.account),
            from_username=name_of(self.directory, row.from_account),
            asset=self._asset(row.account),
            received=row.received,
            packets=row.packets,
            destination=row.destination,
            connection=row.connection,
            invoice=row.invoice,
            first_at_ms=row.first_at_ms,
            last_at_ms=row.last_at_ms,
            closed=row.closed_at_ms is not None,
            payer_text=row.payer_text,
        )

    async def _found_invoice(self, invoice_id: str) -> Invoice:
        invoice = await self.store.invoice(invoice_id)
        if invoice is None:
            raise NotFound(f"there is no invoice {invoice_id!r}")
        return invoice

    def _invoice(self, invoice: Invoice) -> InvoiceView:
        username = name_of(self.directory, invoice.account)
        asset = self._asset(invoice.account)
        pointer, url = self.place.of_invoice(username, invoice.id)
        state = invoice.state(self.clock.now_ms())
        return InvoiceView(
            id=invoice.id,
            username=username,
            asset=asset,
            amount=invoice.amount,
            received=invoice.received,
            description=invoice.description,
            state=state,
            payment_pointer=pointer,
            url=url,
            sentence=(
                f"{format_amount(invoice.received, asset)} of"
                f" {format_amount(invoice.amount, asset)} paid; it is {state.value}."
            ),
            created_at_ms=invoice.created_at_ms,
            expires_at_ms=invoice.expires_at_ms,
            paid_at_ms=invoice.paid_at_ms,
            cancelled_at_ms=invoice.cancelled_at_ms,
        )

    def _notice(self, payment: IncomingPayment) -> IncomingNotice:
        return IncomingNotice(
            to_username=name_of(self.directory, payment.to_account),
            from_username=name_of(self.directory, payment.from_account),
            destination=payment.destination,
            amount=payment.amount,
            asset=self._asset(payment.to_account),
            at_ms=payment.at_ms,
            sequence=payment.sequence,
            connection_closed=payment.closes,
            connection=payment.connection,
            received=payment.received,
            invoice=payment.invoice,
        )


def _limit(limit: int) -> int:
    return min(max(limit, 1), ROWS_MAX)


def _page(found: Sequence[Row], limit: int) -> tuple[Sequence[Row], int | None]:
    """Return a page's rows, and where the next one begins."""
    rows = found[:limit]
    return rows, rows[-1].number if len(found) > limit else None


def _receiver_asset(payment: Payment) -> Asset | None:
    code, scale = payment.receiver_asset_code, payment.receiver_asset_scale
    return None if code is None or scale is None else Asset(code, scale)


def _words(amount: int, asset: Asset | None) -> str:
    return f"{amount} units" if asset is None else format_amount(amount, asset)


def _delivered(payment: Payment, asset: Asset | None) -> str:
    """Say what was delivered, also where it is not known yet what the receiver counts."""
    if not payment.delivered and asset is None and payment.is_delivered_exact:
        return "nothing"
    least = "" if payment.is_delivered_exact else "at least "
    return f"{least}{_words(payment.delivered, asset)}"


def _warnings(quote: Quote, asset: Asset, receiver_asset: Asset | None) -> Sequence[str]:
    """Say what rounding may take, where it is more than slippage would hide."""
    if quote.lost_by_rounding < ROUNDING_TOLD:
        return ()
    permille = math.ceil(quote.lost_by_rounding * 1000)
    packet = format_amount(quote.packet_amount, asset)
    warning = (
        f"Up to {permille // 10}.{permille % 10} % of what is sent may be lost to rounding: a packet of"
        f" {packet} buys {_words(quote.packet_units, receiver_asset)}, and less than the receiver's"
        " smallest unit is not delivered."
    )
    return (warning,)


def _progress(payment: Payment) -> float:
    """Return how far it is: a figure for the eye."""
    if payment.state is PaymentState.COMPLETED:
        return 1.0
    if payment.source_amount is not None:
        return payment.sent / payment.source_amount
    return min(1.0, payment.delivered / (payment.delivered_amount or 1))


def _sentence(payment: Payment, asset: Asset, receiver_asset: Asset | None) -> str:
    """Say how it stands, with what is not known of it."""
    ordered = (
        f"of {format_amount(payment.source_amount, asset)} "
        if payment.source_amount is not None
        else ""
    )
    text = f"{format_amount(payment.sent, asset)} {ordered}sent, {_delivered(payment, receiver_asset)}"
    if payment.delivered_amount is not None:
        text += f" of {_words(payment.delivered_amount, receiver_asset)}"
    text += " delivered"
    if payment.in_flight:
        text += f", {format_amount(payment.in_flight, asset)} on the way"
    if payment.undecided:
        text += (
            f"; what became of {format_amount(payment.undecided, asset)} more is not known:"
            " the account was not charged for it, and the receiver may have it"
        )
    if payment.late:
        text += (
            f"; {format_amount(payment.late, asset)} more were fulfilled too late, and were not"
            " charged to the account"
        )
    return f"{text}."
