"""The operator's desk for the rate feed: sources, jumps, spreads of pairs, and what an amount would become."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final, final

from core.account import AMOUNT_MAX_BOOKED, AccountDirectory, Asset, format_amount
from core.clock import Clock
from core.control.accounts import find_account
from core.control.rate_feed_views import (
    feed_view,
    snapshot_view,
)
from core.control.rate_fields import read_code, read_source
from core.control.rates import price_text
from core.control.rates_views import (
    RateConversion,
    RateFeedView,
    RateSnapshotView,
    RateSourceDetails,
    RateSourceTest,
    TransferRate,
)
from core.control.refresh import Refresh, refresh_now
from core.control.shares import checked_share, share_text
from core.control.sources import Feeder
from core.control.words import counted
from core.errors import Conflict, NotFound, RateSourceError, SettingError
from core.rates.feed import rounded
from core.rates.feeder import SOURCES_MAX
from core.rates.formats import duration
from core.rates.rate import RateTable, convert
from core.rates.records import HoldState, RateId, RateSource
from core.rates.store import RateFeedStore

log = logging.getLogger(__name__)

SCALE_DEFAULT: Final = 9
PRICES_SHOWN_MAX: Final = 1_000
PAIRS_MAX: Final = 1_000
WATCHED_MAX: Final = 1_000
SNAPSHOTS_MAX: Final = 1_000
JUMP_SAMPLES_MAX: Final = 100
AMOUNT_CHARACTERS_MAX: Final = 100
UNIT_RATE_DIGITS: Final = 18
"""Of a rate that goes on."""

_SHOWN: Final = Context(prec=UNIT_RATE_DIGITS)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RateFeedDesk:
    """What the operator does with the feed."""

    store: RateFeedStore
    table: RateTable
    feeder: Feeder
    directory: AccountDirectory
    clock: Clock
    refresh: Refresh

    async def view(self) -> RateFeedView:
        store = self.store
        snapshot = await store.latest_snapshot()
        return feed_view(
            sources=await store.load_sources(),
            statuses=await store.load_statuses(),
            settings=await store.load_feed_settings(),
            holds=await store.load_holds(),
            snapshot=snapshot,
            spread=self.table.spread,
            pair_spreads=await store.load_pair_spreads(),
            served={account.asset.code for account in self.directory.all()},
            polled_here=self.feeder.polls_here,
            now_ms=self.clock.now_ms(),
        )

    # --- Sources

    async def test(self, source: RateSourceDetails | str) -> RateSourceTest:
        if isinstance(source, str):
            found = await self._source(source)
        else:
            stored = {one.name: one for one in await self.store.load_sources()}
            found = read_source(source, stored.get(source.name.strip().lower()))
        started = self.clock.monotonic()
        try:
            sample = await self.feeder.ask(found)
        except RateSourceError as error:
            return RateSourceTest(
                worked=False,
                sentence=f"{found.name} cannot be used: {error}.".replace("..", "."),
                base=found.base,
                prices={},
                data_at_ms=None,
                latency_ms=self._since_ms(started),
            )
        age = duration(self.clock.now_ms() - sample.at_ms)
        prices = sorted(sample.prices.items())[:PRICES_SHOWN_MAX]
        return RateSourceTest(
            worked=True,
            sentence=f"{found.name} has {counted(len(sample.prices) - 1, 'price')} in {sample.base}, {age} old.",
            base=sample.base,
            prices={code: price_text(rounded(price)) for code, price in prices},
            data_at_ms=sample.at_ms,
            latency_ms=self._since_ms(started),
            problems=sample.problems,
        )

    async def add(self, details: RateSourceDetails) -> RateFeedView:
        source = read_source(details, None)
        names = {one.name for one in await self.store.load_sources()}
        if source.name in names:
            raise Conflict(f"there is a rate source {source.name!r} already")
        if len(names) >= SOURCES_MAX:
            raise Conflict(f"there are {len(names)} rate sources, as many as there may be")
        await self.store.save_source(source)
        log.info("rate source %s was added", source.name)
        return await self._changed()

    async def replace(self, name: str, details: RateSourceDetails) -> RateFeedView:
        stored = await self._source(name)
        source = read_source(details, stored)
        if source.name != stored.name:
            raise SettingError(
                "name", f"it is {stored.name} and stays so; add another source instead"
            )
        await self.store.save_source(source)
        log.info("rate source %s was changed", source.name)
        return await self._changed()

    async def remove(self, name: str) -> RateFeedView:
        found = await self._source(name)
        await self.store.delete_source(found.name)
        log.info("rate source %s was removed", found.name)
        return await self._changed()

    # --- Jumps

    async def decide(self, code: str, state: HoldState) -> RateFeedView:
        found = (await self.store.load_holds()).get(read_code("code", code))
        if found is None:
            raise NotFound(f"no jump of {code.strip().upper()} is held")
        await self.store.decide_hold(replace(found, state=state))
        log.warning(
            "the jump of %s from %s to %s was %s by the operator",
            found.code,
            found.from_price,
            found.to_price,
            state.value,
        )
        return await self._changed()

    # --- What holds for all

    async def set_guard(self, jump_limit: Fraction | None, jump_samples: int) -> RateFeedView:
        if jump_limit is not None and not 0 < jump_limit <= 100:
            raise SettingError(
                "jump_limit", f"{jump_limit} was found; it needs more than 0 and at most 100"
            )
        if not 0 <= jump_samples <= JUMP_SAMPLES_MAX:
            raise SettingError(
                "jump_samples", f"{jump_samples} was found; it needs 0 to {JUMP_SAMPLES_MAX}"
            )
        if jump_samples == 1:
            raise SettingError(
                "jump_samples",
                "1 was found: the first would confirm itself; it needs 0, or 2 or more",
            )
        settings = await self.store.load_feed_settings()
        await self.store.save_feed_settings(
            replace(settings, jump_limit=jump_limit, jump_samples=jump_samples)
        )
        return await self._changed()

    async def set_reference(self, code: str) -> RateFeedView:
        reference = read_code("reference", code)
        settings = await self.store.load_feed_settings()
        snapshot = await self.store.latest_snapshot()
        said = {} if snapshot is None else snapshot.prices
        if any(price.sources for price in said.values()) and reference not in said:
            raise SettingError(
                "reference", f"{reference} was found; the sources have no price of it now"
            )
        await self.store.save_feed_settings(replace(settings, reference=reference))
        return await self._changed()

    async def set_watched(self, codes: Sequence[str]) -> RateFeedView:
        if len(codes) > WATCHED_MAX:
            raise SettingError("watched", f"{len(codes)} were found, {WATCHED_MAX} are allowed")
        watched = tuple(sorted({read_code("watched", code) for code in codes}))
        settings = await self.store.load_feed_settings()
        await self.store.save_feed_settings(replace(settings, watched=watched))
        return await self._changed()

    async def set_pair_spread(
        self, source: str, target: str, spread: Fraction | None
    ) -> RateFeedView:
        pair = read_code("source", source), read_code("target", target)
        if spread is not None:
            checked_share("spread", spread)
            pairs = await self.store.load_pair_spreads()
            if pair not in pairs and len(pairs) >= PAIRS_MAX:
                raise SettingError("spread", f"{PAIRS_MAX} pairs have one, as many as may")
        await self.store.save_pair_spread(*pair, spread)
        log.info("the spread from %s to %s is %s now", *pair, spread)
        await refresh_now(self.refresh)
        return await self.view()

    # --- Looking things up

    async def convert(
        self,
        amount: str,
        source: str,
        target: str,
        from_username: str | None,
        to_username: str | None,
    ) -> RateConversion:
        receiver = None if to_username is None else find_account(self.directory, to_username)
        from_asset = self._asset("source", source, from_username)
        to_asset = self._asset("target", target, to_username)
        units = _units(amount, from_asset)
        quote = self.table.quote(from_asset, to_asset)
        if quote is None:
            missing = [
                code
                for code in (from_asset.code, to_asset.code)
                if code not in self.table.in_force
            ]
            raise SettingError(
                "rate",
                f"there is no price of {' and '.join(missing)}:"
                " set one by hand, or add a source that has it",
            )
        now_ms = self.clock.now_ms()
        if quote.stale_at_ms is not None and now_ms >= quote.stale_at_ms:
            raise SettingError(
                "rate",
                f"the price of {quote.oldest} is {duration(now_ms - quote.at_ms)} old, and "
                f"{duration(quote.max_age_ms)} are allowed: test its source, or set the price by hand",
            )
        spread = quote.spread
        if receiver is not None and receiver.spread is not None:
            spread = receiver.spread
        delivered, conversion = convert(units, quote.rate, spread, quote.rate_id)
        unit_rate = unit_rate_text(quote.rate, from_asset, to_asset)
        sentence = (
            f"{format_amount(units, from_asset)} would become {format_amount(delivered, to_asset)}, "
            f"at {unit_rate} {to_asset.code} for one {from_asset.code}"
        )
        if spread:
            sentence += (
                f"; {format_amount(conversion.spread_amount, to_asset)} of it would stay here, "
                f"a spread of {share_text(spread)}"
            )
        return RateConversion(
            source=from_asset,
            target=to_asset,
            amount=units,
            delivered=delivered,
            rate=quote.rate,
            unit_rate=unit_rate,
            spread=spread,
            spread_amount=conversion.spread_amount,
            remainder=conversion.remainder,
            rate_id=quote.rate_id,
            age_ms=None if quote.stale_at_ms is None else max(0, now_ms - quote.at_ms),
            sentence=f"{sentence}.",
        )

    async def snapshots(self, limit: int, before: int | None) -> Sequence[RateSnapshotView]:
        found = await self.store.snapshots(
            limit=min(max(limit, 0), SNAPSHOTS_MAX),
            before=None if before is None else RateId(before),
        )
        return [snapshot_view(one) for one in found]

    async def snapshot(self, rate_id: int) -> RateSnapshotView:
        found = await self.store.snapshot(RateId(rate_id))
        if found is None:
            raise NotFound(f"there is no set of prices {rate_id}, or it is not kept any more")
        return snapshot_view(found)

    async def of_transfer(self, transfer_id: int) -> TransferRate:
        found = await self.store.converted_by(transfer_id)
        if found is None:
            raise NotFound(
                f"packet {transfer_id} has no row of its own in the books: it was folded into their totals,"
                " as old ones are, or never was"
            )
        rate, spread, rate_id = found
        snapshot = None if rate_id is None else await self.store.snapshot(rate_id)
        kept = f", less a spread of {share_text(spread)}" if spread else ""
        how = f"It was converted at {rate} smallest units for one{kept}"
        if rate is None:
            sentence = "Nothing was converted: both sides count alike, and no spread was taken."
        elif rate_id is None:
            sentence = f"{how}; no price was needed for that."
        elif snapshot is None:
            sentence = f"{how}, by the prices {rate_id}, which are not kept any more."
        else:
            sentence = f"{how}, by the prices {rate_id}."
        return TransferRate(
            transfer=transfer_id,
            rate=rate,
            spread=spread or Fraction(0),
            snapshot=None if snapshot is None else snapshot_view(snapshot),
            rate_id=rate_id,
            sentence=sentence,
        )

    # --- Helpers

    async def _source(self, name: str) -> RateSource:
        wanted = name.strip().lower()
        for source in await self.store.load_sources():
            if source.name == wanted:
                return source
        raise NotFound(f"there is no rate source {name!r}")

    async def _changed(self) -> RateFeedView:
        """Let the change come into force, and return what is so then, where this process asks the sources."""
        await refresh_now(self.refresh)
        await self.feeder.poll_now()
        await refresh_now(self.refresh)
        return await self.view()

    def _asset(self, field: str, code: str, username: str | None) -> Asset:
        wanted = read_code(field, code)
        if username is not None:
            asset = find_account(self.directory, username).asset
            if asset.code != wanted:
                raise SettingError(
                    field, f"{wanted} was found; {username} counts in {asset.code}"
                )
            return asset
        scales = [a.asset.scale for a in self.directory.all() if a.asset.code == wanted]
        return Asset(wanted, max(scales, default=SCALE_DEFAULT))

    def _since_ms(self, started: float) -> int:
        return round((self.clock.monotonic() - started) * 1000)


def _units(amount: str, asset: Asset) -> int:
    """Return an amount in whole units as so many smallest ones."""
    try:
        number = Decimal(amount.strip()) if len(amount) <= AMOUNT_CHARACTERS_MAX else None
    except ArithmeticError:
        number = None
    if number is None or not number.is_finite() or number < 0:
        raise SettingError(
            "amount",
            f"{amount[:AMOUNT_CHARACTERS_MAX]!r} was found; it needs a number like 12.40",
        )
    if number.adjusted() > 40:
        raise SettingError("amount", "it is more than a packet can carry")
    units = Fraction(number) * 10**asset.scale
    if units.denominator != 1:
        raise SettingError(
            "amount", f"{amount} was found; {asset.code} has {asset.scale} decimals here"
        )
    if units > AMOUNT_MAX_BOOKED:
        raise SettingError("amount", "it is more than a packet can carry")
    return int(units)


def unit_rate_text(rate: Fraction, source: Asset, target: Asset) -> str:
    """Return whole target units for one whole source unit."""
    whole = rate * Fraction(10) ** (source.scale - target.scale)
    digits = rounded(whole)
    if Fraction(digits) == whole:
        return price_text(digits)
    return f"{price_text(_SHOWN.plus(digits))}…"
