"""An account's details as they are typed or sent, made into `AccountDetails`, and back.

What comes as JSON has numbers as numbers or as text, and both are read exactly: JSON's `1.0` comes
as a Decimal, and neither a float nor a boolean counts as a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from decimal import Decimal
from difflib import get_close_matches
from typing import Final

from core.account import Account
from core.control.shares import share_text
from core.control.views import AccountDetails
from core.errors import SettingError, SettingErrors
from core.packet import AMOUNT_MAX

TOKEN_FIELDS: Final = (
    "ilp_over_http_incoming_token",
    "ilp_over_http_outgoing_token",
    "ilp_over_btp_incoming_token",
    "ilp_over_btp_outgoing_token",
)
INTEGER_FIELDS: Final = (
    "asset_scale",
    "max_packet_amount",
    "min_balance",
    "settle_threshold",
    "settle_to",
    "round_trip_time",
    "packets_per_minute_limit",
    "amount_per_minute_limit",
    "packet_burst_limit",
    "amount_burst_limit",
    "packets_in_flight_limit",
    "amount_in_flight_limit",
    "outgoing_amount_per_minute_limit",
    "routes_max",
    "route_weight",
)
BOOLEAN_FIELDS: Final = ("send_routes", "receive_routes", "enabled")
LIST_FIELDS: Final = ("import_prefixes", "export_prefixes")
ALL_FIELDS: Final = tuple(field.name for field in fields(AccountDetails))
_REQUIRED: Final = ("username", "asset_code", "asset_scale")
_NEVER_NONE: Final[Mapping[str, object]] = {
    "enabled": True,
    "label": "",
    "notes": "",
    "import_prefixes": (),
    "export_prefixes": (),
    "route_weight": 0,
}
_DIGITS_MAX: Final = 40
_NAME_MAX: Final = 64
"""So much of an unknown name is compared with those that are known."""
_INTEGER: Final = re.compile(rf"[+-]?[0-9]{{1,{_DIGITS_MAX}}}")


def read_details(given: Mapping[str, object]) -> AccountDetails:
    """Return the details in `given`, field by field of the right type; what they mean is checked later.

    Raises:
        SettingErrors: every field that is unknown, missing, or not of its type.
    """
    values, faults = _read_all(given)
    faults += [
        (name, "it is missing, and every account needs it")
        for name in _REQUIRED
        if given.get(name) is None
    ]
    _refuse(faults)
    return _details(values)


def _read_all(given: Mapping[str, object]) -> tuple[dict[str, object], list[tuple[str, str]]]:
    """Return every value of its field's type, and beside them the faults of those that are not."""
    values: dict[str, object] = {}
    faults: list[tuple[str, str]] = []
    for name, value in given.items():
        try:
            values[name] = read_field(name, value)
        except SettingError as error:
            faults.append((error.field, error.problem))
    return values, faults


def _refuse(faults: Sequence[tuple[str, str]]) -> None:
    if faults:
        raise SettingErrors(faults)


def read_field(name: str, value: object) -> object:
    """Return one value in its field's type.

    Raises:
        SettingError: there is no such field, or the value is not of its type.
    """
    if name not in ALL_FIELDS:
        close = get_close_matches(name[:_NAME_MAX], ALL_FIELDS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise SettingError(name, f"an account has no such field{hint}")
    if value is None:
        return _NEVER_NONE.get(name)
    if name in INTEGER_FIELDS:
        return read_integer(name, value)
    if name in BOOLEAN_FIELDS:
        if not isinstance(value, bool):
            raise SettingError(name, f"it is true or false, not {shown(value)}")
        return value
    if name in LIST_FIELDS:
        return _read_list(name, value)
    if name == "spread":
        return _read_number_as_text(name, value)
    if not isinstance(value, str):
        found = type(value).__name__ if name in TOKEN_FIELDS else shown(value)
        raise SettingError(name, f"it is text, not {found}")
    return value


def read_integer(name: str, value: object) -> int:
    """Return a whole number that came as a number or as text.

    Raises:
        SettingError: it is neither.
    """
    if value is None:
        raise SettingError(name, "it is missing, and a whole number is needed")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Decimal) and value == value.to_integral_value():
        if value.adjusted() < _DIGITS_MAX:  # 1e999999 is not worth its digits
            return int(value)
        raise SettingError(name, f"it has more than {_DIGITS_MAX} digits")
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()) is not None:
        return int(value.strip())
    raise SettingError(
        name, f"it is a whole number in the asset's smallest unit, not {shown(value)}"
        if "amount" in name or name in {"min_balance", "settle_threshold", "settle_to"}
        else f"it is a whole number, not {shown(value)}",
    )  # fmt: skip


def _read_list(name: str, value: object) -> tuple[str, ...]:
    """Return a list of texts; one text, too, with commas or blanks between them, as a command line has it."""
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if not isinstance(value, list | tuple):
        raise SettingError(name, f"it is a list of texts, not {shown(value)}")
    for each in value:
        if not isinstance(each, str):
            raise SettingError(name, f"it is a list of texts, and {shown(each)} is none")
    return tuple(value)


def _read_number_as_text(name: str, value: object) -> str:
    """Return a number as it was written; JSON's own come as an int or a Decimal."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        if isinstance(value, Decimal) and abs(value.adjusted()) > _DIGITS_MAX:
            raise SettingError(name, f"it has more than {_DIGITS_MAX} digits")
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    raise SettingError(name, f"it is a number, not {shown(value)}")


def details_of(account: Account, *, derived_address: str) -> AccountDetails:
    """Return the details that would make this account; tokens stay None, which keeps them.

    An address that only follows from the username is left out, so that it goes on following it.
    """
    return AccountDetails(
        username=account.username,
        asset_code=account.asset.code,
        asset_scale=account.asset.scale,
        ilp_address=None if account.ilp_address == derived_address else account.ilp_address,
        max_packet_amount=(
            None if account.max_packet_amount == AMOUNT_MAX else account.max_packet_amount
        ),
        min_balance=account.min_balance,
        ilp_over_http_url=account.ilp_over_http_url,
        ilp_over_btp_url=account.ilp_over_btp_url,
        settle_threshold=account.settle_threshold,
        settle_to=account.settle_to,
        settlement_engine_url=account.settlement_engine_url,
        settlement_address=account.settlement_address,
        routing_relation=account.routing_relation.value,
        round_trip_time=account.round_trip_time_ms,
        packets_per_minute_limit=account.packets_per_minute_limit,
        amount_per_minute_limit=account.amount_per_minute_limit,
        packet_burst_limit=account.packet_burst_limit,
        amount_burst_limit=account.amount_burst_limit,
        packets_in_flight_limit=account.packets_in_flight_limit,
        amount_in_flight_limit=account.amount_in_flight_limit,
        outgoing_amount_per_minute_limit=account.outgoing_amount_per_minute_limit,
        spread=None if account.spread is None else share_text(account.spread),
        send_routes=account.send_routes,
        receive_routes=account.receive_routes,
        import_prefixes=account.import_prefixes,
        export_prefixes=account.export_prefixes,
        routes_max=account.routes_max,
        route_weight=account.route_weight,
        enabled=account.enabled,
        label=account.label,
        notes=account.notes,
    )


def changed(details: AccountDetails, changes: Mapping[str, object]) -> AccountDetails:
    """Return the details with single fields changed: absent stays, None clears.

    Raises:
        SettingErrors: every field that is unknown, not of its type, or that no account can be without.
    """
    values, faults = _read_all(changes)
    faults += [
        (name, "it cannot be cleared, every account needs it")
        for name in _REQUIRED
        if name in values and values[name] is None
    ]
    _refuse(faults)
    for name in TOKEN_FIELDS:
        if name in values and values[name] is None:
            values[name] = ""
    return _details({**asdict(details), **values})


def _details(values: Mapping[str, object]) -> AccountDetails:
    return AccountDetails(**values)  # type: ignore[arg-type]  # read_field has seen to each type


def shown(value: object) -> str:
    """Return a value for an error's sentence, short, and as it was sent: 1.5, true, null."""
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
