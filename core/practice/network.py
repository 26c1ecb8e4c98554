"""Start and stop the practice network around a node that already runs.

```
 customers ─▶ alice ─┐                          ┌─ bob ─▶ shops        alice, bob: nodes of their own
                     ├─ settles ─▶ OUR NODE ─▶ ─┤                      every arrow is real ILP over HTTP
 customers ─▶ carol ─┘   (ETH, on the chain)    └─ carol ─▶ shops      carol: an account here, in USD
```

Everything that is done to our node goes through the operator's door, as the window's own buttons do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol, final

from aiohttp import ClientError, ClientSession, ClientTimeout

from core.control.operator import Operator
from core.control.payment_views import InvoiceOrder, PaymentOrder
from core.control.views import AccountDetails
from core.errors import ControlError, InterledgerError, UnknownAccount
from core.packet import child_address
from core.practice.process import Child
from core.practice.throw_away import ThrowAwayFolder
from core.practice.traffic import Lane

log = logging.getLogger(__name__)

ENGINE: Final = "ethereum"
ENGINE_URL: Final = f"signalbox:{ENGINE}"
GWEI_SCALE: Final = 9
USD_SCALE: Final = 2
PRICES: Final = {"ETH": Decimal(2500), "USD": Decimal(1)}
SPREAD: Final = Fraction(1, 200)
FUNDING_ETH: Final = 1000

CREDIT_GWEI: Final = 60_000_000
THRESHOLD_GWEI: Final = 20_000_000
CAROLS_PACKET_CENTS: Final = 400
CREDIT_CENTS: Final = 100_000
"""Carol earns what she spends, on average; her luck of an hour is a fifth of this, and the rest can be paid with."""

PAID_CENTS: Final = 345
PAYMENT_SLIPPAGE: Final = Fraction(1, 20)

ENGINE_OPTIONS: Final = ("--confirmations", "2", "--poll-seconds", "0.5")
"""Nobody undoes a block of the test chain on purpose, and who practises wants to see money arrive."""
NOTES: Final = "practice network"
"""How its accounts are told from the operator's own."""
OUR_ACCOUNTS: Final = ("alice", "bob", "carol")


class Engines(Protocol):
    """Whoever starts our node's settlement engine: the window's supervisor, or a test."""

    async def start_engine(
        self, name: str, *, rpc_url: str, options: Sequence[str] = ()
    ) -> None:
        """Start the bundled engine of that name on our node's store, with these options of its command line."""

    async def stop_engine(self, name: str) -> None:
        """Stop it again."""


@final
@dataclass(frozen=True, slots=True)
class Neighbour:
    """One further node: where it is, and how its operator's door is opened."""

    name: str
    ilp_address: str
    url: str
    admin_token: str
    store_url: str
    engine_address: str


@final
class PracticeNetwork:
    """The whole network, in a throw-away directory; `stop` leaves nothing behind."""

    def __init__(
        self,
        operator: Operator,
        engines: Engines,
        *,
        our_url: str,
        progress: Callable[[str], None] = log.info,
        seed: int = 1,
    ) -> None:
        self._operator = operator
        self._engines = engines
        self._our_url = our_url
        self._progress = progress
        self._seed = seed
        self._directory: ThrowAwayFolder | None = None
        self._children: list[Child] = []
        self._tokens = {name: secrets.token_urlsafe(32) for name in ("to", "from", "pay")}
        self._engine_started = False

    @property
    def running(self) -> bool:
        return self._directory is not None

    async def start(self) -> None:
        """Start everything; on any failure, or when cancelled, everything is stopped again.

        Raises:
            ControlError: it runs already, our node has accounts of these names, or a part did not start.
        """
        if self.running:
            raise ControlError("the practice network runs already")
        await self._clear_the_stage()
        self._directory = ThrowAwayFolder("signalbox-practice-")
        try:
            await self._start(self._directory.path)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the traffic, the neighbours and the chain, and remove the directory; our accounts with them are paused."""
        for username in OUR_ACCOUNTS:
            # So that nothing is sent to who is just leaving; a node that cannot do that any more is no reason to stay.
            with contextlib.suppress(InterledgerError):
                await self._operator.set_enabled(username, enabled=False)
        while self._children:
            await self._children.pop().stop()
        if self._engine_started:
            await self._engines.stop_engine(ENGINE)
            self._engine_started = False
        if self._directory is not None:
            self._directory.close()
            self._directory = None

    async def remove_accounts(self) -> None:
        """Take the practice accounts off our node, whatever their balance: it was play money."""
        for username in OUR_ACCOUNTS:
            try:
                await self._operator.delete_account(username, even_with_balance=True)
            except UnknownAccount:
                continue

    async def _clear_the_stage(self) -> None:
        """Remove accounts that an earlier practice left behind, as a killed window does; spare all others."""
        for view in await self._operator.accounts():
            if view.account.username not in OUR_ACCOUNTS:
                continue
            if not view.account.notes.startswith(NOTES):
                raise ControlError(
                    f"this node already has an account {view.account.username!r}: "
                    "the practice network needs a node without it"
                )
            await self._operator.delete_account(view.account.username, even_with_balance=True)

    async def _start(self, directory: Path) -> None:
        status = await self._operator.status()
        scheme = status.ilp_address.partition(".")[0]
        if scheme == "g":
            raise ControlError(
                f"this node is {status.ilp_address}, on the live network: practise on a test node"
            )

        self._progress("starting a local test chain")
        chain = await self._child(
            "the test chain", "core.settlement", ("chain", "--port", "0", "--stop-with-stdin")
        )
        rpc_url = _text(chain, "rpc")

        self._progress("starting our settlement engine")
        await self._engines.start_engine(ENGINE, rpc_url=rpc_url, options=ENGINE_OPTIONS)
        self._engine_started = True
        our_engine_address = await self._our_engine_address()

        neighbours = {}
        for name in ("alice", "bob"):
            self._progress(f"starting {name}'s node and engine")
            neighbours[name] = await self._neighbour(directory, name, scheme, rpc_url)
        await self._fund(
            rpc_url, [our_engine_address, *(n.engine_address for n in neighbours.values())]
        )

        self._progress("starting customers and shops")
        payee = await self._child(
            "the traffic", "core.practice", (), first_line=json.dumps({"seed": self._seed})
        )
        payee_url = _text(payee, "url")

        self._progress("peering everybody")
        await self._set_rates()
        for neighbour in neighbours.values():
            await self._peer(neighbour, our_engine_address, status.ilp_address)
            await self._add_shop(neighbour, payee_url)
        await self._add_carol(payee_url)

        lanes = traffic_lanes(
            neighbours,
            our_url=self._our_url,
            carol=str(child_address(status.ilp_address, "carol")),
            token=self._token,
        )
        await self._children[-1].say(
            json.dumps({"lanes": [json.loads(lane.to_json()) for lane in lanes]})
        )
        self._progress("paying bob's shop, and asking for money")
        await self._show_payments(neighbours["bob"])
        self._progress("the practice network runs")

    async def _neighbour(
        self, directory: Path, name: str, scheme: str, rpc_url: str
    ) -> Neighbour:
        store_url = f"sqlite:///{directory}/{name}/signalbox.db"
        ilp_address = f"{scheme}.{name}"
        admin_token = secrets.token_urlsafe(32)
        node = await self._child(
            f"{name}'s node",
            "core",
            ("run", "--store", store_url, "--ilp-address", ilp_address, "--http-bind", "127.0.0.1:0",
             "--stop-with-stdin"),
            environment={"SIGNALBOX_ADMIN_TOKEN": admin_token},
        )  # fmt: skip
        engine = await self._child(
            f"{name}'s engine",
            "core.settlement",
            (ENGINE, "--store", store_url, "--rpc", rpc_url, *ENGINE_OPTIONS, "--stop-with-stdin"),
        )  # fmt: skip
        return Neighbour(
            name,
            ilp_address,
            _text(node, "url"),
            admin_token,
            store_url,
            _text(engine, "address"),
        )

    async def _peer(
        self, neighbour: Neighbour, our_engine_address: str, our_address: str
    ) -> None:
        """Make the account on both sides, each through its operator's door."""
        # Theirs first: our node speaks to a peer as soon as it has one, and would be turned away.
        await _post(
            neighbour,
            "/accounts",
            {
                "username": "signalbox",
                "asset_code": "ETH",
                "asset_scale": GWEI_SCALE,
                "ilp_address": our_address,
                "routing_relation": "Peer",
                "min_balance": -CREDIT_GWEI,
                "ilp_over_http_url": f"{self._our_url}/accounts/{neighbour.name}/ilp",
                "ilp_over_http_outgoing_token": self._token("to", neighbour.name),
                "ilp_over_http_incoming_token": self._token("from", neighbour.name),
                "settle_threshold": THRESHOLD_GWEI,
                "settle_to": 0,
                "settlement_engine_url": ENGINE_URL,
                "settlement_address": our_engine_address,
                "round_trip_time": 100,
            },
        )
        await self._operator.create_account(
            AccountDetails(
                username=neighbour.name,
                asset_code="ETH",
                asset_scale=GWEI_SCALE,
                ilp_address=neighbour.ilp_address,
                routing_relation="Peer",
                max_packet_amount=THRESHOLD_GWEI // 10,
                min_balance=-CREDIT_GWEI,
                ilp_over_http_url=f"{neighbour.url}/accounts/signalbox/ilp",
                ilp_over_http_outgoing_token=self._token("from", neighbour.name),
                ilp_over_http_incoming_token=self._token("to", neighbour.name),
                settle_threshold=THRESHOLD_GWEI,
                settle_to=0,
                settlement_engine_url=ENGINE_URL,
                settlement_address=neighbour.engine_address,
                round_trip_time=100,
                label=neighbour.name.capitalize(),
                notes=NOTES,
            )
        )
        # Whatever is not its own, it sends to us: we are the way to everybody else.
        await _put(neighbour, "/routes/default", "signalbox")

    async def _add_shop(self, neighbour: Neighbour, payee_url: str) -> None:
        await _post(
            neighbour,
            "/accounts",
            {
                "username": "shop",
                "asset_code": "ETH",
                "asset_scale": GWEI_SCALE,
                "routing_relation": "Child",
                "ilp_over_http_url": f"{payee_url}/{neighbour.name}",
                "ilp_over_http_outgoing_token": self._token("pay", neighbour.name),
                "ilp_over_http_incoming_token": self._token("pay", neighbour.name),
                "round_trip_time": 100,
            },
        )

    async def _add_carol(self, payee_url: str) -> None:
        await self._operator.create_account(
            AccountDetails(
                username="carol",
                asset_code="USD",
                asset_scale=USD_SCALE,
                routing_relation="Child",
                max_packet_amount=CAROLS_PACKET_CENTS,
                min_balance=-CREDIT_CENTS,
                ilp_over_http_url=f"{payee_url}/carol",
                ilp_over_http_outgoing_token=self._token("from", "carol"),
                ilp_over_http_incoming_token=self._token("to", "carol"),
                round_trip_time=100,
                label="Carol",
                notes=f"{NOTES}: a customer of ours, in dollars",
            )
        )

    async def _show_payments(self, bob: Neighbour) -> None:
        """Pay a shop of bob's by its pointer, out of dollars into ether, and ask for money: to see both."""
        await self._operator.create_invoice(
            InvoiceOrder(username="carol", amount=1_250, description="a chair")
        )
        try:
            await self._operator.start_payment(
                PaymentOrder(
                    username="carol",
                    receiver=f"{bob.url}/accounts/shop/spsp",
                    source_amount=PAID_CENTS,
                    slippage=PAYMENT_SLIPPAGE,
                    memo="a lamp from bob's shop",
                )
            )
        except ControlError as error:
            log.info("nothing was paid to bob's shop: %s", error)

    async def _set_rates(self) -> None:
        rates = await self._operator.rates()
        prices = {code: Decimal(price) for code, price in rates.prices.items()}
        await self._operator.set_rates({**PRICES, **prices})
        if not rates.prices:
            await self._operator.set_spread(SPREAD)

    async def _our_engine_address(self) -> str:
        for _ in range(240):
            for engine in await self._operator.engines():
                if engine.status.name == ENGINE and engine.alive and engine.status.address:
                    return engine.status.address
            await asyncio.sleep(0.25)
        raise ControlError("our settlement engine did not report within a minute; see Logs")

    async def _fund(self, rpc_url: str, addresses: list[str]) -> None:
        """Have the chain's faucet give each wallet play money."""
        async with ClientSession(timeout=ClientTimeout(total=30)) as session:
            for number, address in enumerate(addresses):
                call = {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "signalbox_fund",
                    "params": [address, hex(FUNDING_ETH * 10**18)],
                }
                async with session.post(rpc_url, json=call) as response:
                    answer = await response.json()
                if "error" in answer:
                    raise ControlError(
                        f"the test chain did not fund {address}: {answer['error']}"
                    )

    async def _child(
        self,
        name: str,
        module: str,
        arguments: tuple[str, ...],
        *,
        environment: Mapping[str, str] | None = None,
        first_line: str = "",
    ) -> Mapping[str, object]:
        child = Child(name, module, arguments)
        self._children.append(child)
        return await child.start(environment=environment, first_line=first_line)

    def _token(self, direction: str, name: str) -> str:
        return f"{self._tokens[direction]}-{name}"


def traffic_lanes(
    neighbours: Mapping[str, Neighbour],
    *,
    our_url: str,
    carol: str,
    token: Callable[[str, str], str],
) -> Sequence[Lane]:
    """Return who pays whom: mostly alice's customers in bob's shop, so that debts grow and settle.

    Carol settles with nobody, so she is paid as much as she pays, a little more: 5184 USD an hour out, 5211 in.
    """
    alice, bob = neighbours["alice"], neighbours["bob"]

    def shop(neighbour: Neighbour) -> str:
        return f"{neighbour.ilp_address}.shop.till"

    def lane(source: str, destination: str, low: int, high: int, rate: float) -> Lane:
        from_carol = source == "carol"
        return Lane(
            url=f"{our_url}/accounts/carol/ilp"
            if from_carol
            else f"{neighbours[source].url}/accounts/shop/ilp",
            token=token("to" if from_carol else "pay", source),
            destination=destination,
            amount_min=low,
            amount_max=high,
            packets_per_second=rate,
        )

    return [
        lane("alice", shop(bob), 100_000, 900_000, 6.0),
        lane("bob", shop(alice), 100_000, 900_000, 2.5),
        lane("carol", shop(bob), 20, 220, 1.2),
        lane("alice", f"{carol}.wallet", 80_000, 700_000, 1.5),
        # What goes wrong on any network, so that it can be seen: a typing error, and too much at once.
        lane(
            "bob", f"{alice.ilp_address.partition('.')[0]}.nowhere.at-all", 1_000, 9_000, 0.12
        ),
        lane("carol", shop(alice), 500, 900, 0.08),
    ]


async def _post(neighbour: Neighbour, path: str, account: Mapping[str, object]) -> None:
    await _call(neighbour, "POST", path, json.dumps(account), "application/json")


async def _put(neighbour: Neighbour, path: str, text: str) -> None:
    await _call(neighbour, "PUT", path, text, "text/plain")


async def _call(neighbour: Neighbour, method: str, path: str, body: str, kind: str) -> None:
    headers = {"Authorization": f"Bearer {neighbour.admin_token}", "Content-Type": kind}
    try:
        async with (
            ClientSession(neighbour.url, timeout=ClientTimeout(total=30)) as session,
            session.request(method, path, data=body.encode(), headers=headers) as response,
        ):
            if response.status >= 300:
                raise ControlError(f"{neighbour.name}'s node said: {await response.text()}")
    except (ClientError, TimeoutError) as error:
        raise ControlError(f"{neighbour.name}'s node does not answer: {error}") from error


def _text(said: Mapping[str, object], key: str) -> str:
    value = said.get(key)
    if not isinstance(value, str):
        raise ControlError(f"a child said READY without {key!r}: {dict(said)}")
    return value
