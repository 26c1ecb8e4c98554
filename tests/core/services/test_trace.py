"""The trace: every packet is counted once, however it ends."""

from __future__ import annotations

import pytest

from core.account import AccountId
from core.packet import Reply
from core.service import IncomingRequest, Trace
from core.services.trace import TraceService
from core.testing.builders import account, incoming, prepare
from core.testing.clock import FakeClock
from core.testing.services import FakeIncoming


class Recorded:
    def __init__(self) -> None:
        self.in_flight = 0
        self.ends: list[tuple[AccountId, Trace, str, Reply | None, int]] = []

    def came_in(self) -> None:
        self.in_flight += 1

    def ended(
        self,
        account: AccountId,
        trace: Trace,
        destination: str,
        reply: Reply | None,
        latency_us: int,
    ) -> None:
        self.in_flight -= 1
        self.ends.append((account, trace, destination, reply, latency_us))


class Slow:
    """Takes 7 ms, and changes the amount as an exchange does."""

    def __init__(self, clock: FakeClock, behind: FakeIncoming) -> None:
        self.clock = clock
        self.behind = behind

    async def handle(self, request: IncomingRequest[object]) -> Reply:
        self.clock.advance(milliseconds=7)
        request.prepare.amount = 1
        return await self.behind.handle(request)  # type: ignore[arg-type]

    async def explain(self, request: IncomingRequest[object]) -> tuple[()]:
        return ()


async def test_a_packet_is_recorded_with_what_it_came_with_and_how_long_it_took() -> None:
    clock, recorder, behind = FakeClock(), Recorded(), FakeIncoming()
    service = TraceService(Slow(clock, behind), recorder, clock)

    reply = await service.handle(incoming(prepare(500)))

    ((sender, trace, destination, recorded, latency_us),) = recorder.ends
    assert (sender, destination) == (account("alice").id, "test.node.bob.invoice")
    assert (trace.incoming_amount, recorded, latency_us) == (500, reply, 7000)
    assert recorder.in_flight == 0


async def test_a_packet_that_the_node_failed_is_recorded_without_a_reply() -> None:
    recorder = Recorded()
    service = TraceService(FakeIncoming(ZeroDivisionError()), recorder, FakeClock())

    with pytest.raises(ZeroDivisionError):
        await service.handle(incoming())

    assert recorder.in_flight == 0
    assert [end[3] for end in recorder.ends] == [None]


async def test_explaining_counts_nothing() -> None:
    recorder = Recorded()

    await TraceService(FakeIncoming(), recorder, FakeClock()).explain(incoming())

    assert (recorder.in_flight, recorder.ends) == (0, [])
