"""Route exchange with all peers: what they tell becomes routes, and what we know is told them.

Everything here is in the event loop, and nothing takes it for more than a few milliseconds: an update is
applied a few hundred routes at a time, and a table that ended is taken out of use likewise. What has
changed is written to the store behind the packets, and told to the peers by `Speaker`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from core.account import Account, AccountId, RoutingRelation
from core.clock import Clock
from core.node_address import NodeAddress
from core.routing.auth import origin_auth
from core.routing.ccp import NO_TABLE, Mode, RouteControl, RouteUpdate, read_update
from core.routing.damping import CHANGED, WITHDRAWN
from core.routing.forwarding import ForwardingLog
from core.routing.held import HeldRoutes
from core.routing.importing import ImportRules
from core.routing.learned import Standings
from core.routing.peer import Peer, contents, takes_routes_from, tells_routes_to
from core.routing.routes import told_routes
from core.routing.table import Precedence, Route, RouteSource, RoutingTable
from core.routing.turns import ROUTE

log = logging.getLogger(__name__)

LARGE: Final = 5_000
"""So many own routes are made in about 20 ms: more of them beside the loop."""
CHANGES_KEPT: Final = 2_000
SETTLING_SECONDS: Final = 2.0
"""A new account is asked so much later: its other side is being set up at the same time, as a rule."""
HOLD_DOWN_MS_MIN: Final = 1_000
HOLD_DOWN_MS_MAX: Final = 600_000
"""A peer's word is believed within these bounds: its routes neither flicker nor stay for ever."""
_TIGHT_HOLD_DOWN_MS: Final = 30_000
_LENIENT_HOLD_DOWN_MS: Final = 45_000
"""interledger-rs says 30 s and sends every 30 s, so that one late heartbeat would cost all its routes."""


@final
@dataclass(frozen=True, slots=True)
class Timing:
    """How often peers are told, and how long what is told holds."""

    interval_ms: int = 30_000
    """Between two heartbeats, and between two questions to a peer that did not answer."""
    hold_down_ms: int = 45_000


@final
@dataclass(frozen=True, slots=True)
class RouteChange:
    """The best learned route to a prefix became another one."""

    sequence: int
    at_ms: int
    prefix: str
    before: AccountId | None
    after: AccountId | None
    path: tuple[str, ...]
    reason: str


@final
class RouteExchange:
    """The peers' tables, our own, and the rules between them."""

    def __init__(
        self,
        *,
        clock: Clock,
        address: NodeAddress,
        table: RoutingTable,
        timing: Timing,
    ) -> None:
        self.clock: Final = clock
        self.address: Final = address
        self.timing: Final = timing
        self.secret = b""
        """With which routes of our own are proved; all nodes on one store have the same."""
        self.peers: Final[dict[AccountId, Peer]] = {}
        self.held: Final = HeldRoutes(clock, self._best_changed)
        self.learned: Final = self.held.learned
        self.used: Final[Counter[AccountId]] = Counter()
        """How many prefixes each next hop is the best for."""
        self.changes: Final[deque[RouteChange]] = deque(maxlen=CHANGES_KEPT)
        self.log: ForwardingLog | None = None
        """What we tell; made when the first peer asks for it."""
        self.on_news: Callable[[], None] = lambda: None
        """Called when there is something to tell, to ask or to save."""
        self._table = table
        self._accounts: Mapping[AccountId, Account] = {}
        self._static: Mapping[str, AccountId] = {}
        self._own: dict[str, Route] = {}
        self._sequence = 0
        self._has_news = False
        self.own_is_old = False
        """Whether `retell_own` is due: a peer began or ceased to speak for itself."""
        self._reconfiguring = asyncio.Lock()
        self._reading = asyncio.Lock()
        """Of all updates that came one is read and applied at a time, so that many peers hold nobody up together."""
        self._configured_as = address.current
        self._is_configured = False
        table.follow(self.learned.best)

    # --- What the operator configures

    async def configure(
        self, accounts: Sequence[Account], static: Mapping[str, AccountId]
    ) -> None:
        """Go by these accounts and static routes from now on."""
        async with self._reconfiguring:
            self._configured_as = self.address.current
            before, self._accounts = self._accounts, {a.id: a for a in accounts}
            self._static = static
            standings_before = self.learned.standings
            self.learned.standings = Standings(accounts)
            moved = self.learned.standings.owners != standings_before.owners
            for account_id in [known for known in self.peers if known not in self._accounts]:
                self._forget(self.peers[account_id], "its account was deleted")
            for account in accounts:
                self._configure_peer(account, before.get(account.id), moved=moved)
            self._is_configured = True
            self.held.room.divide(
                [
                    peer.heard.octets
                    for account_id, peer in self.peers.items()
                    if peer.takes and account_id in self._accounts
                ]
            )
            for peer in list(self.peers.values()):
                if not peer.is_sifted:
                    await self.held.sift(peer)
            await self._rank(accounts, standings_before)
            self.mark_silent()
            await self.retell_own()
        self.on_news()

    async def follow_address(self) -> None:
        """Go by our own address, where it has become another one without the accounts."""
        if self._configured_as != self.address.current:
            await self.configure(tuple(self._accounts.values()), self._static)

    def _configure_peer(self, account: Account, before: Account | None, *, moved: bool) -> None:
        """Go by an account from now on; `moved` says that an address is another account's than before, or nobody's."""
        peer = self.peers.get(account.id)
        rules = ImportRules(self.address.current, account, self.learned.standings)
        if peer is None:
            if not tells_routes_to(account) and not takes_routes_from(account):
                return
            peer = self.peers[account.id] = Peer(account, rules)
            self.learned.dampings[account.id] = peer.damping
            if peer.takes:
                wait = SETTLING_SECONDS if self._is_configured else 0.0
                peer.asking.due = self.clock.monotonic() + wait
            return
        took, told = peer.takes, peer.tells
        if peer.account == account and peer.rules.own == self.address.current:
            if moved:
                peer.is_sifted &= bool(peer.heard.speaker) and not rules.false_name(
                    peer.heard.speaker
                )
            peer.rules = rules
            return
        same_rules = before is not None and (
            (before.import_prefixes, before.routes_max, before.ilp_address)
            == (account.import_prefixes, account.routes_max, account.ilp_address)
            and peer.rules.own == self.address.current
        )
        if before is not None and before.routing_relation is not account.routing_relation:
            # Who may hear of its routes has changed, and what was told to whom with it.
            for other in self.peers.values():
                if other.account.routing_relation is RoutingRelation.PARENT:
                    self.start_telling_anew(other)
        same_export = before is not None and before.export_prefixes == account.export_prefixes
        peer.account = account
        peer.rules = rules
        if not peer.takes:
            if took:
                paused = "it was paused" if not account.enabled else "its routes are not taken"
                self.withdraw_all(peer, paused)
                peer.asking.tell_idle = account.enabled
                peer.asking.due = self.clock.monotonic() if account.enabled else None
        elif not took or not same_rules:
            peer.is_sifted = False
            self.ask_anew(peer)  # what was refused may be taken now
        if peer.tells and (not told or not same_export):
            self.start_telling_anew(peer, withdraw_others=not same_export)

    async def _rank(self, accounts: Sequence[Account], before: Standings) -> None:
        """Let weights, relations and addresses decide anew, where they have changed."""
        standings = self.learned.standings
        self._table.precedence = Precedence(
            {a.id: a.route_weight for a in accounts if a.route_weight},
            self._table.precedence.silent,
        )
        if standings.same_ranks(before):
            return
        for prefix in self.learned.contested():
            if self.held.work.is_over():
                await asyncio.sleep(0)
            self.held.reason = "the operator changed an account"
            self.learned.choose_anew(prefix)
        if standings.owners != before.owners:
            await self._change_owners(before)
        await self._tell_all([prefix for prefix in self._own if prefix in self.learned.best])

    async def _change_owners(self, before: Standings) -> None:
        """Let whoever has an address now speak for what is under it, and nobody who had it."""
        standings = self.learned.standings
        for _, account_id in before.owners.items() - standings.owners.items():
            self.learned.take_words(account_id)
        for prefix in list(self.learned.best):
            if self.held.work.is_over():
                await asyncio.sleep(0)
            if before.owner(prefix) != standings.owner(prefix):
                self.held.reason = "the operator changed an account"
                self.learned.choose_anew(prefix)

    # --- What peers send

    def refuses_control(self, account: Account) -> str:
        """Say why an account is not told our routes; empty where it is."""
        peer = self.peers.get(account.id)
        if (peer is not None and peer.tells) or contents(account):
            return ""
        return (
            f"We are not configured to send routes to you: {account.username} is our "
            f"{account.routing_relation.value}, or its operator here said so."
        )

    async def take_control(self, account: Account, control: RouteControl) -> None:
        """Tell a peer our routes from where it says, or tell it nothing more."""
        peer = self.peers.get(account.id)
        if peer is None or not peer.tells:
            return
        await self.speak_up()
        telling = peer.telling
        telling.mode = control.mode
        telling.has_said = True
        telling.asked_table_id = control.table_id
        telling.asked_epoch = control.epoch
        telling.refusals = telling.failures = 0
        telling.problem = ""
        peer.is_unsaved = True
        self.go_on_telling(peer)
        self._is_there(peer)
        self.on_news()

    def go_on_telling(self, peer: Peer) -> None:
        """Tell it from where it said that it knows our table."""
        telling, now = peer.telling, self.clock.monotonic()
        telling.asked += 1
        if telling.asked_table_id == telling.table_id != NO_TABLE and (
            self.log is not None and self.log.floor <= telling.asked_epoch <= self.log.current
        ):
            telling.epoch = telling.asked_epoch
        else:
            self.start_telling_anew(peer)
        telling.due = now if telling.mode is Mode.SYNC else None

    def refuses_update(self, account: Account) -> str:
        """Say why an account's routes are not taken; empty where they are."""
        peer = self.peers.get(account.id)
        if peer is not None and peer.takes:
            return ""
        return (
            f"Your route broadcasts are not accepted here: {account.username} is our "
            f"{account.routing_relation.value}, or its operator here said so."
        )

    def is_flooding(self, account: Account) -> bool:
        """Count one more message; tell whether they come faster than they can be looked into beside the packets."""
        peer = self.peers.get(account.id)
        if peer is None or peer.may_send(self.clock.monotonic()):
            return False
        peer.heard.problem = (
            "It sends more than twenty messages a second: those above that are turned away."
        )
        return True

    async def take_update(self, account: Account, octets: bytes) -> None:
        """Apply what a peer tells; what does not follow what we have is asked for anew.

        Raises:
            PacketError: it is no update.
        """
        peer = self.peers.get(account.id)
        if peer is None or not peer.takes:
            return
        peer.waiting += 1
        try:
            async with peer.applying:
                async with self._reading:
                    update = read_update(octets)
                    await asyncio.sleep(0)
                    if self.peers.get(account.id) is peer and peer.takes:
                        await self._apply(peer, update)
                await self._tell_unasked(peer)
        finally:
            peer.waiting -= 1
        self.on_news()

    async def _tell_unasked(self, peer: Peer) -> None:
        """Tell a peer that tells us, though it did not ask.

        interledger-rs asks the peers that it has when it starts, and nobody whose account is added later: two of them tell each
        other unasked. A parent of that kind says no to what a child tells, so only peers are told so.
        """
        if peer.never_asked:
            await self.speak_up()
        if peer.never_asked:  # nor meanwhile
            peer.telling.mode = Mode.SYNC
            self.start_telling_anew(peer)
            # Who does ask does so about now.
            peer.telling.due = self.clock.monotonic() + SETTLING_SECONDS
            peer.is_unsaved = True

    def malformed(self, account: Account, problem: str) -> None:
        """Note that a peer sent something that is no message of the protocol."""
        peer = self.peers.get(account.id)
        if peer is not None:
            peer.heard.problem = f"It sent a message that cannot be read: {problem}."

    async def _apply(self, peer: Peer, update: RouteUpdate) -> None:
        heard = peer.heard
        was_silent = heard.expires is None
        is_new = update.table_id != heard.table_id
        heard.current_epoch = update.current_epoch
        if update.from_epoch > (0 if is_new else heard.epoch):
            log.debug(
                "%s told from epoch %d and we have %d: it is asked for the rest",
                peer.account.username,
                update.from_epoch,
                heard.epoch,
            )
            if not is_new:
                self._hear(peer, update)  # what we have of it holds on
            peer.asking.after_gap = True
            peer.asking.due = self.clock.monotonic()
            return
        if is_new:
            while heard.ended:  # a peer's routes are in memory twice at most
                self.held.clear(peer)
                await asyncio.sleep(0)
            if not peer.takes:
                return
            if heard.table_id != NO_TABLE:  # where it is not we who asked for all anew
                self.held.damp_all(peer, CHANGED)
            self.held.end_table(peer, is_silent=False)
            heard.table_id, heard.epoch = update.table_id, 0
            heard.refused, heard.problem = 0, ""
        self._hear(peer, update)
        if update.to_epoch < heard.epoch:
            return  # older than what we have
        heard.speaker = update.speaker
        if update.speaker != peer.account.ilp_address:
            heard.problem = (
                f"It calls itself {update.speaker}, and its account here says "
                f"{peer.account.ilp_address}."
            )
        self.held.reason = f"{peer.account.username} told it"
        for prefix in update.withdrawn:
            if self.held.work.is_over() and not await self._still(peer, update):
                return
            self.held.withdraw(peer, prefix, penalty=WITHDRAWN)
        for told in update.new_routes:
            if self.held.work.is_over() and not await self._still(peer, update):
                return
            self.held.take(peer, told, update.speaker)
        heard.epoch = update.to_epoch
        if was_silent:
            self.mark_silent()

    async def _still(self, peer: Peer, update: RouteUpdate) -> bool:
        """Let packets have their turn; return whether the update is still to be applied."""
        await asyncio.sleep(0)
        self.held.reason = f"{peer.account.username} told it"
        return peer.heard.table_id == update.table_id and peer.takes

    def _hear(self, peer: Peer, update: RouteUpdate) -> None:
        heard = peer.heard
        given = update.hold_down_ms
        if _TIGHT_HOLD_DOWN_MS <= given < _LENIENT_HOLD_DOWN_MS:
            given = _LENIENT_HOLD_DOWN_MS
        heard.hold_down_ms = min(max(given, HOLD_DOWN_MS_MIN), HOLD_DOWN_MS_MAX)
        heard.heard_at_ms = self.clock.now_ms()
        heard.expires = self.clock.monotonic() + heard.hold_down_ms / 1000
        peer.is_unsaved = True
        asking = peer.asking
        self.own_is_old |= peer.is_quiet
        asking.has_told = True
        asking.after_gap = False
        asking.forgive()
        asking.due = None

    def _is_there(self, peer: Peer) -> None:
        """A peer that speaks the protocol after all, or again, is asked at once."""
        asking = peer.asking
        if peer.takes and peer.heard.table_id == NO_TABLE and not asking.under_way:
            self.own_is_old |= asking.given_up
            asking.forgive()
            asking.due = self.clock.monotonic()

    # --- The end of a table

    def withdraw_all(self, peer: Peer, reason: str) -> None:
        """Take all of a peer's routes out of use, and know nothing of its table any more."""
        # Where all of them wait, that was said, and they are not used.
        if peer.heard.routes and not peer.damping.all_wait:
            log.info("the routes of %s are withdrawn: %s", peer.account.username, reason)
        self.held.end_table(peer, is_silent=True)
        peer.heard.table_id, peer.heard.epoch = NO_TABLE, 0
        self.mark_silent()
        self.on_news()

    def _forget(self, peer: Peer, reason: str) -> None:
        self.withdraw_all(peer, reason)
        peer.asking.due = peer.telling.due = None
        peer.telling.mode = Mode.IDLE
        if not peer.heard.ended:
            self._delete(peer)

    def _delete(self, peer: Peer) -> None:
        del self.peers[peer.account.id], self.learned.dampings[peer.account.id]

    def catch_up(self) -> bool:
        """Do some more of what may take long: tables that ended go, ways that waited come; return whether there is more."""
        for account_id, peer in list(self.peers.items()):
            if not self.held.clear(peer):
                return True
            if account_id not in self._accounts:
                self._delete(peer)
            elif not self.held.reuse(peer):
                return True
        return False

    def tick(
        self, is_gone: Callable[[Account], bool], came_up: Callable[[AccountId], int]
    ) -> None:
        """Look once a second what time has ended: hold-downs, links that are gone or back, routes that waited."""
        now = self.clock.monotonic()
        for peer in list(self.peers.values()):
            ups = came_up(peer.account.id)
            if ups != peer.ups:
                peer.ups = ups
                self._try_again(peer, now)
            expires = peer.heard.expires
            if expires is None:
                continue
            if now >= expires:
                self.held.damp_all(peer, WITHDRAWN)
                seconds = peer.heard.hold_down_ms / 1000
                self.withdraw_all(peer, f"it has not been heard for {seconds:g} s")
                peer.asking.due = now
            elif is_gone(peer.account):
                self.held.damp_all(peer, WITHDRAWN)
                self.withdraw_all(peer, "its link is gone")
                peer.asking.due = now
        self.held.age(self.peers.values())
        self.own_is_old |= self.log is not None and self.log.is_worn

    def _try_again(self, peer: Peer, now: float) -> None:
        """Ask and tell at once what could not be asked or told for want of a link."""
        asking, telling = peer.asking, peer.telling
        if asking.problem and asking.due is not None and not asking.given_up:
            asking.due = now
        if telling.failures and telling.due is not None and not telling.refusals:
            telling.due = now

    def ask_anew(self, peer: Peer) -> None:
        """Ask a peer for all of its routes; until it has told them, those that we have hold."""
        peer.heard.table_id, peer.heard.epoch = NO_TABLE, 0
        asking = peer.asking
        asking.forgive()
        asking.tell_idle = False
        asking.due = self.clock.monotonic()
        peer.is_unsaved = True
        self.on_news()

    # --- What we tell

    def start_telling_anew(self, peer: Peer, *, withdraw_others: bool = False) -> None:
        """Tell a peer all that we know, as another table than the one that it had."""
        telling = peer.telling
        telling.withdraw_others |= withdraw_others and telling.table_id != NO_TABLE
        telling.table_id, telling.epoch = NO_TABLE, 0
        telling.asked += 1
        if telling.mode is Mode.SYNC:
            telling.due = self.clock.monotonic()

    def may_tell(self, peer: Peer, next_hop: AccountId) -> bool:
        """Tell whether a peer may hear of routes over a next hop: not over itself, nor from one parent or peer to a parent."""
        if next_hop == peer.account.id:
            return False
        other = self._accounts.get(next_hop)
        if other is None:
            return True  # this node itself
        return peer.account.routing_relation is not RoutingRelation.PARENT or (
            other.routing_relation not in (RoutingRelation.PARENT, RoutingRelation.PEER)
        )

    async def retell_own(self) -> None:
        """Bring what we tell in line with our address, the accounts and the static routes."""
        self.own_is_old = False
        if self.log is None:
            return
        if self.log.own != self.address.current or self.log.is_worn:
            await self._rewrite_log()
            return
        before, after = self._own, await self._own_routes()
        self._own = after

        def changed() -> Sequence[str]:
            gone = [prefix for prefix in before if before[prefix] != after.get(prefix)]
            return gone + [prefix for prefix in after if prefix not in before]

        large = len(before) + len(after) > LARGE
        await self._tell_all(await asyncio.to_thread(changed) if large else changed())
        self.news_for_listeners()

    async def speak_up(self) -> None:
        """Make our own table when somebody first asks for it."""
        async with self._reconfiguring:
            if self.log is None:
                await self._rewrite_log()

    async def _rewrite_log(self) -> None:
        address = self.address.current
        self._own = await self._own_routes()
        self.log = ForwardingLog(address)
        # Before anything of it is told: no epoch of the old one is one of this.
        for peer in self.peers.values():
            self.start_telling_anew(peer)
        await self._tell_all([*self._own, *self.learned.best])

    async def _own_routes(self) -> dict[str, Route]:
        own, secret = self.address.current, self.secret
        static, accounts = dict(self._static), tuple(self._accounts.values())
        quiet = {
            account.id
            for account in accounts
            if (peer := self.peers.get(account.id)) is None or peer.is_quiet
        }

        def make() -> dict[str, Route]:
            return {
                route.prefix: route
                for route in told_routes(
                    own, accounts, static, quiet, lambda prefix: origin_auth(secret, prefix)
                )
            }

        large = len(static) + len(accounts) > LARGE
        return await asyncio.to_thread(make) if large else make()

    async def _tell_all(self, prefixes: Iterable[str]) -> None:
        for prefix in prefixes:
            self._tell(prefix)
            if self.held.work.is_over(ROUTE):
                await asyncio.sleep(0)

    def _tell(self, prefix: str) -> None:
        if self.log is not None and self.log.put(prefix, self._told(prefix)):
            self._has_news = True

    def _told(self, prefix: str) -> Route | None:
        """Return what we tell of a prefix: what packets follow, with the path and proof that belong to it."""
        own = self._own.get(prefix)
        if own is not None and own.next_hop == "":
            return own
        followed = self._table.get(prefix)
        if followed is None:
            return own
        if followed.source is RouteSource.LEARNED:
            return followed
        if own is not None:
            return own
        # A peer's own address, which its account brings: told as the peer itself told it.
        for way in self.learned.ways(prefix):
            if way.next_hop == followed.next_hop and not self.learned.unusable(way):
                return way
        return None

    def news_for_listeners(self) -> None:
        """Let those who listen be told what has changed."""
        if not self._has_news:
            return
        self._has_news = False
        now = self.clock.monotonic()
        for peer in self.peers.values():
            if peer.listens:
                peer.telling.due = now

    def mark_silent(self) -> None:
        """Let what others tell of a peer's own address count once the peer itself is silent."""
        silent = frozenset(
            peer.account.id
            for peer in self.peers.values()
            if peer.takes and peer.asking.has_told and peer.heard.expires is None
        )
        before = self._table.precedence
        if silent == before.silent:
            return
        self._table.precedence = Precedence(before.weights, silent)
        for account_id in silent ^ frozenset(before.silent):
            account = self._accounts.get(account_id)
            if account is not None:
                self._tell(account.ilp_address)

    # --- What changed

    def _best_changed(self, prefix: str, before: Route | None, after: Route | None) -> None:
        self._tell(prefix)
        hop_before = None if before is None else before.next_hop
        hop_after = None if after is None else after.next_hop
        if hop_before != hop_after:
            if hop_before is not None:
                self.used[hop_before] -= 1
            if hop_after is not None:
                self.used[hop_after] += 1
            self._sequence += 1
            self.changes.append(
                RouteChange(
                    self._sequence,
                    self.clock.now_ms(),
                    prefix,
                    hop_before,
                    hop_after,
                    () if after is None else after.path,
                    self.held.reason,
                )
            )
