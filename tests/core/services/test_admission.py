"""Admission: how much may be in flight, and that a closed node says so."""

from __future__ import annotations

import asyncio

import pytest

from core.account import Account
from core.node_address import NodeAddress
from core.packet import Reject, Reply, address
from core.service import Explanation, IncomingRequest, Verdict
from core.services.admission import AdmissionService, Gate
from core.testing.builders import account, fulfill, incoming, prepare
from core.testing.services import FakeIncoming

ADDRESS = NodeAddress(address("test.node"))


class Held:
    """Holds each packet until the test lets it go."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def handle(self, request: IncomingRequest[object]) -> Reply:
        await self.release.wait()
        return fulfill()

    async def explain(self, request: IncomingRequest[object]) -> Explanation:
        return ()


async def test_a_packet_more_than_the_node_holds_is_told_that_it_is_busy() -> None:
    held, gate = Held(), Gate(total_max=2, account_max=2)
    service = AdmissionService(held, gate, ADDRESS)

    async with asyncio.TaskGroup() as tasks:
        for name in ("alice", "bob"):
            tasks.create_task(service.handle(incoming(sender=account(name))))
        await asyncio.sleep(0)
        reply = await service.handle(incoming(sender=account("carol")))
        held.release.set()

    assert isinstance(reply, Reject)
    assert (reply.code, "2 packets in flight" in reply.message) == (b"T03", True)
    assert gate.in_flight == 0


async def test_an_account_that_fills_its_share_leaves_room_for_the_others() -> None:
    held, gate = Held(), Gate(total_max=10, account_max=1)
    service = AdmissionService(held, gate, ADDRESS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(service.handle(incoming(sender=account("alice"))))
        await asyncio.sleep(0)
        refused = await service.handle(incoming(sender=account("alice")))
        accepted = tasks.create_task(service.handle(incoming(sender=account("bob"))))
        await asyncio.sleep(0)
        held.release.set()

    assert isinstance(refused, Reject)
    assert refused.code == b"T03"
    assert accepted.result() == fulfill()


async def test_an_account_has_so_many_packets_and_so_much_in_flight_as_its_operator_says() -> (
    None
):
    held, gate = Held(), Gate(total_max=10, account_max=1)
    service = AdmissionService(held, gate, ADDRESS)
    alice = account("alice", packets_in_flight_limit=2, amount_in_flight_limit=100)

    async def refused(amount: int) -> str:
        reply = await service.handle(incoming(prepare(amount), sender=alice))
        assert isinstance(reply, Reject)
        return f"{reply.code.decode()} {reply.message}"

    assert await refused(101) == (
        "T04 alice may have 1.00 USD in flight, has 0.00 USD, and this packet carries 1.01 USD; "
        "that is more than the limit will ever allow."
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(service.handle(incoming(prepare(60), sender=alice)))
        await asyncio.sleep(0)
        assert gate.in_flight_of(alice.id) == (1, 60)
        assert await refused(41) == (
            "T04 alice may have 1.00 USD in flight, has 0.60 USD, and this packet carries 0.41 USD; "
            "try again once some of it is answered."
        )
        tasks.create_task(service.handle(incoming(prepare(40), sender=alice)))
        await asyncio.sleep(0)
        assert await refused(0) == (
            "T03 alice has 2 packets in flight, and may have 2 at once; "
            "try again once some of them are answered."
        )
        held.release.set()

    assert gate.in_flight_of(alice.id) == (0, 0)
    assert await service.handle(incoming(prepare(100), sender=alice)) == fulfill()


async def test_what_a_packet_held_is_free_again_though_its_amount_was_changed_on_the_way() -> (
    None
):
    class Changes:
        async def handle(self, request: IncomingRequest[Account]) -> Reply:
            request.prepare.amount = 1
            raise RuntimeError

        async def explain(self, request: IncomingRequest[Account]) -> Explanation:
            return ()

    gate = Gate()
    alice = account("alice")
    gate.enter(alice.id, 7)  # another packet of hers, all the while
    service = AdmissionService(Changes(), gate, ADDRESS)

    with pytest.raises(RuntimeError):
        await service.handle(incoming(prepare(500), sender=alice))

    assert gate.in_flight_of(alice.id) == (1, 7)


async def test_a_closed_gate_refuses_with_its_sentence_and_drains() -> None:
    held, gate = Held(), Gate()
    service = AdmissionService(held, gate, ADDRESS)

    async with asyncio.TaskGroup() as tasks:
        under_way = tasks.create_task(service.handle(incoming()))
        await asyncio.sleep(0)
        gate.close("This node is stopping.")
        reply = await service.handle(incoming())
        drained = tasks.create_task(gate.drained())
        await asyncio.sleep(0)
        assert not drained.done()
        held.release.set()

    assert isinstance(reply, Reject)
    assert (reply.code, reply.message) == (b"T00", "This node is stopping.")
    assert under_way.result() == fulfill()


async def test_explaining_takes_no_room() -> None:
    gate = Gate()
    service = AdmissionService(FakeIncoming(), gate, ADDRESS)

    step, _ = await service.explain(incoming())
    gate.close("closed")
    (refused,) = await service.explain(incoming())

    assert (step.verdict, gate.in_flight) == (Verdict.PASSES, 0)
    assert (refused.verdict, refused.sentence) == (Verdict.REJECTS, "closed")
