"""The API's calls for how this node stands among others: its address, pings, and peers by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from core.account import Asset
from core.control.details import read_integer
from core.control.operator import Operator
from core.control.peering_views import (
    AutoPeerRequest,
    AutoPeerResult,
    ParentView,
    PingAttempt,
    PingKind,
    PingReport,
)
from core.errors import SettingError, SettingErrors
from core.links.control_http.account_json import account_json
from core.links.control_http.body import read_object

_PING_FIELDS: Final = ("destination", "kind", "amount", "from", "count")
_OFFER_TEXTS: Final = ("url", "asset_code", "our_url", "username", "name")
_OFFER_NUMBERS: Final = ("asset_scale", "max_packet_amount", "min_balance")
_OFFER_FLAGS: Final = ("replace", "allow_private")
_OFFER_NEEDED: Final = ("url", "asset_code", "asset_scale", "our_url")


async def ping(operator: Operator, request: web.Request) -> web.Response:
    """Ping an address, or a peer's own: POST /ping."""
    body = await read_object(request)
    _only(body, _PING_FIELDS)
    report = await operator.ping_address(
        _text(body, "destination"),
        kind=_kind(body.get("kind")),
        amount=read_integer("amount", body.get("amount", 0)),
        from_username=_optional_text(body, "from"),
        count=read_integer("count", body.get("count", 1)),
    )
    return web.json_response(report_json(report))


async def show_address(operator: Operator, _request: web.Request) -> web.Response:
    """Return this node's address and where it has it from: GET /address."""
    return web.json_response(parent_json(await operator.parent()))


async def ask_parent(operator: Operator, _request: web.Request) -> web.Response:
    """Ask the parent for our address now: POST /address/ask."""
    return web.json_response(parent_json(await operator.ask_parent()))


async def auto_peer(operator: Operator, request: web.Request) -> web.Response:
    """Offer ourselves to a node that takes peers by itself: POST /peers/auto."""
    body = await read_object(request)
    _only(body, (*_OFFER_TEXTS, *_OFFER_NUMBERS, *_OFFER_FLAGS))
    missing = [name for name in _OFFER_NEEDED if body.get(name) is None]
    if missing:
        raise SettingErrors([(name, "it is missing") for name in missing])
    wanted = AutoPeerRequest(
        url=_text(body, "url"),
        asset_code=_text(body, "asset_code"),
        asset_scale=read_integer("asset_scale", body["asset_scale"]),
        our_url=_text(body, "our_url"),
        username=_optional_text(body, "username"),
        name=_optional_text(body, "name"),
        max_packet_amount=_optional_integer(body, "max_packet_amount"),
        min_balance=_optional_integer(body, "min_balance") if "min_balance" in body else 0,
        replace=_flag(body, "replace"),
        allow_private=_flag(body, "allow_private"),
    )
    return web.json_response(auto_peer_json(await operator.auto_peer(wanted)))


def report_json(report: PingReport) -> Mapping[str, object]:
    """Return what came of a ping."""
    return {
        "destination": report.destination,
        "kind": report.kind.value,
        "sent": report.sent,
        "answered": report.answered,
        "amount": str(report.amount),
        **_asset("asset", report.asset),
        **_asset("returned_asset", report.returned_asset),
        "rate": None if report.rate is None else str(report.rate),
        "latency_us_least": report.latency_us_least,
        "latency_us_mean": report.latency_us_mean,
        "latency_us_most": report.latency_us_most,
        "sentence": report.sentence,
        "attempts": [_attempt(attempt) for attempt in report.attempts],
    }


def parent_json(view: ParentView) -> Mapping[str, object]:
    """Return this node's address and its parent."""
    return {
        "ilp_address": view.ilp_address,
        "source": view.source.value,
        "parent": view.parent,
        "asked_at_ms": view.asked_at_ms,
        "answered_at_ms": view.answered_at_ms,
        "next_at_ms": view.next_at_ms,
        "sentence": view.sentence,
    }


def auto_peer_json(result: AutoPeerResult) -> Mapping[str, object]:
    """Return the account that was made."""
    return {
        "account": account_json(result.account.account),
        "was_replaced": result.was_replaced,
        "sentence": result.sentence,
        "warnings": list(result.warnings),
    }


def _attempt(attempt: PingAttempt) -> Mapping[str, object]:
    returned = attempt.returned_amount
    return {
        "answered": attempt.answered,
        "latency_us": attempt.latency_us,
        "returned_amount": None if returned is None else str(returned),
        "sentence": attempt.sentence,
    }


def _asset(prefix: str, asset: Asset | None) -> Mapping[str, object]:
    return {
        f"{prefix}_code": None if asset is None else asset.code,
        f"{prefix}_scale": None if asset is None else asset.scale,
    }


def _only(body: Mapping[str, object], known: tuple[str, ...]) -> None:
    unknown = [name for name in body if name not in known]
    if unknown:
        why = f"it is not known here; this call takes {', '.join(known)}"
        raise SettingErrors([(name, why) for name in unknown])


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise SettingError(name, "it is missing, or no text")
    return value


def _optional_text(body: Mapping[str, object], name: str) -> str | None:
    return None if body.get(name) is None else _text(body, name)


def _optional_integer(body: Mapping[str, object], name: str) -> int | None:
    value = body.get(name)
    return None if value is None else read_integer(name, value)


def _flag(body: Mapping[str, object], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise SettingError(name, "it is true or false")
    return value


def _kind(value: object) -> PingKind:
    if value is None:
        return PingKind.ECHO
    try:
        return PingKind(value)
    except ValueError:
        kinds = " or ".join(kind.value for kind in PingKind)
        raise SettingError("kind", f"it is {kinds}") from None
