"""What is too large goes back with how large would have been fine."""

from __future__ import annotations

import pytest

from core.node_address import NodeAddress
from core.packet import Reject, address, read_max_packet_amount_data
from core.services.max_packet_amount import MaxPacketAmountService
from core.testing.builders import account, incoming, prepare
from core.testing.services import FakeIncoming

ADDRESS = NodeAddress(address("test.node"))


@pytest.mark.parametrize("maximum", [0, 1, 1000, 2**53, 2**63, 2**64 - 2])
async def test_the_limit_itself_passes_and_one_more_is_f08_with_both_numbers(
    maximum: int,
) -> None:
    service = MaxPacketAmountService(FakeIncoming(), ADDRESS)
    sender = account("alice", max_packet_amount=maximum)

    fits = await service.handle(incoming(prepare(maximum), sender=sender))
    too_large = await service.handle(incoming(prepare(maximum + 1), sender=sender))

    assert not isinstance(fits, Reject)
    assert isinstance(too_large, Reject)
    assert too_large.code == b"F08"
    assert read_max_packet_amount_data(too_large.data) == (maximum + 1, maximum)
    assert len(too_large.data) == 16


async def test_the_sentence_says_what_came_and_what_is_allowed() -> None:
    service = MaxPacketAmountService(FakeIncoming(), ADDRESS)

    reply = await service.handle(
        incoming(prepare(1240), sender=account("alice", max_packet_amount=1000))
    )

    assert isinstance(reply, Reject)
    assert (
        reply.message
        == "alice may send 10.00 USD in one packet, and this one carries 12.40 USD."
    )
