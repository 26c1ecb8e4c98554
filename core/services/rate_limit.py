"""Incoming: how many packets, and how much, an account may send in a minute."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, final

from core.account import AccountId, Asset, format_amount
from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply
from core.service import Explanation, IncomingRequest, IncomingService, Step, Verdict
from core.token_bucket import Buckets, when_to_retry


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
    @property
    def packet_burst_limit(self) -> int | None: ...
    @property
    def amount_burst_limit(self) -> int | None: ...


A = TypeVar("A", bound=RateLimitAccount)


@final
class RateLimits:
    """The buckets of this process, one of each kind an account that has a limit."""

    __slots__ = ("_amounts", "_packets")

    def __init__(self, clock: Clock) -> None:
        self._packets = Buckets(clock)
        self._amounts = Buckets(clock)

    def keep_only(self, accounts: Collection[AccountId]) -> None:
        """Forget the buckets of accounts that are gone."""
        self._packets.keep_only(accounts)
        self._amounts.keep_only(accounts)

    def refusal(
        self, account: RateLimitAccount, amount: int, *, take: bool
    ) -> tuple[ErrorCode, str] | None:
        """Return why this packet is too much, or None where it is not; then, with `take`, it is counted.

        A packet that is one too many takes no amount; one that carries too much counts as a packet.
        """
        packet_limit = account.packets_per_minute_limit
        if packet_limit is not None:
            bucket, left = self._packets.tokens(
                account.id, packet_limit, account.packet_burst_limit
            )
            if left < 1:
                at_once = _at_once(account.packet_burst_limit)
                return ErrorCode.RATE_LIMITED, (
                    f"{account.username} may send {_packets(packet_limit)} a minute{at_once} and has "
                    f"used them up; {when_to_retry(bucket.wait_ms(1))}."
                )
            if take:
                bucket.take(1)
        amount_limit = account.amount_per_minute_limit
        if amount_limit is not None and amount > 0:
            size = account.amount_burst_limit
            bucket, left = self._amounts.tokens(account.id, amount_limit, size)
            if left < amount:
                asset = account.asset
                at_once = _at_once(None if size is None else format_amount(size, asset))
                return ErrorCode.INSUFFICIENT_LIQUIDITY, (
                    f"{account.username} may send {format_amount(amount_limit, asset)} a minute{at_once or ','} "
                    f"of which {format_amount(left, asset)} is left, and this packet carries "
                    f"{format_amount(amount, asset)}; {when_to_retry(bucket.wait_ms(amount))}."
                )
            if take:
                bucket.take(amount)
        return None

    def give_back(self, account: RateLimitAccount, amount: int) -> None:
        """Undo what a packet took of the amount: it was rejected."""
        self._amounts.give_back(account.id, amount)


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


def _at_once(burst: int | str | None) -> str:
    return "" if burst is None else f", {burst} at once,"


def _within(account: RateLimitAccount) -> str:
    packets, amount = account.packets_per_minute_limit, account.amount_per_minute_limit
    if packets is None and amount is None:
        return f"{account.username} may send any number of packets and any amount a minute."
    limits = []
    if packets is not None:
        limits.append(_packets(packets))
    if amount is not None:
        limits.append(format_amount(amount, account.asset))
    return f"{account.username} is within its limit of {' and '.join(limits)} a minute."


def _packets(number: int) -> str:
    return "one packet" if number == 1 else f"{number} packets"
