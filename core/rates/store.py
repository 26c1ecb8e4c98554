"""Where the feed's sources, its state and what was in force are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple, Protocol, runtime_checkable

from core.rates.records import (
    FeedSettings,
    HeldJump,
    Price,
    RateId,
    RateSnapshot,
    RateSource,
    SourceStatus,
)

ALL_KEPT_MS: Final = 7 * 86_400_000
"""Every set of prices is kept for a week, or as long as packets have rows of their own that name it."""
HOURLY_KEPT_MS: Final = 400 * 86_400_000
"""Then one an hour for a year, then one a day."""


class ConvertedBy(NamedTuple):
    """How one packet was converted; all None where both sides count alike."""

    rate: Fraction | None
    spread: Fraction | None
    rate_id: RateId | None


@runtime_checkable
class RateFeedStore(Protocol):
    """What changes the feed's configuration is seen by all nodes as `rate_feed`, prices as `rates`."""

    # --- Sources

    async def load_sources(self) -> Sequence[RateSource]:
        """Return every source by name, keys decrypted."""

    async def save_source(self, source: RateSource) -> None:
        """Add it, or replace the one of its name."""

    async def delete_source(self, name: str) -> bool:
        """Remove it with its status; tell whether there was one."""

    async def load_statuses(self) -> Mapping[str, SourceStatus]: ...

    async def save_status(self, name: str, status: SourceStatus) -> None:
        """Keep how a source does; nothing where it is gone."""

    # --- What holds for all

    async def load_feed_settings(self) -> FeedSettings: ...

    async def save_feed_settings(self, settings: FeedSettings) -> None: ...

    async def load_pair_spreads(self) -> Mapping[tuple[str, str], Fraction]:
        """Return our share of what is converted from one code into another."""

    async def save_pair_spread(self, source: str, target: str, spread: Fraction | None) -> None:
        """Set it; None removes it."""

    # --- Jumps

    async def load_holds(self) -> Mapping[str, HeldJump]: ...

    async def replace_holds(self, holds: Mapping[str, HeldJump]) -> None:
        """Keep what the feed has decided; no other node needs to look for it."""

    async def decide_hold(self, held: HeldJump) -> None:
        """Keep what the operator has decided, for whichever node asks the sources."""

    # --- What is in force

    async def latest_snapshot(self) -> RateSnapshot | None:
        """Return what is in force: what the sources say, and over it what the operator set."""

    async def publish(
        self, prices: Mapping[str, Price], reference: str, at_ms: int
    ) -> RateSnapshot:
        """Put what the sources say into force, under the operator's own prices.

        Where no price moved, the snapshot that is in force stays, and only the stamps of its prices
        are renewed.
        """

    async def snapshot(self, rate_id: RateId) -> RateSnapshot | None: ...

    async def snapshots(
        self, *, limit: int, before: RateId | None = None
    ) -> Sequence[RateSnapshot]:
        """Return the newest first."""

    async def prune_snapshots(self, now_ms: int, *, all_kept_ms: int) -> int:
        """Thin out what is older than that; return how many went. The newest stays in any case."""

    async def converted_by(self, transfer_id: int) -> ConvertedBy | None:
        """Return how a packet was converted; None where it has no row, or none any more."""
