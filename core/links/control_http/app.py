"""Every call of the API, who may make it, and what answers it, as one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias, final

from aiohttp import web

from core.account import Secret
from core.control.operator import Operator
from core.links.control_http import (
    account_calls as accounts,
    node_calls as node,
    payment_calls as payments,
    peering_calls,
    rate_calls as rates,
    route_calls as routes,
    watch_calls,
)
from core.links.control_http.guard import Access, Guard, is_loopback_host, known_hosts_only
from core.links.control_http.problems import Handler, problems

Call: TypeAlias = Callable[[Operator, web.Request], Awaitable[web.StreamResponse]]
CallOfSomebody: TypeAlias = Callable[
    [Operator, web.Request, Access], Awaitable[web.StreamResponse]
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """How the API is reached, and by whom."""

    admin_token: Secret
    account_by_token: Callable[[str], str | None]
    """The username whose incoming ILP-over-HTTP token this is: its user's password for the API."""
    bind_host: str
    hosts: Collection[str] = ()
    """Further names that this node is called by, as behind a reverse proxy."""


def build_app(operator: Operator, options: ApiOptions) -> web.Application:
    """Return the API as an aiohttp application; it keeps nothing between two requests."""
    app = web.Application(
        middlewares=[problems, known_hosts_only((options.bind_host, *options.hosts))]
    )
    app.on_response_prepare.append(_finish)
    guard = Guard(options.admin_token, options.account_by_token)
    app.add_routes(
        [
            *_interledger_rs(operator, guard, loopback=is_loopback_host(options.bind_host)),
            *_ours(operator, guard),
            *_payments(operator, guard),
        ]
    )
    return app


def _interledger_rs(operator: Operator, guard: Guard, *, loopback: bool) -> list[web.RouteDef]:
    """Return the calls that interledger-rs has, under its paths."""

    def admin(call: Call) -> Handler:
        return _admin(operator, guard, call)

    def owner(call: Call) -> Handler:
        return _admin_or_owner(operator, guard, call)

    def anybody(call: Call) -> Handler:
        return _anybody(operator, call)

    async def settings(request: web.Request) -> web.StreamResponse:
        access = guard.require_admin_or_owner(request)
        return await accounts.change_settings(operator, request, access)

    return [
        web.get("/", anybody(watch_calls.ready)),
        web.post("/accounts", admin(accounts.create)),
        web.get("/accounts", admin(accounts.list_all)),
        web.get("/accounts/{username}", owner(accounts.show)),
        web.put("/accounts/{username}", admin(accounts.change)),
        web.delete("/accounts/{username}", admin(accounts.delete)),
        web.get("/accounts/{username}/balance", owner(accounts.balance)),
        web.put("/accounts/{username}/settings", settings),
        web.get("/rates", anybody(node.rates)),
        web.put("/rates", admin(node.set_rates)),
        # Who the peers are is nobody's business; on a node that only this machine can reach,
        # interledger-rs's clients, which send no token here, go on working.
        web.get("/routes", anybody(node.routes) if loopback else admin(node.routes)),
        web.put("/routes/static", admin(node.replace_routes)),
        web.put("/routes/static/{prefix}", admin(node.set_route)),
        web.put("/settlement/engines", admin(node.set_engine_urls)),
        web.put("/tracing-level", admin(watch_calls.set_log_level)),
    ]


def _ours(operator: Operator, guard: Guard) -> list[web.RouteDef]:
    """Return the calls that only we have."""

    def admin(call: Call) -> Handler:
        return _admin(operator, guard, call)

    return [
        web.get("/status", admin(watch_calls.status)),
        web.get("/overview", admin(accounts.overview)),
        web.post("/accounts/check", admin(accounts.check)),
        web.get("/accounts/{username}/overview", admin(accounts.show_overview)),
        web.post("/accounts/{username}/pause", admin(accounts.pause)),
        web.post("/accounts/{username}/resume", admin(accounts.resume)),
        web.post("/accounts/{username}/ping", admin(accounts.ping)),
        web.post("/ping", admin(peering_calls.ping)),
        web.get("/address", admin(peering_calls.show_address)),
        web.post("/address/ask", admin(peering_calls.ask_parent)),
        web.post("/peers/auto", admin(peering_calls.auto_peer)),
        web.post("/accounts/{username}/settle", admin(accounts.settle)),
        web.post("/accounts/{username}/correction", admin(accounts.correct)),
        web.get("/routes/table", admin(node.route_table)),
        web.get("/routes/peers", admin(routes.peers)),
        web.get("/routes/peers/{username}", admin(routes.peer)),
        web.post("/routes/peers/{username}/ask", admin(routes.ask)),
        web.get("/routes/why", admin(routes.why)),
        web.get("/routes/changes", admin(routes.changes)),
        web.delete("/routes/static/{prefix}", admin(node.delete_route)),
        web.put("/routes/default", admin(node.set_default_route)),
        web.delete("/routes/default", admin(node.delete_default_route)),
        web.get("/explain", admin(node.explain)),
        web.get("/rates/exact", admin(node.exact_rates)),
        web.put("/rates/spread", admin(node.set_spread)),
        web.get("/rates/feed", admin(rates.feed)),
        web.post("/rates/sources", admin(rates.add_source)),
        web.post("/rates/sources/test", admin(rates.test_described)),
        web.put("/rates/sources/{name}", admin(rates.replace_source)),
        web.delete("/rates/sources/{name}", admin(rates.remove_source)),
        web.post("/rates/sources/{name}/test", admin(rates.test_source)),
        web.post("/rates/jumps/{code}/confirm", admin(rates.confirm_jump)),
        web.post("/rates/jumps/{code}/refuse", admin(rates.refuse_jump)),
        web.put("/rates/guard", admin(rates.set_guard)),
        web.put("/rates/reference", admin(rates.set_reference)),
        web.put("/rates/watched", admin(rates.set_watched)),
        web.put("/rates/spreads/{source}/{target}", admin(rates.set_pair_spread)),
        web.delete("/rates/spreads/{source}/{target}", admin(rates.delete_pair_spread)),
        web.get("/rates/convert", admin(rates.convert)),
        web.get("/rates/snapshots", admin(rates.snapshots)),
        web.get("/rates/snapshots/{id}", admin(rates.snapshot)),
        web.get("/rates/transfers/{id}", admin(rates.of_transfer)),
        web.get("/settlement/engines", admin(node.engine_urls)),
        web.get("/engines", admin(node.engines)),
        web.get("/settlements", admin(node.settlements)),
        web.get("/settlements/due", admin(node.settlements_due)),
        web.get("/settlements/unmatched", admin(node.unmatched)),
        web.post("/settlements/unmatched/assign", admin(node.assign_unmatched)),
        web.get("/unknown-transfers", admin(watch_calls.unknown_transfers)),
        web.get("/unknown-transfers/sums", admin(payments.undecided_sums)),
        web.post("/unknown-transfers/resolve", admin(watch_calls.resolve_all_unknown)),
        web.post("/unknown-transfers/{id}/resolve", admin(watch_calls.resolve_unknown)),
        web.get("/audit", admin(watch_calls.audit)),
        web.get("/exposure", admin(watch_calls.exposure)),
        web.get("/packets", admin(watch_calls.packets)),
        web.get("/history", admin(watch_calls.history)),
        web.get("/logs", admin(watch_calls.logs)),
    ]


def _payments(operator: Operator, guard: Guard) -> list[web.RouteDef]:
    """Return the calls for payments: interledger-rs's first, then ours."""

    def admin(call: Call) -> Handler:
        return _admin(operator, guard, call)

    def owner(call: Call) -> Handler:
        return _admin_or_owner(operator, guard, call)

    def somebody(call: CallOfSomebody) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await call(operator, request, guard.require_anybody_known(request))

        return answer

    return [
        web.post("/accounts/{username}/payments", owner(payments.pay)),
        web.get("/accounts/{username}/payments/incoming", owner(payments.watch_account)),
        web.get("/payments/incoming", admin(payments.watch_all)),
        web.post("/accounts/{username}/payments/quote", owner(payments.quote)),
        web.get("/accounts/{username}/payments", owner(payments.list_payments)),
        web.get("/accounts/{username}/payments/received", owner(payments.list_received)),
        web.get("/accounts/{username}/payment-address", owner(payments.receive_address)),
        web.post("/accounts/{username}/invoices", owner(payments.create_invoice)),
        web.get("/accounts/{username}/invoices", owner(payments.list_invoices)),
        web.post("/payments", admin(payments.start)),
        web.get("/payments", admin(payments.list_payments)),
        web.get("/payments/received", admin(payments.list_received)),
        web.get("/payments/{id}", somebody(payments.show)),
        web.post("/payments/{id}/cancel", somebody(payments.cancel)),
        web.get("/invoices", admin(payments.list_invoices)),
        web.get("/invoices/{id}", somebody(payments.show_invoice)),
        web.post("/invoices/{id}/cancel", somebody(payments.cancel_invoice)),
    ]


async def _finish(_request: web.Request, response: web.StreamResponse) -> None:
    """Let nobody keep an answer, guess at its type, or learn which libraries are in here."""
    response.headers.setdefault("Cache-Control", "no-store")  # SPSP has words of its own
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "Signalbox"


def _anybody(operator: Operator, call: Call) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await call(operator, request)

    return answer


def _admin(operator: Operator, guard: Guard, call: Call) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        guard.require_admin(request)
        return await call(operator, request)

    return answer


def _admin_or_owner(operator: Operator, guard: Guard, call: Call) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        guard.require_admin_or_owner(request)
        return await call(operator, request)

    return answer
