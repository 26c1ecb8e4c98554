"""Is there time to ask, and is the answer an answer?"""

from __future__ import annotations

import pytest

from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Reject, Reply, address
from core.services.validate_outgoing import ValidateOutgoingService
from core.testing.builders import fulfill, outgoing, prepare
from core.testing.clock import FakeClock
from core.testing.services import FakeOutgoing

ADDRESS = NodeAddress(address("test.node"))


@pytest.mark.parametrize(
    ("left_ms", "code"), [(1000, None), (999, b"R02"), (1, b"R02"), (-500, b"R02")]
)
async def test_a_next_hop_is_asked_with_a_second_or_not_at_all(
    left_ms: int, code: bytes | None
) -> None:
    behind = FakeOutgoing()
    request = outgoing(prepare(expires_in_ms=2000))
    request.prepare.expires_at_ms += left_ms - 2000

    reply = await ValidateOutgoingService(behind, FakeClock(), ADDRESS).send(request)

    assert (reply.code if isinstance(reply, Reject) else None) == code
    assert len(behind.requests) == (code is None)


async def test_a_packet_whose_sender_no_longer_waits_is_r00() -> None:
    clock = FakeClock()
    request = outgoing(prepare(expires_in_ms=10))
    clock.advance(milliseconds=10)

    reply = await ValidateOutgoingService(FakeOutgoing(), clock, ADDRESS).send(request)

    assert isinstance(reply, Reject)
    assert reply.code == b"R00"


async def test_the_right_fulfillment_passes_as_it_is() -> None:
    behind = FakeOutgoing(fulfill(b"data"))

    reply = await ValidateOutgoingService(behind, FakeClock(), ADDRESS).send(outgoing())

    assert reply is behind.reply


async def test_a_wrong_fulfillment_is_f05() -> None:
    behind = FakeOutgoing(Fulfill.build(bytes(32)))

    reply = await ValidateOutgoingService(behind, FakeClock(), ADDRESS).send(outgoing())

    assert isinstance(reply, Reject)
    assert (reply.code, reply.triggered_by) == (b"F05", "test.node")
    assert "bob" in reply.message


@pytest.mark.parametrize("at_ms", [-2, -1, 0, 1, 2])
async def test_a_fulfillment_counts_until_the_expiry_and_is_owed_from_then_on(
    at_ms: int,
) -> None:
    clock = FakeClock()
    late: list[Reply] = []
    behind = FakeOutgoing(answer=lambda _: answered(clock, 5000 + at_ms))
    request = outgoing(prepare(expires_in_ms=5000))
    request.on_late_reply = late.append

    reply = await ValidateOutgoingService(behind, clock, ADDRESS).send(request)

    if at_ms < 0:
        assert (reply, late, request.left_open) == (fulfill(), [], False)
    else:
        assert isinstance(reply, Reject)
        assert reply.code == b"R00"
        assert (late, request.left_open) == ([fulfill()], True)


def answered(clock: FakeClock, after_ms: int) -> Reply:
    clock.advance(milliseconds=after_ms)
    return fulfill()


@pytest.mark.parametrize("triggered_by", ["test.node", "test.elsewhere"])
async def test_a_reject_passes_as_it_is(triggered_by: str) -> None:
    reject = Reject.build(
        ErrorCode.TRANSFER_TIMED_OUT, triggered_by=triggered_by, message="time is up"
    )
    request = outgoing()

    reply = await ValidateOutgoingService(FakeOutgoing(reject), FakeClock(), ADDRESS).send(
        request
    )

    assert reply is reject
    assert not request.left_open
