"""`signalbox-cli` for routes, rates, engines, settlements, books, traffic and the log."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

from core.cli.answers import Row, as_row, as_rows, lines, moment, money, part, parts
from core.cli.client import BadSetting, Node
from core.cli.output import Output
from core.cli.tables import facts, shown, table, visible
from core.control.engines import engine_doubt
from core.control.node_warnings import offset_words, span_words
from core.control.words import counted

RESOLVED: Final = {
    "fulfilled": "was fulfilled: what it carried is owed to the peer, and its sender is not charged",
    "not-fulfilled": "was not fulfilled: nothing is owed for it",
}
RESOLVED_ALL: Final = {
    "fulfilled": "fulfilled, so that is owed to the peer, and the senders are not charged",
    "not-fulfilled": "not fulfilled, so nothing is owed for that",
}
"""What the peer's statement said, and what that means in the books."""


def status(node: Node, _arguments: argparse.Namespace, output: Output) -> int:
    """Show the node at a glance."""
    answer = node.call("GET", "status")
    row = as_row(answer)
    seen = {
        name.removesuffix("_ms"): moment(value) if name.endswith("_ms") else value
        for name, value in row.items()
        if name not in {"problems", "warnings", "clock"}
    }
    seen["clock"] = _clock(part(row, "clock"))
    text = facts(seen) + "".join(f"problem: {line}\n" for line in lines(row, "problems"))
    if isinstance(row.get("warnings"), list):  # which a node of an older version does not tell
        text += "".join(
            f"warning: {visible(warning.get('sentence'))}\n"
            for warning in parts(row, "warnings")
        )
    output.show(answer, text)
    return 0 if row.get("status") == "Ready" else 1


def _clock(clock: Row) -> str:
    """Return how far the node's clock is from those of its peers."""
    offset, bound, peers = clock.get("offset_ms"), clock.get("bound_ms"), clock.get("peers")
    if not (isinstance(offset, int) and isinstance(bound, int) and isinstance(peers, list)):
        return "not known: no peer has told the time lately"
    told = counted(len(peers), "peer")
    return f"{offset_words(offset, bound)}, give or take {span_words(bound)}, by {told}"


# --- Routes


def routes(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show the routing table."""
    answer = node.call("GET", "routes", "table")
    rows = [
        [row.get("prefix") or "(default)", row.get("next_hop"), row.get("source")]
        for row in as_rows(answer)
    ]
    output.show(answer, table(("prefix", "next hop", "source"), rows))


def set_route(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Add or replace a static route."""
    answer = node.call("PUT", "routes", "static", arguments.prefix, text=arguments.destination)
    output.show(answer, f"{arguments.prefix} leads to {answer}\n")


def replace_routes(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Replace all static routes."""
    answer = node.call("PUT", "routes", "static", body=_pairs(arguments))
    output.show(answer, f"there are {len(as_row(answer))} static routes now\n")


def delete_route(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Remove a static route."""
    answer = node.call("DELETE", "routes", "static", arguments.prefix)
    output.show(answer, f"{arguments.prefix} was removed\n")


def set_default_route(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Send what no prefix covers to an account."""
    answer = node.call("PUT", "routes", "default", text=arguments.username)
    output.show(answer, f"the default route leads to {answer}\n")


def delete_default_route(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Send what no prefix covers to nobody."""
    answer = node.call("DELETE", "routes", "default")
    output.show(answer, "there is no default route\n")


def explain(node: Node, arguments: argparse.Namespace, output: Output) -> int:
    """Say where a packet would go."""
    answer = node.call(
        "GET",
        "explain",
        query={
            "destination": arguments.destination,
            "amount": arguments.amount,
            "from": arguments.sender,
            "expires_in_ms": arguments.expires_in_ms,
        },
    )
    row = as_row(answer)
    steps = [
        [step.get("service"), step.get("verdict"), step.get("code"), step.get("sentence")]
        for step in parts(row, "steps")
    ]
    text = f"{shown(row.get('sentence'))}\n\n"
    text += table(("service", "verdict", "code", "why"), steps)
    others = [
        [route.get("prefix") or "(default)", route.get("next_hop"), route.get("source")]
        for route in parts(row, "alternatives")
    ]
    if others:
        text += "\nshorter prefixes that cover it too:\n"
        text += table(("prefix", "next hop", "source"), others)
    output.show(answer, text)
    return 0 if row.get("forwarded") is True else 1


# --- Rates


def rates(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show prices and the spread, exact."""
    _show_rates(node.call("GET", "rates", "exact"), output)


def set_rates(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Replace all prices."""
    node.call("PUT", "rates", body=_pairs(arguments))
    _show_rates(node.call("GET", "rates", "exact"), output)


def set_spread(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Replace our share of each conversion."""
    _show_rates(node.call("PUT", "rates", "spread", text=arguments.spread), output)


def _show_rates(answer: object, output: Output) -> None:
    row = as_row(answer)
    prices = [[code, price] for code, price in part(row, "prices").items()]
    text = table(("asset", "price"), prices) + f"spread {shown(row.get('spread'))}\n"
    output.show(answer, text)


# --- Settlement


def engine_urls(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show the default engine of each asset."""
    _show_engine_urls(node.call("GET", "settlement", "engines"), output)


def set_engine_urls(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Add or replace default engines, and say which of them will pay nothing."""
    pairs = _pairs(arguments)
    node.call("PUT", "settlement", "engines", body=pairs)
    engines = as_rows(node.call("GET", "engines"))
    known = {str(row.get("name")): str(row.get("asset_code")) for row in engines}
    doubts = [
        (code, engine_doubt(str(url), code.upper(), known)) for code, url in pairs.items()
    ]
    warnings = "".join(f"warning: {code}: {doubt}\n" for code, doubt in doubts if doubt)
    _show_engine_urls(node.call("GET", "settlement", "engines"), output, warnings)


def _show_engine_urls(answer: object, output: Output, warnings: str = "") -> None:
    rows = [[code, url] for code, url in as_row(answer).items()]
    output.show(answer, table(("asset", "engine"), rows) + warnings)


def engines(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show the engine processes."""
    answer = node.call("GET", "engines")
    rows = [
        [
            row.get("name"),
            row.get("alive"),
            row.get("address"),
            row.get("pid"),
            row.get("sentence"),
        ]
        for row in as_rows(answer)
    ]
    output.show(answer, table(("engine", "alive", "wallet", "pid", "state"), rows))


def settlements(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show settlements, the newest first."""
    answer = node.call(
        "GET", "settlements", query={"limit": arguments.limit, "username": arguments.username}
    )
    rows = [
        [
            moment(row.get("created_at_ms")),
            row.get("username"),
            row.get("direction"),
            money(row.get("amount"), row),
            row.get("state"),
            row.get("engine"),
            row.get("transaction"),
            row.get("problem") or None,
        ]
        for row in as_rows(answer)
    ]
    columns = (
        "time", "account", "way", "amount", "state", "engine", "transaction", "problem",
    )  # fmt: skip
    output.show(answer, table(columns, rows))


def settlements_due(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show what is owed, and why it is or is not settled."""
    answer = node.call("GET", "settlements", "due")
    rows = [
        [
            row.get("username"),
            money(row.get("owed"), row),
            money(row.get("settle_threshold"), row),
            row.get("due"),
            row.get("reason"),
        ]
        for row in as_rows(answer)
    ]
    output.show(answer, table(("account", "owed", "threshold", "due", "why"), rows))


def unmatched(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show money that nobody is credited for."""
    answer = node.call("GET", "settlements", "unmatched")
    rows = [
        [
            row.get("key"),
            row.get("engine"),
            row.get("sender"),
            money(row.get("ledger_amount"), part(row, "ledger_asset")),
            moment(row.get("seen_at_ms")),
        ]
        for row in as_rows(answer)
    ]
    output.show(answer, table(("key", "engine", "sender", "amount", "seen"), rows))


def assign_unmatched(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Credit it to an account."""
    body = {"key": arguments.key, "username": arguments.username}
    answer = node.call("POST", "settlements", "unmatched", "assign", body=body)
    output.show(answer, f"{arguments.username} was credited\n")


# --- Books


def audit(node: Node, _arguments: argparse.Namespace, output: Output) -> int:
    """Derive every balance anew and compare."""
    answer = node.call("GET", "audit")
    row = as_row(answer)
    columns = ("peers", "exchange", "spread", "settlement", "loss", "correction", "sum")
    totals = [
        [
            f"{total.get('asset_code')}@{total.get('asset_scale')}",
            *(total.get(c) for c in columns),
        ]
        for total in parts(row, "totals")
    ]
    text = table(("asset", *columns), totals)
    text += "".join(f"{shown(finding)}\n" for finding in lines(row, "findings"))
    if row.get("late"):
        text += f"fulfilled too late: {row['late']}, and what is owed for that is a loss\n"
    passed = row.get("passed") is True
    text += f"{_counted(row, 'transfer')}, {_counted(row, 'account')}: "
    text += "the books hold\n" if passed else "the books do not hold\n"
    output.show(answer, text)
    return 0 if passed else 1


def exposure(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show what is owed, per asset."""
    answer = node.call("GET", "exposure")
    names = ("owed_to_us", "owed_by_us", "in_flight", "unknown")
    rows = [
        [row.get("asset_code"), *(money(row.get(name), row) for name in names)]
        for row in as_rows(answer)
    ]
    columns = ("asset", "owed to you", "owed by you", "in flight", "undecided")
    output.show(answer, table(columns, rows))


def unknown(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show what crashes left undecided."""
    answer = node.call("GET", "unknown-transfers")
    rows = [
        [
            row.get("id"),
            row.get("from_username"),
            row.get("to_username"),
            money(row.get("outgoing_amount"), part(row, "outgoing_asset")),
            row.get("destination"),
            moment(row.get("created_at_ms")),
            row.get("payment"),
        ]
        for row in as_rows(answer)
    ]
    text = ""
    if rows:
        sums = as_row(node.call("GET", "unknown-transfers", "sums"))
        text = table(
            ("by peer", "undecided"),
            [
                [row.get("username"), money(row.get("undecided"), row)]
                for row in parts(sums, "peers")
            ],
        )
        if payments := parts(sums, "payments"):
            text += "\n" + table(
                ("by payment", "account", "receiver", "undecided"),
                [
                    [
                        row.get("id"),
                        row.get("username"),
                        row.get("receiver"),
                        money(row.get("undecided"), row),
                    ]
                    for row in payments
                ],
            )
        text += "\n"
    text += table(("id", "from", "to", "amount", "destination", "made", "payment"), rows)
    output.show(answer, text)


def resolve_unknown(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Decide one, or all of a payment or of a peer, by the peer's statement."""
    *ids, outcome = arguments.statement
    chosen = {
        name: text
        for name, text in (("payment", arguments.payment), ("peer", arguments.peer))
        if text is not None
    }
    if outcome not in RESOLVED:
        raise BadSetting(
            f"{outcome} was found: `fulfilled` or `not-fulfilled` is needed at the end"
        )
    if len(ids) + bool(chosen) != 1:
        raise BadSetting("one id, or --payment or --peer or both of these, is needed")
    body: dict[str, object] = {"fulfilled": outcome == "fulfilled"}
    if ids:
        answer = node.call("POST", "unknown-transfers", ids[0], "resolve", body=body)
        output.show(answer, f"transfer {ids[0]} {RESOLVED[outcome]}\n")
        return
    answer = node.call("POST", "unknown-transfers", "resolve", body=body | chosen)
    output.show(answer, _resolved(as_row(answer), outcome))


def _counted(row: Row, noun: str, field: str = "") -> str:
    """Return how many a row says that there are, in a field that is called as the noun where no other is named."""
    found = row.get(field or f"{noun}s")
    return counted(found, noun) if isinstance(found, int) else f"{shown(found)} {noun}s"


def _resolved(row: Row, outcome: str) -> str:
    if not row.get("resolved"):
        return "nothing of that is undecided\n"
    sums = ", ".join(shown(money(one.get("amount"), one)) for one in parts(row, "sums"))
    meaning = RESOLVED_ALL[outcome]
    text = f"{_counted(row, 'transfer', 'resolved')}, {sums} together: {meaning}\n"
    if row.get("more"):
        text += "there are more: the same command again resolves them\n"
    return text


# --- Traffic


def packets(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show the newest packets."""
    answer = node.call(
        "GET", "packets", query={"after": arguments.after, "limit": arguments.limit}
    )
    rows = [
        [
            moment(row.get("at_ms")),
            row.get("from_username"),
            row.get("to_username"),
            money(row.get("incoming_amount"), part(row, "incoming_asset")),
            row.get("code") or "ok",
            _milliseconds(row),
            row.get("transfer"),
            row.get("destination"),
            row.get("message") or None,
        ]
        for row in as_rows(answer)
    ]
    columns = ("time", "from", "to", "amount", "end", "ms", "transfer", "destination", "said")
    output.show(answer, table(columns, rows))


def history(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show what happened, step by step."""
    answer = node.call(
        "GET",
        "history",
        query={
            "seconds": arguments.seconds,
            "username": arguments.username,
            "samples": arguments.samples,
        },
    )
    rows = [
        [
            moment(_times_1000(row.get("at_s"))),
            row.get("prepares"),
            row.get("fulfills"),
            row.get("rejects"),
            row.get("net"),
        ]
        for row in parts(as_row(answer), "samples")
    ]
    output.show(answer, table(("from", "prepares", "fulfilled", "rejected", "net"), rows))


def logs(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show the log's newest lines, or set its level."""
    if arguments.level is not None:
        answer = node.call("PUT", "tracing-level", text=arguments.level)
        output.show(answer, f"{shown(answer)}\n")
        return
    answer = node.call(
        "GET", "logs", query={"after": arguments.after, "limit": arguments.limit}
    )
    text = "".join(
        f"{moment(row.get('at_ms'))} {str(row.get('level')).upper():8}"
        f" {shown(row.get('component'))}: {shown(row.get('text'))}\n"
        for row in as_rows(answer)
    )
    output.show(answer, text)


def _milliseconds(row: Row) -> str | None:
    latency = row.get("latency_us")
    return f"{latency / 1000:.1f}" if isinstance(latency, int) else None


def _times_1000(seconds: object) -> object:
    return seconds * 1000 if isinstance(seconds, int) else seconds


def _pairs(arguments: argparse.Namespace) -> Mapping[str, object]:
    pairs: dict[str, object] = {}
    for name, value in arguments.pair or []:
        if name in pairs:
            raise BadSetting(f"{name} stands there twice")
        pairs[name] = value
    return pairs
