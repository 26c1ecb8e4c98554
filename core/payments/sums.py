"""What a payment's packets add up to: the books' own arithmetic, done where each packet is booked.

A payment's sums change in the transaction in which its packet's transfer does, and by the same
table: what is held is in flight, what is fulfilled is sent, and what may yet have arrived is undecided.
So after whatever ends a process, `sent` is what the journal says was fulfilled, to the unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from core.account import AMOUNT_MAX_BOOKED
from core.errors import PaymentOver
from core.ledger.books import TransferState
from core.payments.records import Payment, PaymentState
from core.service import PaymentNumber


@final
@dataclass(slots=True)
class PaymentSums:
    """One payment's sums while they change."""

    number: PaymentNumber
    node: int
    state: PaymentState
    cancel_requested: bool
    source_amount_max: int
    sent: int
    in_flight: int
    undecided: int
    late: int
    is_there: bool = True
    """False where the payment is in the store no more: its packets are decided all the same."""

    def check(self, amount: int, node: int) -> None:
        """Refuse a packet that this payment may not send.

        Raises:
            PaymentOver: it has ended, is cancelled, is another process's, or would send more than its terms.
        """
        if not self.is_there:
            raise PaymentOver(self.number, "it is not in the store")
        if self.state is not PaymentState.SENDING:
            raise PaymentOver(self.number, f"it is {self.state.value}")
        if self.cancel_requested:
            raise PaymentOver(self.number, "it was cancelled")
        if self.node != node:
            raise PaymentOver(self.number, f"node {self.node} makes it, and this is {node}")
        together = self.sent + self.in_flight + amount
        if together > self.source_amount_max:
            raise PaymentOver(
                self.number,
                f"it may send {self.source_amount_max}, and would have sent {together}",
            )
        self.refuse_unbookable(amount)

    def refuse_unbookable(self, amount: int) -> None:
        """Refuse a packet that may come to be counted beside all others, where what they add up to does not fit.

        Raises:
            PaymentOver: with what may have arrived of it counted, it would be more than 64 bits.
        """
        together = self.sent + self.in_flight + self.undecided + self.late + amount
        if together > AMOUNT_MAX_BOOKED:
            raise PaymentOver(
                self.number,
                f"with what may have arrived it would add up to {together}, and the books carry {AMOUNT_MAX_BOOKED}",
            )

    def add(self, state: TransferState, amount: int) -> None:
        """Put in, or with an amount below zero take away, what a transfer in this state is to its payment."""
        match state:
            case TransferState.PENDING:
                self.in_flight += amount
            case TransferState.FULFILLED:
                self.sent += amount
            case TransferState.EXPIRED | TransferState.UNKNOWN:
                self.undecided += amount
            case TransferState.LATE:
                self.late += amount
            case TransferState.REJECTED:
                pass


def sums_of(payment: Payment) -> PaymentSums:
    """Return a payment's sums, to change them."""
    return PaymentSums(
        payment.number,
        payment.node,
        payment.state,
        payment.cancel_requested,
        payment.source_amount_max,
        payment.sent,
        payment.in_flight,
        payment.undecided,
        payment.late,
    )


def sums_of_none(number: PaymentNumber) -> PaymentSums:
    """Return what stands for a payment that is not there: no packet of it is booked, and none is held up."""
    return PaymentSums(
        number,
        node=0,
        state=PaymentState.INTERRUPTED,
        cancel_requested=True,
        source_amount_max=0,
        sent=0,
        in_flight=0,
        undecided=0,
        late=0,
        is_there=False,
    )
