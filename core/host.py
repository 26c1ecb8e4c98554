"""One whole node in this process: stores, chains, port, API and operator's door, started and stopped in order.

Where concrete classes of all layers meet. The server and the window each run one of these, so that
what works in the one works in the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self, final

from aiohttp import web

from core.account import Secret
from core.clock import Clock, WallClock
from core.config import (
    Bind,
    NodeConfig,
    admin_token,
    program_version,
    sqlite_path,
    token_problem,
)
from core.control.node_control import NodeControl
from core.control.node_warnings import (
    NodeWarning,
    Topic,
    account_token_warnings,
    configured,
)
from core.control.place import Place
from core.control.sources import ControlSources, NodeFacts
from core.links.auto_peer_client import AutoPeerClient
from core.links.btp.link import BtpLink
from core.links.btp.shared import btp_upgrades
from core.links.circuit_breaker import CircuitBreaker
from core.links.control_http import ApiOptions, build_app
from core.links.control_http.connection import ApiConnection
from core.links.descriptors import for_strangers, raised_limit
from core.links.dispatch import DispatchLink
from core.links.http_client import HttpLink
from core.links.http_connection import HttpLimits
from core.links.http_front import HttpFront, serve
from core.links.http_server import IlpEndpoint
from core.links.http_shared import ilp_packets
from core.links.link_states import LinkStates
from core.links.rate_sources import RateSourceClient
from core.links.spsp_client import SpspClient
from core.links.spsp_server import SpspServer
from core.node import STOPPING, Link, Node
from core.node_address import NodeAddress
from core.payments.payer import Payer
from core.stores.record import Stores, open_stores
from core.telemetry.log import LogMemory

log = logging.getLogger(__name__)

API_SECONDS: Final = 1.0
"""How long calls of the API that are under way may take when the node stops."""


@final
@dataclass(slots=True, kw_only=True)
class NodeHost:
    """A running node, and how to reach it."""

    config: NodeConfig
    stores: Stores
    node: Node
    control: NodeControl
    """The operator's door, in process."""
    payer: Payer
    front: HttpFront
    url: str
    """Where peers and operators reach it."""
    admin_token: Secret
    admin_token_file: Path | None
    _runner: web.AppRunner
    _log_memory: LogMemory

    @classmethod
    async def start(
        cls, config: NodeConfig, clock: Clock | None = None, *, shares_loop: bool = False
    ) -> Self:
        """Open the store, start the node, and then its port; what fails is undone again.

        `shares_loop` says that a window draws on the same loop, which nothing may hold up then.

        Raises:
            SettingError: a setting cannot be, the port being in use included; says which.
            SchemaTooNew: a newer version wrote the store.
            StoreUnavailable: it cannot be opened, read or written.
        """
        clock = clock or WallClock()
        async with contextlib.AsyncExitStack() as undo:
            memory = LogMemory()
            logging.getLogger().addHandler(memory)
            undo.callback(logging.getLogger().removeHandler, memory)
            memory.set_level(config.log_level)

            stores = await open_stores(config.store, clock, commit_on_loop=not shares_loop)
            undo.push_async_callback(stores.close)
            token, token_file = admin_token(config, sqlite_path(config.store))

            states = LinkStates(clock)
            links: list[DispatchLink] = []

            def make_link(address: NodeAddress, clock: Clock) -> Link:
                http = HttpLink(clock=clock, address=address, states=states)
                btp = BtpLink(clock=clock, address=address, states=states, tls=http.tls)
                links.append(DispatchLink(btp, http))
                return CircuitBreaker(links[0], states=states, address=address, clock=clock)

            node = Node(
                stores,
                clock,
                config,
                make_link,
                came_up=states.came_up,
                fetch_rates=RateSourceClient(),
                holds=states.held,
                is_gone=states.is_gone,
            )
            btp = links[0].btp
            undo.push_async_callback(node.stop, 0)
            await node.start()

            payer = Payer(
                store=stores.payments,
                books=stores.books,
                directory=node.directory,
                incoming=node.incoming,
                resolver=SpspClient(lambda: config.reach(node.address.current)),
                clock=clock,
            )
            undo.push_async_callback(payer.finish, 0)
            bound: list[str] = []
            control = NodeControl(_sources(node, links[0], states, memory, bound, payer, token))
            options = ApiOptions(
                admin_token=token,
                account_by_token=lambda given: _username(node, given),
                bind_host=config.http_bind.host,
                hosts=config.hosts,
            )
            app = build_app(control, options)
            # Before all others: who may call the API by which name is no matter of packets.
            endpoint = IlpEndpoint(node.directory, stores.accounts.hash_token)
            app.middlewares.insert(0, ilp_packets(endpoint, node.incoming))
            app.middlewares.insert(1, btp_upgrades(btp))
            spsp = SpspServer(
                node.directory,
                node.stream_credentials,
                stores.payments,
                clock,
                default_account=config.default_spsp_account,
            )
            app.middlewares.insert(1, spsp.middleware())
            runner = web.AppRunner(
                app, access_log=None, handle_signals=False, shutdown_timeout=API_SECONDS
            )
            await runner.setup()
            undo.push_async_callback(runner.cleanup)
            server = runner.server
            assert server is not None
            front = await serve(
                host=config.http_bind.host,
                port=config.http_bind.port,
                incoming=node.incoming,
                accounts=node.directory,
                hash_token=stores.accounts.hash_token,
                clock=clock,
                address=node.address,
                delegate=lambda: ApiConnection.of(server),
                upgrade=btp.accept,
                limits=_limits(),
            )
            btp.start(node.incoming, node.directory, stores.accounts.hash_token)
            bound.append(str(Bind(config.http_bind.host, front.port)))
            undo.pop_all()
        for warning in config.warnings():
            log.warning("%s", warning)
        url = f"http://{Bind(_reachable(config.http_bind.host), front.port)}"
        log.info("listening on %s", url)
        return cls(
            config=config,
            stores=stores,
            node=node,
            control=control,
            payer=payer,
            front=front,
            url=url,
            admin_token=token,
            admin_token_file=token_file,
            _runner=runner,
            _log_memory=memory,
        )

    async def stop(self) -> None:
        """Accept nothing more, answer what is in flight, book it, and close everything, in order."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.config.drain_seconds
        self.payer.stop()
        self.node.gate.close(STOPPING)
        await self.front.close(self.config.drain_seconds)
        with contextlib.suppress(TimeoutError):  # packets on the API's connections
            async with asyncio.timeout_at(deadline):
                await self.node.gate.drained()
        await self.payer.finish(max(0.0, deadline - loop.time()))
        await self.node.notices.finish(API_SECONDS)
        await self._runner.cleanup()
        await self.node.stop(max(0.0, deadline - loop.time()))
        await self.stores.close()
        log.info("stopped")
        logging.getLogger().removeHandler(self._log_memory)


def _sources(
    node: Node,
    link: DispatchLink,
    states: LinkStates,
    memory: LogMemory,
    bound: Sequence[str],
    payer: Payer,
    admin_token: Secret,
) -> ControlSources:
    stores, path = node.stores, sqlite_path(node.stores.url)
    assert node.lease is not None
    account_tokens = account_token_warnings(node.directory, stores.accounts.hash_token)
    lasting = _lasting_warnings(node.config, admin_token)
    facts = NodeFacts(
        version=program_version(),
        node_number=node.lease.number,
        started_at_ms=node.lease.started_at_ms,
        store_url=stores.url,
        http_bind=str(node.config.http_bind),
        store_octets=lambda: None if path is None else _octets(path),
        bound=lambda: bound[0] if bound else None,
        problems=node.problems,
        warnings=lambda: (*lasting, *account_tokens()),
        clock_reading=states.times.read,
    )
    return ControlSources(
        facts=facts,
        clock=node.clock,
        node_address=node.address,
        directory=node.directory,
        routing_table=node.routing_table,
        exchange=node.exchange,
        rate_table=node.rate_table,
        accounts=stores.accounts,
        routes=stores.routes,
        rates=stores.rates,
        rate_feed=stores.rate_feed,
        rate_feeder=node.rate_feeder,
        books=stores.books,
        leases=stores.leases,
        settlements=stores.settlements,
        history=stores.history,
        payments=stores.payments,
        payer=payer,
        notices=node.notices,
        place=Place(
            public_host=node.config.public_host,
            bound=lambda: _reachable_bind(node.config.http_bind, bound),
        ),
        changes=stores.settings,
        traffic=node.recorder,
        links=states,
        log=memory,
        incoming=node.incoming,
        pings=node.pings,
        parent=node.parent,
        post_offer=AutoPeerClient(),
        changing=node.changing,
        # A person who asks wants to know now, whatever is left alone for its failures.
        link=link,
        dial=link.dial,
        refresh=node.refresh,
    )


def _lasting_warnings(config: NodeConfig, admin_token: Secret) -> Sequence[NodeWarning]:
    """Return the warnings that hold until the node is configured anew."""
    # Who has a public name is reached by it with TLS: a reverse proxy stands before the port.
    port = config.port_problem if config.public_host is None else ""
    return (
        *configured(Topic.SECRETS, token_problem(admin_token)),
        *configured(Topic.PORT, port),
    )


def _username(node: Node, token: str) -> str | None:
    account = node.directory.by_token_hash(node.stores.accounts.hash_token(token))
    return None if account is None else account.username


def _octets(path: Path) -> int:
    """Return how large the database is, with what is not yet folded into it."""
    octets = 0
    for part in (path, path.with_name(path.name + "-wal")):
        with contextlib.suppress(OSError):
            octets += part.stat().st_size
    return octets


def _reachable_bind(bind: Bind, bound: Sequence[str]) -> str:
    """Return where this machine reaches the port, with the number that it really has."""
    port = bound[0].rpartition(":")[2] if bound else bind.port
    return str(Bind(_reachable(bind.host), int(port)))


def _reachable(host: str) -> str:
    """Return a host that can be connected to: one that means all addresses is none."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _limits() -> HttpLimits:
    limits = HttpLimits()
    connections = min(limits.connections_max, for_strangers(raised_limit()))
    return replace(limits, connections_max=connections)
