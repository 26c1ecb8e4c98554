"""Outgoing: the books. Take, send, then post or give back, each of it durable before anyone is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import AMOUNT_MAX_BOOKED, AccountId, Asset, format_amount
from core.clock import Clock
from core.errors import (
    AmountTooLarge,
    InsufficientBalance,
    MoreThanAskedFor,
    NodeFenced,
    PacketKnown,
    PaymentOver,
    StoreError,
    StoreUnavailable,
    TransferDecided,
    UnknownAccount,
)
from core.ledger.afterwards import (
    RETRY_FIRST_SECONDS,
    RETRY_SECONDS_MAX,
    Afterwards,
    Flight,
    PacketBooks,
    Sleep,
)
from core.ledger.books import Balance, Transfer, TransferId
from core.ledger.postings import Line, hold, refuse_unbookable
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Reject, Reply, max_packet_amount_data
from core.service import Booked, Explanation, OutgoingRequest, OutgoingService, Step, Verdict

log = logging.getLogger(__name__)

COPY_SECONDS_MAX: Final = 0.5
"""How long a copy waits at most before it asks again what became of the first."""
COMMIT_MS: Final = 100
"""What ends here is taken with so much time to book it, beside the way back: a disk's worst commit."""


class BookedAccount(Protocol):
    """An account that has a balance."""

    @property
    def id(self) -> AccountId: ...
    @property
    def username(self) -> str: ...
    @property
    def asset(self) -> Asset: ...
    @property
    def min_balance(self) -> int | None: ...
    @property
    def round_trip_time_ms(self) -> int: ...


A = TypeVar("A", bound=BookedAccount)


@final
@dataclass(frozen=True, slots=True)
class BalanceService(Generic[A]):
    """Hold a packet's amounts in the books, send it, and end its transfer as the next hop answers.

    The order is the whole point. The transfer is durable before the packet leaves, and a fulfillment
    is durable before it is relayed: whatever ends this process, the books say what may have happened.
    While the store cannot take a fulfillment it is kept back and tried again until the sender's
    expiry, and never relayed unbooked. Packets that carry nothing either way are not booked.

    What the books know to be prepared already is not sent again. A copy gets the fulfillment of the
    first, and waits for it where it may still come.
    """

    next: OutgoingService[A]
    books: PacketBooks
    afterwards: Afterwards
    clock: Clock
    address: NodeAddress
    fenced: Callable[[], None]
    """Called where the books say that this node was declared dead."""
    sleep: Sleep = asyncio.sleep
    ends_here: Callable[[OutgoingRequest[A]], bool] = lambda _: False
    """Tells whether the services behind receive the packet, or hand it to a next hop."""

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        if request.incoming_amount == 0 and request.prepare.amount == 0:
            return await self.next.send(request)
        request.ends_here = self.ends_here(request)
        deadline_ms = self._deadline_ms(request)
        if self._is_too_short(request, deadline_ms):
            return self._too_short()
        transfer = _transfer(request)
        try:
            transfer_id = await self._prepare(transfer, deadline_ms)
        except PacketKnown as known:
            return self._answer_of_first(known)
        except StoreError as error:
            return self._refusal(request, error)
        if request.trace is not None:
            request.trace.transfer = transfer_id

        flight = Flight(
            self.afterwards, transfer_id, transfer.condition, request.to_account.username
        )
        request.on_late_reply = flight.answered_late
        try:
            reply = await self.next.send(request)
        except BaseException:
            if request.ends_here:
                self.afterwards.rejected(transfer_id, ErrorCode.INTERNAL_ERROR.value)
            else:
                # Cancelled, or a bug: the packet may have left, so the next hop may yet fulfill.
                self.afterwards.expired(flight)
            raise
        try:
            return await self._end(request, flight, reply, deadline_ms)
        except asyncio.CancelledError:
            # What the next hop said is a fact. It is booked, and told, before whoever cancels goes on.
            ended = await self.afterwards.see_through(
                self._end(request, flight, reply, deadline_ms, keeps_trying=False)
            )
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # at the caller's next wait: it has the true answer until then
            return ended
        finally:
            if request.release is not None:
                request.release()

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        if request.incoming_amount == 0 and request.prepare.amount == 0:
            sentence = "The packet carries nothing, so nothing is booked."
            step = Step("balance", Verdict.PASSES, sentence)
            return (step, *await self.next.explain(request))
        request.ends_here = self.ends_here(request)
        if self._is_too_short(request, self._deadline_ms(request)):
            reject = self._too_short()
            return (Step("balance", Verdict.REJECTS, reject.message, reject),)
        account, amount = request.from_account, request.incoming_amount
        try:
            available = await self._hold_dry(request)
        except StoreError as error:
            reject = self._refusal(request, error)
            return (Step("balance", Verdict.REJECTS, reject.message, reject),)
        left = (
            "has no limit"
            if available is None
            else f"has {format_amount(available, account.asset)} left to send"
        )
        step = Step(
            "balance",
            Verdict.PASSES,
            f"{account.username} {left}, and {format_amount(amount, account.asset)} is needed.",
            facts={"available": available, "needed": amount},
        )
        return (step, *await self.next.explain(request))

    async def _prepare(self, transfer: Transfer, deadline_ms: int) -> TransferId:
        """Prepare it, once the very same packet, if it was prepared before, is decided.

        Raises:
            PacketKnown: that one was fulfilled, or nobody knows in time whether it was.
            StoreError: as the books do.
        """
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                return await self.books.prepare(transfer)
            except PacketKnown as known:
                if not known.is_open or self._now_ms() >= deadline_ms:
                    raise
            await self.sleep(delay)
            delay = min(2 * delay, COPY_SECONDS_MAX)

    def _answer_of_first(self, known: PacketKnown) -> Reply:
        if known.fulfillment is not None:
            return Fulfill.build(known.fulfillment)
        return self.address.reject(
            ErrorCode.TRANSFER_TIMED_OUT,
            "This very packet came before, and it is not known that the next hop fulfilled it in time: "
            "it is not sent again.",
        )

    async def _hold_dry(self, request: OutgoingRequest[A]) -> int | None:
        """Do to a copy of the balances what the books would do; return what the sender had left.

        Raises:
            StoreError: as the books would.
        """
        sender, receiver = request.from_account, request.to_account
        refuse_unbookable(_transfer(request))
        balance = await self.books.balance(sender.id)
        source = target = _line(sender.id, balance)
        if receiver.id != sender.id:
            target = _line(receiver.id, await self.books.balance(receiver.id))
        hold(
            source, target, request.incoming_amount, request.prepare.amount, sender.min_balance
        )
        return balance.available(sender.min_balance)

    async def _end(
        self,
        request: OutgoingRequest[A],
        flight: Flight,
        reply: Reply,
        deadline_ms: int,
        *,
        keeps_trying: bool = True,
    ) -> Reply:
        """Book how it ended, and return what is told; to do it again changes nothing."""
        if isinstance(reply, Fulfill):
            return await self._fulfill(
                request, flight, reply, deadline_ms, keeps_trying=keeps_trying
            )
        if request.left_open:
            return await self._expire(flight, reply)
        return await self._reject(flight.transfer_id, reply)

    async def _fulfill(
        self,
        request: OutgoingRequest[A],
        flight: Flight,
        fulfill: Fulfill,
        deadline_ms: int,
        *,
        keeps_trying: bool,
    ) -> Reply:
        fulfillment = bytes(fulfill.fulfillment)
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                booked = await self.books.fulfill(
                    flight.transfer_id, fulfillment, request.received, until_ms=deadline_ms
                )
            except StoreUnavailable as error:
                if not keeps_trying or self._now_ms() >= deadline_ms:
                    break
                if delay == RETRY_FIRST_SECONDS:
                    log.warning("a fulfillment is kept back until it can be booked: %s", error)
                await self.sleep(delay)
                delay = min(2 * delay, RETRY_SECONDS_MAX)
            except NodeFenced:
                self.fenced()
                break
            except MoreThanAskedFor as error:
                return self._more_than_asked_for(request, error)
            except TransferDecided as error:
                log.error("%s fulfilled what is settled otherwise: %s", flight.words, error)  # noqa: TRY400
                break
            else:
                if booked is None:
                    break
                return self._sealed(request, fulfill, booked)
        if request.ends_here:
            # It ended here, and nobody has heard of its fulfillment: nothing was received.
            self.afterwards.rejected(flight.transfer_id, ErrorCode.TRANSFER_TIMED_OUT.value)
            return self.address.reject(
                ErrorCode.TRANSFER_TIMED_OUT,
                f"The packet could not be booked for {request.to_account.username} in time.",
            )
        # Upstream sees no fulfillment, so its leg is void; the next hop has proof that we owe it.
        self.afterwards.fulfilled_late(flight.transfer_id, fulfillment, flight.words)
        return self.address.reject(
            ErrorCode.TRANSFER_TIMED_OUT,
            f"{request.to_account.username} fulfilled the packet, and it could not be booked in time.",
        )

    def _is_too_short(self, request: OutgoingRequest[A], deadline_ms: int) -> bool:
        return request.ends_here and deadline_ms - self._now_ms() < COMMIT_MS

    def _too_short(self) -> Reject:
        return self.address.reject(
            ErrorCode.INSUFFICIENT_TIMEOUT,
            "Too little of the packet's time is left to book it: send it with a later expiry.",
        )

    def _more_than_asked_for(
        self, request: OutgoingRequest[A], error: MoreThanAskedFor
    ) -> Reject:
        """Return the Reject of what was not received, in its receiver's words if it has any."""
        if request.refuse is not None:
            return request.refuse(error.left)
        return self.address.reject(
            ErrorCode.FINAL_APPLICATION_ERROR,
            f"The packet was not fulfilled: {error}.",
        )

    def _sealed(self, request: OutgoingRequest[A], fulfill: Fulfill, booked: Booked) -> Reply:
        """Return the Fulfill of what is booked: whatever its data would say, nothing takes it back."""
        if request.received is not None:
            request.received_so_far = sum(booked.streams.values())
        if request.seal is None:
            return fulfill
        try:
            return request.seal(booked)
        except Exception:  # it is booked: to answer anything else would be untrue
            log.exception("the data of a fulfillment could not be made")
            return fulfill

    def _now_ms(self) -> int:
        return round(self.clock.monotonic() * 1000)

    def _deadline_ms(self, request: OutgoingRequest[A]) -> int:
        """Return until when it may be fulfilled, on the clock that never jumps as the wall's may.

        What ends here keeps the time of the way back: to refuse it costs nobody anything.
        """
        left_ms = request.incoming_expires_at_ms - self.clock.now_ms()
        if request.ends_here:
            left_ms -= request.from_account.round_trip_time_ms
        return self._now_ms() + left_ms

    async def _expire(self, flight: Flight, reply: Reject) -> Reply:
        try:
            await self.books.expire(flight.transfer_id)
        except NodeFenced:
            self.fenced()
            # Recovery voids the upstream leg; what the next hop may yet prove is owed all the same.
            self.afterwards.opened(flight)
        except TransferDecided as error:
            log.error("%s: %s", flight.words, error)  # noqa: TRY400
        except StoreUnavailable:
            self.afterwards.expired(flight)
        else:
            self.afterwards.opened(flight)
        return reply

    async def _reject(self, transfer_id: TransferId, reply: Reject) -> Reply:
        try:
            await self.books.reject(transfer_id, reply.code)
        except NodeFenced:
            self.fenced()
            self.afterwards.rejected(transfer_id, reply.code)
        except TransferDecided as error:
            log.error("a rejected packet is settled otherwise: %s", error)  # noqa: TRY400
        except StoreUnavailable:
            self.afterwards.rejected(transfer_id, reply.code)
        return reply

    def _refusal(self, request: OutgoingRequest[A], error: StoreError) -> Reject:
        """Return the Reject for a transfer that the books did not take."""
        account = request.from_account
        match error:
            case InsufficientBalance(needed=needed, available=available):
                return self.address.reject(
                    ErrorCode.INSUFFICIENT_LIQUIDITY,
                    f"{account.username} has {format_amount(available, account.asset)} left to send, and this "
                    f"packet needs {format_amount(needed, account.asset)}.",
                )
            case AmountTooLarge() if request.incoming_amount > AMOUNT_MAX_BOOKED:
                return self.address.reject(
                    ErrorCode.AMOUNT_TOO_LARGE,
                    f"{format_amount(request.incoming_amount, account.asset)} is more than this node can book in "
                    f"one packet, {format_amount(AMOUNT_MAX_BOOKED, account.asset)}.",
                    max_packet_amount_data(
                        received=request.incoming_amount, maximum=AMOUNT_MAX_BOOKED
                    ),
                )
            case AmountTooLarge():
                return self.address.reject(
                    ErrorCode.INSUFFICIENT_LIQUIDITY,
                    "The balance that this packet would make is larger than the books carry.",
                )
            case UnknownAccount():
                return self.address.reject(
                    ErrorCode.UNREACHABLE,
                    f"{account.username} or {request.to_account.username} has been removed from this node.",
                )
            case PaymentOver():
                return self.address.reject(ErrorCode.BAD_REQUEST, f"{error}.")
            case NodeFenced():
                self.fenced()
                sentence = "This node was declared dead by another one and is signing on anew."
            case _:
                log.info("the books did not take a packet: %s", error)
                sentence = "The books of this node cannot be written now."
        return self.address.reject(ErrorCode.INTERNAL_ERROR, sentence)


def _line(account: AccountId, balance: Balance) -> Line:
    return Line(
        account,
        balance.payable,
        balance.receivable,
        balance.pending_in,
        balance.pending_out,
        balance.unknown_out,
    )


def _transfer(request: OutgoingRequest[A]) -> Transfer:
    prepare = request.prepare
    return Transfer(
        from_account=request.from_account.id,
        to_account=request.to_account.id,
        incoming_amount=request.incoming_amount,
        outgoing_amount=prepare.amount,
        conversion=request.conversion,
        destination=prepare.destination,
        condition=bytes(prepare.condition),
        expires_at_ms=request.incoming_expires_at_ms,
        payment=request.payment,
        ends_here=request.ends_here,
    )
