"""What the node itself does for payments: closes those of dead processes, and forgets the old."""

from __future__ import annotations

from fractions import Fraction

import pytest

from core.payments.records import Ending, NewPayment, Payment, PaymentState, Progress
from core.payments.store import PaymentFilter, ReceivedFilter
from core.testing.builders import account
from core.testing.chain import Chain
from tests.core.stream.sending import stream_prepare


async def begin(chain: Chain, payment_id: str) -> Payment:
    alice = chain.node.directory.by_username("alice")
    assert alice is not None
    payment, _ = await chain.stores.payments.begin_payment(
        NewPayment(
            id=payment_id,
            account=alice.id,
            receiver="$bob.example",
            source_amount=1,
            delivered_amount=None,
            source_amount_max=1,
            slippage=Fraction(0),
            memo="",
            idempotency_key=None,
            body_hash=b"",
        ),
        open_max=10,
        account_open_max=10,
    )
    return payment


async def ids(chain: Chain) -> list[str]:
    return [payment.id for payment in await chain.stores.payments.payments(PaymentFilter())]


async def test_what_ended_longer_ago_than_the_setting_says_is_forgotten() -> None:
    chain = await Chain.build(account("alice"))
    done = Ending(state=PaymentState.COMPLETED, reason="")
    old = await begin(chain, "old")
    await chain.stores.payments.end_payment(old.number, done, Progress())
    day = 24 * 3600
    chain.clock.advance(seconds=chain.node.config.payment_days * day)
    young = await begin(chain, "young")
    await chain.stores.payments.end_payment(young.number, done, Progress())

    await chain.node.upkeep.prune()
    assert await ids(chain) == ["young", "old"]
    chain.clock.advance(seconds=1)
    await chain.node.upkeep.prune()

    assert await ids(chain) == ["young"]


async def test_a_backlog_is_forgotten_in_rounds_of_which_each_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.upkeep.PRUNE_ROWS", 1)
    monkeypatch.setattr("core.upkeep.PRUNE_ROUNDS", 3)
    chain = await Chain.build(account("alice"))
    for at in range(6):
        old = await begin(chain, f"p-{at}")
        done = Ending(state=PaymentState.COMPLETED, reason="")
        await chain.stores.payments.end_payment(old.number, done, Progress())
    chain.clock.advance(seconds=(chain.node.config.payment_days + 1) * 24 * 3600)

    await chain.node.upkeep.prune()
    assert await ids(chain) == ["p-5", "p-4", "p-3"]
    await chain.node.upkeep.prune()
    assert await ids(chain) == ["p-5"]


async def test_no_account_keeps_more_received_payments_than_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.upkeep.RECEIVED_MAX", 2)
    chain = await Chain.build(account("alice"), account("bob"))
    bob = chain.node.directory.by_username("bob")
    assert bob is not None
    for _ in range(5):
        bobs = chain.node.stream_credentials.issue(bob.id, bob.ilp_address)
        await chain.handle(stream_prepare(bobs, 1))

    await chain.node.upkeep.prune()

    assert len(await chain.stores.payments.received_payments(ReceivedFilter())) == 2
    assert (await chain.stores.books.balance(bob.id)).net == 5


@pytest.mark.logs_warning
async def test_what_a_dead_process_left_is_closed_at_the_next_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chain = await Chain.build(account("alice"))
    left = await begin(chain, "left")
    await chain.stores.leases.sign_off()
    await chain.stores.leases.sign_on("the next")
    mine = await begin(chain, "mine")

    await chain.node.recover()

    found = await chain.stores.payments.payment(left.id)
    assert found is not None
    assert found.state is PaymentState.INTERRUPTED
    assert f"payment left was interrupted: node {left.node}" in caplog.text
    found = await chain.stores.payments.payment(mine.id)
    assert found is not None
    assert found.state is PaymentState.PENDING
