"""Incoming: turn away packets that are larger than their account allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, final

from core.account import Asset, format_amount
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply, max_packet_amount_data
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict


class MaxPacketAmountAccount(Protocol):
    """An account whose operator has limited how much one packet may carry."""

    @property
    def username(self) -> str: ...
    @property
    def asset(self) -> Asset: ...
    @property
    def max_packet_amount(self) -> int: ...


A = TypeVar("A", bound=MaxPacketAmountAccount)


@final
@dataclass(frozen=True, slots=True)
class MaxPacketAmountService(Generic[A]):
    """Reject what is too large, and say how large would have been fine.

    A packet in flight is money at risk for the node that forwards it, so an operator limits what
    one packet may carry. The sender cannot know that limit: F08 carries it back, with what was
    received, and STREAM cuts its next packet to fit.
    """

    next: IncomingService[A]
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        received = request.prepare.amount
        if received <= request.from_account.max_packet_amount:
            return await self.next.handle(request)
        return self._reject(request.from_account, received)

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        account = request.from_account
        received = request.prepare.amount
        if received > account.max_packet_amount:
            reject = self._reject(account, received)
            return (Step("max packet amount", Verdict.REJECTS, reject.message, reject),)
        step = Step(
            "max packet amount",
            Verdict.PASSES,
            f"{format_amount(received, account.asset)} is within the "
            f"{format_amount(account.max_packet_amount, account.asset)} that {account.username} "
            "may send in one packet.",
        )
        return (step, *await self.next.explain(request))

    def _reject(self, account: A, received: int) -> Reject:
        maximum = account.max_packet_amount
        return self.address.reject(
            ErrorCode.AMOUNT_TOO_LARGE,
            f"{account.username} may send {format_amount(maximum, account.asset)} in one packet, "
            f"and this one carries {format_amount(received, account.asset)}.",
            max_packet_amount_data(received=received, maximum=maximum),
        )
