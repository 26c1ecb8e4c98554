"""`signalbox-cli routes` for what peers tell: with whom, why, and what changed."""

from __future__ import annotations

import argparse

from core.cli.answers import Row, as_row, as_rows, moment, parts
from core.cli.client import Node
from core.cli.output import Output
from core.cli.tables import shown, table


def peers(node: Node, _arguments: argparse.Namespace, output: Output) -> None:
    """Show with whom routes are exchanged."""
    answer = node.call("GET", "routes", "peers")
    rows = as_rows(answer)
    text = table(
        ("account", "relation", "state", "learned", "used", "told", "refused", "last heard"),
        [
            [
                row.get("username"),
                row.get("relation"),
                row.get("state"),
                row.get("learned"),
                row.get("used"),
                row.get("advertised"),
                row.get("refused"),
                moment(row.get("last_update_at_ms")),
            ]
            for row in rows
        ],
    )
    text += "".join(
        f"{shown(row.get('username'))}: {shown(row.get('problem'))}\n"
        for row in rows
        if row.get("problem")
    )
    output.show(answer, text)


def ask(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Ask a peer for all of its routes anew."""
    answer = node.call("POST", "routes", "peers", arguments.username, "ask")
    output.show(answer, f"{shown(as_row(answer).get('sentence'))}\n")


def why(node: Node, arguments: argparse.Namespace, output: Output) -> int:
    """Show which ways there are, and why one won."""
    answer = node.call("GET", "routes", "why", query={"destination": arguments.destination})
    row = as_row(answer)
    ways = [
        [
            "*" if way.get("chosen") is True else "",
            way.get("next_hop"),
            way.get("source"),
            way.get("weight"),
            _path(way),
            way.get("reason"),
        ]
        for way in parts(row, "candidates")
    ]
    text = f"{shown(row.get('sentence'))}\n\n"
    text += table(("", "next hop", "source", "weight", "path", "why"), ways)
    output.show(answer, text)
    return 0 if row.get("prefix") is not None else 1


def changes(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show what changed of late."""
    answer = node.call(
        "GET",
        "routes",
        "changes",
        query={"after": arguments.after, "limit": arguments.limit},
    )
    rows = [
        [
            row.get("sequence"),
            moment(row.get("at_ms")),
            row.get("prefix"),
            row.get("before"),
            row.get("after"),
            _path(row),
            row.get("reason"),
        ]
        for row in as_rows(answer)
    ]
    columns = ("sequence", "time", "prefix", "before", "after", "path", "why")
    output.show(answer, table(columns, rows))


def _path(row: Row) -> str:
    path = row.get("path")
    return " ".join(str(hop) for hop in path) if isinstance(path, list) else ""
