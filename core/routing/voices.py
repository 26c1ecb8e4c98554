"""Which of the processes on one store speaks to which peer, and which may say that it is gone.

A peer that dials us is connected to one process, and the others cannot reach it. So each process writes
down whom it holds connections to, and a peer is spoken to by the process that has held one longest: another
that gets one does not take it over. A peer that nobody holds a connection to can be reached by all alike,
over HTTP, or by none; the oldest process speaks to it. Alone on its store, a process writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, final

from core.account import Account, AccountId
from core.clock import Clock

GONE_SECONDS: Final = 10.0
"""So long nobody was there before the routes over a link are given up: a peer that starts anew keeps them."""


class HeldLinks(Protocol):
    """Where the processes write down whom they hold connections to."""

    async def hold(
        self, opened: Mapping[AccountId, int], closed: Collection[AccountId]
    ) -> None: ...

    async def holders(self) -> Mapping[AccountId, Sequence[int]]: ...


@final
class Voices:
    """What this process knows of the others; `look` once a second."""

    def __init__(
        self,
        clock: Clock,
        *,
        holds: Callable[[], Collection[AccountId]],
        is_gone: Callable[[Account], bool],
    ) -> None:
        """`holds` tells to whom this process has connections, `is_gone` what it knows of a link by itself."""
        self.is_oldest = False
        """Whether this process does what one process does for all."""
        self._clock: Final = clock
        self._holds = holds
        self._is_gone = is_gone
        self._own: int | None = None
        self._since: dict[AccountId, int] = {}
        """Whom it holds connections to, and since when."""
        self._written_as: int | None = None
        self._written: set[AccountId] = set()
        self._holders: Mapping[AccountId, int] = {}
        """For each account that any process holds a connection to, the one that has held it longest."""
        self._let_go_at: dict[AccountId, float] = {}
        """When another process was last seen to hold none any more: that one knows since when, and may be gone itself."""

    async def look(self, links: HeldLinks, alive: Collection[int], own: int | None) -> None:
        """See who holds what, of those who are alive; `own` is the number of this process.

        Raises:
            StoreError: the store cannot be read or written; what was seen last holds.
        """
        held, now_ms = self._holds(), self._clock.now_ms()
        self._since = {account: self._since.get(account, now_ms) for account in held}
        holders: dict[AccountId, int] = {}
        if own is not None and any(number != own for number in alive):
            await self._write(links, own)
            for account, numbers in (await links.holders()).items():
                living = [number for number in numbers if number in alive]
                if living:
                    holders[account] = living[0]
        if own is not None:
            for account in self._since:
                holders.setdefault(account, own)
        now = self._clock.monotonic()
        for account, holder in self._holders.items():
            if holder != own and account not in holders:
                self._let_go_at[account] = now
        for account, at in list(self._let_go_at.items()):
            if now - at >= GONE_SECONDS:
                del self._let_go_at[account]
        self._holders = holders
        self._own = own
        self.is_oldest = own is not None and own == min(alive, default=own)

    def speaks_to(self, account: Account) -> bool:
        """Tell whether this process is the one that speaks to an account."""
        holder = self._holders.get(account.id)
        return self.is_oldest if holder is None else holder == self._own

    def is_gone(self, account: Account) -> bool:
        """Tell whether an account's routes are to be withdrawn, since nobody is there and this process has reason to know.

        Who never held a connection knows nothing of one, and over HTTP one process sees what all would see.
        Where nobody may say so, the routes go when they have not been renewed for too long.
        """
        if not self._is_gone(account) or self._holders.get(account.id, self._own) != self._own:
            return False
        if account.id in self._let_go_at:
            return False  # it was there a moment ago, and is given as long to come back as if it had been here
        return account.ilp_over_http_url is None or self.speaks_to(account)

    async def _write(self, links: HeldLinks, own: int) -> None:
        """Let the others see whom this process holds connections to."""
        if self._written_as != own:
            self._written_as, self._written = own, set()
        opened = {
            account: since
            for account, since in self._since.items()
            if account not in self._written
        }
        closed = self._written - self._since.keys()
        if opened or closed:
            await links.hold(opened, closed)
            self._written = set(self._since)
