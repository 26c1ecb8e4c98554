"""The table of peers: one row an account, with what it owes, what it does, and how its link is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from PySide6.QtCore import QObject

from desktop import formatting
from desktop.models.gauge import Gauge, Level
from desktop.models.table import Column, TableModel

STATE: Final = 0
GAUGE: Final = 2
BALANCE: Final = 3
TREND: Final = 4
"""The columns that a delegate draws."""

STATE_TEXTS: Final[Mapping[str, str]] = {
    "up": "Up",
    "idle": "Idle",
    "degraded": "Degraded",
    "down": "Down",
    "paused": "Paused",
    "never": "Never up",
}
_STATE_ORDER: Final = ("down", "degraded", "never", "paused", "idle", "up")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """One peer; amounts in its smallest unit."""

    username: str
    name: str
    state: str
    """A key of STATE_TEXTS."""
    state_reason: str
    relation: str
    asset_code: str
    asset_scale: int
    gauge: Gauge
    nets: Sequence[int]
    """The balance of the last minutes, oldest first; above zero we owe them."""
    rate: float
    """Packets a second."""
    fulfills: int
    rejects: int
    reject_code: str
    last_reject: str
    """Remote text, unless the node itself wrote it."""
    last_reject_is_ours: bool
    last_packet: str
    last_packet_at_ms: int | None
    settling: bool
    enabled: bool

    @property
    def words(self) -> str:
        """Who owes whom: `bob owes you 12.40 USD`."""
        return formatting.owed(-self.gauge.owed, self.asset_code, self.asset_scale, self.name)

    @property
    def search_text(self) -> str:
        return f"{self.username} {self.name} {self.asset_code} {self.relation}".lower()

    @property
    def state_key(self) -> str:
        return self.state

    @property
    def asset_key(self) -> str:
        return self.asset_code.lower()

    @property
    def relation_key(self) -> str:
        return self.relation.lower()

    @property
    def reject_key(self) -> str:
        return self.reject_code.lower()

    @property
    def used_percent(self) -> int | None:
        return self.gauge.used_percent

    @property
    def short_words(self) -> str:
        """Who owes whom, without the name."""
        owed = self.gauge.owed
        if not owed:
            return "even"
        return f"{'owes you' if owed > 0 else 'you owe'} {self.amount(abs(owed))}"

    @property
    def signed(self) -> str:
        """The balance with its sign, as graphs have it: above zero they owe us."""
        return formatting.signed_amount(self.gauge.owed, self.asset_code, self.asset_scale)

    def amount(self, value: int) -> str:
        """Return an amount of this peer's asset."""
        return formatting.amount(value, self.asset_code, self.asset_scale)


def gauge_words(row: PeerRow) -> str:
    """Say what the gauge draws: `bob owes you 97.00 USD, 97 % of the 100.00 USD that you allow`."""
    gauge = row.gauge
    parts = [row.words]
    if gauge.limit is None:
        parts.append("without a limit")
    elif gauge.limit == 0:
        parts.append("you give no credit")
    else:
        parts.append(f"{gauge.used_percent} % of the {row.amount(gauge.limit)} that you allow")
    if gauge.level is Level.FULL:
        parts.append("the limit is reached: packets are turned away")
    elif gauge.level is Level.NEAR:
        parts.append("near the limit")
    if gauge.incoming:
        parts.append(f"{row.amount(gauge.incoming)} coming in")
    if gauge.outgoing:
        parts.append(f"{row.amount(gauge.outgoing)} going out")
    if gauge.unknown:
        parts.append(f"{row.amount(gauge.unknown)} undecided since a crash")
    if gauge.settle_at is not None:
        parts.append(
            f"you settle at {row.amount(gauge.settle_at)} down to {row.amount(gauge.settle_to or 0)}"
        )
    return ", ".join(parts)


def _state_tip(row: PeerRow) -> str:
    return f"{STATE_TEXTS[row.state]}: {row.state_reason}" if row.state_reason else ""


def _last_packet_tip(row: PeerRow) -> str:
    at_ms = row.last_packet_at_ms
    return "no packet yet" if at_ms is None else formatting.moment(at_ms)


def _used(row: PeerRow) -> int:
    used = row.gauge.used_percent
    return -1 if used is None else used


COLUMNS: Final[Sequence[Column[PeerRow]]] = (
    Column(
        title="State",
        text=lambda row: STATE_TEXTS[row.state],
        sort_key=lambda row: _STATE_ORDER.index(row.state),
        tooltip=_state_tip,
        accessible=_state_tip,
        width=100,
    ),
    Column(
        title="Name", text=lambda row: row.name, tooltip=lambda row: row.username, width=104
    ),
    Column(
        title="You owe · they owe",
        text=lambda _row: "",
        sort_key=_used,
        tooltip=gauge_words,
        accessible=gauge_words,
        width=142,
    ),
    Column(
        title="Balance",
        text=lambda row: row.words,
        sort_key=lambda row: (row.asset_code, row.gauge.owed),
        tooltip=gauge_words,
        width=210,
        stretch=True,
    ),
    Column(
        title="Trend",
        text=lambda _row: "",
        sort_key=lambda row: row.nets[0] - row.nets[-1] if row.nets else 0,
        tooltip=lambda row: (
            f"the balance of the last minutes: {_trend_words(row.nets)}"
            if row.nets
            else "no history yet"
        ),
        accessible=lambda row: _trend_words(row.nets),
        width=72,
        gives_way=2,
    ),
    Column(
        title="Traffic",
        text=lambda row: (
            formatting.packets_per_second(row.rate) if row.rate else formatting.NOTHING
        ),
        sort_key=lambda row: row.rate,
        right=True,
        width=84,
        gives_way=1,
    ),
    Column(
        title="Fulfilled",
        text=lambda row: formatting.percent(row.fulfills, row.fulfills + row.rejects),
        sort_key=lambda row: row.fulfills / max(row.fulfills + row.rejects, 1),
        tooltip=lambda row: (
            f"{formatting.count(row.fulfills)} fulfilled, "
            f"{formatting.count(row.rejects)} rejected"
        ),
        right=True,
        width=82,
        gives_way=3,
    ),
    Column(
        title="Last reject",
        text=lambda row: row.reject_code or formatting.NOTHING,
        tooltip=lambda row: row.last_reject or "none",
        width=84,
        gives_way=4,
    ),
    Column(
        title="Last packet",
        text=lambda row: row.last_packet,
        sort_key=lambda row: row.last_packet_at_ms or 0,
        tooltip=_last_packet_tip,
        right=True,
        width=96,
        gives_way=5,
    ),
    Column(title="Relation", text=lambda row: row.relation, width=78, gives_way=6),
    Column(
        title="Asset",
        text=lambda row: row.asset_code,
        tooltip=lambda row: f"{row.asset_code} with {row.asset_scale} decimals",
        width=70,
        gives_way=7,
    ),
)


def _trend_words(nets: Sequence[int]) -> str:
    if len(nets) < 2:
        return "no history yet"
    if nets[-1] == nets[0]:
        return "unchanged"
    return "they owe more" if nets[-1] < nets[0] else "they owe less"


class PeersModel(TableModel[PeerRow]):
    """Peers by username."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, lambda row: row.username, parent=parent)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDetail:
    """What the inspector shows of one peer, beside its row."""

    row: PeerRow
    facts: Sequence[tuple[str, str]]
    """Label and value, in groups of what belongs together."""
    notes: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SettlePlan:
    """What settling with one peer now would mean; amounts in its smallest unit."""

    username: str
    name: str
    asset_code: str
    asset_scale: int
    owed: int
    gauge: Gauge
    presets: Sequence[tuple[str, int]]
    engine: str
    obstacle: str
    """Why nothing can be settled now; empty where it can."""

    def after(self, amount: int) -> Gauge:
        """Return where the balance would stand."""
        return Gauge(
            owed=self.gauge.owed + amount,
            incoming=self.gauge.incoming,
            outgoing=self.gauge.outgoing,
            unknown=self.gauge.unknown,
            limit=self.gauge.limit,
            settle_at=self.gauge.settle_at,
            settle_to=self.gauge.settle_to,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePlan:
    """What deleting one peer would mean."""

    username: str
    name: str
    sentences: Sequence[str]
    typed_name: str
    """What must be typed to confirm; empty where a click is enough."""
