"""The operator's one door to the node: every call, and the desk that answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from fractions import Fraction
from typing import Final, final

from core.control.account_views import AccountViews, RecentNets
from core.control.accounts import AccountDesk
from core.control.auto_peering import AutoPeerDesk
from core.control.books import UNKNOWN_TRANSFERS_MAX, BooksDesk
from core.control.engines import EngineDesk
from core.control.explain import Explainer
from core.control.node_warnings import clock_warnings
from core.control.operator import Operator
from core.control.payment_views import (
    IncomingNotice,
    InvoiceOrder,
    InvoicePage,
    InvoiceQuery,
    InvoiceView,
    PaymentOrder,
    PaymentPage,
    PaymentQuery,
    PaymentQuote,
    PaymentView,
    ReceiveAddress,
    ReceivedPage,
    ReceivedQuery,
    UndecidedSums,
)
from core.control.payments import PaymentDesk
from core.control.peering import AddressDesk
from core.control.peering_views import (
    AutoPeerRequest,
    AutoPeerResult,
    ParentView,
    PingKind,
    PingReport,
)
from core.control.ping import Ping
from core.control.ping_address import AddressPing
from core.control.rate_feed import RateFeedDesk
from core.control.rates import RateDesk
from core.control.rates_views import (
    RateConversion,
    RateFeedView,
    RateSnapshotView,
    RateSourceDetails,
    RateSourceTest,
    TransferRate,
)
from core.control.route_exchange import CHANGES_MAX, RouteExchangeDesk
from core.control.route_views import RouteChangeView, RoutePeerView, RouteWhy
from core.control.routes import RouteDesk
from core.control.settlement import SettlementDesk
from core.control.sources import ControlSources
from core.control.traffic import TrafficDesk
from core.control.views import (
    AccountCheck,
    AccountDetails,
    AccountView,
    AuditReport,
    EngineView,
    Exposure,
    History,
    LogLine,
    NodeStatus,
    PacketView,
    PingResult,
    RatesView,
    RouteAnswer,
    RouteView,
    SettlementDue,
    SettlementRow,
    UnknownResolved,
    UnknownRow,
    UnmatchedRow,
)
from core.rates.records import HoldState

LOG_LINES_MAX: Final = 20_000
SETTLEMENTS_MAX: Final = 10_000


@final
class NodeControl(Operator):
    """Implements `Operator` over the stores' protocols and the running node's memory."""

    def __init__(self, sources: ControlSources) -> None:
        self._sources = sources
        views = AccountViews(
            sources.books,
            sources.settlements,
            sources.traffic,
            sources.links,
            RecentNets(sources.history, sources.clock),
            sources.node_address,
        )
        self._accounts = AccountDesk(
            directory=sources.directory,
            store=sources.accounts,
            books=sources.books,
            settlements=sources.settlements,
            node_address=sources.node_address,
            views=views,
            clock=sources.clock,
            refresh=sources.refresh,
            changing=sources.changing,
        )
        self._address_ping = AddressPing(
            directory=sources.directory,
            table=sources.routing_table,
            node_address=sources.node_address,
            incoming=sources.incoming,
            link=sources.link,
            pings=sources.pings,
            clock=sources.clock,
        )
        self._address = AddressDesk(
            node_address=sources.node_address, parent=sources.parent, clock=sources.clock
        )
        self._auto_peer = AutoPeerDesk(
            accounts=self._accounts,
            node_address=sources.node_address,
            post=sources.post_offer,
        )
        self._ping = Ping(
            directory=sources.directory,
            node_address=sources.node_address,
            link=sources.link,
            links=sources.links,
            dial=sources.dial,
            clock=sources.clock,
        )
        self._routes = RouteDesk(
            directory=sources.directory,
            table=sources.routing_table,
            store=sources.routes,
            node_address=sources.node_address,
            refresh=sources.refresh,
        )
        self._exchange = RouteExchangeDesk(
            directory=sources.directory,
            table=sources.routing_table,
            exchange=sources.exchange,
            clock=sources.clock,
        )
        self._explainer = Explainer(
            directory=sources.directory,
            table=sources.routing_table,
            routes=self._routes,
            incoming=sources.incoming,
            clock=sources.clock,
        )
        self._rates = RateDesk(
            table=sources.rate_table, store=sources.rates, refresh=sources.refresh
        )
        self._rate_feed = RateFeedDesk(
            store=sources.rate_feed,
            table=sources.rate_table,
            feeder=sources.rate_feeder,
            directory=sources.directory,
            clock=sources.clock,
            refresh=sources.refresh,
        )
        self._engines = EngineDesk(
            settlements=sources.settlements,
            clock=sources.clock,
            alive_ms=sources.engine_alive_ms,
        )
        self._settlements = SettlementDesk(
            directory=sources.directory,
            books=sources.books,
            settlements=sources.settlements,
            engines=self._engines,
        )
        self._books = BooksDesk(
            directory=sources.directory, books=sources.books, accounts=self._accounts
        )
        self._payments = PaymentDesk(
            directory=sources.directory,
            store=sources.payments,
            books=sources.books,
            rates=sources.rate_table,
            payer=sources.payer,
            notices=sources.notices,
            place=sources.place,
            clock=sources.clock,
        )
        self._traffic = TrafficDesk(
            directory=sources.directory,
            node_address=sources.node_address,
            traffic=sources.traffic,
            history_store=sources.history,
            clock=sources.clock,
        )

    async def status(self) -> NodeStatus:
        sources, facts = self._sources, self._sources.facts
        totals = sources.traffic.totals()
        unknown = await sources.books.unknown_transfers(limit=UNKNOWN_TRANSFERS_MAX)
        problems = tuple(facts.problems())
        clock = facts.clock_reading()
        return NodeStatus(
            ilp_address=sources.node_address.current,
            version=facts.version,
            ready=not problems,
            problems=problems,
            node_number=facts.node_number,
            nodes_alive=len(await sources.leases.nodes()),
            started_at_ms=facts.started_at_ms,
            now_ms=sources.clock.now_ms(),
            store_url=facts.store_url,
            store_octets=facts.store_octets(),
            http_bind=facts.bound() or facts.http_bind,
            accounts=len(sources.directory),
            routes=len(sources.routing_table),
            in_flight=sources.traffic.in_flight(),
            packets_per_second=totals.packets_per_second,
            prepares=totals.prepares,
            fulfills=totals.fulfills,
            rejects=totals.rejects,
            unknown_transfers=len(unknown),
            last_change=sum((await sources.changes.versions()).values()),
            warnings=(*clock_warnings(clock), *facts.warnings()),
            clock=clock,
        )

    # --- Accounts

    async def accounts(self) -> Sequence[AccountView]:
        return await self._accounts.all()

    async def account(self, username: str) -> AccountView:
        return await self._accounts.one(username)

    async def check_account(
        self, details: AccountDetails, *, existing: str | None = None
    ) -> AccountCheck:
        return await self._accounts.check(details, existing)

    async def create_account(self, details: AccountDetails) -> AccountView:
        return await self._accounts.create(details)

    async def replace_account(self, username: str, details: AccountDetails) -> AccountView:
        return await self._accounts.replace(username, details)

    async def change_account(self, username: str, changes: Mapping[str, object]) -> AccountView:
        return await self._accounts.change(username, changes)

    async def set_enabled(self, username: str, *, enabled: bool) -> AccountView:
        return await self._accounts.change(username, {"enabled": enabled})

    async def delete_account(
        self, username: str, *, even_with_balance: bool = False
    ) -> AccountView:
        return await self._accounts.delete(username, even_with_balance=even_with_balance)

    async def ping(self, username: str) -> PingResult:
        return await self._ping.send(username)

    # --- Among other nodes

    async def ping_address(
        self,
        destination: str,
        *,
        kind: PingKind = PingKind.ECHO,
        amount: int = 0,
        from_username: str | None = None,
        count: int = 1,
    ) -> PingReport:
        return await self._address_ping.send(
            destination, kind=kind, amount=amount, from_username=from_username, count=count
        )

    async def parent(self) -> ParentView:
        return self._address.view()

    async def ask_parent(self) -> ParentView:
        return await self._address.ask()

    async def auto_peer(self, request: AutoPeerRequest) -> AutoPeerResult:
        return await self._auto_peer.peer(request)

    # --- Routes

    async def routes(self) -> Sequence[RouteView]:
        return await self._routes.all()

    async def set_route(self, prefix: str, username: str) -> None:
        await self._routes.set(prefix, username)

    async def replace_routes(self, routes: Mapping[str, str]) -> None:
        await self._routes.replace(routes)

    async def delete_route(self, prefix: str) -> None:
        await self._routes.delete(prefix)

    async def set_default_route(self, username: str | None) -> None:
        await self._routes.set_default(username)

    async def explain(
        self,
        destination: str,
        *,
        amount: int = 1,
        from_username: str | None = None,
        expires_in_ms: int = 30_000,
    ) -> RouteAnswer:
        return await self._explainer.explain(
            destination,
            amount=amount,
            from_username=from_username,
            expires_in_ms=expires_in_ms,
        )

    # --- Route exchange

    async def route_peers(self) -> Sequence[RoutePeerView]:
        return await self._exchange.peers()

    async def route_peer(self, username: str) -> RoutePeerView:
        return await self._exchange.peer(username)

    async def why_route(self, destination: str) -> RouteWhy:
        return await self._exchange.why(destination)

    async def route_changes(
        self, *, after_sequence: int = 0, limit: int = 500
    ) -> Sequence[RouteChangeView]:
        return await self._exchange.changes(
            after_sequence=after_sequence, limit=min(max(limit, 0), CHANGES_MAX)
        )

    async def ask_for_routes(self, username: str) -> RoutePeerView:
        return await self._exchange.ask(username)

    # --- Rates

    async def rates(self) -> RatesView:
        return self._rates.view()

    async def set_rates(self, prices: Mapping[str, Decimal]) -> RatesView:
        return await self._rates.set_prices(prices)

    async def set_spread(self, spread: Fraction) -> RatesView:
        return await self._rates.set_spread(spread)

    async def rate_feed(self) -> RateFeedView:
        return await self._rate_feed.view()

    async def test_rate_source(self, source: RateSourceDetails | str) -> RateSourceTest:
        return await self._rate_feed.test(source)

    async def add_rate_source(self, details: RateSourceDetails) -> RateFeedView:
        return await self._rate_feed.add(details)

    async def replace_rate_source(self, name: str, details: RateSourceDetails) -> RateFeedView:
        return await self._rate_feed.replace(name, details)

    async def remove_rate_source(self, name: str) -> RateFeedView:
        return await self._rate_feed.remove(name)

    async def confirm_rate_jump(self, code: str) -> RateFeedView:
        return await self._rate_feed.decide(code, HoldState.CONFIRMED)

    async def refuse_rate_jump(self, code: str) -> RateFeedView:
        return await self._rate_feed.decide(code, HoldState.REFUSED)

    async def set_rate_guard(
        self, *, jump_limit: Fraction | None, jump_samples: int
    ) -> RateFeedView:
        return await self._rate_feed.set_guard(jump_limit, jump_samples)

    async def set_reference_asset(self, code: str) -> RateFeedView:
        return await self._rate_feed.set_reference(code)

    async def set_watched_assets(self, codes: Sequence[str]) -> RateFeedView:
        return await self._rate_feed.set_watched(codes)

    async def set_pair_spread(
        self, source: str, target: str, spread: Fraction | None
    ) -> RateFeedView:
        return await self._rate_feed.set_pair_spread(source, target, spread)

    async def convert_amount(
        self,
        amount: str,
        source: str,
        target: str,
        *,
        from_username: str | None = None,
        to_username: str | None = None,
    ) -> RateConversion:
        return await self._rate_feed.convert(amount, source, target, from_username, to_username)

    async def rate_snapshots(
        self, *, limit: int = 100, before: int | None = None
    ) -> Sequence[RateSnapshotView]:
        return await self._rate_feed.snapshots(limit, before)

    async def rate_snapshot(self, rate_id: int) -> RateSnapshotView:
        return await self._rate_feed.snapshot(rate_id)

    async def rate_of_transfer(self, transfer_id: int) -> TransferRate:
        return await self._rate_feed.of_transfer(transfer_id)

    # --- Settlement

    async def settlements(
        self, *, limit: int = 500, username: str | None = None
    ) -> Sequence[SettlementRow]:
        return await self._settlements.rows(
            limit=min(max(limit, 0), SETTLEMENTS_MAX), username=username
        )

    async def settlements_due(self) -> Sequence[SettlementDue]:
        return await self._settlements.due()

    async def settle_now(self, username: str, amount: int | None = None) -> str:
        return await self._settlements.settle_now(username, amount)

    async def engines(self) -> Sequence[EngineView]:
        return await self._engines.all()

    async def engine_urls(self) -> Mapping[str, str]:
        return await self._sources.settlements.load_engine_urls()

    async def set_engine_urls(self, urls: Mapping[str, str]) -> Mapping[str, str]:
        return await self._engines.set_urls(urls)

    async def unmatched(self) -> Sequence[UnmatchedRow]:
        return await self._settlements.unmatched()

    async def assign_unmatched(self, key: str, username: str) -> None:
        await self._settlements.assign(key, username)

    # --- Payments

    async def quote_payment(self, order: PaymentOrder) -> PaymentQuote:
        return await self._payments.quote_payment(order)

    async def start_payment(
        self, order: PaymentOrder, *, idempotency_key: str | None = None
    ) -> PaymentView:
        return await self._payments.start_payment(order, idempotency_key=idempotency_key)

    async def payment(self, payment_id: str) -> PaymentView:
        return await self._payments.payment(payment_id)

    async def wait_for_payment(
        self, payment_id: str, *, after_change: int, seconds: float
    ) -> PaymentView:
        return await self._payments.wait_for_payment(
            payment_id, after_change=after_change, seconds=seconds
        )

    async def wait_until_ended(self, payment_id: str) -> PaymentView:
        return await self._payments.wait_until_ended(payment_id)

    async def cancel_payment(self, payment_id: str) -> PaymentView:
        return await self._payments.cancel_payment(payment_id)

    async def payments(self, query: PaymentQuery) -> PaymentPage:
        return await self._payments.payments(query)

    async def undecided_sums(self) -> UndecidedSums:
        return await self._payments.undecided_sums()

    async def received_payments(self, query: ReceivedQuery) -> ReceivedPage:
        return await self._payments.received_payments(query)

    async def receive_address(self, username: str) -> ReceiveAddress:
        return await self._payments.receive_address(username)

    async def create_invoice(self, order: InvoiceOrder) -> InvoiceView:
        return await self._payments.create_invoice(order)

    async def invoice(self, invoice_id: str) -> InvoiceView:
        return await self._payments.invoice(invoice_id)

    async def cancel_invoice(self, invoice_id: str) -> InvoiceView:
        return await self._payments.cancel_invoice(invoice_id)

    async def invoices(self, query: InvoiceQuery) -> InvoicePage:
        return await self._payments.invoices(query)

    def watch_incoming(
        self, username: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[IncomingNotice]]:
        return self._payments.watch_incoming(username)

    # --- Books

    async def unknown_transfers(self) -> Sequence[UnknownRow]:
        return await self._books.unknown()

    async def resolve_unknown(self, transfer_id: int, *, fulfilled: bool) -> None:
        await self._books.resolve(transfer_id, fulfilled=fulfilled)

    async def resolve_all_unknown(
        self, *, fulfilled: bool, peer: str | None = None, payment: str | None = None
    ) -> UnknownResolved:
        if payment is not None:
            await self._payments.payment(payment)  # which says where there is none
        return await self._books.resolve_all(fulfilled=fulfilled, peer=peer, payment=payment)

    async def correct_balance(self, username: str, amount: int, reason: str) -> AccountView:
        return await self._books.correct(username, amount, reason)

    async def audit(self) -> AuditReport:
        return await self._books.audit()

    async def exposure(self) -> Sequence[Exposure]:
        return await self._books.exposure()

    # --- Traffic

    async def packets(self, *, after_sequence: int, limit: int = 2_000) -> Sequence[PacketView]:
        return await self._traffic.packets(after_sequence=after_sequence, limit=limit)

    async def history(
        self, *, seconds: int, username: str | None = None, samples_max: int = 720
    ) -> History:
        return await self._traffic.history(
            seconds=seconds, username=username, samples_max=samples_max
        )

    async def logs(self, *, after_sequence: int, limit: int = 2_000) -> Sequence[LogLine]:
        return self._sources.log.lines(
            after_sequence=after_sequence, limit=min(max(limit, 0), LOG_LINES_MAX)
        )

    async def set_log_level(self, directive: str) -> str:
        return self._sources.log.set_level(directive)
