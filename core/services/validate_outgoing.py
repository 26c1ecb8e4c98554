"""Outgoing, last before the link: is there time to ask, and is the answer an answer?"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Generic, Protocol, TypeVar, final

from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Reject, Reply
from core.service import Explanation, OutgoingRequest, OutgoingService, Step, Verdict

MIN_MESSAGE_WINDOW_MS: Final = 1_000
"""The least time that a next hop is asked with: below it a fulfillment is likely to come too late."""


class NextHop(Protocol):
    """An account whose answers are checked."""

    @property
    def username(self) -> str: ...


A = TypeVar("A", bound=NextHop)


@final
@dataclass(frozen=True, slots=True)
class ValidateOutgoingService(Generic[A]):
    """Ask the next hop only with time enough, and take from it only what fulfills, in time.

    R00 when the sender's time is up, R02 when too little of it is left, F05 when the fulfillment
    does not hash to the condition. A fulfillment that came too late is not relayed, since whoever
    sent the packet no longer waits; it goes to the books as owed, by the request's `on_late_reply`.
    """

    next: OutgoingService[A]
    clock: Clock
    address: NodeAddress
    min_message_window_ms: int = MIN_MESSAGE_WINDOW_MS

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        prepare = request.prepare
        left_ms = prepare.expires_at_ms - self.clock.now_ms()
        if left_ms < self.min_message_window_ms:
            return self._too_little_time(request)

        # Measured on the clock that never jumps: the wall's may, and no packet is late for that.
        started = self.clock.monotonic()
        reply = await self.next.send(request)
        if not isinstance(reply, Fulfill):
            return reply
        if sha256(reply.fulfillment).digest() != prepare.condition:
            return self.address.reject(
                ErrorCode.WRONG_CONDITION,
                f"{request.to_account.username} answered with a fulfillment that does not match the condition.",
            )
        late_ms = round((self.clock.monotonic() - started) * 1000) - left_ms
        if late_ms >= 0:
            return self._too_late(request, reply, late_ms)
        return reply

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        left_ms = request.prepare.expires_at_ms - self.clock.now_ms()
        if left_ms < self.min_message_window_ms:
            reject = self._too_little_time(request)
            return (Step("validate outgoing", Verdict.REJECTS, reject.message, reject),)
        step = Step(
            "validate outgoing",
            Verdict.PASSES,
            f"{request.to_account.username} has {left_ms} ms to answer, "
            f"and {self.min_message_window_ms} ms are enough.",
        )
        return (step, *await self.next.explain(request))

    def _too_little_time(self, request: OutgoingRequest[A]) -> Reject:
        now_ms = self.clock.now_ms()
        if request.incoming_expires_at_ms <= now_ms:
            return self.address.reject(
                ErrorCode.TRANSFER_TIMED_OUT,
                "The packet expired in this node, before it could be sent on.",
            )
        left_ms = max(0, request.prepare.expires_at_ms - now_ms)
        return self.address.reject(
            ErrorCode.INSUFFICIENT_TIMEOUT,
            f"{request.to_account.username} would have {left_ms} ms to answer, and {self.min_message_window_ms} ms "
            "are needed: send the packet with a later expiry.",
        )

    def _too_late(self, request: OutgoingRequest[A], fulfill: Fulfill, late_ms: int) -> Reject:
        request.left_open = True
        if request.on_late_reply is not None:
            request.on_late_reply(fulfill)
        return self.address.reject(
            ErrorCode.TRANSFER_TIMED_OUT,
            f"{request.to_account.username} fulfilled {late_ms} ms after the packet had expired.",
        )
