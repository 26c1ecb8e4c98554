"""What each limit costs a packet: CPU of one service alone, best of some rounds.

python -m tests.benchmarks.limits [PACKETS]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeVar

from core.account import Account
from core.clock import WallClock
from core.node_address import NodeAddress
from core.packet import Prepare, Reply, address
from core.rates.rate import RateTable
from core.rates.records import Price, RateId, RateSnapshot
from core.service import (
    Explanation,
    Incoming,
    IncomingRequest,
    Outgoing,
    OutgoingRequest,
    outgoing,
)
from core.services.admission import AdmissionService, Gate
from core.services.duplicates import Duplicates, DuplicatesService
from core.services.exchange_rate import ExchangeRateService
from core.services.rate_limit import RateLimits, RateLimitService
from core.services.throughput import Throughput, ThroughputService
from core.testing.builders import EUR, account, fulfill

ROUNDS: Final = 5
PACKETS: Final = 20_000
ADDRESS: Final = NodeAddress(address("test.node"))
CLOCK: Final = WallClock()
FULFILL: Final = fulfill()
ONE: Final = Price(price=Decimal(1))
PRICE: Final = Decimal("1.0712")
LIMITED: Final = account(
    "alice",
    packets_per_minute_limit=10**9,
    packet_burst_limit=10**9,
    amount_per_minute_limit=10**15,
    amount_burst_limit=10**15,
    packets_in_flight_limit=1_000,
    amount_in_flight_limit=10**15,
)
EURO: Final = account("bob", asset=EUR, outgoing_amount_per_minute_limit=10**15)

R = TypeVar("R")


class End:
    """Answers at once."""

    async def handle(self, request: IncomingRequest[Account]) -> Reply:
        return FULFILL

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        return FULFILL

    async def explain(self, request: object) -> Explanation:
        return ()


def table() -> RateTable:
    made = RateTable()
    now_ms = CLOCK.now_ms()
    euro = Price(price=PRICE, at_ms=now_ms, max_age_ms=600_000, sources=("bank",))
    snapshot = RateSnapshot(
        id=RateId(1), at_ms=now_ms, reference="USD", prices={"EUR": euro, "USD": ONE}
    )
    made.serve(snapshot, Fraction(0), {})
    return made


def packets(count: int) -> Sequence[Prepare]:
    return [
        Prepare.build(
            amount=1_000,
            expires_at_ms=CLOCK.now_ms() + 30_000,
            condition=bytes(32),
            destination="test.node.bob.bDSMJkmm7LaYZFbyy4OOSsAe8PmGd3SLlgbB0ymkyfo",
            data=number.to_bytes(200, "big"),
        )
        for number in range(count)
    ]


async def incoming(service: Incoming, sender: Account, count: int) -> float:
    """Return the CPU microseconds that a packet takes."""
    requests = [IncomingRequest(sender, packet) for packet in packets(count)]
    return await spent(service.handle, requests)


async def sent(service: Outgoing, receiver: Account, count: int) -> float:
    """Return the CPU microseconds that a packet takes."""
    sender = account("alice")
    requests = [
        outgoing(IncomingRequest(sender, packet), receiver) for packet in packets(count)
    ]
    return await spent(service.send, requests)


async def spent(work: Callable[[R], Awaitable[Reply]], requests: Sequence[R]) -> float:
    started = time.process_time()
    for request in requests:
        await work(request)
    return (time.process_time() - started) / len(requests) * 1e6


async def main(count: int) -> None:
    """Print a row for each service."""
    plain, end = account("alice"), End()
    rows: list[tuple[str, Callable[[], Awaitable[float]]]] = [
        ("nothing", lambda: incoming(end, plain, count)),
        ("admission", lambda: incoming(AdmissionService(end, Gate(), ADDRESS), plain, count)),
        (
            "admission, limits set",
            lambda: incoming(AdmissionService(end, Gate(), ADDRESS), LIMITED, count),
        ),
        (
            "rate limit, none set",
            lambda: incoming(RateLimitService(end, RateLimits(CLOCK), ADDRESS), plain, count),
        ),
        (
            "rate limit, both set",
            lambda: incoming(RateLimitService(end, RateLimits(CLOCK), ADDRESS), LIMITED, count),
        ),
        (
            "duplicates",
            lambda: incoming(DuplicatesService(end, Duplicates(CLOCK), ADDRESS), plain, count),
        ),
        (
            "exchange rate, one asset",
            lambda: sent(ExchangeRateService(end, table(), ADDRESS, CLOCK), plain, count),
        ),
        (
            "exchange rate, converted",
            lambda: sent(ExchangeRateService(end, table(), ADDRESS, CLOCK), EURO, count),
        ),
        (
            "throughput, none set",
            lambda: sent(ThroughputService(end, Throughput(CLOCK), ADDRESS), plain, count),
        ),
        (
            "throughput, set",
            lambda: sent(ThroughputService(end, Throughput(CLOCK), ADDRESS), EURO, count),
        ),
    ]
    print("| service | CPU µs/packet |\n|---|---|")
    for name, measure in rows:
        best = min([await measure() for _ in range(ROUNDS)])
        print(f"| {name} | {best:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "packets", nargs="?", type=int, default=PACKETS, help="a round; default: %(default)s"
    )
    asyncio.run(main(parser.parse_args().packets))
