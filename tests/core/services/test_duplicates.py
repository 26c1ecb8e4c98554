"""A packet that comes twice is sent and booked once, and both get the one answer."""

from __future__ import annotations

import asyncio
import gc
from typing import final

import pytest
from hypothesis import given, strategies as st

from core.account import Account
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, address
from core.service import Explanation, IncomingRequest, Verdict
from core.services.duplicates import REMEMBER_SECONDS, Duplicates, DuplicatesService
from core.testing.builders import account, fulfill, incoming, prepare
from core.testing.chain import Chain
from core.testing.clock import FakeClock
from core.testing.services import FakeIncoming

ADDRESS = NodeAddress(address("test.node"))


@final
class Held:
    """Holds each packet until the test lets it go, and changes it as the chain does."""

    def __init__(self) -> None:
        self.requests: list[IncomingRequest[Account]] = []
        self.release = asyncio.Event()
        self.reply: Reply | Exception = fulfill(b"the first's")

    async def handle(self, request: IncomingRequest[Account]) -> Reply:
        self.requests.append(request)
        request.prepare.amount //= 2
        request.prepare.expires_at_ms -= 1_000
        await self.release.wait()
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def explain(self, request: IncomingRequest[Account]) -> Explanation:
        return ()


async def settled() -> None:
    """Let every task go on until it waits."""
    for _ in range(3):
        await asyncio.sleep(0)


def service_of(
    behind: Held | FakeIncoming, clock: FakeClock | None = None, **bounds: int
) -> DuplicatesService[Account]:
    return DuplicatesService(behind, Duplicates(clock or FakeClock(), **bounds), ADDRESS)


async def test_copies_wait_for_the_first_and_get_its_answer() -> None:
    behind = Held()
    service = service_of(behind)

    async with asyncio.TaskGroup() as tasks:
        copies = [tasks.create_task(service.handle(incoming())) for _ in range(5)]
        await settled()
        behind.release.set()

    assert [copy.result() for copy in copies] == [fulfill(b"the first's")] * 5
    assert len(behind.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [fulfill(b"x"), Reject.build(ErrorCode.PEER_BUSY, triggered_by="test.x", message="")],
)
async def test_a_copy_that_comes_shortly_after_gets_the_same_answer(reply: Reply) -> None:
    clock, behind = FakeClock(), FakeIncoming(reply)
    service = service_of(behind, clock)
    await service.handle(incoming(prepare(expires_in_ms=60_000)))

    clock.advance(milliseconds=int(REMEMBER_SECONDS * 1000) - 1)
    assert await service.handle(incoming(prepare(expires_in_ms=60_000))) == reply
    assert len(behind.requests) == 1

    clock.advance(milliseconds=1)
    await service.handle(incoming(prepare(expires_in_ms=60_000)))
    assert len(behind.requests) == 2


async def test_a_copy_gets_its_answer_while_a_larger_offer_of_the_same_is_under_way() -> None:
    behind = Held()
    service = service_of(behind)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(service.handle(incoming(prepare(100))))
        await settled()
        behind.release.set()
    behind.release.clear()

    async with asyncio.TaskGroup() as tasks:
        larger = tasks.create_task(service.handle(incoming(prepare(101))))
        await settled()
        assert await service.handle(incoming(prepare(100))) == fulfill(b"the first's")
        assert not larger.done()
        behind.release.set()

    assert len(behind.requests) == 2


async def test_what_is_kept_of_an_answer_is_nothing_that_the_garbage_collector_looks_at() -> (
    None
):
    behind = FakeIncoming()
    service = service_of(behind)
    await service.handle(incoming(prepare()))
    gc.collect()
    before = len(gc.get_objects())

    for amount in range(1_000, 1_500):
        await service.handle(incoming(prepare(amount)))
    behind.requests.clear()

    assert len(service.duplicates) == 501
    assert len(gc.get_objects()) < before + 100


async def test_a_copy_is_known_though_the_first_was_changed_on_its_way() -> None:
    behind = Held()
    behind.release.set()
    service = service_of(behind)

    await service.handle(incoming(prepare(100)))
    await service.handle(incoming(prepare(100)))

    assert len(behind.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        incoming(prepare(101)),
        incoming(prepare(expires_in_ms=10_001)),
        incoming(prepare(data=b"other")),
        incoming(prepare(condition=bytes(32))),
        incoming(prepare(destination="test.node.bob.other")),
        incoming(prepare(), sender=account("carol")),
    ],
    ids=["more", "longer", "other data", "other condition", "other place", "other sender"],
)
async def test_another_packet_is_a_packet_of_its_own(other: IncomingRequest[Account]) -> None:
    behind = FakeIncoming()
    service = service_of(behind)

    await service.handle(incoming(prepare()))
    await service.handle(other)

    assert len(behind.requests) == 2


@pytest.mark.parametrize("less", [prepare(99), prepare(expires_in_ms=9_999)])
async def test_a_packet_that_came_round_again_is_told_of_the_circle_at_once(
    less: Prepare,
) -> None:
    behind = Held()
    service = service_of(behind)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(service.handle(incoming()))
        await settled()
        reply = await service.handle(incoming(less))
        (said,) = await service.explain(incoming(less))
        behind.release.set()

    assert isinstance(reply, Reject)
    assert (reply.code, said.reject) == (b"F02", reply)
    assert "its routes lead in a circle" in reply.message
    assert first.result() == fulfill(b"the first's")


async def test_a_circle_of_nodes_ends_at_once_and_books_nothing() -> None:
    """What the next hop is sent comes back from it: as in three nodes whose routes chase each other."""
    chain = await Chain.build(account("alice"), account("bob"), static={"test.far": "bob"})

    async def back(request: object) -> Reply:
        sent = chain.link.far_side.requests[-1].prepare
        if len(chain.link.far_side.requests) > 10:
            raise AssertionError("it goes round and round")
        packet = sent.copy()
        packet.expires_at_ms -= 1
        return await chain.handle(packet, "alice")

    chain.link.far_side.answer = back

    reply = await chain.handle(prepare(destination="test.far.x"))

    assert isinstance(reply, Reject)
    assert "circle" in reply.message
    assert len(chain.link.far_side.requests) == 1
    assert (await chain.stores.books.balance(account("bob").id)).pending_out == 0
    assert (await chain.stores.books.audit()).findings == ()


async def test_a_copy_through_the_whole_chain_is_booked_once() -> None:
    chain = await Chain.build(account("alice"), account("bob"))

    first, second = await asyncio.gather(*(chain.handle(prepare(100)) for _ in range(2)))
    third = await chain.handle(prepare(100))

    assert first == second == third == fulfill()
    assert len(chain.link.far_side.requests) == 1
    assert (await chain.stores.books.balance(account("bob").id)).payable == 100


async def test_what_is_for_this_node_alone_is_asked_again_and_again() -> None:
    behind = FakeIncoming()
    service = service_of(behind)

    for _ in range(3):
        await service.handle(incoming(prepare(0, destination="peer.config")))

    assert len(behind.requests) == 3


async def test_a_copy_of_a_packet_that_failed_or_was_given_up_is_told_so() -> None:
    behind = Held()
    service = service_of(behind)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(service.handle(incoming()))
        copy = tasks.create_task(service.handle(incoming()))
        await settled()
        first.cancel()

    reply = copy.result()
    assert isinstance(reply, Reject)
    assert (reply.code, "given up" in reply.message) == (b"T00", True)
    behind.release.set()
    assert await service.handle(incoming()) == fulfill(b"the first's")


async def test_a_copy_that_is_given_up_leaves_the_others_waiting() -> None:
    behind = Held()
    service = service_of(behind)
    async with asyncio.TaskGroup() as tasks:
        first, second, third = (tasks.create_task(service.handle(incoming())) for _ in range(3))
        await settled()
        second.cancel()
        await settled()
        behind.release.set()

    assert second.cancelled()
    assert first.result() == third.result() == fulfill(b"the first's")


async def test_the_oldest_answers_are_forgotten_where_there_are_too_many() -> None:
    service = service_of(FakeIncoming(), FakeClock(), answers_max=2)
    for number in range(10):
        await service.handle(incoming(prepare(data=bytes((number,)))))

    assert len(service.duplicates) == 2
    (step,) = await service.explain(incoming(prepare(data=b"\x09")))
    assert step.verdict is Verdict.ANSWERS
    step, *_ = await service.explain(incoming(prepare(data=b"\x07")))
    assert step.verdict is Verdict.PASSES


async def test_long_answers_of_others_have_no_fulfilled_packet_sent_twice() -> None:
    clock = FakeClock()
    long = fulfill(bytes(1_000))
    behind = FakeIncoming(long)
    service = service_of(behind, clock, octets_max=2_500)
    packets = [prepare(data=bytes((number,))) for number in range(10)]
    for packet in packets:
        await service.handle(incoming(packet))

    answers = [await service.handle(incoming(packet)) for packet in packets]

    assert len(behind.requests) == 10
    # Once there is no more room for what receivers say, what is kept of it is the fulfillment.
    assert answers == [long] * 2 + [fulfill()] * 8
    clock.advance(seconds=int(REMEMBER_SECONDS))
    later = prepare(data=b"later", now_ms=clock.now_ms())
    assert [await service.handle(incoming(later)) for _ in range(2)] == [long] * 2
    assert len(service.duplicates) == 1


async def test_of_rejects_that_there_is_no_room_for_ours_are_kept_as_they_are_short() -> None:
    ours = Reject.build(
        ErrorCode.TRANSFER_TIMED_OUT, triggered_by="test.node", message="time is up"
    )
    theirs = Reject.build(
        ErrorCode.PEER_UNREACHABLE, triggered_by="test.bob", message="no" * 1_000
    )
    for reject, sent in ((ours, 1), (theirs, 2)):
        behind = FakeIncoming(reject)
        service = service_of(behind, FakeClock(), octets_max=10)
        for _ in range(2):
            assert await service.handle(incoming()) == reject

        assert (len(behind.requests), len(service.duplicates)) == (sent, 2 - sent)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 2), st.sampled_from([5_000, 9_000, 40_000]),
            st.booleans(), st.integers(0, 20_000),
        ),
        max_size=40,
    )
)  # fmt: skip
async def test_a_packet_is_sent_once_as_long_as_it_may_be_answered(
    steps: list[tuple[int, int, int, bool, int]],
) -> None:
    """Any packets, copies among them, at any time: what was answered is answered alike while remembered."""
    clock, behind = FakeClock(), FakeIncoming()
    service = service_of(behind, clock)
    answered: dict[tuple[int, int, int], tuple[float, Reply]] = {}
    for which, amount, expires_in_ms, is_fulfilled, wait_ms in steps:
        clock.advance(milliseconds=wait_ms)
        behind.reply = (
            fulfill(bytes((len(behind.requests),)))
            if is_fulfilled
            else Reject.build(
                ErrorCode.UNREACHABLE, triggered_by="", message=str(len(behind.requests))
            )
        )
        before = len(behind.requests)

        reply = await service.handle(
            incoming(prepare(amount, expires_in_ms=expires_in_ms, data=bytes((which,))))
        )

        key = (which, amount, expires_in_ms)
        if len(behind.requests) > before:
            known = answered.get(key)
            newer = [
                at
                for (w, a, e), (at, _) in answered.items()
                if w == which and known is not None and at >= known[0] and (a, e) != key[1:]
            ]
            # Only where it is old, or another offer of the same packet has taken its place.
            assert known is None or clock.monotonic() - known[0] >= REMEMBER_SECONDS or newer
            answered[key] = (clock.monotonic(), reply)
        else:
            assert any(
                w == which and a >= amount and e >= expires_in_ms and told == reply
                for (w, a, e), (_, told) in answered.items()
            )
    assert len(service.duplicates) <= len(behind.requests)


async def test_explaining_changes_nothing_and_says_what_would_be_answered() -> None:
    behind = FakeIncoming()
    service = service_of(behind)
    passes, *_ = await service.explain(incoming())
    assert passes.verdict is Verdict.PASSES
    assert isinstance(await service.handle(incoming()), Fulfill)

    (step,) = await service.explain(incoming())

    assert step.verdict is Verdict.ANSWERS
    assert len(behind.requests) == 1
