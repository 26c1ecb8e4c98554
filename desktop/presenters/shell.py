"""What the window's frame shows: the network, how every component is, and what must not be overlooked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, final

from PySide6.QtCore import QObject, Signal

from core.control.views import AccountView, EngineView, LinkState, NodeStatus
from desktop import formatting
from desktop.engine_supervisor import ProcessState, ProcessStatus
from desktop.models.overview import ClockState, Mood, PillState, ShellState
from desktop.presenters.clock import clock_pill, clock_state
from desktop.presenters.incidents import Snapshot
from desktop.presenters.node_names import NodeNamesPresenter
from desktop.presenters.notices import Notices
from desktop.presenters.palette import PalettePresenter
from desktop.presenters.watch import NodeWatch

NAMES_SHOWN: Final = 6
_REACHED: Final = (LinkState.UP, LinkState.IDLE, LinkState.DEGRADED)
STALE_SECONDS: Final = 5.0
"""What is shown is as of now, or said not to be."""

_MOODS: Final = {
    ProcessState.RUNNING: Mood.OK,
    ProcessState.STARTING: Mood.PLAIN,
    ProcessState.WAITING: Mood.WARN,
    ProcessState.GAVE_UP: Mood.BAD,
    ProcessState.STOPPED: Mood.PAUSED,
    ProcessState.NOT_SET_UP: Mood.PLAIN,
}


@final
class ShellPresenter(QObject):
    """Turns what the watch saw into the frame's words."""

    state_changed = Signal(object)
    """A ShellState."""
    reported = Signal(str)
    """Something changed that the operator did not do: a sentence."""

    def __init__(
        self,
        watch: NodeWatch,
        parent: QObject | None = None,
        default_account: str | None = None,
    ) -> None:
        super().__init__(parent)
        self.watch = watch
        self.palette = PalettePresenter(watch, self)
        self.node_names = NodeNamesPresenter(watch, default_account, self)
        self._notices = Notices()
        self._address = ""
        watch.looked.connect(self._show)

    def live(self) -> tuple[str, Mood]:
        """Return how old what is shown is, in words."""
        age = self.watch.age_seconds
        if age is None:
            return "Connecting…", Mood.PLAIN
        if age > STALE_SECONDS or self.watch.problem:
            return f"Stale {formatting.duration(age)}", Mood.BAD
        return f"Live {formatting.duration(age)}", Mood.OK

    def _show(self) -> None:
        seen = self.watch.snapshot
        if seen is None:
            return
        network, mood, reason = network_of(seen.status.ilp_address)
        if seen.parent is not None:
            reason = f"{reason}\n{seen.parent.sentence}"
        if self._address and seen.status.ilp_address != self._address:
            self.reported.emit(f"This node is {seen.status.ilp_address} now")
        self._address = seen.status.ilp_address
        fulfilled, rejected = self.watch.last_minute()
        clock = clock_state(seen.status)
        self.state_changed.emit(
            ShellState(
                network=network,
                network_mood=mood,
                network_reason=reason,
                ilp_address=seen.status.ilp_address,
                version=seen.status.version,
                pills=tuple(self._pills(seen, clock)),
                rate=formatting.packets_per_second(seen.status.packets_per_second),
                fulfilled=f"{formatting.percent(fulfilled, fulfilled + rejected)} fulfilled"
                if fulfilled + rejected
                else "",
                pulse=tuple(self.watch.pulse),
                banner=self._notices.of(seen, self.watch.problem),
                clock=clock,
                badges=dict(Counter(incident.page for incident in self.watch.incidents))
                | {"overview": len(self.watch.incidents)},
            )
        )

    def _pills(self, seen: Snapshot, clock: ClockState) -> Iterable[PillState]:
        status = seen.status
        if self.watch.problem:
            yield PillState(
                key="node", text="Node unreachable", mood=Mood.BAD, reason=self.watch.problem,
                page="logs",
            )  # fmt: skip
        else:
            yield _node_pill(status)
        if seen.accounts:
            yield peers_pill(seen.accounts)
        started = {each.name: each for each in seen.processes}
        told = {view.status.name: view for view in seen.engines}
        for name in sorted(started.keys() | told.keys()):
            if name != "chain":
                yield engine_pill(name, started.get(name), told.get(name))
        if seen.rate_problems or len({view.account.asset.code for view in seen.accounts}) > 1:
            yield _rates_pill(seen.rate_problems)
        yield clock_pill(clock)
        yield _store_pill(status, self.watch.problem)


def network_of(ilp_address: str) -> tuple[str, Mood, str]:
    """Return which network an ILP address belongs to: the first thing an operator must know."""
    first = ilp_address.partition(".")[0]
    if first == "g":
        return "LIVE", Mood.WARN, "The live network: this is real money."
    if first.startswith("test"):
        return "TESTNET", Mood.OK, "A test network: no real money moves here."
    return "PRIVATE", Mood.PLAIN, f"A private network, {first}: reachable only by its members."


def peers_pill(accounts: Sequence[AccountView]) -> PillState:
    """Return how many peers can be reached, and over what; those that are paused are meant to be away."""
    wanted = [view for view in accounts if view.state is not LinkState.PAUSED]
    down = [view for view in wanted if view.state is LinkState.DOWN]
    up = [view for view in wanted if view.state in _REACHED]
    text = f"{formatting.count(len(up))} of {formatting.counted(len(wanted), 'peer')} up"
    over_btp = sum(1 for view in up if view.account.ilp_over_btp_url is not None)
    reason = f"{len(up) - over_btp} over HTTP, {over_btp} over BTP"
    if down:
        names = ", ".join(view.account.name for view in down[:NAMES_SHOWN])
        more = f" and {len(down) - NAMES_SHOWN} more" if len(down) > NAMES_SHOWN else ""
        reason = f"{reason}\nDown: {names}{more}"
    mood = Mood.BAD if down and not up else Mood.WARN if down else Mood.OK if up else Mood.PLAIN
    return PillState(key="peers", text=text, mood=mood, reason=reason, page="peers")


def engine_pill(
    name: str, process: ProcessStatus | None, engine: EngineView | None
) -> PillState:
    """Return one engine's state, from what its process and what it itself says."""
    title = name.capitalize()
    if process is not None and process.state is not ProcessState.RUNNING:
        mood, word, reason = _MOODS[process.state], process.state.value, process.sentence
    elif engine is None:
        mood, word, reason = Mood.PLAIN, "starting", "It has not reported yet."
    elif engine.status.stopped_at_ms is not None and not engine.alive:
        mood, word, reason = Mood.PAUSED, "stopped", engine.sentence
    elif not engine.alive:
        mood, word, reason = Mood.BAD, "silent", engine.sentence
    elif engine.status.problem:
        mood, word, reason = Mood.WARN, "problem", engine.status.problem
    else:
        mood, word, reason = Mood.OK, "up", engine.sentence
    return PillState(
        key=f"engine:{name}",
        text=f"{title} {word}",
        mood=mood,
        reason=reason,
        page="settlements",
    )


def _node_pill(status: NodeStatus) -> PillState:
    up = formatting.duration((status.now_ms - status.started_at_ms) / 1000)
    if status.problems:
        text, mood, reason = "Node has a problem", Mood.BAD, "\n".join(status.problems)
    elif not status.ready:
        text, mood, reason = "Node not ready", Mood.WARN, "It takes no packets yet."
    else:
        text, mood = f"Node up {up}", Mood.OK
        reason = (
            f"Listens on {status.http_bind}, {formatting.count(status.accounts)} accounts, "
            f"{formatting.count(status.routes)} routes, {status.in_flight} packets in flight. "
            f"Node {status.node_number}, {status.nodes_alive} alive on this store."
        )
    return PillState(key="node", text=text, mood=mood, reason=reason, page="logs")


def _rates_pill(problems: Sequence[str]) -> PillState:
    """Return how the prices are that packets are converted by; where nothing is converted there is no pill."""
    return PillState(
        key="rates",
        text="Rates need you" if problems else "Rates fine",
        mood=Mood.WARN if problems else Mood.OK,
        reason="\n".join(problems)
        or "Every asset that accounts count in has a price in force.",
        page="rates",
    )


def _store_pill(status: NodeStatus, problem: str) -> PillState:
    size = "" if status.store_octets is None else f" {formatting.octets(status.store_octets)}"
    troubled = any("store" in each.lower() for each in (*status.problems, problem))
    return PillState(
        key="store",
        text="Database has a problem" if troubled else f"Database{size}",
        mood=Mood.BAD if troubled else Mood.OK,
        reason=status.store_url,
        page="logs",
    )
