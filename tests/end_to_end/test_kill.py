"""A node is killed again and again while it forwards, and its books are held against what others saw.

A source and a sink of packets run here and remember every packet. Between them stands a real node process,
`signalbox-node run`, that SIGKILL ends at a random moment of each of its lives, some of them before it is
up. After each life the next node takes over the store, `signalbox-node audit` is run, and then:

* each packet that the source saw fulfilled is booked as fulfilled, exactly once;
* each packet that the sink fulfilled is booked as fulfilled, late or unknown, exactly once;
* no packet that the source saw rejected is booked as fulfilled;
* what is unknown is no more than what was in flight;
* a packet that was lost and is sent again is fulfilled by the sink once, and booked as fulfilled once.

The same run goes over books with one promise broken, and finds each of them out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import pytest

from core.account import NewTokens, Secret
from core.clock import WallClock
from core.ledger.books import TRANSFERS_PER_NODE_BITS, TransferState
from core.stores import open_stores
from core.testing.builders import EUR, account
from tests.end_to_end.packets_under_kill import Seen, Sink, Source

ROOT: Final = Path(__file__).parents[2]
KILLS: Final = int(os.environ.get("SIGNALBOX_KILLS", "200"))
MUTANT_KILLS_MAX: Final = 100
CONNECTIONS: Final = 16
LIFE_SECONDS_MAX: Final = 0.12
EXECUTED: Final = 20
"""One life in so many is started as an operator would, the others are forked: that is faster."""
BEFORE_READY: Final = 0.1
"""The share of lives that end before the node is up."""

BOOKED: Final = frozenset({TransferState.FULFILLED, TransferState.LATE, TransferState.UNKNOWN})


@dataclass(slots=True)
class Nursery:
    """The process that forks nodes, and what it says."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[Self]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.end_to_end.node_nursery",
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        nursery = cls(process)
        try:
            yield nursery
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    async def fork(self, *arguments: str, mutant: str = "none") -> int:
        """Start `signalbox-node` with these arguments, and return its process."""
        order = json.dumps({"arguments": arguments, "mutant": mutant})
        assert self.process.stdin is not None
        self.process.stdin.write(order.encode() + b"\n")
        return int((await self._line("BORN")).split()[1])

    async def ready(self, pid: int) -> dict[str, Any] | None:
        """Wait until this child serves, and return what it says of itself; None if it ends instead."""
        line = await self._line("READY", f"DEAD {pid} ")
        if line.startswith("DEAD"):
            return None
        found: dict[str, Any] = json.loads(line.removeprefix("READY "))
        return found

    async def end(self, pid: int) -> int:
        """Wait until this child is dead, and return how it ended."""
        return int((await self._line(f"DEAD {pid} ")).split()[2])

    async def _line(self, *starts: str) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while line := (await self.process.stdout.readline()).decode():
                if line.startswith(starts):
                    return line
                self.said.append(line)
        pytest.fail(f"the nursery ended: {''.join(self.said[-20:])}")


@dataclass(slots=True)
class Life:
    """One node process, forked or executed."""

    nursery: Nursery
    pid: int
    process: asyncio.subprocess.Process | None = None

    async def ready(self) -> dict[str, Any] | None:
        if self.process is None:
            return await self.nursery.ready(self.pid)
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            line = await self.process.stdout.readline()
        found: dict[str, Any] = json.loads(line.decode().removeprefix("READY "))
        return found

    async def kill(self) -> bool:
        """Kill it; False where it had ended by itself."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self.process is None:
            return await self.nursery.end(self.pid) == -signal.SIGKILL
        return await self.process.wait() == -signal.SIGKILL


@dataclass(slots=True)
class Run:
    """A store with two accounts, the source and the sink, and node after node."""

    url: str
    nursery: Nursery
    source: Source
    sink: Sink
    chance: random.Random
    mutant: str = "none"
    lives: int = 0
    checked_node: int = 0
    unknown: int = 0
    findings: list[str] = field(default_factory=list)

    async def start_node(self) -> Life:
        self.lives += 1
        arguments = ("run", "--store", self.url, "--http-bind", "127.0.0.1:0")
        if self.mutant == "none" and self.lives % EXECUTED == 1:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "core", *arguments,
                cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            return Life(self.nursery, process.pid, process)
        return Life(self.nursery, await self.nursery.fork(*arguments, mutant=self.mutant))

    async def live_and_die(self) -> None:
        """Check what the last life left once a new node is up, let it forward, and kill it under way."""
        life = await self.start_node()
        if self.chance.random() < BEFORE_READY:
            await asyncio.sleep(self.chance.uniform(0, 0.2))
            if not await life.kill():
                self.findings.append("the next node ended as it started on the store")
            return
        ready = await life.ready()
        if ready is None:
            self.findings.append("the next node did not start on the store")
            return
        await self.check(before=ready["node"])
        port = int(ready["url"].rpartition(":")[2])
        async with asyncio.timeout(30):
            await self.source.send_again(port)
        sending = asyncio.create_task(self.source.send_until_it_dies(port, CONNECTIONS))  # noqa: TID251
        await asyncio.sleep(self.chance.uniform(0, LIFE_SECONDS_MAX))
        if not await life.kill():
            self.findings.append("a node ended by itself")
        async with asyncio.timeout(10):
            await sending

    async def check(self, *, before: int) -> None:
        """Audit the books, and hold what the nodes before this one left against what was seen."""
        pid = await self.nursery.fork("audit", "--store", self.url)
        if await self.nursery.end(pid) != 0:
            self.findings.append("audit: " + "".join(self.nursery.said[-5:]))
        rows = self.rows(self.checked_node + 1, before)
        self.checked_node = before - 1
        recent = self.source.take_recent()
        self.findings += [
            f"packet {condition.hex()[:8]} is in the books, and was not sent then"
            for condition in rows.keys() - recent.keys()
        ]
        # What was sent again may have been booked by a node before.
        self.findings += held_against(self.rows(1, before), recent, self.sink)
        unknown = sum(states.count(TransferState.UNKNOWN) for states in rows.values())
        if unknown > CONNECTIONS:
            self.findings.append(f"{unknown} are unknown, and {CONNECTIONS} were in flight")
        if left := [states for states in rows.values() if TransferState.PENDING in states]:
            self.findings.append(f"{len(left)} of dead nodes are still pending")
        self.unknown += unknown

    def rows(self, first_node: int, end_node: int) -> dict[bytes, list[TransferState]]:
        """Return the states of each packet, by condition, that nodes of these numbers booked."""
        connection = sqlite3.connect(self.url.removeprefix("sqlite:///"))
        try:
            found: dict[bytes, list[TransferState]] = {}
            for condition, state in connection.execute(
                "SELECT condition, state FROM transfer WHERE id >= ? AND id < ?",
                (
                    first_node << TRANSFERS_PER_NODE_BITS,
                    end_node << TRANSFERS_PER_NODE_BITS,
                ),
            ):
                found.setdefault(condition, []).append(TransferState(state))
            return found
        finally:
            connection.close()

    async def check_it_all(self) -> None:
        """Let one more node settle what the last one left, and check every packet of the run again."""
        life = await self.start_node()
        ready = await life.ready()
        if ready is None:
            self.findings.append("the last node did not start on the store")
            return
        await self.check(before=ready["node"])
        rows = self.rows(1, ready["node"])
        self.findings += held_against(rows, self.source.packets, self.sink)
        await life.kill()


def held_against(
    rows: dict[bytes, list[TransferState]], packets: Mapping[bytes, Seen], sink: Sink
) -> Sequence[str]:
    """Return what the books say otherwise than the source and the sink remember of these packets."""
    findings = []
    for condition, seen in packets.items():
        name = f"packet {condition.hex()[:8]}, {seen.value} at the source"
        states = rows.get(condition, [])
        # One that was rejected, or void where it would have ended, may be booked again.
        counted = [state for state in states if state is not TransferState.REJECTED]
        state = (counted or states or [None])[0]
        if len(counted) > 1:
            findings.append(f"{name}, is booked {len(counted)} times")
        if sink.fulfilled[condition] > 1:
            findings.append(f"{name}, was fulfilled {sink.fulfilled[condition]} times")
        booked = "not in the books" if state is None else f"{state.name} in the books"
        if seen is Seen.FULFILLED and state is not TransferState.FULFILLED:
            findings.append(f"{name}, is {booked}")
        if seen is Seen.REJECTED and state not in {TransferState.REJECTED, None}:
            findings.append(f"{name}, is {booked}")
        if seen is Seen.REFUSED and state is TransferState.FULFILLED:
            findings.append(f"{name}, is {booked}")
        if condition in sink.fulfilled and state not in BOOKED:
            findings.append(f"{name}, fulfilled by the sink, is {booked}")
        if state is TransferState.FULFILLED and condition not in sink.fulfilled:
            findings.append(f"{name}, is {booked}, and not fulfilled by the sink")
    return findings


@asynccontextmanager
async def a_run(folder: Path, seed: int, mutant: str = "none") -> AsyncIterator[Run]:
    sink = Sink()
    await sink.start()
    url = f"sqlite:///{folder / 'data' / 'node.db'}"
    token = "a-token-of-the-source"
    stores = await open_stores(url, WallClock())
    await stores.accounts.insert_account(
        account("source"), NewTokens(ilp_over_http_incoming=Secret(token))
    )
    await stores.accounts.insert_account(
        account(
            "sink",
            asset=replace(EUR, scale=4),
            ilp_over_http_url=f"http://127.0.0.1:{sink.port}/ilp",
        ),
        NewTokens(ilp_over_http_outgoing=Secret("of-the-sink")),
    )
    # A rate that never comes out even, and a spread: the books keep every fraction.
    await stores.rates.replace_prices({"USD": Decimal(3), "EUR": Decimal("3.7")})
    await stores.rates.save_spread(Fraction(1, 300))
    await stores.close()
    source = Source("source", token, "test.node.sink.invoice", random.Random(f"packets {seed}"))
    try:
        async with Nursery.start() as nursery:
            yield Run(url, nursery, source, sink, random.Random(seed), mutant)
    finally:
        await sink.stop()


@pytest.fixture
def seed() -> int:
    """Which run this is: set SIGNALBOX_SEED to have the one again that a failure has printed."""
    return int(os.environ.get("SIGNALBOX_SEED") or random.SystemRandom().randrange(2**32))


@pytest.mark.timeout(420)
async def test_no_kill_loses_or_doubles_a_unit(tmp_path: Path, seed: int) -> None:
    print(f"SIGNALBOX_SEED={seed}")
    async with a_run(tmp_path, seed) as run:
        while run.lives < KILLS:
            await run.live_and_die()
            assert run.findings == []
        await run.check_it_all()

    assert run.findings == []
    seen = Counter(run.source.packets.values())
    print(
        f"{run.lives} lives, {seen}, {run.unknown} unknown, {run.source.sent_again} sent again, "
        f"rejects {run.source.rejects}"
    )
    # It was a run worth the name: packets went through, and kills found some of them under way.
    assert seen[Seen.FULFILLED] > 5 * KILLS
    assert seen[Seen.LOST] > KILLS
    assert run.unknown > KILLS / 4
    assert seen[Seen.REFUSED] > KILLS / 8


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "mutant", ["prepare-behind", "fulfill-behind", "fulfill-in-two", "copies-anew"]
)
async def test_a_broken_promise_of_the_books_is_found_out(
    tmp_path: Path, seed: int, mutant: str
) -> None:
    print(f"SIGNALBOX_SEED={seed}")
    async with a_run(tmp_path, seed, mutant) as run:
        while run.lives < MUTANT_KILLS_MAX and not run.findings:
            await run.live_and_die()
        if not run.findings:
            await run.check_it_all()

    assert run.findings != [], f"{run.lives} lives of {mutant} found nothing"
