"""The operator's door, as a protocol: what the window, the HTTP API and the command line call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from core.control.payments_operator import PaymentOperator
from core.control.peering_operator import PeeringOperator
from core.control.rates_operator import RateFeedOperator
from core.control.route_operator import RouteExchangeOperator
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


class Operator(
    PeeringOperator, PaymentOperator, RouteExchangeOperator, RateFeedOperator, Protocol
):
    """Everything an operator can see and do.

    What was changed is durable when a call returns; a call that raises changed nothing. Usernames
    are taken in any case and found in their canonical form. All may raise StoreUnavailable.
    """

    async def status(self) -> NodeStatus: ...

    # --- Accounts

    async def accounts(self) -> Sequence[AccountView]:
        """Return every account, by username."""

    async def account(self, username: str) -> AccountView:
        """Return one; raises UnknownAccount."""

    async def check_account(
        self, details: AccountDetails, *, existing: str | None = None
    ) -> AccountCheck:
        """Say what these details would mean and what is wrong with them; `existing` is the username being changed."""

    async def create_account(self, details: AccountDetails) -> AccountView:
        """Add an account; raises SettingError with the first fault, or AccountExists."""

    async def replace_account(self, username: str, details: AccountDetails) -> AccountView:
        """Change all of it; a token that is None stays, an empty one is cleared. Raises as `create_account`, and UnknownAccount."""

    async def change_account(self, username: str, changes: Mapping[str, object]) -> AccountView:
        """Change single fields of AccountDetails by name: absent stays, None clears. Raises as `replace_account`."""

    async def set_enabled(self, username: str, *, enabled: bool) -> AccountView:
        """Pause or resume: a paused account sends and receives nothing, with a reason that says so."""

    async def delete_account(
        self, username: str, *, even_with_balance: bool = False
    ) -> AccountView:
        """Remove it; raises AccountInUse where it has packets in flight, or a balance that was not allowed for."""

    async def ping(self, username: str) -> PingResult:
        """Send an empty packet over its link and time the answer; any ILP answer is a sign of life."""

    # --- Routes

    async def routes(self) -> Sequence[RouteView]:
        """Return the routing table, by prefix."""

    async def set_route(self, prefix: str, username: str) -> None:
        """Add or replace a static route; raises SettingError for a bad prefix, UnknownAccount."""

    async def replace_routes(self, routes: Mapping[str, str]) -> None:
        """Replace all static routes at once: prefix to username."""

    async def delete_route(self, prefix: str) -> None:
        """Remove a static route; raises UnknownRoute."""

    async def set_default_route(self, username: str | None) -> None:
        """Send what no prefix covers to this account, or to nobody."""

    async def explain(
        self,
        destination: str,
        *,
        amount: int = 1,
        from_username: str | None = None,
        expires_in_ms: int = 30_000,
    ) -> RouteAnswer:
        """Say where a packet would go, by walking the chain dry; without a sender, any account that may send stands in."""

    # --- Rates

    async def rates(self) -> RatesView: ...

    async def set_rates(self, prices: Mapping[str, Decimal]) -> RatesView:
        """Replace all prices that the operator set, which win over those of sources.

        Raises:
            SettingError: one is not a number above zero.
        """

    async def set_spread(self, spread: Fraction) -> RatesView:
        """Replace the share that is ours; 0 ≤ spread < 1."""

    # --- Settlement

    async def settlements(
        self, *, limit: int = 500, username: str | None = None
    ) -> Sequence[SettlementRow]:
        """Return the newest first."""

    async def settlements_due(self) -> Sequence[SettlementDue]:
        """Return every account that has a threshold, an engine or a debt, the most urgent first."""

    async def settle_now(self, username: str, amount: int | None = None) -> str:
        """Start a settlement of `amount`, or down to settle_to; returns its id. Raises Conflict with the reason it cannot."""

    async def engines(self) -> Sequence[EngineView]: ...

    async def engine_urls(self) -> Mapping[str, str]:
        """Return the default engine of each asset code."""

    async def set_engine_urls(self, urls: Mapping[str, str]) -> Mapping[str, str]:
        """Add or replace default engines; raises SettingError for a URL that names none."""

    async def unmatched(self) -> Sequence[UnmatchedRow]: ...

    async def assign_unmatched(self, key: str, username: str) -> None: ...

    # --- Books

    async def unknown_transfers(self) -> Sequence[UnknownRow]: ...

    async def resolve_unknown(self, transfer_id: int, *, fulfilled: bool) -> None:
        """Decide one by the peer's statement; raises Conflict where it is decided otherwise already."""

    async def resolve_all_unknown(
        self, *, fulfilled: bool, peer: str | None = None, payment: str | None = None
    ) -> UnknownResolved:
        """Decide all of a peer, or of a payment of ours, or what is of both; one that was decided meanwhile stays so.

        Raises:
            SettingError: neither is named.
            UnknownAccount, NotFound: there is no such peer, or no such payment.
        """

    async def correct_balance(self, username: str, amount: int, reason: str) -> AccountView:
        """Add `amount` to what we owe, by the operator's word; the reason is kept in the journal."""

    async def audit(self) -> AuditReport: ...

    async def exposure(self) -> Sequence[Exposure]:
        """Return what is owed, per asset."""

    # --- Traffic

    async def packets(self, *, after_sequence: int, limit: int = 2_000) -> Sequence[PacketView]:
        """Return packets that ended since, oldest first, the newest `limit` of them; the node keeps 20,000."""

    async def history(
        self, *, seconds: int, username: str | None = None, samples_max: int = 720
    ) -> History:
        """Return the last so many seconds, at the resolution that fits `samples_max`."""

    async def logs(self, *, after_sequence: int, limit: int = 2_000) -> Sequence[LogLine]:
        """Return log lines since, oldest first, the newest `limit` of them."""

    async def set_log_level(self, directive: str) -> str:
        """Set the level of the log, `info` or `info,core.links=debug`; returns what is in force."""
