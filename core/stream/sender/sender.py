"""Pays: sends what the decisions ask for, hands them what comes back, and waits for nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Final, TypeAlias, final

from core.clock import Clock
from core.errors import InterledgerError
from core.packet import ErrorCode, Prepare, Reject, Reply
from core.stream.sender.connection import Sent
from core.stream.sender.exchange import Exchange, SenderLimits
from core.stream.sender.payment import Payment
from core.stream.sender.probe import Probe
from core.stream.sender.terms import Outcome, PaymentTerms, Progress, Quote
from core.tasks import TaskOwner

Send: TypeAlias = Callable[[Prepare], Awaitable[Reply]]
"""Sends a packet from whoever pays, and returns what came back, at the latest when it expires."""

OnProgress: TypeAlias = Callable[[Progress], None]

PROGRESS_SECONDS: Final = 0.1
"""At most ten times a second somebody is told how far a payment is: nobody reads faster."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSender:
    """Probes paths and makes payments for one account, which it knows only as a way to send packets."""

    send: Send
    clock: Clock
    tasks: TaskOwner
    """Owns the packets in flight: when a payment's own task is cancelled, they still end as they must."""
    limits: SenderLimits = field(default_factory=SenderLimits)
    random: Random = field(default_factory=SystemRandom)

    async def quote(self, terms: PaymentTerms) -> Quote:
        """Find out what the path gives; no packet of this can be fulfilled.

        Raises:
            QuoteFailed: no payment on these terms can be made over this path now.
        """
        probe = Probe(terms, self.limits, self.random, now=self.clock.monotonic())
        await _Run(self, probe).until_finished()
        return probe.quote(self.clock.now_ms())

    async def pay(
        self,
        terms: PaymentTerms,
        quote: Quote,
        *,
        on_progress: OnProgress | None = None,
        cancel: asyncio.Event | None = None,
    ) -> Outcome:
        """Pay on these terms, until it is done or over, or `cancel` is set, and tell what became of it.

        Where this task is cancelled instead, nothing more is sent and nothing is told.
        """
        clock = self.clock
        payment = Payment(terms, quote, self.limits, self.random, now=clock.monotonic())
        told_at = -math.inf

        def tell() -> None:
            nonlocal told_at
            now = clock.monotonic()
            if on_progress is not None and now >= told_at + PROGRESS_SECONDS:
                told_at = now
                on_progress(payment.progress(now))

        run = _Run(self, payment, tell)
        if cancel is None:
            await run.until_finished(give_up=payment.give_up)
        else:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(_when_set(cancel, lambda: run.stop(payment.cancel)))
                await run.until_finished(give_up=payment.give_up)
                watcher.cancel()
        now = clock.monotonic()
        if on_progress is not None:
            on_progress(payment.progress(now))
        return payment.outcome(now)


@final
class _Run:
    """One exchange under way: packets are sent as soon as a reply makes room for them."""

    __slots__ = (
        "_clock", "_exchange", "_on_reply", "_over", "_send", "_tasks", "_waits_until", "_wake",
    )  # fmt: skip

    def __init__(
        self,
        sender: StreamSender,
        exchange: Exchange,
        on_reply: Callable[[], None] | None = None,
    ) -> None:
        self._send = sender.send
        self._clock = sender.clock
        self._tasks = sender.tasks
        self._exchange = exchange
        self._on_reply = on_reply
        self._wake = asyncio.Event()
        self._waits_until = -math.inf
        self._over = False

    async def until_finished(self, *, give_up: Callable[[float], None] | None = None) -> None:
        """Send and wait, by turns, until the exchange says that it is finished."""
        try:
            while True:
                self._wake.clear()
                self._send_what_is_due()
                if self._exchange.is_finished:
                    return
                self._waits_until = self._exchange.wake_at()
                seconds = self._waits_until - self._clock.monotonic()
                if seconds <= 0 and give_up is not None:
                    give_up(self._clock.monotonic())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if seconds == math.inf else seconds):
                        await self._wake.wait()
        finally:
            self._over = True

    def stop(self, how: Callable[[], None]) -> None:
        """Stop the exchange from outside, and look at once what that means."""
        how()
        self._wake.set()

    def _send_what_is_due(self) -> None:
        while (sent := self._next()) is not None:
            if not self._tasks.start(self._carry(sent), name="packets of a payment"):
                self._take(sent, _ours("More packets are under way than this node allows."))

    def _next(self) -> Sent | None:
        if self._over:
            return None
        return self._exchange.next_packet(self._clock.monotonic(), self._clock.now_ms())

    async def _carry(self, first: Sent) -> None:
        """Send a packet, and after its reply the next: one task for each packet that may be in flight."""
        sent: Sent | None = first
        while sent is not None:
            try:
                reply = await self._send(sent.prepare)
            except InterledgerError as error:
                reply = _ours(f"The packet was not sent: {error}.")
            except BaseException:
                self._take(
                    sent, _ours("The packet was not sent: an error of this node, see its log.")
                )
                self._wake.set()
                raise
            self._take(sent, reply)
            sent = self._next()
            self._send_what_is_due()
            self._wake_for_news()

    def _take(self, sent: Sent, reply: Reply) -> None:
        self._exchange.replied(sent, reply, self._clock.monotonic())
        if self._on_reply is not None and not self._over:
            self._on_reply()

    def _wake_for_news(self) -> None:
        """Wake who waits: for the end, and for a moment before the one it waits for; no reply needs it."""
        if self._exchange.is_finished or self._exchange.wake_at() < self._waits_until:
            self._wake.set()


def _ours(message: str) -> Reject:
    """Return what stands for a reply where no packet left."""
    return Reject.build(ErrorCode.INTERNAL_ERROR, triggered_by="", message=message)


async def _when_set(event: asyncio.Event, call: Callable[[], None]) -> None:
    await event.wait()
    call()
