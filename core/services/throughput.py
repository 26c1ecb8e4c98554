"""Outgoing: how much is sent to an account in a minute."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, final

from core.account import AccountId, Asset, format_amount
from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply
from core.service import Explanation, OutgoingRequest, OutgoingService, Step, Verdict
from core.token_bucket import Buckets, when_to_retry


class ThroughputAccount(Protocol):
    """An account whose operator may have limited what is sent to it; None is no limit."""

    @property
    def id(self) -> AccountId: ...
    @property
    def username(self) -> str: ...
    @property
    def asset(self) -> Asset: ...
    @property
    def outgoing_amount_per_minute_limit(self) -> int | None: ...


A = TypeVar("A", bound=ThroughputAccount)


@final
class Throughput:
    """The buckets of this process, one an account that has a limit."""

    __slots__ = ("_amounts",)

    def __init__(self, clock: Clock) -> None:
        self._amounts = Buckets(clock)

    def keep_only(self, accounts: Collection[AccountId]) -> None:
        """Forget the buckets of accounts that are gone."""
        self._amounts.keep_only(accounts)

    def refusal(self, account: ThroughputAccount, amount: int, *, take: bool) -> str | None:
        """Return why so much may not be sent now, or None where it may; then, with `take`, it is counted."""
        limit = account.outgoing_amount_per_minute_limit
        if limit is None or amount == 0:
            return None
        bucket, left = self._amounts.tokens(account.id, limit, None)
        if left < amount:
            asset = account.asset
            return (
                f"This node sends {account.username} {format_amount(limit, asset)} a minute, of which "
                f"{format_amount(left, asset)} is left, and this packet would carry "
                f"{format_amount(amount, asset)}; {when_to_retry(bucket.wait_ms(amount))}."
            )
        if take:
            bucket.take(amount)
        return None

    def give_back(self, account: ThroughputAccount, amount: int) -> None:
        """Undo what a packet took: it was rejected."""
        self._amounts.give_back(account.id, amount)


@final
@dataclass(frozen=True, slots=True)
class ThroughputService(Generic[A]):
    """Send an account no more in a minute than its operator allows; what is above is T04.

    What was rejected has moved no money and is given back; what may still be fulfilled is not.
    """

    next: OutgoingService[A]
    throughput: Throughput
    address: NodeAddress

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        account = request.to_account
        if account.outgoing_amount_per_minute_limit is None:
            return await self.next.send(request)
        amount = request.prepare.amount
        refusal = self.throughput.refusal(account, amount, take=True)
        if refusal is not None:
            return self.address.reject(ErrorCode.INSUFFICIENT_LIQUIDITY, refusal)
        reply = await self.next.send(request)
        if isinstance(reply, Reject) and not request.left_open:
            self.throughput.give_back(account, amount)
        return reply

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        account = request.to_account
        refusal = self.throughput.refusal(account, request.prepare.amount, take=False)
        if refusal is not None:
            reject = self.address.reject(ErrorCode.INSUFFICIENT_LIQUIDITY, refusal)
            return (Step("throughput", Verdict.REJECTS, refusal, reject),)
        limit = account.outgoing_amount_per_minute_limit
        sentence = (
            f"Any amount may be sent to {account.username} in a minute."
            if limit is None
            else f"What is sent to {account.username} is within {format_amount(limit, account.asset)} a minute."
        )
        step = Step("throughput", Verdict.PASSES, sentence)
        return (step, *await self.next.explain(request))
