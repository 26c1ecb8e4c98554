"""Incoming, first: an error that nobody foresaw is logged, and becomes a T00."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.node_address import NodeAddress
from core.packet import ErrorCode, Reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict

log = logging.getLogger(__name__)

SENTENCE: Final = (
    "This node met an error that it did not foresee. Its operator finds it in the log."
)


class Named(Protocol):
    """An account that a log line can name."""

    @property
    def username(self) -> str: ...


A = TypeVar("A", bound=Named)


@final
@dataclass(frozen=True, slots=True)
class LastResortService(Generic[A]):
    """Answer T00 where a service failed, so that whoever sent the packet is not left to wait.

    The one place that catches every Exception. What a service can foresee it answers itself; what
    arrives here is a bug, and the log has all of it but the packet's data.
    """

    next: IncomingService[A]
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        try:
            return await self.next.handle(request)
        except Exception:  # the last resort is for all of them
            log.exception(
                "a packet from %s to %s met an unforeseen error",
                request.from_account.username,
                request.prepare.destination,
            )
            return self.address.reject(ErrorCode.INTERNAL_ERROR, SENTENCE)

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        try:
            return await self.next.explain(request)
        except Exception:  # as above: an explanation may fail as a packet may
            log.exception("explaining a packet to %s failed", request.prepare.destination)
            reject = self.address.reject(ErrorCode.INTERNAL_ERROR, SENTENCE)
            return (Step("last resort", Verdict.REJECTS, SENTENCE, reject),)
