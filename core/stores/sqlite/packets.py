"""The packet's path through the books: decided in Python on exact integers, written in few statements.

While the writer thread holds the write lock nobody else can change a balance. So a batch takes the
balances of the accounts that it touches, decides each operation on its own merits, and only
then writes: a row for each transfer that was admitted, a change for each that was decided, and one
line for each account. What was refused has written nothing.

What this node has open is remembered here, since no living node's transfer is decided by another.
Balances, limits and accounts are remembered too, as long as nobody else has written: SQLite counts
what other connections have committed, and what this one has changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias, final

from core.account import AccountId
from core.clock import Clock
from core.errors import (
    MoreThanAskedFor,
    NodeFenced,
    StoreError,
    StoreUnavailable,
    TransferDecided,
    UnknownAccount,
)
from core.ledger.books import (
    Transfer,
    TransferState,
    first_id,
    last_id,
    node_of,
)
from core.ledger.postings import (
    FINAL_STATES,
    NEXT,
    NOT_ASKED_FOR,
    OUTCOME,
    Decision,
    Line,
    add,
    far_off_ms,
    hold,
    is_proven,
    is_too_late,
    refuse_to_owe,
    when_too_late,
)
from core.payments.sums import PaymentSums
from core.service import Conversion, Receivable, Received
from core.stores.node_number import NodeNumber
from core.stores.sqlite.connection import Batch, SqliteFile
from core.stores.sqlite.copies import Copies
from core.stores.sqlite.journal import load_lines, save_lines
from core.stores.sqlite.payment_sums import (
    Credit,
    load_sums,
    receivable_of,
    save_credits,
    save_sums,
)

_COMMITS_OF_OTHERS: Final = "PRAGMA data_version"
_STANDING: Final = """
    SELECT (SELECT ended_at_ms IS NULL FROM node WHERE number = ?),
        (SELECT version FROM change WHERE kind = 'accounts')
"""
_ACCOUNTS: Final = "SELECT id, number, min_balance FROM account WHERE deleted_at_ms IS NULL"
_OPEN: Final = """
    SELECT id, from_account, to_account, incoming_amount, outgoing_amount, state, payment,
        ends_here
    FROM transfer
    WHERE id BETWEEN ? AND ? AND state IN (0, 3) ORDER BY id
"""
_OPEN_FROM: Final = "SELECT transfer FROM open_from WHERE node = ?"
_MARK: Final = "INSERT OR REPLACE INTO open_from VALUES (?, ?)"
_NEWEST: Final = "SELECT max(id) FROM transfer WHERE id BETWEEN ? AND ?"
_FIND: Final = """
    SELECT from_account, to_account, incoming_amount, outgoing_amount, state, payment, ends_here,
        result
    FROM transfer WHERE id = ?
"""
_INSERT: Final = """
    INSERT INTO transfer (id, state, from_account, to_account, incoming_amount, outgoing_amount,
        conversion, spread_amount, remainder, created_at_ms, expires_at_ms, destination, condition,
        payment, ends_here)
    VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CONVERSION: Final = (
    "SELECT number FROM conversion WHERE rate = ? AND spread = ? AND rate_id = ?"
)
_NEW_CONVERSION: Final = (
    "INSERT INTO conversion (rate, spread, rate_id) VALUES (?, ?, ?) RETURNING number"
)
_CONVERSIONS_MAX: Final = 1_000
"""Numbers that are remembered: those of the pairs in use; rates come and go."""
_DECIDE: Final = "UPDATE transfer SET state = ?, final_at_ms = ?, result = ? WHERE id = ?"
_STRANDED: Final = "INSERT INTO unknown VALUES (?)"

MARKED_EVERY: Final = 1024
"""How many transfers a node makes before it notes anew from where on it has open ones."""


@final
@dataclass(slots=True, eq=False)
class Deciding:
    """One decision about one transfer, with the fulfillment or the reject's code."""

    decision: Decision
    transfer_id: int
    result: bytes | None
    received: Received | None = None
    until_ms: int | None = None
    """Until when, on the clock that never jumps, it may be decided so; then it is too late."""
    credit: Credit | None = None
    """Made of `received`, once it is decided whether this packet ends here."""
    was_too_late: bool = False
    """Whether it was ended as one that was fulfilled too late."""
    refused: MoreThanAskedFor | None = None
    """Set where it was ended as rejected, for what it would have brought."""


@final
@dataclass(slots=True, eq=False)
class Held:
    """A transfer as its decision needs it; accounts by number."""

    source: int
    target: int
    incoming_amount: int
    outgoing_amount: int
    state: TransferState
    payment: int | None = None
    ends_here: bool = False

    @property
    def amounts(self) -> tuple[int, int]:
        return self.incoming_amount, self.outgoing_amount


Operation: TypeAlias = Transfer | Deciding
_Left: TypeAlias = tuple[sqlite3.Connection, int, int, int]
"""Where a batch left the file: by which connection, the commits of others and changes of its own that it
had counted, and the node's number.
"""


def find_open(connection: sqlite3.Connection, node: int) -> Mapping[int, Held]:
    """Return a node's transfers that are PENDING or EXPIRED, by id, oldest first."""
    mark = connection.execute(_OPEN_FROM, (node,)).fetchone()
    if mark is None:
        return {}
    return {
        row[0]: _held(row[1:])
        for row in connection.execute(_OPEN, (mark[0], last_id(node))).fetchall()
    }


def find(connection: sqlite3.Connection, transfer_id: int) -> tuple[Held, bytes | None] | None:
    """Return what the database has of a transfer, and with what it ended."""
    row = connection.execute(_FIND, (transfer_id,)).fetchone()
    if row is None:
        return None
    return _held(row[:-1]), row[-1]


def _held(row: Sequence[Any]) -> Held:
    source, target, incoming_amount, outgoing_amount, state, payment, ends_here = row
    return Held(
        source,
        target,
        incoming_amount,
        outgoing_amount,
        TransferState(state),
        payment,
        bool(ends_here),
    )


@final
class Packets(Batch[Operation, int]):
    """Prepares and decides this node's transfers; the outcome of an operation is its transfer's id."""

    def __init__(self, file: SqliteFile, clock: Clock, node: NodeNumber) -> None:
        self._file = file
        self._clock = clock
        self._node = node
        self._own: int | None = None
        self._next_id = 0
        self._marked = 0
        self._open: dict[int, Held] = {}
        """Oldest first, as they are made."""
        self._accounts_version = -1
        self._accounts: dict[AccountId, tuple[int, int | None]] = {}
        self._conversions: dict[tuple[int, int, int, int, int], int] = {}
        self._lines: dict[int, Line] = {}
        """Balances as this left them, true while `_left` is."""
        self._copies = Copies()
        self._left: _Left | None = None

    def apply(
        self, connection: sqlite3.Connection, operations: Sequence[Operation]
    ) -> Sequence[int | StoreError]:
        own, commits_of_others = self._stand(connection)
        work = _Work(self._clock.now_ms(), round(self._clock.monotonic() * 1000))
        outcomes: list[int | StoreError] = []
        touched = self._touched(connection, operations, work)
        if not touched <= self._lines.keys():
            self._lines.update(load_lines(connection, touched - self._lines.keys()))
        for operation in operations:
            try:
                if isinstance(operation, Deciding):
                    outcomes.append(self._decide(connection, operation, own, work))
                else:
                    outcomes.append(self._prepare(connection, operation, own, work))
            except StoreError as error:
                outcomes.append(error)
        if work.admitted:
            if self._next_id >= self._marked + MARKED_EVERY:
                self._marked = next(iter(self._open), self._next_id)
                connection.execute(_MARK, (own, self._marked))
            connection.executemany(_INSERT, work.admitted)
        if work.decided:
            connection.executemany(_DECIDE, work.decided)
        if work.stranded:
            connection.executemany(_STRANDED, work.stranded)
        if work.changed:
            save_lines(connection, work.changed)
        if work.payments:
            save_sums(connection, work.payments.values(), work.now_ms)
        if work.credited:
            save_credits(connection, work.credited, work.now_ms)
        self._left = (connection, commits_of_others, connection.total_changes, own)
        return outcomes

    def look_at_others(self, connection: sqlite3.Connection) -> None:
        """Take in what other processes have prepared, so that no packet waits while there is much to read."""
        own = self._node.current
        if own is not None:
            self._copies.look(connection, own, self._clock.now_ms())

    def forget(self) -> None:
        self._own = None
        self._accounts_version = -1
        self._conversions.clear()
        self._left = None

    def unclaimed(self, operation: Operation, outcome: object) -> None:
        """Void what nobody will send: the caller was cancelled before it heard that it was prepared."""
        if isinstance(operation, Transfer) and isinstance(outcome, int):
            try:
                voided = self._file.submit(self, Deciding(Decision.REJECT, outcome, b""))
            except StoreUnavailable:
                return  # closed: recovery settles it by rule
            voided.add_done_callback(lambda future: future.cancelled() or future.exception())

    # --- What is true now -----------------------------------------------------------------------

    def _stand(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Return this node's number if it may write, and SQLite's count of what others have committed.

        What is remembered is brought up to date, where anybody has written since.
        """
        own = self._node.current
        if own is None:
            raise NodeFenced("this process has not signed on, so it may write no transfers")
        (commits_of_others,) = connection.execute(_COMMITS_OF_OTHERS).fetchone()
        if self._left != (connection, commits_of_others, connection.total_changes, own):
            self._look_anew(connection, own)
            self._copies.look(connection, own, self._clock.now_ms())
        return own, commits_of_others

    def _look_anew(self, connection: sqlite3.Connection, own: int) -> None:
        self._lines.clear()
        self._conversions.clear()  # another may have deleted what nothing named
        alive, version = connection.execute(_STANDING, (own,)).fetchone()
        if not alive:
            raise NodeFenced(
                f"node {own} was declared dead: what it had pending is settled by rule"
            )
        if own != self._own:
            self._remember_open(connection, own)
        if version != self._accounts_version:
            rows = connection.execute(_ACCOUNTS).fetchall()
            self._accounts = {
                AccountId(account): (number, min_balance)
                for account, number, min_balance in rows
            }
            self._accounts_version = version

    def _remember_open(self, connection: sqlite3.Connection, own: int) -> None:
        self._open = dict(find_open(connection, own))
        first = first_id(own)
        (newest,) = connection.execute(_NEWEST, (first, last_id(own))).fetchone()
        # Never one that was handed out before, though it be undone or folded.
        self._next_id = max(self._next_id, first, first if newest is None else newest + 1)
        self._marked = self._next_id - MARKED_EVERY
        self._own = own

    def _touched(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], work: _Work
    ) -> set[int]:
        """Return the accounts of the operations, and find the transfers that are not remembered."""
        touched: set[int] = set()
        for operation in operations:
            if isinstance(operation, Deciding):
                held = self._open.get(operation.transfer_id)
                if held is None:
                    found = find(connection, operation.transfer_id)
                    work.ended[operation.transfer_id] = found
                    if found is not None and operation.decision is Decision.FULFILL_LATE:
                        held = found[0]
                if held is not None:
                    touched.add(held.source)
                    touched.add(held.target)
            else:
                for account in (operation.from_account, operation.to_account):
                    if (known := self._accounts.get(account)) is not None:
                        touched.add(known[0])
        return touched

    # --- One operation --------------------------------------------------------------------------

    def _prepare(
        self, connection: sqlite3.Connection, transfer: Transfer, own: int, work: _Work
    ) -> int:
        source, min_balance = self._account(transfer.from_account)
        target, _ = self._account(transfer.to_account)
        if not self._copies.is_empty:
            self._copies.refuse_copy(work, connection, source, transfer, now_ms=work.now_ms)
        incoming_amount, outgoing_amount = transfer.incoming_amount, transfer.outgoing_amount
        payer, payee = self._lines[source], self._lines[target]
        payer.account = transfer.from_account
        payment = transfer.payment
        if payment is None:
            hold(payer, payee, incoming_amount, outgoing_amount, min_balance)
        else:
            sums = work.payment(connection, payment)
            sums.check(incoming_amount, own)
            hold(payer, payee, incoming_amount, outgoing_amount, min_balance)
            sums.add(TransferState.PENDING, incoming_amount)
        work.changed[source], work.changed[target] = payer, payee

        transfer_id = self._next_id
        self._next_id = transfer_id + 1
        conversion = transfer.conversion
        work.admitted.append(
            (
                transfer_id,
                source,
                target,
                incoming_amount,
                outgoing_amount,
                None if conversion is None else self._conversion(connection, conversion),
                0 if conversion is None else conversion.spread_amount,
                None if conversion is None else fraction_text(conversion.remainder),
                work.now_ms,
                transfer.expires_at_ms,
                transfer.destination,
                transfer.condition,
                payment,
                transfer.ends_here,
            )
        )
        self._open[transfer_id] = Held(
            source,
            target,
            incoming_amount,
            outgoing_amount,
            TransferState.PENDING,
            payment,
            transfer.ends_here,
        )
        if transfer.expires_at_ms > work.far_off_ms:
            self._copies.remember(work, source, transfer, transfer_id, now_ms=work.now_ms)
        return transfer_id

    def _decide(
        self, connection: sqlite3.Connection, deciding: Deciding, own: int, work: _Work
    ) -> int:
        transfer_id, decision = deciding.transfer_id, deciding.decision
        held = self._open.get(transfer_id) or work.proven(deciding)
        if held is None:
            return self._decide_again(connection, deciding, own, work)
        state = held.state
        is_void = state is TransferState.REJECTED
        following = TransferState.LATE if is_void else NEXT.get((state, decision))
        if following is None:
            return self._decide_again(connection, deciding, own, work)
        result, received = deciding.result, deciding.received
        if deciding.until_ms is not None and work.monotonic_ms >= deciding.until_ms:
            assert result is not None
            deciding.was_too_late, received = True, None
            decision, result = when_too_late(ends_here=held.ends_here, fulfillment=result)
            following = NEXT[state, decision]
        receivable = work.receivable(connection, held.target, received)
        if receivable is not None and not receivable.takes(
            held.incoming_amount, held.outgoing_amount
        ):
            deciding.refused, received = MoreThanAskedFor(receivable.left), None
            decision, result = Decision.REJECT, NOT_ASKED_FOR
            following = NEXT[state, decision]
        source, target = self._lines[held.source], self._lines[held.target]
        incoming_amount, outgoing_amount = held.incoming_amount, held.outgoing_amount
        if is_void:
            refuse_to_owe(target, outgoing_amount)  # it is held no more, so it may not fit
        if held.payment is not None:
            sums = work.payment(connection, held.payment)
            if is_void:
                sums.refuse_unbookable(incoming_amount)
            sums.add(state, -incoming_amount)
            sums.add(following, incoming_amount)
        if received is not None:
            work.credit(deciding, held, received, receivable, is_new=True)
        add(state, source, target, -incoming_amount, -outgoing_amount)
        add(following, source, target, incoming_amount, outgoing_amount)
        work.changed[held.source], work.changed[held.target] = source, target
        held.state = following
        is_final = following in FINAL_STATES
        work.decided.append(
            (
                int(following),
                work.now_ms if is_final else None,
                result,
                transfer_id,
            )
        )
        if following is TransferState.UNKNOWN:
            work.stranded.append((transfer_id,))
        if is_final or following is TransferState.UNKNOWN:  # of which the operator decides
            self._open.pop(transfer_id, None)
            work.ended[transfer_id] = held, result
        return transfer_id

    def _decide_again(
        self, connection: sqlite3.Connection, deciding: Deciding, own: int, work: _Work
    ) -> int:
        """Answer what decides nothing: the same once more is no error, anything else is."""
        transfer_id = deciding.transfer_id
        if transfer_id in self._open:
            found: tuple[Held, bytes | None] | None = (self._open[transfer_id], None)
        else:
            found = work.ended.get(transfer_id)
        if found is None:
            raise TransferDecided(transfer_id, "is not in the books")
        held, result = found
        received = deciding.received
        receivable = work.receivable(connection, held.target, received)
        if OUTCOME[deciding.decision] is held.state and (
            deciding.result is None or deciding.result == result
        ):
            if received is not None:
                work.credit(deciding, held, received, receivable, is_new=False)
            return transfer_id
        if (
            receivable is not None
            and held.state is TransferState.REJECTED
            and result == NOT_ASKED_FOR
        ):
            deciding.refused = MoreThanAskedFor(receivable.left)
            return transfer_id
        if deciding.until_ms is not None and is_too_late(
            held.state, result, ends_here=held.ends_here, fulfillment=deciding.result or b""
        ):
            deciding.was_too_late = True
            return transfer_id
        node = node_of(transfer_id)
        if node != own and held.state not in FINAL_STATES:
            raise NodeFenced(f"transfer {transfer_id} is of node {node}, and this is {own}")
        raise TransferDecided(
            transfer_id,
            f"is {held.state.name} already: {deciding.decision.name} changes nothing",
            state=held.state.name,
        )

    def _account(self, account: AccountId) -> tuple[int, int | None]:
        known = self._accounts.get(account)
        if known is None:
            raise UnknownAccount(account)
        return known

    def _conversion(self, connection: sqlite3.Connection, conversion: Conversion) -> int:
        """Return the number of a rate and spread, and where they come from, written at its first use."""
        rate, spread = conversion.rate, conversion.spread
        rate_id = conversion.rate_id or 0
        key = (rate.numerator, rate.denominator, spread.numerator, spread.denominator, rate_id)
        number = self._conversions.get(key)
        if number is None:
            values = (fraction_text(rate), fraction_text(spread), rate_id)
            row = connection.execute(_CONVERSION, values).fetchone()
            if row is None:
                row = connection.execute(_NEW_CONVERSION, values).fetchone()
            (number,) = row
            if len(self._conversions) >= _CONVERSIONS_MAX:
                self._conversions.clear()
            self._conversions[key] = number
        return number


@final
class _Work:
    """One batch while it is decided."""

    __slots__ = (
        "admitted",
        "changed",
        "credited",
        "decided",
        "ended",
        "far_off_ms",
        "monotonic_ms",
        "now_ms",
        "paid",
        "payments",
        "stranded",
    )

    def __init__(self, now_ms: int, monotonic_ms: int) -> None:
        self.now_ms = now_ms
        self.far_off_ms = far_off_ms(now_ms)
        self.monotonic_ms = monotonic_ms
        self.changed: dict[int, Line] = {}
        """The accounts that are written."""
        self.ended: dict[int, tuple[Held, bytes | None] | None] = {}
        """Transfers that are final, unknown, or of another node, as far as this batch asks for them."""
        self.admitted: list[tuple[object, ...]] = []
        self.decided: list[tuple[object, ...]] = []
        self.stranded: list[tuple[int]] = []
        self.payments: dict[int, PaymentSums] = {}
        """Sums of the payments of ours that packets of this batch are a part of."""
        self.credited: list[Credit] = []
        self.paid: dict[tuple[int, str], int] = {}
        """What packets of this batch bring for requests for money, by account and name."""

    def proven(self, deciding: Deciding) -> Held | None:
        """Return the transfer that was void, of which this is the proof."""
        found = self.ended.get(deciding.transfer_id)
        if found is None or not is_proven(found[0].state, deciding.decision, found[1]):
            return None
        return found[0]

    def receivable(
        self, connection: sqlite3.Connection, account: int, received: Received | None
    ) -> Receivable | None:
        """Return how much more its request for money takes, or None where it pays none."""
        if received is None or received.invoice is None:
            return None
        paid = self.paid.get((account, received.invoice), 0)
        saved = receivable_of(connection, account, received.invoice, self.now_ms)
        return Receivable(max(0, saved.left - paid), saved.asked)

    def credit(
        self,
        deciding: Deciding,
        held: Held,
        received: Received,
        receivable: Receivable | None,
        *,
        is_new: bool,
    ) -> None:
        left = None if receivable is None else receivable.left
        if is_new and left is not None and received.invoice is not None:
            key = held.target, received.invoice
            self.paid[key] = self.paid.get(key, 0) + held.outgoing_amount
            left = max(0, left - held.outgoing_amount)
        deciding.credit = Credit(
            deciding.transfer_id,
            held.source,
            held.target,
            held.outgoing_amount,
            received,
            is_new,
            left,
        )
        self.credited.append(deciding.credit)

    def payment(self, connection: sqlite3.Connection, number: int) -> PaymentSums:
        sums = self.payments.get(number)
        if sums is None:
            sums = self.payments[number] = load_sums(connection, number)
        return sums


def fraction_text(fraction: Fraction) -> str:
    """Return a fraction as the database keeps it, exact: `numerator/denominator`."""
    return f"{fraction.numerator}/{fraction.denominator}"
