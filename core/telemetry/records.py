"""What the node can tell of its traffic and its log: frozen values, made when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from core.account import AccountId


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficCounters:
    """What one account, or the node, did since the process started."""

    prepares: int = 0
    fulfills: int = 0
    rejects: int = 0
    packets_per_second: float = 0.0
    """Over the last ten seconds; a figure for the eye."""
    last_packet_at_ms: int | None = None
    last_reject: str = ""
    """Code, name and message of the last reject; empty where there was none."""
    last_reject_by: str | None = None
    """The address of who says that it rejected it; None where the node itself failed, or there was none."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PacketRecord:
    """One packet that ended, as the chain saw it."""

    sequence: int
    at_ms: int
    from_account: AccountId
    to_account: AccountId | None
    destination: str
    incoming_amount: int
    outgoing_amount: int | None
    transfer: int | None
    """Its row in the books; None where it was not booked."""
    code: str
    """Empty for a fulfill."""
    triggered_by: str
    message: str
    latency_us: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of the log."""

    sequence: int
    at_ms: int
    level: str
    component: str
    text: str
