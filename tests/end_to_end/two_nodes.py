"""Two nodes in this process that peer over HTTP: alice pays from the one, bob is paid at the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from aiohttp import ClientSession

from core.account import Secret
from core.config import Bind, NodeConfig
from core.control.views import AccountDetails
from core.host import NodeHost
from core.packet import address

ADMIN: Final = "the-operator-of-the-tests"
ALICE: Final = "alices-own-token"
BOB: Final = "bobs-own-token-here"
BETWEEN: Final = "what-the-two-nodes-share"
ENDED: Final = frozenset({"completed", "failed", "cancelled", "interrupted"})


def config(name: str, store: str) -> NodeConfig:
    return NodeConfig(
        store=store,
        ilp_address=address(f"test.{name}"),
        http_bind=Bind("127.0.0.1", 0),
        admin_token=Secret(ADMIN),
        drain_seconds=2,
    )


def details(username: str, **changes: Any) -> AccountDetails:
    plain = AccountDetails(username=username, asset_code="USD", asset_scale=6)
    return replace(plain, **changes)


@dataclass
class Api:
    """What a client hears of one node."""

    session: ClientSession
    url: str

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str = ADMIN,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        async with self.session.request(
            method, self.url + path, json=body, headers=sent
        ) as response:
            is_json = response.content_type.endswith("json")
            return response.status, await (response.json() if is_json else response.text())

    async def get(self, path: str, **options: Any) -> Any:
        status, answer = await self.call("GET", path, **options)
        assert status == 200, answer
        return answer

    async def begin(self, **order: Any) -> dict[str, Any]:
        """Begin a payment of alice's, and return it as it begins."""
        key = order.pop("key", None)
        headers = {} if key is None else {"Idempotency-Key": key}
        status, answer = await self.call(
            "POST", "/payments", {"username": "alice", **order}, headers=headers
        )
        assert status == 202, answer
        found: dict[str, Any] = answer
        return found

    async def ended(self, payment: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payment once it has ended."""
        found = dict(payment)
        while found["state"] not in ENDED:
            query = f"wait_seconds=5&after_change={found['change']}"
            found = await self.get(f"/payments/{found['id']}?{query}")
        return found

    async def once_sent(self, payment: Mapping[str, Any], amount: int) -> dict[str, Any]:
        """Return the payment once it has sent so much."""
        while True:
            found: dict[str, Any] = await self.get(f"/payments/{payment['id']}")
            if int(found["sent"]) >= amount or found["state"] in ENDED:
                return found
            await asyncio.sleep(0.02)


@dataclass
class TwoNodes:
    """The node that pays, and the node that is paid."""

    paying: NodeHost
    paid: NodeHost
    alpha: Api
    beta: Api
    folder: Path
    stopped: list[NodeHost] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def start(
        cls, folder: Path, *, largest: int | None = None, **alice: Any
    ) -> AsyncIterator[Self]:
        """Start them; `largest` is the largest packet that the second node takes from the first."""
        paid = await NodeHost.start(config("beta", f"sqlite:///{folder}/beta.db"))
        paying = await NodeHost.start(config("alpha", f"sqlite:///{folder}/alpha.db"))
        async with ClientSession() as session:
            nodes = cls(paying, paid, Api(session, paying.url), Api(session, paid.url), folder)
            try:
                await nodes.connect(largest=largest, **alice)
                yield nodes
            finally:
                for host in (paying, paid):
                    if host not in nodes.stopped:
                        await host.stop()

    async def connect(self, *, largest: int | None, **alice: Any) -> None:
        """Open the accounts; alice counts in nano, the others in micro, so that each rounding shows."""
        await self.paid.control.create_account(
            details(
                "alpha",
                ilp_over_http_incoming_token=BETWEEN,
                max_packet_amount=largest,
                routing_relation="Peer",
                ilp_address="test.alpha",
            )
        )
        await self.paid.control.create_account(details("bob", ilp_over_http_incoming_token=BOB))
        await self.paying.control.create_account(
            details(
                "beta",
                ilp_over_http_url=f"{self.paid.url}/accounts/alpha/ilp",
                ilp_over_http_outgoing_token=BETWEEN,
                routing_relation="Peer",
                ilp_address="test.beta",
            )
        )
        await self.paying.control.create_account(
            details("alice", ilp_over_http_incoming_token=ALICE, **alice)
        )

    @property
    def bob(self) -> str:
        """Where bob is paid."""
        return f"{self.paid.url}/accounts/bob/spsp"

    async def received(self, destination: str) -> int:
        """Return what the second node's books have received over one payment's connection."""
        rows = (await self.beta.get("/payments/received?limit=1000"))["received"]
        return sum(int(row["received"]) for row in rows if row["destination"] == destination)

    def booked(self, payment_id: str) -> int:
        """Return what the first node's journal has fulfilled of a payment, row by row."""
        return booked(self.folder / "alpha.db", payment_id)

    async def audit(self) -> None:
        for api in (self.alpha, self.beta):
            found = await api.get("/audit")
            assert found["passed"], found["findings"]


def booked(database: Path, payment_id: str) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        (found,) = connection.execute(
            "SELECT coalesce(sum(incoming_amount), 0) FROM transfer"
            " WHERE state = 1 AND payment = (SELECT number FROM payment WHERE id = ?)",
            (payment_id,),
        ).fetchone()
    connection.close()
    return int(found)
