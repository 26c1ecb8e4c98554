"""This node's standing among others, as the fake node has it."""

from __future__ import annotations

from core.control.peering_operator import PeeringOperator
from core.control.peering_views import (
    AddressSource,
    AutoPeerRequest,
    AutoPeerResult,
    ParentView,
    PingAttempt,
    PingKind,
    PingReport,
)
from core.control.views import AccountView
from core.errors import Conflict


class FakePeering(PeeringOperator):
    """What FakeOperator knows of pings, addresses and parents."""

    views: dict[str, AccountView]
    ilp_address: str

    async def ping_address(
        self,
        destination: str,
        *,
        kind: PingKind = PingKind.ECHO,
        amount: int = 0,
        from_username: str | None = None,
        count: int = 1,
    ) -> PingReport:
        attempt = PingAttempt(
            answered=True, latency_us=12_000, returned_amount=None, sentence="It answered."
        )
        return PingReport(
            destination=destination,
            kind=kind,
            attempts=(attempt,) * count,
            amount=amount,
            asset=None,
            returned_asset=None,
            rate=None,
            latency_us_least=12_000,
            latency_us_mean=12_000,
            latency_us_most=12_000,
            sentence=f"{destination} answered in 12 ms.",
        )

    async def parent(self) -> ParentView:
        return ParentView(
            ilp_address=self.ilp_address,
            source=AddressSource.GIVEN,
            parent=None,
            asked_at_ms=None,
            answered_at_ms=None,
            next_at_ms=None,
            sentence=f"{self.ilp_address} was given when the node was started.",
        )

    async def ask_parent(self) -> ParentView:
        raise Conflict("no account is the parent")

    async def auto_peer(self, request: AutoPeerRequest) -> AutoPeerResult:
        raise Conflict(f"{request.url} cannot be reached")
