"""How points of history add up, and how long they are kept: the same on every backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from core.telemetry.history import HistoryPoint, Resolution

_DAY: Final = 24 * 3600
KEPT_SECONDS: Final[Mapping[Resolution, int]] = {
    Resolution.SECOND: 3600,
    Resolution.MINUTE: 31 * _DAY,
}
"""How old a point may become; what is not here is kept for ever."""


def step_start(at_s: int, resolution: Resolution) -> int:
    """Return the start of the step that a second lies in."""
    return at_s - at_s % resolution


def add_points(earlier: HistoryPoint, later: HistoryPoint) -> HistoryPoint:
    """Return both as one point of the earlier one's step; the later balance is the one that stands."""
    return replace(
        earlier,
        prepares=earlier.prepares + later.prepares,
        fulfills=earlier.fulfills + later.fulfills,
        rejects=earlier.rejects + later.rejects,
        incoming_amount=earlier.incoming_amount + later.incoming_amount,
        outgoing_amount=earlier.outgoing_amount + later.outgoing_amount,
        net=earlier.net if later.net is None else later.net,
        latency_us_sum=earlier.latency_us_sum + later.latency_us_sum,
        latency_us_max=max(earlier.latency_us_max, later.latency_us_max),
        reject_codes=dict(Counter(earlier.reject_codes) + Counter(later.reject_codes)),
    )
