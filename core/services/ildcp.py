"""Incoming: whoever lives under our address asks for its own (RFC-0031, IL-DCP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import Asset, RoutingRelation
from core.ildcp_message import CONDITION, DESTINATION, FULFILLMENT, IldcpAnswer
from core.node_address import NodeAddress
from core.packet import Address, ErrorCode, Fulfill, Reject, Reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict

_LIVES_UNDER_US: Final = (RoutingRelation.CHILD, RoutingRelation.NON_ROUTING_ACCOUNT)


class IldcpAccount(Protocol):
    """An account that may have its address from us."""

    @property
    def username(self) -> str: ...
    @property
    def ilp_address(self) -> Address: ...
    @property
    def asset(self) -> Asset: ...
    @property
    def routing_relation(self) -> RoutingRelation: ...


A = TypeVar("A", bound=IldcpAccount)


@final
@dataclass(frozen=True, slots=True)
class IldcpService(Generic[A]):
    """Tell a child, or an end user's program, its address and what its amounts count.

    A peer or a parent has an address of its own, and is refused: it has set up the wrong relation.
    """

    next: IncomingService[A]
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        if request.prepare.destination != DESTINATION:
            return await self.next.handle(request)
        return self._answer(request)

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        if request.prepare.destination != DESTINATION:
            return await self.next.explain(request)
        reply = self._answer(request)
        if isinstance(reply, Reject):
            return (Step("ildcp", Verdict.REJECTS, reply.message, reply),)
        account = request.from_account
        sentence = f"This node answers itself: {account.username} is {account.ilp_address} and counts {account.asset}."
        return (Step("ildcp", Verdict.ANSWERS, sentence),)

    def _answer(self, request: IncomingRequest[A]) -> Reply:
        account, prepare = request.from_account, request.prepare
        if prepare.condition != CONDITION:
            return self.address.reject(
                ErrorCode.BAD_REQUEST,
                f"A request to {DESTINATION} has the condition of 32 zero octets, this one has another.",
            )
        if prepare.amount > 0:
            return self.address.reject(
                ErrorCode.INVALID_AMOUNT,
                f"A request to {DESTINATION} carries no money, this one carries {prepare.amount}.",
            )
        if account.routing_relation not in _LIVES_UNDER_US:
            return self.address.reject(
                ErrorCode.BAD_REQUEST,
                f"{account.username} is our {account.routing_relation.value} and has its own address: "
                "only a child or an end user gets one here.",
            )
        return Fulfill.build(
            FULFILLMENT, IldcpAnswer(account.ilp_address, account.asset).encode()
        )
