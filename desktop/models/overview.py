"""What the overview and the window's frame show: words ready to read, in the order of their weight."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final


class Mood(enum.Enum):
    """How something is; a view gives it its shape and colour."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    PAUSED = "paused"
    PLAIN = "plain"


class Remedy(enum.Enum):
    """What the button of an incident does."""

    OPEN = "open"
    SETTLE = "settle"
    RESTART = "restart"


@final
@dataclass(frozen=True, slots=True)
class Fix:
    """A button: its words, and what it does to what."""

    label: str
    remedy: Remedy
    page: str = ""
    target: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that needs the operator, with the way to mend it."""

    key: str
    mood: Mood
    title: str
    detail: str
    """Partly remote text."""
    fixes: Sequence[Fix]
    page: str
    """The page that it belongs to, for the badges."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureRow:
    """What is owed in one asset; amounts are texts, exact."""

    code: str
    scale: int
    owed_to_us: str
    owed_by_us: str
    in_flight: str
    unknown: str
    """Empty where nothing is."""
    share_to_us: float | None
    """Of what is owed either way, for a bar; None where nothing is."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """How near a peer is to the end of the credit that it has with us."""

    username: str
    name: str
    percent: int
    words: str
    pace: str
    """When the limit is reached at the pace of the last minutes: `full in 6 min`, or empty."""
    mood: Mood
    trend: Sequence[float]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """Settlements at a glance."""

    due: int
    under_way: int
    failed: int
    oldest: str
    """How long the oldest one under way has been so; empty where none is."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewState:
    """The whole overview, but for its graphs."""

    has_peers: bool
    incidents: Sequence[Incident]
    exposures: Sequence[ExposureRow]
    limits: Sequence[LimitRow]
    queue: QueueState
    since_start: str
    """Packets since the node started, in words."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PillState:
    """One component in the health strip."""

    key: str
    text: str
    mood: Mood
    reason: str
    page: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What must not be overlooked, in the banner."""

    key: str
    """Of what stays the same: hidden once, it comes back only under another key."""
    text: str
    """Partly remote text."""
    mood: Mood
    label: str = ""
    """Of the button that leads to where it can be seen to; empty where that is nowhere in the window."""
    page: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """How the clock of the node's machine goes."""

    text: str
    """Short: `+12 ms`, or `not known`."""
    mood: Mood
    reason: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ShellState:
    """What the window's frame shows."""

    network: str
    """LIVE, TESTNET or PRIVATE."""
    network_mood: Mood
    network_reason: str
    ilp_address: str
    version: str
    """Of the program that the node runs."""
    pills: Sequence[PillState]
    rate: str
    fulfilled: str
    """Share of the last minute's packets that were fulfilled."""
    pulse: Sequence[float]
    """Packets a second, of the last minutes."""
    banner: Sequence[Notice]
    """What must not be overlooked, the worst first."""
    clock: ClockState
    badges: dict[str, int]
    """Problems a page has."""
