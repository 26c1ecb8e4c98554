"""This node's standing among others, as the fake node has it."""

from __future__ import annotations

import asyncio
from fractions import Fraction

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
from core.control.views import AccountDetails, AccountView
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
        self._called("ping_address", destination, kind, amount, from_username, count)
        if destination.startswith("g.nobody"):
            said = "F02 from test.hop: no route. Its operator has to add one."
            attempt = PingAttempt(
                answered=False, latency_us=9_000, returned_amount=None, sentence=said
            )
            return PingReport(
                destination=destination,
                kind=kind,
                attempts=(attempt,) * count,
                amount=amount,
                asset=None,
                returned_asset=None,
                rate=None,
                latency_us_least=None,
                latency_us_mean=None,
                latency_us_most=None,
                sentence=said,
            )
        attempt = PingAttempt(
            answered=True,
            latency_us=12_000,
            returned_amount=amount or None,
            sentence="It answered.",
        )
        asset = self.views[from_username].account.asset if from_username else None
        return PingReport(
            destination=destination,
            kind=kind,
            attempts=(attempt,) * count,
            amount=amount,
            asset=asset,
            returned_asset=asset,
            rate=None if asset is None else Fraction(99, 100),
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
        self._called("auto_peer", request)
        if "silent" in request.url:
            await asyncio.Event().wait()
        if "refuses" in request.url:
            raise Conflict("They take no peer that counts in that.")
        view = await self.create_account(
            AccountDetails(
                username=request.username or "rafiki",
                asset_code=request.asset_code,
                asset_scale=request.asset_scale,
                min_balance=request.min_balance,
            )
        )
        return AutoPeerResult(
            account=view,
            was_replaced=False,
            sentence=f"Rafiki took this node as its peer: it is {view.account.username} here.",
            warnings=("min_balance: it has to pay ahead",) if not request.min_balance else (),
        )

    # --- Within

    async def create_account(self, details: AccountDetails) -> AccountView:
        raise NotImplementedError

    def _called(self, name: str, *arguments: object) -> None:
        raise NotImplementedError
