"""A payment as tests need one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from core.account import AccountId
from core.payments.records import Payment, PaymentState
from core.service import PaymentNumber


def payment(**changes: Any) -> Payment:
    plain = Payment(
        number=PaymentNumber(1),
        id="p-1",
        account=AccountId("id-of-alice"),
        node=1,
        receiver="$bob.example",
        destination="test.bob.token",
        source_amount=100,
        delivered_amount=None,
        source_amount_max=100,
        slippage=Fraction(0),
        min_rate=Fraction(1),
        memo="",
        state=PaymentState.SENDING,
        cancel_requested=False,
        sent=0,
        in_flight=0,
        undecided=0,
        late=0,
        delivered=0,
        delivered_for=0,
        receiver_asset_code="USD",
        receiver_asset_scale=2,
        packets=0,
        rejects=0,
        reject_code="",
        triggered_by="",
        reason="",
        version=1,
        created_at_ms=0,
        updated_at_ms=0,
        ended_at_ms=None,
    )
    return replace(plain, **changes)
