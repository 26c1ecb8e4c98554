"""The operator's door to the rate feed, as a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from core.control.rates_views import (
    RateConversion,
    RateFeedView,
    RateSnapshotView,
    RateSourceDetails,
    RateSourceTest,
    TransferRate,
)


class RateFeedOperator(Protocol):
    """Beside `rates`, `set_rates` and `set_spread`: prices that the operator sets win over all sources."""

    async def rate_feed(self) -> RateFeedView: ...

    async def test_rate_source(self, source: RateSourceDetails | str) -> RateSourceTest:
        """Ask a source now, described or by the name of one that there is; takes up to ten seconds.

        Nothing comes into force. That it does not answer is an answer, not an error.

        Raises:
            SettingError: the details cannot be.
            NotFound: there is no source of this name.
        """

    async def add_rate_source(self, details: RateSourceDetails) -> RateFeedView:
        """Add a source, and ask it at once; raises SettingError, or Conflict where the name is taken."""

    async def replace_rate_source(self, name: str, details: RateSourceDetails) -> RateFeedView:
        """Change all of it; an api_key that is None stays. Raises as `add_rate_source`, and NotFound."""

    async def remove_rate_source(self, name: str) -> RateFeedView:
        """Remove it, and what it said; raises NotFound."""

    async def confirm_rate_jump(self, code: str) -> RateFeedView:
        """Put a held price into force; raises NotFound where none is held."""

    async def refuse_rate_jump(self, code: str) -> RateFeedView:
        """Keep the price that is in force, until the sources say something else; raises NotFound."""

    async def set_rate_guard(
        self, *, jump_limit: Fraction | None, jump_samples: int
    ) -> RateFeedView:
        """Say which jumps are held: beyond which share, and how many samples confirm one; None holds none."""

    async def set_reference_asset(self, code: str) -> RateFeedView:
        """Count all prices in this asset; raises SettingError where no source has it."""

    async def set_watched_assets(self, codes: Sequence[str]) -> RateFeedView:
        """Keep the prices of these too, though no account counts in them."""

    async def set_pair_spread(
        self, source: str, target: str, spread: Fraction | None
    ) -> RateFeedView:
        """Set our share of what is converted from one asset code into another; None removes it."""

    async def convert_amount(
        self,
        amount: str,
        source: str,
        target: str,
        *,
        from_username: str | None = None,
        to_username: str | None = None,
    ) -> RateConversion:
        """Say what an amount in whole units, as `12.40`, would become now.

        Scales and spread are those of the accounts that are named; without, each asset has the
        scale of the accounts that count in it, or 9, and the spread is the pair's or the node's.

        Raises:
            SettingError: the amount or a code cannot be, or there is no rate, or it is stale.
            UnknownAccount: no account has this username.
        """

    async def rate_snapshots(
        self, *, limit: int = 100, before: int | None = None
    ) -> Sequence[RateSnapshotView]:
        """Return what was in force, the newest first; `before` is the id of one."""

    async def rate_snapshot(self, rate_id: int) -> RateSnapshotView:
        """Return one; raises NotFound where it is not kept, or never was."""

    async def rate_of_transfer(self, transfer_id: int) -> TransferRate:
        """Say by which rate a packet was converted; raises NotFound where its row is folded, or never was."""
