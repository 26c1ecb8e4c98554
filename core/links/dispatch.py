"""Which link a packet leaves by: BTP where its account is connected so, else HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import final

from core.account import Account
from core.links.btp.link import BtpLink
from core.links.http_client import HttpLink
from core.packet import Reply
from core.service import Explanation, OutgoingRequest


@final
@dataclass(frozen=True, slots=True)
class DispatchLink:
    """One link for all accounts.

    An open BTP connection is taken before a URL for HTTP: it is known to be alive. An account that has
    both is reached over HTTP while its connection is down; one that has neither is told so by HTTP.
    """

    btp: BtpLink
    http: HttpLink

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        if self._goes_by_btp(request.to_account):
            return await self.btp.send(request)
        return await self.http.send(request)

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        if self._goes_by_btp(request.to_account):
            return await self.btp.explain(request)
        return await self.http.explain(request)

    async def dial(self, account: Account) -> None:
        """Dial an account at once that is reached over BTP alone and not connected; return once that came to something."""
        if self._goes_by_btp(account):
            await self.btp.dial_now(account.id)

    async def close(self, drain_seconds: float) -> None:
        """Send nothing more by either, and hang up: at most so long is waited for answers that are due."""
        await asyncio.gather(self.btp.close(drain_seconds), self.http.close(drain_seconds))

    def _goes_by_btp(self, account: Account) -> bool:
        if self.btp.is_connected(account.id):
            return True
        speaks_btp = (
            account.ilp_over_btp_url is not None or account.has_ilp_over_btp_incoming_token
        )
        return speaks_btp and account.ilp_over_http_url is None
