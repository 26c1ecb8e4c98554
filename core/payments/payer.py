"""Makes payments: looks a receiver up, probes the path, pays, and writes down how it stands and ends.

A payment is written down before anything is done for it, and each of its packets is an incoming packet
from its account: it meets every limit, and the books add it to what the payment has sent in the
transaction in which they post it. So whatever ends this process, what was sent is what was booked.

What a process leaves open when it ends is closed as INTERRUPTED by the next one that looks, and never
gone on with: nobody may be waiting for it any more, and what a crash left undecided could be
delivered twice. Whoever wants the rest paid makes a new payment of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Protocol, final

from core.account import AMOUNT_MAX_BOOKED, Account, AccountDirectory, AccountId, Asset
from core.clock import Clock
from core.errors import (
    Conflict,
    NotFound,
    PaymentImpossible,
    QuoteFailed,
    SettingError,
    SpspError,
    StoreError,
    UnknownAccount,
)
from core.packet import ErrorCode, Prepare, Reject, Reply
from core.payments.credit import BalanceBooks, PayersCredit
from core.payments.records import (
    Ending,
    NewPayment,
    Payment,
    PaymentState,
    Progress,
    Route,
)
from core.payments.rules import SIGNED_ON_ANEW
from core.payments.store import PaymentStore
from core.service import Incoming, IncomingRequest, PaymentNumber
from core.stream.plain_text import plain_text
from core.stream.sender.sender import OnProgress, Send, StreamSender
from core.stream.sender.terms import (
    Outcome,
    OutcomeState,
    PaymentTerms,
    Progress as SenderProgress,
    Quote,
)
from core.stream.spsp import SpspDetails
from core.tasks import TaskOwner

log = logging.getLogger(__name__)

PAYMENTS_MAX: Final = 200
"""Under way in the store: each has up to 64 packets in flight, and a node lets in 20,000."""
ACCOUNT_PAYMENTS_MAX: Final = 20
QUOTES_MAX: Final = 20
"""At once in this process; each takes up to ten seconds and some dozen packets."""
ACCOUNT_QUOTES_MAX: Final = 5
"""Of one account, so that no user keeps the others out."""
BEGINNING_MAX: Final = 200
"""Orders that are being written down at once, beside the payments under way."""
WAITERS_MAX: Final = 1_000
ACCOUNT_WAITERS_MAX: Final = 100
"""Calls that wait for an account's payments, five for each that may be under way."""
PACKETS_MAX: Final = 20_000
ADVANCE_SECONDS: Final = 0.25
"""How often a payment's progress is written down, and how soon a cancellation by another process is seen."""
RETRY_SECONDS: Final = 0.5
VIOLATION_CHARACTERS_MAX: Final = 300
"""Some have words of the receiver's in them."""
POLL_SECONDS: Final = 1.0
"""How soon whoever waits for a payment of another node sees a change; of our own it is told."""
CANCELLED: Final = Ending(
    state=PaymentState.CANCELLED,
    reason="It was cancelled; what had left until then stays sent.",
)
ORDER_GONE: Final = Ending(
    state=PaymentState.CANCELLED,
    reason="Whoever ordered it had gone before it was written down: nothing was sent.",
)
STOPPED: Final = Ending(
    state=PaymentState.INTERRUPTED,
    reason="The node was stopped before the payment ended, and nobody goes on with it.",
)


class Resolver(Protocol):
    """Asks a receiver's server how it is paid."""

    async def resolve(self, receiver: str) -> SpspDetails:
        """Return it; raises SpspError with who did not answer, and why."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be paid, checked; exactly one of the two amounts is given."""

    account: AccountId
    receiver: str
    source_amount: int | None
    delivered_amount: int | None
    source_amount_max: int | None
    slippage: Fraction
    memo: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What looking a receiver up and probing the path has given."""

    details: SpspDetails
    terms: PaymentTerms
    quote: Quote


@final
@dataclass(slots=True, eq=False)
class _Running:
    """A payment that this process makes."""

    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    why: Ending | None = None
    """How it ends where it was stopped before all was sent."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once anything of it changes; then another takes its place."""
    progress: SenderProgress | None = None
    packets_per_second: float = 0.0

    def stop(self, why: Ending) -> None:
        """Let it send nothing more; the first reason is the one that counts."""
        self.why = self.why or why
        self.cancel.set()

    def tell(self) -> None:
        """Wake whoever waits for a change."""
        self.changed.set()
        self.changed = asyncio.Event()


@final
@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a payment goes, and what it has met, as of now."""

    packets: int
    rejects: int
    delivered: int
    delivered_for: int
    """What the packets carried that have brought this."""
    delivered_exact: bool
    packets_per_second: float


class Sender(Protocol):
    """Speaks STREAM for one payment: `core.stream.sender` says what each call promises."""

    async def quote(self, terms: PaymentTerms) -> Quote: ...

    async def pay(
        self,
        terms: PaymentTerms,
        quote: Quote,
        *,
        on_progress: OnProgress | None = None,
        cancel: asyncio.Event | None = None,
    ) -> Outcome: ...


class MakeSender(Protocol):
    """Makes one for who sends by `send`."""

    def __call__(self, send: Send) -> Sender: ...


@final
class Payer:
    """Makes this process's payments; everybody's are in the store."""

    def __init__(
        self,
        *,
        store: PaymentStore,
        books: BalanceBooks,
        directory: AccountDirectory,
        incoming: Incoming,
        resolver: Resolver,
        clock: Clock,
        make_sender: MakeSender | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._credit = PayersCredit(directory=directory, books=books, store=store)
        self._directory = directory
        self._incoming = incoming
        self._resolver = resolver
        self._clock = clock
        self._sleep = sleep
        self._packets = TaskOwner("packets of payments", tasks_max=PACKETS_MAX)
        self._tasks = TaskOwner("payments", tasks_max=PAYMENTS_MAX + BEGINNING_MAX)
        self._make_sender = make_sender or self._stream_sender
        self._running: dict[str, _Running] = {}
        self._quoting: list[AccountId] = []
        self._waiting: list[AccountId] = []
        self._is_stopping = False

    # --- Quotes

    async def quote(self, order: Order) -> Found:
        """Look the receiver up and probe the path; nothing that is sent can be fulfilled.

        Raises:
            PaymentImpossible: one of them does not answer, or not usefully; says which and why.
            Conflict: too many quotes are being made.
            UnknownAccount: the account is gone.
        """
        if self._is_stopping:
            raise Conflict("this node is stopping")
        of_account = self._quoting.count(order.account)
        if of_account >= ACCOUNT_QUOTES_MAX or len(self._quoting) >= QUOTES_MAX:
            raise Conflict(
                f"{len(self._quoting)} quotes are being made, {of_account} of them for this account,"
                " and no more may be at once: try again in a moment"
            )
        self._quoting.append(order.account)
        try:
            if lack := await self._credit.lacks(order.account, 1, "a payment"):
                raise PaymentImpossible(lack)
            return await self._find(order, self._send_from(order.account, None))
        except SpspError as error:
            raise PaymentImpossible(f"the receiver cannot be paid: {error}") from error
        except QuoteFailed as error:
            raise PaymentImpossible(f"no way to pay was found: {error.reason}") from error
        finally:
            self._quoting.remove(order.account)

    async def _find(self, order: Order, send: Send) -> Found:
        details = await self._resolver.resolve(order.receiver)
        account = self._directory.by_id(order.account)
        terms = PaymentTerms(
            destination=details.destination,
            shared_secret=details.shared_secret,
            source_amount=order.source_amount,
            delivered_amount=order.delivered_amount,
            source_amount_max=order.source_amount_max,
            slippage=order.slippage,
            destination_asset=details.asset,
            source_asset=None if account is None else account.asset,
        )
        quote = await self._make_sender(send).quote(terms)
        return Found(details=details, terms=terms, quote=quote)

    # --- Payments

    async def start(self, order: Order, *, key: str | None, body_hash: bytes) -> Payment:
        """Write it down and begin it, or return what the same key and order have begun before.

        Raises:
            Conflict: the key was used for another order, or too many payments are under way.
            UnknownAccount: the account is gone.
        """
        if self._is_stopping:
            raise Conflict("this node is stopping, and begins no payment")
        if self._tasks.is_full:
            raise Conflict(
                f"{len(self._tasks)} payments are begun or under way here, and no more may be at once:"
                " try again in a moment"
            )
        new = NewPayment(
            id=str(uuid.uuid4()),
            account=order.account,
            receiver=order.receiver,
            source_amount=order.source_amount,
            delivered_amount=order.delivered_amount,
            source_amount_max=order.source_amount
            or order.source_amount_max
            or AMOUNT_MAX_BOOKED,
            slippage=order.slippage,
            memo=order.memo,
            idempotency_key=key,
            body_hash=body_hash,
        )
        begun: asyncio.Future[Payment] = asyncio.get_running_loop().create_future()
        self._tasks.start(self._begin(new, order, begun), name=f"payment {new.id}")
        return await begun

    async def _begin(
        self, new: NewPayment, order: Order, begun: asyncio.Future[Payment]
    ) -> None:
        """Write an order down, and make the payment: one task, so that none is in the store that nobody makes."""
        try:
            payment, is_new = await self._store.begin_payment(
                new, open_max=PAYMENTS_MAX, account_open_max=ACCOUNT_PAYMENTS_MAX
            )
        except Exception as error:  # noqa: BLE001 it is for whoever ordered it
            if not begun.done():
                begun.set_exception(error)
            return
        except BaseException:
            begun.cancel()
            raise
        if not is_new:
            if not begun.done():
                begun.set_result(payment)
            return
        running = self._running[payment.id] = _Running()
        if self._is_stopping or begun.done():  # or whoever ordered it was cancelled meanwhile
            why = STOPPED if self._is_stopping else ORDER_GONE
            payment = await self._end(payment, why, Progress(), running)
            if not begun.done():
                begun.set_result(payment)
            return
        begun.set_result(payment)
        await self._run(payment, order, running)

    async def find(self, payment_id: str) -> Payment:
        """Return a payment of any process; raises NotFound."""
        payment = await self._store.payment(payment_id)
        if payment is None:
            raise NotFound(f"there is no payment {payment_id!r}")
        return payment

    def pace(self, payment_id: str) -> Pace | None:
        """Return how a payment of this process goes, or None for one that does not run here."""
        running = self._running.get(payment_id)
        if running is None or running.progress is None:
            return None
        progress = running.progress
        return Pace(
            progress.packets_fulfilled,
            progress.packets_rejected,
            progress.delivered,
            progress.source_sent,
            progress.delivered_exact,
            running.packets_per_second,
        )

    async def cancel(self, payment_id: str) -> Payment:
        """Send nothing more of it: from here on the books take no packet of it. Raises NotFound, Conflict."""
        before = await self.find(payment_id)
        if before.state.is_final:
            raise Conflict(f"the payment is {before.state.value} already")
        payment = await self._store.request_cancel(payment_id)
        if (running := self._running.get(payment_id)) is not None:
            running.stop(CANCELLED)
            running.tell()
        return payment or before

    async def wait(
        self, payment_id: str, *, after_version: int | None, seconds: float | None
    ) -> Payment:
        """Return it once it has changed since `after_version`, or ended, or so many seconds have passed.

        Raises:
            NotFound: there is none of this id.
            Conflict: too many wait already.
        """
        account = (await self.find(payment_id)).account
        of_account = self._waiting.count(account)
        if of_account >= ACCOUNT_WAITERS_MAX or len(self._waiting) >= WAITERS_MAX:
            raise Conflict(
                f"{len(self._waiting)} calls wait for payments, {of_account} of them for this account's,"
                " and no more may at once: ask without waiting"
            )
        self._waiting.append(account)
        try:
            return await self._changed(payment_id, after_version, seconds)
        finally:
            self._waiting.remove(account)

    async def _changed(
        self, payment_id: str, after_version: int | None, seconds: float | None
    ) -> Payment:
        deadline = math.inf if seconds is None else self._clock.monotonic() + seconds
        while True:
            running = self._running.get(payment_id)
            # Before the look at the store: what changes after that look is told to this one.
            changed = None if running is None else running.changed
            payment = await self.find(payment_id)
            if payment.state.is_final or (
                after_version is not None and payment.version > after_version
            ):
                return payment
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return payment
            if changed is None:
                await self._sleep(min(POLL_SECONDS, left))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if left == math.inf else left):
                    await changed.wait()

    def stop(self) -> None:
        """Begin nothing more, and let what runs send nothing more."""
        self._is_stopping = True
        for running in self._running.values():
            running.stop(STOPPED)

    async def finish(self, timeout_seconds: float) -> None:
        """Wait until what runs has ended, at most so long; what has not is closed by the next process."""
        self.stop()
        await self._tasks.finish(timeout_seconds)
        await self._packets.finish(0)

    # --- One payment, from order to end

    async def _run(self, payment: Payment, order: Order, running: _Running) -> None:
        progress = Progress()
        try:
            ending, progress = await self._pay(payment, order, running)
        except Exception:
            # Whatever it was: a payment that nobody makes must not be said to be under way.
            log.exception("payment %s failed", payment.id)
            ending = Ending(
                state=PaymentState.FAILED,
                reason="Something failed inside the node; its log says what.",
            )
        await self._end(payment, ending, progress, running)

    async def _pay(
        self, payment: Payment, order: Order, running: _Running
    ) -> tuple[Ending, Progress]:
        nothing = Progress()
        try:
            needed = order.source_amount or 1
            if lack := await self._credit.lacks(order.account, needed, "the payment"):
                return Ending(state=PaymentState.FAILED, reason=f"{lack}."), nothing
            found = await self._find_unless_cancelled(order, running)
        except SpspError as error:
            reason = f"The receiver cannot be paid: {error}."
            return Ending(state=PaymentState.FAILED, reason=reason), nothing
        except QuoteFailed as error:
            ending = Ending(
                state=PaymentState.FAILED,
                reason=f"No way to pay was found: {error.reason.removesuffix('.')}.",
                reject_code=error.reject_code,
                triggered_by=error.triggered_by,
                receiver_asset=error.counted_in and Asset(*error.counted_in),
            )
            return ending, nothing
        except (SettingError, StoreError) as error:
            return Ending(state=PaymentState.FAILED, reason=f"{error}."), nothing
        if found is None:
            return running.why or CANCELLED, nothing
        needed = found.quote.source_estimate
        try:
            if lack := await self._credit.lacks(order.account, needed, "the payment"):
                return Ending(state=PaymentState.FAILED, reason=f"{lack}."), nothing
            allowed = await self._let_send(payment, found)
        except StoreError as error:
            return Ending(state=PaymentState.FAILED, reason=f"{error}."), nothing
        running.tell()
        if allowed.cancel_requested:
            return CANCELLED, nothing
        if allowed.state is not PaymentState.SENDING:
            return SIGNED_ON_ANEW, nothing  # or it was closed already, and stays as it is

        async def look_at_the_credit(reject: Reject) -> None:
            with contextlib.suppress(StoreError):
                if why := await self._credit.cannot_go_on(payment, needed, reject):
                    running.stop(why)

        send = self._send_from(order.account, payment.number, look_at_the_credit)
        sender = self._make_sender(send)

        def note(progress: SenderProgress) -> None:
            running.progress = progress

        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write_progress(payment, running))
            outcome = await sender.pay(
                found.terms, found.quote, on_progress=note, cancel=running.cancel
            )
            writing.cancel()
        return await self._ending(payment, outcome, running), _noted(outcome)

    async def _find_unless_cancelled(self, order: Order, running: _Running) -> Found | None:
        """Return what was found, or None where it was cancelled before."""
        send = self._send_from(order.account, None)
        async with asyncio.TaskGroup() as group:
            finding = group.create_task(_outcome_of(self._find(order, send)))
            cancelled = group.create_task(running.cancel.wait())
            await asyncio.wait({finding, cancelled}, return_when=asyncio.FIRST_COMPLETED)
            found = finding.result() if finding.done() else None
            finding.cancel()
            cancelled.cancel()
        if isinstance(found, Exception):
            raise found
        return found

    async def _let_send(self, payment: Payment, found: Found) -> Payment:
        asset = found.quote.destination_asset or found.details.asset
        route = Route(
            destination=found.details.destination,
            min_rate=found.quote.min_rate,
            source_amount_max=min(found.quote.source_amount, AMOUNT_MAX_BOOKED),
            receiver_asset_code=None if asset is None else asset.code,
            receiver_asset_scale=None if asset is None else asset.scale,
        )
        return await self._store.let_send(payment.number, route)

    async def _write_progress(self, payment: Payment, running: _Running) -> None:
        """Note from time to time how far it is, and see whether another process has cancelled it."""
        written: SenderProgress | None = None
        version = payment.version
        while True:
            await self._sleep(ADVANCE_SECONDS)
            progress = running.progress
            try:
                if progress is None or progress == written:
                    known = await self._store.payment(payment.id)
                else:
                    fulfilled = progress.packets_fulfilled
                    earlier = 0 if written is None else written.packets_fulfilled
                    running.packets_per_second = (fulfilled - earlier) / ADVANCE_SECONDS
                    known = await self._store.advance_payment(payment.number, _noted(progress))
                    written = progress
            except StoreError as error:
                log.info("the progress of payment %s was not noted: %s", payment.id, error)
                continue
            if known is None or known.cancel_requested or known.state.is_final:
                running.stop(CANCELLED)  # one that another process has closed stays as it is
            if known is not None and known.version > version:
                version = known.version
                running.tell()

    async def _end(
        self, payment: Payment, ending: Ending, progress: Progress, running: _Running
    ) -> Payment:
        """Write its end down, however long the store takes; where we end before, the next process does."""
        try:
            while True:
                try:
                    ended = await self._store.end_payment(payment.number, ending, progress)
                except StoreError as error:
                    if self._is_stopping:
                        log.warning("the end of payment %s is not noted: %s", payment.id, error)
                        return payment
                    await self._sleep(RETRY_SECONDS)
                else:
                    log.info("payment %s is %s: %s", ended.id, ended.state.value, ended.reason)
                    return ended
        finally:
            del self._running[payment.id]
            running.tell()

    async def _ending(self, payment: Payment, outcome: Outcome, running: _Running) -> Ending:
        if outcome.state is OutcomeState.COMPLETED:
            return Ending(state=PaymentState.COMPLETED, reason=outcome.reason)
        if running.why is not None:
            return running.why
        with contextlib.suppress(StoreError):
            # Where another process cancels it, the books may be the first to say so.
            known = await self._store.payment(payment.id)
            if known is not None and known.cancel_requested:
                return CANCELLED
        return Ending(
            state=PaymentState.FAILED,
            reason=outcome.reason,
            reject_code=outcome.reject_code,
            triggered_by=outcome.triggered_by,
        )

    def _send_from(
        self,
        account_id: AccountId,
        payment: PaymentNumber | None,
        when_short: Callable[[Reject], Awaitable[None]] | None = None,
    ) -> Send:
        """Return how a packet of the account is sent: as one that has come in from it."""

        async def send(prepare: Prepare) -> Reply:
            account: Account | None = self._directory.by_id(account_id)
            if account is None:
                return Reject.build(
                    ErrorCode.UNREACHABLE,
                    triggered_by="",
                    message="The account that pays has been removed from this node.",
                )
            reply = await self._incoming.handle(
                IncomingRequest(account, prepare, payment=payment)
            )
            if (
                when_short is not None
                and isinstance(reply, Reject)
                and reply.code == ErrorCode.INSUFFICIENT_LIQUIDITY
            ):
                await when_short(reply)
            return reply

        if self._directory.by_id(account_id) is None:
            raise UnknownAccount(account_id)
        return send

    def _stream_sender(self, send: Send) -> StreamSender:
        return StreamSender(send=send, clock=self._clock, tasks=self._packets)


async def _outcome_of(finding: Awaitable[Found]) -> Found | Exception:
    """Return what it raises, so that it ends the payment and not the group that waits for it."""
    try:
        return await finding
    except (SpspError, QuoteFailed, SettingError) as error:
        return error


def _noted(told: SenderProgress | Outcome) -> Progress:
    """Return what is written down of what a sender tells."""
    return Progress(
        delivered=told.delivered,
        delivered_for=told.source_sent,
        packets=told.packets_fulfilled,
        rejects=told.packets_rejected,
        delivered_is_least=not told.delivered_exact,
        violations=tuple(
            plain_text(what, characters_max=VIOLATION_CHARACTERS_MAX)
            for what in told.violations
        ),
        receipts=told.receipts,
        receiver_text=plain_text(str(told.received_data, "utf-8", "replace")),
    )
