"""The last resort: whoever sent a packet always gets a reply."""

from __future__ import annotations

import pytest

from core.node_address import NodeAddress
from core.packet import Reject, address
from core.service import Verdict
from core.services.last_resort import LastResortService
from core.testing.builders import incoming
from core.testing.services import FakeIncoming

ADDRESS = NodeAddress(address("test.node"))


async def test_a_reply_passes_as_it_is() -> None:
    behind = FakeIncoming()

    reply = await LastResortService(behind, ADDRESS).handle(incoming())

    assert reply is behind.reply


@pytest.mark.logs_warning
async def test_an_unforeseen_error_becomes_t00_and_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = LastResortService(FakeIncoming(ZeroDivisionError("of all things")), ADDRESS)

    reply = await service.handle(incoming())

    assert isinstance(reply, Reject)
    assert (reply.code, reply.triggered_by) == (b"T00", "test.node")
    assert "of all things" not in reply.message
    assert "of all things" in caplog.text
    assert "alice" in caplog.text


@pytest.mark.logs_warning
async def test_explaining_fails_as_the_packet_would() -> None:
    service = LastResortService(FakeIncoming(ZeroDivisionError()), ADDRESS)

    (step,) = await service.explain(incoming())

    assert step.verdict is Verdict.REJECTS
    assert step.reject is not None
    assert step.reject.code == b"T00"
