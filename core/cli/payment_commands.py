"""`signalbox-cli pay`, `payments …` and `invoices …`."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Final, Self, final

from core.cli.answers import Row, as_row, as_rows, lines, moment, money, part
from core.cli.client import Node, Refused
from core.cli.output import Output
from core.cli.tables import facts, shown, table, visible

WAIT_SECONDS: Final = 20
"""Below the client's own time-out."""
WAIT_INTERRUPTIBLE_SECONDS: Final = 1
"""How late a Ctrl-C is seen at most."""
OPTIONS: Final = {
    "receiver": "--to",
    "source_amount": "--amount",
    "delivered_amount": "--deliver",
    "source_amount_max": "--max",
    "slippage": "--slippage",
    "memo": "--memo",
    "amount": "--amount",
    "description": "--description",
    "expires_in_seconds": "--expires-in",
}
"""What the fields of the API are on the command line."""
ENDED: Final = frozenset({"completed", "failed", "cancelled", "interrupted"})


def pay(node: Node, arguments: argparse.Namespace, output: Output) -> int:
    """Pay, and show how far it is until it has ended; Ctrl-C cancels."""
    body = {
        name: getattr(arguments, name)
        for name in (
            "receiver",
            "source_amount",
            "delivered_amount",
            "source_amount_max",
            "slippage",
            "memo",
        )
        if getattr(arguments, name) is not None
    }
    if arguments.quote:
        return _quote(node, arguments.username, body, output)
    headers = {"Prefer": "respond-async"}
    if arguments.idempotency_key is not None:
        headers["Idempotency-Key"] = arguments.idempotency_key
    with _FirstInterrupt() as interrupt:
        with _options_named():
            answer = node.call(
                "POST", "accounts", arguments.username, "payments", body=body, headers=headers
            )
        row = as_row(answer)
        if not arguments.no_wait:
            row = _follow(node, row, output, interrupt)
    output.show(row, _payment_text(row))
    return 0 if arguments.no_wait or row.get("state") == "completed" else 1


def show(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show one payment; with --wait, how it goes until it has ended."""
    row = as_row(node.call("GET", "payments", arguments.id))
    if arguments.wait:
        row = _follow(node, row, output)
    output.show(row, _payment_text(row))


def cancel(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Let a payment send nothing more."""
    answer = node.call("POST", "payments", arguments.id, "cancel")
    output.show(answer, _payment_text(as_row(answer)))


def list_all(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show payments, the newest first, or write them as CSV."""
    query = _query(arguments, ("username", "state", "text", "limit", "before"))
    query["undecided"] = "true" if arguments.undecided else None
    if arguments.csv:
        node.copy("payments", query={**query, "format": "csv"}, write=output.write)
        return
    answer = as_row(node.call("GET", "payments", query=query))
    rows = [
        [
            row.get("id"),
            moment(row.get("created_at_ms")),
            row.get("username"),
            row.get("receiver"),
            row.get("state"),
            money(row.get("sent"), row),
            _delivered(row),
            _undecided(row),
            row.get("reason") or None,
        ]
        for row in as_rows(answer.get("payments"))
    ]
    columns = (
        "id",
        "begun",
        "account",
        "receiver",
        "state",
        "sent",
        "delivered",
        "undecided",
        "why",
    )
    output.show(answer, table(columns, rows) + _more(answer))


def received(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show what came in, the newest first, or write it as CSV."""
    query = _query(arguments, ("username", "invoice", "limit", "before"))
    if arguments.csv:
        node.copy("payments", "received", query={**query, "format": "csv"}, write=output.write)
        return
    page = as_row(node.call("GET", "payments", "received", query=query))
    rows = [
        [
            moment(row.get("first_at_ms")),
            moment(row.get("last_at_ms")),
            row.get("username"),
            row.get("from_username"),
            money(row.get("received"), row),
            row.get("packets"),
            row.get("closed"),
            row.get("invoice"),
            str(row.get("payer_text") or "").replace("\n", " ") or None,
        ]
        for row in as_rows(page.get("received"))
    ]
    columns = (
        "first",
        "last",
        "account",
        "from",
        "received",
        "packets",
        "done",
        "invoice",
        "the payer's words",
    )
    output.show(page, table(columns, rows) + _more(page))


def incoming(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show each packet that is received, as it comes, until the node stops or Ctrl-C is pressed."""
    username = arguments.username

    def told(message: object) -> None:
        row = as_row(message)
        if username is None:
            if "Err" in row:
                raise Refused(str(row["Err"]))
            row = part(row, "Ok")
        what = (
            "its sender is done"
            if row.get("connection_closed") is True
            else f"{money(row.get('amount'), row)} received, {money(row.get('received'), row)} in all"
        )
        sender, receiver = shown(row.get("from_username")), shown(row.get("to_username"))
        output.line(row, f"{shown(row.get('timestamp'))}  {sender} to {receiver}: {what}")

    segments = (
        ("payments", "incoming")
        if username is None
        else (
            "accounts",
            username,
            "payments",
            "incoming",
        )
    )
    node.watch(*segments, told=told)


def address(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show how an account is paid."""
    answer = node.call("GET", "accounts", arguments.username, "payment-address")
    row = as_row(answer)
    output.show(answer, f"{shown(row.get('payment_pointer') or row.get('url'))}\n")


def create_invoice(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Ask for money."""
    body = {
        "amount": arguments.amount,
        "description": arguments.description,
        "expires_in_seconds": arguments.expires_in_seconds,
    }
    body = {name: value for name, value in body.items() if value is not None}
    with _options_named():
        answer = node.call("POST", "accounts", arguments.username, "invoices", body=body)
    output.show(answer, _invoice_text(as_row(answer)))


def show_invoice(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show one invoice."""
    answer = node.call("GET", "invoices", arguments.id)
    output.show(answer, _invoice_text(as_row(answer)))


def cancel_invoice(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Take nothing more for an invoice."""
    answer = node.call("POST", "invoices", arguments.id, "cancel")
    output.show(answer, _invoice_text(as_row(answer)))


def list_invoices(node: Node, arguments: argparse.Namespace, output: Output) -> None:
    """Show invoices, the newest first, or write them as CSV."""
    query = _query(arguments, ("username", "state", "limit", "before"))
    if arguments.csv:
        node.copy("invoices", query={**query, "format": "csv"}, write=output.write)
        return
    answer = as_row(node.call("GET", "invoices", query=query))
    rows = [
        [
            row.get("id"),
            moment(row.get("created_at_ms")),
            row.get("username"),
            money(row.get("amount"), row),
            money(row.get("received"), row),
            row.get("state"),
            row.get("description") or None,
        ]
        for row in as_rows(answer.get("invoices"))
    ]
    columns = ("id", "made", "account", "amount", "paid", "state", "what for")
    output.show(answer, table(columns, rows) + _more(answer))


def _quote(node: Node, username: str, body: dict[str, object], output: Output) -> int:
    with _options_named():
        answer = node.call("POST", "accounts", username, "payments", "quote", body=body)
    row = as_row(answer)
    problems, warnings = lines(row, "problems"), lines(row, "warnings")
    seen: dict[str, object] = {
        "at most sent": money(row.get("source_amount"), row),
        "delivered": _in_receivers(row, "delivered_amount"),
        "at least": _in_receivers(row, "delivered_amount_min"),
        "rate": row.get("rate"),
        "the path keeps": _percent(row.get("fees")),
        "largest packet": money(row.get("packet_amount_max"), row),
        "left to send": money(row.get("available"), row) or "no limit",
        "paid to": row.get("destination"),
    }
    text = f"{row.get('sentence')}\n\n{facts(seen)}"
    text += "".join(f"warning: {line}\n" for line in warnings)
    output.show(answer, text + "".join(f"problem: {line}\n" for line in problems))
    return 1 if problems else 0


@final
class _FirstInterrupt:
    """Keeps the first Ctrl-C in mind, wherever it comes, even amid the order; the next one ends the program."""

    def __init__(self) -> None:
        self.is_pressed = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, _number: int, _frame: object) -> None:
        if self.is_pressed:
            raise KeyboardInterrupt
        self.is_pressed = True


def _follow(
    node: Node, row: Row, output: Output, interrupt: _FirstInterrupt | None = None
) -> Row:
    """Return the payment once it has ended; after a Ctrl-C it is cancelled, and what is in flight waited for."""
    payment_id = str(row.get("id"))
    is_cancelled = False
    try:
        while row.get("state") not in ENDED:
            if interrupt is not None and interrupt.is_pressed and not is_cancelled:
                is_cancelled = True
                output.note("cancelling: what is in flight is waited for")
                row = _cancelled(node, payment_id)
                continue
            if not is_cancelled:
                output.note(f"{row.get('state')}: {row.get('sentence')}")
            seconds = WAIT_SECONDS if interrupt is None else WAIT_INTERRUPTIBLE_SECONDS
            row = _wait(node, row, payment_id, seconds)
    finally:
        output.note("")
    return row


def _cancelled(node: Node, payment_id: str) -> Row:
    """Cancel it, and return it as it is then; one that has just ended needs no cancelling."""
    try:
        return as_row(node.call("POST", "payments", payment_id, "cancel"))
    except Refused:
        return as_row(node.call("GET", "payments", payment_id))


def _wait(node: Node, row: Row, payment_id: str, seconds: int) -> Row:
    query = {"wait_seconds": seconds, "after_change": row.get("change")}
    return as_row(node.call("GET", "payments", payment_id, query=query))


def _payment_text(row: Row) -> str:
    seen: dict[str, object] = {
        "id": row.get("id"),
        "state": row.get("state"),
        "account": row.get("username"),
        "receiver": row.get("receiver"),
        "sent": money(row.get("sent"), row),
        "delivered": _delivered(row),
        "undecided": _undecided(row),
        "packets": f"{row.get('packets')} fulfilled, {row.get('rejects')} rejected",
        "rejected with": row.get("reject_code"),
        "by": row.get("triggered_by"),
        "broken by the receiver": "; ".join(lines(row, "violations")),
        "the receiver says": row.get("receiver_text"),
        **_receipts(row),
        "begun": moment(row.get("created_at_ms")),
        "ended": moment(row.get("ended_at_ms")),
        "memo": row.get("memo"),
    }
    seen = {name: value for name, value in seen.items() if value not in {None, ""}}
    # Whole: what matters of a reason is often said at its end, behind a long URL or address.
    reason = f"{visible(row.get('reason'))} " if row.get("reason") else ""
    return f"{reason}{visible(row.get('sentence'))}\n\n{facts(seen)}"


def _invoice_text(row: Row) -> str:
    seen: dict[str, object] = {
        "id": row.get("id"),
        "to pay it": row.get("payment_pointer") or row.get("url"),
        "account": row.get("username"),
        "amount": money(row.get("amount"), row),
        "paid": money(row.get("received"), row),
        "what for": row.get("description"),
        "made": moment(row.get("created_at_ms")),
        "expires": moment(row.get("expires_at_ms")) or "never",
    }
    for name in ("paid", "cancelled"):
        if (at := moment(row.get(f"{name}_at_ms"))) is not None:
            seen[f"{name} at"] = at
    return f"{shown(row.get('sentence'))}\n\n{facts(seen)}"


def _receipts(row: Row) -> dict[str, object]:
    return {
        f"receipt of stream {found.get('stream')}": (
            f"{_in_receivers({**row, 'total': found.get('total')}, 'total')}, {found.get('receipt')}"
        )
        for found in as_rows(row.get("receipts") or [])
    }


def _undecided(row: Row) -> str | None:
    return money(row.get("undecided"), row) if row.get("undecided") != "0" else None


@contextmanager
def _options_named() -> Iterator[None]:
    """Let what the node says of a field be said of the option that it came from."""
    try:
        yield
    except Refused as error:
        field, colon, problem = str(error).partition(": ")
        if not colon or field not in OPTIONS:
            raise
        raise Refused(f"{OPTIONS[field]}: {problem}") from None


def _delivered(row: Row) -> str:
    if row.get("receiver_asset") is None and row.get("delivered") == "0":
        return "nothing" if row.get("delivered_exact") is True else "not known"
    least = "" if row.get("delivered_exact") is True else "at least "
    return f"{least}{_in_receivers(row, 'delivered')}"


def _in_receivers(row: Row, name: str) -> str | None:
    asset = part(row, "receiver_asset")
    amount = row.get(name)
    return money(amount, asset) if asset else f"{amount} units"


def _percent(share: object) -> str | None:
    """Return an exact share as percent, rounded for the eye; None where it is not known."""
    if share is None:
        return None
    try:
        hundredths = round(Fraction(str(share)) * 10_000)
        return f"{hundredths // 100}.{hundredths % 100:02} %"
    except (ValueError, ArithmeticError):
        return str(share)


def _query(arguments: argparse.Namespace, names: tuple[str, ...]) -> dict[str, object]:
    return {name: getattr(arguments, name) for name in names}


def _more(answer: Row) -> str:
    following = answer.get("next")
    return "" if following is None else f"there are older ones: --before {following}\n"
