"""Outgoing: give the next hop less time than we have, so that its fulfillment reaches us in ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.clock import Clock
from core.packet import Reply
from core.service import Explanation, OutgoingRequest, OutgoingService, Step, Verdict

HOLD_MS_MAX: Final = 30_000
"""The longest that a packet may be held: what is on hold is lent, and RFC-0018 asks to bound it."""


class RoundTripAccount(Protocol):
    """An account whose link takes a known time there and back."""

    @property
    def username(self) -> str: ...
    @property
    def round_trip_time_ms(self) -> int: ...


A = TypeVar("A", bound=RoundTripAccount)


@final
@dataclass(frozen=True, slots=True)
class ExpiryService(Generic[A]):
    """Take both accounts' round-trip times off the expiry, and cap how far away it is.

    It stands behind the books, which keep the incoming expiry, and before the link, which waits
    until the one that is set here. An expiry is only ever brought nearer.
    """

    next: OutgoingService[A]
    clock: Clock
    hold_ms_max: int = HOLD_MS_MAX

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        request.prepare.expires_at_ms = self._shortened(request)
        return await self.next.send(request)

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        now_ms = self.clock.now_ms()
        before_ms = request.prepare.expires_at_ms - now_ms
        request.prepare.expires_at_ms = self._shortened(request)
        after_ms = request.prepare.expires_at_ms - now_ms
        sender, receiver = request.from_account, request.to_account
        step = Step(
            "expiry",
            Verdict.PASSES,
            f"Of {before_ms} ms, {receiver.username} is given {after_ms} ms: "
            f"{sender.round_trip_time_ms} ms are kept for {sender.username}, "
            f"{receiver.round_trip_time_ms} ms for {receiver.username}, and no packet is held "
            f"longer than {self.hold_ms_max} ms.",
            facts={
                "expires_at_ms": request.prepare.expires_at_ms,
                "expires_in_ms": after_ms,
            },
        )
        return (step, *await self.next.explain(request))

    def _shortened(self, request: OutgoingRequest[A]) -> int:
        return min(
            request.prepare.expires_at_ms
            - request.from_account.round_trip_time_ms
            - request.to_account.round_trip_time_ms,
            self.clock.now_ms() + self.hold_ms_max,
        )
