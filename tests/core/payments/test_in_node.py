"""What the node itself does for payments: closes those of dead processes, and forgets the old."""

from __future__ import annotations

from fractions import Fraction

import pytest

from core.payments.records import Ending, NewPayment, Payment, PaymentState, Progress
from core.payments.store import PaymentFilter
from core.testing.builders import account
from core.testing.chain import Chain


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

    await chain.node._prune()
    assert await ids(chain) == ["young", "old"]
    chain.clock.advance(seconds=1)
    await chain.node._prune()

    assert await ids(chain) == ["young"]


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
