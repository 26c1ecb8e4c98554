"""Keeps the feed going: asks the sources that are due, and puts into force what the feed decides.

Of several nodes on one store one does this: the eldest that is alive. Two for a moment, while one of
them goes, do no harm: each writes down whole sets of prices.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol, final

from core.clock import Clock
from core.errors import RateSourceError, StoreError
from core.rates.feed import Feed
from core.rates.formats import fixed_sample, read_sample
from core.rates.overlay import by_sources
from core.rates.records import (
    HeldJump,
    Price,
    RateSnapshot,
    RateSource,
    Sample,
    SourceKind,
)
from core.rates.store import RateFeedStore
from core.tasks import TaskOwner

log = logging.getLogger(__name__)

SOURCES_MAX: Final = 32
"""Asked at once, each with at most 2 MiB in memory."""


class Fetch(Protocol):
    """Asks a source over the network, or reads its file."""

    async def fetch(self, source: RateSource) -> bytes:
        """Return its answer.

        Raises:
            RateSourceError: there is none, or it is too long, or late; a sentence says why.
        """


@final
class NoFetch:
    """For a node that asks nobody: fixed prices alone work."""

    async def fetch(self, source: RateSource) -> bytes:
        raise RateSourceError("this node asks no sources over the network")


@final
class RateFeeder:
    """One process's part in the feed; `tick` is called about once a second."""

    def __init__(
        self,
        store: RateFeedStore,
        fetch: Fetch,
        clock: Clock,
        *,
        served: Callable[[], Collection[str]],
        is_ours: Callable[[], bool],
    ) -> None:
        """`served` are the asset codes that accounts count in; `is_ours` whether this process asks."""
        self._store = store
        self._fetch = fetch
        self._clock = clock
        self._served = served
        self._is_ours = is_ours
        self._feed = Feed()
        self._tasks = TaskOwner("rates", tasks_max=SOURCES_MAX)
        self._turn = asyncio.Lock()
        self._is_loaded = False
        self._polls_here = False
        self._in_force: tuple[Mapping[str, Price], str] | None = None
        self._holds: Mapping[str, HeldJump] = {}

    @property
    def polls_here(self) -> bool:
        """Whether this process asks the sources."""
        return self._polls_here

    def configuration_changed(self) -> None:
        """Load sources and settings anew at the next tick."""
        self._is_loaded = False

    def saw(self, snapshot: RateSnapshot | None) -> None:
        """Look at what has come into force: where the operator took a price back, the sources' own returns."""
        if self._in_force is None:
            return
        prices = {} if snapshot is None else snapshot.prices
        if not self._in_force[0].keys() <= prices.keys():
            self._in_force = None

    async def tick(self) -> None:
        """Ask what is due, without waiting for it; put into force what follows from what was said.

        Raises:
            StoreError: the store cannot be used; the next tick tries again.
        """
        async with self._turn:
            if not self._is_loaded:
                await self._configure()
            asked_here = self._polls_here
            # What sources said is taken back by whoever asks when the last of them is gone.
            self._polls_here = self._has_work() and self._is_ours()
            if not self._polls_here:
                return
            if not asked_here:
                await self._take_over()
            now_ms = self._clock.now_ms()
            for source in self._feed.due(now_ms):
                self._feed.asked(source.name, now_ms)
                self._tasks.start(self._poll(source), name=source.name)
            await self._decide()

    async def poll_now(self) -> None:
        """Tick, and wait for those that are being asked: for an operator who has just changed a source."""
        await self.tick()
        await self._tasks.settled()
        await self.tick()

    async def ask(self, source: RateSource) -> Sample:
        """Return what a source says now; nothing of it comes into force.

        Raises:
            RateSourceError: it does not answer, or not with prices.
        """
        if source.kind is SourceKind.FIXED:
            return fixed_sample(source, self._clock.now_ms())
        octets = await self._fetch.fetch(source)
        # Some tens of milliseconds for the longest answer: packets do not wait for it.
        return await asyncio.to_thread(read_sample, source, octets, self._clock.now_ms())

    async def finish(self) -> None:
        """Ask nobody any more."""
        await self._tasks.finish(0)

    async def _configure(self) -> None:
        self._is_loaded = True  # what changes while we read is seen at the next look
        store = self._store
        try:
            sources = await store.load_sources()
            settings = await store.load_feed_settings()
            self._holds = await store.load_holds()
        except StoreError:
            self._is_loaded = False
            raise
        self._feed.configure(sources, settings, self._holds)

    async def _take_over(self) -> None:
        """Go on from what was in force last, whoever put it there."""
        snapshot = await self._store.latest_snapshot()
        self._in_force = None
        if snapshot is not None:
            self._feed.resume(snapshot.prices, snapshot.reference)
            said = by_sources(snapshot.prices, snapshot.reference)
            self._in_force = (said, snapshot.reference)

    def _has_work(self) -> bool:
        return bool(self._feed.sources) or (
            self._in_force is not None and bool(self._in_force[0])
        )

    async def _poll(self, source: RateSource) -> None:
        try:
            sample = await self.ask(source)
        except RateSourceError as error:
            status = self._feed.failed(source, _sentence(error), self._clock.now_ms())
            if status is not None and status.failures == 1:
                log.warning("the rate source %s: %s", source.name, error)
        else:
            was_failing = self._feed.status(source.name).failures > 0
            status = self._feed.answered(source, sample, self._clock.now_ms())
            if was_failing:
                log.info("the rate source %s answers again", source.name)
        if status is not None:
            with contextlib.suppress(StoreError):  # it is for looking at; the next one is kept
                await self._store.save_status(source.name, status)

    async def _decide(self) -> None:
        reference = self._feed.settings.reference
        decision = self._feed.decide(self._clock.now_ms(), self._served())
        if decision.holds != self._holds:
            for code, held in decision.holds.items():
                if code not in self._holds:
                    log.warning(
                        "the price of %s is held at %s: its sources say %s now",
                        code,
                        format(held.from_price, "f"),
                        format(held.to_price, "f"),
                    )
            await self._store.replace_holds(decision.holds)
            self._holds = decision.holds
        before = self._in_force
        if not decision.prices and (before is None or not before[0]):
            return
        if (decision.prices, reference) != before:
            await self._store.publish(decision.prices, reference, self._clock.now_ms())
            self._in_force = (decision.prices, reference)


def _sentence(error: RateSourceError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
