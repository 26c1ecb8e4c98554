"""Between the editor's texts and the account's details; exact, and a sentence for what cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from core.account import AMOUNT_MAX_BOOKED, SCALE_MAX, Account
from core.control.views import AccountDetails
from desktop import formatting
from desktop.models.peer_editor import (
    BTP_FIELDS,
    CREDIT_DEPOSIT,
    CREDIT_LIMITED,
    CREDIT_PREPAID,
    CREDIT_UNLIMITED,
    CREDIT_WITH_AMOUNT,
    FIELDS,
    HTTP_FIELDS,
    LINK_BOTH,
    LINK_BTP,
    LINK_HTTP,
    LINK_UNUSED,
    Difference,
    Kind,
)
from desktop.presenters.decimals import typed_share

NEEDED: Final = {
    "username": "A username is needed: 2 to 32 characters of a–z, 0–9, _, ~ and -.",
    "asset_code": "An asset is needed, as in USD.",
}
YES: Final = "yes"
_CHOICE_OF: Final = {None: "", True: "yes", False: "no"}
_VALUE_OF: Final = {choice: value for value, choice in _CHOICE_OF.items()}
_WORDS: Final = re.compile(r"[\s,;]+")
_NUMBER_MAX: Final = 2**31 - 1
_MASK: Final = "••••••"


def texts_of(account: Account) -> dict[str, str]:
    """Return what stands in the form when this account is edited; secrets are never shown."""
    scale = account.asset.scale

    def amount(value: int | None) -> str:
        return "" if value is None else formatting.typed_number(value, scale)

    unlimited_packet = account.max_packet_amount > AMOUNT_MAX_BOOKED
    credit = account.min_balance
    return {
        "username": account.username,
        "label": account.label,
        "enabled": YES if account.enabled else "",
        "notes": account.notes,
        "ilp_over_http_url": account.ilp_over_http_url or "",
        "asset_code": account.asset.code,
        "asset_scale": str(scale),
        "credit": _credit_choice(credit),
        "credit_amount": amount(abs(credit)) if credit else "",
        "max_packet_amount": "" if unlimited_packet else amount(account.max_packet_amount),
        "packets_per_minute_limit": _text(account.packets_per_minute_limit),
        "amount_per_minute_limit": amount(account.amount_per_minute_limit),
        "settlement_engine_url": account.settlement_engine_url or "",
        "settlement_address": account.settlement_address or "",
        "settle_threshold": amount(account.settle_threshold),
        "settle_to": amount(account.settle_to),
        "routing_relation": account.routing_relation.value,
        "ilp_address": str(account.ilp_address),
        "round_trip_time": str(account.round_trip_time_ms),
        "ilp_over_btp_url": account.ilp_over_btp_url or "",
        "link": _link_choice(account),
        "packet_burst_limit": _text(account.packet_burst_limit),
        "amount_burst_limit": amount(account.amount_burst_limit),
        "packets_in_flight_limit": _text(account.packets_in_flight_limit),
        "amount_in_flight_limit": amount(account.amount_in_flight_limit),
        "outgoing_amount_per_minute_limit": amount(account.outgoing_amount_per_minute_limit),
        "spread": "" if account.spread is None else typed_share(account.spread),
        "send_routes": _CHOICE_OF[account.send_routes],
        "receive_routes": _CHOICE_OF[account.receive_routes],
        "import_prefixes": " ".join(account.import_prefixes),
        "export_prefixes": " ".join(account.export_prefixes),
        "routes_max": _text(account.routes_max),
        "route_weight": _text(account.route_weight or None),
    }


def _link_choice(account: Account) -> str:
    over_http = account.ilp_over_http_url is not None or any(
        name in stored_secrets(account) for name in HTTP_FIELDS
    )
    over_btp = account.ilp_over_btp_url is not None or any(
        name in stored_secrets(account) for name in BTP_FIELDS
    )
    return LINK_BOTH if over_http and over_btp else LINK_BTP if over_btp else LINK_HTTP


def _credit_choice(min_balance: int | None) -> str:
    if min_balance is None:
        return CREDIT_UNLIMITED
    if min_balance == 0:
        return CREDIT_PREPAID
    return CREDIT_LIMITED if min_balance < 0 else CREDIT_DEPOSIT


def stored_secrets(account: Account) -> frozenset[str]:
    """Return the names of the tokens that are stored already."""
    stored = {
        "ilp_over_http_incoming_token": account.has_ilp_over_http_incoming_token,
        "ilp_over_http_outgoing_token": account.ilp_over_http_outgoing_token is not None,
        "ilp_over_btp_incoming_token": account.has_ilp_over_btp_incoming_token,
        "ilp_over_btp_outgoing_token": account.ilp_over_btp_outgoing_token is not None,
    }
    return frozenset(name for name, is_stored in stored.items() if is_stored)


def details_of(
    texts: Mapping[str, str], *, cleared: frozenset[str] = frozenset()
) -> tuple[AccountDetails, dict[str, str]]:
    """Return the details that were typed, and by field what of it could not be read.

    A field that could not be read is left out of the details, so that the rest can be checked. A
    token that was not typed stays as it is, one in `cleared` is removed.
    """
    problems: dict[str, str] = {}
    unused = LINK_UNUSED.get(texts.get("link", ""), ())
    cleared |= frozenset(unused)
    texts = {name: text for name, text in texts.items() if name not in unused}
    code = texts.get("asset_code", "").strip()
    scale = _number(texts, "asset_scale", problems, maximum=SCALE_MAX)
    if scale is None and "asset_scale" not in problems:
        problems["asset_scale"] = "How many decimals the amounts have is needed: 2 for cents."

    def words(name: str) -> str | None:
        return texts.get(name, "").strip() or None

    def amount(name: str, minimum: int = 0) -> int | None:
        return _amount(texts, name, code, scale, problems, minimum=minimum)

    def secret(name: str) -> str | None:
        return "" if name in cleared else words(name)

    problems |= {name: needed for name, needed in NEEDED.items() if words(name) is None}
    threshold, settle_to = _settling(amount, code, scale, problems)
    details = AccountDetails(
        username=words("username") or "",
        asset_code=code,
        asset_scale=scale or 0,
        ilp_address=words("ilp_address"),
        max_packet_amount=amount("max_packet_amount", minimum=1),
        min_balance=_min_balance(texts, code, scale, problems),
        ilp_over_http_url=words("ilp_over_http_url"),
        ilp_over_http_incoming_token=secret("ilp_over_http_incoming_token"),
        ilp_over_http_outgoing_token=secret("ilp_over_http_outgoing_token"),
        ilp_over_btp_url=words("ilp_over_btp_url"),
        ilp_over_btp_incoming_token=secret("ilp_over_btp_incoming_token"),
        ilp_over_btp_outgoing_token=secret("ilp_over_btp_outgoing_token"),
        settle_threshold=threshold,
        settle_to=settle_to,
        settlement_engine_url=words("settlement_engine_url"),
        settlement_address=words("settlement_address"),
        routing_relation=words("routing_relation"),
        round_trip_time=_number(texts, "round_trip_time", problems),
        packets_per_minute_limit=_number(texts, "packets_per_minute_limit", problems),
        amount_per_minute_limit=amount("amount_per_minute_limit", minimum=1),
        packet_burst_limit=_number(texts, "packet_burst_limit", problems),
        amount_burst_limit=amount("amount_burst_limit", minimum=1),
        packets_in_flight_limit=_number(texts, "packets_in_flight_limit", problems),
        amount_in_flight_limit=amount("amount_in_flight_limit", minimum=1),
        outgoing_amount_per_minute_limit=amount("outgoing_amount_per_minute_limit", minimum=1),
        spread=words("spread"),
        send_routes=_VALUE_OF[texts.get("send_routes", "")],
        receive_routes=_VALUE_OF[texts.get("receive_routes", "")],
        import_prefixes=_several(words("import_prefixes")),
        export_prefixes=_several(words("export_prefixes")),
        routes_max=_number(texts, "routes_max", problems),
        route_weight=_number(texts, "route_weight", problems, minimum=-_NUMBER_MAX) or 0,
        enabled=bool(texts.get("enabled")),
        label=words("label") or "",
        notes=words("notes") or "",
    )
    return details, problems


def _settling(
    amount: Callable[..., int | None], code: str, scale: int | None, problems: dict[str, str]
) -> tuple[int | None, int | None]:
    """Return when it is settled and down to what, said in whole units where the two do not agree."""
    threshold = amount("settle_threshold")
    settle_to = amount("settle_to", minimum=-AMOUNT_MAX_BOOKED)
    if threshold is not None and settle_to is not None and settle_to >= threshold:
        least = formatting.amount(threshold, code, scale or 0)
        problems["settle_to"] = (
            f"It must be less than the {least} at which you settle, or nothing would be paid."
        )
        return threshold, None
    return threshold, settle_to


def form_field_of(name: str, texts: Mapping[str, str]) -> str:
    """Return the field of the form that a problem of the account's field is shown under."""
    if name == "min_balance":
        return "credit_amount" if texts.get("credit") in CREDIT_WITH_AMOUNT else "credit"
    return name


def differences(
    before: Mapping[str, str],
    after: Mapping[str, str],
    *,
    stored: frozenset[str],
    cleared: frozenset[str],
) -> Sequence[Difference]:
    """Return what saving would change, as it is read by a person."""
    found = []
    unused = LINK_UNUSED.get(after.get("link", ""), ())
    after = {name: text for name, text in after.items() if name not in unused}
    cleared |= frozenset(unused)
    for name, field in FIELDS.items():
        if field.kind is Kind.SECRET:
            if name in cleared and name in stored:
                found.append(Difference(field.label, _MASK, "removed"))
            elif after.get(name, "").strip():
                found.append(
                    Difference(field.label, _MASK if name in stored else "none", "a new one")
                )
            continue
        old, new = (_shown(name, texts) for texts in (before, after))
        if old != new:
            found.append(Difference(field.label, old or "nothing", new or "nothing"))
    return found


def undo_details(account: Account) -> AccountDetails:
    """Return the details that bring an account back to what it was; its tokens stay."""
    details, problems = details_of(texts_of(account))
    assert not problems, problems
    return replace(details, max_packet_amount=account.max_packet_amount)


def _shown(name: str, texts: Mapping[str, str]) -> str:
    value = texts.get(name, "").strip()
    field = FIELDS[name]
    if field.kind is Kind.CHOICE:
        return dict(field.choices).get(value, value)
    if field.kind is Kind.SWITCH:
        return "yes" if value else "no"
    if name == "credit_amount" and texts.get("credit") not in CREDIT_WITH_AMOUNT:
        return ""
    if field.kind is Kind.AMOUNT and value:
        return _normal_amount(value, texts)
    return value


def _normal_amount(value: str, texts: Mapping[str, str]) -> str:
    code, scale = texts.get("asset_code", ""), texts.get("asset_scale", "")
    try:
        parsed = formatting.parse_amount(value, code, int(scale))
    except ValueError:
        return value
    return formatting.amount(parsed, code, int(scale))


def _min_balance(
    texts: Mapping[str, str], code: str, scale: int | None, problems: dict[str, str]
) -> int | None:
    choice = texts.get("credit", CREDIT_LIMITED)
    if choice == CREDIT_UNLIMITED:
        return None
    if choice == CREDIT_PREPAID:
        return 0
    amount = _amount(texts, "credit_amount", code, scale, problems, maximum=AMOUNT_MAX_BOOKED)
    if amount is None and "credit_amount" not in problems:
        problems["credit_amount"] = (
            "An amount is needed here; choose “None” or “Unlimited” above if there is none."
        )
    return (amount or 0) if choice == CREDIT_DEPOSIT else -(amount or 0)


def _amount(
    texts: Mapping[str, str],
    name: str,
    code: str,
    scale: int | None,
    problems: dict[str, str],
    *,
    minimum: int = 0,
    maximum: int = 2**64 - 1,
) -> int | None:
    def read(text: str) -> int | None:
        if scale is None:
            return None
        return formatting.parse_amount(text, code, scale, minimum=minimum, maximum=maximum)

    return _read(texts, name, read, problems)


def _number(
    texts: Mapping[str, str],
    name: str,
    problems: dict[str, str],
    *,
    minimum: int = 0,
    maximum: int = _NUMBER_MAX,
) -> int | None:
    def read(text: str) -> int:
        bare = (
            text.replace(" ", "").replace(formatting.GROUP, "").replace(formatting.MINUS, "-")
        )
        size = formatting.whole_number(bare.removeprefix("-"))
        if size is None:
            raise ValueError(f"“{text[:40]}” is no whole number.")
        value = -size if bare.startswith("-") else size
        if value < minimum:
            raise ValueError(f"{text} is too little: {minimum} is the least.")
        if value > maximum:
            raise ValueError(f"{text} is too much: {maximum} is the most.")
        return value

    return _read(texts, name, read, problems)


def _read(
    texts: Mapping[str, str],
    name: str,
    read: Callable[[str], int | None],
    problems: dict[str, str],
) -> int | None:
    text = texts.get(name, "").strip()
    if not text:
        return None
    try:
        return read(text)
    except ValueError as problem:
        problems[name] = str(problem)
        return None


def _several(text: str | None) -> tuple[str, ...]:
    return tuple(part for part in _WORDS.split(text or "") if part)


def _text(value: int | None) -> str:
    return "" if value is None else str(value)
