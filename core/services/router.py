"""Incoming, last: find the next hop. From here on it is an outgoing request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import AccountId
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply, scheme
from core.service import (
    Explanation,
    Fact,
    IncomingRequest,
    OutgoingService,
    Step,
    Verdict,
    outgoing,
)


class NextHop(Protocol):
    """An account that a packet may be sent to."""

    @property
    def id(self) -> AccountId: ...
    @property
    def username(self) -> str: ...
    @property
    def enabled(self) -> bool: ...


A = TypeVar("A", bound=NextHop)
A_co = TypeVar("A_co", covariant=True)


class KnownRoute(Protocol):
    """A prefix, and who gets what it covers."""

    @property
    def prefix(self) -> str: ...
    @property
    def next_hop(self) -> AccountId: ...


class Routes(Protocol):
    """The routing table, as the packet's path needs it: in memory."""

    def look_up(self, destination: str) -> KnownRoute | None:
        """Return the route with the longest prefix that covers the destination, by whole segments."""

    def covering(self, destination: str) -> Sequence[KnownRoute]:
        """Return every route that covers it, the longest prefix first."""


class Accounts(Protocol[A_co]):
    """The accounts by id, in memory."""

    def by_id(self, account_id: AccountId) -> A_co | None: ...


_NEVER_FORWARDED: Final = {
    "peer": "addresses under 'peer' are for this node alone",
    "self": "addresses under 'self' stay on the machine they were made on",
}


@final
@dataclass(frozen=True, slots=True)
class RouterService(Generic[A]):
    """Hand the packet to the longest prefix's next hop, or say with F02 why there is none.

    Never forwarded: `peer.` and `self.`; an address of another network's scheme than ours, so that
    test money and real money do not meet (RFC-0034); a packet that would go back to the account it
    came from, which is a loop; and anything to a paused account.
    """

    next: OutgoingService[A]
    routes: Routes
    accounts: Accounts[A]
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        found = self._find(request)
        if isinstance(found, str):
            return self.address.reject(ErrorCode.UNREACHABLE, found)
        route, next_hop = found
        if (trace := request.trace) is not None:
            trace.to_account = next_hop.id
            trace.prefix = route.prefix
        return await self.next.send(outgoing(request, next_hop))

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        destination = request.prepare.destination
        covering = self.routes.covering(destination)
        facts: dict[str, Fact] = {"destination": destination, "routes_covering": len(covering)}
        found = self._find(request)
        if isinstance(found, str):
            reject: Reject = self.address.reject(ErrorCode.UNREACHABLE, found)
            if covering:
                facts["prefix"] = covering[0].prefix
            return (Step("router", Verdict.REJECTS, found, reject, facts),)
        route, next_hop = found
        facts |= {"next_hop": next_hop.username, "prefix": route.prefix}
        if route.prefix == "":
            sentence = f"No prefix covers {destination}: the default route leads to {next_hop.username}."
        else:
            sentence = f"{destination} is covered by {route.prefix}, which leads to {next_hop.username}."
        if len(covering) > 1:
            sentence += f" Of {len(covering)} prefixes that cover it, the longest wins."
        step = Step("router", Verdict.PASSES, sentence, facts=facts)
        return (step, *await self.next.explain(outgoing(request, next_hop)))

    def _find(self, request: IncomingRequest[A]) -> tuple[KnownRoute, A] | str:
        """Return the route and its account, or the sentence that says why there is none."""
        destination = request.prepare.destination
        ours = self.address.current
        first = scheme(destination)
        if first in _NEVER_FORWARDED:
            return f"{destination} is never forwarded: {_NEVER_FORWARDED[first]}."
        if first != scheme(ours):
            return (
                f"{destination} is in another network: this node is {ours} and forwards "
                f"only what starts with '{scheme(ours)}'."
            )
        route = self.routes.look_up(destination)
        if route is None:
            if destination == ours:
                return (
                    f"{destination} is this node itself, and nobody here receives this packet."
                )
            return f"This node has no route to {destination}."
        next_hop = self.accounts.by_id(route.next_hop)
        if next_hop is None:
            return (
                f"The route {route.prefix!r} to {destination} leads to an account that is gone."
            )
        if next_hop.id == request.from_account.id and not request.may_return:
            return (
                f"{destination} would go back to {next_hop.username}, the account it came from."
            )
        if not next_hop.enabled:
            return (
                f"{destination} leads to {next_hop.username}, "
                "who is paused by the operator of this node."
            )
        return route, next_hop
