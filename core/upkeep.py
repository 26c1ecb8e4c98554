"""What a node writes down, sums up and forgets as time goes by; none of it is on a packet's way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, final

from core.account import AccountDirectory, AccountId
from core.clock import Clock
from core.config import NodeConfig
from core.ledger.books import Balance
from core.payments.store import RECEIVED_MAX
from core.rates.store import ALL_KEPT_MS
from core.routing.table import RoutingTable
from core.stores.record import Stores
from core.telemetry.history import HistoryPoint
from core.telemetry.recorder import Recorder

ROLL_UP_ROWS: Final = 2_000
"""Rows in one transaction: packets wait behind it, so it is short."""
ROLL_UP_ROUNDS: Final = 5
"""5 × 2,000 rows in 2 s keep up with 5,000 packets a second."""
PRUNE_ROWS: Final = 250
"""Rows in one transaction, some 20 ms: packets wait behind it."""
PRUNE_ROUNDS: Final = 200
"""200 × 250 rows a minute keep up with 800 received payments a second."""
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


@final
class Upkeep:
    """History step by step, totals in the place of old rows, and an end to what was kept long enough."""

    def __init__(
        self,
        stores: Stores,
        clock: Clock,
        config: NodeConfig,
        recorder: Recorder,
        directory: AccountDirectory,
        table: RoutingTable,
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._config = config
        self._recorder = recorder
        self._directory = directory
        self._table = table
        self._nets: dict[AccountId, int] = {}

    async def end_step(self) -> None:
        """Write the last second into history: what each account did, and where its balance stands."""
        ended = self._recorder.end_step()
        balances = await self._stores.books.balances()
        points = [*self._recorder.points(ended, balances)]
        points += self._moved(ended[0], balances, {point.account for point in points})
        self._nets = {account: balance.net for account, balance in balances.items()}
        if points:
            await self._stores.history.add(points)

    def _moved(
        self, at_s: int, balances: Mapping[AccountId, Balance], seen: set[AccountId]
    ) -> Iterable[HistoryPoint]:
        """Return points for accounts whose balance moved without a packet: settled, or corrected."""
        for account, balance in balances.items():
            if account not in seen and self._nets.get(account) != balance.net:
                yield HistoryPoint(at_s=at_s, account=account, net=balance.net)

    async def roll_up(self) -> None:
        """Fold the journal's old rows into totals, a few thousand at a time."""
        before_ms = self._clock.now_ms() - self._config.journal_hours * _HOUR_MS
        for _ in range(ROLL_UP_ROUNDS):
            rows = await self._stores.books.roll_up(before_ms=before_ms, rows_max=ROLL_UP_ROWS)
            if rows < ROLL_UP_ROWS:
                return

    async def prune(self) -> None:
        """Forget what is older than it has to be kept, as much as is short enough for one time."""
        now_ms = self._clock.now_ms()
        await self._stores.history.prune(now_s=now_ms // 1000)
        # Prefixes that peers told and took back leave counters behind.
        accounts = {account.id for account in self._directory.all()}
        self._recorder.keep_only(accounts, self._table)
        before_ms = now_ms - self._config.payment_days * _DAY_MS
        for _ in range(PRUNE_ROUNDS):
            rows = await self._stores.payments.prune_payments(
                before_ms=before_ms, rows_max=PRUNE_ROWS
            )
            if rows < PRUNE_ROWS:
                break
        await self._stores.payments.prune_received(
            account_max=RECEIVED_MAX, rows_max=PRUNE_ROUNDS * PRUNE_ROWS
        )
        # As long as a packet has a row of its own, the prices that it names can be looked up.
        rows_kept_ms = self._config.journal_hours * _HOUR_MS
        await self._stores.rate_feed.prune_snapshots(
            now_ms, all_kept_ms=max(ALL_KEPT_MS, rows_kept_ms)
        )
