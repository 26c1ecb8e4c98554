"""RFC-0009, the receiver's side: who is paid here, where, and with which secret.

It answers on the node's port before the API does, to everybody and from every web page: what it says
is what a payer needs, and new for each. Three paths lead to an account, and one to a request for money:

* `/.well-known/pay`                     who the operator has named, `$host`
* `/USERNAME`, asked for SPSP            `$host/USERNAME`
* `/accounts/USERNAME/spsp`              interledger-rs's
* `/accounts/USERNAME/invoices/ID/spsp`  what it asks for, and no more
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Protocol, TypeAlias, final
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Middleware

from core.account import Account, AccountDirectory, AccountId, RoutingRelation
from core.clock import Clock
from core.control.usernames import canonical_username, is_canonical_username
from core.errors import PacketError, StoreError
from core.payments.records import Invoice, InvoiceState
from core.public_address import innermost
from core.stream.credentials import StreamCredentials
from core.stream.payment_pointer import WELL_KNOWN
from core.stream.receipt import ReceiptTerms
from core.stream.spsp import MEDIA_TYPE, read_base64, write_spsp, write_spsp_error

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

CREDENTIALS_MS: Final = 7 * 24 * 3600 * 1000
"""A page that stays open pays for days with what it asked for once; what leaks is not good for ever."""
QUERIES_PER_SECOND: Final = 20
"""Of one asker about one account, for ever: a payment asks once."""
QUERIES_AT_ONCE: Final = 100
ACCOUNT_QUERIES_PER_SECOND: Final = 1_000
"""Of all askers about one account; an answer takes some 0.1 ms, and forwarding goes on beside."""
ACCOUNT_QUERIES_AT_ONCE: Final = 5_000
ASKERS_KEPT: Final = 10_000
"""Some 3 MB; for one more the one that asked longest ago is forgotten."""
ASKERS_NETWORK_BITS: Final = 64
"""Of IPv6: whoever has one address has all of its network."""
FORWARDS_MAX: Final = 8
"""Hops of proxies that are looked through."""

_ACCEPTED: Final = frozenset(
    {MEDIA_TYPE, "application/spsp+json", "application/json", "application/*", "*/*"}
)
_SPSP: Final = frozenset({MEDIA_TYPE, "application/spsp+json"})
_HEADERS: Final = {
    # New for each payer: nobody may keep it.
    "Cache-Control": "no-cache, no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "Signalbox",
    "Vary": "Accept",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "web-monetization-id, receipt-nonce, receipt-secret",
    "Access-Control-Allow-Methods": "GET, OPTIONS",
}
_HAS_A_NODE_OF_ITS_OWN: Final = frozenset({RoutingRelation.PEER, RoutingRelation.PARENT})


class Invoices(Protocol):
    """The requests for money."""

    async def invoice(self, invoice_id: str) -> Invoice | None:
        """Return one, however it stands, or None."""


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """Who a path is about."""

    username: str
    invoice: str | None = None


@final
class SpspServer:
    """Answers who asks how an account is paid."""

    def __init__(
        self,
        accounts: AccountDirectory,
        credentials: StreamCredentials,
        invoices: Invoices,
        clock: Clock,
        *,
        default_account: str | None,
    ) -> None:
        self._accounts = accounts
        self._credentials = credentials
        self._invoices = invoices
        self._clock = clock
        self._default_account = default_account
        self._askers = _Paces(QUERIES_PER_SECOND, QUERIES_AT_ONCE)
        self._crowds = _Paces(ACCOUNT_QUERIES_PER_SECOND, ACCOUNT_QUERIES_AT_ONCE)

    def middleware(self) -> Middleware:
        """Return what stands before the API: nobody needs a token, or a name that we know, to pay."""

        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            asked = self._asked(request)
            if asked is None:
                return await handler(request)
            return await self.answer(request, asked)

        return answer

    async def answer(self, request: web.Request, asked: Asked) -> web.Response:
        """Answer a request that is about this receiver."""
        if request.method == "OPTIONS":
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=_HEADERS)
        if request.method not in {"GET", "HEAD"}:
            return _error(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"This is asked with GET, not with {request.method}.",
                headers={"Allow": "GET, OPTIONS"},
            )
        if not _accepts(request) & _ACCEPTED:
            return _error(
                HTTPStatus.NOT_ACCEPTABLE,
                f"This is answered as {MEDIA_TYPE}, and in no other way.",
            )
        try:
            receipts = _receipt_terms(request)
        except ValueError as error:
            return _error(HTTPStatus.BAD_REQUEST, f"{error}.")
        account = self._account(asked.username)
        if isinstance(account, str):
            return _unknown(account)
        haste = self._haste(account, asker_of(request))
        if haste is not None:
            return _error(HTTPStatus.TOO_MANY_REQUESTS, haste, headers={"Retry-After": "1"})
        return await self._details(account, asked, receipts)

    async def _details(
        self, account: Account, asked: Asked, receipts: ReceiptTerms | None
    ) -> web.Response:
        balance = None
        if asked.invoice is not None:
            try:
                invoice = await self._invoices.invoice(asked.invoice)
            except StoreError:
                return _error(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "The store cannot be read just now.",
                    headers={"Retry-After": "1"},
                )
            if invoice is None or invoice.account != account.id:
                return _unknown("There is no such request for money.")
            state = invoice.state(self._clock.now_ms())
            if state is not InvoiceState.OPEN:
                return _closed(invoice, state)
            balance = (invoice.amount, invoice.received)
        try:
            issued = self._credentials.issue(
                account.id,
                account.ilp_address,
                tag=asked.invoice,
                receipts=receipts,
                expires_at_ms=self._clock.now_ms() + CREDENTIALS_MS,
            )
        except PacketError:
            return _unknown(f"The address of {account.username} is too long to be paid at.")
        body = write_spsp(
            issued, account.asset, receipts_enabled=receipts is not None, balance=balance
        )
        return web.Response(body=body, content_type=MEDIA_TYPE, headers=_HEADERS)

    def _account(self, username: str) -> Account | str:
        """Return the account, or in a sentence why nobody is paid under this name."""
        account = self._accounts.by_username(username)
        if account is None:
            if not username:
                return "Nobody is paid at this host itself."
            name = username if is_canonical_username(username) else "such account"
            return f"There is no {name} here."
        if not account.enabled:
            return f"{account.username} takes no payments now."
        if account.routing_relation in _HAS_A_NODE_OF_ITS_OWN:
            return f"{account.username} has a node of its own, and is paid there."
        return account

    def _asked(self, request: web.Request) -> Asked | None:
        """Return who a request is about, or None where it is none of SPSP."""
        path = request.rel_url.raw_path
        if path == WELL_KNOWN:
            return Asked(self._default_account or "")
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["accounts", username, "spsp"]:
                return Asked(canonical_username(username))
            case ["accounts", username, "invoices", invoice, "spsp"]:
                return Asked(canonical_username(username), invoice)
            # The API has paths like this: only who asks for SPSP means a payment pointer, or a
            # browser that asks whether a page may.
            case [username] if username and (
                _accepts(request) & _SPSP or _is_preflight(request)
            ):
                return Asked(canonical_username(username))
            case _:
                return None

    def _haste(self, account: Account, asker: str) -> str | None:
        """Return in a sentence why it is asked too fast, or None and count it.

        Each asker has a pace of its own, so that no stranger keeps the others out.
        """
        now = self._clock.monotonic()
        if not self._askers.has_room((account.id, asker), now):
            return f"You ask for {account.username} too often; try again in a moment."
        if not self._crowds.has_room((account.id, ""), now):
            return f"{account.username} is asked for too often; try again in a moment."
        return None


@final
class _Paces:
    """How often each of many may ask: evenly spaced, with some room for what comes at once."""

    __slots__ = ("_at_once", "_free_at", "_spacing")

    def __init__(self, per_second: int, at_once: int) -> None:
        self._spacing = 1 / per_second
        self._at_once = at_once
        self._free_at: OrderedDict[tuple[AccountId, str], float] = OrderedDict()

    def has_room(self, key: tuple[AccountId, str], now: float) -> bool:
        """Tell whether there is room for one more, and take it."""
        free_at = max(self._free_at.pop(key, now), now)
        has_room = free_at - now <= (self._at_once - 1) * self._spacing
        self._free_at[key] = free_at + self._spacing if has_room else free_at
        if len(self._free_at) > ASKERS_KEPT:
            self._free_at.popitem(last=False)
        return has_room


def asker_of(request: web.BaseRequest) -> str:
    """Return the network that a request comes from; empty where that is not known.

    Behind a reverse proxy that is what the proxy says: of `X-Forwarded-For` the last public address,
    since what is before it whoever asks may have written. Who comes from a public address is no proxy.
    """
    near = _address(request.remote or "")
    if near is None:
        return ""
    if not near.is_global:
        told = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        found = (_address(text.strip()) for text in reversed(told[-FORWARDS_MAX:]))
        near = next((one for one in found if one is not None and one.is_global), near)
    bits = ASKERS_NETWORK_BITS if near.version == 6 else near.max_prefixlen
    return str(ipaddress.ip_network((near, bits), strict=False))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return innermost(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _accepts(request: web.Request) -> set[str]:
    """Return the media types that the asker takes; all where it says nothing."""
    header = ",".join(request.headers.getall("Accept", ["*/*"]))
    return {part.partition(";")[0].strip().lower() for part in header.split(",")}


def _is_preflight(request: web.Request) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def _receipt_terms(request: web.Request) -> ReceiptTerms | None:
    """Return what a verifier before the payer has set up, where there is one.

    Raises:
        ValueError: it has set up half of it, or not in base64.
    """
    nonce, secret = (
        request.headers.get("Receipt-Nonce"),
        request.headers.get("Receipt-Secret"),
    )
    if nonce is None and secret is None:
        return None
    if nonce is None or secret is None:
        raise ValueError("Receipt-Nonce and Receipt-Secret come together or not at all")
    nonce_octets, secret_octets = read_base64(nonce), read_base64(secret)
    if nonce_octets is None or secret_octets is None:
        raise ValueError("Receipt-Nonce and Receipt-Secret are written in base64")
    return ReceiptTerms(nonce_octets, secret_octets)


def _unknown(sentence: str) -> web.Response:
    return _error(HTTPStatus.NOT_FOUND, sentence)


def _closed(invoice: Invoice, state: InvoiceState) -> web.Response:
    """Say why a request for money takes nothing more: whoever has its address may know that it was."""
    what, at_ms = {
        InvoiceState.PAID: ("was paid in full", invoice.paid_at_ms),
        InvoiceState.EXPIRED: ("expired", invoice.expires_at_ms),
        InvoiceState.CANCELLED: ("was cancelled", invoice.cancelled_at_ms),
    }[state]
    at = datetime.fromtimestamp((at_ms or 0) / 1000, UTC)
    return _error(
        HTTPStatus.GONE,
        f"This request for money {what} at {at:%Y-%m-%d %H:%M:%S} UTC.",
        kind=f"Invoice{state.value.title()}Error",
    )


_KINDS: Final = {
    HTTPStatus.NOT_FOUND: "InvalidReceiverError",
    HTTPStatus.BAD_REQUEST: "InvalidRequestError",
    HTTPStatus.NOT_ACCEPTABLE: "NotAcceptableError",
    HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowedError",
    HTTPStatus.TOO_MANY_REQUESTS: "TooManyRequestsError",
    HTTPStatus.SERVICE_UNAVAILABLE: "TemporaryError",
}


def _error(
    status: HTTPStatus,
    sentence: str,
    *,
    kind: str | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    return web.Response(
        status=status,
        body=write_spsp_error(kind or _KINDS[status], sentence),
        content_type=MEDIA_TYPE,
        headers={**_HEADERS, **(headers or {})},
    )
