"""The books at the operator's door."""

from __future__ import annotations

import pytest

from core.control.words import balance_words, owed
from core.errors import SettingError, TransferDecided, UnknownAccount
from core.ledger.books import Balance
from core.testing.builders import account
from tests.core.control.bench import Bench


@pytest.mark.parametrize(
    ("balance", "words"),
    [
        (Balance(), "you and bob are even"),
        (Balance(receivable=1_240), "bob owes you 12.40 USD"),
        (Balance(payable=1_240), "you owe bob 12.40 USD"),
        (Balance(payable=1_240, receivable=1_240), "you and bob are even"),
        (Balance(payable=1_240, receivable=240), "you owe bob 10.00 USD"),
        (Balance(receivable=-500), "bob has prepaid 5.00 USD"),
        (Balance(payable=-500), "you have prepaid bob 5.00 USD"),
        (
            Balance(payable=100, receivable=-500),
            "you owe bob 1.00 USD and bob has prepaid 5.00 USD",
        ),
    ],
)
def test_a_balance_says_who_owes_whom(balance: Balance, words: str) -> None:
    assert balance_words(account("bob"), balance) == words


def test_only_what_we_owe_net_is_a_debt() -> None:
    assert owed(Balance(payable=10, receivable=4)) == 6
    assert owed(Balance(payable=10, receivable=40)) == 0
    assert owed(Balance(payable=10, receivable=-4)) == 10
    assert owed(Balance(payable=-10)) == 0


async def test_exposure_is_per_asset_and_counts_what_is_in_flight_once(bench: Bench) -> None:
    for username in ("alice", "bob"):
        await bench.add(username)
    await bench.add("carol", asset_code="EUR", asset_scale=4)
    await bench.pay("alice", "bob", 70)

    eur, usd = await bench.control.exposure()

    assert (str(eur.asset), eur.owed_to_us, eur.owed_by_us) == ("EUR@4", 0, 0)
    assert (str(usd.asset), usd.owed_to_us, usd.owed_by_us) == ("USD@2", 70, 70)
    assert (usd.in_flight, usd.unknown) == (0, 0)


async def test_a_correction_is_kept_with_its_reason_and_the_books_hold(bench: Bench) -> None:
    await bench.add("bob")

    view = await bench.control.correct_balance("Bob", -1_240, "  his statement of May ")

    assert view.balance.net == -1_240
    report = await bench.control.audit()
    assert report.passed
    assert [total.correction for total in report.totals] != [0]


@pytest.mark.parametrize(
    ("amount", "reason", "field"),
    [
        (0, "why", "amount"),
        (2**63, "why", "amount"),
        (5, "   ", "reason"),
        (5, "x" * 501, "reason"),
    ],
)
async def test_a_correction_that_cannot_be_changes_nothing(
    bench: Bench, amount: int, reason: str, field: str
) -> None:
    await bench.add("bob")

    with pytest.raises(SettingError, match=f"^{field}: "):
        await bench.control.correct_balance("bob", amount, reason)
    with pytest.raises(UnknownAccount):
        await bench.control.correct_balance("nobody", 5, "why")

    assert await bench.stores.books.balances() in ({}, {bench.id_of("bob"): Balance()})


async def test_there_is_nothing_unknown_where_nothing_crashed(bench: Bench) -> None:
    assert await bench.control.unknown_transfers() == ()
    with pytest.raises(TransferDecided, match="17 is not in the books"):
        await bench.control.resolve_unknown(17, fulfilled=True)


async def test_what_a_crash_left_undecided_is_shown_and_resolved(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")
    transfer = await bench.prepare("alice", "bob", 700)
    await bench.crash()

    (row,) = await bench.control.unknown_transfers()
    assert (row.id, row.from_username, row.to_username) == (transfer, "alice", "bob")
    assert (row.outgoing_amount, str(row.outgoing_asset)) == (700, "USD@2")
    assert (await bench.control.status()).unknown_transfers == 1
    assert [exposure.unknown for exposure in await bench.control.exposure()] == [700]

    await bench.control.delete_account("alice")
    (row,) = await bench.control.unknown_transfers()
    assert (row.from_username, str(row.outgoing_asset)) == ("alice (deleted)", "USD@2")

    await bench.control.resolve_unknown(row.id, fulfilled=True)

    assert await bench.control.unknown_transfers() == ()
    assert (await bench.control.account("bob")).summary == "you owe bob 7.00 USD"
    assert (await bench.control.audit()).passed
