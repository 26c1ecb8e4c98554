"""A whole node over memory stores and a fake link: what a test of several services needs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Self, final

from core.account import Account, NewTokens
from core.config import NodeConfig
from core.node import Node
from core.own_address import ADDRESS_SETTING
from core.packet import Prepare, Reply
from core.service import Explanation, IncomingRequest
from core.stores.record import Stores, open_stores
from core.testing.builders import account
from core.testing.clock import FakeClock
from core.testing.services import FakeOutgoing

PRICES: Mapping[str, Decimal] = {
    "USD": Decimal(1),
    "EUR": Decimal("1.1"),
    "XRP": Decimal("0.5"),
}


@final
class FakeLink:
    """A link for a node: what it is sent goes to a FakeOutgoing, so that a test can say what is answered."""

    def __init__(self) -> None:
        self.far_side = FakeOutgoing()
        self.closed = False
        self.send = self.far_side.send
        self.explain = self.far_side.explain

    async def close(self, drain_seconds: float) -> None:
        self.closed = True


@final
class Chain:
    """A node that lets packets in and runs no tasks: time passes only as the test says."""

    def __init__(self, stores: Stores, clock: FakeClock, node: Node, link: FakeLink) -> None:
        self.stores = stores
        self.clock = clock
        self.node = node
        self.link = link

    @classmethod
    async def build(
        cls,
        *accounts: Account,
        spread: Fraction = Fraction(0),
        prices: Mapping[str, Decimal] = PRICES,
        static: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a node with these accounts; `static` maps prefixes to usernames."""
        clock, link = FakeClock(), FakeLink()
        stores = await open_stores("memory:", clock)
        config = NodeConfig(store="memory:", name="test")
        node = Node(stores, clock, config, lambda *_: link)
        await stores.settings.save_setting(ADDRESS_SETTING, "test.node")
        for one in accounts:
            await stores.accounts.insert_account(one, NewTokens())
        await stores.rates.replace_prices(prices)
        await stores.rates.save_spread(spread)
        for prefix, username in (static or {}).items():
            await stores.routes.set_route(prefix, account(username).id)
        node.lease = await stores.leases.sign_on("test")
        await node.refresh()
        node.gate.open()
        return cls(stores, clock, node, link)

    def request(self, packet: Prepare, sender: str = "alice") -> IncomingRequest[Account]:
        known = self.node.directory.by_username(sender)
        assert known is not None, f"there is no account {sender}"
        return IncomingRequest(known, packet)

    async def handle(self, packet: Prepare, sender: str = "alice") -> Reply:
        """Return what becomes of the packet."""
        return await self.node.incoming.handle(self.request(packet, sender))

    async def explain(self, packet: Prepare, sender: str = "alice") -> Explanation:
        """Return what is said to become of it; the packet stays as it is."""
        return await self.node.incoming.explain(self.request(packet.copy(), sender))
