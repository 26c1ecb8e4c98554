"""The live packets: a ring of the newest, with a filter, that goes on filling while it is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from PySide6.QtCore import QObject

from desktop import formatting
from desktop.models.live import LiveModel
from desktop.models.table import Column

PACKETS_MAX: Final = 20_000
ORDINARY_REJECTS: Final = frozenset(("F08",))
"""Every sender finds the largest packet of its path by them: no fault of anybody's."""
VERDICT: Final = 2
CODE: Final = 3
"""The columns that a delegate colours, and that a click filters by."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PacketRow:
    """One packet that ended; texts are made when they are painted, for most never are."""

    sequence: int
    at_ms: int
    from_username: str
    to_username: str
    from_name: str
    to_name: str
    """What the two are called on the screen."""
    destination: str
    amount_in: int
    asset_in: tuple[str, int]
    amount_out: int | None
    asset_out: tuple[str, int] | None
    transfer: int | None
    """Its row in the books; None where it was not booked."""
    fulfilled: bool
    code: str
    code_name: str
    triggered_by: str
    ours: bool
    """This node has rejected it, and the message is its own."""
    message: str
    """Remote text."""
    advice: str
    latency_us: int

    @property
    def path(self) -> str:
        return f"{self.from_name} → {self.to_name or formatting.NOTHING}"

    @property
    def amount_in_text(self) -> str:
        return formatting.amount(self.amount_in, *self.asset_in)

    @property
    def amount_out_text(self) -> str:
        if self.amount_out is None or self.asset_out is None:
            return formatting.NOTHING
        return formatting.amount(self.amount_out, *self.asset_out)

    @property
    def verdict(self) -> str:
        return "Fulfilled" if self.fulfilled else "Rejected"

    @property
    def is_ordinary(self) -> bool:
        """Whether it was rejected as happens to every sender, and nobody need look at it."""
        return self.code in ORDINARY_REJECTS

    @property
    def code_text(self) -> str:
        return f"{self.code} {self.code_name}".strip() or formatting.NOTHING


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PacketFilter:
    """What is left of the stream: all that is set must hold."""

    text: str = ""
    verdict: str = ""
    """`fulfilled`, `rejected`, or both."""
    code: str = ""
    peer: str = ""

    def passes(self, row: PacketRow) -> bool:
        if self.verdict and (self.verdict == "fulfilled") is not row.fulfilled:
            return False
        if self.code and row.code != self.code:
            return False
        if self.peer and self.peer not in (row.from_username, row.to_username):
            return False
        if not self.text:
            return True
        wanted = self.text.lower()
        return (
            wanted in row.destination.lower()
            or wanted in row.from_username
            or wanted in row.to_username
            or wanted in row.from_name.lower()
            or wanted in row.to_name.lower()
            or wanted in row.code.lower()
            or wanted in row.message.lower()
        )

    def __bool__(self) -> bool:
        return bool(self.text or self.verdict or self.code or self.peer)


COLUMNS: Final[Sequence[Column[PacketRow]]] = (
    Column(
        title="Time",
        text=lambda row: formatting.clock_time(row.at_ms),
        sort_key=lambda row: row.sequence,
        tooltip=lambda row: formatting.exact_moment(row.at_ms),
        width=110,
    ),
    Column(title="From → to", text=lambda row: row.path, width=130, stretch=True),
    Column(title="Verdict", text=lambda row: row.verdict, width=94),
    Column(
        title="Code",
        text=lambda row: row.code_text,
        tooltip=lambda row: row.advice or row.code_text,
        width=140,
        gives_way=1,
    ),
    Column(
        title="Amount in",
        text=lambda row: row.amount_in_text,
        sort_key=lambda row: (row.asset_in[0], row.amount_in),
        right=True,
        width=126,
    ),
    Column(
        title="Amount out",
        text=lambda row: row.amount_out_text,
        sort_key=lambda row: (row.asset_out or ("", 0), row.amount_out or 0),
        right=True,
        width=126,
        gives_way=2,
    ),
    Column(
        title="Latency",
        text=lambda row: formatting.latency(row.latency_us),
        sort_key=lambda row: row.latency_us,
        right=True,
        width=78,
        gives_way=3,
    ),
    Column(title="Destination", text=lambda row: row.destination, width=220, gives_way=4),
    Column(
        title="Message",
        text=lambda row: row.message,
        accessible=lambda row: (
            f"said by the other side: {row.message}" if row.message else "none"
        ),
        width=240,
        gives_way=5,
        stretch=True,
    ),
)


class PacketsModel(LiveModel[PacketRow]):
    """The newest packets on top."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(
            COLUMNS,
            lambda row: row.sequence,
            rows_max=PACKETS_MAX,
            newest_first=True,
            parent=parent,
        )
