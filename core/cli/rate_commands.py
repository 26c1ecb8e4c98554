"""`signalbox-cli rates …` for the feed: sources, jumps, spreads of pairs, the converter, and what was in force."""

from __future__ import annotations

import argparse
from typing import Final

from core.cli.answers import Row, as_row, as_rows, lines, moment, parts
from core.cli.client import Node, Refused
from core.cli.output import Output
from core.cli.tables import facts, shown, table
from core.rates.formats import duration

PRICE_CHARACTERS: Final = 20
_TEXTS = ("kind", "url", "base", "path", "api_key", "poll_seconds", "max_age_seconds")


def feed(node: Node, _arguments: argparse.Namespace, output: Output) -> int:
    """Show prices with their ages, sources, and what needs you."""
    return _show_feed(node.call("GET", "rates", "feed"), output)


def add_source(node: Node, arguments: argparse.Namespace, output: Output) -> int:
    """Add a source."""
    body = {"name": arguments.name, **_described(arguments)}
    answer = node.call("POST", "rates", "sources", body=body)
    return _show_source(answer, arguments.name, "added", output)


def replace_source(node: Node, arguments: argparse.Namespace, output: Output) -> int:
    """Change all of a source."""
    answer = node.call("PUT", "rates", "sources", arguments.name, body=_described(arguments))
    return _show_source(answer, arguments.name, "changed", output)


def remove_source(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Remove a source, and what it said."""
    _show_feed(node.call("DELETE", "rates", "sources", arguments.name), output)


def test_source(node: Node, arguments: argparse.Namespace, output: Output) -> int:
    """Ask a source now; nothing comes into force."""
    if arguments.kind is None:
        answer = node.call("POST", "rates", "sources", arguments.name, "test")
    else:
        body = {"name": arguments.name, **_described(arguments)}
        answer = node.call("POST", "rates", "sources", "test", body=body)
    row = as_row(answer)
    prices = row.get("prices")
    rows = [[code, price] for code, price in (as_row(prices) if prices else {}).items()]
    text = f"{shown(row.get('sentence'))}\n"
    text += "".join(f"problem: {line}\n" for line in lines(row, "problems"))
    output.show(
        answer, text + (table(("asset", f"price in {row.get('base')}"), rows) if rows else "")
    )
    return 0 if row.get("worked") is True else 1


def confirm_jump(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Put a held price into force."""
    _show_feed(node.call("POST", "rates", "jumps", arguments.code, "confirm"), output)


def refuse_jump(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Keep the price that is in force."""
    _show_feed(node.call("POST", "rates", "jumps", arguments.code, "refuse"), output)


def set_guard(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Say which jumps are held."""
    limit = None if arguments.jump_limit == "none" else arguments.jump_limit
    body = {"jump_limit": limit, "jump_samples": arguments.jump_samples}
    _show_feed(node.call("PUT", "rates", "guard", body=body), output)


def set_reference(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Count all prices in another asset."""
    _show_feed(node.call("PUT", "rates", "reference", text=arguments.code), output)


def set_watched(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Keep the prices of further assets."""
    _show_feed(node.call("PUT", "rates", "watched", body={"codes": arguments.codes}), output)


def set_pair_spread(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Set our share of what is converted from one asset into another, or remove it."""
    pair = (arguments.source, arguments.target)
    if arguments.spread == "":
        answer = node.call("DELETE", "rates", "spreads", *pair)
    else:
        answer = node.call("PUT", "rates", "spreads", *pair, text=arguments.spread)
    _show_feed(answer, output)


def convert(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Say what an amount would become."""
    query = {
        "amount": arguments.amount,
        "source": arguments.source,
        "target": arguments.target,
        "from": arguments.sender,
        "to": arguments.receiver,
    }
    answer = node.call("GET", "rates", "convert", query=query)
    output.show(answer, f"{shown(as_row(answer).get('sentence'))}\n")


def snapshots(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show what was in force, the newest first."""
    answer = node.call("GET", "rates", "snapshots", query={"limit": arguments.limit})
    rows = [
        [
            row.get("id"),
            moment(row.get("at_ms")),
            ", ".join(
                f"{price.get('code')} {price.get('price')}" for price in parts(row, "prices")
            ),
        ]
        for row in as_rows(answer)
    ]
    output.show(answer, table(("id", "since", "prices"), rows))


def of_transfer(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Say by which rate a packet was converted."""
    answer = node.call("GET", "rates", "transfers", arguments.id)
    row = as_row(answer)
    text = f"{shown(row.get('sentence'))}\n"
    if row.get("prices") is not None:
        prices = as_row(row.get("prices"))
        text += f"in force since {moment(prices.get('at_ms'))}, in {shown(prices.get('reference'))}:\n"
        text += _prices(prices)
    output.show(answer, text)


def _described(arguments: argparse.Namespace) -> dict[str, object]:
    body: dict[str, object] = {
        name: getattr(arguments, name)
        for name in _TEXTS
        if getattr(arguments, name) is not None
    }
    for name, given in (("assets", arguments.asset), ("prices", arguments.price)):
        if given:
            body[name] = dict(given)
    if arguments.inverted:
        body["inverted"] = True
    if arguments.disabled:
        body["enabled"] = False
    return body


def _show_source(answer: object, name: str, done: str, output: Output) -> int:
    """Show one source after a change; return 1 where it was asked and is of no use."""
    for source in parts(as_row(answer), "sources"):
        if str(source.get("name")) != name.strip().lower():
            continue
        fails = (
            source.get("works") is not True
            and source.get("enabled") is not False
            and source.get("tried_at_ms") is not None
        )
        what = f"{source.get('name')} was {done}"
        what += ", and does not work" if fails else ""
        output.show(answer, f"{shown(what)}: {shown(source.get('sentence'))}\n")
        return 1 if fails else 0
    raise Refused("what answered is no node: it does not have what it was told")


def _show_feed(answer: object, output: Output) -> int:
    row = as_row(answer)
    sources = [
        [source.get("name"), source.get("kind"), source.get("works"), source.get("sentence")]
        for source in parts(row, "sources")
    ]
    pairs = [
        [f"{pair.get('source')} to {pair.get('target')}", pair.get("spread")]
        for pair in parts(row, "pair_spreads")
    ]
    text = _prices(row)
    text += f"\n{table(('source', 'kind', 'works', 'how'), sources)}" if sources else ""
    text += f"\n{table(('pair', 'spread'), pairs)}" if pairs else ""
    text += "\n" + facts(
        {
            "counted in": row.get("reference"),
            "spread": row.get("spread"),
            "a jump is more than": row.get("jump_limit"),
            "samples that confirm it, of one source alone": row.get("jump_samples"),
            "in force as": row.get("rate_id"),
            "since": moment(row.get("rate_at_ms")),
        }
    )
    problems = lines(row, "problems")
    text += "".join(f"problem: {line}\n" for line in problems)
    output.show(answer, text)
    return 1 if problems else 0


def _prices(row: Row) -> str:
    prices = [
        [
            price.get("code"),
            _short(str(price.get("price"))),
            _age(price.get("age_ms")),
            "you" if price.get("by_operator") else ", ".join(map(str, lines(price, "sources"))),
            "stale" if price.get("stale") else "held" if price.get("held") else None,
        ]
        for price in parts(row, "prices")
    ]
    return table(("asset", "price", "age", "by", "trouble"), prices)


def _short(price: str) -> str:
    """Return a price for a table: what is cut off is in `--json`."""
    return price if len(price) <= PRICE_CHARACTERS else price[: PRICE_CHARACTERS - 1] + "…"


def _age(milliseconds: object) -> str | None:
    return duration(milliseconds) if isinstance(milliseconds, int) else None
