"""What durable books cost a packet: CPU of both threads and time, for prepare and fulfill.

    python -m tests.benchmarks.books [SECONDS]

Each row has so many packets in flight. `loop` is the event loop's thread, the callers included;
`writer` is the thread that decides and commits.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from core.account import AccountId, NewTokens
from core.clock import WallClock
from core.ledger.books import Books, Transfer
from core.stores import open_stores
from core.testing.builders import account

IN_FLIGHT: Final = (1, 16, 32, 64, 256)
ACCOUNTS: Final = 10
FULFILLMENT: Final = bytes(range(32))
EXPIRES_IN_MS: Final = 30_000
"""As packets do: the same one, of which a copy could come later than its answer is remembered, is booked once."""


def packet(number: int, now_ms: int) -> Transfer:
    return Transfer(
        from_account=AccountId(f"id-of-payer{number % ACCOUNTS}"),
        to_account=AccountId(f"id-of-payee{number % ACCOUNTS}"),
        incoming_amount=1000,
        outgoing_amount=1000,
        conversion=None,
        destination="test.node.payee.bDSMJkmm7LaYZFbyy4OOSsAe8PmGd3SLlgbB0ymkyfo",
        condition=sha256(FULFILLMENT).digest(),
        expires_at_ms=now_ms + EXPIRES_IN_MS,
    )


async def forward(books: Books, number: int, until: float) -> list[float]:
    """Book packets one after the other; return how long each took."""
    transfer = packet(number, WallClock().now_ms())
    seconds = []
    while (started := time.perf_counter()) < until:
        await books.fulfill(await books.prepare(transfer), FULFILLMENT)
        seconds.append(time.perf_counter() - started)
    return seconds


async def measure(books: Books, in_flight: int, seconds: float) -> str:
    cpu, loop_cpu = time.process_time(), time.thread_time()
    started = time.perf_counter()
    ran = await asyncio.gather(
        *(forward(books, number, started + seconds) for number in range(in_flight))
    )
    took = time.perf_counter() - started
    cpu, loop_cpu = time.process_time() - cpu, time.thread_time() - loop_cpu
    latencies = sorted(latency for task in ran for latency in task)
    packets = len(latencies)
    return (
        f"{in_flight:9} {packets / took:10.0f} {cpu / packets * 1e6:8.1f} "
        f"{loop_cpu / packets * 1e6:6.1f} {(cpu - loop_cpu) / packets * 1e6:8.1f} "
        f"{latencies[packets // 2] * 1e3:8.2f} {latencies[packets * 99 // 100] * 1e3:8.2f}"
    )


async def run(folder: Path, seconds: float) -> int:
    """Print the table; return how many packets were booked."""
    stores = await open_stores(f"sqlite:///{folder / 'node.db'}", WallClock())
    await stores.leases.sign_on("benchmark")
    for role in ("payer", "payee"):
        for number in range(ACCOUNTS):
            await stores.accounts.insert_account(
                replace(account(f"{role}{number}"), min_balance=-(2**62)), NewTokens()
            )
    print("in flight  packets/s   CPU µs   loop   writer   p50 ms   p99 ms")
    for in_flight in IN_FLIGHT:
        print(await measure(stores.books, in_flight, seconds))
    report = await stores.books.audit()
    print("audit:", report.findings or "passes")
    await stores.close()
    return report.transfers


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "books"
        packets = asyncio.run(run(folder, seconds))
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{size / packets:.0f} octets a packet")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "seconds", nargs="?", type=float, default=2.0, help="a run; default: %(default)s"
    )
    main(parser.parse_args().seconds)
