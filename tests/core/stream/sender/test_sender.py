"""The driver: packets leave while others are in flight, and nothing is left running when a payment is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction

import pytest

from core.clock import WallClock
from core.errors import QuoteFailed, StoreUnavailable
from core.packet import ErrorCode, Prepare, Reject, Reply
from core.stream.sender.exchange import SenderLimits
from core.stream.sender.sender import StreamSender
from core.stream.sender.terms import OutcomeState, Progress
from core.tasks import TaskOwner
from tests.core.stream.sender.simulation import HOP, Path, terms


class Network:
    """A path that answers after a moment of the test's own time."""

    def __init__(self, path: Path, seconds: float = 0.0) -> None:
        self.path = path
        self.seconds = seconds
        self.flying = 0
        self.most_flying = 0
        self.sent = 0

    async def send(self, prepare: Prepare) -> Reply:
        self.sent += 1
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            await asyncio.sleep(self.seconds)
            return self.path.send(prepare, 0.0)[1]
        finally:
            self.flying -= 1


@pytest.fixture
async def tasks() -> AsyncIterator[TaskOwner]:
    owner = TaskOwner("payments of the test", tasks_max=100)
    yield owner
    assert len(owner) == 0
    await owner.finish(0)


def sender(
    send: Callable[[Prepare], Awaitable[Reply]], tasks: TaskOwner, **limits: float
) -> StreamSender:
    return StreamSender(
        send=send,
        clock=WallClock(),
        tasks=tasks,
        limits=SenderLimits(**limits),  # type: ignore[arg-type]
    )


async def test_a_payment_is_quoted_and_made_with_many_packets_in_flight(
    tasks: TaskOwner,
) -> None:
    network = Network(Path(maximum=1_000, rate=lambda now: Fraction(2)), seconds=0.005)
    paying, order = sender(network.send, tasks), terms(source_amount=200_000)
    outcome = await paying.pay(order, await paying.quote(order))

    assert outcome.state is OutcomeState.COMPLETED
    assert (outcome.source_sent, outcome.delivered) == (200_000, 400_000)
    assert network.path.receiver.received == 400_000
    assert network.most_flying == 64
    assert network.path.receiver.closed


async def test_who_watches_is_told_now_and_then_and_at_the_end(tasks: TaskOwner) -> None:
    network = Network(Path(maximum=1_000), seconds=0.01)
    told: list[Progress] = []
    paying, order = sender(network.send, tasks), terms(source_amount=800_000)
    outcome = await paying.pay(order, await paying.quote(order), on_progress=told.append)

    assert told[-1].source_sent == 800_000
    assert told[-1].packets_in_flight == 0
    assert 2 <= len(told) <= outcome.seconds / 0.1 + 2


async def test_a_cancelled_payment_waits_for_what_is_in_flight(tasks: TaskOwner) -> None:
    network = Network(Path(maximum=1_000), seconds=0.02)
    paying, order = sender(network.send, tasks), terms(source_amount=10**9)
    quote = await paying.quote(order)
    cancel = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, cancel.set)
    outcome = await paying.pay(order, quote, cancel=cancel)

    assert outcome.state is OutcomeState.CANCELLED
    assert 0 < outcome.source_sent == network.path.handed_over


async def test_cancelling_after_the_end_changes_nothing(tasks: TaskOwner) -> None:
    network, cancel = Network(Path()), asyncio.Event()
    paying, order = sender(network.send, tasks), terms(source_amount=10)
    outcome = await paying.pay(order, await paying.quote(order), cancel=cancel)
    cancel.set()

    assert outcome.is_completed


async def test_when_its_task_is_cancelled_packets_in_flight_end_and_no_more_leave(
    tasks: TaskOwner,
) -> None:
    network = Network(Path(maximum=1_000), seconds=0.05)
    paying, order = sender(network.send, tasks), terms(source_amount=10**9)
    quote = await paying.quote(order)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.12):
            await paying.pay(order, quote)
    await asyncio.sleep(0)  # those that were on their way to the link are there now
    sent = network.sent
    assert network.flying > 0
    await asyncio.sleep(0.06)
    assert network.flying == 0
    assert network.sent == sent


async def test_an_error_of_the_node_is_a_reject_and_not_the_end_of_the_node(
    tasks: TaskOwner,
) -> None:
    network = Network(Path(maximum=1_000))

    async def send(prepare: Prepare) -> Reply:
        if network.sent == 5:
            network.sent += 1
            raise StoreUnavailable("the disk is full")
        return await network.send(prepare)

    paying, order = sender(send, tasks), terms(source_amount=10_000)
    outcome = await paying.pay(order, await paying.quote(order))

    assert outcome.is_completed
    assert outcome.packets_rejected == 1


@pytest.mark.logs_warning
async def test_a_bug_in_the_way_of_a_packet_is_logged_and_the_payment_goes_on(
    tasks: TaskOwner, caplog: pytest.LogCaptureFixture
) -> None:
    network = Network(Path(maximum=1_000))

    async def send(prepare: Prepare) -> Reply:
        if network.sent == 5:
            network.sent += 1
            raise RuntimeError("a bug")
        return await network.send(prepare)

    paying, order = sender(send, tasks), terms(source_amount=10_000)
    outcome = await paying.pay(order, await paying.quote(order))

    assert outcome.is_completed
    assert "a bug" in caplog.text


async def test_a_path_that_is_down_fails_the_quote_in_its_time(tasks: TaskOwner) -> None:
    async def send(prepare: Prepare) -> Reply:
        return Reject.build(ErrorCode.PEER_UNREACHABLE, triggered_by=HOP, message="down")

    with pytest.raises(QuoteFailed, match=r"T01 by test\.hop: down"):
        await sender(send, tasks, probe_seconds=0.3).quote(terms(source_amount=10))


async def test_an_idle_payment_ends_although_no_reply_wakes_it(tasks: TaskOwner) -> None:
    network = Network(Path(maximum=1_000))
    paying, order = sender(network.send, tasks, idle_seconds=0.2), terms(source_amount=10_000)
    quote = await paying.quote(order)
    network.path.answers = lambda prepare, now: Reject.build(
        ErrorCode.PEER_BUSY, triggered_by=HOP, message=""
    )
    outcome = await paying.pay(order, quote)

    assert outcome.state is OutcomeState.IDLE
    assert 0.2 <= outcome.seconds < 1


async def test_packets_that_are_never_answered_do_not_hold_it_for_ever() -> None:
    network = Network(Path(maximum=1_000))
    tasks = TaskOwner("payments of the test", tasks_max=100)
    paying, order = (
        sender(network.send, tasks, idle_seconds=0.1, packet_seconds=0.1),
        terms(source_amount=10_000),
    )
    quote = await paying.quote(order)
    network.seconds = 1000
    outcome = await paying.pay(order, quote)

    assert outcome.state is OutcomeState.IDLE
    assert outcome.unanswered == 10_000
    assert outcome.seconds < 4
    await tasks.finish(0)


@pytest.mark.logs_warning
async def test_more_packets_than_the_node_allows_are_put_off() -> None:
    network = Network(Path(maximum=1_000), seconds=0.001)
    tasks = TaskOwner("payments of the test", tasks_max=3)
    paying, order = sender(network.send, tasks), terms(source_amount=20_000)
    outcome = await paying.pay(order, await paying.quote(order))

    assert outcome.is_completed
    assert network.most_flying <= 3
