"""A peer that seems gone is left alone, tested with one packet, and used again at once when it answers anything."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from core.account import Account
from core.control.views import LinkState
from core.links.circuit_breaker import (
    HOLD_SECONDS_FIRST,
    HOLD_SECONDS_MAX,
    CircuitBreaker,
)
from core.links.link_states import FAILURES_MAX, Failure, LinkStates, asks_itself
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Reject, Reply, address
from core.service import Explanation, OutgoingRequest, Verdict
from core.testing.builders import account, fulfill, outgoing, prepare
from core.testing.clock import FakeClock

ADDRESS = NodeAddress(address("test.node"))


class ToldLink:
    """A link that fails, answers or waits as a test says, and writes it down as links do."""

    def __init__(self, states: LinkStates) -> None:
        self.states = states
        self.sent: list[OutgoingRequest[Account]] = []
        """Packets, without the questions of ours."""
        self.asked = 0
        self.fails = True
        self.failure = Failure.UNREACHABLE
        self.is_there = False
        """Whether questions are answered, whatever becomes of packets."""
        self.gate: asyncio.Event | None = None

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        history = self.states.history(request.to_account.id)
        if asks_itself(request):
            self.asked += 1
            if self.gate is not None:
                await self.gate.wait()
            if self.is_there or not self.fails:
                self.states.worked(history)
                return Reject.build(
                    ErrorCode.UNREACHABLE, triggered_by="test.node.bob", message=""
                )
            return self._fail(request, Failure.UNREACHABLE)
        self.sent.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            return self._fail(request, self.failure)
        self.states.worked(history)
        return fulfill()

    def _fail(self, request: OutgoingRequest[Account], failure: Failure) -> Reply:
        history = self.states.history(request.to_account.id)
        if self.failure is Failure.UNREACHABLE:
            self.states.failed(history, "bob.example:80 refuses.", failure)
            return ADDRESS.reject(ErrorCode.PEER_UNREACHABLE, "bob cannot be reached.")
        self.states.failed(history, "It did not answer.", failure)
        return ADDRESS.reject(ErrorCode.TRANSFER_TIMED_OUT, "bob did not answer.")

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        return ()

    async def close(self, drain_seconds: float) -> None:
        self.sent.clear()


class Setting:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.states = LinkStates(self.clock)
        self.link = ToldLink(self.states)
        self.breaker = CircuitBreaker(
            self.link, states=self.states, address=ADDRESS, clock=self.clock
        )

    async def send(self) -> Reply:
        return await self.breaker.send(outgoing())

    async def fail(self, times: int) -> None:
        for _ in range(times):
            assert isinstance(await self.send(), Reject)

    async def answered(self) -> None:
        """Wait until what was asked has come to something."""
        while self.states.history(self.bob().id).is_asked:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def bob(self) -> Account:
        return outgoing().to_account


async def test_after_failures_in_a_row_packets_are_rejected_at_once_without_the_details() -> (
    None
):
    setting = Setting()
    await setting.fail(FAILURES_MAX)

    reply = await setting.send()

    assert len(setting.link.sent) == FAILURES_MAX
    assert isinstance(reply, Reject)
    assert reply.code == b"T01"
    assert reply.message == "bob cannot be reached for now."


async def test_one_answer_in_between_and_the_counting_begins_anew() -> None:
    setting = Setting()
    for _ in range(3):
        await setting.fail(FAILURES_MAX - 1)
        setting.link.fails = False
        assert isinstance(await setting.send(), Fulfill)
        setting.link.fails = True

    assert len(setting.link.sent) == 3 * FAILURES_MAX


async def test_after_the_pause_one_packet_is_the_test_and_others_do_not_wait_for_it() -> None:
    setting = Setting()
    await setting.fail(FAILURES_MAX + 1)
    setting.clock.advance(seconds=int(HOLD_SECONDS_FIRST))
    setting.link.gate = asyncio.Event()

    test = asyncio.get_running_loop().create_task(setting.send())
    await asyncio.sleep(0)
    beside = await setting.send()

    assert isinstance(beside, Reject)
    assert beside.message == "bob cannot be reached for now."
    assert len(setting.link.sent) == FAILURES_MAX + 1
    setting.link.fails = False
    setting.link.gate.set()
    assert isinstance(await test, Fulfill)
    assert isinstance(await setting.send(), Fulfill)
    assert len(setting.link.sent) == FAILURES_MAX + 2


async def test_each_failed_test_doubles_the_pause_up_to_the_longest() -> None:
    setting = Setting()
    await setting.fail(FAILURES_MAX + 1)
    pauses: list[float] = []
    for _ in range(8):
        sent = len(setting.link.sent)
        pause = 0.0
        while len(setting.link.sent) == sent:
            setting.clock.advance(milliseconds=500)
            pause += 0.5
            await setting.send()
        pauses.append(pause)

    assert pauses == [1, 2, 4, 8, 16, *[HOLD_SECONDS_MAX] * 3]


async def test_a_test_that_is_cancelled_is_over() -> None:
    setting = Setting()
    await setting.fail(FAILURES_MAX + 1)
    setting.clock.advance(seconds=1)
    setting.link.gate = asyncio.Event()
    test = asyncio.get_running_loop().create_task(setting.send())
    await asyncio.sleep(0)
    test.cancel()
    await asyncio.gather(test, return_exceptions=True)
    setting.link.gate, setting.link.fails = None, False
    setting.clock.advance(seconds=2)

    assert isinstance(await setting.send(), Fulfill)


async def test_whoever_asks_the_link_itself_and_is_answered_ends_the_pause() -> None:
    """So does the operator's ping."""
    setting = Setting()
    await setting.fail(FAILURES_MAX + 1)
    setting.link.fails = False

    await setting.breaker.link.send(outgoing())

    assert isinstance(await setting.send(), Fulfill)


async def test_a_new_connection_over_btp_ends_the_pause() -> None:
    setting = Setting()
    await setting.fail(FAILURES_MAX + 1)
    setting.link.fails = False

    setting.states.btp_opened(setting.bob().id)

    assert isinstance(await setting.send(), Fulfill)


async def test_the_state_and_the_explanation_say_that_it_is_left_alone_and_until_when() -> None:
    setting = Setting()
    await setting.fail(FAILURES_MAX + 1)
    setting.clock.advance(seconds=1)
    await setting.send()
    bob = replace(setting.bob(), ilp_over_http_url="http://127.0.0.1/")

    (step,) = await setting.breaker.explain(outgoing())

    assert step.verdict is Verdict.REJECTS
    assert step.sentence.startswith("Nothing is sent to bob for now: bob.example:80 refuses.")
    assert step.reject is not None
    assert step.reject.message == "bob cannot be reached for now."
    assert step.sentence.endswith("It is tried again in 2 seconds.")
    state, reason = setting.states.state(bob)
    assert state is LinkState.DOWN
    assert reason.endswith("its packets are rejected at once. It is tried again in 2 seconds.")


async def test_one_peer_that_is_left_alone_is_no_matter_of_the_others() -> None:
    setting = Setting()
    await setting.fail(FAILURES_MAX + 1)
    setting.link.fails = False
    carol = outgoing()
    carol.to_account = account("carol")

    assert isinstance(await setting.breaker.send(carol), Fulfill)
    assert isinstance(await setting.send(), Reject)


async def test_packets_that_are_not_answered_hold_nothing_back_as_long_as_the_peer_is_there() -> (
    None
):
    """Whoever sends through us to a receiver that is slow, or means harm, costs others nothing."""
    setting = Setting()
    setting.link.failure, setting.link.is_there = Failure.UNCLEAR, True

    for _ in range(10 * FAILURES_MAX):
        await setting.send()
        await setting.answered()

    assert len(setting.link.sent) == 10 * FAILURES_MAX
    assert 0 < setting.link.asked <= 10, "it is asked once for so many packets"


async def test_a_peer_that_answers_neither_packets_nor_us_is_left_alone() -> None:
    setting = Setting()
    setting.link.failure = Failure.UNCLEAR
    await setting.fail(FAILURES_MAX + 1)
    await setting.answered()

    reply = await setting.send()

    assert setting.link.asked == 1
    assert len(setting.link.sent) == FAILURES_MAX + 1
    assert isinstance(reply, Reject)
    assert reply.code == b"T01"


async def test_a_peer_that_is_back_is_used_though_the_packet_that_tests_it_goes_to_a_slow_receiver() -> (
    None
):
    setting = Setting()
    await setting.fail(FAILURES_MAX + 1)
    setting.clock.advance(seconds=1)
    setting.link.failure, setting.link.is_there = Failure.UNCLEAR, True

    assert isinstance(await setting.send(), Reject)
    await setting.answered()

    sent = len(setting.link.sent)
    await setting.send()
    assert len(setting.link.sent) == sent + 1


async def test_questions_of_ours_are_never_held_and_the_first_that_is_answered_ends_the_pause() -> (
    None
):
    setting = Setting()
    await setting.fail(FAILURES_MAX)
    bob = setting.bob()
    question = outgoing(prepare(destination="peer.route.control"), sender=bob, receiver=bob)
    assert isinstance(await setting.send(), Reject)
    asked = setting.link.asked

    await setting.breaker.send(question)
    assert setting.link.asked == asked + 1
    assert setting.states.history(bob.id).held_until is not None, "it is still gone"

    setting.link.fails = False
    await setting.breaker.send(question)
    assert isinstance(await setting.send(), Fulfill)
