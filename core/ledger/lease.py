"""Which node processes share the store, and which of them are alive."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from core.account import AccountId

LEASE_SECONDS = 15
"""How long a node counts as alive after its last sign; its process being gone counts at once."""
RENEW_SECONDS = 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLease:
    """One node process: `number` is its identity in every row that it writes."""

    number: int
    name: str
    pid: int
    started_at_ms: int
    renewed_at_ms: int
    ended_at_ms: int | None = None


@runtime_checkable
class LeaseStore(Protocol):
    """Where node processes sign on and off."""

    async def sign_on(self, name: str) -> NodeLease:
        """Take a new number; the store's books write under it from now on."""

    async def renew(self) -> None:
        """Say that this process lives.

        Raises:
            NodeFenced: somebody has declared it dead meanwhile; what it had pending is UNKNOWN.
        """

    async def sign_off(self) -> None:
        """Say that this process ends in order; it must have nothing pending."""

    async def nodes(self) -> tuple[NodeLease, ...]:
        """Return the processes that are alive now."""

    async def hold(
        self, opened: Mapping[AccountId, int], closed: Collection[AccountId]
    ) -> None:
        """Say to which accounts this process holds connections now, and since when; and to which no more.

        It is forgotten with the process. An account that does not exist is passed over.

        Raises:
            NodeFenced: it has not signed on, or was declared dead.
        """

    async def holders(self) -> Mapping[AccountId, Sequence[int]]:
        """Return the numbers of the processes that hold a connection to each account, the longest-held first.

        One that has died, and was not found yet, may be among them.
        """
