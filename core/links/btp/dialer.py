"""Dialling a peer over BTP, again and again: where it is, how long to wait, and what it said."""

from __future__ import annotations

import asyncio
import math
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, final

from core.account import Account, Secret
from core.errors import connect_problem
from core.links.btp import websocket as ws
from core.links.btp.connection import BtpConnection, Owner
from core.links.btp.limits import BtpLimits
from core.links.link_states import LinkStates
from core.links.names import Host, NameLookups
from core.links.urls import read_endpoint

_PORTS: Final = {"ws": 80, "wss": 443, "btp+ws": 80, "btp+wss": 443}


@final
@dataclass(frozen=True, slots=True)
class BtpTarget:
    """Where an account is dialled, ready for use."""

    url: str
    """Without what could be a secret."""
    host: str
    port: int
    host_header: str
    target: str
    is_tls: bool
    username: str
    token: Secret

    @classmethod
    def of(cls, url: str, token: Secret | None) -> BtpTarget:
        """Read a URL as the operator gave it: `btp+wss://user@host/path`, with `btp+` or without.

        Raises:
            SettingError: it cannot be dialled; says why.
        """
        place = read_endpoint(
            "ilp_over_btp_url",
            url,
            _PORTS,
            beginnings="btp+ws://, btp+wss://, ws:// or wss://",
            may_name_user=True,
        )
        scheme = place.scheme.removeprefix("btp+")
        return cls(
            f"{scheme}://{place.host_header}{place.target}",
            place.host,
            place.port,
            place.host_header,
            place.target,
            scheme == "wss",
            place.username,
            token or Secret(""),
        )


def retry_wait(limits: BtpLimits, failures: int, chance: float, *, is_refusal: bool) -> float:
    """Return how long to wait after so many failures in a row: longer each time, and never just as others do.

    `chance` is between 0 and 1. After none, too, it is a wait: a peer that starts anew has lost all
    its connections at once, and is not dialled by all at once.
    """
    if failures == 0:
        return limits.reconnect_seconds * chance
    steps = limits.retry_seconds
    seconds = steps[min(failures, len(steps)) - 1]
    if is_refusal:
        seconds = max(seconds, limits.refused_seconds)
    return seconds * (0.5 + chance)


class DialerOwner(Owner, Protocol):
    """What a dialer asks of its link."""

    states: LinkStates
    limits: BtpLimits
    names: NameLookups

    def tls(self) -> ssl.SSLContext: ...
    def wait_for_turn(self) -> float:
        """Take the next turn to dial; return how long it is until then."""

    def connection_to(self, account: Account, target: BtpTarget) -> BtpConnection: ...
    def note_down(self, account: Account, problem: str) -> None:
        """The other side cannot be reached, and why."""


@final
class Dialer:
    """Keeps one connection to one account's URL."""

    def __init__(
        self,
        owner: DialerOwner,
        account: Account,
        target: BtpTarget,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.account = account
        self.target: Final = target
        self._owner = owner
        self._chance = chance
        self._connection: BtpConnection | None = None
        self._host = Host(owner.names, target.host, target.port)
        self._wish = asyncio.Event()
        """Set where it is to be dialled now, and not when its time has come."""
        self._is_waiting = False
        self._began_at = -math.inf
        self._outcome: asyncio.Future[None] = owner.loop.create_future()
        """Of the attempt that is under way, or of the next: done once it is connected, or has failed."""

    def hang_up(self, reason: str) -> None:
        """End the connection that there is; whoever calls this also ends `run`."""
        if self._connection is not None:
            self._connection.end(ws.NORMAL, reason)

    async def dial_now(self) -> None:
        """Do not wait any longer, and return once it is connected or has failed.

        An attempt that is under way is waited for; where the last one is just over, there is no other.
        """
        if self._is_waiting:
            if self._owner.loop.time() - self._began_at < self._owner.limits.wish_seconds:
                return
            self._wish.set()
        await asyncio.shield(self._outcome)

    async def run(self) -> None:
        """Connect, wait for the end, wait a while, and connect again, for ever."""
        owner = self._owner
        state, limits = owner.states.btp(self.account.id), owner.limits
        failures = 0
        try:
            while True:
                was_wished = self._wish.is_set() or await self._wait(owner.wait_for_turn())
                self._wish.clear()
                state.trying, state.retry_at = f"{self.target.url} is being dialled.", None
                problem, was_good, is_refusal = await self._attempt()
                if was_good:
                    failures = 0
                elif not was_wished:  # else whoever asks often would have it tried less often
                    failures += 1
                self._settle()
                self._outcome = owner.loop.create_future()
                wait = retry_wait(limits, failures, self._chance(), is_refusal=is_refusal)
                state.retry_at = owner.clock.monotonic() + wait
                owner.note_down(self.account, problem)
                await self._wait(wait)
        finally:
            self._settle()

    async def _wait(self, seconds: float) -> bool:
        """Wait so long, or until somebody wishes it dialled; return whether somebody does."""
        self._is_waiting = True
        try:
            async with asyncio.timeout(seconds):
                await self._wish.wait()
        except TimeoutError:
            return False
        finally:
            self._is_waiting = False
        return True

    def _settle(self) -> None:
        if not self._outcome.done():
            self._outcome.set_result(None)

    async def _attempt(self) -> tuple[str, bool, bool]:
        """Connect once; return, when it is over, why, whether it was worth it, and whether we were refused."""
        owner, target = self._owner, self.target
        self._began_at = owner.loop.time()
        try:
            connection = await self._host.connect(
                lambda: owner.connection_to(self.account, target),
                tls=owner.tls() if target.is_tls else None,
                seconds=owner.limits.connect_seconds,
                lookup_seconds=owner.limits.lookup_seconds,
            )
        except TimeoutError:
            why = "it did not take the connection in time"
        except OSError as error:
            why = connect_problem(error)
        else:
            return await self._keep(connection)
        return f"{target.host_header} cannot be reached: {why}.", False, False

    async def _keep(self, connection: BtpConnection) -> tuple[str, bool, bool]:
        """Wait for the end of a connection, and return the same of it."""
        self._connection = connection
        try:
            await asyncio.shield(connection.settled)
            self._settle()
            await asyncio.shield(connection.closed)
        finally:
            self._connection = None
            connection.end(ws.NORMAL, "The connection is not wanted any more.")
        return connection.reason, self._was_good(connection), connection.failed_login

    def _was_good(self, connection: BtpConnection) -> bool:
        """Tell whether the next attempt may come as soon as if none had failed.

        A peer that takes connections only to drop them is no better than one that takes none. What
        has outlasted the longest wait is a good one whatever it was for: so seldom anybody may be dialled.
        """
        if not connection.opened_at:
            return False
        limits = self._owner.limits
        lasted = self._owner.loop.time() - connection.opened_at
        return lasted >= limits.retry_seconds[-1] or (
            lasted >= limits.steady_seconds and connection.was_useful
        )
