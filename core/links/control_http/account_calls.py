"""The API's calls for accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from core.control.account_fields import TOKEN_SET
from core.control.details import read_details, read_integer
from core.control.operator import Operator
from core.errors import SettingError, SettingErrors
from core.links.control_http.account_json import (
    account_json,
    account_view_json,
    balance_json,
    check_json,
)
from core.links.control_http.as_json import ping_json
from core.links.control_http.body import page, query_flag, read_object
from core.links.control_http.guard import Access
from core.links.control_http.long_list import list_response
from core.public_address import is_inside

SETTINGS_FIELDS: Final = (
    "ilp_over_http_url",
    "ilp_over_http_incoming_token",
    "ilp_over_http_outgoing_token",
    "ilp_over_btp_url",
    "ilp_over_btp_incoming_token",
    "ilp_over_btp_outgoing_token",
    "settle_threshold",
    "settle_to",
)
"""What the account's own user may change, as in interledger-rs."""
_NEVER_SET: Final = ("id", "created_at_ms", "updated_at_ms")
"""What an account is shown with and nobody sets."""


async def create(operator: Operator, request: web.Request) -> web.Response:
    """Add an account: POST /accounts."""
    details = read_details(await read_object(request))
    view = await operator.create_account(details)
    return web.json_response(account_json(view.account))


async def list_all(operator: Operator, request: web.Request) -> web.Response:
    """Return every account: GET /accounts; `limit` and `offset` are optional."""
    views = await operator.accounts()
    return await list_response(views[page(request)], lambda view: account_json(view.account))


async def overview(operator: Operator, request: web.Request) -> web.Response:
    """Return every account with what it owes and does: GET /overview."""
    views = await operator.accounts()
    return await list_response(views[page(request)], account_view_json)


async def check(operator: Operator, request: web.Request) -> web.Response:
    """Say what details would mean, and save nothing: POST /accounts/check."""
    details = read_details(await read_object(request))
    found = await operator.check_account(details, existing=request.query.get("existing"))
    return web.json_response(check_json(found))


async def show(operator: Operator, request: web.Request) -> web.Response:
    """Return one account: GET /accounts/{username}."""
    return web.json_response(account_json((await operator.account(_name(request))).account))


async def show_overview(operator: Operator, request: web.Request) -> web.Response:
    """Return one account with what it owes and does: GET /accounts/{username}/overview."""
    return web.json_response(account_view_json(await operator.account(_name(request))))


async def change(operator: Operator, request: web.Request) -> web.Response:
    """Change what is named, clear what is null, keep the rest: PUT /accounts/{username}."""
    changes = await _changes(operator, request)
    view = await operator.change_account(_name(request), changes)
    return web.json_response(account_json(view.account))


async def _changes(operator: Operator, request: web.Request) -> Mapping[str, object]:
    """Return what a PUT changes: clients of Interledger.rs send back all of what they were shown.

    Raises:
        SettingErrors: what nobody sets is not as it is shown.
    """
    changes = await read_object(request)
    shown = account_json((await operator.account(_name(request))).account)
    wrong = [name for name in _NEVER_SET if name in changes and changes[name] != shown[name]]
    if wrong:
        raise SettingErrors(
            [(name, f"it is {shown[name]} and cannot be set") for name in wrong]
        )
    return {
        name: value
        for name, value in changes.items()
        if name not in _NEVER_SET and not (value == TOKEN_SET == shown.get(name))
    }


async def change_settings(
    operator: Operator, request: web.Request, access: Access
) -> web.Response:
    """Change what its own user may change: PUT /accounts/{username}/settings."""
    changes = await _changes(operator, request)
    unknown = [name for name in changes if name not in SETTINGS_FIELDS]
    if unknown:
        why = f"it is none of the settings, which are {', '.join(SETTINGS_FIELDS)}"
        raise SettingErrors([(name, why) for name in unknown])
    if not access.admin:
        _refuse_what_users_may_not(changes)
    view = await operator.change_account(_name(request), changes)
    return web.json_response(account_json(view.account))


async def delete(operator: Operator, request: web.Request) -> web.Response:
    """Remove an account: DELETE /accounts/{username}; with a balance only if the query says so."""
    view = await operator.delete_account(
        _name(request), even_with_balance=query_flag(request, "even_with_balance")
    )
    return web.json_response(account_json(view.account))


async def balance(operator: Operator, request: web.Request) -> web.Response:
    """Return what is owed: GET /accounts/{username}/balance."""
    return web.json_response(balance_json(await operator.account(_name(request))))


async def pause(operator: Operator, request: web.Request) -> web.Response:
    """Stop its packets: POST /accounts/{username}/pause."""
    view = await operator.set_enabled(_name(request), enabled=False)
    return web.json_response(account_json(view.account))


async def resume(operator: Operator, request: web.Request) -> web.Response:
    """Let its packets flow again: POST /accounts/{username}/resume."""
    view = await operator.set_enabled(_name(request), enabled=True)
    return web.json_response(account_json(view.account))


async def ping(operator: Operator, request: web.Request) -> web.Response:
    """Ask whether the other side is there: POST /accounts/{username}/ping."""
    return web.json_response(ping_json(await operator.ping(_name(request))))


async def settle(operator: Operator, request: web.Request) -> web.Response:
    """Start a settlement: POST /accounts/{username}/settle, `{"amount": "1000"}` or nothing."""
    body = await read_object(request, may_be_absent=True)
    _only(body, "amount")
    given = body.get("amount")
    amount = None if given is None else read_integer("amount", given)
    settlement = await operator.settle_now(_name(request), amount)
    return web.json_response({"id": settlement})


async def correct(operator: Operator, request: web.Request) -> web.Response:
    """Correct what is owed: POST /accounts/{username}/correction, amount and reason."""
    body = await read_object(request)
    _only(body, "amount", "reason")
    reason = body.get("reason")
    if not isinstance(reason, str):
        raise SettingError("reason", "it is text, and a correction needs one")
    amount = read_integer("amount", body.get("amount"))
    view = await operator.correct_balance(_name(request), amount, reason)
    return web.json_response(balance_json(view))


def _name(request: web.Request) -> str:
    return request.match_info["username"]


def _only(body: Mapping[str, object], *known: str) -> None:
    for name in body:
        if name not in known:
            raise SettingError(
                name, f"it is not known here; this call takes {', '.join(known)}"
            )


def _refuse_what_users_may_not(changes: Mapping[str, object]) -> None:
    """Keep a user from pointing this node at machines that only it can reach, and from a prefund.

    Raises:
        SettingError: says what only the operator may set.
    """
    for name in ("ilp_over_http_url", "ilp_over_btp_url"):
        url = changes.get(name)
        if isinstance(url, str) and _is_private(url):
            raise SettingError(name, "it leads into the node's own network; ask its operator")
    settle_to = changes.get("settle_to")
    if settle_to is not None and read_integer("settle_to", settle_to) < 0:
        raise SettingError("settle_to", "it is below 0; only the operator may pay in advance")


def _is_private(url: str) -> bool:
    try:
        return is_inside(urlsplit(url).hostname or "")
    except ValueError:
        return False  # no URL at all, which is refused for that
