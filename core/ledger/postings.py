"""What each state of a transfer, and each entry, means in an account's numbers: pure arithmetic.

Everything here follows from one table: which of its amounts a transfer in some state keeps in which
number of which account (`Line.add`). To change state is to take the old one's part away and to put the new
one's in; to audit is to add up the parts of every row. So what is posted and what is checked cannot
drift apart, and there is no event whose effect is written down twice.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, final

from core.account import AMOUNT_MAX_BOOKED, AccountId
from core.errors import AmountTooLarge, InsufficientBalance, PacketKnown
from core.ledger.books import AssetTotal, Balance, Transfer, TransferId, TransferState
from core.packet import ErrorCode

_PENDING: Final = TransferState.PENDING
_FULFILLED: Final = TransferState.FULFILLED
_REJECTED: Final = TransferState.REJECTED
_EXPIRED: Final = TransferState.EXPIRED
_LATE: Final = TransferState.LATE
_UNKNOWN: Final = TransferState.UNKNOWN


class Decision(enum.IntEnum):
    """What can be said of a transfer that was prepared."""

    FULFILL = 0
    REJECT = 1
    EXPIRE = 2
    FULFILL_LATE = 3
    ABANDON = 4
    STRAND = 5
    """Its node died, or the next hop's answer was lost."""
    RESOLVE_FULFILLED = 6
    RESOLVE_VOID = 7


NEXT: Final = {
    (_PENDING, Decision.FULFILL): _FULFILLED,
    (_PENDING, Decision.REJECT): _REJECTED,
    (_PENDING, Decision.EXPIRE): _EXPIRED,
    (_PENDING, Decision.FULFILL_LATE): _LATE,
    (_EXPIRED, Decision.FULFILL_LATE): _LATE,
    (_EXPIRED, Decision.ABANDON): _REJECTED,
    (_PENDING, Decision.STRAND): _UNKNOWN,
    (_EXPIRED, Decision.STRAND): _UNKNOWN,
    (_UNKNOWN, Decision.RESOLVE_FULFILLED): _LATE,
    (_UNKNOWN, Decision.RESOLVE_VOID): _REJECTED,
}
"""The state that follows; what is not here cannot be decided, and changes nothing."""

OUTCOME: Final = {
    Decision.FULFILL: _FULFILLED,
    Decision.REJECT: _REJECTED,
    Decision.EXPIRE: _EXPIRED,
    Decision.FULFILL_LATE: _LATE,
    Decision.ABANDON: _REJECTED,
    Decision.STRAND: _UNKNOWN,
    Decision.RESOLVE_FULFILLED: _LATE,
    Decision.RESOLVE_VOID: _REJECTED,
}
"""Where a decision ends: to make it again there, with the same result, is no error and changes nothing.

So a call whose answer was lost can be made again.
"""

FINAL_STATES: Final = frozenset({_FULFILLED, _REJECTED, _LATE})

TIMED_OUT: Final = ErrorCode.TRANSFER_TIMED_OUT.value
NOT_ASKED_FOR: Final = ErrorCode.FINAL_APPLICATION_ERROR.value
"""How a packet ended that would have brought more than was asked for; its receiver says so with this code."""


def is_proven(state: TransferState, decision: Decision, result: bytes | None) -> bool:
    """Tell whether this is the proof of what was given up as void for want of an answer: it is owed after all.

    What the next hop has rejected in so many words, or was never sent, has a result.
    """
    return state is _REJECTED and decision is Decision.FULFILL_LATE and result is None


def when_too_late(*, ends_here: bool, fulfillment: bytes) -> tuple[Decision, bytes]:
    """Return how a packet ends that was fulfilled after its sender's time was up, and with what result.

    Its own receiver has told nobody of the fulfillment; any other next hop has proof that we owe it.
    """
    if ends_here:
        return Decision.REJECT, TIMED_OUT
    return Decision.FULFILL_LATE, fulfillment


def is_too_late(
    state: TransferState, result: bytes | None, *, ends_here: bool, fulfillment: bytes
) -> bool:
    """Tell whether a transfer has ended as one that was fulfilled so too late."""
    decision, said = when_too_late(ends_here=ends_here, fulfillment=fulfillment)
    return state is OUTCOME[decision] and result == said


def when_its_node_is_gone(state: TransferState, *, ends_here: bool) -> Decision:
    """Return what is decided of a transfer that a node has left open.

    What it had not booked as its receiver it has told nobody of: that is void. What another next hop
    did with it, nobody here can know.
    """
    if not ends_here:
        return Decision.STRAND
    return Decision.REJECT if state is _PENDING else Decision.ABANDON


class EntryKind(enum.StrEnum):
    """Why an account's numbers changed without a packet; the values are stored."""

    SETTLEMENT_OUT = "settlement_out"
    SETTLEMENT_IN = "settlement_in"
    SETTLEMENT_REVERSED = "settlement_reversed"
    """What one of the two above had posted is taken back."""
    CORRECTION = "correction"
    """The operator's word, or what was left of an account that was deleted."""


@final
@dataclass(slots=True)
class Line:
    """One account's numbers while they change."""

    account: AccountId
    payable: int = 0
    receivable: int = 0
    pending_in: int = 0
    pending_out: int = 0
    unknown_out: int = 0

    @property
    def balance(self) -> Balance:
        return Balance(
            self.payable,
            self.receivable,
            self.pending_in,
            self.pending_out,
            self.unknown_out,
        )


def refuse_unbookable(transfer: Transfer) -> None:
    """Refuse what no state of the books could take, before it waits for them.

    Raises:
        AmountTooLarge: one of its amounts does not fit 64 bits.
    """
    conversion = transfer.conversion
    spread_amount = 0 if conversion is None else conversion.spread_amount
    amounts = (transfer.incoming_amount, transfer.outgoing_amount, spread_amount)
    if max(amounts) > AMOUNT_MAX_BOOKED:
        raise AmountTooLarge(max(amounts), maximum=AMOUNT_MAX_BOOKED)
    if min(amounts) < 0:
        raise ValueError(f"amounts of a transfer are not below zero: {amounts}")


FAR_OFF_MS: Final = 30_000
"""A packet that expires later after it was prepared may come to its process when that has forgotten its answer."""
COPIES_KNOWN_MS: Final = 600_000
"""So long after a packet was prepared the books know a copy of it, unless it expires before."""


def far_off_ms(prepared_at_ms: int) -> int:
    """Return the last expiry that is not far off for a packet prepared then; later ones the books remember."""
    return prepared_at_ms + FAR_OFF_MS


def refuse_copy(first: TransferId, state: TransferState, result: bytes | None) -> None:
    """Refuse a packet that was prepared before, by what became of the first; what was rejected may come again.

    What was only given up as void, for want of an answer, may not: its proof would be owed beside this one's.

    Raises:
        PacketKnown: the first was fulfilled, may still be, or was though nobody here can know.
    """
    if state is not _REJECTED or result is None:
        raise PacketKnown(
            first,
            fulfillment=result if state is _FULFILLED else None,
            is_open=state in {_PENDING, _EXPIRED},
        )


def hold(
    source: Line,
    target: Line,
    incoming_amount: int,
    outgoing_amount: int,
    min_balance: int | None,
) -> None:
    """Make both amounts, which fit by themselves, pending; or raise and change nothing.

    Whatever is held fits when it is posted later: a decision never fails for its amount.

    Raises:
        InsufficientBalance: source's net would fall below `min_balance`, with what is pending counted.
        AmountTooLarge: what a number would become does not fit 64 bits.
    """
    if min_balance is not None:
        available = source.payable - source.receivable - source.pending_in - min_balance
        if incoming_amount > available:
            raise InsufficientBalance(
                source.account, needed=incoming_amount, available=available
            )
    owed_to_us = max(source.receivable, 0) + source.pending_in + incoming_amount
    if owed_to_us > AMOUNT_MAX_BOOKED:
        raise AmountTooLarge(owed_to_us, maximum=AMOUNT_MAX_BOOKED)
    refuse_to_owe(target, outgoing_amount)
    source.pending_in += incoming_amount
    target.pending_out += outgoing_amount


def refuse_to_owe(target: Line, outgoing_amount: int) -> None:
    """Refuse what cannot be owed beside all that already is, or may be.

    Raises:
        AmountTooLarge: the sum does not fit 64 bits.
    """
    owed_by_us = (
        max(target.payable, 0) + target.pending_out + target.unknown_out + outgoing_amount
    )
    if owed_by_us > AMOUNT_MAX_BOOKED:
        raise AmountTooLarge(owed_by_us, maximum=AMOUNT_MAX_BOOKED)


def add(
    state: TransferState | int,
    source: Line,
    target: Line,
    incoming_amount: int,
    outgoing_amount: int,
) -> None:
    """Put into both accounts what a transfer in this state keeps there; negative amounts take it away."""
    if state == _PENDING:
        source.pending_in += incoming_amount
        target.pending_out += outgoing_amount
    elif state == _FULFILLED:
        source.receivable += incoming_amount
        target.payable += outgoing_amount
    elif state == _EXPIRED:
        target.pending_out += outgoing_amount
    elif state == _LATE:
        target.payable += outgoing_amount
    elif state == _UNKNOWN:
        target.unknown_out += outgoing_amount
    # Of a rejected one nothing is kept.


def enter(line: Line, *, payable: int, receivable: int) -> None:
    """Add an entry's amounts, or raise and change nothing.

    Raises:
        AmountTooLarge: a number would not fit 64 bits, what is pending counted as if it were posted.
    """
    for number, held in (
        (line.payable + payable, line.pending_out + line.unknown_out),
        (line.receivable + receivable, line.pending_in),
    ):
        largest = max(abs(number), max(number, 0) + held)
        if largest > AMOUNT_MAX_BOOKED:
            raise AmountTooLarge(largest, maximum=AMOUNT_MAX_BOOKED)
    line.payable += payable
    line.receivable += receivable


@final
@dataclass(slots=True)
class Total:
    """What transfers that are alike in state, accounts and conversion add up to."""

    transfers: int = 0
    incoming_amount: int = 0
    outgoing_amount: int = 0
    spread_amount: int = 0
    remainder: Fraction = Fraction(0)

    def fold(
        self,
        state: TransferState | int,
        incoming_amount: int,
        outgoing_amount: int,
        spread_amount: int,
        remainder: Fraction,
    ) -> None:
        """Add one transfer; of a rejected one, which moved nothing, only that it was there."""
        self.transfers += 1
        if state != _REJECTED:
            self.incoming_amount += incoming_amount
            self.outgoing_amount += outgoing_amount
            self.spread_amount += spread_amount
            self.remainder += remainder


def is_exact(
    rate: Fraction, incoming: int, outgoing: int, spread_amount: int, remainder: Fraction
) -> bool:
    """Tell whether `incoming × rate = outgoing + spread + remainder`, to the last fraction."""
    return incoming * rate == outgoing + spread_amount + remainder


@final
@dataclass(slots=True)
class AssetSheet:
    """All postings of one asset while they are added up; an asset is a code and a scale."""

    code: str
    scale: int
    peers: int = 0
    exchange: int = 0
    spread: int = 0
    settlement: int = 0
    loss: int = 0
    correction: int = 0

    def total(self) -> AssetTotal:
        return AssetTotal(
            self.code,
            self.scale,
            self.peers,
            self.exchange,
            self.spread,
            self.settlement,
            self.loss,
            self.correction,
        )

    def post_entry(self, kind: EntryKind, *, payable: int, receivable: int) -> None:
        """Post the other side of what an entry added to a peer's net."""
        net = payable - receivable
        if kind is EntryKind.CORRECTION:
            self.correction -= net
        else:
            self.settlement -= net


def post_transfer(
    state: TransferState | int,
    source: AssetSheet,
    target: AssetSheet,
    *,
    incoming_amount: int,
    outgoing_amount: int,
    is_converted: bool,
    spread_amount: int,
) -> None:
    """Post the other side of what a transfer in this state added to its two peers' nets.

    A fulfilled one took `incoming` from the source's net and added `outgoing` to the target's. Where
    nothing was converted the two cancel out, or the audit finds that they do not. Where it was, the
    exchange position holds what came in, and gave what went out and our spread; the remainder has no whole
    unit, and the exact sum of remainders stands beside the position.
    """
    if state == _LATE:
        target.loss -= outgoing_amount
    elif state == _FULFILLED and is_converted:
        source.exchange += incoming_amount
        target.exchange -= outgoing_amount + spread_amount
        target.spread += spread_amount


NUMBERS: Final = ("payable", "receivable", "pending_in", "pending_out", "unknown_out")


def compare(name: str, running: Balance, derived: Balance) -> Iterable[str]:
    """Return a sentence for each number that is not what the journal adds up to."""
    for number in NUMBERS:
        runs, adds_up = getattr(running, number), getattr(derived, number)
        if runs != adds_up:
            yield (
                f"{name}: {number} is {runs} and the journal adds up to {adds_up}, "
                f"a difference of {runs - adds_up}."
            )
