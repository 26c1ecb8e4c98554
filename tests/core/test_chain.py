"""The whole chain: every way in which a packet is refused, and that explaining tells what would happen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.account import AMOUNT_MAX_BOOKED, Account, RoutingRelation
from core.ildcp_message import CONDITION as ILDCP_CONDITION
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, read_max_packet_amount_data
from core.service import Verdict
from core.services.echo import ECHO_PREFIX, PING_CONDITION, echo_request_data
from core.testing.builders import EUR, USD, XRP, account, fulfill, prepare
from core.testing.chain import Chain

ALICE, BOB = account("alice"), account("bob")


@dataclass
class Case:
    """A packet from alice, in a node with these accounts, and how it is refused."""

    code: str
    words: str
    packet: Prepare
    alice: Account = ALICE
    bob: Account = BOB
    setting: Callable[[Chain], Awaitable[Any] | Any] | None = None
    spread: Fraction = Fraction(0)


async def fill(chain: Chain) -> None:
    await chain.handle(prepare(0))


MATRIX = {
    "a stopping node": Case(
        "T00", "stopping", prepare(), setting=lambda c: c.node.gate.close("It is stopping.")
    ),
    "a busy node": Case(
        "T03", "0 packets in flight", prepare(), setting=lambda c: setattr(c.node.gate, "total_max", 0)
    ),
    "packets a minute": Case(
        "T05", "one packet a minute", prepare(),
        alice=replace(ALICE, packets_per_minute_limit=1), setting=fill,
    ),
    "amount a minute": Case(
        "T04", "0.99 USD a minute", prepare(100), alice=replace(ALICE, amount_per_minute_limit=99)
    ),
    "packets in flight": Case(
        "T03", "alice has 0 packets in flight, and may have 0 at once", prepare(),
        alice=replace(ALICE, packets_in_flight_limit=0),
    ),
    "an amount in flight": Case(
        "T04", "alice may have 0.99 USD in flight, has 0.00 USD, and this packet carries 1.00 USD",
        prepare(100), alice=replace(ALICE, amount_in_flight_limit=99),
    ),
    "an amount sent a minute": Case(
        "T04", "This node sends bob 0.99 USD a minute, of which 0.99 USD is left", prepare(100),
        bob=replace(BOB, outgoing_amount_per_minute_limit=99),
    ),
    "an expired packet": Case("R00", "expired 1 ms ago", prepare(expires_in_ms=-1)),
    "a paused sender": Case("F02", "alice is paused", prepare(), alice=replace(ALICE, enabled=False)),
    "a large packet": Case(
        "F08", "0.99 USD in one packet", prepare(100), alice=replace(ALICE, max_packet_amount=99)
    ),
    "an address for a peer": Case(
        "F00", "only a child", prepare(0, destination="peer.config", condition=ILDCP_CONDITION),
        alice=replace(ALICE, routing_relation=RoutingRelation.PEER),
    ),
    "a strange request for an address": Case("F00", "another", prepare(0, destination="peer.config")),
    "a paid request for an address": Case(
        "F03", "no money", prepare(1, destination="peer.config", condition=ILDCP_CONDITION)
    ),
    "a malformed echo": Case(
        "F01", "its type is 9", prepare(destination="test.node", data=ECHO_PREFIX + b"\x09")
    ),
    "an echo of nothing": Case(
        "F01", "no ping of this node", prepare(destination="test.node", data=ECHO_PREFIX + b"\x01")
    ),
    "an echo to nowhere": Case(
        "F02", "no route", prepare(destination="test.node", data=echo_request_data("test.far"))
    ),
    "an echo to a link": Case(
        "F02", "never forwarded", prepare(destination="test.node", data=echo_request_data("peer.config"))
    ),
    "our own address": Case("F02", "this node itself", prepare(destination="test.node")),
    "no route": Case("F02", "no route", prepare(destination="test.nobody")),
    "an unknown peer protocol": Case("F02", "never forwarded", prepare(destination="peer.settle")),
    "another network": Case("F02", "another network", prepare(destination="g.bob")),
    "back to the sender": Case("F02", "would go back", prepare(destination="test.node.alice.x")),
    "a paused receiver": Case("F02", "bob, who is paused", prepare(), bob=replace(BOB, enabled=False)),
    "no rate": Case(
        "T00", "no exchange rate from USD to GBP", prepare(), bob=replace(BOB, asset=replace(USD, code="GBP"))
    ),
    "dust": Case(
        "R01", "smallest unit", prepare(1), bob=replace(BOB, asset=replace(USD, scale=0))
    ),
    "more than the books carry": Case("F08", "can carry", prepare(2**63)),
    "more than they carry once converted": Case("F08", "can carry", prepare(2**62), bob=replace(BOB, asset=XRP)),
    "more spread than they carry": Case(
        "F08", "can carry", prepare(2**62), bob=replace(BOB, asset=replace(USD, scale=4)), spread=Fraction(99, 100)
    ),
    "a balance that would not fit": Case(
        "T04", "larger than the books carry", prepare(100),
        setting=lambda c: c.stores.books.correct(BOB.id, 2**63 - 100, "a rich man"),
    ),
    "no balance": Case(
        "T04", "0.99 USD left", prepare(100), alice=replace(ALICE, min_balance=-99)
    ),
    "a ping that cannot be paid": Case(
        "T04", "0.00 USD left", prepare(1, destination="test.node", condition=PING_CONDITION),
        alice=replace(ALICE, min_balance=0),
    ),
    "too little time": Case("R02", "later expiry", prepare(expires_in_ms=1_999)),
}  # fmt: skip


@pytest.mark.parametrize("case", MATRIX.values(), ids=MATRIX.keys())
async def test_each_refusal_has_its_code_its_sentence_and_is_foretold(case: Case) -> None:
    chain = await Chain.build(case.alice, case.bob, spread=case.spread)
    if case.setting is not None and (done := case.setting(chain)) is not None:
        await done

    said = await chain.explain(case.packet)
    reply = await chain.handle(case.packet)

    assert isinstance(reply, Reject)
    assert (reply.code.decode(), reply.triggered_by) == (case.code, "test.node")
    assert case.words in reply.message
    assert reply.message.endswith(".")
    assert said[-1].verdict is Verdict.REJECTS
    assert said[-1].reject == reply
    assert said[-1].sentence == reply.message
    if case.code == "F08":
        assert read_max_packet_amount_data(reply.data) is not None
    balance = await chain.stores.books.balance(ALICE.id)
    assert (balance.pending_in, balance.receivable) == (0, 0)


async def test_a_packet_goes_through_and_is_booked_and_counted() -> None:
    chain = await Chain.build(ALICE, replace(BOB, asset=EUR), spread=Fraction(1, 100))

    said = await chain.explain(prepare(1100))
    reply = await chain.handle(prepare(1100))

    assert reply == fulfill()
    assert [step.service for step in said] == [
        "admission", "rate limit", "validate incoming", "max packet amount", "duplicates", "router",
        "exchange rate", "throughput", "balance", "expiry", "validate outgoing", "fake",
    ]  # fmt: skip
    (sent,) = chain.link.far_side.requests
    assert (sent.prepare.amount, sent.incoming_amount) == (990, 1100)
    assert sent.prepare.expires_at_ms == chain.clock.now_ms() + 9_000
    assert (await chain.stores.books.balance(ALICE.id)).receivable == 1100
    assert (await chain.stores.books.balance(BOB.id)).payable == 990
    assert (await chain.stores.books.audit()).findings == ()
    (record,) = chain.node.recorder.packets(after_sequence=0, limit=10)
    assert (record.incoming_amount, record.outgoing_amount, record.code) == (1100, 990, "")
    assert record.to_account == BOB.id
    assert record.transfer is not None
    converted = await chain.stores.rate_feed.converted_by(record.transfer)
    assert converted is not None
    assert converted.spread == Fraction(1, 100)


async def test_a_packet_is_counted_with_its_row_in_the_books_where_it_has_one() -> None:
    chain = await Chain.build(ALICE, BOB)
    chain.link.far_side.reply = Reject.build(
        ErrorCode.INSUFFICIENT_LIQUIDITY, triggered_by="test.node.bob", message="full"
    )
    await chain.handle(prepare(7))
    await chain.handle(prepare(0))
    await chain.handle(prepare(7, destination="test.nowhere"))

    rejected, empty, lost = chain.node.recorder.packets(after_sequence=0, limit=10)

    assert (rejected.code, empty.transfer, lost.transfer) == ("T04", None, None)
    assert rejected.transfer is not None
    assert await chain.stores.rate_feed.converted_by(rejected.transfer) is not None


async def test_an_echo_moves_the_money_there_and_back_and_the_books_hold() -> None:
    chain = await Chain.build(ALICE, BOB)
    packet = prepare(5, destination="test.node", data=echo_request_data("test.node.alice.ping"))

    reply = await chain.handle(packet)

    balance = await chain.stores.books.balance(ALICE.id)
    assert reply == fulfill()
    assert chain.link.far_side.requests[0].to_account.id == ALICE.id
    assert (balance.payable, balance.receivable, balance.pending_in) == (5, 5, 0)
    assert (await chain.stores.books.audit()).findings == ()


async def test_what_a_one_way_ping_carries_is_income_and_the_books_hold() -> None:
    chain = await Chain.build(ALICE)
    packet = prepare(3, destination="test.node", condition=PING_CONDITION)

    said = await chain.explain(packet)
    reply = await chain.handle(packet)

    assert isinstance(reply, Fulfill)
    assert said[-1].verdict is Verdict.ANSWERS
    report = await chain.stores.books.audit()
    assert (report.findings, report.totals[0].spread, report.totals[0].sum) == ((), 3, 0)


@pytest.mark.parametrize("jump_ms", [-3_600_000, -1_000, 1_000, 3_600_000])
async def test_a_wall_clock_that_jumps_makes_no_packet_in_flight_late(jump_ms: int) -> None:
    chain = await Chain.build(ALICE, BOB)

    def answer(_: object) -> Reply:
        chain.clock.advance(milliseconds=50)
        chain.clock.jump(milliseconds=jump_ms)
        return fulfill()

    chain.link.far_side.answer = answer

    assert await chain.handle(prepare(100)) == fulfill()
    assert (await chain.stores.books.balance(BOB.id)).payable == 100


NAMES = st.sampled_from(["alice", "bob", "carol"])
ASSETS = st.sampled_from([USD, EUR, XRP, replace(USD, scale=0), replace(USD, code="GBP")])
LIMITS = st.none() | st.integers(0, 300)
ACCOUNTS = st.builds(
    account,
    asset=ASSETS,
    enabled=st.sampled_from([True, True, True, False]),
    max_packet_amount=st.sampled_from([50, 300, 2**64 - 1]),
    min_balance=st.none() | st.integers(-300, 0),
    packets_per_minute_limit=st.none() | st.integers(0, 3),
    amount_per_minute_limit=LIMITS,
    packet_burst_limit=st.none() | st.integers(0, 3),
    amount_burst_limit=LIMITS,
    amount_in_flight_limit=LIMITS,
    outgoing_amount_per_minute_limit=LIMITS,
    routing_relation=st.sampled_from(RoutingRelation),
    round_trip_time_ms=st.integers(0, 2_000),
)
DESTINATIONS = st.sampled_from([
    "test.node.alice.x", "test.node.bob", "test.node.carol.y", "test.node", "test.static.z", "test.nobody",
    "peer.config", "peer.x", "self.x", "g.x",
])  # fmt: skip
AMOUNTS = st.integers(0, 400) | st.sampled_from(
    [2**53 + 1, 2**62, AMOUNT_MAX_BOOKED, 2**63, 2**64 - 1]
)
DATA = st.sampled_from([
    b"", ECHO_PREFIX, ECHO_PREFIX + b"\x01", echo_request_data("test.node.alice"), echo_request_data("test.x"),
])  # fmt: skip
CONDITIONS = st.sampled_from([PING_CONDITION, ILDCP_CONDITION, prepare().condition.tobytes()])
PACKETS = st.builds(
    prepare,
    AMOUNTS,
    destination=DESTINATIONS,
    expires_in_ms=st.integers(-10, 10_000),
    condition=CONDITIONS,
    data=DATA,
)


@given(
    accounts=st.tuples(ACCOUNTS, ACCOUNTS, ACCOUNTS),
    packets=st.lists(st.tuples(NAMES, PACKETS), min_size=1, max_size=6),
    spread=st.sampled_from([Fraction(0), Fraction(1, 100), Fraction(99, 100)]),
    static=NAMES,
)
async def test_what_is_explained_is_what_happens(
    accounts: tuple[Account, Account, Account],
    packets: list[tuple[str, Prepare]],
    spread: Fraction,
    static: str,
) -> None:
    """For any accounts, after any packets: the same code, the same sentence, the same next hop and amount."""
    named = [
        replace(one, id=account(name).id, username=name, ilp_address=account(name).ilp_address)
        for name, one in zip(("alice", "bob", "carol"), accounts, strict=True)
    ]
    chain = await Chain.build(*named, spread=spread, static={"test.static": static})
    for sender, packet in packets:
        far = chain.link.far_side
        far.requests.clear()

        said = await chain.explain(packet, sender)
        assert far.requests == []
        reply = await chain.handle(packet, sender)

        last = said[-1]
        if last.verdict is Verdict.REJECTS:
            assert reply == last.reject
            assert far.requests == []
        elif last.verdict is Verdict.ANSWERS:
            assert isinstance(reply, Fulfill)
            assert far.requests == []
        else:
            facts: dict[str, Any] = {}
            for step in said:
                facts |= step.facts
            (sent,) = far.requests
            assert facts["next_hop"] == sent.to_account.username
            assert facts["outgoing_amount"] == sent.prepare.amount
            assert facts["expires_at_ms"] == sent.prepare.expires_at_ms
    assert (await chain.stores.books.audit()).findings == ()
    assert chain.node.gate.in_flight == 0


async def test_a_copy_of_what_was_given_up_and_expires_late_waits_and_is_not_sent_again() -> (
    None
):
    chain = await Chain.build(ALICE, BOB)
    packet = prepare(100, expires_in_ms=3_600_000)
    leaves, never = asyncio.Event(), asyncio.Event()

    async def answer(_: object) -> Reply:
        leaves.set()
        await never.wait()
        return fulfill()

    chain.link.far_side.answer = answer
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(chain.handle(packet.copy()))
        await leaves.wait()
        first.cancel()
        await asyncio.wait([first])
        copy = tasks.create_task(chain.handle(packet.copy()))
        await asyncio.wait([copy], timeout=0.1)
        assert not copy.done()
        chain.clock.advance(seconds=3_600)
    reply = copy.result()

    assert isinstance(reply, Reject)
    assert (reply.code, "it is not sent again" in reply.message) == (b"R00", True)
    assert len(chain.link.far_side.requests) == 1
    assert (await chain.stores.books.balance(BOB.id)).pending_out == 100
