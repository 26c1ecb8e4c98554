"""The commands, their names as in interledger-rs's ilp-cli where it has them."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, Protocol, TypeAlias

from core.cli import (
    account_commands as accounts,
    node_commands as node,
    payment_commands as payments,
    peering_commands as peering,
    rate_commands as rates,
    route_commands as routes,
)
from core.cli.client import TOKEN_VARIABLE, Node
from core.cli.examples import EXAMPLES
from core.cli.output import Output
from core.config import program_version

URL_DEFAULT: Final = "http://127.0.0.1:7770"
URL_VARIABLE: Final = "SIGNALBOX_NODE_URL"
EPILOG: Final = f"""\
The node is --node, or {URL_VARIABLE}, or {URL_DEFAULT}. The token is --auth, or
{TOKEN_VARIABLE}, or in the file --auth-file; a node on this machine is called
with the token that it left beside its store, where you may read that. Times are in UTC.

exit codes: 0 done; 1 the node refused, or what was asked about is not well;
            2 the command line cannot be; 3 no node answers

examples:
  signalbox-cli status
  signalbox-cli accounts create bob --asset-code USD --asset-scale 2 --min-balance -10000
  signalbox-cli routes set test.bob --destination bob
  signalbox-cli explain test.bob.alice --amount 100
  signalbox-cli pay alice --to '$wallet.example/bob' --amount 1000
"""


_PROGRAM: Final = "signalbox-cli"
_USERNAME: Final = "the account, by its username"
_BALANCE: Final = "what is owed; net is above zero where you owe them, below where they owe you"
_MISTYPED: Final = re.compile(r"(.*)invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)

Command: TypeAlias = Callable[[Node, argparse.Namespace, Output], int | None]
"""Asks the node and shows its answer; what it returns is the exit code, None being 0."""


class _Group(Protocol):
    """What argparse adds commands to: its class has no public name."""

    def add_parser(
        self,
        name: str,
        *,
        help: str | None = ...,  # noqa: A002 - argparse's name
        description: str | None = ...,
        parents: Sequence[argparse.ArgumentParser] = ...,
    ) -> argparse.ArgumentParser: ...


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, where argparse writes all options before it."""

    def error(self, message: str) -> NoReturn:
        if mistyped := _MISTYPED.fullmatch(message):
            where, found, choices = mistyped.groups()
            names = [name.strip("'") for name in choices.split(", ")]
            if near := difflib.get_close_matches(found, names, n=1):
                message = f"{where}there is no {found!r}; did you mean {near[0]}?"
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` says how\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command has its function as `run`."""
    common = _common(suppress=True)
    parser = _Parser(
        prog=_PROGRAM,
        description="Look after a Signalbox node from the command line.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_common(suppress=False)],
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {program_version()}")
    commands = _group(parser, "command")
    _add(commands, "status", "the node at a glance", node.status, common)
    _accounts(commands, common)
    _routes(commands, common)
    _payments(commands, common)
    _rates(commands, common)
    _peering(commands, common)
    _settlement(commands, common)
    _books(commands, common)
    _traffic(commands, common)
    return parser


def _accounts(commands: _Group, common: argparse.ArgumentParser) -> None:
    group = _group(_add(commands, "accounts", "the accounts", None, None), "action")
    _add(group, "list", "every account", accounts.list_all, common)
    for name, summary, run in (
        ("info", "one account", accounts.info),
        ("balance", _BALANCE, accounts.balance),
        ("pause", "stop its packets", accounts.pause),
        ("resume", "let its packets flow again", accounts.resume),
        ("ping", "ask whether it is there", accounts.ping),
    ):
        _add(group, name, summary, run, common).add_argument("username", help=_USERNAME)
    create = _add(group, "create", "add an account", accounts.create, common)
    check = _add(group, "check", "say what it would mean, save nothing", accounts.check, common)
    for command in (create, check):
        command.add_argument("username", help=_USERNAME)
        _details(command, accounts.DETAIL_FIELDS, required=("asset_code", "asset_scale"))
    update = _add(
        group,
        "update",
        "change what is named, '' clears it, keep the rest",
        accounts.update,
        common,
    )
    update.add_argument("username", help=_USERNAME)
    update.add_argument("--new-username", metavar="NAME", help="call it something else")
    _details(update, accounts.DETAIL_FIELDS, required=())
    settings = _add(
        group,
        "update-settings",
        "what its own user may change",
        accounts.update_settings,
        common,
    )
    settings.add_argument("username", help=_USERNAME)
    _details(settings, accounts.SETTINGS_FIELDS, required=())
    incoming = _add(
        group,
        "incoming-payments",
        "each packet that it receives, as it comes",
        payments.incoming,
        common,
    )
    incoming.add_argument("username", help=_USERNAME)
    delete = _add(group, "delete", "remove an account", accounts.delete, common)
    delete.add_argument("username", help=_USERNAME)
    delete.add_argument(
        "--even-with-balance", action="store_true", help="write off what is owed"
    )
    correct = _add(group, "correct", "correct what is owed", accounts.correct, common)
    correct.add_argument("username", help=_USERNAME)
    correct.add_argument(
        "amount", help="added to what we owe, in its smallest unit; may be below 0"
    )
    correct.add_argument("--reason", required=True, help="kept in the journal")
    _add(
        commands,
        "balance",
        f"short for accounts balance: {_BALANCE}",
        accounts.balance,
        common,
    ).add_argument("username", help=_USERNAME)
    settle = _add(commands, "settle", "pay an account now", accounts.settle, common)
    settle.add_argument("username", help=_USERNAME)
    settle.add_argument("--amount", help="in its smallest unit (default: down to settle_to)")


def _routes(commands: _Group, common: argparse.ArgumentParser) -> None:
    group = _group(_add(commands, "routes", "the routing table", None, None), "action")
    _add(group, "list", "the routing table", node.routes, common)
    set_ = _add(group, "set", "add or replace a static route", node.set_route, common)
    set_.add_argument("prefix", help="an address and all that is under it, as test.far")
    set_.add_argument(
        "--destination",
        required=True,
        metavar="USERNAME",
        help="the account that its packets go to",
    )
    all_ = _add(group, "set-all", "replace all static routes", node.replace_routes, common)
    _pair(
        all_, "PREFIX", "USERNAME", "once for each route; without any there is none afterwards"
    )
    delete = _add(group, "delete", "remove a static route", node.delete_route, common)
    delete.add_argument("prefix", help="an address and all that is under it, as test.far")
    default = _add(group, "set-default", "where the rest goes", node.set_default_route, common)
    default.add_argument("username", help=_USERNAME)
    _add(group, "clear-default", "the rest goes nowhere", node.delete_default_route, common)
    _add(group, "peers", "with whom routes are exchanged", routes.peers, common)
    ask = _add(group, "ask", "ask a peer for all of its routes anew", routes.ask, common)
    ask.add_argument("username", help=_USERNAME)
    why = _add(group, "why", "which ways there are, and why one won", routes.why, common)
    why.add_argument("destination", help="an ILP address")
    changes = _add(group, "changes", "what changed of late", routes.changes, common)
    changes.add_argument("--after", metavar="SEQUENCE", help="only what came since")
    changes.add_argument("--limit", metavar="N", default="50", help="(default: 50)")
    explain = _add(commands, "explain", "where would a packet go?", node.explain, common)
    explain.add_argument("destination", help="an ILP address")
    explain.add_argument(
        "--amount",
        help="in the sender's smallest unit, where the window takes whole ones: 150 is 1.50 of an asset of "
        "scale 2 (default: 1)",
    )
    explain.add_argument("--from", dest="sender", metavar="USERNAME", help="who sends it")
    explain.add_argument("--expires-in-ms", metavar="MS", help="(default: 30000)")


PAY_EPILOG: Final = """\
Either --amount or --deliver is needed; both are in smallest units, the first in the
account's, the second in the receiver's: of USD with 2 decimals, 1050 is 10.50.
Ctrl-C cancels: nothing more is sent, what is in flight is waited for, and what has
left stays sent.

exit codes: 0 all was paid, or is on its way with --no-wait; 1 it was not, see why;
            2 the command line cannot be; 3 no node answers

examples:
  signalbox-cli pay alice --to '$wallet.example/bob' --amount 1000 --quote
  signalbox-cli pay alice --to '$wallet.example/bob' --amount 1000 --memo 'rent of May'
  signalbox-cli pay alice --to https://shop.example/invoices/7 --deliver 2500 --max 2600
"""


def _payments(commands: _Group, common: argparse.ArgumentParser) -> None:
    pay = _add(commands, "pay", "pay somebody from an account", payments.pay, common)
    pay.epilog = PAY_EPILOG
    pay.add_argument("username", help="the account that pays")
    pay.add_argument(
        "--to", dest="receiver", required=True, metavar="POINTER",
        help="a payment pointer, as $wallet.example/bob, or a URL",
    )  # fmt: skip
    amount = pay.add_mutually_exclusive_group(required=True)
    amount.add_argument("--amount", dest="source_amount", metavar="N", help="send so much")
    amount.add_argument(
        "--deliver", dest="delivered_amount", metavar="N", help="deliver so much"
    )
    pay.add_argument(
        "--max",
        dest="source_amount_max",
        metavar="N",
        help="with --deliver: send no more than this",
    )
    pay.add_argument(
        "--slippage", metavar="SHARE",
        help="how far below the probed rate is accepted, as 0.01 (default: 0.015)",
    )  # fmt: skip
    pay.add_argument(
        "--memo", metavar="TEXT", help="your own note; the receiver does not see it"
    )
    pay.add_argument(
        "--idempotency-key", metavar="KEY",
        help="the same key with the same order pays once, however often it is run",
    )  # fmt: skip
    pay.add_argument(
        "--quote", action="store_true", help="say what it would cost and bring, and pay nothing"
    )
    pay.add_argument("--no-wait", action="store_true", help="do not wait for its end")

    group = _group(
        _add(commands, "payments", "what was paid and received", None, None), "action"
    )
    list_ = _add(group, "list", "payments, the newest first", payments.list_all, common)
    _rows(list_, states="pending, sending, completed, failed, cancelled, interrupted")
    list_.add_argument("--text", help="found in the receiver or the memo")
    list_.add_argument(
        "--undecided", action="store_true", help="those of which something is undecided"
    )
    show = _add(group, "show", "one payment", payments.show, common)
    show.add_argument("id", help="the payment's, as `payments list` has it")
    show.add_argument("--wait", action="store_true", help="until it has ended")
    cancel = _add(group, "cancel", "let it send nothing more", payments.cancel, common)
    cancel.add_argument("id", help="the payment's, as `payments list` has it")
    received = _add(
        group, "received", "what came in, the newest first", payments.received, common
    )
    _rows(received, states=None)
    received.add_argument("--invoice", metavar="ID", help="what was paid of one invoice")
    address = _add(group, "address", "how an account is paid", payments.address, common)
    address.add_argument("username", help=_USERNAME)
    incoming = _add(
        group,
        "incoming",
        "each packet that is received, as it comes",
        payments.incoming,
        common,
    )
    incoming.add_argument("username", nargs="?", help="of one account (default: of all)")

    group = _group(_add(commands, "invoices", "requests for money", None, None), "action")
    create = _add(group, "create", "ask for money", payments.create_invoice, common)
    create.add_argument("username", help="the account that is paid")
    create.add_argument("--amount", required=True, metavar="N", help="in its smallest unit")
    create.add_argument("--description", metavar="TEXT", help="what it is for")
    create.add_argument(
        "--expires-in", dest="expires_in_seconds", metavar="SECONDS", help="(default: never)"
    )
    list_ = _add(group, "list", "invoices, the newest first", payments.list_invoices, common)
    _rows(list_, states="open, paid, expired, cancelled")
    for name, summary, run in (
        ("show", "one invoice", payments.show_invoice),
        ("cancel", "take nothing more for it", payments.cancel_invoice),
    ):
        _add(group, name, summary, run, common).add_argument(
            "id", help="as `invoices list` has it"
        )


def _rows(command: argparse.ArgumentParser, *, states: str | None) -> None:
    """Add what chooses rows of a list of payments."""
    command.add_argument("--username", help="of one account")
    if states is not None:
        command.add_argument("--state", help=states)
    command.add_argument("--limit", metavar="N", help="(default: 100)")
    command.add_argument(
        "--before", metavar="NUMBER", help="the page behind the one that said so"
    )
    command.add_argument("--csv", action="store_true", help="all of them, as CSV")


def _rates(commands: _Group, common: argparse.ArgumentParser) -> None:
    group = _group(_add(commands, "rates", "prices and the spread", None, None), "action")
    _add(group, "list", "prices and the spread", node.rates, common)
    set_all = _add(
        group,
        "set-all",
        "replace all prices that are set, which win over sources",
        node.set_rates,
        common,
    )
    _pair(set_all, "CODE", "RATE", "once for each price; without any there is none afterwards")
    spread = _add(group, "set-spread", "our share of each conversion", node.set_spread, common)
    spread.add_argument("spread", help="as 0.01 or 1/100")
    _rate_feed(group, common)


def _rate_feed(group: _Group, common: argparse.ArgumentParser) -> None:
    _add(
        group, "feed", "prices with their ages, sources, and what needs you", rates.feed, common
    )
    commands: Sequence[tuple[str, str, Command]] = (
        ("add-source", "add a source of prices", rates.add_source),
        ("replace-source", "change all of a source", rates.replace_source),
        ("test-source", "ask a source now, nothing comes into force", rates.test_source),
    )
    for name, summary, run in commands:
        command = _add(group, name, summary, run, common)
        command.add_argument("name", help="what you call it, as bank")
        _rate_source(command, needs_kind=run is not rates.test_source)
    remove = _add(group, "remove-source", "remove a source", rates.remove_source, common)
    remove.add_argument("name", help="what you call it, as bank")
    for name, summary, run in (
        ("confirm-jump", "put a held price into force", rates.confirm_jump),
        ("refuse-jump", "keep the price that is in force", rates.refuse_jump),
    ):
        _add(group, name, summary, run, common).add_argument(
            "code", help="of the asset, as EUR"
        )
    guard = _add(group, "set-guard", "which jumps are held", rates.set_guard, common)
    guard.add_argument("jump_limit", help="as 0.1 or 10%%, or none")
    guard.add_argument(
        "jump_samples", help="so many of a source that is alone confirm one; 0 leaves it to you"
    )
    reference = _add(
        group, "set-reference", "count all prices in an asset", rates.set_reference, common
    )
    reference.add_argument("code", help="of the asset, as EUR")
    watched = _add(group, "set-watched", "keep further prices", rates.set_watched, common)
    watched.add_argument(
        "codes", nargs="*", metavar="CODE", help="of assets, as BTC; none: no more"
    )
    pair = _add(group, "set-pair-spread", "our share of a pair", rates.set_pair_spread, common)
    pair.add_argument("source", help="the code of what is converted")
    pair.add_argument("target", help="the code of what it becomes")
    pair.add_argument("spread", help="as 0.005 or 0.5%%; an empty text removes it")
    convert = _add(group, "convert", "what would an amount become?", rates.convert, common)
    convert.add_argument("amount", help="in whole units, as 12.40")
    convert.add_argument("source", help="the asset code it is in")
    convert.add_argument("target", help="the asset code that is wanted")
    convert.add_argument("--from", dest="sender", metavar="USERNAME", help="who sends it")
    convert.add_argument("--to", dest="receiver", metavar="USERNAME", help="who gets it")
    snapshots = _add(group, "snapshots", "what was in force", rates.snapshots, common)
    snapshots.add_argument("--limit", metavar="N", default="20", help="(default: 20)")
    packet = _add(group, "of-packet", "by which rate did it go?", rates.of_transfer, common)
    packet.add_argument("id", help="its transfer, as `packets` has it")


def _rate_source(command: argparse.ArgumentParser, *, needs_kind: bool) -> None:
    command.add_argument(
        "--kind",
        required=needs_kind,
        help="fixed, ecb, coingecko, coincap, cryptocompare or json"
        + ("" if needs_kind else "; without it, the source of this name is asked"),
    )
    command.add_argument("--url", help="https://… or file:///… (default: the kind's own)")
    command.add_argument("--base", metavar="CODE", help="what its prices are counted in")
    command.add_argument("--path", help="json: the way to the numbers, as data.rates")
    command.add_argument(
        "--inverted", action="store_true", help="json: how much of an asset one base buys"
    )
    command.add_argument(
        "--asset",
        nargs=2,
        action="append",
        metavar=("NAME", "CODE"),
        help="its name for an asset, and yours; once for each",
    )
    command.add_argument(
        "--price",
        nargs=2,
        action="append",
        metavar=("CODE", "PRICE"),
        help="fixed: once for each",
    )
    command.add_argument("--api-key", metavar="KEY", help="what it wants to be asked with")
    command.add_argument("--poll-seconds", metavar="SECONDS", help="how often it is asked")
    command.add_argument(
        "--max-age-seconds", metavar="SECONDS", help="how old its prices may be"
    )
    command.add_argument("--disabled", action="store_true", help="keep it, and do not ask it")


def _peering(commands: _Group, common: argparse.ArgumentParser) -> None:
    ping = _add(
        commands, "ping", "ask whether an account or a node is there", peering.ping, common
    )
    ping.add_argument(
        "target", metavar="USERNAME|ADDRESS", help="an account, or an ILP address"
    )
    ping.add_argument(
        "--echo", action="store_true", help="ask for the packet back (default of an address)"
    )
    ping.add_argument(
        "--one-way",
        action="store_true",
        help="ask for no packet back, as Java connectors answer",
    )
    ping.add_argument(
        "--amount", help="sent in each, in the sender's smallest unit (default: 0)"
    )
    ping.add_argument(
        "--from", dest="sender", metavar="USERNAME", help="the account that pays it"
    )
    ping.add_argument("--count", help="how many, one after another (default: 1)")
    group = _group(_add(commands, "address", "what this node is called", None, None), "action")
    _add(
        group, "show", "this node's address, and where it is from", peering.show_address, common
    )
    _add(group, "ask", "ask the parent for it now", peering.ask_parent, common)
    offer = _add(
        commands,
        "auto-peer",
        "offer this node to one that takes peers by itself (Rafiki's auto-peering)",
        peering.auto_peer,
        common,
    )
    offer.add_argument("url", help="where it takes them, as its operator tells")
    offer.add_argument(
        "--asset-code", required=True, metavar="CODE", help="exactly as it has it there"
    )
    offer.add_argument(
        "--asset-scale", required=True, metavar="N", help="exactly as it has it there"
    )
    offer.add_argument(
        "--our-url", required=True, metavar="URL", help="how it reaches this node: https://HOST"
    )
    offer.add_argument("--username", metavar="NAME", help="what the account is called here")
    offer.add_argument("--name", metavar="NAME", help="what this node is called there")
    offer.add_argument(
        "--max-packet-amount", metavar="N", help="the largest packet, in smallest units"
    )
    offer.add_argument(
        "--min-balance",
        metavar="N",
        help="the credit that it gets here: 0 none (the default), -1000 up to 1000, empty without limit",
    )
    offer.add_argument(
        "--replace",
        action="store_true",
        help="give the account of that username the new address and tokens",
    )
    offer.add_argument(
        "--allow-private",
        action="store_true",
        help="the URLs lead to this machine or a private network",
    )


def _settlement(commands: _Group, common: argparse.ArgumentParser) -> None:
    group = _group(
        _add(commands, "settlement-engines", "which engine settles an asset", None, None),
        "action",
    )
    _add(group, "list", "the default engine of each asset", node.engine_urls, common)
    _pair(
        _add(group, "set-all", "add or replace default engines", node.set_engine_urls, common),
        "CODE",
        "URL",
        "once for each asset; the others keep theirs",
    )
    _add(commands, "engines", "the engine processes", node.engines, common)
    group = _group(
        _add(commands, "settlements", "what was and is to be paid", None, None), "action"
    )
    list_ = _add(group, "list", "settlements, the newest first", node.settlements, common)
    list_.add_argument("--limit", metavar="N", help="(default: 500)")
    list_.add_argument("--username", help="of one account")
    _add(
        group, "due", "what is owed, and why it is or is not paid", node.settlements_due, common
    )
    _add(group, "unmatched", "money from nobody we know", node.unmatched, common)
    assign = _add(group, "assign", "credit such money", node.assign_unmatched, common)
    assign.add_argument("key", help="of the money, as `settlements unmatched` has it")
    assign.add_argument("username", help=_USERNAME)


def _books(commands: _Group, common: argparse.ArgumentParser) -> None:
    _add(commands, "audit", "derive every balance anew and compare", node.audit, common)
    _add(commands, "exposure", "what is owed, per asset", node.exposure, common)
    group = _group(
        _add(commands, "unknown", "what crashes left undecided", None, None), "action"
    )
    _add(group, "list", "what crashes left undecided", node.unknown, common)
    resolve = _add(
        group, "resolve", "decide by the peer's statement", node.resolve_unknown, common
    )
    resolve.add_argument(
        "statement",
        nargs="+",
        metavar="STATEMENT",
        help="the transfer, as `unknown list` has it, and what the peer says of it",
    )
    resolve.usage = (
        "%(prog)s ID fulfilled|not-fulfilled\n"
        "       %(prog)s [--payment ID] [--peer NAME] fulfilled|not-fulfilled"
    )
    resolve.add_argument("--payment", metavar="ID", help="all of this payment of yours")
    resolve.add_argument("--peer", metavar="NAME", help="all that went to this peer")


def _traffic(commands: _Group, common: argparse.ArgumentParser) -> None:
    packets = _add(commands, "packets", "the newest packets", node.packets, common)
    packets.add_argument("--after", metavar="SEQUENCE", help="only what came since")
    packets.add_argument("--limit", metavar="N", default="50", help="(default: 50)")
    history = _add(commands, "history", "what happened, step by step", node.history, common)
    history.add_argument("--seconds", default="3600", help="how far back (default: 3600)")
    history.add_argument("--username", help="of one account")
    history.add_argument("--samples", default="60", help="at most so many (default: 60)")
    logs = _add(commands, "logs", "the log's newest lines, or its level", node.logs, common)
    logs.add_argument("level", nargs="?", help="set it: info, or info,core.links=debug")
    logs.add_argument("--after", metavar="SEQUENCE", help="only what came since")
    logs.add_argument("--limit", metavar="N", default="50", help="(default: 50)")


def _group(command: argparse.ArgumentParser, name: str) -> _Group:
    return command.add_subparsers(dest=name, required=True, metavar=name.upper())


def _add(
    group: _Group,
    name: str,
    summary: str,
    run: Command | None,
    common: argparse.ArgumentParser | None,
) -> argparse.ArgumentParser:
    """Add a command; a group of commands has neither a function nor options of its own."""
    added = group.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        parents=[] if common is None else [common],
    )
    if run is not None:
        added.set_defaults(run=run)
        example = f"{added.prog} {EXAMPLES.get(added.prog.removeprefix(f'{_PROGRAM} '), '')}"
        added.epilog = f"example: {example.rstrip()}"
        added.formatter_class = argparse.RawDescriptionHelpFormatter
    return added


def _pair(command: argparse.ArgumentParser, name: str, value: str, words: str) -> None:
    command.add_argument("--pair", nargs=2, action="append", metavar=(name, value), help=words)


def _details(
    command: argparse.ArgumentParser, names: Sequence[str], required: Sequence[str]
) -> None:
    described = accounts.detail_options()
    for name in names:
        command.add_argument(
            "--" + name.replace("_", "-"),
            dest=name,
            metavar=name.rpartition("_")[2].upper(),
            required=name in required,
            help=described[name],
        )


def _common(*, suppress: bool) -> argparse.ArgumentParser:
    """Return the options that may stand before or behind a command."""
    default = argparse.SUPPRESS if suppress else None
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--node", metavar="URL", default=default, help="the node's URL")
    common.add_argument("--auth", metavar="TOKEN", default=default, help="the operator's token")
    common.add_argument(
        "--auth-file", metavar="FILE", default=default, help="a file that has it"
    )
    common.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS if suppress else False,
        help="the node's answer as JSON",
    )
    return common
