"""Derives every number of the books from the journal anew, and says in words where it does not agree."""

from __future__ import annotations

import sqlite3
from fractions import Fraction
from hashlib import sha256
from typing import Final, final

from core.account import AccountId
from core.ledger.books import AssetTotal, AuditReport, Balance, TransferState
from core.ledger.postings import (
    FINAL_STATES,
    AssetSheet,
    EntryKind,
    Line,
    add,
    compare,
    is_exact,
    post_transfer,
)

FINDINGS_MAX: Final = 1_000
"""More are counted, not told: whoever has a thousand knows enough."""

_ACCOUNTS: Final = """
    SELECT number, coalesce(username, former_username, id), asset_code, asset_scale FROM account
"""
_BALANCES: Final = """
    SELECT account, payable, receivable, pending_in, pending_out, unknown_out FROM balance
"""
_TRANSFERS: Final = """
    SELECT id, state, from_account, to_account, incoming_amount, outgoing_amount, conversion,
        spread_amount, remainder, final_at_ms, condition, result
    FROM transfer
"""
_FOLDED: Final = """
    SELECT state, from_account, to_account, conversion, transfers, incoming_amount,
        outgoing_amount, spread_amount, remainder
    FROM folded
"""
_ENTRY_KINDS: Final = frozenset(kind.value for kind in EntryKind)
_ENTRIES: Final = "SELECT id, kind, account, payable, receivable FROM entry"


def audit(connection: sqlite3.Connection) -> AuditReport:
    """Audit the snapshot that this connection reads."""
    return _Audit(connection).run()


@final
class _Audit:
    """One audit: rows in, findings out."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._findings: list[str] = []
        self._untold = 0
        self._names: dict[int, str] = {}
        self._sheets: dict[int, AssetSheet] = {}
        self._by_asset: dict[tuple[str, int], AssetSheet] = {}
        self._lines: dict[int, Line] = {}
        self._rates: dict[int, Fraction] = {}
        self._transfers = self._pending = self._unknown = 0

    def run(self) -> AuditReport:
        self._check_file()
        self._load_accounts()
        for number, rate, _ in self._connection.execute("SELECT * FROM conversion"):
            self._rates[number] = Fraction(rate)
        self._add_transfers()
        self._add_folded()
        self._add_entries()
        self._compare()
        totals = self._totals()
        if self._untold:
            self._findings.append(f"And {self._untold} more.")
        return AuditReport(
            findings=tuple(self._findings),
            totals=totals,
            accounts=len(self._names),
            transfers=self._transfers,
            pending=self._pending,
            unknown=self._unknown,
        )

    def _find(self, sentence: str) -> None:
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(sentence)
        else:
            self._untold += 1

    def _check_file(self) -> None:
        for (problem,) in self._connection.execute("PRAGMA quick_check(20)"):
            if problem != "ok":
                self._find(f"The file is damaged: {problem}.")

    def _load_accounts(self) -> None:
        for number, name, code, scale in self._connection.execute(_ACCOUNTS):
            self._names[number] = name
            sheet = self._by_asset.setdefault((code, scale), AssetSheet(code, scale))
            self._sheets[number] = sheet

    def _line(self, number: int) -> Line:
        line = self._lines.get(number)
        if line is None:
            line = self._lines[number] = Line(AccountId(str(number)))
        return line

    # --- From the journal -----------------------------------------------------------------------

    def _add_transfers(self) -> None:
        for (
            transfer_id,
            state,
            source,
            target,
            incoming_amount,
            outgoing_amount,
            conversion,
            spread_amount,
            remainder,
            final_at_ms,
            condition,
            result,
        ) in self._connection.execute(_TRANSFERS):
            self._transfers += 1
            self._pending += state in (TransferState.PENDING, TransferState.EXPIRED)
            self._unknown += state == TransferState.UNKNOWN
            name = f"Transfer {transfer_id}"
            self._check_state(name, state, final_at_ms, condition, result)
            if source not in self._sheets or target not in self._sheets:
                self._find(
                    f"{name} is between accounts {source} and {target}, and one is not there."
                )
                continue
            add(state, self._line(source), self._line(target), incoming_amount, outgoing_amount)
            post_transfer(
                state,
                self._sheets[source],
                self._sheets[target],
                incoming_amount=incoming_amount,
                outgoing_amount=outgoing_amount,
                is_converted=conversion is not None,
                spread_amount=spread_amount,
            )
            if conversion is None:
                self._check_alike(name, source, target, incoming_amount, outgoing_amount)
            else:
                amounts = (incoming_amount, outgoing_amount, spread_amount)
                left_over = Fraction(remainder)
                self._check_conversion(name, conversion, amounts, left_over)
                if not 0 <= left_over < 2:
                    self._find(f"{name} has a remainder of {remainder}, not of 0 to 2.")

    def _check_state(
        self,
        name: str,
        number: int,
        final_at_ms: int | None,
        condition: bytes,
        result: bytes | None,
    ) -> None:
        try:
            state = TransferState(number)
        except ValueError:
            self._find(f"{name} is in state {number}, which there is not.")
            return
        if (state in FINAL_STATES) != (final_at_ms is not None):
            self._find(f"{name} is {state.name}, and the time of its end is {final_at_ms}.")
        is_proof_needed = state is TransferState.FULFILLED or (
            state is TransferState.LATE and result is not None  # else the operator's word
        )
        if is_proof_needed and sha256(result or b"").digest() != condition:
            self._find(f"{name} is {state.name}, and its fulfillment is not its condition's.")

    def _check_alike(
        self, name: str, source: int, target: int, incoming_amount: int, outgoing_amount: int
    ) -> None:
        """Check a transfer that was not converted: one asset, one amount."""
        if self._sheets[source] is not self._sheets[target]:
            self._find(f"{name} is between two assets, and says no rate.")
        elif incoming_amount != outgoing_amount:
            self._find(
                f"{name} took {incoming_amount} and gave {outgoing_amount}, and says no rate."
            )

    def _check_conversion(
        self, name: str, number: int, amounts: tuple[int, int, int], remainder: Fraction
    ) -> None:
        rate = self._rates.get(number)
        incoming_amount, outgoing_amount, spread_amount = amounts
        if rate is None:
            self._find(f"{name} names conversion {number}, which is not there.")
        elif not is_exact(rate, incoming_amount, outgoing_amount, spread_amount, remainder):
            self._find(
                f"{name}: {incoming_amount} at the rate {rate} is {incoming_amount * rate}, and "
                f"outgoing {outgoing_amount}, spread {spread_amount} and remainder {remainder} "
                f"make {outgoing_amount + spread_amount + remainder}."
            )

    def _add_folded(self) -> None:
        for row in self._connection.execute(_FOLDED):
            state, source, target, conversion, transfers = row[:5]
            incoming_amount, outgoing_amount, spread_amount = map(int, row[5:8])
            remainder = Fraction(row[8])
            self._transfers += transfers
            name = f"The total of {transfers} old transfers from account {source} to {target}"
            if source not in self._sheets or target not in self._sheets:
                self._find(f"{name} is of an account that is not there.")
                continue
            if state not in FINAL_STATES:
                self._find(f"{name} is of state {state}, which is not final.")
                continue
            add(state, self._line(source), self._line(target), incoming_amount, outgoing_amount)
            post_transfer(
                state,
                self._sheets[source],
                self._sheets[target],
                incoming_amount=incoming_amount,
                outgoing_amount=outgoing_amount,
                is_converted=conversion != 0,
                spread_amount=spread_amount,
            )
            if conversion:
                amounts = (incoming_amount, outgoing_amount, spread_amount)
                self._check_conversion(name, conversion, amounts, remainder)
            else:
                self._check_alike(name, source, target, incoming_amount, outgoing_amount)

    def _add_entries(self) -> None:
        for number, kind, account, payable, receivable in self._connection.execute(_ENTRIES):
            if kind not in _ENTRY_KINDS:
                self._find(f"Entry {number} is a {kind!r}, which there is not.")
            elif account not in self._sheets:
                self._find(f"Entry {number} is of account {account}, which is not there.")
            else:
                line = self._line(account)
                line.payable += payable
                line.receivable += receivable
                self._sheets[account].post_entry(
                    EntryKind(kind), payable=payable, receivable=receivable
                )

    # --- Against what runs ----------------------------------------------------------------------

    def _compare(self) -> None:
        running = {row[0]: Balance(*row[1:]) for row in self._connection.execute(_BALANCES)}
        for number in sorted(running.keys() | self._lines.keys()):
            name = self._names.get(number, f"Account {number}, which is not there")
            balance = running.get(number, Balance())
            for finding in compare(name, balance, self._line(number).balance):
                self._find(finding)
            if number in self._sheets:
                self._sheets[number].peers += balance.net

    def _totals(self) -> tuple[AssetTotal, ...]:
        totals = tuple(self._by_asset[key].total() for key in sorted(self._by_asset))
        for total in totals:
            if total.sum:
                self._find(
                    f"{total.code} at scale {total.scale}: all postings add up to {total.sum}, "
                    "and not to zero."
                )
        return totals
