"""What the operator is shown of route exchange: each peer's state, why a route won, what changed."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final


class RouteExchangeState(enum.Enum):
    """Where route exchange with an account stands, in a word."""

    OFF = "off"
    """Neither told our routes nor asked for its own: by its relation, or by the operator."""
    ASKING = "asking"
    """It was asked for its routes and has told none yet."""
    IN_STEP = "in step"
    """Both sides know what they should of each other."""
    CATCHING_UP = "catching up"
    """Updates are under way."""
    SILENT = "silent"
    """It told its routes once and not for longer than its hold-down: they are withdrawn."""
    STATIC = "static"
    """It does not speak the protocol, as Rafiki: its address and static routes lead to it, and that is normal."""
    FAILING = "failing"
    """It cannot be reached, or refuses; `problem` says why."""
    PAUSED = "paused"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePeerView:
    """Route exchange with one account."""

    username: str
    relation: str
    state: RouteExchangeState
    sentence: str
    """The state for a person, with its reason."""
    problem: str
    """What is wrong, in a sentence; empty where nothing is."""
    send_routes: bool
    """Whether it is told our routes, by the operator or by its relation."""
    receive_routes: bool
    """Whether its routes are taken."""
    wants_routes: bool
    """Whether it has asked us to be told (mode Sync)."""
    their_table_id: str
    """As a UUID; empty before its first update."""
    their_epoch: int
    """How far we have its table."""
    their_current_epoch: int
    """How far its table goes, by its own word."""
    our_table_id: str
    our_epoch: int
    """How far it has ours."""
    our_current_epoch: int
    last_update_at_ms: int | None
    """When it was last heard of."""
    expires_at_ms: int | None
    """When its routes are withdrawn if nothing more is heard."""
    last_sent_at_ms: int | None
    learned: int
    """Routes of its that are known here."""
    used: int
    """How many of them are the best for their prefix."""
    refused: int
    """Routes that it told and that were not taken, since this process started."""
    damped: int
    """Routes of its that come and go too often, and wait."""
    advertised: int
    """Routes that it has been told."""
    routes_max: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCandidateView:
    """One way to a prefix."""

    prefix: str
    next_hop: str
    """A username."""
    source: str
    """`static`, `account`, `learned` or `default`."""
    relation: str
    path: Sequence[str]
    """The nodes on the way, the next hop first; empty where no peer told it."""
    weight: int
    chosen: bool
    reason: str
    """Why it is the best, or what the best has before it."""
    heard_at_ms: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWhy:
    """Why packets for a destination go where they go."""

    destination: str
    prefix: str | None
    """The longest prefix that covers it; None where there is none."""
    sentence: str
    candidates: Sequence[RouteCandidateView]
    """Every way to that prefix, the chosen one first; then those to longer ones, none of which may be used."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChangeView:
    """One change of the best learned route to a prefix."""

    sequence: int
    """Counts changes of this process, gaps mean that the view could not keep up."""
    at_ms: int
    prefix: str
    before: str | None
    """The next hop's username, None where there was no route."""
    after: str | None
    path: Sequence[str]
    reason: str
    """What made it change, a sentence."""
