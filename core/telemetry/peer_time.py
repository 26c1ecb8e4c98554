"""How far this machine's clock is from those of its peers, from the Date that they answer with; no I/O.

A Date has whole seconds (RFC-9110 §6.6.1), so one answer says little: when it was written, the peer's
clock was in that second, and ours was between the moments of the question and of the answer. Each answer
comes at another place in its second, so that many of them together leave a few hundredths.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from core.clock import Clock

ASK_SECONDS: Final = 1.618
"""How long after one Date the next one of the same peer is read. The golden ratio spreads them over the
second whatever the rhythm of the packets, and never lets them come at the same place again."""
KEEP_SECONDS: Final = 900.0
"""A peer that has told no time for so long is no longer counted."""
PEERS_MAX: Final = 256
"""Those that told it last; more make no estimate better."""
ANSWER_SECONDS_MAX: Final = 10.0
"""An answer that took longer says too little of the time."""
WRONG_MS: Final = 1_000
"""So far off is wrong: packets have about a second to spare at each node."""

_SECOND_MS: Final = 1_000.0
_STALE_MS: Final = 20.0
"""Servers keep the text of a Date for its second, and renew it a little late."""
_DRIFT: Final = 0.2
"""Milliseconds a second by which two clocks may run apart: what was known is known less exactly every second."""
_DISAGREEING_MS: Final = 250.0
"""Two answers of one peer that contradict each other by so little are a busy server; by more, a clock that was set."""
_JUMP_MS: Final = 200.0
_JUMP_MS_PER_SECOND: Final = 1.0
"""By how much the wall clock may leave the monotonic one, at once and in each second that nobody looked: beyond
it our clock was set, or the machine slept, and all that peers said before has to be said anew."""


@final
@dataclass(frozen=True, slots=True)
class PeerClock:
    """A peer whose clock is wrong, as the others say."""

    peer: str
    offset_ms: int
    """What its clock is ahead of the right time; negative where it is behind."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """This machine's clock beside those of its peers."""

    offset_ms: int
    """What ours is ahead of theirs; negative where it is behind."""
    bound_ms: int
    """The offset is at most so much more or less, as long as most peers are right."""
    peers: Sequence[str]
    """Who has told the time lately."""
    told_at_ms: int
    """When the last of them did, on our clock."""
    wrong: Sequence[PeerClock] = ()
    """Peers whose own clock is more than a second off; empty where too few told the time to know."""

    @property
    def is_wrong(self) -> bool:
        """Whether ours is more than a second off, by all that is known."""
        return abs(self.offset_ms) - self.bound_ms > WRONG_MS


@final
class _Told:
    """What one peer has said: where its clock stands beside our monotonic one."""

    __slots__ = ("at", "high", "low")

    def __init__(self, low: float, high: float, at: float) -> None:
        self.low = low
        self.high = high
        self.at = at
        """When it last said so, in seconds of the monotonic clock."""

    def as_of(self, now: float) -> tuple[float, float]:
        """Return the bounds now: wider than they were, as neither clock is perfect."""
        drift = _DRIFT * max(0.0, now - self.at)
        return self.low - drift, self.high + drift

    def narrow(self, low: float, high: float, now: float) -> None:
        """Take one more answer, which is true as the former ones are."""
        old_low, old_high = self.as_of(now)
        self.at = now
        new_low, new_high = max(low, old_low), min(high, old_high)
        if new_low <= new_high:
            self.low, self.high = new_low, new_high
        elif new_low - new_high <= _DISAGREEING_MS:
            self.low, self.high = new_high, new_low
        else:
            self.low, self.high = low, high


@final
class PeerTimes:
    """Written by the links, once in a while for each peer; read for the operator."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: OrderedDict[str, _Told] = OrderedDict()
        """By peer, whoever spoke last at the end."""
        self._looked_at = 0.0
        self._wall_beside_monotonic: float | None = None

    def tell(
        self, peer: str, date_ms: int | None, *, asked_at: float, answered_at: float
    ) -> None:
        """Take what a peer's answer says the time is.

        Args:
            peer: Its name, for the operator.
            date_ms: The Date of its answer, which has whole seconds; None where it has none.
            asked_at: When it was asked, on the clock's monotonic hand.
            answered_at: When its answer had come.
        """
        if date_ms is None or not 0.0 <= answered_at - asked_at <= ANSWER_SECONDS_MAX:
            return
        self._look_at_clock()
        low = date_ms - answered_at * 1000
        high = date_ms + _SECOND_MS + _STALE_MS - asked_at * 1000
        told = self._told.get(peer)
        if told is None:
            self._told[peer] = _Told(low, high, answered_at)
            if len(self._told) > PEERS_MAX:
                self._told.popitem(last=False)
        else:
            told.narrow(low, high, answered_at)
            self._told.move_to_end(peer)

    def read(self) -> ClockReading | None:
        """Return where our clock stands, or None while no peer has told the time lately.

        As long as most peers are right, the truth is within the bounds: of the lower ones more than half
        are below it, and so is the one in the middle; the upper ones likewise.
        """
        now, ours = self._look_at_clock()
        for peer in [peer for peer, told in self._told.items() if now - told.at > KEEP_SECONDS]:
            del self._told[peer]
        if not self._told:
            return None
        offsets = {}
        for peer, told in self._told.items():
            low, high = told.as_of(now)
            # The wall clock tells whole milliseconds: it may be almost one further.
            offsets[peer] = (ours - high, ours - low + 1)
        count = len(offsets)
        low = sorted(pair[0] for pair in offsets.values())[(count - 1) // 2]
        high = sorted(pair[1] for pair in offsets.values())[count // 2]
        last = next(reversed(self._told.values()))
        return ClockReading(
            offset_ms=round((low + high) / 2),
            # Rounded up, and by the half millisecond that the offset was rounded by.
            bound_ms=int((high - low) / 2 + 0.5) + 1,
            peers=tuple(offsets),
            told_at_ms=self._clock.now_ms() - round((now - last.at) * 1000),
            wrong=tuple(_wrong(offsets, low, high)),
        )

    def _look_at_clock(self) -> tuple[float, float]:
        """Return the monotonic time and how far the wall clock is ahead of it; forget all where that jumped."""
        now = self._clock.monotonic()
        ours = self._clock.now_ms() - now * 1000
        last = self._wall_beside_monotonic
        allowed = _JUMP_MS + _JUMP_MS_PER_SECOND * (now - self._looked_at)
        if last is not None and abs(ours - last) > allowed:
            self._told.clear()
        self._looked_at, self._wall_beside_monotonic = now, ours
        return now, ours


def _wrong(
    offsets: dict[str, tuple[float, float]], low: float, high: float
) -> Sequence[PeerClock]:
    """Return the peers that most others contradict, the worst first; of two there is none."""
    found = [
        PeerClock(peer, round((low + high - its_low - its_high) / 2))
        for peer, (its_low, its_high) in offsets.items()
        if its_low - high > WRONG_MS or low - its_high > WRONG_MS
    ]
    return sorted(found, key=lambda each: -abs(each.offset_ms))
