"""The settlements page: what is due, what is under way, what became of the rest, and the engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from PySide6.QtCore import QObject, Signal

from core.account import Asset
from core.clock import Clock
from core.control.operator import Operator
from core.control.views import (
    EngineView,
    SettlementDue,
    SettlementRow,
    UnknownRow,
    UnmatchedRow,
)
from core.settlement.records import Direction, SettlementState
from desktop import formatting
from desktop.engine_supervisor import ProcessState, ProcessStatus
from desktop.models.peers import SettlePlan
from desktop.models.settlements import (
    DueModel,
    DueRow,
    EngineCard,
    SettlementEntry,
    SettlementsModel,
    UnknownEntry,
    UnknownModel,
    UnmatchedEntry,
    UnmatchedModel,
)
from desktop.presenters.names import Names
from desktop.presenters.page import PagePresenter
from desktop.presenters.peer_rows import settle_amount_of, settle_plan_of

UNDER_WAY: Final = (SettlementState.INTENT, SettlementState.SIGNED, SettlementState.SENT)
DONE: Final = (SettlementState.FINAL, SettlementState.CREDITED)
FAILED: Final = (SettlementState.FAILED, SettlementState.REVERSED)
ACTIVE: Final = (ProcessState.STARTING, ProcessState.RUNNING, ProcessState.WAITING)
LIMIT: Final = 500
LINES_SHOWN: Final = 3


_PROCESS_WORDS: Final = {
    ProcessState.STOPPED: "Stopped",
    ProcessState.STARTING: "Starting",
    ProcessState.WAITING: "Starting again soon",
    ProcessState.GAVE_UP: "Ended",
    ProcessState.NOT_SET_UP: "Not set up",
}


class EngineControl(Protocol):
    """The engines' processes that this window owns; the application's supervisor is one."""

    @property
    def statuses(self) -> Sequence[ProcessStatus]:
        """Every process that was started, by name."""

    def status(self, name: str) -> ProcessStatus | None:
        """Return one, or None where it was never started here."""

    async def stop(self, name: str) -> None: ...

    async def restart(self, name: str) -> None:
        """Start it anew, whether it runs or not."""


class SettlementsPresenter(PagePresenter):
    """Shows settlements by how far they are."""

    engines_changed = Signal(object)
    """The EngineCards."""
    accounts_changed = Signal(object)
    """Whom a payment can be assigned to: username and name of each."""
    settle_planned = Signal(object)
    """What settling with the peer that was asked for would mean: a SettlePlan."""
    loaded_changed = Signal(bool)

    def __init__(
        self,
        operator: Operator,
        clock: Clock,
        engine_control: EngineControl | None = None,
        names: Names | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(operator, clock, parent)
        self.names = names or Names()
        self.engine_control = engine_control
        self.due = DueModel(self)
        self.not_due = DueModel(self)
        self.under_way = SettlementsModel(self)
        self.done = SettlementsModel(self)
        self.failed_ones = SettlementsModel(self)
        self.unmatched = UnmatchedModel(self)
        self.unknown = UnknownModel(self)
        self.loaded = False
        self.engines: Sequence[EngineCard] = ()

    async def update(self) -> None:
        rows = await self.operator.settlements(limit=LIMIT)
        self.under_way.replace(
            entry_of(row, self.names) for row in rows if row.state in UNDER_WAY
        )
        self.done.replace(entry_of(row, self.names) for row in rows if row.state in DONE)
        self.failed_ones.replace(
            entry_of(row, self.names) for row in rows if row.state in FAILED
        )
        owed = [due_of(row, self.names) for row in await self.operator.settlements_due()]
        self.due.replace(row for row in owed if row.due)
        self.not_due.replace(row for row in owed if not row.due)
        self.unmatched.replace(unmatched_of(row) for row in await self.operator.unmatched())
        unknown = await self.operator.unknown_transfers()
        self.unknown.replace(unknown_of(row, self.names) for row in unknown)
        self._show_engines(await self.operator.engines())
        self._count_problems()
        if not self.loaded:
            self.loaded = True
            self.loaded_changed.emit(True)

    def _show_engines(self, views: Sequence[EngineView]) -> None:
        cards = engine_cards(views, self.engine_control, self.clock.now_ms())
        if cards != self.engines:
            self.engines = cards
            self.engines_changed.emit(cards)

    def _count_problems(self) -> None:
        stuck = sum(
            1 for each in self.engines if each.set_up and (not each.alive or each.problem)
        )
        problems = self.failed_ones.total + self.unmatched.total + self.unknown.total + stuck
        self.badge_changed.emit(problems)

    # --- What the operator does

    def plan_settlement(self, username: str) -> None:
        """Find out what settling with this peer now would mean; comes as `settle_planned`."""

        async def load() -> None:
            self.settle_planned.emit(settle_plan_of(await self.operator.account(username)))

        self.tasks.start(load())

    def settle_amount(self, plan: SettlePlan, text: str) -> tuple[int | None, str]:
        """Return the amount that was typed and what it would lead to, or None and why it cannot be."""
        return settle_amount_of(plan, text)

    def settle(self, username: str, amount: int) -> None:
        """Pay so much to this peer, through its engine."""

        async def work() -> str:
            await self.operator.settle_now(username, amount)
            return f"settling with {self.names.of(username)}"

        self.run(work, name=f"settling with {self.names.of(username)}")

    def load_accounts(self) -> None:
        """Load whom an unmatched payment can be assigned to."""

        async def load() -> None:
            views = await self.operator.accounts()
            self.names.learn(views)
            self.accounts_changed.emit(
                tuple((view.account.username, view.account.name) for view in views)
            )

        self.tasks.start(load())

    def assign(self, key: str, username: str) -> None:
        """Credit money that came in to this peer."""

        async def work() -> str:
            await self.operator.assign_unmatched(key, username)
            return f"the payment is credited to {self.names.of(username)}"

        self.run(work, name="assigning a payment")

    def resolve(self, transfer_id: str, *, fulfilled: bool) -> None:
        """Decide a packet that a crash left open, by what the peer's statement says."""

        async def work() -> str:
            await self.operator.resolve_unknown(int(transfer_id), fulfilled=fulfilled)
            return "booked as owed, and as a loss" if fulfilled else "booked as not paid"

        self.run(work, name="resolving a packet")

    def start_engine(self, name: str) -> None:
        """Start an engine's process, or end it and start it anew."""
        self._control(name, restart=True)

    def stop_engine(self, name: str) -> None:
        """Stop an engine's process."""
        self._control(name, restart=False)

    def _control(self, name: str, *, restart: bool) -> None:
        control = self.engine_control
        if control is None:
            return

        async def work() -> str:
            if restart:
                await control.restart(name)
                return f"{name} was started"
            await control.stop(name)
            return f"{name} was stopped"

        self.run(work, name=f"{'starting' if restart else 'stopping'} {name}")


def entry_of(row: SettlementRow, names: Names) -> SettlementEntry:
    """Return a settlement as a row of its table."""
    return SettlementEntry(
        id=row.id,
        username=row.username,
        name=names.of(row.username),
        outgoing=row.direction is Direction.OUT,
        state=row.state.value,
        engine=row.engine,
        amount=row.amount,
        asset=_asset(row.asset),
        ledger_amount=row.ledger_amount,
        ledger_asset=_asset(row.ledger_asset),
        transaction=row.transaction or "",
        confirmations=row.confirmations,
        fee=row.fee,
        attempts=row.attempts,
        problem=row.problem,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
    )


def due_of(row: SettlementDue, names: Names) -> DueRow:
    """Return what is owed to one peer as a row of its table."""
    return DueRow(
        username=row.username,
        name=names.of(row.username),
        asset=_asset(row.asset),
        owed=row.owed,
        threshold=row.settle_threshold,
        settle_to=row.settle_to,
        engine=row.engine_url or "",
        due=row.due,
        reason=row.reason,
    )


def unmatched_of(row: UnmatchedRow) -> UnmatchedEntry:
    """Return money from nobody as a row of its table."""
    return UnmatchedEntry(
        key=row.key,
        engine=row.engine,
        sender=row.sender,
        amount=row.ledger_amount,
        asset=_asset(row.ledger_asset),
        transaction=row.transaction,
        seen_at_ms=row.seen_at_ms,
    )


def unknown_of(row: UnknownRow, names: Names) -> UnknownEntry:
    """Return an undecided packet as a row of its table."""
    return UnknownEntry(
        id=str(row.id),
        from_name=names.of(row.from_username),
        to_name=names.of(row.to_username),
        destination=row.destination,
        amount=row.outgoing_amount,
        asset=_asset(row.outgoing_asset),
        created_at_ms=row.created_at_ms,
        payment=row.payment or "",
    )


def engine_cards(
    views: Sequence[EngineView], control: EngineControl | None, now_ms: int
) -> tuple[EngineCard, ...]:
    """Return a card for each engine that wrote of itself, and for each process that we started."""
    known = {view.status.name: view for view in views}
    processes = {
        process.name: process
        for process in (() if control is None else control.statuses)
        # One that was started elsewhere tells of itself.
        if process.state is not ProcessState.NOT_SET_UP or process.name not in known
    }
    return tuple(
        _card(name, known.get(name), processes.get(name), now_ms)
        for name in sorted(known.keys() | processes.keys())
    )


def _card(
    name: str, view: EngineView | None, process: ProcessStatus | None, now_ms: int
) -> EngineCard:
    facts = [*_engine_facts(view, now_ms), *_process_facts(view, process)]
    active = process is not None and process.state in ACTIVE
    set_up = process is None or process.state is not ProcessState.NOT_SET_UP
    broken = process is not None and process.state in (
        ProcessState.GAVE_UP,
        ProcessState.WAITING,
    )
    problem = "" if view is None else view.status.problem
    if process is not None and broken:
        problem = process.sentence
    # What the process is at is known here at once; the store learns of its end only by its silence.
    alive = (process.state is ProcessState.RUNNING) if process is not None else False
    if process is None or (view is not None and alive):
        alive = view is not None and view.alive
    sentence = "" if process is None else process.sentence
    if view is not None and (process is None or process.state is ProcessState.RUNNING):
        sentence = view.sentence
    return EngineCard(
        name=name,
        alive=alive,
        state=_state_words(process, alive=alive),
        sentence="" if broken else sentence,
        problem=problem,
        last_words=tuple(process.last_lines[-LINES_SHOWN:])
        if process is not None and broken
        else (),
        facts=tuple(facts),
        address="" if view is None else view.status.address,
        can_start=set_up and process is not None and not active,
        can_stop=active,
        set_up=set_up,
    )


def _state_words(process: ProcessStatus | None, *, alive: bool) -> str:
    if process is not None and process.state is not ProcessState.RUNNING:
        return _PROCESS_WORDS[process.state]
    return "Running" if alive else "Not running"


def _engine_facts(view: EngineView | None, now_ms: int) -> list[tuple[str, str]]:
    if view is None:
        return []
    status = view.status
    facts = [("Ledger", status.ledger)]
    if status.balance is not None:
        balance = formatting.amount(status.balance, status.asset_code, status.ledger_scale)
        facts.append(("Wallet", balance))
    facts.append(("Last sign of life", formatting.ago(now_ms, status.heartbeat_at_ms)))
    return facts


def _process_facts(
    view: EngineView | None, process: ProcessStatus | None
) -> list[tuple[str, str]]:
    if process is not None and process.state is ProcessState.NOT_SET_UP:
        return []
    pid = process.pid if process is not None else view.status.pid if view is not None else None
    where = "here" if process is not None else "elsewhere"
    if process is not None and pid is None:
        text = process.state.value
    else:
        text = f"{pid}, started {where}"
    if process is not None and process.restarts:
        text += f", {formatting.counted(process.restarts, 'restart')}"
    return [("Process", text)]


def _asset(asset: Asset) -> tuple[str, int]:
    return (asset.code, asset.scale)
