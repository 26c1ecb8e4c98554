"""Being paid, through the whole node: what is received is owed, exactly once, and survives whatever ends a process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.account import AccountId, Asset
from core.config import NodeConfig
from core.errors import StoreUnavailable
from core.ledger.books import Transfer
from core.node import Node
from core.packet import Fulfill, Reject, Reply, address
from core.payments.records import ReceivedPayment
from core.payments.store import ReceivedFilter
from core.service import Verdict
from core.stream.credentials import Credentials
from core.stream.frames import (
    ConnectionAssetDetails,
    ConnectionClose,
    StreamData,
    StreamErrorCode,
    StreamMaxMoney,
    StreamReceipt,
)
from core.stream.receipt import Receipt, ReceiptTerms
from core.testing.builders import EUR, account
from core.testing.chain import Chain, FakeLink
from tests.core.stream.sending import stream_prepare, stream_reply

RECEIPTS = ReceiptTerms(b"n" * 16, b"s" * 32)
ALICE, BOB = AccountId("id-of-alice"), AccountId("id-of-bob")


async def chain(*, min_balance: int | None = None) -> Chain:
    alice = account("alice", min_balance=min_balance)
    return await Chain.build(alice, account("bob", asset=EUR))


def issue(chain: Chain, tag: str | None = None) -> Credentials:
    bob = chain.node.directory.by_username("bob")
    assert bob is not None
    return chain.node.stream_credentials.issue(
        bob.id, bob.ilp_address, tag=tag, receipts=RECEIPTS
    )


def total(credentials: Credentials, reply: Reply) -> int:
    """Return what the receipt in a reply is for."""
    (frame,) = stream_reply(credentials, reply).of(StreamReceipt)
    return Receipt.read(frame.receipt, RECEIPTS.secret).total_received


async def test_money_comes_in_through_rate_and_books_and_goes_to_no_link() -> None:
    node = await chain()
    bobs = issue(node)

    # 1.10 USD are 1.00 EUR.
    first = await node.handle(stream_prepare(bobs, 110, sequence=1, least=100))
    second = await node.handle(stream_prepare(bobs, 220, sequence=2, least=200))

    assert isinstance(first, Fulfill)
    assert ConnectionAssetDetails("EUR", 2) in stream_reply(bobs, first).frames
    assert (total(bobs, first), total(bobs, second)) == (100, 300)
    assert StreamMaxMoney(1, 2**64 - 1, 300) in stream_reply(bobs, second).frames
    books = node.stores.books
    assert (await books.balance(ALICE)).net == -330
    assert (await books.balance(BOB)).net == 300
    assert node.link.far_side.requests == []
    assert (await books.audit()).passed


async def test_what_is_rejected_was_not_received() -> None:
    node = await chain()
    bobs = issue(node)
    for prepare in (
        stream_prepare(bobs, 110, fulfillable=False),
        stream_prepare(bobs, 110, least=101),
        stream_prepare(replace(bobs, shared_secret=b"x" * 32), 110),
    ):
        assert isinstance(await node.handle(prepare), Reject)

    for who in (ALICE, BOB):
        balance = await node.stores.books.balance(who)
        assert (balance.net, balance.pending_in, balance.pending_out) == (0, 0, 0)


async def test_limits_of_the_sender_come_before_the_receiver() -> None:
    node = await chain(min_balance=0)

    reply = await node.handle(stream_prepare(issue(node), 110))

    assert isinstance(reply, Reject)
    assert reply.code == b"T04"


async def test_what_came_in_is_a_row_of_its_connection() -> None:
    node = await chain()
    bobs = issue(node)
    for sequence in (1, 2, 3):
        await node.handle(stream_prepare(bobs, 110, sequence=sequence))

    connection = node.node.stream_credentials.find(
        BOB, address("test.node.bob"), bobs.destination
    )
    assert connection is not None
    row = await node.stores.payments.received_payment(BOB, connection.id)
    assert row is not None
    assert (row.received, row.packets, row.from_account) == (300, 3, ALICE)


async def test_what_the_payer_writes_stands_with_the_money_even_what_comes_after_it() -> None:
    node = await chain()
    bobs = issue(node)

    async def row() -> ReceivedPayment:
        (found,) = await node.stores.payments.received_payments(ReceivedFilter())
        return found

    await node.handle(stream_prepare(bobs, 0, StreamData(1, 0, b"rent "), sequence=1))
    await node.handle(stream_prepare(bobs, 110, sequence=2))
    assert (await row()).payer_text == "rent "
    await node.handle(stream_prepare(bobs, 0, StreamData(1, 5, b"for May"), sequence=3))
    await node.node.notices.finish(5)
    assert (await row()).payer_text == "rent for May"


async def test_a_request_for_money_takes_its_amount_and_no_more() -> None:
    node = await chain()
    await node.stores.payments.create_invoice(
        invoice_id="inv-7",
        account=BOB,
        amount=250,
        description="",
        expires_at_ms=None,
        open_max=9,
    )
    bobs = issue(node, "inv-7")

    assert isinstance(await node.handle(stream_prepare(bobs, 220)), Fulfill)
    over = await node.handle(stream_prepare(bobs, 220, sequence=2))
    assert isinstance(over, Reject)
    assert "no more than 0.50 EUR is still asked for" in over.message
    assert not [*stream_reply(bobs, over).of(ConnectionClose)]
    assert isinstance(await node.handle(stream_prepare(bobs, 55, sequence=3)), Fulfill)
    done = await node.handle(stream_prepare(bobs, 2, sequence=4))
    assert isinstance(done, Reject)
    # Else its sender would wait for more room.
    (close,) = stream_reply(bobs, done).of(ConnectionClose)
    assert close == ConnectionClose(StreamErrorCode.NO_ERROR, "nothing more is asked for")
    invoice = await node.stores.payments.invoice("inv-7")
    assert invoice is not None
    assert (invoice.received, invoice.paid_at_ms is not None) == (250, True)


async def test_a_request_for_money_in_a_finer_unit_than_its_payers_is_paid() -> None:
    fine = Asset("EUR", 4)
    node = await Chain.build(account("alice"), account("bob", asset=fine))
    await node.stores.payments.create_invoice(
        invoice_id="inv-7",
        account=BOB,
        amount=500,
        description="",
        expires_at_ms=None,
        open_max=9,
    )
    bobs = issue(node, "inv-7")

    # 0.01 USD is 0.0090 EUR.
    for sequence, (cents, reply) in enumerate(
        ((5, Fulfill), (2, Reject), (1, Fulfill), (1, Reject))
    ):
        answer = await node.handle(stream_prepare(bobs, cents, sequence=sequence + 1))
        assert isinstance(answer, reply), cents
    invoice = await node.stores.payments.invoice("inv-7")
    assert invoice is not None
    assert (invoice.received, invoice.paid_at_ms is not None) == (544, True)
    assert (await node.stores.books.audit()).passed


async def test_a_request_for_money_that_cannot_be_looked_up_holds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = await chain()

    async def unreadable(*_: object) -> None:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(node.stores.payments, "invoice", unreadable)

    reply = await node.handle(stream_prepare(issue(node, "inv-7"), 110))

    assert isinstance(reply, Reject)
    assert (reply.code, "cannot look up" in reply.message) == (b"T00", True)
    assert (await node.stores.books.balance(BOB)).pending_out == 0
    assert node.node.afterwards.is_clear


async def test_the_node_explains_that_it_receives() -> None:
    node = await chain()

    steps = await node.explain(stream_prepare(issue(node), 110))

    assert steps[-1].verdict is Verdict.ANSWERS
    assert steps[-1].sentence == "This node receives 1.00 EUR for bob."
    assert (await node.stores.books.balance(BOB)).net == 0


async def test_another_process_over_the_same_store_receives_for_the_same_addresses() -> None:
    one = await chain()
    config = NodeConfig(store="memory:", ilp_address=address("test.node"), name="test")
    two = Node(one.stores, one.clock, config, lambda *_: FakeLink())
    try:
        await two.start()
        three = Node(one.stores, one.clock, config, lambda *_: FakeLink())
        await three.start()
        issued = two.stream_credentials.issue(BOB, address("test.node.bob"))
        found = three.stream_credentials.find(BOB, address("test.node.bob"), issued.destination)
        assert found is not None
        await three.stop(0)
    finally:
        await two.stop(0)


@pytest.mark.logs_warning
async def test_what_a_dead_node_had_not_booked_nobody_received() -> None:
    node = await chain()
    bobs = issue(node)
    books = node.stores.books

    async def left_open(destination: str, *, ends_here: bool = False) -> int:
        return await books.prepare(
            Transfer(
                from_account=ALICE,
                to_account=BOB,
                incoming_amount=5,
                outgoing_amount=5,
                conversion=None,
                destination=destination,
                condition=bytes(32),
                expires_at_ms=node.clock.now_ms() + 1_000,
                ends_here=ends_here,
            )
        )

    await left_open(bobs.destination, ends_here=True)
    elsewhere = await left_open("test.node.bob.a-program-of-his")
    await node.stores.leases.sign_off()

    await node.node.recover()

    assert [leg.id for leg in await books.unknown_transfers(limit=9)] == [elsewhere]
    balance = await books.balance(BOB)
    assert (balance.net, balance.unknown_out) == (0, 5)
