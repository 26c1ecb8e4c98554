"""Payments, received payments and invoices in SQLite; their sums are written by the books."""

from __future__ import annotations

import json
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, Final, final

from core.account import AccountId
from core.clock import Clock
from core.errors import NodeFenced
from core.payments.records import (
    Ending,
    Invoice,
    InvoiceState,
    NewPayment,
    Payment,
    PaymentState,
    Progress,
    ReceivedPayment,
    Route,
)
from core.payments.rules import (
    INTERRUPTED,
    advanced,
    allowed,
    begun,
    cancelled,
    cancelling,
    ended,
    refuse_other_order,
    refuse_too_many,
    refuse_too_many_invoices,
)
from core.payments.store import (
    LIVE_MS,
    PAGE_MAX,
    InvoiceFilter,
    PaymentFilter,
    PaymentStore,
    ReceivedFilter,
)
from core.service import PaymentNumber
from core.stores.node_number import NodeNumber
from core.stores.sqlite.connection import SqliteFile
from core.stores.sqlite.packets import fraction_text
from core.stores.sqlite.payment_sums import read_streams
from core.stores.sqlite.tables import account_number

_PAYMENT: Final = """
    SELECT payment.number, payment.id, account.id, node, receiver, destination, source_amount,
        delivered_amount, source_amount_max, slippage, min_rate, memo, state, cancel_requested,
        sent, in_flight, undecided, late, delivered, delivered_for, receiver_asset_code,
        receiver_asset_scale, packets, rejects, reject_code, triggered_by, reason, version,
        payment.created_at_ms, payment.updated_at_ms, ended_at_ms, delivered_is_least, violations,
        receipts, receiver_text
    FROM payment JOIN account ON account.number = payment.account
"""
_BY_KEY: Final = """
    SELECT number, body_hash FROM payment WHERE account = ? AND idempotency_key = ?
"""
_OPEN: Final = """
    SELECT count(*), count(*) FILTER (WHERE account = ?) FROM payment WHERE ended_at_ms IS NULL
"""
_BEGIN: Final = """
    INSERT INTO payment (number, id, account, node, idempotency_key, body_hash, receiver, source_amount,
        delivered_amount, source_amount_max, slippage, memo, state, created_at_ms, updated_at_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_NEXT: Final = "SELECT coalesce(max(number), 0) + 1 FROM payment"
_SAVE: Final = """
    UPDATE payment SET destination = ?, source_amount_max = ?, min_rate = ?, state = ?,
        cancel_requested = ?, delivered = ?, delivered_for = ?, receiver_asset_code = ?,
        receiver_asset_scale = ?, packets = ?, rejects = ?, reject_code = ?, triggered_by = ?,
        reason = ?, version = ?, updated_at_ms = ?, ended_at_ms = ?, delivered_is_least = ?,
        violations = ?, receipts = ?, receiver_text = ?
    WHERE number = ?
"""
_LEFT_BY_DEAD: Final = """
    SELECT payment.number FROM payment JOIN node ON node.number = payment.node
    WHERE payment.ended_at_ms IS NULL AND node.ended_at_ms IS NOT NULL
"""
_ALIVE: Final = "SELECT 1 FROM node WHERE number = ? AND ended_at_ms IS NULL"
_RECEIVED: Final = """
    SELECT received_payment.number, target.id, source.id, connection, destination, invoice,
        received, streams, packets, first_at_ms, last_at_ms, closed_at_ms, payer_text
    FROM received_payment
    JOIN account AS target ON target.number = received_payment.account
    JOIN account AS source ON source.number = from_account
"""
_NOTE: Final = """
    UPDATE received_payment SET
        closed_at_ms = coalesce(closed_at_ms, :closed_at_ms),
        payer_text = iif(length(:text) > length(payer_text), :text, payer_text)
    WHERE account = (SELECT number FROM account WHERE id = :account) AND connection = :connection
"""
_INVOICE: Final = """
    SELECT invoice.number, invoice.id, account.id, amount, received, description,
        invoice.created_at_ms, expires_at_ms, cancelled_at_ms, paid_at_ms
    FROM invoice JOIN account ON account.number = invoice.account
"""
_CREATE: Final = """
    INSERT INTO invoice (id, account, amount, description, created_at_ms, expires_at_ms)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_STATES: Final = {
    InvoiceState.PAID: "paid_at_ms IS NOT NULL",
    InvoiceState.CANCELLED: "paid_at_ms IS NULL AND cancelled_at_ms IS NOT NULL",
    InvoiceState.EXPIRED: "paid_at_ms IS NULL AND cancelled_at_ms IS NULL AND expires_at_ms <= :now",
    InvoiceState.OPEN: "paid_at_ms IS NULL AND cancelled_at_ms IS NULL"
    " AND (expires_at_ms IS NULL OR expires_at_ms > :now)",
}
_SAVE_INVOICE: Final = "UPDATE invoice SET cancelled_at_ms = ? WHERE number = ?"
_OPEN_INVOICES: Final = (
    f"SELECT count(*) FROM invoice WHERE account = :account AND {_STATES[InvoiceState.OPEN]}"  # noqa: S608
)
_PRUNE: Final = (
    """
    DELETE FROM payment WHERE number IN (
        SELECT number FROM payment
        WHERE ended_at_ms < :before AND in_flight = 0 AND undecided = 0
            -- The newest stays: SQLite would give its number to the next, and transfers name numbers.
            AND number < (SELECT max(number) FROM payment)
        LIMIT :left
    )
    """,
    """
    DELETE FROM received_payment WHERE number IN (
        SELECT number FROM received_payment WHERE last_at_ms < :before LIMIT :left
    )
    """,
    """
    DELETE FROM invoice WHERE number IN (
        SELECT number FROM invoice
        WHERE coalesce(paid_at_ms, cancelled_at_ms, expires_at_ms) < :before
        LIMIT :left
    )
    """,
)
_CROWDED: Final = """
    SELECT account, count(*) - :max FROM received_payment GROUP BY account HAVING count(*) > :max
"""
_LEAST: Final = """
    SELECT number, last_at_ms FROM received_payment WHERE account = :account
    ORDER BY closed_at_ms IS NULL AND last_at_ms > :live_since, length(received), last_at_ms, number
    LIMIT :most
"""
_FORGET: Final = "DELETE FROM received_payment WHERE number = ? AND last_at_ms = ?"
_FORGOTTEN_AT_ONCE: Final = 250
"""Rows in one transaction, some 20 ms: packets wait behind it."""


@final
class SqlitePayments(PaymentStore):
    """The tables `payment`, `received_payment` and `invoice`."""

    def __init__(self, file: SqliteFile, clock: Clock, node: NodeNumber) -> None:
        self._file = file
        self._clock = clock
        self._node = node

    # --- Payments

    async def begin_payment(
        self, payment: NewPayment, *, open_max: int, account_open_max: int
    ) -> tuple[Payment, bool]:
        now_ms = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> tuple[Payment, bool]:
            node = self._own(connection)
            account = account_number(connection, payment.account)
            key = payment.idempotency_key
            if key is not None:
                known = connection.execute(_BY_KEY, (account, key)).fetchone()
                if known is not None:
                    number, body_hash = known
                    refuse_other_order(key, body_hash, payment.body_hash)
                    return _one(connection, number), False
            still_open, of_account = connection.execute(_OPEN, (account,)).fetchone()
            refuse_too_many(still_open, open_max, of_account, account_open_max)
            (number,) = connection.execute(_NEXT).fetchone()
            made = begun(payment, number=PaymentNumber(number), node=node, now_ms=now_ms)
            _insert(connection, account, made, key, payment.body_hash)
            return made, True

        return await self._file.write(work)

    async def let_send(self, number: PaymentNumber, route: Route) -> Payment:
        now_ms = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> Payment:
            before, node = _one(connection, number), self._own(connection)
            return _save(connection, before, allowed(before, route, node=node, now_ms=now_ms))

        return await self._file.write(work)

    async def advance_payment(self, number: PaymentNumber, progress: Progress) -> Payment:
        now_ms = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> Payment:
            before = _one(connection, number)
            return _save(connection, before, advanced(before, progress, now_ms=now_ms))

        return await self._file.write(work)

    async def end_payment(
        self, number: PaymentNumber, ending: Ending, progress: Progress
    ) -> Payment:
        now_ms, node = self._clock.now_ms(), self._node.current

        def work(connection: sqlite3.Connection) -> Payment:
            before = _one(connection, number)
            after = advanced(before, progress, now_ms=now_ms)
            return _save(connection, before, ended(after, ending, now_ms=now_ms, node=node))

        return await self._file.write(work)

    async def request_cancel(self, payment_id: str) -> Payment | None:
        now_ms = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> Payment | None:
            before = _find(connection, payment_id)
            if before is None:
                return None
            return _save(connection, before, cancelling(before, now_ms=now_ms))

        return await self._file.write(work)

    async def close_dead_payments(self) -> Sequence[Payment]:
        def find(connection: sqlite3.Connection) -> list[tuple[int]]:
            return connection.execute(_LEFT_BY_DEAD).fetchall()

        # Nearly always there is none: that is seen without the write lock.
        if not await self._file.read(find):
            return ()
        now_ms = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> Sequence[Payment]:
            found = [_one(connection, number) for (number,) in find(connection)]
            return [
                _save(connection, before, ended(before, INTERRUPTED, now_ms=now_ms))
                for before in found
            ]

        return await self._file.write(work)

    async def payment(self, payment_id: str) -> Payment | None:
        return await self._file.read(partial(_find, payment_id=payment_id))

    async def payments(self, wanted: PaymentFilter) -> Sequence[Payment]:
        text = wanted.text.lower()
        conditions = [
            ("account.id = :account", wanted.account is not None),
            ("state = :state", wanted.state is not None),
            ("undecided > 0", wanted.undecided),
            ("payment.created_at_ms >= :from", wanted.from_ms is not None),
            ("payment.created_at_ms < :until", wanted.until_ms is not None),
            ("payment.number < :before", wanted.before is not None),
            ("(instr(lower(receiver), :text) OR instr(lower(memo), :text))", bool(text)),
        ]
        values = {
            "account": wanted.account,
            "state": None if wanted.state is None else wanted.state.value,
            "from": wanted.from_ms,
            "until": wanted.until_ms,
            "before": wanted.before,
            "text": text,
            "limit": min(wanted.limit, PAGE_MAX),
        }
        sql = _select(_PAYMENT, conditions, order="payment.number")
        return await self._file.read(
            lambda connection: [_payment(row) for row in connection.execute(sql, values)]
        )

    def _own(self, connection: sqlite3.Connection) -> int:
        own = self._node.current
        if own is None or connection.execute(_ALIVE, (own,)).fetchone() is None:
            raise NodeFenced("this process has not signed on, so it may make no payments")
        return own

    # --- Received payments

    async def received_payment(
        self, account: AccountId, connection: str
    ) -> ReceivedPayment | None:
        sql = f"{_RECEIVED} WHERE target.id = ? AND connection = ?"
        values = (account, connection)
        return await self._file.read(
            lambda database: _received_or_none(database.execute(sql, values).fetchone())
        )

    async def received_payments(self, wanted: ReceivedFilter) -> Sequence[ReceivedPayment]:
        conditions = [
            ("target.id = :account", wanted.account is not None),
            ("invoice = :invoice", wanted.invoice is not None),
            ("first_at_ms >= :from", wanted.from_ms is not None),
            ("first_at_ms < :until", wanted.until_ms is not None),
            ("received_payment.number < :before", wanted.before is not None),
        ]
        values = {
            "account": wanted.account,
            "invoice": wanted.invoice,
            "from": wanted.from_ms,
            "until": wanted.until_ms,
            "before": wanted.before,
            "limit": min(wanted.limit, PAGE_MAX),
        }
        sql = _select(_RECEIVED, conditions, order="received_payment.number")
        return await self._file.read(
            lambda connection: [_received(row) for row in connection.execute(sql, values)]
        )

    async def note_connection(
        self, account: AccountId, connection: str, *, payer_text: str = "", closes: bool = False
    ) -> None:
        values = {
            "account": account,
            "connection": connection,
            "text": payer_text,
            "closed_at_ms": self._clock.now_ms() if closes else None,
        }
        await self._file.write(lambda database: database.execute(_NOTE, values).rowcount)

    # --- Invoices

    async def create_invoice(
        self,
        *,
        invoice_id: str,
        account: AccountId,
        amount: int,
        description: str,
        expires_at_ms: int | None,
        open_max: int,
    ) -> Invoice:
        now_ms = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> Invoice:
            number = account_number(connection, account)
            (still_open,) = connection.execute(
                _OPEN_INVOICES, {"account": number, "now": now_ms}
            ).fetchone()
            refuse_too_many_invoices(still_open, open_max)
            connection.execute(
                _CREATE, (invoice_id, number, amount, description, now_ms, expires_at_ms)
            )
            return _invoice(_find_invoice(connection, invoice_id))

        return await self._file.write(work)

    async def invoice(self, invoice_id: str) -> Invoice | None:
        row = await self._file.read(partial(_find_invoice, invoice_id=invoice_id))
        return None if row is None else _invoice(row)

    async def invoices(self, wanted: InvoiceFilter) -> Sequence[Invoice]:
        state = wanted.state
        conditions = [
            ("account.id = :account", wanted.account is not None),
            ("invoice.number < :before", wanted.before is not None),
            ("" if state is None else _STATES[state], state is not None),
        ]
        values = {
            "account": wanted.account,
            "before": wanted.before,
            "now": wanted.now_ms,
            "limit": min(wanted.limit, PAGE_MAX),
        }
        sql = _select(_INVOICE, conditions, order="invoice.number")
        return await self._file.read(
            lambda connection: [_invoice(row) for row in connection.execute(sql, values)]
        )

    async def cancel_invoice(self, invoice_id: str) -> Invoice | None:
        now_ms = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> Invoice | None:
            row = _find_invoice(connection, invoice_id)
            if row is None:
                return None
            after = cancelled(_invoice(row), now_ms=now_ms)
            connection.execute(_SAVE_INVOICE, (after.cancelled_at_ms, after.number))
            return after

        return await self._file.write(work)

    # --- Age

    async def prune_payments(self, *, before_ms: int, rows_max: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            left = rows_max
            for sql in _PRUNE:
                left -= connection.execute(sql, {"before": before_ms, "left": left}).rowcount
            return rows_max - left

        return await self._file.write(work)

    async def prune_received(self, *, account_max: int, rows_max: int) -> int:
        live_since_ms = self._clock.now_ms() - LIVE_MS

        def find(connection: sqlite3.Connection) -> list[tuple[int, int]]:
            found: list[tuple[int, int]] = []
            for account, over in connection.execute(_CROWDED, {"max": account_max}).fetchall():
                most = min(over, rows_max - len(found))
                values = {"account": account, "live_since": live_since_ms, "most": most}
                found += connection.execute(_LEAST, values)
            return found

        found = await self._file.read_at_length(find)
        forgotten = 0
        for start in range(0, len(found), _FORGOTTEN_AT_ONCE):
            # What has been paid more since is another row by now, and stays.
            rows = found[start : start + _FORGOTTEN_AT_ONCE]
            forgotten += await self._file.write(partial(_forget, rows=rows))
        return forgotten


def _forget(connection: sqlite3.Connection, *, rows: Sequence[tuple[int, int]]) -> int:
    return connection.executemany(_FORGET, rows).rowcount


def _select(table: str, conditions: Sequence[tuple[str, bool]], *, order: str) -> str:
    """Return a query of ours: the conditions are words of this module, values are bound."""
    wanted = " AND ".join(condition for condition, is_wanted in conditions if is_wanted)
    where = f"WHERE {wanted} " if wanted else ""
    return f"{table} {where}ORDER BY {order} DESC LIMIT :limit"


def _insert(
    connection: sqlite3.Connection,
    account: int,
    payment: Payment,
    key: str | None,
    body_hash: bytes,
) -> None:
    connection.execute(
        _BEGIN,
        (
            payment.number,
            payment.id,
            account,
            payment.node,
            key,
            body_hash,
            payment.receiver,
            payment.source_amount,
            None if payment.delivered_amount is None else str(payment.delivered_amount),
            payment.source_amount_max,
            fraction_text(payment.slippage),
            payment.memo,
            payment.state.value,
            payment.created_at_ms,
            payment.updated_at_ms,
        ),
    )


def _save(connection: sqlite3.Connection, before: Payment, after: Payment) -> Payment:
    """Write what has changed of it; its sums are the books', and are never written here."""
    if after is not before:
        connection.execute(
            _SAVE,
            (
                after.destination,
                after.source_amount_max,
                None if after.min_rate is None else fraction_text(after.min_rate),
                after.state.value,
                after.cancel_requested,
                str(after.delivered),
                after.delivered_for,
                after.receiver_asset_code,
                after.receiver_asset_scale,
                after.packets,
                after.rejects,
                after.reject_code,
                after.triggered_by,
                after.reason,
                after.version,
                after.updated_at_ms,
                after.ended_at_ms,
                after.delivered_is_least,
                json.dumps(after.violations),
                _receipts_text(after.receipts),
                after.receiver_text,
                after.number,
            ),
        )
    return after


def _find(connection: sqlite3.Connection, payment_id: str) -> Payment | None:
    row = connection.execute(f"{_PAYMENT} WHERE payment.id = ?", (payment_id,)).fetchone()
    return None if row is None else _payment(row)


def _one(connection: sqlite3.Connection, number: int) -> Payment:
    return _payment(
        connection.execute(f"{_PAYMENT} WHERE payment.number = ?", (number,)).fetchone()
    )


def _payment(row: tuple[Any, ...]) -> Payment:
    return Payment(
        number=PaymentNumber(row[0]),
        id=row[1],
        account=AccountId(row[2]),
        node=row[3],
        receiver=row[4],
        destination=row[5],
        source_amount=row[6],
        delivered_amount=None if row[7] is None else int(row[7]),
        source_amount_max=row[8],
        slippage=Fraction(row[9]),
        min_rate=None if row[10] is None else Fraction(row[10]),
        memo=row[11],
        state=PaymentState(row[12]),
        cancel_requested=bool(row[13]),
        sent=row[14],
        in_flight=row[15],
        undecided=row[16],
        late=row[17],
        delivered=int(row[18]),
        delivered_for=row[19],
        receiver_asset_code=row[20],
        receiver_asset_scale=row[21],
        packets=row[22],
        rejects=row[23],
        reject_code=row[24],
        triggered_by=row[25],
        reason=row[26],
        version=row[27],
        created_at_ms=row[28],
        updated_at_ms=row[29],
        ended_at_ms=row[30],
        delivered_is_least=bool(row[31]),
        violations=tuple(json.loads(row[32])),
        receipts={int(stream): b64decode(text) for stream, text in json.loads(row[33]).items()},
        receiver_text=row[34],
    )


def _receipts_text(receipts: Mapping[int, bytes]) -> str:
    return json.dumps(
        {str(stream): b64encode(receipt).decode() for stream, receipt in receipts.items()}
    )


def _received_or_none(row: tuple[Any, ...] | None) -> ReceivedPayment | None:
    return None if row is None else _received(row)


def _received(row: tuple[Any, ...]) -> ReceivedPayment:
    return ReceivedPayment(
        number=row[0],
        account=AccountId(row[1]),
        from_account=AccountId(row[2]),
        connection=row[3],
        destination=row[4],
        invoice=row[5],
        received=int(row[6]),
        streams=read_streams(row[7]),
        packets=row[8],
        first_at_ms=row[9],
        last_at_ms=row[10],
        closed_at_ms=row[11],
        payer_text=row[12],
    )


def _find_invoice(connection: sqlite3.Connection, invoice_id: str) -> Any:
    return connection.execute(f"{_INVOICE} WHERE invoice.id = ?", (invoice_id,)).fetchone()


def _invoice(row: tuple[Any, ...]) -> Invoice:
    return Invoice(
        number=row[0],
        id=row[1],
        account=AccountId(row[2]),
        amount=row[3],
        received=int(row[4]),
        description=row[5],
        created_at_ms=row[6],
        expires_at_ms=row[7],
        cancelled_at_ms=row[8],
        paid_at_ms=row[9],
    )
