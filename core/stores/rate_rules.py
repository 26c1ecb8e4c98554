"""Which prices and spreads may be kept, and how long: the same on every backend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

from core.errors import SettingError
from core.rates.records import FeedSettings
from core.rates.store import HOURLY_KEPT_MS

ALWAYS: Final = 2**63 - 1
"""Behind every number that a row will ever have."""
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


def refuse_impossible_prices(prices: Mapping[str, Decimal]) -> None:
    """Let only prices pass that something can be divided by.

    Raises:
        SettingError: names the asset whose price is not above zero and finite.
    """
    for code, price in prices.items():
        if not price.is_finite() or price <= 0:
            raise SettingError(f"price of {code}", f"{price} was found, above zero is needed")


def refuse_impossible_spread(spread: Fraction) -> None:
    """Let only a share of a whole pass.

    Raises:
        SettingError: it is below zero, or nothing would be left to send on.
    """
    if not 0 <= spread < 1:
        raise SettingError("spread", f"{spread} was found, 0 ≤ spread < 1 is needed")


def to_be_pruned(
    rows: Iterable[tuple[int, int]], now_ms: int, all_kept_ms: int
) -> Iterator[int]:
    """Yield the ids, of (id, at_ms) in order, that are not the first of their hour, or later of their day."""
    seen: set[tuple[int, int]] = set()
    for rate_id, at_ms in rows:
        age_ms = now_ms - at_ms
        if age_ms <= all_kept_ms:
            continue
        step_ms = _HOUR_MS if age_ms <= HOURLY_KEPT_MS else _DAY_MS
        step = (step_ms, at_ms // step_ms)
        if step in seen:
            yield rate_id
        seen.add(step)


def feed_settings_text(settings: FeedSettings) -> str:
    """Return the settings as one text."""
    limit = settings.jump_limit
    return json.dumps(
        {
            "reference": settings.reference,
            "jump_limit": None if limit is None else str(limit),
            "jump_samples": settings.jump_samples,
            "watched": list(settings.watched),
        }
    )


def feed_settings_of(text: str) -> FeedSettings:
    """Return the settings that `feed_settings_text` wrote."""
    found = json.loads(text)
    limit = found["jump_limit"]
    return FeedSettings(
        reference=found["reference"],
        jump_limit=None if limit is None else Fraction(limit),
        jump_samples=found["jump_samples"],
        watched=tuple(found["watched"]),
    )
