"""What else an operator settles with a peer: bursts, what is in flight, spread, and the exchange of routes."""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database
from sqlite_utils.db import Table

_COLUMNS: Final[dict[str, type]] = {
    "packet_burst_limit": int,
    "amount_burst_limit": str,
    "packets_in_flight_limit": int,
    "amount_in_flight_limit": str,
    "outgoing_amount_per_minute_limit": str,
    "spread": str,
    "send_routes": int,
    "receive_routes": int,
    "import_prefixes": str,
    "export_prefixes": str,
    "routes_max": int,
    "route_weight": int,
}
"""Amounts reach 2^64−1 and a spread is a fraction: decimal text. Prefixes, which have no blanks, stand
beside each other with one between. NULL is what an account had before there was the column."""


def add_account_limits(database: Database) -> None:
    """Add the columns; every account that there is keeps doing what it did."""
    account = Table(database, "account")
    for name, kind in _COLUMNS.items():
        account.add_column(name, kind)
