"""Payments for a spreadsheet: a line each, amounts exact in whole units and in the smallest."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from core.account import format_number
from core.control.payment_views import InvoiceView, PaymentView, ReceivedView

PAYMENT_COLUMNS: Final = (
    "id",
    "created",
    "ended",
    "account",
    "receiver",
    "destination",
    "state",
    "sent",
    "asset",
    "sent_smallest_unit",
    "undecided_smallest_unit",
    "delivered",
    "delivered_asset",
    "delivered_smallest_unit",
    "delivered_exact",
    "packets",
    "rejects",
    "reject_code",
    "triggered_by",
    "reason",
    "memo",
    "violations",
    "receiver_text",
)
RECEIVED_COLUMNS: Final = (
    "number",
    "first",
    "last",
    "account",
    "from_account",
    "received",
    "asset",
    "received_smallest_unit",
    "packets",
    "closed",
    "invoice",
    "connection",
    "destination",
    "payer_text",
)
INVOICE_COLUMNS: Final = (
    "id",
    "created",
    "expires",
    "paid",
    "account",
    "state",
    "amount",
    "received",
    "asset",
    "amount_smallest_unit",
    "received_smallest_unit",
    "description",
    "url",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def payment_lines(rows: Iterable[PaymentView]) -> str:
    """Return payments as lines under PAYMENT_COLUMNS."""
    return csv_lines(
        (
            row.id,
            _moment(row.created_at_ms),
            _moment(row.ended_at_ms),
            row.username,
            _text(row.receiver),
            row.destination,
            row.state.value,
            format_number(row.sent, row.asset.scale),
            row.asset.code,
            row.sent,
            row.undecided,
            ""
            if row.receiver_asset is None
            else format_number(row.delivered, row.receiver_asset.scale),
            "" if row.receiver_asset is None else _text(row.receiver_asset.code),
            row.delivered,
            "yes" if row.delivered_exact else "at least",
            row.packets,
            row.rejects,
            _text(row.reject_code),
            _text(row.triggered_by),
            _text(row.reason),
            _text(row.memo),
            _text(" ".join(f"{violation}." for violation in row.violations)),
            _text(row.receiver_text),
        )
        for row in rows
    )


def received_lines(rows: Iterable[ReceivedView]) -> str:
    """Return received payments as lines under RECEIVED_COLUMNS."""
    return csv_lines(
        (
            row.number,
            _moment(row.first_at_ms),
            _moment(row.last_at_ms),
            row.username,
            row.from_username,
            format_number(row.received, row.asset.scale),
            row.asset.code,
            row.received,
            row.packets,
            "yes" if row.closed else "no",
            row.invoice or "",
            row.connection,
            row.destination,
            _text(row.payer_text),
        )
        for row in rows
    )


def invoice_lines(rows: Iterable[InvoiceView]) -> str:
    """Return invoices as lines under INVOICE_COLUMNS."""
    return csv_lines(
        (
            row.id,
            _moment(row.created_at_ms),
            _moment(row.expires_at_ms),
            _moment(row.paid_at_ms),
            row.username,
            row.state.value,
            format_number(row.amount, row.asset.scale),
            format_number(row.received, row.asset.scale),
            row.asset.code,
            row.amount,
            row.received,
            _text(row.description),
            row.payment_pointer or row.url,
        )
        for row in rows
    )


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as RFC 4180 has them."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _moment(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def _text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: much of it others have written."""
    return f"'{text}" if text.startswith(_FORMULA) else text
