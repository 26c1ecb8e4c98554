"""The books at the operator's door."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.control import books
from core.control.views import UnknownResolved
from core.control.words import balance_words, owed
from core.errors import Conflict, NotFound, SettingError, TransferDecided, UnknownAccount
from core.ledger.books import Balance, UnknownTransfer
from core.stores import open_stores
from core.testing.builders import USD, account
from core.testing.clock import FakeClock
from tests.core.control.bench import Bench, make_bench
from tests.core.control.test_payments import prepare, sending


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
    with pytest.raises(Conflict, match="owed to the peer already; if"):
        await bench.control.resolve_unknown(row.id, fulfilled=False)

    assert await bench.control.unknown_transfers() == ()
    assert (await bench.control.account("bob")).summary == "you owe bob 7.00 USD"
    assert (await bench.control.audit()).passed


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_all_that_is_undecided_of_a_peer_or_a_payment_is_resolved_at_once(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "memory:" if backend == "memory" else f"sqlite:///{tmp_path / 'node.db'}"
    stores = await open_stores(url, FakeClock())
    bench = await make_bench(stores=stores)
    for username in ("alice", "bob", "carol"):
        await bench.add(username)
    await bench.prepare("bob", "alice", 3)
    for amount in range(1, 251):  # three rounds
        await bench.prepare("alice", "bob", amount)
    await bench.prepare("bob", "carol", 7)
    for payment_id in ("p-1", "p-2"):
        payment = await sending(bench, payment_id)
        for amount in (70, 30):
            await prepare(bench, payment, amount)
    await bench.crash()
    resolve = bench.control.resolve_all_unknown

    with pytest.raises(SettingError, match="is needed"):
        await resolve(fulfilled=True)
    with pytest.raises(UnknownAccount):
        await resolve(fulfilled=True, peer="nobody")
    with pytest.raises(NotFound):
        await resolve(fulfilled=True, payment="p-3")
    answer = await resolve(fulfilled=False, payment="p-1", peer="carol")
    assert answer == UnknownResolved(transfers=0, sums={}, more=False)

    answer = await resolve(fulfilled=True, payment="p-1")
    assert answer == UnknownResolved(transfers=2, sums={USD: 100}, more=False)
    assert (await bench.control.payment("p-1")).undecided == 0
    assert (await bench.control.payment("p-2")).undecided == 100

    monkeypatch.setattr(books, "RESOLVING_ROUNDS_MAX", 1)
    answer = await resolve(fulfilled=False, peer="Bob")
    assert answer == UnknownResolved(transfers=100, sums={USD: 100 * 101 // 2}, more=True)
    monkeypatch.undo()
    answer = await resolve(fulfilled=True, peer="Bob")
    assert (answer.transfers, answer.more) == (152, False)

    rows = await bench.control.unknown_transfers()
    assert [row.to_username for row in rows] == ["alice", "carol"]
    assert (await bench.control.account("bob")).balance.unknown_out == 0
    assert (await bench.control.audit()).passed
    await stores.close()


async def test_what_is_decided_otherwise_meanwhile_stays_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.add("alice")
    await bench.add("bob")
    proven = await bench.prepare("alice", "bob", 7)
    await bench.prepare("alice", "bob", 5)
    await bench.crash()
    listed = bench.stores.books.unknown_transfers

    async def proven_after(**wanted: Any) -> Sequence[UnknownTransfer]:
        found = await listed(**wanted)
        await bench.stores.books.resolve_unknown(proven, fulfilled=True)
        return found

    monkeypatch.setattr(bench.stores.books, "unknown_transfers", proven_after)
    answer = await bench.control.resolve_all_unknown(fulfilled=False, peer="bob")

    assert answer == UnknownResolved(transfers=1, sums={USD: 5}, more=False)
    assert (await bench.control.account("bob")).balance.payable == 7


async def test_what_is_not_undecided_says_so_in_plain_words(bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")
    transfer = await bench.prepare("alice", "bob", 700)
    with pytest.raises(Conflict, match="its node still waits for the answer"):
        await bench.control.resolve_unknown(transfer, fulfilled=True)
    await bench.crash()
    await bench.control.resolve_unknown(transfer, fulfilled=False)

    with pytest.raises(Conflict, match="it was given up as not paid already; if the peer has"):
        await bench.control.resolve_unknown(transfer, fulfilled=True)
