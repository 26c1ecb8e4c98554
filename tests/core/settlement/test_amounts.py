"""From an account's units to a ledger's and back, with the vectors of three other implementations."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.account import format_number
from core.settlement.store import amount_due, floor_to_ledger, split_ledger_amount

VECTORS = Path(__file__).parents[2] / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def test_a_ledger_amount_is_floored_as_interledger_rs_and_quilt_do() -> None:
    rows = load("interledger-rs/settlement-scaling.json")["normalize_scale_u64"]
    rows += load("quilt/scaling.json")["scale"]
    for row in rows:
        units, _ = split_ledger_amount(
            int(row["amount"]), ledger_scale=row["from"], account_scale=row["to"]
        )
        if (
            row["result"] is None
        ):  # theirs overflows 64 bits; ours is exact, and the books refuse it
            assert units > 2**64 - 1
        else:
            assert units == int(row["result"])


def test_what_is_left_over_is_kept_as_interledger_rs_does() -> None:
    for row in load("interledger-rs/settlement-scaling.json")["scale_with_leftover"]:
        assert split_ledger_amount(
            int(row["amount"]),
            ledger_scale=row["remote_scale"],
            account_scale=row["local_scale"],
        ) == (int(row["scaled"]), int(row["leftover"]))


def test_a_quantity_is_shown_with_the_value_that_settlement_core_gives_it() -> None:
    # `valid` and `invalid` are of the JSON that external engines speak, which no engine here does.
    for row in load("settlement-core/quantities.json")["value"]:
        shown = format_number(int(row["amount"]), row["scale"])
        assert Decimal(shown) == Decimal(row["decimal"])


SCALES = st.integers(0, 30)
AMOUNTS = st.integers(0, 10**40)


@given(SCALES, SCALES, st.lists(AMOUNTS, max_size=20))
def test_no_ledger_unit_is_lost_however_it_comes_in(
    ledger_scale: int, account_scale: int, amounts: list[int]
) -> None:
    credited = kept = 0
    for amount in amounts:
        units, kept = split_ledger_amount(
            amount, ledger_scale=ledger_scale, account_scale=account_scale, kept=kept
        )
        credited += units
    unit = Decimal(10) ** (ledger_scale - account_scale)
    assert 0 <= kept < max(unit, Decimal(1))
    assert sum(amounts) == credited * 10**ledger_scale // 10**account_scale + kept


@given(SCALES, SCALES, AMOUNTS, AMOUNTS)
def test_what_is_taken_back_leaves_no_trace(
    ledger_scale: int, account_scale: int, before: int, amount: int
) -> None:
    scales = {"ledger_scale": ledger_scale, "account_scale": account_scale}
    first, kept = split_ledger_amount(before, **scales)
    credited, mixed = split_ledger_amount(amount, **scales, kept=kept)
    taken, left = split_ledger_amount(-amount, **scales, kept=mixed)

    assert (first + credited + taken, left) == (first, kept)


@given(SCALES, SCALES, AMOUNTS)
def test_what_is_paid_is_exactly_what_is_debited(
    account_scale: int, ledger_scale: int, amount: int
) -> None:
    debited, paid = floor_to_ledger(
        amount, account_scale=account_scale, ledger_scale=ledger_scale
    )
    assert debited * 10**ledger_scale == paid * 10**account_scale
    assert (
        0 <= amount - debited < max(Decimal(10) ** (account_scale - ledger_scale), Decimal(1))
    )


@pytest.mark.parametrize(
    ("payable", "receivable", "threshold", "settle_to", "due"),
    [
        (100, 0, 100, 10, 90),  # at the threshold, not only above it
        (99, 0, 100, 10, None),
        (150, 60, 100, 10, None),  # their debt is set off
        (150, -60, 100, 10, 140),  # their prepayment is not
        (150, 0, None, 10, None),
        (150, 0, 10, 10, None),  # the threshold must be above what is settled to
        (150, 0, 100, None, 150),
        (0, 0, 0, -100, 100),  # pay in advance
        (-100, 0, 0, -100, None),
        (-1, 0, 0, -100, None),
        (0, 0, 0, 0, None),
    ],
)
def test_what_is_due(
    payable: int, receivable: int, threshold: int | None, settle_to: int | None, due: int | None
) -> None:
    assert (
        amount_due(
            payable=payable,
            receivable=receivable,
            settle_threshold=threshold,
            settle_to=settle_to,
        )
        == due
    )
