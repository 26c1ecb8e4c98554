"""Keeps learned routes in the store, behind the packets, and takes over what other nodes have kept there.

Routes are told again when they are lost, so nothing waits for them to be durable: what has changed is
written a little later, together. Rows come before the epoch that they make complete, so that after a crash
a peer is asked from an epoch on that we do have.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Final, final

from core.errors import UnknownAccount
from core.routing.ccp import NO_TABLE, Mode
from core.routing.exchange import RouteExchange
from core.routing.peer import Peer
from core.routing.store import ROWS_AT_ONCE, LearnedRouteStore, StoredPeer, StoredRoute
from core.routing.table import Route, RouteSource

log = logging.getLogger(__name__)


@final
class Keeper:
    """Between the exchange's memory and the store."""

    def __init__(self, exchange: RouteExchange, store: LearnedRouteStore) -> None:
        self._exchange = exchange
        self._store = store
        self._paths: Final[dict[tuple[str, ...], tuple[str, ...]]] = {}

    async def load(self) -> None:
        """Take over what the store has, when the node starts: its routes are used at once.

        Each peer gets a whole hold-down to be heard of again, since it was us who did not listen.
        """
        for stored in await self._store.load_peers():
            peer = self._exchange.peers.get(stored.account)
            if peer is not None:
                async with peer.saving:
                    await self._take_over(peer, stored)
                if peer.heard.expires is not None:
                    hold_down = peer.heard.hold_down_ms / 1000
                    peer.heard.expires = self._exchange.clock.monotonic() + hold_down
        self._exchange.mark_silent()

    async def look(self) -> None:
        """Take over what another node has saved since the last look."""
        for stored in await self._store.load_peers():
            peer = self._exchange.peers.get(stored.account)
            if peer is None or stored.version <= peer.version:
                continue
            async with peer.saving:
                # While we waited, we may have saved ourselves.
                if stored.version > peer.version:
                    await self._take_over(peer, stored)
        self._exchange.mark_silent()
        self._exchange.on_news()

    async def save(self) -> None:
        """Write down what has changed, a few thousand routes in a transaction."""
        for peer in list(self._exchange.peers.values()):
            if peer.is_unsaved or peer.unsaved:
                async with peer.saving:
                    await self._save(peer)

    async def sweep(self) -> None:
        """Delete all rows that nobody reads any more: a peer must not be able to write faster than they go."""
        while await self._store.sweep_learned(rows_max=ROWS_AT_ONCE):
            pass

    async def _save(self, peer: Peer) -> None:
        # What comes meanwhile is saved the next time: others wait, too.
        for _ in range(max(1, math.ceil(len(peer.unsaved) / ROWS_AT_ONCE))):
            prefixes = list(islice(peer.unsaved, ROWS_AT_ONCE))
            for prefix in prefixes:
                del peer.unsaved[prefix]
            peer.is_unsaved = bool(peer.unsaved)
            epoch = peer.saved_epoch if peer.unsaved else peer.heard.epoch
            generation = peer.generation
            words = self._exchange.learned.words(peer.account.id)
            routes = [
                _row(prefix, peer.heard.routes.get(prefix) or words.get(prefix))
                for prefix in prefixes
            ]
            try:
                saved = await self._store.save_learned(self._header(peer, epoch), routes)
            except UnknownAccount:
                peer.is_unsaved = False
                peer.unsaved.clear()
                return
            except BaseException:
                if peer.generation == generation:
                    peer.unsaved.update(dict.fromkeys(prefixes))
                peer.is_unsaved = True
                raise
            if saved is None:
                await self._give_way(peer)
                return
            peer.version = saved.version
            if peer.generation == generation:
                peer.saved_epoch = epoch

    def _header(self, peer: Peer, epoch: int) -> StoredPeer:
        heard, telling = peer.heard, peer.telling
        clock = self._exchange.clock
        expires_in = 0.0 if heard.expires is None else heard.expires - clock.monotonic()
        return StoredPeer(
            account=peer.account.id,
            table_id=heard.table_id,
            epoch=epoch,
            hold_down_ms=heard.hold_down_ms,
            heard_at_ms=heard.heard_at_ms or 0,
            expires_at_ms=clock.now_ms() + max(0, round(expires_in * 1000)),
            wants_routes=telling.mode is Mode.SYNC,
            wanted_table_id=telling.asked_table_id,
            wanted_epoch=telling.asked_epoch,
            generation=peer.generation,
            version=peer.version,
        )

    async def _give_way(self, peer: Peer) -> None:
        """Take over what another node has saved for the same peer; what we had of it is told again."""
        peer.is_unsaved = False
        peer.unsaved.clear()
        for stored in await self._store.load_peers():
            if stored.account == peer.account.id:
                peer.generation = -1  # so that every route is read
                await self._take_over(peer, stored)

    async def _take_over(self, peer: Peer, stored: StoredPeer) -> None:
        exchange, heard = self._exchange, peer.heard
        async with peer.applying:
            is_silent = stored.table_id == NO_TABLE
            whole = stored.generation != peer.generation or peer.version < stored.floor
            if whole or peer.version == 0:
                exchange.held.set_aside(peer, is_silent=is_silent)
            after = 0 if whole or peer.version == 0 else peer.version
            if peer.takes:
                self._paths.clear()
                async for rows in self._pages(stored, after):
                    await self._apply(peer, rows, is_silent=is_silent)
                known = heard.current_epoch if heard.table_id == stored.table_id else 0
                heard.table_id, heard.epoch = stored.table_id, stored.epoch
                heard.current_epoch = max(known, stored.epoch)
                heard.hold_down_ms = stored.hold_down_ms
                heard.heard_at_ms = stored.heard_at_ms or None
                if not is_silent:
                    now_ms, now = exchange.clock.now_ms(), exchange.clock.monotonic()
                    heard.expires = now + (stored.expires_at_ms - now_ms) / 1000
                if not is_silent or exchange.learned.words(peer.account.id):
                    exchange.own_is_old |= peer.is_quiet
                peer.asking.has_told = True
            peer.generation, peer.version = stored.generation, stored.version
            peer.saved_epoch = stored.epoch
            await self._hear_wishes(peer, stored)

    async def _hear_wishes(self, peer: Peer, stored: StoredPeer) -> None:
        """Go on telling a peer that has asked another node, or this one before it was started anew."""
        telling = peer.telling
        mode = Mode.SYNC if stored.wants_routes else Mode.IDLE
        wished = (mode, stored.wanted_table_id, stored.wanted_epoch)
        if wished == (telling.mode, telling.asked_table_id, telling.asked_epoch):
            return
        telling.mode, telling.asked_table_id, telling.asked_epoch = wished
        if mode is Mode.SYNC:
            await self._exchange.speak_up()
        self._exchange.go_on_telling(peer)

    async def _pages(
        self, stored: StoredPeer, after_version: int
    ) -> AsyncIterator[Sequence[StoredRoute]]:
        after_prefix = ""
        while True:
            rows = await self._store.load_learned(
                stored,
                after_version=after_version,
                after_prefix=after_prefix,
                limit=ROWS_AT_ONCE,
            )
            yield rows
            if len(rows) < ROWS_AT_ONCE:
                return
            after_prefix = rows[-1].prefix

    async def _apply(self, peer: Peer, rows: Sequence[StoredRoute], *, is_silent: bool) -> None:
        """Use these rows, or know by them what a silent peer told last; a path that many share is kept once."""
        exchange, account = self._exchange, peer.account.id
        for row in rows:
            if exchange.held.work.is_over():
                await asyncio.sleep(0)
            if row.path is None:
                exchange.held.release(peer, row.prefix)
                continue
            path = self._paths.setdefault(row.path, row.path)
            route = Route(row.prefix, account, RouteSource.LEARNED, path, row.auth)
            if is_silent:
                exchange.learned.remember(route)
                continue
            speaker = path[0] if path else peer.account.ilp_address
            if exchange.held.refusal(peer, route, speaker):
                exchange.held.release(peer, row.prefix)
            else:
                exchange.held.hold(peer, route)


def _row(prefix: str, route: Route | None) -> StoredRoute:
    return (
        StoredRoute(prefix, None)
        if route is None
        else StoredRoute(prefix, route.path, route.auth)
    )
