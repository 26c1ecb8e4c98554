"""Where learned routes are kept: a restarted node has them at once, and nodes on one store share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final, runtime_checkable

from core.account import AccountId
from core.routing.ccp import NO_TABLE, TableId

ROWS_AT_ONCE: Final = 2_000
"""Routes in one transaction: packets wait behind it, so it is short."""
WITHDRAWN_KEPT: Final = 1_000
"""So many saves back a withdrawn route still has a row, for nodes that have not looked since."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPeer:
    """What is known of one peer's table, and what it knows of ours."""

    account: AccountId
    table_id: TableId = NO_TABLE
    epoch: int = 0
    hold_down_ms: int = 0
    heard_at_ms: int = 0
    expires_at_ms: int = 0
    wants_routes: bool = False
    """Whether it has asked to be told our routes."""
    wanted_table_id: TableId = NO_TABLE
    """The table of ours that it knew when it asked."""
    wanted_epoch: int = 0
    generation: int = 0
    """Grows whenever all of its routes are forgotten at once."""
    version: int = 0
    """Grows with each save."""
    floor: int = 0
    """Whoever has seen less than this version may have missed a withdrawal, and reads all routes anew."""


@final
@dataclass(frozen=True, slots=True)
class StoredRoute:
    """One route of a peer's table; one without a path was withdrawn."""

    prefix: str
    path: tuple[str, ...] | None
    auth: bytes = b""


@runtime_checkable
class LearnedRouteStore(Protocol):
    """Where learned routes are kept."""

    async def load_peers(self) -> Sequence[StoredPeer]:
        """Return what is known of each account's table, deleted accounts left out."""

    async def load_learned(
        self, peer: StoredPeer, *, after_version: int, after_prefix: str, limit: int
    ) -> Sequence[StoredRoute]:
        """Return routes of the peer's generation that were saved after a version, by prefix, `limit` at most.

        With `after_version` 0 the withdrawn ones are left out.
        """

    async def save_learned(
        self, peer: StoredPeer, routes: Sequence[StoredRoute]
    ) -> StoredPeer | None:
        """Keep these routes, and `peer` with the next version, which is returned.

        None, and nothing is kept, where another node has saved since `peer` was loaded or saved here.

        Raises:
            UnknownAccount: it does not exist any more.
        """

    async def sweep_learned(self, *, rows_max: int) -> bool:
        """Look at so many rows more, and delete those that nobody reads any more; return whether there are others."""
