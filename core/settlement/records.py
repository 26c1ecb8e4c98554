"""What the node, the operator and the engines share about settlements: rows of the common database.

Amounts towards an account are in its own smallest unit; amounts towards a ledger in the ledger's
(wei), as Python integers of any size, stored as decimal text.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NewType, Protocol, final, runtime_checkable

from core.account import AccountId

SettlementId = NewType("SettlementId", str)
"""A UUID, as text: the idempotency key of a settlement for ever."""

BUNDLED_ENGINE_SCHEME = "signalbox:"
"""`signalbox:ethereum` as an engine's URL names a bundled engine, which polls the store."""
BUNDLED_ENGINES: Final[Mapping[str, str]] = {"ethereum": "ETH"}
"""What a bundled engine is called unless its operator gave it another name, and what it pays."""


class Direction(enum.Enum):
    """Who pays."""

    OUT = "out"
    IN = "in"


class SettlementState(enum.Enum):
    """How far a settlement has come; OUT goes through all of them, IN is CREDITED or REVERSED."""

    INTENT = "intent"
    """Debited and decided, not yet signed."""
    SIGNED = "signed"
    SENT = "sent"
    FINAL = "final"
    FAILED = "failed"
    """Provably not paid, or parked for the operator; the debit was given back or is shown as owed."""
    CREDITED = "credited"
    REVERSED = "reversed"
    """The ledger took it back (a reorganisation); debited again."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One settlement, as the operator sees it."""

    id: SettlementId
    account: AccountId
    engine: str
    direction: Direction
    state: SettlementState
    amount: int
    ledger_amount: int
    ledger_scale: int
    transaction: str | None
    """The ledger's name for it, a hash."""
    confirmations: int | None
    fee: int | None
    """Paid to the ledger, in its units."""
    attempts: int
    problem: str
    """Why it does not go on; empty where it does."""
    created_at_ms: int
    updated_at_ms: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedCredit:
    """Money that came in from somebody whom no account names: for the operator to assign."""

    key: str
    engine: str
    sender: str
    ledger_amount: int
    ledger_scale: int
    transaction: str
    seen_at_ms: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What an engine process last wrote of itself."""

    name: str
    kind: str
    pid: int
    epoch: int
    """Grows with each process that takes the engine's lease; writes under an old one are refused."""
    started_at_ms: int
    heartbeat_at_ms: int
    stopped_at_ms: int | None
    ledger: str
    """Which ledger it is on, in words: `local test chain`, `chain 11155111`."""
    address: str
    """Where we are paid, and pay from."""
    asset_code: str
    ledger_scale: int
    balance: int | None
    """What the wallet holds, in ledger units."""
    head: int | None
    """The newest block it has seen."""
    problem: str


@runtime_checkable
class SettlementView(Protocol):
    """What the operator's door asks of the store about settlements; engines use a wider protocol."""

    async def settlements(
        self, *, limit: int, account: AccountId | None = None
    ) -> Sequence[Settlement]:
        """Return the newest first."""

    async def request_settlement(
        self, account: AccountId, engine: str, amount: int
    ) -> SettlementId:
        """Debit `payable` and write the intent, in one transaction; the engine does the rest.

        Raises:
            UnknownAccount: it is gone.
            Conflict: it has an open settlement already, or we owe it less than `amount`.
        """

    async def engine_statuses(self) -> Sequence[EngineStatus]:
        """Return what each engine last wrote of itself, by name."""

    async def unmatched(self, *, limit: int) -> Sequence[UnmatchedCredit]:
        """Return money that nobody is credited for yet, oldest first."""

    async def assign_unmatched(self, key: str, account: AccountId) -> None:
        """Credit it to an account, once.

        Raises:
            NotFound: there is none, or it was assigned meanwhile.
        """

    async def load_engine_urls(self) -> Mapping[str, str]:
        """Return the default engine URL of each asset code."""

    async def save_engine_urls(self, urls: Mapping[str, str]) -> None:
        """Add or replace the default engines of these asset codes."""
