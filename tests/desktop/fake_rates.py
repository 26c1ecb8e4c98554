"""The rate feed of the fake node: two sources, one of which fails, a price that is old and one that is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from core.account import Asset
from core.control.rates_operator import RateFeedOperator
from core.control.rates_views import (
    HeldJumpView,
    PairSpread,
    PriceView,
    RateConversion,
    RateFeedView,
    RateSnapshotView,
    RateSourceDetails,
    RateSourceTest,
    RateSourceView,
    TransferRate,
)
from core.errors import Conflict, NotFound, SettingError
from core.rates.records import HoldState, SourceKind


def source(name: str, kind: SourceKind, *, works: bool = True) -> RateSourceView:
    """Return a source that works, or one that does not."""
    return RateSourceView(
        name=name,
        kind=kind,
        url=f"https://{name}.example/rates",
        base="USD",
        assets={},
        path="",
        inverted=False,
        prices={},
        has_api_key=False,
        poll_seconds=60,
        max_age_seconds=600,
        enabled=True,
        works=works,
        sentence="It answered 12 s ago with 31 prices."
        if works
        else "It has failed 4 times: its host does not answer.",
        tried_at_ms=1,
        answered_at_ms=1 if works else None,
        data_at_ms=1 if works else None,
        age_ms=12_000 if works else None,
        prices_count=31 if works else 0,
        failures=0 if works else 4,
        problem="" if works else "its host does not answer",
        next_at_ms=2,
    )


class FakeRates(RateFeedOperator):
    """What FakeOperator knows of the rate feed."""

    prices: dict[str, str]
    spread: Fraction

    def begin_rates(self) -> None:
        """Start with two sources and a held price."""
        self.rate_sources = {
            "ecb": source("ecb", SourceKind.ECB),
            "market": source("market", SourceKind.COINGECKO, works=False),
        }
        self.pair_spreads: dict[tuple[str, str], Fraction] = {("EUR", "XRP"): Fraction(1, 100)}
        self.held: dict[str, HeldJumpView] = {
            "XRP": HeldJumpView(
                code="XRP",
                from_price="0.61",
                to_price="0.91",
                change=Fraction(30, 61),
                since_ms=1,
                samples=2,
                sources=("market",),
                state=HoldState.HELD,
                sentence="XRP would rise by 49 %, from 0.61 to 0.91 USD.",
            )
        }
        self.jump_limit: Fraction | None = Fraction(1, 10)
        self.snapshots: list[RateSnapshotView] = []
        self.transfer_rates: dict[int, TransferRate] = {}

    # --- RateFeedOperator

    async def rate_feed(self) -> RateFeedView:
        self._called("rate_feed")
        by_hand: Mapping[str, str] = self.prices
        prices = [
            PriceView(
                code=code,
                price=price,
                by_operator=True,
                sources=(),
                at_ms=None,
                age_ms=None,
                max_age_ms=None,
                stale=False,
                held=None,
                sentence="You set it.",
            )
            for code, price in by_hand.items()
        ]
        prices += [
            PriceView(
                code=code,
                price=price,
                by_operator=False,
                sources=("ecb",),
                at_ms=1,
                age_ms=age_ms,
                max_age_ms=600_000,
                stale=age_ms > 600_000,
                held=self.held.get(code),
                sentence="The ecb said so.",
            )
            for code, price, age_ms in (
                ("CHF", "1.1277", 12_000),
                ("GBP", "1.2631", 700_000),
                ("XRP", "0.61", 12_000),
            )
            if code not in by_hand
        ]
        return RateFeedView(
            reference="USD",
            prices=sorted(prices, key=lambda view: view.code),
            sources=[self.rate_sources[name] for name in sorted(self.rate_sources)],
            held=list(self.held.values()),
            spread=self.spread,
            pair_spreads=[PairSpread(source=a, target=b, spread=s) for (a, b), s in
                          self.pair_spreads.items()],
            jump_limit=self.jump_limit,
            jump_samples=3,
            watched=(),
            rate_id=7,
            rate_at_ms=1,
            polled_here=True,
            problems=("The price of GBP is too old.", "market fails."),
        )  # fmt: skip

    async def test_rate_source(self, source: RateSourceDetails | str) -> RateSourceTest:
        self._called("test_rate_source", source)
        return RateSourceTest(
            worked=True,
            sentence="It answered in 120 ms with 31 prices.",
            base="USD",
            prices={"EUR": "1.0721"},
            data_at_ms=1,
            latency_ms=120,
        )

    async def add_rate_source(self, details: RateSourceDetails) -> RateFeedView:
        self._called("add_rate_source", details)
        if len(details.name) < 2:
            raise SettingError(
                "name", f"{details.name!r} was found; it needs 2 to 32 characters"
            )
        if details.name in self.rate_sources:
            raise Conflict(f"there is a source {details.name} already")
        self.rate_sources[details.name] = source(details.name, SourceKind(details.kind))
        return await self.rate_feed()

    async def replace_rate_source(self, name: str, details: RateSourceDetails) -> RateFeedView:
        self._called("replace_rate_source", name, details)
        self.rate_sources.pop(name)
        return await self.add_rate_source(details)

    async def remove_rate_source(self, name: str) -> RateFeedView:
        self._called("remove_rate_source", name)
        if name not in self.rate_sources:
            raise NotFound(f"there is no source {name}")
        del self.rate_sources[name]
        return await self.rate_feed()

    async def confirm_rate_jump(self, code: str) -> RateFeedView:
        self._called("confirm_rate_jump", code)
        del self.held[code]
        return await self.rate_feed()

    async def refuse_rate_jump(self, code: str) -> RateFeedView:
        self._called("refuse_rate_jump", code)
        self.held[code] = replace(self.held[code], state=HoldState.REFUSED)
        return await self.rate_feed()

    async def set_rate_guard(
        self, *, jump_limit: Fraction | None, jump_samples: int
    ) -> RateFeedView:
        self._called("set_rate_guard", jump_limit, jump_samples)
        self.jump_limit = jump_limit
        return await self.rate_feed()

    async def set_reference_asset(self, code: str) -> RateFeedView:
        return await self.rate_feed()

    async def set_watched_assets(self, codes: Sequence[str]) -> RateFeedView:
        return await self.rate_feed()

    async def set_pair_spread(
        self, source: str, target: str, spread: Fraction | None
    ) -> RateFeedView:
        self._called("set_pair_spread", source, target, spread)
        if spread is None:
            self.pair_spreads.pop((source, target), None)
        else:
            self.pair_spreads[source, target] = spread
        return await self.rate_feed()

    async def convert_amount(
        self,
        amount: str,
        source: str,
        target: str,
        *,
        from_username: str | None = None,
        to_username: str | None = None,
    ) -> RateConversion:
        self._called("convert_amount", amount, source, target)
        if source == "ZZZ":
            raise SettingError("source", "no price of ZZZ is known")
        units = int(Fraction(amount) * 100)
        return RateConversion(
            source=Asset(source, 2),
            target=Asset(target, 2),
            amount=units,
            delivered=units * 9 // 10,
            rate=Fraction(9, 10),
            unit_rate="0.9",
            spread=Fraction(1, 500),
            spread_amount=units // 500,
            remainder=Fraction(0),
            rate_id=7,
            age_ms=12_000,
            sentence="",
        )

    async def rate_snapshots(
        self, *, limit: int = 100, before: int | None = None
    ) -> Sequence[RateSnapshotView]:
        self._called("rate_snapshots", limit, before)
        newest = [each for each in self.snapshots if before is None or each.id < before]
        return newest[:limit]

    def add_snapshot(self, at_ms: int, **prices: str) -> None:
        """Let these prices have been in force since then."""
        views = [
            PriceView(
                code=code,
                price=price,
                by_operator=False,
                sources=("ecb",),
                at_ms=at_ms,
                age_ms=0,
                max_age_ms=None,
                stale=False,
                held=None,
                sentence="The ecb said so.",
            )
            for code, price in prices.items()
        ]
        number = len(self.snapshots) + 1
        self.snapshots.insert(
            0, RateSnapshotView(id=number, at_ms=at_ms, reference="USD", prices=views)
        )

    async def rate_snapshot(self, rate_id: int) -> RateSnapshotView:
        raise NotFound(f"rate {rate_id} is not kept")

    async def rate_of_transfer(self, transfer_id: int) -> TransferRate:
        self._called("rate_of_transfer", transfer_id)
        found = self.transfer_rates.get(transfer_id)
        if found is None:
            raise NotFound(f"transfer {transfer_id} is not kept")
        return found

    # --- Within

    def _called(self, name: str, *arguments: object) -> None:
        raise NotImplementedError
