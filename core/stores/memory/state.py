"""What the memory stores share, as the stores of a database share its tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from core.account import Account, AccountId
from core.ledger.lease import NodeLease
from core.payments.records import Invoice, Payment, ReceivedPayment
from core.service import PaymentNumber
from core.stores.node_number import NodeNumber


@final
@dataclass(slots=True)
class MemoryState:
    """Rows that more than one of the stores looks at; gone with the process."""

    accounts: dict[AccountId, Account] = field(default_factory=dict)
    deleted: dict[AccountId, Account] = field(default_factory=dict)
    """What was deleted stays known, so that the journal can be read."""
    routes: dict[str, AccountId] = field(default_factory=dict)
    """Prefix to next hop; the default route is under `""`."""
    versions: dict[str, int] = field(
        default_factory=lambda: {
            "accounts": 0,
            "routes": 0,
            "learned": 0,
            "rates": 0,
            "rate_feed": 0,
            "settings": 0,
        }
    )
    nodes: dict[int, NodeLease] = field(default_factory=dict)
    """Every process that ever signed on; alive is whose `ended_at_ms` is None."""
    node: NodeNumber = field(default_factory=NodeNumber)
    held_links: dict[tuple[AccountId, int], int] = field(default_factory=dict)
    """Since when a process holds a connection to an account."""
    payments: dict[PaymentNumber, Payment] = field(default_factory=dict)
    received: dict[tuple[AccountId, str], ReceivedPayment] = field(default_factory=dict)
    """By account and connection."""
    invoices: dict[str, Invoice] = field(default_factory=dict)

    def changed(self, kind: str) -> None:
        """Let every process that shares the store see that something of this kind changed."""
        self.versions[kind] += 1
