"""The loop of a settlement engine: it may be killed between any two steps and loses or doubles nothing.

What makes that so is the order of the steps, each of them one transaction or one repeatable call:

1. decide      debit what we owe, and write the intent, together
2. sign        take the nonce and keep the signed octets, together, before anybody has seen them
3. broadcast   the kept octets, as often as one likes: they are the same transaction
4. outcome     only from the receipt of a transaction that we kept, deep enough in the chain, behind the cursor
5. scan        credit, unique key and cursor, together

A second process of the same engine gets no lease; one that was taken over is refused each write.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, final

from core.clock import Clock
from core.errors import (
    EngineFenced,
    EngineStopped,
    LedgerRefused,
    LedgerUnreachable,
    StoreError,
    StoreUnavailable,
)
from core.settlement.ledger import (
    Ledger,
    LedgerState,
    Paid,
    Payment,
    Pending,
    Reorganised,
    Undone,
)
from core.settlement.records import SettlementState
from core.settlement.store import (
    ENGINE_LEASE_MS,
    Attempt,
    BlockMark,
    EngineIdentity,
    EngineLease,
    EngineReport,
    OpenSettlement,
    SettlementStore,
    Wallet,
    WalletKey,
)
from core.tasks import TaskOwner

log = logging.getLogger(__name__)

DECISIONS_PER_STEP: Final = 20
SCANS_PER_STEP: Final = 20
BACK_OFF_MAX_SECONDS: Final = 60.0
HEARTBEAT_SECONDS: Final = ENGINE_LEASE_MS / 3_000

Rest = Callable[[float, asyncio.Event], Awaitable[None]]


async def rest(seconds: float, stop: asyncio.Event) -> None:
    """Wait so long, or until asked to stop."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How an engine paces itself."""

    name: str
    pid: int
    poll_seconds: float = 2.0
    bump_after_ms: int = 60_000
    """A transaction that is in no block for so long gets a dearer one beside it."""
    wallet_created_at_ms: int = 0
    """Nobody can have paid us before; a new wallet is scanned from here."""


@final
class SettlementEngine:
    """Settles the debts of one store on one ledger, and credits what comes in there."""

    def __init__(
        self,
        store: SettlementStore,
        ledger: Ledger,
        clock: Clock,
        options: EngineOptions,
        *,
        rest: Rest = rest,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._options = options
        self._rest = rest
        self._jitter = jitter
        self._lease: EngineLease | None = None
        self._key: WalletKey | None = None
        self._state: LedgerState | None = None
        self._alarm = ""
        self._problem = ""
        self._failures = 0

    @property
    def lease(self) -> EngineLease:
        assert self._lease is not None
        return self._lease

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set; the step that is under way then is finished.

        Raises:
            EngineRunning: a living process runs this engine already.
            EngineFenced: another process has taken it over.
            EngineStopped: a person has to look.
        """
        if self._lease is None:
            await self.take()
        beating = TaskOwner(f"engine {self._options.name}", tasks_max=1)
        beating.start(self._beat(), name="heartbeat")
        try:
            while not stop.is_set():
                seconds = await self.poll()
                await self._rest(seconds, stop)
        except EngineStopped as error:
            await self._report(str(error))
            raise
        finally:
            await beating.finish(0)
            await self.release()

    async def take(self) -> None:
        """Become the one process that writes as this engine."""
        self._lease = await self._store.take_engine(
            EngineIdentity(
                name=self._options.name,
                kind=self._ledger.kind,
                asset_code=self._ledger.asset_code,
                ledger_scale=self._ledger.scale,
                pid=self._options.pid,
            )
        )

    async def release(self) -> None:
        """End in order; that the lease is gone already is no matter by now."""
        if self._lease is None:
            return
        try:
            await self._store.release_engine(self._lease)
        except (EngineFenced, StoreUnavailable) as error:
            log.info("engine %s: the lease was not given back: %s", self._options.name, error)
        self._lease = None

    async def poll(self) -> float:
        """Do one step, and return how long to rest: longer, and not in step with others, after failures."""
        try:
            await self.step()
        except (LedgerUnreachable, LedgerRefused, StoreError) as error:
            self._failures += 1
            if self._failures == 1:
                log.warning("engine %s: %s", self._options.name, error)
            await self._report(str(error))
            poll_seconds = self._options.poll_seconds
            seconds = min(poll_seconds * 2.0 ** min(self._failures, 16), BACK_OFF_MAX_SECONDS)
            return max(seconds, poll_seconds) * (0.5 + self._jitter() / 2)
        if self._failures:
            log.info(
                "engine %s: going on after %d failures", self._options.name, self._failures
            )
        self._failures = 0
        return self._options.poll_seconds

    async def step(self) -> None:
        """Look at the ledger, move every open settlement on, begin what is due, credit what came in."""
        state = await self._ledger.state()
        key = WalletKey(ledger_id=state.ledger_id, address=self._ledger.address)
        wallet = await self._open_wallet(key, state)
        self._check_nonce(key, wallet, state)
        began_here = self._key is None
        self._key, self._state = key, state

        wallet = await self._check_cursor(key, wallet, state)
        # Credits first: what is final must lie behind the cursor, whose block we watch from then on.
        wallet = await self._scan(key, wallet, state)
        await self._settle(key, wallet, state)
        if began_here:
            await self._check_totals(key)
        await self._report("")

    @staticmethod
    def _check_nonce(key: WalletKey, wallet: Wallet, state: LedgerState) -> None:
        """Stop where the ledger has executed more than we signed."""
        if state.nonce > wallet.next_nonce:
            raise EngineStopped(
                f"the wallet {key.address} has sent {state.nonce} transactions and this engine "
                f"signed {wallet.next_nonce}: something else uses its key. Stop that, or give the "
                "engine a key of its own"
            )

    async def _open_wallet(self, key: WalletKey, state: LedgerState) -> Wallet:
        known = await self._store.load_wallet(self.lease, key)
        if known is not None and key == self._key:
            return known
        first = known
        if first is None:
            cursor = await self._ledger.block_before(self._options.wallet_created_at_ms)
            first = Wallet(next_nonce=state.nonce, cursor=cursor)
        wallet = await self._store.open_wallet(
            self.lease, key, first=first, resets=state.resets
        )
        log.info(
            "engine %s: on %s as %s, from block %d, nonce %d",
            self._options.name,
            state.ledger,
            key.address,
            wallet.cursor.number,
            wallet.next_nonce,
        )
        return wallet

    # --- Outwards -------------------------------------------------------------------------------

    async def _settle(self, key: WalletKey, wallet: Wallet, state: LedgerState) -> None:
        opened = await self._store.load_open(self.lease)
        round_ = _Round(
            next_nonce=wallet.next_nonce,
            cursor=wallet.cursor,
            committed=sum(_cost(one, one.attempts[-1]) for one in opened if one.attempts),
        )
        for settlement in opened:
            await self._advance(key, settlement, round_, state)
        for account in await self._store.accounts_due(self.lease, limit=DECISIONS_PER_STEP):
            decided = await self._store.decide(self.lease, account)
            if decided is not None:
                log.info(
                    "settlement %s: decided to pay %d to account %s",
                    decided.id,
                    decided.amount,
                    account,
                )
                await self._advance(key, decided, round_, state)

    async def _advance(
        self, key: WalletKey, settlement: OpenSettlement, round_: _Round, state: LedgerState
    ) -> None:
        """Take one settlement as far as it goes now."""
        if settlement.nonce is None:
            await self._sign(key, settlement, round_)
            return
        if settlement.state is SettlementState.SIGNED:
            await self._broadcast(settlement, settlement.attempts[-1])
            return
        outcome = await self._ledger.outcome(settlement.nonce, settlement.attempts, state)
        match outcome:
            case Paid() | Undone() if outcome.block.number > round_.cursor.number:
                await self._store.note(
                    self.lease,
                    settlement.id,
                    problem="",
                    transaction=outcome.transaction,
                    confirmations=state.head - outcome.block.number + 1,
                )
            case Paid():
                await self._store.finish(
                    self.lease,
                    settlement.id,
                    transaction=outcome.transaction,
                    block=outcome.block,
                    confirmations=outcome.confirmations,
                    fee=outcome.fee,
                )
                log.info("settlement %s: paid by %s", settlement.id, outcome.transaction)
            case Undone():
                await self._store.fail(
                    self.lease,
                    settlement.id,
                    problem="the ledger carried the transaction out and undid it: "
                    f"{settlement.destination} does not accept this payment",
                    give_back=True,
                    transaction=outcome.transaction,
                    block=outcome.block,
                    fee=outcome.fee,
                )
                log.warning("settlement %s: undone by the ledger", settlement.id)
            case Pending(transaction=None):
                await self._push(settlement, round_, nonce_taken=outcome.nonce_taken)
            case Pending():
                await self._store.note(
                    self.lease,
                    settlement.id,
                    problem="",
                    transaction=outcome.transaction,
                    confirmations=outcome.confirmations,
                )

    async def _sign(self, key: WalletKey, settlement: OpenSettlement, round_: _Round) -> None:
        try:
            plan = await self._ledger.plan(
                _payment(settlement), committed=round_.committed, replacing=None
            )
        except LedgerRefused as refusal:
            await self._note(settlement, str(refusal))
            return
        nonce = round_.next_nonce
        attempt = self._ledger.sign(plan, nonce, self._clock.now_ms())
        await self._store.sign(self.lease, key, settlement.id, nonce, attempt)
        round_.next_nonce += 1
        round_.committed += _cost(settlement, attempt)
        await self._broadcast(settlement, attempt)

    async def _push(
        self, settlement: OpenSettlement, round_: _Round, *, nonce_taken: bool
    ) -> None:
        """Broadcast again what is in no block; offer more once it has waited long."""
        if nonce_taken:
            await self._note(
                settlement,
                f"another transaction took nonce {settlement.nonce} of our wallet, so this one "
                "may never be carried out: something else uses the key",
            )
            return
        newest = settlement.attempts[-1]
        if self._clock.now_ms() - newest.at_ms >= self._options.bump_after_ms:
            assert settlement.nonce is not None
            try:
                plan = await self._ledger.plan(
                    _payment(settlement),
                    committed=round_.committed - _cost(settlement, newest),
                    replacing=newest,
                )
            except LedgerRefused as refusal:
                await self._note(settlement, str(refusal))
            else:
                newest = self._ledger.sign(plan, settlement.nonce, self._clock.now_ms())
                await self._store.add_attempt(self.lease, settlement.id, newest)
                log.info(
                    "settlement %s: waits too long; attempt %d offers %d",
                    settlement.id,
                    len(settlement.attempts) + 1,
                    newest.fee_per_unit,
                )
        await self._broadcast(settlement, newest)

    async def _broadcast(self, settlement: OpenSettlement, attempt: Attempt) -> None:
        try:
            await self._ledger.broadcast(attempt)
        except LedgerRefused as refusal:
            # Known already, mined already, or too cheap: the receipt will tell.
            log.info("settlement %s: the ledger's node says %s", settlement.id, refusal)
        if settlement.state is not SettlementState.SENT:
            await self._store.sent(self.lease, settlement.id)

    async def _note(self, settlement: OpenSettlement, problem: str) -> None:
        if settlement.problem != problem:
            log.warning("settlement %s: %s", settlement.id, problem)
            await self._store.note(self.lease, settlement.id, problem=problem)

    # --- Inwards --------------------------------------------------------------------------------

    async def _check_cursor(self, key: WalletKey, wallet: Wallet, state: LedgerState) -> Wallet:
        """Go back to where the chain still agrees with us, if it no longer does at the cursor."""
        if state.head < wallet.cursor.number:
            raise LedgerUnreachable(
                f"the ledger's node is at block {state.head} and this engine has been at "
                f"{wallet.cursor.number}: it is still catching up"
            )
        if await self._ledger.block_at(wallet.cursor.number) == wallet.cursor:
            return wallet
        marks = await self._store.load_marks(self.lease, key)
        for mark in marks:
            if await self._ledger.block_at(mark.number) == mark:
                rewound = await self._store.rewind(self.lease, key, mark)
                self._alarm = (
                    f"the ledger took back blocks from {mark.number + 1} on, deeper than we wait "
                    f"for: {rewound.reversed_credits} credits were debited again, "
                    f"{rewound.reopened_settlements} settlements are sent again"
                )
                log.error("engine %s: %s", self._options.name, self._alarm)
                return Wallet(next_nonce=wallet.next_nonce, cursor=mark)
        raise EngineStopped(
            f"no block that this engine has seen on {state.ledger} is in its chain any more: "
            "the ledger's node is on another chain, or far behind"
        )

    async def _scan(self, key: WalletKey, wallet: Wallet, state: LedgerState) -> Wallet:
        """Credit what came in, in bounded steps; return how far that has brought us."""
        cursor = wallet.cursor
        for _ in range(SCANS_PER_STEP):
            if cursor.number >= state.settled_head:
                break
            found = await self._ledger.scan(cursor, upto=state.settled_head)
            if isinstance(found, Reorganised):
                break  # the next step finds out how deep
            applied = await self._store.apply_scan(
                self.lease, key, after=cursor, upto=found.upto, payments=found.payments
            )
            if applied.credited or applied.unmatched:
                log.info(
                    "blocks %d to %d: payments credited: %d, from unknown senders: %d",
                    cursor.number + 1,
                    found.upto.number,
                    applied.credited,
                    applied.unmatched,
                )
            cursor = found.upto
        return Wallet(next_nonce=wallet.next_nonce, cursor=cursor)

    async def _check_totals(self, key: WalletKey) -> None:
        """Compare what our rows add up to with what the ledger says the wallet holds."""
        totals = await self._store.wallet_totals(self.lease, key)
        held = await self._ledger.balance_at(totals.upto)
        expected = totals.received - totals.paid - totals.fees
        if held is not None and held < expected:
            self._alarm = (
                f"the wallet held {held} after block {totals.upto} and should have held at least "
                f"{expected}: something else spends from it"
            )
            log.error("engine %s: %s", self._options.name, self._alarm)

    # --- The operator's view --------------------------------------------------------------------

    async def _report(self, problem: str) -> None:
        self._problem = problem
        state = self._state
        report = EngineReport(
            ledger="" if state is None else state.ledger,
            address=self._ledger.address,
            balance=None if state is None else state.balance,
            head=None if state is None else state.head,
            problem=problem or self._alarm,
        )
        try:
            await self._store.heartbeat(self.lease, report)
        except StoreUnavailable as error:
            log.info("engine %s: no heartbeat: %s", self._options.name, error)

    async def _beat(self) -> None:
        """Say that we live, also through a long rest and while a ledger's node lets us wait."""
        try:
            while True:
                await asyncio.sleep(HEARTBEAT_SECONDS)
                await self._report(self._problem)
        except EngineFenced as error:
            log.info("engine %s: %s", self._options.name, error)  # the loop finds out, too


def _payment(settlement: OpenSettlement) -> Payment:
    return Payment(destination=settlement.destination, amount=settlement.ledger_amount)


def _cost(settlement: OpenSettlement, attempt: Attempt) -> int:
    """Return what an attempt takes from the wallet at most."""
    return settlement.ledger_amount + attempt.fee_per_unit * attempt.work_limit


@final
@dataclass(slots=True)
class _Round:
    """What the settlements of one step share."""

    next_nonce: int
    cursor: BlockMark
    committed: int
