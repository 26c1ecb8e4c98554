"""The rate feed as the operator is shown it: every age, and every trouble in a sentence with its remedy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, Context, Decimal
from fractions import Fraction
from typing import Final

from core.control.rates import price_text
from core.control.rates_views import (
    HeldJumpView,
    PairSpread,
    PriceView,
    RateFeedView,
    RateSnapshotView,
    RateSourceView,
)
from core.control.words import counted
from core.rates.formats import duration
from core.rates.records import (
    FeedSettings,
    HeldJump,
    HoldState,
    Price,
    RateSnapshot,
    RateSource,
    SourceKind,
    SourceStatus,
)

SHOWN_DIGITS: Final = 12
_SHOWN: Final = Context(prec=SHOWN_DIGITS, rounding=ROUND_DOWN)


def feed_view(
    *,
    sources: Sequence[RateSource],
    statuses: Mapping[str, SourceStatus],
    settings: FeedSettings,
    holds: Mapping[str, HeldJump],
    snapshot: RateSnapshot | None,
    spread: Fraction,
    pair_spreads: Mapping[tuple[str, str], Fraction],
    served: Collection[str],
    polled_here: bool,
    now_ms: int,
) -> RateFeedView:
    """Return everything about rates at a glance."""
    held = {code: _held_view(one, now_ms) for code, one in sorted(holds.items())}
    reference = settings.reference if snapshot is None else snapshot.reference
    prices = [
        price_view(code, price, reference, held.get(code), now_ms)
        for code, price in sorted(({} if snapshot is None else snapshot.prices).items())
    ]
    views = [
        source_view(one, statuses.get(one.name, SourceStatus()), now_ms) for one in sources
    ]
    return RateFeedView(
        reference=settings.reference,
        prices=prices,
        sources=views,
        held=tuple(held.values()),
        spread=spread,
        pair_spreads=[
            PairSpread(source=source, target=target, spread=share)
            for (source, target), share in sorted(pair_spreads.items())
        ],
        jump_limit=settings.jump_limit,
        jump_samples=settings.jump_samples,
        watched=settings.watched,
        rate_id=None if snapshot is None else snapshot.id,
        rate_at_ms=None if snapshot is None else snapshot.at_ms,
        polled_here=polled_here,
        problems=tuple(_problems(prices, views, held.values(), served, reference)),
    )


def price_view(
    code: str, price: Price, reference: str, held: HeldJumpView | None, now_ms: int
) -> PriceView:
    """Return a price as it is now."""
    age_ms = None if price.at_ms is None else max(0, now_ms - price.at_ms)
    stale = price.stale_at_ms is not None and now_ms >= price.stale_at_ms
    text = _short(price.price)
    if code == reference and not price.sources:
        sentence = f"{code} is what all prices are counted in."
    elif not price.sources:
        sentence = f"One {code} costs {text} {reference}: you set it so, and it does not age."
    else:
        by = " and ".join(price.sources)
        sentence = f"One {code} costs {text} {reference}, by {by}"
        if age_ms is not None and price.max_age_ms is not None:
            sentence += f", {duration(age_ms)} ago"
            if stale:
                sentence += f": too old, {duration(price.max_age_ms)} are allowed"
        sentence += "."
    return PriceView(
        code=code,
        price=price_text(price.price),
        by_operator=not price.sources and code != reference,
        sources=price.sources,
        at_ms=price.at_ms,
        age_ms=age_ms,
        max_age_ms=price.max_age_ms,
        stale=stale,
        held=held,
        sentence=sentence,
    )


def source_view(source: RateSource, status: SourceStatus, now_ms: int) -> RateSourceView:
    """Return a source and how it does."""
    data_at_ms, max_age_ms = status.data_at_ms, source.max_age_ms
    age_ms = None if data_at_ms is None else max(0, now_ms - data_at_ms)
    fresh = data_at_ms is not None and (
        max_age_ms is None or age_ms is None or age_ms < max_age_ms
    )
    works = source.enabled and not status.failures and fresh
    return RateSourceView(
        name=source.name,
        kind=source.kind,
        url=source.url,
        base=source.base,
        assets=source.assets,
        path=source.path,
        inverted=source.inverted,
        prices={code: price_text(price) for code, price in source.prices.items()},
        has_api_key=source.api_key is not None,
        poll_seconds=source.poll_seconds,
        max_age_seconds=None if source.kind is SourceKind.FIXED else source.max_age_seconds,
        enabled=source.enabled,
        works=works,
        sentence=_source_words(source, status, fresh=fresh, now_ms=now_ms),
        tried_at_ms=status.tried_at_ms,
        answered_at_ms=status.answered_at_ms,
        data_at_ms=data_at_ms,
        age_ms=age_ms,
        prices_count=status.prices,
        failures=status.failures,
        problem=status.problem,
        next_at_ms=status.next_at_ms,
    )


def snapshot_view(snapshot: RateSnapshot) -> RateSnapshotView:
    """Return prices as they were when they came into force."""
    return RateSnapshotView(
        id=snapshot.id,
        at_ms=snapshot.at_ms,
        reference=snapshot.reference,
        prices=[
            price_view(code, price, snapshot.reference, None, price.at_ms or snapshot.at_ms)
            for code, price in sorted(snapshot.prices.items())
        ],
    )


def _short(price: Decimal) -> str:
    """Return a price for a sentence: its first twelve digits, and a sign where it goes on."""
    if len(price.as_tuple().digits) <= SHOWN_DIGITS:
        return price_text(price)
    return f"{price_text(_SHOWN.plus(price))}…"


def _held_view(held: HeldJump, now_ms: int) -> HeldJumpView:
    change = Fraction(held.to_price) / Fraction(held.from_price) - 1
    percent = f"{float(abs(change) * 100):.1f}%"
    way = "up" if change > 0 else "down"
    state = {
        HoldState.HELD: "it is held until you or most sources confirm it, "
        "or further samples where one source is all that speaks",
        HoldState.CONFIRMED: "you confirmed it",
        HoldState.REFUSED: "you refused it, and the old price stays until the sources say another",
    }[held.state]
    ago = duration(now_ms - held.since_ms)
    return HeldJumpView(
        code=held.code,
        from_price=price_text(held.from_price),
        to_price=price_text(held.to_price),
        change=change,
        since_ms=held.since_ms,
        samples=held.samples,
        sources=held.sources,
        state=held.state,
        sentence=(
            f"{held.code} went {way} by {percent} at once, from {_short(held.from_price)} to "
            f"{_short(held.to_price)}, {ago} ago, by {' and '.join(held.sources)}: {state}."
        ),
    )


def _source_words(source: RateSource, status: SourceStatus, *, fresh: bool, now_ms: int) -> str:
    if not source.enabled:
        return "It is switched off, and is not asked."
    if status.tried_at_ms is None:
        return "It has not been asked yet."
    if status.answered_at_ms is None:
        return status.problem or "It is being asked for the first time."
    ago = duration(now_ms - status.answered_at_ms)
    if status.failures:
        times = counted(status.failures, "time")
        return f"{status.problem} It failed {times} in a row and last answered {ago} ago."
    if not fresh and status.data_at_ms is not None:
        age = duration(now_ms - status.data_at_ms)
        return (
            f"It answered {ago} ago, with prices that are {age} old: "
            f"{duration(source.max_age_seconds * 1000)} are allowed."
        )
    found = f"It answered {ago} ago, with {counted(status.prices, 'price')}."
    return f"{found} {status.problem}" if status.problem else found


def _problems(
    prices: Sequence[PriceView],
    sources: Sequence[RateSourceView],
    held: Collection[HeldJumpView],
    served: Collection[str],
    reference: str,
) -> Iterator[str]:
    for price in prices:
        if price.stale and price.code in served:
            yield (
                f"{price.sentence} Packets that need it are rejected: test its source, or set the"
                " price by hand."
            )
    for source in sources:
        if source.enabled and source.tried_at_ms is not None and not source.works:
            yield f"{source.name}: {source.sentence}"
    for jump in held:
        if jump.state is HoldState.HELD:
            yield jump.sentence
    known = {price.code for price in prices}
    if len(served) > 1:
        for code in sorted(set(served) - known):
            # What is set by hand may be counted in anything: that it is the reference is not guessed.
            way_out = (
                "all prices are counted in it, so set it to 1, or add a source."
                if code == reference
                else "add a source, or set one."
            )
            yield f"There is no price of {code}, in which an account counts: {way_out}"
