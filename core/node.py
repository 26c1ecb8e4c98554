"""The hub: both chains, written in the order in which a packet meets them, and what keeps them going.

A packet comes in by a link, which knows whose it is, and meets the incoming services from top to
bottom; the router, the last of them, finds the next hop; then it meets the outgoing services from
top to bottom, and leaves by a link. The reply comes back the same way. Everything that a service
needs is handed to it here, so any part of a chain can run alone behind a link of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeAlias, final

from core.account import Account, AccountDirectory, AccountId
from core.clock import Clock
from core.config import ILP_ADDRESS_DEFAULT, NodeConfig
from core.control.words import counted
from core.errors import NodeFenced, StoreError
from core.ledger.afterwards import Afterwards
from core.ledger.books import Recovery
from core.ledger.lease import RENEW_SECONDS, NodeLease
from core.node_address import NodeAddress
from core.own_address import OwnAddress
from core.packet import address
from core.payments.gate import InvoiceGate
from core.payments.notices import Notices
from core.peering.parent import ParentAddress
from core.rates.feeder import Fetch, NoFetch, RateFeeder
from core.rates.rate import RateTable
from core.routing.auth import ROUTING_SECRET, fresh_secret
from core.routing.exchange import RouteExchange, Timing
from core.routing.routes import build_routes
from core.routing.runner import RouteExchangeRunner
from core.routing.table import RoutingTable
from core.routing.voices import Voices
from core.service import Incoming, Outgoing, OutgoingRequest, in_order
from core.services.admission import AdmissionService, Gate
from core.services.balance import BalanceService
from core.services.duplicates import Duplicates, DuplicatesService
from core.services.echo import EchoService, PingAnswerService, Pings
from core.services.exchange_rate import ExchangeRateService
from core.services.expiry import ExpiryService
from core.services.ildcp import IldcpService
from core.services.incoming_payments import IncomingPaymentsService
from core.services.last_resort import LastResortService
from core.services.max_packet_amount import MaxPacketAmountService
from core.services.rate_limit import RateLimits, RateLimitService
from core.services.route_exchange import RouteExchangeService
from core.services.router import RouterService
from core.services.stream_receiver import StreamReceiverService
from core.services.throughput import Throughput, ThroughputService
from core.services.trace import TraceService
from core.services.validate_incoming import ValidateIncomingService
from core.services.validate_outgoing import ValidateOutgoingService
from core.stores.record import Stores, check_stores
from core.stream.credentials import STREAM_SECRET_NAME, StreamCredentials, new_secret
from core.stream.inbox import StreamInbox
from core.stream.receiver import RunningTotals
from core.tasks import TaskOwner
from core.telemetry.recorder import Recorder
from core.upkeep import Upkeep

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
"""How soon a node sees what another one, or an engine, has changed in the store."""
ROUTES_AT_ONCE: Final = 5_000
"""So many are put into the table in about 10 ms."""
FORMER_ACCOUNTS_MAX: Final = 10_000
"""Deleted accounts whose rows are shown by name: some 3 MB."""
STEP_SECONDS: Final = 1.0
RECOVER_SECONDS: Final = 5.0
ROLL_UP_SECONDS: Final = 2.0
PRUNE_SECONDS: Final = 60.0
AFTERWARDS_MAX: Final = 20_000
LINK_SECONDS: Final = 1.0
AFTERWARDS_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 1.0
"""With at most 25 s for the packets in flight, and all that is bounded beside, a node is gone within 35 s of being asked."""

STARTING: Final = "This node is starting."
STOPPING: Final = "This node is stopping."
FENCED: Final = "This node was declared dead by another one and is signing on anew."


class Link(Outgoing, Protocol):
    """Where packets leave: it always answers, if only with a Reject when time is up."""

    async def close(self, drain_seconds: float) -> None:
        """Send nothing more, and hang up: at most so long is waited for answers that are due."""


MakeLink: TypeAlias = Callable[[NodeAddress, Clock], Link]


@final
class Node:
    """One node process: what it keeps in memory of the store, its chains, and the tasks that keep both right."""

    def __init__(
        self,
        stores: Stores,
        clock: Clock,
        config: NodeConfig,
        make_link: MakeLink,
        *,
        holds: Callable[[], Collection[AccountId]] = tuple,
        is_gone: Callable[[Account], bool] = lambda _account: False,
        came_up: Callable[[AccountId], int] = lambda _account: 0,
        fetch_rates: Fetch | None = None,
    ) -> None:
        """Put everything together; nothing runs, and no packet is let in, before `start`.

        `holds` tells to whom this process has connections, which others of the store cannot use, and `is_gone`
        whether nobody is there, as far as this process knows: the routes that an account told are withdrawn then.
        `came_up` counts how often its link was back: a parent is asked again for our address, a peer for its routes.
        `fetch_rates` asks the sources of rates; without it only fixed prices are taken.
        """
        self.stores: Final = stores
        self.clock: Final = clock
        self.config: Final = config
        self.address: Final = NodeAddress(config.ilp_address or address(ILP_ADDRESS_DEFAULT))
        self.directory: Final = AccountDirectory()
        self.routing_table: Final = RoutingTable()
        self.rate_table: Final = RateTable()
        self.recorder: Final = Recorder(clock)
        self.pings: Final = Pings(clock)
        # With a secret of its own until the store's is in force: no packet is let in before.
        self.stream_credentials: Final = StreamCredentials(clock, new_secret())
        self.running_totals: Final = RunningTotals()
        self.stream_inbox: Final = StreamInbox()
        self.notices: Final = Notices(stores.payments.note_connection)
        self.limits: Final = RateLimits(clock)
        self.duplicates: Final = Duplicates(clock)
        self.throughput: Final = Throughput(clock)
        self.gate: Final = Gate(
            total_max=config.in_flight_max, account_max=config.in_flight_per_account_max
        )
        self.gate.close(STARTING)
        self.afterwards: Final = Afterwards(
            stores.books,
            clock,
            self.address,
            TaskOwner("afterwards", tasks_max=AFTERWARDS_MAX),
        )
        self.link: Final[Link] = make_link(self.address, clock)
        self.exchange: Final = RouteExchange(
            clock=clock,
            address=self.address,
            table=self.routing_table,
            timing=Timing(config.route_broadcast_interval_ms, config.route_hold_down_ms),
        )
        self._voices = Voices(clock, holds=holds, is_gone=is_gone)
        self._exchanging = RouteExchangeRunner(
            self.exchange,
            stores.learned,
            self.link,
            speaks=self._voices.speaks_to,
            is_gone=self._voices.is_gone,
            came_up=came_up,
        )
        self.rate_feeder: Final = RateFeeder(
            stores.rate_feed,
            fetch_rates or NoFetch(),
            clock,
            served=lambda: {account.asset.code for account in self.directory.all()},
            is_ours=lambda: self._voices.is_oldest,
        )
        self.changing: Final = asyncio.Lock()
        """Held while an account is read, changed and written, so that no change is lost to another."""
        self.own_address: Final = OwnAddress(
            stores, self.address, config, self.changing, self.refresh
        )
        self.parent: Final = ParentAddress(
            directory=self.directory,
            link=self.link,
            clock=clock,
            address=self.address,
            adopt=self.own_address.move_to,
            name=self.own_address.name_parent,
            named=self.own_address.named_parent,
            came_up=came_up,
            is_given=config.ilp_address is not None,
        )
        self.outgoing: Final[Outgoing] = self._outgoing_chain(self.link)
        self.incoming: Final[Incoming] = self._incoming_chain(self.outgoing)
        self.upkeep: Final = Upkeep(
            stores, clock, config, self.recorder, self.directory, self.routing_table
        )
        self.lease: NodeLease | None = None
        self.changes: int = 0
        """Grows with each change of accounts, routes or rates that has come into force."""
        self._tasks = TaskOwner("node", tasks_max=16)
        self._refreshing = asyncio.Lock()
        self._versions: Mapping[str, int] = {}
        self._static_routes: Mapping[str, AccountId] = {}
        self._troubles: dict[str, str] = {}
        self._fenced = asyncio.Event()

    # --- The chains

    def _incoming_chain(self, outgoing: Outgoing) -> Incoming:
        """Return what a packet meets from the link to the router; `outgoing` is behind the router."""
        address, clock = self.address, self.clock
        return in_order(
            [
                # All others stand behind it, so that whoever sent a packet always gets a reply.
                lambda behind: LastResortService(behind, address),
                # Before whatever refuses, so that refusals are counted and seen too.
                lambda behind: TraceService(behind, self.recorder, clock),
                # Before whatever costs time: a full, stopping or fenced node says so at once.
                lambda behind: AdmissionService(behind, self.gate, address),
                # Before the packet is looked into: what a flood costs is what is in front of here.
                lambda behind: RateLimitService(behind, self.limits, address),
                # What nobody waits for, and what a paused account sends, is not worth a thought.
                lambda behind: ValidateIncomingService(behind, clock, address),
                # Before anything is promised or reserved: how much one packet may put at risk.
                lambda behind: MaxPacketAmountService(behind, address),
                # Before duplicates are answered: a sign of life is the same each time, and counts each time.
                lambda behind: RouteExchangeService(behind, self.exchange, address),
                # Before whatever books or sends: what came twice is done once.
                lambda behind: DuplicatesService(behind, self.duplicates, address),
                # `peer.config` is for us alone; whoever is behind here only sees what may be forwarded.
                lambda behind: IldcpService(behind, address),
                # Our own address: a ping ends here, and an echo goes on as a packet of its own.
                lambda behind: EchoService(behind, self._books_of_pings(), self.pings, address),
            ],
            # The last: from here on the packet is on its way to somebody.
            last=RouterService(outgoing, self.routing_table, self.directory, address),
        )

    def _outgoing_chain(self, link: Outgoing) -> Outgoing:
        """Return what a packet meets from the router to the link."""
        address, clock, config = self.address, self.clock, self.config
        return in_order(
            [
                # First, since the books hold both amounts.
                lambda behind: ExchangeRateService(behind, self.rate_table, address, clock),
                # Behind the rate, since it counts what the next hop would get; before the books hold it.
                lambda behind: ThroughputService(behind, self.throughput, address),
                # Before the books: what it tells of is booked.
                lambda behind: IncomingPaymentsService(behind, self.notices, clock),
                # Before the expiry is shortened: the books keep until when the sender waits.
                self._balance_service,
                # Behind the books, which then say what its receipts may say; before all that is for a next hop.
                self._stream_receiver,
                # Before the link, which waits as long as the expiry says.
                lambda behind: ExpiryService(behind, clock, config.hold_ms_max),
                # Beside the link: nothing stands between its answer and the check of it.
                lambda behind: ValidateOutgoingService(
                    behind, clock, address, config.min_message_window_ms
                ),
            ],
            last=link,
        )

    def _stream_receiver(self, behind: Outgoing) -> Outgoing:
        gate = InvoiceGate(self.stores.payments, self.clock)
        return StreamReceiverService(
            behind,
            self.stream_credentials,
            gate,
            self.running_totals,
            self.stream_inbox,
            self.address,
        )

    def _books_of_pings(self) -> Outgoing:
        """Return the short way of a ping that ends here: what it carries is booked, and it is fulfilled."""
        return self._books(PingAnswerService(self.pings, self.address), lambda _: True)

    def _balance_service(self, behind: Outgoing) -> Outgoing:
        def is_received(request: OutgoingRequest[Account]) -> bool:
            account = request.to_account
            found = self.stream_credentials.find(
                account.id, account.ilp_address, request.prepare.destination
            )
            return found is not None

        return self._books(behind, is_received)

    def _books(
        self, behind: Outgoing, ends_here: Callable[[OutgoingRequest[Account]], bool]
    ) -> Outgoing:
        return BalanceService(
            behind,
            self.stores.books,
            self.afterwards,
            self.clock,
            self.address,
            self.fence,
            ends_here=ends_here,
        )

    # --- Start and stop

    async def start(self) -> None:
        """Sign on, settle what dead nodes left, load what the packets need, and let them in.

        Raises:
            SettingError: the store lacks something that the chain needs.
            StoreUnavailable: it cannot be read or written.
        """
        check_stores(self.stores)
        await self.own_address.take()
        self.stream_credentials.use(
            await self.stores.settings.agree_on_secret(STREAM_SECRET_NAME, new_secret())
        )
        if self.config.spread is not None:
            await self.stores.rates.save_spread(self.config.spread)
        self.lease = await self.stores.leases.sign_on(self.config.name)
        found = await self.recover()
        self.exchange.secret = await self.stores.settings.agree_on_secret(
            ROUTING_SECRET, fresh_secret()
        )
        await self.refresh()
        await self.elect()
        await self._exchanging.start()
        self._tasks.start(self._keep_lease(), name="lease")
        upkeep = self.upkeep
        for name, seconds, work in (
            ("elect", STEP_SECONDS, self.elect),
            ("poll", POLL_SECONDS, self.refresh_if_changed),
            ("history", STEP_SECONDS, upkeep.end_step),
            ("late replies", STEP_SECONDS, self.afterwards.sweep),
            ("parent", STEP_SECONDS, self.parent.step),
            ("rates", STEP_SECONDS, self.rate_feeder.tick),
            ("recovery", RECOVER_SECONDS, self.recover),
            ("roll-up", ROLL_UP_SECONDS, upkeep.roll_up),
            ("prune", PRUNE_SECONDS, upkeep.prune),
        ):
            self._tasks.start(self._every(name, seconds, work), name=name)
        self.gate.open()
        log.info(
            "node %d is %s, with %s, %s and %s",
            self.lease.number,
            self.address.current,
            counted(len(self.directory), "account"),
            counted(len(self.routing_table), "route"),
            counted(found.unknown, "undecided packet"),
        )

    async def stop(self, drain_seconds: float) -> None:
        """Let no packet in, wait so long for those in flight, book what is left to book, and sign off."""
        self.gate.close(STOPPING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                await self.gate.drained()
        await self._exchanging.stop()
        # The link tells the books what comes late, so it ends before they do.
        await self.link.close(LINK_SECONDS if self.afterwards.open_legs else 0)
        await self.afterwards.finish(AFTERWARDS_SECONDS)
        await self.rate_feeder.finish()
        await self._tasks.finish(0)
        if self.lease is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.upkeep.end_step()
                # What is still open is unknown, and for the next node's recovery to mark as such:
                # it is found by a lease that ended without signing off.
                if self.gate.in_flight == 0 and self.afterwards.is_clear:
                    await self.stores.leases.sign_off()
        except (StoreError, TimeoutError) as error:
            log.warning("the node ends without signing off: %s", error)
        self.lease = None

    @property
    def is_ready(self) -> bool:
        """Whether packets are let in."""
        return self.gate.closed is None

    def problems(self) -> Sequence[str]:
        """Return what keeps the node from working, or costs it money, a sentence each."""
        closed = self.gate.closed
        return (
            *(() if closed is None else (closed,)),
            *self._troubles.values(),
            *self.afterwards.problems(),
        )

    # --- What the packets' path knows of the store

    async def refresh(self) -> None:
        """Load accounts, routes and rates from the store into memory, now."""
        async with self._refreshing:
            self._versions = {}
            await self._load(await self.stores.settings.versions())

    async def refresh_if_changed(self) -> None:
        """Load them if anybody, here or in another process, has changed one of them."""
        async with self._refreshing:
            versions = await self.stores.settings.versions()
            if versions != self._versions:
                await self._load(versions)

    async def _load(self, versions: Mapping[str, int]) -> None:
        # The versions were read first: what changes while we read is seen again at the next look.
        stores = self.stores
        changed = {
            kind for kind, number in versions.items() if number != self._versions.get(kind)
        }
        ours = self.address.current
        if "settings" in changed:
            ours = await self.own_address.latest()
        if "routes" in changed:
            self._static_routes = await stores.routes.load_routes()
        if "accounts" in changed:
            accounts = await stores.accounts.load_accounts()
            token_hashes = await stores.accounts.load_token_hashes()
            btp_hashes = await stores.accounts.load_btp_token_hashes()
            former = await stores.accounts.load_former_accounts(limit=FORMER_ACCOUNTS_MAX)
            self.directory.replace(
                [self._known(one) for one in accounts], token_hashes, btp_hashes, former
            )
            known = {account.id for account in accounts}
            self.limits.keep_only(known)
            self.throughput.keep_only(known)
        # After what stands under it has been read: nobody sees a new name with accounts of the old one.
        self.own_address.adopt(ours)
        if not changed.isdisjoint({"accounts", "routes"}):
            await self._load_table()
        if "learned" in changed:
            await self._exchanging.keeper.look()
        if "rate_feed" in changed:
            self.rate_feeder.configuration_changed()
        if "rates" in changed:
            snapshot = await stores.rate_feed.latest_snapshot()
            self.rate_feeder.saw(snapshot)
            self.rate_table.serve(
                snapshot,
                await stores.rates.load_spread(),
                await stores.rate_feed.load_pair_spreads(),
            )
        self._versions = dict(versions)
        self.changes += 1

    async def _load_table(self) -> None:
        """Fill the routing table; beside the loop where that would take longer than a packet may wait."""
        accounts, static = self.directory.all(), self._static_routes

        def table() -> RoutingTable:
            return RoutingTable(build_routes(accounts, static))

        is_large = len(accounts) + len(static) > ROUTES_AT_ONCE
        self.routing_table.adopt(await asyncio.to_thread(table) if is_large else table())
        self.recorder.keep_only({account.id for account in accounts}, self.routing_table)
        await self.exchange.configure(accounts, static)

    def _known(self, account: Account) -> Account:
        """Return the very account that is in memory where nothing of it has changed: links keep to it."""
        known = self.directory.by_id(account.id)
        return known if known is not None and known == account else account

    # --- Its place among the node processes

    def fence(self) -> None:
        """Let no packet in until this process has signed on anew: its transfers are settled by rule."""
        if not self._fenced.is_set():
            log.error("this node was declared dead by another one, and signs on anew")
            self.gate.close(FENCED)
            self._fenced.set()

    async def renew(self) -> None:
        """Say that this process lives; where it was declared dead meanwhile, become a new one."""
        if not self._fenced.is_set():
            try:
                await self.stores.leases.renew()
            except NodeFenced:
                self.fence()
        if self._fenced.is_set():
            self.lease = await self.stores.leases.sign_on(self.config.name)
            await self.recover()
            self._fenced.clear()
            if self.gate.closed == FENCED:
                self.gate.open()
            log.info("signed on anew as node %d", self.lease.number)

    async def _keep_lease(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._fenced.wait()
            if not await self._attempt("renew", self.renew):
                await asyncio.sleep(POLL_SECONDS)

    async def elect(self) -> None:
        """See what this process does of that which one of those on the store does for all."""
        leases = self.stores.leases
        alive = {node.number for node in await leases.nodes()}
        own = None if self.lease is None else self.lease.number
        await self._voices.look(leases, alive, own)

    async def recover(self) -> Recovery:
        """Settle by rule what dead nodes left, and return what that was."""
        found = await self.stores.books.recover()
        if found.nodes or found.transfers:
            log.warning(
                "%s ended without signing off, with %s under way: the books have %s now",
                counted(found.nodes, "node"),
                counted(found.transfers, "packet"),
                counted(found.unknown, "undecided packet"),
            )
        # Behind the books: what such a payment has sent is final by now.
        for payment in await self.stores.payments.close_dead_payments():
            log.warning(
                "payment %s was interrupted: node %d, which made it, is gone",
                payment.id,
                payment.node,
            )
        return found

    async def _every(
        self, name: str, seconds: float, work: Callable[[], Awaitable[object]]
    ) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._attempt(name, work)

    async def _attempt(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Do it; what fails is a problem of the node until it works again, and nothing else ends with it."""
        try:
            await work()
        except NodeFenced:
            self.fence()
            return False
        except StoreError as error:
            if name not in self._troubles:
                log.warning("%s: %s", name, error)
            self._troubles[name] = f"The store cannot be used ({name}): {error}."
            return False
        except Exception:
            if name not in self._troubles:
                log.exception("%s: a fault of this program", name)
            self._troubles[name] = f"A fault of this program ({name}): the log has it whole."
            return False
        if self._troubles.pop(name, None) is not None:
            log.info("%s: all is well again", name)
        return True
