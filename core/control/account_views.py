"""Accounts as the operator sees them: what is owed, what moves, how the link is, and the last minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from core.account import Account, AccountId
from core.clock import Clock
from core.control.account_check import engine_of
from core.control.sources import LinkSource, TrafficSource
from core.control.views import AccountView
from core.control.words import balance_words, settling_words
from core.ledger.books import Balance, Books
from core.node_address import NodeAddress
from core.settlement.records import Direction, Settlement, SettlementState, SettlementView
from core.telemetry.history import HistoryPoint, HistoryStore, Resolution

OPEN_STATES: Final = frozenset(
    {SettlementState.INTENT, SettlementState.SIGNED, SettlementState.SENT}
)
SETTLEMENTS_LOOKED_AT: Final = 1_000
"""How far back an open settlement is looked for; there is at most one an account."""
VIEWS_AT_ONCE: Final = 250
"""So many views are made before the loop gets a turn: about 2 ms."""
SPARKLINE_SECONDS: Final = 300
SPARKLINE_STEP_SECONDS: Final = 5
SPARKLINE_POINTS_MAX: Final = 12_000
"""Of all accounts together; with more traffic than this the sparklines start later, and nothing slows down."""
SPARKLINE_KEPT_SECONDS: Final = 5.0
"""One look at the history serves all calls of so long a time."""


@final
@dataclass(slots=True)
class RecentNets:
    """Each account's net balance over the last minutes, for sparklines; one read serves for some seconds."""

    history: HistoryStore
    clock: Clock
    _read_at: float | None = field(default=None, init=False)
    _nets: Mapping[AccountId, Sequence[int]] = field(default_factory=dict, init=False)

    async def read(self) -> Mapping[AccountId, Sequence[int]]:
        now = self.clock.monotonic()
        if self._read_at is None or now - self._read_at >= SPARKLINE_KEPT_SECONDS:
            self._read_at = now
            until_s = self.clock.now_ms() // 1000
            points = await self.history.read(
                Resolution.SECOND,
                from_s=until_s - SPARKLINE_SECONDS,
                until_s=until_s + 1,
                points_max=SPARKLINE_POINTS_MAX,
            )
            self._nets = _nets(points, from_s=until_s - SPARKLINE_SECONDS)
        return self._nets


@final
@dataclass(frozen=True, slots=True)
class AccountViews:
    """Puts together what the parts of the node know of an account."""

    books: Books
    settlements: SettlementView
    traffic: TrafficSource
    links: LinkSource
    recent: RecentNets
    node_address: NodeAddress

    async def of(self, accounts: Sequence[Account]) -> tuple[AccountView, ...]:
        """Return the views of these accounts, in their order."""
        one = accounts[0].id if len(accounts) == 1 else None
        balances = (
            await self.books.balances() if one is None else {one: await self.books.balance(one)}
        )
        engine_urls = await self.settlements.load_engine_urls()
        settling = accounts_settling(
            await self.settlements.settlements(limit=SETTLEMENTS_LOOKED_AT, account=one)
        )
        recent = await self.recent.read()
        views: list[AccountView] = []
        for start in range(0, len(accounts), VIEWS_AT_ONCE):
            views += (
                self._view(
                    account,
                    balances.get(account.id, Balance()),
                    engine_of(account, engine_urls),
                    recent.get(account.id, ()),
                    settling.get(account.id),
                )
                for account in accounts[start : start + VIEWS_AT_ONCE]
            )
            await asyncio.sleep(0)
        return tuple(views)

    async def one(self, account: Account) -> AccountView:
        return (await self.of((account,)))[0]

    def _view(
        self,
        account: Account,
        balance: Balance,
        engine_url: str | None,
        recent_net: Sequence[int],
        settling: Settlement | None,
    ) -> AccountView:
        counters = self.traffic.counters(account.id)
        state, reason = self.links.state(account)
        return AccountView(
            account=account,
            balance=balance,
            state=state,
            state_reason=reason,
            summary=balance_words(account, balance)
            + ("" if settling is None else settling_words(settling.amount, account)),
            prepares=counters.prepares,
            fulfills=counters.fulfills,
            rejects=counters.rejects,
            packets_per_second=counters.packets_per_second,
            last_packet_at_ms=counters.last_packet_at_ms,
            last_reject=counters.last_reject,
            engine_url=engine_url,
            open_settlement=settling is not None,
            recent_net=(*recent_net, balance.net) if recent_net else (),
            last_reject_is_ours=bool(counters.last_reject)
            and counters.last_reject_by in (None, self.node_address.current),
        )


def accounts_settling(settlements: Sequence[Settlement]) -> Mapping[AccountId, Settlement]:
    """Return the open outgoing settlement of each account that has one."""
    return {
        settlement.account: settlement
        for settlement in settlements
        if settlement.direction is Direction.OUT and settlement.state in OPEN_STATES
    }


def _nets(points: Sequence[HistoryPoint], *, from_s: int) -> Mapping[AccountId, Sequence[int]]:
    """Return each account's net at even steps; a step without a point has the one before it."""
    steps = SPARKLINE_SECONDS // SPARKLINE_STEP_SECONDS
    known: dict[AccountId, dict[int, int]] = {}
    for point in points:
        if point.net is not None:
            step = min(max((point.at_s - from_s) // SPARKLINE_STEP_SECONDS, 0), steps - 1)
            known.setdefault(point.account, {})[step] = point.net
    return {account: _filled(nets, steps) for account, nets in known.items()}


def _filled(nets: Mapping[int, int], steps: int) -> Sequence[int]:
    last = nets[min(nets)]
    filled = []
    for step in range(steps):
        last = nets.get(step, last)
        filled.append(last)
    return tuple(filled)
