"""Incoming: how many packets, and how much, an account may send in a minute."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import AccountId, Asset, format_amount
from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict

MINUTE_US: Final = 60_000_000


class RateLimitAccount(Protocol):
    """An account whose operator may have limited what it sends; None is no limit."""

    @property
    def id(self) -> AccountId: ...
    @property
    def username(self) -> str: ...
    @property
    def asset(self) -> Asset: ...
    @property
    def packets_per_minute_limit(self) -> int | None: ...
    @property
    def amount_per_minute_limit(self) -> int | None: ...


A = TypeVar("A", bound=RateLimitAccount)


@final
class _Bucket:
    """A token bucket in whole numbers: it holds `limit` tokens and fills in one minute.

    A token is kept as 60,000,000 parts, as many as a minute has microseconds: after `n` of them
    exactly `n × limit` parts have come in, and nothing is rounded.
    """

    __slots__ = ("_at_us", "_limit", "_parts")

    def __init__(self, limit: int, now_us: int) -> None:
        self._limit = limit
        self._parts = limit * MINUTE_US
        self._at_us = now_us

    def tokens(self, limit: int, now_us: int) -> int:
        """Return how many whole tokens there are, once it has filled up to now."""
        if limit != self._limit:  # the operator has changed it: what was used stays used
            self._parts = max(0, self._parts + (limit - self._limit) * MINUTE_US)
            self._limit = limit
        if now_us > self._at_us:
            self._parts = min(limit * MINUTE_US, self._parts + (now_us - self._at_us) * limit)
            self._at_us = now_us
        return self._parts // MINUTE_US

    def take(self, tokens: int) -> None:
        self._parts -= tokens * MINUTE_US

    def give_back(self, tokens: int) -> None:
        self._parts = min(self._limit * MINUTE_US, self._parts + tokens * MINUTE_US)

    def wait_ms(self, tokens: int) -> int | None:
        """Return how long until there are so many tokens, or None where there never are."""
        if tokens > self._limit:
            return None
        missing = tokens * MINUTE_US - self._parts
        return -(-max(0, missing) // (self._limit * 1000))


@final
class RateLimits:
    """The buckets of this process, one of each kind an account that has a limit."""

    __slots__ = ("_amounts", "_clock", "_packets")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._packets: dict[AccountId, _Bucket] = {}
        self._amounts: dict[AccountId, _Bucket] = {}

    def keep_only(self, accounts: Collection[AccountId]) -> None:
        """Forget the buckets of accounts that are gone."""
        for buckets in (self._packets, self._amounts):
            for account in buckets.keys() - accounts:
                del buckets[account]

    def refusal(
        self, account: RateLimitAccount, amount: int, *, take: bool
    ) -> tuple[ErrorCode, str] | None:
        """Return why this packet is too much, or None where it is not; then, with `take`, it is counted.

        A packet that is one too many takes no amount; one that carries too much counts as a packet.
        """
        now_us = int(self._clock.monotonic() * 1_000_000)
        packet_limit = account.packets_per_minute_limit
        if packet_limit is not None:
            bucket = _bucket(self._packets, account.id, packet_limit, now_us)
            if bucket.tokens(packet_limit, now_us) < 1:
                return ErrorCode.RATE_LIMITED, (
                    f"{account.username} may send {packet_limit} packets a minute and has used them up; "
                    f"{_next_free(bucket.wait_ms(1))}."
                )
            if take:
                bucket.take(1)
        amount_limit = account.amount_per_minute_limit
        if amount_limit is not None and amount > 0:
            bucket = _bucket(self._amounts, account.id, amount_limit, now_us)
            left = bucket.tokens(amount_limit, now_us)
            if left < amount:
                return ErrorCode.INSUFFICIENT_LIQUIDITY, (
                    f"{account.username} may send {format_amount(amount_limit, account.asset)} a minute, of which "
                    f"{format_amount(left, account.asset)} is left, and this packet carries "
                    f"{format_amount(amount, account.asset)}; {_next_free(bucket.wait_ms(amount))}."
                )
            if take:
                bucket.take(amount)
        return None

    def give_back(self, account: RateLimitAccount, amount: int) -> None:
        """Undo what a packet took of the amount: it was rejected."""
        bucket = self._amounts.get(account.id)
        if bucket is not None:
            bucket.give_back(amount)


@final
@dataclass(frozen=True, slots=True)
class RateLimitService(Generic[A]):
    """Refuse what an account sends above its limits: T05 for packets, T04 for the amount.

    What was rejected has moved no money and gives its amount back; it was still a packet, and
    packets are what the limit protects the node from.
    """

    next: IncomingService[A]
    limits: RateLimits
    address: NodeAddress

    async def handle(self, request: IncomingRequest[A]) -> Reply:
        account = request.from_account
        if account.packets_per_minute_limit is None and account.amount_per_minute_limit is None:
            return await self.next.handle(request)

        amount = request.prepare.amount  # before anyone behind us changes it
        refusal = self.limits.refusal(account, amount, take=True)
        if refusal is not None:
            return self.address.reject(*refusal)
        reply = await self.next.handle(request)
        if isinstance(reply, Reject):
            self.limits.give_back(account, amount)
        return reply

    async def explain(self, request: IncomingRequest[A]) -> Explanation:
        account = request.from_account
        refusal = self.limits.refusal(account, request.prepare.amount, take=False)
        if refusal is not None:
            code, sentence = refusal
            reject = self.address.reject(code, sentence)
            return (Step("rate limit", Verdict.REJECTS, sentence, reject),)
        step = Step("rate limit", Verdict.PASSES, _within(account))
        return (step, *await self.next.explain(request))


def _bucket(
    buckets: dict[AccountId, _Bucket], account: AccountId, limit: int, now_us: int
) -> _Bucket:
    bucket = buckets.get(account)
    if bucket is None:
        bucket = buckets[account] = _Bucket(limit, now_us)
    return bucket


def _next_free(wait_ms: int | None) -> str:
    if wait_ms is None:
        return "that is more than the limit will ever allow"
    return f"try again in {wait_ms} ms"


def _within(account: RateLimitAccount) -> str:
    packets, amount = account.packets_per_minute_limit, account.amount_per_minute_limit
    if packets is None and amount is None:
        return f"{account.username} may send any number of packets and any amount a minute."
    limits = []
    if packets is not None:
        limits.append(f"{packets} packets")
    if amount is not None:
        limits.append(format_amount(amount, account.asset))
    return f"{account.username} is within its limit of {' and '.join(limits)} a minute."
