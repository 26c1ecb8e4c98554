"""Payments as JSON: interledger-rs's shapes where it has them, and our own, in which amounts are text."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from fractions import Fraction

from core.account import Asset, format_number
from core.control.payment_views import (
    IncomingNotice,
    InvoiceView,
    PaymentQuote,
    PaymentView,
    ReceiveAddress,
    ReceivedView,
    UndecidedSums,
)
from core.links.control_http.as_json import Json, asset_json


def delivery_json(payment: PaymentView, sender: str) -> Json:
    """Return what interledger-rs answers for a payment that is done; `sender` is its ILP address."""
    asset, receiver_asset = payment.asset, payment.receiver_asset
    return {
        "from": sender,
        "to": payment.destination,
        "source_asset_scale": asset.scale,
        "source_asset_code": asset.code,
        "source_amount": payment.source_amount or payment.source_amount_max,
        "sent_amount": payment.sent,
        "in_flight_amount": payment.in_flight,
        "delivered_amount": payment.delivered,
        "destination_asset_scale": None if receiver_asset is None else receiver_asset.scale,
        "destination_asset_code": None if receiver_asset is None else receiver_asset.code,
        "payment": payment.id,
    }


def payment_json(payment: PaymentView) -> Json:
    """Return a payment and how far it is."""
    return {
        "id": payment.id,
        "username": payment.username,
        **asset_json(payment.asset),
        "receiver": payment.receiver,
        "destination": payment.destination,
        "receiver_asset": _asset(payment.receiver_asset),
        "source_amount": _amount(payment.source_amount),
        "delivered_amount": _amount(payment.delivered_amount),
        "source_amount_max": str(payment.source_amount_max),
        "slippage": _fraction(payment.slippage),
        "min_rate": _fraction(payment.min_rate),
        "memo": payment.memo,
        "state": payment.state.value,
        "cancel_requested": payment.cancel_requested,
        "sent": str(payment.sent),
        "in_flight": str(payment.in_flight),
        "undecided": str(payment.undecided),
        "late": str(payment.late),
        "delivered": str(payment.delivered),
        "delivered_exact": payment.delivered_exact,
        "exact": {
            "sent": format_number(payment.sent, payment.asset.scale),
            "delivered": None
            if payment.receiver_asset is None
            else format_number(payment.delivered, payment.receiver_asset.scale),
        },
        "packets": payment.packets,
        "rejects": payment.rejects,
        "packets_per_second": payment.packets_per_second,
        "reject_code": payment.reject_code,
        "triggered_by": payment.triggered_by,
        "reason": payment.reason,
        "sentence": payment.sentence,
        "progress": payment.progress,
        "change": payment.change,
        "created_at_ms": payment.created_at_ms,
        "updated_at_ms": payment.updated_at_ms,
        "ended_at_ms": payment.ended_at_ms,
        "violations": list(payment.violations),
        "receipts": [
            {
                "stream": found.stream,
                "total": str(found.total),
                "receipt": b64encode(found.receipt).decode(),
            }
            for found in payment.receipts
        ],
        "receiver_text": payment.receiver_text,
    }


def undecided_json(sums: UndecidedSums) -> Json:
    """Return what was left undecided, by peer and by payment."""
    return {
        "peers": [
            {
                "username": peer.username,
                **asset_json(peer.asset),
                "undecided": str(peer.amount),
            }
            for peer in sums.peers
        ],
        "payments": [
            {
                "id": payment.id,
                "username": payment.username,
                "receiver": payment.receiver,
                **asset_json(payment.asset),
                "undecided": str(payment.amount),
            }
            for payment in sums.payments
        ],
    }


def quote_json(quote: PaymentQuote) -> Json:
    """Return what a payment would cost and bring."""
    return {
        "username": quote.username,
        **asset_json(quote.asset),
        "receiver": quote.receiver,
        "destination": quote.destination,
        "receiver_asset": _asset(quote.receiver_asset),
        "source_amount": str(quote.source_amount),
        "delivered_amount": str(quote.delivered_amount),
        "delivered_amount_min": str(quote.delivered_amount_min),
        "rate": _fraction(quote.rate),
        "min_rate": _fraction(quote.min_rate),
        "fees": _fraction(quote.fees),
        "packet_amount_max": _amount(quote.packet_amount_max),
        "available": _amount(quote.available),
        "expires_at_ms": quote.expires_at_ms,
        "sentence": quote.sentence,
        "problems": list(quote.problems),
        "lost_by_rounding": _fraction(quote.lost_by_rounding),
        "warnings": list(quote.warnings),
    }


def received_json(row: ReceivedView) -> Json:
    """Return what came in over one connection."""
    return {
        "number": row.number,
        "username": row.username,
        "from_username": row.from_username,
        **asset_json(row.asset),
        "received": str(row.received),
        "exact": format_number(row.received, row.asset.scale),
        "packets": row.packets,
        "destination": row.destination,
        "connection": row.connection,
        "invoice": row.invoice,
        "first_at_ms": row.first_at_ms,
        "last_at_ms": row.last_at_ms,
        "closed": row.closed,
        "payer_text": row.payer_text,
    }


def invoice_json(invoice: InvoiceView) -> Json:
    """Return a request for money, and what was paid of it."""
    return {
        "id": invoice.id,
        "username": invoice.username,
        **asset_json(invoice.asset),
        "amount": str(invoice.amount),
        "received": str(invoice.received),
        "description": invoice.description,
        "state": invoice.state.value,
        "payment_pointer": invoice.payment_pointer,
        "url": invoice.url,
        "sentence": invoice.sentence,
        "created_at_ms": invoice.created_at_ms,
        "expires_at_ms": invoice.expires_at_ms,
        "paid_at_ms": invoice.paid_at_ms,
        "cancelled_at_ms": invoice.cancelled_at_ms,
    }


def receive_address_json(found: ReceiveAddress) -> Json:
    """Return how an account is paid."""
    return {
        "username": found.username,
        "payment_pointer": found.payment_pointer,
        "url": found.url,
    }


def notice_json(notice: IncomingNotice) -> Json:
    """Return a packet that was received in interledger-rs's shape, and behind it what only we have."""
    at = datetime.fromtimestamp(notice.at_ms / 1000, UTC)
    return {
        "to_username": notice.to_username,
        "from_username": notice.from_username,
        "destination": notice.destination,
        "amount": notice.amount,
        "timestamp": at.isoformat(timespec="milliseconds"),
        "sequence": notice.sequence,
        "connection_closed": notice.connection_closed,
        "connection": notice.connection,
        "received": _amount(notice.received),
        "invoice": notice.invoice,
        **asset_json(notice.asset),
    }


def _asset(asset: Asset | None) -> Json | None:
    return None if asset is None else dict(asset_json(asset))


def _amount(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _fraction(fraction: Fraction | None) -> str | None:
    """Return a fraction exactly: as a whole number, or as numerator and denominator."""
    return None if fraction is None else str(fraction)
