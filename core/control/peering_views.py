"""What the operator is shown of pings, of this node's own address, and of a peering made by itself."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import final

from core.account import Asset
from core.control.views import AccountView


class PingKind(enum.Enum):
    """How a node is asked whether it is there."""

    ECHO = "echo"
    """It sends the packet back to us: both ways are measured, and what is left of the amount."""
    ONE_WAY = "one way"
    """It keeps the packet: fulfilled by a secret that everybody knows."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PingAttempt:
    """One packet of a ping."""

    answered: bool
    latency_us: int
    returned_amount: int | None
    """What came back of it, in the smallest unit of the account that it came back from; None where none did."""
    sentence: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PingReport:
    """A ping of an address, over the same way that a payment to it would take."""

    destination: str
    kind: PingKind
    attempts: Sequence[PingAttempt]
    amount: int
    """Sent in each packet, in the smallest unit of the account it was sent from; 0 is booked nowhere."""
    asset: Asset | None
    """Of `amount`; None where nothing was sent."""
    returned_asset: Asset | None
    """Of what came back."""
    rate: Fraction | None
    """Whole units that came back for one that was sent, over all answered packets; None where it cannot be said."""
    latency_us_least: int | None
    latency_us_mean: int | None
    latency_us_most: int | None
    """Of the answered packets; None where none was."""
    sentence: str

    @property
    def sent(self) -> int:
        return len(self.attempts)

    @property
    def answered(self) -> int:
        return sum(attempt.answered for attempt in self.attempts)


class AddressSource(enum.Enum):
    """Where this node has its ILP address from."""

    GIVEN = "given"
    """By the operator, when it was started: no parent is asked."""
    PARENT = "parent"
    STORED = "stored"
    """As it was when it last ran; where there is a parent, it has not answered yet."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ParentView:
    """This node's address, and the parent that gives it, if it has one."""

    ilp_address: str
    source: AddressSource
    parent: str | None
    """A username; None where no account is our parent."""
    asked_at_ms: int | None
    answered_at_ms: int | None
    """When the parent last gave us an address."""
    next_at_ms: int | None
    """When it is asked again by itself; None where it is not."""
    sentence: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPeerRequest:
    """What is offered to a node that takes peers by itself (Rafiki's auto-peering)."""

    url: str
    """Where it takes them, as its operator tells."""
    asset_code: str
    asset_scale: int
    our_url: str
    """How the other side reaches this node: `https://node.example`; the path of the account is added."""
    username: str | None = None
    """What the account is called here; None makes it of the name that the other side gives."""
    name: str | None = None
    """What this node is called there; None sends its ILP address."""
    max_packet_amount: int | None = None
    """The largest packet that either side takes; None names none to them, and takes any."""
    min_balance: int | None = 0
    """The credit that they get here: 0 none, -1000 up to 1000, None without limit."""
    replace: bool = False
    """Whether an account of this username gets the new address and tokens; otherwise it is left alone."""
    allow_private: bool = False
    """Whether `url` may lead to this machine or a private network, as in a laboratory."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPeerResult:
    """What came of it."""

    account: AccountView
    was_replaced: bool
    sentence: str
    warnings: Sequence[str] = field(default_factory=tuple)


__all__ = [
    "AddressSource",
    "AutoPeerRequest",
    "AutoPeerResult",
    "ParentView",
    "PingAttempt",
    "PingKind",
    "PingReport",
]
