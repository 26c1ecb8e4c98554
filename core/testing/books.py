"""Books that note what they are asked, and fail as a test tells them to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, final

from core.account import AccountId
from core.errors import InsufficientBalance
from core.ledger.books import Balance, Transfer, TransferId
from core.service import Booked, Received

FIRST_TRANSFER: Final = TransferId((1 << 42) + 1)


@final
class FakeBooks:
    """The packet's part of the books: `calls` has what was asked, in order, transfers by number."""

    def __init__(self, *, available: dict[AccountId, int] | None = None) -> None:
        self.available = available or {}
        """What each account has left; an account that is not here has no limit."""
        self.calls: list[tuple[object, ...]] = []
        self.transfers: dict[TransferId, Transfer] = {}
        self.errors: dict[str, Iterator[Exception | None]] = {}
        self.received: list[Received] = []
        """What came in with fulfillments."""
        self.turns = 0
        """How many turns of the loop an end takes to answer, after it is booked or not."""
        self.is_late: Callable[[int], bool] = lambda _until_ms: False
        """Whether the moment has passed when a fulfillment is booked."""
        self.before: dict[str, Callable[[], None]] = {}
        """What happens while a call is under way: a test moves the clock here."""

    def fail(self, call: str, *errors: Exception | None) -> None:
        """Let the next calls of this name raise these, None being a call that works."""
        self.errors[call] = iter(errors)

    async def prepare(self, transfer: Transfer) -> TransferId:
        self._called("prepare")
        available = self.available.get(transfer.from_account)
        if available is not None:
            if transfer.incoming_amount > available:
                raise InsufficientBalance(
                    transfer.from_account,
                    needed=transfer.incoming_amount,
                    available=available,
                )
            self.available[transfer.from_account] = available - transfer.incoming_amount
        transfer_id = TransferId(FIRST_TRANSFER + len(self.transfers))
        self.transfers[transfer_id] = transfer
        return transfer_id

    async def fulfill(
        self,
        transfer_id: TransferId,
        fulfillment: bytes,
        received: Received | None = None,
        *,
        until_ms: int | None = None,
    ) -> Booked | None:
        await self._ended("fulfill", transfer_id, fulfillment)
        if until_ms is not None and self.is_late(until_ms):
            return None
        if received is None:
            return Booked()
        self.received.append(received)
        totals: dict[int, int] = {}
        for one in self.received:
            if one.connection == received.connection:
                for stream, amount in one.streams:
                    totals[stream] = totals.get(stream, 0) + amount
        return Booked(totals)

    async def reject(self, transfer_id: TransferId, code: bytes) -> None:
        await self._ended("reject", transfer_id, code)

    async def expire(self, transfer_id: TransferId) -> None:
        await self._ended("expire", transfer_id)

    async def fulfill_late(self, transfer_id: TransferId, fulfillment: bytes) -> None:
        self._called("fulfill_late", transfer_id, fulfillment)

    async def abandon(self, transfer_id: TransferId) -> None:
        self._called("abandon", transfer_id)

    async def strand(self, transfer_id: TransferId) -> None:
        self._called("strand", transfer_id)

    async def resolve_unknown(self, transfer_id: TransferId, *, fulfilled: bool) -> None:
        self._called("resolve_unknown", transfer_id, fulfilled)

    async def balance(self, account: AccountId) -> Balance:
        self._called("balance", account)
        return Balance(payable=self.available.get(account, 0))

    async def _ended(self, name: str, *arguments: object) -> None:
        try:
            self._called(name, *arguments)
        finally:
            for _ in range(self.turns):
                await asyncio.sleep(0)

    def _called(self, name: str, *arguments: object) -> None:
        if name in self.before:
            self.before[name]()
        error = next(self.errors.get(name, iter(())), None)
        if error is not None:
            raise error
        self.calls.append((name, *arguments))
