"""The traffic page: packets as they end, and what a reject means."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, Signal

from core.account import Asset
from core.clock import Clock
from core.control.operator import Operator
from core.control.rate_feed import unit_rate_text
from core.control.rates_views import TransferRate
from core.control.views import PacketVerdict, PacketView
from core.errors import InterledgerError
from core.packet import error_words
from desktop import formatting
from desktop.models.traffic import PACKETS_MAX, PacketFilter, PacketRow, PacketsModel
from desktop.presenters import graphs
from desktop.presenters.names import Names
from desktop.presenters.page import PagePresenter
from desktop.presenters.pieces import in_pieces, next_frame
from desktop.presenters.rates import share_words
from desktop.tasks import sentence

EVERY_SECONDS: Final = 0.25
FETCH_MAX: Final = 2_000
RANGE_SECONDS: Final = 900


class TrafficPresenter(PagePresenter):
    """Follows the packets; what came while the page was hidden is fetched when it is shown."""

    every_seconds = EVERY_SECONDS

    waiting_changed = Signal(object)
    """How many packets came while it was held, as an int."""
    missed_changed = Signal(object)
    """How many packets went by unseen, for they came faster than they could be fetched."""
    choices_changed = Signal(object, object)
    """The peers and the reject codes that there are to filter by."""
    throughput_changed = Signal(object)
    codes_changed = Signal(object)
    """Packets and reject codes over time, as GraphData."""
    loaded_changed = Signal(bool)
    rate_told = Signal(object, object)
    """The PacketRow that was asked about last, and by which rate it was converted: facts, a title and a text each."""

    def __init__(
        self,
        operator: Operator,
        clock: Clock,
        names: Names | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(operator, clock, parent)
        self.names = names or Names()
        self.model = PacketsModel(self)
        self.range_seconds = RANGE_SECONDS
        self._feed = graphs.HistoryFeed(operator, clock)
        self._graphs_at = float("-inf")
        self.loaded = False
        self.missed = 0
        self.active_filter = PacketFilter()
        self._last_sequence = 0
        self._address = ""
        self._peers: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._asking_rate: asyncio.Task[None] | None = None

    async def update(self) -> None:
        first = not self.loaded
        limit = PACKETS_MAX if first else FETCH_MAX
        if first:
            self._address = (await self.operator.status()).ilp_address
            self.names.learn(await self.operator.accounts())
        views = await self.operator.packets(after_sequence=self._last_sequence, limit=limit)
        await self._take(views, first=first)
        if first:
            self.loaded = True
            self.loaded_changed.emit(True)
        now = self.clock.monotonic()
        if now - self._graphs_at >= graphs.every_seconds(self.range_seconds):
            self._graphs_at = now
            await next_frame()
            await self.draw()

    async def draw(self) -> None:
        """Load the graphs' history and show it."""
        history = await self._feed.load(self.range_seconds)
        self.throughput_changed.emit(graphs.throughput(history))
        await next_frame()
        self.codes_changed.emit(graphs.reject_codes(history))

    async def _take(self, views: Sequence[PacketView], *, first: bool) -> None:
        if not views:
            return
        gap = views[0].sequence - self._last_sequence - 1
        if gap > 0 and not first:
            self.missed += gap
            self.missed_changed.emit(self.missed)
        self._last_sequence = views[-1].sequence
        before = (len(self._peers), len(self._codes))
        rows = await in_pieces(views, self._row_of)
        if before != (len(self._peers), len(self._codes)):
            peers = sorted((username, self.names.of(username)) for username in self._peers)
            self.choices_changed.emit(peers, sorted(self._codes))
        self.model.add(rows)
        if self.model.held:
            self.waiting_changed.emit(self.model.waiting)

    def _row_of(self, view: PacketView) -> PacketRow:
        """Return a packet as a row, counted: with the last of 20,000 there is nothing left to go through."""
        row = packet_row_of(view, self.names, ours=self._address)
        self._peers[row.from_username] += 1
        if row.to_username:
            self._peers[row.to_username] += 1
        if row.code:
            self._codes[row.code] += 1
        return row

    # --- What the operator does

    def ask_rate(self, row: PacketRow) -> None:
        """Ask the books by which rate a packet was converted; comes as `rate_told`, unless another is asked about."""
        if self._asking_rate is not None:
            self._asking_rate.cancel()
            self._asking_rate = None
        if row.transfer is not None:
            self._asking_rate = self.tasks.spawn(self._ask_rate(row, row.transfer))

    async def _ask_rate(self, row: PacketRow, transfer: int) -> None:
        try:
            facts = rate_facts(row, await self.operator.rate_of_transfer(transfer))
        except InterledgerError as error:
            facts = [("Rate", sentence(error))]
        self.rate_told.emit(row, facts)

    def show_range(self, seconds: int) -> None:
        """Let the graphs look so far back."""
        self.range_seconds = seconds
        self.tasks.start(self.draw())

    def hold(self, *, held: bool) -> None:
        """Stop the table while packets go on, or show what waited."""
        self.model.hold(held=held)
        self.waiting_changed.emit(self.model.waiting)

    def filter(self, wanted: PacketFilter) -> None:
        """Leave only the packets that pass."""
        self.active_filter = wanted
        self.model.set_filter(wanted.passes if wanted else None)

    def copy_text(self, rows: Sequence[PacketRow]) -> str:
        """Return packets as a table that a spreadsheet reads, with headings."""
        lines = ["\t".join(column.title for column in self.model.columns)]
        lines += ["\t".join(_cell(c.text(row)) for c in self.model.columns) for row in rows]
        return "\n".join(lines)


def packet_row_of(view: PacketView, names: Names | None = None, *, ours: str = "") -> PacketRow:
    """Return a packet as a row of the table; `ours` is this node's address."""
    names = names or Names()
    asset_out = view.outgoing_asset
    is_ours = bool(ours) and view.triggered_by == ours
    return PacketRow(
        sequence=view.sequence,
        at_ms=view.at_ms,
        from_username=view.from_username,
        to_username=view.to_username or "",
        from_name=names.of(view.from_username),
        to_name=names.of(view.to_username or ""),
        destination=view.destination,
        amount_in=view.incoming_amount,
        asset_in=(view.incoming_asset.code, view.incoming_asset.scale),
        amount_out=view.outgoing_amount,
        asset_out=None if asset_out is None else (asset_out.code, asset_out.scale),
        transfer=view.transfer,
        fulfilled=view.verdict is PacketVerdict.FULFILLED,
        code=view.code,
        code_name=error_words(view.code) if view.code else "",
        triggered_by=view.triggered_by,
        ours=is_ours,
        message=names.in_words(view.message, view.from_username, view.to_username or "")
        if is_ours
        else view.message,
        advice=view.advice,
        latency_us=view.latency_us,
    )


def rate_facts(row: PacketRow, found: TransferRate) -> Sequence[tuple[str, str]]:
    """Return by which rate a packet was converted, and where its prices are from: a title and a text each."""
    if found.rate is None or row.asset_out is None:
        return [("Rate", found.sentence)]
    source, target = Asset(*row.asset_in), Asset(*row.asset_out)
    facts = [
        (
            "Rate",
            f"{unit_rate_text(found.rate, source, target)} {target.code} for 1 {source.code}",
        ),
        ("Spread", share_words(found.spread)),
    ]
    if found.rate_id is None:
        return [*facts, ("Prices", "none were needed")]
    number = f"number {formatting.count(found.rate_id)}"
    snapshot = found.snapshot
    if snapshot is None:
        return [*facts, ("Prices", f"{number}, which are not kept any more")]
    facts.append(("Prices", f"{number}, in force since {formatting.moment(snapshot.at_ms)}"))
    for price in snapshot.prices:
        if price.code in {source.code, target.code} - {snapshot.reference}:
            said = "set by you" if price.by_operator else f"by {', '.join(price.sources)}"
            of = "" if price.at_ms is None else f", as of {formatting.moment(price.at_ms)}"
            facts.append((f"1 {price.code}", f"{price.price} {snapshot.reference}, {said}{of}"))
    return facts


def _cell(text: str) -> str:
    flat = text.replace(formatting.GROUP, "").replace("\u00a0", " ")
    return " ".join(flat.split())
