"""Settlements in memory: the same rules as in a database, gone with the process."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, final

from core.account import Account, AccountId
from core.clock import Clock
from core.errors import (
    AmountTooLarge,
    Conflict,
    EngineFenced,
    EngineRunning,
    EngineStopped,
    NotFound,
    UnknownAccount,
)
from core.ledger.postings import EntryKind
from core.settlement.records import (
    BUNDLED_ENGINE_SCHEME,
    Direction,
    EngineStatus,
    Settlement,
    SettlementId,
    SettlementState,
    UnmatchedCredit,
)
from core.settlement.store import (
    ENGINE_LEASE_MS,
    MARKS_KEPT,
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
    amount_due,
    comparable_address,
    engine_serves,
    floor_to_ledger,
    split_ledger_amount,
)
from core.stores.memory.books import MemoryBooks
from core.stores.memory.state import MemoryState

_OPEN: Final = (SettlementState.INTENT, SettlementState.SIGNED, SettlementState.SENT)
_SIGNED: Final = (SettlementState.SIGNED, SettlementState.SENT)


@final
@dataclass(slots=True)
class _Wallet:
    engine: str
    key: WalletKey
    resets: bool
    next_nonce: int
    cursor: BlockMark
    marks: list[BlockMark] = field(default_factory=list)
    """Oldest first."""


@final
@dataclass(slots=True, kw_only=True)
class _Out:
    id: SettlementId
    account: AccountId
    engine: str
    amount: int
    ledger_amount: int
    ledger_scale: int
    destination: str
    created_at_ms: int
    updated_at_ms: int
    state: SettlementState = SettlementState.INTENT
    wallet: _Wallet | None = None
    nonce: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    transaction: str | None = None
    block: int | None = None
    confirmations: int | None = None
    fee: int | None = None
    problem: str = ""
    given_back: bool = False
    holds: bool = False


@final
@dataclass(slots=True, kw_only=True)
class _In:
    engine: str
    wallet: _Wallet
    payment: IncomingPayment
    ledger_scale: int
    created_at_ms: int
    updated_at_ms: int
    account: AccountId | None = None
    amount: int = 0
    state: SettlementState | None = None
    """None while nobody is credited."""
    problem: str = ""


@final
class MemorySettlements(SettlementStore):
    """What the tables `settlement_…` of a database hold; nothing is awaited within a call."""

    def __init__(self, state: MemoryState, books: MemoryBooks, clock: Clock) -> None:
        self._state = state
        self._books = books
        self._clock = clock
        self._engines: dict[str, EngineStatus] = {}
        self._wallets: list[_Wallet] = []
        self._outs: dict[SettlementId, _Out] = {}
        self._ins: dict[str, _In] = {}
        self._dust: dict[tuple[AccountId, str], int] = {}
        self._urls: dict[str, str] = {}

    # --- Engines

    async def take_engine(self, identity: EngineIdentity) -> EngineLease:
        now_ms = self._clock.now_ms()
        last = self._engines.get(identity.name)
        if (
            last is not None
            and last.stopped_at_ms is None
            and now_ms - last.heartbeat_at_ms < ENGINE_LEASE_MS
        ):
            raise EngineRunning(
                f"the engine {identity.name} runs already on this store, as process {last.pid}"
            )
        epoch = 1 if last is None else last.epoch + 1
        self._engines[identity.name] = EngineStatus(
            name=identity.name,
            kind=identity.kind,
            pid=identity.pid,
            epoch=epoch,
            started_at_ms=now_ms,
            heartbeat_at_ms=now_ms,
            stopped_at_ms=None,
            ledger="" if last is None else last.ledger,
            address="" if last is None else last.address,
            asset_code=identity.asset_code,
            ledger_scale=identity.ledger_scale,
            balance=None if last is None else last.balance,
            head=None if last is None else last.head,
            problem="",
        )
        return EngineLease(identity.name, epoch)

    async def release_engine(self, lease: EngineLease) -> None:
        self._engines[lease.name] = replace(
            self._check(lease), stopped_at_ms=self._clock.now_ms()
        )

    async def heartbeat(self, lease: EngineLease, report: EngineReport) -> None:
        self._engines[lease.name] = replace(
            self._check(lease),
            heartbeat_at_ms=self._clock.now_ms(),
            ledger=report.ledger,
            address=report.address,
            balance=report.balance,
            head=report.head,
            problem=report.problem,
        )

    async def engine_statuses(self) -> Sequence[EngineStatus]:
        return [self._engines[name] for name in sorted(self._engines)]

    def _check(self, lease: EngineLease) -> EngineStatus:
        status = self._engines.get(lease.name)
        if status is None or status.epoch != lease.epoch or status.stopped_at_ms is not None:
            raise EngineFenced(
                f"engine {lease.name} was taken over by another process; this one writes no more"
            )
        return status

    # --- Wallets

    async def load_wallet(self, lease: EngineLease, key: WalletKey) -> Wallet | None:
        wallet = self._find_wallet(lease.name, key)
        return None if wallet is None else _view(wallet)

    async def open_wallet(
        self, lease: EngineLease, key: WalletKey, *, first: Wallet, resets: bool
    ) -> Wallet:
        self._check(lease)
        others = [
            other for other in self._wallets if other.engine == lease.name and other.key != key
        ]
        for other in others:
            another_chain = other.key.ledger_id != key.ledger_id
            if another_chain and not (resets and other.resets):
                raise EngineStopped(
                    f"engine {lease.name} works on the chain "
                    f"{other.key.ledger_id.partition(':')[0]}, and the ledger's node is on "
                    "another: give another chain an engine of another name"
                )
            if not another_chain and self._signed_on(other):
                raise EngineStopped(
                    f"engine {lease.name} has payments under way from {other.key.address}, and "
                    f"its key is now that of {key.address}: put the old key back until they are "
                    "final"
                )
        for other in others:
            if other.key.ledger_id != key.ledger_id:
                for out in self._signed_on(other):
                    out.state = SettlementState.FAILED
                    out.problem = "the test chain began anew before this was final"
                    out.updated_at_ms = self._clock.now_ms()
        wallet = self._find_wallet(lease.name, key)
        if wallet is None:
            wallet = _Wallet(
                lease.name, key, resets, first.next_nonce, first.cursor, [first.cursor]
            )
            self._wallets.append(wallet)
        return _view(wallet)

    async def load_marks(self, lease: EngineLease, key: WalletKey) -> Sequence[BlockMark]:
        return self._wallet(lease, key).marks[::-1]

    def _find_wallet(self, engine: str, key: WalletKey) -> _Wallet | None:
        for wallet in self._wallets:
            if wallet.engine == engine and wallet.key == key:
                return wallet
        return None

    def _wallet(self, lease: EngineLease, key: WalletKey) -> _Wallet:
        wallet = self._find_wallet(lease.name, key)
        if wallet is None:
            raise EngineFenced(f"engine {lease.name} has no wallet {key.address} on this chain")
        return wallet

    def _signed_on(self, wallet: _Wallet) -> list[_Out]:
        return [
            out for out in self._outs.values() if out.wallet is wallet and out.state in _SIGNED
        ]

    # --- Outwards

    async def load_open(self, lease: EngineLease) -> Sequence[OpenSettlement]:
        found = [
            out
            for out in self._outs.values()
            if out.engine == lease.name and out.state in _OPEN
        ]
        found.sort(key=lambda out: (out.nonce is None, out.nonce or 0))
        return [_open(out) for out in found]

    async def accounts_due(self, lease: EngineLease, *, limit: int) -> Sequence[AccountId]:
        found = [
            account.id
            for account in self._state.accounts.values()
            if self._due(lease, account) is not None
        ]
        return found[:limit]

    async def decide(self, lease: EngineLease, account: AccountId) -> OpenSettlement | None:
        self._check(lease)
        found = self._state.accounts.get(account)
        due = None if found is None else self._due(lease, found)
        if found is None or due is None:
            return None
        return _open(self._intend(lease.name, found, due))

    async def request_settlement(
        self, account: AccountId, engine: str, amount: int
    ) -> SettlementId:
        found = self._state.accounts.get(account)
        if found is None:
            raise UnknownAccount(account)
        name = engine.removeprefix(BUNDLED_ENGINE_SCHEME)
        status = self._engines.get(name)
        if status is None:
            raise Conflict(f"the engine {name!r} has never run on this store: start it first")
        who = found.username
        if status.asset_code != found.asset.code:
            raise Conflict(
                f"{who} counts in {found.asset.code}; the engine {name} pays "
                f"{status.asset_code}"
            )
        if not found.settlement_address:
            raise Conflict(f"{who} has no settlement address: nobody knows where to pay it")
        if self._open_of(account):
            raise Conflict(f"{who} has a settlement under way; one at a time")
        balance = self._books.balance_now(account)
        owed = balance.payable - max(balance.receivable, 0)
        most = owed - min(found.settle_to or 0, 0)
        if amount <= 0 or amount > most:
            raise Conflict(
                f"{amount} was asked for, and at most {max(most, 0)} is owed to {who}"
            )
        whole, ledger_amount = floor_to_ledger(
            amount, account_scale=found.asset.scale, ledger_scale=status.ledger_scale
        )
        if ledger_amount == 0:
            raise Conflict(f"{amount} is less than the ledger can carry")
        return self._intend(name, found, (whole, ledger_amount)).id

    def _due(self, lease: EngineLease, account: Account) -> tuple[int, int] | None:
        """Return what would be paid, in account and in ledger units; None if nothing is due."""
        status = self._engines[lease.name]
        if (
            not account.enabled
            or not account.settlement_address
            or not self._serves(lease.name, account)
            or self._open_of(account.id)
            or self._is_held(account)
        ):
            return None
        balance = self._books.balance_now(account.id)
        wanted = amount_due(
            payable=balance.payable,
            receivable=balance.receivable,
            settle_threshold=account.settle_threshold,
            settle_to=account.settle_to,
        )
        if wanted is None:
            return None
        whole, ledger_amount = floor_to_ledger(
            wanted, account_scale=account.asset.scale, ledger_scale=status.ledger_scale
        )
        return None if ledger_amount == 0 else (whole, ledger_amount)

    def _serves(self, engine: str, account: Account) -> bool:
        code = account.asset.code
        return code == self._engines[engine].asset_code and engine_serves(
            engine,
            account_url=account.settlement_engine_url,
            default_url=self._urls.get(code),
        )

    def _open_of(self, account: AccountId) -> bool:
        return any(out.account == account and out.state in _OPEN for out in self._outs.values())

    def _is_held(self, account: Account) -> bool:
        """Whether a failed settlement waits for the operator to change the account or settle by hand."""
        outs = [out for out in self._outs.values() if out.account == account.id]
        return any(
            out.holds
            and out.updated_at_ms >= account.updated_at_ms
            and not any(later.created_at_ms > out.updated_at_ms for later in outs)
            for out in outs
        )

    def _intend(self, engine: str, account: Account, due: tuple[int, int]) -> _Out:
        settlement = SettlementId(str(uuid.uuid4()))
        amount, ledger_amount = due
        now_ms = self._clock.now_ms()
        self._books.record(
            EntryKind.SETTLEMENT_OUT,
            account.id,
            payable=-amount,
            reason=f"settlement {settlement}",
        )
        assert account.settlement_address is not None
        out = _Out(
            id=settlement,
            account=account.id,
            engine=engine,
            amount=amount,
            ledger_amount=ledger_amount,
            ledger_scale=self._engines[engine].ledger_scale,
            destination=account.settlement_address,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        self._outs[settlement] = out
        return out

    async def sign(
        self,
        lease: EngineLease,
        key: WalletKey,
        settlement: SettlementId,
        nonce: int,
        attempt: Attempt,
    ) -> None:
        self._check(lease)
        wallet = self._wallet(lease, key)
        if wallet.next_nonce != nonce:
            raise EngineFenced(
                f"nonce {nonce} is not the wallet's next: another process signed"
            )
        out = self._out(lease, settlement, (SettlementState.INTENT,))
        wallet.next_nonce = nonce + 1
        out.state, out.wallet, out.nonce, out.problem = (
            SettlementState.SIGNED,
            wallet,
            nonce,
            "",
        )
        out.attempts.append(attempt)

    async def add_attempt(
        self, lease: EngineLease, settlement: SettlementId, attempt: Attempt
    ) -> None:
        self._check(lease)
        out = self._out(lease, settlement, _SIGNED)
        out.attempts.append(attempt)
        out.problem = ""

    async def sent(self, lease: EngineLease, settlement: SettlementId) -> None:
        self._check(lease)
        self._out(lease, settlement, _SIGNED).state = SettlementState.SENT

    async def note(
        self,
        lease: EngineLease,
        settlement: SettlementId,
        *,
        problem: str,
        transaction: str | None = None,
        confirmations: int | None = None,
    ) -> None:
        self._check(lease)
        out = self._out(lease, settlement, _OPEN)
        out.problem = problem
        out.transaction, out.confirmations = transaction, confirmations

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
        self._check(lease)
        out = self._out(lease, settlement, _SIGNED)
        out.state, out.problem = SettlementState.FINAL, ""
        out.transaction, out.confirmations = transaction, confirmations
        out.block, out.fee = block.number, fee

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
        self._check(lease)
        out = self._out(lease, settlement, _OPEN)
        if give_back:
            self._books.record(
                EntryKind.SETTLEMENT_REVERSED,
                out.account,
                payable=out.amount,
                reason=f"settlement {settlement} was not paid",
            )
        out.state, out.problem = SettlementState.FAILED, problem
        out.holds, out.given_back = True, give_back
        out.transaction, out.fee = transaction, fee
        out.block = None if block is None else block.number

    def _out(
        self, lease: EngineLease, settlement: SettlementId, states: Sequence[SettlementState]
    ) -> _Out:
        """Return one of this engine's that is in one of these states, to be changed now."""
        out = self._outs.get(settlement)
        if out is None or out.engine != lease.name or out.state not in states:
            raise EngineStopped(
                f"settlement {settlement} is not in the state that this step needs: "
                "somebody changed the database by hand"
            )
        out.updated_at_ms = self._clock.now_ms()
        return out

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
        self._check(lease)
        wallet = self._wallet(lease, key)
        if wallet.cursor != after:
            raise EngineFenced(
                f"the cursor is not at block {after.number}: another process moved it"
            )
        counts = {"credited": 0, "unmatched": 0, "known": 0}
        for payment in payments:
            counts[self._apply(lease, wallet, payment)] += 1
        wallet.cursor = upto
        wallet.marks = [mark for mark in wallet.marks if mark.number < upto.number] + [upto]
        if len(wallet.marks) > MARKS_KEPT:
            del wallet.marks[1]
        return ScanApplied(**counts)

    def _apply(self, lease: EngineLease, wallet: _Wallet, payment: IncomingPayment) -> str:
        key = f"{wallet.key.ledger_id}/{payment.key}"
        known = self._ins.get(key)
        if known is not None and known.state is not SettlementState.REVERSED:
            return "known"
        now_ms = self._clock.now_ms()
        row = _In(
            engine=lease.name,
            wallet=wallet,
            payment=payment,
            ledger_scale=self._engines[lease.name].ledger_scale,
            created_at_ms=now_ms if known is None else known.created_at_ms,
            updated_at_ms=now_ms,
        )
        account = self._payer(lease.name, payment.sender) if known is None else known.account
        self._ins[key] = row
        if account is None:
            return "unmatched"
        try:
            self._credit(row, account, f"payment {payment.transaction}")
        except AmountTooLarge:
            row.problem = "this is more than the books carry for one account"
            return "unmatched"
        return "credited"

    def _payer(self, engine: str, sender: str) -> AccountId | None:
        """Return the one account that pays from this address, if there is just one."""
        found = [
            account.id
            for account in self._state.accounts.values()
            if account.settlement_address is not None
            and comparable_address(account.settlement_address) == comparable_address(sender)
            and self._serves(engine, account)
        ]
        return found[0] if len(found) == 1 else None

    def _credit(self, row: _In, account: AccountId, reason: str) -> None:
        row.amount = self._move(
            row, account, row.payment.ledger_amount, EntryKind.SETTLEMENT_IN, reason
        )
        row.account, row.state = account, SettlementState.CREDITED
        row.updated_at_ms = self._clock.now_ms()

    def _move(
        self, row: _In, account: AccountId, ledger_amount: int, kind: EntryKind, reason: str
    ) -> int:
        """Credit (or, below zero, debit again) in account units and keep the rest; return the units."""
        known = self._state.accounts.get(account) or self._state.deleted[account]
        units, rest = split_ledger_amount(
            ledger_amount,
            ledger_scale=row.ledger_scale,
            account_scale=known.asset.scale,
            kept=self._dust.get((account, row.engine), 0),
        )
        if units:
            self._books.record(kind, account, receivable=-units, reason=reason)
        self._dust[account, row.engine] = rest
        return units

    async def rewind(self, lease: EngineLease, key: WalletKey, to: BlockMark) -> Rewound:
        self._check(lease)
        wallet = self._wallet(lease, key)
        after = {
            key: row
            for key, row in self._ins.items()
            if row.wallet is wallet and row.payment.block.number > to.number
        }
        reversed_credits = 0
        for name, row in after.items():
            if row.state is None:
                del self._ins[name]
            elif row.state is SettlementState.CREDITED:
                assert row.account is not None
                self._move(
                    row,
                    row.account,
                    -row.payment.ledger_amount,
                    EntryKind.SETTLEMENT_REVERSED,
                    f"payment {row.payment.transaction} was taken back by the ledger",
                )
                row.state = SettlementState.REVERSED
                row.updated_at_ms = self._clock.now_ms()
                reversed_credits += 1
        reopened = self._reopen_after(wallet, to.number)
        wallet.cursor = to
        wallet.marks = [mark for mark in wallet.marks if mark.number <= to.number]
        return Rewound(reversed_credits=reversed_credits, reopened_settlements=reopened)

    def _reopen_after(self, wallet: _Wallet, block: int) -> int:
        reopened = [
            out
            for out in self._outs.values()
            if out.wallet is wallet and out.block is not None and out.block > block
        ]
        for out in reopened:
            if out.given_back:
                self._books.record(
                    EntryKind.SETTLEMENT_OUT,
                    out.account,
                    payable=-out.amount,
                    reason=f"settlement {out.id} is open again: its block is gone",
                )
            out.state = SettlementState.SENT
            out.given_back = out.holds = False
            out.block = out.transaction = out.confirmations = out.fee = None
            out.problem = "the ledger took its block back; it is sent again"
            out.updated_at_ms = self._clock.now_ms()
        return len(reopened)

    async def wallet_totals(self, lease: EngineLease, key: WalletKey) -> WalletTotals:
        wallet = self._wallet(lease, key)
        ended = [
            out
            for out in self._outs.values()
            if out.wallet is wallet
            and out.state in {SettlementState.FINAL, SettlementState.FAILED}
        ]
        return WalletTotals(
            upto=wallet.cursor.number,
            received=sum(
                row.payment.ledger_amount
                for row in self._ins.values()
                if row.wallet is wallet and row.state is not SettlementState.REVERSED
            ),
            paid=sum(out.ledger_amount for out in ended if out.state is SettlementState.FINAL),
            fees=sum(out.fee or 0 for out in ended),
        )

    # --- The operator's part

    async def settlements(
        self, *, limit: int, account: AccountId | None = None
    ) -> Sequence[Settlement]:
        found = [_settlement_out(out) for out in self._outs.values()]
        found += [
            _settlement_in(key, row) for key, row in self._ins.items() if row.state is not None
        ]
        if account is not None:
            found = [settlement for settlement in found if settlement.account == account]
        found.reverse()
        found.sort(key=lambda settlement: -settlement.created_at_ms)
        return found[:limit]

    async def unmatched(self, *, limit: int) -> Sequence[UnmatchedCredit]:
        rows = [
            UnmatchedCredit(
                key=key,
                engine=row.engine,
                sender=row.payment.sender,
                ledger_amount=row.payment.ledger_amount,
                ledger_scale=row.ledger_scale,
                transaction=row.payment.transaction,
                seen_at_ms=row.created_at_ms,
            )
            for key, row in self._ins.items()
            if row.state is None
        ]
        return rows[:limit]

    async def assign_unmatched(self, key: str, account: AccountId) -> None:
        row = self._ins.get(key)
        if row is None or row.state is not None:
            raise NotFound(
                "this payment is not there, or an account is credited for it already"
            )
        if account not in self._state.accounts:
            raise UnknownAccount(account)
        reason = f"payment {row.payment.transaction}, assigned by the operator"
        self._credit(row, account, reason)
        row.problem = ""

    async def load_engine_urls(self) -> Mapping[str, str]:
        return dict(self._urls)

    async def save_engine_urls(self, urls: Mapping[str, str]) -> None:
        self._urls |= urls
        self._state.changed("settings")


def _view(wallet: _Wallet) -> Wallet:
    return Wallet(next_nonce=wallet.next_nonce, cursor=wallet.cursor)


def _open(out: _Out) -> OpenSettlement:
    return OpenSettlement(
        id=out.id,
        account=out.account,
        state=out.state,
        amount=out.amount,
        ledger_amount=out.ledger_amount,
        destination=out.destination,
        nonce=out.nonce,
        attempts=tuple(out.attempts),
        problem=out.problem,
        created_at_ms=out.created_at_ms,
    )


def _settlement_out(out: _Out) -> Settlement:
    newest = out.attempts[-1].hash if out.attempts else None
    return Settlement(
        id=out.id,
        account=out.account,
        engine=out.engine,
        direction=Direction.OUT,
        state=out.state,
        amount=out.amount,
        ledger_amount=out.ledger_amount,
        ledger_scale=out.ledger_scale,
        transaction=out.transaction or newest,
        confirmations=out.confirmations,
        fee=out.fee,
        attempts=len(out.attempts),
        problem=out.problem,
        created_at_ms=out.created_at_ms,
        updated_at_ms=out.updated_at_ms,
    )


def _settlement_in(key: str, row: _In) -> Settlement:
    assert row.account is not None
    assert row.state is not None
    return Settlement(
        id=SettlementId(key),
        account=row.account,
        engine=row.engine,
        direction=Direction.IN,
        state=row.state,
        amount=row.amount,
        ledger_amount=row.payment.ledger_amount,
        ledger_scale=row.ledger_scale,
        transaction=row.payment.transaction,
        confirmations=None,
        fee=None,
        attempts=0,
        problem=row.problem,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
    )
