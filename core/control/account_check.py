"""Whether an account can be as an operator describes it, and what it would then mean.

Each field is read by its own grammar (`account_fields`); what the fields say together, and beside
the accounts that there are, is checked here. A fault keeps the account from being saved; a warning
is for what is allowed and probably not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar, final

from core.account import (
    ROUND_TRIP_TIME_MS_DEFAULT,
    Account,
    AccountId,
    Asset,
    NewTokens,
    RoutingRelation,
    Secret,
    format_amount,
)
from core.control import account_fields as fields
from core.control.account_terms import terms
from core.control.account_warnings import warnings
from core.control.views import AccountCheck, AccountDetails, FieldProblem
from core.errors import PacketError, SettingError
from core.ledger.books import Balance
from core.packet import AMOUNT_MAX, Address, child_address, scheme

T = TypeVar("T")

_BTP_SCHEMES: Final = ("ws", "wss", "btp+ws", "btp+wss")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an account is checked against."""

    node_address: Address
    others: Sequence[Account]
    """Every account but the one that is being changed."""
    engine_urls: Mapping[str, str]
    """The default engine of each asset code."""
    token_owner: Callable[[str], str | None]
    """The username of whoever has this incoming token already."""
    engines: Mapping[str, str] = field(default_factory=dict)
    """The engines that have run on this store, each with what it pays."""
    existing: Account | None = None
    balance: Balance | None = None
    """Of the existing account; None where it never moved anything."""


@final
@dataclass(frozen=True, slots=True)
class Draft:
    """The account that the details make, where they make one, and everything that was found."""

    account: Account | None
    tokens: NewTokens
    faults: Sequence[FieldProblem]
    """Values that cannot be, or not together."""
    taken: Sequence[FieldProblem]
    """Values that another account has."""
    check: AccountCheck


def draft_account(
    details: AccountDetails, surroundings: Surroundings, *, account_id: AccountId, now_ms: int
) -> Draft:
    """Return what the details make of the account with this id, saved at this moment."""
    reader = _Reader()
    account = _read(details, surroundings, reader, account_id, now_ms)
    tokens = _read_tokens(details, reader)
    taken: list[FieldProblem] = []
    if account is not None:
        reader.problems += _together(account, surroundings)
        taken += _taken(account, details, surroundings)
    whole = account if not reader.problems else None
    engine_url = None if whole is None else engine_of(whole, surroundings.engine_urls)
    check = AccountCheck(
        problems=(*reader.problems, *taken),
        warnings=()
        if whole is None
        else tuple(
            warnings(
                whole, details, surroundings.node_address, engine_url, surroundings.engines
            )
        ),
        summary=() if whole is None else terms(whole, engine_url),
    )
    return Draft(whole, tokens, tuple(reader.problems), tuple(taken), check)


def engine_of(account: Account, engine_urls: Mapping[str, str]) -> str | None:
    """Return the engine that serves an account: its own, or else its asset's."""
    return account.settlement_engine_url or engine_urls.get(account.asset.code)


def derived_address(node_address: Address, username: str) -> Address:
    """Return the address of an account for which none was given: a segment under ours.

    Raises:
        SettingError: together they are longer than an address may be.
    """
    try:
        return child_address(node_address, username)
    except PacketError as error:
        raise SettingError("ilp_address", error.problem) from None


@final
class _Reader:
    """Reads fields one by one, and keeps the faults, so that all are shown at once."""

    def __init__(self) -> None:
        self.problems: list[FieldProblem] = []

    def read(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except SettingError as error:
            self.problems.append(FieldProblem(error.field, error.problem))
            return otherwise


def _read(
    details: AccountDetails,
    surroundings: Surroundings,
    reader: _Reader,
    account_id: AccountId,
    now_ms: int,
) -> Account | None:
    """Return the account with every field that could be read; None where it lacks name or asset."""
    read, existing = reader.read, surroundings.existing
    username = read(lambda: fields.read_username(details.username), "")
    code = read(lambda: fields.read_asset_code(details.asset_code), "")
    scale = read(lambda: fields.read_asset_scale(details.asset_scale), -1)
    ilp_address = read(lambda: _address(details, surroundings.node_address), None)
    engine_url = read(
        lambda: fields.read_engine_url(
            "settlement_engine_url", details.settlement_engine_url or ""
        ),
        None,
    )
    serving = engine_url or surroundings.engine_urls.get(code)
    account = Account(
        id=account_id,
        username=username or "?",
        ilp_address=ilp_address or surroundings.node_address,
        asset=Asset(code, max(scale, 0)),
        max_packet_amount=read(
            lambda: fields.read_max_packet_amount(details.max_packet_amount), AMOUNT_MAX
        ),
        min_balance=read(
            lambda: fields.read_booked_amount("min_balance", details.min_balance), None
        ),
        ilp_over_http_url=read(lambda: _http_url(details), None),
        ilp_over_btp_url=read(lambda: _btp_url(details), None),
        settlement_engine_url=engine_url,
        settlement_address=read(
            lambda: fields.read_settlement_address(
                details.settlement_address, engine_url=serving
            ),
            None,
        ),
        enabled=details.enabled,
        label=read(lambda: fields.read_label(details.label), ""),
        notes=read(lambda: fields.read_notes(details.notes), ""),
        created_at_ms=now_ms if existing is None else existing.created_at_ms,
        updated_at_ms=now_ms,
    )
    account = _with_limits(account, details, reader)
    account = _with_bursts(account, details, reader)
    account = _with_routing(account, details, reader)
    account = _with_tokens(account, details, existing)
    return account if username and code and scale >= 0 and ilp_address is not None else None


def _with_limits(account: Account, details: AccountDetails, reader: _Reader) -> Account:
    read = reader.read
    relation = details.routing_relation
    round_trip = details.round_trip_time
    return replace(
        account,
        settle_threshold=read(
            lambda: fields.read_booked_amount("settle_threshold", details.settle_threshold),
            None,
        ),
        settle_to=read(lambda: fields.read_booked_amount("settle_to", details.settle_to), None),
        routing_relation=RoutingRelation.NON_ROUTING_ACCOUNT
        if relation is None
        else read(
            lambda: fields.read_routing_relation(relation), RoutingRelation.NON_ROUTING_ACCOUNT
        ),
        round_trip_time_ms=ROUND_TRIP_TIME_MS_DEFAULT
        if round_trip is None
        else read(lambda: fields.read_round_trip_time(round_trip), ROUND_TRIP_TIME_MS_DEFAULT),
        packets_per_minute_limit=read(
            lambda: fields.read_limit(
                "packets_per_minute_limit", details.packets_per_minute_limit, fields.U32_MAX
            ),
            None,
        ),
        amount_per_minute_limit=read(
            lambda: fields.read_limit(
                "amount_per_minute_limit", details.amount_per_minute_limit, AMOUNT_MAX
            ),
            None,
        ),
    )


def _with_bursts(account: Account, details: AccountDetails, reader: _Reader) -> Account:
    def limit(field: str, given: int | None, maximum: int) -> int | None:
        return reader.read(lambda: fields.read_limit(field, given, maximum), None)

    return replace(
        account,
        packet_burst_limit=limit(
            "packet_burst_limit", details.packet_burst_limit, fields.U32_MAX
        ),
        amount_burst_limit=limit("amount_burst_limit", details.amount_burst_limit, AMOUNT_MAX),
        packets_in_flight_limit=limit(
            "packets_in_flight_limit", details.packets_in_flight_limit, fields.U32_MAX
        ),
        amount_in_flight_limit=limit(
            "amount_in_flight_limit", details.amount_in_flight_limit, AMOUNT_MAX
        ),
        outgoing_amount_per_minute_limit=limit(
            "outgoing_amount_per_minute_limit",
            details.outgoing_amount_per_minute_limit,
            AMOUNT_MAX,
        ),
        spread=reader.read(lambda: fields.read_spread(details.spread), None),
    )


def _with_routing(account: Account, details: AccountDetails, reader: _Reader) -> Account:
    read = reader.read
    return replace(
        account,
        send_routes=details.send_routes,
        receive_routes=details.receive_routes,
        import_prefixes=read(
            lambda: fields.read_prefixes("import_prefixes", details.import_prefixes), ()
        ),
        export_prefixes=read(
            lambda: fields.read_prefixes("export_prefixes", details.export_prefixes), ()
        ),
        routes_max=read(lambda: fields.read_routes_max(details.routes_max), None),
        route_weight=read(lambda: fields.read_route_weight(details.route_weight), 0),
    )


def _with_tokens(
    account: Account, details: AccountDetails, existing: Account | None
) -> Account:
    """Return the account with what its tokens will be once the change is stored."""

    def has(given: str | None, *, stored: bool) -> bool:
        return stored if given is None else bool(given)

    def secret(given: str | None, stored: Secret | None) -> Secret | None:
        if given is None:
            return stored
        return Secret(given) if given else None

    return replace(
        account,
        has_ilp_over_http_incoming_token=has(
            details.ilp_over_http_incoming_token,
            stored=existing is not None and existing.has_ilp_over_http_incoming_token,
        ),
        has_ilp_over_btp_incoming_token=has(
            details.ilp_over_btp_incoming_token,
            stored=existing is not None and existing.has_ilp_over_btp_incoming_token,
        ),
        ilp_over_http_outgoing_token=secret(
            details.ilp_over_http_outgoing_token,
            None if existing is None else existing.ilp_over_http_outgoing_token,
        ),
        ilp_over_btp_outgoing_token=secret(
            details.ilp_over_btp_outgoing_token,
            None if existing is None else existing.ilp_over_btp_outgoing_token,
        ),
    )


def _read_tokens(details: AccountDetails, reader: _Reader) -> NewTokens:
    def read(field: str, given: str | None) -> Secret | None:
        if given is None:
            return None
        return Secret(reader.read(lambda: fields.read_token(field, given), ""))

    return NewTokens(
        ilp_over_http_incoming=read(
            "ilp_over_http_incoming_token", details.ilp_over_http_incoming_token
        ),
        ilp_over_http_outgoing=read(
            "ilp_over_http_outgoing_token", details.ilp_over_http_outgoing_token
        ),
        ilp_over_btp_incoming=read(
            "ilp_over_btp_incoming_token", details.ilp_over_btp_incoming_token
        ),
        ilp_over_btp_outgoing=read(
            "ilp_over_btp_outgoing_token", details.ilp_over_btp_outgoing_token
        ),
    )


def _address(details: AccountDetails, node_address: Address) -> Address | None:
    if details.ilp_address is not None and details.ilp_address.strip():
        return fields.read_ilp_address(details.ilp_address)
    try:
        username = fields.read_username(details.username)
    except SettingError:
        return None  # told already, as the username's fault
    return derived_address(node_address, username)


def _http_url(details: AccountDetails) -> str | None:
    url = details.ilp_over_http_url or ""
    return fields.read_link_url("ilp_over_http_url", url, schemes=("http", "https"))


def _btp_url(details: AccountDetails) -> str | None:
    url = details.ilp_over_btp_url or ""
    return fields.read_link_url("ilp_over_btp_url", url, schemes=_BTP_SCHEMES)


def _together(account: Account, surroundings: Surroundings) -> Iterator[FieldProblem]:
    """Yield what cannot be together, or beside the node and what is booked."""
    ours = surroundings.node_address
    if account.ilp_address == ours:
        yield FieldProblem("ilp_address", f"{ours} is this node's own address")
    parent = account.routing_relation is RoutingRelation.PARENT
    if scheme(account.ilp_address) != scheme(ours) and not parent:
        yield FieldProblem(
            "ilp_address",
            f"{account.ilp_address} was found; this node is in the network {scheme(ours)!r} and forwards"
            f" nothing to another one, so that it needs an address that starts with '{scheme(ours)}.'",
        )
    threshold, settle_to = account.settle_threshold, account.settle_to or 0
    if threshold is not None and threshold <= settle_to:
        yield FieldProblem(
            "settle_threshold",
            f"{threshold} was found; it needs more than settle_to, which is {settle_to},"
            " or there would be nothing to pay",
        )
    if parent:
        for other in surroundings.others:
            if other.routing_relation is RoutingRelation.PARENT:
                yield FieldProblem(
                    "routing_relation", f"{other.username} is the parent already, and there is one"
                )  # fmt: skip
    existing, balance = surroundings.existing, surroundings.balance
    if existing is not None and balance is not None and account.asset != existing.asset:
        yield FieldProblem(
            "asset_code" if account.asset.code != existing.asset.code else "asset_scale",
            f"{account.asset} was found; what is booked counts {existing.asset} "
            f"(net {format_amount(balance.net, existing.asset)}), so that it cannot change:"
            " add another account for the other asset",
        )


def _taken(
    account: Account, details: AccountDetails, surroundings: Surroundings
) -> Iterator[FieldProblem]:
    """Yield which values another account has."""
    for other in surroundings.others:
        if other.username == account.username:
            yield FieldProblem("username", f"another account is called {account.username}")
        if other.ilp_address == account.ilp_address:
            yield FieldProblem(
                "ilp_address", f"{account.ilp_address} is {other.username}'s address"
            )
    token = details.ilp_over_http_incoming_token
    owner = surroundings.token_owner(token) if token else None
    if owner is not None and any(other.username == owner for other in surroundings.others):
        yield FieldProblem(
            "ilp_over_http_incoming_token",
            "it is another account's token; each account needs one of its own",
        )
