"""The expiry that the next hop is given."""

from __future__ import annotations

from hypothesis import given, strategies as st

from core.services.expiry import HOLD_MS_MAX, ExpiryService
from core.testing.builders import account, outgoing, prepare
from core.testing.clock import START_MS, FakeClock
from core.testing.services import FakeOutgoing


async def test_both_round_trip_times_come_off() -> None:
    behind = FakeOutgoing()
    request = outgoing(
        prepare(expires_in_ms=10_000),
        sender=account("alice", round_trip_time_ms=300),
        receiver=account("bob", round_trip_time_ms=200),
    )

    await ExpiryService(behind, FakeClock()).send(request)

    assert behind.requests[0].prepare.expires_at_ms == START_MS + 9_500
    assert request.incoming_expires_at_ms == START_MS + 10_000


async def test_no_packet_is_held_longer_than_half_a_minute() -> None:
    request = outgoing(prepare(expires_in_ms=3_600_000))

    await ExpiryService(FakeOutgoing(), FakeClock()).send(request)

    assert request.prepare.expires_at_ms == START_MS + HOLD_MS_MAX


@given(st.integers(1, 10**7), st.integers(0, 10**4), st.integers(0, 10**4))
async def test_an_expiry_only_ever_comes_nearer(left: int, first: int, second: int) -> None:
    request = outgoing(
        prepare(expires_in_ms=left),
        sender=account("alice", round_trip_time_ms=first),
        receiver=account("bob", round_trip_time_ms=second),
    )

    await ExpiryService(FakeOutgoing(), FakeClock()).send(request)

    assert request.prepare.expires_at_ms <= START_MS + left
    assert request.prepare.expires_at_ms == START_MS + min(left - first - second, HOLD_MS_MAX)


async def test_explaining_says_how_long_the_next_hop_has() -> None:
    step, _ = await ExpiryService(FakeOutgoing(), FakeClock()).explain(outgoing())

    assert step.facts == {"expires_at_ms": START_MS + 9_000, "expires_in_ms": 9_000}
    assert "9000 ms" in step.sentence
