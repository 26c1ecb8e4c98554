"""The two kinds of service, what they are handed, and how each says what it would do.

An incoming service sees a packet and whom it came from; an outgoing one also sees whom it goes to.
The router is the one place where the first kind hands to the second. Services keep nothing between
two packets; what is made for a packet is its request, and no more.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Generic, NewType, Protocol, TypeAlias, TypeVar, final

from core.account import Account, AccountId
from core.packet import Prepare, Reject, Reply

PaymentNumber = NewType("PaymentNumber", int)
"""Names a payment of our own in the rows of its packets."""

UNFULFILLABLE: Final = bytes(32)
"""A condition: nobody knows what hashes to this."""

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
A_contra = TypeVar("A_contra", contravariant=True)


@final
class Trace:
    """What became of one packet, written down on its way for counters, live view and log."""

    __slots__ = ("incoming_amount", "outgoing_amount", "prefix", "to_account", "transfer")

    def __init__(self, incoming_amount: int) -> None:
        self.incoming_amount = incoming_amount
        self.outgoing_amount: int | None = None
        self.to_account: AccountId | None = None
        self.prefix: str | None = None
        self.transfer: int | None = None
        """Its row in the books, whatever became of it there; None where it was not booked."""


@final
@dataclass(slots=True)
class IncomingRequest(Generic[A_co]):
    """A packet, and the account it came from."""

    from_account: A_co
    prepare: Prepare
    trace: Trace | None = None
    may_return: bool = False
    """Whether it may go back to the account it came from: only our own answer to an echo may."""
    payment: PaymentNumber | None = None
    """The payment of ours that it is a part of: the books add up what that has sent."""


@final
@dataclass(frozen=True, slots=True)
class Conversion:
    """How the incoming amount became the outgoing one, exact, for the books.

    `gross = incoming_amount × rate`; what the next hop gets is `floor(gross × (1 − spread))`, and
    `gross = outgoing_amount + spread_amount + remainder`, where the remainder is below two units.
    """

    rate: Fraction
    """Outgoing smallest units for one incoming smallest unit, before the spread."""
    spread: Fraction
    spread_amount: int
    """Our income in outgoing smallest units, floored."""
    remainder: Fraction
    """What flooring left over, in outgoing smallest units; it stays in the exchange position."""
    rate_id: int | None = None
    """Names the prices that the rate comes from; None where no price was needed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a packet that ends here is to its account: set by the STREAM receiver, added up by the books.

    The books add the packet's amount to its connection, and to its invoice, in the transaction in
    which they book its fulfillment: so it counts exactly once, whatever ends the process.
    """

    connection: str
    """Names the connection among those of the account; the same for all its packets."""
    sequence: int
    """Counts the packets of the connection, as its sender does."""
    invoice: str | None = None
    """The tag in the connection's token: which request for money it pays."""
    closes: bool = False
    """Whether the sender says that this is its last."""
    streams: tuple[tuple[int, int], ...] = ()
    """How much of its amount each stream got; together all of it. Receipts are by stream."""
    payer_text: str = ""
    """What the payer has written on the connection so far: remote text, cleaned and cut."""


@final
@dataclass(frozen=True, slots=True)
class Receivable:
    """How much more a request for money takes."""

    left: int = 0
    """What is still asked for; 0 where it is paid, over, cancelled or not there."""
    asked: int = 0
    """All that was asked for."""

    def takes(self, incoming_amount: int, outgoing_amount: int) -> bool:
        """Tell whether it takes a packet that brings `outgoing_amount` for its sender's `incoming_amount`.

        Whoever pays in a coarser unit has no packet that brings just what is missing. So the last one may
        bring more: where one unit of its sender's less would have been too little, or no more than a hundredth of all
        that was asked for, which is what other receivers take.
        """
        if outgoing_amount <= self.left:
            return True
        if self.left == 0:
            return False
        is_little = (outgoing_amount - self.left) * 100 <= self.asked
        return (
            is_little or outgoing_amount * (incoming_amount - 1) < self.left * incoming_amount
        )


@final
@dataclass(frozen=True, slots=True)
class Booked:
    """What the books have once a packet that ended here is booked; of others nothing."""

    streams: Mapping[int, int] = field(default_factory=dict)
    """What each stream of its connection has brought so far, this packet included."""
    left: int | None = None
    """How much more its request for money takes; None where it pays none."""


@final
@dataclass(slots=True)
class OutgoingRequest(Generic[A_co]):
    """A packet, whom it came from and whom it goes to.

    `prepare.amount` is in the outgoing account's units once the exchange-rate service has seen it;
    `incoming_amount` and `incoming_expires_at_ms` stay as the packet came.
    """

    from_account: A_co
    to_account: A_co
    prepare: Prepare
    incoming_amount: int
    incoming_expires_at_ms: int
    trace: Trace | None = None
    conversion: Conversion | None = None
    """None while, and where, both sides count alike and no spread is taken."""
    on_late_reply: Callable[[Reply], None] | None = field(default=None, repr=False)
    """Called by the link, at most once, with what the next hop answered after we had stopped waiting.

    A Reject of our own says that nothing will be heard any more: R00 where it never answered,
    another code where its answer was lost.
    """
    left_open: bool = False
    """Set with the Reject by whoever answers while the next hop may have fulfilled, or still may.

    So it is when time is up, and when the connection broke after the packet was sent: the next hop's
    leg stays open in the books.
    """
    payment: PaymentNumber | None = None
    """The payment of ours that it is a part of."""
    received: Received | None = None
    """Set by the STREAM receiver where the packet ends here, fulfilled or closing its connection."""
    received_so_far: int | None = None
    """What its connection has brought so far, this packet included: set once that is booked."""
    seal: Callable[[Booked], Reply] | None = field(default=None, repr=False)
    """Set with `received`: makes the reply anew once it is booked, of what the books then have."""
    refuse: Callable[[int], Reject] | None = field(default=None, repr=False)
    """Set with `received` where it pays a request for money: makes the reply where that takes only so much."""
    ends_here: bool = False
    """Set by the books: whether this node receives it itself, so that no other hop can have fulfilled it."""
    release: Callable[[], None] | None = field(default=None, repr=False)
    """Set with `received`, and called once: when it is booked, or will not be."""


def outgoing(request: IncomingRequest[A], to_account: A) -> OutgoingRequest[A]:
    """Return the same packet on its way to `to_account`."""
    return OutgoingRequest(
        request.from_account,
        to_account,
        request.prepare,
        request.prepare.amount,
        request.prepare.expires_at_ms,
        request.trace,
        payment=request.payment,
    )


def own_packet(account: A, prepare: Prepare) -> OutgoingRequest[A]:
    """Return a packet of this node's own that leaves by a link: it meets no rate, no balance and no route."""
    return OutgoingRequest(account, account, prepare, 0, prepare.expires_at_ms)


def are_you_there(account: Account, expires_at_ms: int) -> OutgoingRequest[Account]:
    """Return an empty packet to an account's own address: whatever is answered, somebody is there."""
    prepare = Prepare.build(
        amount=0,
        expires_at_ms=expires_at_ms,
        condition=UNFULFILLABLE,
        destination=account.ilp_address,
    )
    return own_packet(account, prepare)


class Verdict(enum.Enum):
    """What a service would do with a packet."""

    PASSES = "passes"
    REJECTS = "rejects"
    ANSWERS = "answers"
    """It fulfills the packet itself."""
    SENDS = "sends"
    """It is a link: the packet leaves here."""


Fact: TypeAlias = str | int | bool | None


@final
@dataclass(frozen=True, slots=True)
class Step:
    """What one service would do, in a sentence with the numbers that it compared."""

    service: str
    verdict: Verdict
    sentence: str
    reject: Reject | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """For programs: `next_hop`, `prefix`, `incoming_amount`, `outgoing_amount`, `expires_at_ms`, …"""


Explanation: TypeAlias = tuple[Step, ...]
"""The steps a packet would meet, the last being the one that decides."""


class IncomingService(Protocol[A_contra]):
    """Does something with a packet that came in, or hands it on."""

    async def handle(self, request: IncomingRequest[A_contra]) -> Reply:
        """Return what goes back to whoever sent it."""

    async def explain(self, request: IncomingRequest[A_contra]) -> Explanation:
        """Return what would become of it from here on; nothing is booked, counted or sent.

        The packet is the explainer's own copy: amount and expiry may be changed on it.
        """


class OutgoingService(Protocol[A_contra]):
    """Does something with a packet on its way out, or hands it on."""

    async def send(self, request: OutgoingRequest[A_contra]) -> Reply:
        """Return what the next hop answered, or why it was not asked."""

    async def explain(self, request: OutgoingRequest[A_contra]) -> Explanation:
        """Return what would become of it from here on; nothing is booked, counted or sent."""


Incoming: TypeAlias = IncomingService[Account]
Outgoing: TypeAlias = OutgoingService[Account]

S = TypeVar("S", Incoming, Outgoing)


def in_order(services: Sequence[Callable[[S], S]], last: S) -> S:
    """String services together as a packet meets them: each is made with the one behind it, `last` ends them."""
    next_service = last
    for make in reversed(services):
        next_service = make(next_service)
    return next_service
