"""The operator's settlements: what was paid, what is due, and why something is not paid."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from core.account import Account, AccountDirectory, AccountId, Asset, format_amount
from core.control.account_check import engine_of
from core.control.account_views import SETTLEMENTS_LOOKED_AT, accounts_settling
from core.control.accounts import find_account
from core.control.engines import EngineDesk, engine_name
from core.control.routes import asset_of, name_of
from core.control.views import EngineView, SettlementDue, SettlementRow, UnmatchedRow
from core.control.words import owed
from core.errors import Conflict, SettingError
from core.ledger.books import Balance, Books
from core.settlement.records import (
    Direction,
    EngineStatus,
    Settlement,
    SettlementState,
    SettlementView,
)

log = logging.getLogger(__name__)

UNMATCHED_MAX: Final = 1_000


@final
@dataclass(frozen=True, slots=True)
class _Scene:
    """What is true of all settlements at one moment."""

    engine_urls: Mapping[str, str]
    engines: Mapping[str, EngineView]
    settling: Mapping[AccountId, Settlement]
    last_out: Mapping[AccountId, Settlement]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementDesk:
    """What the operator does with settlements."""

    directory: AccountDirectory
    books: Books
    settlements: SettlementView
    engines: EngineDesk

    async def rows(self, *, limit: int, username: str | None) -> Sequence[SettlementRow]:
        account = None if username is None else find_account(self.directory, username).id
        found = await self.settlements.settlements(limit=limit, account=account)
        statuses = {status.name: status for status in await self.settlements.engine_statuses()}
        return tuple(self._row(settlement, statuses) for settlement in found)

    async def due(self) -> Sequence[SettlementDue]:
        scene, balances = await self._scene(None), await self.books.balances()
        found = [
            self._due(account, balances.get(account.id, Balance()), scene)
            for account in self.directory.all()
        ]
        shown = [
            due
            for due in found
            if due.settle_threshold is not None or due.engine_url is not None or due.owed
        ]
        return sorted(shown, key=_urgency)

    async def settle_now(self, username: str, amount: int | None) -> str:
        """Start a settlement; raises Conflict with the reason it cannot."""
        account = find_account(self.directory, username)
        if amount is not None and amount <= 0:
            raise SettingError("amount", f"{amount} was found; it needs more than 0")
        scene = await self._scene(account.id)
        obstacle = _obstacle(account, scene)
        engine = engine_name(engine_of(account, scene.engine_urls) or "")
        if obstacle is not None or engine is None:
            raise Conflict(f"nothing was settled: {obstacle}")
        debt = owed(await self.books.balance(account.id))
        name, asset = account.name, account.asset
        wanted = debt - (account.settle_to or 0) if amount is None else amount
        if wanted <= 0:
            raise Conflict(
                f"nothing was settled: you owe {name} {format_amount(debt, asset)}, and that is"
                f" no more than settle_to, {format_amount(account.settle_to or 0, asset)}"
            )
        settlement = await self.settlements.request_settlement(account.id, engine, wanted)
        log.info("settling %s with %s", format_amount(wanted, asset), account.username)
        return settlement

    async def unmatched(self) -> Sequence[UnmatchedRow]:
        statuses = {status.name: status for status in await self.settlements.engine_statuses()}
        return tuple(
            UnmatchedRow(
                key=credit.key,
                engine=credit.engine,
                sender=credit.sender,
                ledger_amount=credit.ledger_amount,
                ledger_asset=_ledger_asset(
                    statuses.get(credit.engine), credit.ledger_scale, otherwise="?"
                ),
                transaction=credit.transaction,
                seen_at_ms=credit.seen_at_ms,
            )
            for credit in await self.settlements.unmatched(limit=UNMATCHED_MAX)
        )

    async def assign(self, key: str, username: str) -> None:
        account = find_account(self.directory, username)
        await self.settlements.assign_unmatched(key, account.id)
        log.info("an incoming payment that nobody was credited for is %s's", account.username)

    async def _scene(self, account: AccountId | None) -> _Scene:
        found = await self.settlements.settlements(limit=SETTLEMENTS_LOOKED_AT, account=account)
        last_out: dict[AccountId, Settlement] = {}
        for settlement in found:  # the newest come first
            if settlement.direction is Direction.OUT:
                last_out.setdefault(settlement.account, settlement)
        return _Scene(
            engine_urls=await self.settlements.load_engine_urls(),
            engines={view.status.name: view for view in await self.engines.all()},
            settling=accounts_settling(found),
            last_out=last_out,
        )

    def _due(self, account: Account, balance: Balance, scene: _Scene) -> SettlementDue:
        debt = owed(balance)
        threshold = account.settle_threshold
        reached = (
            threshold is not None and debt >= threshold and debt > (account.settle_to or 0)
        )
        return SettlementDue(
            username=account.username,
            asset=account.asset,
            owed=debt,
            settle_threshold=threshold,
            settle_to=account.settle_to,
            engine_url=engine_of(account, scene.engine_urls),
            due=reached,
            reason=_reason(account, debt, scene, reached=reached),
        )

    def _row(
        self, settlement: Settlement, statuses: Mapping[str, EngineStatus]
    ) -> SettlementRow:
        asset = asset_of(self.directory, settlement.account)
        return SettlementRow(
            id=settlement.id,
            username=name_of(self.directory, settlement.account),
            asset=asset,
            engine=settlement.engine,
            direction=settlement.direction,
            state=settlement.state,
            amount=settlement.amount,
            ledger_amount=settlement.ledger_amount,
            ledger_asset=_ledger_asset(
                statuses.get(settlement.engine), settlement.ledger_scale, otherwise=asset.code
            ),
            transaction=settlement.transaction,
            confirmations=settlement.confirmations,
            fee=settlement.fee,
            attempts=settlement.attempts,
            problem=settlement.problem,
            created_at_ms=settlement.created_at_ms,
            updated_at_ms=settlement.updated_at_ms,
        )


def _ledger_asset(status: EngineStatus | None, scale: int, *, otherwise: str) -> Asset:
    return Asset(otherwise if status is None else status.asset_code, scale)


def _urgency(due: SettlementDue) -> tuple[bool, float, int, str]:
    """Order by what is due, then by how near its threshold it is: a figure for sorting only."""
    threshold = due.settle_threshold
    share = due.owed / threshold if threshold is not None and threshold > 0 else 0.0
    return (not due.due, -share, -due.owed, due.username)


def _reason(account: Account, debt: int, scene: _Scene, *, reached: bool) -> str:
    """Say why it settles now, or why it does not."""
    asset, threshold = account.asset, account.settle_threshold
    open_settlement = scene.settling.get(account.id)
    if open_settlement is not None:
        amount = format_amount(open_settlement.amount, asset)
        problem = f": {open_settlement.problem}" if open_settlement.problem else ""
        return f"A settlement of {amount} is under way, {open_settlement.state.value}{problem}."
    if threshold is None:
        return "It has no settle threshold: it settles only when you say so."
    if not reached:
        missing = format_amount(threshold - debt, asset)
        return f"{format_amount(debt, asset)} is owed, {missing} below its threshold of {format_amount(threshold, asset)}."
    if not account.enabled:
        return "It is paused: nothing is settled until you resume it, or settle by hand."
    obstacle = _obstacle(account, scene)
    if obstacle is not None:
        return f"It should settle, and does not: {obstacle}."
    last = scene.last_out.get(account.id)
    if (
        last is not None
        and last.state is SettlementState.FAILED
        and last.updated_at_ms >= account.updated_at_ms
    ):
        return (
            f"Its last settlement failed{': ' + last.problem if last.problem else ''}. It is not"
            " tried again until you settle by hand or change the account."
        )
    return (
        f"{format_amount(debt, asset)} is owed, its threshold is"
        f" {format_amount(threshold, asset)}: the engine settles it at its next look."
    )


def _obstacle(account: Account, scene: _Scene) -> str | None:
    """Return what keeps any settlement with the account from being made, or None."""
    url = engine_of(account, scene.engine_urls)
    if url is None:
        return (
            f"no engine serves it; set one for the account, or for all of {account.asset.code}"
        )
    engine = engine_name(url)
    if engine is None:
        return f"its engine is {url}, and this version drives only its own engines"
    if account.settlement_address is None:
        return f"{account.name} has no settlement address to be paid at"
    open_settlement = scene.settling.get(account.id)
    if open_settlement is not None:
        amount = format_amount(open_settlement.amount, account.asset)
        return f"a settlement of {amount} is under way, and one at a time is made"
    view = scene.engines.get(engine)
    if view is None:
        return f"the engine {engine} has never run; start it"
    if not view.alive:
        return f"{view.sentence.removesuffix('.')}; start it"
    if view.status.asset_code != account.asset.code:
        return (
            f"the engine {engine} pays {view.status.asset_code},"
            f" and the account counts {account.asset.code}"
        )
    return None
