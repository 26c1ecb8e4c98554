"""The books in SQLite: what is asked once a packet is in `packets`, and the rest here."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, final

from core.account import AccountId
from core.clock import Clock
from core.errors import TransferDecided
from core.ledger.books import (
    AuditReport,
    Balance,
    Books,
    Recovery,
    Transfer,
    TransferId,
    TransferState,
    UnknownTransfer,
    node_of,
)
from core.ledger.postings import (
    NEXT,
    OUTCOME,
    TIMED_OUT,
    Decision,
    Line,
    add,
    refuse_unbookable,
    when_its_node_is_gone,
)
from core.payments.sums import PaymentSums
from core.service import Booked, Received
from core.stores.node_number import NodeNumber
from core.stores.sqlite.auditing import audit
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.conversions import Sweep, delete_unused, find_unused
from core.stores.sqlite.folding import fold
from core.stores.sqlite.journal import (
    account_number,
    balance_of,
    load_lines,
    post_correction,
    save_lines,
)
from core.stores.sqlite.leases import declare_dead, find_dead_nodes, remove_lock_files
from core.stores.sqlite.packets import Deciding, Packets, find, find_open
from core.stores.sqlite.payment_sums import load_sums, save_sums

_ENDED: Final = """
    SELECT node FROM open_from JOIN node ON number = node WHERE ended_at_ms IS NOT NULL
"""
_DECIDE: Final = "UPDATE transfer SET state = ?, final_at_ms = ? WHERE id = ?"
_SETTLE: Final = "UPDATE transfer SET state = ?, final_at_ms = ?, result = ? WHERE id = ?"
_BALANCES: Final = """
    SELECT id, payable, receivable, pending_in, pending_out, unknown_out
    FROM balance JOIN account ON number = account
"""
_UNKNOWN: Final = """
    SELECT transfer.id, source.id, target.id, incoming_amount, outgoing_amount,
        transfer.destination, condition, transfer.created_at_ms, expires_at_ms, payment.id
    FROM unknown
    JOIN transfer ON transfer.id = unknown.transfer
    JOIN account AS source ON source.number = from_account
    JOIN account AS target ON target.number = to_account
    LEFT JOIN payment ON payment.number = transfer.payment
    WHERE (:peer IS NULL OR target.id = :peer) AND (:payment IS NULL OR payment.id = :payment)
    ORDER BY transfer.created_at_ms, transfer.id LIMIT :limit
"""


@final
class SqliteBooks(Books):
    """The tables `transfer`, `balance`, `entry` and `folded`, of which this node writes its own rows."""

    def __init__(self, file: SqliteFile, clock: Clock, node: NodeNumber) -> None:
        self._file = file
        self._clock = clock
        self._node = node
        self._packets = Packets(file, clock, node)
        self._sweep = Sweep(clock.monotonic)

    async def prepare(self, transfer: Transfer) -> TransferId:
        refuse_unbookable(transfer)
        return TransferId(await self._file.submit(self._packets, transfer))

    async def fulfill(
        self,
        transfer_id: TransferId,
        fulfillment: bytes,
        received: Received | None = None,
        *,
        until_ms: int | None = None,
    ) -> Booked | None:
        deciding = Deciding(Decision.FULFILL, transfer_id, fulfillment, received, until_ms)
        await self._file.submit(self._packets, deciding)
        if deciding.was_too_late:
            return None
        if deciding.refused is not None:
            raise deciding.refused
        return Booked() if deciding.credit is None else deciding.credit.booked

    async def reject(self, transfer_id: TransferId, code: bytes) -> None:
        await self._decide(Decision.REJECT, transfer_id, code)

    async def expire(self, transfer_id: TransferId) -> None:
        await self._decide(Decision.EXPIRE, transfer_id, None)

    async def fulfill_late(self, transfer_id: TransferId, fulfillment: bytes) -> None:
        await self._decide(Decision.FULFILL_LATE, transfer_id, fulfillment)

    async def abandon(self, transfer_id: TransferId) -> None:
        await self._decide(Decision.ABANDON, transfer_id, None)

    async def strand(self, transfer_id: TransferId) -> None:
        await self._decide(Decision.STRAND, transfer_id, None)

    def _decide(
        self, decision: Decision, transfer_id: int, result: bytes | None
    ) -> asyncio.Future[int]:
        return self._file.submit(self._packets, Deciding(decision, transfer_id, result))

    async def balance(self, account: AccountId) -> Balance:
        return await self._file.read(partial(balance_of, account=account))

    async def balances(self) -> Mapping[AccountId, Balance]:
        return await self._file.read(_read_balances)

    async def correct(self, account: AccountId, amount: int, reason: str) -> None:
        now_ms = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> None:
            number = account_number(connection, account)
            post_correction(connection, number, amount, reason, now_ms)

        await self._file.write(work)

    async def unknown_transfers(
        self, *, limit: int, peer: AccountId | None = None, payment: str | None = None
    ) -> Sequence[UnknownTransfer]:
        wanted = {"limit": limit, "peer": peer, "payment": payment}
        return await self._file.read(partial(_read_unknown, wanted=wanted))

    async def resolve_unknown(self, transfer_id: TransferId, *, fulfilled: bool) -> None:
        await self._file.write(
            partial(
                _resolve,
                transfer_id=transfer_id,
                decision=Decision.RESOLVE_FULFILLED if fulfilled else Decision.RESOLVE_VOID,
                now_ms=self._clock.now_ms(),
            )
        )

    async def recover(self) -> Recovery:
        path, own, now_ms = self._file.path, self._node.current, self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> tuple[Sequence[int], int, int, int]:
            self._packets.look_at_others(connection)
            return _settle_the_dead(connection, path=path, own=own, now_ms=now_ms)

        dead, left, voided, unknown = await self._file.write(work)
        if dead:
            await asyncio.to_thread(remove_lock_files, path, dead)
        return Recovery(nodes=len(dead), transfers=left, voided=voided, unknown=unknown)

    async def roll_up(self, *, before_ms: int, rows_max: int) -> int:
        folded = await self._file.write(partial(fold, before_ms=before_ms, rows_max=rows_max))
        if folded < rows_max:  # there is time for more
            if self._sweep.is_due:
                self._sweep.found(await self._file.read_at_length(find_unused))
            unused = self._sweep.take(rows_max)
            if unused.numbers:
                await self._file.write(partial(delete_unused, unused=unused))
        return folded

    async def audit(self) -> AuditReport:
        return await self._file.read_at_length(audit)


def _read_balances(connection: sqlite3.Connection) -> Mapping[AccountId, Balance]:
    return {AccountId(row[0]): Balance(*row[1:]) for row in connection.execute(_BALANCES)}


def _read_unknown(
    connection: sqlite3.Connection, *, wanted: Mapping[str, int | str | None]
) -> Sequence[UnknownTransfer]:
    return [
        UnknownTransfer(
            id=TransferId(row[0]),
            node=node_of(row[0]),
            from_account=AccountId(row[1]),
            to_account=AccountId(row[2]),
            incoming_amount=row[3],
            outgoing_amount=row[4],
            destination=row[5],
            condition=row[6],
            created_at_ms=row[7],
            expires_at_ms=row[8],
            payment=row[9],
        )
        for row in connection.execute(_UNKNOWN, wanted)
    ]


def _resolve(
    connection: sqlite3.Connection, *, transfer_id: int, decision: Decision, now_ms: int
) -> None:
    found = find(connection, transfer_id)
    if found is None:
        raise TransferDecided(transfer_id, "is not in the books")
    held, _ = found
    following = NEXT.get((held.state, decision))
    if following is None:
        if held.state is OUTCOME[decision]:
            return
        raise TransferDecided(
            transfer_id, f"is {held.state.name}, not UNKNOWN", state=held.state.name
        )
    lines = load_lines(connection, {held.source, held.target})
    _move(lines, held.source, held.target, held.amounts, held.state, following)
    save_lines(connection, lines)
    if held.payment is not None:
        sums = load_sums(connection, held.payment)
        sums.add(held.state, -held.incoming_amount)
        sums.add(following, held.incoming_amount)
        save_sums(connection, [sums], now_ms)
    connection.execute(_DECIDE, (int(following), now_ms, transfer_id))
    connection.execute("DELETE FROM unknown WHERE transfer = ?", (transfer_id,))


def _settle_the_dead(
    connection: sqlite3.Connection, *, path: Path, own: int | None, now_ms: int
) -> tuple[Sequence[int], int, int, int]:
    """Settle what nodes that are gone left open, by rule.

    Return who was found dead, how many transfers were left, how many of those are void, and how many
    are unknown in the books by now.
    """
    dead = find_dead_nodes(connection, path, now_ms=now_ms, own=own)
    declare_dead(connection, dead, now_ms=now_ms)
    ended = connection.execute(_ENDED).fetchall()
    left = {
        transfer_id: held
        for (node,) in ended
        for transfer_id, held in find_open(connection, node).items()
    }
    connection.executemany("DELETE FROM open_from WHERE node = ?", ended)
    (unknown_before,) = connection.execute("SELECT count(*) FROM unknown").fetchone()
    if not left:
        return dead, 0, 0, unknown_before
    lines = load_lines(
        connection, {number for held in left.values() for number in (held.source, held.target)}
    )
    decided: list[tuple[int, int | None, bytes | None, int]] = []
    unknown: list[tuple[int]] = []
    payments: dict[int, PaymentSums] = {}
    for transfer_id, held in left.items():
        decision = when_its_node_is_gone(held.state, ends_here=held.ends_here)
        following = NEXT[held.state, decision]
        _move(lines, held.source, held.target, held.amounts, held.state, following)
        if following is TransferState.UNKNOWN:
            unknown.append((transfer_id,))
            decided.append((int(following), None, None, transfer_id))
        else:
            decided.append((int(following), now_ms, TIMED_OUT, transfer_id))
        if held.payment is not None:
            if held.payment not in payments:
                payments[held.payment] = load_sums(connection, held.payment)
            payments[held.payment].add(held.state, -held.incoming_amount)
            payments[held.payment].add(following, held.incoming_amount)
    save_lines(connection, lines)
    save_sums(connection, payments.values(), now_ms)
    connection.executemany(_SETTLE, decided)
    connection.executemany("INSERT INTO unknown VALUES (?)", unknown)
    return dead, len(left), len(left) - len(unknown), unknown_before + len(unknown)


def _move(
    lines: Mapping[int, Line],
    source: int,
    target: int,
    amounts: tuple[int, int],
    state: TransferState,
    following: TransferState,
) -> None:
    incoming_amount, outgoing_amount = amounts
    add(state, lines[source], lines[target], -incoming_amount, -outgoing_amount)
    add(following, lines[source], lines[target], incoming_amount, outgoing_amount)
