"""A store that lacks something is found out at start, with a sentence, not by a packet."""

from __future__ import annotations

from collections.abc import Mapping

from core.account import AccountStore
from core.errors import SettingError
from core.ledger.books import Books
from core.ledger.lease import LeaseStore
from core.rates.rate import RateStore
from core.routing.table import RouteStore
from core.settlement.records import SettlementView
from core.stores.record import SettingStore, Stores
from core.telemetry.history import HistoryStore


def check_stores(stores: Stores) -> None:
    """Make sure that the store has all that the chain asks of it.

    Raises:
        SettingError: it lacks something; says what.
    """
    needed: Mapping[str, type] = {
        "accounts": AccountStore,
        "books": Books,
        "leases": LeaseStore,
        "routes": RouteStore,
        "rates": RateStore,
        "settings": SettingStore,
        "settlements": SettlementView,
        "history": HistoryStore,
    }
    for name, protocol in needed.items():
        part = getattr(stores, name, None)
        if not isinstance(part, protocol):
            missing = [
                method
                for method in dir(protocol)
                if not method.startswith("_") and not hasattr(part, method)
            ]
            raise SettingError(
                "store",
                f"{stores.url!r} lacks what the node needs of its {name}: {', '.join(missing)}",
            )
