"""`signalbox-cli ping ADDRESS`, `address …` and `auto-peer`."""

from __future__ import annotations

import argparse
from fractions import Fraction
from typing import Final

from core.cli.answers import Row, as_row, as_rows, lines, moment
from core.cli.client import Node
from core.cli.output import Output
from core.cli.tables import facts, visible

_DIGITS: Final = 6
"""Of a rate, as people read it; the node's JSON has it exact."""


def ping(node: Node, arguments: argparse.Namespace, output: Output) -> int:
    """Ask whether an account's link, or the node at an address, is there."""
    if _asks_link_alone(arguments):
        answer = node.call("POST", "accounts", arguments.target, "ping")
        row = as_row(answer)
        output.show(answer, f"{visible(row.get('sentence'))}\n")
        return 0 if row.get("answered") is True else 1
    options = {
        "amount": arguments.amount,
        "from": arguments.sender,
        "count": arguments.count,
    }
    body = {
        "destination": arguments.target,
        "kind": "one way" if arguments.one_way else "echo",
        **{name: value for name, value in options.items() if value is not None},
    }
    answer = node.call("POST", "ping", body=body)
    row = as_row(answer)
    output.show(answer, _report(row))
    return 0 if row.get("answered") else 1


def _asks_link_alone(arguments: argparse.Namespace) -> bool:
    options = (arguments.amount, arguments.sender, arguments.count)
    return (
        "." not in arguments.target
        and not arguments.one_way
        and not arguments.echo
        and all(option is None for option in options)
    )


def _report(row: Row) -> str:
    attempts = as_rows(row.get("attempts"))
    text = ""
    if len(attempts) > 1:
        text = "".join(
            f"{number}: {visible(a.get('sentence'))}\n" for number, a in enumerate(attempts, 1)
        )
    text += f"{visible(row.get('sentence'))}\n"
    rate = row.get("rate")
    if isinstance(rate, str):
        sent, back = row.get("asset_code"), row.get("returned_asset_code")
        text += f"rate there and back: {_decimal(rate)} {back} for one {sent}\n"
    return text


def _decimal(text: str) -> str:
    """Return a fraction with some decimals, rounded down."""
    try:
        whole = Fraction(text) * 10**_DIGITS
    except (ValueError, ZeroDivisionError):
        return text
    digits = str(whole.numerator // whole.denominator).rjust(_DIGITS + 1, "0")
    return f"{digits[:-_DIGITS]}.{digits[-_DIGITS:]}"


def show_address(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show this node's address and where it is from."""
    _show_address(node.call("GET", "address"), output)


def ask_parent(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Ask the parent for it now."""
    _show_address(node.call("POST", "address", "ask"), output)


def _show_address(answer: object, output: Output) -> None:
    row = as_row(answer)
    rows = {
        "ilp_address": row.get("ilp_address"),
        "source": row.get("source"),
        "parent": row.get("parent"),
        "asked_at": moment(row.get("asked_at_ms")),
        "answered_at": moment(row.get("answered_at_ms")),
        "asked_again_at": moment(row.get("next_at_ms")),
    }
    output.show(answer, f"{visible(row.get('sentence'))}\n{facts(rows)}")


def auto_peer(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Offer ourselves to a node that takes peers by itself, and show the account."""
    body: dict[str, object] = {
        "url": arguments.url,
        "asset_code": arguments.asset_code,
        "asset_scale": arguments.asset_scale,
        "our_url": arguments.our_url,
        "replace": arguments.replace,
        "allow_private": arguments.allow_private,
    }
    for name in ("username", "name", "max_packet_amount"):
        if getattr(arguments, name) is not None:
            body[name] = getattr(arguments, name)
    if arguments.min_balance is not None:
        body["min_balance"] = arguments.min_balance or None
    answer = node.call("POST", "peers", "auto", body=body)
    row = as_row(answer)
    warnings = "".join(f"warning: {visible(line)}\n" for line in lines(row, "warnings"))
    output.show(answer, f"{visible(row.get('sentence'))}\n{warnings}")
