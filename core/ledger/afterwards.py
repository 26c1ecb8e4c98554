"""What is still to be booked once a packet's reply has gone back: late answers, open legs, store trouble."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Final, Protocol, TypeAlias, final

from core.account import AccountId
from core.clock import Clock
from core.errors import NodeFenced, StoreError, StoreUnavailable, TransferDecided
from core.ledger.books import Balance, Transfer, TransferId
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply
from core.service import Booked, Received
from core.tasks import TaskOwner

log = logging.getLogger(__name__)

RETRY_FIRST_SECONDS: Final = 0.02
RETRY_SECONDS_MAX: Final = 2.0
LATE_KEPT_SECONDS: Final = 3_600
LATE_MANY: Final = 20
"""Fewer in an hour are a slow line; they stand in the log and in the audit."""
LATE_SECONDS: Final = 60.0
"""How long a leg stays open after its expiry: links stop listening for a late answer well before."""
OPEN_LEGS_MAX: Final = 100_000
"""The oldest is given up for one more, as if its time had come."""
ABANDONED_AT_ONCE: Final = 500
"""A sweep books so many at a time, so that packets get their turn in between."""


class PacketBooks(Protocol):
    """What a packet asks of the books; `core.ledger.books` says what each call promises."""

    async def prepare(self, transfer: Transfer) -> TransferId: ...
    async def fulfill(
        self,
        transfer_id: TransferId,
        fulfillment: bytes,
        received: Received | None = None,
        *,
        until_ms: int | None = None,
    ) -> Booked | None: ...
    async def reject(self, transfer_id: TransferId, code: bytes) -> None: ...
    async def expire(self, transfer_id: TransferId) -> None: ...
    async def fulfill_late(self, transfer_id: TransferId, fulfillment: bytes) -> None: ...
    async def abandon(self, transfer_id: TransferId) -> None: ...
    async def strand(self, transfer_id: TransferId) -> None: ...
    async def resolve_unknown(self, transfer_id: TransferId, *, fulfilled: bool) -> None: ...
    async def balance(self, account: AccountId) -> Balance: ...


Sleep: TypeAlias = Callable[[float], Awaitable[None]]
Booking: TypeAlias = Callable[[], Coroutine[None, None, None]]


@final
class Afterwards:
    """What is still to be booked once a packet's reply has gone back.

    Late answers, legs that nobody answered in time, and what the store could not take at the
    moment: each is retried until it is booked, in tasks that the owner bounds and waits for.
    """

    def __init__(
        self,
        books: PacketBooks,
        clock: Clock,
        address: NodeAddress,
        owner: TaskOwner,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._books = books
        self._clock = clock
        self._address = address
        self._owner = owner
        self._sleep = sleep
        self._open_legs: dict[TransferId, float] = {}
        self._late: dict[str, _Late] = {}
        """By next hop."""
        self._unbooked = 0

    @property
    def is_clear(self) -> bool:
        """Whether nothing is left to book: only then may the node sign off."""
        return not self._open_legs and not self._unbooked

    @property
    def open_legs(self) -> int:
        """How many transfers have expired, and may yet be fulfilled by the next hop."""
        return len(self._open_legs)

    def book(
        self, what: str, transfer_id: TransferId, booking: Booking, fenced: Booking | None
    ) -> None:
        """Book this in a task; `fenced` is what to do where another node has settled it by rule."""

        async def work() -> None:
            await self._book(what, transfer_id, booking, fenced)
            self._unbooked -= 1

        self._start(work(), f"{what} transfer {transfer_id}")

    async def see_through(self, work: Coroutine[None, None, Reply]) -> Reply:
        """Do this in a task of its own, which goes on though the caller is cancelled; return its reply."""
        ended: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        async def do() -> None:
            try:
                reply = await work
            except BaseException:
                ended.cancel()  # the caller goes on being cancelled, and recovery settles the rest
                raise
            self._unbooked -= 1
            if not ended.done():
                ended.set_result(reply)

        if not self._start(do(), "the end of a cancelled packet"):
            work.close()
            raise asyncio.CancelledError
        return await ended

    def rejected(self, transfer_id: TransferId, code: bytes) -> None:
        """Void both legs: the next hop said no."""
        self.book(
            "reject",
            transfer_id,
            partial(self._books.reject, transfer_id, code),
            partial(self._books.resolve_unknown, transfer_id, fulfilled=False),
        )

    def fulfilled_late(self, transfer_id: TransferId, fulfillment: bytes, words: str) -> None:
        """Post the downstream leg as owed: the next hop has shown the fulfillment, upstream has not waited."""
        self._open_legs.pop(transfer_id, None)
        self._count_late(words)
        self.book(
            "fulfill late",
            transfer_id,
            partial(self._books.fulfill_late, transfer_id, fulfillment),
            partial(self._books.resolve_unknown, transfer_id, fulfilled=True),
        )

    def problems(self) -> Sequence[str]:
        """Return a sentence for each next hop that makes a habit of it: whoever does so on purpose grows rich by it."""
        since = self._clock.monotonic() - LATE_KEPT_SECONDS
        return [
            f"{name} fulfilled {late.count} packets too late within an hour: that is owed to it, and nobody "
            "pays us. Pause it, or find out why."
            for name, late in self._late.items()
            if late.count >= LATE_MANY and late.since >= since
        ]

    def _count_late(self, name: str) -> None:
        now = self._clock.monotonic()
        late = self._late.get(name)
        if late is None or now - late.since > LATE_KEPT_SECONDS:
            late = self._late[name] = _Late(now)
        late.count += 1
        if (
            late.count & (late.count - 1) == 0
        ):  # the first, the second, the fourth: no peer fills the log
            log.warning(
                "%s fulfilled too late, %d times within an hour: it is owed, and nobody pays us",
                name,
                late.count,
            )

    def expired(self, flight: Flight) -> None:
        """Void the upstream leg in a task, and then wait for a late answer."""
        self._start(self._expire(flight), f"expire transfer {flight.transfer_id}")

    def opened(self, flight: Flight) -> None:
        """Wait for a late answer: the expiry is booked, or recovery sees to it where we are fenced."""
        flight.is_expired = True
        self._open_legs[flight.transfer_id] = self._clock.monotonic() + LATE_SECONDS
        if flight.reply is not None:
            self.answered_late(flight, flight.reply)

    def answered_late(self, flight: Flight, reply: Reply) -> None:
        """Book what the next hop answered after we had stopped waiting."""
        if isinstance(reply, Reject):
            # One of our own only says that nothing more will be heard, not what the next hop did.
            is_ours = reply.triggered_by == self._address.current
            if is_ours and reply.code == ErrorCode.TRANSFER_TIMED_OUT.value:
                return
            if self._open_legs.pop(flight.transfer_id, None) is None:
                return
            if is_ours:
                self._strand(flight)
            else:
                self._abandon(flight.transfer_id)
        elif sha256(reply.fulfillment).digest() == flight.condition:
            self.fulfilled_late(flight.transfer_id, bytes(reply.fulfillment), flight.words)

    async def sweep(self) -> None:
        """Give up the legs whose time has passed without an answer; call it every second or so."""
        now = self._clock.monotonic()
        over: list[TransferId] = []
        surplus = len(self._open_legs) - OPEN_LEGS_MAX
        for transfer_id, deadline in self._open_legs.items():  # oldest first
            if deadline > now and len(over) >= surplus:
                break
            over.append(transfer_id)
            if len(over) >= ABANDONED_AT_ONCE and surplus <= 0:
                break
        for transfer_id in over:
            del self._open_legs[transfer_id]
            self._abandon(transfer_id)

    async def finish(self, timeout_seconds: float) -> None:
        """Wait for what is being booked, at most so long; what is left, recovery settles by rule."""
        await self._owner.finish(timeout_seconds)

    def _abandon(self, transfer_id: TransferId) -> None:
        self.book("abandon", transfer_id, partial(self._books.abandon, transfer_id), None)

    def _strand(self, flight: Flight) -> None:
        log.info("%s may have fulfilled a packet: its answer was lost", flight.words)
        self.book(
            "strand", flight.transfer_id, partial(self._books.strand, flight.transfer_id), None
        )

    async def _expire(self, flight: Flight) -> None:
        transfer_id = flight.transfer_id
        await self._book("expire", transfer_id, partial(self._books.expire, transfer_id), None)
        self.opened(flight)  # whatever came of it: a proof of the next hop's must find its way
        self._unbooked -= 1

    def _start(self, work: Coroutine[None, None, None], name: str) -> bool:
        # What is refused or cancelled stays counted: recovery settles it, once this node is gone.
        self._unbooked += 1
        return self._owner.start(work, name=name)

    async def _book(
        self, what: str, transfer_id: TransferId, booking: Booking, fenced: Booking | None
    ) -> None:
        delay, call = RETRY_FIRST_SECONDS, booking
        while True:
            try:
                await call()
            except StoreUnavailable:
                pass
            except NodeFenced:
                if fenced is None:
                    return  # recovery has made it UNKNOWN, and that is all that is known
                call = fenced
            except StoreError as error:
                if call is booking or not isinstance(error, TransferDecided):
                    log.error("transfer %d: could not %s it: %s", transfer_id, what, error)  # noqa: TRY400
                    return
                call = booking  # the operator has decided it meanwhile: once we have signed on, it is told
            else:
                return
            await self._sleep(delay)
            delay = min(2 * delay, RETRY_SECONDS_MAX)


@final
@dataclass(slots=True)
class _Late:
    """How often a next hop fulfilled too late, and from when on that was counted."""

    since: float
    count: int = 0


@final
class Flight:
    """One transfer between its Prepare and its end, for whoever answers it late."""

    __slots__ = ("afterwards", "condition", "is_expired", "reply", "transfer_id", "words")

    def __init__(
        self, afterwards: Afterwards, transfer_id: TransferId, condition: bytes, words: str
    ) -> None:
        self.afterwards = afterwards
        self.transfer_id = transfer_id
        self.condition = condition
        self.words = words
        self.is_expired = False
        """Whether its expiry is settled: until then a late answer is kept here."""
        self.reply: Reply | None = None

    def answered_late(self, reply: Reply) -> None:
        if self.is_expired:
            self.afterwards.answered_late(self, reply)
        elif self.reply is None:
            self.reply = reply
