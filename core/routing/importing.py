"""Which of the routes that a peer tells are taken, and in a sentence why others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from core.account import Account
from core.packet import Address, covers, scheme
from core.routing.learned import Standings

HOPS_MAX: Final = 32
"""ILP packets expire after 30 s and lose a second a hop: what is farther away cannot be paid."""
PATH_OCTETS_MAX: Final = 4_096
"""So that a route with our own address before it fits in one message, whatever others call themselves."""


@final
@dataclass(frozen=True, slots=True)
class ImportRules:
    """What is taken from one peer; made anew when the peer, the accounts or our address change.

    Whether what is taken is used is another question, which what others tell decides too (`LearnedRoutes`).
    """

    own: Address
    account: Account
    standings: Standings
    """Whose addresses are whose, since nobody else speaks in the name of an account."""

    def is_echo(self, prefix: str, path: Sequence[str]) -> bool:
        """Tell whether a peer gives back what we told, as interledger-rs does with everything: not taken, and no problem."""
        return self.own not in path[:1] and (prefix == self.own or self.own in path)

    def refusal(self, prefix: str, path: Sequence[str], speaker: str) -> str:
        """Say why a route is not taken; empty where it is."""
        own = self.own
        network = scheme(own)
        if prefix in {"", network}:
            return "the default route is never taken from a peer"
        if not prefix.startswith(network) or prefix[len(network)] != ".":
            return f"{prefix} is not in our network, {network}"
        if covers(own, prefix):
            return f"{prefix} is this node's own"
        if path and path[0] != speaker:
            return f"the way to {prefix} does not begin with {speaker}, who told it"
        if own in path:
            return f"the way to {prefix} leads through this node itself"
        if len(path) > HOPS_MAX or sum(map(len, path)) > PATH_OCTETS_MAX:
            return f"the way to {prefix} is too long: {len(path)} nodes"
        wanted = self.account.import_prefixes
        if wanted and not any(covers(one, prefix) for one in wanted):
            return f"{prefix} is outside of what may be imported from this peer"
        return "" if speaker == self.account.ilp_address else self.false_name(speaker)

    def false_name(self, speaker: str) -> str:
        """Say whose name it is that a peer calls itself by; empty where it is nobody else's."""
        owner = self.standings.owner(speaker)
        if owner == self.account.id:
            return ""
        if owner is not None:
            whose = self.standings.address(owner)
            under = "" if whose == speaker else f"which is under {whose}, "
            return f"it was told in the name of {speaker}, {under}another account here"
        if covers(self.own, speaker):
            return (
                f"it was told in the name of {speaker}, which is under this node's own address"
            )
        return ""
