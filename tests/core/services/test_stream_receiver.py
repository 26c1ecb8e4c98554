"""The STREAM receiver: what it fulfills, what it refuses and how, what it says of a connection, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.account import Account, AccountId
from core.node_address import NodeAddress
from core.packet import Fulfill, Prepare, Reject, Reply, address
from core.service import Booked, OutgoingRequest, Receivable, Received, Verdict
from core.services.stream_receiver import StreamReceiverService
from core.stream.credentials import Credentials, StreamCredentials
from core.stream.crypto import StreamKeys
from core.stream.frames import (
    UINT_MAX,
    ConnectionAssetDetails,
    ConnectionClose,
    ConnectionDataBlocked,
    ConnectionMaxData,
    ConnectionMaxStreamId,
    ConnectionNewAddress,
    Frame,
    StreamData,
    StreamDataBlocked,
    StreamErrorCode,
    StreamMaxData,
    StreamMaxMoney,
    StreamMoney,
    StreamMoneyBlocked,
    StreamReceipt,
)
from core.stream.inbox import StreamInbox
from core.stream.packet import PacketType, StreamPacket
from core.stream.receipt import Receipt, ReceiptTerms
from core.stream.receiver import (
    DATA_WINDOW,
    SEQUENCE_MAX,
    TOTALS_KEPT,
    Heard,
    RunningTotals,
)
from core.testing.builders import account, outgoing
from core.testing.clock import START_MS, FakeClock
from core.testing.services import FakeOutgoing
from tests.core.packet.vectors import load
from tests.core.stream.sending import stream_prepare, stream_reply

RECEIPTS = ReceiptTerms(b"n" * 16, b"s" * 32)


@dataclass
class FakeGate:
    """Requests for money, by tag."""

    open: dict[str, int] = field(default_factory=dict)
    held: list[int] = field(default_factory=list)
    others: int = 0
    """What is held for other connections."""

    async def receivable(self, account: AccountId, invoice: str) -> Receivable:
        return Receivable(self.open.get(invoice, 0))

    async def hold(
        self,
        account: AccountId,
        invoice: str,
        connection: str,
        incoming_amount: int,
        amount: int,
    ) -> Receivable:
        receivable = await self.receivable(account, invoice)
        if receivable.takes(incoming_amount, amount):
            self.held.append(amount)
        return receivable

    def release(self, invoice: str, connection: str, amount: int) -> None:
        self.held.remove(amount)

    def held_by_others(self, invoice: str, connection: str) -> int:
        return self.others


class Receiver:
    """The service, with the account bob behind it and a link that notes what passes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bob = account("bob")
        self.gate = FakeGate()
        self.inbox = StreamInbox()
        self.link = FakeOutgoing()
        self.credentials = StreamCredentials(self.clock, b"k" * 32)
        self.service: StreamReceiverService[Account] = StreamReceiverService(
            self.link,
            self.credentials,
            self.gate,
            RunningTotals(),
            self.inbox,
            NodeAddress(address("test.node")),
        )
        self.booked: dict[int, int] = {}

    def issue(self, **terms: Any) -> Credentials:
        return self.credentials.issue(self.bob.id, self.bob.ilp_address, **terms)

    async def send(self, prepare: Prepare) -> tuple[Reply, OutgoingRequest[Account]]:
        """Return the reply as it leaves once it is booked, as the balance service does it."""
        request = outgoing(prepare, receiver=self.bob)
        reply = await self.service.send(request)
        if isinstance(reply, Fulfill) and request.seal is not None:
            assert request.received is not None
            for stream, amount in request.received.streams:
                self.booked[stream] = self.booked.get(stream, 0) + amount
            left, invoice = None, request.received.invoice
            if invoice is not None:
                left = self.gate.open[invoice] = self.gate.open[invoice] - prepare.amount
            reply = request.seal(Booked(dict(self.booked), left))
        if request.release is not None:
            request.release()
        return reply, request


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def kinds(packet: StreamPacket) -> list[str]:
    return [type(frame).__name__ for frame in packet.frames]


# --- What is fulfilled


async def test_money_is_fulfilled_and_told_to_the_books_as_a_part_of_its_connection(
    receiver: Receiver,
) -> None:
    bobs = receiver.issue()
    prepare = stream_prepare(bobs, 250, sequence=7, least=200)

    reply, request = await receiver.send(prepare)

    assert isinstance(reply, Fulfill)
    assert sha256(reply.fulfillment).digest() == prepare.condition
    connection = receiver.credentials.find(
        receiver.bob.id, receiver.bob.ilp_address, bobs.destination
    )
    assert connection is not None
    assert request.received == Received(
        connection=connection.id, sequence=7, streams=((1, 250),)
    )
    said = stream_reply(bobs, reply)
    assert (said.sequence, said.packet_type, said.amount) == (7, PacketType.FULFILL, 250)
    assert said.frames == (
        ConnectionMaxData(DATA_WINDOW),
        StreamMaxMoney(1, UINT_MAX, 250),
        StreamMaxData(1, DATA_WINDOW),
    )
    assert receiver.link.requests == []


async def test_totals_grow_from_packet_to_packet_and_probes_hear_the_last(
    receiver: Receiver,
) -> None:
    bobs = receiver.issue()
    for sequence, total in ((2, 100), (3, 200)):
        reply, _ = await receiver.send(stream_prepare(bobs, 100, sequence=sequence))
        assert StreamMaxMoney(1, UINT_MAX, total) in stream_reply(bobs, reply).frames

    probe, _ = await receiver.send(stream_prepare(bobs, 5, sequence=4, fulfillable=False))
    assert StreamMaxMoney(1, UINT_MAX, 200) in stream_reply(bobs, probe).frames


async def test_nothing_is_said_of_totals_before_they_are_booked(receiver: Receiver) -> None:
    bobs = receiver.issue(receipts=RECEIPTS)
    request = outgoing(stream_prepare(bobs, 100), receiver=receiver.bob)

    reply = await receiver.service.send(request)

    assert isinstance(reply, Fulfill)
    assert bytes(reply.data) == b""
    assert request.seal is not None


async def test_an_empty_packet_that_can_be_fulfilled_is_and_books_nothing(
    receiver: Receiver,
) -> None:
    bobs = receiver.issue()

    reply, request = await receiver.send(stream_prepare(bobs, 0, ConnectionNewAddress("")))

    assert isinstance(reply, Fulfill)
    assert request.seal is None
    assert stream_reply(bobs, reply).amount == 0


async def test_whoever_connects_learns_what_amounts_count(receiver: Receiver) -> None:
    bobs = receiver.issue()
    for sequence, frame in ((1, StreamMoney(1, 1)), (9, ConnectionNewAddress(""))):
        for fulfillable in (True, False):
            reply, _ = await receiver.send(
                stream_prepare(bobs, 0, frame, sequence=sequence, fulfillable=fulfillable)
            )
            said = stream_reply(bobs, reply)
            assert ConnectionAssetDetails("USD", 2) in said.frames
            assert ConnectionMaxStreamId(19) in said.frames

    reply, _ = await receiver.send(stream_prepare(bobs, 0, sequence=2))
    assert "ConnectionAssetDetails" not in kinds(stream_reply(bobs, reply))


async def test_an_address_with_more_segments_is_the_same_connection(receiver: Receiver) -> None:
    bobs = receiver.issue()

    reply, request = await receiver.send(stream_prepare(bobs, 10, suffix=".more"))

    assert isinstance(reply, Fulfill)
    assert request.received is not None


# --- Streams


@pytest.mark.parametrize("row", load("rfcs/misc.json")["stream_share_split"])
async def test_shares_split_the_amount_as_the_rfc_has_it(
    receiver: Receiver, row: dict[str, Any]
) -> None:
    frames = [StreamMoney(2 * n + 1, share) for n, share in enumerate(row["shares"])]

    _, request = await receiver.send(stream_prepare(receiver.issue(), row["amount"], *frames))

    assert request.received is not None
    assert [part for _, part in request.received.streams] == row["received"]


@given(
    st.integers(1, UINT_MAX),
    st.lists(st.tuples(st.sampled_from([1, 3, 5, 7]), st.integers(0, UINT_MAX)), max_size=6),
)
def test_a_split_gives_all_of_it_away_and_nobody_more_than_the_shares_and_the_rest(
    amount: int, shares: list[tuple[int, int]]
) -> None:
    receiver = Receiver()
    bobs = receiver.issue()
    frames = tuple(StreamMoney(stream, share) for stream, share in shares)
    connection = receiver.credentials.find(
        receiver.bob.id, receiver.bob.ilp_address, bobs.destination
    )
    assert connection is not None
    heard = Heard.read(
        connection,
        receiver.bob.asset,
        stream_prepare(bobs, amount, *(frames or (ConnectionMaxData(0),))),
    )

    split = heard.split()

    assert sum(part for _, part in split) == amount
    together = sum(share for _, share in shares)
    for stream, part in split[1:]:
        own = sum(share for other, share in shares if other == stream)
        assert part == amount * own // together


async def test_money_of_no_stream_is_stream_ones(receiver: Receiver) -> None:
    bobs = receiver.issue()

    _, request = await receiver.send(stream_prepare(bobs, 10, ConnectionMaxData(0)))

    assert request.received is not None
    assert request.received.streams == ((1, 10),)


# --- Receipts


async def test_each_stream_gets_a_receipt_of_all_that_it_has_received(
    receiver: Receiver,
) -> None:
    bobs = receiver.issue(receipts=RECEIPTS)
    both = (StreamMoney(1, 1), StreamMoney(3, 1))
    await receiver.send(stream_prepare(bobs, 100, *both, sequence=2))

    reply, _ = await receiver.send(stream_prepare(bobs, 50, *both, sequence=3))

    receipts = [
        Receipt.read(frame.receipt, RECEIPTS.secret)
        for frame in stream_reply(bobs, reply).of(StreamReceipt)
    ]
    assert receipts == [
        Receipt(RECEIPTS.nonce, 1, 75),
        Receipt(RECEIPTS.nonce, 3, 75),
    ]


async def test_a_reject_and_a_connection_without_terms_have_no_receipt(
    receiver: Receiver,
) -> None:
    for terms, fulfillable in ((RECEIPTS, False), (None, True)):
        bobs = receiver.issue(receipts=terms)
        reply, _ = await receiver.send(stream_prepare(bobs, 9, fulfillable=fulfillable))
        assert "StreamReceipt" not in kinds(stream_reply(bobs, reply))


# --- What is refused


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"fulfillable": False}, "cannot derive its condition"),
        ({"least": 101}, "asks for at least 1.01 USD, and 1.00 USD came"),
    ],
)
async def test_probes_and_too_little_are_answered_with_what_came(
    receiver: Receiver, changes: dict[str, Any], sentence: str
) -> None:
    bobs = receiver.issue()

    reply, request = await receiver.send(stream_prepare(bobs, 100, sequence=3, **changes))

    assert isinstance(reply, Reject)
    assert reply.code == b"F99"
    assert reply.triggered_by == "test.node"
    assert sentence in reply.message
    said = stream_reply(bobs, reply)
    assert (said.sequence, said.packet_type, said.amount) == (3, PacketType.REJECT, 100)
    assert "ConnectionClose" not in kinds(said)
    assert request.received is None
    assert request.seal is None


async def test_data_of_another_connection_is_unexpected(receiver: Receiver) -> None:
    bobs, other = receiver.issue(), receiver.issue()
    mixed = Credentials(bobs.destination, other.shared_secret)

    reply, _ = await receiver.send(stream_prepare(mixed, 100))

    assert isinstance(reply, Reject)
    assert reply.code == b"F06"
    assert bytes(reply.data) == b""
    assert "cannot be read with its connection's keys" in reply.message


async def test_what_says_it_is_a_reply_is_unexpected(receiver: Receiver) -> None:
    prepare = stream_prepare(receiver.issue(), 100, packet_type=PacketType.FULFILL)

    reply, _ = await receiver.send(prepare)

    assert isinstance(reply, Reject)
    assert reply.code == b"F06"
    assert "says that it is a Fulfill, and came in a Prepare" in reply.message


async def test_a_known_frame_that_cannot_be_read_is_unexpected(receiver: Receiver) -> None:
    bobs = receiver.issue()
    keys = StreamKeys(bobs.shared_secret)
    data = keys.encrypt(bytes.fromhex("010c010001000101 0304ffffffff"))
    prepare = Prepare.build(
        amount=1,
        expires_at_ms=START_MS + 9_000,
        condition=keys.condition(data),
        destination=bobs.destination,
        data=data,
    )

    reply, _ = await receiver.send(prepare)

    assert isinstance(reply, Reject)
    assert reply.code == b"F06"
    assert "ConnectionMaxData" in reply.message


@pytest.mark.parametrize(
    ("frames", "sequence", "code"),
    [
        ((StreamMoney(2, 1),), 1, StreamErrorCode.PROTOCOL_VIOLATION),
        ((StreamMoney(0, 1),), 1, StreamErrorCode.PROTOCOL_VIOLATION),
        ((StreamMoney(21, 1),), 1, StreamErrorCode.STREAM_ID_ERROR),
        ((StreamMoney(UINT_MAX, 1),), 1, StreamErrorCode.STREAM_ID_ERROR),
        ((StreamMoney(1, 1),), SEQUENCE_MAX + 1, StreamErrorCode.PROTOCOL_VIOLATION),
    ],
)
async def test_what_a_sender_may_not_do_ends_its_connection(
    receiver: Receiver, frames: tuple[Any, ...], sequence: int, code: StreamErrorCode
) -> None:
    bobs = receiver.issue()

    reply, request = await receiver.send(stream_prepare(bobs, 10, *frames, sequence=sequence))

    assert isinstance(reply, Reject)
    assert reply.code == b"F99"
    (close,) = stream_reply(bobs, reply).of(ConnectionClose)
    assert close.code == code
    assert reply.message == f"{close.message}."
    assert request.received is None


@pytest.mark.parametrize(
    ("frames", "connection", "stream"),
    [
        ((StreamData(1, 0, bytes(20_000)),), 20_000, 20_000),
        ((StreamData(1, 90_000, b"xyz"),), 90_003, 90_003),
        ((StreamDataBlocked(1, 70_000),), 70_000, 70_000),
        ((StreamMoney(1, 1), ConnectionDataBlocked(70_000)), 70_000, 0),
        ((StreamData(1, 5, b"x"), StreamData(1, 2, b"x"), StreamData(3, 9, b"")), 15, 6),
    ],
)
async def test_the_windows_of_data_move_on_with_what_is_written(
    receiver: Receiver, frames: tuple[Any, ...], connection: int, stream: int
) -> None:
    bobs = receiver.issue()

    reply, _ = await receiver.send(stream_prepare(bobs, 0, *frames))

    assert isinstance(reply, Fulfill)
    said = stream_reply(bobs, reply).frames
    assert ConnectionMaxData(connection + DATA_WINDOW) in said
    assert StreamMaxData(1, stream + DATA_WINDOW) in said


async def test_no_window_is_told_that_is_more_than_can_be_written(receiver: Receiver) -> None:
    bobs = receiver.issue()

    reply, _ = await receiver.send(stream_prepare(bobs, 0, StreamData(1, UINT_MAX, b"")))

    said = stream_reply(bobs, reply).frames
    assert {ConnectionMaxData(UINT_MAX), StreamMaxData(1, UINT_MAX)} <= {*said}


async def test_what_is_written_on_a_stream_is_kept_with_its_connection(
    receiver: Receiver,
) -> None:
    bobs = receiver.issue()
    connection = receiver.credentials.find(
        receiver.bob.id, receiver.bob.ilp_address, bobs.destination
    )
    assert connection is not None
    refused = stream_prepare(bobs, 0, StreamData(1, 0, b"no"), fulfillable=False)
    told = []
    for prepare in (
        refused,
        stream_prepare(bobs, 0, StreamData(1, 5, b"for May")),
        stream_prepare(bobs, 9, StreamMoney(1, 1), StreamData(1, 0, b"rent ")),
        stream_prepare(bobs, 9, StreamMoney(1, 1)),
        stream_prepare(bobs, 0, StreamMoney(1, 1)),
    ):
        _, request = await receiver.send(prepare)
        told.append(None if request.received is None else request.received.payer_text)

    assert receiver.inbox.text(receiver.bob.id, connection.id) == "rent for May"
    assert told == [None, "", "rent for May", "rent for May", ""]


async def test_credentials_whose_time_is_over_are_unreachable(receiver: Receiver) -> None:
    bobs = receiver.issue(expires_at_ms=START_MS + 1_000)
    prepare = stream_prepare(bobs, 10)
    receiver.clock.advance(seconds=1)

    reply, _ = await receiver.send(prepare)

    assert isinstance(reply, Reject)
    assert reply.code == b"F02"
    assert reply.message == "The payment address has expired: ask for a new one."


# --- Requests for money


async def test_an_invoice_takes_what_it_asks_for_and_no_more(receiver: Receiver) -> None:
    receiver.gate.open["order 7"] = 100
    bobs = receiver.issue(tag="order 7")

    reply, request = await receiver.send(stream_prepare(bobs, 60))
    assert request.received is not None
    assert request.received.invoice == "order 7"
    assert StreamMaxMoney(1, 100, 60) in stream_reply(bobs, reply).frames

    receiver.gate.open["order 7"] = 40
    reply, request = await receiver.send(stream_prepare(bobs, 41))
    assert isinstance(reply, Reject)
    assert reply.code == b"F99"
    assert "no more than 0.40 USD is still asked for, and 0.41 USD came" in reply.message
    assert StreamMaxMoney(1, 100, 60) in stream_reply(bobs, reply).frames
    assert request.received is None


async def test_an_invoice_takes_the_least_that_its_sender_can_send_though_it_brings_more(
    receiver: Receiver,
) -> None:
    receiver.gate.open["order 7"] = 6
    bobs = receiver.issue(tag="order 7")
    request = outgoing(stream_prepare(bobs, 93), receiver=receiver.bob)
    request.incoming_amount = 1

    reply = await receiver.service.send(request)

    assert isinstance(reply, Fulfill)
    assert receiver.gate.held == [93]
    request.incoming_amount = 2  # one would have brought 46
    assert isinstance(await receiver.service.send(request), Reject)


async def test_who_asks_for_more_room_is_told_when_there_will_be_none(
    receiver: Receiver,
) -> None:
    receiver.gate.open["order 7"] = 100
    bobs = receiver.issue(tag="order 7")
    blocked = StreamMoneyBlocked(1, 200, 100)

    async def closes(*frames: Frame) -> list[ConnectionClose]:
        reply, _ = await receiver.send(stream_prepare(bobs, 0, *frames))
        return [*stream_reply(bobs, reply).of(ConnectionClose)]

    assert await closes(blocked) == []
    receiver.gate.others = 100  # it may still not be booked
    assert await closes(blocked) == []
    receiver.gate.open["order 7"] = receiver.gate.others = 0
    assert await closes(StreamData(1, 0, b"a word more")) == []
    (close,) = await closes(blocked)
    assert close == ConnectionClose(StreamErrorCode.NO_ERROR, "nothing more is asked for")


async def test_a_sender_is_told_of_what_is_asked_for_less_what_others_are_paying(
    receiver: Receiver,
) -> None:
    receiver.gate.open["order 7"] = 100
    receiver.gate.others = 30
    bobs = receiver.issue(tag="order 7")

    async def told(prepare: Prepare) -> int:
        reply, _ = await receiver.send(prepare)
        (most,) = stream_reply(bobs, reply).of(StreamMaxMoney)
        return most.receive_max

    assert await told(stream_prepare(bobs, 10)) == 10 + 90 - 30
    assert await told(stream_prepare(bobs, 91)) == 10 + 90 - 30
    assert await told(stream_prepare(bobs, 80)) == 90
    receiver.gate.others = 0
    assert await told(stream_prepare(bobs, 2, fulfillable=False)) == 90 + 10


async def test_what_the_books_find_is_more_than_is_asked_for_is_refused_in_the_same_words(
    receiver: Receiver,
) -> None:
    receiver.gate.open["order 7"] = 100
    bobs = receiver.issue(tag="order 7")
    _, request = await receiver.send(stream_prepare(bobs, 60))

    assert request.refuse is not None
    reply = request.refuse(40)  # another node was paid meanwhile

    assert reply.code == b"F99"
    assert "no more than 0.40 USD is still asked for, and 0.60 USD came" in reply.message
    assert StreamMaxMoney(1, 100, 60) in stream_reply(bobs, reply).frames


async def test_what_pays_an_invoice_is_held_until_it_is_booked_and_nothing_else_is(
    receiver: Receiver,
) -> None:
    receiver.gate.open["order 7"] = 100
    bobs = receiver.issue(tag="order 7")
    for prepare, held in (
        (stream_prepare(bobs, 60), [60]),
        (stream_prepare(bobs, 101), []),
        (stream_prepare(bobs, 0), []),
        (stream_prepare(bobs, 60, fulfillable=False), []),
        (stream_prepare(bobs, 60, least=61), []),
    ):
        request = outgoing(prepare, receiver=receiver.bob)
        await receiver.service.send(request)
        assert receiver.gate.held == held
        if request.release is not None:
            request.release()
        assert receiver.gate.held == []


async def test_an_invoice_that_is_over_takes_nothing(receiver: Receiver) -> None:
    bobs = receiver.issue(tag="unknown")

    reply, _ = await receiver.send(stream_prepare(bobs, 1))

    assert isinstance(reply, Reject)
    assert "no more than 0.00 USD is still asked for" in reply.message


# --- The end


@pytest.mark.parametrize("fulfillable", [True, False])
async def test_the_books_hear_of_a_close_whether_or_not_it_can_be_fulfilled(
    receiver: Receiver, fulfillable: bool
) -> None:
    bobs = receiver.issue()
    close = ConnectionClose(StreamErrorCode.NO_ERROR, "")

    reply, request = await receiver.send(
        stream_prepare(bobs, 0, close, sequence=5, fulfillable=fulfillable)
    )

    assert isinstance(reply, Fulfill) == fulfillable
    assert request.received is not None
    assert request.received.closes
    assert request.received.streams == ()


# --- What is not ours


@pytest.mark.parametrize(
    "destination", ["test.node.bob", "test.node.bob.invoice", "test.elsewhere.carol"]
)
async def test_what_we_issued_no_credentials_for_passes(
    receiver: Receiver, destination: str
) -> None:
    prepare = stream_prepare(Credentials(address(destination), b"x" * 32), 10)

    reply, _ = await receiver.send(prepare)

    assert len(receiver.link.requests) == 1
    assert reply is receiver.link.reply


async def test_another_accounts_credentials_pass(receiver: Receiver) -> None:
    carol = account("carol")
    issued = receiver.credentials.issue(carol.id, carol.ilp_address)

    await receiver.send(stream_prepare(issued, 10))

    assert len(receiver.link.requests) == 1


# --- In words


async def test_it_explains_what_it_would_do_and_does_nothing(receiver: Receiver) -> None:
    bobs = receiver.issue()
    for prepare, verdict, sentence in (
        (stream_prepare(bobs, 125), Verdict.ANSWERS, "receives 1.25 USD for bob"),
        (stream_prepare(bobs, 1, least=2), Verdict.REJECTS, "at least 0.02 USD"),
        (
            stream_prepare(Credentials(bobs.destination, b"x" * 32), 1),
            Verdict.REJECTS,
            "This address is for payments to bob, which end here. The packet's data cannot be read",
        ),
    ):
        request = outgoing(prepare, receiver=receiver.bob)
        (step,) = await receiver.service.explain(request)
        assert step.verdict is verdict
        assert sentence in step.sentence
        assert request.received is None
        assert request.seal is None


async def test_explaining_and_doing_agree(receiver: Receiver) -> None:
    receiver.gate.open["invoice"] = 50
    for terms in ({}, {"tag": "invoice"}, {"expires_at_ms": START_MS}):
        issued = receiver.issue(**terms)
        for amount in (0, 50, 51):
            for fulfillable in (True, False):
                prepare = stream_prepare(issued, amount, fulfillable=fulfillable)
                steps = await receiver.service.explain(
                    outgoing(prepare.copy(), receiver=receiver.bob)
                )
                reply, _ = await receiver.send(prepare)
                assert (steps[-1].verdict is Verdict.ANSWERS) == isinstance(reply, Fulfill)
                if isinstance(reply, Reject):
                    assert steps[-1].reject is not None
                    assert steps[-1].reject.code == reply.code


def test_totals_of_many_connections_are_not_kept_for_ever(receiver: Receiver) -> None:
    totals = RunningTotals()
    bobs = receiver.issue()
    first = receiver.credentials.find(
        receiver.bob.id, receiver.bob.ilp_address, bobs.destination
    )
    assert first is not None
    totals.note(AccountId("first"), first, {1: 1})
    for number in range(TOTALS_KEPT):
        totals.note(AccountId(str(number)), first, {1: number})

    none: Mapping[int, int] = {}
    assert totals.of(AccountId("first"), first) == none
    assert totals.of(AccountId("0"), first) == {1: 0}
