"""Two engines as others have been built, to show that our tests would have caught them.

Nothing of the product knows them: they are made of the real one by taking its safety away.
`between` is called at the one moment at which the real engine cannot be interrupted and these can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

from core.errors import LedgerRefused
from core.settlement.engine import SettlementEngine, _payment, _Round
from core.settlement.store import (
    BlockMark,
    EngineLease,
    IncomingPayment,
    OpenSettlement,
    ScanApplied,
    WalletKey,
)


def _nothing() -> None:
    """Let the moment pass."""


def broadcast_first(
    engine: SettlementEngine, between: Callable[[], None] = _nothing
) -> SettlementEngine:
    """Take the nonce from the ledger, pay, and write it down afterwards."""
    broken = _BroadcastFirst(engine, between)
    engine._sign = broken.sign  # type: ignore[method-assign]
    engine._check_nonce = lambda *_: None  # type: ignore[method-assign]
    return engine


class _BroadcastFirst:
    """Takes the place of the step `sign`."""

    def __init__(self, engine: SettlementEngine, between: Callable[[], None]) -> None:
        self._engine = engine
        self._between = between

    async def sign(self, key: WalletKey, settlement: OpenSettlement, round_: _Round) -> None:
        engine = self._engine
        state = await engine._ledger.state()
        try:
            plan = await engine._ledger.plan(_payment(settlement), committed=0, replacing=None)
        except LedgerRefused:
            return
        attempt = engine._ledger.sign(plan, state.nonce, engine._clock.now_ms())
        await engine._ledger.broadcast(attempt)
        self._between()
        # The row afterwards. Its nonce is made to fit, as a store without that column would let it.
        await engine._store.sign(engine.lease, key, settlement.id, round_.next_nonce, attempt)
        round_.next_nonce += 1
        await engine._store.sent(engine.lease, settlement.id)


def credit_apart_from_cursor(
    engine: SettlementEngine, between: Callable[[], None] = _nothing
) -> SettlementEngine:
    """Credit in one transaction and move the cursor in another, with no key that is unique."""
    engine._store = cast(Any, _CreditApart(engine._store, between))
    return engine


class _CreditApart:
    """Stands before the store; a scan is applied in two steps."""

    def __init__(self, store: Any, between: Callable[[], None]) -> None:
        self._store = store
        self._between = between

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def apply_scan(
        self,
        lease: EngineLease,
        key: WalletKey,
        *,
        after: BlockMark,
        upto: BlockMark,
        payments: Sequence[IncomingPayment],
    ) -> ScanApplied:
        keyless = [replace(payment, key=str(uuid4())) for payment in payments]
        await self._store.apply_scan(lease, key, after=after, upto=after, payments=keyless)
        if payments:
            self._between()
        moved: ScanApplied = await self._store.apply_scan(
            lease, key, after=after, upto=upto, payments=()
        )
        return moved
