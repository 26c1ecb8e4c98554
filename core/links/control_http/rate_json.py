"""The rate feed as JSON: prices and shares as exact text, times in milliseconds."""

from __future__ import annotations

from core.account import format_number
from core.control.rates_views import (
    HeldJumpView,
    PriceView,
    RateConversion,
    RateFeedView,
    RateSnapshotView,
    RateSourceTest,
    RateSourceView,
    TransferRate,
)
from core.control.shares import share_text
from core.links.control_http.as_json import Json, asset_json


def feed_json(view: RateFeedView) -> Json:
    """Return everything about rates at a glance."""
    return {
        "reference": view.reference,
        "rate_id": view.rate_id,
        "rate_at_ms": view.rate_at_ms,
        "prices": [price_json(price) for price in view.prices],
        "sources": [source_json(source) for source in view.sources],
        "held": [held_json(held) for held in view.held],
        "spread": share_text(view.spread),
        "pair_spreads": [
            {"source": pair.source, "target": pair.target, "spread": share_text(pair.spread)}
            for pair in view.pair_spreads
        ],
        "jump_limit": None if view.jump_limit is None else share_text(view.jump_limit),
        "jump_samples": view.jump_samples,
        "watched": list(view.watched),
        "polled_here": view.polled_here,
        "problems": list(view.problems),
    }


def price_json(price: PriceView) -> Json:
    """Return a price in force."""
    return {
        "code": price.code,
        "price": price.price,
        "by_operator": price.by_operator,
        "sources": list(price.sources),
        "at_ms": price.at_ms,
        "age_ms": price.age_ms,
        "max_age_ms": price.max_age_ms,
        "stale": price.stale,
        "held": None if price.held is None else held_json(price.held),
        "sentence": price.sentence,
    }


def held_json(held: HeldJumpView) -> Json:
    """Return a jump that is held."""
    return {
        "code": held.code,
        "from_price": held.from_price,
        "to_price": held.to_price,
        "change": str(held.change),
        "since_ms": held.since_ms,
        "samples": held.samples,
        "sources": list(held.sources),
        "state": held.state.value,
        "sentence": held.sentence,
    }


def source_json(source: RateSourceView) -> Json:
    """Return a source, and how it does; its key is never shown."""
    return {
        "name": source.name,
        "kind": source.kind.value,
        "url": source.url,
        "base": source.base,
        "assets": dict(source.assets),
        "path": source.path,
        "inverted": source.inverted,
        "prices": dict(source.prices),
        "api_key": "SECRET" if source.has_api_key else None,
        "poll_seconds": source.poll_seconds,
        "max_age_seconds": source.max_age_seconds,
        "enabled": source.enabled,
        "works": source.works,
        "sentence": source.sentence,
        "tried_at_ms": source.tried_at_ms,
        "answered_at_ms": source.answered_at_ms,
        "data_at_ms": source.data_at_ms,
        "age_ms": source.age_ms,
        "prices_count": source.prices_count,
        "failures": source.failures,
        "problem": source.problem,
        "next_at_ms": source.next_at_ms,
    }


def test_json(test: RateSourceTest) -> Json:
    """Return what a source answered just now."""
    return {
        "worked": test.worked,
        "sentence": test.sentence,
        "base": test.base,
        "prices": dict(test.prices),
        "data_at_ms": test.data_at_ms,
        "latency_ms": test.latency_ms,
        "problems": list(test.problems),
    }


def conversion_json(found: RateConversion) -> Json:
    """Return what an amount would become."""
    return {
        "source": {**asset_json(found.source)},
        "target": {**asset_json(found.target)},
        "amount": str(found.amount),
        "exact_amount": format_number(found.amount, found.source.scale),
        "delivered": str(found.delivered),
        "exact_delivered": format_number(found.delivered, found.target.scale),
        "rate": str(found.rate),
        "unit_rate": found.unit_rate,
        "spread": share_text(found.spread),
        "spread_amount": str(found.spread_amount),
        "remainder": str(found.remainder),
        "rate_id": found.rate_id,
        "age_ms": found.age_ms,
        "sentence": found.sentence,
    }


def snapshot_json(snapshot: RateSnapshotView) -> Json:
    """Return prices that were in force together."""
    return {
        "id": snapshot.id,
        "at_ms": snapshot.at_ms,
        "reference": snapshot.reference,
        "prices": [price_json(price) for price in snapshot.prices],
    }


def transfer_rate_json(found: TransferRate) -> Json:
    """Return the rate by which one packet was converted."""
    return {
        "transfer": str(found.transfer),
        "rate": None if found.rate is None else str(found.rate),
        "spread": share_text(found.spread),
        "rate_id": found.rate_id,
        "prices": None if found.snapshot is None else snapshot_json(found.snapshot),
        "sentence": found.sentence,
    }
