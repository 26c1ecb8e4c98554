"""Outgoing: STREAM. What is addressed to credentials that we issued ends here, and is its account's money.

The balance service stands before: what is fulfilled here is owed to the account once it is booked,
and only then does the Fulfill leave, with receipts made of what the books then say. So no receipt
counts what a crash or a full disk has kept out of the books.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar, final

from core.account import AccountId, Asset, format_amount
from core.errors import PacketError, StoreError
from core.node_address import NodeAddress
from core.packet import Address, ErrorCode, Fulfill, Reject, Reply
from core.service import (
    Booked,
    Explanation,
    OutgoingRequest,
    OutgoingService,
    Receivable,
    Received,
    Step,
    Verdict,
)
from core.stream.credentials import Connection, StreamCredentials
from core.stream.frames import StreamData
from core.stream.inbox import StreamInbox
from core.stream.receiver import Heard, Refusal, RunningTotals

log = logging.getLogger(__name__)

UNREADABLE = "This node cannot look up now what is asked for: try again."
EXPIRED = "The payment address has expired: ask for a new one."


class ReceivingAccount(Protocol):
    """An account that may be paid here."""

    @property
    def id(self) -> AccountId: ...
    @property
    def username(self) -> str: ...
    @property
    def ilp_address(self) -> Address: ...
    @property
    def asset(self) -> Asset: ...


class ReceiveGate(Protocol):
    """How much may come in for a request for money."""

    async def receivable(self, account: AccountId, invoice: str) -> Receivable:
        """Return how much more it takes."""

    async def hold(
        self,
        account: AccountId,
        invoice: str,
        connection: str,
        incoming_amount: int,
        amount: int,
    ) -> Receivable:
        """Return how much more it takes: where it takes this packet, that is held now, until it is released."""

    def release(self, invoice: str, connection: str, amount: int) -> None:
        """Hold it no longer: it is booked, or will not be."""

    def held_by_others(self, invoice: str, connection: str) -> int:
        """Return how much is held now for packets of other connections."""


A = TypeVar("A", bound=ReceivingAccount)


@final
@dataclass(frozen=True, slots=True)
class StreamReceiverService(Generic[A]):
    """Fulfill what comes in over connections that we issued the credentials of; everything else passes."""

    next: OutgoingService[A]
    credentials: StreamCredentials
    gate: ReceiveGate
    totals: RunningTotals
    inbox: StreamInbox
    address: NodeAddress

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        account = request.to_account
        connection = self._connection(request)
        if connection is None:
            return await self.next.send(request)
        heard = self._read(request, connection)
        if isinstance(heard, Reject):
            return heard
        came = request.incoming_amount
        refusal, receivable = heard.refusal(None, came), None
        invoice = connection.terms.tag
        try:
            if invoice is not None and refusal is None and heard.amount:
                receivable = await self.gate.hold(
                    account.id, invoice, connection.id, came, heard.amount
                )
                refusal = heard.refusal(receivable, came)
                if refusal is None:
                    request.release = partial(
                        self.gate.release, invoice, connection.id, heard.amount
                    )
            elif invoice is not None:
                receivable = await self.gate.receivable(account.id, invoice)
        except StoreError as error:
            log.info("a request for money could not be looked up: %s", error)
            return self.address.reject(ErrorCode.INTERNAL_ERROR, UNREADABLE)
        if refusal is None:
            self._take_data(account.id, heard)
        if refusal is None or heard.closes:
            # What brings neither money nor data has nothing to be noted of it.
            has_news = heard.amount or any(heard.packet.of(StreamData))
            text = self.inbox.text(account.id, connection.id) if has_news else ""
            request.received = _received(heard, text)
        if refusal is not None:
            return self._reject(account.id, heard, refusal, receivable)

        if heard.amount == 0:
            totals = self.totals.of(account.id, connection)
            left = _left(receivable)
            return heard.fulfill(totals, self._open_to(connection, left), is_over=left == 0)

        def seal(booked: Booked) -> Fulfill:
            self.totals.note(account.id, connection, booked.streams)
            return heard.fulfill(booked.streams, self._open_to(connection, booked.left))

        def refuse(left: int) -> Reject:
            refusal = heard.refusal(Receivable(left), came)
            assert refusal is not None, "it takes less than came"
            return self._reject(account.id, heard, refusal, Receivable(left))

        request.seal, request.refuse = seal, refuse
        assert heard.fulfillment is not None
        return Fulfill.build(heard.fulfillment)

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        account = request.to_account
        connection = self._connection(request)
        if connection is None:
            return await self.next.explain(request)
        heard = self._read(request, connection)
        if isinstance(heard, Reject):
            # Whoever asks where a packet would go has none that a payer has encrypted.
            sentence = f"This address is for payments to {account.username}, which end here. {heard.message}"
            return (Step("stream receiver", Verdict.REJECTS, sentence, heard),)
        invoice = connection.terms.tag
        receivable = (
            None if invoice is None else await self.gate.receivable(account.id, invoice)
        )
        refusal = heard.refusal(receivable, request.incoming_amount)
        if refusal is not None:
            reject = self._reject(account.id, heard, refusal, receivable)
            return (Step("stream receiver", Verdict.REJECTS, refusal.sentence, reject),)
        sentence = f"This node receives {format_amount(heard.amount, account.asset)} for {account.username}."
        facts = {"connection": connection.id, "invoice": invoice}
        return (Step("stream receiver", Verdict.ANSWERS, sentence, facts=facts),)

    def _connection(self, request: OutgoingRequest[A]) -> Connection | None:
        account = request.to_account
        return self.credentials.find(
            account.id, account.ilp_address, request.prepare.destination
        )

    def _read(self, request: OutgoingRequest[A], connection: Connection) -> Heard | Reject:
        if self.credentials.is_over(connection):
            return self.address.reject(ErrorCode.UNREACHABLE, EXPIRED)
        try:
            return Heard.read(connection, request.to_account.asset, request.prepare)
        except PacketError as error:
            return self.address.reject(
                ErrorCode.UNEXPECTED_PAYMENT,
                f"The packet's data cannot be read with its connection's keys: {error.problem}.",
            )

    def _take_data(self, account: AccountId, heard: Heard) -> None:
        """Keep what was written on the streams, for the books to have it with the money: a Fulfill says so.

        Where it cannot be booked, its sender sends it again, and it is the same.
        """
        for frame in heard.packet.of(StreamData):
            self.inbox.add(
                account, heard.connection.id, frame.stream_id, frame.offset, frame.data
            )

    def _open_to(self, connection: Connection, left: int | None) -> int | None:
        """Return what of this its sender may be told to send: senders keep the most that they were told."""
        invoice = connection.terms.tag
        if left is None or invoice is None:
            return None
        return max(0, left - self.gate.held_by_others(invoice, connection.id))

    def _reject(
        self,
        account: AccountId,
        heard: Heard,
        refusal: Refusal,
        receivable: Receivable | None,
    ) -> Reject:
        totals = self.totals.of(account, heard.connection)
        left = self._open_to(heard.connection, _left(receivable))
        data = heard.reject_data(refusal, totals, left)
        return self.address.reject(refusal.code, refusal.sentence, data)


def _left(receivable: Receivable | None) -> int | None:
    return None if receivable is None else receivable.left


def _received(heard: Heard, payer_text: str) -> Received:
    return Received(
        connection=heard.connection.id,
        sequence=heard.packet.sequence,
        invoice=heard.connection.terms.tag,
        closes=heard.closes,
        streams=heard.split(),
        payer_text=payer_text,
    )
