"""Keeps route exchange going: what it owns runs from `start` to `stop`, and nothing of it on a packet's path."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, final

from core.account import Account, AccountId
from core.errors import StoreError
from core.routing.exchange import RouteExchange
from core.routing.keeper import Keeper
from core.routing.speaker import Speaker
from core.routing.store import LearnedRouteStore
from core.service import Outgoing
from core.tasks import TaskOwner, begun_anew

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""How soon a hold-down that has passed is seen."""
BREATH_SECONDS: Final = 0.02
"""News that come together are told together."""
SAVE_SECONDS: Final = 0.25
SWEEP_SECONDS: Final = 60.0
SENDING_MAX: Final = 2_000
"""Messages on their way, to all peers together: two each for a thousand."""
STOP_SECONDS: Final = 1.0


@final
class RouteExchangeRunner:
    """The tasks of route exchange, and their owner."""

    def __init__(
        self,
        exchange: RouteExchange,
        store: LearnedRouteStore,
        link: Outgoing,
        *,
        speaks: Callable[[Account], bool],
        is_gone: Callable[[Account], bool],
        came_up: Callable[[AccountId], int],
    ) -> None:
        """`speaks` tells whether this process is the one that talks to a peer, `is_gone` whether nobody is there.

        `came_up` counts how often an account's link was back.
        """
        self.exchange: Final = exchange
        self.keeper: Final = Keeper(exchange, store)
        self._tasks = TaskOwner("route exchange", tasks_max=2)
        self._saving = TaskOwner("route exchange, saving", tasks_max=2)
        self._sending = TaskOwner("route exchange, sending", tasks_max=SENDING_MAX)
        self._speaker = Speaker(exchange, link, self._sending, speaks)
        self._is_gone = is_gone
        self._came_up = came_up
        self._news = asyncio.Event()
        self._troubled = False
        self._stopping = asyncio.Event()
        exchange.on_news = self._news.set

    async def start(self) -> None:
        """Use the routes that the store has, and begin to talk.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        await self.keeper.load()
        self._tasks.start(begun_anew(self._speak, "telling peers routes"), name="speak")
        self._tasks.start(
            begun_anew(self._look_after, "looking after routes"), name="look after routes"
        )
        for name, seconds, work in (
            ("save routes", SAVE_SECONDS, self.keeper.save),
            ("sweep routes", SWEEP_SECONDS, self.keeper.sweep),
        ):
            self._saving.start(begun_anew(partial(self._every, seconds, work), name), name=name)

    async def stop(self) -> None:
        """Say nothing more, and write down what is not written yet."""
        self._stopping.set()
        await self._tasks.finish(0)
        await self._sending.finish(0)
        # A save that is under way ends by itself: what it wrote must not be taken for another node's.
        await self._saving.finish(STOP_SECONDS)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.keeper.save()
        except (StoreError, TimeoutError) as error:
            log.info("the newest routes were not saved, peers tell them again: %s", error)

    async def _speak(self) -> None:
        clock = self.exchange.clock
        while True:
            self._news.clear()
            soonest = self._speaker.tick()
            wait = LOOK_SECONDS
            if soonest is not None:
                wait = min(wait, max(0.0, soonest - clock.monotonic()))
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(BREATH_SECONDS)

    async def _look_after(self) -> None:
        while True:
            self.exchange.tick(self._is_gone, self._came_up)
            more = True
            while more:
                more = self.exchange.catch_up()
                await asyncio.sleep(0)
            await self.exchange.follow_address()
            if self.exchange.own_is_old:
                await self.exchange.retell_own()
            self.exchange.on_news()
            await asyncio.sleep(LOOK_SECONDS)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
                return
            try:
                await work()
            except StoreError as error:
                if not self._troubled:
                    log.warning("learned routes cannot be kept, and are asked anew: %s", error)
                self._troubled = True
            else:
                self._troubled = False
