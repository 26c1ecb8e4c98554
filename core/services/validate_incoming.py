"""Incoming: what has expired, and what a paused account sends, goes no further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, final

from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict


class PausableAccount(Protocol):
    """An account that its operator can pause."""

    @property
    def username(self) -> str: ...
    @property
    def enabled(self) -> bool: ...


A = TypeVar("A", bound=PausableAccount)


@final
@dataclass(frozen=True, slots=True)
class ValidateIncomingService(Generic[A]):
    """Refuse with R00 what nobody waits for any more, and with F02 what a paused account sends."""

    next: IncomingService[A]
    clock: Clock
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        if request.from_account.enabled and request.prepare.expires_at_ms > self.clock.now_ms():
            return await self.next.handle(request)
        return self._reject(request, self.clock.now_ms())

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        now_ms = self.clock.now_ms()
        left_ms = request.prepare.expires_at_ms - now_ms
        if not request.from_account.enabled or left_ms <= 0:
            reject = self._reject(request, now_ms)
            return (Step("validate incoming", Verdict.REJECTS, reject.message, reject),)
        step = Step(
            "validate incoming",
            Verdict.PASSES,
            f"{request.from_account.username} is not paused, and the packet expires in {left_ms} ms.",
        )
        return (step, *await self.next.explain(request))

    def _reject(self, request: IncomingRequest[A], now_ms: int) -> Reject:
        account = request.from_account
        if not account.enabled:
            return self.address.reject(
                ErrorCode.UNREACHABLE,
                f"{account.username} is paused by the operator of this node and may not send.",
            )
        late_ms = now_ms - request.prepare.expires_at_ms
        return self.address.reject(
            ErrorCode.TRANSFER_TIMED_OUT,
            f"The packet expired {late_ms} ms ago, before it came here.",
        )
