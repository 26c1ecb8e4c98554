"""What an operator configures: accounts, routes, rates, settings; and who shares the file."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database
from sqlite_utils.db import Table

CHANGE_KINDS: Final = ("accounts", "routes", "rates", "settings")

_ACCOUNT: Final[dict[str, type]] = {
    # Compact rows (journal, history) name an account by this number. The row outlives the account:
    # once deleted, it keeps number, id and asset, so that the journal can still be read.
    "number": int,
    "id": str,
    "username": str,
    "ilp_address": str,
    "asset_code": str,
    "asset_scale": int,
    # Up to 2^64−1, which SQLite's INTEGER does not hold: decimal text, like all u64 here.
    "max_packet_amount": str,
    "min_balance": int,
    "ilp_over_http_url": str,
    "ilp_over_http_incoming_hash": bytes,
    "ilp_over_http_outgoing_sealed": bytes,
    "ilp_over_btp_url": str,
    "ilp_over_btp_incoming_hash": bytes,
    "ilp_over_btp_outgoing_sealed": bytes,
    "settle_threshold": int,
    "settle_to": int,
    "settlement_engine_url": str,
    "settlement_address": str,
    "routing_relation": str,
    "round_trip_time_ms": int,
    "packets_per_minute_limit": int,
    "amount_per_minute_limit": str,
    "enabled": int,
    "label": str,
    "notes": str,
    "created_at_ms": int,
    "updated_at_ms": int,
    "deleted_at_ms": int,
    "former_username": str,
}

_UNIQUE: Final = (
    "id",
    "username",
    "ilp_address",
    "ilp_over_http_incoming_hash",
    "ilp_over_btp_incoming_hash",
)
"""A deleted account's columns are NULL here, its id excepted: NULLs do not collide."""


def create_configuration(database: Database) -> None:
    """Create the tables that change when an operator changes something, and the nodes' leases."""
    account = Table(database, "account")
    account.create(
        _ACCOUNT,
        pk="number",
        not_null={"id", "asset_code", "asset_scale", "max_packet_amount", "routing_relation"},
        strict=True,
    )
    for column in _UNIQUE:
        account.create_index([column], unique=True)

    Table(database, "route").create(
        {"prefix": str, "account": int},
        pk="prefix",
        not_null={"account"},
        foreign_keys=[("account", "account", "number")],
        strict=True,
    ).create_index(["account"])
    Table(database, "price").create(
        {"asset_code": str, "price": str}, pk="asset_code", not_null={"price"}, strict=True
    )
    Table(database, "setting").create(
        {"name": str, "value": str}, pk="name", not_null={"value"}, strict=True
    )
    Table(database, "secret").create(
        {"name": str, "sealed": bytes}, pk="name", not_null={"sealed"}, strict=True
    )
    _create_encryption(database)
    _create_node(database)

    # Grows in the transaction that changes something; other processes poll it.
    change = Table(database, "change").create(
        {"kind": str, "version": int}, pk="kind", not_null={"version"}, strict=True
    )
    change.insert_all({"kind": kind, "version": 0} for kind in CHANGE_KINDS)


def _create_encryption(database: Database) -> None:
    """One row: where the master key comes from, and a value by which a wrong key is known."""
    Table(database, "encryption").create(
        {
            "one": int,
            "source": str,
            "salt": bytes,
            "scrypt_n": int,
            "scrypt_r": int,
            "scrypt_p": int,
            "check_value": bytes,
        },
        pk="one",
        not_null={"source", "check_value"},
        strict=True,
    )


def _create_node(database: Database) -> None:
    """Node processes; alive is whose `ended_at_ms` is NULL, until somebody finds it dead.

    Rows are never deleted: a number names one process for ever, in every transfer that it made.
    """
    node = Table(database, "node").create(
        {
            "number": int,
            "name": str,
            "pid": int,
            "started_at_ms": int,
            "renewed_at_ms": int,
            "ended_at_ms": int,
        },
        pk="number",
        not_null={"name", "pid", "started_at_ms", "renewed_at_ms"},
        strict=True,
    )
    node.create_index(["ended_at_ms"])
