"""The operator's look at route exchange: whom with, why a route won, what changed; and asking a peer anew."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, final

from core.account import Account, AccountDirectory, AccountId
from core.clock import Clock
from core.control.accounts import find_account
from core.control.route_views import (
    RouteCandidateView,
    RouteChangeView,
    RouteExchangeState,
    RoutePeerView,
    RouteWhy,
)
from core.control.routes import name_of
from core.errors import Conflict, PacketError, SettingError
from core.packet import address, covers, is_prefix
from core.routing.ccp import NO_TABLE, Mode
from core.routing.exchange import RouteExchange
from core.routing.importing import ImportRules
from core.routing.peer import Peer
from core.routing.room import routes_max_of
from core.routing.table import Route, RouteSource, RoutingTable

ALL_WAIT: Final = "Its whole table went and came back too often of late: none of it is used until that has been steady."
CHANGES_MAX: Final = 2_000
_ROUTES_AT_ONCE: Final = 2_000
"""So many routes are counted before the loop gets a turn."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteExchangeDesk:
    """Answers the calls of `RouteExchangeOperator`."""

    directory: AccountDirectory
    table: RoutingTable
    exchange: RouteExchange
    clock: Clock

    async def peers(self) -> Sequence[RoutePeerView]:
        accounts = sorted(self.directory.all(), key=lambda account: account.username)
        return [
            await self._view(account, self._peer(account))
            for account in accounts
            if account.id in self.exchange.peers
        ]

    async def peer(self, username: str) -> RoutePeerView:
        account = find_account(self.directory, username)
        return await self._view(account, self._peer(account))

    async def ask(self, username: str) -> RoutePeerView:
        """Ask a peer for all of its routes; raises UnknownAccount and Conflict."""
        account = find_account(self.directory, username)
        peer = self._peer(account)
        if not peer.takes:
            raise Conflict(
                f"{account.name} is not asked for its routes: {_why_off(account, taking=True)}"
            )
        self.exchange.ask_anew(peer)
        return await self._view(account, peer)

    async def changes(self, *, after_sequence: int, limit: int) -> Sequence[RouteChangeView]:
        log = self.exchange.changes
        last = log[-1].sequence if log else 0
        count = max(0, min(last - after_sequence, limit, len(log)))
        newest = list(islice(reversed(log), count))
        return [
            RouteChangeView(
                sequence=change.sequence,
                at_ms=change.at_ms,
                prefix=change.prefix,
                before=self._name(change.before),
                after=self._name(change.after),
                path=change.path,
                reason=f"{change.reason[:1].upper()}{change.reason[1:]}.",
            )
            for change in reversed(newest)
        ]

    async def why(self, destination: str) -> RouteWhy:
        """Say which ways there are; raises SettingError for what is neither address nor prefix."""
        target = destination.strip()
        if not target or not is_prefix(target):
            try:
                address(target)
            except PacketError as error:
                raise SettingError("destination", error.problem) from None
        chosen = self.table.look_up(target)
        unused = self._unused(target, "" if chosen is None else chosen.prefix)
        told = f"What peers tell of {unused[0].prefix} is not used" if unused else ""
        if chosen is None:
            covers = f"{told}, and no other" if told else "No"
            return RouteWhy(
                destination=target,
                prefix=None,
                sentence=f"{covers} prefix covers {target}; there is no default route.",
                candidates=unused,
            )
        candidates = self._candidates(chosen)
        name = name_of(self.directory, chosen.next_hop)
        shown = chosen.prefix or "(default)"
        sentence = f"{target} is covered by {shown}, and {name} gets it"
        if len(candidates) == 1:
            sentence += ": there is no other way to that prefix."
        else:
            sentence += f": {len(candidates)} ways lead to that prefix, and {_lower(candidates[0].reason)}"
        if told:
            sentence += f" {told}."
        return RouteWhy(
            destination=target,
            prefix=chosen.prefix,
            sentence=sentence,
            candidates=[*candidates, *unused],
        )

    def _unused(self, target: str, followed: str) -> Sequence[RouteCandidateView]:
        """Return the ways to longer prefixes than the one that is followed: could they be used, they would be."""
        learned = self.exchange.learned
        found: list[RouteCandidateView] = []
        prefix = target
        while prefix and prefix != followed:
            for way in learned.ways(prefix):
                why = learned.unusable(way)
                if why:
                    found.append(self._candidate(way, f"not used for {prefix}: {why}."))
            prefix = prefix.rpartition(".")[0]
        return tuple(found)

    def _candidates(self, chosen: Route) -> Sequence[RouteCandidateView]:
        """Return every way to the chosen route's prefix, that one first, each with its reason."""
        learned = self.exchange.learned
        rivals = [way for way in learned.ways(chosen.prefix) if way != chosen]
        rivals.sort(key=lambda way: (bool(learned.unusable(way)), learned.standings.rank(way)))
        configured = self.table.configured(chosen.prefix)
        if configured is not None and configured != chosen:
            rivals.insert(0, configured)
        others = [self._candidate(way, self._why_lost(way, chosen)) for way in rivals]
        reason = self._why_won(chosen, rivals)
        return [self._candidate(chosen, reason, chosen=True), *others]

    def _candidate(
        self, route: Route, reason: str, *, chosen: bool = False
    ) -> RouteCandidateView:
        account = self.directory.by_id(route.next_hop)
        peer = self.exchange.peers.get(route.next_hop)
        learned = route.source is RouteSource.LEARNED
        return RouteCandidateView(
            prefix=route.prefix,
            next_hop=name_of(self.directory, route.next_hop),
            source=route.source.value,
            relation="" if account is None else account.routing_relation.value,
            path=route.path,
            weight=self._weight(route),
            chosen=chosen,
            reason=f"{reason[:1].upper()}{reason[1:]}",
            heard_at_ms=peer.heard.heard_at_ms if learned and peer is not None else None,
        )

    def _why_won(self, chosen: Route, rivals: Sequence[Route]) -> str:
        usable = [way for way in rivals if not self.exchange.learned.unusable(way)]
        if not usable:
            return "it is the only one that can be used." if rivals else "it is the only one."
        if all(self._weight(way) < self._weight(chosen) for way in usable):
            return f"the operator gave it the greatest weight, {self._weight(chosen)}."
        if chosen.source is RouteSource.STATIC:
            return "the operator set it."
        if chosen.source is RouteSource.ACCOUNT:
            return "it is that account's own address."
        difference = self._difference(chosen, usable[0])
        return difference or "it is the best."

    def _why_lost(self, way: Route, chosen: Route) -> str:
        unusable = self.exchange.learned.unusable(way)
        if unusable:
            return f"Not used: {unusable}."
        if self._weight(way) < self._weight(chosen):
            return f"Its weight is {self._weight(way)}, and {self._weight(chosen)} wins."
        if way.source is not RouteSource.LEARNED:
            name = name_of(self.directory, way.next_hop)
            return f"{name} is silent, so that another way to it counts."
        if chosen.source is not RouteSource.LEARNED:
            return "What the operator set, or an account's own address, goes before what peers tell."
        return f"Not chosen: of the other, {self._difference(chosen, way)}"

    def _difference(self, better: Route, other: Route) -> str:
        """Say which rule decides between two learned ways of the same weight."""
        one = self.exchange.learned.standings.rank(better)
        two = self.exchange.learned.standings.rank(other)
        if one[1] != two[1]:
            relation = self._relation(better).lower()
            return f"a {relation} goes before a {self._relation(other).lower()}."
        if one[2] != two[2]:
            return f"the path is shorter, {one[2]} and not {two[2]}."
        return "the account's id is the lower one, all else being equal."

    def _relation(self, route: Route) -> str:
        account = self.directory.by_id(route.next_hop)
        return "stranger" if account is None else account.routing_relation.value

    def _weight(self, route: Route) -> int:
        account = self.directory.by_id(route.next_hop)
        return 0 if account is None else account.route_weight

    def _peer(self, account: Account) -> Peer:
        """Return the exchange with an account; one that never was is off."""
        known = self.exchange.peers.get(account.id)
        if known is not None:
            return known
        exchange = self.exchange
        rules = ImportRules(exchange.address.current, account, exchange.learned.standings)
        return Peer(account, rules)

    def _name(self, account_id: AccountId | None) -> str | None:
        return None if account_id is None else name_of(self.directory, account_id)

    async def _view(self, account: Account, peer: Peer) -> RoutePeerView:
        heard, telling, log = peer.heard, peer.telling, self.exchange.log
        damping = peer.damping
        state, sentence = _state(peer, 0 if log is None else log.current)
        return RoutePeerView(
            username=account.username,
            relation=account.routing_relation.value,
            state=state,
            sentence=sentence,
            problem=" ".join(
                each
                for each in (
                    "" if peer.asking.given_up else peer.asking.problem,
                    telling.problem,
                    heard.problem,
                    ALL_WAIT if damping.all_wait else "",
                )
                if each
            ),
            send_routes=peer.tells,
            receive_routes=peer.takes,
            wants_routes=telling.mode is Mode.SYNC,
            their_table_id=_table(heard.table_id),
            their_epoch=heard.epoch,
            their_current_epoch=heard.current_epoch,
            our_table_id=_table(telling.table_id),
            our_epoch=telling.epoch,
            our_current_epoch=0 if log is None else log.current,
            last_update_at_ms=heard.heard_at_ms,
            expires_at_ms=self._wall(heard.expires),
            last_sent_at_ms=telling.sent_at_ms,
            learned=len(heard.routes),
            used=self.exchange.used[account.id],
            refused=heard.refused,
            damped=len(heard.routes) if damping.all_wait else len(damping.waiting),
            advertised=await self._advertised(peer),
            routes_max=routes_max_of(account),
        )

    async def _advertised(self, peer: Peer) -> int:
        """Return how many routes a peer has been told, or is being told."""
        log = self.exchange.log
        if log is None or not peer.listens or not peer.telling.epoch:
            return 0
        if not peer.account.export_prefixes:
            return log.count(lambda next_hop: self.exchange.may_tell(peer, next_hop))
        count = 0
        for number, route in enumerate(tuple(log.routes())):
            if number % _ROUTES_AT_ONCE == 0:
                await asyncio.sleep(0)
            count += self.exchange.may_tell(peer, route.next_hop) and any(
                covers(one, route.prefix) for one in peer.account.export_prefixes
            )
        return count

    def _wall(self, monotonic: float | None) -> int | None:
        if monotonic is None:
            return None
        return self.clock.now_ms() + round((monotonic - self.clock.monotonic()) * 1000)


def _state(peer: Peer, current: int) -> tuple[RouteExchangeState, str]:
    """Return where the exchange stands, and say so."""
    account, heard, asking, telling = peer.account, peer.heard, peer.asking, peer.telling
    name = account.name
    if not account.enabled:
        return RouteExchangeState.PAUSED, f"{name} is paused, and no routes are exchanged."
    if not peer.takes and not peer.tells:
        why = _why_off(account, taking=False)
        return RouteExchangeState.OFF, f"No routes are exchanged with {name}: {why}"
    if asking.given_up and not peer.listens:
        return (
            RouteExchangeState.STATIC,
            (
                f"{name} does not tell its routes, as many do: its own address and static "
                "routes lead to it, and it is asked again now and then."
            ),
        )
    if peer.takes and heard.expires is None and asking.has_told:
        return (
            RouteExchangeState.SILENT,
            f"{name} has not been heard for longer than its routes hold: they are withdrawn.",
        )
    if asking.problem or telling.failures:
        return RouteExchangeState.FAILING, asking.problem or telling.problem
    if peer.takes and heard.table_id == NO_TABLE:
        by = " by another node on this store" if telling.is_elsewhere else ""
        return RouteExchangeState.ASKING, f"{name} was asked for its routes{by}."
    behind = (peer.takes and heard.epoch < heard.current_epoch) or (
        peer.listens and not telling.is_elsewhere and telling.epoch < current
    )
    if behind:
        return RouteExchangeState.CATCHING_UP, f"Updates with {name} are under way."
    told = "is told ours" if peer.listens else "has not asked for ours"
    has = f"We have all of {name}'s routes" if peer.takes else f"{name}'s routes are not taken"
    return RouteExchangeState.IN_STEP, f"{has}, and it {told}."


def _lower(sentence: str) -> str:
    return f"{sentence[:1].lower()}{sentence[1:]}"


def _why_off(account: Account, *, taking: bool) -> str:
    wish = account.receive_routes if taking else account.send_routes
    if not account.enabled:
        return "it is paused."
    if wish is False:
        return "the operator said so."
    return f"its relation is {account.routing_relation.value}."


def _table(table_id: bytes) -> str:
    return "" if table_id == NO_TABLE else str(uuid.UUID(bytes=table_id))
