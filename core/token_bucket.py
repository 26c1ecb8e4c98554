"""A token bucket in whole numbers: what may pass in a minute, and how much of it at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, final

from core.account import AccountId
from core.clock import Clock

MINUTE_US: Final = 60_000_000


@final
class Bucket:
    """It fills at `rate` tokens a minute and holds no more than `size`.

    A token is kept as 60,000,000 parts, as many as a minute has microseconds: after `n` of them
    exactly `n × rate` parts have come in, and nothing is rounded.
    """

    __slots__ = ("_at_us", "_parts", "_rate", "_size")

    def __init__(self, rate: int, size: int, now_us: int) -> None:
        self._rate = rate
        self._size = size
        self._parts = size * MINUTE_US
        self._at_us = now_us

    def tokens(self, rate: int, size: int, now_us: int) -> int:
        """Return how many whole tokens there are, once it has filled up to now."""
        if now_us > self._at_us:
            self._parts = min(
                self._size * MINUTE_US, self._parts + (now_us - self._at_us) * self._rate
            )
            self._at_us = now_us
        if size != self._size:  # the operator has changed it: what was used stays used
            self._parts = max(0, self._parts + (size - self._size) * MINUTE_US)
            self._size = size
        self._rate = rate
        return self._parts // MINUTE_US

    def take(self, tokens: int) -> None:
        self._parts -= tokens * MINUTE_US

    def give_back(self, tokens: int) -> None:
        self._parts = min(self._size * MINUTE_US, self._parts + tokens * MINUTE_US)

    def wait_ms(self, tokens: int) -> int | None:
        """Return how long until there are so many tokens, or None where there never are."""
        if tokens > self._size or not self._rate:
            return None
        missing = tokens * MINUTE_US - self._parts
        return -(-max(0, missing) // (self._rate * 1000))


@final
class Buckets:
    """The buckets of one kind in this process, one an account that has a limit."""

    __slots__ = ("_by_account", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_account: dict[AccountId, Bucket] = {}

    def keep_only(self, accounts: Collection[AccountId]) -> None:
        """Forget the buckets of accounts that are gone."""
        for account in self._by_account.keys() - accounts:
            del self._by_account[account]

    def tokens(self, account: AccountId, rate: int, size: int | None) -> tuple[Bucket, int]:
        """Return the account's bucket, and what is in it now; no size is a minute's."""
        now_us = int(self._clock.monotonic() * 1_000_000)
        whole = rate if size is None else size
        bucket = self._by_account.get(account)
        if bucket is None:
            bucket = self._by_account[account] = Bucket(rate, whole, now_us)
        return bucket, bucket.tokens(rate, whole, now_us)

    def give_back(self, account: AccountId, tokens: int) -> None:
        """Undo what was taken."""
        bucket = self._by_account.get(account)
        if bucket is not None:
            bucket.give_back(tokens)


def when_to_retry(wait_ms: int | None) -> str:
    """Return the end of a refusal's sentence."""
    if wait_ms is None:
        return "that is more than the limit will ever allow"
    return f"try again in {wait_ms} ms"
