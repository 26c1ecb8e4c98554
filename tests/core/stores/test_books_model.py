"""Random work on the books, beside a model that recounts everything from scratch after each step."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from core.account import AMOUNT_MAX_BOOKED, AccountId
from core.errors import AmountTooLarge, InsufficientBalance, NodeFenced, TransferDecided
from core.ledger.books import Balance, Transfer, TransferId, UnknownTransfer
from core.rates.rate import convert
from core.stores import open_stores
from core.testing.builders import CONDITION, EUR, FULFILLMENT, account
from core.testing.clock import FakeClock
from tests.core.stores.people import NO_TOKENS

NAMES: Final = ("alice", "bob", "carol")
LIMITS: Final = {"alice": -1_000_000, "bob": None, "carol": 0}
RATE: Final = Fraction(10, 7)
"""Dollars to euros; carol's account is in euros."""
SPREAD: Final = Fraction(1, 300)

ID: Final = {name: AccountId(f"id-of-{name}") for name in NAMES}
AMOUNTS: Final = st.one_of(
    st.integers(1, 2_000_000),
    st.sampled_from([
        2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 2, 2**63 - 1, 2**63, 2**64 - 1,
    ]),
)  # fmt: skip
DECISIONS: Final = ("fulfill", "reject", "expire", "fulfill_late", "abandon", "strand")

NUMBERS: Final = count()
"""Each packet goes elsewhere: none is a copy of another."""

LEGAL: Final = {
    ("pending", "fulfill"): "fulfilled",
    ("pending", "reject"): "rejected",
    ("pending", "expire"): "expired",
    ("pending", "fulfill_late"): "late",
    ("expired", "fulfill_late"): "late",
    ("expired", "abandon"): "rejected",
    ("pending", "strand"): "unknown",
    ("expired", "strand"): "unknown",
}
REPEATED: Final = {("expired", "expire"), ("rejected", "abandon"), ("unknown", "strand")}
REPEATED_WITH_RESULT: Final = {
    ("fulfilled", "fulfill"),
    ("late", "fulfill_late"),
    ("rejected", "reject"),
}
"""What may be said again only where it was said before: an operator's word has no fulfillment."""


@dataclass(slots=True)
class Known:
    """A transfer as the model knows it."""

    source: str
    target: str
    incoming_amount: int
    outgoing_amount: int
    state: str = "pending"
    is_ours: bool = True
    with_result: bool = False
    """Whether a fulfillment or a code came with the decision."""
    is_folded: bool = False


class BooksAgainstModel(RuleBasedStateMachine):
    """The model keeps transfers and corrections, and adds them up each time anew."""

    backend = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="books-"))
        self.clock = FakeClock()
        self.transfers: dict[TransferId, Known] = {}
        self.corrections: list[tuple[str, int]] = []
        url = {"memory": "memory:", "sqlite": f"sqlite:///{self.folder / 'data' / 'node.db'}"}
        self.stores = self.run(open_stores(url[self.backend], self.clock))
        self.books = self.stores.books
        for name in NAMES:
            changes: dict[str, Any] = {"min_balance": LIMITS[name]}
            if name == "carol":
                changes["asset"] = EUR
            self.run(self.stores.accounts.insert_account(account(name, **changes), NO_TOKENS))
        self.run(self.stores.leases.sign_on("node"))

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self.stores.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    # --- The model

    def model(self, name: str) -> Balance:
        payable = sum(max(amount, 0) for who, amount in self.corrections if who == name)
        receivable = sum(max(-amount, 0) for who, amount in self.corrections if who == name)
        pending_in = pending_out = unknown_out = 0
        for known in self.transfers.values():
            if known.source == name:
                receivable += known.incoming_amount * (known.state == "fulfilled")
                pending_in += known.incoming_amount * (known.state == "pending")
            if known.target == name:
                amount = known.outgoing_amount
                payable += amount * (known.state in ("fulfilled", "late"))
                pending_out += amount * (known.state in ("pending", "expired"))
                unknown_out += amount * (known.state == "unknown")
        return Balance(payable, receivable, pending_in, pending_out, unknown_out)

    def refusal(self, transfer: Transfer, known: Known) -> type[Exception] | None:
        """Return how this prepare must be refused now, if it must."""
        spread = transfer.conversion.spread_amount if transfer.conversion else 0
        if max(known.incoming_amount, known.outgoing_amount, spread) > AMOUNT_MAX_BOOKED:
            return AmountTooLarge
        source, target = self.model(known.source), self.model(known.target)
        limit = LIMITS[known.source]
        if limit is not None and (
            source.net - source.pending_in - known.incoming_amount < limit
        ):
            return InsufficientBalance
        coming = source.receivable + source.pending_in + known.incoming_amount
        going = target.payable + target.pending_out + target.unknown_out + known.outgoing_amount
        return AmountTooLarge if max(coming, going) > AMOUNT_MAX_BOOKED else None

    # --- What may happen

    @rule(
        pairs=st.lists(
            st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), AMOUNTS),
            min_size=1,
            max_size=6,
        )
    )
    def prepare(self, pairs: Sequence[tuple[str, str, int]]) -> None:
        """Prepare some at once, in this order."""
        transfers = [
            packet(source, target, amount)
            for source, target, amount in pairs
            if source != target
        ]

        async def all_at_once() -> Sequence[Any]:
            return await asyncio.gather(
                *(self.books.prepare(transfer) for transfer, _ in transfers),
                return_exceptions=True,
            )

        outcomes = self.run(all_at_once())
        for (transfer, known), outcome in zip(transfers, outcomes, strict=True):
            expected = self.refusal(transfer, known)
            if expected is None:
                assert isinstance(outcome, int), outcome
                self.transfers[TransferId(outcome)] = known
            else:
                assert type(outcome) is expected

    @rule(
        choices=st.lists(
            st.tuples(st.integers(0, 10**6), st.sampled_from(DECISIONS)), max_size=6
        )
    )
    def decide(self, choices: Sequence[tuple[int, str]]) -> None:
        """Decide some at once, in this order: what can be and what cannot."""
        if not self.transfers:
            return
        ids = list(self.transfers)
        decisions = [(ids[number % len(ids)], decision) for number, decision in choices]

        async def all_at_once() -> Sequence[Any]:
            return await asyncio.gather(
                *(self.call(transfer_id, decision) for transfer_id, decision in decisions),
                return_exceptions=True,
            )

        outcomes = self.run(all_at_once())
        for (transfer_id, decision), outcome in zip(decisions, outcomes, strict=True):
            known = self.transfers[transfer_id]
            following = LEGAL.get((known.state, decision))
            if (known.state, decision) == (
                "rejected",
                "fulfill_late",
            ) and not known.with_result:
                following = "late"  # it was void for want of an answer, and this is the proof
            is_repeated = (known.state, decision) in REPEATED or (
                known.with_result and (known.state, decision) in REPEATED_WITH_RESULT
            )
            if known.is_folded:
                assert type(outcome) is TransferDecided, outcome
            elif not known.is_ours and known.state in ("pending", "expired", "unknown"):
                assert type(outcome) is NodeFenced or (is_repeated and outcome is None)
            elif is_repeated:
                assert not isinstance(outcome, Exception), outcome
            elif following is None:
                assert type(outcome) is TransferDecided, outcome
            else:
                assert not isinstance(outcome, Exception), outcome
                known.state = following
                known.with_result = decision in ("fulfill", "fulfill_late", "reject")

    async def call(self, transfer_id: TransferId, decision: str) -> None:
        arguments = {
            "fulfill": (FULFILLMENT,), "fulfill_late": (FULFILLMENT,), "reject": (b"F02",),
        }.get(decision, ())  # fmt: skip
        await getattr(self.books, decision)(transfer_id, *arguments)

    @rule(name=st.sampled_from(NAMES), amount=st.integers(-(10**9), 10**9))
    def correct(self, name: str, amount: int) -> None:
        now = self.model(name)
        fits = (
            now.payable + max(amount, 0) + now.pending_out + now.unknown_out
            <= AMOUNT_MAX_BOOKED
            and now.receivable + max(-amount, 0) + now.pending_in <= AMOUNT_MAX_BOOKED
        )
        if fits:
            self.run(self.books.correct(ID[name], amount, "a test"))
            self.corrections.append((name, amount))
        else:
            with pytest.raises(AmountTooLarge):
                self.run(self.books.correct(ID[name], amount, "a test"))

    @rule()
    def die_and_recover(self) -> None:
        """Become another node, and settle what this one left."""
        self.run(self.stores.leases.sign_off())
        self.run(self.stores.leases.sign_on("node"))
        left = [k for k in self.transfers.values() if k.state in ("pending", "expired")]
        assert self.run(self.books.recover()).transfers == len(left)
        for known in left:
            known.state = "unknown"
        for known in self.transfers.values():
            known.is_ours = False

    @rule(number=st.integers(0, 10**6), fulfilled=st.booleans())
    def resolve(self, number: int, fulfilled: bool) -> None:
        unknown: Sequence[UnknownTransfer] = self.run(self.books.unknown_transfers(limit=1000))
        assert {leg.id for leg in unknown} == {
            i for i, known in self.transfers.items() if known.state == "unknown"
        }
        if unknown:
            transfer_id = unknown[number % len(unknown)].id
            self.run(self.books.resolve_unknown(transfer_id, fulfilled=fulfilled))
            self.transfers[transfer_id].state = "late" if fulfilled else "rejected"

    @rule(rows_max=st.integers(1, 20))
    def roll_up(self, rows_max: int) -> None:
        """Fold what has ended, oldest first."""
        self.clock.advance(seconds=1)
        ended = [
            known
            for _, known in sorted(self.transfers.items())
            if known.state in ("fulfilled", "rejected", "late") and not known.is_folded
        ]
        folded = self.run(self.books.roll_up(before_ms=self.clock.now_ms(), rows_max=rows_max))
        assert folded == min(rows_max, len(ended))
        for known in ended[:folded]:
            known.is_folded = True

    # --- What always holds

    @invariant()
    def numbers_are_the_models(self) -> None:
        for name in NAMES:
            assert self.run(self.books.balance(ID[name])) == self.model(name)

    @invariant()
    def the_audit_passes(self) -> None:
        report = self.run(self.books.audit())
        assert report.findings == ()
        assert report.transfers == len(self.transfers)
        states = [known.state for known in self.transfers.values()]
        assert report.unknown == states.count("unknown")
        assert report.pending == states.count("pending") + states.count("expired")


def packet(source: str, target: str, amount: int) -> tuple[Transfer, Known]:
    """Return a transfer, converted where one side is carol's."""
    outgoing_amount, conversion = amount, None
    if "carol" in (source, target):
        rate = RATE if target == "carol" else 1 / RATE
        outgoing_amount, conversion = convert(amount, rate, SPREAD)
    known = Known(source, target, amount, outgoing_amount)
    return Transfer(
        from_account=ID[source],
        to_account=ID[target],
        incoming_amount=amount,
        outgoing_amount=outgoing_amount,
        conversion=conversion,
        destination=f"test.node.{target}.{next(NUMBERS)}",
        condition=CONDITION,
        expires_at_ms=0,
    ), known


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("backend", "examples"), [("memory", 50), ("sqlite", 15)])
def test_whatever_happens_the_books_are_the_models(backend: str, examples: int) -> None:
    machine = type("Against", (BooksAgainstModel,), {"backend": backend})

    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None)
    )
