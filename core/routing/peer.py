"""Route exchange with one account: what we have of its table, what it has of ours, and what is due."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, final

from core.account import Account, RoutingRelation
from core.routing.ccp import NO_TABLE, Mode, TableId
from core.routing.damping import Damping
from core.routing.importing import ImportRules
from core.routing.table import Route
from core.token_bucket import Bucket

MESSAGES_PER_SECOND: Final = 20
"""A peer that keeps to the protocol sends seven; each may take a few milliseconds of the loop."""
MESSAGES_AT_ONCE: Final = 400
"""After a restart a hundred thousand routes come at once."""
UPDATES_WAITING_MAX: Final = 32
"""Of one peer, each of at most 32 KB, behind the one that is being applied."""

_EXCHANGES: Final = (RoutingRelation.PARENT, RoutingRelation.PEER)


def tells_routes_to(account: Account) -> bool:
    """Tell whether an account is told our routes: by the operator's word, or by its relation."""
    if not account.enabled or account.routing_relation is RoutingRelation.NON_ROUTING_ACCOUNT:
        return False
    if account.send_routes is not None:
        return account.send_routes
    return account.routing_relation in _EXCHANGES


def contents(account: Account) -> bool:
    """Tell whether an account's question for routes is answered with yes, though it is told none: a child's that nobody decided of.

    It needs none, since its parent gets all that it has no route to; but Interledger.rs joins no parent that says no.
    """
    return (
        account.enabled
        and account.routing_relation is RoutingRelation.CHILD
        and account.send_routes is None
    )


def takes_routes_from(account: Account) -> bool:
    """Tell whether an account's routes are taken: by the operator's word, or by its relation."""
    if not account.enabled or account.routing_relation is RoutingRelation.NON_ROUTING_ACCOUNT:
        return False
    if account.receive_routes is not None:
        return account.receive_routes
    return account.routing_relation in _EXCHANGES


@final
@dataclass(slots=True)
class Heard:
    """What we have of a peer's table."""

    table_id: TableId = NO_TABLE
    epoch: int = 0
    current_epoch: int = 0
    speaker: str = ""
    """What it calls itself; empty until it has told something to this process."""
    routes: dict[str, Route] = field(default_factory=dict)
    octets: int = 0
    """What they take here."""
    ended: list[dict[str, Route]] = field(default_factory=list)
    """Routes of tables that ended, until each has been looked at: a few hundred at a time."""
    hold_down_ms: int = 0
    heard_at_ms: int | None = None
    expires: float | None = None
    """On the monotonic clock; None where nothing can expire."""
    refused: int = 0
    problem: str = ""


@final
@dataclass(slots=True)
class Asking:
    """Whether a peer was asked for its routes, and what came of it."""

    due: float | None = None
    under_way: bool = False
    last: float | None = None
    after_gap: bool = False
    """It told something that does not follow what we have."""
    has_told: bool = False
    """It has told its routes once, so that its silence means something."""
    refusals: int = 0
    """How often in a row the peer itself said no."""
    given_up: bool = False
    """It does not speak the protocol: it is asked rarely, and nobody is alarmed."""
    by_another: bool = False
    """Another process asks it, or did: what it has told is in the store, and what it refused only that one knows."""
    problem: str = ""
    tell_idle: bool = False
    """It is told that its routes are not wanted any more."""

    def forgive(self) -> None:
        """Hold no refusal against it any more: it has told its routes, or is asked from the beginning."""
        self.refusals, self.given_up, self.problem = 0, False, ""


@final
@dataclass(slots=True)
class Telling:
    """What a peer has of our table."""

    mode: Mode = Mode.IDLE
    has_said: bool = False
    """Whether it has said to this process if it wants to be told."""
    is_elsewhere: bool = False
    """Whether another process on the store is the one that tells it."""
    table_id: TableId = NO_TABLE
    epoch: int = 0
    asked: int = 0
    """Counts its control messages: one that comes while an update is under way says where to go on."""
    asked_table_id: TableId = NO_TABLE
    asked_epoch: int = 0
    withdraw_others: bool = False
    """What it may not be told any more is taken back, since it may have been told."""
    due: float | None = None
    under_way: bool = False
    sent: float | None = None
    sent_at_ms: int | None = None
    failures: int = 0
    refusals: int = 0
    problem: str = ""


@final
@dataclass(slots=True, eq=False)
class Peer:
    """One account that routes are exchanged with."""

    account: Account
    rules: ImportRules
    is_sifted: bool = True
    """Whether what we have of it is what the rules let in; where not, each route is looked at again."""
    heard: Heard = field(default_factory=Heard)
    asking: Asking = field(default_factory=Asking)
    telling: Telling = field(default_factory=Telling)
    damping: Damping = field(default_factory=Damping)
    again: list[str] = field(default_factory=list)
    """Prefixes whose best way is to be found again: all that it tells waits from now on, or does not any more."""
    applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Updates are applied in the order in which they came."""
    waiting: int = 0
    ups: int = 0
    """How often its link was back, when it was last looked."""
    pace: Bucket = field(
        default_factory=lambda: Bucket(60 * MESSAGES_PER_SECOND, MESSAGES_AT_ONCE, now_us=0)
    )
    """What it may send."""
    # What the store has of it, and what it does not have yet.
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)
    generation: int = 0
    version: int = 0
    saved_epoch: int = 0
    """Up to which epoch the store has every route."""
    unsaved: dict[str, None] = field(default_factory=dict)
    """Prefixes whose row is not as `heard.routes` is."""
    is_unsaved: bool = False
    """Whether anything else of it is not as the store has it."""

    @property
    def tells(self) -> bool:
        return tells_routes_to(self.account)

    @property
    def takes(self) -> bool:
        return takes_routes_from(self.account)

    @property
    def is_quiet(self) -> bool:
        """Whether it tells nothing of itself, so that its own address is told in its stead."""
        asking = self.asking
        return not self.takes or asking.given_up or (asking.by_another and not asking.has_told)

    @property
    def listens(self) -> bool:
        """Whether it is to be told our routes, and wants to be."""
        return self.telling.mode is Mode.SYNC and self.tells

    @property
    def never_asked(self) -> bool:
        """Whether it is a peer that may be told our routes, and has not said if it wants to be."""
        return (
            self.tells
            and not self.telling.has_said
            and self.telling.mode is Mode.IDLE
            and self.account.routing_relation is RoutingRelation.PEER
        )

    def may_send(self, now: float) -> bool:
        """Count one more message; False where they come too fast to be looked at."""
        left = self.pace.tokens(
            60 * MESSAGES_PER_SECOND, MESSAGES_AT_ONCE, int(now * 1_000_000)
        )
        if left < 1 or self.waiting >= UPDATES_WAITING_MAX:
            return False
        self.pace.take(1)
        return True
