"""What the inspector of the payments page says of each kind of row."""

from __future__ import annotations

from typing import Final

from desktop import formatting
from desktop.models.payments import (
    InvoiceRow,
    PaymentRow,
    ReceivedRow,
)
from desktop.views.detail import DetailPanel
from desktop.views.widgets import (
    Tone,
)

PAYMENT_TONES: Final = {
    "pending": Tone.PLAIN,
    "sending": Tone.PLAIN,
    "completed": Tone.OK,
    "failed": Tone.BAD,
    "cancelled": Tone.PAUSED,
    "interrupted": Tone.WARN,
}
INVOICE_TONES: Final = {
    "open": Tone.PLAIN,
    "paid": Tone.OK,
    "expired": Tone.PAUSED,
    "cancelled": Tone.PAUSED,
}
UNDECIDED_ADVICE: Final = "What is undecided was not charged to the account, and may have arrived: the receiver knows."
LATE_ADVICE: Final = (
    "What was fulfilled too late has arrived, was not charged, and is your loss."
)


def show_payment(panel: DetailPanel, row: PaymentRow) -> None:
    """Show one payment in an inspector."""
    facts = [
        ("Receiver", row.receiver),
        ("From", row.name),
        ("Asked to", row.wanted_text),
        ("Sent", row.sent_text),
        ("Delivered", row.delivered_words),
        ("In flight", formatting.amount(row.in_flight, *row.asset)),
        ("Packets", formatting.count(row.packets)),
        ("Rejects", formatting.count(row.rejects)),
        ("Address", row.destination or "not looked up"),
        ("Started", formatting.moment(row.created_at_ms)),
        (
            "Ended",
            "not yet" if row.ended_at_ms is None else formatting.moment(row.ended_at_ms),
        ),
        ("Payment", row.id),
    ]
    if row.memo:
        facts.insert(2, ("Note", row.memo))
    if row.late:
        facts.insert(6, ("Fulfilled too late", formatting.amount(row.late, *row.asset)))
    if row.undecided:
        facts.insert(6, ("Undecided", formatting.amount(row.undecided, *row.asset)))
    if row.reject_code:
        by = f" by {row.triggered_by}" if row.triggered_by else ""
        facts.insert(6, ("Last reject", f"{row.reject_code}{by}"))
    for stream, total, receipt in row.receipts:
        facts.append((f"Receipt, stream {stream}", f"{row.theirs(total)}: {receipt}"))
    advice = [row.reason or row.sentence]
    if row.undecided:
        advice.append(UNDECIDED_ADVICE)
    if row.late:
        advice.append(LATE_ADVICE)
    advice += [f"▲ {formatting.one_line(violation)}." for violation in row.violations]
    panel.show_details(
        f"Payment of {row.wanted_text.partition(' ')[2]}",
        (row.state_text, PAYMENT_TONES.get(row.state, Tone.PLAIN)),
        facts,
        advice="\n".join(advice),
        advice_title="What became of it" if not row.is_open else "How far it is",
        said=row.receiver_text,
        said_by="the receiver",
    )


def show_invoice(panel: DetailPanel, row: InvoiceRow) -> None:
    """Show one request for money in an inspector."""
    facts = [
        ("Pay to", row.handed_out),
        *([("URL", row.url)] if row.url != row.handed_out else []),
        ("For", row.name),
        ("Asked", row.amount_text),
        ("Received", row.received_text),
        ("What for", row.description or formatting.NOTHING),
        ("Made", formatting.moment(row.created_at_ms)),
        (
            "Expires",
            "never" if row.expires_at_ms is None else formatting.moment(row.expires_at_ms),
        ),
        ("Paid", "not yet" if row.paid_at_ms is None else formatting.moment(row.paid_at_ms)),
        ("Request", row.id),
    ]
    panel.show_details(
        f"Request for {row.amount_text}",
        (row.state_text, INVOICE_TONES.get(row.state, Tone.PLAIN)),
        facts,
        advice=row.sentence,
        advice_title="How it stands",
    )


def show_received(panel: DetailPanel, row: ReceivedRow) -> None:
    """Show what came in over one connection."""
    facts = [
        ("For", row.name),
        ("Received", row.received_text),
        ("Packets", formatting.count(row.packets)),
        ("Came through", row.from_name),
        ("First packet", formatting.moment(row.first_at_ms)),
        ("Last packet", formatting.moment(row.last_at_ms)),
        ("Request", row.invoice or "none"),
        ("Address", row.destination),
    ]
    state = ("Ended", Tone.OK) if row.closed else ("Open", Tone.PLAIN)
    panel.show_details(
        f"{row.received_text} received",
        state,
        facts,
        advice="Which of your accounts its packets came through is known; who is behind that is not.",
        said=row.payer_text,
        said_by="the payer",
    )
