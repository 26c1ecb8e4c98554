"""What a settlement engine asks of the common database; the operator's part is in `records`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from core.settlement.records import SettlementView


@runtime_checkable
class SettlementStore(SettlementView, Protocol):
    """The engine's side: leases, intents, signed transactions, cursor, unique credits. Each call is atomic."""
