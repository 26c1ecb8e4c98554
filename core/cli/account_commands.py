"""`signalbox-cli accounts …`, `balance`, `ping` and `settle`."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Final

from core.account import ROUND_TRIP_TIME_MS_DEFAULT
from core.cli.answers import Row, as_row, as_rows, lines, moment, money
from core.cli.client import Node, Refused, Unreachable
from core.cli.output import Output
from core.cli.tables import facts, table, visible
from core.control.details import ALL_FIELDS, BOOLEAN_FIELDS, INTEGER_FIELDS
from core.packet import AMOUNT_MAX

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
_PLAIN: Final[Mapping[str, object]] = {
    "max_packet_amount": AMOUNT_MAX,
    "round_trip_time": ROUND_TRIP_TIME_MS_DEFAULT,
    "route_weight": 0,
    "enabled": True,
}
"""What an account has where nobody said anything."""
_YES_OR_NO: Final = {"yes": True, "true": True, "no": False, "false": False}
DETAIL_FIELDS: Final = tuple(name for name in ALL_FIELDS if name not in {"username", "enabled"})


def create(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Add an account, and say what it means, and what of it is allowed and probably not meant."""
    body = {"username": arguments.username, **_given(arguments, DETAIL_FIELDS)}
    found = as_row(node.call("POST", "accounts", "check", body=body))
    made = node.call("POST", "accounts", body=body)
    row = as_row(made)
    text = f"{row.get('username')} was added, at {row.get('ilp_address')}\n"
    text += "".join(f"{line}\n" for line in lines(found, "summary"))
    output.show(made, text + _findings(found, "warnings"))


def update(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Change what is named, keep the rest."""
    body = _given(arguments, DETAIL_FIELDS)
    if arguments.new_username is not None:
        body["username"] = arguments.new_username
    answer = node.call("PUT", "accounts", arguments.username, body=body)
    _show_account(answer, output, named=body)


def update_settings(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Change what the account's own user may change."""
    body = _given(arguments, SETTINGS_FIELDS)
    answer = node.call("PUT", "accounts", arguments.username, "settings", body=body)
    _show_account(answer, output, named=body)


def check(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Say what details would mean, and save nothing."""
    body = {"username": arguments.username, **_given(arguments, DETAIL_FIELDS)}
    answer = node.call("POST", "accounts", "check", body=body)
    row = as_row(answer)
    text = "".join(f"{line}\n" for line in lines(row, "summary"))
    text += _findings(row, "problems") + _findings(row, "warnings")
    output.show(answer, text)


def _findings(row: Row, kind: str) -> str:
    """Return a line for each problem or warning of a check."""
    return "".join(
        f"{kind.removesuffix('s')}: {found.get('name')}: {found.get('reason')}\n"
        for found in as_rows(row.get(kind))
    )


def info(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show one account."""
    _show_account(node.call("GET", "accounts", arguments.username), output)


def list_all(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show every account with what is owed and how its link is."""
    answer = node.call("GET", "overview")
    rows = [
        [
            row.get("username"),
            money(row.get("net"), row),
            row.get("summary"),
            row.get("state"),
            row.get("fulfills"),
            row.get("rejects"),
            row.get("last_reject") or None,
        ]
        for row in as_rows(answer)
    ]
    columns = ("account", "net", "in words", "link", "fulfilled", "rejected", "last reject")
    output.show(answer, table(columns, rows))


def delete(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Remove an account."""
    query = {"even_with_balance": "true"} if arguments.even_with_balance else None
    answer = node.call("DELETE", "accounts", arguments.username, query=query)
    output.show(answer, f"{as_row(answer).get('username')} was deleted\n")


def balance(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show what is owed."""
    answer = node.call("GET", "accounts", arguments.username, "balance")
    row = as_row(answer)
    shown: dict[str, object] = {
        "net": money(row.get("net"), row),
        "you owe (payable)": money(row.get("payable"), row),
        "they owe (receivable)": money(row.get("receivable"), row),
        "in flight from them": money(row.get("pending_in"), row),
        "in flight to them": money(row.get("pending_out"), row),
        "undecided since a crash": money(row.get("unknown_out"), row),
    }
    output.show(answer, f"{row.get('summary')}\n\n{facts(shown)}")


def pause(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Stop an account's packets."""
    _show_account(
        node.call("POST", "accounts", arguments.username, "pause"), output, named=["enabled"]
    )


def resume(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Let an account's packets flow again."""
    _show_account(
        node.call("POST", "accounts", arguments.username, "resume"), output, named=["enabled"]
    )


def correct(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Correct what is owed, with a reason that the journal keeps."""
    body = {"amount": arguments.amount, "reason": arguments.reason}
    answer = node.call("POST", "accounts", arguments.username, "correction", body=body)
    output.show(answer, f"{as_row(answer).get('summary')}\n")


def ping(node: Node, arguments: argparse.Namespace, output: Output) -> int:
    """Ask whether the other side is there."""
    answer = node.call("POST", "accounts", arguments.username, "ping")
    row = as_row(answer)
    output.show(answer, f"{visible(row.get('sentence'))}\n")
    return 0 if row.get("answered") is True else 1


def settle(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Start a settlement."""
    body = {} if arguments.amount is None else {"amount": arguments.amount}
    answer = node.call("POST", "accounts", arguments.username, "settle", body=body)
    started = as_row(answer).get("id")
    output.show(
        answer, f"settlement {started} was started{_how_much(node, arguments, started)}\n"
    )


def _how_much(node: Node, arguments: argparse.Namespace, settlement_id: object) -> str:
    """Return what a settlement pays, since without --amount it is whatever is owed at the moment."""
    query = {"username": arguments.username, "limit": 10}
    try:
        listed = as_rows(node.call("GET", "settlements", query=query))
    except (Refused, Unreachable):
        return (
            ""  # It was started: nobody shall take it for one that was not, and order another.
        )
    found = next((row for row in listed if row.get("id") == settlement_id), None)
    return (
        ""
        if found is None
        else f": {money(found.get('amount'), found)} to {arguments.username}"
    )


def _given(arguments: argparse.Namespace, names: tuple[str, ...]) -> dict[str, object]:
    """Return what was given on the command line; an empty text clears a field."""
    found: dict[str, object] = {}
    for name in names:
        value = getattr(arguments, name, None)
        if value is not None:
            found[name] = None if value == "" else value
            if name in BOOLEAN_FIELDS and value in _YES_OR_NO:
                found[name] = _YES_OR_NO[value]
    return found


def _show_account(answer: object, output: Output, *, named: Collection[str] = ()) -> None:
    """Show what is set of an account, and what was named; the rest is in the node's JSON."""
    row = as_row(answer)
    shown: dict[str, object] = {}
    for name, value in row.items():
        is_set = value not in (None, "", []) and value != _PLAIN.get(name)
        # Without a least balance it may owe without limit, which is to be seen.
        if not is_set and name != "min_balance" and name not in named:
            continue
        if name in INTEGER_FIELDS and _is_amount(name):
            shown[name] = _amount(name, value, row)
        elif name.endswith("_at_ms"):
            shown[name.removesuffix("_ms")] = moment(value)
        elif isinstance(value, list):
            shown[name] = ", ".join(str(each) for each in value)
        else:
            shown[name] = value
    output.show(answer, facts(shown))


def _is_amount(name: str) -> bool:
    return "amount" in name or name in {"min_balance", "settle_threshold", "settle_to"}


def _amount(name: str, value: object, row: Row) -> str | None:
    if value == AMOUNT_MAX:
        return "as large as a packet can carry"
    if name == "min_balance" and value is None:
        return "none: it may owe you without limit"
    return money(value, row)


def detail_options() -> Mapping[str, str]:
    """Return each detail of an account, and what its option's help says."""
    return {
        "ilp_address": "its ILP address (default: a segment under the node's own)",
        "asset_code": "what it counts, as USD",
        "asset_scale": "how many decimals its amounts have, as 2",
        "max_packet_amount": "the largest packet accepted from it, in its smallest unit",
        "min_balance": "what its balance may not fall below: 0 is prepaid, -10000 is credit",
        "ilp_over_http_url": "where its packets are sent",
        "ilp_over_http_incoming_token": "the token that it sends",
        "ilp_over_http_outgoing_token": "the token that we send",
        "ilp_over_btp_url": "where it speaks BTP",
        "ilp_over_btp_incoming_token": "the BTP token that it sends",
        "ilp_over_btp_outgoing_token": "the BTP token that we send",
        "settle_threshold": "how much we owe before we pay, in its smallest unit",
        "settle_to": "how much we owe after we paid",
        "settlement_engine_url": "the engine that pays, as signalbox:ethereum",
        "settlement_address": "where it is paid on the engine's ledger",
        "routing_relation": "Parent, Peer, Child or NonRoutingAccount",
        "round_trip_time": "milliseconds that a packet to it and back is given",
        "packets_per_minute_limit": "how many packets a minute it may send",
        "amount_per_minute_limit": "how much a minute it may send, in its smallest unit",
        "packet_burst_limit": "how many packets it may send at once (default: a minute's)",
        "amount_burst_limit": "how much it may send at once (default: a minute's)",
        "packets_in_flight_limit": "how many packets of it may wait for answers at once",
        "amount_in_flight_limit": "how much those packets may carry together",
        "outgoing_amount_per_minute_limit": "how much a minute is sent to it, in its smallest unit",
        "spread": "our share of what goes to it, as 0.005 or 0.5%%",
        "send_routes": "yes or no: whether it is told our routes (default: by its relation)",
        "receive_routes": "yes or no: whether its routes are taken (default: by its relation)",
        "import_prefixes": "take routes under these alone, as test.far,test.near",
        "export_prefixes": "tell routes under these alone",
        "routes_max": "how many routes may be taken from it",
        "route_weight": "of two equal prefixes the heavier next hop wins (default: 0)",
        "label": "what to call it on screens",
        "notes": "your own notes",
    }
