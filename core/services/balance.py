"""Outgoing: the books. Take, send, then post or give back, each of it durable before anyone is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, final

from core.account import AMOUNT_MAX_BOOKED, AccountId, Asset, format_amount
from core.clock import Clock
from core.errors import (
    AmountTooLarge,
    InsufficientBalance,
    NodeFenced,
    PaymentOver,
    StoreError,
    StoreUnavailable,
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
from core.service import Explanation, OutgoingRequest, OutgoingService, Step, Verdict

log = logging.getLogger(__name__)


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


A = TypeVar("A", bound=BookedAccount)


@final
@dataclass(frozen=True, slots=True)
class BalanceService(Generic[A]):
    """Hold a packet's amounts in the books, send it, and end its transfer as the next hop answers.

    The order is the whole point. The transfer is durable before the packet leaves, and a fulfillment
    is durable before it is relayed: whatever ends this process, the books say what may have happened.
    While the store cannot take a fulfillment it is kept back and tried again until the sender's
    expiry, and never relayed unbooked. Packets that carry nothing either way are not booked.
    """

    next: OutgoingService[A]
    books: PacketBooks
    afterwards: Afterwards
    clock: Clock
    address: NodeAddress
    fenced: Callable[[], None]
    """Called where the books say that this node was declared dead."""
    sleep: Sleep = asyncio.sleep

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        if request.incoming_amount == 0 and request.prepare.amount == 0:
            return await self.next.send(request)
        deadline_ms = self._deadline_ms(request)
        transfer = _transfer(request)
        try:
            transfer_id = await self.books.prepare(transfer)
        except StoreError as error:
            return self._refusal(request, error)

        flight = Flight(
            self.afterwards, transfer_id, transfer.condition, request.to_account.username
        )
        request.on_late_reply = flight.answered_late
        try:
            reply = await self.next.send(request)
        except BaseException:
            # Cancelled, or a bug: the packet may have left, so the next hop may yet fulfill.
            self.afterwards.expired(flight)
            raise
        if isinstance(reply, Fulfill):
            try:
                return await self._fulfill(request, flight, reply, deadline_ms)
            finally:
                if request.release is not None:
                    request.release()
        if request.left_open:
            return await self._expire(flight, reply)
        return await self._reject(transfer_id, reply)

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        if request.incoming_amount == 0 and request.prepare.amount == 0:
            sentence = "The packet carries nothing, so nothing is booked."
            step = Step("balance", Verdict.PASSES, sentence)
            return (step, *await self.next.explain(request))
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

    async def _fulfill(
        self, request: OutgoingRequest[A], flight: Flight, fulfill: Fulfill, deadline_ms: int
    ) -> Reply:
        fulfillment = bytes(fulfill.fulfillment)
        delay = RETRY_FIRST_SECONDS
        while round(self.clock.monotonic() * 1000) < deadline_ms:
            try:
                totals = await self.books.fulfill(
                    flight.transfer_id, fulfillment, request.received
                )
            except StoreUnavailable as error:
                if delay == RETRY_FIRST_SECONDS:
                    log.warning("a fulfillment is kept back until it can be booked: %s", error)
                await self.sleep(delay)
                delay = min(2 * delay, RETRY_SECONDS_MAX)
            except NodeFenced:
                self.fenced()
                break
            else:
                if request.received is not None:
                    request.received_so_far = sum(totals.values())
                return fulfill if request.seal is None else request.seal(totals)
        if request.received is not None:
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

    def _deadline_ms(self, request: OutgoingRequest[A]) -> int:
        """Return until when the sender waits, on the clock that never jumps as the wall's may."""
        left_ms = request.incoming_expires_at_ms - self.clock.now_ms()
        return round(self.clock.monotonic() * 1000) + left_ms

    async def _expire(self, flight: Flight, reply: Reject) -> Reply:
        try:
            await self.books.expire(flight.transfer_id)
        except NodeFenced:
            self.fenced()
            # Recovery voids the upstream leg; what the next hop may yet prove is owed all the same.
            self.afterwards.opened(flight)
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
    )
