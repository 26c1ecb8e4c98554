"""The API's calls for payments, received payments and invoices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from fractions import Fraction
from http import HTTPStatus
from typing import Final, TypeAlias, TypeVar

from aiohttp import WSCloseCode, web

from core.control.details import read_integer
from core.control.operator import Operator
from core.control.payment_csv import (
    INVOICE_COLUMNS,
    PAYMENT_COLUMNS,
    RECEIVED_COLUMNS,
    csv_lines,
    invoice_lines,
    payment_lines,
    received_lines,
)
from core.control.payment_orders import read_units
from core.control.payment_views import (
    IncomingNotice,
    InvoiceOrder,
    InvoiceQuery,
    PaymentOrder,
    PaymentQuery,
    PaymentView,
    ReceivedQuery,
)
from core.errors import Conflict, InterledgerError, NotFound, SettingError, SlowReader
from core.links.control_http.as_json import Json
from core.links.control_http.body import query_integer, read_decimal, read_object
from core.links.control_http.guard import Access
from core.links.control_http.payment_json import (
    delivery_json,
    invoice_json,
    notice_json,
    payment_json,
    quote_json,
    receive_address_json,
    received_json,
    undecided_json,
)
from core.links.control_http.problems import TYPE_ROOT, problem
from core.payments.records import InvoiceState, PaymentState

log = logging.getLogger(__name__)

ROWS_MAX: Final = 1_000
WAIT_SECONDS_MAX: Final = 60
MESSAGE_OCTETS_MAX: Final = 4_096
"""A reader of notices has nothing to say."""
HEARTBEAT_SECONDS: Final = 30.0
"""A reader that is gone is noticed within half of it more."""
CLOSE_SECONDS: Final = 1.0
DIGITS_MAX: Final = 40
CSV: Final = "text/csv"
ORDER_FIELDS: Final = (
    "receiver",
    "source_amount",
    "delivered_amount",
    "source_amount_max",
    "slippage",
    "memo",
)
_ENDED_BADLY: Final = {
    PaymentState.FAILED: HTTPStatus.UNPROCESSABLE_ENTITY,
    PaymentState.CANCELLED: HTTPStatus.CONFLICT,
    PaymentState.INTERRUPTED: HTTPStatus.SERVICE_UNAVAILABLE,
}

E = TypeVar("E", bound=Enum)
Pages: TypeAlias = Callable[[int | None], Awaitable[tuple[str, int | None]]]
"""Returns a page's lines and where the next begins, from where a page begins."""


# --- Paying


async def pay(operator: Operator, request: web.Request) -> web.StreamResponse:
    """Pay from an account, and answer when that is over: POST /accounts/{username}/payments.

    With `Prefer: respond-async` the answer is the payment as it begins.
    """
    body = await read_object(request)
    begun = await _begin(operator, request, await _order(operator, _name(request), body))
    if "respond-async" in request.headers.get("Prefer", "").lower():
        return _accepted(begun)
    try:
        payment = await operator.wait_until_ended(begun.id)
    except Conflict as error:
        return problem(
            HTTPStatus.CONFLICT,
            f"The payment {begun.id} is under way all the same: {error}.",
            extra={"payment": payment_json(begun)},
        )
    if payment.state is not PaymentState.COMPLETED:
        return problem(
            _ENDED_BADLY[payment.state],
            f"The payment is {payment.state.value}: {payment.reason} {payment.sentence}",
            kind=f"{TYPE_ROOT}payments/{payment.state.value}",
            extra={"payment": payment_json(payment)},
        )
    account = (await operator.account(_name(request))).account
    return web.json_response(delivery_json(payment, account.ilp_address))


async def start(operator: Operator, request: web.Request) -> web.StreamResponse:
    """Begin a payment: POST /payments, with `username`; the answer is the payment as it begins."""
    body = dict(await read_object(request))
    username = _text(body, "username", needed=True)
    del body["username"]
    order = await _order(operator, username, body)
    return _accepted(await _begin(operator, request, order))


async def quote(operator: Operator, request: web.Request) -> web.Response:
    """Say what a payment would cost and bring: POST /accounts/{username}/payments/quote."""
    order = await _order(operator, _name(request), await read_object(request))
    return web.json_response(quote_json(await operator.quote_payment(order)))


async def show(operator: Operator, request: web.Request, access: Access) -> web.Response:
    """Return a payment, at once or when it has changed: GET /payments/{id}?after_change=3&wait_seconds=30."""
    payment = await _visible(operator, request, access)
    seconds = query_integer(request, "wait_seconds", otherwise=0, maximum=WAIT_SECONDS_MAX)
    if seconds and not payment.state.is_final:
        after = query_integer(request, "after_change", otherwise=payment.change)
        payment = await operator.wait_for_payment(
            payment.id, after_change=after, seconds=seconds
        )
    return web.json_response(payment_json(payment))


async def cancel(operator: Operator, request: web.Request, access: Access) -> web.Response:
    """Let a payment send nothing more: POST /payments/{id}/cancel."""
    payment = await _visible(operator, request, access)
    return web.json_response(payment_json(await operator.cancel_payment(payment.id)))


async def list_payments(operator: Operator, request: web.Request) -> web.StreamResponse:
    """Return payments, newest first: GET /payments and GET /accounts/{username}/payments."""
    query = PaymentQuery(
        username=_whose(request),
        state=_state(request, PaymentState),
        text=request.query.get("text", ""),
        undecided=_flag(request, "undecided"),
        from_ms=_moment(request, "from_ms"),
        until_ms=_moment(request, "until_ms"),
        before=_moment(request, "before"),
        limit=_limit(request),
    )
    if not _wants_csv(request):
        found = await operator.payments(query)
        return _page("payments", [payment_json(row) for row in found.rows], found.next)

    async def page(before: int | None) -> tuple[str, int | None]:
        found = await operator.payments(replace(query, before=before, limit=ROWS_MAX))
        return payment_lines(found.rows), found.next

    return await _csv(request, "payments", PAYMENT_COLUMNS, page, query.before)


async def undecided_sums(operator: Operator, _request: web.Request) -> web.Response:
    """Return what was left undecided, by peer and by payment: GET /unknown-transfers/sums."""
    return web.json_response(undecided_json(await operator.undecided_sums()))


# --- Being paid


async def list_received(operator: Operator, request: web.Request) -> web.StreamResponse:
    """Return what came in, newest first: GET /payments/received, GET /accounts/{username}/payments/received."""
    query = ReceivedQuery(
        username=_whose(request),
        invoice=request.query.get("invoice"),
        from_ms=_moment(request, "from_ms"),
        until_ms=_moment(request, "until_ms"),
        before=_moment(request, "before"),
        limit=_limit(request),
    )
    if not _wants_csv(request):
        found = await operator.received_payments(query)
        return _page("received", [received_json(row) for row in found.rows], found.next)

    async def page(before: int | None) -> tuple[str, int | None]:
        found = await operator.received_payments(replace(query, before=before, limit=ROWS_MAX))
        return received_lines(found.rows), found.next

    return await _csv(request, "received", RECEIVED_COLUMNS, page, query.before)


async def receive_address(operator: Operator, request: web.Request) -> web.Response:
    """Return how an account is paid: GET /accounts/{username}/payment-address."""
    found = await operator.receive_address(_name(request))
    return web.json_response(receive_address_json(found))


async def create_invoice(operator: Operator, request: web.Request) -> web.Response:
    """Ask for money: POST /accounts/{username}/invoices."""
    body = await read_object(request)
    _only(body, ("amount", "description", "expires_in_seconds"))
    expires = body.get("expires_in_seconds")
    order = InvoiceOrder(
        username=_name(request),
        amount=await _units(operator, _name(request), "amount", body.get("amount")),
        description=_text(body, "description"),
        expires_in_seconds=None
        if expires is None
        else read_integer("expires_in_seconds", expires),
    )
    invoice = await operator.create_invoice(order)
    return web.json_response(
        invoice_json(invoice),
        status=HTTPStatus.CREATED,
        headers={"Location": f"/invoices/{invoice.id}"},
    )


async def list_invoices(operator: Operator, request: web.Request) -> web.StreamResponse:
    """Return invoices, newest first: GET /invoices and GET /accounts/{username}/invoices."""
    query = InvoiceQuery(
        username=_whose(request),
        state=_state(request, InvoiceState),
        before=_moment(request, "before"),
        limit=_limit(request),
    )
    if not _wants_csv(request):
        found = await operator.invoices(query)
        return _page("invoices", [invoice_json(row) for row in found.rows], found.next)

    async def page(before: int | None) -> tuple[str, int | None]:
        found = await operator.invoices(replace(query, before=before, limit=ROWS_MAX))
        return invoice_lines(found.rows), found.next

    return await _csv(request, "invoices", INVOICE_COLUMNS, page, query.before)


async def show_invoice(
    operator: Operator, request: web.Request, access: Access
) -> web.Response:
    """Return an invoice: GET /invoices/{id}."""
    invoice = await operator.invoice(request.match_info["id"])
    _refuse_others(access, invoice.username, f"there is no invoice {invoice.id!r}")
    return web.json_response(invoice_json(invoice))


async def cancel_invoice(
    operator: Operator, request: web.Request, access: Access
) -> web.Response:
    """Take nothing more for an invoice: POST /invoices/{id}/cancel."""
    invoice = await operator.invoice(request.match_info["id"])
    _refuse_others(access, invoice.username, f"there is no invoice {invoice.id!r}")
    return web.json_response(invoice_json(await operator.cancel_invoice(invoice.id)))


# --- Incoming, as it comes


async def watch_account(operator: Operator, request: web.Request) -> web.StreamResponse:
    """Tell an account's incoming packets: WebSocket /accounts/{username}/payments/incoming."""
    return await _watch(operator, request, _name(request), lambda found: found)


async def watch_all(operator: Operator, request: web.Request) -> web.StreamResponse:
    """Tell all incoming packets, each in `{"Ok": …}` as interledger-rs has it: WebSocket /payments/incoming."""
    return await _watch(operator, request, None, lambda found: {"Ok": found})


async def _watch(
    operator: Operator,
    request: web.Request,
    username: str | None,
    wrapped: Callable[[Json], Json],
) -> web.StreamResponse:
    async with operator.watch_incoming(username) as notices:
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS,
            timeout=CLOSE_SECONDS,
            max_msg_size=MESSAGE_OCTETS_MAX,
            compress=False,
        )
        await socket.prepare(request)
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(_tell(socket, notices, wrapped, username))
            listening = group.create_task(_until_gone(socket))
            await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
            telling.cancel()
            listening.cancel()
        return socket


async def _tell(
    socket: web.WebSocketResponse,
    notices: AsyncIterator[IncomingNotice],
    wrapped: Callable[[Json], Json],
    username: str | None,
) -> None:
    try:
        async for notice in notices:
            await socket.send_json(wrapped(notice_json(notice)))
    except SlowReader as error:
        if username is None:
            await socket.send_json({"Err": f"{error}"})
        # A close frame has room for 123 octets.
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow: connect again")
    except ConnectionError:
        pass  # it is gone
    else:
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the node is stopping")


async def _until_gone(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass  # what a reader says means nothing


# --- Parts


async def _begin(operator: Operator, request: web.Request, order: PaymentOrder) -> PaymentView:
    return await operator.start_payment(
        order, idempotency_key=request.headers.get("Idempotency-Key")
    )


def _accepted(payment: PaymentView) -> web.Response:
    return web.json_response(
        payment_json(payment),
        status=HTTPStatus.ACCEPTED,
        headers={"Location": f"/payments/{payment.id}"},
    )


async def _visible(operator: Operator, request: web.Request, access: Access) -> PaymentView:
    """Return a payment that whoever asks may see: another one is not there for them."""
    payment_id = request.match_info["id"]
    payment = await operator.payment(payment_id)
    _refuse_others(access, payment.username, f"there is no payment {payment_id!r}")
    return payment


def _refuse_others(access: Access, username: str, sentence: str) -> None:
    if not access.admin and access.username != username:
        raise NotFound(sentence)


async def _order(operator: Operator, username: str, body: Mapping[str, object]) -> PaymentOrder:
    _only(body, ORDER_FIELDS)
    slippage, delivered = body.get("slippage"), body.get("delivered_amount")
    source, most = body.get("source_amount"), body.get("source_amount_max")
    return PaymentOrder(
        username=username,
        receiver=_text(body, "receiver", needed=True),
        source_amount=None
        if source is None
        else await _units(operator, username, "source_amount", source),
        delivered_amount=None
        if delivered is None
        else read_units("delivered_amount", delivered, None),
        source_amount_max=None
        if most is None
        else await _units(operator, username, "source_amount_max", most),
        slippage=None if slippage is None else _fraction("slippage", slippage),
        memo=_text(body, "memo"),
    )


async def _units(operator: Operator, username: str, name: str, value: object) -> int:
    """Return an amount in the account's smallest unit; only who has to say what is wrong looks at its asset."""
    try:
        return read_integer(name, value)
    except SettingError:
        asset = (await operator.account(username)).account.asset
        return read_units(name, value, asset)


def _fraction(name: str, value: object) -> Fraction:
    found = read_decimal(name, value)
    if (
        not found.is_finite()
        or max(len(found.as_tuple().digits), abs(found.adjusted())) > DIGITS_MAX
    ):
        raise SettingError(name, f"{str(found)[:40]} was found; it needs 0 to below 1")
    return Fraction(found)


def _text(body: Mapping[str, object], name: str, *, needed: bool = False) -> str:
    value = body.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise SettingError(name, "it is text" + (", and needed" if value is None else ""))
    return value


def _only(body: Mapping[str, object], known: Sequence[str]) -> None:
    for name in body:
        if name not in known:
            raise SettingError(
                name, f"it is not known here; this call takes {', '.join(known)}"
            )


def _name(request: web.Request) -> str:
    return request.match_info["username"]


def _whose(request: web.Request) -> str | None:
    return request.match_info.get("username") or request.query.get("username")


def _state(request: web.Request, states: type[E]) -> E | None:
    text = request.query.get("state")
    if text is None:
        return None
    for state in states:
        if state.value == text:
            return state
    known = ", ".join(str(state.value) for state in states)
    raise SettingError("state", f"{text[:40]!r} was found; it is one of {known}")


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in {"true", "false"}:
        raise SettingError(name, f"{text[:40]!r} was found; it is true or false")
    return text == "true"


def _moment(request: web.Request, name: str) -> int | None:
    return query_integer(request, name, otherwise=0) if name in request.query else None


def _limit(request: web.Request) -> int:
    return query_integer(request, "limit", otherwise=100, minimum=1, maximum=ROWS_MAX)


def _wants_csv(request: web.Request) -> bool:
    kind = request.query.get("format")
    if kind not in {None, "csv", "json"}:
        raise SettingError(
            "format", f"{kind[:40] if kind else ''!r} was found; it is csv or json"
        )
    return kind == "csv" or (kind is None and CSV in request.headers.get("Accept", ""))


def _page(name: str, rows: Sequence[Json], following: int | None) -> web.Response:
    return web.json_response({name: list(rows), "next": following})


async def _csv(
    request: web.Request,
    name: str,
    columns: Sequence[str],
    page: Pages,
    before: int | None,
) -> web.StreamResponse:
    """Return every row from there on, however many, written page by page: only one page is held.

    What is cut short, because the store failed on the way, has no end that a client takes for one.
    """
    lines, following = await page(before)
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{CSV}; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="{name}.csv"',
        }
    )
    await response.prepare(request)
    await response.write((csv_lines([columns]) + lines).encode())
    while following is not None:
        try:
            lines, following = await page(following)
        except InterledgerError as error:
            log.warning("%s.csv was cut short: %s", name, error)
            if request.transport is not None:
                request.transport.close()  # no last chunk is written any more
            return response
        await response.write(lines.encode())
    await response.write_eof()
    return response
