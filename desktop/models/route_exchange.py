"""Route exchange as it is shown: peers, changes, the ways to one prefix, and the routes as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from PySide6.QtCore import QObject

from desktop import formatting
from desktop.models.routes import RouteRow
from desktop.models.table import Column, TableModel

STATE_COLUMN: Final = 1
CHANGE_COLUMN: Final = 1
CHANGES_MAX: Final = 2_000
CHILDREN_MAX: Final = 1_000
"""Of one branch of the tree; who looks for more filters the table."""
ARROW: Final = " → "


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRow:
    """Route exchange with one peer."""

    username: str
    name: str
    relation: str
    state: str
    sentence: str
    problem: str
    their_epoch: int
    their_current_epoch: int
    our_epoch: int
    our_current_epoch: int
    their_table_id: str
    our_table_id: str
    learned: int
    used: int
    refused: int
    damped: int
    advertised: int
    routes_max: int
    told: bool
    """Whether it is told our routes."""
    taken: bool
    """Whether its routes are taken."""
    wants_routes: bool
    last_update: str
    last_update_at_ms: int | None
    expires_at_ms: int | None
    last_sent_at_ms: int | None

    @property
    def can_be_asked(self) -> bool:
        return self.taken and self.state not in ("off", "static", "paused")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """One change of the best route to a prefix."""

    sequence: int
    at_ms: int
    prefix: str
    before: str
    after: str
    """Names; empty where there was, or is, no route."""
    path: Sequence[str]
    reason: str

    @property
    def kind(self) -> str:
        if not self.before:
            return "added"
        return "moved" if self.after else "withdrawn"

    @property
    def hops(self) -> str:
        if self.before and self.after:
            return f"{self.before}{ARROW}{self.after}"
        return self.after or self.before


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to a prefix, and why it is taken or not."""

    chosen: bool
    name: str
    source: str
    path: Sequence[str]
    reason: str

    @property
    def words(self) -> str:
        by = f" by {ARROW.join(self.path)}" if self.path else ""
        return f"{'✓' if self.chosen else '·'} {self.name}{by}: {self.reason}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why packets to an address go where they go."""

    destination: str
    sentence: str
    ways: Sequence[Way] = ()


EXCHANGE_COLUMNS: Final[Sequence[Column[ExchangeRow]]] = (
    Column(
        title="Peer", text=lambda row: row.name, tooltip=lambda row: row.username, width=130
    ),
    Column(
        title="State",
        text=lambda row: row.state,
        tooltip=lambda row: row.problem or row.sentence,
        width=120,
    ),
    Column(
        title="Learned",
        text=lambda row: formatting.count(row.learned) if row.taken else formatting.NOTHING,
        sort_key=lambda row: row.learned,
        tooltip=lambda row: (
            f"{formatting.count(row.used)} of them are the best to their prefix"
        ),
        right=True,
        width=84,
    ),
    Column(
        title="In use",
        text=lambda row: formatting.count(row.used) if row.taken else formatting.NOTHING,
        sort_key=lambda row: row.used,
        right=True,
        width=76,
        gives_way=3,
    ),
    Column(
        title="Told",
        text=lambda row: formatting.count(row.advertised) if row.told else formatting.NOTHING,
        sort_key=lambda row: row.advertised,
        tooltip=lambda _row: "routes of ours that it knows",
        right=True,
        width=76,
    ),
    Column(
        title="Last heard",
        text=lambda row: row.last_update,
        sort_key=lambda row: row.last_update_at_ms or 0,
        right=True,
        width=96,
        gives_way=1,
    ),
    Column(
        title="Not taken",
        text=lambda row: (
            formatting.count(row.refused + row.damped)
            if row.refused + row.damped
            else formatting.NOTHING
        ),
        sort_key=lambda row: row.refused + row.damped,
        tooltip=lambda row: (
            f"{formatting.counted(row.refused, 'route')} refused, {row.damped} damped: they come and go too often"
        ),
        right=True,
        width=84,
        gives_way=4,
    ),
    Column(
        title="How it stands",
        text=lambda row: row.problem or row.sentence,
        width=240,
        stretch=True,
        gives_way=2,
    ),
)

CHANGE_COLUMNS: Final[Sequence[Column[ChangeRow]]] = (
    Column(
        title="Time",
        text=lambda row: formatting.clock_time(row.at_ms),
        sort_key=lambda row: row.sequence,
        tooltip=lambda row: formatting.exact_moment(row.at_ms),
        width=110,
    ),
    Column(title="Change", text=lambda row: row.kind, width=116),
    Column(title="Prefix", text=lambda row: row.prefix, width=220, stretch=True),
    Column(title="Next hop", text=lambda row: row.hops, width=190),
    Column(
        title="Path",
        text=lambda row: ARROW.join(row.path) or formatting.NOTHING,
        width=200,
        gives_way=2,
    ),
    Column(title="Why", text=lambda row: row.reason, width=220, gives_way=1),
)


class ExchangeModel(TableModel[ExchangeRow]):
    """Peers by username."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(EXCHANGE_COLUMNS, lambda row: row.username, parent=parent)


class ChangesModel(TableModel[ChangeRow]):
    """The newest change on top."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(
            CHANGE_COLUMNS, lambda row: row.sequence, newest_first=True, parent=parent
        )


# --- The tree


@final
@dataclass(slots=True)
class Branch:
    """What lies under one segment."""

    name: str
    prefix: str
    route: RouteRow | None = None
    routes: int = 0
    """At it and under it."""
    children: dict[str, Branch] = field(default_factory=dict)

    @property
    def ordered(self) -> list[Branch]:
        return [self.children[name] for name in sorted(self.children)]


@final
class RouteTree:
    """The routes by the segments of their prefixes."""

    def __init__(self) -> None:
        self.root = Branch("", "")

    def add(self, rows: Iterable[RouteRow]) -> None:
        """Put more routes in."""
        for row in rows:
            branch = self.root
            branch.routes += 1
            for segment in row.prefix.split(".") if row.prefix else ():
                child = branch.children.get(segment)
                if child is None:
                    prefix = f"{branch.prefix}.{segment}" if branch.prefix else segment
                    child = branch.children[segment] = Branch(segment, prefix)
                child.routes += 1
                branch = child
            branch.route = row
