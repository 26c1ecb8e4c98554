"""What an account's settings mean, in plain sentences: read before anything is saved."""

from __future__ import annotations

from collections.abc import Iterator

from core.account import AMOUNT_MAX_BOOKED, Account, format_amount
from core.control.shares import share_text
from core.control.words import counted


def terms(account: Account, engine_url: str | None) -> tuple[str, ...]:
    """Return the sentences; `engine_url` is the engine that would serve it, its own or its asset's."""
    return (
        *_credit(account),
        *_limits(account),
        *_settlement(account, engine_url),
        *_routes(account),
        *_link(account),
    )


def _credit(account: Account) -> Iterator[str]:
    name, asset, least = account.name, account.asset, account.min_balance
    if least is None:
        yield f"{name} may owe you without limit."
    elif least < 0:
        yield f"{name} may owe you up to {format_amount(-least, asset)}."
    elif least == 0:
        yield f"{name} must pay in advance, and may owe you nothing."
    else:
        yield f"{name} must always keep {format_amount(least, asset)} with you in advance."


def _limits(account: Account) -> Iterator[str]:
    name, asset = account.name, account.asset
    if account.max_packet_amount < AMOUNT_MAX_BOOKED:
        most = format_amount(account.max_packet_amount, asset)
        yield f"Packets from {name} of more than {most} are refused."
    if account.packets_per_minute_limit is not None:
        burst = account.packet_burst_limit
        at_once = "" if burst is None else f", and {burst} at once"
        yield f"{name} may send up to {counted(account.packets_per_minute_limit, 'packet')} a minute{at_once}."
    if account.amount_per_minute_limit is not None:
        most = format_amount(account.amount_per_minute_limit, asset)
        burst = account.amount_burst_limit
        at_once = "" if burst is None else f", and {format_amount(burst, asset)} at once"
        yield f"{name} may send up to {most} a minute{at_once}."
    if account.packets_in_flight_limit is not None:
        yield f"Up to {account.packets_in_flight_limit} packets of {name} may wait for their answers at once."
    if account.amount_in_flight_limit is not None:
        most = format_amount(account.amount_in_flight_limit, asset)
        yield f"Packets of {name} that wait for their answers may carry {most} together."
    if account.outgoing_amount_per_minute_limit is not None:
        most = format_amount(account.outgoing_amount_per_minute_limit, asset)
        yield f"Up to {most} a minute is sent to {name}."
    if account.spread is not None:
        yield f"Of what goes to {name}, a share of {share_text(account.spread)} stays here."


def _routes(account: Account) -> Iterator[str]:
    name = account.name
    if account.import_prefixes:
        yield f"Of {name}'s routes, only those under {', '.join(account.import_prefixes)} are taken."
    if account.export_prefixes:
        yield f"{name} is told only routes under {', '.join(account.export_prefixes)}."
    if account.routes_max is not None:
        yield f"{name} may tell us up to {counted(account.routes_max, 'route')}."


def _settlement(account: Account, engine_url: str | None) -> Iterator[str]:
    name, asset = account.name, account.asset
    threshold, settle_to = account.settle_threshold, account.settle_to or 0
    if threshold is None:
        yield f"What you owe {name} is settled only when you say so."
        return
    when = f"When you owe {name} {format_amount(threshold, asset)} or more"
    if settle_to >= 0:
        yield f"{when}, you pay until you owe {format_amount(settle_to, asset)}."
    else:
        ahead = format_amount(-settle_to, asset)
        yield f"{when}, you pay until {name} holds {ahead} of yours in advance."
    if threshold > 0:
        yield (
            f"{name} must let you owe more than {format_amount(threshold, asset)}, "
            "or packets are refused before anything is settled."
        )
    if engine_url is None:
        yield f"No engine settles {asset.code} yet, so that nothing is paid."


def _link(account: Account) -> Iterator[str]:
    name = account.name
    if not account.enabled:
        yield f"{name} is paused: nothing is taken from it and nothing sent to it."
    http, btp = account.ilp_over_http_url, account.ilp_over_btp_url
    if btp is not None:
        yield f"{name} is dialled over BTP at {btp}, and packets go both ways there."
    elif account.has_ilp_over_btp_incoming_token:
        yield f"Packets for {name} go over its own BTP connection, while it has one."
    if http is not None:
        speaks_btp = btp is not None or account.has_ilp_over_btp_incoming_token
        when = " while BTP is not connected" if speaks_btp else ""
        yield f"Packets for {name} go to {http}{when}."
    elif btp is None and not account.has_ilp_over_btp_incoming_token:
        yield f"{name} has no address to send packets to: only payments that end here reach it."
