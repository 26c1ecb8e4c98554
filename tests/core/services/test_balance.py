"""The books: durable before the packet leaves, durable before the fulfillment is relayed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import repeat

import pytest

from core.account import Account, AccountId
from core.errors import (
    AmountTooLarge,
    MoreThanAskedFor,
    NodeFenced,
    PacketKnown,
    StoreError,
    StoreUnavailable,
    TransferDecided,
    UnknownAccount,
)
from core.ledger.afterwards import LATE_KEPT_SECONDS, LATE_MANY, LATE_SECONDS, Afterwards
from core.ledger.books import TransferId
from core.node_address import NodeAddress
from core.packet import ErrorCode, Fulfill, Reject, Reply, address, read_max_packet_amount_data
from core.service import Booked, OutgoingRequest, Received, Verdict
from core.services.balance import COMMIT_MS, BalanceService
from core.tasks import TaskOwner
from core.testing.books import FIRST_TRANSFER, FakeBooks
from core.testing.builders import CONDITION, FULFILLMENT, account, fulfill, outgoing, prepare
from core.testing.clock import START_MS, FakeClock
from core.testing.services import FakeOutgoing

ADDRESS = NodeAddress(address("test.node"))
REJECT = Reject.build(ErrorCode.UNREACHABLE, triggered_by="test.bob", message="no")
TIMED_OUT = Reject.build(
    ErrorCode.TRANSFER_TIMED_OUT, triggered_by="test.node", message="time is up"
)


class Setting:
    """The service between fake books and a fake link; the clock moves only as a test says."""

    def __init__(
        self, link: FakeOutgoing, books: FakeBooks | None = None, *, ends_here: bool = False
    ) -> None:
        self.link = link
        self.books = books or FakeBooks()
        self.clock = FakeClock()
        self.owner = TaskOwner("test", tasks_max=1000)
        self.afterwards = Afterwards(self.books, self.clock, ADDRESS, self.owner, self.sleep)
        self.fenced = 0
        self.service = BalanceService(
            link,
            self.books,
            self.afterwards,
            self.clock,
            ADDRESS,
            self.fence,
            self.sleep,
            lambda _: ends_here,
        )
        self.books.is_late = lambda until_ms: self.clock.monotonic() * 1000 >= until_ms

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        await asyncio.sleep(0)

    def fence(self) -> None:
        self.fenced += 1

    async def settle(self) -> list[str]:
        """Let what runs in the background end, and return what the books were asked."""
        await self.owner.finish(5)
        return [str(call[0]) for call in self.books.calls]


@pytest.fixture
async def tasks_end() -> AsyncIterator[None]:
    yield
    assert len(asyncio.all_tasks()) == 1


pytestmark = pytest.mark.usefixtures("tasks_end")


async def test_a_fulfilled_packet_is_prepared_sent_and_posted_in_this_order() -> None:
    books = FakeBooks()
    link = FakeOutgoing(answer=lambda _: noted(books, fulfill()))
    setting = Setting(link, books)

    reply = await setting.service.send(outgoing(prepare(100)))

    assert reply == fulfill()
    assert books.calls == [
        ("prepare",),
        ("sent",),
        ("fulfill", FIRST_TRANSFER, FULFILLMENT),
    ]
    transfer = books.transfers[FIRST_TRANSFER]
    assert (transfer.from_account, transfer.to_account) == ("id-of-alice", "id-of-bob")
    assert (transfer.incoming_amount, transfer.outgoing_amount) == (100, 100)
    assert (transfer.condition, transfer.expires_at_ms) == (CONDITION, START_MS + 10_000)


def noted(books: FakeBooks, reply: Reply) -> Reply:
    books.calls.append(("sent",))
    return reply


async def test_a_rejected_packet_is_voided_and_the_reject_passes_as_it_is() -> None:
    setting = Setting(FakeOutgoing(REJECT))

    reply = await setting.service.send(outgoing())

    assert reply is REJECT
    assert setting.books.calls == [("prepare",), ("reject", FIRST_TRANSFER, b"F02")]


async def test_a_packet_that_carries_nothing_is_not_booked() -> None:
    setting = Setting(FakeOutgoing())

    await setting.service.send(outgoing(prepare(0)))

    assert setting.books.calls == []
    assert len(setting.link.requests) == 1


def known(*, fulfillment: bytes | None = None, is_open: bool = False) -> PacketKnown:
    return PacketKnown(FIRST_TRANSFER, fulfillment=fulfillment, is_open=is_open)


async def test_a_copy_of_what_another_process_fulfilled_is_answered_and_not_sent() -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("prepare", known(fulfillment=FULFILLMENT))

    reply = await setting.service.send(outgoing(prepare(100)))

    assert reply == Fulfill.build(FULFILLMENT)
    assert (setting.link.requests, setting.books.calls) == ([], [])


async def test_a_copy_waits_for_the_end_of_the_first_and_has_its_answer() -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("prepare", *[known(is_open=True)] * 5, known(fulfillment=FULFILLMENT))

    reply = await setting.service.send(outgoing(prepare(100)))

    assert reply == Fulfill.build(FULFILLMENT)
    assert setting.link.requests == []


async def test_a_copy_is_sent_once_the_first_was_rejected() -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("prepare", *[known(is_open=True)] * 5)

    reply = await setting.service.send(outgoing(prepare(100)))

    assert (reply, len(setting.link.requests)) == (fulfill(), 1)
    assert await setting.settle() == ["prepare", "fulfill"]


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_copy_of_what_nobody_knows_the_end_of_is_not_sent(is_open: bool) -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("prepare", *[known(is_open=is_open)] * 1_000)

    reply = await setting.service.send(outgoing(prepare(100, expires_in_ms=10_000)))

    assert isinstance(reply, Reject)
    assert (reply.code, "it is not sent again" in reply.message) == (b"R00", True)
    waited_ms = setting.clock.now_ms() - START_MS
    assert 10_000 <= waited_ms < 11_000 if is_open else waited_ms == 0
    assert (setting.link.requests, setting.books.calls) == ([], [])


async def test_without_balance_it_is_t04_with_the_numbers_and_nothing_leaves() -> None:
    setting = Setting(FakeOutgoing(), FakeBooks(available={AccountId("id-of-alice"): 60}))

    reply = await setting.service.send(outgoing(prepare(100)))

    assert isinstance(reply, Reject)
    assert (reply.code, reply.triggered_by) == (b"T04", "test.node")
    assert reply.message == "alice has 0.60 USD left to send, and this packet needs 1.00 USD."
    assert setting.link.requests == []


@pytest.mark.parametrize(
    ("error", "code", "fenced"),
    [
        (StoreUnavailable("disk full"), b"T00", 0),
        (NodeFenced("dead"), b"T00", 1),
        (UnknownAccount("bob"), b"F02", 0),
        (AmountTooLarge(2**63, maximum=2**63 - 1), b"T04", 0),
    ],
)
async def test_a_packet_that_the_books_do_not_take_does_not_leave(
    error: StoreError, code: bytes, fenced: int
) -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("prepare", error)

    reply = await setting.service.send(outgoing())

    assert isinstance(reply, Reject)
    assert (reply.code, setting.fenced, setting.link.requests) == (code, fenced, [])
    assert "disk full" not in reply.message


async def test_an_amount_that_the_books_cannot_carry_is_f08_with_what_they_can() -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("prepare", AmountTooLarge(2**63, maximum=2**63 - 1))

    reply = await setting.service.send(outgoing(prepare(2**63)))

    assert isinstance(reply, Reject)
    assert reply.code == b"F08"
    assert read_max_packet_amount_data(reply.data) == (2**63, 2**63 - 1)
    assert reply.message == (
        "92233720368547758.08 USD is more than this node can book in one packet, 92233720368547758.07 USD."
    )
    assert setting.link.requests == []


@pytest.mark.logs_warning
async def test_a_fulfillment_is_kept_back_until_the_store_can_take_it() -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("fulfill", *[StoreUnavailable("locked")] * 3)

    reply = await setting.service.send(outgoing())

    assert reply == fulfill()
    assert setting.books.calls == [("prepare",), ("fulfill", FIRST_TRANSFER, FULFILLMENT)]
    assert setting.clock.now_ms() > START_MS


@pytest.mark.logs_warning
async def test_a_fulfillment_that_cannot_be_booked_in_time_is_not_relayed_and_is_owed() -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("fulfill", *[StoreUnavailable("locked")] * 1000)

    reply = await setting.service.send(outgoing(prepare(expires_in_ms=5000)))

    assert isinstance(reply, Reject)
    assert reply.code == b"R00"
    assert setting.clock.now_ms() >= START_MS + 5000
    assert await setting.settle() == ["prepare", "fulfill_late"]


@pytest.mark.parametrize("before_ms", [2, 1])
async def test_a_fulfillment_before_our_own_expiry_is_booked_and_relayed(
    before_ms: int,
) -> None:
    setting = Setting(
        FakeOutgoing(answer=lambda _: later(setting, fulfill(), 5000 - before_ms))
    )

    reply = await setting.service.send(outgoing(prepare(expires_in_ms=5000)))

    assert reply == fulfill()
    assert await setting.settle() == ["prepare", "fulfill"]


@pytest.mark.logs_warning
@pytest.mark.parametrize("after_ms", [0, 1, 2])
async def test_a_fulfillment_at_our_own_expiry_or_after_is_owed_and_not_relayed(
    after_ms: int,
) -> None:
    setting = Setting(FakeOutgoing(answer=lambda _: later(setting, fulfill(), 5000 + after_ms)))

    reply = await setting.service.send(outgoing(prepare(expires_in_ms=5000)))

    assert isinstance(reply, Reject)
    assert reply.code == b"R00"
    assert await setting.settle() == ["prepare", "fulfill", "fulfill_late"]


def later(setting: Setting, reply: Reply, milliseconds: int) -> Reply:
    setting.clock.advance(milliseconds=milliseconds)
    return reply


@pytest.mark.logs_warning
async def test_a_fenced_node_does_not_relay_a_fulfillment_and_resolves_it_once_signed_on() -> (
    None
):
    setting = Setting(FakeOutgoing())
    setting.books.fail("fulfill", NodeFenced("dead"))
    setting.books.fail("fulfill_late", NodeFenced("dead"))
    setting.books.fail("resolve_unknown", NodeFenced("not signed on yet"), None)

    reply = await setting.service.send(outgoing())

    assert isinstance(reply, Reject)
    assert setting.fenced == 1
    await setting.settle()
    assert setting.books.calls[-1] == ("resolve_unknown", FIRST_TRANSFER, True)


async def test_a_reject_that_the_store_cannot_take_goes_back_at_once_and_is_booked_later() -> (
    None
):
    setting = Setting(FakeOutgoing(REJECT))
    setting.books.fail("reject", *[StoreUnavailable("locked")] * 3)

    reply = await setting.service.send(outgoing())

    assert reply is REJECT
    assert await setting.settle() == ["prepare", "reject"]


# --- What ends here

RELEASED: list[OutgoingRequest[Account]] = []
RECEIVED = Received(connection="c", sequence=1, streams=((1, 70), (3, 30)))


def receives(request: OutgoingRequest[Account]) -> Reply:
    """Answer as the STREAM receiver does: with a reply that is made once it is booked."""

    def seal(booked: Booked) -> Reply:
        return fulfill(repr(booked.streams).encode())

    request.received, request.seal = RECEIVED, seal
    request.release = lambda: RELEASED.append(request)
    return fulfill()


async def test_what_ends_here_is_answered_with_what_the_books_have_of_it_then() -> None:
    setting = Setting(FakeOutgoing(answer=receives), ends_here=True)

    for totals in ({1: 70, 3: 30}, {1: 140, 3: 60}):
        request = outgoing()
        assert await setting.service.send(request) == fulfill(repr(totals).encode())
        assert RELEASED.count(request) == 1
    assert setting.books.received == [RECEIVED, RECEIVED]


async def test_what_would_bring_more_than_is_asked_for_is_refused_in_its_receivers_words() -> (
    None
):
    setting = Setting(FakeOutgoing(), ends_here=True)
    setting.books.fail("fulfill", MoreThanAskedFor(7))
    request = outgoing(prepare(100))
    request.received = Received(connection="c", sequence=1, invoice="i")
    request.seal = lambda _: fulfill(b"never")
    request.refuse = lambda left: Reject.build(
        ErrorCode.FINAL_APPLICATION_ERROR, triggered_by="test.node", message=f"{left} left"
    )

    reply = await setting.service.send(request)

    assert isinstance(reply, Reject)
    assert (reply.code, reply.message) == (b"F99", "7 left")
    assert await setting.settle() == ["prepare"]


@pytest.mark.logs_warning
async def test_what_ends_here_and_cannot_be_booked_in_time_was_not_received() -> None:
    setting = Setting(FakeOutgoing(answer=receives), ends_here=True)
    setting.books.errors["fulfill"] = repeat(StoreUnavailable("the disk is full"))
    request = outgoing()

    reply = await setting.service.send(request)

    assert isinstance(reply, Reject)
    assert reply.code == b"R00"
    assert RELEASED.count(request) == 1
    assert await setting.settle() == ["prepare", "reject"]
    assert setting.books.received == []


async def test_what_ends_at_a_fenced_node_was_not_received() -> None:
    setting = Setting(FakeOutgoing(answer=receives), ends_here=True)
    setting.books.fail("fulfill", NodeFenced("gone"))
    setting.books.fail("reject", NodeFenced("gone"))

    reply = await setting.service.send(outgoing())

    assert isinstance(reply, Reject)
    assert reply.code == b"R00"
    assert setting.fenced == 1
    await setting.settle()
    assert setting.books.calls[-1][0::2] == ("resolve_unknown", False)


def timed_out(request: OutgoingRequest[Account]) -> Reply:
    request.left_open = True
    return TIMED_OUT


async def expired(setting: Setting) -> OutgoingRequest[Account]:
    """Send a packet that nobody answers in time."""
    request = outgoing()
    assert await setting.service.send(request) is TIMED_OUT
    assert request.on_late_reply is not None
    return request


async def test_when_time_is_up_the_upstream_leg_is_void_and_the_downstream_one_stays_open() -> (
    None
):
    setting = Setting(FakeOutgoing(answer=timed_out))

    await expired(setting)

    assert setting.books.calls == [("prepare",), ("expire", FIRST_TRANSFER)]
    assert setting.afterwards.open_legs == 1


@pytest.mark.logs_warning
async def test_whoever_fulfills_late_again_and_again_is_named_for_an_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setting = Setting(FakeOutgoing())
    for number in range(LATE_MANY):
        assert setting.afterwards.problems() == []
        setting.afterwards.fulfilled_late(TransferId(number), FULFILLMENT, "bob")
    setting.afterwards.fulfilled_late(TransferId(0), FULFILLMENT, "carol")

    (sentence,) = setting.afterwards.problems()
    assert sentence.startswith(f"bob fulfilled {LATE_MANY} packets too late")
    told = [record for record in caplog.records if "bob fulfilled" in record.getMessage()]
    assert len(told) == 5, "the first, the second, the fourth, the eighth and the sixteenth"
    setting.clock.advance(seconds=LATE_KEPT_SECONDS + 1)
    assert setting.afterwards.problems() == []
    await setting.settle()


@pytest.mark.logs_warning
async def test_a_late_fulfillment_is_owed() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    request = await expired(setting)

    request.on_late_reply(fulfill())  # type: ignore[misc]

    assert await setting.settle() == ["prepare", "expire", "fulfill_late"]
    assert setting.books.calls[-1] == ("fulfill_late", FIRST_TRANSFER, FULFILLMENT)
    assert setting.afterwards.open_legs == 0


async def test_a_late_reject_voids_the_leg() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    request = await expired(setting)

    request.on_late_reply(REJECT)  # type: ignore[misc]

    assert await setting.settle() == ["prepare", "expire", "abandon"]


LOST = ADDRESS.reject(ErrorCode.PEER_UNREACHABLE, "it hung up")


async def test_a_connection_that_is_lost_after_the_expiry_leaves_the_leg_unknown() -> None:
    """Our own reject says that nothing will be heard; what the next hop did is not known."""
    setting = Setting(FakeOutgoing(answer=timed_out))
    request = await expired(setting)

    request.on_late_reply(LOST)  # type: ignore[misc]

    assert await setting.settle() == ["prepare", "expire", "strand"]
    assert setting.afterwards.is_clear


async def test_a_connection_that_is_lost_before_the_answer_voids_upstream_and_leaves_the_leg_unknown() -> (
    None
):
    def lost(request: OutgoingRequest[Account]) -> Reply:
        request.left_open = True
        request.on_late_reply(LOST)  # type: ignore[misc]
        return LOST

    setting = Setting(FakeOutgoing(answer=lost))

    assert await setting.service.send(outgoing()) is LOST

    assert await setting.settle() == ["prepare", "expire", "strand"]
    assert setting.afterwards.is_clear


async def test_a_peer_that_never_answers_is_given_up_with_its_time_and_not_before() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    request = await expired(setting)

    request.on_late_reply(ADDRESS.reject(ErrorCode.TRANSFER_TIMED_OUT, "it never answered"))  # type: ignore[misc]

    assert await setting.settle() == ["prepare", "expire"]
    assert setting.afterwards.open_legs == 1
    assert not setting.afterwards.is_clear


async def test_a_late_fulfillment_that_proves_nothing_changes_nothing() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    request = await expired(setting)

    request.on_late_reply(Fulfill.build(bytes(32)))  # type: ignore[misc]

    assert await setting.settle() == ["prepare", "expire"]
    assert setting.afterwards.open_legs == 1


@pytest.mark.logs_warning
async def test_an_answer_that_comes_while_the_expiry_is_being_booked_is_not_lost() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    request = outgoing()
    setting.books.before["expire"] = lambda: request.on_late_reply(fulfill())  # type: ignore[misc]

    await setting.service.send(request)

    assert await setting.settle() == ["prepare", "expire", "fulfill_late"]


@pytest.mark.logs_warning
@pytest.mark.parametrize("is_early", [True, False])
async def test_a_late_fulfillment_on_a_fenced_node_resolves_what_recovery_made_unknown(
    is_early: bool,
) -> None:
    """It comes while the expiry meets the fence, or after that: either way the proof is used."""
    setting = Setting(FakeOutgoing(answer=timed_out))
    setting.books.fail("expire", NodeFenced("dead"))
    setting.books.fail("fulfill_late", NodeFenced("dead"))
    setting.books.fail("resolve_unknown", NodeFenced("not signed on yet"), None)
    request = outgoing()
    if is_early:
        setting.books.before["expire"] = lambda: request.on_late_reply(fulfill())  # type: ignore[misc]

    assert await setting.service.send(request) is TIMED_OUT
    if not is_early:
        request.on_late_reply(fulfill())  # type: ignore[misc]

    await setting.settle()
    assert setting.fenced == 1
    assert setting.books.calls == [("prepare",), ("resolve_unknown", FIRST_TRANSFER, True)]
    assert setting.afterwards.is_clear


@pytest.mark.logs_warning
async def test_an_expiry_that_is_booked_later_and_meets_the_fence_keeps_the_proof() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    setting.books.fail("expire", StoreUnavailable("locked"), NodeFenced("dead"))
    setting.books.fail("fulfill_late", NodeFenced("dead"))
    request = await expired(setting)

    request.on_late_reply(fulfill())  # type: ignore[misc]

    await setting.settle()
    assert setting.books.calls == [("prepare",), ("resolve_unknown", FIRST_TRANSFER, True)]
    assert setting.afterwards.is_clear


async def test_a_leg_that_nobody_answers_is_given_up_after_a_minute() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    await expired(setting)

    setting.clock.advance(milliseconds=int(LATE_SECONDS * 1000) - 1)
    await setting.afterwards.sweep()
    assert setting.afterwards.open_legs == 1
    setting.clock.advance(milliseconds=1)
    await setting.afterwards.sweep()

    assert await setting.settle() == ["prepare", "expire", "abandon"]
    assert setting.afterwards.open_legs == 0


async def test_an_expiry_that_the_store_cannot_take_is_booked_later_and_still_waits() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    setting.books.fail("expire", *[StoreUnavailable("locked")] * 3)

    await expired(setting)

    assert await setting.settle() == ["prepare", "expire"]
    assert setting.afterwards.open_legs == 1


async def test_a_cancelled_packet_leaves_its_downstream_leg_open() -> None:
    left = asyncio.Event()

    async def never(_: object) -> Reply:
        left.set()
        await asyncio.Event().wait()
        raise AssertionError

    setting = Setting(FakeOutgoing(answer=never))
    task = asyncio.get_running_loop().create_task(setting.service.send(outgoing()))
    await left.wait()

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await setting.settle() == ["prepare", "expire"]
    assert setting.afterwards.open_legs == 1


async def test_explaining_compares_and_books_nothing() -> None:
    alice = account("alice", min_balance=-50)
    setting = Setting(FakeOutgoing(), FakeBooks(available={alice.id: 60}))

    step, _ = await setting.service.explain(outgoing(prepare(110), sender=alice))
    (refused,) = await setting.service.explain(outgoing(prepare(111), sender=alice))

    assert (step.verdict, step.facts) == (Verdict.PASSES, {"available": 110, "needed": 110})
    assert refused.reject is not None
    assert refused.reject.code == b"T04"
    assert (
        refused.sentence == "alice has 1.10 USD left to send, and this packet needs 1.11 USD."
    )
    assert {call[0] for call in setting.books.calls} == {"balance"}


# --- Cancelled once the next hop has answered


async def cancelled_while(
    setting: Setting, call: str, request: OutgoingRequest[Account]
) -> list[Reply]:
    """Send a packet, and cancel it while the books do this; return what its front was told before it ended."""
    told: list[Reply] = []
    booking = asyncio.Event()
    setting.books.before[call] = booking.set

    async def front() -> None:
        told.append(await setting.service.send(request))
        await asyncio.sleep(0)
        raise AssertionError("the cancellation was lost")

    task = asyncio.get_running_loop().create_task(front())
    async with asyncio.timeout(5):
        await booking.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    return told


ANSWERS: Mapping[str, Callable[[OutgoingRequest[Account]], Reply]] = {
    "fulfill": lambda _: fulfill(),
    "reject": lambda _: REJECT,
    "expire": timed_out,
}


@pytest.mark.parametrize("call", ANSWERS)
async def test_a_packet_that_is_cancelled_while_its_end_is_booked_has_its_true_answer(
    call: str,
) -> None:
    setting = Setting(FakeOutgoing(answer=ANSWERS[call]))
    setting.books.turns = 5

    told = await cancelled_while(setting, call, outgoing())

    assert told == [ANSWERS[call](outgoing())]
    assert set(await setting.settle()) == {"prepare", call}
    assert setting.afterwards.is_clear is (call != "expire")


@pytest.mark.logs_warning
async def test_a_late_fulfillment_of_what_was_cancelled_in_its_expiry_is_owed() -> None:
    setting = Setting(FakeOutgoing(answer=timed_out))
    setting.books.turns = 5
    request = outgoing()
    await cancelled_while(setting, "expire", request)

    assert request.on_late_reply is not None
    request.on_late_reply(fulfill())

    assert set(await setting.settle()) == {"prepare", "expire", "fulfill_late"}
    assert setting.books.calls[-1] == ("fulfill_late", FIRST_TRANSFER, FULFILLMENT)
    assert setting.afterwards.is_clear


@pytest.mark.logs_warning
@pytest.mark.parametrize("is_mended", [True, False])
async def test_what_is_cancelled_while_the_store_is_locked_is_tried_once_more_and_told_as_it_is(
    is_mended: bool,
) -> None:
    setting = Setting(FakeOutgoing())
    locked = StoreUnavailable("locked")
    setting.books.fail("fulfill", locked, *([] if is_mended else [locked] * 99))

    (told,) = await cancelled_while(setting, "fulfill", outgoing())

    if is_mended:
        assert told == fulfill()
        assert await setting.settle() == ["prepare", "fulfill"]
    else:  # the next hop has the proof, and upstream is told that it failed
        assert isinstance(told, Reject)
        assert told.code == b"R00"
        assert await setting.settle() == ["prepare", "fulfill_late"]
    assert setting.afterwards.is_clear


@pytest.mark.parametrize("call", ["reject", "expire"])
async def test_what_is_cancelled_while_the_store_cannot_take_its_end_is_booked_later(
    call: str,
) -> None:
    setting = Setting(FakeOutgoing(answer=ANSWERS[call]))
    setting.books.turns = 5
    setting.books.fail(call, *[StoreUnavailable("locked")] * 5)

    told = await cancelled_while(setting, call, outgoing())

    assert told == [ANSWERS[call](outgoing())]
    assert set(await setting.settle()) == {"prepare", call}
    assert setting.afterwards.open_legs == (1 if call == "expire" else 0)


@pytest.mark.logs_warning
async def test_a_fulfillment_of_what_was_settled_otherwise_is_booked_as_owed() -> None:
    setting = Setting(FakeOutgoing())
    setting.books.fail("fulfill", TransferDecided(7, "is REJECTED already"))

    reply = await setting.service.send(outgoing())

    assert isinstance(reply, Reject)
    assert reply.code == b"R00"
    assert await setting.settle() == ["prepare", "fulfill_late"]


@pytest.mark.logs_warning
async def test_a_proof_of_what_the_operator_voided_while_we_were_fenced_is_told_once_signed_on() -> (
    None
):
    setting = Setting(FakeOutgoing())
    setting.books.fail("fulfill", NodeFenced("dead"))
    setting.books.fail("fulfill_late", NodeFenced("dead"), NodeFenced("not yet"), None)
    setting.books.fail("resolve_unknown", *[TransferDecided(7, "is REJECTED")] * 9)

    assert isinstance(await setting.service.send(outgoing()), Reject)

    assert await setting.settle() == ["prepare", "fulfill_late"]
    assert setting.afterwards.is_clear


@pytest.mark.logs_warning
async def test_whatever_its_data_would_say_a_fulfillment_that_is_booked_is_told() -> None:
    def unsealed(request: OutgoingRequest[Account]) -> Reply:
        def seal(_: Booked) -> Reply:
            raise OverflowError

        request.received, request.seal = RECEIVED, seal
        return fulfill()

    setting = Setting(FakeOutgoing(answer=unsealed), ends_here=True)

    assert await setting.service.send(outgoing()) == fulfill()


@pytest.mark.logs_warning
@pytest.mark.parametrize("call", ["fulfill", "reject", "expire"])
async def test_what_another_has_settled_meanwhile_is_answered_with_a_reject(call: str) -> None:
    def answer(request: OutgoingRequest[Account]) -> Reply:
        if call == "expire":
            return timed_out(request)
        return fulfill() if call == "fulfill" else REJECT

    setting = Setting(FakeOutgoing(answer=answer))
    setting.books.fail(call, TransferDecided(7, "is REJECTED already"))

    assert isinstance(await setting.service.send(outgoing()), Reject)


async def test_what_ends_here_is_not_taken_where_there_is_no_time_to_book_it() -> None:
    setting = Setting(FakeOutgoing(answer=receives), ends_here=True)
    least_ms = COMMIT_MS + account("alice").round_trip_time_ms

    late = await setting.service.send(outgoing(prepare(expires_in_ms=least_ms - 1)))
    early = await setting.service.send(outgoing(prepare(expires_in_ms=least_ms)))

    assert isinstance(late, Reject)
    assert late.code == b"R02"
    assert isinstance(early, Fulfill)


@pytest.mark.logs_warning
async def test_a_commit_that_outlasts_the_senders_time_is_not_relayed() -> None:
    setting = Setting(FakeOutgoing())
    setting.books.before["fulfill"] = lambda: setting.clock.advance(seconds=20)

    reply = await setting.service.send(outgoing())

    assert isinstance(reply, Reject)
    assert reply.code == b"R00"
