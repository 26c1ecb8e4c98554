"""Ping: what is addressed to this node is answered, and what came with it is booked."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256

import pytest

from core.account import Account
from core.node_address import NodeAddress
from core.packet import Fulfill, Reject, Reply, address
from core.packet.oer import write_octets
from core.services.echo import (
    ECHO_PREFIX,
    PING_CONDITION,
    PING_FULFILLMENT,
    PINGS_MAX,
    EchoService,
    PingAnswerService,
    Pings,
    echo_request_data,
)
from core.testing.builders import CONDITION, incoming, outgoing, prepare
from core.testing.clock import START_MS, FakeClock
from core.testing.services import FakeIncoming, FakeOutgoing
from tests.core.packet.vectors import load

ADDRESS = NodeAddress(address("test.node"))


class Setting:
    def __init__(self) -> None:
        self.behind, self.collect, self.clock = FakeIncoming(), FakeOutgoing(), FakeClock()
        self.pings = Pings(self.clock)
        self.echo = EchoService(self.behind, self.collect, self.pings, ADDRESS)

    async def answer(
        self,
        data: bytes,
        *,
        amount: int = 0,
        condition: bytes = CONDITION,
        to: str = "test.node",
    ) -> Reply:
        packet = prepare(amount, destination=to, condition=condition, data=data)
        return await self.echo.handle(incoming(packet))


def test_the_ping_condition_is_the_one_that_everybody_uses() -> None:
    assert sha256(PING_FULFILLMENT).digest() == PING_CONDITION
    (row,) = load("quilt/ildcp-and-ping.json")["ping"]
    assert row["fulfillment_ascii"].encode() == PING_FULFILLMENT
    assert b64decode(row["condition_base64"]) == PING_CONDITION


async def test_an_echo_is_asked_for_and_answered_with_the_octets_of_interledger_rs() -> None:
    setting, vectors = Setting(), load("interledger-rs/echo.json")
    (asked,), (answered,) = vectors["request_data"], vectors["response_data"]
    assert echo_request_data(asked["source_address"]).hex() == asked["hex"]

    await setting.answer(bytes.fromhex(asked["hex"]))

    (sent,) = setting.behind.requests
    assert sent.prepare.destination == asked["source_address"]
    assert sent.prepare.data.hex() == answered["hex"]


async def test_an_echo_request_goes_back_to_its_source_as_a_packet_of_its_own() -> None:
    setting = Setting()

    reply = await setting.answer(echo_request_data("test.far.pinger"), amount=100)

    (sent,) = setting.behind.requests
    assert reply is setting.behind.reply
    assert sent.prepare.destination == "test.far.pinger"
    assert bytes(sent.prepare.data) == ECHO_PREFIX + b"\x01"
    assert (sent.prepare.amount, bytes(sent.prepare.condition)) == (100, CONDITION)
    assert sent.prepare.expires_at_ms == START_MS + 10_000
    assert sent.may_return


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (b"", "ends where its type is due"),
        (b"\x02", "its type is 2"),
        (b"\x00", "ends where a length is due, at octet 17"),
        (b"\x00" + write_octets(b"no address"), "is no ILP address"),
        (b"\x01", "answers no ping of this node"),
    ],
)
async def test_a_malformed_echo_is_f01_and_says_what_is_wrong(rest: bytes, words: str) -> None:
    setting = Setting()

    reply = await setting.answer(ECHO_PREFIX + rest)

    assert isinstance(reply, Reject)
    assert (reply.code, reply.triggered_by) == (b"F01", "test.node")
    assert words in reply.message
    assert setting.behind.requests == []


@pytest.mark.parametrize("to", ["test.node.alice", "test.nodes", "test.bob"])
async def test_what_is_for_others_passes_whatever_it_carries(to: str) -> None:
    setting = Setting()

    await setting.answer(echo_request_data("test.x"), to=to)

    assert [request.prepare.destination for request in setting.behind.requests] == [to]
    assert not setting.behind.requests[0].may_return


async def test_what_is_for_us_and_no_ping_passes() -> None:
    setting = Setting()

    await setting.answer(b"something else")

    assert len(setting.behind.requests) == 1


async def test_a_one_way_ping_is_booked_as_income_and_fulfilled() -> None:
    setting = Setting()

    reply = await setting.answer(b"any", amount=3, condition=PING_CONDITION)

    (booked,) = setting.collect.requests
    assert reply is setting.collect.reply
    assert (booked.incoming_amount, booked.prepare.amount) == (3, 0)
    assert booked.from_account is booked.to_account
    assert booked.conversion is not None
    assert booked.conversion.spread_amount == 3
    assert booked.conversion.remainder == 0


async def test_the_last_of_the_short_way_answers_with_the_fulfillment_and_the_data() -> None:
    service: PingAnswerService[Account] = PingAnswerService(Pings(FakeClock()), ADDRESS)

    reply = await service.send(outgoing(prepare(0, condition=PING_CONDITION, data=b"any")))

    assert reply == Fulfill.build(PING_FULFILLMENT, b"any")


async def test_an_echo_of_a_ping_that_we_sent_is_fulfilled_until_its_time_is_over() -> None:
    setting = Setting()
    fulfillment = bytes(range(32))
    condition = setting.pings.sent(fulfillment, expires_at_ms=START_MS + 1000)

    await setting.answer(ECHO_PREFIX + b"\x01", condition=condition)
    assert len(setting.collect.requests) == 1
    assert setting.pings.fulfillment(condition) == fulfillment

    setting.clock.advance(seconds=1)
    late = await setting.answer(ECHO_PREFIX + b"\x01", condition=condition)

    assert isinstance(late, Reject)
    assert late.code == b"F01"


def test_pings_that_wait_are_bounded() -> None:
    pings = Pings(FakeClock())

    conditions = [
        pings.sent(number.to_bytes(32, "big"), expires_at_ms=START_MS + 1)
        for number in range(PINGS_MAX + 1)
    ]

    assert pings.fulfillment(conditions[0]) is None
    assert pings.fulfillment(conditions[1]) is not None
    pings.done(conditions[1])
    assert pings.fulfillment(conditions[1]) is None


async def test_explaining_an_echo_walks_on_to_its_source() -> None:
    setting = Setting()
    packet = prepare(destination="test.node", data=echo_request_data("test.far"))

    step, last = await setting.echo.explain(incoming(packet))

    assert "test.far" in step.sentence
    assert last.service == "fake"
    assert setting.behind.requests == []
