"""Accounts as JSON: shaped as interledger-rs shapes them, with what only we have behind it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from core.account import Account, format_number
from core.control.account_fields import TOKEN_SET
from core.control.shares import share_text
from core.control.views import AccountCheck, AccountView, FieldProblem
from core.ledger.books import Balance
from core.links.control_http.as_json import Json, asset_json


def account_json(account: Account) -> Json:
    """Return an account in interledger-rs's shape, and behind it what only we have."""
    return {
        "id": account.id,
        "username": account.username,
        "ilp_address": account.ilp_address,
        "asset_code": account.asset.code,
        "asset_scale": account.asset.scale,
        "max_packet_amount": account.max_packet_amount,
        "min_balance": account.min_balance,
        "ilp_over_http_url": account.ilp_over_http_url,
        "ilp_over_http_incoming_token": _secret(set_=account.has_ilp_over_http_incoming_token),
        "ilp_over_http_outgoing_token": _secret(
            set_=account.ilp_over_http_outgoing_token is not None
        ),
        "ilp_over_btp_url": account.ilp_over_btp_url,
        "ilp_over_btp_incoming_token": _secret(set_=account.has_ilp_over_btp_incoming_token),
        "ilp_over_btp_outgoing_token": _secret(
            set_=account.ilp_over_btp_outgoing_token is not None
        ),
        "settle_threshold": account.settle_threshold,
        "settle_to": account.settle_to,
        "routing_relation": account.routing_relation.value,
        "round_trip_time": account.round_trip_time_ms,
        "amount_per_minute_limit": account.amount_per_minute_limit,
        "packets_per_minute_limit": account.packets_per_minute_limit,
        "settlement_engine_url": account.settlement_engine_url,
        "settlement_address": account.settlement_address,
        "packet_burst_limit": account.packet_burst_limit,
        "amount_burst_limit": account.amount_burst_limit,
        "packets_in_flight_limit": account.packets_in_flight_limit,
        "amount_in_flight_limit": account.amount_in_flight_limit,
        "outgoing_amount_per_minute_limit": account.outgoing_amount_per_minute_limit,
        "spread": None if account.spread is None else share_text(account.spread),
        "send_routes": account.send_routes,
        "receive_routes": account.receive_routes,
        "import_prefixes": list(account.import_prefixes),
        "export_prefixes": list(account.export_prefixes),
        "routes_max": account.routes_max,
        "route_weight": account.route_weight,
        "enabled": account.enabled,
        "label": account.label,
        "notes": account.notes,
        "created_at_ms": account.created_at_ms,
        "updated_at_ms": account.updated_at_ms,
    }


def balance_json(view: AccountView) -> Json:
    """Return a balance: interledger-rs's float, and beside it what is exact."""
    asset, balance = view.account.asset, view.balance
    return {
        "balance": float(Decimal(balance.net).scaleb(-asset.scale)),
        "asset_code": asset.code,
        "asset_scale": asset.scale,
        "exact": format_number(balance.net, asset.scale),
        "summary": view.summary,
        **_booked(balance),
    }


def account_view_json(view: AccountView) -> Json:
    """Return an account with what it owes, does, and how its link is."""
    return {
        "username": view.account.username,
        "label": view.account.label,
        **asset_json(view.account.asset),
        "exact": format_number(view.balance.net, view.account.asset.scale),
        **_booked(view.balance),
        "summary": view.summary,
        "state": view.state.value,
        "state_reason": view.state_reason,
        "prepares": view.prepares,
        "fulfills": view.fulfills,
        "rejects": view.rejects,
        "packets_per_second": view.packets_per_second,
        "last_packet_at_ms": view.last_packet_at_ms,
        "last_reject": view.last_reject,
        "engine_url": view.engine_url,
        "open_settlement": view.open_settlement,
        "recent_net": [str(net) for net in view.recent_net],
    }


def check_json(check: AccountCheck) -> Json:
    """Return what a check found."""
    return {
        "problems": [_field(found) for found in check.problems],
        "warnings": [_field(found) for found in check.warnings],
        "summary": list(check.summary),
    }


def _booked(balance: Balance) -> Mapping[str, object]:
    return {
        "net": str(balance.net),
        "payable": str(balance.payable),
        "receivable": str(balance.receivable),
        "pending_in": str(balance.pending_in),
        "pending_out": str(balance.pending_out),
        "unknown_out": str(balance.unknown_out),
    }


def _secret(*, set_: bool) -> str | None:
    return TOKEN_SET if set_ else None


def _field(found: FieldProblem) -> Json:
    return {"name": found.field, "reason": found.problem}
