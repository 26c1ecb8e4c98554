"""What an engine asks of a ledger: five small methods, and two that say where the ledger stands.

An implementation knows its ledger's transactions and nothing of accounts, debts or the store. It
decides nothing from an error's text: whether something was paid follows from receipts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from core.settlement.store import Attempt, BlockMark, IncomingPayment


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """Where the ledger and our wallet on it stand now."""

    ledger_id: str
    """Names this one chain among all: its number and its first block's hash."""
    ledger: str
    """In words, for a screen."""
    resets: bool
    """A throw-away test chain, which begins anew with each start."""
    head: int
    settled_head: int
    """The newest block that is deep enough to count on; below zero while there is none."""
    balance: int
    nonce: int
    """How many transactions of our wallet the ledger has executed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Who is to be paid how much, in ledger units."""

    destination: str
    amount: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A payment with the fee that it will offer."""

    payment: Payment
    fee_per_unit: int
    tip_per_unit: int
    work_limit: int


@final
@dataclass(frozen=True, slots=True)
class Pending:
    """In no block that counts yet."""

    transaction: str | None
    """The attempt that is in a block, or None: then the octets are to be broadcast again."""
    confirmations: int
    nonce_taken: bool = False
    """Another transaction with this nonce is final: somebody else spends from our wallet."""


@final
@dataclass(frozen=True, slots=True)
class Paid:
    """In a block that is deep enough, and executed."""

    transaction: str
    block: BlockMark
    confirmations: int
    fee: int


@final
@dataclass(frozen=True, slots=True)
class Undone:
    """In a block that is deep enough, and refused there: the fee is gone, the amount is not."""

    transaction: str
    block: BlockMark
    fee: int


Outcome = Pending | Paid | Undone


@final
@dataclass(frozen=True, slots=True)
class Scan:
    """What came in after one block, up to another."""

    upto: BlockMark
    payments: Sequence[IncomingPayment]


@final
@dataclass(frozen=True, slots=True)
class Reorganised:
    """The block that the scan was to begin after is not in the chain any more."""


@runtime_checkable
class Ledger(Protocol):
    """One ledger and our wallet on it.

    Whatever asks the ledger's node raises LedgerUnreachable when it does not answer in time, and
    LedgerRefused when it answers with an error.
    """

    @property
    def kind(self) -> str:
        """The engine's kind: `ethereum`."""

    @property
    def asset_code(self) -> str: ...

    @property
    def scale(self) -> int:
        """Decimal places of the ledger's unit: 18 for wei."""

    @property
    def address(self) -> str:
        """Where we are paid, and pay from."""

    # --- Where it stands

    async def state(self) -> LedgerState: ...

    async def block_at(self, number: int) -> BlockMark | None:
        """Return the block of this height, or None if the chain is not that long."""

    async def block_before(self, at_ms: int) -> BlockMark:
        """Return the newest block that is surely older than this moment; the first one if none is."""

    async def balance_at(self, number: int) -> int | None:
        """Return what the wallet held after this block, or None if the node forgot."""

    # --- The five

    async def plan(
        self, payment: Payment, *, committed: int, replacing: Attempt | None
    ) -> Plan:
        """Find the fee to offer; dearer than `replacing` by what the ledger asks of a replacement.

        `committed` is what other transactions of ours that are under way may take from the wallet.

        Raises:
            LedgerRefused: the wallet cannot pay it, the fee is above our limit, or the address is none.
        """

    def sign(self, plan: Plan, nonce: int, at_ms: int) -> Attempt:
        """Make the octets; the transaction's name is known from here on."""

    async def broadcast(self, attempt: Attempt) -> None:
        """Hand the octets to the ledger; may be repeated freely, and what it answers decides nothing."""

    async def outcome(
        self, nonce: int, attempts: Sequence[Attempt], state: LedgerState
    ) -> Outcome:
        """Say from receipts what became of the attempts, of which at most one can have happened."""

    async def scan(self, after: BlockMark, *, upto: int) -> Scan | Reorganised:
        """Return what came in after `after`, in whole blocks, up to `upto` or a bounded way there."""
