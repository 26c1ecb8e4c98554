"""The operator's door to how this node stands among others: its address, pings, and peers made by themselves."""

from __future__ import annotations

from typing import Protocol

from core.control.peering_views import (
    AutoPeerRequest,
    AutoPeerResult,
    ParentView,
    PingKind,
    PingReport,
)


class PeeringOperator(Protocol):
    """Beside `ping(username)`, which asks one link alone and needs no address of the other side's."""

    async def ping_address(
        self,
        destination: str,
        *,
        kind: PingKind = PingKind.ECHO,
        amount: int = 0,
        from_username: str | None = None,
        count: int = 1,
    ) -> PingReport:
        """Send so many pings one after another, over the way that a payment would take.

        `destination` is an ILP address, or a username for that peer's own. An amount is booked on
        `from_username`, which is needed for it, and may stay at the other end.

        Raises:
            SettingError: an argument cannot be; says which.
            UnknownAccount: `from_username` is none.
        """

    async def parent(self) -> ParentView:
        """Return this node's address, and where it has it from."""

    async def ask_parent(self) -> ParentView:
        """Ask the parent for our address now; raises Conflict where there is no parent, or the address was given."""

    async def auto_peer(self, request: AutoPeerRequest) -> AutoPeerResult:
        """Ask a node that takes peers by itself to take us, and add the account for it.

        Raises:
            SettingError: the request cannot be; nothing was sent.
            Conflict: the username is taken, the other side refused, or its answer is of no use; says why.
        """
