"""Which of the routes that a peer tells are taken, and in a sentence why others are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from core.account import Account, AccountId
from core.packet import Address, covers, prefixes, scheme
from core.routing.ccp import ToldRoute

HOPS_MAX: Final = 32
"""ILP packets expire after 30 s and lose a second a hop: what is farther away cannot be paid."""
PATH_OCTETS_MAX: Final = 4_096
"""So that a route with our own address before it fits in one message, whatever others call themselves."""


@final
@dataclass(frozen=True, slots=True)
class ImportRules:
    """What is taken from one peer; made anew when the peer, the accounts or our address change."""

    own: Address
    account: Account
    neighbours: Mapping[str, AccountId]
    """The addresses of all accounts, since nobody else speaks for what is under them."""

    def refusal(self, route: ToldRoute, speaker: Address) -> str:
        """Say why a route is not taken; empty where it is."""
        prefix, path, own = route.prefix, route.path, self.own
        network = scheme(own)
        if prefix in {"", network}:
            return "the default route is never taken from a peer"
        if not prefix.startswith(network) or prefix[len(network)] != ".":
            return f"{prefix} is not in our network, {network}"
        if covers(own, prefix):
            return f"{prefix} is this node's own"
        if path and path[0] != speaker:
            return f"the way to {prefix} does not begin with {speaker}, who told it"
        if self.neighbours.get(speaker, self.account.id) != self.account.id:
            return f"it was told in the name of {speaker}, which is another account here"
        if own in path:
            return f"the way to {prefix} leads through this node itself"
        if len(path) > HOPS_MAX or sum(map(len, path)) > PATH_OCTETS_MAX:
            return f"the way to {prefix} is too long: {len(path)} nodes"
        wanted = self.account.import_prefixes
        if wanted and not any(covers(one, prefix) for one in wanted):
            return f"{prefix} is outside of what may be imported from this peer"
        return self.is_foreign(prefix, path)

    def is_foreign(self, prefix: str, path: tuple[str, ...]) -> str:
        """Say whose the prefix is, where it belongs to an account of ours and the path does not end there."""
        for shorter in prefixes(prefix):
            owner = self.neighbours.get(shorter)
            if owner is None:
                continue
            if owner == self.account.id or (path and covers(shorter, path[-1])):
                return ""
            return f"{prefix} belongs to {shorter}, an account here, and the way does not end there"
        return ""
