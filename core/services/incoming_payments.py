"""Outgoing: who listens hears of each packet that was received here, once it is booked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, final

from core.account import AccountId
from core.clock import Clock
from core.packet import Fulfill, Reply
from core.service import Explanation, OutgoingRequest, OutgoingService


class PaidAccount(Protocol):
    """An account that may be paid here."""

    @property
    def id(self) -> AccountId: ...


A = TypeVar("A", bound=PaidAccount)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingPayment:
    """One packet that was received for an account, or the end of its connection."""

    to_account: AccountId
    from_account: AccountId
    destination: str
    amount: int
    at_ms: int
    connection: str
    sequence: int
    invoice: str | None
    closes: bool
    received: int | None
    """What its connection has brought so far, this packet included; None for one that was not booked."""
    payer_text: str = ""
    """What the payer has written on the connection so far: remote text, cleaned and cut."""


class Listener(Protocol):
    """Whoever wants to hear of what is received; it may not wait."""

    def received(self, payment: IncomingPayment) -> None:
        """Hear of one packet; it is booked, and its Fulfill leaves next."""


@final
@dataclass(frozen=True, slots=True)
class IncomingPaymentsService(Generic[A]):
    """Tell of what the services behind received. Before the books: what is told is durable."""

    next: OutgoingService[A]
    listener: Listener
    clock: Clock

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        reply = await self.next.send(request)
        received = request.received
        if received is None:
            return reply
        is_fulfilled = isinstance(reply, Fulfill)
        if is_fulfilled or received.closes:
            self.listener.received(
                IncomingPayment(
                    to_account=request.to_account.id,
                    from_account=request.from_account.id,
                    destination=request.prepare.destination,
                    amount=request.prepare.amount if is_fulfilled else 0,
                    at_ms=self.clock.now_ms(),
                    connection=received.connection,
                    sequence=received.sequence,
                    invoice=received.invoice,
                    closes=received.closes,
                    received=request.received_so_far,
                    payer_text=received.payer_text,
                )
            )
        return reply

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        return await self.next.explain(request)
