"""What is sent to an account in a minute, exactly, and what a reject gives back."""

from __future__ import annotations

from hypothesis import given, strategies as st

from core.account import Account
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Reject, Reply, address
from core.service import OutgoingRequest, Verdict
from core.services.throughput import Throughput, ThroughputService
from core.testing.builders import account, fulfill, outgoing, prepare
from core.testing.clock import FakeClock
from core.testing.services import FakeOutgoing

ADDRESS = NodeAddress(address("test.node"))
BOB = account("bob", outgoing_amount_per_minute_limit=1_000)
REJECT = Reject.build(ErrorCode.UNREACHABLE, triggered_by="test.x", message="")


def service_of(behind: FakeOutgoing, clock: FakeClock) -> ThroughputService[Account]:
    return ThroughputService(behind, Throughput(clock), ADDRESS)


async def code(service: ThroughputService[Account], amount: int) -> str:
    reply = await service.send(outgoing(prepare(amount), receiver=BOB))
    return reply.code.decode() if isinstance(reply, Reject) else "ok"


async def test_a_minute_sends_no_more_than_the_limit() -> None:
    clock = FakeClock()
    service = service_of(FakeOutgoing(), clock)

    assert [await code(service, n) for n in (600, 600, 400, 1, 0)] == [
        "ok", "T04", "ok", "T04", "ok",
    ]  # fmt: skip
    clock.advance(seconds=60)
    assert await code(service, 1_000) == "ok"


async def test_the_refusal_names_the_limit_what_was_found_and_when_to_try_again() -> None:
    service = service_of(FakeOutgoing(), FakeClock())
    await code(service, 700)

    reply = await service.send(outgoing(prepare(600), receiver=BOB))
    never = await service.send(outgoing(prepare(1_001), receiver=BOB))

    assert isinstance(reply, Reject)
    assert reply.message == (
        "This node sends bob 10.00 USD a minute, of which 3.00 USD is left, and this packet would "
        "carry 6.00 USD; try again in 18000 ms."
    )
    assert isinstance(never, Reject)
    assert never.message.endswith("that is more than the limit will ever allow.")


async def test_what_was_rejected_is_given_back_and_what_may_yet_be_fulfilled_is_not() -> None:
    behind = FakeOutgoing(REJECT)
    service = service_of(behind, FakeClock())

    assert [await code(service, 1_000) for _ in range(3)] == ["F02"] * 3

    def leave_open(request: OutgoingRequest[Account]) -> Reply:
        request.left_open = True
        return REJECT

    behind.answer = leave_open
    assert [await code(service, 1_000) for _ in range(2)] == ["F02", "T04"]


async def test_an_account_without_a_limit_is_not_counted() -> None:
    service = service_of(FakeOutgoing(), FakeClock())

    for _ in range(100):
        reply = await service.send(outgoing(prepare(2**63), receiver=account("carol")))
        assert isinstance(reply, Fulfill)


async def test_explaining_takes_nothing_and_says_what_would_be_said() -> None:
    service = service_of(FakeOutgoing(), FakeClock())
    for _ in range(9):
        step, *_ = await service.explain(outgoing(prepare(1_000), receiver=BOB))
        assert step.verdict is Verdict.PASSES
    await code(service, 1)

    (refused,) = await service.explain(outgoing(prepare(1_000), receiver=BOB))

    assert refused.reject == await service.send(outgoing(prepare(1_000), receiver=BOB))


@given(
    st.lists(
        st.tuples(st.integers(0, 70_000), st.integers(1, 700), st.booleans()), max_size=60
    ),
    st.integers(1, 1000),
)
async def test_what_is_fulfilled_stays_within_a_full_bucket_and_the_time(
    steps: list[tuple[int, int, bool]], limit: int
) -> None:
    clock, behind = FakeClock(), FakeOutgoing()
    service = service_of(behind, clock)
    receiver = account("bob", outgoing_amount_per_minute_limit=limit)
    fulfilled = 0
    for wait_ms, amount, is_fulfilled in steps:
        clock.advance(milliseconds=wait_ms)
        behind.reply = fulfill() if is_fulfilled else REJECT
        reply = await service.send(outgoing(prepare(amount), receiver=receiver))
        fulfilled += amount if isinstance(reply, Fulfill) else 0
        assert fulfilled * 60_000 <= limit * (60_000 + round(clock.monotonic() * 1000))
