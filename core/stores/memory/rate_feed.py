"""The rate feed in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Protocol, final

from core.ledger.books import Transfer, TransferId
from core.rates.overlay import by_sources, has_moved, overlaid
from core.rates.records import (
    REFERENCE_DEFAULT,
    FeedSettings,
    HeldJump,
    Price,
    RateId,
    RateSnapshot,
    RateSource,
    SourceStatus,
)
from core.rates.store import ConvertedBy, RateFeedStore
from core.stores.memory.state import MemoryState
from core.stores.rate_rules import ALWAYS, to_be_pruned


class Transfers(Protocol):
    """The packets that were booked."""

    def transfer(self, transfer_id: TransferId) -> Transfer | None: ...


@final
class MemoryRateFeed(RateFeedStore):
    """Dictionaries; nothing here awaits, so that every call is atomic."""

    def __init__(self, state: MemoryState, transfers: Transfers) -> None:
        self._state = state
        self._transfers = transfers
        self._sources: dict[str, RateSource] = {}
        self._statuses: dict[str, SourceStatus] = {}
        self._settings = FeedSettings()
        self._pairs: dict[tuple[str, str], Fraction] = {}
        self._holds: dict[str, HeldJump] = {}
        self._snapshots: dict[RateId, RateSnapshot] = {}
        self._published = 0
        self.own: Mapping[str, Decimal] = {}
        """The operator's prices."""

    async def load_sources(self) -> Sequence[RateSource]:
        return [self._sources[name] for name in sorted(self._sources)]

    async def save_source(self, source: RateSource) -> None:
        self._sources[source.name] = source
        self._statuses.pop(source.name, None)
        self._state.changed("rate_feed")

    async def delete_source(self, name: str) -> bool:
        if self._sources.pop(name, None) is None:
            return False
        self._statuses.pop(name, None)
        self._state.changed("rate_feed")
        return True

    async def load_statuses(self) -> Mapping[str, SourceStatus]:
        return {name: self._statuses.get(name, SourceStatus()) for name in self._sources}

    async def save_status(self, name: str, status: SourceStatus) -> None:
        if name in self._sources:
            self._statuses[name] = status

    async def load_feed_settings(self) -> FeedSettings:
        return self._settings

    async def save_feed_settings(self, settings: FeedSettings) -> None:
        self._settings = settings
        self._state.changed("rate_feed")

    async def load_pair_spreads(self) -> Mapping[tuple[str, str], Fraction]:
        return dict(self._pairs)

    async def save_pair_spread(self, source: str, target: str, spread: Fraction | None) -> None:
        self._pairs.pop((source, target), None)
        if spread is not None:
            self._pairs[source, target] = spread
        self._state.changed("rates")

    async def load_holds(self) -> Mapping[str, HeldJump]:
        return dict(self._holds)

    async def replace_holds(self, holds: Mapping[str, HeldJump]) -> None:
        self._holds = dict(holds)

    async def decide_hold(self, held: HeldJump) -> None:
        self._holds[held.code] = held
        self._state.changed("rate_feed")

    async def latest_snapshot(self) -> RateSnapshot | None:
        return next(reversed(self._snapshots.values()), None)

    async def publish(
        self, prices: Mapping[str, Price], reference: str, at_ms: int
    ) -> RateSnapshot:
        return self.put_into_force(prices, reference, at_ms)

    async def snapshot(self, rate_id: RateId) -> RateSnapshot | None:
        return self._snapshots.get(rate_id)

    async def snapshots(
        self, *, limit: int, before: RateId | None = None
    ) -> Sequence[RateSnapshot]:
        last = ALWAYS if before is None else before
        return [found for found in reversed(self._snapshots.values()) if found.id < last][
            :limit
        ]

    async def prune_snapshots(self, now_ms: int, *, all_kept_ms: int) -> int:
        rows = [
            (found.id, found.at_ms)
            for found in self._snapshots.values()
            if found.at_ms < now_ms - all_kept_ms
        ]
        last = next(reversed(self._snapshots), None)
        gone = [one for one in to_be_pruned(rows, now_ms, all_kept_ms) if one != last]
        for rate_id in gone:
            del self._snapshots[RateId(rate_id)]
        return len(gone)

    async def converted_by(self, transfer_id: int) -> ConvertedBy | None:
        transfer = self._transfers.transfer(TransferId(transfer_id))
        if transfer is None:
            return None
        found = transfer.conversion
        if found is None:
            return ConvertedBy(None, None, None)
        rate_id = None if found.rate_id is None else RateId(found.rate_id)
        return ConvertedBy(found.rate, found.spread, rate_id)

    # --- For the operator's prices, which come into force here

    def put_into_force(
        self, said: Mapping[str, Price], reference: str, at_ms: int
    ) -> RateSnapshot:
        """Keep what the sources say with what the operator set over it; only stamps where no price moved."""
        prices = overlaid(said, self.own, reference)
        before = next(reversed(self._snapshots.values()), None)
        if before is None or before.reference != reference or has_moved(before.prices, prices):
            self._published += 1
            rate_id = RateId(self._published)
        else:
            rate_id, at_ms = before.id, before.at_ms
        found = RateSnapshot(id=rate_id, at_ms=at_ms, reference=reference, prices=prices)
        self._snapshots[rate_id] = found
        self._state.changed("rates")
        return found

    def renew(self, at_ms: int) -> None:
        """Put the operator's prices into force over what the sources said last."""
        before = next(reversed(self._snapshots.values()), None)
        reference = REFERENCE_DEFAULT if before is None else before.reference
        said = {} if before is None else by_sources(before.prices, reference)
        self.put_into_force(said, reference, at_ms)
