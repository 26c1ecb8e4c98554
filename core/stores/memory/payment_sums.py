"""What the memory books add to payments and invoices, in the step that books the packet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.account import AccountId
from core.ledger.books import Transfer
from core.payments.records import ReceivedPayment
from core.payments.sums import PaymentSums
from core.service import Receivable, Received
from core.stores.memory.state import MemoryState


def save_sums(state: MemoryState, sums: PaymentSums, now_ms: int) -> None:
    """Write what has changed."""
    payment = state.payments[sums.number]
    state.payments[sums.number] = replace(
        payment,
        sent=sums.sent,
        in_flight=sums.in_flight,
        undecided=sums.undecided,
        late=sums.late,
        version=payment.version + 1,
        updated_at_ms=now_ms,
    )


def totals_of(
    state: MemoryState, transfer: Transfer, received: Received | None
) -> Mapping[int, int]:
    """Return what each stream of the packet's connection has brought so far."""
    if received is None:
        return {}
    row = state.received.get((transfer.to_account, received.connection))
    return {} if row is None else row.streams


def receivable_of(
    state: MemoryState, account: AccountId, invoice: str, now_ms: int
) -> Receivable:
    """Return how much more an account's request for money takes."""
    found = state.invoices.get(invoice)
    if found is None or found.account != account:
        return Receivable()
    return found.receivable(now_ms)


def credit(state: MemoryState, transfer: Transfer, received: Received, now_ms: int) -> None:
    """Add what came in to its connection, and to its invoice where it pays one of the account's."""
    account, amount = transfer.to_account, transfer.outgoing_amount
    if amount == 0:
        return  # nothing came in: strangers make no rows of nothing
    key = (account, received.connection)
    earlier = state.received.get(key)
    streams = dict(totals_of(state, transfer, received))
    for stream, part in received.streams:
        streams[stream] = streams.get(stream, 0) + part
    if earlier is None:
        state.received[key] = ReceivedPayment(
            number=1 + max((row.number for row in state.received.values()), default=0),
            account=account,
            from_account=transfer.from_account,
            connection=received.connection,
            destination=transfer.destination,
            invoice=received.invoice,
            received=amount,
            streams=streams,
            packets=1,
            first_at_ms=now_ms,
            last_at_ms=now_ms,
            closed_at_ms=None,
            payer_text=received.payer_text,
        )
    else:
        state.received[key] = replace(
            earlier,
            received=earlier.received + amount,
            streams=streams,
            packets=earlier.packets + 1,
            last_at_ms=now_ms,
            payer_text=max(earlier.payer_text, received.payer_text, key=len),
        )
    invoice = None if received.invoice is None else state.invoices.get(received.invoice)
    if invoice is not None and invoice.account == account:
        together = invoice.received + amount
        paid_at_ms = invoice.paid_at_ms
        if paid_at_ms is None and together >= invoice.amount:
            paid_at_ms = now_ms
        state.invoices[invoice.id] = replace(invoice, received=together, paid_at_ms=paid_at_ms)
