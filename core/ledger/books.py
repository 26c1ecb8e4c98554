"""What the node asks of its books, and the numbers that they keep.

Per account, integers in the account's own scale:

* `payable`      what we owe: they fulfilled, or paid us in advance for nothing yet
* `receivable`   what they owe: we passed them a fulfillment; negative where they have prepaid
* `pending_in`   prepared by them, not yet decided
* `pending_out`  prepared to them, not yet decided
* `unknown_out`  left undecided by a crash or a lost connection: they may or may not have fulfilled; shown, never guessed

A transfer has two phases. `prepare` makes it durable as PENDING before the packet leaves; exactly
one of `fulfill`, `reject` and `expire` ends the upstream leg. Where a transfer expired, the
downstream leg stays open until a late fulfillment is booked as owed (a loss), none came, or it is
certain that none can be heard any more.

    PENDING ──fulfill──▶ FULFILLED
       ├─────reject────▶ REJECTED
       ├─────expire────▶ EXPIRED ──fulfill_late──▶ LATE     upstream void, downstream owed: a loss
       │                    ├──────abandon───────▶ REJECTED ──fulfill_late──▶ LATE
       │                    └──────strand────────▶ UNKNOWN
       └──(node dies)──▶ UNKNOWN ──resolve───────▶ LATE | REJECTED ──fulfill_late──▶ LATE
                    or REJECTED, where the packet would have ended at that node
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol, final, runtime_checkable

from core.account import AccountId
from core.service import Booked, Conversion, PaymentNumber, Received

TransferId = NewType("TransferId", int)
"""Names the node process in its upper bits (`id >> 42`) and counts in the lower; unique in the store for ever."""

TRANSFERS_PER_NODE_BITS = 42


def first_id(node: int) -> int:
    """Return the lowest id that a transfer of this node can have."""
    return node << TRANSFERS_PER_NODE_BITS


def last_id(node: int) -> int:
    """Return the highest."""
    return first_id(node + 1) - 1


def node_of(transfer_id: int) -> int:
    """Return the node process that made this transfer."""
    return transfer_id >> TRANSFERS_PER_NODE_BITS


class TransferState(enum.IntEnum):
    """Where a transfer stands; each is in exactly one."""

    PENDING = 0
    FULFILLED = 1
    REJECTED = 2
    EXPIRED = 3
    LATE = 4
    UNKNOWN = 5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One packet that is about to leave; amounts are above zero on at least one side."""

    from_account: AccountId
    to_account: AccountId
    incoming_amount: int
    outgoing_amount: int
    conversion: Conversion | None
    destination: str
    condition: bytes
    expires_at_ms: int
    """When upstream stops waiting for us."""
    payment: PaymentNumber | None = None
    """The payment of ours that it is a part of: its sums change with this transfer's state."""
    ends_here: bool = False
    """Whether this node receives it itself: nobody has its fulfillment who was not told by us."""


@final
@dataclass(frozen=True, slots=True)
class Balance:
    """An account's running numbers, as of the last commit."""

    payable: int = 0
    receivable: int = 0
    pending_in: int = 0
    pending_out: int = 0
    unknown_out: int = 0

    @property
    def net(self) -> int:
        """Above zero: we owe them, or hold what they prepaid. Below zero: they owe us."""
        return self.payable - self.receivable

    def available(self, min_balance: int | None) -> int | None:
        """Return how much more they may prepare, or None for no limit."""
        return None if min_balance is None else self.net - self.pending_in - min_balance


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTransfer:
    """A leg that a crash or a lost connection left undecided, for the operator to resolve from the peer's statement."""

    id: TransferId
    node: int
    from_account: AccountId
    to_account: AccountId
    incoming_amount: int
    outgoing_amount: int
    destination: str
    condition: bytes
    created_at_ms: int
    expires_at_ms: int
    payment: str | None = None
    """The id of the payment of ours that it is a part of, where that is still kept."""


@final
@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found of dead nodes, and settled by rule."""

    nodes: int
    """How many were found dead; one that signed off with something open is not counted."""
    transfers: int
    """How many transfers they left open; each is UNKNOWN now, but for those below."""
    voided: int = 0
    """How many of those would have ended at the dead node itself, and are void."""
    unknown: int = 0
    """How many transfers are UNKNOWN in the books by now, whoever left them: as many as the audit says."""


@runtime_checkable
class Books(Protocol):
    """The node's books. A call that returns is durable; a call that raises changed nothing.

    Calls that arrive within a few milliseconds are applied in one transaction, each on its own
    merits: one that is refused does not touch the others. All raise StoreUnavailable when the store
    is locked, full, read-only or closed, and NodeFenced when another process declared this node dead.
    """

    async def prepare(self, transfer: Transfer) -> TransferId:
        """Write the transfer as PENDING and hold its amounts.

        Raises:
            UnknownAccount: one of the accounts is gone.
            InsufficientBalance: `net − pending_in − incoming_amount` would fall below min_balance.
            AmountTooLarge: an amount, or the sum that it would make, does not fit 64 bits.
            PaymentOver: the payment that it is a part of may not send it.
            PacketKnown: the same account's packet of the same condition, destination, amount and expiry was
                prepared in the last ten minutes, has not expired, and was not rejected. Where it expires
                within 30 s, only what another process on the store, or one that is gone, has prepared is known.
        """

    async def fulfill(
        self,
        transfer_id: TransferId,
        fulfillment: bytes,
        received: Received | None = None,
        *,
        until_ms: int | None = None,
    ) -> Booked | None:
        """Post both legs, and keep the fulfillment; it may be relayed once this returns.

        Where the packet ended here, `received` says for which connection and invoice: each is
        credited in the same transaction, once, however often the call is made. Returns what the books
        then have of both.

        `until_ms`, on the clock that never jumps, is until when the fulfillment may be relayed. A call may
        wait for the disk or for another process; where that moment has come before its transaction
        decides, the packet is ended as one that is too late: void where it ends here, owed and a
        loss where another hop has fulfilled it. Then it returns None, and nothing may be relayed.

        Raises:
            MoreThanAskedFor: its request for money takes less, whoever was paid meanwhile, and on whichever
                node: the packet is ended as rejected, and nothing may be relayed.
        """

    async def reject(self, transfer_id: TransferId, code: bytes) -> None:
        """Void both legs."""

    async def expire(self, transfer_id: TransferId) -> None:
        """Void the upstream leg; the downstream one stays held until the two calls below."""

    async def fulfill_late(self, transfer_id: TransferId, fulfillment: bytes) -> None:
        """Post the downstream leg as owed and as a loss; upstream is void. Ends PENDING and EXPIRED alike.

        So it does what was void for want of an answer, abandoned or by the operator's word, whichever
        process made it: the next hop has the proof.
        """

    async def abandon(self, transfer_id: TransferId) -> None:
        """Void the downstream leg of an expired transfer: no fulfillment came."""

    async def strand(self, transfer_id: TransferId) -> None:
        """Leave the downstream leg of an expired transfer UNKNOWN: its answer was lost on the way."""

    async def balance(self, account: AccountId) -> Balance:
        """Return an account's numbers; zeros for one that never moved anything."""

    async def balances(self) -> Mapping[AccountId, Balance]:
        """Return the numbers of every account that has any."""

    async def correct(self, account: AccountId, amount: int, reason: str) -> None:
        """Add `amount` to net by the operator's word; posted against `correction`, with the reason."""

    async def unknown_transfers(
        self, *, limit: int, peer: AccountId | None = None, payment: str | None = None
    ) -> Sequence[UnknownTransfer]:
        """Return the legs that were left undecided, oldest first: all, or one peer's, or one payment's of ours."""

    async def resolve_unknown(self, transfer_id: TransferId, *, fulfilled: bool) -> None:
        """Decide one by the peer's statement: owed, and a loss, if they fulfilled; void otherwise."""

    async def recover(self) -> Recovery:
        """Settle by rule what dead nodes left: upstream void, downstream UNKNOWN. Touches no living node's rows."""

    async def roll_up(self, *, before_ms: int, rows_max: int) -> int:
        """Fold journal rows of final transfers older than `before_ms` into totals; return how many."""

    async def audit(self) -> AuditReport:
        """Derive every balance from the journal anew and compare."""


@final
@dataclass(frozen=True, slots=True)
class AssetTotal:
    """All postings of one asset, by side; they sum to zero or the books are wrong."""

    code: str
    scale: int
    peers: int
    exchange: int
    spread: int
    settlement: int
    loss: int
    correction: int

    @property
    def sum(self) -> int:
        return (
            self.peers
            + self.exchange
            + self.spread
            + self.settlement
            + self.loss
            + self.correction
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """Whether the books hold, and every place where they do not."""

    findings: Sequence[str]
    """One sentence each; empty is a pass."""
    totals: Sequence[AssetTotal]
    accounts: int
    transfers: int
    """Rows examined, rolled-up ones counted as folded."""
    pending: int
    unknown: int
    late: int
    """How many were fulfilled too late: what is owed for them is the loss of each asset."""

    @property
    def passed(self) -> bool:
        return not self.findings
