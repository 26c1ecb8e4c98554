"""An operator's door with a busy node behind it: twelve peers, several assets, and their troubles.

Whatever a test asks for is remembered in `calls`; a test makes any method fail by putting an error
into `errors` under its name. Nothing here moves by itself: `tick()` lets a second pass.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, final

from core.account import Account, AccountId, Asset, RoutingRelation, format_amount
from core.control.node_warnings import NodeWarning, clock_warnings
from core.control.operator import Operator
from core.control.views import (
    AccountCheck,
    AccountDetails,
    AccountView,
    AuditReport,
    EngineView,
    Exposure,
    FieldProblem,
    History,
    HistorySample,
    LinkState,
    LogLine,
    NodeStatus,
    PacketVerdict,
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
from core.errors import (
    AccountExists,
    AccountInUse,
    Conflict,
    NotFound,
    SettingError,
    UnknownAccount,
    UnknownRoute,
)
from core.ledger.books import AssetTotal, Balance
from core.packet import address, covers, error_words
from core.packet.reply import ErrorCode
from core.service import Step, Verdict
from core.settlement.records import Direction, EngineStatus, SettlementState
from core.telemetry.peer_time import ClockReading
from core.testing.books import FIRST_TRANSFER
from tests.desktop.fake_payments import FakePayments
from tests.desktop.fake_peering import FakePeering
from tests.desktop.fake_rates import FakeRates
from tests.desktop.fake_routes import FakeRoutes

NOW_MS: Final = 1_795_521_600_000
"""Tuesday 24 November 2026, 12:00 UTC."""

USD = Asset("USD", 2)
EUR = Asset("EUR", 2)
XRP = Asset("XRP", 9)
ETH = Asset("ETH", 18)
JPY = Asset("JPY", 0)

_PER_SECOND: Final = {USD: 12.0, EUR: 8.0, XRP: 20.0, ETH: 3.0, JPY: 5.0}


@final
class FakeClock:
    """A clock that a test sets."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.ms += int(seconds * 1000)


@final
class FakeOperator(FakePayments, FakePeering, FakeRates, FakeRoutes, Operator):
    """A node of the desktop's tests; see the module."""

    def __init__(self, *, peers: int = 12, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.calls: list[tuple[object, ...]] = []
        self.errors: dict[str, Exception] = {}
        self.random = random.Random(7)
        self.ilp_address = "test.signalbox.alice"
        self.problems: list[str] = []
        self.clock_reading: ClockReading | None = None
        self.warnings: list[NodeWarning] = []
        self.log_level = "info"
        self.views: dict[str, AccountView] = {}
        self.static: dict[str, str] = {}
        self.default: str | None = None
        self.prices: dict[str, str] = {}
        self.spread = Fraction(1, 500)
        self.settlement_rows: list[SettlementRow] = []
        self.engine_views: list[EngineView] = []
        self.unmatched_rows: list[UnmatchedRow] = []
        self.unknown_rows: list[UnknownRow] = []
        self.packet_views: list[PacketView] = []
        self.log_lines: list[LogLine] = []
        self.default_engines: dict[str, str] = {}
        self.changes = 1
        self.begin_payments(self.clock.now_ms())
        self.begin_routes(self.clock.now_ms())
        self.begin_rates()
        self._packets = 0
        if peers:
            self._populate(peers)

    # --- For tests

    def tick(self, seconds: int = 1, *, packets: int = 8) -> None:
        """Let a second pass, with some traffic."""
        for _ in range(seconds):
            self.clock.advance(1)
            if self.views:
                self.add_packets(packets)
            for name, view in self.views.items():
                came = round(view.packets_per_second * self.random.uniform(0.7, 1.3))
                lost = sum(self.random.random() < 0.01 for _ in range(came))
                self.replace_view(
                    name,
                    prepares=view.prepares + came,
                    fulfills=view.fulfills + came - lost,
                    rejects=view.rejects + lost,
                )

    def add_packets(self, count: int) -> None:
        """Let `count` packets go through, a few of them rejected."""
        for _ in range(count):
            self._packets += 1
            self.packet_views.append(self._packet(self._packets))
        self.packet_views = self.packet_views[-20_000:]

    def add_log(self, level: str, component: str, text: str) -> None:
        """Write a line into the node's log."""
        self.log_lines.append(
            LogLine(
                sequence=len(self.log_lines) + 1,
                at_ms=self.clock.now_ms(),
                level=level,
                component=component,
                text=text,
            )
        )

    def replace_view(self, username: str, **changes: object) -> None:
        """Change what is shown of an account: any field of AccountView."""
        self.views[username] = dataclasses.replace(self.views[username], **changes)  # type: ignore[arg-type]  # the caller's fields

    def _called(self, name: str, *arguments: object) -> None:
        self.calls.append((name, *arguments))
        if name in self.errors:
            raise self.errors[name]

    # --- Status

    async def status(self) -> NodeStatus:
        self._called("status")
        views = self.views.values()
        return NodeStatus(
            ilp_address=self.ilp_address,
            version="0.1.0",
            ready=not self.problems,
            problems=tuple(self.problems),
            node_number=3,
            nodes_alive=1,
            started_at_ms=NOW_MS - 3 * 86_400_000 - 4 * 3_600_000,
            now_ms=self.clock.now_ms(),
            store_url="sqlite:///home/alice/.local/share/signalbox/signalbox.db",
            store_octets=48_234_496,
            http_bind="127.0.0.1:7770",
            accounts=len(self.views),
            routes=len(await self._routes()),
            in_flight=sum(1 for view in views if view.balance.pending_in),
            packets_per_second=sum(view.packets_per_second for view in views)
            * (1 + 0.2 * math.sin(self.clock.monotonic() / 5)),
            prepares=sum(view.prepares for view in views),
            fulfills=sum(view.fulfills for view in views),
            rejects=sum(view.rejects for view in views),
            unknown_transfers=len(self.unknown_rows),
            last_change=self.changes,
            warnings=(*clock_warnings(self.clock_reading), *self.warnings),
            clock=self.clock_reading,
        )

    # --- Accounts

    async def accounts(self) -> Sequence[AccountView]:
        self._called("accounts")
        return tuple(self.views[name] for name in sorted(self.views))

    async def account(self, username: str) -> AccountView:
        self._called("account", username)
        return self._view(username)

    async def check_account(
        self, details: AccountDetails, *, existing: str | None = None
    ) -> AccountCheck:
        self._called("check_account", details, existing)
        problems = []
        username = details.username.lower()
        if len(username) < 2:
            problems.append(
                FieldProblem(
                    "username", f"{username!r} has {len(username)} letters, 2 to 32 are needed"
                )
            )
        elif username != existing and username in self.views:
            problems.append(
                FieldProblem("username", f"there is an account {username!r} already")
            )
        if not details.asset_code:
            problems.append(FieldProblem("asset_code", "an asset code is needed, such as USD"))
        url = details.ilp_over_http_url
        if url is not None and not url.startswith(("http://", "https://")):
            problems.append(
                FieldProblem("ilp_over_http_url", f"{url!r} does not begin with https://")
            )
        if (
            details.settle_threshold is not None
            and details.settle_to is not None
            and details.settle_to > details.settle_threshold
        ):
            problems.append(FieldProblem("settle_to", "it is above the settle threshold"))
        asset = Asset(details.asset_code or "?", details.asset_scale)
        warnings = []
        if details.min_balance is None:
            warnings.append(
                FieldProblem("min_balance", f"{username} may owe you without any limit")
            )
        summary = [
            f"{username} may owe you up to {format_amount(-details.min_balance, asset)}."
            if details.min_balance is not None
            else f"{username} may owe you any amount.",
        ]
        if details.settle_threshold is not None:
            summary.append(
                f"When you owe {username} {format_amount(details.settle_threshold, asset)} you "
                f"pay down to {format_amount(details.settle_to or 0, asset)}."
            )
        if details.max_packet_amount is not None:
            summary.append(
                f"Packets above {format_amount(details.max_packet_amount, asset)} are refused."
            )
        return AccountCheck(problems, warnings, summary)

    async def create_account(self, details: AccountDetails) -> AccountView:
        self._called("create_account", details)
        await self._refuse(details, None)
        view = self._new_view(self._account(details))
        self.views[view.account.username] = view
        self.changes += 1
        return view

    async def replace_account(self, username: str, details: AccountDetails) -> AccountView:
        self._called("replace_account", username, details)
        old = self._view(username)
        await self._refuse(details, username)
        account = dataclasses.replace(self._account(details), id=old.account.id)
        del self.views[username]
        view = dataclasses.replace(old, account=account, summary=_summary(account, old.balance))
        self.views[account.username] = view
        self.changes += 1
        return view

    async def change_account(self, username: str, changes: Mapping[str, object]) -> AccountView:
        self._called("change_account", username, dict(changes))
        details = dataclasses.replace(
            self._details(self._view(username).account),
            **changes,  # type: ignore[arg-type]  # the caller's fields
        )
        return await self.replace_account(username, details)

    async def set_enabled(self, username: str, *, enabled: bool) -> AccountView:
        self._called("set_enabled", username, enabled)
        view = self._view(username)
        self.views[username] = dataclasses.replace(
            view,
            account=dataclasses.replace(view.account, enabled=enabled),
            state=LinkState.IDLE if enabled else LinkState.PAUSED,
            state_reason="resumed just now" if enabled else "paused by you",
        )
        self.changes += 1
        return self.views[username]

    async def delete_account(
        self, username: str, *, even_with_balance: bool = False
    ) -> AccountView:
        self._called("delete_account", username, even_with_balance)
        view = self._view(username)
        if view.balance.net and not even_with_balance:
            raise AccountInUse(username, f"{view.summary}")
        del self.views[username]
        self.static = {p: hop for p, hop in self.static.items() if hop != username}
        self.changes += 1
        return view

    async def ping(self, username: str) -> PingResult:
        self._called("ping", username)
        view = self._view(username)
        if view.state is LinkState.DOWN:
            return PingResult(
                answered=False,
                latency_us=0,
                sentence=f"{username} does not answer: connection refused",
            )
        return PingResult(
            answered=True, latency_us=12_400, sentence=f"{username} answered in 12.4 ms"
        )

    # --- Routes

    async def routes(self) -> Sequence[RouteView]:
        self._called("routes")
        return await self._routes()

    async def _routes(self) -> Sequence[RouteView]:
        routes = {
            view.account.ilp_address: RouteView(
                prefix=view.account.ilp_address, next_hop=name, source="account"
            )
            for name, view in self.views.items()
        } | {
            prefix: RouteView(prefix=prefix, next_hop=hop, source="static")
            for prefix, hop in self.static.items()
        }
        if self.default is not None:
            routes[""] = RouteView(prefix="", next_hop=self.default, source="default")
        return tuple(routes[prefix] for prefix in sorted(routes))

    async def set_route(self, prefix: str, username: str) -> None:
        self._called("set_route", prefix, username)
        self._view(username)
        if " " in prefix:
            raise SettingError("prefix", f"{prefix!r} is no ILP address")
        self.static[prefix] = username
        self.changes += 1

    async def replace_routes(self, routes: Mapping[str, str]) -> None:
        self._called("replace_routes", dict(routes))
        self.static = dict(routes)
        self.changes += 1

    async def delete_route(self, prefix: str) -> None:
        self._called("delete_route", prefix)
        if self.static.pop(prefix, None) is None:
            raise UnknownRoute(prefix)
        self.changes += 1

    async def set_default_route(self, username: str | None) -> None:
        self._called("set_default_route", username)
        if username is not None:
            self._view(username)
        self.default = username
        self.changes += 1

    async def explain(
        self,
        destination: str,
        *,
        amount: int = 1,
        from_username: str | None = None,
        expires_in_ms: int = 30_000,
    ) -> RouteAnswer:
        self._called("explain", destination, amount, from_username, expires_in_ms)
        if " " in destination or "." not in destination:
            raise SettingError("destination", f"{destination!r} is no ILP address")
        sender = self.views.get(from_username or "") or next(iter(self.views.values()), None)
        covering = [r for r in await self._routes() if covers(r.prefix, destination)]
        covering.sort(key=lambda route: -len(route.prefix))
        steps = [
            Step("rate limit", Verdict.PASSES, "within the limits"),
            Step("validator", Verdict.PASSES, f"expires in {expires_in_ms / 1000:.1f} s"),
            Step("max packet amount", Verdict.PASSES, f"{amount} is not above the maximum"),
        ]
        if not covering:
            sentence = f"No route covers {destination}: the packet would be rejected with F02."
            steps.append(Step("router", Verdict.REJECTS, sentence))
            return RouteAnswer(
                forwarded=False,
                sentence=sentence,
                prefix=None,
                next_hop=None,
                incoming_amount=amount,
                incoming_asset=sender.account.asset if sender else None,
                outgoing_amount=None,
                outgoing_asset=None,
                expires_in_ms=None,
                alternatives=(),
                steps=tuple(steps),
            )
        route = covering[0]
        hop = self._view(route.next_hop)
        steps += [
            Step("router", Verdict.PASSES, f"{route.prefix or 'default'} → {route.next_hop}"),
            Step("exchange rate", Verdict.PASSES, "1 USD = 0.9312 EUR, spread 0.2 %"),
            Step("balance", Verdict.PASSES, f"{hop.account.username} has room for it"),
            Step("expiry", Verdict.PASSES, f"shortened by {hop.account.round_trip_time_ms} ms"),
            Step("http", Verdict.SENDS, f"sent to {hop.account.ilp_over_http_url}"),
        ]
        return RouteAnswer(
            forwarded=True,
            sentence=f"It would go to {route.next_hop}, by {route.prefix or 'the default route'}.",
            prefix=route.prefix,
            next_hop=route.next_hop,
            incoming_amount=amount,
            incoming_asset=sender.account.asset if sender else None,
            outgoing_amount=amount,
            outgoing_asset=hop.account.asset,
            expires_in_ms=expires_in_ms - hop.account.round_trip_time_ms,
            alternatives=tuple(covering[1:]),
            steps=tuple(steps),
        )

    # --- Rates

    async def rates(self) -> RatesView:
        self._called("rates")
        return RatesView(prices=dict(self.prices), spread=self.spread)

    async def set_rates(self, prices: Mapping[str, Decimal]) -> RatesView:
        self._called("set_rates", dict(prices))
        self.prices = {code: str(price) for code, price in prices.items()}
        return await self.rates()

    async def set_spread(self, spread: Fraction) -> RatesView:
        self._called("set_spread", spread)
        self.spread = spread
        return await self.rates()

    # --- Settlement

    async def settlements(
        self, *, limit: int = 500, username: str | None = None
    ) -> Sequence[SettlementRow]:
        self._called("settlements", limit, username)
        rows = [r for r in self.settlement_rows if username in (None, r.username)]
        rows.sort(key=lambda row: -row.created_at_ms)
        return tuple(rows[:limit])

    async def settlements_due(self) -> Sequence[SettlementDue]:
        self._called("settlements_due")
        due = []
        for name, view in sorted(self.views.items()):
            account = view.account
            if account.settle_threshold is None:
                continue
            owed = max(0, view.balance.net)
            is_due = owed >= account.settle_threshold and not view.open_settlement
            due.append(
                SettlementDue(
                    username=name,
                    asset=account.asset,
                    owed=owed,
                    settle_threshold=account.settle_threshold,
                    settle_to=account.settle_to,
                    engine_url=view.engine_url,
                    due=is_due,
                    reason="the threshold is crossed"
                    if is_due
                    else "a settlement is under way"
                    if view.open_settlement
                    else "below the threshold",
                )
            )
        due.sort(key=lambda row: Fraction(row.owed, row.settle_threshold or 1), reverse=True)
        return tuple(due)

    async def settle_now(self, username: str, amount: int | None = None) -> str:
        self._called("settle_now", username, amount)
        view = self._view(username)
        if view.open_settlement:
            raise Conflict(f"a settlement to {username} is under way already")
        if view.balance.net <= 0:
            raise Conflict(f"you owe {username} nothing")
        row = self._settlement(
            view,
            len(self.settlement_rows),
            state=SettlementState.INTENT,
            amount=amount or view.balance.net,
        )
        self.settlement_rows.append(row)
        self.views[username] = dataclasses.replace(view, open_settlement=True)
        return row.id

    async def engines(self) -> Sequence[EngineView]:
        self._called("engines")
        return tuple(self.engine_views)

    async def engine_urls(self) -> Mapping[str, str]:
        self._called("engine_urls")
        return dict(self.default_engines)

    async def set_engine_urls(self, urls: Mapping[str, str]) -> Mapping[str, str]:
        self._called("set_engine_urls", dict(urls))
        self.default_engines |= urls
        return dict(self.default_engines)

    async def unmatched(self) -> Sequence[UnmatchedRow]:
        self._called("unmatched")
        return tuple(self.unmatched_rows)

    async def assign_unmatched(self, key: str, username: str) -> None:
        self._called("assign_unmatched", key, username)
        self._view(username)
        if all(row.key != key for row in self.unmatched_rows):
            raise NotFound(f"no unmatched payment has the key {key!r}")
        self.unmatched_rows = [row for row in self.unmatched_rows if row.key != key]

    # --- Books

    async def unknown_transfers(self) -> Sequence[UnknownRow]:
        self._called("unknown_transfers")
        return tuple(self.unknown_rows)

    async def resolve_unknown(self, transfer_id: int, *, fulfilled: bool) -> None:
        self._called("resolve_unknown", transfer_id, fulfilled)
        self.unknown_rows = [row for row in self.unknown_rows if row.id != transfer_id]

    async def resolve_all_unknown(
        self, *, fulfilled: bool, peer: str | None = None, payment: str | None = None
    ) -> UnknownResolved:
        self._called("resolve_all_unknown", fulfilled, peer, payment)
        resolved = [
            row
            for row in self.unknown_rows
            if peer in (None, row.to_username) and payment in (None, row.payment)
        ]
        sums: dict[Asset, int] = {}
        for row in resolved:
            sums[row.outgoing_asset] = sums.get(row.outgoing_asset, 0) + row.outgoing_amount
        self.unknown_rows = [row for row in self.unknown_rows if row not in resolved]
        return UnknownResolved(transfers=len(resolved), sums=sums, more=False)

    async def correct_balance(self, username: str, amount: int, reason: str) -> AccountView:
        self._called("correct_balance", username, amount, reason)
        view = self._view(username)
        balance = dataclasses.replace(view.balance, payable=view.balance.payable + amount)
        self.views[username] = dataclasses.replace(
            view, balance=balance, summary=_summary(view.account, balance)
        )
        return self.views[username]

    async def audit(self) -> AuditReport:
        self._called("audit")
        return AuditReport(
            findings=(),
            totals=(
                AssetTotal(
                    "USD", 2, peers=-4200, exchange=4100, spread=100, settlement=0, loss=0,
                    correction=0,
                ),
            ),
            accounts=len(self.views),
            transfers=182_340,
            pending=2,
            unknown=len(self.unknown_rows),
            late=0,
        )  # fmt: skip

    async def exposure(self) -> Sequence[Exposure]:
        self._called("exposure")
        by_asset: dict[Asset, list[Balance]] = {}
        for view in self.views.values():
            by_asset.setdefault(view.account.asset, []).append(view.balance)
        return tuple(
            Exposure(
                asset=asset,
                owed_to_us=sum(max(0, -balance.net) for balance in balances),
                owed_by_us=sum(max(0, balance.net) for balance in balances),
                in_flight=sum(b.pending_in + b.pending_out for b in balances),
                unknown=sum(balance.unknown_out for balance in balances),
            )
            for asset, balances in sorted(by_asset.items(), key=lambda item: item[0].code)
        )

    # --- Traffic

    async def packets(self, *, after_sequence: int, limit: int = 2_000) -> Sequence[PacketView]:
        self._called("packets", after_sequence, limit)
        return tuple(p for p in self.packet_views if p.sequence > after_sequence)[-limit:]

    async def history(
        self, *, seconds: int, username: str | None = None, samples_max: int = 720
    ) -> History:
        self._called("history", seconds, username, samples_max)
        step = -(-seconds // samples_max)
        for coarser in (60, 3_600):
            step = -(-step // coarser) * coarser if step >= coarser else step
        step = max(step, 60) if seconds > 3_600 else step
        until = -(-(self.clock.now_ms() // 1000) // step) * step + step
        start = (until - seconds) // step * step
        samples = [
            self._sample(at, step, username) for at in range(start, until, step)
        ] if self.views else []  # fmt: skip
        return History(step_s=step, from_s=start, until_s=until, samples=samples)

    async def logs(self, *, after_sequence: int, limit: int = 2_000) -> Sequence[LogLine]:
        self._called("logs", after_sequence, limit)
        return tuple(line for line in self.log_lines if line.sequence > after_sequence)[-limit:]

    async def set_log_level(self, directive: str) -> str:
        self._called("set_log_level", directive)
        self.log_level = directive
        return directive

    # --- What it is made of

    def _view(self, username: str) -> AccountView:
        try:
            return self.views[username.lower()]
        except KeyError:
            raise UnknownAccount(username) from None

    async def _refuse(self, details: AccountDetails, existing: str | None) -> None:
        username = details.username.lower()
        if username != existing and username in self.views:
            raise AccountExists("username", username)
        check = await self.check_account(details, existing=existing)
        if check.problems:
            raise SettingError(check.problems[0].field, check.problems[0].problem)

    def _account(self, details: AccountDetails) -> Account:
        username = details.username.lower()
        return Account(
            id=AccountId(f"00000000-0000-4000-8000-{len(self.views):012}"),
            username=username,
            ilp_address=address(details.ilp_address or f"{self.ilp_address}.{username}"),
            asset=Asset(details.asset_code, details.asset_scale),
            max_packet_amount=details.max_packet_amount or 2**64 - 1,
            min_balance=details.min_balance,
            ilp_over_http_url=details.ilp_over_http_url,
            has_ilp_over_http_incoming_token=bool(details.ilp_over_http_incoming_token),
            settle_threshold=details.settle_threshold,
            settle_to=details.settle_to,
            settlement_engine_url=details.settlement_engine_url,
            settlement_address=details.settlement_address,
            routing_relation=RoutingRelation(details.routing_relation or "NonRoutingAccount"),
            round_trip_time_ms=details.round_trip_time or 500,
            packets_per_minute_limit=details.packets_per_minute_limit,
            amount_per_minute_limit=details.amount_per_minute_limit,
            enabled=details.enabled,
            label=details.label,
            notes=details.notes,
            created_at_ms=self.clock.now_ms(),
            updated_at_ms=self.clock.now_ms(),
        )

    def _details(self, account: Account) -> AccountDetails:
        return AccountDetails(
            username=account.username,
            asset_code=account.asset.code,
            asset_scale=account.asset.scale,
            ilp_address=account.ilp_address,
            max_packet_amount=account.max_packet_amount,
            min_balance=account.min_balance,
            ilp_over_http_url=account.ilp_over_http_url,
            settle_threshold=account.settle_threshold,
            settle_to=account.settle_to,
            settlement_engine_url=account.settlement_engine_url,
            settlement_address=account.settlement_address,
            routing_relation=account.routing_relation.value,
            round_trip_time=account.round_trip_time_ms,
            packets_per_minute_limit=account.packets_per_minute_limit,
            amount_per_minute_limit=account.amount_per_minute_limit,
            enabled=account.enabled,
            label=account.label,
            notes=account.notes,
        )

    def _new_view(self, account: Account) -> AccountView:
        return AccountView(
            account=account,
            balance=Balance(),
            state=LinkState.NEVER,
            state_reason="no packet has gone either way yet",
            summary=_summary(account, Balance()),
            prepares=0,
            fulfills=0,
            rejects=0,
            packets_per_second=0.0,
            last_packet_at_ms=None,
            last_reject="",
            engine_url=account.settlement_engine_url
            or self.default_engines.get(account.asset.code),
            open_settlement=False,
        )

    def _populate(self, peers: int) -> None:
        self.prices = {
            "USD": "1",
            "EUR": "1.0739",
            "XRP": "0.5312",
            "ETH": "3114.27",
            "JPY": "0.0067",
        }
        self.default_engines = {"ETH": "signalbox:ethereum"}
        for view in _peers(self, peers):
            self.views[view.account.username] = view
        names = sorted(self.views)
        self.static = {
            "test.exchange": "bob" if "bob" in self.views else names[0],
            "test.exchange.eu": "carol" if "carol" in self.views else names[-1],
            "test.bank.tokyo": "hana" if "hana" in self.views else names[0],
        }
        if peers > len(_NAMED):
            self.static |= {f"test.net{i:04}": names[i % len(names)] for i in range(peers)}
        self.default = "zurich" if "zurich" in self.views else names[0]
        self.engine_views = [self._engine()]
        self._populate_settlements()
        self.unmatched_rows = [
            UnmatchedRow(
                key="0x5f1c…:0",
                engine="ethereum",
                sender="0x52908400098527886E0F7030069857D2E4169EE7",
                ledger_amount=250_000_000_000_000_000,
                ledger_asset=ETH,
                transaction="0x" + "5f1c" * 16,
                seen_at_ms=NOW_MS - 540_000,
            )
        ]
        self.unknown_rows = [
            UnknownRow(
                id=(2 << 42) + 1871,
                from_username=names[0],
                to_username=names[1 % len(names)],
                outgoing_amount=1_250,
                outgoing_asset=self.views[names[1 % len(names)]].account.asset,
                destination=f"test.exchange.{names[1 % len(names)]}.shop",
                created_at_ms=NOW_MS - 7_200_000,
            )
        ]
        self.add_packets(400 if peers <= len(_NAMED) else 2_000)
        for index in range(60):
            self.clock.ms = NOW_MS - (60 - index) * 7_000
            self.add_log(*_LOG[index % len(_LOG)])
        self.clock.ms = NOW_MS

    def _engine(self) -> EngineView:
        return EngineView(
            status=EngineStatus(
                name="ethereum",
                kind="ethereum",
                pid=4242,
                epoch=3,
                started_at_ms=NOW_MS - 3 * 86_400_000,
                heartbeat_at_ms=NOW_MS - 800,
                stopped_at_ms=None,
                ledger="local test chain",
                address="0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
                asset_code="ETH",
                ledger_scale=18,
                balance=987_654_321_000_000_000_000,
                head=18_204,
                problem="",
            ),
            alive=True,
            sentence="Running on the local test chain, block 18204.",
        )

    def _populate_settlements(self) -> None:
        ether = [v for v in self.views.values() if v.account.asset.code == "ETH"]
        states = (
            (SettlementState.FINAL, ""), (SettlementState.CREDITED, ""),
            (SettlementState.FINAL, ""), (SettlementState.SENT, ""),
            (SettlementState.FAILED, "the wallet holds 0.02 ETH and 0.5 ETH are needed"),
            (SettlementState.FINAL, ""), (SettlementState.CREDITED, ""),
            (SettlementState.REVERSED, "block 18102 was replaced and no longer holds the payment"),
            (SettlementState.INTENT, ""), (SettlementState.SIGNED, ""),
        )  # fmt: skip
        for index in range(24 if ether else 0):
            state, problem = states[index % len(states)]
            self.settlement_rows.append(
                self._settlement(
                    ether[index % len(ether)],
                    index,
                    state=state,
                    problem=problem,
                    amount=(index + 1) * 12_500_000_000_000_000,
                )
            )

    def _settlement(
        self,
        view: AccountView,
        index: int,
        *,
        state: SettlementState,
        amount: int,
        problem: str = "",
    ) -> SettlementRow:
        incoming = state in (SettlementState.CREDITED, SettlementState.REVERSED)
        on_ledger = state not in (SettlementState.INTENT, SettlementState.SIGNED)
        at_ms = self.clock.now_ms() - index * 1_260_000 - 30_000
        return SettlementRow(
            id=f"5e771e00-0000-4000-8000-{index:012}",
            username=view.account.username,
            asset=view.account.asset,
            engine="ethereum",
            direction=Direction.IN if incoming else Direction.OUT,
            state=state,
            amount=amount,
            ledger_amount=amount * 10 ** (18 - view.account.asset.scale),
            ledger_asset=ETH,
            transaction=f"0x{index + 0xA11CE:064x}" if on_ledger else None,
            confirmations=12 if state is SettlementState.FINAL else 3 if on_ledger else None,
            fee=21_000 * 7_000_000_000 if on_ledger and not incoming else None,
            attempts=3 if problem else 1,
            problem=problem,
            created_at_ms=at_ms,
            updated_at_ms=at_ms + 15_000,
        )

    def _packet(self, sequence: int) -> PacketView:
        names = sorted(name for name, view in self.views.items() if view.packets_per_second)
        names = names or sorted(self.views)
        source = self.views[self.random.choice(names)]
        target = self.views[self.random.choice(names)]
        asset_in, asset_out = source.account.asset, target.account.asset
        amount = self.random.randrange(1, 2_000) * 10 ** max(0, asset_in.scale - 2)
        code, triggered_by, message, advice = "", "", "", ""
        if rejected := self.random.random() < 0.06:
            code, message, advice = self.random.choice(_REJECTS)
            triggered_by = self.random.choice(
                (self.ilp_address, target.account.ilp_address + ".shop")
            )
        no_route = code == "F02"
        return PacketView(
            sequence=sequence,
            at_ms=self.clock.now_ms() - max(0, 400 - sequence) * 120,
            from_username=source.account.username,
            to_username=None if no_route else target.account.username,
            destination=f"{target.account.ilp_address}.{self.random.choice(('shop', 'till~7', 'x4k'))}",
            incoming_amount=amount,
            incoming_asset=asset_in,
            outgoing_amount=None
            if no_route
            else amount * 998 // 1000 * 10**asset_out.scale // 10**asset_in.scale,
            outgoing_asset=None if no_route else asset_out,
            transfer=None if no_route else FIRST_TRANSFER + sequence,
            verdict=PacketVerdict.REJECTED if rejected else PacketVerdict.FULFILLED,
            code=code,
            triggered_by=triggered_by,
            message=message,
            advice=advice,
            latency_us=self.random.randrange(900, 42_000),
        )

    def _sample(self, at: int, step: int, username: str | None) -> HistorySample:
        noise = random.Random(at * 31 + step + len(username or ""))
        share = 1.0 if username is None else 0.15
        day = 1 + 0.45 * math.sin(at / 86_400 * math.tau) + 0.25 * math.sin(at / 700)
        prepares = max(0, round(48 * step * share * day * noise.uniform(0.75, 1.2)))
        codes: Counter[str] = Counter()
        for code, weight in (("T04", 0.030), ("F02", 0.012), ("R00", 0.008), ("T05", 0.006)):
            if count := round(prepares * weight * noise.uniform(0, 2)):
                codes[code] = count
        rejects = sum(codes.values())
        net = None
        if username is not None and username in self.views:
            view = self.views[username]
            end = view.balance.net
            until = self.clock.now_ms() // 1000
            span = max(abs(end), abs(view.account.min_balance or end) // 2, 1)
            saw = ((until - at) % 420) / 420
            net = end - round(span * 0.8 * saw)
        return HistorySample(
            at_s=at,
            prepares=prepares,
            fulfills=prepares - rejects,
            rejects=rejects,
            latency_us_mean=round(9_000 * noise.uniform(0.8, 1.3)),
            latency_us_max=round(30_000 * noise.uniform(0.8, 1.6)),
            reject_codes=dict(codes),
            incoming_amount=prepares * 900 if username else 0,
            outgoing_amount=prepares * 700 if username else 0,
            net=net,
        )


def _summary(account: Account, balance: Balance) -> str:
    if balance.net == 0:
        return f"{account.name} and you are even"
    amount = format_amount(abs(balance.net), account.asset)
    return (
        f"you owe {account.name} {amount}"
        if balance.net > 0
        else f"{account.name} owes you {amount}"
    )


# Name, asset, state, reason, net, credit given, threshold, packets a second. Amounts are exact
# multiples of a hundredth, or of a unit where the asset has no decimals.
_NAMED: Final = (
    ("bob", USD, LinkState.DEGRADED, "37 of its last 400 packets were rejected with T04", -9_700, 10_000, None, 21.4),
    ("carol", EUR, LinkState.UP, "answered 0.3 s ago", 1_240, 50_000, 25_000, 17.9),
    ("dave", USD, LinkState.UP, "answered 1.2 s ago", -6_100, 10_000, None, 9.3),
    ("erin", ETH, LinkState.UP, "answered 0.8 s ago", 42, 200, 50, 3.1),
    ("frank", ETH, LinkState.UP, "answered 2.0 s ago", -35, 100, 100, 2.2),
    ("grace", XRP, LinkState.UP, "answered 0.1 s ago", 312_040, 1_000_000, 500_000, 24.8),
    ("hana", JPY, LinkState.UP, "answered 4.4 s ago", -48_200, 250_000, None, 5.0),
    ("ivan", XRP, LinkState.DOWN, "connection refused by ivan.example:443, 14 attempts in 5 min", -81_000, 100_000, None, 0.0),
    ("judy", EUR, LinkState.PAUSED, "paused by you", 0, 20_000, None, 0.0),
    ("kofi", USD, LinkState.IDLE, "no packet for 41 min; answered the last ping", -1_500, 20_000, None, 0.0),
    ("liam", USD, LinkState.NEVER, "no packet has gone either way yet", 0, 5_000, None, 0.0),
    ("zurich", EUR, LinkState.UP, "answered 0.2 s ago", 88_410, None, 100_000, 31.6),
)  # fmt: skip


def _peers(operator: FakeOperator, count: int) -> Iterable[AccountView]:
    for index in range(count):
        name, asset, state, reason, net, credit, threshold, rate = _NAMED[index % len(_NAMED)]
        if index >= len(_NAMED):
            name = f"{name}{index:04}"
            net = net * (index % 17) // 17
        unit = 10 ** max(0, asset.scale - 2)
        account = Account(
            id=AccountId(f"acc00000-0000-4000-8000-{index:012}"),
            username=name,
            ilp_address=address(f"{operator.ilp_address}.{name}"),
            asset=asset,
            max_packet_amount=10_000 * unit,
            min_balance=None if credit is None else -credit * unit,
            ilp_over_http_url=f"https://{name}.example/accounts/alice/ilp",
            has_ilp_over_http_incoming_token=True,
            settle_threshold=None if threshold is None else threshold * unit,
            settle_to=None if threshold is None else 0,
            settlement_address="0x52908400098527886E0F7030069857D2E4169EE7"
            if asset is ETH
            else None,
            routing_relation=RoutingRelation.PARENT
            if name == "zurich"
            else RoutingRelation.CHILD
            if name == "liam"
            else RoutingRelation.PEER,
            enabled=state is not LinkState.PAUSED,
            label="Zürich Exchange" if name == "zurich" else "",
            notes="Met at the summit; prefers e-mail." if name == "bob" else "",
            created_at_ms=NOW_MS - (40 - index % 40) * 86_400_000,
            updated_at_ms=NOW_MS - index * 3_600_000,
        )
        busy = rate > 0
        balance = Balance(
            payable=max(0, net) * unit,
            receivable=max(0, -net) * unit,
            pending_in=180 * unit if busy and index % 3 == 0 else 0,
            pending_out=95 * unit if busy and index % 4 == 0 else 0,
        )
        noise = random.Random(index)
        prepares = round(rate * 3_600) if busy else 0
        rejects = prepares // (11 if name == "bob" else 120)
        yield AccountView(
            account=account,
            balance=balance,
            state=state,
            state_reason=reason,
            summary=_summary(account, balance),
            prepares=prepares,
            fulfills=prepares - rejects,
            rejects=rejects,
            packets_per_second=rate,
            last_packet_at_ms=NOW_MS - (300 if busy else 2_460_000)
            if state is not LinkState.NEVER
            else None,
            last_reject=f"T04 {error_words(ErrorCode.INSUFFICIENT_LIQUIDITY)}: you may owe alice no more than 100.00 USD"
            if name == "bob"
            else "",
            engine_url="signalbox:ethereum" if asset is ETH else None,
            open_settlement=name == "frank",
            recent_net=[
                balance.net - round(abs(balance.net) * (60 - i) / 75 * noise.uniform(0.7, 1.1))
                for i in range(60)
            ]
            if busy
            else (),
            last_reject_is_ours=name == "bob",
        )


_REJECTS: Final = (
    (
        "T04",
        "insufficient liquidity: this packet would take the balance beyond -100.00 USD",
        "The peer has used all the credit you give it: ask it to settle, or raise its limit.",
    ),
    (
        "F02",
        "no route covers the destination",
        "Nobody you know reaches this address: add a route or a default route.",
    ),
    (
        "R00",
        "the packet expired before the next hop answered",
        "The next hop took too long: look at its latency.",
    ),
    (
        "F05",
        "<b>wrong condition</b>",
        "The receiver's fulfillment did not match: its software is at fault.",
    ),
    (
        "T05",
        "more than 6,000 packets a minute",
        "The peer sends faster than its limit allows.",
    ),
)

_LOG: Final = (
    ("INFO", "core.node", "listening on 127.0.0.1:7770"),
    ("INFO", "core.links.http", "connected to carol.example:443"),
    ("DEBUG", "core.telemetry", "wrote 12 points of history"),
    ("WARNING", "core.links.http", "ivan.example:443 refused the connection, attempt 14"),
    ("INFO", "core.settlement", "settlement to erin is final after 12 confirmations"),
    ("ERROR", "core.settlement", "the wallet holds 0.02 ETH and 0.5 ETH are needed"),
)
