"""Two engines pay each other over a real chain while they are killed again and again.

Two stores, a test chain in a process of its own, and on each side one engine after the other, none of which
ends in order (`engine_nursery`). Packets go both ways meanwhile, through the real books of both sides,
and the chain takes blocks back now and then. Afterwards an engine that nobody kills finishes, and:

* what was fulfilled is what was settled and what is still owed, to the unit, on both sides;
* what one side settled is what the other was credited, and what the chain carried;
* both audits pass.

Two broken engines go through the same run, and it finds them out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import pytest

from core.account import AccountId, Asset, NewTokens
from core.clock import WallClock
from core.ledger.books import Transfer
from core.settlement.engines.json_rpc import JsonRpc
from core.settlement.records import Direction, SettlementState
from core.stores import Stores, open_stores
from core.testing.builders import account

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = 60
ETH9: Final = Asset("ETH", 9)
GWEI: Final = 10**9
THRESHOLD: Final = 300

PEER: Final = AccountId("11111111-0000-4000-8000-000000000001")
CUSTOMERS: Final = AccountId("22222222-0000-4000-8000-000000000002")
ENDED: Final = {SettlementState.FINAL, SettlementState.CREDITED}
FULFILLMENT: Final = bytes(32)
CONDITION: Final = hashlib.sha256(FULFILLMENT).digest()


async def start(*arguments: str, module: str = "core.settlement") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def line_of(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return the READY line; fail with what the process said if there is none."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    if not line:
        _, said = await process.communicate()
        pytest.fail(said.decode())
    found: dict[str, Any] = json.loads(line.decode().removeprefix("READY "))
    return found


async def until(seen: Callable[[], Awaitable[object]], *, seconds: float = 30) -> None:
    """Look again and again, at processes that nobody tells us about."""
    async with asyncio.timeout(seconds):
        while not await seen():  # noqa: ASYNC110 the event is in another process
            await asyncio.sleep(0.05)


async def stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await process.communicate()


@dataclass(slots=True)
class Side:
    """One operator: a store, a wallet, and what went through."""

    url: str
    address: str
    stores: Stores = field(init=False)
    sent: int = 0
    """Fulfilled by the peer: ours to pay."""
    received: int = 0

    @classmethod
    async def make(cls, folder: Path) -> Self:
        url = f"sqlite:///{folder}/node.db"
        await (
            await open_stores(url, WallClock())
        ).close()  # as the node does, which starts first
        process = await start("address", "--store", url)
        said, problem = await process.communicate()
        assert process.returncode == 0, problem.decode()
        return cls(url, said.decode().strip())

    async def open(self, peer_address: str) -> None:
        self.stores = await open_stores(self.url, WallClock())
        await self.stores.leases.sign_on("test")
        peer = account(
            "peer",
            id=PEER,
            asset=ETH9,
            settle_threshold=THRESHOLD,
            settle_to=0,
            settlement_engine_url="signalbox:ethereum",
            settlement_address=peer_address,
        )
        customers = account("customers", id=CUSTOMERS, asset=ETH9)
        for one in (peer, customers):
            await self.stores.accounts.insert_account(one, NewTokens())

    async def packet(self, source: AccountId, target: AccountId, amount: int) -> None:
        """Let a packet through the books, as the balance service does."""
        books = self.stores.books
        transfer = await books.prepare(
            Transfer(
                from_account=source,
                to_account=target,
                incoming_amount=amount,
                outgoing_amount=amount,
                conversion=None,
                destination="test.somebody",
                condition=CONDITION,
                expires_at_ms=WallClock().now_ms() + 30_000,
            )
        )
        await books.fulfill(transfer, FULFILLMENT)

    async def totals(self) -> tuple[int, int, int, int]:
        """Return how many were paid and how much, and how many were credited and how much."""
        found = await self.stores.settlements.settlements(limit=100_000)
        outs = [s.amount for s in found if s.direction is Direction.OUT]
        ins = [s.amount for s in found if s.state is SettlementState.CREDITED]
        return len(outs), sum(outs), len(ins), sum(ins)

    def kept(self) -> set[str]:
        """Return the names of all transactions that an engine kept the octets of."""
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
            return {
                name for (name,) in connection.execute("SELECT hash FROM settlement_attempt")
            }

    async def is_quiet(self) -> bool:
        """Nothing is open, and nothing is due."""
        balance = await self.stores.books.balance(PEER)
        found = await self.stores.settlements.settlements(limit=100_000)
        owed = balance.payable - max(balance.receivable, 0)
        return owed < THRESHOLD and all(one.state in ENDED for one in found)


@dataclass(slots=True)
class Run:
    """Both sides and the chain between them."""

    alice: Side
    bob: Side
    rpc: JsonRpc
    rpc_url: str
    random: random.Random
    nurseries: list[asyncio.subprocess.Process] = field(default_factory=list)
    reorganisations: int = 0

    async def raise_engines(self, *, seed: int, chance_after: float, mutant: str) -> None:
        for index, side in enumerate((self.alice, self.bob)):
            self.nurseries.append(
                await start(
                    *("--store", side.url, "--rpc", self.rpc_url),
                    *("--seed", str(seed * 2 + index), "--chance-after", str(chance_after)),
                    *("--mutant", mutant),
                    module="tests.end_to_end.engine_nursery",
                )
            )

    async def traffic(
        self, seconds: float, *, stop_at: Callable[[], Awaitable[bool]] | None = None
    ) -> bool:
        """Let packets go both ways and blocks be taken back, for so long or until something is seen."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        packets = 0
        main, side = self.alice, self.bob
        while loop.time() < deadline:
            amount = self.random.randrange(1, 400)
            if self.random.random() < 0.02:  # mostly one way for a while, so that debts grow
                main, side = side, main
            one, other = (main, side) if self.random.random() < 0.9 else (side, main)
            await one.packet(CUSTOMERS, PEER, amount)
            one.sent += amount
            await other.packet(PEER, CUSTOMERS, amount)
            other.received += amount
            if self.random.random() < 0.04:
                drop = self.random.random() < 0.5
                await self.rpc.call("signalbox_reorganise", "0x1", drop)
                self.reorganisations += 1
            await asyncio.sleep(0.03)
            packets += 1
            if stop_at is not None and packets % 50 == 0 and await stop_at():
                return True
        return False

    async def end_engines(self) -> list[dict[str, Any]]:
        """Bring up no more; return what the nurseries saw."""
        reports = []
        for nursery in self.nurseries:
            said, problems = await asyncio.wait_for(nursery.communicate(b""), 30)
            reports.append(json.loads(said) | {"said": problems.decode()})
        self.nurseries.clear()
        return reports

    async def paid_or_credited_twice(self) -> bool:
        """The chain has carried what no row knows, long since; or one transaction is credited twice."""
        for payer, payee in ((self.alice, self.bob), (self.bob, self.alice)):
            credited = [
                one.transaction
                for one in await payee.stores.settlements.settlements(limit=100_000)
                if one.state is SettlementState.CREDITED
            ]
            old = await self.carried(payer, payee, older_than_blocks=10)
            if len(set(credited)) < len(credited) or not old.keys() <= payer.kept():
                return True
        return False

    async def finish_and_check(self) -> str:
        await self.finish()
        return await self.check()

    async def finish(self) -> None:
        """Let engines that nobody kills bring everything to its end."""

        async def is_done() -> bool:
            for engine in engines:
                if engine.returncode is not None:
                    _, said = await engine.communicate()
                    raise AssertionError(f"an engine ended: {said.decode()}")
            return await self.alice.is_quiet() and await self.bob.is_quiet()

        engines = [
            await start(
                *("ethereum", "--store", side.url, "--rpc", self.rpc_url),
                *("--confirmations", "2", "--poll-seconds", "0.1", "--bump-seconds", "1"),
                *("--log-level", "warning"),
            )
            for side in (self.alice, self.bob)
        ]
        try:
            for engine in engines:
                await line_of(engine)
            try:
                await until(is_done)
            except TimeoutError as error:
                raise AssertionError(
                    f"not brought to an end: {await self.unfinished()}"
                ) from error
            await asyncio.sleep(1)  # a last scan on the other side
        finally:
            for engine in engines:
                await stop(engine)

    async def unfinished(self) -> str:
        """Return what still is open on either side, with the engine's reason."""
        found = [
            f"{name}: {one.amount} {one.direction.value}, {one.state.value} {one.problem}"
            for name, side in (("alice", self.alice), ("bob", self.bob))
            for one in await side.stores.settlements.settlements(limit=100_000)
            if one.state not in ENDED
        ]
        return "; ".join(found) or "nothing is open, but debts are due"

    async def carried(
        self, payer: Side, payee: Side, *, older_than_blocks: int = 0
    ) -> dict[str, int]:
        """Return what the chain carried from one to the other: by transaction, in account units."""
        head = int(str(await self.rpc.call("eth_blockNumber")), 16)
        numbers = range(head + 1 - older_than_blocks)
        found = {}
        for start in range(0, len(numbers), 50):
            blocks: list[Any] = await asyncio.gather(
                *(
                    self.rpc.call("eth_getBlockByNumber", hex(number), True)
                    for number in numbers[start : start + 50]
                )
            )
            for transaction in chain.from_iterable(block["transactions"] for block in blocks):
                ends = (transaction["from"], transaction["to"])
                if ends == (payer.address.lower(), payee.address.lower()):
                    value = int(transaction["value"], 16)
                    assert value % GWEI == 0
                    found[transaction["hash"]] = value // GWEI
        return found

    async def check(self) -> str:
        """Compare both books and the chain, to the unit; return what was compared, in words."""
        words = []
        for payer, payee in ((self.alice, self.bob), (self.bob, self.alice)):
            outs, paid, _, _ = await payer.totals()
            _, _, ins, credited = await payee.totals()
            carried = await self.carried(payer, payee)
            assert (outs, paid) == (len(carried), sum(carried.values()))
            assert (ins, credited) == (len(carried), sum(carried.values()))
            assert payer.sent == paid + (await payer.stores.books.balance(PEER)).payable
            assert (
                payee.received == credited + (await payee.stores.books.balance(PEER)).receivable
            )
            assert await payer.stores.settlements.unmatched(limit=1) == []
            audit = await payer.stores.books.audit()
            assert audit.findings == ()
            words.append(f"{payer.sent} fulfilled, {paid} paid in {outs} settlements")
        return "; ".join(words)


@asynccontextmanager
async def running(folder: Path, seed: int) -> AsyncIterator[Run]:
    alice, bob = await Side.make(folder / "alice"), await Side.make(folder / "bob")
    ledger = await start(
        *("chain", "--port", "0", "--block-seconds", "0.15", "--stop-with-stdin"),
        *("--fund", alice.address, "--fund", bob.address),
    )
    run: Run | None = None
    try:
        await alice.open(bob.address)
        await bob.open(alice.address)
        url = (await line_of(ledger))["rpc"]
        async with aiohttp.ClientSession() as session:
            run = Run(alice, bob, JsonRpc(session, url), url, random.Random(seed))
            yield run
    finally:
        if run is not None:
            for nursery in run.nurseries:
                if nursery.returncode is None:
                    await nursery.communicate(b"")
        await stop(ledger)
        for side in (alice, bob):
            await side.stores.leases.sign_off()
            await side.stores.close()


@pytest.mark.timeout(SECONDS + 120)
async def test_engines_that_are_killed_all_the_time_lose_and_double_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with running(tmp_path, seed=7) as run:
        await run.raise_engines(seed=7, chance_after=0.1, mutant="none")
        await run.traffic(SECONDS)
        reports = await run.end_engines()
        compared = await run.finish_and_check()
        attempts = [
            one.attempts
            for side in (run.alice, run.bob)
            for one in await side.stores.settlements.settlements(limit=100_000)
            if one.direction is Direction.OUT
        ]

    lives = sum(report["lives"] for report in reports)
    endings = [report["endings"] for report in reports]
    record_property("compared", compared)
    record_property("lives", lives)
    print(
        f"{lives} lives {endings}, {run.reorganisations} blocks taken back, {len(attempts)} "
        f"settlements, {sum(attempts) - len(attempts)} offered more: {compared}"
    )
    # Each life ended by a kill, of either kind: none stopped, and none failed.
    assert all(set(ending) <= {"9", "-9"} for ending in endings), reports
    # How much happens in the time is the machine's pace; that enough of it did is what counts.
    assert lives >= 30
    assert len(attempts) >= 10
    assert run.reorganisations >= 3


@pytest.mark.timeout(420)
@pytest.mark.parametrize("mutant", ["broadcast-first", "credit-apart"])
async def test_a_broken_engine_is_found_out_by_the_same_run(
    tmp_path: Path, mutant: str
) -> None:
    async with running(tmp_path, seed=11) as run:
        # A block that is taken back may take a doubled credit with it: then the run goes on.
        for seed in (11, 12, 13):
            await run.raise_engines(seed=seed, chance_after=0.1, mutant=mutant)
            await run.traffic(90, stop_at=run.paid_or_credited_twice)
            await run.end_engines()
            try:
                await run.finish_and_check()
            except AssertionError as found:
                print(f"found out: {found}")
                return
    pytest.fail("three runs of a broken engine did no harm that the check could find")


@pytest.mark.timeout(150)
async def test_of_many_engines_started_on_one_store_one_runs_and_the_next_takes_over_from_a_dead_one(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, seed=3) as run:
        command = (
            *("ethereum", "--store", run.alice.url, "--rpc", run.rpc_url),
            *("--confirmations", "2", "--poll-seconds", "0.1", "--log-level", "warning"),
        )
        started = [await start(*command) for _ in range(4)]

        async def three_have_ended() -> bool:
            return sum(process.returncode is not None for process in started) == 3

        await until(three_have_ended)
        assert sorted(process.returncode or 0 for process in started) == [0, 2, 2, 2]
        (living,) = (process for process in started if process.returncode is None)
        await line_of(living)

        await run.alice.packet(CUSTOMERS, PEER, 1_000)
        await until(lambda: run.carried(run.alice, run.bob))
        living.kill()
        await living.wait()
        heir = await start(*command)
        await line_of(heir)
        await until(run.alice.is_quiet)
        await stop(heir)

        assert list((await run.carried(run.alice, run.bob)).values()) == [1_000]
