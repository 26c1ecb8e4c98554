"""What moves with this node's address: the accounts and static routes that stand under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from core.account import Account, AccountId
from core.packet import Address, address


@final
@dataclass(frozen=True, slots=True)
class Moves:
    """What is to be written for another address."""

    accounts: Sequence[Account]
    """As they are from now on."""
    routes: Mapping[str, Address]
    """Each static prefix that stood under the old address, and where it stands now."""


def moves(
    accounts: Sequence[Account], static: Mapping[str, AccountId], *, old: str, new: Address
) -> Moves:
    """Return what stands under `old`, moved to stand under `new`; all else stays where it is.

    An account whose new address another one has already keeps its own, and so does a route: two may not share one.

    Raises:
        PacketError: an address would be longer than one may be.
    """
    below = f"{old}."
    taken = {a.ilp_address for a in accounts if not a.ilp_address.startswith(below)}
    moved = []
    for account in accounts:
        if account.ilp_address.startswith(below):
            found = address(new + account.ilp_address[len(old) :])
            if found not in taken:
                moved.append(replace(account, ilp_address=found))
    routes = {}
    for prefix in static:
        if prefix == old or prefix.startswith(below):
            where = address(new + prefix[len(old) :])
            stays = where in static and not (where == old or where.startswith(below))
            if not stays:
                routes[prefix] = where
    return Moves(moved, routes)
