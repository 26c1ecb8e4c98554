"""IL-DCP: who lives under us learns its address; RFC-0031's octets."""

from __future__ import annotations

from hashlib import sha256

import pytest

from core.account import Asset, RoutingRelation
from core.ildcp_message import CONDITION
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Prepare, Reject, address
from core.service import Verdict
from core.services.ildcp import IldcpService
from core.testing.builders import account, incoming, prepare
from core.testing.services import FakeIncoming
from tests.core.packet.vectors import load

ADDRESS = NodeAddress(address("test.node"))
CHILD = account("alice", routing_relation=RoutingRelation.CHILD, asset=Asset("XRP", 9))


def request(*, amount: int = 0, condition: bytes = CONDITION) -> Prepare:
    return prepare(amount, destination="peer.config", condition=condition)


def test_the_condition_is_that_of_32_zero_octets() -> None:
    assert sha256(bytes(32)).digest() == CONDITION


@pytest.mark.parametrize(
    "relation", [RoutingRelation.CHILD, RoutingRelation.NON_ROUTING_ACCOUNT]
)
async def test_who_lives_under_us_is_told_its_address_scale_and_code(
    relation: RoutingRelation,
) -> None:
    sender = account("alice", routing_relation=relation, asset=Asset("XRP", 9))

    reply = await IldcpService(FakeIncoming(), ADDRESS).handle(
        incoming(request(), sender=sender)
    )

    assert isinstance(reply, Fulfill)
    assert bytes(reply.fulfillment) == bytes(32)
    assert bytes(reply.data) == b"\x0ftest.node.alice" + b"\x09" + b"\x03XRP"


@pytest.mark.parametrize("relation", [RoutingRelation.PEER, RoutingRelation.PARENT])
async def test_a_peer_or_parent_gets_no_address_from_us(relation: RoutingRelation) -> None:
    behind = FakeIncoming()

    reply = await IldcpService(behind, ADDRESS).handle(
        incoming(request(), sender=account("alice", routing_relation=relation))
    )

    assert isinstance(reply, Reject)
    assert (reply.code, behind.requests) == (b"F00", [])
    assert relation.value in reply.message


@pytest.mark.parametrize(
    ("packet", "code"),
    [(request(condition=bytes(32)), b"F00"), (request(amount=1), b"F03")],
    ids=["another condition", "money"],
)
async def test_a_request_that_is_none_is_refused_and_not_forwarded(
    packet: Prepare, code: bytes
) -> None:
    behind = FakeIncoming()

    reply = await IldcpService(behind, ADDRESS).handle(incoming(packet, sender=CHILD))

    assert isinstance(reply, Reject)
    assert (reply.code, behind.requests) == (code, [])


@pytest.mark.parametrize(
    "vector",
    [
        vector
        for vector in load("ilp-protocol-ildcp/ildcp.json")["bad_requests"]
        if "expired" not in vector["why"]
    ],
    ids=lambda vector: vector["why"],
)
async def test_a_published_wrong_request_gets_no_address(vector: dict[str, str]) -> None:
    """Those that have expired never come here: the service that validates stands before."""
    nowhere = ADDRESS.reject(ErrorCode.UNREACHABLE, "There is no route.")
    service = IldcpService(FakeIncoming(nowhere), ADDRESS)

    reply = await service.handle(
        incoming(Prepare(bytearray.fromhex(vector["hex"])), sender=CHILD)
    )

    assert isinstance(reply, Reject)


async def test_all_else_passes() -> None:
    behind = FakeIncoming()
    packet = incoming(prepare(destination="peer.configuration"))

    await IldcpService(behind, ADDRESS).handle(packet)

    assert behind.requests == [packet]


async def test_explaining_says_what_would_be_answered() -> None:
    (step,) = await IldcpService(FakeIncoming(), ADDRESS).explain(
        incoming(request(), sender=CHILD)
    )

    assert step.verdict is Verdict.ANSWERS
    assert "test.node.alice" in step.sentence
    assert "XRP@9" in step.sentence
