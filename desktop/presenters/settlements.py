"""The settlements page: what is due, what is under way, what became of the rest, and the engines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
from desktop.presenters.page import PagePresenter
from desktop.presenters.peer_rows import settle_amount_of, settle_plan_of

UNDER_WAY: Final = (SettlementState.INTENT, SettlementState.SIGNED, SettlementState.SENT)
DONE: Final = (SettlementState.FINAL, SettlementState.CREDITED)
FAILED: Final = (SettlementState.FAILED, SettlementState.REVERSED)
LIMIT: Final = 500


class EngineControl(Protocol):
    """Starts and stops the engines' processes; the application has one where it owns them."""

    def names(self) -> Collection[str]:
        """Return the engines that can be started from here."""

    def is_running(self, name: str) -> bool: ...

    async def start(self, name: str) -> None: ...

    async def stop(self, name: str) -> None: ...


class SettlementsPresenter(PagePresenter):
    """Shows settlements by how far they are."""

    engines_changed = Signal(object)
    """The EngineCards."""
    accounts_changed = Signal(object)
    """The usernames that a payment can be assigned to."""
    settle_planned = Signal(object)
    """What settling with the peer that was asked for would mean: a SettlePlan."""
    loaded_changed = Signal(bool)

    def __init__(
        self,
        operator: Operator,
        clock: Clock,
        engine_control: EngineControl | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(operator, clock, parent)
        self.engine_control = engine_control
        self.due = DueModel(self)
        self.under_way = SettlementsModel(self)
        self.done = SettlementsModel(self)
        self.failed_ones = SettlementsModel(self)
        self.unmatched = UnmatchedModel(self)
        self.unknown = UnknownModel(self)
        self.loaded = False
        self.engines: Sequence[EngineCard] = ()
        self.usernames: Sequence[str] = ()

    async def update(self) -> None:
        rows = await self.operator.settlements(limit=LIMIT)
        self.under_way.replace(entry_of(row) for row in rows if row.state in UNDER_WAY)
        self.done.replace(entry_of(row) for row in rows if row.state in DONE)
        self.failed_ones.replace(entry_of(row) for row in rows if row.state in FAILED)
        self.due.replace(due_of(row) for row in await self.operator.settlements_due())
        self.unmatched.replace(unmatched_of(row) for row in await self.operator.unmatched())
        unknown = await self.operator.unknown_transfers()
        self.unknown.replace(unknown_of(row) for row in unknown)
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
        stuck = sum(1 for card in self.engines if not card.alive or card.problem)
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
            return f"settling with {username}"

        self.run(work, name=f"settling with {username}")

    def load_accounts(self) -> None:
        """Load whom an unmatched payment can be assigned to."""

        async def load() -> None:
            views = await self.operator.accounts()
            self.usernames = tuple(view.account.username for view in views)
            self.accounts_changed.emit(self.usernames)

        self.tasks.start(load())

    def assign(self, key: str, username: str) -> None:
        """Credit money that came in to this peer."""

        async def work() -> str:
            await self.operator.assign_unmatched(key, username)
            return f"the payment is credited to {username}"

        self.run(work, name="assigning a payment")

    def resolve(self, transfer_id: str, *, fulfilled: bool) -> None:
        """Decide a packet that a crash left open, by what the peer's statement says."""

        async def work() -> str:
            await self.operator.resolve_unknown(int(transfer_id), fulfilled=fulfilled)
            return "booked as owed, and as a loss" if fulfilled else "booked as not paid"

        self.run(work, name="resolving a packet")

    def start_engine(self, name: str) -> None:
        """Start an engine's process."""
        self._control(name, "start")

    def stop_engine(self, name: str) -> None:
        """Stop an engine's process."""
        self._control(name, "stop")

    def restart_engine(self, name: str) -> None:
        """Stop an engine's process and start it anew."""
        self._control(name, "restart")

    def _control(self, name: str, what: str) -> None:
        control = self.engine_control
        if control is None:
            return

        async def work() -> str:
            if what in ("stop", "restart"):
                await control.stop(name)
            if what in ("start", "restart"):
                await control.start(name)
            return f"engine {name}: {what} done"

        self.run(work, name=f"{what} engine {name}")


def entry_of(row: SettlementRow) -> SettlementEntry:
    """Return a settlement as a row of its table."""
    return SettlementEntry(
        id=row.id,
        username=row.username,
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


def due_of(row: SettlementDue) -> DueRow:
    """Return what is owed to one peer as a row of its table."""
    return DueRow(
        username=row.username,
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


def unknown_of(row: UnknownRow) -> UnknownEntry:
    """Return an undecided packet as a row of its table."""
    return UnknownEntry(
        id=str(row.id),
        from_username=row.from_username,
        to_username=row.to_username,
        destination=row.destination,
        amount=row.outgoing_amount,
        asset=_asset(row.outgoing_asset),
        created_at_ms=row.created_at_ms,
    )


def engine_cards(
    views: Sequence[EngineView], control: EngineControl | None, now_ms: int
) -> tuple[EngineCard, ...]:
    """Return a card for each engine that wrote of itself, and each that could be started."""
    ours = frozenset(() if control is None else control.names())
    cards = [_card(view, control, now_ms, ours) for view in views]
    shown = {card.name for card in cards}
    cards += [
        EngineCard(
            name=name,
            alive=False,
            sentence="It has not been started yet.",
            problem="",
            facts=(),
            address="",
            can_start=control is not None and not control.is_running(name),
            can_stop=control is not None and control.is_running(name),
        )
        for name in sorted(ours - shown)
    ]
    return tuple(cards)


def _card(
    view: EngineView, control: EngineControl | None, now_ms: int, ours: Collection[str]
) -> EngineCard:
    status = view.status
    running = control is not None and status.name in ours and control.is_running(status.name)
    facts = [("Ledger", status.ledger)]
    if status.balance is not None:
        balance = formatting.amount(status.balance, status.asset_code, status.ledger_scale)
        facts.append(("Wallet", balance))
    if status.head is not None:
        facts.append(("Newest block", formatting.count(status.head)))
    facts.append(("Last sign of life", formatting.ago(now_ms, status.heartbeat_at_ms)))
    facts.append(("Process", f"{status.pid}, run {status.epoch}" if view.alive else "none"))
    return EngineCard(
        name=status.name,
        alive=view.alive,
        sentence=view.sentence,
        problem=status.problem,
        facts=tuple(facts),
        address=status.address,
        can_start=status.name in ours and not running,
        can_stop=running,
    )


def _asset(asset: Asset) -> tuple[str, int]:
    return (asset.code, asset.scale)
