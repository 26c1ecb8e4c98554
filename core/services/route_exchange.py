"""Incoming: what peers tell of routes, and ask of ours (CCP), is for this node itself and answered here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import Account
from core.errors import PacketError
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Reject, Reply
from core.routing.ccp import (
    CONDITION,
    CONTROL_DESTINATION,
    FULFILLMENT,
    UPDATE_DESTINATION,
    RouteControl,
    read_update,
)
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict

A_contra = TypeVar("A_contra", bound=Account, contravariant=True)
A = TypeVar("A", bound=Account)

_DESTINATIONS: Final = (CONTROL_DESTINATION, UPDATE_DESTINATION)
TOO_FAST: Final = (
    "Messages of route exchange come faster from this account than this node looks into them."
)


class Exchange(Protocol[A_contra]):
    """Route exchange with all peers."""

    def refuses_control(self, account: A_contra) -> str:
        """Say why an account is not told our routes; empty where it is."""

    def refuses_update(self, account: A_contra) -> str:
        """Say why an account's routes are not taken; empty where they are."""

    def is_flooding(self, account: A_contra) -> bool:
        """Count one more message; tell whether they come too fast to be looked into."""

    def malformed(self, account: A_contra, problem: str) -> None:
        """Note that an account sent something that is no message of the protocol."""

    async def take_control(self, account: A_contra, control: RouteControl) -> None:
        """Tell an account our routes from where it says, or tell it nothing more."""

    async def take_update(self, account: A_contra, octets: bytes) -> None:
        """Apply what an account tells; what does not follow what is known is asked for anew.

        Raises:
            PacketError: it is no update. It is read when its turn comes.
        """


@final
@dataclass(frozen=True, slots=True)
class RouteExchangeService(Generic[A]):
    """Answer `peer.route.control` and `peer.route.update`; everything else passes.

    An update that does not follow what we have is fulfilled nevertheless, as ilp-connector does, and
    asked for anew: a Reject would make interledger-rs tell less and less often.
    """

    next: IncomingService[A]
    exchange: Exchange[A]
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        if request.prepare.destination not in _DESTINATIONS:
            return await self.next.handle(request)
        account = request.from_account
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if self.exchange.is_flooding(account):
            return self.address.reject(ErrorCode.RATE_LIMITED, TOO_FAST)
        try:
            if request.prepare.destination == CONTROL_DESTINATION:
                control = RouteControl.decode(request.prepare.data)
                await self.exchange.take_control(account, control)
            else:
                await self.exchange.take_update(account, bytes(request.prepare.data))
        except PacketError as error:
            self.exchange.malformed(account, str(error))
            return self._malformed(request, error)
        return Fulfill.build(FULFILLMENT)

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        if request.prepare.destination not in _DESTINATIONS:
            return await self.next.explain(request)
        refusal = self._refusal(request)
        if refusal is None:
            try:
                if request.prepare.destination == CONTROL_DESTINATION:
                    RouteControl.decode(request.prepare.data)
                else:
                    read_update(request.prepare.data)
            except PacketError as error:
                refusal = self._malformed(request, error)
        if refusal is not None:
            return (Step("route exchange", Verdict.REJECTS, refusal.message, refusal),)
        username = request.from_account.username
        sentence = (
            f"This node answers itself: {username} asks for our routes."
            if request.prepare.destination == CONTROL_DESTINATION
            else f"This node answers itself: {username} tells its routes."
        )
        return (Step("route exchange", Verdict.ANSWERS, sentence),)

    def _refusal(self, request: IncomingRequest[A]) -> Reject | None:
        """Return why a message is not even looked into."""
        account, prepare = request.from_account, request.prepare
        is_control = prepare.destination == CONTROL_DESTINATION
        if prepare.condition != CONDITION:
            return self.address.reject(
                ErrorCode.BAD_REQUEST,
                f"A message to {prepare.destination} has the condition of 32 zero octets, this one has another.",
            )
        if prepare.amount > 0:
            return self.address.reject(
                ErrorCode.INVALID_AMOUNT,
                f"A message to {prepare.destination} carries no money, this one carries {prepare.amount}.",
            )
        why = (
            self.exchange.refuses_control(account)
            if is_control
            else self.exchange.refuses_update(account)
        )
        return self.address.reject(ErrorCode.BAD_REQUEST, why) if why else None

    def _malformed(self, request: IncomingRequest[A], error: PacketError) -> Reject:
        kind = "control" if request.prepare.destination == CONTROL_DESTINATION else "update"
        return self.address.reject(
            ErrorCode.BAD_REQUEST, f"Invalid route {kind} request: {error}."
        )
