"""What a settlement engine asks of the common database; the operator's part is in `records`.

Every write names the lease that it is made under: once another process has taken the engine over,
what the old one still tries is refused and changes nothing. Each call is one transaction:

* `decide`      debits what we owe and writes the intent
* `sign`        takes the wallet's next nonce and keeps the signed octets, before anybody sees them
* `finish`, `fail`   end a settlement, from what the ledger's receipt says
* `apply_scan`  credits what came in, each payment once for ever, and moves the cursor
* `rewind`      takes credits back that the ledger took back
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from core.account import AccountId
from core.settlement.records import (
    BUNDLED_ENGINE_SCHEME,
    SettlementId,
    SettlementState,
    SettlementView,
)

MARKS_KEPT = 1_000
"""How many earlier cursors are kept, to find where a reorganised chain still agrees with us."""

ENGINE_LEASE_MS = 15_000
"""How long an engine counts as alive after its last heartbeat; its process being gone counts at once."""


@final
@dataclass(frozen=True, slots=True)
class EngineLease:
    """The right to write as this engine; `epoch` grows with each process that takes it."""

    name: str
    epoch: int


@final
@dataclass(frozen=True, slots=True)
class BlockMark:
    """A block by height and hash: the hash tells whether it is still the same one."""

    number: int
    hash: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineIdentity:
    """What an engine is, before it has seen its ledger."""

    name: str
    kind: str
    asset_code: str
    ledger_scale: int
    pid: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
    """What an engine writes of itself with every heartbeat."""

    ledger: str
    address: str
    balance: int | None
    head: int | None
    problem: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WalletKey:
    """Names one wallet on one ledger: another chain behind the same URL is another wallet."""

    ledger_id: str
    address: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """How far we are with a wallet: outwards by nonce, inwards by cursor."""

    next_nonce: int
    """The first nonce that no signed transaction of ours has."""
    cursor: BlockMark
    """Everything up to here, this block included, is credited."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One signed transaction for a settlement; a later attempt has the same nonce and a higher fee."""

    hash: str
    raw: bytes
    fee_per_unit: int
    """What it offers at most for each unit of work, in ledger units."""
    tip_per_unit: int
    work_limit: int
    """How many units of work it may use: gas."""
    at_ms: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSettlement:
    """A settlement that is decided and not ended."""

    id: SettlementId
    account: AccountId
    state: SettlementState
    amount: int
    ledger_amount: int
    destination: str
    nonce: int | None
    attempts: Sequence[Attempt]
    """Oldest first; empty while it is an intent."""
    problem: str
    created_at_ms: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingPayment:
    """A payment that the ledger says we received."""

    key: str
    """Unique on the ledger for ever: transaction hash, with the log's index where there are several."""
    transaction: str
    sender: str
    ledger_amount: int
    block: BlockMark


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ScanApplied:
    """What became of a scan's payments."""

    credited: int
    unmatched: int
    known: int
    """Seen before, and credited then."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rewound:
    """What a reorganisation took back."""

    reversed_credits: int
    reopened_settlements: int
    """Final ones whose transaction is in no block any more; their octets are sent again."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WalletTotals:
    """What the rows say has gone through a wallet, in ledger units, up to its cursor."""

    upto: int
    received: int
    paid: int
    fees: int


@runtime_checkable
class SettlementStore(SettlementView, Protocol):
    """The engine's side. All raise EngineFenced where they name a lease that is not the newest."""

    async def take_engine(self, identity: EngineIdentity) -> EngineLease:
        """Become this engine, under a new epoch.

        Raises:
            EngineRunning: a living process is; says which.
        """

    async def release_engine(self, lease: EngineLease) -> None:
        """Say that this process ends in order; the next one need not wait."""

    async def heartbeat(self, lease: EngineLease, report: EngineReport) -> None:
        """Say that this process lives, and how it fares."""

    async def load_wallet(self, lease: EngineLease, key: WalletKey) -> Wallet | None:
        """Return how far we are with this wallet; None if it is new."""

    async def open_wallet(
        self, lease: EngineLease, key: WalletKey, *, first: Wallet, resets: bool
    ) -> Wallet:
        """Return how far we are with this wallet, or begin with `first` if it is new.

        `resets` says that the chain is a throw-away one which begins anew with each start. Then what
        was signed for an earlier such chain is parked: that chain is gone, and the payment with it.

        Raises:
            EngineStopped: the engine was on another chain that does not reset, or has settlements
                under way from another wallet.
        """

    async def load_marks(self, lease: EngineLease, key: WalletKey) -> Sequence[BlockMark]:
        """Return the earlier cursors, newest first; the last one is where we began."""

    async def load_open(self, lease: EngineLease) -> Sequence[OpenSettlement]:
        """Return what is decided and not ended: signed ones by nonce, then intents, oldest first."""

    async def accounts_due(self, lease: EngineLease, *, limit: int) -> Sequence[AccountId]:
        """Return accounts that this engine serves and that `decide` would settle now."""

    async def decide(self, lease: EngineLease, account: AccountId) -> OpenSettlement | None:
        """Debit `payable` and write the intent; None if on a second look nothing is due."""

    async def sign(
        self,
        lease: EngineLease,
        key: WalletKey,
        settlement: SettlementId,
        nonce: int,
        attempt: Attempt,
    ) -> None:
        """Take `nonce`, which must be the wallet's next, and keep the octets; the state is SIGNED."""

    async def add_attempt(
        self, lease: EngineLease, settlement: SettlementId, attempt: Attempt
    ) -> None:
        """Keep a dearer transaction with the same nonce, before it is broadcast."""

    async def sent(self, lease: EngineLease, settlement: SettlementId) -> None:
        """Note that the octets have been broadcast at least once."""

    async def note(
        self,
        lease: EngineLease,
        settlement: SettlementId,
        *,
        problem: str,
        transaction: str | None = None,
        confirmations: int | None = None,
    ) -> None:
        """Note what the operator sees of one that is still open."""

    async def finish(
        self,
        lease: EngineLease,
        settlement: SettlementId,
        *,
        transaction: str,
        block: BlockMark,
        confirmations: int,
        fee: int,
    ) -> None:
        """Note that it is paid; it stays FINAL unless a reorganisation takes the block back."""

    async def fail(
        self,
        lease: EngineLease,
        settlement: SettlementId,
        *,
        problem: str,
        give_back: bool,
        transaction: str | None = None,
        block: BlockMark | None = None,
        fee: int | None = None,
    ) -> None:
        """End it unpaid. Give the debit back only where the ledger proves that it was not paid.

        The account is not settled by threshold again until its operator changes it or settles by hand.
        """

    async def apply_scan(
        self,
        lease: EngineLease,
        key: WalletKey,
        *,
        after: BlockMark,
        upto: BlockMark,
        payments: Sequence[IncomingPayment],
    ) -> ScanApplied:
        """Credit each payment that is not known yet, and move the cursor from `after` to `upto`.

        A sender that no account names becomes a row for the operator. What is finer than the
        account's unit is kept for its next payment. If the cursor is not at `after`, nothing is done.

        Raises:
            EngineFenced: also when the cursor is elsewhere, for then somebody else moved it.
        """

    async def rewind(self, lease: EngineLease, key: WalletKey, to: BlockMark) -> Rewound:
        """Move the cursor back to `to`, one of the wallet's marks; debit again what was credited after it."""

    async def wallet_totals(self, lease: EngineLease, key: WalletKey) -> WalletTotals:
        """Return what the rows add up to, for comparison with the ledger's balance."""


def power_of_ten(exponent: int) -> int:
    """Return 10 to a power of at least 0, as an integer."""
    return int(10**exponent)


def split_ledger_amount(
    ledger_amount: int, *, ledger_scale: int, account_scale: int, kept: int = 0
) -> tuple[int, int]:
    """Return what a ledger amount is in account units, floored, and the rest in ledger units.

    `kept` is the rest of earlier payments. Nothing is lost: units × (ledger units in one) + rest
    equals `kept + ledger_amount`, for a negative amount (a reversal) too.
    """
    total = kept + ledger_amount
    if account_scale >= ledger_scale:
        return total * power_of_ten(account_scale - ledger_scale), 0
    return divmod(total, power_of_ten(ledger_scale - account_scale))


def floor_to_ledger(amount: int, *, account_scale: int, ledger_scale: int) -> tuple[int, int]:
    """Return the part of an account's amount that the ledger can carry, and that part in its units."""
    if ledger_scale >= account_scale:
        return amount, amount * power_of_ten(ledger_scale - account_scale)
    unit = power_of_ten(account_scale - ledger_scale)
    ledger_amount = amount // unit
    return ledger_amount * unit, ledger_amount


def amount_due(
    *, payable: int, receivable: int, settle_threshold: int | None, settle_to: int | None
) -> int | None:
    """Return how much is to be settled now by the account's threshold, or None.

    Owed is what they fulfilled less what they owe us; what they have prepaid is no debt of ours.
    Settles at the threshold, not only above it, and down to `settle_to` (unset counts as 0).
    """
    target = settle_to or 0
    if settle_threshold is None or settle_threshold <= target:
        return None
    owed = payable - max(receivable, 0)
    if owed < settle_threshold or owed <= target:
        return None
    return owed - target


def engine_serves(engine: str, *, account_url: str | None, default_url: str | None) -> bool:
    """Whether an account with this engine URL, or its asset's default, is this bundled engine's."""
    return (account_url or default_url) == f"{BUNDLED_ENGINE_SCHEME}{engine}"


def comparable_address(address: str) -> str:
    """Return the form in which ledger addresses are compared: they differ in case only by checksum."""
    return address.strip().lower()
