"""The books in memory: the same arithmetic as everywhere, each call at once and whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias, final

from core.account import Account, AccountId
from core.clock import Clock
from core.errors import (
    MoreThanAskedFor,
    NodeFenced,
    PaymentOver,
    TransferDecided,
    UnknownAccount,
)
from core.ledger.audit import Audit, AuditedAccount, TransferRow
from core.ledger.books import (
    AuditReport,
    Balance,
    Books,
    Recovery,
    Transfer,
    TransferId,
    TransferState,
    UnknownTransfer,
    first_id,
    node_of,
)
from core.ledger.postings import (
    FINAL_STATES,
    NEXT,
    NOT_ASKED_FOR,
    OUTCOME,
    TIMED_OUT,
    Decision,
    EntryKind,
    Line,
    Total,
    add,
    enter,
    far_off_ms,
    hold,
    is_proven,
    is_too_late,
    refuse_copy,
    refuse_to_owe,
    refuse_unbookable,
    when_its_node_is_gone,
    when_too_late,
)
from core.payments.sums import PaymentSums, sums_of
from core.service import Booked, PaymentNumber, Receivable, Received
from core.stores.memory.payment_sums import credit, receivable_of, save_sums, totals_of
from core.stores.memory.state import MemoryState


@final
@dataclass(slots=True)
class _Row:
    """A transfer from PENDING to its end."""

    transfer: Transfer
    created_at_ms: int
    state: TransferState = TransferState.PENDING
    final_at_ms: int | None = None
    result: bytes | None = None


@final
@dataclass(frozen=True, slots=True)
class _Entry:
    """What was not a packet's."""

    kind: EntryKind
    account: AccountId
    payable: int
    receivable: int
    reason: str
    at_ms: int


_Same: TypeAlias = tuple[AccountId, bytes, str, int, int]
_Key: TypeAlias = tuple[TransferState, AccountId, AccountId, Fraction | None]


@final
@dataclass(slots=True)
class _Journal:
    """All that was ever booked, rolled up or not."""

    rows: dict[TransferId, _Row] = field(default_factory=dict)
    copies: dict[_Same, TransferId] = field(default_factory=dict)
    """The newest row of each packet, by what makes two of them the same."""
    folded: dict[_Key, Total] = field(default_factory=dict)
    entries: list[_Entry] = field(default_factory=list)


@final
class MemoryBooks(Books):
    """Dictionaries; nothing here awaits, so that every call is atomic."""

    def __init__(self, state: MemoryState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._journal = _Journal()
        self._lines: dict[AccountId, Line] = {}
        self._transfers_made = 0

    async def prepare(self, transfer: Transfer) -> TransferId:
        refuse_unbookable(transfer)
        own = self._own()
        payer = self._living(transfer.from_account)
        payee = self._living(transfer.to_account)
        self._refuse_copy(transfer, own)
        source = self._lines.get(payer.id) or Line(payer.id)
        target = source if payee is payer else self._lines.get(payee.id) or Line(payee.id)
        sums = None if transfer.payment is None else self._sums(transfer.payment)
        if sums is not None:
            sums.check(transfer.incoming_amount, own)
        hold(
            source,
            target,
            transfer.incoming_amount,
            transfer.outgoing_amount,
            payer.min_balance,
        )
        if sums is not None:
            sums.add(TransferState.PENDING, transfer.incoming_amount)
            save_sums(self._state, sums, self._clock.now_ms())
        self._lines[payer.id], self._lines[payee.id] = source, target
        transfer_id = TransferId(first_id(own) + self._transfers_made)
        self._transfers_made += 1
        self._journal.rows[transfer_id] = _Row(transfer, self._clock.now_ms())
        self._journal.copies[_same(transfer)] = transfer_id
        return transfer_id

    def transfer(self, transfer_id: TransferId) -> Transfer | None:
        """Return a packet that has a row."""
        row = self._journal.rows.get(transfer_id)
        return None if row is None else row.transfer

    async def fulfill(
        self,
        transfer_id: TransferId,
        fulfillment: bytes,
        received: Received | None = None,
        *,
        until_ms: int | None = None,
    ) -> Booked | None:
        row = self._journal.rows.get(transfer_id)
        if row is not None and until_ms is not None:
            ends_here = row.transfer.ends_here
            if is_too_late(row.state, row.result, ends_here=ends_here, fulfillment=fulfillment):
                return None
            is_open = (row.state, Decision.FULFILL) in NEXT
            if is_open and round(self._clock.monotonic() * 1000) >= until_ms:
                decision, result = when_too_late(ends_here=ends_here, fulfillment=fulfillment)
                self._decide_own(decision, transfer_id, result)
                return None
        receivable = None if row is None else self._receivable(row, received)
        if row is not None and receivable is not None:
            transfer = row.transfer
            is_open = (row.state, Decision.FULFILL) in NEXT
            if is_open and not receivable.takes(
                transfer.incoming_amount, transfer.outgoing_amount
            ):
                self._decide_own(Decision.REJECT, transfer_id, NOT_ASKED_FOR)
            if row.state is TransferState.REJECTED and row.result == NOT_ASKED_FOR:
                raise MoreThanAskedFor(receivable.left)
        self._decide_own(Decision.FULFILL, transfer_id, fulfillment, received)
        row = self._journal.rows[transfer_id]
        receivable = self._receivable(row, received)
        return Booked(
            totals_of(self._state, row.transfer, received),
            None if receivable is None else receivable.left,
        )

    def _receivable(self, row: _Row, received: Received | None) -> Receivable | None:
        """Return how much more the request for money takes that a packet pays."""
        if received is None or received.invoice is None:
            return None
        account = row.transfer.to_account
        return receivable_of(self._state, account, received.invoice, self._clock.now_ms())

    async def reject(self, transfer_id: TransferId, code: bytes) -> None:
        self._decide_own(Decision.REJECT, transfer_id, code)

    async def expire(self, transfer_id: TransferId) -> None:
        self._decide_own(Decision.EXPIRE, transfer_id, None)

    async def fulfill_late(self, transfer_id: TransferId, fulfillment: bytes) -> None:
        self._decide_own(Decision.FULFILL_LATE, transfer_id, fulfillment)

    async def abandon(self, transfer_id: TransferId) -> None:
        self._decide_own(Decision.ABANDON, transfer_id, None)

    async def strand(self, transfer_id: TransferId) -> None:
        self._decide_own(Decision.STRAND, transfer_id, None)

    async def balance(self, account: AccountId) -> Balance:
        return self.balance_now(account)

    def balance_now(self, account: AccountId) -> Balance:
        """Return an account's numbers, for the memory stores that change them in the same step."""
        line = self._lines.get(account)
        return Balance() if line is None else line.balance

    async def balances(self) -> Mapping[AccountId, Balance]:
        return {account: line.balance for account, line in self._lines.items()}

    async def correct(self, account: AccountId, amount: int, reason: str) -> None:
        self.record(
            EntryKind.CORRECTION,
            account,
            payable=max(amount, 0),
            receivable=max(-amount, 0),
            reason=reason,
        )

    def record(
        self,
        kind: EntryKind,
        account: AccountId,
        *,
        payable: int = 0,
        receivable: int = 0,
        reason: str,
    ) -> None:
        """Add to an account's numbers, with the entry that says why; deleted accounts can be written to.

        Raises:
            UnknownAccount: there never was one with this id.
            AmountTooLarge: a number would not fit 64 bits; nothing was changed.
        """
        if account not in self._state.accounts and account not in self._state.deleted:
            raise UnknownAccount(account)
        line = self._lines.get(account) or Line(account)
        enter(line, payable=payable, receivable=receivable)
        self._lines[account] = line
        self._journal.entries.append(
            _Entry(kind, account, payable, receivable, reason, self._clock.now_ms())
        )

    def _payment_of(self, transfer: Transfer) -> str | None:
        number = transfer.payment
        payment = None if number is None else self._state.payments.get(number)
        return None if payment is None else payment.id

    async def unknown_transfers(
        self, *, limit: int, peer: AccountId | None = None, payment: str | None = None
    ) -> Sequence[UnknownTransfer]:
        unknown = [
            UnknownTransfer(
                id=transfer_id,
                node=node_of(transfer_id),
                from_account=row.transfer.from_account,
                to_account=row.transfer.to_account,
                incoming_amount=row.transfer.incoming_amount,
                outgoing_amount=row.transfer.outgoing_amount,
                destination=row.transfer.destination,
                condition=row.transfer.condition,
                created_at_ms=row.created_at_ms,
                expires_at_ms=row.transfer.expires_at_ms,
                payment=self._payment_of(row.transfer),
            )
            for transfer_id, row in self._journal.rows.items()
            if row.state is TransferState.UNKNOWN
            and peer in (None, row.transfer.to_account)
            and payment in (None, self._payment_of(row.transfer))
        ]
        return sorted(unknown, key=lambda leg: (leg.created_at_ms, leg.id))[:limit]

    async def resolve_unknown(self, transfer_id: TransferId, *, fulfilled: bool) -> None:
        self._decide(
            Decision.RESOLVE_FULFILLED if fulfilled else Decision.RESOLVE_VOID,
            transfer_id,
            None,
        )

    async def recover(self) -> Recovery:
        ended = {n for n, lease in self._state.nodes.items() if lease.ended_at_ms is not None}
        left = {
            transfer_id: row
            for transfer_id, row in self._journal.rows.items()
            if (row.state, Decision.STRAND) in NEXT and node_of(transfer_id) in ended
        }
        for transfer_id, row in left.items():
            ends_here = row.transfer.ends_here
            decision = when_its_node_is_gone(row.state, ends_here=ends_here)
            self._decide(decision, transfer_id, TIMED_OUT if ends_here else None)
        return Recovery(
            nodes=len({node_of(transfer_id) for transfer_id in left}),
            transfers=len(left),
            voided=sum(row.transfer.ends_here for row in left.values()),
            unknown=sum(
                row.state is TransferState.UNKNOWN for row in self._journal.rows.values()
            ),
        )

    async def roll_up(self, *, before_ms: int, rows_max: int) -> int:
        old = [
            transfer_id
            for transfer_id, row in self._journal.rows.items()
            if row.final_at_ms is not None and row.final_at_ms < before_ms
        ]
        for transfer_id in old[:rows_max]:
            row = self._journal.rows.pop(transfer_id)
            transfer, conversion = row.transfer, row.transfer.conversion
            if self._journal.copies.get(_same(transfer)) == transfer_id:
                del self._journal.copies[_same(transfer)]
            key = (
                row.state,
                transfer.from_account,
                transfer.to_account,
                None if conversion is None else conversion.rate,
            )
            self._journal.folded.setdefault(key, Total()).fold(
                row.state,
                transfer.incoming_amount,
                transfer.outgoing_amount,
                0 if conversion is None else conversion.spread_amount,
                Fraction(0) if conversion is None else conversion.remainder,
            )
        return min(len(old), rows_max)

    async def audit(self) -> AuditReport:
        accounts = [*self._state.accounts.values(), *self._state.deleted.values()]
        numbers = {account.id: number for number, account in enumerate(accounts)}
        audit = Audit(
            {
                numbers[account.id]: AuditedAccount(
                    account.username
                    if account.id in self._state.accounts
                    else f"{account.username} (deleted)",
                    account.asset.code,
                    account.asset.scale,
                )
                for account in accounts
            }
        )
        for transfer_id, row in self._journal.rows.items():
            transfer, conversion = row.transfer, row.transfer.conversion
            audit.add_transfer(
                TransferRow(
                    transfer_id,
                    row.state,
                    numbers[transfer.from_account],
                    numbers[transfer.to_account],
                    transfer.incoming_amount,
                    transfer.outgoing_amount,
                    None if conversion is None else conversion.rate,
                    0 if conversion is None else conversion.spread_amount,
                    Fraction(0) if conversion is None else conversion.remainder,
                    row.final_at_ms,
                    transfer.condition,
                    row.result,
                )
            )
        for (state, source, target, rate), total in self._journal.folded.items():
            audit.add_total(state, numbers[source], numbers[target], rate, total)
        for number, entry in enumerate(self._journal.entries):
            audit.add_entry(
                number,
                entry.kind,
                numbers[entry.account],
                payable=entry.payable,
                receivable=entry.receivable,
            )
        return audit.report(
            {numbers[account]: line.balance for account, line in self._lines.items()}
        )

    def _refuse_copy(self, transfer: Transfer, own: int) -> None:
        first = self._journal.copies.get(_same(transfer))
        if first is None:
            return
        row = self._journal.rows[first]
        is_far_off = transfer.expires_at_ms > far_off_ms(row.created_at_ms)
        if is_far_off or node_of(first) != own:
            refuse_copy(first, row.state, row.result)

    def _own(self) -> int:
        own = self._state.node.current
        if own is None:
            raise NodeFenced("this process has not signed on, so it may write no transfers")
        if self._state.nodes[own].ended_at_ms is not None:
            raise NodeFenced(
                f"node {own} was declared dead: what it had pending is settled by rule"
            )
        return own

    def _living(self, account: AccountId) -> Account:
        found = self._state.accounts.get(account)
        if found is None:
            raise UnknownAccount(account)
        return found

    def _sums(self, number: PaymentNumber) -> PaymentSums:
        payment = self._state.payments.get(number)
        if payment is None:
            raise PaymentOver(number, "it is not in the store")
        return sums_of(payment)

    def _decide_own(
        self,
        decision: Decision,
        transfer_id: TransferId,
        result: bytes | None,
        received: Received | None = None,
    ) -> None:
        own, node = self._own(), node_of(transfer_id)
        row = self._journal.rows.get(transfer_id)
        if node != own and row is not None and row.state not in FINAL_STATES:
            raise NodeFenced(f"transfer {transfer_id} is of node {node}, and this is {own}")
        self._decide(decision, transfer_id, result, received)

    def _decide(
        self,
        decision: Decision,
        transfer_id: TransferId,
        result: bytes | None,
        received: Received | None = None,
    ) -> None:
        row = self._journal.rows.get(transfer_id)
        if row is None:
            raise TransferDecided(transfer_id, "is not in the books")
        following = NEXT.get((row.state, decision))
        is_void = is_proven(row.state, decision, row.result)
        if is_void:
            following = TransferState.LATE
        if following is None:
            if OUTCOME[decision] is row.state and (result is None or result == row.result):
                return
            raise TransferDecided(
                transfer_id,
                f"is {row.state.name} already: {decision.name} changes nothing",
                state=row.state.name,
            )
        transfer = row.transfer
        source, target = self._lines[transfer.from_account], self._lines[transfer.to_account]
        incoming_amount, outgoing_amount = transfer.incoming_amount, transfer.outgoing_amount
        if is_void:
            refuse_to_owe(target, outgoing_amount)  # it is held no more, so it may not fit
        if transfer.payment is not None:
            sums = self._sums(transfer.payment)
            if is_void:
                sums.refuse_unbookable(incoming_amount)
            sums.add(row.state, -incoming_amount)
            sums.add(following, incoming_amount)
            save_sums(self._state, sums, self._clock.now_ms())
        add(row.state, source, target, -incoming_amount, -outgoing_amount)
        add(following, source, target, incoming_amount, outgoing_amount)
        if received is not None:
            credit(self._state, transfer, received, self._clock.now_ms())
        row.state, row.result = following, result
        if following in FINAL_STATES:
            row.final_at_ms = self._clock.now_ms()


def _same(transfer: Transfer) -> _Same:
    return (
        transfer.from_account,
        transfer.condition,
        transfer.destination,
        transfer.incoming_amount,
        transfer.expires_at_ms,
    )
