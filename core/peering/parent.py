"""Who we are, asked of our parent (RFC-0031): at the start, when the parent changes, and when its link is back.

A node whose operator gave it no address is called what its parent calls it. A parent that does not
give addresses says so once, and is left in peace: its peers have addresses that their operators agreed on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Final, final

from core.account import Account, AccountDirectory, AccountId, RoutingRelation
from core.clock import Clock
from core.errors import PacketError, SettingError
from core.ildcp_message import CONDITION, IldcpAnswer, ildcp_request
from core.node_address import NodeAddress
from core.packet import Address, Fulfill, Reject, address as address_of, covers, scheme
from core.service import Outgoing, own_packet

log = logging.getLogger(__name__)

REQUEST_MS: Final = 10_000
"""How long an answer is waited for; the parent has it in memory."""
AGAIN_SECONDS: Final = 60.0
"""A parent that answered is asked again: it may have been given another address itself, and cannot tell us."""
QUIET_SECONDS: Final = 3_600.0
"""One that gives no addresses may be set up otherwise one day."""
CHANGE_SECONDS: Final = 60.0
"""Between two changes, however often its link is back: each moves accounts and routes, and tells all peers anew."""
RETRY_SECONDS_FIRST: Final = 1.0
RETRY_SECONDS_MAX: Final = 60.0
_NOWHERE: Final = ("peer", "self")
"""Schemes that are for one link or machine: no node is called so."""


@final
class ParentAddress:
    """Asks, when it is time, and hands a new address to `adopt`, which moves what stands under the old one."""

    def __init__(
        self,
        *,
        directory: AccountDirectory,
        link: Outgoing,
        clock: Clock,
        address: NodeAddress,
        adopt: Callable[[Address], Awaitable[None]],
        name: Callable[[Account, Address], Awaitable[None]],
        named: Callable[[], Awaitable[str | None]],
        came_up: Callable[[AccountId], int],
        is_given: bool,
    ) -> None:
        """Wait to be asked for a step.

        Args:
            directory: Where the parent's account is looked up.
            link: By which it is asked.
            clock: When it is asked.
            address: What we are called.
            adopt: Called with what we are to be called.
            name: Called with the parent's account, whose operator gave it no address, and what it is called.
            named: Returns what `name` was last told.
            came_up: Counts how often an account's link was back.
            is_given: Our operator gave us an address, so that nobody is asked.
        """
        self._directory = directory
        self._link = link
        self._clock = clock
        self._address = address
        self._adopt = adopt
        self._name = name
        self._named = named
        self._came_up = came_up
        self.is_given: Final = is_given
        self.asked_at_ms: int | None = None
        self.answered_at_ms: int | None = None
        self.problem = ""
        """Why the last question came to nothing, a sentence; empty where it did not."""
        self._asked: Account | None = None
        self._ups = -1
        self._due = 0.0
        self._retry_seconds = RETRY_SECONDS_FIRST
        self._may_change_at = 0.0

    @property
    def parent(self) -> Account | None:
        """The account that is our parent; None without one, while it is paused, or where there are several."""
        parents = [
            account
            for account in self._directory.all()
            if account.routing_relation is RoutingRelation.PARENT and account.enabled
        ]
        return parents[0] if len(parents) == 1 else None

    @property
    def next_at_ms(self) -> int | None:
        """When it is asked again by itself."""
        if self.is_given or self.parent is None:
            return None
        return self._clock.now_ms() + max(
            0, round(1000 * (self._due - self._clock.monotonic()))
        )

    async def step(self) -> None:
        """Ask if it is time to; call it every second. Raises StoreError where a new address cannot be kept."""
        parent = None if self.is_given else self.parent
        if parent is None:
            self._asked = None
            return
        ups = self._came_up(parent.id)
        is_news = parent is not self._asked or ups != self._ups
        if is_news:
            self._retry_seconds = RETRY_SECONDS_FIRST
        if parent is not self._asked:
            self._may_change_at = 0.0  # the operator has said something new of it
        if is_news or self._clock.monotonic() >= self._due:
            self._asked, self._ups = parent, ups
            await self._ask(parent)

    async def ask(self, parent: Account) -> None:
        """Ask it now, for the operator, and take what it says; `problem` says what came of it.

        Raises:
            StoreError: a new address cannot be kept.
        """
        # The minute between two changes is for links that come and go, not for one who waits for it.
        self._may_change_at = 0.0
        await self._ask(parent)

    async def _ask(self, parent: Account) -> None:
        self.asked_at_ms = self._clock.now_ms()
        # Whatever comes of it, even an error on the way: not again at once.
        self._due = self._clock.monotonic() + RETRY_SECONDS_FIRST
        request = ildcp_request(expires_at_ms=self.asked_at_ms + REQUEST_MS)
        reply = await self._link.send(own_packet(parent, request))
        if isinstance(reply, Reject):
            self._refused(parent, reply)
            return
        try:
            answer = _read(reply)
            theirs = parent.ilp_address
            # One under our own address is what an account has whose operator gave it none.
            is_unnamed = covers(self._address.current, theirs) or theirs == await self._named()
            self._check(parent, answer, is_unnamed=is_unnamed)
            self.answered_at_ms = self._clock.now_ms()
            if answer.address != self._address.current:
                wait = self._may_change_at - self._clock.monotonic()
                if wait > 0:
                    self._failed(
                        f"{parent.name} gave yet another address within a minute, and is asked again"
                        " once that is over"
                    )
                    self._later(wait)
                    return
                await self._adopt(answer.address)
                self._may_change_at = self._clock.monotonic() + CHANGE_SECONDS
            if is_unnamed:
                await self._name_it(parent, answer.address)
        except (PacketError, SettingError) as error:
            self._failed(f"{parent.name} gave an address that cannot be ours: {error.problem}")
            self._later(QUIET_SECONDS)
            return
        self._later(AGAIN_SECONDS)
        self._retry_seconds = RETRY_SECONDS_FIRST
        if answer.asset == parent.asset:
            self.problem = ""
        else:
            self._failed(
                f"{parent.name} counts {answer.asset} with us, and its account here counts "
                f"{parent.asset}: every amount between the two means something else"
            )

    async def _name_it(self, parent: Account, ours: Address) -> None:
        """Call the parent by what it has put our name under; nobody else here is called so, or it was refused."""
        above = ours.rpartition(".")[0]
        moved = self._same(parent)
        if moved is not None and moved.ilp_address != above and "." in above:
            await self._name(moved, address_of(above))
        if (named := self._same(parent)) is not None:
            self._asked = named  # that it is called otherwise is no news of the operator's

    def _same(self, parent: Account) -> Account | None:
        """Return the parent as it is now, where nothing but its address has changed."""
        found = self.parent
        if found is None:
            return None
        as_before = replace(
            found, ilp_address=parent.ilp_address, updated_at_ms=parent.updated_at_ms
        )
        return found if as_before == parent else None

    def _check(self, parent: Account, answer: IldcpAnswer, *, is_unnamed: bool) -> None:
        """Raise SettingError where an address cannot be ours; the one that we have was checked when it came."""
        given, ours, theirs = answer.address, self._address.current, parent.ilp_address
        if given == ours:
            return
        if scheme(given) in _NOWHERE:
            raise SettingError("ilp_address", f"{given} is for one link or machine only")
        if not is_unnamed and (given == theirs or not covers(theirs, given)):
            raise SettingError(
                "ilp_address",
                f"{given} is not under {theirs}, the address of its account here; if that is"
                " not what it is called, change it there",
            )
        for account in self._directory.all():
            held = account.ilp_address
            moves = covers(ours, held)  # with us, when our address changes
            if account.id != parent.id and not moves and covers(held, given):
                where = "is" if held == given else f"is under {held},"
                raise SettingError(
                    "ilp_address",
                    f"{given} {where} the address of {account.name}, an account here",
                )

    def _refused(self, parent: Account, reject: Reject) -> None:
        code = reject.code.decode("ascii", "replace")
        why = reject.message or code
        if code.startswith("F") and reject.triggered_by != self._address.current:
            self._failed(
                f"{parent.name} gives no addresses ({code}: {why}), as some nodes do not: set this "
                "node's own with --ilp-address, as agreed on with its operator",
                is_ordinary=True,
            )
            self._later(QUIET_SECONDS)
            return
        self._failed(f"{parent.name} was asked for our address and gave none: {why}")
        self._later(self._retry_seconds)
        # Our own reject says that it was not reached; whoever answers and cannot say may never be able to.
        is_ours = reject.triggered_by == self._address.current
        longest = RETRY_SECONDS_MAX if is_ours else QUIET_SECONDS
        self._retry_seconds = min(2 * self._retry_seconds, longest)

    def _failed(self, problem: str, *, is_ordinary: bool = False) -> None:
        """Note it, and log it once while it lasts."""
        if problem != self.problem:
            log.log(logging.INFO if is_ordinary else logging.WARNING, "%s", problem)
        self.problem = problem

    def _later(self, seconds: float) -> None:
        self._due = self._clock.monotonic() + seconds


def _read(fulfill: Fulfill) -> IldcpAnswer:
    if sha256(fulfill.fulfillment).digest() != CONDITION:
        raise PacketError("its fulfillment is not that of an IL-DCP packet", octet=0)
    return IldcpAnswer.decode(fulfill.data)
