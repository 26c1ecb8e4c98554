"""The routing table's rows, and the answer to where a packet would go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, final

from PySide6.QtCore import QObject

from desktop.models.table import Column, TableModel

DEFAULT_PREFIX: Final = ""
NOTHING: Final = "–"
DEFAULT_TEXT: Final = "everything else"
SOURCE_TEXTS: Final = {
    "static": "set by you",
    "account": "its own address",
    "default": "default route",
    "learned": "told by it",
}


@final
@dataclass(frozen=True, slots=True)
class RouteRow:
    """One line of the routing table."""

    prefix: str
    next_hop: str
    source: str
    name: str = ""
    """What the next hop is called on the screen."""
    path: Sequence[str] = ()
    """Of a learned one: the nodes on the way."""

    @property
    def removable(self) -> bool:
        """Whether the operator put it there."""
        return self.source in ("static", "default")

    @property
    def prefix_text(self) -> str:
        return self.prefix or DEFAULT_TEXT


COLUMNS: Final[Sequence[Column[RouteRow]]] = (
    Column(
        title="Prefix",
        text=lambda row: row.prefix_text,
        sort_key=lambda row: row.prefix,
        tooltip=lambda row: (
            row.prefix or "the default route: every address that no other prefix covers"
        ),
        width=380,
        stretch=True,
    ),
    Column(
        title="Next hop",
        text=lambda row: row.name or row.next_hop,
        sort_key=lambda row: (row.name or row.next_hop).casefold(),
        tooltip=lambda row: row.next_hop,
        width=200,
    ),
    Column(
        title="Why it is there",
        text=lambda row: SOURCE_TEXTS.get(row.source, row.source),
        sort_key=lambda row: row.source,
        width=130,
        gives_way=1,
    ),
    Column(
        title="Path",
        text=lambda row: " → ".join(row.path) or NOTHING,
        sort_key=lambda row: len(row.path),
        width=260,
        gives_way=2,
    ),
)


class RoutesModel(TableModel[RouteRow]):
    """Routes by prefix."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, lambda row: row.prefix, parent=parent)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """An account that a packet may come from, in a list to choose from."""

    username: str
    name: str
    asset_code: str
    asset_scale: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerStep:
    """One service's verdict."""

    passes: bool
    decides: bool
    """The packet goes no further than this."""
    service: str
    sentence: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where a packet would go, as it is shown."""

    forwarded: bool
    sentence: str
    facts: Sequence[tuple[str, str]] = ()
    ways: Sequence[str] = ()
    """Every way to the prefix, the one that is taken first, each with its reason."""
    alternatives: Sequence[str] = ()
    """Shorter prefixes that cover it too, and why each was not taken."""
    steps: Sequence[AnswerStep] = field(default_factory=tuple)
