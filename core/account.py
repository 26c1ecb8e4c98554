"""Who sends packets and who receives them: the account, its asset, and what it may do."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NewType, Protocol, final, runtime_checkable

from core.packet import Address

AccountId = NewType("AccountId", str)
"""A UUID, as text. It never changes; the username may."""

AMOUNT_MAX_BOOKED: Final = 2**63 - 1
"""The largest amount and the largest balance that the books carry; more is refused, never clamped."""

ROUND_TRIP_TIME_MS_DEFAULT: Final = 500
SCALE_MAX: Final = 255


class RoutingRelation(enum.Enum):
    """What the other side is to us; the values are interledger-rs's names."""

    NON_ROUTING_ACCOUNT = "NonRoutingAccount"
    PARENT = "Parent"
    PEER = "Peer"
    CHILD = "Child"


@final
@dataclass(frozen=True, slots=True)
class Asset:
    """What an account's amounts count: `scale` digits stand behind the decimal point."""

    code: str
    scale: int

    def __str__(self) -> str:
        return f"{self.code}@{self.scale}"


DECIMALS_KEPT: Final = 2
"""In words for a person, zeros are trimmed behind these decimals only: 12.40 stays, 1.050000000 becomes 1.05."""


def format_amount(amount: int, asset: Asset) -> str:
    """Return `amount` in whole units with its code, exact: 1240 at scale 2 is `12.40 USD`."""
    whole, point, decimals = format_number(amount, asset.scale).partition(".")
    kept = decimals[:DECIMALS_KEPT] + decimals[DECIMALS_KEPT:].rstrip("0")
    return f"{whole}{point}{kept} {asset.code}"


def format_number(amount: int, scale: int) -> str:
    """Return `amount` with `scale` decimals, exact, without grouping."""
    sign = "-" if amount < 0 else ""
    if scale == 0:
        return f"{sign}{abs(amount)}"
    digits = str(abs(amount)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


@final
class Secret:
    """A token or key in clear, which no log and no repr shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Everything that an operator has settled with one other side; amounts in its own smallest unit."""

    id: AccountId
    username: str
    """Canonical: lower case, 2 to 32 of a-z 0-9 _ ~ -; a segment of its ILP address unless that was given."""
    ilp_address: Address
    asset: Asset
    max_packet_amount: int
    """The largest packet accepted from it, u64."""
    min_balance: int | None = None
    """Net may not fall below this: 0 is prepaid, -100 gives a credit of 100, None is explicitly unlimited."""
    ilp_over_http_url: str | None = None
    ilp_over_http_outgoing_token: Secret | None = None
    has_ilp_over_http_incoming_token: bool = False
    ilp_over_btp_url: str | None = None
    ilp_over_btp_outgoing_token: Secret | None = None
    has_ilp_over_btp_incoming_token: bool = False
    settle_threshold: int | None = None
    settle_to: int | None = None
    settlement_engine_url: str | None = None
    """`signalbox:ethereum` names a bundled engine; an http URL an engine of RFC-0038; None the asset's default."""
    settlement_address: str | None = None
    """Where the other side is paid on the engine's ledger, and who it pays from."""
    routing_relation: RoutingRelation = RoutingRelation.NON_ROUTING_ACCOUNT
    round_trip_time_ms: int = ROUND_TRIP_TIME_MS_DEFAULT
    packets_per_minute_limit: int | None = None
    amount_per_minute_limit: int | None = None
    packet_burst_limit: int | None = None
    """How many packets may come at once; None is what a minute allows."""
    amount_burst_limit: int | None = None
    """How much may come at once; None is what a minute allows."""
    packets_in_flight_limit: int | None = None
    """Packets from it that wait for an answer; None leaves it to the node."""
    amount_in_flight_limit: int | None = None
    """What those packets carry together."""
    outgoing_amount_per_minute_limit: int | None = None
    """How much is sent to it in a minute."""
    spread: Fraction | None = None
    """Our share of what goes to it; None is the pair's, or the node's."""
    send_routes: bool | None = None
    """Whether it is told our routes; None goes by its relation: parents and peers are, children are not."""
    receive_routes: bool | None = None
    """Whether its routes are taken; None goes by its relation, as above."""
    import_prefixes: tuple[str, ...] = ()
    """Routes are taken under these alone; empty takes all."""
    export_prefixes: tuple[str, ...] = ()
    """Routes are told under these alone; empty tells all."""
    routes_max: int | None = None
    """How many routes it may have here; None is the node's own bound."""
    route_weight: int = 0
    """The operator's word before all other rules: of two equal prefixes the heavier next hop wins."""
    enabled: bool = True
    label: str = ""
    notes: str = ""
    created_at_ms: int = 0
    updated_at_ms: int = 0

    @property
    def name(self) -> str:
        """What to call it on a screen."""
        return self.label or self.username


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NewTokens:
    """Tokens that come with a change. `None` keeps what is stored, an empty Secret clears it."""

    ilp_over_http_incoming: Secret | None = None
    ilp_over_http_outgoing: Secret | None = None
    ilp_over_btp_incoming: Secret | None = None
    ilp_over_btp_outgoing: Secret | None = None


@final
@dataclass(frozen=True, slots=True)
class FormerAccount:
    """What is left of an account that was deleted, so that its rows can be read."""

    id: AccountId
    username: str
    asset: Asset


@runtime_checkable
class AccountStore(Protocol):
    """Where accounts are kept. Incoming tokens are stored as keyed hashes, outgoing ones encrypted."""

    async def load_accounts(self) -> Sequence[Account]:
        """Return every account, outgoing secrets decrypted, ordered by username."""

    async def load_former_accounts(self, *, limit: int) -> Sequence[FormerAccount]:
        """Return what was deleted, the latest first."""

    async def insert_account(self, account: Account, tokens: NewTokens) -> None:
        """Add it.

        Raises:
            AccountExists: its id, username, address or incoming token is taken; says which.
        """

    async def update_account(self, account: Account, tokens: NewTokens) -> None:
        """Replace what is stored under its id.

        Raises:
            UnknownAccount: there is none.
            AccountExists: its new username, address or incoming token is taken.
        """

    async def delete_account(self, account_id: AccountId, *, even_with_balance: bool) -> None:
        """Remove it, with its routes; its journal stays, and a balance left is written off by a correction.

        Raises:
            UnknownAccount: there is none.
            AccountInUse: it has packets in flight, or a balance and `even_with_balance` is False.
        """

    async def load_token_hashes(self) -> Mapping[bytes, AccountId]:
        """Return the keyed hash of each incoming ILP-over-HTTP token, and whose it is."""

    async def load_btp_token_hashes(self) -> Mapping[bytes, AccountId]:
        """Return the same of each incoming BTP token."""

    def hash_token(self, token: str) -> bytes:
        """Return the keyed hash (HMAC-SHA256 with the store's key) of a token, as `load_token_hashes` has it."""


@final
class AccountDirectory:
    """All accounts, in memory, for the packet's path; replaced as a whole when the store changes."""

    __slots__ = (
        "_by_btp_token_hash",
        "_by_id",
        "_by_token_hash",
        "_by_username",
        "_former",
        "_watchers",
    )

    def __init__(self) -> None:
        self._by_id: dict[AccountId, Account] = {}
        self._by_username: dict[str, Account] = {}
        self._by_token_hash: Mapping[bytes, AccountId] = {}
        self._by_btp_token_hash: Mapping[bytes, AccountId] = {}
        self._former: dict[AccountId, FormerAccount] = {}
        self._watchers: list[Callable[[], None]] = []

    def replace(
        self,
        accounts: Sequence[Account],
        token_hashes: Mapping[bytes, AccountId],
        btp_token_hashes: Mapping[bytes, AccountId] | None = None,
        former: Sequence[FormerAccount] = (),
    ) -> None:
        """Serve these from now on, and tell those who watch."""
        self._former = {account.id: account for account in former}
        self._by_id = {account.id: account for account in accounts}
        self._by_username = {account.username: account for account in accounts}
        self._by_token_hash = token_hashes
        self._by_btp_token_hash = btp_token_hashes or {}
        for tell in self._watchers:
            tell()

    def watch(self, tell: Callable[[], None]) -> None:
        """Call this after each change, for as long as the process lives: links keep to what it says."""
        self._watchers.append(tell)

    def all(self) -> Sequence[Account]:
        return tuple(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def by_id(self, account_id: AccountId) -> Account | None:
        return self._by_id.get(account_id)

    def former(self, account_id: AccountId) -> FormerAccount | None:
        """Return what is left of one that was deleted."""
        return self._former.get(account_id)

    def by_username(self, username: str) -> Account | None:
        return self._by_username.get(username)

    def by_token_hash(self, digest: bytes) -> Account | None:
        account_id = self._by_token_hash.get(digest)
        return None if account_id is None else self._by_id.get(account_id)

    def by_btp_token_hash(self, digest: bytes) -> Account | None:
        account_id = self._by_btp_token_hash.get(digest)
        return None if account_id is None else self._by_id.get(account_id)
