"""A payment from order to end, with a sender and a receiver that do as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final

import pytest

from core.account import Account, AccountDirectory, NewTokens
from core.clock import WallClock
from core.errors import (
    Conflict,
    NotFound,
    PaymentImpossible,
    QuoteFailed,
    StoreUnavailable,
    UnknownAccount,
)
from core.ledger.books import Transfer
from core.packet import ErrorCode, Prepare, Reject, Reply, address
from core.payments.payer import (
    ACCOUNT_QUOTES_MAX,
    ACCOUNT_WAITERS_MAX,
    CANCELLED,
    ORDER_GONE,
    POLL_SECONDS,
    STOPPED,
    Order,
    Payer,
)
from core.payments.records import Payment, PaymentState, Progress as RecordedProgress
from core.payments.rules import SIGNED_ON_ANEW
from core.payments.store import PaymentFilter, PaymentStore
from core.service import Explanation, IncomingRequest
from core.stores.memory import open_memory
from core.stores.record import Stores
from core.stream.sender.sender import OnProgress, Send
from core.stream.sender.terms import Outcome, OutcomeState, PaymentTerms, Progress, Quote
from core.stream.spsp import SpspDetails
from core.testing.builders import CONDITION, FULFILLMENT, account, fulfill, prepare
from core.testing.payments import FakeResolver

BOB: Final = "$bob.example"
ORDER: Final = Order(
    account=account("alice").id,
    receiver=BOB,
    source_amount=100,
    delivered_amount=None,
    source_amount_max=None,
    slippage=Fraction(0),
)
QUOTE: Final = Quote(
    min_rate=Fraction(1, 2),
    rate_low=Fraction(1, 2),
    rate_high=Fraction(1, 2),
    source_amount=100,
    delivered_min=50,
    delivered_estimate=50,
    source_estimate=100,
    path_maximum=None,
    destination_asset=None,
    quoted_at_ms=0,
    next_sequence=1,
)
PAID: Final = Outcome(
    state=OutcomeState.COMPLETED,
    reason="All was sent.",
    source_sent=0,
    delivered=50,
    packets_fulfilled=3,
    packets_rejected=1,
)
HALFWAY: Final = Progress(
    source_sent=0,
    delivered=20,
    in_flight=0,
    packets_in_flight=0,
    packets_fulfilled=2,
    packets_rejected=0,
    packet_amount=1,
    window=1,
    waits=False,
    last_reject_code="",
    next_sequence=1,
)


@dataclass
class Script:
    """What the sender does; a gate that is not set holds it up."""

    quoted: Quote | Exception = QUOTE
    outcome: Outcome | Exception = PAID
    progress: Progress | None = None
    probing: asyncio.Event = field(default_factory=asyncio.Event)
    paying: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    terms: list[PaymentTerms] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)


class ScriptedSender:
    def __init__(self, script: Script, send: Send) -> None:
        self._script = script
        script.sends.append(send)

    async def quote(self, terms: PaymentTerms) -> Quote:
        self._script.terms.append(terms)
        await self._script.probing.wait()
        if isinstance(self._script.quoted, Exception):
            raise self._script.quoted
        return self._script.quoted

    async def pay(
        self,
        terms: PaymentTerms,
        quote: Quote,
        *,
        on_progress: OnProgress | None = None,
        cancel: asyncio.Event | None = None,
    ) -> Outcome:
        script = self._script
        script.begun.set()
        if script.progress is not None and on_progress is not None:
            on_progress(script.progress)
        assert cancel is not None
        async with asyncio.TaskGroup() as group:
            waits = {
                group.create_task(script.paying.wait()),
                group.create_task(cancel.wait()),
            }
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        if isinstance(script.outcome, Exception):
            raise script.outcome
        if cancel.is_set():
            return replace(script.outcome, state=OutcomeState.CANCELLED, reason="Cancelled.")
        return script.outcome


class Chain:
    """The node's own chain: remembers what came, from whom and for which payment."""

    def __init__(self) -> None:
        self.requests: list[IncomingRequest[Account]] = []
        self.reply: Reply = fulfill()

    async def handle(self, request: IncomingRequest[Account]) -> Reply:
        self.requests.append(request)
        return self.reply

    async def explain(self, request: IncomingRequest[Account]) -> Explanation:
        return ()


class Flaky:
    """A payment store of which single calls fail, as often as a test says."""

    def __init__(self, store: PaymentStore) -> None:
        self._store = store
        self.failing: dict[str, int] = {}
        self.written = asyncio.Event()
        """What `begin_payment` has written is told to nobody before this is set."""
        self.written.set()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        async def flaky(*arguments: Any, **named: Any) -> Any:
            if self.failing.get(name, 0):
                self.failing[name] -= 1
                raise StoreUnavailable("the disk is full")
            answer = await call(*arguments, **named)
            if name == "begin_payment":
                await self.written.wait()
            return answer

        return flaky


@dataclass
class Bench:
    payer: Payer
    stores: Stores
    store: Any
    script: Script
    resolver: FakeResolver
    chain: Chain
    directory: AccountDirectory
    slept: list[float]

    async def start(self, order: Order = ORDER, key: str | None = None) -> Payment:
        return await self.payer.start(order, key=key, body_hash=b"1")

    async def ended(self, payment: Payment) -> Payment:
        async with asyncio.timeout(10):
            return await self.payer.wait(payment.id, after_version=None, seconds=None)

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def have(self, left: int) -> None:
        """Let alice have so much left to send."""
        alice = account("alice", min_balance=0)
        self.directory.replace([alice], {}, {})
        net = (await self.stores.books.balance(alice.id)).net
        await self.stores.books.correct(alice.id, left - net, "for a test")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = WallClock()
    stores = open_memory(clock)
    await stores.leases.sign_on("node")
    alice = account("alice")
    await stores.accounts.insert_account(alice, NewTokens())
    directory = AccountDirectory()
    directory.replace([alice], {}, {})
    script, resolver, chain = Script(), FakeResolver(), Chain()
    script.probing.set()
    resolver.known[BOB] = SpspDetails(address("test.bob.token"), bytes(32))
    store: Any = Flaky(stores.payments)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(seconds / 20)

    payer = Payer(
        store=store,
        books=stores.books,
        directory=directory,
        incoming=chain,
        resolver=resolver,
        clock=clock,
        make_sender=lambda send: ScriptedSender(script, send),
        sleep=sleep,
    )
    yield Bench(payer, stores, store, script, resolver, chain, directory, slept)
    script.paying.set()
    await payer.finish(1)


async def test_a_payment_is_looked_up_probed_and_paid(bench: Bench) -> None:
    bench.script.paying.set()

    payment = await bench.ended(await bench.start())

    assert payment.state is PaymentState.COMPLETED
    assert payment.reason == "All was sent."
    assert payment.destination == "test.bob.token"
    assert payment.min_rate == Fraction(1, 2)
    assert (payment.delivered, payment.packets, payment.rejects) == (50, 3, 1)
    (terms,) = bench.script.terms
    assert (terms.source_amount, terms.shared_secret) == (100, bytes(32))
    assert bench.resolver.asked == [BOB]


async def test_only_what_pays_is_a_part_of_the_payment(bench: Bench) -> None:
    bench.script.paying.set()
    payment = await bench.ended(await bench.start())
    probing, paying = bench.script.sends
    packet: Prepare = prepare()

    await probing(packet)
    await paying(packet)

    requests = bench.chain.requests
    assert [request.payment for request in requests] == [None, payment.number]
    assert {request.from_account.username for request in requests} == {"alice"}
    bench.directory.replace([], {}, {})
    reply = await paying(packet)
    assert isinstance(reply, Reject)
    assert "has been removed" in reply.message


async def test_a_receiver_that_does_not_answer_fails_the_payment_with_its_reason(
    bench: Bench,
) -> None:
    payment = await bench.ended(await bench.start(replace(ORDER, receiver="$nobody.example")))

    assert payment.state is PaymentState.FAILED
    assert payment.reason == ("The receiver cannot be paid: $nobody.example does not answer.")


async def test_a_path_that_leads_nowhere_fails_it_with_code_and_hop(bench: Bench) -> None:
    bench.script.quoted = QuoteFailed(
        "test.mid said no.",
        reject_code="F02",
        triggered_by="test.mid",
        counted_in=("EUR", 4),
    )

    payment = await bench.ended(await bench.start())

    assert payment.state is PaymentState.FAILED
    assert payment.reason == "No way to pay was found: test.mid said no."
    assert (payment.reject_code, payment.triggered_by) == ("F02", "test.mid")
    assert (payment.receiver_asset_code, payment.receiver_asset_scale) == ("EUR", 4)


async def test_what_ended_it_is_kept(bench: Bench) -> None:
    bench.script.paying.set()
    bench.script.outcome = replace(
        PAID,
        state=OutcomeState.REJECTED,
        reason="Said no.",
        reject_code="F00",
        triggered_by="test.x",
    )

    payment = await bench.ended(await bench.start())

    assert payment.state is PaymentState.FAILED
    assert (payment.reason, payment.reject_code, payment.triggered_by) == (
        "Said no.",
        "F00",
        "test.x",
    )
    assert payment.delivered == 50


async def test_a_payment_is_cancelled_while_it_is_probed(bench: Bench) -> None:
    bench.script.probing.clear()
    payment = await bench.start()
    await bench.payer.cancel(payment.id)

    payment = await bench.ended(payment)

    assert (payment.state, payment.reason) == (CANCELLED.state, CANCELLED.reason)
    assert not bench.script.begun.is_set()
    with pytest.raises(Conflict, match="is cancelled already"):
        await bench.payer.cancel(payment.id)


async def test_a_payment_is_cancelled_while_it_is_paid(bench: Bench) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    await bench.payer.cancel(payment.id)

    payment = await bench.ended(payment)

    assert payment.state is PaymentState.CANCELLED
    assert payment.delivered == 50


async def test_what_was_cancelled_before_the_node_stopped_was_cancelled(bench: Bench) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    await bench.payer.cancel(payment.id)
    await bench.payer.finish(5)

    assert (await bench.payer.find(payment.id)).state is PaymentState.CANCELLED


async def test_another_process_can_cancel_it(bench: Bench) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    await bench.stores.payments.request_cancel(payment.id)

    assert (await bench.ended(payment)).state is PaymentState.CANCELLED


async def test_what_the_books_refused_because_another_process_cancelled_is_cancelled(
    bench: Bench,
) -> None:
    bench.script.outcome = replace(PAID, state=OutcomeState.REJECTED, reject_code="F00")
    payment = await bench.start()
    await bench.script.begun.wait()
    await bench.stores.payments.request_cancel(payment.id)
    bench.script.paying.set()

    assert (await bench.ended(payment)).state is PaymentState.CANCELLED


async def test_what_was_all_sent_before_it_was_cancelled_is_complete(bench: Bench) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    bench.script.paying.set()

    assert (await bench.ended(payment)).state is PaymentState.COMPLETED


async def test_progress_is_written_down_as_it_goes(bench: Bench) -> None:
    bench.script.progress = HALFWAY
    payment = await bench.start()
    await bench.script.begun.wait()

    async def noted() -> bool:
        return (await bench.payer.find(payment.id)).delivered == 20

    await bench.until(noted)
    pace = bench.payer.pace(payment.id)
    assert pace is not None
    assert (pace.packets, pace.delivered) == (2, 20)
    changed = await bench.payer.wait(payment.id, after_version=1, seconds=5)
    assert changed.state is PaymentState.SENDING
    bench.script.paying.set()
    await bench.ended(payment)
    assert bench.payer.pace(payment.id) is None


async def test_whoever_waits_is_answered_when_the_time_is_up(bench: Bench) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    waited = await bench.payer.wait(payment.id, after_version=99, seconds=0.05)
    assert waited.state is PaymentState.SENDING
    with pytest.raises(NotFound):
        await bench.payer.wait("none", after_version=None, seconds=1)


async def test_whoever_waits_for_our_own_payment_is_told_and_looks_at_nothing_meanwhile(
    bench: Bench,
) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(bench.ended(payment))
        await asyncio.sleep(0.1)
        bench.script.paying.set()

    assert waiting.result().state is PaymentState.COMPLETED
    assert POLL_SECONDS not in bench.slept


async def test_what_another_process_changes_of_our_own_payment_is_told_too(
    bench: Bench,
) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    sending = await bench.payer.find(payment.id)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(
            bench.payer.wait(payment.id, after_version=sending.version, seconds=None)
        )
        await asyncio.sleep(0.01)
        await bench.stores.payments.advance_payment(
            payment.number, RecordedProgress(delivered=9)
        )

    assert waiting.result().delivered == 9


async def test_a_payment_of_another_process_is_looked_at_now_and_then(bench: Bench) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    other = Payer(
        store=bench.stores.payments,
        books=bench.stores.books,
        directory=bench.directory,
        incoming=bench.chain,
        resolver=bench.resolver,
        clock=WallClock(),
        sleep=lambda seconds: asyncio.sleep(seconds / 20),
    )
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(other.wait(payment.id, after_version=None, seconds=None))
        await asyncio.sleep(0.01)
        bench.script.paying.set()

    assert waiting.result().state is PaymentState.COMPLETED


async def test_no_more_than_so_many_wait_for_an_accounts_payments(bench: Bench) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    async with asyncio.TaskGroup() as group:
        for _ in range(ACCOUNT_WAITERS_MAX):
            group.create_task(bench.ended(payment))
        await asyncio.sleep(0.05)
        with pytest.raises(Conflict, match="ask without waiting"):
            await bench.payer.wait(payment.id, after_version=None, seconds=1)
        bench.script.paying.set()
    await bench.payer.wait(payment.id, after_version=None, seconds=1)


# --- What the account has left


async def test_an_order_above_what_the_account_has_left_is_refused_at_once_with_both_sums(
    bench: Bench,
) -> None:
    await bench.have(60)

    payment = await bench.ended(await bench.start())

    assert payment.state is PaymentState.FAILED
    assert payment.reason == "alice has 0.60 USD left to send, and the payment needs 1.00 USD."
    assert not bench.resolver.asked
    assert not bench.script.terms


async def test_a_fixed_delivery_that_costs_more_than_the_account_has_left_is_refused(
    bench: Bench,
) -> None:
    await bench.have(99)
    order = replace(ORDER, source_amount=None, delivered_amount=50)

    payment = await bench.ended(await bench.start(order))

    assert payment.reason == "alice has 0.99 USD left to send, and the payment needs 1.00 USD."
    assert not bench.script.begun.is_set()


async def test_what_the_account_has_left_is_enough_to_the_unit(bench: Bench) -> None:
    await bench.have(100)
    bench.script.paying.set()

    assert (await bench.ended(await bench.start())).state is PaymentState.COMPLETED


async def test_a_quote_for_an_account_that_has_nothing_left_says_so_at_once(
    bench: Bench,
) -> None:
    await bench.have(0)
    with pytest.raises(PaymentImpossible, match=r"alice has 0\.00 USD left to send"):
        await bench.payer.quote(ORDER)
    assert not bench.resolver.asked


SHORT: Final = Reject.build(
    ErrorCode.INSUFFICIENT_LIQUIDITY, triggered_by="test.node", message="no"
)


async def test_an_account_that_runs_out_on_the_way_ends_the_payment_and_says_so(
    bench: Bench,
) -> None:
    await bench.have(100)
    payment = await bench.start()
    await bench.script.begun.wait()
    await bench.have(30)
    bench.chain.reply = SHORT
    await bench.script.sends[-1](prepare())

    payment = await bench.ended(payment)

    assert payment.state is PaymentState.FAILED
    assert payment.reason == (
        "alice has 0.30 USD left to send, what is under way included, and the rest of the payment"
        " needs 1.00 USD."
    )
    assert (payment.reject_code, payment.triggered_by) == ("T04", "test.node")
    assert payment.delivered == 50


async def test_what_is_under_way_and_what_is_sent_are_no_lack(bench: Bench) -> None:
    await bench.have(100)
    payment = await bench.start()
    await bench.script.begun.wait()
    bob = account("bob")
    await bench.stores.accounts.insert_account(bob, NewTokens())
    under_way = await bench.stores.books.prepare(
        Transfer(
            from_account=payment.account,
            to_account=bob.id,
            incoming_amount=40,
            outgoing_amount=40,
            conversion=None,
            destination="test.bob.token",
            condition=CONDITION,
            expires_at_ms=2**40,
            payment=payment.number,
        )
    )
    bench.chain.reply = SHORT
    await bench.script.sends[-1](prepare())
    await bench.stores.books.fulfill(under_way, FULFILLMENT)
    await bench.script.sends[-1](prepare())
    bench.script.paying.set()

    assert (await bench.ended(payment)).state is PaymentState.COMPLETED


async def test_a_lack_of_liquidity_elsewhere_ends_nothing(bench: Bench) -> None:
    await bench.have(100)
    payment = await bench.start()
    await bench.script.begun.wait()
    bench.chain.reply = SHORT
    await bench.script.sends[-1](prepare())
    bench.directory.replace([account("alice")], {}, {})
    await bench.script.sends[-1](prepare())
    bench.script.paying.set()

    assert (await bench.ended(payment)).state is PaymentState.COMPLETED


# --- What the receiver has said


async def test_what_the_receiver_has_said_is_kept_and_made_fit_to_be_shown(
    bench: Bench,
) -> None:
    bench.script.progress = replace(HALFWAY, delivered_exact=False, violations=("first",))
    bench.script.outcome = replace(
        PAID,
        delivered_exact=False,
        violations=("first", "it said \x1b" + "x" * 500),
        receipts={1: b"r" * 58},
        received_data=b"thanks \xff\x00",
    )
    payment = await bench.start()
    await bench.script.begun.wait()

    async def noted() -> bool:
        return (await bench.payer.find(payment.id)).violations == ("first",)

    await bench.until(noted)
    pace = bench.payer.pace(payment.id)
    assert pace is not None
    assert not pace.delivered_exact
    bench.script.paying.set()
    payment = await bench.ended(payment)

    assert payment.delivered_is_least
    assert not payment.is_delivered_exact
    first, second = payment.violations
    assert first == "first"
    assert second.startswith("it said \N{REPLACEMENT CHARACTER}xx")
    assert len(second) == 300
    assert dict(payment.receipts) == {1: b"r" * 58}
    assert payment.receiver_text == "thanks \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


# --- Who makes it is gone


async def test_an_order_whose_payer_is_gone_before_it_is_written_down_is_closed(
    bench: Bench,
) -> None:
    bench.store.written.clear()
    async with asyncio.TaskGroup() as group:
        ordering = group.create_task(bench.start())
        await asyncio.sleep(0.01)
        ordering.cancel()
    (written,) = await bench.stores.payments.payments(PaymentFilter())
    assert written.state is PaymentState.PENDING
    bench.store.written.set()

    payment = await bench.ended(written)

    assert (payment.state, payment.reason) == (ORDER_GONE.state, ORDER_GONE.reason)
    assert not bench.script.begun.is_set()


async def test_an_order_that_is_written_down_while_the_node_stops_is_closed(
    bench: Bench,
) -> None:
    bench.store.written.clear()
    async with asyncio.TaskGroup() as group:
        ordering = group.create_task(bench.start())
        await asyncio.sleep(0.01)
        bench.payer.stop()
        bench.store.written.set()

    payment = ordering.result()
    assert (payment.state, payment.reason) == (STOPPED.state, STOPPED.reason)
    assert not bench.resolver.asked


async def test_a_payment_whose_process_signs_on_anew_before_it_begins_was_not_cancelled(
    bench: Bench,
) -> None:
    bench.script.probing.clear()
    payment = await bench.start()
    await bench.stores.leases.sign_off()
    await bench.stores.leases.sign_on("again")
    bench.script.probing.set()

    payment = await bench.ended(payment)

    assert (payment.state, payment.reason) == (SIGNED_ON_ANEW.state, SIGNED_ON_ANEW.reason)
    assert not payment.cancel_requested


async def test_a_payment_that_another_process_has_closed_stays_as_that_says(
    bench: Bench,
) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()
    await bench.stores.leases.sign_off()
    await bench.stores.leases.sign_on("again")
    (closed,) = await bench.stores.payments.close_dead_payments()

    async def gone() -> bool:
        return bench.payer.pace(payment.id) is None

    await bench.until(gone)
    assert await bench.payer.find(payment.id) == closed
    assert closed.state is PaymentState.INTERRUPTED


async def test_an_end_is_written_as_soon_as_the_store_can_take_it(bench: Bench) -> None:
    bench.store.failing = {"end_payment": 5, "advance_payment": 2}
    bench.script.progress = HALFWAY
    bench.script.paying.set()

    assert (await bench.ended(await bench.start())).state is PaymentState.COMPLETED


async def test_a_payment_that_cannot_be_allowed_to_send_fails_with_the_reason(
    bench: Bench,
) -> None:
    bench.store.failing = {"let_send": 1}

    payment = await bench.ended(await bench.start())

    assert (payment.state, payment.reason) == (PaymentState.FAILED, "the disk is full.")
    assert not bench.script.begun.is_set()


@pytest.mark.logs_warning
async def test_a_fault_of_the_program_ends_the_payment_and_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.script.outcome = RuntimeError("a bug")
    bench.script.paying.set()

    payment = await bench.ended(await bench.start())

    assert payment.state is PaymentState.FAILED
    assert "inside the node" in payment.reason
    assert "a bug" in caplog.text


async def test_the_same_key_begins_once(bench: Bench) -> None:
    first, second = await asyncio.gather(bench.start(key="k"), bench.start(key="k"))
    await bench.script.begun.wait()

    assert first.id == second.id
    assert len(bench.script.terms) == 1


async def test_a_stopping_node_ends_what_runs_and_begins_nothing(bench: Bench) -> None:
    payment = await bench.start()
    await bench.script.begun.wait()

    await bench.payer.finish(5)

    found = await bench.stores.payments.payment(payment.id)
    assert found is not None
    assert (found.state, found.reason) == (STOPPED.state, STOPPED.reason)
    with pytest.raises(Conflict, match="stopping"):
        await bench.start()
    with pytest.raises(Conflict, match="stopping"):
        await bench.payer.quote(ORDER)


async def test_a_quote_says_why_there_is_none(bench: Bench) -> None:
    found = await bench.payer.quote(ORDER)
    assert (found.quote, found.terms.source_amount) == (QUOTE, 100)
    with pytest.raises(PaymentImpossible, match=r"\$nobody.example does not answer"):
        await bench.payer.quote(replace(ORDER, receiver="$nobody.example"))
    bench.script.quoted = QuoteFailed("nobody answered")
    with pytest.raises(PaymentImpossible, match="no way to pay was found: nobody answered"):
        await bench.payer.quote(ORDER)
    with pytest.raises(UnknownAccount):
        await bench.payer.quote(replace(ORDER, account=account("carol").id))


async def test_no_more_than_so_many_quotes_are_made_at_once(bench: Bench) -> None:
    bench.script.probing.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(ACCOUNT_QUOTES_MAX):
            group.create_task(bench.payer.quote(ORDER))
        await asyncio.sleep(0.01)
        with pytest.raises(Conflict, match="5 of them for this account"):
            await bench.payer.quote(ORDER)
        bench.script.probing.set()
    await bench.payer.quote(ORDER)
