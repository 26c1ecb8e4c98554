"""Messages of route exchange end at this node, whatever becomes of them; everything else passes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from core.account import Account
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Prepare, Reject, address
from core.routing.ccp import (
    CONDITION,
    CONTROL_DESTINATION,
    FULFILLMENT,
    NO_TABLE,
    UPDATE_DESTINATION,
    Mode,
    RouteControl,
    RouteUpdate,
    read_update,
)
from core.service import IncomingRequest, Verdict
from core.services.route_exchange import RouteExchangeService
from core.testing.builders import account, prepare
from core.testing.services import FakeIncoming
from tests.core.packet.vectors import load

CONTROL = RouteControl(Mode.SYNC, NO_TABLE, 0)
UPDATE = RouteUpdate(
    table_id=b"t" * 16,
    current_epoch=1,
    from_epoch=0,
    to_epoch=1,
    hold_down_ms=45_000,
    speaker=address("test.alice"),
)
BOTH = ((CONTROL_DESTINATION, CONTROL), (UPDATE_DESTINATION, UPDATE))


@dataclass
class FakeExchange:
    """Takes what it is told to."""

    refusal: str = ""
    floods: bool = False
    taken: list[object] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def refuses_control(self, account: Account) -> str:
        return self.refusal

    def refuses_update(self, account: Account) -> str:
        return self.refusal

    def is_flooding(self, account: Account) -> bool:
        return self.floods

    def malformed(self, account: Account, problem: str) -> None:
        self.problems.append(problem)

    async def take_control(self, account: Account, control: RouteControl) -> None:
        self.taken.append(control)

    async def take_update(self, account: Account, octets: bytes) -> None:
        self.taken.append(read_update(octets))


@dataclass
class Bench:
    behind: FakeIncoming = field(default_factory=FakeIncoming)
    exchange: FakeExchange = field(default_factory=FakeExchange)

    @property
    def service(self) -> RouteExchangeService[Account]:
        return RouteExchangeService(
            self.behind, self.exchange, NodeAddress(address("test.node"))
        )

    async def send(self, packet: Prepare) -> Fulfill | Reject:
        explained = await self.service.explain(IncomingRequest(account(), packet.copy()))
        assert not self.exchange.taken, "explaining changes nothing"
        reply = await self.service.handle(IncomingRequest(account(), packet))
        (step,) = explained
        if isinstance(reply, Reject):
            assert step.verdict is Verdict.REJECTS
            assert step.reject == reply
        elif not self.behind.requests:
            assert step.verdict is Verdict.ANSWERS
        return reply


@pytest.fixture
def bench() -> Bench:
    return Bench()


def message(
    destination: str, data: bytes, *, amount: int = 0, condition: bytes = CONDITION
) -> Prepare:
    return prepare(amount, destination=destination, data=data, condition=condition)


@pytest.mark.parametrize(("destination", "told"), BOTH)
async def test_a_message_is_taken_and_fulfilled_with_zeros(
    bench: Bench, destination: str, told: RouteControl | RouteUpdate
) -> None:
    reply = await bench.send(message(destination, told.encode()))

    assert reply == Fulfill.build(FULFILLMENT)
    assert bench.exchange.taken == [told]
    assert not bench.behind.requests


@pytest.mark.parametrize(
    "destination", ["test.x", "peer.route", "peer.route.updates", "peer.x"]
)
async def test_everything_else_passes(bench: Bench, destination: str) -> None:
    if destination == "peer.route":
        destination = "peer.routes"

    await bench.send(message(destination, UPDATE.encode()))

    assert len(bench.behind.requests) == 1
    assert not bench.exchange.taken


@pytest.mark.parametrize(("destination", "told"), BOTH)
@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"condition": bytes(32)}, ErrorCode.BAD_REQUEST, "this one has another"),
        ({"amount": 7}, ErrorCode.INVALID_AMOUNT, "carries no money, this one carries 7"),
    ],
)
async def test_one_that_moves_money_or_has_another_condition_is_rejected(
    bench: Bench,
    destination: str,
    told: RouteControl | RouteUpdate,
    changes: dict[str, object],
    code: ErrorCode,
    words: str,
) -> None:
    reply = await bench.send(message(destination, told.encode(), **changes))  # type: ignore[arg-type]

    assert isinstance(reply, Reject)
    assert reply.code == code
    assert words in reply.message
    assert not bench.exchange.taken


@pytest.mark.parametrize(("destination", "told"), BOTH)
async def test_one_from_an_account_that_takes_no_part_is_rejected_with_the_reason(
    bench: Bench, destination: str, told: RouteControl | RouteUpdate
) -> None:
    bench.exchange.refusal = "Not with you."

    reply = await bench.send(message(destination, told.encode()))

    assert isinstance(reply, Reject)
    assert (reply.code, reply.message) == (ErrorCode.BAD_REQUEST, "Not with you.")


@pytest.mark.parametrize(("destination", "told"), BOTH)
async def test_one_that_cannot_be_read_is_rejected_and_noted(
    bench: Bench, destination: str, told: RouteControl | RouteUpdate
) -> None:
    reply = await bench.send(message(destination, told.encode()[:-1]))

    assert isinstance(reply, Reject)
    assert reply.code == ErrorCode.BAD_REQUEST
    assert reply.message.startswith("Invalid route ")
    assert len(bench.exchange.problems) == 1


@pytest.mark.parametrize("destination", [UPDATE_DESTINATION, CONTROL_DESTINATION])
async def test_a_flood_is_turned_away_unread(destination: str) -> None:
    bench = Bench()
    bench.exchange.floods = True

    reply = await bench.service.handle(
        IncomingRequest(account(), message(destination, b"not even a message"))
    )

    assert isinstance(reply, Reject)
    assert reply.code == ErrorCode.RATE_LIMITED
    assert not bench.exchange.problems


@pytest.mark.parametrize(
    "vector",
    [v for v in load("ilp-protocol-ccp/ccp.json")["bad_packets"] if "expired" not in v["why"]],
    ids=lambda v: f"{v['kind']}, {v['why']}",
)
async def test_a_published_wrong_packet_is_not_taken(
    bench: Bench, vector: dict[str, str]
) -> None:
    """Those that have expired never come here: the service that validates stands before."""
    await bench.send(Prepare(bytearray.fromhex(vector["hex"])))

    assert not bench.exchange.taken


async def test_a_table_whose_id_stands_for_none_is_refused_with_a_sentence(
    bench: Bench,
) -> None:
    """It could not be told from the next one, and its routes would never end."""
    reply = await bench.send(
        message(UPDATE_DESTINATION, replace(UPDATE, table_id=NO_TABLE).encode())
    )

    assert isinstance(reply, Reject)
    assert reply.code == ErrorCode.BAD_REQUEST
    assert "the table's id is all zeros, which stands for no table" in reply.message
    assert bench.exchange.taken == []
