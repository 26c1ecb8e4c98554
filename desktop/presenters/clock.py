"""How the clock of the node's machine goes, in words: packets expire by it."""

from __future__ import annotations

from typing import Final

from core.control.node_warnings import NAMES_SHOWN, offset_words, span_words
from core.control.views import NodeStatus
from core.telemetry.peer_time import ClockReading
from desktop import formatting
from desktop.models.overview import ClockState, Mood, PillState

DOUBTFUL_MS: Final = 250
"""So far off is worth a look, though packets do not suffer yet."""
_WHY: Final = (
    "Packets expire by the clock. Only peers are asked what time it is, and no time server."
)


def clock_state(status: NodeStatus) -> ClockState:
    """Return how far the node's clock is off, as its peers say."""
    reading = status.clock
    if reading is None:
        return ClockState(
            text="not known",
            mood=Mood.PLAIN,
            reason=f"No peer has told the time in the last quarter of an hour.\n{_WHY}",
        )
    return ClockState(
        text=offset_words(reading.offset_ms, reading.bound_ms).replace(" ", "\u00a0"),
        mood=_mood(reading),
        reason=f"{_sentence(reading, status.now_ms)}\n{_WHY}",
    )


def clock_pill(state: ClockState) -> PillState:
    """Return the pill of it; what peers say of the time is theirs, so it leads to them."""
    return PillState(
        key="clock",
        text=f"Clock {state.text}",
        mood=state.mood,
        reason=state.reason,
        page="peers",
    )


def _mood(reading: ClockReading) -> Mood:
    if reading.is_wrong:
        return Mood.BAD
    surely_off = abs(reading.offset_ms) - reading.bound_ms
    return Mood.WARN if surely_off > DOUBTFUL_MS else Mood.OK


def _sentence(reading: ClockReading, now_ms: int) -> str:
    offset = reading.offset_ms
    side = "ahead of" if offset > 0 else "behind"
    where = f"is {span_words(offset)} {side}" if offset else "agrees with"
    peers = len(reading.peers)
    whose = "its peer's" if peers == 1 else f"its {formatting.count(peers)} peers'"
    bound = span_words(reading.bound_ms)
    told = formatting.ago(now_ms, reading.told_at_ms)
    found = [f"The node's clock {where} {whose}, give or take {bound}; told last {told}."]
    for each in reading.wrong[:NAMES_SHOWN]:
        side = "ahead" if each.offset_ms > 0 else "behind"
        found.append(f"That of {each.peer} is {span_words(each.offset_ms)} {side}.")
    return "\n".join(found)
