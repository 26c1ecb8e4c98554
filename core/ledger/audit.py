"""Derives every number of the books from the journal anew, and says in words where it does not agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Final, NamedTuple, final

from core.account import AccountId
from core.ledger.books import AssetTotal, AuditReport, Balance, TransferState
from core.ledger.postings import (
    FINAL_STATES,
    AssetSheet,
    EntryKind,
    Line,
    Total,
    add,
    compare,
    is_exact,
    post_transfer,
)

FINDINGS_MAX: Final = 1_000
"""More are counted, not told: whoever has a thousand knows enough."""

_ENTRY_KINDS: Final = frozenset(kind.value for kind in EntryKind)


class TransferRow(NamedTuple):
    """A transfer as the journal has it; accounts by number, `rate` None where both sides count alike."""

    id: int
    state: int
    source: int
    target: int
    incoming_amount: int
    outgoing_amount: int
    rate: Fraction | None
    spread_amount: int
    remainder: Fraction
    final_at_ms: int | None
    condition: bytes
    result: bytes | None


@final
@dataclass(frozen=True, slots=True)
class AuditedAccount:
    """An account as the audit speaks of it; deleted ones are audited too."""

    name: str
    code: str
    scale: int


@final
class Audit:
    """One audit: hand it accounts, then the journal, then the running numbers, and ask for the report."""

    def __init__(self, accounts: Mapping[int, AuditedAccount]) -> None:
        self._findings: list[str] = []
        self._untold = 0
        self._accounts = accounts
        self._by_asset: dict[tuple[str, int], AssetSheet] = {}
        self._sheets: dict[int, AssetSheet] = {}
        for number, account in accounts.items():
            self._sheets[number] = self._by_asset.setdefault(
                (account.code, account.scale), AssetSheet(account.code, account.scale)
            )
        self._lines: dict[int, Line] = {}
        self._transfers = self._pending = self._unknown = self._late = 0

    def find(self, sentence: str) -> None:
        """Note something that is wrong."""
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(sentence)
        else:
            self._untold += 1

    def add_transfer(self, row: TransferRow) -> None:
        """Check one row by itself, and add up what it posts."""
        name = f"Transfer {row.id}"
        self._transfers += 1
        self._pending += row.state in (TransferState.PENDING, TransferState.EXPIRED)
        self._unknown += row.state == TransferState.UNKNOWN
        self._late += row.state == TransferState.LATE
        self._check_state(name, row)
        if row.source not in self._sheets or row.target not in self._sheets:
            self.find(
                f"{name} is between accounts {row.source} and {row.target}, and one is not there."
            )
            return
        total = Total(
            1, row.incoming_amount, row.outgoing_amount, row.spread_amount, row.remainder
        )
        self._post(name, row.state, row.source, row.target, row.rate, total)
        if not 0 <= row.remainder < 2:
            self.find(
                f"{name} has a remainder of {row.remainder}, which is not from 0 to below 2."
            )

    def add_total(
        self, state: int, source: int, target: int, rate: Fraction | None, total: Total
    ) -> None:
        """Check one total of folded rows, and add up what it posts."""
        name = f"The total of {total.transfers} old transfers from account {source} to {target}"
        self._transfers += total.transfers
        self._late += total.transfers if state == TransferState.LATE else 0
        if source not in self._sheets or target not in self._sheets:
            self.find(f"{name} is of an account that is not there.")
        elif state not in FINAL_STATES:
            self.find(f"{name} is of state {state}, which is not final.")
        else:
            self._post(name, state, source, target, rate, total)

    def add_entry(
        self, number: int, kind: str, account: int, *, payable: int, receivable: int
    ) -> None:
        """Add up what one entry posts."""
        if kind not in _ENTRY_KINDS:
            self.find(f"Entry {number} is a {kind!r}, which there is not.")
        elif account not in self._sheets:
            self.find(f"Entry {number} is of account {account}, which is not there.")
        else:
            line = self._line(account)
            line.payable += payable
            line.receivable += receivable
            self._sheets[account].post_entry(
                EntryKind(kind), payable=payable, receivable=receivable
            )

    def report(self, running: Mapping[int, Balance]) -> AuditReport:
        """Compare with the numbers that run, and tell."""
        for number in sorted(running.keys() | self._lines.keys()):
            account = self._accounts.get(number)
            name = f"Account {number}, which is not there" if account is None else account.name
            balance = running.get(number, Balance())
            for finding in compare(name, balance, self._line(number).balance):
                self.find(finding)
            if account is not None:
                self._sheets[number].peers += balance.net
        totals = tuple(self._by_asset[key].total() for key in sorted(self._by_asset))
        for total in totals:
            self._check_sum(total)
        if self._untold:
            self._findings.append(f"And {self._untold} more.")
        return AuditReport(
            findings=tuple(self._findings),
            totals=totals,
            accounts=len(self._accounts),
            transfers=self._transfers,
            pending=self._pending,
            unknown=self._unknown,
            late=self._late,
        )

    def _line(self, number: int) -> Line:
        line = self._lines.get(number)
        if line is None:
            line = self._lines[number] = Line(AccountId(str(number)))
        return line

    def _post(
        self,
        name: str,
        state: int,
        source: int,
        target: int,
        rate: Fraction | None,
        total: Total,
    ) -> None:
        incoming_amount, outgoing_amount = total.incoming_amount, total.outgoing_amount
        add(state, self._line(source), self._line(target), incoming_amount, outgoing_amount)
        post_transfer(
            state,
            self._sheets[source],
            self._sheets[target],
            incoming_amount=incoming_amount,
            outgoing_amount=outgoing_amount,
            is_converted=rate is not None,
            spread_amount=total.spread_amount,
        )
        if rate is not None:
            self._check_conversion(name, rate, total)
        elif self._sheets[source] is not self._sheets[target]:
            self.find(f"{name} is between two assets, and says no rate.")
        elif incoming_amount != outgoing_amount:
            self.find(
                f"{name} took {incoming_amount} and gave {outgoing_amount}, and says no rate."
            )

    def _check_conversion(self, name: str, rate: Fraction, total: Total) -> None:
        incoming, outgoing = total.incoming_amount, total.outgoing_amount
        if not is_exact(rate, incoming, outgoing, total.spread_amount, total.remainder):
            self.find(
                f"{name}: {incoming} at the rate {rate} is {incoming * rate}, and outgoing "
                f"{outgoing}, spread {total.spread_amount} and remainder {total.remainder} make "
                f"{outgoing + total.spread_amount + total.remainder}."
            )

    def _check_state(self, name: str, row: TransferRow) -> None:
        try:
            state = TransferState(row.state)
        except ValueError:
            self.find(f"{name} is in state {row.state}, which there is not.")
            return
        if (state in FINAL_STATES) != (row.final_at_ms is not None):
            self.find(f"{name} is {state.name}, and the time of its end is {row.final_at_ms}.")
        is_proof_needed = state is TransferState.FULFILLED or (
            state is TransferState.LATE and row.result is not None  # else the operator's word
        )
        if is_proof_needed and sha256(row.result or b"").digest() != row.condition:
            self.find(f"{name} is {state.name}, and its fulfillment is not its condition's.")

    def _check_sum(self, total: AssetTotal) -> None:
        if total.sum:
            self.find(
                f"{total.code} at scale {total.scale}: all postings add up to {total.sum}, "
                "and not to zero."
            )
