"""What is held of what peers told: within its bounds, damped, and taken out of use a little at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, final

from core.clock import Clock
from core.routing.ccp import ToldRoute
from core.routing.damping import CHANGED
from core.routing.learned import Changed, LearnedRoutes
from core.routing.peer import Peer
from core.routing.room import Room, megabytes, octets_max_of, octets_of, routes_max_of
from core.routing.table import Route, RouteSource
from core.routing.turns import ROUTE

log = logging.getLogger(__name__)

FORGOTTEN_AT_ONCE: Final = 1_000
RELEASED_AT_ONCE: Final = 20
UNSAVED_MAX: Final = 50_000
"""So many withdrawn prefixes wait for a store that cannot be written; beyond it the whole table is written anew."""


@final
class HeldRoutes:
    """Every peer's table as far as it was taken, and the ways that follow from all of them."""

    def __init__(self, clock: Clock, changed: Changed) -> None:
        self._clock = clock
        self.learned: Final = LearnedRoutes(changed)
        self.work: Final = self.learned.work
        self.room = Room()
        """How much all that peers tell may take."""
        self.reason = ""
        """Why routes change just now, for the operator."""

    # --- What is had of a peer

    def take(self, peer: Peer, told: ToldRoute, speaker: str) -> None:
        """Have a route that a peer tells, if it may be had."""
        route = Route(told.prefix, peer.account.id, RouteSource.LEARNED, told.path, told.auth)
        known = peer.heard.routes.get(told.prefix)
        if known == route:
            return
        if peer.rules.is_echo(told.prefix, told.path):
            self.withdraw(peer, told.prefix)
            return
        refusal = self.refusal(peer, route, speaker)
        if refusal:
            self._refuse(peer, refusal)
            self.withdraw(peer, told.prefix)
            return
        if known is not None:
            self._damp(peer, told.prefix, CHANGED)
        self._save_soon(peer, told.prefix)
        self.hold(peer, route)

    def refusal(self, peer: Peer, route: Route, speaker: str) -> str:
        """Say why a route of a peer is not taken; empty where it is."""
        refusal = peer.rules.refusal(route.prefix, route.path, speaker)
        if refusal:
            return refusal
        heard = peer.heard
        known = heard.routes.get(route.prefix)
        if known is None and len(heard.routes) >= routes_max_of(peer.account):
            return f"it has {len(heard.routes)} routes here, and may have no more"
        after = heard.octets + octets_of(route) - (0 if known is None else octets_of(known))
        octets_max = octets_max_of(peer.account)
        if after > octets_max:
            return f"its routes may take {megabytes(octets_max)} here, and take that"
        if not self.room.has(heard.octets, after):
            share = megabytes(self.room.share)
            return f"its share of the room for all peers' routes is {share}, and nothing beyond that is free"
        return ""

    def hold(self, peer: Peer, route: Route) -> None:
        """Have a route of a peer, in the place of the one that it told of the prefix before."""
        known = peer.heard.routes.get(route.prefix)
        self._count(peer, octets_of(route) - (0 if known is None else octets_of(known)))
        peer.heard.routes[route.prefix] = route
        self.learned.put(route)

    def release(self, peer: Peer, prefix: str) -> bool:
        """Have a route of a peer no more; return whether there was one."""
        known = peer.heard.routes.pop(prefix, None)
        if known is None:
            return False
        self._count(peer, -octets_of(known))
        self.learned.drop(prefix, peer.account.id)
        return True

    def _count(self, peer: Peer, more: int) -> None:
        heard = peer.heard
        self.room.count(heard.octets, heard.octets + more)
        heard.octets += more

    def _save_soon(self, peer: Peer, prefix: str) -> None:
        peer.unsaved[prefix] = None
        if len(peer.unsaved) > len(peer.heard.routes) + UNSAVED_MAX:
            peer.generation += 1
            peer.saved_epoch = 0
            peer.unsaved = dict.fromkeys(peer.heard.routes)

    def _refuse(self, peer: Peer, refusal: str) -> None:
        heard = peer.heard
        heard.refused += 1
        were = "was" if heard.refused == 1 else "were"
        heard.problem = (
            f"{heard.refused} of its routes {were} not taken; the last, because {refusal}."
        )

    def withdraw(self, peer: Peer, prefix: str, *, penalty: float = 0.0) -> None:
        """Have a route of a peer no more, of its own will or ours."""
        if self.release(peer, prefix):
            self._save_soon(peer, prefix)
            if penalty:
                self._damp(peer, prefix, penalty)

    async def sift(self, peer: Peer) -> None:
        """Let the rules that there are now decide on what was taken by others; the oldest routes stay."""
        peer.is_sifted = True
        kept = octets = 0
        routes_max, octets_max = routes_max_of(peer.account), octets_max_of(peer.account)
        for prefix in list(peer.heard.routes):
            if self.work.is_over(ROUTE):
                await asyncio.sleep(0)
            route = peer.heard.routes.get(prefix)
            if route is None:
                continue
            speaker = route.path[0] if route.path else peer.heard.speaker
            refusal = peer.rules.refusal(
                prefix, route.path, speaker or peer.account.ilp_address
            )
            size = octets_of(route)
            if not refusal and (kept >= routes_max or octets + size > octets_max):
                refusal = f"it has {kept} routes here, and may have no more"
            if refusal:
                self.reason = f"what may be told by {peer.account.username} has changed"
                self._refuse(peer, refusal)
                self.withdraw(peer, prefix)
            else:
                kept, octets = kept + 1, octets + size

    # --- What comes and goes

    def _damp(self, peer: Peer, prefix: str, penalty: float) -> None:
        damping = peer.damping
        damping.most = max(damping.most, len(peer.heard.routes))
        waited, all_waited = damping.waits(prefix), damping.all_wait
        forgotten = damping.add(prefix, penalty, self._clock.monotonic())
        if forgotten is not None:
            self.learned.choose_anew(forgotten)
        if damping.waits(prefix) and not waited:
            self.learned.choose_anew(prefix)
        if damping.all_wait and not all_waited:
            self._let_all_wait(peer)

    def damp_all(self, peer: Peer, penalty: float) -> None:
        """Count that a table ended."""
        damping, all_waited = peer.damping, peer.damping.all_wait
        if peer.heard.routes:
            damping.add_to_all(penalty, self._clock.monotonic())
        if damping.all_wait and not all_waited:
            self._let_all_wait(peer)

    def _let_all_wait(self, peer: Peer) -> None:
        log.info("the routes of %s come and go too often, and wait", peer.account.username)
        peer.again = list(peer.heard.routes)

    def age(self, peers: Iterable[Peer]) -> None:
        """Look once a second whose whole tables have been steady, and which penalties have vanished."""
        room, now = FORGOTTEN_AT_ONCE, self._clock.monotonic()
        for peer in peers:
            if peer.damping.release_all(now):
                peer.again = list(peer.heard.routes)
            room -= peer.damping.forget_old(now, room)

    def reuse(self, peer: Peer) -> bool:
        """Find the best ways again where this peer's wait no more, or do from now on; return whether all is done."""
        self.reason = "it has been steady for a while"
        now = self._clock.monotonic()
        while released := peer.damping.release(now, RELEASED_AT_ONCE):
            for prefix in released:
                self.learned.choose_anew(prefix)
            if self.work.is_over(ROUTE * len(released)):
                return False
        if peer.damping.all_wait:
            self.reason = f"the routes of {peer.account.username} come and go too often"
        while peer.again:
            self.learned.choose_anew(peer.again.pop())
            if self.work.is_over(ROUTE):
                return False
        return True

    # --- The end of a table

    def end_table(self, peer: Peer, *, is_silent: bool) -> None:
        """Know nothing of a peer's table any more."""
        self.set_aside(peer, is_silent=is_silent)
        peer.generation += 1
        peer.saved_epoch = 0
        peer.is_unsaved = True

    def set_aside(self, peer: Peer, *, is_silent: bool) -> None:
        """Begin to take a peer's routes out of use; where it is silent, others are still held to its word."""
        heard = peer.heard
        if heard.routes:
            heard.ended.append(heard.routes)
            heard.routes = {}
            self._count(peer, -heard.octets)
        if is_silent:
            heard.expires = None
        elif words := self.learned.take_words(peer.account.id):
            heard.ended.append(words)
        peer.unsaved.clear()
        peer.again.clear()

    def clear(self, peer: Peer) -> bool:
        """Take routes of a peer's ended tables out of use; return whether all are."""
        self.reason = f"{peer.account.username} does not tell it any more"
        while peer.heard.ended:
            ended = peer.heard.ended[0]
            while ended:
                prefix, _ = ended.popitem()
                self._let_go(peer, prefix)
                if self.work.is_over():
                    return False
            del peer.heard.ended[0]
        return True

    def _let_go(self, peer: Peer, prefix: str) -> None:
        """Take a route of a table that ended out of use, unless the next one has it too."""
        if prefix in peer.heard.routes:
            return
        account_id = peer.account.id
        self.learned.drop(prefix, account_id, is_silent=peer.heard.expires is None)
        if prefix in self.learned.words(account_id):
            peer.unsaved[prefix] = None
