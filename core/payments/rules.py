"""What may become of a payment and of a request for money: decided here once, and written down by each store.

A change returns what it was handed where nothing changes: one that has ended stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from core.errors import Conflict
from core.payments.records import (
    Ending,
    Invoice,
    InvoiceState,
    NewPayment,
    Payment,
    PaymentState,
    Progress,
    Route,
)
from core.service import PaymentNumber

INTERRUPTED: Final = Ending(
    state=PaymentState.INTERRUPTED,
    reason="The node process that made it ended before the payment did, and nobody goes on with it.",
)
"""Money does not start to leave an account again while nobody waits for it: to pay the rest is a new order."""
SIGNED_ON_ANEW: Final = Ending(
    state=PaymentState.INTERRUPTED,
    reason="The node was declared dead and signed on anew before the payment ended: it sends nothing more of it.",
)
"""The books refuse its packets from then on, which is no fault of the receiver's or the path's."""


# --- What is refused


def refuse_other_order(key: str, known: bytes, given: bytes) -> None:
    """Refuse a key that has made another payment; raises Conflict."""
    if known != given:
        raise Conflict(
            f"the idempotency key {key!r} was used for another order: take a new key for a new payment"
        )


def refuse_too_many(
    still_open: int, open_max: int, of_account: int, account_open_max: int
) -> None:
    """Refuse one payment more than may be under way; raises Conflict."""
    if of_account >= account_open_max:
        raise Conflict(
            f"{of_account} payments of this account are under way, and no more may be at once:"
            " wait for one to end, or cancel it"
        )
    if still_open >= open_max:
        raise Conflict(
            f"{still_open} payments are under way, and no more may be at once: wait for one to end"
        )


def refuse_too_many_invoices(still_open: int, open_max: int) -> None:
    """Refuse one invoice more than may be open; raises Conflict."""
    if still_open >= open_max:
        raise Conflict(
            f"{still_open} invoices of this account are open, and no more may be:"
            " cancel some, or give them an expiry"
        )


# --- From a payment's order to its end


def begun(new: NewPayment, *, number: PaymentNumber, node: int, now_ms: int) -> Payment:
    """Return an order as the payment that a process begins."""
    return Payment(
        number=number,
        id=new.id,
        account=new.account,
        node=node,
        receiver=new.receiver,
        destination="",
        source_amount=new.source_amount,
        delivered_amount=new.delivered_amount,
        source_amount_max=new.source_amount_max,
        slippage=new.slippage,
        min_rate=None,
        memo=new.memo,
        state=PaymentState.PENDING,
        cancel_requested=False,
        sent=0,
        in_flight=0,
        undecided=0,
        late=0,
        delivered=0,
        delivered_for=0,
        receiver_asset_code=None,
        receiver_asset_scale=None,
        packets=0,
        rejects=0,
        reject_code="",
        triggered_by="",
        reason="",
        version=1,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        ended_at_ms=None,
    )


def allowed(payment: Payment, route: Route, *, node: int, now_ms: int) -> Payment:
    """Let a PENDING payment of this process send, never more than was ordered."""
    if payment.state is not PaymentState.PENDING or payment.node != node:
        return payment
    return _changed(
        payment,
        now_ms,
        state=PaymentState.SENDING,
        destination=route.destination,
        min_rate=route.min_rate,
        source_amount_max=min(payment.source_amount_max, route.source_amount_max),
        receiver_asset_code=route.receiver_asset_code,
        receiver_asset_scale=route.receiver_asset_scale,
    )


def advanced(payment: Payment, progress: Progress, *, now_ms: int) -> Payment:
    """Note how far it is; what is older than what is known takes nothing back."""
    if payment.state.is_final or progress.delivered_for < payment.delivered_for:
        return payment
    return _changed(
        payment,
        now_ms,
        delivered=progress.delivered,
        delivered_for=progress.delivered_for,
        packets=progress.packets,
        rejects=progress.rejects,
        delivered_is_least=progress.delivered_is_least,
        violations=progress.violations,
        receipts=progress.receipts,
        receiver_text=progress.receiver_text,
    )


def ended(payment: Payment, ending: Ending, *, now_ms: int, node: int | None = None) -> Payment:
    """End it, once; `node` is who says so, where that is the process that made it: as the number it has now."""
    if payment.state.is_final:
        return payment
    if ending.state is PaymentState.FAILED and node not in (None, payment.node):
        ending = SIGNED_ON_ANEW
    if ending.receiver_asset is not None and payment.receiver_asset_code is None:
        payment = replace(
            payment,
            receiver_asset_code=ending.receiver_asset.code,
            receiver_asset_scale=ending.receiver_asset.scale,
        )
    return _changed(
        payment,
        now_ms,
        state=ending.state,
        reason=ending.reason,
        reject_code=ending.reject_code,
        triggered_by=ending.triggered_by,
        ended_at_ms=now_ms,
    )


def cancelling(payment: Payment, *, now_ms: int) -> Payment:
    """Let no further packet of it be booked."""
    if payment.state.is_final or payment.cancel_requested:
        return payment
    return _changed(payment, now_ms, cancel_requested=True)


def _changed(payment: Payment, now_ms: int, **changes: Any) -> Payment:
    return replace(payment, version=payment.version + 1, updated_at_ms=now_ms, **changes)


# --- Requests for money


def cancelled(invoice: Invoice, *, now_ms: int) -> Invoice:
    """Cancel one that is open."""
    if invoice.state(now_ms) is not InvoiceState.OPEN:
        return invoice
    return replace(invoice, cancelled_at_ms=now_ms)
