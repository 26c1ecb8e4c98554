"""The rate limit: packets and amount a minute, exactly, and what a reject gives back."""

from __future__ import annotations

from hypothesis import given, strategies as st

from core.account import Account
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, address
from core.service import Verdict
from core.services.rate_limit import RateLimits, RateLimitService
from core.testing.builders import account, incoming, prepare
from core.testing.clock import FakeClock
from core.testing.services import FakeIncoming

ADDRESS = NodeAddress(address("test.node"))
TEN_PACKETS = account("alice", packets_per_minute_limit=10)
A_THOUSAND = account("alice", amount_per_minute_limit=1000)


def service_of(behind: FakeIncoming, clock: FakeClock) -> RateLimitService[Account]:
    return RateLimitService(behind, RateLimits(clock), ADDRESS)


async def codes(
    service: RateLimitService[Account], sender: Account, amounts: list[int]
) -> list[str]:
    replies = [await service.handle(incoming(prepare(n), sender=sender)) for n in amounts]
    return [r.code.decode() if isinstance(r, Reject) else "ok" for r in replies]


async def test_an_account_without_limits_is_not_counted() -> None:
    behind = FakeIncoming()
    service = service_of(behind, FakeClock())

    assert await codes(service, account("alice"), [1] * 1000) == ["ok"] * 1000


async def test_a_minute_has_as_many_packets_as_the_limit_and_then_one_each_six_seconds() -> (
    None
):
    clock = FakeClock()
    service = service_of(FakeIncoming(), clock)

    assert await codes(service, TEN_PACKETS, [0] * 11) == ["ok"] * 10 + ["T05"]
    clock.advance(milliseconds=5_999)
    assert await codes(service, TEN_PACKETS, [0]) == ["T05"]
    clock.advance(milliseconds=1)
    assert await codes(service, TEN_PACKETS, [0, 0]) == ["ok", "T05"]


async def test_the_refusal_says_the_limit_and_when_to_try_again() -> None:
    service = service_of(FakeIncoming(), FakeClock())
    await codes(service, TEN_PACKETS, [0] * 10)

    reply = await service.handle(incoming(sender=TEN_PACKETS))

    assert isinstance(reply, Reject)
    assert "10 packets a minute" in reply.message
    assert "6000 ms" in reply.message


async def test_a_burst_bounds_what_comes_at_once_and_not_what_comes_in_a_minute() -> None:
    clock = FakeClock()
    sender = account("alice", packets_per_minute_limit=60, packet_burst_limit=2)
    service = service_of(FakeIncoming(), clock)

    assert await codes(service, sender, [0] * 3) == ["ok", "ok", "T05"]
    clock.advance(seconds=60)
    assert await codes(service, sender, [0] * 3) == ["ok", "ok", "T05"]
    passed = 0
    for _ in range(60):
        clock.advance(seconds=1)
        passed += (await codes(service, sender, [0])).count("ok")
    assert passed == 60


async def test_a_burst_may_be_larger_than_what_a_minute_allows() -> None:
    clock = FakeClock()
    sender = account("alice", amount_per_minute_limit=60, amount_burst_limit=600)
    service = service_of(FakeIncoming(), clock)

    assert await codes(service, sender, [600, 1]) == ["ok", "T04"]
    clock.advance(seconds=60)
    assert await codes(service, sender, [61, 60]) == ["T04", "ok"]


async def test_a_refusal_names_the_burst_and_says_when_or_that_it_never_will_pass() -> None:
    sender = account(
        "alice",
        packets_per_minute_limit=60,
        packet_burst_limit=1,
        amount_per_minute_limit=1_000,
        amount_burst_limit=50,
    )
    service = service_of(FakeIncoming(), FakeClock())

    never = await service.handle(incoming(prepare(51), sender=sender))
    later = await service.handle(incoming(prepare(1), sender=sender))

    assert isinstance(never, Reject)
    assert never.message == (
        "alice may send 10.00 USD a minute, 0.50 USD at once, of which 0.50 USD is left, and this "
        "packet carries 0.51 USD; that is more than the limit will ever allow."
    )
    assert isinstance(later, Reject)
    assert later.message == (
        "alice may send 60 packets a minute, 1 at once, and has used them up; try again in 1000 ms."
    )


async def test_a_fulfilled_amount_is_used_up_for_a_minute() -> None:
    clock = FakeClock()
    service = service_of(FakeIncoming(), clock)

    assert await codes(service, A_THOUSAND, [600, 600, 400, 1]) == ["ok", "T04", "ok", "T04"]
    clock.advance(seconds=60)
    assert await codes(service, A_THOUSAND, [1000]) == ["ok"]


async def test_a_reject_gives_the_amount_back_and_not_the_packet() -> None:
    both = account("alice", amount_per_minute_limit=1000, packets_per_minute_limit=3)
    behind = FakeIncoming(
        Reject.build(ErrorCode.UNREACHABLE, triggered_by="test.x", message="")
    )
    service = service_of(behind, FakeClock())

    assert await codes(service, both, [1000] * 4) == ["F02", "F02", "F02", "T05"]


async def test_a_packet_too_many_takes_no_amount() -> None:
    clock = FakeClock()
    both = account("alice", amount_per_minute_limit=1000, packets_per_minute_limit=1)
    service = service_of(FakeIncoming(), clock)
    assert await codes(service, both, [400, 600, 600, 600]) == ["ok", "T05", "T05", "T05"]

    only_amount = account("alice", amount_per_minute_limit=1000)

    assert await codes(service, only_amount, [600]) == ["ok"]


async def test_an_amount_above_the_limit_says_that_it_will_never_pass() -> None:
    service = service_of(FakeIncoming(), FakeClock())

    reply = await service.handle(incoming(prepare(1001), sender=A_THOUSAND))

    assert isinstance(reply, Reject)
    assert reply.code == b"T04"
    assert "10.00 USD a minute" in reply.message
    assert "10.01 USD" in reply.message
    assert "ever allow" in reply.message


async def test_a_limit_of_zero_lets_nothing_through() -> None:
    service = service_of(FakeIncoming(), FakeClock())

    assert await codes(service, account("a1", packets_per_minute_limit=0), [0]) == ["T05"]
    assert await codes(service, account("a2", amount_per_minute_limit=0), [1, 0]) == [
        "T04",
        "ok",
    ]


async def test_a_new_limit_holds_at_once_and_what_was_used_stays_used() -> None:
    service = service_of(FakeIncoming(), FakeClock())
    await codes(service, TEN_PACKETS, [0] * 10)

    raised = account("alice", packets_per_minute_limit=12)

    assert await codes(service, raised, [0] * 3) == ["ok", "ok", "T05"]


async def test_the_wall_clock_going_back_does_not_matter() -> None:
    clock = FakeClock()
    service = service_of(FakeIncoming(), clock)
    await codes(service, TEN_PACKETS, [0] * 10)

    clock.jump(milliseconds=-3_600_000)
    clock.advance(seconds=6)

    assert await codes(service, TEN_PACKETS, [0, 0]) == ["ok", "T05"]


async def test_explaining_takes_nothing_and_says_what_would_be_said() -> None:
    service = service_of(FakeIncoming(), FakeClock())
    for _ in range(99):
        await service.explain(incoming(sender=TEN_PACKETS))
    passes, *_ = await service.explain(incoming(sender=TEN_PACKETS))
    assert passes.verdict is Verdict.PASSES

    await codes(service, TEN_PACKETS, [0] * 10)
    (refused,) = await service.explain(incoming(sender=TEN_PACKETS))

    assert refused.reject is not None
    assert refused.reject.code == b"T05"


@given(
    st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 700)), max_size=60),
    st.integers(1, 1000),
    st.integers(1, 2000),
)
async def test_no_time_passes_more_than_the_burst_and_what_the_rate_brings_in_it(
    steps: list[tuple[int, int]], limit: int, burst: int
) -> None:
    clock = FakeClock()
    sender = account("alice", amount_per_minute_limit=limit, amount_burst_limit=burst)
    service = service_of(FakeIncoming(), clock)
    passed: list[tuple[int, int]] = []
    for wait_ms, amount in steps:
        clock.advance(milliseconds=wait_ms)
        if (await codes(service, sender, [amount])) == ["ok"]:
            passed.append((round(clock.monotonic() * 1000), amount))

    for first, (start_ms, _) in enumerate(passed):
        total = 0
        for at_ms, amount in passed[first:]:
            total += amount
            assert total * 60_000 <= burst * 60_000 + limit * (at_ms - start_ms)


@given(
    st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 700)), max_size=60),
    st.integers(1, 1000),
)
async def test_no_minute_passes_more_than_twice_the_limit(
    steps: list[tuple[int, int]], limit: int
) -> None:
    """A full bucket and what refills it: the bound of every token bucket, met exactly in integers."""
    clock = FakeClock()
    sender = account("alice", amount_per_minute_limit=limit)
    service = service_of(FakeIncoming(), clock)
    passed: list[tuple[float, int]] = []
    for wait_ms, amount in steps:
        clock.advance(milliseconds=wait_ms)
        if (await codes(service, sender, [amount])) == ["ok"]:
            passed.append((clock.monotonic(), amount))

    for start, _ in passed:
        within = sum(n for at, n in passed if start <= at <= start + 60)
        assert within <= 2 * limit
    total = sum(amount for _, amount in passed)
    assert total * 60_000 <= limit * (60_000 + int(clock.monotonic() * 1000))


async def test_the_buckets_of_accounts_that_are_gone_are_forgotten() -> None:
    limits = RateLimits(FakeClock())
    service = RateLimitService(FakeIncoming(), limits, ADDRESS)
    for _ in range(10):
        await service.handle(incoming(sender=TEN_PACKETS))

    limits.keep_only(set())

    assert not isinstance(await service.handle(incoming(sender=TEN_PACKETS)), Reject)
