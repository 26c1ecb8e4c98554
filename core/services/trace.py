"""Incoming: write down what became of each packet, for the counters, the live view and history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, final

from core.account import AccountId
from core.clock import Clock
from core.packet import Reply
from core.service import Explanation, IncomingRequest, IncomingService, Trace


class Identified(Protocol):
    """An account that counters can be kept for."""

    @property
    def id(self) -> AccountId: ...


class PacketRecorder(Protocol):
    """Where packets are counted; both calls are in memory, and cheap."""

    def came_in(self) -> None:
        """Count a packet in flight."""

    def ended(
        self,
        account: AccountId,
        trace: Trace,
        destination: str,
        reply: Reply | None,
        latency_us: int,
    ) -> None:
        """Count how it ended; no reply means that the node itself failed."""


A = TypeVar("A", bound=Identified)


@final
@dataclass(frozen=True, slots=True)
class TraceService(Generic[A]):
    """Hand each packet a trace to be filled in on its way, and record it once its reply is known.

    It stands before all that can refuse a packet, so that refusals are counted too.
    """

    next: IncomingService[A]
    recorder: PacketRecorder
    clock: Clock

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        prepare = request.prepare
        trace = request.trace = Trace(prepare.amount)
        self.recorder.came_in()
        started = self.clock.monotonic()
        reply: Reply | None = None
        try:
            reply = await self.next.handle(request)
            return reply
        finally:
            self.recorder.ended(
                request.from_account.id,
                trace,
                prepare.destination,
                reply,
                int((self.clock.monotonic() - started) * 1_000_000),
            )

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        return await self.next.explain(request)
