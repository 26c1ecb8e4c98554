"""What an account's settings allow and an operator probably does not mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from core.account import Account, RoutingRelation, format_amount
from core.control.account_fields import is_loopback
from core.control.engines import engine_doubt
from core.control.views import AccountDetails, FieldProblem
from core.packet import AMOUNT_MAX, Address, covers, scheme
from core.settlement.records import BUNDLED_ENGINE_SCHEME

TOKEN_CHARACTERS_MIN: Final = 16
"""Shorter tokens can be guessed."""
ROUND_TRIP_TIME_MS_MANY: Final = 10_000
"""A packet lives 30 s: what a hop takes for itself is missing behind it."""


def warnings(
    account: Account,
    details: AccountDetails,
    node_address: Address,
    engine_url: str | None,
    engines: Mapping[str, str],
) -> Iterator[FieldProblem]:
    """Yield every doubt, in the order of the fields; `engines` have run on this store, each with what it pays."""
    yield from _address(account, node_address)
    yield from _limits(account)
    yield from _bursts(account)
    yield from _routes(account)
    yield from _link(account, details)
    yield from _engine(account, engines)
    yield from _settlement(account, engine_url)


def _address(account: Account, ours: Address) -> Iterator[FieldProblem]:
    below_us = account.routing_relation in {
        RoutingRelation.CHILD,
        RoutingRelation.NON_ROUTING_ACCOUNT,
    }
    if below_us and not covers(ours, account.ilp_address):
        yield FieldProblem(
            "ilp_address",
            f"it is {account.ilp_address}, not under our {ours}: other nodes will not send"
            f" {account.name}'s packets here",
        )
    if scheme(account.ilp_address) != scheme(ours):
        yield FieldProblem(
            "ilp_address",
            f"it is in another network than ours, {scheme(ours)}: nothing is forwarded",
        )


def _limits(account: Account) -> Iterator[FieldProblem]:
    name, asset, least = account.name, account.asset, account.min_balance
    if least is None:
        yield FieldProblem(
            "min_balance",
            f"it is not set: {name} may owe you without limit; 0 means that {name} pays in advance",
        )
        return
    if least < 0 and -least < account.max_packet_amount < AMOUNT_MAX:
        yield FieldProblem(
            "max_packet_amount",
            f"it is {format_amount(account.max_packet_amount, asset)}, more than {name} may owe"
            f" altogether, {format_amount(-least, asset)}: such a packet is refused",
        )
    if account.settle_to is not None and account.settle_to < least:
        yield FieldProblem(
            "settle_to",
            f"it is {format_amount(account.settle_to, asset)}, below min_balance,"
            f" {format_amount(least, asset)}: after a settlement {name} could send nothing",
        )


def _bursts(account: Account) -> Iterator[FieldProblem]:
    name, asset, packet = account.name, account.asset, account.max_packet_amount
    for burst, rate in (
        ("packet_burst_limit", "packets_per_minute_limit"),
        ("amount_burst_limit", "amount_per_minute_limit"),
    ):
        if getattr(account, burst) is not None and getattr(account, rate) is None:
            yield FieldProblem(rate, f"it is not set: without it {burst} does nothing")
    for field in ("amount_burst_limit", "amount_in_flight_limit"):
        limit = getattr(account, field)
        if limit is not None and limit < packet < AMOUNT_MAX:
            yield FieldProblem(
                field,
                f"it is {format_amount(limit, asset)}, less than one packet of {name} may carry,"
                f" {format_amount(packet, asset)}: such a packet is always refused",
            )


def _routes(account: Account) -> Iterator[FieldProblem]:
    if account.receive_routes is False:
        for field in ("import_prefixes", "routes_max"):
            if getattr(account, field):
                yield FieldProblem(
                    field, "it has no use: receive_routes says that no routes are taken"
                )
    if account.send_routes is False and account.export_prefixes:
        yield FieldProblem(
            "export_prefixes", "it has no use: send_routes says that no routes are told"
        )


def _link(account: Account, details: AccountDetails) -> Iterator[FieldProblem]:
    url, name = account.ilp_over_http_url, account.name
    if url is not None:
        if url.startswith("http:") and not is_loopback(url):
            yield FieldProblem(
                "ilp_over_http_url",
                "it is not encrypted: everybody on the way can read the token; use https",
            )
        if account.ilp_over_http_outgoing_token is None:
            yield FieldProblem(
                "ilp_over_http_outgoing_token",
                f"it is not set: {name} will probably not accept your packets",
            )
    elif account.ilp_over_http_outgoing_token is not None:
        yield FieldProblem(
            "ilp_over_http_url", "it is not set: the outgoing token beside it has no use"
        )
    btp_url = account.ilp_over_btp_url
    if btp_url is not None:
        if btp_url.startswith(("ws:", "btp+ws:")) and not is_loopback(btp_url):
            yield FieldProblem(
                "ilp_over_btp_url",
                "it is not encrypted: everybody on the way can read the token; use wss",
            )
        if account.ilp_over_btp_outgoing_token is None:
            yield FieldProblem(
                "ilp_over_btp_outgoing_token",
                f"it is not set: {name} will probably not let you connect",
            )
    elif account.ilp_over_btp_outgoing_token is not None:
        yield FieldProblem(
            "ilp_over_btp_url", "it is not set: the outgoing token beside it has no use"
        )
    hears = account.has_ilp_over_http_incoming_token or account.has_ilp_over_btp_incoming_token
    # Over a BTP connection of ours, the other side sends too, and needs no token of ours.
    if not hears and btp_url is None:
        yield FieldProblem(
            "ilp_over_http_incoming_token", f"it is not set: {name} cannot send you packets"
        )
    for field in ("ilp_over_http_incoming_token", "ilp_over_btp_incoming_token"):
        token = getattr(details, field)
        if token and len(token) < TOKEN_CHARACTERS_MIN:
            yield FieldProblem(
                field,
                f"it has {len(token)} characters: use {TOKEN_CHARACTERS_MIN} or more, chosen by chance",
            )
    if account.round_trip_time_ms >= ROUND_TRIP_TIME_MS_MANY:
        yield FieldProblem(
            "round_trip_time",
            f"it is {account.round_trip_time_ms} ms: so much of a packet's 30 s is taken from the"
            " nodes behind",
        )


def _engine(account: Account, engines: Mapping[str, str]) -> Iterator[FieldProblem]:
    doubt = engine_doubt(account.settlement_engine_url, account.asset.code, engines)
    if doubt is not None:
        yield FieldProblem("settlement_engine_url", doubt)


def _settlement(account: Account, engine_url: str | None) -> Iterator[FieldProblem]:
    threshold, settle_to = account.settle_threshold, account.settle_to
    if settle_to is not None and threshold is None:
        yield FieldProblem(
            "settle_threshold", "it is not set: without it settle_to does nothing"
        )
    if threshold is None:
        return
    if engine_url is None:
        yield FieldProblem(
            "settlement_engine_url",
            f"it is not set, and {account.asset.code} has no default engine: nothing will be paid",
        )
    elif engine_url.startswith(BUNDLED_ENGINE_SCHEME) and account.settlement_address is None:
        yield FieldProblem(
            "settlement_address",
            f"it is not set: the engine does not know where to pay {account.name}",
        )
