"""What has expired, and what a paused account sends, goes no further."""

from __future__ import annotations

import pytest

from core.node_address import NodeAddress
from core.packet import Reject, address
from core.services.validate_incoming import ValidateIncomingService
from core.testing.builders import account, incoming, prepare
from core.testing.clock import FakeClock
from core.testing.services import FakeIncoming

ADDRESS = NodeAddress(address("test.node"))


@pytest.mark.parametrize(
    ("expires_in_ms", "passes"), [(2, True), (1, True), (0, False), (-1, False)]
)
async def test_a_packet_passes_until_the_millisecond_in_which_it_expires(
    expires_in_ms: int, passes: bool
) -> None:
    service = ValidateIncomingService(FakeIncoming(), FakeClock(), ADDRESS)

    reply = await service.handle(incoming(prepare(expires_in_ms=expires_in_ms)))

    assert isinstance(reply, Reject) != passes
    if isinstance(reply, Reject):
        assert (reply.code, reply.triggered_by) == (b"R00", "test.node")
        assert f"{-expires_in_ms} ms ago" in reply.message


async def test_a_paused_account_may_not_send() -> None:
    service = ValidateIncomingService(FakeIncoming(), FakeClock(), ADDRESS)

    reply = await service.handle(incoming(sender=account("alice", enabled=False)))

    assert isinstance(reply, Reject)
    assert reply.code == b"F02"
    assert "alice is paused" in reply.message
