"""What must not be overlooked, for the banner: in the order of its weight, and with what leads on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from core.control.node_warnings import NodeWarning, Topic
from core.control.views import NodeStatus
from core.telemetry.peer_time import WRONG_MS, ClockReading
from desktop.engine_supervisor import ProcessState
from desktop.models.overview import Mood, Notice
from desktop.presenters.incidents import Snapshot

_MOODS: Final = {Topic.CLOCK: Mood.BAD}


@final
class Notices:
    """Puts the notices together, and knows a clock that is still wrong from one that is wrong anew."""

    def __init__(self) -> None:
        self._clock_told_ms: int | None = None

    def of(self, seen: Snapshot, problem: str) -> Sequence[Notice]:
        """Return them; `problem` says why the node cannot be looked at, or is empty."""
        self._note_clock(seen.status.clock)
        return (*self._faults(seen, problem), *self._warnings(seen.status))

    def _faults(self, seen: Snapshot, problem: str) -> Iterable[Notice]:
        if problem:
            text = f"The node cannot be looked at: {problem}"
            yield Notice(key=text, text=text, mood=Mood.BAD)
        for process in seen.processes:
            if process.state is ProcessState.GAVE_UP:
                yield Notice(
                    key=process.sentence, text=process.sentence, mood=Mood.BAD,
                    label="Show engines", page="settlements",
                )  # fmt: skip
        if not problem:  # What the node said of itself is old where it does not answer.
            for sentence in seen.status.problems:
                yield Notice(
                    key=sentence, text=sentence, mood=Mood.BAD, label="Show log", page="logs"
                )

    def _warnings(self, status: NodeStatus) -> Iterable[Notice]:
        for warning in status.warnings:
            is_about_peers = warning.topic is Topic.PEER_CLOCK
            yield Notice(
                key=self._key(warning, status.clock),
                text=warning.sentence,
                mood=_MOODS.get(warning.topic, Mood.WARN),
                label="Show peers" if is_about_peers else "",
                page="peers" if is_about_peers else "",
            )

    def _key(self, warning: NodeWarning, reading: ClockReading | None) -> str:
        # The sentences about clocks have figures that move all the time, and are hidden all the same.
        if warning.topic is Topic.CLOCK:
            return f"clock {self._clock_told_ms}"
        if warning.topic is Topic.PEER_CLOCK and reading is not None and reading.wrong:
            return f"peer clock {reading.wrong[0].peer}"
        return warning.sentence

    def _note_clock(self, reading: ClockReading | None) -> None:
        """Take the offset as told anew where it has moved by a second, and by half of what it was."""
        if reading is None or not reading.is_wrong:
            self._clock_told_ms = None
            return
        told = self._clock_told_ms
        if told is None or abs(reading.offset_ms - told) > max(WRONG_MS, abs(told) // 2):
            self._clock_told_ms = reading.offset_ms
