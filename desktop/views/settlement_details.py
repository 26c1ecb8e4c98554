"""What the inspector of the settlements page says of each kind of row."""

from __future__ import annotations

from desktop import formatting
from desktop.models.settlements import DueRow, SettlementEntry, UnknownEntry, UnmatchedEntry
from desktop.views.cells import settlement_tone
from desktop.views.detail import DetailPanel
from desktop.views.widgets import Tone


def show_settlement(panel: DetailPanel, row: SettlementEntry) -> None:
    """Show one settlement in an inspector."""
    facts = [
        ("Amount", row.amount_text),
        ("On the ledger", row.ledger_text),
        ("Fee", row.fee_text),
        ("Transaction", row.transaction or "not on the ledger yet"),
        ("Confirmations", "–" if row.confirmations is None else str(row.confirmations)),
        ("Engine", row.engine),
        ("Attempts", str(row.attempts)),
        ("Decided", formatting.moment(row.created_at_ms)),
        ("Last change", formatting.moment(row.updated_at_ms)),
        ("Settlement", row.id),
    ]
    title = f"You pay {row.name}" if row.outgoing else f"{row.name} pays you"
    panel.show_details(
        title,
        (row.state_text, settlement_tone(row)),
        facts,
        advice=row.problem,
        advice_title="Problem",
    )


def show_due(panel: DetailPanel, row: DueRow) -> None:
    """Show how far one peer is from settling."""
    facts = [
        ("You owe", row.owed_text),
        ("Settles at", row.threshold_text),
        ("Down to", row.settle_to_text),
        ("Engine", row.engine or "none"),
    ]
    state = ("Due", Tone.WARN) if row.due else ("Not due", Tone.PLAIN)
    panel.show_details(row.name, state, facts, advice=row.reason, advice_title="Why")


def show_unmatched(panel: DetailPanel, row: UnmatchedEntry) -> None:
    """Show money that came from nobody."""
    facts = [
        ("Amount", row.amount_text),
        ("From", row.sender),
        ("Transaction", row.transaction),
        ("Engine", row.engine),
        ("Seen", formatting.moment(row.seen_at_ms)),
    ]
    advice = "Find out who sent it, and assign it: then it counts as their settlement."
    panel.show_details("Money from nobody", ("Unmatched", Tone.WARN), facts, advice=advice)


def show_unknown(panel: DetailPanel, row: UnknownEntry) -> None:
    """Show a packet that a crash left open."""
    facts = [
        ("From peer", row.from_name),
        ("To peer", row.to_name),
        ("Amount out", row.amount_text),
        ("Destination", row.destination),
        ("Since", formatting.moment(row.created_at_ms)),
        ("Transfer", row.id),
    ]
    if row.payment:
        facts.append(("Payment", row.payment))
    advice = (
        f"{row.to_name} had this packet when a node ended or its answer was lost. {row.from_name} was not "
        "charged. Whether you owe the next hop is in its statement."
    )
    panel.show_details("Undecided packet", ("Undecided", Tone.WARN), facts, advice=advice)
