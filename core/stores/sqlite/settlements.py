"""Settlements in SQLite: each call of the protocol is one transaction of the modules beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, final

from core.account import AccountId
from core.clock import Clock
from core.errors import EngineRunning, StoreUnavailable
from core.settlement.records import (
    Direction,
    EngineStatus,
    Settlement,
    SettlementId,
    SettlementState,
    UnmatchedCredit,
)
from core.settlement.store import (
    Attempt,
    BlockMark,
    EngineIdentity,
    EngineLease,
    EngineReport,
    IncomingPayment,
    OpenSettlement,
    Rewound,
    ScanApplied,
    SettlementStore,
    Wallet,
    WalletKey,
    WalletTotals,
)
from core.stores.sqlite import (
    settlement_engines as engines,
    settlement_incoming as incoming,
    settlement_outgoing as outgoing,
)
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.process_lock import ProcessLock
from core.stores.sqlite.tables import count_change

_LIST: Final = """
    SELECT * FROM (
        SELECT settlement_out.id, account.id AS account, engine, 'out', state, amount,
            ledger_amount, ledger_scale,
            coalesce(ledger_transaction, (SELECT hash FROM settlement_attempt
                WHERE settlement = settlement_out.id ORDER BY number DESC LIMIT 1)),
            confirmations, fee,
            (SELECT count(*) FROM settlement_attempt WHERE settlement = settlement_out.id),
            problem, settlement_out.created_at_ms AS at_ms, settlement_out.updated_at_ms
        FROM settlement_out JOIN account ON account.number = settlement_out.account
        WHERE {where}
        ORDER BY settlement_out.created_at_ms DESC, settlement_out.rowid DESC LIMIT :limit
    ) UNION ALL SELECT * FROM (
        SELECT key, account.id AS account, engine, 'in', state, amount,
            ledger_amount, ledger_scale, ledger_transaction, NULL, NULL, 0, problem,
            settlement_in.created_at_ms AS at_ms, settlement_in.updated_at_ms
        FROM settlement_in JOIN account ON account.number = settlement_in.account
        WHERE {where}
        ORDER BY settlement_in.created_at_ms DESC, settlement_in.rowid DESC LIMIT :limit
    ) ORDER BY at_ms DESC LIMIT :limit
"""


@final
class SqliteSettlements(SettlementStore):
    """The tables `settlement_…`, and the lock by which an engine is known to live."""

    def __init__(self, file: SqliteFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._locks: dict[str, ProcessLock] = {}

    # --- Engines

    async def take_engine(self, identity: EngineIdentity) -> EngineLease:
        path = self._file.path.with_name(f"{self._file.path.name}.engine-{identity.name}.lock")
        lock = self._locks.pop(identity.name, None)
        if lock is None:
            try:
                lock = ProcessLock.take(path, create=True)
            except OSError as error:
                raise StoreUnavailable(
                    f"the lock file {path} cannot be opened: {error.strerror}"
                ) from error
        if lock is None:
            pid = await self._file.read(partial(engines.running_pid, name=identity.name))
            raise EngineRunning(
                f"the engine {identity.name} runs already on this store, as process {pid}"
            )
        try:
            lease = await self._file.write(
                partial(engines.take, identity=identity, now_ms=self._clock.now_ms())
            )
        except BaseException:
            lock.release(remove=False)
            raise
        self._locks[identity.name] = lock
        return lease

    async def release_engine(self, lease: EngineLease) -> None:
        await self._file.write(
            partial(engines.release, lease=lease, now_ms=self._clock.now_ms())
        )
        self._let_go(lease.name)  # not if it was refused: then the lock is another lease's

    def let_go(self) -> None:
        """Let all locks fall, as the process's end would: for closing without having released."""
        for name in tuple(self._locks):
            self._let_go(name)

    def _let_go(self, name: str) -> None:
        lock = self._locks.pop(name, None)
        if lock is not None:
            lock.release(remove=False)

    async def heartbeat(self, lease: EngineLease, report: EngineReport) -> None:
        await self._file.write(
            partial(engines.heartbeat, lease=lease, report=report, now_ms=self._clock.now_ms())
        )

    async def engine_statuses(self) -> Sequence[EngineStatus]:
        return await self._file.read(engines.statuses)

    async def load_wallet(self, lease: EngineLease, key: WalletKey) -> Wallet | None:
        return await self._file.read(partial(engines.load_wallet, lease=lease, key=key))

    async def open_wallet(
        self, lease: EngineLease, key: WalletKey, *, first: Wallet, resets: bool
    ) -> Wallet:
        return await self._file.write(
            partial(
                engines.open_wallet,
                lease=lease,
                key=key,
                first=first,
                resets=resets,
                now_ms=self._clock.now_ms(),
            )
        )

    async def load_marks(self, lease: EngineLease, key: WalletKey) -> Sequence[BlockMark]:
        return await self._file.read(partial(engines.load_marks, lease=lease, key=key))

    # --- Outwards

    async def load_open(self, lease: EngineLease) -> Sequence[OpenSettlement]:
        return await self._file.read(partial(outgoing.load_open, lease=lease))

    async def accounts_due(self, lease: EngineLease, *, limit: int) -> Sequence[AccountId]:
        return await self._file.read(partial(outgoing.accounts_due, lease=lease, limit=limit))

    async def decide(self, lease: EngineLease, account: AccountId) -> OpenSettlement | None:
        return await self._file.write(
            partial(outgoing.decide, lease=lease, account=account, now_ms=self._clock.now_ms())
        )

    async def request_settlement(
        self, account: AccountId, engine: str, amount: int
    ) -> SettlementId:
        return await self._file.write(
            partial(
                outgoing.request,
                account=account,
                engine=engine,
                amount=amount,
                now_ms=self._clock.now_ms(),
            )
        )

    async def sign(
        self,
        lease: EngineLease,
        key: WalletKey,
        settlement: SettlementId,
        nonce: int,
        attempt: Attempt,
    ) -> None:
        await self._file.write(
            partial(
                outgoing.sign,
                lease=lease,
                key=key,
                settlement=settlement,
                nonce=nonce,
                attempt=attempt,
                now_ms=self._clock.now_ms(),
            )
        )

    async def add_attempt(
        self, lease: EngineLease, settlement: SettlementId, attempt: Attempt
    ) -> None:
        await self._file.write(
            partial(
                outgoing.add_attempt,
                lease=lease,
                settlement=settlement,
                attempt=attempt,
                now_ms=self._clock.now_ms(),
            )
        )

    async def sent(self, lease: EngineLease, settlement: SettlementId) -> None:
        await self._file.write(
            partial(
                outgoing.sent, lease=lease, settlement=settlement, now_ms=self._clock.now_ms()
            )
        )

    async def note(
        self,
        lease: EngineLease,
        settlement: SettlementId,
        *,
        problem: str,
        transaction: str | None = None,
        confirmations: int | None = None,
    ) -> None:
        await self._file.write(
            partial(
                outgoing.note,
                lease=lease,
                settlement=settlement,
                problem=problem,
                transaction=transaction,
                confirmations=confirmations,
                now_ms=self._clock.now_ms(),
            )
        )

    async def finish(
        self,
        lease: EngineLease,
        settlement: SettlementId,
        *,
        transaction: str,
        block: BlockMark,
        confirmations: int,
        fee: int,
    ) -> None:
        await self._file.write(
            partial(
                outgoing.finish,
                lease=lease,
                settlement=settlement,
                transaction=transaction,
                block=block,
                confirmations=confirmations,
                fee=fee,
                now_ms=self._clock.now_ms(),
            )
        )

    async def fail(
        self,
        lease: EngineLease,
        settlement: SettlementId,
        *,
        problem: str,
        give_back: bool,
        transaction: str | None = None,
        block: BlockMark | None = None,
        fee: int | None = None,
    ) -> None:
        await self._file.write(
            partial(
                outgoing.fail,
                lease=lease,
                settlement=settlement,
                problem=problem,
                give_back=give_back,
                transaction=transaction,
                block=block,
                fee=fee,
                now_ms=self._clock.now_ms(),
            )
        )

    # --- Inwards

    async def apply_scan(
        self,
        lease: EngineLease,
        key: WalletKey,
        *,
        after: BlockMark,
        upto: BlockMark,
        payments: Sequence[IncomingPayment],
    ) -> ScanApplied:
        return await self._file.write(
            partial(
                incoming.apply_scan,
                lease=lease,
                key=key,
                after=after,
                upto=upto,
                payments=payments,
                now_ms=self._clock.now_ms(),
            )
        )

    async def rewind(self, lease: EngineLease, key: WalletKey, to: BlockMark) -> Rewound:
        return await self._file.write(
            partial(incoming.rewind, lease=lease, key=key, to=to, now_ms=self._clock.now_ms())
        )

    async def wallet_totals(self, lease: EngineLease, key: WalletKey) -> WalletTotals:
        return await self._file.read(partial(incoming.wallet_totals, lease=lease, key=key))

    # --- The operator's part

    async def settlements(
        self, *, limit: int, account: AccountId | None = None
    ) -> Sequence[Settlement]:
        where = "1" if account is None else "account.id = :account"

        def work(connection: sqlite3.Connection) -> Sequence[Settlement]:
            rows = connection.execute(
                _LIST.format(where=where), {"limit": limit, "account": account}
            )
            return [_settlement(row) for row in rows]

        return await self._file.read(work)

    async def unmatched(self, *, limit: int) -> Sequence[UnmatchedCredit]:
        return await self._file.read(partial(incoming.unmatched, limit=limit))

    async def assign_unmatched(self, key: str, account: AccountId) -> None:
        await self._file.write(
            partial(incoming.assign, key=key, account_id=account, now_ms=self._clock.now_ms())
        )

    async def load_engine_urls(self) -> Mapping[str, str]:
        rows = await self._file.read(
            lambda connection: connection.execute(
                "SELECT asset_code, url FROM settlement_engine_url"
            ).fetchall()
        )
        return dict(rows)

    async def save_engine_urls(self, urls: Mapping[str, str]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO settlement_engine_url (asset_code, url) VALUES (?, ?) "
                "ON CONFLICT (asset_code) DO UPDATE SET url = excluded.url",
                urls.items(),
            )
            count_change(connection, "settings")

        await self._file.write(work)


def _settlement(row: sqlite3.Row) -> Settlement:
    (
        name,
        account,
        engine,
        direction,
        state,
        amount,
        ledger_amount,
        ledger_scale,
        transaction,
        confirmations,
        fee,
        attempts,
        problem,
        created_at_ms,
        updated_at_ms,
    ) = row
    return Settlement(
        id=SettlementId(name),
        account=AccountId(account),
        engine=engine,
        direction=Direction(direction),
        state=SettlementState(state),
        amount=amount,
        ledger_amount=int(ledger_amount),
        ledger_scale=ledger_scale,
        transaction=transaction,
        confirmations=confirmations,
        fee=None if fee is None else int(fee),
        attempts=attempts,
        problem=problem,
        created_at_ms=created_at_ms,
        updated_at_ms=updated_at_ms,
    )
