"""Pings of an address: the way there and back, what is left of an amount, and why nothing came."""

from __future__ import annotations

from fractions import Fraction

import pytest

from core.account import Account
from core.control.peering_views import PingKind, PingReport
from core.errors import SettingError, UnknownAccount
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, address
from core.service import IncomingRequest, OutgoingRequest
from core.services.echo import ECHO_PREFIX, PING_CONDITION, PING_FULFILLMENT, echo_request_data
from tests.core.control.bench import Bench


def echoes(bench: Bench, *, takes_ms: int = 0, keeps: int = 0, back_from: str = "bob") -> None:
    """Let the far side send each echo request back to us, as a node does, less what it keeps."""

    async def answer(request: OutgoingRequest[Account]) -> Reply:
        bench.clock.advance(milliseconds=takes_ms)
        sent = request.prepare
        assert bytes(sent.data) == echo_request_data("test.node")
        back = Prepare.build(
            amount=max(0, sent.amount - keeps),
            expires_at_ms=sent.expires_at_ms,
            condition=bytes(sent.condition),
            destination=address("test.node"),
            data=ECHO_PREFIX + b"\x01",
        )
        sender = bench.node.directory.by_username(back_from)
        assert sender is not None
        return await bench.node.incoming.handle(IncomingRequest(sender, back))

    bench.link.fake.answer = answer


def rejects(bench: Bench, code: ErrorCode, by: str, message: str = "") -> None:
    bench.link.fake.reply = Reject.build(code, triggered_by=by, message=message)


async def ping(bench: Bench, to: str = "test.bob", **changes: object) -> PingReport:
    return await bench.control.ping_address(to, **changes)  # type: ignore[arg-type]


@pytest.fixture
async def peered(bench: Bench) -> Bench:
    bench.node.gate.open()
    await bench.add("alice", min_balance=-10_000)
    await bench.add("bob", ilp_address="test.bob", routing_relation="Peer")
    return bench


async def test_an_echo_without_an_amount_measures_the_way_there_and_back(peered: Bench) -> None:
    echoes(peered, takes_ms=12)

    report = await ping(peered, count=3)

    assert (report.sent, report.answered) == (3, 3)
    assert report.latency_us_least == report.latency_us_mean == report.latency_us_most == 12_000
    assert (report.rate, report.asset) == (None, None)
    assert report.sentence == "test.bob answered 3 of 3 pings, in 12.0 ms on average."
    assert [attempt.sentence for attempt in report.attempts] == [
        "test.bob answered in 12.0 ms."
    ] * 3


async def test_an_amount_goes_through_the_books_and_what_came_back_is_the_rate(
    peered: Bench,
) -> None:
    echoes(peered, keeps=25)

    report = await ping(peered, amount=100, from_username="alice")

    assert report.rate == Fraction(3, 4)
    assert report.attempts[0].returned_amount == 75
    assert str(report.returned_asset) == "USD@2"
    assert report.sentence.endswith("Of 1.00 USD, 0.75 USD came back.")
    assert (await peered.control.account("alice")).balance.net == -100
    assert (await peered.control.account("bob")).balance.net == 100 - 75
    assert (await peered.control.audit()).passed


async def test_a_peer_can_be_named_by_its_username(peered: Bench) -> None:
    echoes(peered)

    assert (await ping(peered, "BOB")).destination == "test.bob"


async def test_a_one_way_ping_is_answered_by_the_secret_that_everybody_knows(
    peered: Bench,
) -> None:
    def answer(request: OutgoingRequest[Account]) -> Reply:
        assert bytes(request.prepare.condition) == PING_CONDITION
        return Fulfill.build(PING_FULFILLMENT, bytes(request.prepare.data))

    peered.link.fake.answer = answer

    report = await ping(peered, kind=PingKind.ONE_WAY)

    assert (report.answered, report.rate) == (1, None)


@pytest.mark.parametrize("kind", PingKind)
async def test_this_node_answers_itself(peered: Bench, kind: PingKind) -> None:
    report = await ping(peered, "test.node", kind=kind)

    assert report.answered == 1
    assert peered.link.fake.requests == []


async def test_a_fulfillment_of_something_else_is_no_answer(peered: Bench) -> None:
    peered.link.fake.reply = Fulfill.build(bytes(32))

    report = await ping(peered)

    assert report.answered == 0
    assert "it fulfills another condition" in report.sentence


async def test_a_node_that_knows_no_pings_is_there_all_the_same(peered: Bench) -> None:
    rejects(peered, ErrorCode.UNREACHABLE, "test.bob", "unknown destination account")

    report = await ping(peered)

    assert report.answered == 1
    assert "is there and answered in 0.0 ms, with a reject" in report.sentence
    assert "It does not answer pings of this kind." in report.sentence
    assert "F02 from test.bob: unknown destination account." in report.sentence


async def test_a_node_that_finds_the_packet_too_large_is_not_said_to_know_no_pings(
    peered: Bench,
) -> None:
    rejects(peered, ErrorCode.AMOUNT_TOO_LARGE, "test.bob", "10 at most")

    report = await ping(peered)

    assert report.answered == 1
    assert report.sentence == (
        "test.bob is there and answered in 0.0 ms, with a reject. F08 from test.bob: 10 at most."
    )


async def test_a_reject_on_the_way_says_who_said_no_and_what_to_do(peered: Bench) -> None:
    rejects(peered, ErrorCode.PEER_UNREACHABLE, "test.bob", "its peer is gone")

    report = await ping(peered, "test.bob.far.away")

    assert report.answered == 0
    assert report.latency_us_mean is None
    assert "T01 from test.bob: its peer is gone." in report.sentence


async def test_where_no_route_leads_nothing_is_sent(peered: Bench) -> None:
    report = await ping(peered, "test.nowhere")

    assert report.sentence == "There is no route to test.nowhere."
    assert peered.link.fake.requests == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to": "test..bob"}, "destination"),
        ({"to": "peer.config"}, "destination"),
        ({"count": 0}, "count"),
        ({"count": 101}, "count"),
        ({"amount": -1, "from_username": "alice"}, "amount"),
        ({"amount": 1}, "from"),
    ],
)
async def test_what_cannot_be_pinged_is_refused(
    peered: Bench, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(SettingError) as caught:
        await ping(peered, **changes)  # type: ignore[arg-type]

    assert caught.value.field == field


async def test_nobody_pays_for_a_ping_who_is_not_there(peered: Bench) -> None:
    with pytest.raises(UnknownAccount):
        await ping(peered, from_username="nobody")


async def test_nothing_is_waited_for_once_a_ping_is_over(peered: Bench) -> None:
    late: list[bytes] = []

    def answer(request: OutgoingRequest[Account]) -> Reply:
        late.append(bytes(request.prepare.condition))
        return Reject.build(ErrorCode.CONNECTOR_BUSY, triggered_by="test.bob", message="")

    peered.link.fake.answer = answer
    await ping(peered)

    assert peered.node.pings.fulfillment(late[0]) is None
